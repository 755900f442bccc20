/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * The DMA engine of the edu device: a ring of jobs, and a state machine that each poll advances.
 *
 * The device moves up to 4 KiB at a time, between RAM and its own buffer, and this driver uses no
 * interrupt of it. Called by edu_dmadev.c. Errors are negative errno values, and nothing is logged.
 */

#ifndef EDU_ENGINE_H
#define EDU_ENGINE_H

#include <stdbool.h>
#include <stdint.h>

#include <rte_dmadev.h>

#include "edu_hw.h"

/** Bytes of one transfer: the whole cache lines that the buffer holds. */
#define EDU_CHUNK_LEN 4032

/** A requested copy. */
struct edu_job {
	uint64_t src; /**< IOVA, or offset in the device's buffer (RTE_DMA_DIR_DEV_TO_MEM) */
	uint64_t dst; /**< IOVA, or offset in the device's buffer (RTE_DMA_DIR_MEM_TO_DEV) */
	uint32_t len; /**< bytes, not 0 */
	enum rte_dma_status_code status; /**< of a completed job */
};

/**
 * A device's DMA engine and its jobs. The four positions run freely and wrap at 2^16: reported <=
 * head <= submitted <= tail, at most n_jobs apart. One thread at a time.
 */
struct edu_engine {
	volatile uint8_t *bar; /**< BAR 0, mapped */
	uint64_t dma_last; /**< highest IOVA that the device can reach */
	enum rte_dma_direction direction; /**< of all jobs */

	struct edu_job *jobs; /**< ring of mask + 1 entries; NULL before edu_engine_setup() */
	uint16_t n_jobs; /**< most jobs in the ring */
	uint16_t mask;
	uint16_t tail; /**< next job to be enqueued */
	uint16_t submitted; /**< first job that waits for a submit */
	uint16_t head; /**< first job that is not completed */
	uint16_t reported; /**< first job that was not reported to the user */

	bool busy; /**< a transfer runs, for the job at head */
	bool to_ram; /**< the transfer is from the buffer to RAM */
	bool dead; /**< the device no longer answers */
	uint32_t chunk; /**< bytes of the transfer */
	uint32_t done_len; /**< bytes of the job at head that have arrived */

	struct rte_dma_stats stats;
};

/** Most jobs a ring can hold. */
#define EDU_MAX_JOBS 4096

/**
 * Check that there is an edu device behind the BAR: read its mark, test its liveness register.
 *
 * @return 0, or -ENODEV.
 */
int edu_engine_check(const struct edu_engine *e);

/**
 * Allocate the ring. Replaces an earlier one.
 *
 * @param n_jobs  from 2 to EDU_MAX_JOBS.
 * @param node  NUMA node of the ring.
 * @return 0, or -ENOMEM: the ring is as before.
 */
int edu_engine_setup(
	struct edu_engine *e, uint16_t n_jobs, enum rte_dma_direction direction, int node);

/** Free the ring. No transfer may run. */
void edu_engine_free(struct edu_engine *e);

/**
 * Wait until no transfer runs. Sleeps up to 1 s; the device takes 0.1 s for a transfer.
 *
 * @return 0; -ETIMEDOUT; -EIO: the device does not answer.
 */
int edu_engine_quiesce(struct edu_engine *e);

/** Drop all jobs. No transfer may run. */
void edu_engine_reset(struct edu_engine *e);

/**
 * Enqueue a job, see rte_dma_copy(). It runs after edu_engine_submit().
 *
 * @return its number; -ENOSPC: the ring is full; -EINVAL: length 0, or an address that the device
 *   cannot reach; -EIO: the device is dead.
 */
int edu_engine_copy(struct edu_engine *e, uint64_t src, uint64_t dst, uint32_t len);

/** Submit the jobs enqueued so far. */
void edu_engine_submit(struct edu_engine *e);

/**
 * Advance the state machine by one step: read the run bit, start the next transfer. Does not wait.
 */
void edu_engine_poll(struct edu_engine *e);

/**
 * Report completed jobs, oldest first.
 *
 * @param n  most jobs to report.
 * @param status  n entries, set to how each job ended; NULL: stop before the first that failed.
 * @return how many.
 */
uint16_t edu_engine_reap(struct edu_engine *e, uint16_t n, enum rte_dma_status_code *status);

/** @return how many jobs can be enqueued */
uint16_t edu_engine_capacity(const struct edu_engine *e);

/** @return true if all submitted jobs are completed */
static inline bool
edu_engine_idle(const struct edu_engine *e)
{
	return e->head == e->submitted;
}

/** @return true if the next job to be reported failed */
static inline bool
edu_engine_failed(const struct edu_engine *e)
{
	return e->reported != e->head &&
		e->jobs[e->reported & e->mask].status != RTE_DMA_STATUS_SUCCESSFUL;
}

#endif /* EDU_ENGINE_H */
