/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Tests of TCP segmentation by the 82574L driver. What the model of the transmitter makes of the
 * descriptors is compared, byte by byte, with frames that are made here from the packet itself.
 * After each case the model must have seen no broken rule.
 */

#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <string.h>

#include <rte_errno.h>
#include <rte_ethdev.h>
#include <rte_ip.h>
#include <rte_malloc.h>
#include <rte_mbuf.h>
#include <rte_random.h>
#include <rte_tcp.h>

#include <e1000e.h>

#include "e1000e_chip.h"
#include "e1000e_nic.h"
#include "e1000e_sender.h"
#include "test.h"

#define TX_OFFLOADS                                                                                \
	(RTE_ETH_TX_OFFLOAD_TCP_TSO | RTE_ETH_TX_OFFLOAD_TCP_CKSUM |                               \
		RTE_ETH_TX_OFFLOAD_IPV4_CKSUM | RTE_ETH_TX_OFFLOAD_VLAN_INSERT |                   \
		RTE_ETH_TX_OFFLOAD_MULTI_SEGS)
#define TCI 0x2123
#define SEQ 0xFFFFFE00u /* wraps */
#define IP_ID 0xFFFE /* wraps */
#define BIG_MAX (UINT32_C(1) << 17)
#define ALL UINT32_MAX

/* A TCP packet, as an application describes it. */
struct packet {
	uint32_t payload;
	uint16_t mss; /* 0: not segmented, with checksums by the chip */
	bool v6, tag;
	uint8_t l3_more, l4_more; /* bytes of options or extension headers */
	uint8_t flags; /* of TCP */
	uint32_t seed;
};

static uint32_t
l3_len(const struct packet *p)
{
	return (p->v6 ? sizeof(struct rte_ipv6_hdr) : sizeof(struct rte_ipv4_hdr)) + p->l3_more;
}

static uint32_t
l4_len(const struct packet *p)
{
	return sizeof(struct rte_tcp_hdr) + p->l4_more;
}

static uint32_t
hdr_len(const struct packet *p)
{
	return RTE_ETHER_HDR_LEN + l3_len(p) + l4_len(p);
}

static uint8_t
pattern(uint32_t seed, uint32_t at)
{
	return (seed * 2654435761u + at * 40503u) >> 11;
}

/* The bytes of a packet, as a stack hands them down: with full lengths and without checksums. */
static void
packet_bytes(const struct packet *p, uint8_t *to)
{
	struct rte_ipv4_hdr ip4 = {
		.version_ihl = 0x40 | l3_len(p) / 4,
		.total_length = rte_cpu_to_be_16(hdr_len(p) + p->payload - RTE_ETHER_HDR_LEN),
		.packet_id = rte_cpu_to_be_16(IP_ID),
		.fragment_offset = rte_cpu_to_be_16(0x4000),
		.time_to_live = 64,
		.next_proto_id = IPPROTO_TCP,
		.hdr_checksum = 0x5AA5,
		.src_addr = rte_cpu_to_be_32(0x0A000001),
		.dst_addr = rte_cpu_to_be_32(0xC0A8FF02),
	};
	struct rte_ipv6_hdr ip6 = {
		.vtc_flow = rte_cpu_to_be_32(0x60012345),
		.payload_len = rte_cpu_to_be_16(p->l3_more + l4_len(p) + p->payload),
		.proto = p->l3_more > 0 ? IPPROTO_DSTOPTS : IPPROTO_TCP,
		.hop_limits = 64,
	};
	struct rte_tcp_hdr tcp = {
		.src_port = rte_cpu_to_be_16(49152),
		.dst_port = rte_cpu_to_be_16(443),
		.sent_seq = rte_cpu_to_be_32(SEQ),
		.recv_ack = rte_cpu_to_be_32(77),
		.data_off = l4_len(p) / 4 << 4,
		.tcp_flags = p->flags,
		.rx_win = rte_cpu_to_be_16(8192),
		.cksum = 0x1234,
	};
	static const uint8_t macs[] = {2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2};
	uint32_t i;

	memset(to, 0, hdr_len(p));
	memcpy(to, macs, sizeof(macs));
	to[12] = p->v6 ? 0x86 : 0x08;
	to[13] = p->v6 ? 0xDD : 0x00;
	if (p->v6) {
		memcpy(to + RTE_ETHER_HDR_LEN, &ip6, sizeof(ip6));
		for (i = 8; i < 40; i++) /* addresses */
			to[RTE_ETHER_HDR_LEN + i] = pattern(1, i);
		if (p->l3_more > 0) { /* destination options: padding only */
			to[RTE_ETHER_HDR_LEN + 40] = IPPROTO_TCP;
			to[RTE_ETHER_HDR_LEN + 41] = p->l3_more / 8 - 1;
			to[RTE_ETHER_HDR_LEN + 42] = 1;
			to[RTE_ETHER_HDR_LEN + 43] = p->l3_more - 4;
		}
	} else {
		memcpy(to + RTE_ETHER_HDR_LEN, &ip4, sizeof(ip4));
		memset(to + RTE_ETHER_HDR_LEN + sizeof(ip4), 1, p->l3_more);
	}
	memcpy(to + RTE_ETHER_HDR_LEN + l3_len(p), &tcp, sizeof(tcp));
	memset(to + hdr_len(p) - p->l4_more, 1, p->l4_more);
	for (i = 0; i < p->payload; i++)
		to[hdr_len(p) + i] = pattern(p->seed, i);
}

