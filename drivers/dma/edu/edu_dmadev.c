/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * The edu device as an rte_dmadev with one virtual channel, which the application polls.
 *
 * All transfers are made by edu_engine.c; nothing moves unless it is polled. Called by dmadev, with
 * one thread a channel at a time, and by the bus.
 */

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <rte_dmadev_pmd.h>
#include <rte_devargs.h>
#include <rte_eal.h>
#include <rte_kvargs.h>

#include <bus_vfio_pci_driver.h>

#include "edu_engine.h"
#include "edu_log.h"

#define EDU_ARG_MASK_BITS "dma_mask_bits"
#define EDU_MIN_JOBS 2

struct edu_dev {
	struct edu_engine engine; /* first: the fast path gets a pointer to it */
	struct vfio_pci_device *pci;
};

static int
edu_info_get(const struct rte_dma_dev *dev, struct rte_dma_info *info, uint32_t info_sz)
{
	info->dev_capa = RTE_DMA_CAPA_MEM_TO_MEM | RTE_DMA_CAPA_MEM_TO_DEV |
		RTE_DMA_CAPA_DEV_TO_MEM | RTE_DMA_CAPA_OPS_COPY;
	info->max_vchans = 1;
	info->min_desc = EDU_MIN_JOBS;
	info->max_desc = EDU_MAX_JOBS;
	return 0;
}

static int
edu_configure(struct rte_dma_dev *dev, const struct rte_dma_conf *conf, uint32_t conf_sz)
{
	/*
	 * rte_dma_configure() has checked it against edu_info_get(). There is nothing to configure.
	 */
	return 0;
}

static int
edu_vchan_setup(struct rte_dma_dev *dev, uint16_t vchan, const struct rte_dma_vchan_conf *conf,
	uint32_t conf_sz)
{
	struct edu_dev *edu = dev->data->dev_private;
	int rc;

	rc = edu_engine_setup(&edu->engine, conf->nb_desc, conf->direction, dev->data->numa_node);
	if (rc < 0)
		EDU_LOG(ERR, "%s: no memory for a ring of %u jobs", edu->pci->name, conf->nb_desc);
	return rc;
}

static int
edu_start(struct rte_dma_dev *dev)
{
	struct edu_dev *edu = dev->data->dev_private;
	int rc;

	if (edu->engine.jobs == NULL)
		return EDU_FAIL(EINVAL, "%s: cannot start: call rte_dma_vchan_setup() first",
			edu->pci->name);
	/*
	 * The device has no reset: a transfer that a killed process left behind may still run. It
	 * must end before bus mastering is on, or it would write into our memory.
	 */
	rc = edu_engine_quiesce(&edu->engine);
	if (rc < 0) {
		EDU_LOG(ERR, "%s: cannot start: its DMA engine is still busy: %s", edu->pci->name,
			strerror(-rc));
		return rc;
	}
	edu_engine_reset(&edu->engine);
	return vfio_pci_bus_master(edu->pci, true);
}

static int
edu_stop(struct rte_dma_dev *dev)
{
	struct edu_dev *edu = dev->data->dev_private;
	int rc;

	/* Waiting jobs are dropped. The running transfer completes: the device cannot abort it. */
	rc = edu_engine_quiesce(&edu->engine);
	if (rc < 0)
		EDU_LOG(WARNING, "%s: stopped, but its DMA engine is still busy: %s",
			edu->pci->name, strerror(-rc));
	return vfio_pci_bus_master(edu->pci, false);
}

static int
edu_close(struct rte_dma_dev *dev)
{
	struct edu_dev *edu = dev->data->dev_private;

	edu_engine_free(&edu->engine);
	return 0;
}

static int
edu_stats_get(const struct rte_dma_dev *dev, uint16_t vchan, struct rte_dma_stats *stats,
	uint32_t stats_sz)
{
	const struct edu_dev *edu = dev->data->dev_private;

	*stats = edu->engine.stats;
	return 0;
}

static int
edu_stats_reset(struct rte_dma_dev *dev, uint16_t vchan)
{
	struct edu_dev *edu = dev->data->dev_private;

	memset(&edu->engine.stats, 0, sizeof(edu->engine.stats));
	return 0;
}

