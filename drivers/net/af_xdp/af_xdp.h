/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Internal interface of the driver: a port, its queues, and the functions of each file.
 *
 * The files form layers: each calls only files below it (devtools/check-layers checks it). Unless a
 * description says otherwise, functions run on the control path, on one thread a port at a time.
 * They return 0 or a negative errno.
 */

#ifndef AF_XDP_H
#define AF_XDP_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <net/if.h>
#include <sys/queue.h>

#include <rte_ether.h>
#include <rte_mbuf.h>
#include <ethdev_driver.h>
#include <xdp/xsk.h>

#include <dmamap.h>

#include "gantry_ethdev.h"
#include "gantry_secondary.h"
#include "gantry_share.h"
#include "gantry_view.h"
#include "af_xdp_log.h"
#include "af_xdp_steer.h"

/** Bytes that the kernel leaves free before a frame: XDP_PACKET_HEADROOM of <linux/bpf.h>. */
#define AF_XDP_HEADROOM 256
/**
 * Smallest and largest chunk, in bytes: XDP_UMEM_MIN_CHUNK_SIZE, and a page (Linux,
 * net/xdp/xdp_umem.c).
 */
#define AF_XDP_MIN_CHUNK 2048
#define AF_XDP_MAX_CHUNK 4096
/**
 * Chunks begin at least AF_XDP_MIN_CHUNK apart, so an offset shifted right by this is unique to a
 * chunk.
 */
#define AF_XDP_CHUNK_SHIFT 11
_Static_assert(1 << AF_XDP_CHUNK_SHIFT == AF_XDP_MIN_CHUNK, "two chunks would share an entry");

#define AF_XDP_MIN_DESC 64
#define AF_XDP_MAX_DESC 16384
/** Limits of a port: queues, and MAC addresses. */
#define AF_XDP_MAX_QUEUES 64
#define AF_XDP_MAX_MACS 16
/** Bytes of a frame beyond its MTU, without FCS: two VLAN tags are not part of the MTU. */
#define AF_XDP_OVERHEAD (RTE_ETHER_HDR_LEN + 2 * RTE_VLAN_HLEN)
#define AF_XDP_MAX_FRAME (AF_XDP_MAX_CHUNK - AF_XDP_HEADROOM)
/** Largest frame in several buffers: what NICs for jumbo frames take. */
#define AF_XDP_MAX_FRAME_SG 9728
/**
 * Most buffers of a frame that is sent: drivers with zero-copy take 8 (xdp_zc_max_segs of i40e and
 * ice), the kernel's copy mode takes 17 and more (Documentation/networking/af_xdp.rst).
 */
#define AF_XDP_MAX_TX_SEGS 8
_Static_assert(AF_XDP_MAX_TX_SEGS *(AF_XDP_MIN_CHUNK - RTE_PKTMBUF_HEADROOM) >= AF_XDP_MAX_FRAME_SG,
	"the largest frame cannot be sent");

/* Linux 6.6, include/uapi/linux/if_xdp.h. */
#ifndef XDP_USE_SG
#define XDP_USE_SG (1 << 4) /* of bind(2): frames may lie in several buffers */
#define XDP_PKT_CONTD (1 << 0) /* of a descriptor: the frame goes on in the next one */
#endif

/** A parameter that may be left to the driver. */
enum af_xdp_choice {
	AF_XDP_AUTO,
	AF_XDP_NO,
	AF_XDP_YES,
};

/** The parameters of a port, as the user gave them. */
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
	bool use_pinned_map; /**< use_pinned_map= */
	bool use_cni; /**< use_cni=; not with use_pinned_map */
	char dp_path[PATH_MAX]; /**< dp_path=; "": the default place, until af_xdp_map_open() */
};

/** @return true if somebody else provides the XDP program and its map */
static inline bool
af_xdp_args_foreign(const struct af_xdp_args *args)
{
	return args->use_pinned_map || args->use_cni;
}

/**
 * The UMEM of a queue: its mbuf pool, registered with the kernel. A chunk is the buffer of an mbuf.
 */
struct af_xdp_umem {
	struct xsk_umem *umem; /**< NULL: not registered */
	struct rte_mempool *pool;
	char *base; /**< chunk addresses in rings are offsets from here */
	size_t len;
	uint32_t mbuf_len; /**< bytes from an mbuf to its buffer */
	uint32_t chunk_len;
	unsigned int n_users;
};

