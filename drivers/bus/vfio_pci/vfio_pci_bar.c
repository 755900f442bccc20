/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * A device's BARs, mapped into this process.
 *
 * A BAR is mapped as a whole, except for the pages of the MSI-X table, which the kernel does not
 * let a process map. Address space is reserved for these pages, and an access raises SIGSEGV.
 * Called by vfio_pci_dev.c when a device is opened and closed, by the EAL's SIGBUS handler, and by
 * drivers that share a BAR with a secondary process. Drivers read and write BARs at any time.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <rte_common.h>

#include "vfio_pci_private.h"

/* VFIO lists two areas at the most, around one hole (the MSI-X table). */
#define MAX_AREAS VFIO_PCI_BAR_AREAS

/** Append the whole pages of an area that can be mapped. @return the new number of areas */
static unsigned int
areas_add(const struct vfio_pci_bar_shape *shape, uint64_t start, uint64_t last,
	struct vfio_pci_area *out, unsigned int n, unsigned int max)
{
	uint64_t end_page = RTE_ALIGN_MUL_CEIL(shape->len, shape->page);

	if (start > last || start >= shape->len || n == max)
		return n;
	/* The last page counts as whole: VFIO maps it only if no other BAR shares it. */
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
 * PCI Local Bus 3.0, 6.8.2: no register shares an aligned 4 KiB with an MSI-X table. With pages of
 * 4 KiB, no register is lost by mapping around it. On larger pages registers can be beside it, so
 * the page is mapped if the kernel allows it.
 */
static bool
shape_omits_table(const struct vfio_pci_bar_shape *shape)
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
		if (!shape_omits_table(shape) || shape->table.last < in[i].start ||
			shape->table.start > in[i].last) {
			n = areas_add(shape, in[i].start, in[i].last, out, n, max);
			continue;
		}
		if (shape->table.start > in[i].start)
			n = areas_add(shape, in[i].start, shape->table.start - 1, out, n, max);
		if (shape->table.last < in[i].last)
			n = areas_add(shape, shape->table.last + 1, in[i].last, out, n, max);
	}
	return n;
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
bar_page_size(void)
{
	return sysconf(_SC_PAGESIZE);
}

