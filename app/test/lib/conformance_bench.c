/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Bench for the conformance facts. See conformance_bench.h.
 */

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include <rte_common.h>

#include "conformance_bench.h"

const struct kernel *k;
uint8_t *memory;
static int open_fds[128];
static unsigned int n_open_fds;
static char seen_text[1024];

/* Record of answers */

void
seen(const char *fmt, ...)
{
	size_t used = strlen(seen_text);
	va_list ap;

	if (used != 0 && used < sizeof(seen_text) - 2) {
		strcat(seen_text, "; ");
		used += 2;
	}
	va_start(ap, fmt);
	vsnprintf(seen_text + used, sizeof(seen_text) - used, fmt, ap);
	va_end(ap);
}

const char *
answer_name(int rc)
{
	static char number[16];

	if (rc < 0 && strerrorname_np(-rc) != NULL)
		return strerrorname_np(-rc);
	snprintf(number, sizeof(number), "%d", rc);
	return number;
}

bool
accepted(const char *what, int got, const int *list, int line)
{
	unsigned int i;

	for (i = 0; list[i] != NOTHING; i++) {
		if (list[i] != got)
			continue;
		if (list[1] != NOTHING)
			seen("%s: %s", what, answer_name(got));
		return true;
	}
	printf("  line %d: %s: got %s, expected %s%s\n", line, what, answer_name(got),
		answer_name(list[0]), list[1] != NOTHING ? " or another" : "");
	return false;
}

/* Calls. Files that a case leaves open are closed after it. */

static int
remember(int fd)
{
	if (fd >= 0 && n_open_fds < RTE_DIM(open_fds))
		open_fds[n_open_fds++] = fd;
	return fd;
}

int
k_open(const char *path)
{
	return remember(k->open(path));
}

int
k_open_group(const struct place *place)
{
	char path[64];

	snprintf(path, sizeof(path), "/dev/vfio/%s%d", place->noiommu ? "noiommu-" : "",
		place->group);
	return k_open(path);
}

void
k_close(int fd)
{
	unsigned int i;

	for (i = 0; i < n_open_fds; i++)
		if (open_fds[i] == fd)
			open_fds[i] = open_fds[--n_open_fds];
	k->close(fd);
}

int
k_device(int group, const char *name)
{
	return remember(k->ioctl(group, VFIO_GROUP_GET_DEVICE_FD, (unsigned long)name));
}

int
k_set_container(int group, int container)
{
	return k->ioctl(group, VFIO_GROUP_SET_CONTAINER, (unsigned long)&container);
}

int
k_unset_container(int group)
{
	return k->ioctl(group, VFIO_GROUP_UNSET_CONTAINER, 0);
}

int
k_map_at(int c, uint64_t iova, uint64_t va, uint64_t size, uint32_t flags)
{
	struct vfio_iommu_type1_dma_map map = {
		.argsz = sizeof(map), .flags = flags, .vaddr = va, .iova = iova, .size = size};

	return k->ioctl(c, VFIO_IOMMU_MAP_DMA, (unsigned long)&map);
}

int
k_map(int c, uint64_t iova, unsigned int page, unsigned int pages)
{
	return k_map_at(c, iova, (uintptr_t)memory + page * PAGE, (uint64_t)pages * PAGE, RW);
}

int
k_unmap(int c, uint64_t iova, uint64_t size, uint32_t flags, uint64_t *done)
{
	struct vfio_iommu_type1_dma_unmap unmap = {
		.argsz = sizeof(unmap), .flags = flags, .iova = iova, .size = size};
	int rc = k->ioctl(c, VFIO_IOMMU_UNMAP_DMA, (unsigned long)&unmap);

	*done = rc == 0 ? unmap.size : 0;
	return rc;
}

/** Walk the capabilities of an answer; the chain must end inside it. */
static bool
read_caps(const struct vfio_iommu_type1_info *info, struct facts *f)
{
	uint32_t at = info->cap_offset, hops = 0, i;

	for (; at != 0 && hops < 64; hops++) {
		const struct vfio_info_cap_header *cap = RTE_PTR_ADD(info, at);
		const struct vfio_iommu_type1_info_cap_iova_range *ranges = (const void *)cap;

		if (at < sizeof(*info) || at + sizeof(*cap) > info->argsz)
			return false;
		if (cap->id == VFIO_IOMMU_TYPE1_INFO_DMA_AVAIL) {
			f->has_avail = true;
			f->avail = ((const struct vfio_iommu_type1_info_dma_avail *)cap)->avail;
		} else if (cap->id == VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE) {
			f->has_ranges = true;
			f->n_ranges = RTE_MIN(ranges->nr_iovas, (uint32_t)RTE_DIM(f->ranges));
			for (i = 0; i < f->n_ranges; i++)
				f->ranges[i] = (struct dmamap_range){
					ranges->iova_ranges[i].start, ranges->iova_ranges[i].end};
		} else if (cap->id == VFIO_IOMMU_TYPE1_INFO_CAP_MIGRATION) {
			f->has_migration = true;
		}
		at = cap->next;
	}
	return at == 0;
}