/* Software's checksums of a frame. */
static void
put_checksums(const struct packet *p, uint8_t *frame, uint32_t payload)
{
	struct rte_ipv4_hdr *ip4 = (void *)(frame + RTE_ETHER_HDR_LEN);
	struct rte_tcp_hdr *tcp = (void *)(frame + RTE_ETHER_HDR_LEN + l3_len(p));
	struct rte_ipv6_hdr ip6;

	tcp->cksum = 0;
	if (p->v6) {
		/* Extension headers are not part of the sum. */
		memcpy(&ip6, ip4, sizeof(ip6));
		ip6.proto = IPPROTO_TCP;
		ip6.payload_len = rte_cpu_to_be_16(l4_len(p) + payload);
		tcp->cksum = rte_ipv6_udptcp_cksum(&ip6, tcp);
	} else {
		ip4->hdr_checksum = 0;
		ip4->hdr_checksum = rte_ipv4_cksum(ip4);
		tcp->cksum = rte_ipv4_udptcp_cksum(ip4, tcp);
	}
}

/* Make the frame that carries n bytes of the payload from `at` on. @return its length */
static uint32_t
expect(const struct packet *p, const uint8_t *bytes, uint32_t k, uint32_t at, uint32_t n,
	uint8_t *frame)
{
	struct rte_ipv4_hdr *ip4 = (void *)(frame + RTE_ETHER_HDR_LEN);
	struct rte_ipv6_hdr *ip6 = (void *)(frame + RTE_ETHER_HDR_LEN);
	struct rte_tcp_hdr *tcp = (void *)(frame + RTE_ETHER_HDR_LEN + l3_len(p));
	static const uint8_t tag[] = {0x81, 0, TCI >> 8, TCI & 0xFF};
	uint32_t len = hdr_len(p) + n;

	memcpy(frame, bytes, hdr_len(p));
	memcpy(frame + hdr_len(p), bytes + hdr_len(p) + at, n);
	if (p->v6) {
		ip6->payload_len = rte_cpu_to_be_16(p->l3_more + l4_len(p) + n);
	} else {
		ip4->total_length = rte_cpu_to_be_16(l3_len(p) + l4_len(p) + n);
		ip4->packet_id = rte_cpu_to_be_16((uint16_t)(IP_ID + k));
	}
	tcp->sent_seq = rte_cpu_to_be_32(SEQ + at);
	if (at + n < p->payload)
		tcp->tcp_flags &= ~(RTE_TCP_FIN_FLAG | RTE_TCP_PSH_FLAG);
	put_checksums(p, frame, n);
	if (p->tag) {
		memmove(frame + 16, frame + 12, len - 12);
		memcpy(frame + 12, tag, sizeof(tag));
		len += 4;
	}
	if (len < 60) {
		memset(frame + len, 0, 60 - len);
		len = 60;
	}
	return len;
}

/* The frames of a packet leave the chip next, and nothing is wrong with them. */
static int
packet_left(const struct packet *p)
{
	static uint8_t bytes[BIG_MAX], want[16384];
	uint32_t mss = p->mss != 0 ? p->mss : p->payload, at, n, k, len, got_len, i;
	const uint8_t *got;

	packet_bytes(p, bytes);
	for (at = 0, k = 0; at < p->payload; at += n, k++) {
		n = RTE_MIN(mss, p->payload - at);
		len = expect(p, bytes, k, at, n, want);
		got = sender_pop(&got_len);
		TEST_ASSERT_NOT_NULL(got, "%u of %u bytes left", at, p->payload);
		TEST_ASSERT_EQUAL(got_len, len, "frame %u: %u bytes, not %u", k, got_len, len);
		for (i = 0; i < len; i++)
			TEST_ASSERT_EQUAL(got[i], want[i], "frame %u, byte %u: 0x%02x, not 0x%02x",
				k, i, got[i], want[i]);
	}
	return 0;
}

/* Nothing else left, and no rule was broken. */
static int
nothing_else(void)
{
	const char *rule = sender_fault();
	uint32_t len;

	TEST_ASSERT_NULL(rule, "%s", rule);
	TEST_ASSERT_NULL(sender_pop(&len), "a frame too many");
	return nic_no_fault();
}

static void
set_offloads(const struct packet *p, struct rte_mbuf *m)
{
	m->l2_len = RTE_ETHER_HDR_LEN;
	m->l3_len = l3_len(p);
	m->l4_len = l4_len(p);
	m->tso_segsz = p->mss;
	m->ol_flags |= p->mss != 0 ? RTE_MBUF_F_TX_TCP_SEG : RTE_MBUF_F_TX_TCP_CKSUM;
	m->ol_flags |= p->v6 ? RTE_MBUF_F_TX_IPV6 : RTE_MBUF_F_TX_IPV4 | RTE_MBUF_F_TX_IP_CKSUM;
	if (p->tag) {
		m->ol_flags |= RTE_MBUF_F_TX_VLAN;
		m->vlan_tci = TCI;
	}
}

/*
 * Make a packet of mbufs. The lengths of the first n are given; the others are as long as can be.
 */
