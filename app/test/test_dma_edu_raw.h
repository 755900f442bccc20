/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * How is DMA made visible to the byte? An edu device without its driver, straight on a container,
 * and rooms: memory of which every byte is known, so that a stray write anywhere in them is seen.
 */

#ifndef TEST_DMA_EDU_RAW_H
#define TEST_DMA_EDU_RAW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <dmamap.h>

/** Most edu devices and rooms that a test uses. */
#define EDU_RAW_MAX 4
#define ROOMS_MAX 16

/** An edu device that the test drives itself. */
struct edu_raw {
	struct dmamap_device *dma; /**< NULL: not open */
	volatile uint8_t *bar;
	int fd;
	uint64_t cfg_off; /**< of config space in the device's file */
};

/** Memory of which every byte is known. */
struct room {
	uint8_t *va;
	uint8_t *want; /**< what it must hold */
	size_t len;
	bool own; /**< rooms_free() unmaps it */
};

/**
 * The devices with this vendor and device id that tests may have: of those that the runner names in
 * GANTRY_DEVICES or, where it is not set, of all that are bound to vfio-pci; ascending.
 * @return how many there are in names[], at most max.
 */
unsigned int find_devices(
	uint16_t vendor, uint16_t device, char (*names)[DMAMAP_NAME_MAX], unsigned int max);

/** The name of the driver that holds a PCI device; "": none. Valid until the next call. */
const char *driver_of(const char *bdf);

/** The n-th edu device's address; NULL: there are fewer. */
const char *edu_raw_name(unsigned int n);

/** Attach the n-th edu device and let it master the bus. @return 0, or the negative errno of what
 * failed. */
int edu_raw_open(struct edu_raw *e, struct dmamap_container *c, unsigned int n);
/** The same for a device that is attached already; edu_raw_close() detaches it. */
int edu_raw_start(struct edu_raw *e, struct dmamap_device *dma);
/** Take bus mastering away, close and detach. Nothing happens if it is not open. */
int edu_raw_close(struct edu_raw *e);

/** Start the transfer RAM to device (device to RAM), and do not wait for it. */
void edu_raw_begin(struct edu_raw *e, uint64_t iova, uint32_t off, uint32_t len, bool to_ram);
/** Wait until the device's transfer has ended. @return 0, or -ETIMEDOUT. */
int edu_raw_wait(struct edu_raw *e);
/** The device reads len bytes at an IOVA into its buffer, at off. @return 0, or -ETIMEDOUT. */
int edu_raw_read(struct edu_raw *e, uint64_t iova, uint32_t off, uint32_t len);
/** The device writes len bytes of its buffer, from off, to an IOVA. @return 0, or -ETIMEDOUT. */
int edu_raw_write(struct edu_raw *e, uint64_t iova, uint32_t off, uint32_t len);

/**
 * Start a process that attaches the n-th edu device to a container of its own, has a zone of one 2
 * MiB page in it, and lets the device write to an IOVA, over and over. It is there to be killed.
 * @return its id, with a transfer running; -1: it failed.
 */
pid_t edu_raw_child(unsigned int n, uint64_t iova);
/** Kill it and wait until nothing is left of it. */
void edu_raw_child_kill(pid_t pid);

/** Make a room of base pages, filled with bytes of its own; one of the suite's rooms, all freed by
 * rooms_free(). */
struct room *room_make(size_t len);
/** Take memory that is there (a zone's) as a room; it is filled. */
struct room *room_adopt(void *va, size_t len);
/** From now on the room must hold these bytes there. */
void room_expect(struct room *r, size_t off, const void *bytes, size_t len);
/** Does every room hold what it must? Says which byte of which room does not. */
bool rooms_right(void);
/** Free all rooms; no container maps them any more. */
void rooms_free(void);

#endif /* TEST_DMA_EDU_RAW_H */
