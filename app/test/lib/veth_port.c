/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * A port of net_gantry_af_xdp on a veth pair: the frames at both ends, and what a case begins and
 * ends with. A namespace of its own keeps the host's netdevs out of reach.
 */

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <arpa/inet.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <sys/socket.h>

#include <ethdev_driver.h>
#include <rte_bus_vdev.h>
#include <rte_cycles.h>
#include <rte_errno.h>

#include <dmamap.h>
#include <dmamap_mbuf.h>

#include "peek.h"
#include "test.h"
#include "veth_port.h"

struct veth_port veth = {.peer = -1};

static int home_ns = -1, own_ns = -1;
/* Of the main thread, before a case sends on a queue. */
static cpu_set_t cpus;

int
veth_sh(const char *command)
{
	return system(command) == 0 ? 0 : -1;
}

static int
enter_namespace(void)
{
	home_ns = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
	if (own_ns < 0) {
		if (unshare(CLONE_NEWNET) < 0)
			return -errno;
		own_ns = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
		return veth_sh("ip link set lo up; [ ! -e /proc/sys/net/ipv6 ] ||"
			       " echo 1 >/proc/sys/net/ipv6/conf/default/disable_ipv6");
	}
	return setns(own_ns, CLONE_NEWNET);
}

int
veth_packet_socket(const char *iface, uint16_t type)
{
	struct sockaddr_ll addr = {.sll_family = AF_PACKET,
		.sll_protocol = htons(type),
		.sll_ifindex = if_nametoindex(iface)};
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), yes = 1;
	int room = 8 << 20;

	if (fd < 0 || bind(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0)
		return -1;
	setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof(room));
	/* Send directly to the netdev, on the queue of the CPU's number. */
	setsockopt(fd, SOL_PACKET, PACKET_QDISC_BYPASS, &yes, sizeof(yes));
	setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &yes, sizeof(yes));
	return fd;
}

int
veth_setup(void)
{
	int rc;

	if (geteuid() != 0)
		return test_skip("network namespaces and XDP need root");
	sched_getaffinity(0, sizeof(cpus), &cpus);
	rc = enter_namespace();
	if (rc < 0)
		return test_skip("no network namespace: %s", strerror(-rc));
	TEST_ASSERT_SUCCESS(
		veth_sh("ip link add near numrxqueues 2 numtxqueues 2 type veth peer name far"
			" numrxqueues 2 numtxqueues 2 && ip link set far up"),
		"veth pair");
	veth.peer = veth_packet_socket("far", VETH_TYPE);
	TEST_ASSERT(veth.peer >= 0, "packet socket: %s", strerror(errno));
	return 0;
}

void
veth_port_drop(void)
{
	static const char *const devices[] = {VETH_DEVICE, VETH_DEVICE2};
	unsigned int i;
	uint16_t id;

	for (i = 0; i < RTE_DIM(devices); i++) {
		if (rte_eth_dev_get_port_by_name(devices[i], &id) < 0)
			continue;
		if (rte_eth_devices[id].data->dev_started)
			rte_eth_dev_stop(id);
		rte_eth_dev_close(id);
	}
	rte_mempool_free(veth.pool);
	veth.pool = NULL;
	for (i = 0; i < RTE_DIM(devices); i++)
		rte_vdev_uninit(devices[i]);
}

void
veth_teardown(void)
{
	veth_port_drop();
	if (veth.peer >= 0)
		close(veth.peer);
	veth.peer = -1;
	veth_sh("ip link del far 2>/dev/null");
	if (CPU_COUNT(&cpus) > 0)
		sched_setaffinity(0, sizeof(cpus), &cpus);
	if (home_ns >= 0) {
		setns(home_ns, CLONE_NEWNET);
		close(home_ns);
	}
	home_ns = -1;
}

int
veth_port_add(const char *args, unsigned int n)
{
	int rc = rte_vdev_init(VETH_DEVICE, args);

	if (rc < 0)
		return rc;
	rc = rte_eth_dev_get_port_by_name(VETH_DEVICE, &veth.port);
	if (rc < 0)
		return rc;
	veth.pool = dmamap_pktmbuf_pool_create(peek(dmamap_container_by_device(VETH_DEVICE)),
		"af_xdp", n, 32, 0, RTE_MBUF_DEFAULT_BUF_SIZE, SOCKET_ID_ANY);
	return veth.pool == NULL ? -rte_errno : 0;
}

int
veth_port_configure(uint16_t n_rx, uint16_t n_tx, const struct rte_eth_conf *conf)
{
	static const struct rte_eth_conf plain;
	int rc = rte_eth_dev_configure(veth.port, n_rx, n_tx, conf != NULL ? conf : &plain);
	uint16_t q;

	veth.n_rx = n_rx;
	for (q = 0; q < n_rx && rc == 0; q++)
		rc = rte_eth_rx_queue_setup(
			veth.port, q, VETH_N_DESC, SOCKET_ID_ANY, NULL, veth.pool);
	for (q = 0; q < n_tx && rc == 0; q++)
		rc = rte_eth_tx_queue_setup(veth.port, q, VETH_N_DESC, SOCKET_ID_ANY, NULL);
	return rc;
}

int
veth_port_start(const char *args, uint16_t queues)
{
	int rc = veth_port_add(args, VETH_N_MBUFS);

	if (rc == 0)
		rc = veth_port_configure(queues, queues, NULL);
	return rc < 0 ? rc : rte_eth_dev_start(veth.port);
}

static uint8_t
byte_at(uint32_t number, unsigned int i)
{
	return number * 31 + i * 7 + (i >> 8);
}

