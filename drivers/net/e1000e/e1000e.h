/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Internal interface of the driver: a port, its queues, and the functions of each file.
 *
 * The files form layers, and each calls only files below it (devtools/check-layers checks it).
 * Unless a description says otherwise, functions run on the control path, on one thread a port at a
 * time. They return 0 or a negative errno. Numbers in parentheses are sections of the data sheet
 * that e1000e_regs.h names.
 */

#ifndef E1000E_H
#define E1000E_H

#include <stdbool.h>
#include <stdint.h>

#include <rte_dev_info.h>
#include <rte_ether.h>
#include <rte_io.h>
#include <rte_mbuf.h>
#include <rte_spinlock.h>
#include <ethdev_driver.h>

#include <bus_vfio_pci_driver.h>
#include <dmamap.h>

#include "gantry_ethdev.h"
#include "gantry_secondary.h"
#include "gantry_share.h"
#include "gantry_view.h"
#include "e1000e_log.h"
#include "e1000e_regs.h"

struct e1000e_intr;

/** The chip, as e1000e_hw.c uses it. */
struct e1000e_hw {
	volatile uint8_t *regs; /**< BAR 0 */
	const char *name; /**< of the device, for messages */
	rte_spinlock_t mdio_lock; /**< held with the ownership of PHY and NVM */
	rte_spinlock_t ctrl_lock; /**< CTRL is read, changed and written by several threads */
};

/** @name e1000e_io.c: registers on the control path */
/**@{*/
uint32_t e1000e_read(const struct e1000e_hw *hw, uint32_t reg);
void e1000e_write(const struct e1000e_hw *hw, uint32_t reg, uint32_t value);
/**
 * BAR 0 of each port, by its number, where this process has it mapped. Queues are shared with
 * secondary processes, so they do not hold its address. Set while no queue of the port is polled.
 */
extern volatile uint8_t *e1000e_bar[RTE_MAX_ETHPORTS];
/**@}*/

/** What is asked of the link. */
struct e1000e_link_conf {
	uint32_t speeds; /**< RTE_ETH_LINK_SPEED_*: those advertised, or the one that is forced */
	bool forced; /**< nothing is negotiated; 10 and 100 Mb/s only */
	enum rte_eth_fc_mode fc_mode; /**< pause frames */
};

/** What the chip does: RTE_ETH_LINK_SPEED_*. */
#define E1000E_SPEEDS                                                                              \
	(RTE_ETH_LINK_SPEED_10M_HD | RTE_ETH_LINK_SPEED_10M | RTE_ETH_LINK_SPEED_100M_HD |         \
		RTE_ETH_LINK_SPEED_100M | RTE_ETH_LINK_SPEED_1G)

/** Packet buffer for reception, in KiB; transmission has the rest of the 40 (10.2.2). */
#define E1000E_PBA_RX_KIB 20

/**
 * Bytes of a descriptor of a packet that is segmented: those of the packet buffer for transmission,
 * less 96 (Linux, e1000e_reset()).
 */
#define E1000E_MAX_TXD_LEN ((40 - E1000E_PBA_RX_KIB) * 1024 - 96)

/**
 * Bytes of driver memory for the headers of a packet that is segmented. Such a packet has at least
 * two descriptors, so every second descriptor has such a slot.
 */
#define E1000E_TSO_SLOT 256

/** Bytes of a frame beyond its MTU. */
#define E1000E_OVERHEAD (RTE_ETHER_HDR_LEN + RTE_ETHER_CRC_LEN + RTE_VLAN_HLEN)
#define E1000E_MAX_MTU (E1000E_MAX_FRAME - E1000E_OVERHEAD)

#define E1000E_RX_OFFLOADS                                                                         \
	(RTE_ETH_RX_OFFLOAD_CHECKSUM | RTE_ETH_RX_OFFLOAD_VLAN_STRIP |                             \
		RTE_ETH_RX_OFFLOAD_VLAN_FILTER | RTE_ETH_RX_OFFLOAD_SCATTER |                      \
		RTE_ETH_RX_OFFLOAD_RSS_HASH | RTE_ETH_RX_OFFLOAD_KEEP_CRC)
