/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Where is a device's memory? Regions of its file; BARs mapped but for the MSI-X table.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <rte_common.h>
#include <rte_errno.h>

#include "vfio_pci_private.h"

/* More than one hole in a BAR has not been seen; VFIO itself lists two areas at most. */
#define MAX_AREAS 16

/** Add the whole pages of an area that lie in the BAR's file mapping. */
static unsigned int
add_area(const struct vfio_pci_bar_shape *shape, uint64_t start, uint64_t last,
	struct vfio_pci_area *out, unsigned int n, unsigned int max)
{
	uint64_t end_page = RTE_ALIGN_MUL_CEIL(shape->len, shape->page);

	if (start > last || start >= shape->len || n == max)
		return n;
	/* The page on which the BAR ends is whole: VFIO maps it only if nobody else is on it. */
	if (last >= shape->len - 1)
		last = end_page - 1;
	if (start % shape->page != 0)
		start += shape->page - start % shape->page;
	if ((last + 1) % shape->page != 0) {
		if (last + 1 < shape->page)
			return n;
		last -= (last + 1) % shape->page;
	}
	if (start > last)
		return n;
	out[n] = (struct vfio_pci_area){.start = start, .last = last};
	return n + 1;
}

/**
 * PCI Local Bus 3.0, 6.8.2: nothing else shares an aligned 4 KiB with an MSI-X table. So with pages
 * of 4 KiB, mapping around it costs nothing; with larger ones registers can be on its page, which
 * is mapped then if the kernel allows it.
 */
static bool
table_left_out(const struct vfio_pci_bar_shape *shape)
{
	return shape->has_table && shape->table.start < shape->len &&
		!(shape->table_mappable && shape->page > 4096);
}

unsigned int
vfio_pci_bar_areas(
	const struct vfio_pci_bar_shape *shape, struct vfio_pci_area *out, unsigned int max)
{
	const struct vfio_pci_area whole = {.start = 0, .last = shape->len - 1};
	const struct vfio_pci_area *in = shape->n_sparse > 0 ? shape->sparse : &whole;
	unsigned int i, n = 0, n_in = RTE_MAX(shape->n_sparse, 1u);

	for (i = 0; i < n_in; i++) {
		if (!table_left_out(shape) || shape->table.last < in[i].start ||
			shape->table.start > in[i].last) {
			n = add_area(shape, in[i].start, in[i].last, out, n, max);
			continue;
		}
		if (shape->table.start > in[i].start)
			n = add_area(shape, in[i].start, shape->table.start - 1, out, n, max);
		if (shape->table.last < in[i].last)
			n = add_area(shape, shape->table.last + 1, in[i].last, out, n, max);
	}
	return n;
}

/** VFIO_DEVICE_GET_REGION_INFO with all that follows it; malloc()ed. */
static struct vfio_region_info *
region_info(const struct vfio_pci_inner *inner, unsigned int index)
{
	struct vfio_region_info probe = {.argsz = sizeof(probe), .index = index}, *info;

	if (ioctl(vfio_pci_fd(&inner->dev), VFIO_DEVICE_GET_REGION_INFO, &probe) < 0)
		return NULL;
	info = calloc(1, RTE_MAX(probe.argsz, (uint32_t)sizeof(*info)));
	if (info == NULL)
		return NULL;
	info->argsz = RTE_MAX(probe.argsz, (uint32_t)sizeof(*info));
	info->index = index;
	if (ioctl(vfio_pci_fd(&inner->dev), VFIO_DEVICE_GET_REGION_INFO, info) < 0) {
		free(info);
		return NULL;
	}
	return info;
}

/** Find a capability of a region, of at least len bytes; no chain leads out or in a circle. */
static const void *
region_cap(const struct vfio_region_info *info, uint16_t id, size_t len)
{
	const struct vfio_info_cap_header *cap;
	uint32_t at, before = 0;

	if ((info->flags & VFIO_REGION_INFO_FLAG_CAPS) == 0)
		return NULL;
	for (at = info->cap_offset; at > before; before = at, at = cap->next) {
		if (at > info->argsz - sizeof(*cap) || info->argsz < sizeof(*cap))
			return NULL;
		cap = RTE_PTR_ADD(info, at);
		if (cap->id == id)
			return len <= info->argsz - at ? cap : NULL;
	}
	return NULL;
}