static struct rte_mbuf *
make(const struct packet *p, const uint16_t *lens, unsigned int n)
{
	uint32_t total = hdr_len(p) + p->payload, at = 0, len, i;
	struct rte_mbuf *first = NULL, *m;
	static uint8_t bytes[BIG_MAX];

	packet_bytes(p, bytes);
	for (i = 0; at < total || i < n; i++, at += len) {
		m = rte_pktmbuf_alloc(nic_pool);
		if (m == NULL)
			break;
		len = i < n ? lens[i] : rte_pktmbuf_tailroom(m);
		len = RTE_MIN(len, total - at);
		memcpy(rte_pktmbuf_append(m, len), bytes + at, len);
		if (first == NULL)
			first = m;
		else if (rte_pktmbuf_chain(first, m) != 0)
			break;
	}
	if (at < total || first == NULL) {
		rte_pktmbuf_free(first);
		return NULL;
	}
	set_offloads(p, first);
	return first;
}

static int
start_with(uint16_t n_queues, uint64_t offloads)
{
	nic_n_queues = n_queues;
	nic_conf.txmode.offloads = offloads;
	if (nic_probe_and_start() != 0)
		return TEST_FAILED;
	sender_begin(nic_container(), nic_regs());
	return 0;
}

static struct e1000e_txq *
txq(uint16_t q)
{
	return rte_eth_devices[nic_port].data->tx_queues[q];
}

/* Send a packet, which the queue and rte_eth_tx_prepare() must take. */
static int
send_one(uint16_t q, struct rte_mbuf *m)
{
	unsigned int before = sender_descriptors(), n;
	uint32_t need;

	TEST_ASSERT_NOT_NULL(m, "no mbufs");
	TEST_ASSERT_EQUAL(
		rte_eth_tx_prepare(nic_port, q, &m, 1), 1, "refused: %s", rte_strerror(rte_errno));
	need = m->ol_flags & RTE_MBUF_F_TX_TCP_SEG ? e1000e_tso_need(txq(q), m) : 0;
	TEST_ASSERT_EQUAL(rte_eth_tx_burst(nic_port, q, &m, 1), 1, "the queue does not take it");
	sender_run(q, ALL);
	n = sender_descriptors() - before;
	TEST_ASSERT(need == 0 || n == need, "%u descriptors, not %u", n, need);
	return 0;
}

/* Mbufs in a pool have no successor and one segment (rte_mbuf_raw_alloc()). */
static void
count_chained(struct rte_mempool *of, void *arg, void *obj, unsigned int index)
{
	const struct rte_mbuf *m = obj;

	RTE_SET_USED(of);
	RTE_SET_USED(index);
	*(unsigned int *)arg += m->next != NULL || m->nb_segs != 1;
}

static int
all_back(void)
{
	unsigned int chained = 0;

	TEST_ASSERT_SUCCESS(rte_eth_dev_stop(nic_port), "stop");
	TEST_ASSERT_EQUAL(rte_mempool_avail_count(nic_pool), NIC_MBUFS, "%u mbufs are missing",
		NIC_MBUFS - rte_mempool_avail_count(nic_pool));
	rte_mempool_obj_iter(nic_pool, count_chained, &chained);
	TEST_ASSERT_EQUAL(chained, 0, "%u mbufs in the pool are chained", chained);
	return nothing_else();
}

static int
test_segments(void)
{
	static const uint32_t payloads[] = {1, 4, 5, 1447, 1448, 1449, 2896, 30000, 65483};
	static const uint8_t flags[] = {RTE_TCP_ACK_FLAG,
		RTE_TCP_ACK_FLAG | RTE_TCP_PSH_FLAG | RTE_TCP_FIN_FLAG | RTE_TCP_ECE_FLAG};
	struct packet p;
	unsigned int i, n = 0, frames = 0;

	if (start_with(1, TX_OFFLOADS) != 0)
		return TEST_FAILED;
	for (i = 0; i < RTE_DIM(payloads) * 16; i++) {
		p = (struct packet){.payload = payloads[i / 16],
			.mss = i & 1 ? 1448 : 536,
			.v6 = i & 2,
			.tag = i & 4,
			.l3_more = i & 8 ? 8 : 0,
			.l4_more = i & 8 ? 12 : 0,
			.flags = flags[i / 2 % 2],
			.seed = i};
		if (send_one(0, make(&p, NULL, 0)) != 0 || packet_left(&p) != 0 ||
			nothing_else() != 0) {
			printf("payload %u, MSS %u, IPv%c\n", p.payload, p.mss, p.v6 ? '6' : '4');
			return TEST_FAILED;
		}
		n++;
		frames += (p.payload + p.mss - 1) / p.mss;
	}
	TEST_ASSERT_EQUAL(sender_segmented(), n, "%u of %u were segmented", sender_segmented(), n);
	/* Each frame counts, in the queue's and the port's statistics. */
	TEST_ASSERT_EQUAL(
		txq(0)->packets, frames, "%" PRIu64 " counted, not %u", txq(0)->packets, frames);
	return all_back();
}

