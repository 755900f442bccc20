/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Registers, queues and commands of an NVMe controller. Invariant: at most one command is in a
 * queue, so its submission entry can be reused once the completion was read.
 */

#include "nvme_queue.h"

#include <endian.h>
#include <errno.h>
#include <string.h>
#include <time.h>

/* Section 3.1. */
#define REG_CAP 0x00
#define CAP_MQES(cap) ((uint32_t)(cap)&0xffff)
#define CAP_TO_MS(cap) (((uint32_t)((cap) >> 24) & 0xff) * 500)
#define CAP_DSTRD(cap) ((uint32_t)((cap) >> 32) & 0xf)
#define CAP_MPSMIN(cap) ((uint32_t)((cap) >> 48) & 0xf)
#define REG_CC 0x14
#define CC_EN 1U
#define CC_IOSQES_64 (6U << 16)
#define CC_IOCQES_16 (4U << 20)
#define REG_CSTS 0x1c
#define CSTS_RDY 1U
#define CSTS_CFS 2U
#define REG_AQA 0x24
#define REG_ASQ 0x28
#define REG_ACQ 0x30
#define REG_DOORBELLS 0x1000

/* Section 5: admin commands. */
#define ADMIN_CREATE_SQ 0x01
#define ADMIN_CREATE_CQ 0x05
#define ADMIN_IDENTIFY 0x06
#define QUEUE_CONTIGUOUS 1U

/* Section 6: NVM commands. */
#define NVM_WRITE 0x01
#define NVM_READ 0x02

#define IO_QUEUE 1U
#define NSID 1U
#define COMMAND_MS 10000

static uint32_t
read32(struct nvme *ctrl, unsigned int reg)
{
	return le32toh(*(volatile uint32_t *)(ctrl->regs + reg));
}

static void
write32(struct nvme *ctrl, unsigned int reg, uint32_t value)
{
	*(volatile uint32_t *)(ctrl->regs + reg) = htole32(value);
}

/* Two accesses of 32 bits, which every controller supports (section 3.1). */
static void
write64(struct nvme *ctrl, unsigned int reg, uint64_t value)
{
	write32(ctrl, reg, (uint32_t)value);
	write32(ctrl, reg + 4, (uint32_t)(value >> 32));
}

static uint64_t
now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* Poll CSTS until its ready bit is as wanted. */
static int
wait_ready(struct nvme *ctrl, bool ready)
{
	const struct timespec ms = {.tv_nsec = 1000000};
	uint64_t end = now_ms() + CAP_TO_MS(ctrl->cap) + 500;
	uint32_t csts;

	do {
		csts = read32(ctrl, REG_CSTS);
		if (csts == UINT32_MAX)
			return -ENODEV;
		if ((csts & CSTS_RDY) == (ready ? CSTS_RDY : 0))
			return 0;
		if (ready && (csts & CSTS_CFS) != 0)
			return -EIO;
		nanosleep(&ms, NULL);
	} while (now_ms() < end);
	return -ETIMEDOUT;
}

int
nvme_disable(struct nvme *ctrl)
{
	ctrl->cap = read32(ctrl, REG_CAP) | (uint64_t)read32(ctrl, REG_CAP + 4) << 32;
	if (ctrl->cap == UINT64_MAX)
		return -ENODEV;
	write32(ctrl, REG_CC, read32(ctrl, REG_CC) & ~CC_EN);
	return wait_ready(ctrl, false);
}

static void
init_queue(struct nvme *ctrl, struct nvme_queue *queue, uint16_t id, struct nvme_mem sq,
	struct nvme_mem cq)
{
	uint32_t most = CAP_MQES(ctrl->cap) + 1;

	*queue = (struct nvme_queue){.sq = sq.va,
		.cq = cq.va,
		.id = id,
		.depth = (uint16_t)(most < NVME_QUEUE_DEPTH ? most : NVME_QUEUE_DEPTH),
		.phase = true};
	memset(sq.va, 0, NVME_PAGE);
	memset(cq.va, 0, NVME_PAGE);
}

/* Section 7.6.1: the steps of initialization. */
int
nvme_enable(struct nvme *ctrl, struct nvme_mem sq, struct nvme_mem cq)
{
	uint32_t last;

	if (CAP_MPSMIN(ctrl->cap) != 0)
		return -ENOTSUP;
	init_queue(ctrl, &ctrl->admin, 0, sq, cq);
	last = ctrl->admin.depth - 1U;
	write32(ctrl, REG_AQA, last << 16 | last);
	write64(ctrl, REG_ASQ, sq.iova);
	write64(ctrl, REG_ACQ, cq.iova);
	write32(ctrl, REG_CC, CC_EN | CC_IOSQES_64 | CC_IOCQES_16);
	return wait_ready(ctrl, true);
}

