/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * A model of the 82574L's transmitter: it reads the descriptors of a ring and makes the frames that
 * would leave the chip, with checksums, tags, padding and TCP segmentation. It notes each rule that
 * the driver breaks.
 *
 * As the chip does, it keeps one context for both queues. One thread uses it.
 */

#ifndef E1000E_SENDER_H
#define E1000E_SENDER_H

#include <stdint.h>

struct dmamap_container;

/**
 * Begin with no context and no frames.
 *
 * @param memory  what the chip's DMA reaches.
 * @param regs  its BAR 0.
 */
void sender_begin(struct dmamap_container *memory, volatile uint32_t *regs);
/** No descriptor may cross a multiple of so many bytes, until sender_begin(). */
void sender_border(uint32_t bytes);
/**
 * Send up to n packets of a ring, and report those that are to be reported. A packet that is
 * segmented counts once.
 *
 * @return the number of packets that were sent.
 */
unsigned int sender_run(unsigned int queue, unsigned int n);
/**
 * Get the oldest frame, once.
 *
 * @param len  set to its bytes, without FCS.
 * @return the frame, valid until the next sender_run(); NULL: there is none.
 */
const uint8_t *sender_pop(uint32_t *len);
/** @return how many packets were segmented, and how many descriptors were read */
unsigned int sender_segmented(void);
unsigned int sender_descriptors(void);
/** @return the first rule that was broken, and forget it; NULL: none */
const char *sender_fault(void);

#endif /* E1000E_SENDER_H */