/* The extremes of MSS and of the headers. */
static int
test_extremes(void)
{
	static const struct packet packets[] = {
		{.payload = 1000, .mss = 17},
		{.payload = 1000, .mss = 17, .v6 = true, .tag = true},
		{.payload = 40000, .mss = 9230 - 54},
		{.payload = 40000, .mss = 9226 - 54, .tag = true},
		{.payload = 40000, .mss = 9230 - 74, .v6 = true},
		{.payload = 5000, .mss = 1000, .l3_more = 40, .l4_more = 40},
		/* 240 bytes of headers: as many as the chip holds */
		{.payload = 5000, .mss = 1000, .v6 = true, .l3_more = 136, .l4_more = 30},
		{.payload = 5000, .mss = 9000},
	};
	uint64_t bytes = 0;
	unsigned int i;

	if (start_with(1, TX_OFFLOADS) != 0)
		return TEST_FAILED;
	for (i = 0; i < RTE_DIM(packets); i++) {
		const struct packet *p = &packets[i];

		if (send_one(0, make(p, NULL, 0)) != 0 || packet_left(p) != 0 ||
			nothing_else() != 0) {
			printf("packet %u\n", i);
			return TEST_FAILED;
		}
		/* Bytes on the wire, without FCS and tag; no frame here is padded. */
		bytes += p->payload + (uint64_t)hdr_len(p) * ((p->payload + p->mss - 1) / p->mss);
		TEST_ASSERT_EQUAL(txq(0)->bytes, bytes,
			"packet %u: %" PRIu64 " bytes, not %" PRIu64, i, txq(0)->bytes, bytes);
	}
	return all_back();
}

/* Headers and payload may be cut anywhere. */
static int
test_chains(void)
{
	static const struct {
		unsigned int n;
		uint16_t lens[8];
	} chains[] = {
		{1, {66}}, /* nothing but headers, which have 66 bytes */
		{1, {67}},
		{2, {66, 1}},
		{5, {66, 1, 1, 1, 1}},
		{4, {14, 20, 32, 100}}, /* a header each */
		{8, {1, 13, 10, 10, 17, 15, 3, 1}},
		{3, {0, 66, 0}},
		{4, {0, 0, 70, 0}},
		{2, {66, 4}},
		{2, {70, 0}},
	};
	struct packet p = {.mss = 100, .l4_more = 12, .flags = RTE_TCP_PSH_FLAG};
	unsigned int i;

	if (start_with(1, TX_OFFLOADS) != 0)
		return TEST_FAILED;
	for (i = 0; i < RTE_DIM(chains) * 4; i++) {
		p.payload = (uint32_t[]){250, 4, 5, 3}[i % 4];
		p.v6 = false;
		if (send_one(0, make(&p, chains[i / 4].lens, chains[i / 4].n)) != 0 ||
			packet_left(&p) != 0 || nothing_else() != 0) {
			printf("chain %u, payload %u\n", i / 4, p.payload);
			return TEST_FAILED;
		}
	}
	/* Cut at borders, too, as QEMU wants it; the last piece has any length. */
	txq(0)->split = 512;
	sender_border(512);
	for (i = 0; i < 520 * 2; i++) {
		p.payload = 2600 + i % 520;
		if (send_one(0, make(&p, chains[i / 520].lens, chains[i / 520].n)) != 0 ||
			packet_left(&p) != 0 || nothing_else() != 0) {
			printf("cut at borders, payload %u\n", p.payload);
			return TEST_FAILED;
		}
	}
	return all_back();
}

/* One that others refer to, too, is sent by two queues, and none of its bytes changes. */
static int
test_shared(void)
{
	static const uint16_t lens[] = {66, 900, 0, 700};
	const struct packet p = {.payload = 3000, .mss = 1000, .l4_more = 12};
	struct rte_mbuf *m, *clone, *at;
	static uint8_t bytes[BIG_MAX];
	uint8_t copy[4096];
	unsigned int q, n;
	const void *now;

	if (start_with(2, TX_OFFLOADS) != 0)
		return TEST_FAILED;
	m = make(&p, lens, RTE_DIM(lens));
	TEST_ASSERT_NOT_NULL(m, "no mbufs");
	n = m->nb_segs;
	clone = rte_pktmbuf_clone(m, nic_pool);
	TEST_ASSERT_NOT_NULL(clone, "no clone");
	rte_pktmbuf_refcnt_update(m, 2);
	for (q = 0; q < 2; q++)
		if (send_one(q, m) != 0 || packet_left(&p) != 0)
			return TEST_FAILED;
	if (send_one(0, clone) != 0 || packet_left(&p) != 0)
		return TEST_FAILED;
	packet_bytes(&p, bytes);
	now = rte_pktmbuf_read(m, 0, m->pkt_len, copy);
	TEST_ASSERT_NOT_NULL(now, "the packet is not whole");
	TEST_ASSERT_EQUAL(memcmp(now, bytes, m->pkt_len), 0, "its bytes were changed");
	TEST_ASSERT_EQUAL(m->nb_segs, n, "%u segments", m->nb_segs);
	for (at = m; at != NULL; at = at->next, n--)
		;
	TEST_ASSERT_EQUAL(n, 0, "the chain is shorter by %u", n);
	rte_pktmbuf_free(m);
	return all_back();
}