/** Counters of the kernel for a socket, in the order of struct xdp_statistics. */
#define AF_XDP_N_KSTATS 6
struct af_xdp_kstats {
	uint64_t count[AF_XDP_N_KSTATS];
};

/**
 * A receive queue. One thread polls it.
 *
 * Of its n_desc mbufs, to_fill were received since the last refill; the kernel has the others.
 */
struct af_xdp_rxq {
	struct xsk_ring_cons rx;
	struct xsk_ring_prod fill;
	char *base; /**< of the UMEM */
	uint64_t rearm; /**< refcnt, nb_segs and port of a fresh mbuf */
	uint8_t *posted; /**< for each chunk: 1 while it is in the fill or receive ring */
	struct rte_mempool *pool;
	struct af_xdp_queue *q;
	uint32_t mbuf_len;
	uint16_t to_fill;
	uint16_t missing; /**< of to_fill: counted in no_mbuf */
	uint16_t fill_thresh;
	int fd;
	bool busy_poll;

	/* counters, written by the polling thread */
	uint64_t packets;
	uint64_t bytes;
	uint64_t calls; /**< system calls */
	uint64_t no_mbuf; /**< buffers that the pool had not got */

	/* control path only */
	uint16_t n_desc;
	struct rte_eth_rxconf conf;
} __rte_cache_aligned;

/** A transmit queue. One thread at a time sends on it. */
struct af_xdp_txq {
	struct xsk_ring_prod tx;
	struct xsk_ring_cons comp;
	char *base; /**< of the UMEM */
	uint16_t *posted; /**< for each chunk: how often it is posted and not completed */
	struct rte_mempool *pool;
	uint32_t mbuf_len;
	uint32_t chunk_len;
	uint32_t n_posted; /**< posted buffers that the kernel has not completed */
	uint16_t free_thresh;
	int fd;
	bool fast_free; /**< all mbufs are of one pool, with a reference count of 1 */
	bool need_wakeup; /**< call only if the ring is flagged (XDP_USE_NEED_WAKEUP); else always
			   */

	/* counters, written by the filling thread */
	uint64_t packets;
	uint64_t bytes;
	uint64_t calls; /**< system calls */
	uint64_t copies; /**< frames copied because they did not lie in the UMEM as a whole */
	uint64_t errors; /**< frames dropped because they cannot be sent */

	/* control path only */
	uint16_t n_desc;
	struct rte_eth_txconf conf;
} __rte_cache_aligned;

/** A mapped ring of a socket: at the same addresses in every process. */
struct af_xdp_map {
	void *addr;
	size_t len; /**< 0: the socket does not have this ring */
	uint64_t offset; /**< in the socket: XDP_PGOFF_* and XDP_UMEM_PGOFF_* */
};
/** Rings of a socket: receive, transmit, fill, completion. */
#define AF_XDP_N_RINGS 4

/**
 * A queue of the netdev: one socket, for both directions or one of them. Without receiving it has
 * the pool and the number of buffers of queue 0; without transmitting its completion ring is empty.
 */
struct af_xdp_queue {
	struct af_xdp_rxq rx;
	struct af_xdp_txq tx;
	struct xsk_socket *xsk; /**< NULL: closed */
	struct af_xdp_umem own; /**< the UMEM that this queue registered */
	struct af_xdp_umem *umem; /**< the UMEM that it uses: its own or another queue's */
	uint16_t id; /**< its number in the netdev */
	bool has_rx; /**< the open socket receives */
	bool has_tx; /**< the open socket transmits */
	bool zero_copy;
	/** When our last socket on it was closed, in cycles of the timer; 0: never. */
	uint64_t closed_at;
	struct af_xdp_kstats past; /**< counts of closed sockets, less what was reset */
	struct af_xdp_kstats now; /**< counts of the open one, for secondary processes */
	struct af_xdp_map map[AF_XDP_N_RINGS]; /**< of the open one, for secondary processes */
};

/** A queue as a secondary process has it, private to that process. */
struct af_xdp_view_queue {
	struct af_xdp_queue *q; /**< shared with the primary */
	int fd; /**< the socket's, in this process */
	bool scatter; /**< the port's */
	uint32_t open; /**< the rings are mapped, and belong to this process's bursts; atomic */
	uint32_t in_rx; /**< a burst runs; atomic */
	uint32_t in_tx; /**< @see in_rx */
	struct af_xdp_map map[AF_XDP_N_RINGS]; /**< as mapped */
} __rte_cache_aligned;

