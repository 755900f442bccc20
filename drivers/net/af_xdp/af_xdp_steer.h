/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * The rules that select frames for a port. The driver writes them into its XDP program before it is
 * loaded, so both include this file.
 */

#ifndef AF_XDP_STEER_H
#define AF_XDP_STEER_H

#include <linux/types.h>

#define AF_XDP_STEER_MAX 16

/** One kind of frame. All numbers are in the CPU's byte order. */
struct af_xdp_rule {
	__u16 ether_type; /**< 0: IPv4 or IPv6 */
	__u16 port; /**< destination port; 0: any */
	__u16 proto; /**< IP protocol; only if ether_type is 0 */
};

/**
 * Frames that match a rule go to the socket, all others to the kernel. Without a rule, all go to
 * the socket.
 */
struct af_xdp_steer {
	__u32 n_rules;
	struct af_xdp_rule rule[AF_XDP_STEER_MAX];
};

#endif /* AF_XDP_STEER_H */