/* A packet brings its context, and so does one with checksums after it, on either queue. */
static int
test_contexts(void)
{
	struct packet p[24];
	unsigned int i, queues, q, descs;

	for (queues = 1; queues <= 2; queues++) {
		if (queues == 1 ? start_with(1, TX_OFFLOADS) != 0 : nic_start() != 0)
			return TEST_FAILED;
		sender_begin(nic_container(), nic_regs());
		for (i = 0; i < RTE_DIM(p); i++) {
			/* T: segmented, C: checksums; TTCCTTCC, and then in IPv6 */
			p[i] = (struct packet){.payload = 500,
				.mss = i / 2 % 2 ? 0 : 200,
				.v6 = i / 8 % 2,
				.seed = i};
			q = queues == 1 ? 0 : i / 3 % 2;
			descs = sender_descriptors();
			if (send_one(q, make(&p[i], NULL, 0)) != 0 || packet_left(&p[i]) != 0)
				return TEST_FAILED;
			descs = sender_descriptors() - descs;
			/* The second of two with checksums shares a context, on one queue. */
			TEST_ASSERT_EQUAL(descs,
				p[i].mss != 0                       ? 3u
					: queues == 1 && i % 2 == 1 ? 1u
								    : 2u,
				"packet %u: %u descriptors", i, descs);
		}
		if (all_back() != 0)
			return TEST_FAILED;
		nic_n_queues = 2;
	}
	return TEST_SUCCESS;
}

static void
free_nothing(void *addr, void *arg)
{
	RTE_SET_USED(addr);
	RTE_SET_USED(arg);
}

/* Append n mbufs of len bytes each, all of one piece of memory. */
static int
append_external(struct rte_mbuf *m, void *memory, uint16_t len, unsigned int n)
{
	struct rte_mbuf_ext_shared_info *shared;
	struct rte_mbuf *ext;
	uint16_t room = 65000;

	for (; n > 0; n--) {
		ext = rte_pktmbuf_alloc(nic_pool);
		TEST_ASSERT_NOT_NULL(ext, "no mbuf");
		room = 65000;
		shared = rte_pktmbuf_ext_shinfo_init_helper(memory, &room, free_nothing, NULL);
		TEST_ASSERT_NOT_NULL(shared, "no room");
		rte_pktmbuf_attach_extbuf(ext, memory, rte_malloc_virt2iova(memory), room, shared);
		ext->data_len = ext->pkt_len = len;
		ext->data_off = 0;
		TEST_ASSERT_SUCCESS(rte_pktmbuf_chain(m, ext), "chain");
	}
	return 0;
}

/* A segment longer than the packet buffer takes several descriptors. */
static int
test_long_segment(void)
{
	const struct packet p = {.payload = 60000, .mss = 1448};
	uint8_t *memory = rte_malloc(NULL, 65536, 4096);
	static uint8_t bytes[BIG_MAX];
	const uint16_t first = 54;
	struct rte_mbuf *m;

	TEST_ASSERT_NOT_NULL(memory, "no memory");
	if (start_with(1, TX_OFFLOADS) != 0)
		return TEST_FAILED;
	packet_bytes(&p, bytes);
	memcpy(memory, bytes + first, p.payload);
	m = make(&(struct packet){.mss = 1448}, NULL, 0); /* headers */
	TEST_ASSERT_NOT_NULL(m, "no mbuf");
	memcpy(rte_pktmbuf_mtod(m, void *), bytes, first);
	if (append_external(m, memory, p.payload, 1) != 0 || send_one(0, m) != 0 ||
		packet_left(&p) != 0)
		return TEST_FAILED;
	/* Context, headers, and 60,000 bytes of at most 20,384. */
	TEST_ASSERT_EQUAL(sender_descriptors(), 5, "%u descriptors", sender_descriptors());
	if (all_back() != 0)
		return TEST_FAILED;
	rte_free(memory);
	return TEST_SUCCESS;
}

/* @return 0 if a packet is refused with this error, and a burst drops it */
static int
refused(struct rte_mbuf *m, int error)
{
	uint64_t errors = txq(0)->errors;

	TEST_ASSERT_NOT_NULL(m, "no mbufs");
	TEST_ASSERT_EQUAL(rte_eth_tx_prepare(nic_port, 0, &m, 1), 0, "accepted");
	TEST_ASSERT_EQUAL(rte_errno, error, "errno %d", rte_errno);
	TEST_ASSERT_EQUAL(rte_eth_tx_burst(nic_port, 0, &m, 1), 1, "not consumed");
	TEST_ASSERT_EQUAL(sender_run(0, ALL), 0, "sent");
	TEST_ASSERT_EQUAL(txq(0)->errors, errors + 1, "not counted");
	return 0;
}

