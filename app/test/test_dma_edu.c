/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Tests of the edu driver as a dmadev. All calls go through rte_dmadev and the EAL's hotplug.
 */

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <rte_bus.h>
#include <rte_dev.h>
#include <rte_dmadev.h>
#include <rte_io.h>

#include <bus_vfio_pci_driver.h>
#include <dmamap.h>
#include <edu_hw.h>

#include "gantry_dmadev.h"
#include "peek.h"
#include "test.h"
#include "test_dma_edu_raw.h"

#define PAGE 4096
#define AREA_LEN (4 * PAGE)

static int16_t dev_id = -1;
static struct dmamap_container *container;
static struct area *src, *dst; /* mapped at src_iova and dst_iova */
static rte_iova_t src_iova, dst_iova;

static const struct rte_dma_vchan_conf mem_to_mem = {
	.direction = RTE_DMA_DIR_MEM_TO_MEM, .nb_desc = 8};

static int
plug(const char *args)
{
	int rc = rte_eal_hotplug_add("vfio_pci", edu_raw_name(0), args);

	if (rc < 0)
		return rc;
	dev_id = rte_dma_get_dev_id_by_name(edu_raw_name(0));
	container = peek(dmamap_container_by_device(edu_raw_name(0)));
	return dev_id >= 0 && container != NULL ? 0 : -ENODEV;
}

static int
unplug(void)
{
	dev_id = -1;
	container = NULL;
	return rte_eal_hotplug_remove("vfio_pci", edu_raw_name(0));
}

static int
setup(void)
{
	if (edu_raw_name(0) == NULL)
		return test_skip("no edu device (1234:11e8) is bound to vfio-pci");
	if (plug("container=edu") != 0)
		return TEST_FAILED;
	src = area_make(AREA_LEN);
	dst = area_make(AREA_LEN);
	if (src == NULL || dst == NULL ||
		dmamap_map(container, src->va, AREA_LEN, DMAMAP_READ, &src_iova) != 0 ||
		dmamap_map(container, dst->va, AREA_LEN, DMAMAP_RW, &dst_iova) != 0)
		return TEST_FAILED;
	return 0;
}

static void
teardown(void)
{
	if (dev_id >= 0) {
		rte_dma_stop(dev_id);
		unplug();
	}
	areas_free();
}

static int
start(const struct rte_dma_vchan_conf *vchan)
{
	const struct rte_dma_conf conf = {.nb_vchans = 1};
	int rc = rte_dma_configure(dev_id, &conf);

	if (rc == 0)
		rc = rte_dma_vchan_setup(dev_id, 0, vchan);
	return rc == 0 ? rte_dma_start(dev_id) : rc;
}

static int
device_cmp(const struct rte_device *device, const void *name)
{
	return strcmp(device->name, name);
}

/** The edu device as its driver sees it. */
static struct vfio_pci_device *
bus_device(void)
{
	struct rte_device *device =
		rte_bus_find_by_name("vfio_pci")->find_device(NULL, device_cmp, edu_raw_name(0));

	return VFIO_PCI_DEVICE(device);
}

/**
 * Poll until n jobs are reported, or until none was reported for 5 s. @return the number reported
 */
static unsigned int
wait_for(unsigned int n, uint16_t *last)
{
	unsigned int done = 0, i = 0;
	bool error = false;
	uint16_t got;

	while (done < n && !error && i++ < 5000) {
		got = rte_dma_completed(dev_id, 0, n - done, last, &error);
		done += got;
		if (got > 0)
			i = 0;
		else
			usleep(1000);
	}
	return done;
}

static int
capabilities_are_reported(void)
{
	struct rte_dma_info info;

	TEST_ASSERT_SUCCESS(rte_dma_info_get(dev_id, &info), "info");
	TEST_ASSERT_EQUAL(strcmp(info.dev_name, edu_raw_name(0)), 0, "its name: %s", info.dev_name);
	TEST_ASSERT_EQUAL(info.dev_capa,
		(RTE_DMA_CAPA_MEM_TO_MEM | RTE_DMA_CAPA_MEM_TO_DEV | RTE_DMA_CAPA_DEV_TO_MEM |
			RTE_DMA_CAPA_OPS_COPY),
		"capabilities %#" PRIx64, info.dev_capa);
	TEST_ASSERT_EQUAL(info.max_vchans, 1, "vchans");
	TEST_ASSERT(info.min_desc == 2 && info.max_desc == 4096, "descriptors");
	return TEST_SUCCESS;
}

