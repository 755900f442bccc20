/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Checks of `why` that use the device: attach, map entries, ranges, and a map with its unmap, all
 * by libdmamap, so they meet what a program meets. See why.h.
 */

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <linux/mman.h>

#include "why.h"

/** IOVAs that are suggested are multiples of this, as hugepages need it. */
#define SUGGEST_ALIGN (UINT64_C(2) << 20)

#define RANGE "0x%" PRIx64 "-0x%" PRIx64

static uint64_t
last_of(const struct info_options *o)
{
	return o->iova + o->length - 1;
}

/* Attach */

static const char *
backend_module(const struct why *w)
{
	return w->backend == DMAMAP_BACKEND_IOMMUFD ? "iommufd" : "vfio_iommu_type1";
}

/** Whether the kernel refuses IOMMUs that do not isolate interrupts. */
static bool
interrupts_are_checked(const struct why *w)
{
	char line[16];

	return info_line(w->host, line, sizeof(line),
		       "/sys/module/%s/parameters/allow_unsafe_interrupts",
		       backend_module(w)) == 0 &&
		line[0] == 'N';
}

static bool
attach_failed(struct why *w, int rc)
{
	char group[INFO_NAME_MAX];
	const char *files[] = {w->files[1], group};

	info_node(w->host, group, "/dev/vfio/%d", w->dev.group);
	if (rc == -EBUSY)
		return why_held(w, files, 2);
	if (rc == -EPERM && strstr(w->domain.said, "interrupts") != NULL &&
		interrupts_are_checked(w)) {
		why_command(w, "echo 1 >/sys/module/%s/parameters/allow_unsafe_interrupts",
			backend_module(w));
		why_note(w,
			"only if every device can be trusted: better switch on interrupt"
			" remapping in the firmware");
		return why_fails(w, "this platform does not isolate interrupts of devices");
	}
	why_command(w, "dmesg | tail");
	return why_fails(w, "%s", w->domain.said);
}

bool
why_attach(struct why *w)
{
	int rc = info_domain_open(&w->domain, w->host, w->dev.address, w->backend);

	if (rc < 0)
		return attach_failed(w, rc);
	if (w->want->dma_mask != 0)
		dmamap_device_dma_mask(w->domain.dev, w->want->dma_mask);
	return why_passes(w, "attached by %s", info_backend_name(w->backend));
}

/* Entries */

bool
why_entries(struct why *w)
{
	const uint64_t maps = w->want->maps;
	struct dmamap_container_info info;

	dmamap_container_info(w->domain.c, &info);
	if (info.entries_left == UINT64_MAX)
		return why_passes(w, "no known limit");
	if (info.entries_left >= maps)
		return why_passes(w, "%" PRIu64 " left", info.entries_left);
	why_command(w, "echo %" PRIu64 " >/sys/module/vfio_iommu_type1/parameters/dma_entry_limit",
		maps);
	why_note(w,
		"for good: options vfio_iommu_type1 dma_entry_limit=%" PRIu64
		" in /etc/modprobe.d/vfio.conf",
		maps);
	return why_fails(w,
		"a container has %" PRIu64 " map entries left, and %" PRIu64
		" are wanted (dma_entry_limit of vfio_iommu_type1)",
		info.entries_left, maps);
}

/* Ranges */

/** The first IOVA where the wanted length fits. */
static bool
range_suggest(const struct why *w, dmamap_iova_t *iova)
{
	const size_t len = (w->want->length + 4095) & ~UINT64_C(4095);
	int rc = dmamap_iova_reserve(w->domain.c, len, SUGGEST_ALIGN, DMAMAP_ANYWHERE, iova);

	if (rc == 0)
		dmamap_iova_release(w->domain.c, *iova, len);
	return rc == 0;
}