static int
test_refused(void)
{
	static const struct {
		const char *what;
		struct packet p;
		int l2, l3, l4, segsz; /* what is added to the lengths */
		int pkt_len;
		uint64_t clear, set;
	} wrong[] = {
		{.what = "MSS of 16", .p = {.payload = 3000, .mss = 16}},
		{.what = "MSS of 0", .p = {.payload = 3000, .mss = 16}, .segsz = -16},
		{.what = "frames too long", .p = {.payload = 40000, .mss = 9231 - 54}},
		{.what = "too long with a tag",
			.p = {.payload = 40000, .mss = 9227 - 54, .tag = true}},
		{.what = "too long in IPv6", .p = {.payload = 40000, .mss = 9231 - 74, .v6 = true}},
		{.what = "headers of 244 bytes",
			.p = {.payload = 3000, .mss = 500, .v6 = true, .l3_more = 136},
			.l4 = 34},
		{.what = "no payload", .p = {.mss = 500}},
		{.what = "headers longer than the packet",
			.p = {.payload = 10, .mss = 500},
			.l4 = 11},
		{.what = "no Ethernet header", .p = {.payload = 3000, .mss = 500}, .l2 = -1},
		{.what = "no lengths at all",
			.p = {.payload = 3000, .mss = 500},
			.l2 = -14,
			.l3 = -20,
			.l4 = -20},
		{.what = "a short IPv4 header", .p = {.payload = 3000, .mss = 500}, .l3 = -1},
		{.what = "a short IPv6 header",
			.p = {.payload = 3000, .mss = 500, .v6 = true},
			.l3 = -1},
		{.what = "a short TCP header", .p = {.payload = 3000, .mss = 500}, .l4 = -1},
		{.what = "neither IPv4 nor IPv6",
			.p = {.payload = 3000, .mss = 500},
			.clear = RTE_MBUF_F_TX_IPV4},
		{.what = "IPv4 and IPv6",
			.p = {.payload = 3000, .mss = 500, .l3_more = 20},
			.set = RTE_MBUF_F_TX_IPV6},
		{.what = "UDP", .p = {.payload = 3000, .mss = 500}, .set = RTE_MBUF_F_TX_UDP_CKSUM},
		{.what = "fewer bytes than told", .p = {.payload = 3000, .mss = 500}, .pkt_len = 1},
		{.what = "more bytes than told", .p = {.payload = 3000, .mss = 500}, .pkt_len = -1},
	};
	const struct packet good = {.payload = 3000, .mss = 500};
	struct rte_mbuf *m;
	unsigned int i;

	if (start_with(1, TX_OFFLOADS) != 0)
		return TEST_FAILED;
	for (i = 0; i < RTE_DIM(wrong); i++) {
		m = make(&wrong[i].p, NULL, 0);
		TEST_ASSERT_NOT_NULL(m, "no mbufs");
		m->l2_len += wrong[i].l2;
		m->l3_len += wrong[i].l3;
		m->l4_len += wrong[i].l4;
		m->tso_segsz += wrong[i].segsz;
		m->pkt_len += wrong[i].pkt_len;
		m->ol_flags = (m->ol_flags & ~wrong[i].clear) | wrong[i].set;
		if (refused(m, EINVAL) != 0) {
			printf("%s\n", wrong[i].what);
			return TEST_FAILED;
		}
		/* The ring goes on. */
		if (send_one(0, make(&good, NULL, 0)) != 0 || packet_left(&good) != 0)
			return TEST_FAILED;
	}
	/* In a tunnel. */
	m = make(&good, NULL, 0);
	TEST_ASSERT_NOT_NULL(m, "no mbufs");
	m->ol_flags |= RTE_MBUF_F_TX_TUNNEL_VXLAN;
	TEST_ASSERT_EQUAL(rte_eth_tx_prepare(nic_port, 0, &m, 1), 0, "accepted");
	TEST_ASSERT_EQUAL(rte_errno, ENOTSUP, "errno %d", rte_errno);
	rte_pktmbuf_free(m);
	return all_back();
}

/* PAYLEN has 20 bits. */
static int
test_longest(void)
{
	const uint32_t longest = 0xFFFFF;
	uint8_t *memory = rte_zmalloc(NULL, 65536, 4096);
	uint32_t more, payload, len, frames = 0;
	struct rte_mbuf *m;

	TEST_ASSERT_NOT_NULL(memory, "no memory");
	if (start_with(1, TX_OFFLOADS) != 0)
		return TEST_FAILED;
	for (more = 0; more < 2; more++) {
		m = make(&(struct packet){.mss = 9000}, NULL, 0);
		TEST_ASSERT_NOT_NULL(m, "no mbuf");
		payload = longest + more;
		if (append_external(m, memory, 60000, payload / 60000) != 0 ||
			append_external(m, memory, payload % 60000, 1) != 0)
			return TEST_FAILED;
		if (more == 0 ? send_one(0, m) != 0 : refused(m, EINVAL) != 0)
			return TEST_FAILED;
	}
	for (payload = 0; sender_pop(&len) != NULL; frames++)
		payload += len - 54;
	TEST_ASSERT_EQUAL(payload, longest, "%u bytes", payload);
	TEST_ASSERT_EQUAL(frames, (longest + 8999) / 9000, "%u frames", frames);
	if (all_back() != 0)
		return TEST_FAILED;
	rte_free(memory);
	return TEST_SUCCESS;
}