#define E1000E_TX_OFFLOADS                                                                         \
	(RTE_ETH_TX_OFFLOAD_IPV4_CKSUM | RTE_ETH_TX_OFFLOAD_UDP_CKSUM |                            \
		RTE_ETH_TX_OFFLOAD_TCP_CKSUM | RTE_ETH_TX_OFFLOAD_TCP_TSO |                        \
		RTE_ETH_TX_OFFLOAD_VLAN_INSERT | RTE_ETH_TX_OFFLOAD_MULTI_SEGS |                   \
		RTE_ETH_TX_OFFLOAD_MBUF_FAST_FREE)
#define E1000E_RSS_TYPES                                                                           \
	(RTE_ETH_RSS_IPV4 | RTE_ETH_RSS_NONFRAG_IPV4_TCP | RTE_ETH_RSS_IPV6 |                      \
		RTE_ETH_RSS_NONFRAG_IPV6_TCP | RTE_ETH_RSS_IPV6_EX)

/**
 * A receive queue. One thread of one process polls it; it is in memory that they share.
 *
 * Descriptors [next, refill - 1) in ring order belong to hardware. The `hold` descriptors [refill,
 * next) were consumed and wait for new buffers. The descriptor at the tail, refill - 1, has a fresh
 * buffer but does not belong to hardware until the tail moves. Its status is not done, which ends
 * each scan.
 */
struct e1000e_rxq {
	volatile union e1000e_rx_desc *ring;
	struct rte_mbuf **sw; /**< the buffer of each descriptor */
	uint32_t tail_reg; /**< offset of the tail register */
	uint32_t port_id; /**< index into e1000e_bar */
	uint64_t rearm; /**< data_off, refcnt, nb_segs and port of a fresh mbuf */
	uint64_t flags; /**< the ol_flags that are enabled */
	uint16_t n_desc;
	uint16_t next; /**< the next descriptor to be completed */
	uint16_t refill; /**< the first one without a buffer */
	uint16_t hold; /**< number of descriptors without a buffer */
	uint16_t free_thresh; /**< refill when this many have no buffer, then write the tail once */
	uint16_t bulk; /**< buffers allocated from the pool at once */
	uint16_t starved; /**< of `hold`: counted as failed allocations */
	struct rte_mempool *pool;
	struct rte_mbuf *first; /**< segments of an incomplete packet; scattered frames only */
	struct rte_mbuf *last;
	struct rte_eth_dev_data *data;
	uint16_t crc_len; /**< bytes at the end of a frame that are not its data; edited frames only
			   */
	bool put_tag; /**< put back tags that hardware took off; edited frames only */

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
 * A transmit queue. One thread at a time sends on it, of any process.
 *
 * Descriptors [clean, batch) belong to complete batches. The last one of each has RS set; `last` of
 * the first one is its index. [batch, tail) is the incomplete batch.
 */
struct e1000e_txq {
	volatile union e1000e_tx_desc *ring;
	struct rte_mbuf **sw; /**< the buffer of each descriptor, or NULL */
	uint16_t *last; /**< for the first descriptor of a batch: index of its last one */
	uint32_t tail_reg; /**< offset of the tail register */
	uint32_t port_id; /**< index into e1000e_bar */
	uint16_t n_desc;
	uint16_t tail;
	uint16_t clean;
	uint16_t batch;
	uint16_t n_free; /**< free descriptors, less one that is always empty; 0: stopped, too */
	/**
	 * Its place keeps the compiler from vectorizing accesses to its neighbours, which is
	 * slower.
	 */
	uint16_t rs_thresh;
	uint16_t in_batch; /**< descriptors in [batch, tail) */
	uint16_t free_thresh;
	uint16_t max_need; /**< most descriptors of an ordinary packet */
	uint32_t split; /**< bytes, a power of two that no descriptor crosses; 0: no limit */
	bool fast_free; /**< all mbufs are of one pool, with a reference count of 1 */
	/**
	 * No other queue sends. The chip remembers one context for both (7.2.6, second note), so
	 * with two queues each packet that wants one brings it.
	 */
	bool ctx_reuse;
	uint32_t ctx_key; /**< the key of the last context descriptor; 0: none that can be reused */

	/* counters, written by the filling thread */
	uint64_t packets;
	uint64_t bytes;
	uint64_t errors;