static int
copies_are_exact(void)
{
	static const struct {
		uint32_t from, to, len;
	} copies[] = {{0, 0, 1}, {3, 5, 63}, {100, 4000, 4032}, {1, 2, 4033}, {4095, 17, 8200}};
	struct rte_dma_stats stats;
	uint16_t last;
	unsigned int i;
	int idx;

	TEST_ASSERT_SUCCESS(start(&mem_to_mem), "start");
	for (i = 0; i < RTE_DIM(copies); i++) {
		idx = rte_dma_copy(dev_id, 0, src_iova + copies[i].from, dst_iova + copies[i].to,
			copies[i].len, RTE_DMA_OP_FLAG_SUBMIT);
		TEST_ASSERT_EQUAL(idx, (int)i, "number %d", idx);
		TEST_ASSERT_EQUAL(wait_for(1, &last), 1, "%u bytes do not arrive", copies[i].len);
		TEST_ASSERT_EQUAL(last, i, "reported as %u", last);
		area_expect(dst, copies[i].to, src->va + copies[i].from, copies[i].len);
		TEST_ASSERT(areas_match(), "copy of %u bytes", copies[i].len);
	}
	TEST_ASSERT_SUCCESS(rte_dma_stats_get(dev_id, 0, &stats), "statistics");
	TEST_ASSERT(stats.submitted == i && stats.completed == i && stats.errors == 0,
		"statistics say %" PRIu64 " submitted, %" PRIu64 " completed, %" PRIu64 " errors",
		stats.submitted, stats.completed, stats.errors);
	TEST_ASSERT_SUCCESS(rte_dma_stats_reset(dev_id, 0), "reset");
	TEST_ASSERT_SUCCESS(rte_dma_stats_get(dev_id, 0, &stats), "statistics");
	TEST_ASSERT_EQUAL(stats.completed, 0, "statistics were not reset");
	return TEST_SUCCESS;
}

static int
into_the_device_and_out_again(void)
{
	const struct rte_dma_vchan_conf to_dev = {.direction = RTE_DMA_DIR_MEM_TO_DEV,
		.nb_desc = 8,
		.dst_port.port_type = RTE_DMA_PORT_PCIE};
	const struct rte_dma_vchan_conf from_dev = {.direction = RTE_DMA_DIR_DEV_TO_MEM,
		.nb_desc = 8,
		.src_port.port_type = RTE_DMA_PORT_PCIE};
	uint16_t last;

	TEST_ASSERT_SUCCESS(start(&to_dev), "start");
	TEST_ASSERT_EQUAL(rte_dma_copy(dev_id, 0, src_iova, 1, 4095, 0), -EINVAL, "too long");
	TEST_ASSERT_EQUAL(rte_dma_copy(dev_id, 0, src_iova + 7, 95, 4000, RTE_DMA_OP_FLAG_SUBMIT),
		0, "into the device");
	TEST_ASSERT_EQUAL(wait_for(1, &last), 1, "does not end");
	TEST_ASSERT(areas_match(), "wrote to memory");
	TEST_ASSERT_SUCCESS(rte_dma_stop(dev_id), "stop");
	TEST_ASSERT_SUCCESS(start(&from_dev), "start");
	TEST_ASSERT_EQUAL(rte_dma_copy(dev_id, 0, 100, dst_iova + 11, 3995, RTE_DMA_OP_FLAG_SUBMIT),
		0, "out of the device");
	TEST_ASSERT_EQUAL(wait_for(1, &last), 1, "does not end");
	area_expect(dst, 11, src->va + 12, 3995);
	TEST_ASSERT(areas_match(), "out of the device");
	return TEST_SUCCESS;
}

