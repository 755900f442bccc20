/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * An 82574L on the mock kernel, with the model of lib/e1000e_chip.h behind its registers. The
 * suites that test the driver's control path through ethdev use it; one NIC at a time.
 */

#ifndef E1000E_NIC_H
#define E1000E_NIC_H

#include <stdint.h>

#include <rte_ethdev.h>

struct dmamap_container;
struct vfio_mock;
struct vfio_pci_device;

#define NIC "0000:bb:00.0"
#define NIC_CONTAINER "box"
#define NIC_MBUFS 511
#define NIC_DESC 64 /* of each receive ring; transmit rings have 256 */

extern struct vfio_mock *nic_machine;
extern struct rte_mempool *nic_pool; /**< of NIC_MBUFS mbufs, in the EAL's memory */
extern uint16_t nic_port; /**< after nic_probe() */
extern struct rte_eth_conf nic_conf; /**< for the next nic_configure(); zero after nic_setup() */
extern uint16_t nic_n_queues; /**< for the next nic_configure(), both ways; 1 after nic_setup() */

/** Set up a machine with the NIC, powered on. A suite's setup. @return 0, or a test's result */
int nic_setup(void);
/** Remove what is left of all this. A suite's teardown. */
void nic_teardown(void);
/** @return the NIC's device; NULL: it is not on the bus */
struct vfio_pci_device *nic_on_bus(void);
uint8_t *nic_config_space(void);
/** @return what its DMA reaches */
struct dmamap_container *nic_container(void);
/** Its BAR 0. */
volatile uint32_t *nic_regs(void);
/** A register, without the model's behaviour. */
uint32_t nic_reg(uint32_t at);
/** Probe the NIC; its log is recorded. @return 0, or a negative errno */
int nic_probe(void);
/** @name Steps of a case: they return 0, or a test's result */
/**@{*/
int nic_configure(void);
int nic_start(void);
int nic_probe_and_start(void);
/** With two queues, of which RSS uses entry 0 for queue 0, entry 1 for queue 1. */
int nic_start_two(void);
/** The end of each case: the model has seen no broken rule. */
int nic_no_fault(void);
/**@}*/

#endif /* E1000E_NIC_H */
