/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * The model of the 82574L's transmitter. Its rules are those of the data sheet and of the drivers
 * that are known to work on silicon; each fault's text says which.
 */

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include <rte_byteorder.h>
#include <rte_common.h>
#include <rte_ip.h>
#include <rte_tcp.h>

#include <dmamap.h>
#include <e1000e_regs.h>

#include "e1000e_sender.h"

#define MESSAGE_MAX ((UINT32_C(1) << 20) + 256)
#define OUT_MAX (UINT32_C(4) << 20)
#define TAG_AT 12
#define MIN_FRAME 60
/* 20 KiB of the packet buffer, less 96 bytes: Linux, e1000e_reset(). */
#define DESC_MAX 20384

static struct dmamap_container *dma;
static volatile uint32_t *regs;
static union e1000e_tx_desc context;
static bool loaded, spent; /* a context was given; it served a packet that was segmented */
static unsigned int n_segmented, n_descriptors;
static uint32_t border; /* 0: none */
static char fault[160];

/* A packet of which descriptors are being read. */
static struct message {
	bool open;
	uint32_t len, cmd, status;
	uint8_t bytes[MESSAGE_MAX];
} messages[E1000E_QUEUES];

/* Frames: four bytes of length, then the frame. */
static uint8_t out[OUT_MAX];
static uint32_t out_at, out_end;

#define REG(at) regs[(at) / 4]

static void
broke(const char *rule)
{
	if (fault[0] == '\0')
		snprintf(fault, sizeof(fault), "%s", rule);
}

void
sender_begin(struct dmamap_container *memory, volatile uint32_t *bar)
{
	unsigned int q;

	dma = memory;
	regs = bar;
	loaded = spent = false;
	n_segmented = n_descriptors = 0;
	out_at = out_end = border = 0;
	fault[0] = '\0';
	for (q = 0; q < E1000E_QUEUES; q++)
		messages[q].open = false;
}

void
sender_border(uint32_t bytes)
{
	border = bytes;
}

/* The frame leaves, with a tag and padded as the packet and TCTL want it. */
static void
emit(const struct message *m, const uint8_t *frame, uint32_t len)
{
	uint32_t tagged = len + (m->cmd & E1000E_TXD_VLE ? 4 : 0),
		 cut = RTE_MIN(len, (uint32_t)TAG_AT);
	uint32_t padded = RTE_MAX(tagged, (uint32_t)MIN_FRAME);
	uint8_t *to = out + out_end + sizeof(uint32_t);

	if (tagged + 4 > E1000E_MAX_FRAME)
		broke("a frame is longer than the chip's longest");
	if (len < E1000E_MIN_TX_LEN || !(REG(E1000E_TCTL) & E1000E_TCTL_PSP))
		broke("10.2.6: a frame that the chip cannot pad");
	if (out_end + sizeof(uint32_t) + padded > sizeof(out)) {
		broke("more frames than the model holds");
		return;
	}
	memset(to, 0, padded);
	memcpy(to, frame, cut);
	if (m->cmd & E1000E_TXD_VLE) {
		if (!(REG(E1000E_CTRL) & E1000E_CTRL_VME))
			broke("7.5: a tag is to be inserted while CTRL.VME is clear");
		to[TAG_AT] = 0x81;
		to[TAG_AT + 1] = 0;
		to[TAG_AT + 2] = m->status >> 24;
		to[TAG_AT + 3] = m->status >> 16;
	}
	memcpy(to + cut + tagged - len, frame + cut, len - cut);
	memcpy(out + out_end, &padded, sizeof(padded));
	out_end += sizeof(uint32_t) + padded;
}

/* Put the checksum of bytes [from, to) and of `more` to where it goes; what is there counts. */
static void
checksum(uint8_t *frame, uint32_t from, uint32_t to, uint32_t at, uint16_t more)
{
	uint32_t sum = rte_raw_cksum(frame + from, to - from) + rte_cpu_to_be_16(more);
	uint16_t value;

	sum = (sum & 0xFFFF) + (sum >> 16);
	value = ~(uint16_t)((sum & 0xFFFF) + (sum >> 16));
	memcpy(frame + at, &value, sizeof(value));
}

static void
add16(uint8_t *at, uint16_t value)
{
	rte_be16_t field;

	memcpy(&field, at, sizeof(field));
	field = rte_cpu_to_be_16(rte_be_to_cpu_16(field) + value);
	memcpy(at, &field, sizeof(field));
}

static void
add32(uint8_t *at, uint32_t value)
{
	rte_be32_t field;

	memcpy(&field, at, sizeof(field));
	field = rte_cpu_to_be_32(rte_be_to_cpu_32(field) + value);
	memcpy(at, &field, sizeof(field));
}