static int
the_ring_fills_wraps_and_keeps_order(void)
{
	const struct rte_dma_vchan_conf ring = {.direction = RTE_DMA_DIR_MEM_TO_MEM, .nb_desc = 3};
	enum rte_dma_status_code status[3];
	unsigned int i, round, got;
	uint16_t last = 0;

	TEST_ASSERT_SUCCESS(start(&ring), "start");
	TEST_ASSERT_EQUAL(rte_dma_burst_capacity(dev_id, 0), 3, "capacity");
	/* All jobs copy to one address: the last job's bytes must stay. */
	for (round = 0; round < 3; round++) {
		for (i = 0; i < 3; i++)
			TEST_ASSERT_EQUAL(rte_dma_copy(dev_id, 0, src_iova + 64 * (3 * round + i),
						  dst_iova, 64, 0),
				(int)(3 * round + i), "number");
		TEST_ASSERT_EQUAL(rte_dma_burst_capacity(dev_id, 0), 0, "capacity");
		TEST_ASSERT_EQUAL(
			rte_dma_copy(dev_id, 0, src_iova, dst_iova, 64, 0), -ENOSPC, "full");
		TEST_ASSERT_SUCCESS(rte_dma_submit(dev_id, 0), "submit");
		if (round == 1)
			for (got = 0, i = 0; got < 3 && i < 5000; i++, usleep(1000))
				got += rte_dma_completed_status(
					dev_id, 0, 3 - got, &last, &status[got]);
		else
			got = wait_for(3, &last);
		TEST_ASSERT_EQUAL(got, 3, "only %u of 3 were reported", got);
		TEST_ASSERT_EQUAL(last, 3 * round + 2, "the last one was %u", last);
		area_expect(dst, 0, src->va + 64 * last, 64);
		TEST_ASSERT(areas_match(), "round %u", round);
	}
	for (i = 0; i < 3; i++)
		TEST_ASSERT_EQUAL(status[i], RTE_DMA_STATUS_SUCCESSFUL, "status %d", status[i]);
	return TEST_SUCCESS;
}

/**
 * A stop lets the running transfer finish and drops the rest. Job numbers begin at 0 after a
 * restart.
 */
static int
stop_in_mid_work_and_start_again(void)
{
	enum rte_dma_vchan_status status;
	uint16_t last;
	unsigned int i;

	TEST_ASSERT_SUCCESS(start(&mem_to_mem), "start");
	for (i = 0; i < 3; i++)
		rte_dma_copy(dev_id, 0, src_iova, dst_iova + 100 * i, 64, RTE_DMA_OP_FLAG_SUBMIT);
	TEST_ASSERT_SUCCESS(rte_dma_vchan_status(dev_id, 0, &status), "status");
	TEST_ASSERT_EQUAL(status, RTE_DMA_VCHAN_ACTIVE, "not active");
	TEST_ASSERT_SUCCESS(rte_dma_stop(dev_id), "stop");
	TEST_ASSERT(areas_match(), "the first one cannot have got so far");
	TEST_ASSERT_SUCCESS(rte_dma_start(dev_id), "start");
	TEST_ASSERT_EQUAL(rte_dma_burst_capacity(dev_id, 0), 8, "capacity");
	TEST_ASSERT_EQUAL(
		rte_dma_copy(dev_id, 0, src_iova + 9, dst_iova + 900, 64, RTE_DMA_OP_FLAG_SUBMIT),
		0, "number");
	/* Polling the status only must advance the work, too. */
	for (i = 0; i < 5000 && status != RTE_DMA_VCHAN_IDLE; i++, usleep(1000))
		rte_dma_vchan_status(dev_id, 0, &status);
	TEST_ASSERT_EQUAL(status, RTE_DMA_VCHAN_IDLE, "never idle");
	TEST_ASSERT_EQUAL(wait_for(1, &last), 1, "does not end");
	area_expect(dst, 900, src->va + 9, 64);
	TEST_ASSERT(areas_match(), "after the second start");
	return TEST_SUCCESS;
}

static int
wrong_use_is_refused(void)
{
	const struct rte_dma_conf two = {.nb_vchans = 2}, one = {.nb_vchans = 1},
				  silent = {.nb_vchans = 1, GANTRY_DMA_CONF_SILENT};
	struct rte_dma_vchan_conf vchan = mem_to_mem;

	TEST_ASSERT_FAIL(rte_dma_configure(dev_id, &two), "two channels");
	TEST_ASSERT_FAIL(rte_dma_configure(dev_id, &silent), "silent mode");
	TEST_ASSERT_SUCCESS(rte_dma_configure(dev_id, &one), "configure");
	TEST_ASSERT_EQUAL(rte_dma_start(dev_id), -EINVAL, "start without a channel");
	vchan.nb_desc = 1;
	TEST_ASSERT_FAIL(rte_dma_vchan_setup(dev_id, 0, &vchan), "one descriptor");
	vchan.nb_desc = 4097;
	TEST_ASSERT_FAIL(rte_dma_vchan_setup(dev_id, 0, &vchan), "4097 descriptors");

	TEST_ASSERT_SUCCESS(start(&mem_to_mem), "start");
	TEST_ASSERT_EQUAL(rte_dma_copy(dev_id, 0, src_iova, dst_iova, 0, 0), -EINVAL, "no length");
	TEST_ASSERT_EQUAL(rte_dma_copy(dev_id, 0, src_iova, UINT64_C(1) << 28, 1, 0), -EINVAL,
		"beyond the device's mask");
	TEST_ASSERT_EQUAL(rte_dma_close(dev_id), -EBUSY, "close while started");
	TEST_ASSERT_FAIL(
		rte_eal_hotplug_remove("vfio_pci", edu_raw_name(0)), "unplug while started");
	TEST_ASSERT_EQUAL(rte_dma_get_dev_id_by_name(edu_raw_name(0)), dev_id, "it is gone");
	return TEST_SUCCESS;
}

