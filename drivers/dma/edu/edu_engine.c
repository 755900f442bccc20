/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * The DMA engine of the edu device. A memory-to-memory job is split into chunks; a chunk is two
 * transfers: from RAM to the device's buffer, and from the buffer to RAM.
 *
 * No function but edu_engine_quiesce() waits: each poll reads the run bit once and starts the next
 * transfer. Called by edu_dmadev.c, by one thread at a time.
 */

#include <errno.h>
#include <string.h>

#include <rte_bitops.h>
#include <rte_common.h>
#include <rte_cycles.h>
#include <rte_io.h>
#include <rte_malloc.h>

#include "edu_engine.h"

/** The value of a read that no device answers. */
#define EDU_GONE UINT64_MAX

int
edu_engine_check(const struct edu_engine *e)
{
	const uint32_t probe = UINT32_C(0x5aa51248);

	if ((rte_read32(e->bar + EDU_ID) & (EDU_ID_MASK | UINT32_C(0xff00))) != EDU_ID_MARK)
		return -ENODEV;
	rte_write32(probe, e->bar + EDU_LIVENESS);
	return rte_read32(e->bar + EDU_LIVENESS) == ~probe ? 0 : -ENODEV;
}

int
edu_engine_setup(struct edu_engine *e, uint16_t n_jobs, enum rte_dma_direction direction, int node)
{
	const uint32_t n_entries = rte_align32pow2(n_jobs);
	struct edu_job *jobs = rte_calloc_socket("edu_jobs", n_entries, sizeof(*jobs), 0, node);

	if (jobs == NULL)
		return -ENOMEM;
	rte_free(e->jobs);
	e->jobs = jobs;
	e->n_jobs = n_jobs;
	e->mask = n_entries - 1;
	e->direction = direction;
	edu_engine_reset(e);
	return 0;
}

void
edu_engine_free(struct edu_engine *e)
{
	rte_free(e->jobs);
	e->jobs = NULL;
}

int
edu_engine_quiesce(struct edu_engine *e)
{
	unsigned int ms;
	uint64_t cmd;

	for (ms = 0; ms < 1000; ms++) {
		cmd = rte_read64(e->bar + EDU_DMA_CMD);
		if (cmd == EDU_GONE)
			return -EIO;
		if ((cmd & EDU_CMD_RUN) == 0)
			return 0;
		rte_delay_us_sleep(1000);
	}
	return -ETIMEDOUT;
}

void
edu_engine_reset(struct edu_engine *e)
{
	e->tail = e->submitted = e->head = e->reported = 0;
	e->busy = e->to_ram = e->dead = false;
	e->chunk = e->done_len = 0;
}

static bool
range_in_ram(const struct edu_engine *e, uint64_t iova, uint32_t len)
{
	return iova <= e->dma_last && len - 1 <= e->dma_last - iova;
}

static bool
range_in_buffer(uint64_t off, uint32_t len)
{
	return off < EDU_BUF_LEN && len <= EDU_BUF_LEN - off;
}

int
edu_engine_copy(struct edu_engine *e, uint64_t src, uint64_t dst, uint32_t len)
{
	const bool from_dev = e->direction == RTE_DMA_DIR_DEV_TO_MEM;
	const bool to_dev = e->direction == RTE_DMA_DIR_MEM_TO_DEV;

	if (unlikely(e->dead))
		return -EIO;
	if (unlikely(len == 0 ||
		    !(from_dev ? range_in_buffer(src, len) : range_in_ram(e, src, len)) ||
		    !(to_dev ? range_in_buffer(dst, len) : range_in_ram(e, dst, len))))
		return -EINVAL;
	if (unlikely(edu_engine_capacity(e) == 0))
		return -ENOSPC;
	e->jobs[e->tail & e->mask] = (struct edu_job){.src = src, .dst = dst, .len = len};
	return e->tail++;
}

/** Start the next transfer of the job at head. */
static void
transfer_start(struct edu_engine *e)
{
	const struct edu_job *job = &e->jobs[e->head & e->mask];
	uint64_t src = job->src + e->done_len;
	uint64_t dst = job->dst + e->done_len;

	/*
	 * Jobs to or from the device fit into its buffer: one chunk, at the offset of the job.
	 * Others use the start of the buffer for each chunk.
	 */
	if (e->direction == RTE_DMA_DIR_MEM_TO_DEV) {
		e->chunk = job->len;
		dst += EDU_BUF;
	} else if (e->direction == RTE_DMA_DIR_DEV_TO_MEM) {
		e->chunk = job->len;
		src += EDU_BUF;
		e->to_ram = true;
	} else {
		e->chunk = RTE_MIN(job->len - e->done_len, (uint32_t)EDU_CHUNK_LEN);
		if (e->to_ram)
			src = EDU_BUF;
		else
			dst = EDU_BUF;
	}
	rte_write64(src, e->bar + EDU_DMA_SRC);
	rte_write64(dst, e->bar + EDU_DMA_DST);
	rte_write64(e->chunk, e->bar + EDU_DMA_COUNT);
	rte_write64(EDU_CMD_RUN | (e->to_ram ? EDU_CMD_TO_RAM : 0), e->bar + EDU_DMA_CMD);
	e->busy = true;
}

/** Complete the job at head. */
static void
job_end(struct edu_engine *e, enum rte_dma_status_code status)
{
	e->jobs[e->head & e->mask].status = status;
	e->stats.completed++;
	if (status != RTE_DMA_STATUS_SUCCESSFUL)
		e->stats.errors++;
	e->done_len = 0;
	e->to_ram = false;
	e->busy = false;
	e->head++;
}

/**
 * Account for a transfer that is complete: go on to the second half of the chunk, or end the job.
 */
static void
transfer_end(struct edu_engine *e)
{
	e->busy = false;
	if (e->direction == RTE_DMA_DIR_MEM_TO_MEM && !e->to_ram) {
		e->to_ram = true;
		return;
	}
	e->to_ram = false;
	e->done_len += e->chunk;
	if (e->done_len == e->jobs[e->head & e->mask].len)
		job_end(e, RTE_DMA_STATUS_SUCCESSFUL);
}

void
edu_engine_poll(struct edu_engine *e)
{
	uint64_t cmd;

	if (e->busy) {
		cmd = rte_read64(e->bar + EDU_DMA_CMD);
		if (unlikely(cmd == EDU_GONE)) {
			e->dead = true;
			job_end(e, RTE_DMA_STATUS_BUS_ERROR);
		} else if ((cmd & EDU_CMD_RUN) != 0) {
			return;
		} else {
			transfer_end(e);
		}
	}
	while (unlikely(e->dead) && !edu_engine_idle(e))
		job_end(e, RTE_DMA_STATUS_NOT_ATTEMPTED);
	if (!edu_engine_idle(e))
		transfer_start(e);
}

void
edu_engine_submit(struct edu_engine *e)
{
	e->stats.submitted += (uint16_t)(e->tail - e->submitted);
	e->submitted = e->tail;
	edu_engine_poll(e);
}

uint16_t
edu_engine_reap(struct edu_engine *e, uint16_t n, enum rte_dma_status_code *status)
{
	uint16_t i;

	for (i = 0; i < n && e->reported != e->head; i++) {
		if (status != NULL)
			status[i] = e->jobs[e->reported & e->mask].status;
		else if (edu_engine_failed(e))
			break;
		e->reported++;
	}
	return i;
}

uint16_t
edu_engine_capacity(const struct edu_engine *e)
{
	return e->n_jobs - (uint16_t)(e->tail - e->reported);
}