/** What secondary processes are told of a port. The sockets of its queues come with it, in order.
 */
struct af_xdp_share_msg {
	struct gantry_share_head head;
	uint16_t n_queues; /**< that are open; 0: the port is stopped */
};
_Static_assert(AF_XDP_MAX_QUEUES <= GANTRY_SHARE_FDS, "a descriptor each queue");

struct af_xdp_prog;
struct af_xdp_watch;

/** Settings of the netdev that the port changed, to be restored. */
struct af_xdp_saved {
	bool up; /**< we brought it up */
	uint8_t rx_vlan; /**< features of af_xdp_vlan.c that we switched off, a bit each */
	bool mtu; /**< the MTU was changed, from old_mtu to new_mtu */
	bool mac; /**< the address was changed, from old_mac to new_mac */
	uint16_t old_mtu;
	uint16_t new_mtu;
	struct rte_ether_addr old_mac;
	struct rte_ether_addr new_mac;
};

/** What a netdev is. */
struct af_xdp_kind {
	char name[IFNAMSIZ]; /**< such as "veth" or "bond"; "": a device */
	int link; /**< index of a veth's other end, or of the netdev below; 0: none */
	bool link_elsewhere; /**< link is an index of another network namespace */
};

/** Memberships of the control socket. */
struct af_xdp_joined {
	bool promiscuous;
	bool allmulticast;
	uint32_t macs; /**< a bit for each further MAC address, by its index in ethdev's list */
};

/**
 * A port: its private data. Secondary processes read it too, but follow none of its pointers except
 * queue, and of a queue those to its pools, tables and rings.
 */
struct af_xdp_port {
	struct af_xdp_args args;
	const char *name; /**< of the device, for messages */
	struct rte_eth_dev *eth;
	int ifindex;
	uint16_t max_rx; /**< of args.n_queues: those with which the netdev receives */
	uint16_t max_tx; /**< of args.n_queues: those with which the netdev transmits */
	bool can_scatter; /**< the kernel has frames in several buffers */
	bool scatter; /**< configured: RTE_ETH_RX_OFFLOAD_SCATTER */
	struct af_xdp_kind kind;
	/** Packet socket for ioctls and memberships, which end with it (promiscuous mode,
	 * addresses). */
	int control_fd;
	uint32_t gone; /**< the netdev was removed; atomic */
	struct af_xdp_watch *watch; /**< link messages; NULL: not watched */
	struct rte_intr_handle *rxq_intr; /**< sockets as receive interrupts; NULL: none */
	struct af_xdp_saved saved;
	struct af_xdp_joined joined;
	struct af_xdp_prog *prog;
	int map_fd; /**< foreign map from queue to socket, from probe to close; -1: none */
	struct rte_ether_addr *mc; /**< multicast list, n_mc entries */
	uint32_t n_mc;
	uint16_t n_started; /**< queues whose socket is open */
	struct af_xdp_queue *queue; /**< args.n_queues */
	struct gantry_share share; /**< secondary processes; under the lock of af_xdp_share.c */
	struct af_xdp_share_msg share_msg; /**< what they were told; under that lock */
};

/** @return entries that the kernel has not taken from the transmit ring, if any. Any thread. */
static inline uint32_t
af_xdp_tx_unsent(const struct af_xdp_txq *txq)
{
	if (txq->tx.producer == NULL)
		return 0;
	return __atomic_load_n(txq->tx.producer, __ATOMIC_RELAXED) -
		__atomic_load_n(txq->tx.consumer, __ATOMIC_RELAXED);
}

/** @return true if the netdev was removed. Any thread. */
static inline bool
af_xdp_gone(const struct af_xdp_port *port)
{
	return __atomic_load_n(&port->gone, __ATOMIC_RELAXED);
}

/** @name af_xdp_args.c: parameters of a port */
/**@{*/
/** Names of all parameters, for dpdk-pmdinfo.py. */
#define AF_XDP_PARAMS                                                                              \
	"iface=<string> container=<string> start_queue=<int> queue_count=<int> "                   \
	"zero_copy=<0|1> native=<0|1> shared_umem=<0|1> need_wakeup=<0|1> busy_budget=<int> "      \
	"steer=<PROTO[:PORT][+...]> use_pinned_map=<0|1> use_cni=<0|1> dp_path=<string>"
/** Parse a device's parameters. @return 0; -EINVAL, after one log line */
int af_xdp_args_parse(const char *name, const char *text, struct af_xdp_args *args);
/**@}*/

