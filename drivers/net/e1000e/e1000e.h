/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * What do the parts of the driver share? A port, its queues, and the functions of each part.
 */

#ifndef E1000E_H
#define E1000E_H

#include <stdbool.h>
#include <stdint.h>

#include <rte_ether.h>
#include <rte_io.h>
#include <rte_log.h>
#include <rte_mbuf.h>
#include <rte_spinlock.h>
#include <ethdev_driver.h>

#include <dmamap.h>

#include "e1000e_regs.h"

struct vfio_pci_device;

extern int e1000e_logtype;

/** One line: what failed, on which device, what to do about it. */
#define E1000E_LOG(level, name, fmt, ...)                                                          \
	rte_log(RTE_LOG_##level, e1000e_logtype, "net_gantry_e1000e: %s: " fmt "\n", name,         \
		##__VA_ARGS__)

/** The chip, as e1000e_hw.c sees it. */
struct e1000e_hw {
	volatile uint8_t *regs; /**< BAR 0 */
	const char *name; /**< of the device, for messages */
};

static inline uint32_t
e1000e_read(const struct e1000e_hw *hw, uint32_t reg)
{
	return rte_read32(hw->regs + reg);
}

static inline void
e1000e_write(const struct e1000e_hw *hw, uint32_t reg, uint32_t value)
{
	rte_write32(value, hw->regs + reg);
}

/** What a driver offers, beyond registers: the frame that fits an MTU. */
#define E1000E_OVERHEAD (RTE_ETHER_HDR_LEN + RTE_ETHER_CRC_LEN + RTE_VLAN_HLEN)
#define E1000E_MAX_MTU (E1000E_MAX_FRAME - E1000E_OVERHEAD)

#define E1000E_RX_OFFLOADS                                                                         \
	(RTE_ETH_RX_OFFLOAD_CHECKSUM | RTE_ETH_RX_OFFLOAD_VLAN_STRIP |                             \
		RTE_ETH_RX_OFFLOAD_VLAN_FILTER | RTE_ETH_RX_OFFLOAD_SCATTER |                      \
		RTE_ETH_RX_OFFLOAD_RSS_HASH)
#define E1000E_TX_OFFLOADS                                                                         \
	(RTE_ETH_TX_OFFLOAD_IPV4_CKSUM | RTE_ETH_TX_OFFLOAD_UDP_CKSUM |                            \
		RTE_ETH_TX_OFFLOAD_TCP_CKSUM | RTE_ETH_TX_OFFLOAD_VLAN_INSERT |                    \
		RTE_ETH_TX_OFFLOAD_MULTI_SEGS | RTE_ETH_TX_OFFLOAD_MBUF_FAST_FREE)
#define E1000E_RSS_TYPES                                                                           \
	(RTE_ETH_RSS_IPV4 | RTE_ETH_RSS_NONFRAG_IPV4_TCP | RTE_ETH_RSS_IPV6 |                      \
		RTE_ETH_RSS_NONFRAG_IPV6_TCP | RTE_ETH_RSS_IPV6_EX)

/**
 * A receive queue. One thread polls it.
 *
 * Descriptors [next, refill - 1) in ring order belong to hardware; [refill, next) were
 * consumed, `hold` of them, and wait for new buffers. The descriptor at the tail, refill - 1, has a
 * fresh buffer but is not given away until the tail moves on: its status says "not done" and ends
 * each scan.
 */
struct e1000e_rxq {
	volatile union e1000e_rx_desc *ring;
	struct rte_mbuf **sw; /**< the buffer of each descriptor */
	volatile uint8_t *tail_reg;
	uint64_t rearm; /**< data_off, refcnt, nb_segs and port of a fresh mbuf */
	uint64_t flags; /**< the ol_flags that were asked for */
	uint16_t n_desc;
	uint16_t next; /**< the descriptor to look at */
	uint16_t refill; /**< the first one without a buffer */
	uint16_t hold; /**< how many have none */
	uint16_t free_thresh; /**< refill when so many have none, and write the tail once */
	uint16_t bulk; /**< take so many buffers from the pool at once */
	struct rte_mempool *pool;
	struct rte_mbuf *first; /**< of the packet in the making; scattered frames only */
	struct rte_mbuf *last;
	struct rte_eth_dev_data *data;

	/* counters, written by the polling thread */
	uint64_t packets;
	uint64_t bytes;

	/* control path only */
	uint16_t id;
	uint16_t buf_len; /**< bytes that hardware may write into a buffer of this pool */
	rte_iova_t iova; /**< of the ring */
	struct rte_eth_rxconf conf;
} __rte_cache_aligned;

/**
 * A transmit queue. One thread fills it.
 *
 * Descriptors [clean, batch) belong to batches that end with a report (RS); `last` of a batch's
 * first descriptor says where. [batch, tail) is the batch in the making.
 */
struct e1000e_txq {
	volatile union e1000e_tx_desc *ring;
	struct rte_mbuf **sw; /**< the buffer of each descriptor, or NULL */
	uint16_t *last; /**< of the first descriptor of a batch: its last one */
	volatile uint8_t *tail_reg;
	uint16_t n_desc;
	uint16_t tail;
	uint16_t clean;
	uint16_t batch;
	uint16_t n_free; /**< descriptors that can be written; one stays empty */
	uint16_t rs_thresh; /**< here it keeps the compiler from making a vector of its neighbours,
			       which is slower */
	uint16_t in_batch; /**< descriptors in [batch, tail) */
	uint16_t free_thresh;
	uint16_t max_need; /**< the most descriptors that a packet may take */
	uint32_t split; /**< no descriptor crosses a multiple of it, a power of two; 0: any may */
	bool fast_free; /**< all mbufs are of one pool, and nobody else refers to them */
	uint32_t ctx_key; /**< what the last context descriptor said; 0: none */

	/* counters, written by the filling thread */
	uint64_t packets;
	uint64_t bytes;
	uint64_t errors;

	/* control path only */
	uint16_t id;
	rte_iova_t iova; /**< of the ring */
	struct rte_eth_txconf conf;
} __rte_cache_aligned;

/** @name Statistics */
/**@{*/
#define E1000E_N_COUNTERS 48
struct e1000e_stats {
	uint64_t count[E1000E_N_COUNTERS]; /**< in the order of the table in e1000e_stats.c */
};
/**@}*/

/** A port: its private data. */
struct e1000e_port {
	struct e1000e_hw hw;
	struct vfio_pci_device *dev;
	struct rte_eth_dev_data *data;
	struct dmamap_zone
		*rings; /**< all rings of the port: one mapping, one hugepage; NULL: none yet */
	struct e1000e_stats stats;
	rte_spinlock_t stats_lock; /**< who reads a counter clears it: held from there to its sum */
	uint32_t tx_split; /**< the argument; 0: none */
	uint32_t rctl; /**< as written when the port was started, without the filters' bits */
	uint32_t n_mc;
	struct rte_ether_addr *mc; /**< multicast list, n_mc entries */
	uint32_t vfta[E1000E_VFTA_WORDS];
	uint8_t rss_key[E1000E_RSSRK_LEN];
	uint8_t reta[E1000E_RETA_ENTRIES]; /**< queue of each entry */
	uint64_t rss_hf;
	bool intr_on; /**< vectors are routed */
	bool intr_rxq; /**< receive queues have vectors of their own */
};

/** @name e1000e_hw.c: the chip's control. Negative errno on failure. */
/**@{*/
int e1000e_hw_reset(const struct e1000e_hw *hw);
int e1000e_hw_nvm_read(const struct e1000e_hw *hw, uint16_t word, uint16_t *value);
int e1000e_hw_mac_read(const struct e1000e_hw *hw, struct rte_ether_addr *mac);
void e1000e_hw_mac_write(
	const struct e1000e_hw *hw, unsigned int i, const struct rte_ether_addr *mac);
void e1000e_hw_mac_clear(const struct e1000e_hw *hw, unsigned int i);
void e1000e_hw_mc_write(
	const struct e1000e_hw *hw, const struct rte_ether_addr *mc, unsigned int n);
void e1000e_hw_link_setup(const struct e1000e_hw *hw);
void e1000e_hw_link_get(const struct e1000e_hw *hw, struct rte_eth_link *link);
void e1000e_hw_vlan_strip(const struct e1000e_hw *hw, bool on);
void e1000e_hw_rss_write(
	const struct e1000e_hw *hw, const uint8_t *key, const uint8_t *reta, uint64_t rss_hf);
void e1000e_hw_own(const struct e1000e_hw *hw, bool own);
void e1000e_hw_quiesce(const struct e1000e_hw *hw);
bool e1000e_hw_gone(const struct e1000e_hw *hw);
/** The bit of the multicast table that stands for an address (7.1.1, MO = 00b). */
unsigned int e1000e_mta_bit(const struct rte_ether_addr *mac);
/**@}*/

/** @name e1000e_queue.c: setting queues up, and starting them in hardware */
/**@{*/
int e1000e_rx_queue_setup(struct rte_eth_dev *eth, uint16_t id, uint16_t n_desc, unsigned int node,
	const struct rte_eth_rxconf *conf, struct rte_mempool *pool);
void e1000e_rx_queue_release(struct rte_eth_dev *eth, uint16_t id);
int e1000e_tx_queue_setup(struct rte_eth_dev *eth, uint16_t id, uint16_t n_desc, unsigned int node,
	const struct rte_eth_txconf *conf);
void e1000e_tx_queue_release(struct rte_eth_dev *eth, uint16_t id);
/** Give back the rings' memory; the queues are released. */
void e1000e_rings_free(struct e1000e_port *port);
void e1000e_rxq_info_get(struct rte_eth_dev *eth, uint16_t id, struct rte_eth_rxq_info *info);
void e1000e_txq_info_get(struct rte_eth_dev *eth, uint16_t id, struct rte_eth_txq_info *info);
/** Fill the rings and program them (4.6.5, 4.6.6). */
int e1000e_queues_start(struct rte_eth_dev *eth);
/** Free what is in the rings; hardware does not touch them any more. */
void e1000e_queues_stop(struct rte_eth_dev *eth);
/** RCTL's size bits for buffers of so many bytes; *len: what hardware then writes into one. */
uint32_t e1000e_rctl_bufsize(uint32_t buf_len, uint32_t *len);
/**@}*/

/** @name e1000e_rxtx.c: the fast path */
/**@{*/
uint16_t e1000e_rx_burst(void *queue, struct rte_mbuf **pkts, uint16_t n);
uint16_t e1000e_rx_burst_scattered(void *queue, struct rte_mbuf **pkts, uint16_t n);
uint16_t e1000e_tx_burst(void *queue, struct rte_mbuf **pkts, uint16_t n);
uint16_t e1000e_tx_prepare(void *queue, struct rte_mbuf **pkts, uint16_t n);
uint32_t e1000e_rx_queue_count(void *queue);
int e1000e_rx_descriptor_status(void *queue, uint16_t offset);
int e1000e_tx_descriptor_status(void *queue, uint16_t offset);
int e1000e_tx_done_cleanup(void *queue, uint32_t n);
/** ol_flags of a receive descriptor's status, and of its RSS type. */
uint64_t e1000e_rx_flags(uint32_t status, uint32_t mrq);
/** Packet type of a receive descriptor's status. */
uint32_t e1000e_rx_ptype(uint32_t status);
/** What a packet asks of the checksum unit; 0: nothing. Equal keys need one context descriptor. */
uint32_t e1000e_tx_ctx_key(const struct rte_mbuf *m);
/** The context descriptor for a key. */
void e1000e_tx_ctx_fill(uint32_t key, union e1000e_tx_desc *desc);
/**@}*/

/** @name e1000e_stats.c */
/**@{*/
int e1000e_stats_get(struct rte_eth_dev *eth, struct rte_eth_stats *stats);
int e1000e_stats_reset(struct rte_eth_dev *eth);
int e1000e_xstats_get_names(
	struct rte_eth_dev *eth, struct rte_eth_xstat_name *names, unsigned int n);
int e1000e_xstats_get(struct rte_eth_dev *eth, struct rte_eth_xstat *xstats, unsigned int n);
int e1000e_xstats_reset(struct rte_eth_dev *eth);
/** Read all counters, which clears them, and add them up; in a secondary process, have the primary
 * one do it. */
int e1000e_stats_refresh(struct rte_eth_dev *eth);
/**@}*/

/** @name e1000e_secondary.c: other processes of the program */
/**@{*/
/** From now on, until as many e1000e_secondary_done(), this primary process answers those that ask
 * it. */
void e1000e_secondary_serve(const char *name);
/** @see e1000e_secondary_serve() */
void e1000e_secondary_done(void);
/** Have the primary process refresh a port's counters. @return 0; its negative errno, or that it
 * does not answer. */
int e1000e_secondary_ask(const struct rte_eth_dev *eth);
/**@}*/

/** @name e1000e_ethdev.c */
/**@{*/
/** Is it a port of this driver, in this process? */
bool e1000e_is_ours(const struct rte_eth_dev *eth);
/**@}*/

#endif /* E1000E_H */