int
k_info(int c, struct facts *f)
{
	union {
		struct vfio_iommu_type1_info info;
		uint8_t bytes[4096];
	} answer = {.info = {.argsz = sizeof(answer)}};
	int rc = k->ioctl(c, VFIO_IOMMU_GET_INFO, (unsigned long)&answer);

	*f = (struct facts){0};
	if (rc < 0)
		return rc;
	f->page_sizes = answer.info.iova_pgsizes;
	return read_caps(&answer.info, f) ? 0 : -EPROTO;
}

bool
same_facts(const struct facts *a, const struct facts *b)
{
	return a->page_sizes == b->page_sizes && a->avail == b->avail &&
		a->n_ranges == b->n_ranges &&
		memcmp(a->ranges, b->ranges, a->n_ranges * sizeof(a->ranges[0])) == 0;
}

bool
in_ranges(const struct facts *f, uint64_t iova)
{
	unsigned int i;

	for (i = 0; i < f->n_ranges; i++)
		if (iova >= f->ranges[i].start && iova <= f->ranges[i].last)
			return true;
	return false;
}

static uint64_t
smallest_page(const struct facts *f)
{
	return f->page_sizes & -f->page_sizes;
}

/* Places: devices with the property that a fact needs */

static const char *const need_names[N_NEEDS] = {
	[PLAIN] = "that can be attached (GANTRY_DEVICES)",
	[SECOND] = "in a second group of the same IOMMU",
	[OTHER_IOMMU] = "behind another IOMMU",
	[UNVIABLE] = "in a group that is not viable",
	[NOIOMMU] = "in noiommu mode",
	[RESERVED] = "with a reserved range of its own",
	[RELAXABLE] = "with a relaxable reserved range of its own",
	[NARROW] = "whose aperture ends earlier",
	[LATE] = "whose aperture starts later",
	[DISJOINT] = "with a disjoint aperture",
	[NO_RANGE] = "that reserves all of its aperture",
	[NO_MSI] = "whose interrupts are not isolated",
	[BIG_PAGES] = "whose IOMMU has larger pages only",
	[TOP] = "that reaches the last page",
	[TWIN] = "in the group of another",
	[INCOHERENT] = "without enforced coherency, beside one with it",
};

static struct probed places[32];
static unsigned int n_places;

static void
probe_attached(struct probed *p, int container, int group)
{
	struct vfio_group_status status = {.argsz = sizeof(status)};

	if (k->ioctl(group, VFIO_GROUP_GET_STATUS, (unsigned long)&status) == 0)
		p->viable = status.flags & VFIO_GROUP_FLAGS_VIABLE;
	p->rc = k_set_container(group, container);
	if (p->rc == 0)
		p->rc = k->ioctl(container, VFIO_SET_IOMMU, V2);
	if (p->rc != 0)
		return;
	p->coherent = k->ioctl(container, VFIO_CHECK_EXTENSION, VFIO_DMA_CC_IOMMU) == 1;
	p->rc = k_info(container, &p->facts);
}

static void
probe(struct probed *p)
{
	int container, group;

	p->rc = -ENOENT;
	container = k_open("/dev/vfio/vfio");
	if (container < 0)
		return;
	group = k_open_group(&p->place);
	if (group >= 0) {
		probe_attached(p, container, group);
		k_close(group);
	} else {
		p->rc = group;
	}
	k_close(container);
}

static void
probe_all(void)
{
	for (n_places = 0; n_places < RTE_DIM(places); n_places++) {
		places[n_places] = (struct probed){0};
		if (k->device(n_places, &places[n_places].place) < 0)
			break;
		probe(&places[n_places]);
	}
}

static struct dmamap_range
hull(const struct facts *f)
{
	if (f->n_ranges == 0)
		return (struct dmamap_range){0, 0};
	return (struct dmamap_range){f->ranges[0].start, f->ranges[f->n_ranges - 1].last};
}

/** Whether both are alike in all that a container looks at. */
static bool
alike(const struct probed *a, const struct probed *b)
{
	return a->rc == 0 && b->rc == 0 && a->coherent == b->coherent &&
		a->facts.page_sizes == b->facts.page_sizes &&
		a->facts.n_ranges == b->facts.n_ranges &&
		memcmp(a->facts.ranges, b->facts.ranges,
			a->facts.n_ranges * sizeof(a->facts.ranges[0])) == 0;
}

/** Find a range that p reserves and plain can use. */
static bool
has_own_reserved(struct probed *p, const struct probed *plain, bool relaxable)
{
	unsigned int i;

	for (i = 0; i < p->place.n_resv; i++) {
		if ((p->place.resv[i].type == DMAMAP_RESERVED_RELAXABLE) != relaxable)
			continue;
		p->special = p->place.resv[i].range;
		if (in_ranges(&plain->facts, p->special.start) &&
			in_ranges(&plain->facts, p->special.last))
			return true;
	}
	return false;
}

