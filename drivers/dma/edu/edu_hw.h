/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Registers of the edu device's BAR 0 (QEMU, docs/specs/edu). edu_engine.c uses them, and tests
 * that drive the device themselves.
 */

#ifndef EDU_HW_H
#define EDU_HW_H

#include <rte_common.h>

#define EDU_VENDOR_ID 0x1234
#define EDU_DEVICE_ID 0x11e8

/** @name Registers: 4 bytes wide below 0x80, 4 or 8 from there on */
/**@{*/
#define EDU_ID 0x00 /**< 0xRRrr00ed: major and minor revision, and the mark */
#define EDU_LIVENESS 0x04 /**< reads as the inverse of what was written */
#define EDU_IRQ_STATUS 0x24 /**< what raised the interrupt */
#define EDU_IRQ_RAISE 0x60 /**< raise the interrupt, value ORed to the status */
#define EDU_IRQ_ACK 0x64 /**< clear these bits of the status */
#define EDU_DMA_SRC 0x80
#define EDU_DMA_DST 0x88
#define EDU_DMA_COUNT 0x90 /**< bytes */
#define EDU_DMA_CMD 0x98 /**< writing EDU_CMD_RUN starts; ignored while it is set */
/**@}*/

#define EDU_BAR_LEN 0x100000

#define EDU_ID_MASK UINT32_C(0xff)
#define EDU_ID_MARK UINT32_C(0xed)

/** @name Bits of EDU_DMA_CMD */
/**@{*/
#define EDU_CMD_RUN UINT64_C(0x1) /**< clears itself when the transfer is complete */
#define EDU_CMD_TO_RAM UINT64_C(0x2) /**< the buffer is the source; else RAM is */
#define EDU_CMD_IRQ UINT64_C(0x4) /**< raise the interrupt with EDU_IRQ_DMA on completion */
/**@}*/
#define EDU_IRQ_DMA UINT32_C(0x100)

/** The device's buffer: its address on the device's side of a transfer. */
#define EDU_BUF 0x40000
/**
 * Bytes of the buffer that can be used. There are 4096, but QEMU 7.2 aborts when a transfer reaches
 * the last one (hw/misc/edu.c, edu_check_range(): it compares the end as if it were part of the
 * transfer).
 */
#define EDU_BUF_LEN 4095

/** Width of the addresses that the device puts on the bus: QEMU's property dma_mask, by default. */
#define EDU_DMA_MASK_BITS 28

#endif /* EDU_HW_H */