/** The command of a range that does not fit: the same with a range that does. */
static void
range_command(struct why *w)
{
	char backend[32] = "", mask[32] = "";
	dmamap_iova_t iova;

	if (!range_suggest(w, &iova)) {
		why_command(w, "map less than %s, or use a device whose IOMMU translates more",
			info_size(w->want->length));
		return;
	}
	if (w->want->backend != DMAMAP_BACKEND_AUTO)
		snprintf(backend, sizeof(backend), " --backend=%s", info_backend_name(w->backend));
	if (w->want->dma_mask != 0)
		snprintf(mask, sizeof(mask), " --dma-mask=%u", w->want->dma_mask);
	why_command(w, "gantry-info why %s --iova=0x%" PRIx64 " --length=%" PRIu64 "%s%s%s",
		w->dev.address, iova, w->want->length, backend, mask,
		w->want->no_huge ? " --no-huge" : "");
	why_note(w,
		"let the program use IOVAs from 0x%" PRIx64
		" on: a DPDK program does with --base-virtaddr=0x%" PRIx64,
		iova, iova);
}

/** The usable ranges as text. */
static const char *
usable_text(const struct why *w, char *text)
{
	struct dmamap_container_info info;
	unsigned int i;
	size_t len = 0;

	dmamap_container_info(w->domain.c, &info);
	text[0] = '\0';
	for (i = 0; i < info.n_ranges && i < sizeof(info.ranges) / sizeof(info.ranges[0]) &&
		len < INFO_TEXT_MAX / 2;
		i++)
		len += (size_t)snprintf(text + len, INFO_TEXT_MAX / 2 - len, "%s" RANGE,
			i > 0 ? ", " : "", info.ranges[i].start, info.ranges[i].last);
	return len > 0 ? text : "none";
}

/** The first range that the wanted one meets: of the aperture, or of the others. */
static bool
range_meets(const struct why *w, bool aperture, struct dmamap_reserved *met)
{
	int i, n = dmamap_reserved(w->domain.c, NULL, 0);
	struct dmamap_reserved *all = n > 0 ? calloc((size_t)n, sizeof(*all)) : NULL;
	bool found = false;

	n = all != NULL ? dmamap_reserved(w->domain.c, all, (unsigned int)n) : 0;
	for (i = 0; i < n && !found; i++) {
		*met = all[i];
		found = (all[i].type == DMAMAP_RESERVED_APERTURE) == aperture &&
			all[i].range.start <= last_of(w->want) &&
			all[i].range.last >= w->want->iova;
	}
	free(all);
	return found;
}

bool
why_aperture(struct why *w)
{
	const struct info_options *o = w->want;
	char text[INFO_TEXT_MAX / 2];
	struct dmamap_reserved met;
	const char *usable = usable_text(w, text);

	if (strcmp(usable, "none") == 0) {
		why_command(w, "gantry-info device %s", w->dev.address);
		return why_fails(w, "no IOVA is usable: all that its IOMMU translates is reserved");
	}
	if (!o->has_iova)
		return why_passes(w, "%s", usable);
	if (o->dma_mask != 0 && o->dma_mask < 64 && last_of(o) >> o->dma_mask != 0) {
		range_command(w);
		return why_fails(w, RANGE " is beyond the %u bits that the device reaches", o->iova,
			last_of(o), o->dma_mask);
	}
	/* Linux leaves reserved ranges out of what it says that it translates. */
	if (!range_meets(w, true, &met) || range_meets(w, false, &met))
		return why_passes(w, "%s", usable);
	range_command(w);
	return why_fails(w, RANGE " is outside what its IOMMU translates: usable are %s", o->iova,
		last_of(o), usable);
}

bool
why_reserved(struct why *w)
{
	const struct info_options *o = w->want;
	struct dmamap_reserved met;

	if (!o->has_iova)
		return why_passes(w, "no range is asked for (--iova)");
	if (!range_meets(w, false, &met))
		return why_passes(w, RANGE " meets none", o->iova, last_of(o));
	range_command(w);
	return why_fails(w, RANGE " meets " RANGE " (%s), reserved by %s", o->iova, last_of(o),
		met.range.start, met.range.last, info_reserved_name(met.type), met.owner);
}