/* Section 3.1.24 and 3.1.25: tail and head doorbells lie side by side. */
static void
ring(struct nvme *ctrl, const struct nvme_queue *queue, bool completion, uint16_t value)
{
	/*
	 * Writes to memory must be visible before the doorbell write. A compiler barrier is enough
	 * on x86; elsewhere a barrier that covers device registers is needed.
	 */
	__sync_synchronize();
	write32(ctrl, REG_DOORBELLS + (2U * queue->id + completion) * (4U << CAP_DSTRD(ctrl->cap)),
		value);
}

static int
wait_completion(struct nvme *ctrl, struct nvme_queue *queue)
{
	volatile struct nvme_cqe *cqe = &queue->cq[queue->head];
	uint64_t end = now_ms() + COMMAND_MS;
	uint16_t status;

	do {
		status = le16toh(cqe->status);
	} while ((status & 1) != queue->phase && now_ms() < end);
	if ((status & 1) != queue->phase)
		return -ETIMEDOUT;
	__sync_synchronize();
	if (le16toh(cqe->cid) != queue->cid)
		return -EIO;
	queue->head = (uint16_t)((queue->head + 1) % queue->depth);
	if (queue->head == 0)
		queue->phase = !queue->phase;
	ring(ctrl, queue, true, queue->head);
	queue->status = status >> 1;
	return queue->status == 0 ? 0 : -EIO;
}

int
nvme_command(struct nvme *ctrl, struct nvme_queue *queue, struct nvme_sqe *sqe)
{
	sqe->cid = htole16(++queue->cid);
	queue->sq[queue->tail] = *sqe;
	queue->tail = (uint16_t)((queue->tail + 1) % queue->depth);
	ring(ctrl, queue, false, queue->tail);
	return wait_completion(ctrl, queue);
}

/* Sections 5.3 and 5.4: create the completion queue first, as the submission queue refers to it. */
int
nvme_create_io_queue(struct nvme *ctrl, struct nvme_mem sq, struct nvme_mem cq)
{
	struct nvme_sqe sqe;
	uint32_t id_size;
	int rc;

	init_queue(ctrl, &ctrl->io, IO_QUEUE, sq, cq);
	id_size = IO_QUEUE | (ctrl->io.depth - 1U) << 16;
	sqe = (struct nvme_sqe){.opcode = ADMIN_CREATE_CQ,
		.prp1 = htole64(cq.iova),
		.cdw10 = htole32(id_size),
		.cdw11 = htole32(QUEUE_CONTIGUOUS)};
	rc = nvme_command(ctrl, &ctrl->admin, &sqe);
	if (rc != 0)
		return rc;
	sqe = (struct nvme_sqe){.opcode = ADMIN_CREATE_SQ,
		.prp1 = htole64(sq.iova),
		.cdw10 = htole32(id_size),
		.cdw11 = htole32(IO_QUEUE << 16 | QUEUE_CONTIGUOUS)};
	return nvme_command(ctrl, &ctrl->admin, &sqe);
}

int
nvme_identify(struct nvme *ctrl, enum nvme_identify_what what, uint32_t nsid, uint64_t iova)
{
	struct nvme_sqe sqe = {.opcode = ADMIN_IDENTIFY,
		.nsid = htole32(nsid),
		.prp1 = htole64(iova),
		.cdw10 = htole32(what)};

	return nvme_command(ctrl, &ctrl->admin, &sqe);
}

int
nvme_transfer(struct nvme *ctrl, bool write, uint64_t lba, uint32_t n_blocks, uint64_t prp1,
	uint64_t prp2)
{
	struct nvme_sqe sqe = {.opcode = write ? NVM_WRITE : NVM_READ,
		.nsid = htole32(NSID),
		.prp1 = htole64(prp1),
		.prp2 = htole64(prp2),
		.cdw10 = htole32((uint32_t)lba),
		.cdw11 = htole32((uint32_t)(lba >> 32)),
		.cdw12 = htole32(n_blocks - 1)};

	return nvme_command(ctrl, &ctrl->io, &sqe);
}