int
vfio_pci_regions_read(struct vfio_pci_inner *inner, unsigned int n_regions)
{
	unsigned int i;

	for (i = 0; i < RTE_MIN(n_regions, RTE_DIM(inner->region)); i++) {
		struct vfio_region_info info = {.argsz = sizeof(info), .index = i};

		inner->region[i] = (struct vfio_pci_region){0};
		if (ioctl(vfio_pci_fd(&inner->dev), VFIO_DEVICE_GET_REGION_INFO, &info) < 0) {
			/* The VGA region, for one, is there only for VGA devices. */
			if (i > VFIO_PCI_BAR5_REGION_INDEX && i != VFIO_PCI_CONFIG_REGION_INDEX)
				continue;
			return VFIO_PCI_FAIL(errno, "%s: VFIO does not describe region %u: %s",
				inner->dev.name, i, strerror(errno));
		}
		inner->region[i] = (struct vfio_pci_region){
			.offset = info.offset, .len = info.size, .flags = info.flags};
	}
	return 0;
}

static bool
in_region(const struct vfio_pci_region *region, size_t len, uint64_t off)
{
	return len <= region->len && off <= region->len - len;
}

int
vfio_pci_region_read(
	const struct vfio_pci_inner *inner, unsigned int index, void *buf, size_t len, uint64_t off)
{
	const struct vfio_pci_region *region = &inner->region[index];

	if (!in_region(region, len, off))
		return -EINVAL;
	if (pread(vfio_pci_fd(&inner->dev), buf, len, region->offset + off) != (ssize_t)len)
		return VFIO_PCI_FAIL(EIO,
			"%s: region %u cannot be read at 0x%" PRIx64 "; is the device still there?",
			inner->dev.name, index, off);
	return 0;
}

int
vfio_pci_region_write(const struct vfio_pci_inner *inner, unsigned int index, const void *buf,
	size_t len, uint64_t off)
{
	const struct vfio_pci_region *region = &inner->region[index];

	if (!in_region(region, len, off))
		return -EINVAL;
	if (pwrite(vfio_pci_fd(&inner->dev), buf, len, region->offset + off) != (ssize_t)len)
		return VFIO_PCI_FAIL(EIO,
			"%s: region %u cannot be written at 0x%" PRIx64
			"; is the device still there?",
			inner->dev.name, index, off);
	return 0;
}

int
vfio_pci_bar_read(
	const struct vfio_pci_device *dev, unsigned int bar, void *buf, size_t len, uint64_t off)
{
	if (bar >= VFIO_PCI_MAX_BARS)
		return -EINVAL;
	return vfio_pci_region_read(vfio_pci_inner(dev), bar, buf, len, off);
}

int
vfio_pci_bar_write(const struct vfio_pci_device *dev, unsigned int bar, const void *buf, size_t len,
	uint64_t off)
{
	if (bar >= VFIO_PCI_MAX_BARS)
		return -EINVAL;
	return vfio_pci_region_write(vfio_pci_inner(dev), bar, buf, len, off);
}

static uint64_t
page_size(void)
{
	return sysconf(_SC_PAGESIZE);
}

/** Copy the kernel's list of mappable areas, if it has one. */
static unsigned int
sparse_areas(const struct vfio_region_info *info, struct vfio_pci_area *out)
{
	const struct vfio_region_info_cap_sparse_mmap *cap;
	unsigned int i, n = 0;

	cap = region_cap(info, VFIO_REGION_INFO_CAP_SPARSE_MMAP, sizeof(*cap));
	if (cap == NULL)
		return 0;
	for (i = 0; i < cap->nr_areas && n < MAX_AREAS; i++) {
		if ((const uint8_t *)&cap->areas[i + 1] > (const uint8_t *)info + info->argsz)
			break;
		if (cap->areas[i].size != 0 &&
			cap->areas[i].offset <= UINT64_MAX - cap->areas[i].size)
			out[n++] = (struct vfio_pci_area){.start = cap->areas[i].offset,
				.last = cap->areas[i].offset + cap->areas[i].size - 1};
	}
	return n;
}