/** @name af_xdp_container.c: the container of a device, from probe to remove */
/**@{*/
/**
 * Attach a device to the container of this name as a client. Create the container if there is none.
 *
 * @return 0, or a negative errno after one log line.
 */
int af_xdp_container_join(const char *name, const char *container);
/** Undo af_xdp_container_join(). Waits as dmamap_client_detach() does. */
void af_xdp_container_leave(const char *name);
/**@}*/

/** @name af_xdp_netdev.c: settings and state of the netdev */
/**@{*/
/**
 * Get the netdev's current name, which may have changed. @return buf; the configured name if the
 * netdev is gone
 */
const char *af_xdp_netdev_name(const struct af_xdp_port *port, char buf[IFNAMSIZ]);
/** @return 0; -ENOTSUP: not an Ethernet device; the error of the ioctl */
int af_xdp_netdev_mac_get(const struct af_xdp_port *port, struct rte_ether_addr *mac);
int af_xdp_netdev_mac_set(const struct af_xdp_port *port, const struct rte_ether_addr *mac);
int af_xdp_netdev_mtu_get(const struct af_xdp_port *port, uint16_t *mtu);
int af_xdp_netdev_mtu_set(const struct af_xdp_port *port, uint16_t mtu);
/** Set the netdev up or down. @return 1: changed; 0: it was so already; or a negative errno */
int af_xdp_netdev_up(const struct af_xdp_port *port, bool up);
/** Get status, speed, duplex and autonegotiation. Down if the netdev does not answer. */
void af_xdp_netdev_link(const struct af_xdp_port *port, struct rte_eth_link *link);
/**
 * Get the numbers of queues that receive and that transmit. @return 0; an error: its driver does
 * not report them
 */
int af_xdp_netdev_queues(const struct af_xdp_port *port, unsigned int *rx, unsigned int *tx);
/** Join or leave what is sent to an address, or to all (type PACKET_MR_* of packet(7)). */
int af_xdp_netdev_member(const struct af_xdp_port *port, bool join, unsigned short type,
	const struct rte_ether_addr *mac);
/**
 * Watch link messages: raise ethdev's events on the EAL's interrupt thread when the link changes or
 * the netdev is removed.
 */
int af_xdp_netdev_watch(struct af_xdp_port *port);
/**
 * Undo af_xdp_netdev_watch(). Waits for a callback that runs, unless called within it: an event's
 * callback may close the port.
 */
void af_xdp_netdev_unwatch(struct af_xdp_port *port);
/**@}*/

/** @name af_xdp_settings.c: settings that the port changes, and restores at close */
/**@{*/
/**
 * Check that the kernel takes a pool's buffers, and that a frame of this MTU fits into one, unless
 * the port scatters frames.
 *
 * @return 0; -EINVAL, after one log line.
 */
int af_xdp_pool_check(const struct af_xdp_port *port, struct rte_mempool *pool, uint16_t mtu);
/**
 * Set the netdev's MTU, whatever the buffers. @return 0; the error of the ioctl, after one log line
 */
int af_xdp_mtu_change(struct rte_eth_dev *eth, uint16_t mtu);
/** Operation of ethdev. @return 0; -EINVAL: its frames do not fit; the error of the ioctl. Logged
 */
int af_xdp_mtu_set(struct rte_eth_dev *eth, uint16_t mtu);
/**
 * Set the default MTU if the application left the MTU to the port, and the netdev's frames do not
 * fit into a buffer of this pool.
 */
int af_xdp_mtu_fit(struct rte_eth_dev *eth, struct rte_mempool *pool);
/** Operation of ethdev, which also calls it at each start with the port's address. */
int af_xdp_mac_addr_set(struct rte_eth_dev *eth, struct rte_ether_addr *mac);
/** Take over the netdev's address, unless the application has set one. */
void af_xdp_mac_follow(struct rte_eth_dev *eth);
/** Restore what the port has set, unless it was changed since. */
void af_xdp_settings_restore(struct af_xdp_port *port);
/**@}*/

/** @name af_xdp_kind.c: what the netdev is */
/**@{*/
/**
 * Get the kind of a netdev in the network namespace of the calling thread.
 *
 * @return 0; -EIO: no answer; the error of socket(2)
 */