/* Each size of ring sends packets of as many segments as it tells, and no more. */
static int
test_small_rings(void)
{
	static const uint16_t rings[] = {32, 40, 56, 64, 72};
	const struct packet p = {.payload = 200, .mss = 90};
	uint16_t lens[E1000E_MAX_TX_SEGS + 2];
	struct rte_eth_dev_info info;
	unsigned int i, k, segs;
	struct rte_mbuf *m;

	nic_conf.txmode.offloads = TX_OFFLOADS;
	TEST_ASSERT_SUCCESS(nic_probe(), "probe");
	for (i = 0; i < RTE_DIM(rings); i++) {
		if (nic_configure() != 0)
			return TEST_FAILED;
		TEST_ASSERT_SUCCESS(
			rte_eth_tx_queue_setup(nic_port, 0, rings[i], 0, NULL), "set-up");
		TEST_ASSERT_SUCCESS(rte_eth_dev_start(nic_port), "start");
		sender_begin(nic_container(), nic_regs());
		TEST_ASSERT_SUCCESS(rte_eth_dev_info_get(nic_port, &info), "info");
		segs = info.tx_desc_lim.nb_seg_max;
		TEST_ASSERT_EQUAL(segs, RTE_MIN(rings[i] - 3u, (unsigned int)E1000E_MAX_TX_SEGS),
			"%u descriptors: %u segments", rings[i], segs);
		for (k = 0; k < segs + 1; k++)
			lens[k] = k == 0 ? 60 : 1; /* 6 bytes of payload in the first */
		lens[segs - 1] = p.payload - 6 - (segs - 2);
		for (k = 0; k < 10; k++)
			if (send_one(0, make(&p, lens, segs)) != 0 || packet_left(&p) != 0) {
				printf("%u descriptors, packet %u\n", rings[i], k);
				return TEST_FAILED;
			}
		lens[segs - 1]--;
		m = make(&p, lens, segs + 1);
		if (refused(m, EINVAL) != 0 || all_back() != 0) {
			printf("%u descriptors\n", rings[i]);
			return TEST_FAILED;
		}
	}
	return TEST_SUCCESS;
}

/* A random packet; one in three is segmented, one in three has checksums, others neither. */
static struct rte_mbuf *
random_packet(struct packet *p, uint32_t seed)
{
	uint32_t kind = rte_rand_max(3), left, n;
	uint16_t lens[40];

	*p = (struct packet){.seed = seed,
		.v6 = rte_rand_max(2),
		.tag = rte_rand_max(2),
		.l4_more = 4 * rte_rand_max(4),
		.flags = RTE_TCP_PSH_FLAG,
		.mss = kind == 0 ? 100 + rte_rand_max(1300) : 0,
		.payload = 1 + rte_rand_max(kind == 0 ? 9000 : 1400)};
	/* Headers of others than segmented packets have to lie in the first mbuf. */
	left = hdr_len(p) + p->payload;
	for (n = 0; n < RTE_DIM(lens) && left > 0; n++) {
		lens[n] = RTE_MIN(left, (uint32_t)rte_rand_max(900));
		if (n == 0 && p->mss == 0)
			lens[n] = RTE_MIN(left, hdr_len(p) + lens[n]);
		left -= lens[n];
	}
	return make(p, lens, rte_rand_max(3) == 0 ? 0 : n);
}

static int
history(uint64_t offloads, uint16_t ring, uint16_t rs_thresh)
{
	const struct rte_eth_txconf txconf = {
		.tx_rs_thresh = rs_thresh, .tx_free_thresh = 8, .offloads = offloads};
	uint32_t in = 0, left = 0, refusals = 0, round, n, taken, i;
	static struct packet waiting[256];
	struct rte_mbuf *m[4];

	rte_srand(test_seed());
	nic_conf.txmode.offloads = offloads;
	TEST_ASSERT_SUCCESS(nic_probe(), "probe");
	if (nic_configure() != 0)
		return TEST_FAILED;
	TEST_ASSERT_SUCCESS(rte_eth_tx_queue_setup(nic_port, 0, ring, 0, &txconf), "set-up");
	TEST_ASSERT_SUCCESS(rte_eth_dev_start(nic_port), "start");
	sender_begin(nic_container(), nic_regs());
	for (round = 0; round < 3000; round++) {
		n = rte_rand_max(RTE_DIM(m) + 1);
		for (i = 0; i < n; i++) {
			m[i] = random_packet(&waiting[(in + i) % RTE_DIM(waiting)], in + i);
			TEST_ASSERT_NOT_NULL(m[i], "round %u: no mbufs", round);
		}
		TEST_ASSERT_EQUAL(
			rte_eth_tx_prepare(nic_port, 0, m, n), n, "round %u: refused", round);
		taken = rte_eth_tx_burst(nic_port, 0, m, n);
		rte_pktmbuf_free_bulk(m + taken, n - taken);
		refusals += n - taken;
		in += taken;
		for (n = sender_run(0, rte_rand_max(5)); n > 0; n--, left++)
			if (packet_left(&waiting[left % RTE_DIM(waiting)]) != 0) {
				printf("round %u, packet %u\n", round, left);
				return TEST_FAILED;
			}
	}
	for (n = sender_run(0, ALL); n > 0; n--, left++)
		if (packet_left(&waiting[left % RTE_DIM(waiting)]) != 0)
			return TEST_FAILED;
	TEST_ASSERT_EQUAL(left, in, "%u of %u left", left, in);
	TEST_ASSERT(in > 1000 && refusals > 100, "%u taken, %u refused: not much of a test", in,
		refusals);
	return all_back();
}

static int
test_history(void)
{
	return history(TX_OFFLOADS, 128, 8);
}

static int
test_history_fast(void)
{
	return history(TX_OFFLOADS | RTE_ETH_TX_OFFLOAD_MBUF_FAST_FREE, 64, 32);
}