/** The device cannot report a fault: the copy completes, and memory is unchanged. */
static int
a_copy_to_nowhere_touches_nothing(void)
{
	uint16_t last;

	TEST_ASSERT_SUCCESS(start(&mem_to_mem), "start");
	TEST_ASSERT_SUCCESS(dmamap_unmap(container, dst_iova, AREA_LEN), "unmap");
	TEST_ASSERT_EQUAL(rte_dma_copy(dev_id, 0, src_iova, dst_iova, 64, RTE_DMA_OP_FLAG_SUBMIT),
		0, "number");
	TEST_ASSERT_EQUAL(wait_for(1, &last), 1, "does not end");
	TEST_ASSERT(areas_match(), "it arrived");
	return TEST_SUCCESS;
}

/**
 * The device has no reset. A transfer that a killed process left running continues while the next
 * process starts, which may have mapped other memory at the same IOVA. It must not reach memory.
 */
static int
a_transfer_that_was_left_running_reaches_no_memory(void)
{
	volatile uint8_t *bar = bus_device()->bar[0].addr;
	uint16_t last;

	TEST_ASSERT_SUCCESS(start(&mem_to_mem), "start");
	TEST_ASSERT_SUCCESS(rte_dma_stop(dev_id), "stop");
	rte_write64(EDU_BUF, bar + EDU_DMA_SRC);
	rte_write64(dst_iova, bar + EDU_DMA_DST);
	rte_write64(64, bar + EDU_DMA_COUNT);
	rte_write64(EDU_CMD_RUN | EDU_CMD_TO_RAM, bar + EDU_DMA_CMD);

	TEST_ASSERT_SUCCESS(rte_dma_start(dev_id), "start");
	TEST_ASSERT_EQUAL(
		rte_dma_copy(dev_id, 0, src_iova, dst_iova + PAGE, 64, RTE_DMA_OP_FLAG_SUBMIT), 0,
		"number");
	TEST_ASSERT_EQUAL(wait_for(1, &last), 1, "does not end");
	area_expect(dst, PAGE, src->va, 64);
	TEST_ASSERT(areas_match(), "it ended in memory");
	return TEST_SUCCESS;
}

/** The container's DMA mask is that of the argument, by default 28 bits. */
static int
the_dma_mask_is_an_argument(void)
{
	rte_iova_t iova;

	TEST_ASSERT_EQUAL(dmamap_iova_reserve(container, 256 << 20, 0, DMAMAP_ANYWHERE, &iova),
		-ENOSPC, "256 MiB without page 0 cannot be below 2^28");
	TEST_ASSERT_SUCCESS(unplug(), "unplug");
	TEST_ASSERT_SUCCESS(plug("container=edu,dma_mask_bits=30"), "plug");
	TEST_ASSERT_SUCCESS(dmamap_iova_reserve(container, 256 << 20, 0, DMAMAP_ANYWHERE, &iova),
		"256 MiB below 2^30");
	TEST_ASSERT(iova + (256 << 20) <= UINT64_C(1) << 30, "beyond 2^30: %#" PRIx64, iova);
	return TEST_SUCCESS;
}

static int
wrong_arguments_are_refused(void)
{
	static const struct {
		const char *args, *says;
	} wrong[] = {
		{"dma_mask_bits=11", "12 to 64"},
		{"dma_mask_bits=65", "12 to 64"},
		{"dma_mask_bits=", "12 to 64"},
		{"dma_mask_bits=32x", "12 to 64"},
		{"dma_mask_bits=-1", "12 to 64"},
		{"mask=32", "mask"},
	};
	const char *log;
	unsigned int i;

	TEST_ASSERT_SUCCESS(unplug(), "unplug");
	for (i = 0; i < RTE_DIM(wrong); i++) {
		test_log_begin();
		TEST_ASSERT_FAIL(plug(wrong[i].args), "%s is taken", wrong[i].args);
		log = test_log_end();
		TEST_ASSERT(
			strstr(log, wrong[i].says) != NULL && strstr(log, edu_raw_name(0)) != NULL,
			"%s: the log says: %s", wrong[i].args, log);
		TEST_ASSERT_NULL(peek(dmamap_container_by_device(edu_raw_name(0))),
			"%s: the device stayed attached", wrong[i].args);
	}
	TEST_ASSERT_SUCCESS(plug(""), "cannot be plugged in any more");
	return TEST_SUCCESS;
}