/** What of a BAR is to be mapped. */
static int
bar_areas(
	const struct vfio_pci_inner *inner, unsigned int bar, struct vfio_pci_area areas[MAX_AREAS])
{
	struct vfio_pci_bar_shape shape = {.len = inner->region[bar].len, .page = page_size()};
	struct vfio_pci_area sparse[MAX_AREAS];
	struct vfio_region_info *info;
	unsigned int table_bar;
	int rc;

	rc = vfio_pci_msix_table(&inner->dev, &table_bar, &shape.table);
	if (rc < 0)
		return VFIO_PCI_FAIL(-rc, "%s: its list of capabilities is broken: %s",
			inner->dev.name, strerror(-rc));
	shape.has_table = rc > 0 && table_bar == bar;
	info = region_info(inner, bar);
	if (info == NULL)
		return VFIO_PCI_FAIL(
			EIO, "%s: VFIO does not describe BAR %u", inner->dev.name, bar);
	shape.table_mappable = region_cap(info, VFIO_REGION_INFO_CAP_MSIX_MAPPABLE,
				       sizeof(struct vfio_info_cap_header)) != NULL;
	shape.n_sparse = sparse_areas(info, sparse);
	shape.sparse = sparse;
	free(info);
	return vfio_pci_bar_areas(&shape, areas, MAX_AREAS);
}

/** Map one BAR: address space for all of it, then the areas in it. */
static int
bar_map(struct vfio_pci_inner *inner, unsigned int bar)
{
	const struct vfio_pci_region *region = &inner->region[bar];
	struct vfio_pci_area areas[MAX_AREAS];
	size_t len = RTE_ALIGN_MUL_CEIL(region->len, page_size());
	uint8_t *base;
	int i, n, rc, prot = 0;

	n = bar_areas(inner, bar, areas);
	if (n <= 0)
		return n;
	base = mmap(NULL, len, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (base == MAP_FAILED)
		return VFIO_PCI_FAIL(
			ENOMEM, "%s: no address space for BAR %u", inner->dev.name, bar);
	if ((region->flags & VFIO_REGION_INFO_FLAG_READ) != 0)
		prot |= PROT_READ;
	if ((region->flags & VFIO_REGION_INFO_FLAG_WRITE) != 0)
		prot |= PROT_WRITE;
	for (i = 0; i < n; i++) {
		if (mmap(base + areas[i].start, areas[i].last - areas[i].start + 1, prot,
			    MAP_SHARED | MAP_FIXED, vfio_pci_fd(&inner->dev),
			    region->offset + areas[i].start) == MAP_FAILED) {
			rc = -errno;
			munmap(base, len);
			return VFIO_PCI_FAIL(-rc, "%s: BAR %u cannot be mapped: %s",
				inner->dev.name, bar, strerror(-rc));
		}
	}
	inner->dev.bar[bar].addr = base;
	return 0;
}

int
vfio_pci_bars_map(struct vfio_pci_inner *inner)
{
	unsigned int bar;
	int rc;

	for (bar = 0; bar < VFIO_PCI_MAX_BARS; bar++) {
		inner->dev.bar[bar] = (struct vfio_pci_bar){.len = inner->region[bar].len};
		if (inner->region[bar].len == 0 ||
			(inner->region[bar].flags & VFIO_REGION_INFO_FLAG_MMAP) == 0)
			continue;
		rc = bar_map(inner, bar);
		if (rc < 0) {
			vfio_pci_bars_unmap(inner);
			return rc;
		}
	}
	return 0;
}

void
vfio_pci_bars_unmap(struct vfio_pci_inner *inner)
{
	struct vfio_pci_bar *bar;
	unsigned int i;

	for (i = 0; i < VFIO_PCI_MAX_BARS; i++) {
		bar = &inner->dev.bar[i];
		if (bar->addr != NULL)
			munmap((void *)(uintptr_t)bar->addr,
				RTE_ALIGN_MUL_CEIL(bar->len, page_size()));
		*bar = (struct vfio_pci_bar){0};
	}
}

/**
 * A device that is gone or powered down answers no reads; on the bus that would be all ones. Give
 * the page that was touched just that, so that the poll loop goes on until the application hears of
 * the removal. Called by the EAL's SIGBUS handler (rte_dev_hotplug_handle_enable()), hence nothing
 * but a system call and a loop.
 */
static int
bar_give_ones(uint8_t *page)
{
	if (mmap(page, page_size(), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED,
		    -1, 0) == MAP_FAILED)
		return -1;
	memset(page, 0xff, page_size());
	return 0;
}

int
vfio_pci_sigbus(const void *addr)
{
	const struct vfio_pci_device *dev;
	uintptr_t at = (uintptr_t)addr, start;
	unsigned int i;

	TAILQ_FOREACH(dev, &vfio_pci_bus.devices, next) {
		for (i = 0; i < VFIO_PCI_MAX_BARS; i++) {
			start = (uintptr_t)dev->bar[i].addr;
			if (start != 0 && at >= start && at - start < dev->bar[i].len)
				return bar_give_ones((uint8_t *)(at - at % page_size()));
		}
	}
	return 1;
}
