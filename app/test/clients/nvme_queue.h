/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * An NVMe controller: its registers, one admin queue pair and one I/O queue pair. Section numbers
 * are those of the NVM Express Base Specification 1.4.
 *
 * The code knows registers and queue memory, and nothing of VFIO: the caller maps BAR 0 and all
 * memory, and passes addresses. Commands are issued one at a time and polled for, so one thread
 * uses a controller, and no interrupt is needed. Called by nvme-client.c.
 */

#ifndef NVME_QUEUE_H
#define NVME_QUEUE_H

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>

/** The page of queues and PRP entries (CC.MPS 0). */
#define NVME_PAGE 4096U

/** Entries of each queue: as many as submission entries fit in a page. */
#define NVME_QUEUE_DEPTH 64U

/** A page of memory as the CPU and as the controller see it. */
struct nvme_mem {
	void *va;
	uint64_t iova;
};

/** Submission queue entry, section 4.2. */
struct nvme_sqe {
	uint8_t opcode;
	uint8_t flags;
	uint16_t cid;
	uint32_t nsid;
	uint64_t reserved;
	uint64_t mptr;
	uint64_t prp1;
	uint64_t prp2;
	uint32_t cdw10, cdw11, cdw12, cdw13, cdw14, cdw15;
};
static_assert(sizeof(struct nvme_sqe) == 64, "section 4.2");

/** Completion queue entry, section 4.6. */
struct nvme_cqe {
	uint32_t result;
	uint32_t reserved;
	uint16_t sq_head;
	uint16_t sq_id;
	uint16_t cid;
	uint16_t status; /**< Bit 0 is the phase. */
};
static_assert(sizeof(struct nvme_cqe) == 16, "section 4.6");

/** A submission queue and its completion queue, a page each. */
struct nvme_queue {
	struct nvme_sqe *sq;
	volatile struct nvme_cqe *cq;
	uint16_t id;
	uint16_t depth;
	uint16_t tail;
	uint16_t head;
	uint16_t cid;
	uint16_t status; /**< Status of the last command that failed with -EIO, without the phase
			    bit. */
	bool phase;
};

/** A controller. */
struct nvme {
	volatile uint8_t *regs; /**< BAR 0, mapped by the caller. */
	uint64_t cap; /**< The register CAP, read by nvme_disable(). */
	struct nvme_queue admin;
	struct nvme_queue io;
};

/**
 * Stops the controller. It drops its queues and no longer accesses memory.
 *
 * Sleeps until the controller is stopped, at most as long as CAP.TO says.
 *
 * @return 0, or -ETIMEDOUT, or -ENODEV if the registers read as all ones.
 */
int nvme_disable(struct nvme *ctrl);

/**
 * Starts a controller that nvme_disable() has stopped, with the admin queue in these two pages.
 *
 * @return 0; -ENOTSUP if it has no pages of 4 KiB; -ETIMEDOUT; -EIO if it reports a fatal error.
 */
int nvme_enable(struct nvme *ctrl, struct nvme_mem sq, struct nvme_mem cq);

/**
 * Creates the I/O queue pair, number 1, in these two pages.
 *
 * @return 0 or the error of nvme_command().
 */
int nvme_create_io_queue(struct nvme *ctrl, struct nvme_mem sq, struct nvme_mem cq);

/**
 * Issues a command and polls for its completion.
 *
 * @param sqe The entry; its cid is set here.
 * @return 0; -EIO if the controller refuses it (queue->status says why); -ETIMEDOUT after 10 s.
 */
int nvme_command(struct nvme *ctrl, struct nvme_queue *queue, struct nvme_sqe *sqe);

/** Selects the data structure of nvme_identify(): the CNS value, section 5.15. */
enum nvme_identify_what { NVME_IDENTIFY_NAMESPACE, NVME_IDENTIFY_CONTROLLER };

/** The Identify command: 4 KiB of data at @p iova. Errors are those of nvme_command(). */
int nvme_identify(struct nvme *ctrl, enum nvme_identify_what what, uint32_t nsid, uint64_t iova);

/**
 * Reads or writes blocks.
 *
 * @param prp1, prp2 The data, section 4.3: prp2 is 0, the second page, or a list of pages.
 * @return 0 or the error of nvme_command().
 */
int nvme_transfer(struct nvme *ctrl, bool write, uint64_t lba, uint32_t n_blocks, uint64_t prp1,
	uint64_t prp2);

#endif