	rte_iova_t zeros; /**< of E1000E_MIN_TX_LEN zeros, to pad packets with */
	uint8_t *headers; /**< n_desc / 2 slots of E1000E_TSO_SLOT bytes */
	rte_iova_t headers_iova;
	/* control path only */
	uint16_t id;
	bool programmed; /**< the chip has its ring, and its head is where `tail` is if stopped */
	rte_iova_t iova; /**< of the ring */
	struct rte_eth_txconf conf;
} __rte_cache_aligned;

/** @name Statistics */
/**@{*/
#define E1000E_N_COUNTERS 50
struct e1000e_stats {
	uint64_t count[E1000E_N_COUNTERS]; /**< in the order of the table in e1000e_stats.c */
};
/**@}*/

/** Which receive function the port has: their addresses differ between processes. */
enum e1000e_share_rx {
	E1000E_SHARE_RX_PLAIN,
	E1000E_SHARE_RX_SCATTERED,
	E1000E_SHARE_RX_EDITED,
};

/** Descriptors that come with a struct e1000e_share_msg that is `running`. */
enum { E1000E_SHARE_DEVICE, E1000E_SHARE_RINGS };

/** What secondary processes are told of a port. */
struct e1000e_share_msg {
	struct gantry_share_head head;
	bool running; /**< the port is started; otherwise nothing is mapped */
	enum e1000e_share_rx rx;
	uint32_t rx_open; /**< the queues that may be polled, a bit each */
	uint32_t tx_open; /**< @see rx_open */
	void *rings; /**< where they are mapped, in all processes */
	uint64_t rings_len; /**< bytes */
	uint64_t rings_at; /**< in their file, in bytes */
	struct vfio_pci_bar_map bar; /**< of BAR 0 */
};

/**
 * A port: its private data. Secondary processes read it too, but follow none of its pointers; they
 * find the queues in ethdev's table.
 */
struct e1000e_port {
	struct e1000e_hw hw;
	struct vfio_pci_device *dev;
	struct rte_eth_dev_data *data;
	struct dmamap_zone *rings; /**< all rings: one mapping, one hugepage; NULL: none yet */
	/**
	 * The memory of each queue, kept until the port is closed: secondary processes may read a
	 * queue that is set up again. NULL: not set up yet.
	 */
	struct e1000e_rxq *rxq[E1000E_QUEUES];
	struct e1000e_txq *txq[E1000E_QUEUES];
	LIST_ENTRY(e1000e_port) with_rings; /**< of e1000e_fault.c, while there are rings */
	struct gantry_share share; /**< secondary processes; under the lock of e1000e_share.c */
	struct e1000e_share_msg share_msg; /**< what they were told; under that lock */
	struct e1000e_stats stats;
	rte_spinlock_t stats_lock; /**< reading a counter clears it: held until it is added up */
	uint32_t tx_split; /**< bytes, from the argument tx_split; 0: none */
	uint32_t rctl; /**< RCTL as it is while receiving, without the bits of the filters */
	uint32_t rx_buf_len; /**< bytes that hardware writes into a buffer, of either queue */
	uint32_t n_mc;
	struct rte_ether_addr *mc; /**< multicast list, n_mc entries */
	uint32_t vfta[E1000E_VFTA_WORDS];
	uint8_t rss_key[E1000E_RSSRK_LEN];
	uint8_t reta[E1000E_RETA_ENTRIES]; /**< queue of each entry */
	uint64_t rss_hf;
	struct e1000e_link_conf link; /**< for the next start, or as it was started */
	struct rte_eth_fc_conf
		fc; /**< what else is asked of flow control; 0: chosen by the driver */
	bool fc_stale; /**< the MAC has yet to follow what was negotiated; atomic */
	bool link_off; /**< the PHY is powered down */
	bool phy_shared; /**< firmware uses the PHY: its power stays on */
	uint32_t led_default; /**< LEDCTL as loaded from the NVM */
	struct e1000e_intr *intr; /**< the registered callback; NULL: none */
	bool intr_on; /**< vectors are routed */
	bool intr_rxq; /**< receive queues have vectors of their own */
};

/** @name e1000e_mdio.c: registers of the PHY, words of the NVM. Any thread; they busy-wait. */
/**@{*/
/**
 * Own PHY and NVM until e1000e_mdio_release(). Waits up to 20 ms for the firmware, and for other
 * threads. @return 0; -EBUSY: the firmware holds them
 */
int e1000e_mdio_acquire(struct e1000e_hw *hw);
void e1000e_mdio_release(struct e1000e_hw *hw);
/** Read a register of the PHY. Waits up to 96 ms. @return 0; -EBUSY; -EIO */
int e1000e_phy_read(struct e1000e_hw *hw, unsigned int reg, uint16_t *value);
/** Write a register of the PHY. @see e1000e_phy_read() */
int e1000e_phy_write(struct e1000e_hw *hw, unsigned int reg, uint16_t value);
/** Read n words of the NVM. Waits up to 10 ms for each. @return 0; -EBUSY; -EIO */
int e1000e_nvm_read(struct e1000e_hw *hw, uint16_t word, unsigned int n, uint16_t *value);
/**
 * Write those of the first n words of the NVM that differ, and read them back. If one fails, write
 * the former words again. With a flash, then copy the words to it. Waits up to 0.5 s for each word
 * and 4 s for a flash.
 *
 * @param before  the words as they are.
 * @return 0; -EBUSY: nothing was changed; -EIO: the NVM does not follow. After a line, which says
 * whether it is as it was.
 */
int e1000e_nvm_update(
	struct e1000e_hw *hw, unsigned int n, const uint16_t *before, const uint16_t *after);
/** @return the number of words of the NVM */
unsigned int e1000e_nvm_words(const struct e1000e_hw *hw);
/**@}*/

/** @name e1000e_phy.c: the PHY. They return 0, -EBUSY or -EIO. */
/**@{*/
/** Power the PHY up or down. It negotiates by itself when it gets power. */
int e1000e_phy_power(struct e1000e_hw *hw, bool up);
/**
 * Power the PHY up and have it do what conf asks. Does not touch the link if it already does, nor
 * if the firmware has reserved the PHY. Waits up to 1 s for resets of the PHY.
 */
int e1000e_phy_setup(struct e1000e_hw *hw, const struct e1000e_link_conf *conf);
/**
 * Get the mode of flow control that was negotiated.
 *
 * @param want  what was asked for.
 * @param mode  set to the outcome; RTE_ETH_FC_NONE if nothing was negotiated.
 */
int e1000e_phy_pause(struct e1000e_hw *hw, enum rte_eth_fc_mode want, enum rte_eth_fc_mode *mode);
/**@}*/

/** @name e1000e_hw.c: control of the chip */
/**@{*/
/**
 * Reset the chip except its PHY (4.6.1, 4.6.2), clear its filters and moderation, and set the bits
 * of its errata. Waits for 27 to 140 ms. @return 0; -ENODEV: it does not answer; -EIO: it does not
 * read its NVM
 */
int e1000e_hw_reset(struct e1000e_hw *hw);
/** Clear and set bits of CTRL. Any thread. */
void e1000e_hw_ctrl_update(struct e1000e_hw *hw, uint32_t clear, uint32_t set);
/** Enable n transmit queues in the arbiter, with the bits of its errata. */
void e1000e_hw_tx_arbitrate(const struct e1000e_hw *hw, unsigned int n_queues);
/** Read the MAC address, as loaded from the NVM. @return 0; -EIO: there is no valid one */
int e1000e_hw_mac_read(struct e1000e_hw *hw, struct rte_ether_addr *mac);
/** Set entry i of the receive addresses (RAL, RAH). */
void e1000e_hw_mac_write(
	const struct e1000e_hw *hw, unsigned int i, const struct rte_ether_addr *mac);
/** Clear entry i of the receive addresses. */
void e1000e_hw_mac_clear(const struct e1000e_hw *hw, unsigned int i);
/** Replace the multicast table by the bits of n addresses. */
void e1000e_hw_mc_write(
	const struct e1000e_hw *hw, const struct rte_ether_addr *mc, unsigned int n);
/** Have the MAC follow the PHY, or force its speed and duplex (4.6.3). */
void e1000e_hw_link_setup(struct e1000e_hw *hw, const struct e1000e_link_conf *conf);
/** Get status, speed and duplex of the link. Down if the chip does not answer. */
void e1000e_hw_link_get(const struct e1000e_hw *hw, struct rte_eth_link *link);
/** Turn VLAN stripping and insertion on or off (7.5). */
void e1000e_hw_vlan_strip(struct e1000e_hw *hw, bool on);
/** Write key, redirection table and hash types (7.1.11). */
void e1000e_hw_rss_write(
	const struct e1000e_hw *hw, const uint8_t *key, const uint8_t *reta, uint64_t rss_hf);
/** Tell the firmware whether a driver is loaded (CTRL_EXT.DRV_LOAD). */
void e1000e_hw_own(const struct e1000e_hw *hw, bool own);
/** Disable interrupts, reception and transmission. Waits 1 ms for DMA under way to end. */
void e1000e_hw_quiesce(const struct e1000e_hw *hw);
/** @return true if the chip does not answer, for example because it was unplugged */
bool e1000e_hw_gone(const struct e1000e_hw *hw);
/** @return the bit of the multicast table for an address (7.1.1, MO = 00b) */
unsigned int e1000e_mta_bit(const struct rte_ether_addr *mac);
/**@}*/

/** @name e1000e_link.c: speeds, flow control, the link and the LED */
/**@{*/
/** Set the defaults, and have the MAC follow the PHY. After a reset. */
void e1000e_link_init(struct e1000e_port *port);
/**
 * Accept link_speeds of rte_eth_conf for the next start.
 *
 * @param tx_offloads  of rte_eth_conf: TCP segmentation needs 1000 Mb/s.
 * @return 0; -EINVAL, after a line.
 */
int e1000e_link_configure(struct e1000e_port *port, uint32_t speeds, uint64_t tx_offloads);
/** Set up MAC, PHY and flow control. @return 0; negative errno, after a line */
int e1000e_link_start(struct e1000e_port *port);
/** Power the PHY down, unless the firmware uses it. */
void e1000e_link_stop(struct e1000e_port *port);
/** Write what flow control needs, with thresholds for an MTU. */
void e1000e_fc_write(struct e1000e_port *port, uint16_t mtu);
/** The link may have changed: the next e1000e_link_update() looks at what was negotiated. */
void e1000e_link_changed(struct e1000e_port *port);
/** Operations of ethdev. link_update runs on any thread. */
int e1000e_link_update(struct rte_eth_dev *eth, int wait);
int e1000e_set_link_up(struct rte_eth_dev *eth);
int e1000e_set_link_down(struct rte_eth_dev *eth);
int e1000e_flow_ctrl_get(struct rte_eth_dev *eth, struct rte_eth_fc_conf *conf);
int e1000e_flow_ctrl_set(struct rte_eth_dev *eth, const struct rte_eth_fc_conf *conf);
int e1000e_led_on(struct rte_eth_dev *eth);
int e1000e_led_off(struct rte_eth_dev *eth);
/**@}*/

/** @name e1000e_intr.c: the callback for link changes and errors */
/**@{*/
/** Register the callback on eth->intr_handle. @return 0; negative errno */
int e1000e_intr_register(struct rte_eth_dev *eth);
/**
 * Unregister it. Afterwards it does not touch the port. Works within the application's callbacks,
 * and does not wait for them.
 */
void e1000e_intr_unregister(struct rte_eth_dev *eth);
/**@}*/

/** @name e1000e_dump.c: registers. An operation of ethdev. */
/**@{*/
int e1000e_get_reg(struct rte_eth_dev *eth, struct rte_dev_reg_info *info);
/**@}*/

/** @name e1000e_nvm.c: contents of the NVM. Operations of ethdev. */
/**@{*/
int e1000e_get_eeprom_length(struct rte_eth_dev *eth);
int e1000e_get_eeprom(struct rte_eth_dev *eth, struct rte_dev_eeprom_info *info);
/** Write bytes, and the checksum if it covers them. @return 0; -EINVAL; -ENOMEM; -EBUSY; -EIO */
int e1000e_set_eeprom(struct rte_eth_dev *eth, struct rte_dev_eeprom_info *info);
/**@}*/

/** @name e1000e_queue.c: queues, their memory and their registers */
/**@{*/
/** Operation of ethdev. The pool must be mapped in the container. @return 0; -EINVAL; -ENOMEM */
int e1000e_rx_queue_setup(struct rte_eth_dev *eth, uint16_t id, uint16_t n_desc, unsigned int node,
	const struct rte_eth_rxconf *conf, struct rte_mempool *pool);
void e1000e_rx_queue_release(struct rte_eth_dev *eth, uint16_t id);
/** Operation of ethdev. @return 0; -EINVAL; -ENOMEM */
int e1000e_tx_queue_setup(struct rte_eth_dev *eth, uint16_t id, uint16_t n_desc, unsigned int node,
	const struct rte_eth_txconf *conf);
void e1000e_tx_queue_release(struct rte_eth_dev *eth, uint16_t id);
/**
 * @return the most segments of a packet: the chip's, or what the smallest transmit ring that is set
 * up holds beside a context descriptor and, with TCP segmentation, one for the headers
 */
uint16_t e1000e_tx_max_segs(const struct rte_eth_dev *eth);
/** Free the memory of rings and queues, after the queues have been released. */
void e1000e_rings_free(struct e1000e_port *port);
void e1000e_rxq_info_get(struct rte_eth_dev *eth, uint16_t id, struct rte_eth_rxq_info *info);
void e1000e_txq_info_get(struct rte_eth_dev *eth, uint16_t id, struct rte_eth_txq_info *info);
/** @return 0; -EINVAL: a queue is not set up, or its new set-up was refused. Logged. */
int e1000e_queues_check(const struct rte_eth_dev *eth);
/**
 * Fill the receive rings and program all queues but those that are deferred (4.6.5, 4.6.6), and set
 * their states. @return 0; -ENOMEM: a pool has too few mbufs
 */
int e1000e_queues_start(struct rte_eth_dev *eth);
/** Free the mbufs in the rings, after hardware has been stopped. */
void e1000e_queues_stop(struct rte_eth_dev *eth);
/**
 * Allocate buffers for all descriptors of a queue; the tail hands all but one to hardware later.
 * @return 0; -ENOMEM: the pool has too few mbufs, after a line; the queue has none
 */
int e1000e_rxq_fill(const struct e1000e_port *port, struct e1000e_rxq *q);
/** Give hardware an empty ring (4.6.5). Reception is off, or hardware does not use the queue. */
void e1000e_rxq_program(const struct e1000e_hw *hw, const struct e1000e_rxq *q);
/** Free the mbufs of a queue that hardware does not use. */
void e1000e_rxq_close(struct e1000e_rxq *q);
/** Set what the scattered receive function does to frames, as the port is configured. */
void e1000e_rxq_edits_set(const struct rte_eth_dev *eth, struct e1000e_rxq *q);
/** Give hardware an empty ring (4.6.6). Transmission is off. */
void e1000e_txq_program(const struct e1000e_hw *hw, struct e1000e_txq *q);
/** Let a queue that is programmed and empty take packets. */
void e1000e_txq_open(const struct rte_eth_dev *eth, struct e1000e_txq *q);
/**
 * Choose the receive buffer size.
 *
 * @param buf_len  bytes of a buffer of the pool.
 * @param len  set to the bytes that hardware writes into one.
 * @return bits of RCTL.
 */
uint32_t e1000e_rctl_bufsize(uint32_t buf_len, uint32_t *len);
/**@}*/

/** @name e1000e_fault.c: which queue has an address that the IOMMU blocked */
/**@{*/
/** Answer for a port from now on; it has rings. Primary process. */
void e1000e_fault_watch(struct e1000e_port *port);
/** Undo e1000e_fault_watch(), before its rings are freed. Waits for an answer. */
void e1000e_fault_forget(struct e1000e_port *port);
/** The operation of the bus. */
void e1000e_fault(struct vfio_pci_device *dev, struct dmamap_fault *fault);
/**@}*/

/** @name e1000e_queue_run.c: single queues of a running port. Operations of ethdev. */
/**@{*/
/**
 * Fill the ring, hand it to hardware, and let RSS use the queue. Reception of all queues pauses for
 * microseconds. @return 0; -ENOMEM: the pool has too few mbufs; -EBUSY: queue 0 is stopped. Logged.
 */
int e1000e_rx_queue_start(struct rte_eth_dev *eth, uint16_t id);
/**
 * Have RSS use queue 0 instead, drop the frames that nobody polled, and free the buffers. For queue
 * 0, reception ends. Waits 1 ms, and pauses the other queue for microseconds. @return 0; -EBUSY: it
 * is queue 0, and another one receives. Logged.
 */
int e1000e_rx_queue_stop(struct rte_eth_dev *eth, uint16_t id);
/**
 * Let the queue take packets. Transmission pauses for microseconds if the queue was set up again.
 * @return 0
 */
int e1000e_tx_queue_start(struct rte_eth_dev *eth, uint16_t id);
/**
 * Wait until all packets of the queue have been sent, then free them. The queue takes no more.
 * Sleeps as long as hardware makes progress. @return 0; -EBUSY: it made none for 100 ms, for
 * example without a link, and the queue goes on. Logged.
 */
int e1000e_tx_queue_stop(struct rte_eth_dev *eth, uint16_t id);
/**@}*/

/** @name e1000e_rx.c: reception. Operations of ethdev; one thread a queue. */
/**@{*/
uint16_t e1000e_rx_burst(void *queue, struct rte_mbuf **pkts, uint16_t n);
uint16_t e1000e_rx_burst_scattered(void *queue, struct rte_mbuf **pkts, uint16_t n);
/** As e1000e_rx_burst_scattered(); cuts the FCS off and puts tags back, as the queue wants it. */
uint16_t e1000e_rx_burst_edited(void *queue, struct rte_mbuf **pkts, uint16_t n);
gantry_eth_count_t e1000e_rx_queue_count(void *queue);
int e1000e_rx_descriptor_status(void *queue, uint16_t offset);
/** @return ol_flags for a receive descriptor's status and RSS type */
uint64_t e1000e_rx_flags(uint32_t status, uint32_t mrq);
/** @return the packet type for a receive descriptor's status */
uint32_t e1000e_rx_ptype(uint32_t status);
/**@}*/

/** @name e1000e_tx.c: transmission. Operations of ethdev; one thread a queue. */
/**@{*/
uint16_t e1000e_tx_burst(void *queue, struct rte_mbuf **pkts, uint16_t n);
uint16_t e1000e_tx_prepare(void *queue, struct rte_mbuf **pkts, uint16_t n);
int e1000e_tx_descriptor_status(void *queue, uint16_t offset);
/**
 * Free up to n packets that have been sent; 0: all. Packets that hardware did not report yet are
 * reported on request, for which it waits up to 10 us. @return how many
 */
int e1000e_tx_done_cleanup(void *queue, uint32_t n);
/**
 * @return a packet's checksum offloads as a key; 0: none. Equal keys share a context descriptor.
 */
uint32_t e1000e_tx_ctx_key(const struct rte_mbuf *m);
/** Fill in the context descriptor for a key. */
void e1000e_tx_ctx_fill(uint32_t key, union e1000e_tx_desc *desc);
/**@}*/

/** @name e1000e_tso.c: TCP segmentation, for e1000e_tx.c */
/**@{*/
/**
 * Check a packet that the chip has to segment, without reading or writing its bytes.
 *
 * @return the number of its descriptors, with its context; E1000E_NEED_NEVER: the chip cannot
 * segment it
 */
uint32_t e1000e_tso_need(const struct e1000e_txq *q, const struct rte_mbuf *m);
/**
 * Write the descriptors of such a packet, but EOP, after their number was checked. Does not write
 * to the packet's bytes.
 *
 * @return the last descriptor.
 */
uint16_t e1000e_tso_put(struct e1000e_txq *q, struct rte_mbuf *m);
/**@}*/

/** @name e1000e_filter.c: which frames are received. Operations of ethdev, but the first two. */
/**@{*/
/** Write the filters of a running port. @return 0 */
int e1000e_filters_apply(struct rte_eth_dev *eth);
/** Write the switch for VLAN tags, and tell the receive queues what to do with tags. */
void e1000e_vlan_apply(struct rte_eth_dev *eth);
int e1000e_promiscuous_enable(struct rte_eth_dev *eth);
int e1000e_promiscuous_disable(struct rte_eth_dev *eth);
int e1000e_allmulticast_enable(struct rte_eth_dev *eth);
int e1000e_allmulticast_disable(struct rte_eth_dev *eth);
int e1000e_mac_addr_add(
	struct rte_eth_dev *eth, struct rte_ether_addr *mac, uint32_t index, uint32_t pool);
void e1000e_mac_addr_remove(struct rte_eth_dev *eth, uint32_t index);
int e1000e_mac_addr_set(struct rte_eth_dev *eth, struct rte_ether_addr *mac);
int e1000e_set_mc_addr_list(struct rte_eth_dev *eth, struct rte_ether_addr *list, uint32_t n);
int e1000e_vlan_filter_set(struct rte_eth_dev *eth, uint16_t vlan, int on);
int e1000e_vlan_offload_set(struct rte_eth_dev *eth, int mask);
/**@}*/

/** @name e1000e_rss.c: receive-side scaling. Operations of ethdev, but the first three. */
/**@{*/
/** Write types, key and table. Entries of receive queues that are not started go to queue 0. */
void e1000e_rss_apply(const struct rte_eth_dev *eth);
/** Set the default key. */
void e1000e_rss_init(struct e1000e_port *port);
/** Take over what the port's configuration asks for. @return 0; -EINVAL, after one log line */
int e1000e_rss_configure(struct rte_eth_dev *eth);
int e1000e_rss_hash_update(struct rte_eth_dev *eth, struct rte_eth_rss_conf *conf);
int e1000e_rss_hash_conf_get(struct rte_eth_dev *eth, struct rte_eth_rss_conf *conf);
int e1000e_reta_update(
	struct rte_eth_dev *eth, struct rte_eth_rss_reta_entry64 *reta, uint16_t size);
int e1000e_reta_query(
	struct rte_eth_dev *eth, struct rte_eth_rss_reta_entry64 *reta, uint16_t size);
/**@}*/

/** @name e1000e_info.c: what the port tells of itself. Operations of ethdev. */
/**@{*/
/** @return packet types, RTE_PTYPE_UNKNOWN last */
const uint32_t *e1000e_supported_ptypes(struct rte_eth_dev *eth);
int e1000e_rx_burst_mode_get(struct rte_eth_dev *eth, uint16_t id, struct rte_eth_burst_mode *mode);
int e1000e_tx_burst_mode_get(struct rte_eth_dev *eth, uint16_t id, struct rte_eth_burst_mode *mode);
int e1000e_fw_version_get(struct rte_eth_dev *eth, char *text, size_t len);
int e1000e_dev_infos_get(struct rte_eth_dev *eth, struct rte_eth_dev_info *info);
/**@}*/

/** @name e1000e_share.c: the primary process hands its queues to secondary ones */
/**@{*/
/**
 * Connect a port with a secondary process, which is told its state. Does not wait. Any thread.
 * @param fd  owned by the port if it returns 0. @return 0; -ENOMEM; the error of sendmsg(2)
 */
int e1000e_share_attach(struct rte_eth_dev *eth, int fd);
/**
 * The port is started: hand its started queues to all secondary processes. Waits until they have
 * them, GANTRY_SHARE_WAIT_S a process at the most. One that cannot does without; logged.
 */
void e1000e_share_start(const struct rte_eth_dev *eth);
/**
 * The states of queues have changed, or are about to: secondary processes poll those that ethdev's
 * table calls started, and no others afterwards. Waits as above. Does nothing before
 * e1000e_share_start().
 */
void e1000e_share_queues(const struct rte_eth_dev *eth);
/** Take all queues back: afterwards no other process has the BAR or the rings. Waits as above. */
void e1000e_share_stop(struct e1000e_port *port);
/** Tell all secondary processes that the port is closed, and disconnect them. Waits as above. */
void e1000e_share_close(struct e1000e_port *port);
/**@}*/

/** @name e1000e_view.c: a port in a secondary process */
/**@{*/
/**
 * Have the primary process hand over the queues of a port, now and whenever it is started. Sets the
 * fast functions of the port, and those of ethdev's table. After rte_eth_dev_probing_finish().
 * Waits twice GANTRY_SECONDARY_TIMEOUT_S at the most.
 *
 * Undone by gantry_view_detach(): afterwards nothing of the device is mapped.
 *
 * @return 0; negative errno after a line: the port has counters, and bursts that do nothing.
 */
int e1000e_view_attach(struct rte_eth_dev *eth);
/** The same on a connection whose other end the primary has. @param fd  owned by the function */
int e1000e_view_start(struct rte_eth_dev *eth, int fd);
/**
 * Operation of ethdev, on the queue in shared memory. @return as e1000e_tx_done_cleanup();
 * -ENOTSUP: the primary did not hand over the queues
 */
int e1000e_view_done_cleanup(void *queue, uint32_t n);
/**@}*/

/** @name e1000e_stats.c: counters. Operations of ethdev. */
/**@{*/
int e1000e_stats_get(
	struct rte_eth_dev *eth, struct rte_eth_stats *stats, struct eth_queue_stats *queues);
/** Reset basic statistics and xstats: ethdev shows the former among the latter. */
int e1000e_stats_reset(struct rte_eth_dev *eth);
int e1000e_xstats_get_names(
	struct rte_eth_dev *eth, struct rte_eth_xstat_name *names, unsigned int n);
int e1000e_xstats_get(struct rte_eth_dev *eth, struct rte_eth_xstat *xstats, unsigned int n);
/** Refreshes counters for secondary processes, and connects them. */
extern struct gantry_secondary e1000e_secondary;
/**
 * Read all counters, which clears them, and add them up. In a secondary process the primary does
 * it.
 */
int e1000e_stats_refresh(struct rte_eth_dev *eth);
/**@}*/

/** @name e1000e_ethdev.c: the port */
/**@{*/
/** The operations of a port in the primary process. */
extern const struct eth_dev_ops e1000e_ops;
/**@}*/

#endif /* E1000E_H */
