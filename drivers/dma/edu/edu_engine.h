/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * How do copies get through a device that moves 4 KiB at a time, between RAM and itself, and says
 * nothing when done? A ring of jobs, and a state machine that whoever polls drives on.
 */

#ifndef EDU_ENGINE_H
#define EDU_ENGINE_H

#include <stdbool.h>
#include <stdint.h>

#include <rte_dmadev.h>

#include "edu_hw.h"

/** Bytes of one transfer: as much of the buffer as makes whole cache lines. */
#define EDU_CHUNK_LEN 4032

/** A copy that was asked for. */
struct edu_job {
	uint64_t src; /**< IOVA, or offset in the device's buffer (RTE_DMA_DIR_DEV_TO_MEM) */
	uint64_t dst; /**< IOVA, or offset in the device's buffer (RTE_DMA_DIR_MEM_TO_DEV) */
	uint32_t len; /**< bytes, not 0 */
	enum rte_dma_status_code status; /**< of a job that is over */
};

/**
 * A device's DMA engine and the jobs it was given. The four positions run freely and wrap at 2^16;
 * reported <= head <= submitted <= tail, at most n_jobs apart. One thread at a time.
 */
struct edu_engine {
	volatile uint8_t *bar; /**< BAR 0, mapped */
	uint64_t dma_last; /**< highest IOVA the device can reach */
	enum rte_dma_direction direction; /**< of all jobs */

	struct edu_job *jobs; /**< ring of mask + 1 entries; NULL before edu_engine_setup() */
	uint16_t n_jobs; /**< how many may be in the ring */
	uint16_t mask;
	uint16_t tail; /**< next job to be enqueued */
	uint16_t submitted; /**< first job that waits for a submit */
	uint16_t head; /**< first job that is not over */
	uint16_t reported; /**< first job that the user was not told of */

	bool busy; /**< a transfer runs, for the job at head */
	bool to_ram; /**< it is one from the buffer to RAM */
	bool dead; /**< the device does not answer any more */
	uint32_t chunk; /**< bytes of the transfer */
	uint32_t done_len; /**< bytes of the job at head that have arrived */

	struct rte_dma_stats stats;
};

/** Most jobs a ring can hold. */
#define EDU_MAX_JOBS 4096

/**
 * Is there an edu device behind the BAR? Its mark is read, and its liveness register tried.
 * @return 0, or -ENODEV.
 */
int edu_engine_check(const struct edu_engine *e);

/**
 * Make the ring; one that is there already is replaced.
 *
 * @param n_jobs  from 2 to EDU_MAX_JOBS.
 * @param node    NUMA node of the ring.
 * @return 0, or -ENOMEM: the ring is as before.
 */
int edu_engine_setup(
	struct edu_engine *e, uint16_t n_jobs, enum rte_dma_direction direction, int node);

/** Free the ring. No transfer runs. */
void edu_engine_free(struct edu_engine *e);

/**
 * Wait until no transfer runs: at most a second (the device takes a tenth of one).
 * @return 0; -ETIMEDOUT; -EIO: the device does not answer.
 */
int edu_engine_quiesce(struct edu_engine *e);

/** Forget all jobs. No transfer runs. */
void edu_engine_reset(struct edu_engine *e);

/**
 * Enqueue a job, see rte_dma_copy().
 * @return its number; -ENOSPC: the ring is full; -EINVAL: no length, or an address that the device
 * has not; -EIO: the device is dead.
 */
int edu_engine_copy(struct edu_engine *e, uint64_t src, uint64_t dst, uint32_t len);

/** Let the jobs enqueued so far run. */
void edu_engine_submit(struct edu_engine *e);

/** Drive the state machine on: does not wait. */
void edu_engine_poll(struct edu_engine *e);

/**
 * Report jobs that are over, oldest first.
 *
 * @param n       at most so many.
 * @param status  room for n: how each one ended; NULL: stop before the first that failed.
 * @return how many.
 */
uint16_t edu_engine_reap(struct edu_engine *e, uint16_t n, enum rte_dma_status_code *status);

/** How many jobs can be enqueued. */
uint16_t edu_engine_capacity(const struct edu_engine *e);

/** Are all submitted jobs over? */
static inline bool
edu_engine_idle(const struct edu_engine *e)
{
	return e->head == e->submitted;
}

/** Is the next job to be reported one that failed? */
static inline bool
edu_engine_failed(const struct edu_engine *e)
{
	return e->reported != e->head &&
		e->jobs[e->reported & e->mask].status != RTE_DMA_STATUS_SUCCESSFUL;
}

#endif /* EDU_ENGINE_H */