/**
 * Find a page that plain can use and that is outside p's aperture: above its end, or below its
 * start.
 */
static bool
lacks_a_page(struct probed *p, const struct probed *plain, bool behind)
{
	struct dmamap_range narrow = hull(&p->facts);

	if (behind ? narrow.last == UINT64_MAX : narrow.start == 0)
		return false;
	if (behind)
		p->special = (struct dmamap_range){narrow.last + 1, narrow.last + PAGE};
	else
		p->special = (struct dmamap_range){narrow.start - PAGE, narrow.start - 1};
	return in_ranges(&plain->facts, p->special.start) &&
		in_ranges(&plain->facts, p->special.last);
}

static bool
overlap(struct dmamap_range a, struct dmamap_range b)
{
	return a.start <= b.last && b.start <= a.last;
}

static bool
fits(struct probed *p, const struct probed *plain, enum need need)
{
	if (need == NOIOMMU)
		return p->place.noiommu;
	if (p->place.noiommu)
		return false;
	if (need == UNVIABLE)
		return !p->viable && p->rc != -ENOENT;
	if (need == NO_MSI)
		return p->viable && p->rc == -EPERM;
	if (need == NO_RANGE)
		return p->rc == -EINVAL;
	if (p->rc != 0)
		return false;
	if (need == PLAIN)
		return true;
	if (need == TOP)
		return in_ranges(&p->facts, UINT64_MAX);
	if (need == TWIN)
		return plain != NULL && p != plain && plain->place.group == p->place.group;
	if (plain == NULL || plain->place.group == p->place.group)
		return false;
	switch (need) {
	case SECOND:
		return alike(p, plain) && strcmp(p->place.iommu, plain->place.iommu) == 0;
	case OTHER_IOMMU:
		return alike(p, plain) && strcmp(p->place.iommu, plain->place.iommu) != 0;
	case RESERVED:
		return has_own_reserved(p, plain, false);
	case RELAXABLE:
		return has_own_reserved(p, plain, true);
	case NARROW:
	case LATE:
		return overlap(hull(&p->facts), hull(&plain->facts)) &&
			lacks_a_page(p, plain, need == NARROW);
	case DISJOINT:
		return !overlap(hull(&p->facts), hull(&plain->facts));
	case BIG_PAGES:
		return smallest_page(&p->facts) > smallest_page(&plain->facts);
	case INCOHERENT:
		return plain->coherent && !p->coherent;
	default:
		return false;
	}
}

struct probed *
find_place(enum need need)
{
	const struct probed *plain = need == PLAIN ? NULL : find_place(PLAIN);
	unsigned int i;

	for (i = 0; i < n_places; i++)
		if (fits(&places[i], plain, need))
			return &places[i];
	return NULL;
}

int
get_place(enum need need, struct probed **p)
{
	*p = find_place(need);
	if (*p == NULL)
		return test_skip("no device here %s", need_names[need]);
	return TEST_SUCCESS;
}

int
bench_open(struct bench *b, enum need need, unsigned long type)
{
	TRY(get_place(need, &b->at));
	b->c = k_open("/dev/vfio/vfio");
	TEST_ASSERT(b->c >= 0, "container: %s", answer_name(b->c));
	b->g = k_open_group(&b->at->place);
	TEST_ASSERT(b->g >= 0, "group: %s", answer_name(b->g));
	WANT("SET_CONTAINER", k_set_container(b->g, b->c), 0);
	if (type != 0)
		WANT("SET_IOMMU", k->ioctl(b->c, VFIO_SET_IOMMU, type), 0);
	return TEST_SUCCESS;
}

int
open_other(enum need need, struct probed **p, int *group)
{
	TRY(get_place(need, p));
	*group = k_open_group(&(*p)->place);
	TEST_ASSERT(*group >= 0, "group: %s", answer_name(*group));
	return TEST_SUCCESS;
}

/* Cases */

int
bench_setup(int (*begin)(const struct kernel **kernel))
{
	int rc;

	seen_text[0] = '\0';
	k = NULL;
	memory = mmap(NULL, (PAGES + 8) * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
		-1, 0);
	TEST_ASSERT(memory != MAP_FAILED, "mmap");
	TEST_ASSERT_SUCCESS(mprotect(memory + PAGES * PAGE, 8 * PAGE, PROT_NONE), "mprotect");
	rc = begin(&k);
	if (rc != TEST_SUCCESS)
		return rc;
	probe_all();
	return TEST_SUCCESS;
}

void
bench_teardown(void)
{
	while (n_open_fds > 0)
		k->close(open_fds[--n_open_fds]);
	if (memory != NULL)
		munmap(memory, (PAGES + 8) * PAGE);
	memory = NULL;
	if (seen_text[0] != '\0')
		printf("  saw %s\n", seen_text);
}

void
bench_teardown_mock(void)
{
	bench_teardown();
	conformance_mock_end();
}
