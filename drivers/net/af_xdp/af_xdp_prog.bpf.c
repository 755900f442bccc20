/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * The XDP program: sends a frame to a socket or leaves it to the kernel.
 *
 * Runs in the kernel for each frame that a netdev receives, before a packet is built from it. A
 * queue without a socket leaves its frames to the kernel. af_xdp_prog.c loads one of the two
 * functions: gantry_steer() if there are rules, else gantry_all().
 */

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "af_xdp_steer.h"

#define MAX_VLANS 2
#define MAX_EXTENSIONS 4
#define IPV4_FRAGMENT 0x1fff /* RFC 791, 3.1: offset, without the flags */
#define IPV6_FRAGMENT 0xfff8 /* RFC 8200, 4.5 */

/* An entry for as many queues as DPDK supports; the kernel makes each a pointer. */
struct {
	__uint(type, BPF_MAP_TYPE_XSKMAP);
	__uint(max_entries, 1024);
	__type(key, __u32);
	__type(value, __u32);
} xsks SEC(".maps");

/* Set by the driver before the program is loaded. */
const volatile struct af_xdp_steer steer = {0};

struct vlan_tag {
	__be16 tci;
	__be16 type;
};

struct extension {
	__u8 next;
	__u8 len; /* in units of 8 bytes, without the first; nothing in a fragment header */
	__be16 offset;
	__u32 rest;
};

/* The properties of a frame that rules compare. */
struct frame {
	__u16 ether_type;
	__u16 proto;
	__u16 port;
	_Bool is_ip;
};

/* The destination port is at the same place for TCP, UDP, UDP-Lite, DCCP and SCTP. */
static __always_inline void
read_port(void *at, void *end, struct frame *f)
{
	__be16 *ports = at;

	if ((void *)(ports + 2) <= end)
		f->port = bpf_ntohs(ports[1]);
}

static __always_inline void
read_ipv4(void *at, void *end, struct frame *f)
{
	struct iphdr *ip = at;

	if ((void *)(ip + 1) > end)
		return;
	f->is_ip = 1;
	f->proto = ip->protocol;
	if ((ip->frag_off & bpf_htons(IPV4_FRAGMENT)) == 0)
		read_port(at + ip->ihl * 4, end, f);
}

static __always_inline void
read_ipv6(void *at, void *end, struct frame *f)
{
	struct ipv6hdr *ip = at;
	struct extension *ext;
	_Bool first = 1;
	int i;

	if ((void *)(ip + 1) > end)
		return;
	f->is_ip = 1;
	f->proto = ip->nexthdr;
	at = ip + 1;
	for (i = 0; i < MAX_EXTENSIONS; i++) {
		if (f->proto != IPPROTO_HOPOPTS && f->proto != IPPROTO_ROUTING &&
			f->proto != IPPROTO_DSTOPTS && f->proto != IPPROTO_FRAGMENT)
			break;
		ext = at;
		if ((void *)(ext + 1) > end)
			return;
		if (f->proto == IPPROTO_FRAGMENT) {
			first = first && (ext->offset & bpf_htons(IPV6_FRAGMENT)) == 0;
			at += sizeof(*ext);
		} else {
			at += (ext->len + 1) * 8;
		}
		f->proto = ext->next;
	}
	if (first)
		read_port(at, end, f);
}

static __always_inline void
read_frame(void *at, void *end, struct frame *f)
{
	struct ethhdr *eth = at;
	__be16 type;
	int i;

	if ((void *)(eth + 1) > end)
		return;
	type = eth->h_proto;
	at = eth + 1;
	for (i = 0; i < MAX_VLANS; i++) {
		struct vlan_tag *tag = at;

		if (type != bpf_htons(ETH_P_8021Q) && type != bpf_htons(ETH_P_8021AD))
			break;
		if ((void *)(tag + 1) > end)
			return;
		type = tag->type;
		at = tag + 1;
	}
	f->ether_type = bpf_ntohs(type);
	if (type == bpf_htons(ETH_P_IP))
		read_ipv4(at, end, f);
	else if (type == bpf_htons(ETH_P_IPV6))
		read_ipv6(at, end, f);
}

static __always_inline _Bool
frame_matches(const struct frame *f)
{
	__u32 i;

	for (i = 0; i < AF_XDP_STEER_MAX; i++) {
		const volatile struct af_xdp_rule *rule = &steer.rule[i];

		if (i >= steer.n_rules)
			break;
		if (rule->ether_type != 0 && rule->ether_type == f->ether_type)
			return 1;
		if (rule->ether_type == 0 && f->is_ip && rule->proto == f->proto &&
			(rule->port == 0 || rule->port == f->port))
			return 1;
	}
	return 0;
}

SEC("xdp")
int
gantry_all(struct xdp_md *ctx)
{
	return bpf_redirect_map(&xsks, ctx->rx_queue_index, XDP_PASS);
}

SEC("xdp")
int
gantry_steer(struct xdp_md *ctx)
{
	struct frame f = {0};

	read_frame((void *)(long)ctx->data, (void *)(long)ctx->data_end, &f);
	if (!frame_matches(&f))
		return XDP_PASS;
	return bpf_redirect_map(&xsks, ctx->rx_queue_index, XDP_PASS);
}

char steer_license[] SEC("license") = "BSD";
