/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * A port of net_gantry_af_xdp on one end of a veth pair, and a packet socket at the other end.
 *
 * The pair is near == far, in a network namespace that ends with the process. The port's netdev is
 * near. Called by the suites of the driver, in the main thread.
 */

#ifndef GANTRY_TEST_VETH_PORT_H
#define GANTRY_TEST_VETH_PORT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include <rte_ethdev.h>
#include <rte_mbuf.h>

#define VETH_DEVICE "net_gantry_af_xdp_test0"
#define VETH_DEVICE2 "net_gantry_af_xdp_test1"
/** Descriptors of each queue, and mbufs of a usual pool. */
#define VETH_N_DESC 256
#define VETH_N_MBUFS 2047
/** EtherType of all frames: IEEE 802, for local experiments. */
#define VETH_TYPE 0x88b5
/** A lost packet never arrives; the long timeout is for a busy machine. */
#define VETH_PATIENCE_S 20
/** Largest frame that the functions below take, in bytes. */
#define VETH_MAX_FRAME 10240

/** The port of VETH_DEVICE, and the other end. */
struct veth_port {
	uint16_t port; /**< of ethdev */
	uint16_t n_rx; /**< configured receive queues */
	struct rte_mempool *pool; /**< NULL: none */
	int peer; /**< packet socket on far */
};
extern struct veth_port veth;

/** @name For struct test_suite: each case has a new pair, with two queues each way */
/**@{*/
int veth_setup(void);
void veth_teardown(void);
/**@}*/

/** Run a line by system(3). @return 0; -1: it fails */
int veth_sh(const char *command);

/** Open a packet socket that sends and receives frames of a type on a netdev. @return -1: errno */
int veth_packet_socket(const char *iface, uint16_t type);

/** Probe VETH_DEVICE, with a pool of n mbufs in its container. @return a negative errno */
int veth_port_add(const char *args, unsigned int n);
/** Configure the port and set its queues up with its pool. conf may be NULL. */
int veth_port_configure(uint16_t n_rx, uint16_t n_tx, const struct rte_eth_conf *conf);
/** Add, configure and start the port, with as many queues each way. @return a negative errno */
int veth_port_start(const char *args, uint16_t queues);
/** Close both devices, their ports and the pool, as far as they exist. */
void veth_port_drop(void);
/** Stop the port. Every mbuf is in the pool then: those received, posted and sent. */
int veth_stop_whole(void);

/** Make a frame with contents that depend on its number. */
void veth_make_frame(uint8_t *frame, unsigned int len, uint32_t number);
bool veth_is_frame(const void *got, unsigned int got_len, unsigned int len, uint32_t number);
/** @return an mbuf with that frame; NULL: none is free */
struct rte_mbuf *veth_make_mbuf(struct rte_mempool *mp, unsigned int len, uint32_t number);

/** Send a frame from far, on the queue of the CPU's number. @return a negative errno */
int veth_peer_send(unsigned int len, uint32_t number);
/** As veth_peer_send(), on the queue q. The thread stays on the CPU q until the end of the case. */
int veth_peer_send_on(uint16_t q, unsigned int len, uint32_t number);
/** Wait for a frame at far. @return its length; -1: none came */
ssize_t veth_peer_receive(uint8_t *frame, size_t room);
/** Poll all queues until a frame comes; *queue returns its queue. @return NULL: none came */
struct rte_mbuf *veth_port_receive(uint16_t *queue);
/** When to give up waiting, in cycles of rte_rdtsc(). */
uint64_t veth_deadline(void);

/** A frame that the port sends on a queue comes to far. */
int veth_port_sends(uint16_t q, uint32_t number);
/** A frame that far sends on a queue comes to the same queue of the port. */
int veth_port_gets(uint16_t q, uint32_t number);
/** Frames of all sizes from the least to the most cross both ways, exact. */
int veth_both_ways(unsigned int least, unsigned int most);

#endif /* GANTRY_TEST_VETH_PORT_H */