static int
edu_vchan_status(const struct rte_dma_dev *dev, uint16_t vchan, enum rte_dma_vchan_status *status)
{
	struct edu_dev *edu = dev->data->dev_private;

	/*
	 * Poll, because nothing moves otherwise: an application that waits here for idle would wait
	 * for ever.
	 */
	if (dev->data->dev_started)
		edu_engine_poll(&edu->engine);
	if (edu->engine.dead)
		*status = RTE_DMA_VCHAN_HALTED_ERROR;
	else
		*status = edu_engine_idle(&edu->engine) ? RTE_DMA_VCHAN_IDLE : RTE_DMA_VCHAN_ACTIVE;
	return 0;
}

static int
edu_dump(const struct rte_dma_dev *dev, FILE *f)
{
	const struct edu_dev *edu = dev->data->dev_private;
	const struct edu_engine *e = &edu->engine;

	fprintf(f, "    device: %s, container %s, IOVAs up to 0x%" PRIx64 "\n", edu->pci->name,
		dmamap_container_name(edu->pci->container), e->dma_last);
	fprintf(f, "    jobs: %u at most, reported %u, completed %u, submitted %u, enqueued %u\n",
		e->n_jobs, e->reported, e->head, e->submitted, e->tail);
	fprintf(f, "    engine: %s, %u bytes of the job are copied\n",
		e->dead             ? "does not answer"
			: !e->busy  ? "idle"
			: e->to_ram ? "writes memory"
				    : "reads memory",
		e->done_len);
	return 0;
}

static const struct rte_dma_dev_ops edu_ops = {
	.dev_info_get = edu_info_get,
	.dev_configure = edu_configure,
	.dev_start = edu_start,
	.dev_stop = edu_stop,
	.dev_close = edu_close,
	.vchan_setup = edu_vchan_setup,
	.stats_get = edu_stats_get,
	.stats_reset = edu_stats_reset,
	.vchan_status = edu_vchan_status,
	.dev_dump = edu_dump,
};

static int
edu_copy(void *dev_private, uint16_t vchan, rte_iova_t src, rte_iova_t dst, uint32_t len,
	uint64_t flags)
{
	struct edu_engine *e = dev_private;
	int idx = edu_engine_copy(e, src, dst, len);

	/* RTE_DMA_OP_FLAG_FENCE needs nothing: jobs run one after the other. */
	if (idx >= 0 && (flags & RTE_DMA_OP_FLAG_SUBMIT) != 0)
		edu_engine_submit(e);
	return idx;
}

static int
edu_submit(void *dev_private, uint16_t vchan)
{
	edu_engine_submit(dev_private);
	return 0;
}

static uint16_t
edu_completed(
	void *dev_private, uint16_t vchan, const uint16_t n, uint16_t *last_idx, bool *has_error)
{
	struct edu_engine *e = dev_private;
	uint16_t done;

	edu_engine_poll(e);
	done = edu_engine_reap(e, n, NULL);
	*last_idx = e->reported - 1;
	if (unlikely(done < n && edu_engine_failed(e)))
		*has_error = true;
	return done;
}

static uint16_t
edu_completed_status(void *dev_private, uint16_t vchan, const uint16_t n, uint16_t *last_idx,
	enum rte_dma_status_code *status)
{
	struct edu_engine *e = dev_private;
	uint16_t done;

	edu_engine_poll(e);
	done = edu_engine_reap(e, n, status);
	*last_idx = e->reported - 1;
	return done;
}

static uint16_t
edu_burst_capacity(const void *dev_private, uint16_t vchan)
{
	return edu_engine_capacity(dev_private);
}

static int
args_parse_mask_bits(const char *key, const char *value, void *opaque)
{
	unsigned int *bits = opaque;
	char *end = NULL;
	unsigned long n;

	errno = 0;
	n = value != NULL ? strtoul(value, &end, 10) : 0;
	if (end == NULL || end == value || *end != '\0' || errno != 0 || n < 12 || n > 64)
		return -EINVAL;
	*bits = n;
	return 0;
}

/**
 * Parse the driver's own arguments. The bus has read its own, and has checked that none is unknown.
 */