/* Map */

/** Memory for the test: pages of this size; base pages are not populated. MAP_FAILED: none. */
static void *
memory_get(size_t len, uint64_t huge)
{
	const int shift = huge != 0 ? __builtin_ctzll(huge) : 0;
	/* Without an IOMMU a page has to be there. A population that fails raises no signal. */
	const int flags = huge != 0 ? MAP_HUGETLB | MAP_POPULATE | shift << MAP_HUGE_SHIFT : 0;

	return mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0);
}

/** Map and unmap. @return 0; -errno, and w->domain.said tells why */
static int
map_once(struct why *w, void *va, size_t len, dmamap_iova_t *iova, uint32_t flags)
{
	int rc;

	w->domain.said[0] = '\0';
	rc = dmamap_map(w->domain.c, va, len, DMAMAP_RW | flags, iova);
	if (rc == 0)
		rc = dmamap_unmap(w->domain.c, *iova, len);
	return rc;
}

/** A page of each size that has a free one, to `text`. @return 0, or the error of a map */
static int
map_hugepages(struct why *w, char *text)
{
	json_t *sizes = info_list(w->host, "/sys/kernel/mm/hugepages"), *one;
	dmamap_iova_t iova;
	uint64_t kib, total;
	size_t i, len = 0;
	void *va;
	int rc = 0;

	text[0] = '\0';
	json_array_foreach(sizes, i, one) {
		if (rc < 0 ||
			sscanf(json_string_value(one), "hugepages-%" SCNu64 "kB", &kib) != 1 ||
			info_hugepages_free(w->host, kib << 10, &total) == 0)
			continue;
		va = memory_get(kib << 10, kib << 10);
		if (va == MAP_FAILED)
			continue;
		rc = map_once(w, va, kib << 10, &iova, 0);
		munmap(va, kib << 10);
		len += (size_t)snprintf(
			text + len, 128 - len, ", and a page of %s", info_size(kib << 10));
		if (len >= 128)
			break;
	}
	json_decref(sizes);
	return rc;
}

/** The wanted length in base pages, at the wanted IOVA or anywhere. */
static int
map_base(struct why *w, dmamap_iova_t *iova)
{
	struct dmamap_container_info info;
	uint64_t page;
	size_t len;
	char *va;
	int rc;

	dmamap_container_info(w->domain.c, &info);
	page = info.page_sizes & -info.page_sizes;
	page = page < 4096 ? 4096 : page;
	len = (w->want->length + page - 1) & ~(page - 1);
	/* The address has to be a multiple of the IOMMU's page, too. */
	va = memory_get(len + page, 0);
	if (va == MAP_FAILED)
		return -ENOMEM;
	*iova = w->want->iova;
	rc = map_once(w, (void *)(((uintptr_t)va + page - 1) & ~(uintptr_t)(page - 1)), len, iova,
		w->want->has_iova ? DMAMAP_FIXED : 0);
	munmap(va, len + page);
	return rc;
}

bool
why_map(struct why *w)
{
	char pages[128] = "";
	dmamap_iova_t iova = 0;
	int rc = 0;

	/* Without an IOMMU only hugepages stay where they are. */
	if (w->backend != DMAMAP_BACKEND_NOIOMMU)
		rc = map_base(w, &iova);
	if (rc == 0 && !w->want->no_huge)
		rc = map_hugepages(w, pages);
	if (rc < 0) {
		why_command(w, "dmesg | tail");
		return why_fails(w, "the test map fails: %s",
			w->domain.said[0] != '\0' ? w->domain.said : strerror(-rc));
	}
	if (w->backend == DMAMAP_BACKEND_NOIOMMU)
		return why_passes(w, "attached without an IOMMU%s; all unmapped again", pages);
	return why_passes(w, "%s mapped at 0x%" PRIx64 " by %s%s; all unmapped again",
		info_size(w->want->length), iova, info_backend_name(w->backend), pages);
}