static bool
event_comes(int fd, int timeout_ms)
{
	struct pollfd pfd = {.fd = fd, .events = POLLIN};
	uint64_t count;

	return poll(&pfd, 1, timeout_ms) == 1 && read(fd, &count, sizeof(count)) == sizeof(count);
}

/** Interrupts of the bus, with a device that raises one on demand. */
static int
an_msi_arrives_at_the_eventfd(void)
{
	struct vfio_pci_device *pci = bus_device();
	volatile uint8_t *bar = pci->bar[0].addr;
	int fd;

	/* An MSI is a memory write, too: the device needs bus mastering. */
	TEST_ASSERT_SUCCESS(start(&mem_to_mem), "start");
	TEST_ASSERT_EQUAL(vfio_pci_intr_vectors(pci, VFIO_PCI_INTR_MSI), 1, "one vector");
	TEST_ASSERT_SUCCESS(vfio_pci_intr_enable(pci, VFIO_PCI_INTR_MSI, 1), "enable");
	fd = vfio_pci_intr_fd(pci, 0);
	TEST_ASSERT(!event_comes(fd, 0), "an interrupt before it was raised");
	rte_write32(1, bar + EDU_IRQ_RAISE);
	TEST_ASSERT(event_comes(fd, 5000), "no interrupt");
	rte_write32(1, bar + EDU_IRQ_ACK);
	TEST_ASSERT_EQUAL(rte_read32(bar + EDU_IRQ_STATUS), 0, "not acknowledged");
	TEST_ASSERT(!event_comes(fd, 0), "two for one");
	vfio_pci_intr_disable(pci);
	TEST_ASSERT_EQUAL(vfio_pci_intr_fd(pci, 0), -1, "the eventfd is still there");
	return TEST_SUCCESS;
}

static int
a_dump_names_device_and_container(void)
{
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);
	bool right;
	int rc;

	TEST_ASSERT_NOT_NULL(f, "no memory");
	rc = rte_dma_dump(dev_id, f);
	fclose(f);
	right = rc == 0 && strstr(text, edu_raw_name(0)) != NULL &&
		strstr(text, "container edu") != NULL;
	if (!right)
		printf("%s\n", text);
	free(text);
	TEST_ASSERT(right, "the dump lacks them");
	return TEST_SUCCESS;
}

/** rte_eal_cleanup() does not ask whether the application has stopped its devices. */
static int
cleanup_stops_a_running_engine(void)
{
	struct rte_bus *bus = rte_bus_find_by_name("vfio_pci");
	int rc;

	TEST_ASSERT_SUCCESS(start(&mem_to_mem), "start");
	test_log_begin();
	rc = bus->cleanup();
	TEST_ASSERT_SUCCESS(rc, "cleanup: %d: %s", rc, test_log_end());
	dev_id = -1;
	container = NULL;
	TEST_ASSERT_NULL(
		bus->find_device(NULL, device_cmp, edu_raw_name(0)), "it is on the bus still");
	TEST_ASSERT(rte_dma_get_dev_id_by_name(edu_raw_name(0)) < 0, "the dmadev is left");
	return TEST_SUCCESS;
}

static const struct test_case cases[] = {
	{"capabilities are reported", capabilities_are_reported},
	{"copies are exact", copies_are_exact},
	{"into the device and out again", into_the_device_and_out_again},
	{"the ring fills, wraps and keeps order", the_ring_fills_wraps_and_keeps_order},
	{"stop in mid-work and start again", stop_in_mid_work_and_start_again},
	{"wrong use is refused", wrong_use_is_refused},
	{"a copy to nowhere touches nothing", a_copy_to_nowhere_touches_nothing},
	{"a transfer that was left running reaches no memory",
		a_transfer_that_was_left_running_reaches_no_memory},
	{"the DMA mask is an argument", the_dma_mask_is_an_argument},
	{"wrong arguments are refused", wrong_arguments_are_refused},
	{"an MSI arrives at the eventfd", an_msi_arrives_at_the_eventfd},
	{"a dump names device and container", a_dump_names_device_and_container},
	{"cleanup stops a running engine", cleanup_stops_a_running_engine},
};

REGISTER_TEST_SUITE(dma_edu) = {
	.name = "dma_edu",
	.kind = TEST_VM,
	.cases = cases,
	.n_cases = RTE_DIM(cases),
	.setup = setup,
	.teardown = teardown,
	.needs_eal = true,
};
