/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * An edu device without its driver, directly on a container, and areas: memory with known
 * contents, so that a stray write anywhere in them is found. Used by suites on real kernels.
 * Single-threaded.
 */

#ifndef TEST_DMA_EDU_RAW_H
#define TEST_DMA_EDU_RAW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <dmamap.h>

/** Maximum numbers of edu devices and areas in a test. */
#define EDU_RAW_MAX 4
#define AREAS_MAX 16

/** An edu device that the test drives directly. */
struct edu_raw {
	struct dmamap_device *dma; /**< BAR 0; NULL: not open */
	volatile uint8_t *bar;
	int fd;
	uint64_t cfg_off; /**< offset of config space in the device's file */
};

/** Memory with known contents. */
struct area {
	uint8_t *va;
	uint8_t *want; /**< expected contents */
	size_t len;
	bool own; /**< areas_free() unmaps it */
};

/**
 * Get the devices with this vendor and device id that tests may use: of the devices in
 * GANTRY_DEVICES or, if it is not set, of all that are bound to vfio-pci; ascending.
 * @return the number of devices in names[], at most max.
 */
unsigned int find_devices(
	uint16_t vendor, uint16_t device, char (*names)[DMAMAP_NAME_MAX], unsigned int max);

/** The name of the driver of a PCI device; "": none. Valid until the next call. */
const char *driver_of(const char *bdf);

/** The address of the n-th edu device; NULL: there are fewer. */
const char *edu_raw_name(unsigned int n);

/** Attach the n-th edu device and enable bus mastering. @return 0 or a negative errno */
int edu_raw_open(struct edu_raw *e, struct dmamap_container *c, unsigned int n);
/** As edu_raw_open(), for an attached device. edu_raw_close() detaches it. */
int edu_raw_start(struct edu_raw *e, struct dmamap_device *dma);
/**
 * As edu_raw_open(), for a device that the test opened itself. edu_raw_stop() is the counterpart.
 */
int edu_raw_start_file(struct edu_raw *e, int fd);
/** Disable bus mastering; the file stays open. */
void edu_raw_stop(struct edu_raw *e);
/** Disable bus mastering, close and detach. Does nothing if the device is not open. */
int edu_raw_close(struct edu_raw *e);

/** Start a transfer from RAM to the device, or to RAM, and return at once. */
void edu_raw_begin(struct edu_raw *e, uint64_t iova, uint32_t off, uint32_t len, bool to_ram);
/** Wait until the device's transfer has ended. @return 0, or -ETIMEDOUT. */
int edu_raw_wait(struct edu_raw *e);
/** The device reads len bytes at an IOVA into its buffer, at off. @return 0, or -ETIMEDOUT. */
int edu_raw_read(struct edu_raw *e, uint64_t iova, uint32_t off, uint32_t len);
/** The device writes len bytes of its buffer, from off, to an IOVA. @return 0, or -ETIMEDOUT. */
int edu_raw_write(struct edu_raw *e, uint64_t iova, uint32_t off, uint32_t len);

/**
 * Start a process that attaches the n-th edu device to a container of its own and allocates a zone
 * of one 2 MiB page. Its device writes to an IOVA in a loop. The caller kills the process.
 * @return its id, with a transfer running; -1: it failed.
 */
pid_t edu_raw_child(unsigned int n, uint64_t iova);
/** Kill the process and wait until it has ended. */
void edu_raw_child_kill(pid_t pid);

/** Allocate an area of base pages with its own pattern. areas_free() frees it. */
struct area *area_make(size_t len);
/** Use existing memory (a zone's) as an area, and fill it. */
struct area *area_adopt(void *va, size_t len);
/** From now on the area must contain these bytes at that offset. */
void area_expect(struct area *r, size_t off, const void *bytes, size_t len);
/** Whether every area has its expected contents. Prints the first byte that differs. */
bool areas_match(void);
/** Free all areas; no container may map them any more. */
void areas_free(void);

#endif /* TEST_DMA_EDU_RAW_H */