static int
args_parse(const struct vfio_pci_device *pci, unsigned int *bits)
{
	const struct rte_devargs *devargs = pci->device.devargs;
	struct rte_kvargs *kvlist;
	int rc;

	*bits = EDU_DMA_MASK_BITS;
	if (devargs == NULL || devargs->drv_str == NULL || devargs->drv_str[0] == '\0')
		return 0;
	kvlist = rte_kvargs_parse(devargs->drv_str, NULL);
	if (kvlist == NULL)
		return EDU_FAIL(EINVAL, "%s: arguments \"%s\" are not of the form key=value,...",
			pci->name, devargs->drv_str);
	rc = rte_kvargs_process(kvlist, EDU_ARG_MASK_BITS, args_parse_mask_bits, bits);
	if (rc < 0)
		EDU_LOG(ERR,
			"%s: invalid argument " EDU_ARG_MASK_BITS
			"=%s: expected a number from 12 to 64",
			pci->name, rte_kvargs_get(kvlist, EDU_ARG_MASK_BITS));
	rte_kvargs_free(kvlist);
	return rc < 0 ? -EINVAL : 0;
}

/** Check that the device is an edu device, and set its DMA mask in its container. */
static int
edu_check_device(struct vfio_pci_device *pci, struct edu_engine *e)
{
	unsigned int bits;
	int rc;

	rc = args_parse(pci, &bits);
	if (rc < 0)
		return rc;
	e->bar = pci->bar[0].addr;
	e->dma_last = UINT64_MAX >> (64 - bits);
	if (e->bar == NULL || pci->bar[0].len < EDU_BAR_LEN || edu_engine_check(e) < 0)
		return EDU_FAIL(
			ENODEV, "%s: not an edu device: BAR 0 does not answer as one", pci->name);
	return dmamap_device_dma_mask(pci->dma, bits);
}

static int
edu_probe(struct vfio_pci_driver *driver, struct vfio_pci_device *pci)
{
	struct edu_engine engine = {0};
	struct rte_dma_dev *dev;
	struct edu_dev *edu;
	int rc;

	if (rte_eal_process_type() != RTE_PROC_PRIMARY)
		return EDU_FAIL(ENOTSUP, "%s: supports the primary process only", pci->name);
	rc = edu_check_device(pci, &engine);
	if (rc < 0)
		return rc;
	dev = rte_dma_pmd_allocate(pci->name, pci->device.numa_node, sizeof(*edu));
	if (dev == NULL)
		return EDU_FAIL(ENOMEM,
			"%s: too many dmadevs (see rte_dma_dev_max()), or no memory", pci->name);
	edu = dev->data->dev_private;
	edu->engine = engine;
	edu->pci = pci;

	dev->device = &pci->device;
	dev->dev_ops = &edu_ops;
	dev->fp_obj->dev_private = &edu->engine;
	dev->fp_obj->copy = edu_copy;
	dev->fp_obj->submit = edu_submit;
	dev->fp_obj->completed = edu_completed;
	dev->fp_obj->completed_status = edu_completed_status;
	dev->fp_obj->burst_capacity = edu_burst_capacity;
	dev->state = RTE_DMA_DEV_READY;
	return 0;
}

static int
edu_remove(struct vfio_pci_device *pci)
{
	/*
	 * Closes the dmadev, which fails with -EBUSY while it is started. The application may have
	 * closed it already.
	 */
	if (rte_dma_get_dev_id_by_name(pci->name) < 0)
		return 0;
	return rte_dma_pmd_release(pci->name);
}

static void
edu_cleanup(struct vfio_pci_device *pci)
{
	int id = rte_dma_get_dev_id_by_name(pci->name);

	if (id >= 0)
		rte_dma_stop(id);
}

#define EDU_IDS(ID) ID(EDU_VENDOR_ID, EDU_DEVICE_ID)

static const struct rte_pci_id edu_ids[] = VFIO_PCI_ID_TABLE(EDU_IDS);
static const char *const edu_params[] = {EDU_ARG_MASK_BITS, NULL};

static struct vfio_pci_driver edu_driver = {
	.id_table = edu_ids,
	.params = edu_params,
	.probe = edu_probe,
	.remove = edu_remove,
	.stop = edu_cleanup,
};

RTE_PMD_REGISTER_VFIO_PCI(dma_gantry_edu, edu_driver);
VFIO_PCI_PMD_INFO(dma_gantry_edu, EDU_IDS, EDU_ARG_MASK_BITS "=<12-64>");