int af_xdp_kind_get(int ifindex, struct af_xdp_kind *kind);
/** @return the NUMA node of a netdev's PCI device; SOCKET_ID_ANY: none, or not known */
int af_xdp_numa_node(const char *iface);
/** As af_xdp_numa_node(), of a PCI device, with the folder of sysfs. */
int af_xdp_pci_numa_node(const char *sysfs, const char *address);
/**@}*/

/** @name af_xdp_vlan.c: VLAN tags stay in the frames */
/**@{*/
/** Have the netdev leave tags in frames. Logs what it cannot, and what takes tags off elsewhere. */
void af_xdp_vlan_keep(struct af_xdp_port *port);
/** Undo af_xdp_vlan_keep(). */
void af_xdp_vlan_restore(struct af_xdp_port *port);
/**@}*/

/** @name af_xdp_member.c: frames that the netdev accepts. Operations of ethdev. */
/**@{*/
int af_xdp_promiscuous_enable(struct rte_eth_dev *eth);
int af_xdp_promiscuous_disable(struct rte_eth_dev *eth);
int af_xdp_allmulticast_enable(struct rte_eth_dev *eth);
int af_xdp_allmulticast_disable(struct rte_eth_dev *eth);
int af_xdp_mac_addr_add(
	struct rte_eth_dev *eth, struct rte_ether_addr *mac, uint32_t index, uint32_t vmdq);
void af_xdp_mac_addr_remove(struct rte_eth_dev *eth, uint32_t index);
int af_xdp_set_mc_addr_list(struct rte_eth_dev *eth, struct rte_ether_addr *list, uint32_t n);
/**@}*/

/** @name af_xdp_plugin.c: the device plugin of a pod */
/**@{*/
/**
 * Ask the device plugin that listens at a path for the map of a netdev. Waits 5 s for each answer
 * at the most. The plugin of Kubernetes serves one connection: a second call is refused.
 *
 * @return a descriptor, owned by the caller; a negative errno after one log line.
 */
int af_xdp_plugin_map(const char *name, const char *path, const char *iface);
/**@}*/

/** @name af_xdp_map.c: a map from queue to socket that somebody else provides */
/**@{*/
/**
 * Open the map that the parameters name, and check that it has an entry for each queue. Without
 * such parameters there is none.
 *
 * @return 0, or a negative errno after one log line.
 */
int af_xdp_map_open(struct af_xdp_port *port);
/** Undo af_xdp_map_open(). */
void af_xdp_map_close(struct af_xdp_port *port);
/**
 * Put the socket of a queue into the map, at the queue's number in the netdev. The entry of another
 * socket stays.
 *
 * @return 0; -EEXIST: there is such an entry; the kernel's error. Logged.
 */
int af_xdp_map_add(const struct af_xdp_port *port, const struct af_xdp_queue *q);
/** Undo af_xdp_map_add(), unless another socket has taken the entry since, which is logged. */
void af_xdp_map_del(const struct af_xdp_port *port, const struct af_xdp_queue *q);
/**@}*/

/** @name af_xdp_prog.c: the XDP program, which sends frames to the port's sockets */
/**@{*/
/**
 * Attach the program to the port's netdev, or share the one that another port attached. A port with
 * a foreign map attaches none.
 *
 * @return 0; -EBUSY: a foreign program, or a port with another steer=, native=, scatter or another
 * provider of the program; the kernel's error. Logged.
 */
int af_xdp_prog_get(struct af_xdp_port *port);
/** Undo af_xdp_prog_get(). The last port detaches the program, unless it is foreign. */
void af_xdp_prog_put(struct af_xdp_port *port);
/** Direct the frames of a queue to its socket, which receives. */
int af_xdp_prog_add(const struct af_xdp_port *port, const struct af_xdp_queue *q);
/** Undo af_xdp_prog_add(). */
void af_xdp_prog_del(const struct af_xdp_port *port, const struct af_xdp_queue *q);
/**@}*/

/** @name af_xdp_queue.c: sockets and their UMEMs */
/**@{*/
/**
 * Open the sockets of all queues that receive or transmit, and fill those that receive with
 * buffers. The port has at least one receive queue. All or nothing. Sleeps while the
 * kernel still releases a queue: 2 s, or until 15 s after our last socket on it was closed.
 *
 * @return 0, or a negative errno after one log line.
 */
int af_xdp_queues_open(struct af_xdp_port *port);
/**
 * Close the sockets. Afterwards every mbuf that the kernel had is back in its pool. Sleeps as above
 * after zero-copy; without it, until the netdev has sent what it was given, 2 s a queue at the
 * most.
 */