void
veth_make_frame(uint8_t *frame, unsigned int len, uint32_t number)
{
	struct rte_ether_hdr *eth = (struct rte_ether_hdr *)frame;
	unsigned int i;

	for (i = 0; i < len; i++)
		frame[i] = byte_at(number, i);
	memset(&eth->dst_addr, 0xff, sizeof(eth->dst_addr));
	eth->src_addr = (struct rte_ether_addr){{2, 0, 0, 0, 0, 7}};
	eth->ether_type = htons(VETH_TYPE);
}

bool
veth_is_frame(const void *got, unsigned int got_len, unsigned int len, uint32_t number)
{
	uint8_t frame[VETH_MAX_FRAME];

	veth_make_frame(frame, len, number);
	return got_len == len && memcmp(got, frame, len) == 0;
}

int
veth_peer_send(unsigned int len, uint32_t number)
{
	uint8_t frame[VETH_MAX_FRAME];

	veth_make_frame(frame, len, number);
	return send(veth.peer, frame, len, 0) == (ssize_t)len ? 0 : -errno;
}

uint64_t
veth_deadline(void)
{
	return rte_rdtsc() + VETH_PATIENCE_S * rte_get_tsc_hz();
}

struct rte_mbuf *
veth_port_receive(uint16_t *queue)
{
	uint64_t end = veth_deadline();
	struct rte_mbuf *m;
	uint16_t q;

	do {
		for (q = 0; q < veth.n_rx; q++)
			if (rte_eth_rx_burst(veth.port, q, &m, 1) == 1) {
				*queue = q;
				return m;
			}
		sched_yield();
	} while (rte_rdtsc() < end);
	return NULL;
}

ssize_t
veth_peer_receive(uint8_t *frame, size_t room)
{
	uint64_t end = veth_deadline();
	ssize_t len;

	do {
		len = recv(veth.peer, frame, room, 0);
		if (len >= 0)
			return len;
		sched_yield();
	} while (rte_rdtsc() < end);
	return -1;
}

struct rte_mbuf *
veth_make_mbuf(struct rte_mempool *mp, unsigned int len, uint32_t number)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(mp);

	if (m != NULL)
		veth_make_frame((uint8_t *)rte_pktmbuf_append(m, len), len, number);
	return m;
}

int
veth_both_ways(unsigned int least, unsigned int most)
{
	uint8_t got[VETH_MAX_FRAME];
	struct rte_mbuf *m;
	unsigned int len;
	ssize_t n;
	uint16_t q;

	for (len = least; len <= most; len++) {
		TEST_ASSERT_SUCCESS(veth_peer_send(len, len), "send %u", len);
		m = veth_port_receive(&q);
		TEST_ASSERT_NOT_NULL(m, "frame of %u bytes did not come", len);
		TEST_ASSERT(veth_is_frame(rte_pktmbuf_mtod(m, void *), m->pkt_len, len, len),
			"frame of %u bytes came as %u others", len, m->pkt_len);
		TEST_ASSERT(m->data_len == len && m->nb_segs == 1 && m->next == NULL &&
				m->port == veth.port && rte_mbuf_refcnt_read(m) == 1,
			"mbuf's fields");
		rte_pktmbuf_free(m);

		m = veth_make_mbuf(veth.pool, len, len + 1);
		TEST_ASSERT_NOT_NULL(m, "no mbuf");
		TEST_ASSERT_EQUAL(rte_eth_tx_burst(veth.port, q, &m, 1), 1, "transmit");
		n = veth_peer_receive(got, sizeof(got));
		TEST_ASSERT(n >= 0 && veth_is_frame(got, n, len, len + 1),
			"%u bytes sent, %zd came", len, n);
	}
	return 0;
}

int
veth_peer_send_on(uint16_t q, unsigned int len, uint32_t number)
{
	cpu_set_t one;

	CPU_ZERO(&one);
	CPU_SET(q, &one);
	if (sched_setaffinity(0, sizeof(one), &one) < 0)
		return -errno;
	return veth_peer_send(len, number);
}

int
veth_port_sends(uint16_t q, uint32_t number)
{
	struct rte_mbuf *m = veth_make_mbuf(veth.pool, 200, number);
	uint8_t got[VETH_MAX_FRAME];
	ssize_t len;

	TEST_ASSERT_NOT_NULL(m, "no mbuf");
	TEST_ASSERT_EQUAL(rte_eth_tx_burst(veth.port, q, &m, 1), 1, "transmit on queue %u", q);
	len = veth_peer_receive(got, sizeof(got));
	TEST_ASSERT(len > 0 && veth_is_frame(got, len, 200, number),
		"queue %u: 200 bytes sent, %zd came", q, len);
	return 0;
}

int
veth_port_gets(uint16_t q, uint32_t number)
{
	struct rte_mbuf *m;
	uint16_t came = UINT16_MAX;

	TEST_ASSERT_SUCCESS(veth_peer_send_on(q, 200, number), "send on queue %u", q);
	m = veth_port_receive(&came);
	TEST_ASSERT_NOT_NULL(m, "queue %u: the frame did not come", q);
	TEST_ASSERT_EQUAL(came, q, "came to queue %u instead of %u", came, q);
	TEST_ASSERT(veth_is_frame(rte_pktmbuf_mtod(m, void *), m->pkt_len, 200, number), "content");
	rte_pktmbuf_free(m);
	return 0;
}

int
veth_stop_whole(void)
{
	TEST_ASSERT_SUCCESS(rte_eth_dev_stop(veth.port), "stop");
	TEST_ASSERT_EQUAL(rte_mempool_avail_count(veth.pool), veth.pool->size,
		"%u of %u mbufs came back", rte_mempool_avail_count(veth.pool), veth.pool->size);
	return 0;
}