/* A packet that is not segmented. */
static void
send_whole(struct message *m)
{
	uint32_t ipcse = rte_le_to_cpu_16(context.ctx.ipcse);

	if (m->status & (E1000E_TXD_IXSM | E1000E_TXD_TXSM) &&
		(!loaded || rte_le_to_cpu_32(context.ctx.cmd) & E1000E_TXD_TSE)) {
		broke("7.2.6: a checksum without a context for it");
		return;
	}
	if (m->status & E1000E_TXD_IXSM && ipcse < m->len)
		checksum(m->bytes, context.ctx.ipcss, ipcse + 1, context.ctx.ipcso, 0);
	if (m->status & E1000E_TXD_TXSM && context.ctx.tucso + 2U <= m->len)
		checksum(m->bytes, context.ctx.tucss, m->len, context.ctx.tucso, 0);
	emit(m, m->bytes, m->len);
}

/* What the context and the headers of a packet must be. @return false: they are not */
static bool
tso_is_right(const struct message *m)
{
	uint32_t cmd = rte_le_to_cpu_32(context.ctx.cmd), hdr_len = context.ctx.hdr_len;
	uint8_t l3_len = context.ctx.tucss - context.ctx.ipcss;
	const uint8_t *l3 = m->bytes + context.ctx.ipcss;
	bool ipv4 = cmd & E1000E_TXD_CTX_IPV4;

	if (!loaded || spent || !(cmd & E1000E_TXD_TSE))
		broke("7.2.6: a packet is segmented without a context of its own");
	else if (!(cmd & E1000E_TXD_CTX_TCP) || (cmd & E1000E_TXD_RS))
		broke("7.2: the context is not one for TCP");
	else if (rte_le_to_cpu_16(context.ctx.mss) <= 0x10)
		broke("82583V, 7.2.9.3.1: MSS must be more than 0x10");
	else if (hdr_len > 240 || hdr_len < context.ctx.tucss + 20U)
		broke("82583V, 7.3.6.2: headers do not fit into the header buffer");
	else if (m->len != hdr_len + (cmd & 0xFFFFF) || m->len == hdr_len)
		broke("7.3: other bytes than HDRLEN and PAYLEN say: the chip hangs");
	else if (!ipv4 != !(m->status & E1000E_TXD_IXSM) || !(m->status & E1000E_TXD_TXSM))
		broke("Linux, e1000_tx_queue(): checksums are inserted, that of IP in IPv4 only");
	else if (context.ctx.tucso != context.ctx.tucss + 16U || context.ctx.tucse != 0)
		broke("7.2: TUCSO or TUCSE");
	else if (ipv4 ? l3_len < 20 || context.ctx.ipcso != context.ctx.ipcss + 10U ||
				rte_le_to_cpu_16(context.ctx.ipcse) != context.ctx.tucss - 1
		      : l3_len < 40 || context.ctx.ipcse != 0)
		broke("7.2: IPCSS, IPCSO or IPCSE");
	else if (ipv4 ? l3[2] != 0 || l3[3] != 0 || l3[10] != 0 || l3[11] != 0
		      : l3[4] != 0 || l3[5] != 0)
		broke("7.3: lengths and the checksum of IP must be 0");
	else
		return true;
	return false;
}

/* Cut a packet into frames (7.3; 82583V, 7.3.6.2). */
static void
send_segments(const struct message *m)
{
	uint32_t hdr_len = context.ctx.hdr_len, mss = rte_le_to_cpu_16(context.ctx.mss), at, n, k;
	uint32_t ip = context.ctx.ipcss, tcp = context.ctx.tucss;
	static uint8_t frame[UINT16_MAX + 256];

	if (!tso_is_right(m))
		return;
	for (at = hdr_len, k = 0; at < m->len; at += n, k++) {
		n = RTE_MIN(mss, m->len - at);
		memcpy(frame, m->bytes, hdr_len);
		memcpy(frame + hdr_len, m->bytes + at, n);
		if (rte_le_to_cpu_32(context.ctx.cmd) & E1000E_TXD_CTX_IPV4) {
			add16(frame + ip + offsetof(struct rte_ipv4_hdr, total_length),
				hdr_len + n - ip);
			add16(frame + ip + offsetof(struct rte_ipv4_hdr, packet_id), k);
		} else {
			add16(frame + ip + offsetof(struct rte_ipv6_hdr, payload_len),
				hdr_len + n - ip - sizeof(struct rte_ipv6_hdr));
		}
		add32(frame + tcp + offsetof(struct rte_tcp_hdr, sent_seq), at - hdr_len);
		if (at + n < m->len)
			frame[tcp + offsetof(struct rte_tcp_hdr, tcp_flags)] &=
				~(RTE_TCP_FIN_FLAG | RTE_TCP_PSH_FLAG);
		if (m->status & E1000E_TXD_IXSM)
			checksum(frame, ip, rte_le_to_cpu_16(context.ctx.ipcse) + 1,
				context.ctx.ipcso, 0);
		checksum(frame, tcp, hdr_len + n, context.ctx.tucso, hdr_len + n - tcp);
		emit(m, frame, hdr_len + n);
	}
	spent = true;
	n_segmented++;
}