void af_xdp_queues_close(struct af_xdp_port *port);
/** @return bytes of the largest frame that fits into a buffer of the pool */
uint32_t af_xdp_pool_max_frame(struct rte_mempool *pool);
/**@}*/

/** @name af_xdp_rxtx.c: the fast path. Operations of ethdev; one thread a queue. */
/**@{*/
uint16_t af_xdp_rx_burst(void *queue, struct rte_mbuf **pkts, uint16_t n);
uint16_t af_xdp_tx_burst(void *queue, struct rte_mbuf **pkts, uint16_t n);
/** As af_xdp_rx_burst(), of a port that scatters: a frame in several buffers is a chain. */
uint16_t af_xdp_rx_burst_sg(void *queue, struct rte_mbuf **pkts, uint16_t n);
/** As af_xdp_tx_burst(), of a port that scatters: a chain is sent as it is. */
uint16_t af_xdp_tx_burst_sg(void *queue, struct rte_mbuf **pkts, uint16_t n);
gantry_eth_count_t af_xdp_rx_queue_count(void *queue);
int af_xdp_rx_descriptor_status(void *queue, uint16_t offset);
int af_xdp_tx_descriptor_status(void *queue, uint16_t offset);
int af_xdp_tx_done_cleanup(void *queue, uint32_t n);
int af_xdp_get_monitor_addr(void *queue, struct rte_power_monitor_cond *cond);
/** Bursts of a secondary process, on a struct af_xdp_view_queue. Nothing while it is not open. */
uint16_t af_xdp_view_rx_burst(void *queue, struct rte_mbuf **pkts, uint16_t n);
uint16_t af_xdp_view_tx_burst(void *queue, struct rte_mbuf **pkts, uint16_t n);
/**
 * Put n buffers of the pool into the fill ring. @return 0; -ENOENT: the pool has too few; -ENOSPC:
 * the ring is full
 */
int af_xdp_fill(struct af_xdp_rxq *rxq, uint16_t n);
/** Free the mbufs that the kernel has sent. @return how many */
uint32_t af_xdp_reap(struct af_xdp_txq *txq);
/**@}*/

/** @name af_xdp_share.c: the primary process hands its queues to secondary ones */
/**@{*/
/**
 * Connect a port with a secondary process, which is told its state. Does not wait. Any thread.
 * @param fd  owned by the port if it returns 0. @return 0; -ENOMEM; -EPIPE
 */
int af_xdp_share_attach(struct rte_eth_dev *eth, int fd);
/**
 * Hand the open queues to all secondary processes. Waits until they have mapped them, 2 s a process
 * at the most. One that cannot does without; logged.
 */
void af_xdp_share_start(struct af_xdp_port *port);
/** Take the queues back: afterwards no other process holds a socket. Waits as above. */
void af_xdp_share_stop(struct af_xdp_port *port);
/** Tell all secondary processes that the port is closed, and disconnect them. */
void af_xdp_share_close(struct af_xdp_port *port);
/**@}*/

/** @name af_xdp_view.c: a port in a secondary process */
/**@{*/
/**
 * Have the primary process hand over the queues of a port, now and whenever it is started. Sets the
 * bursts of the port, and those of ethdev's table. After rte_eth_dev_probing_finish(). Waits twice
 * GANTRY_SECONDARY_TIMEOUT_S at the most.
 *
 * Undone by gantry_view_detach().
 *
 * @return 0; negative errno after a line: the port has counters, and bursts that do nothing.
 */
int af_xdp_view_attach(struct rte_eth_dev *eth);
/**@}*/

/** @name af_xdp_stats.c: counters. Operations of ethdev, in secondary processes too. */
/**@{*/
/** Serves secondary processes: counters and connections. */
extern struct gantry_secondary af_xdp_secondary;
int af_xdp_stats_get(
	struct rte_eth_dev *eth, struct rte_eth_stats *stats, struct eth_queue_stats *queues);
int af_xdp_stats_reset(struct rte_eth_dev *eth);
int af_xdp_xstats_get_names(
	struct rte_eth_dev *eth, struct rte_eth_xstat_name *names, unsigned int n);
int af_xdp_xstats_get(struct rte_eth_dev *eth, struct rte_eth_xstat *xstats, unsigned int n);
/** Add the kernel's counters of a socket that is about to be closed to q->past. */
void af_xdp_stats_save(struct af_xdp_queue *q);
/**@}*/

#endif /* AF_XDP_H */
