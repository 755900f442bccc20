/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * What do the parts of the driver share? A port, its queues, and the functions of each part.
 */

#ifndef AF_XDP_H
#define AF_XDP_H

#include <stdbool.h>
#include <stdint.h>
#include <net/if.h>

#include <rte_ether.h>
#include <rte_log.h>
#include <rte_mbuf.h>
#include <ethdev_driver.h>
#include <xdp/xsk.h>

#include <dmamap.h>

#include "af_xdp_steer.h"

extern int af_xdp_logtype;

/** One line: what failed, on which port, what to do about it. */
#define AF_XDP_LOG(level, name, fmt, ...)                                                          \
	rte_log(RTE_LOG_##level, af_xdp_logtype, "net_gantry_af_xdp: %s: " fmt "\n", name,         \
		##__VA_ARGS__)

/** What the kernel leaves free before a frame: XDP_PACKET_HEADROOM of <linux/bpf.h>. */
#define AF_XDP_HEADROOM 256
/** Least and most bytes of a chunk: XDP_UMEM_MIN_CHUNK_SIZE, and a page (Linux,
 * net/xdp/xdp_umem.c). */
#define AF_XDP_MIN_CHUNK 2048
#define AF_XDP_MAX_CHUNK 4096
/** Chunks begin at least AF_XDP_MIN_CHUNK apart, so an offset shifted by this tells them apart. */
#define AF_XDP_CHUNK_SHIFT 11
_Static_assert(1 << AF_XDP_CHUNK_SHIFT == AF_XDP_MIN_CHUNK, "two chunks would share an entry");

#define AF_XDP_MIN_DESC 64
#define AF_XDP_MAX_DESC 16384
/** The most queues, and addresses that a port takes frames for. */
#define AF_XDP_MAX_QUEUES 64
#define AF_XDP_MAX_MACS 16
/** Of a frame, without FCS: two VLAN tags are not part of the MTU. */
#define AF_XDP_OVERHEAD (RTE_ETHER_HDR_LEN + 2 * RTE_VLAN_HLEN)
#define AF_XDP_MAX_FRAME (AF_XDP_MAX_CHUNK - AF_XDP_HEADROOM)

/** A wish that may be left to the driver. */
enum af_xdp_choice {
	AF_XDP_AUTO,
	AF_XDP_NO,
	AF_XDP_YES,
};

/** What the user wants: the parameters of a port. */
struct af_xdp_args {
	char iface[IFNAMSIZ]; /**< iface= */
	char container[DMAMAP_NAME_MAX]; /**< container= */
	uint16_t start_queue; /**< start_queue= */
	uint16_t n_queues; /**< queue_count= */
	uint16_t busy_budget; /**< busy_budget=, 0: off */
	enum af_xdp_choice zero_copy; /**< zero_copy= */
	enum af_xdp_choice native; /**< native= */
	bool shared_umem; /**< shared_umem= */
	bool need_wakeup; /**< need_wakeup= */
	struct af_xdp_steer steer; /**< steer= */
};

/** The mbuf pool of a queue as the kernel sees it. Chunks are the mbufs' buffers. */
struct af_xdp_umem {
	struct xsk_umem *umem; /**< NULL: not registered */
	struct rte_mempool *pool;
	char *base; /**< chunk addresses are offsets from here */
	size_t len;
	uint32_t mbuf_len; /**< from an mbuf to its buffer */
	uint32_t chunk_len;
	unsigned int n_users;
};

/** What the kernel counts for a socket, in the order of struct xdp_statistics. */
#define AF_XDP_N_KSTATS 6
struct af_xdp_kstats {
	uint64_t count[AF_XDP_N_KSTATS];
};

/**
 * A receive queue. One thread polls it.
 *
 * n_desc mbufs are with the kernel, or received since the last refill (to_fill).
 */
struct af_xdp_rxq {
	struct xsk_ring_cons rx;
	struct xsk_ring_prod fill;
	char *base; /**< of the UMEM */
	uint64_t rearm; /**< refcnt, nb_segs and port of a fresh mbuf */
	uint8_t *lent; /**< of each chunk: is it in the kernel's hands to be filled? */
	struct rte_mempool *pool;
	struct af_xdp_queue *q;
	uint32_t mbuf_len;
	uint16_t to_fill;
	uint16_t fill_thresh;
	int fd;
	bool busy_poll;
	struct rte_eth_dev_data *data;

	/* counters, written by the polling thread */
	uint64_t packets;
	uint64_t bytes;
	uint64_t calls; /**< system calls */

	/* control path only */
	uint16_t n_desc;
	struct rte_eth_rxconf conf;
} __rte_cache_aligned;

/** A transmit queue. One thread fills it. */
struct af_xdp_txq {
	struct xsk_ring_prod tx;
	struct xsk_ring_cons comp;
	char *base;
	uint16_t
		*lent; /**< of each chunk: how many times is it in the kernel's hands to be sent? */
	struct rte_mempool *pool;
	uint32_t mbuf_len;
	uint32_t chunk_len;
	uint32_t n_lent; /**< frames that the kernel has not reported as sent */
	uint16_t free_thresh;
	int fd;
	bool fast_free; /**< all mbufs are of one pool, and nobody else refers to them */
	bool need_wakeup; /**< the kernel says when it wants a call; else it is called each time */

	/* counters, written by the filling thread */
	uint64_t packets;
	uint64_t bytes;
	uint64_t calls; /**< system calls */
	uint64_t copies; /**< frames that did not lie in the UMEM as a whole */
	uint64_t errors; /**< frames that can not be sent */

	/* control path only */
	uint16_t n_desc;
	struct rte_eth_txconf conf;
} __rte_cache_aligned;

/** A queue of the netdev: one socket, both ways. */
struct af_xdp_queue {
	struct af_xdp_rxq rx;
	struct af_xdp_txq tx;
	struct xsk_socket *xsk; /**< NULL: closed */
	struct af_xdp_umem own; /**< the UMEM that this queue registered */
	struct af_xdp_umem *umem; /**< the one it uses: its own or another queue's */
	uint16_t id; /**< the netdev's number */
	bool zero_copy;
	uint64_t closed_at; /**< when our last socket on it was closed, in cycles of the timer; 0:
			       there was none */
	struct af_xdp_kstats past; /**< of sockets that are closed, less what was reset */
};

struct af_xdp_prog;

/** What was changed of the netdev, to be put back. */
struct af_xdp_saved {
	bool up; /**< we brought it up */
	bool mtu; /**< old_mtu is to come back */
	bool mac;
	uint16_t old_mtu;
	struct rte_ether_addr old_mac;
};

/** A port: its private data. */
struct af_xdp_port {
	struct af_xdp_args args;
	const char *name; /**< of the device, for messages */
	struct rte_eth_dev *eth;
	int ifindex;
	int control_fd; /**< asks the kernel; holds memberships (promiscuous, addresses), which go
			   with it */
	uint32_t gone; /**< the netdev has vanished; atomic */
	struct rte_intr_handle *watch; /**< news of the netdev */
	struct rte_intr_handle *rxq_intr;
	struct af_xdp_saved saved;
	struct af_xdp_prog *prog;
	struct rte_ether_addr *mc; /**< multicast list, n_mc entries */
	uint32_t n_mc;
	uint16_t n_started; /**< queues whose socket is open */
	struct af_xdp_queue *queue; /**< args.n_queues */
};

static inline bool
af_xdp_gone(const struct af_xdp_port *port)
{
	return __atomic_load_n(&port->gone, __ATOMIC_RELAXED);
}

/** @name af_xdp_args.c */
/**@{*/
/** Names of all parameters, for dpdk-pmdinfo.py. */
#define AF_XDP_PARAMS                                                                              \
	"iface=<string> container=<string> start_queue=<int> queue_count=<int> "                   \
	"zero_copy=<0|1> native=<0|1> shared_umem=<0|1> need_wakeup=<0|1> busy_budget=<int> "      \
	"steer=<PROTO[:PORT][+...]>"
/** Read a device's parameters. @return 0; -EINVAL, -ENOMEM, and one line. */
int af_xdp_args_parse(const char *name, const char *text, struct af_xdp_args *args);
/**@}*/

/** @name af_xdp_space.c: the device's container, from probe to remove */
/**@{*/
int af_xdp_space_join(const char *name, const char *container);
void af_xdp_space_leave(const char *name);
/**@}*/

/** @name af_xdp_netdev.c: the kernel's word on the netdev. Negative errno on failure. */
/**@{*/
/** The netdev's name as of now, which may have changed. @return buf, or the name that it once had.
 */
const char *af_xdp_netdev_name(const struct af_xdp_port *port, char buf[IFNAMSIZ]);
int af_xdp_netdev_mac_get(const struct af_xdp_port *port, struct rte_ether_addr *mac);
int af_xdp_netdev_mac_set(const struct af_xdp_port *port, const struct rte_ether_addr *mac);
int af_xdp_netdev_mtu_get(const struct af_xdp_port *port, uint16_t *mtu);
int af_xdp_netdev_mtu_set(const struct af_xdp_port *port, uint16_t mtu);
/** @return 1: it was changed, 0: it was so already, or a negative errno */
int af_xdp_netdev_up(const struct af_xdp_port *port, bool up);
void af_xdp_netdev_link(const struct af_xdp_port *port, struct rte_eth_link *link);
/** How many queues go both ways? 0: the driver does not say. */
unsigned int af_xdp_netdev_queues(const struct af_xdp_port *port);
/** Take part in (or leave) what is sent to an address, or all (type PACKET_MR_* of packet(7)). */
int af_xdp_netdev_member(const struct af_xdp_port *port, bool join, unsigned short type,
	const struct rte_ether_addr *mac);
/** Begin and end to listen for news of the netdev. */
int af_xdp_netdev_watch(struct af_xdp_port *port);
void af_xdp_netdev_unwatch(struct af_xdp_port *port);
/**@}*/

/** @name af_xdp_prog.c: which frames come to the port's sockets? */
/**@{*/
int af_xdp_prog_get(struct af_xdp_port *port);
void af_xdp_prog_put(struct af_xdp_port *port);
int af_xdp_prog_add(const struct af_xdp_port *port, const struct af_xdp_queue *q);
void af_xdp_prog_del(const struct af_xdp_port *port, const struct af_xdp_queue *q);
/**@}*/

/** @name af_xdp_queue.c: sockets and their memory */
/**@{*/
/** Open all queues' sockets and give them buffers; all or none. */
int af_xdp_queues_open(struct af_xdp_port *port);
/** Close them; every mbuf that the kernel had is back in its pool. */
void af_xdp_queues_close(struct af_xdp_port *port);
/** Bytes of a frame that fit into a buffer of the pool. */
uint32_t af_xdp_room(struct rte_mempool *pool);
/**@}*/

/** @name af_xdp_rxtx.c: the fast path */
/**@{*/
uint16_t af_xdp_rx_burst(void *queue, struct rte_mbuf **pkts, uint16_t n);
uint16_t af_xdp_tx_burst(void *queue, struct rte_mbuf **pkts, uint16_t n);
uint32_t af_xdp_rx_queue_count(void *queue);
int af_xdp_rx_descriptor_status(void *queue, uint16_t offset);
int af_xdp_tx_descriptor_status(void *queue, uint16_t offset);
int af_xdp_tx_done_cleanup(void *queue, uint32_t n);
/** Give the kernel n buffers of the pool. @return 0, or -ENOENT: the pool has fewer; none was
 * given. */
int af_xdp_fill(struct af_xdp_rxq *rxq, uint16_t n);
/** Take back what was sent. @return how many frames */
uint32_t af_xdp_reap(struct af_xdp_txq *txq);
/**@}*/

/** @name af_xdp_stats.c */
/**@{*/
int af_xdp_stats_get(struct rte_eth_dev *eth, struct rte_eth_stats *stats);
int af_xdp_stats_reset(struct rte_eth_dev *eth);
int af_xdp_xstats_get_names(
	struct rte_eth_dev *eth, struct rte_eth_xstat_name *names, unsigned int n);
int af_xdp_xstats_get(struct rte_eth_dev *eth, struct rte_eth_xstat *xstats, unsigned int n);
/** Keep what the kernel counted for a socket that is about to be closed. */
void af_xdp_stats_keep(struct af_xdp_queue *q);
/**@}*/

#endif /* AF_XDP_H */