/* The first data descriptor of a packet that is segmented. */
static void
check_first(uint32_t len)
{
	if (len < context.ctx.hdr_len)
		broke("7.3: a descriptor has a part of the headers");
	else if (len == context.ctx.hdr_len)
		broke("Linux, e1000_xmit_frame(): a buffer of nothing but headers");
}

/* A data descriptor. @return true if a packet is complete, and was sent */
static bool
data_read(struct message *m, const union e1000e_tx_desc *desc)
{
	uint32_t cmd = rte_le_to_cpu_32(desc->data.cmd), len = cmd & 0xFFFFF;
	uint64_t iova = rte_le_to_cpu_64(desc->data.addr);
	const uint8_t *from = dmamap_iova2va(dma, iova);

	if (len == 0 || from == NULL || dmamap_iova2va(dma, iova + len - 1) != from + len - 1) {
		broke("a data descriptor without mapped bytes");
		return false;
	}
	if (!m->open) {
		m->open = true;
		m->len = 0;
		m->cmd = cmd;
		m->status = rte_le_to_cpu_32(desc->data.status);
		if (cmd & E1000E_TXD_TSE)
			check_first(len);
	}
	if ((m->cmd ^ cmd) & (E1000E_TXD_TSE | E1000E_TXD_VLE))
		broke("7.2: descriptors of a packet that do not agree");
	if (border != 0 && iova / border != (iova + len - 1) / border)
		broke("a descriptor crosses a border");
	if (!(cmd & E1000E_TXD_IFCS))
		broke("7.2: no FCS");
	if (cmd & E1000E_TXD_TSE && len > DESC_MAX)
		broke("Linux, e1000e_reset(): a descriptor beyond the packet buffer");
	if (m->len + len > sizeof(m->bytes)) {
		broke("a packet without an end");
		return false;
	}
	memcpy(m->bytes + m->len, from, len);
	m->len += len;
	if (!(cmd & E1000E_TXD_EOP))
		return false;
	m->open = false;
	if (cmd & E1000E_TXD_TSE)
		send_segments(m);
	else
		send_whole(m);
	return true;
}

unsigned int
sender_run(unsigned int queue, unsigned int n)
{
	uint64_t ring = (uint64_t)REG(E1000E_TDBAH(queue)) << 32 | REG(E1000E_TDBAL(queue));
	uint32_t n_desc = REG(E1000E_TDLEN(queue)) / E1000E_DESC_LEN, cmd;
	struct message *m = &messages[queue];
	union e1000e_tx_desc *desc;
	unsigned int sent = 0;

	if (out_at == out_end)
		out_at = out_end = 0;
	while (sent < n && REG(E1000E_TDH(queue)) != REG(E1000E_TDT(queue))) {
		desc = dmamap_iova2va(dma, ring + REG(E1000E_TDH(queue)) * E1000E_DESC_LEN);
		cmd = rte_le_to_cpu_32(desc->data.cmd);
		n_descriptors++;
		if (cmd & E1000E_TXD_DEXT && cmd & E1000E_TXD_DTYP_DATA) {
			sent += data_read(m, desc);
		} else if (cmd & E1000E_TXD_DEXT) {
			if (m->open)
				broke("7.2: a context within a packet");
			context = *desc;
			loaded = true;
			spent = false;
		} else if (m->open || (cmd & 0xFFFF) != 0) {
			broke("7.2: a legacy descriptor that is none for a report");
		}
		if (cmd & E1000E_TXD_RS)
			desc->data.status |= rte_cpu_to_le_32(E1000E_TXD_DD);
		REG(E1000E_TDH(queue)) = (REG(E1000E_TDH(queue)) + 1) % n_desc;
	}
	return sent;
}

const uint8_t *
sender_pop(uint32_t *len)
{
	const uint8_t *frame;

	if (out_at == out_end)
		return NULL;
	memcpy(len, out + out_at, sizeof(*len));
	frame = out + out_at + sizeof(*len);
	out_at += sizeof(*len) + *len;
	return frame;
}

unsigned int
sender_segmented(void)
{
	return n_segmented;
}

unsigned int
sender_descriptors(void)
{
	return n_descriptors;
}

const char *
sender_fault(void)
{
	static char text[sizeof(fault)];

	if (fault[0] == '\0')
		return NULL;
	memcpy(text, fault, sizeof(text));
	fault[0] = '\0';
	return text;
}