/* The offload is told, and so are the chip's counters of it. */
static int
test_told(void)
{
	struct rte_eth_xstat_name names[E1000E_N_COUNTERS + 64];
	struct rte_eth_xstat values[RTE_DIM(names)];
	struct rte_eth_dev_info info;
	uint64_t packets = 0, errors = 0;
	int n, i;

	if (start_with(1, TX_OFFLOADS) != 0)
		return TEST_FAILED;
	TEST_ASSERT_SUCCESS(rte_eth_dev_info_get(nic_port, &info), "info");
	TEST_ASSERT(info.tx_offload_capa & RTE_ETH_TX_OFFLOAD_TCP_TSO, "not told");
	nic_regs()[0x40F8 / 4] = 5; /* TSCTC */
	nic_regs()[0x40FC / 4] = 3; /* TSCTFC */
	n = rte_eth_xstats_get_names(nic_port, names, RTE_DIM(names));
	TEST_ASSERT_EQUAL(rte_eth_xstats_get(nic_port, values, RTE_DIM(values)), n, "values");
	nic_regs()[0x40F8 / 4] = nic_regs()[0x40FC / 4] = 0;
	for (i = 0; i < n; i++) {
		packets += strcmp(names[i].name, "tx_tso_packets") == 0 ? values[i].value : 0;
		errors += strcmp(names[i].name, "tx_tso_errors") == 0 ? values[i].value : 0;
	}
	TEST_ASSERT_EQUAL(packets, 5, "%" PRIu64 " packets", packets);
	TEST_ASSERT_EQUAL(errors, 3, "%" PRIu64 " errors", errors);
	return nic_no_fault();
}

/* Below 1000 Mb/s the chip has errors: a link that can only be slower is refused. */
static int
test_slow_link(void)
{
	static const struct {
		uint32_t speeds;
		int rc;
	} links[] = {
		{RTE_ETH_LINK_SPEED_FIXED | RTE_ETH_LINK_SPEED_100M, -EINVAL},
		{RTE_ETH_LINK_SPEED_10M | RTE_ETH_LINK_SPEED_100M, -EINVAL},
		{RTE_ETH_LINK_SPEED_100M | RTE_ETH_LINK_SPEED_1G, 0},
		{RTE_ETH_LINK_SPEED_AUTONEG, 0},
	};
	struct rte_eth_link link;
	const char *lines;
	unsigned int i;
	int rc;

	TEST_ASSERT_SUCCESS(nic_probe(), "probe");
	for (i = 0; i < RTE_DIM(links); i++) {
		nic_conf.link_speeds = links[i].speeds;
		nic_conf.txmode.offloads = TX_OFFLOADS;
		test_log_begin();
		rc = rte_eth_dev_configure(nic_port, 1, 1, &nic_conf);
		/* ethdev has a line of its own. */
		lines = test_log_end();
		TEST_ASSERT_EQUAL(rc, links[i].rc, "speeds %u: %d", i, rc);
		TEST_ASSERT_EQUAL(strstr(lines, "no TCP segmentation below 1000 Mb/s, ") != NULL,
			rc < 0, "speeds %u: %s", i, lines);
		nic_conf.txmode.offloads &= ~RTE_ETH_TX_OFFLOAD_TCP_TSO;
		TEST_ASSERT_SUCCESS(rte_eth_dev_configure(nic_port, 1, 1, &nic_conf),
			"speeds %u without segmentation", i);
	}
	/* One that turns out to be slower is told of. */
	chip_partner(CHIP_PARTNER, false);
	nic_conf.txmode.offloads = TX_OFFLOADS;
	test_log_begin();
	if (nic_start() != 0)
		return TEST_FAILED;
	TEST_ASSERT_SUCCESS(rte_eth_link_get_nowait(nic_port, &link), "link");
	TEST_ASSERT_EQUAL(link.link_speed, RTE_ETH_SPEED_NUM_100M, "speed %u", link.link_speed);
	TEST_ASSERT_SUCCESS(rte_eth_link_get_nowait(nic_port, &link), "link");
	TEST_ASSERT(test_logged("link at 100 Mb/s: TCP segmentation below 1000 Mb/s"), "line");
	test_log_end();
	return nic_no_fault();
}

static const struct test_case cases[] = {
	{"a long packet leaves as the frames that software would make", test_segments},
	{"the shortest and longest segments and headers", test_extremes},
	{"headers and payload may be cut anywhere", test_chains},
	{"a shared packet is sent by two queues and stays as it is", test_shared},
	{"each packet brings its context", test_contexts},
	{"a segment longer than the packet buffer takes several descriptors", test_long_segment},
	{"what the chip cannot segment is refused", test_refused},
	{"the longest packet has 1,048,575 bytes behind its headers", test_longest},
	{"small rings take as many segments as they tell", test_small_rings},
	{"random packets leave in order and unchanged", test_history},
	{"the same, when all mbufs are of one pool", test_history_fast},
	{"the offload and its counters are told", test_told},
	{"a link below 1000 Mb/s is refused, or told of", test_slow_link},
};

REGISTER_TEST_SUITE(net_e1000e_tso) = {
	.name = "net_e1000e_tso",
	.kind = TEST_FAST,
	.cases = cases,
	.n_cases = RTE_DIM(cases),
	.setup = nic_setup,
	.teardown = nic_teardown,
	.needs_eal = true,
};