/** Copy the kernel's list of mappable areas. @return its length; 0: no list */
static unsigned int
region_sparse_areas(const struct vfio_region_info *info, struct vfio_pci_area *out)
{
	const struct vfio_region_info_cap_sparse_mmap *cap;
	unsigned int i, n = 0;

	cap = vfio_pci_region_cap(info, VFIO_REGION_INFO_CAP_SPARSE_MMAP, sizeof(*cap));
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

/** Get the areas of a BAR to map. @return how many; negative errno, after one log line */
static int
bar_areas(
	const struct vfio_pci_inner *inner, unsigned int bar, struct vfio_pci_area areas[MAX_AREAS])
{
	struct vfio_pci_bar_shape shape = {.len = inner->region[bar].len, .page = bar_page_size()};
	struct vfio_pci_area sparse[MAX_AREAS];
	struct vfio_region_info *info;
	unsigned int table_bar;
	int rc;

	rc = vfio_pci_msix_table(&inner->dev, &table_bar, &shape.table);
	if (rc < 0)
		return VFIO_PCI_FAIL(
			-rc, "%s: invalid PCI capability list: %s", inner->dev.name, strerror(-rc));
	shape.has_table = rc > 0 && table_bar == bar;
	info = vfio_pci_region_info(inner, bar);
	if (info == NULL)
		return VFIO_PCI_FAIL(EIO, "%s: VFIO_DEVICE_GET_REGION_INFO failed for BAR %u",
			inner->dev.name, bar);
	shape.table_mappable = vfio_pci_region_cap(info, VFIO_REGION_INFO_CAP_MSIX_MAPPABLE,
				       sizeof(struct vfio_info_cap_header)) != NULL;
	shape.n_sparse = region_sparse_areas(info, sparse);
	shape.sparse = sparse;
	free(info);
	return vfio_pci_bar_areas(&shape, areas, MAX_AREAS);
}

/** Change the place of a BAR, which the SIGBUS handler reads. */
static void
bar_set(struct vfio_pci_inner *inner, unsigned int bar, struct vfio_pci_bar place)
{
	vfio_pci_list_lock();
	inner->dev.bar[bar] = place;
	vfio_pci_list_unlock();
}

int
vfio_pci_bar_describe(
	const struct vfio_pci_device *dev, unsigned int bar, struct vfio_pci_bar_map *map)
{
	const struct vfio_pci_inner *inner = vfio_pci_inner(dev);
	const struct vfio_pci_region *region;
	int n;

	if (bar >= VFIO_PCI_MAX_BARS)
		return -EINVAL;
	region = &inner->region[bar];
	if (region->len == 0 || (region->flags & VFIO_REGION_INFO_FLAG_MMAP) == 0)
		return -ENOTSUP;
	memset(map, 0, sizeof(*map));
	n = bar_areas(inner, bar, map->area);
	if (n < 0)
		return n;
	map->len = region->len;
	map->offset = region->offset;
	map->n_areas = n;
	if ((region->flags & VFIO_REGION_INFO_FLAG_READ) != 0)
		map->prot |= PROT_READ;
	if ((region->flags & VFIO_REGION_INFO_FLAG_WRITE) != 0)
		map->prot |= PROT_WRITE;
	return n > 0 ? 0 : -ENOTSUP;
}

/** Map areas of a BAR at base, in place of what is there. @return 0, or a negative errno, logged */
static int
bar_map_areas(const struct vfio_pci_device *dev, unsigned int bar, uint8_t *base,
	const struct vfio_pci_bar_map *map, int fd)
{
	unsigned int i;

	for (i = 0; i < map->n_areas; i++) {
		const struct vfio_pci_area *area = &map->area[i];

		if (mmap(base + area->start, area->last - area->start + 1, map->prot,
			    MAP_SHARED | MAP_FIXED, fd, map->offset + area->start) == MAP_FAILED)
			return VFIO_PCI_FAIL(errno, "%s: BAR %u cannot be mapped: %s", dev->name,
				bar, strerror(errno));
	}
	return 0;
}

/** Map one BAR: reserve address space for all of it, then map the areas in it. */
static int
bar_map(struct vfio_pci_device *dev, unsigned int bar, const struct vfio_pci_bar_map *map, int fd)
{
	size_t len = RTE_ALIGN_MUL_CEIL(map->len, bar_page_size());
	uint8_t *base;
	int rc;

	base = mmap(NULL, len, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (base == MAP_FAILED)
		return VFIO_PCI_FAIL(ENOMEM, "%s: no address space for BAR %u", dev->name, bar);
	rc = bar_map_areas(dev, bar, base, map, fd);
	if (rc < 0) {
		munmap(base, len);
		return rc;
	}
	bar_set(vfio_pci_inner(dev), bar, (struct vfio_pci_bar){.addr = base, .len = map->len});
	return 0;
}

int
vfio_pci_bars_restore(struct vfio_pci_inner *inner)
{
	struct vfio_pci_bar_map map;
	unsigned int bar;
	int rc;

	if (!__atomic_exchange_n(&inner->bars_replaced, false, __ATOMIC_ACQ_REL))
		return 0;
	for (bar = 0; bar < VFIO_PCI_MAX_BARS; bar++) {
		uint8_t *base = (uint8_t *)(uintptr_t)inner->dev.bar[bar].addr;

		if (base == NULL)
			continue;
		rc = vfio_pci_bar_describe(&inner->dev, bar, &map);
		if (rc == 0)
			rc = bar_map_areas(&inner->dev, bar, base, &map, vfio_pci_fd(&inner->dev));
		if (rc < 0) {
			__atomic_store_n(&inner->bars_replaced, true, __ATOMIC_RELEASE);
			return rc;
		}
	}
	return 0;
}

int
vfio_pci_bars_map(struct vfio_pci_inner *inner)
{
	struct vfio_pci_bar_map map;
	unsigned int bar;
	int rc;

	inner->bars_replaced = false;
	for (bar = 0; bar < VFIO_PCI_MAX_BARS; bar++) {
		bar_set(inner, bar, (struct vfio_pci_bar){.len = inner->region[bar].len});
		rc = vfio_pci_bar_describe(&inner->dev, bar, &map);
		if (rc == -ENOTSUP)
			continue;
		if (rc == 0)
			rc = bar_map(&inner->dev, bar, &map, vfio_pci_fd(&inner->dev));
		if (rc < 0) {
			vfio_pci_bars_unmap(inner);
			return rc;
		}
	}
	return 0;
}

int
vfio_pci_bar_import(
	struct vfio_pci_device *dev, unsigned int bar, const struct vfio_pci_bar_map *map, int fd)
{
	if (bar >= VFIO_PCI_MAX_BARS || map->n_areas > MAX_AREAS || fd < 0)
		return -EINVAL;
	if (dev->dma != NULL || dev->bar[bar].addr != NULL)
		return -EEXIST;
	return bar_map(dev, bar, map, fd);
}

/**
 * The SIGBUS handler forgets the BAR first: it would put its page over memory that has taken the
 * place of the BAR.
 */
void
vfio_pci_bars_unmap(struct vfio_pci_inner *inner)
{
	struct vfio_pci_bar was;
	unsigned int i;

	for (i = 0; i < VFIO_PCI_MAX_BARS; i++) {
		was = inner->dev.bar[i];
		bar_set(inner, i, (struct vfio_pci_bar){0});
		if (was.addr != NULL)
			munmap((void *)(uintptr_t)was.addr,
				RTE_ALIGN_MUL_CEIL(was.len, bar_page_size()));
	}
}

void
vfio_pci_bars_drop(struct vfio_pci_device *dev)
{
	/* A device that this process has opened keeps its BARs until it is closed. */
	if (dev->dma == NULL)
		vfio_pci_bars_unmap(vfio_pci_inner(dev));
}

/**
 * Replace a page by one that reads as all ones, as the registers of a removed or powered-down PCI
 * device do. The poll loop then goes on until the application is notified of the removal. The page
 * is filled before it takes its place, so no other thread reads zeros meanwhile. Called in the
 * EAL's SIGBUS handler (rte_dev_hotplug_handle_enable()): only system calls and memset().
 */
static int
bar_page_fill_ones(uint8_t *page)
{
	const size_t len = bar_page_size();
	void *ones;

	ones = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (ones == MAP_FAILED)
		return -1;
	memset(ones, 0xff, len);
	if (mremap(ones, len, len, MREMAP_MAYMOVE | MREMAP_FIXED, page) != MAP_FAILED)
		return 0;
	munmap(ones, len);
	return -1;
}

int
vfio_pci_bars_sigbus(struct vfio_pci_device *dev, const void *addr)
{
	uintptr_t at = (uintptr_t)addr, start;
	unsigned int i;

	for (i = 0; i < VFIO_PCI_MAX_BARS; i++) {
		start = (uintptr_t)dev->bar[i].addr;
		if (start == 0 || at < start || at - start >= dev->bar[i].len)
			continue;
		__atomic_store_n(&vfio_pci_inner(dev)->bars_replaced, true, __ATOMIC_RELEASE);
		return bar_page_fill_ones((uint8_t *)(at - at % bar_page_size()));
	}
	return 1;
}
