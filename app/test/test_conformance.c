/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Conformance suites: each fact of doc/conformance.md is a case, run on the mock, on virtual
 * containers and on Linux alike. Facts 1 to 22 (VFIO type1); facts 23 to 28 are in
 * test_conformance_iommufd.c.
 */

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include <rte_common.h>

#include "conformance_bench.h"

/** Skips facts about maps that reach the kernel at once. */
static int
maps_at_once(void)
{
	return k->defers ? test_skip("maps wait until a device is open") : TEST_SUCCESS;
}

/** Skips facts about entries. */
static int
has_entries(void)
{
	return k->unlimited ? test_skip("this kernel has no limit of entries") : maps_at_once();
}

/** Skips facts about memory that is charged to the process. */
static int
charges_process(void)
{
	return k->charges_user ? test_skip("this kernel charges the user") : maps_at_once();
}

/* Order of calls */

static int
fact_1_before_set_iommu(void)
{
	struct probed *plain;
	struct facts f;
	uint64_t done;
	int c, g;

	TRY(get_place(PLAIN, &plain));
	c = k_open("/dev/vfio/vfio");
	WANT("GET_API_VERSION", k->ioctl(c, VFIO_GET_API_VERSION, 0), VFIO_API_VERSION);
	WANT("v2 is there", k->ioctl(c, VFIO_CHECK_EXTENSION, V2), 1);
	WANT("SET_IOMMU without a group", k->ioctl(c, VFIO_SET_IOMMU, V2), -EINVAL);
	g = k_open_group(&plain->place);
	WANT("SET_CONTAINER", k_set_container(g, c), 0);
	WANT("MAP", k_map(c, IOVA, 0, 1), -EINVAL);
	WANT("UNMAP", k_unmap(c, IOVA, PAGE, 0, &done), -EINVAL);
	WANT("GET_INFO", k_info(c, &f), -EINVAL);
	WANT("SET_IOMMU", k->ioctl(c, VFIO_SET_IOMMU, V2), 0);
	WANT("SET_IOMMU again", k->ioctl(c, VFIO_SET_IOMMU, V2), -EINVAL);
	return TEST_SUCCESS;
}

static int
fact_2_groups_and_containers(void)
{
	struct probed *plain;
	int c, g;

	TRY(get_place(PLAIN, &plain));
	c = k_open("/dev/vfio/vfio");
	g = k_open_group(&plain->place);
	WANT("group opened twice", k_open_group(&plain->place), -EBUSY);
	WANT("SET_CONTAINER on a bad fd", k_set_container(g, 9999), -EBADF);
	WANT("SET_CONTAINER on an fd that is no container", k_set_container(g, g), -EBADFD,
		-EINVAL);
	WANT("SET_CONTAINER", k_set_container(g, c), 0);
	WANT("SET_CONTAINER again", k_set_container(g, c), -EINVAL);
	return TEST_SUCCESS;
}

static int
fact_2_noiommu_does_not_mix(void)
{
	struct probed *unsafe;
	struct bench b;
	int g;

	TRY(open_other(NOIOMMU, &unsafe, &g));
	TRY(bench_open(&b, PLAIN, 0));
	WANT("noiommu joins a real group", k_set_container(g, b.c),
		k->no_container ? -EINVAL : -EPERM);
	return TEST_SUCCESS;
}

static int
fact_3_device_fd(void)
{
	struct bench b;
	int d;

	TRY(bench_open(&b, PLAIN, 0));
	WANT("before SET_IOMMU", k_device(b.g, b.at->place.name), -EINVAL);
	WANT("SET_IOMMU", k->ioctl(b.c, VFIO_SET_IOMMU, V2), 0);
	WANT("unknown device", k_device(b.g, "ffff:ff:1f.7"), -ENODEV);
	d = k_device(b.g, b.at->place.name);
	TEST_ASSERT(d >= 0, "GET_DEVICE_FD: %s", answer_name(d));
	WANT("UNSET_CONTAINER with an open device", k_unset_container(b.g), -EBUSY);
	k_close(d);
	WANT("UNSET_CONTAINER", k_unset_container(b.g), 0);
	WANT("UNSET_CONTAINER when unset", k_unset_container(b.g), -EINVAL);
	WANT("GET_DEVICE_FD without a container", k_device(b.g, b.at->place.name), -EINVAL);
	return TEST_SUCCESS;
}

static int
fact_4_not_viable(void)
{
	struct vfio_group_status status = {.argsz = sizeof(status)};
	struct probed *p;
	int c, g;

	TRY(open_other(UNVIABLE, &p, &g));
	c = k_open("/dev/vfio/vfio");
	WANT("GET_STATUS", k->ioctl(g, VFIO_GROUP_GET_STATUS, (unsigned long)&status), 0);
	WANT("VIABLE", status.flags & VFIO_GROUP_FLAGS_VIABLE, 0);
	WANT("SET_CONTAINER", k_set_container(g, c), -EPERM);
	return TEST_SUCCESS;
}

static int
fact_5_last_group_leaves(void)
{
	uint64_t locked = k->locked(), done;
	struct facts f;
	struct bench b;

	TRY(bench_open(&b, PLAIN, V2));
	WANT("MAP", k_map(b.c, IOVA, 0, 4), 0);
	WANT("UNSET_CONTAINER", k_unset_container(b.g), 0);
	WANT("GET_INFO", k_info(b.c, &f), -EINVAL);
	TEST_ASSERT_EQUAL(k->locked(), locked, "memory stays pinned");
	WANT("SET_CONTAINER", k_set_container(b.g, b.c), 0);
	WANT("GET_INFO before SET_IOMMU", k_info(b.c, &f), -EINVAL);
	WANT("SET_IOMMU", k->ioctl(b.c, VFIO_SET_IOMMU, V2), 0);
	WANT("UNMAP", k_unmap(b.c, IOVA, 4 * PAGE, 0, &done), 0);
	TEST_ASSERT_EQUAL(done, 0, "the map is still there");
	WANT("MAP", k_map(b.c, IOVA, 0, 4), 0);
	return TEST_SUCCESS;
}

static int
fact_5_closing_is_leaving(void)
{
	struct facts f;
	struct bench b;
	int d, rc;

	TRY(bench_open(&b, PLAIN, V2));
	WANT("MAP", k_map(b.c, IOVA, 0, 4), 0);
	d = k_device(b.g, b.at->place.name);
	TEST_ASSERT(d >= 0, "GET_DEVICE_FD: %s", answer_name(d));
	k_close(b.g);
	rc = k_open_group(&b.at->place);
	WANT("group opened while a device is open", rc, -EBUSY);
	WANT("MAP", k_map(b.c, IOVA + 4 * PAGE, 4, 4), 0);
	k_close(d);
	WANT("GET_INFO", k_info(b.c, &f), -EINVAL);
	TEST_ASSERT(k_open_group(&b.at->place) >= 0, "the group stays open");
	return TEST_SUCCESS;
}

/* Attaching a group */

/**
 * An attach is refused with err, and the container is unchanged. Without the map it is accepted.
 */
static int
refused_over_map(enum need need)
{
	struct facts before, after;
	struct probed *p;
	struct bench b;
	uint64_t done;
	int g;

	TRY(open_other(need, &p, &g));
	TRY(bench_open(&b, PLAIN, V2));
	WANT("MAP", k_map(b.c, p->special.start, 0, 1), 0);
	WANT("GET_INFO", k_info(b.c, &before), 0);
	WANT("SET_CONTAINER", k_set_container(g, b.c), -EINVAL);
	WANT("GET_INFO", k_info(b.c, &after), 0);
	TEST_ASSERT(same_facts(&before, &after), "the refused attach changed the container");
	WANT("MAP where the map was", k_map(b.c, p->special.start, 0, 1), -EEXIST);
	WANT("UNMAP", k_unmap(b.c, p->special.start, PAGE, 0, &done), 0);
	TEST_ASSERT_EQUAL(done, PAGE, "the map is gone");
	WANT("SET_CONTAINER without the map", k_set_container(g, b.c), 0);
	WANT("GET_INFO", k_info(b.c, &after), 0);
	TEST_ASSERT(!in_ranges(&after, p->special.start), "the range is still offered");
	WANT("MAP where nothing may be", k_map(b.c, p->special.start, 0, 1), -EINVAL);
	return TEST_SUCCESS;
}

static int
fact_6_map_behind_aperture(void)
{
	return refused_over_map(NARROW);
}

static int
fact_6_map_before_aperture(void)
{
	return refused_over_map(LATE);
}

static int
fact_6_map_over_reserved(void)
{
	return refused_over_map(RESERVED);
}

/** An attach is refused although no map is in the way, and the container is unchanged. */
static int
refused_always(enum need need, int err)
{
	struct facts before, after;
	struct probed *p;
	struct bench b;
	int g;

	TRY(open_other(need, &p, &g));
	TRY(bench_open(&b, PLAIN, V2));
	WANT("MAP", k_map(b.c, IOVA, 0, 1), 0);
	WANT("GET_INFO", k_info(b.c, &before), 0);
	WANT("SET_CONTAINER", k_set_container(g, b.c), err);
	WANT("GET_INFO", k_info(b.c, &after), 0);
	TEST_ASSERT(same_facts(&before, &after), "the refused attach changed the container");
	WANT("MAP where the map was", k_map(b.c, IOVA, 0, 1), -EEXIST);
	return TEST_SUCCESS;
}

static int
fact_6_disjoint_aperture(void)
{
	return refused_always(DISJOINT, -EINVAL);
}

static int
fact_6_no_range_left(void)
{
	return refused_always(NO_RANGE, -EINVAL);
}

static int
fact_6_no_msi_isolation(void)
{
	struct probed *p;
	int c, g;

	TRY(open_other(NO_MSI, &p, &g));
	c = k_open("/dev/vfio/vfio");
	WANT("SET_CONTAINER", k_set_container(g, c), 0);
	WANT("SET_IOMMU", k->ioctl(c, VFIO_SET_IOMMU, V2), -EPERM);
	k_close(g);
	return find_place(PLAIN) != NULL ? refused_always(NO_MSI, -EPERM) : TEST_SUCCESS;
}

static int
fact_6_relaxable_is_no_conflict(void)
{
	struct probed *p;
	struct bench b;
	int g;

	TRY(open_other(RELAXABLE, &p, &g));
	TRY(bench_open(&b, PLAIN, V2));
	WANT("MAP", k_map(b.c, p->special.start, 0, 1), 0);
	WANT("SET_CONTAINER", k_set_container(g, b.c), 0);
	WANT("MAP", k_map(b.c, p->special.start + PAGE, 1, 1), 0);
	return TEST_SUCCESS;
}

static int
fact_6_replay_fails(void)
{
	struct facts before, after;
	struct probed *p;
	struct bench b;
	int g;

	TRY(open_other(OTHER_IOMMU, &p, &g));
	if (k->fail_map_event == NULL)
		return test_skip("this kernel cannot be made to fail a replay");
	TRY(bench_open(&b, PLAIN, V2));
	WANT("MAP", k_map(b.c, IOVA, 0, 1), 0);
	WANT("MAP", k_map(b.c, IOVA + PAGE, 1, 1), 0);
	WANT("GET_INFO", k_info(b.c, &before), 0);
	k->fail_map_event(2, ENOMEM);
	WANT("SET_CONTAINER", k_set_container(g, b.c), -ENOMEM);
	WANT("GET_INFO", k_info(b.c, &after), 0);
	TEST_ASSERT(same_facts(&before, &after), "the refused attach changed the container");
	WANT("SET_CONTAINER again", k_set_container(g, b.c), 0);
	return TEST_SUCCESS;
}

/** Attach a second group to a container with one map, then map once more. */
static int
attach_second(enum need need, int64_t *replayed, int64_t *mapped)
{
	int64_t start = k->map_events(), joined;
	struct probed *p;
	struct bench b;
	int g;

	TRY(open_other(need, &p, &g));
	TRY(bench_open(&b, PLAIN, V2));
	WANT("MAP", k_map(b.c, IOVA, 0, 1), 0);
	start = k->map_events();
	WANT("SET_CONTAINER", k_set_container(g, b.c), 0);
	joined = k->map_events();
	WANT("MAP", k_map(b.c, IOVA + PAGE, 1, 1), 0);
	*replayed = joined - start;
	*mapped = k->map_events() - joined;
	if (start < 0) {
		*replayed = *mapped = -1;
		seen("not counted: no iommu tracepoints here");
	} else {
		seen("at the attach %" PRId64 ", for a map %" PRId64 " entries into tables",
			*replayed, *mapped);
	}
	return TEST_SUCCESS;
}

static int
fact_7_compatible_group_joins(void)
{
	int64_t replayed, mapped;

	TRY(maps_at_once());
	TRY(attach_second(SECOND, &replayed, &mapped));
	if (mapped == 2)
		return test_skip("this kernel gives each group a domain of its own");
	TEST_ASSERT(mapped < 0 || mapped == 1, "not one domain");
	return TEST_SUCCESS;
}

static int
fact_7_incompatible_group_gets_a_domain(void)
{
	int64_t replayed, mapped;
	enum need need = find_place(OTHER_IOMMU) != NULL ? OTHER_IOMMU : SECOND;

	TRY(maps_at_once());
	TRY(attach_second(need, &replayed, &mapped));
	if (mapped == 1)
		return test_skip("all groups here share one domain");
	TEST_ASSERT(mapped < 0 || (mapped == 2 && replayed >= 1), "not two domains");
	return TEST_SUCCESS;
}

static int
fact_8_only_maps_are_checked(void)
{
	struct facts before, joined, left;
	struct probed *p;
	struct bench b;
	int g;

	/* Each of these devices reduces the ranges. */
	TRY(open_other(find_place(RESERVED) != NULL ? RESERVED : NARROW, &p, &g));
	TRY(bench_open(&b, PLAIN, V2));
	WANT("GET_INFO", k_info(b.c, &before), 0);
	TEST_ASSERT(in_ranges(&before, p->special.start), "not offered before");
	WANT("SET_CONTAINER", k_set_container(g, b.c), 0);
	WANT("GET_INFO", k_info(b.c, &joined), 0);
	TEST_ASSERT(!in_ranges(&joined, p->special.start), "still offered");
	WANT("UNSET_CONTAINER", k_unset_container(g), 0);
	WANT("GET_INFO", k_info(b.c, &left), 0);
	TEST_ASSERT(same_facts(&before, &left), "not as before the attach");
	WANT("MAP", k_map(b.c, p->special.start, 0, 1), 0);
	return TEST_SUCCESS;
}

static int
fact_9_page_sizes_intersect(void)
{
	uint64_t both;
	struct facts f;
	struct probed *p;
	struct bench b;
	int g;

	TRY(open_other(BIG_PAGES, &p, &g));
	TRY(bench_open(&b, PLAIN, V2));
	WANT("MAP of a small page", k_map(b.c, IOVA, 0, 1), 0);
	k_unmap(b.c, IOVA, PAGE, 0, &(uint64_t){0});
	WANT("SET_CONTAINER", k_set_container(g, b.c), 0);
	WANT("GET_INFO", k_info(b.c, &f), 0);
	both = b.at->facts.page_sizes & p->facts.page_sizes;
	TEST_ASSERT_EQUAL(f.page_sizes, both, "no intersection");
	WANT("MAP of a small page", k_map(b.c, IOVA, 0, 1), -EINVAL);
	WANT("UNSET_CONTAINER", k_unset_container(g), 0);
	WANT("MAP of a small page", k_map(b.c, IOVA, 0, 1), 0);
	return TEST_SUCCESS;
}

/* GET_INFO */

static int
fact_10_small_argsz(void)
{
	union {
		struct vfio_iommu_type1_info info;
		uint8_t bytes[512];
	} answer = {0};
	uint32_t wanted;
	struct bench b;

	TRY(bench_open(&b, PLAIN, V2));
	answer.info.argsz = 8;
	WANT("argsz 8", k->ioctl(b.c, VFIO_IOMMU_GET_INFO, (unsigned long)&answer), -EINVAL);
	memset(&answer, 0xa5, sizeof(answer));
	answer.info.argsz = sizeof(answer.info);
	WANT("small argsz", k->ioctl(b.c, VFIO_IOMMU_GET_INFO, (unsigned long)&answer), 0);
	wanted = answer.info.argsz;
	TEST_ASSERT(wanted > sizeof(answer.info) && wanted < sizeof(answer), "wants %u", wanted);
	TEST_ASSERT_EQUAL(answer.info.cap_offset, 0, "capabilities in no room");
	TEST_ASSERT_EQUAL(answer.bytes[sizeof(answer.info)], 0xa5, "wrote beyond argsz");
	answer.info.argsz = wanted - 1;
	WANT("one byte too few", k->ioctl(b.c, VFIO_IOMMU_GET_INFO, (unsigned long)&answer), 0);
	TEST_ASSERT_EQUAL(answer.info.cap_offset, 0, "capabilities in too little room");
	answer.info.argsz = wanted;
	WANT("enough", k->ioctl(b.c, VFIO_IOMMU_GET_INFO, (unsigned long)&answer), 0);
	TEST_ASSERT(answer.info.cap_offset >= sizeof(answer.info), "no capabilities");
	TEST_ASSERT_EQUAL(answer.bytes[wanted], 0xa5, "wrote beyond argsz");
	return TEST_SUCCESS;
}

static int
fact_10_ranges_are_inclusive(void)
{
	unsigned int i;
	struct facts f;
	struct bench b;

	TRY(bench_open(&b, PLAIN, V2));
	WANT("GET_INFO", k_info(b.c, &f), 0);
	seen("pages %#" PRIx64 ", capabilities%s%s%s", f.page_sizes, f.has_ranges ? " ranges" : "",
		f.has_avail ? " dma_avail" : "", f.has_migration ? " migration" : "");
	for (i = 0; i < f.n_ranges; i++) {
		struct dmamap_range r = f.ranges[i];

		seen("%#" PRIx64 "-%#" PRIx64, r.start, r.last);
		TEST_ASSERT(r.start <= r.last, "backwards");
		TEST_ASSERT((r.last & (PAGE - 1)) == PAGE - 1, "not inclusive");
		TEST_ASSERT(i == 0 || r.start > f.ranges[i - 1].last, "not ascending");
	}
	if (f.n_ranges == 0)
		return test_skip("this kernel reports no ranges");
	WANT("MAP of the last page of the first range",
		k_map(b.c, f.ranges[0].last + 1 - PAGE, 0, 1), 0);
	WANT("MAP across its end", k_map(b.c, f.ranges[0].last + 1 - 2 * PAGE, 0, 2), -EEXIST);
	k_unmap(b.c, f.ranges[0].last + 1 - PAGE, PAGE, 0, &(uint64_t){0});
	WANT("MAP across its end", k_map(b.c, f.ranges[0].last + 1 - PAGE, 0, 2), -EINVAL);
	return TEST_SUCCESS;
}

/* MAP */

static int
fact_11_map_errors(void)
{
	uint64_t va = (uintptr_t)memory, top = UINT64_MAX - PAGE + 1;
	struct vfio_iommu_type1_dma_map small = {
		.argsz = 8, .flags = RW, .vaddr = va, .iova = IOVA, .size = PAGE};
	struct bench b;

	TRY(bench_open(&b, PLAIN, V2));
	WANT("argsz", k->ioctl(b.c, VFIO_IOMMU_MAP_DMA, (unsigned long)&small), -EINVAL);
	WANT("unknown flag", k_map_at(b.c, IOVA, va, PAGE, RW | 1u << 20), -EINVAL);
	WANT("no access", k_map_at(b.c, IOVA, va, PAGE, 0), -EINVAL);
	WANT("size 0", k_map_at(b.c, IOVA, va, 0, RW), -EINVAL);
	WANT("size not aligned", k_map_at(b.c, IOVA, va, PAGE / 2, RW), -EINVAL);
	WANT("IOVA not aligned", k_map_at(b.c, IOVA + 1, va, PAGE, RW), -EINVAL);
	WANT("address not aligned", k_map_at(b.c, IOVA, va + 1, PAGE, RW), -EINVAL);
	WANT("IOVA wraps", k_map_at(b.c, top, va, 2 * PAGE, RW), -EINVAL, -EOVERFLOW);
	WANT("address wraps", k_map_at(b.c, IOVA, top, 2 * PAGE, RW), -EINVAL, -EOVERFLOW);
	WANT("MAP", k_map(b.c, IOVA, 0, 4), 0);
	WANT("the same again", k_map(b.c, IOVA, 0, 4), -EEXIST);
	WANT("overlap in front", k_map(b.c, IOVA - PAGE, 0, 2), -EEXIST);
	WANT("overlap behind", k_map(b.c, IOVA + 3 * PAGE, 0, 2), -EEXIST);
	WANT("overlap inside", k_map(b.c, IOVA + PAGE, 0, 1), -EEXIST);
	WANT("MAP in front", k_map(b.c, IOVA - PAGE, 0, 1), 0);
	WANT("MAP behind", k_map(b.c, IOVA + 4 * PAGE, 0, 1), 0);
	WANT("memory that is not there", k_map(b.c, IOVA + 64 * PAGE, PAGES, 1), -EFAULT, -ENOMEM);
	return TEST_SUCCESS;
}

static int
fact_11_outside_the_ranges(void)
{
	struct bench b;
	struct facts f;
	unsigned int i, tried = 0;

	TRY(bench_open(&b, PLAIN, V2));
	WANT("GET_INFO", k_info(b.c, &f), 0);
	for (i = 0; i < f.n_ranges; i++) {
		if (f.ranges[i].last == UINT64_MAX)
			continue;
		WANT("MAP behind a range", k_map(b.c, f.ranges[i].last + 1, 0, 1), -EINVAL);
		tried++;
	}
	return tried != 0 ? TEST_SUCCESS : test_skip("this kernel reports no end of its ranges");
}

static int
fact_12_all_or_nothing(void)
{
	uint64_t locked = k->locked(), done;
	struct facts before, after;
	struct bench b;

	TRY(bench_open(&b, PLAIN, V2));
	WANT("GET_INFO", k_info(b.c, &before), 0);
	WANT("MAP of memory with a hole", k_map(b.c, IOVA, PAGES - 4, 8), -EFAULT, -ENOMEM);
	TEST_ASSERT_EQUAL(k->locked(), locked, "memory stays pinned");
	WANT("GET_INFO", k_info(b.c, &after), 0);
	TEST_ASSERT(same_facts(&before, &after), "the failed map changed the container");
	WANT("UNMAP", k_unmap(b.c, IOVA, 8 * PAGE, 0, &done), 0);
	TEST_ASSERT_EQUAL(done, 0, "the failed map left something");
	WANT("MAP of what is there", k_map(b.c, IOVA, PAGES - 4, 4), 0);
	return TEST_SUCCESS;
}

static int
fact_12_over_domains(void)
{
	struct facts before, after;
	struct probed *p;
	struct bench b;
	int g;

	TRY(maps_at_once());
	TRY(open_other(OTHER_IOMMU, &p, &g));
	TRY(bench_open(&b, PLAIN, V2));
	WANT("SET_CONTAINER", k_set_container(g, b.c), 0);
	WANT("GET_INFO", k_info(b.c, &before), 0);
	if (k->fail_map_event != NULL) {
		k->fail_map_event(2, ENOMEM);
		WANT("MAP fails in the second domain", k_map(b.c, IOVA, 0, 1), -ENOMEM);
	} else {
		WANT("MAP of memory with a hole", k_map(b.c, IOVA, PAGES - 4, 8), -EFAULT, -ENOMEM);
	}
	WANT("GET_INFO", k_info(b.c, &after), 0);
	TEST_ASSERT(same_facts(&before, &after), "the failed map changed the container");
	WANT("MAP", k_map(b.c, IOVA, 0, 1), 0);
	return TEST_SUCCESS;
}

static int
fact_13_an_entry_for_each_map(void)
{
	struct facts f;
	struct bench b;

	TRY(has_entries());
	TRY(bench_open(&b, PLAIN, V2));
	WANT("GET_INFO", k_info(b.c, &f), 0);
	if (!f.has_avail)
		return test_skip("this kernel does not report dma_avail");
	seen("dma_avail: %u", f.avail);
	TEST_ASSERT_EQUAL(f.avail, 65535, "dma_avail");
	WANT("MAP of one page", k_map(b.c, IOVA, 0, 1), 0);
	WANT("GET_INFO", k_info(b.c, &f), 0);
	TEST_ASSERT_EQUAL(f.avail, 65534, "one page costs one entry");
	WANT("MAP of many pages", k_map(b.c, IOVA + PAGE, 1, PAGES - 1), 0);
	WANT("GET_INFO", k_info(b.c, &f), 0);
	TEST_ASSERT_EQUAL(f.avail, 65533, "many pages cost one entry");
	k_unmap(b.c, IOVA, PAGES * PAGE, 0, &(uint64_t){0});
	WANT("GET_INFO", k_info(b.c, &f), 0);
	TEST_ASSERT_EQUAL(f.avail, 65535, "entries come back");
	return TEST_SUCCESS;
}

static int
fact_13_no_entry_left(void)
{
	struct bench b;
	uint64_t done;
	int rc;

	TRY(has_entries());
	if (k->limit_entries(3) < 0)
		return test_skip("the limit cannot be changed here");
	rc = bench_open(&b, PLAIN, V2);
	k->limit_entries(0);
	TRY(rc);
	WANT("MAP", k_map(b.c, IOVA, 0, 1), 0);
	WANT("MAP", k_map(b.c, IOVA + PAGE, 0, 1), 0);
	WANT("MAP", k_map(b.c, IOVA + 2 * PAGE, 0, 1), 0);
	WANT("MAP with no entry left", k_map(b.c, IOVA + 3 * PAGE, 0, 1), -ENOSPC);
	WANT("overlap with no entry left", k_map(b.c, IOVA, 0, 1), -EEXIST);
	WANT("UNMAP", k_unmap(b.c, IOVA, PAGE, 0, &done), 0);
	WANT("MAP", k_map(b.c, IOVA + 3 * PAGE, 0, 1), 0);
	return TEST_SUCCESS;
}

static int
fact_13_all_65535(void)
{
	struct bench b;
	struct facts f;
	unsigned int i, most;
	uint64_t done;
	int rc = 0;

	TRY(has_entries());
	TRY(bench_open(&b, PLAIN, V2));
	WANT("GET_INFO", k_info(b.c, &f), 0);
	most = f.has_avail ? f.avail : 65535;
	for (i = 0; i < 100000 && rc == 0; i++)
		rc = k_map(b.c, IOVA + (uint64_t)i * PAGE, 0, 1);
	WANT("the last MAP", rc, -ENOSPC);
	TEST_ASSERT_EQUAL(i - 1, most, "%u maps", i - 1);
	WANT("UNMAP of all", k_unmap(b.c, IOVA, (uint64_t)(i - 1) * PAGE, 0, &done), 0);
	TEST_ASSERT_EQUAL(done, (uint64_t)(i - 1) * PAGE, "the sum");
	return TEST_SUCCESS;
}

/* UNMAP */

static int
fact_14_unmap_v2(void)
{
	struct bench b;
	uint64_t done;

	TRY(bench_open(&b, PLAIN, V2));
	WANT("MAP", k_map(b.c, IOVA, 0, 4), 0);
	WANT("MAP", k_map(b.c, IOVA + 4 * PAGE, 4, 4), 0);
	WANT("MAP", k_map(b.c, IOVA + 16 * PAGE, 8, 4), 0);
	WANT("last inside", k_unmap(b.c, IOVA, 2 * PAGE, 0, &done), -EINVAL);
	WANT("start inside", k_unmap(b.c, IOVA + 2 * PAGE, 2 * PAGE, 0, &done), -EINVAL);
	WANT("both inside", k_unmap(b.c, IOVA + PAGE, PAGE, 0, &done), -EINVAL);
	WANT("last inside the second", k_unmap(b.c, IOVA, 6 * PAGE, 0, &done), -EINVAL);
	WANT("nothing changed", k_map(b.c, IOVA, 0, 8), -EEXIST);
	WANT("size 0", k_unmap(b.c, IOVA, 0, 0, &done), -EINVAL);
	WANT("not aligned", k_unmap(b.c, IOVA, PAGE / 2, 0, &done), -EINVAL);
	WANT("a hole", k_unmap(b.c, IOVA + 8 * PAGE, 8 * PAGE, 0, &done), 0);
	TEST_ASSERT_EQUAL(done, 0, "a hole has size 0");
	WANT("several maps and a hole", k_unmap(b.c, IOVA, 20 * PAGE, 0, &done), 0);
	TEST_ASSERT_EQUAL(done, 12 * PAGE, "not the sum: %#" PRIx64, done);
	WANT("all is free", k_map(b.c, IOVA, 0, 20), 0);
	return TEST_SUCCESS;
}

static int
fact_15_unmap_v1(void)
{
	struct bench b;
	uint64_t done;

	TRY(bench_open(&b, PLAIN, 0));
	if (k->ioctl(b.c, VFIO_SET_IOMMU, V1) < 0)
		return test_skip("this kernel has no v1");
	WANT("MAP", k_map(b.c, IOVA, 0, 4), 0);
	WANT("start inside", k_unmap(b.c, IOVA + PAGE, PAGE, 0, &done), 0);
	TEST_ASSERT_EQUAL(done, 0, "start inside: size 0");
	WANT("the map stays", k_map(b.c, IOVA, 0, 4), -EEXIST);
	WANT("first page only", k_unmap(b.c, IOVA, PAGE, 0, &done), 0);
	TEST_ASSERT_EQUAL(done, 4 * PAGE, "all of it is gone: %#" PRIx64, done);
	WANT("all is free", k_map(b.c, IOVA, 0, 4), 0);
	return TEST_SUCCESS;
}

static int
fact_16_another_process(void)
{
	struct vfio_iommu_type1_dma_unmap unmap = {
		.argsz = sizeof(unmap), .iova = IOVA, .size = 4 * PAGE};
	struct bench b;
	int rc;

	TRY(bench_open(&b, PLAIN, V2));
	WANT("MAP", k_map(b.c, IOVA, 0, 4), 0);
	if (k->ioctl_elsewhere == NULL)
		return test_skip("calls of other processes pass this kernel by");
	rc = k->ioctl_elsewhere(b.c, VFIO_IOMMU_UNMAP_DMA, &unmap, sizeof(unmap));
	if (rc == -ENOTSUP)
		return test_skip("no other process here");
	WANT("UNMAP", rc, 0);
	WANT("pages unmapped", unmap.size / PAGE, 0, 4);
	WANT("MAP again", k_map(b.c, IOVA, 0, 4), unmap.size == 0 ? -EEXIST : 0);
	return TEST_SUCCESS;
}

static int
fact_17_unmap_all(void)
{
	const uint32_t all = VFIO_DMA_UNMAP_FLAG_ALL;
	struct bench b;
	uint64_t done;

	TRY(bench_open(&b, PLAIN, V2));
	WANT("UNMAP_ALL extension", k->ioctl(b.c, VFIO_CHECK_EXTENSION, VFIO_UNMAP_ALL), 1, 0);
	if (k->ioctl(b.c, VFIO_CHECK_EXTENSION, VFIO_UNMAP_ALL) == 0)
		return test_skip("this kernel cannot unmap all");
	WANT("MAP", k_map(b.c, IOVA, 0, 4), 0);
	WANT("MAP", k_map(b.c, IOVA + 8 * PAGE, 8, 4), 0);
	WANT("with a size", k_unmap(b.c, 0, PAGE, all, &done), -EINVAL);
	WANT("with an IOVA", k_unmap(b.c, IOVA, 0, all, &done), -EINVAL);
	WANT("unknown flag", k_unmap(b.c, 0, 0, all | 1u << 20, &done), -EINVAL);
	WANT("UNMAP_ALL", k_unmap(b.c, 0, 0, all, &done), 0);
	TEST_ASSERT_EQUAL(done, 8 * PAGE, "not the sum");
	WANT("UNMAP_ALL of nothing", k_unmap(b.c, 0, 0, all, &done), 0);
	return TEST_SUCCESS;
}

static int
fact_18_last_page(void)
{
	const uint64_t top = UINT64_MAX - PAGE + 1;
	struct facts f;
	struct bench b;
	uint64_t done;

	TRY(bench_open(&b, find_place(TOP) != NULL ? TOP : PLAIN, V2));
	WANT("UNMAP of the last page, not mapped", k_unmap(b.c, top, PAGE, 0, &done), 0, -EINVAL,
		-EOVERFLOW);
	WANT("GET_INFO", k_info(b.c, &f), 0);
	if (!in_ranges(&f, UINT64_MAX)) {
		WANT("MAP of it, outside", k_map(b.c, top, 0, 1), -EINVAL);
		return TEST_SUCCESS;
	}
	WANT("MAP of it", k_map(b.c, top, 0, 1), 0, -EINVAL, -EOVERFLOW);
	if (k_unmap(b.c, top, PAGE, 0, &done) == 0)
		seen("pages of it unmapped: %" PRIu64, done / PAGE);
	return TEST_SUCCESS;
}

/* Updating addresses, dirty pages, coherency */

static int
fact_19_update_vaddr(void)
{
	const uint32_t vaddr = VFIO_DMA_MAP_FLAG_VADDR, unmap_vaddr = VFIO_DMA_UNMAP_FLAG_VADDR;
	uint64_t va = (uintptr_t)memory, done;
	struct bench b;

	TRY(bench_open(&b, PLAIN, V2));
	if (k->ioctl(b.c, VFIO_CHECK_EXTENSION, VFIO_UPDATE_VADDR) != 1)
		return test_skip("this kernel does not update addresses");
	WANT("MAP", k_map(b.c, IOVA, 0, 4), 0);
	WANT("with access flags", k_map_at(b.c, IOVA, va, 4 * PAGE, vaddr | RD), -EINVAL);
	WANT("unknown IOVA", k_map_at(b.c, IOVA + 8 * PAGE, va, PAGE, vaddr), -ENOENT);
	WANT("not invalidated", k_map_at(b.c, IOVA, va, 4 * PAGE, vaddr), -EINVAL);
	WANT("invalidate", k_unmap(b.c, IOVA, 4 * PAGE, unmap_vaddr, &done), 0);
	TEST_ASSERT_EQUAL(done, 4 * PAGE, "size");
	WANT("invalidate twice", k_unmap(b.c, IOVA, 4 * PAGE, unmap_vaddr, &done), -EINVAL);
	WANT("other size", k_map_at(b.c, IOVA, va, 2 * PAGE, vaddr), -EINVAL);
	WANT("update", k_map_at(b.c, IOVA, va, 4 * PAGE, vaddr), 0);
	WANT("update twice", k_map_at(b.c, IOVA, va, 4 * PAGE, vaddr), -EINVAL);
	WANT("UNMAP", k_unmap(b.c, IOVA, 4 * PAGE, 0, &done), 0);
	TEST_ASSERT_EQUAL(done, 4 * PAGE, "size");
	return TEST_SUCCESS;
}

static int
k_dirty(int c, uint32_t flags)
{
	struct vfio_iommu_type1_dirty_bitmap arg = {.argsz = sizeof(arg), .flags = flags};

	return k->ioctl(c, VFIO_IOMMU_DIRTY_PAGES, (unsigned long)&arg);
}

static int
k_get_dirty(int c, uint64_t iova, uint64_t size, uint64_t page, __u64 *bits)
{
	struct {
		uint32_t argsz, flags;
		struct vfio_iommu_type1_dirty_bitmap_get get;
	} arg = {.argsz = sizeof(arg),
		.flags = VFIO_IOMMU_DIRTY_PAGES_FLAG_GET_BITMAP,
		.get = {.iova = iova,
			.size = size,
			.bitmap = {.pgsize = page, .size = sizeof(*bits), .data = bits}}};

	return k->ioctl(c, VFIO_IOMMU_DIRTY_PAGES, (unsigned long)&arg);
}

static int
fact_20_dirty_pages(void)
{
	const uint32_t start = VFIO_IOMMU_DIRTY_PAGES_FLAG_START,
		       stop = VFIO_IOMMU_DIRTY_PAGES_FLAG_STOP;
	__u64 bits = 0;
	struct facts f;
	struct bench b;

	TRY(bench_open(&b, PLAIN, V2));
	WANT("GET_INFO", k_info(b.c, &f), 0);
	if (!f.has_migration)
		return test_skip("this kernel does not track dirty pages");
	WANT("MAP", k_map(b.c, IOVA, 0, 4), 0);
	WANT("GET before START", k_get_dirty(b.c, IOVA, 4 * PAGE, PAGE, &bits), -EINVAL);
	WANT("several flags", k_dirty(b.c, start | stop), -EINVAL);
	WANT("START", k_dirty(b.c, start), 0);
	WANT("wrong page size", k_get_dirty(b.c, IOVA, 4 * PAGE, 2 * PAGE, &bits), -EINVAL);
	WANT("bisected", k_get_dirty(b.c, IOVA, 2 * PAGE, PAGE, &bits), -EINVAL);
	WANT("GET", k_get_dirty(b.c, IOVA, 4 * PAGE, PAGE, &bits), 0);
	TEST_ASSERT_EQUAL(bits, 0xf, "bits %#llx", bits);
	WANT("STOP", k_dirty(b.c, stop), 0);
	return TEST_SUCCESS;
}

static int
fact_20_dirty_pages_v1(void)
{
	struct bench b;

	TRY(bench_open(&b, PLAIN, 0));
	if (k->ioctl(b.c, VFIO_SET_IOMMU, V1) < 0)
		return test_skip("this kernel has no v1");
	WANT("START on v1", k_dirty(b.c, VFIO_IOMMU_DIRTY_PAGES_FLAG_START), -EACCES);
	return TEST_SUCCESS;
}

static int
k_coherent(int c)
{
	return k->ioctl(c, VFIO_CHECK_EXTENSION, VFIO_DMA_CC_IOMMU);
}

static int
fact_21_coherency(void)
{
	struct bench b;

	TRY(bench_open(&b, PLAIN, 0));
	WANT("before SET_IOMMU", k_coherent(b.c), 0);
	WANT("SET_IOMMU", k->ioctl(b.c, VFIO_SET_IOMMU, V2), 0);
	WANT("CC_IOMMU", k_coherent(b.c), 0, 1);
	return TEST_SUCCESS;
}

static int
fact_21_coherency_of_all_domains(void)
{
	struct probed *p;
	struct bench b;
	int g;

	TRY(open_other(INCOHERENT, &p, &g));
	TRY(bench_open(&b, PLAIN, V2));
	WANT("one that enforces", k_coherent(b.c), 1);
	WANT("SET_CONTAINER", k_set_container(g, b.c), 0);
	WANT("with one that does not", k_coherent(b.c), 0);
	WANT("UNSET_CONTAINER", k_unset_container(g), 0);
	WANT("without it", k_coherent(b.c), 1);
	return TEST_SUCCESS;
}

/* Locked memory */

static int
fact_22_base_pages(void)
{
	const size_t huge = 2 << 20;
	uint64_t locked = k->locked();
	struct bench b;
	void *page;
	int rc;

	TRY(charges_process());
	TRY(bench_open(&b, PLAIN, V2));
	WANT("MAP", k_map(b.c, IOVA, 0, 4), 0);
	TEST_ASSERT_EQUAL(k->locked() - locked, 4 * PAGE, "four pages");
	page = mmap(NULL, huge, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB | MAP_POPULATE, -1, 0);
	if (page == MAP_FAILED) {
		seen("no hugepage here");
		return TEST_SUCCESS;
	}
	rc = k_map_at(b.c, IOVA + huge, (uintptr_t)page, huge, RW);
	locked = k->locked() - locked - 4 * PAGE;
	k_unmap(b.c, IOVA + huge, huge, 0, &(uint64_t){0});
	munmap(page, huge);
	WANT("MAP of a hugepage", rc, 0);
	TEST_ASSERT_EQUAL(locked, huge, "a hugepage is charged with %" PRIu64, locked);
	return TEST_SUCCESS;
}

static int
fact_22_once_for_all_domains(void)
{
	uint64_t locked = k->locked();
	struct probed *p;
	struct bench b;
	int g;

	TRY(charges_process());
	if (k->charges_domains)
		return test_skip("this kernel charges each domain");
	TRY(open_other(OTHER_IOMMU, &p, &g));
	TRY(bench_open(&b, PLAIN, V2));
	WANT("SET_CONTAINER", k_set_container(g, b.c), 0);
	WANT("MAP", k_map(b.c, IOVA, 0, 4), 0);
	TEST_ASSERT_EQUAL(k->locked() - locked, 4 * PAGE, "once");
	return TEST_SUCCESS;
}

static int
fact_22_twice_for_two_containers(void)
{
	uint64_t locked = k->locked();
	struct bench a, b;

	TRY(charges_process());
	TRY(bench_open(&b, SECOND, V2));
	TRY(bench_open(&a, PLAIN, V2));
	WANT("MAP", k_map(a.c, IOVA, 0, 4), 0);
	WANT("MAP in another container", k_map(b.c, IOVA, 0, 4), 0);
	TEST_ASSERT_EQUAL(k->locked() - locked, 8 * PAGE, "twice");
	return TEST_SUCCESS;
}

static int
fact_22_limit(void)
{
	uint64_t locked = k->locked(), left;
	struct bench b;
	int capable, over, within;

	TRY(maps_at_once());
	TRY(bench_open(&b, PLAIN, V2));
	if (k->limit_memory(locked + 2 * PAGE, true) < 0)
		return test_skip("the limit cannot be changed here");
	capable = k_map(b.c, IOVA, 0, 8);
	k_unmap(b.c, IOVA, 8 * PAGE, 0, &(uint64_t){0});
	k->limit_memory(locked + 2 * PAGE, false);
	over = k_map(b.c, IOVA, 0, 4);
	left = k->locked();
	within = k_map(b.c, IOVA, 0, 2);
	k->limit_memory(0, true);
	WANT("MAP over the limit with CAP_IPC_LOCK", capable, 0);
	WANT("MAP over the limit", over, -ENOMEM);
	TEST_ASSERT_EQUAL(left, locked, "the failed map is charged");
	WANT("MAP within the limit", within, 0);
	return TEST_SUCCESS;
}

/* The suites */

static const struct test_case facts_cases[] = {
	{"fact 1: calls before SET_IOMMU are EINVAL, SET_IOMMU without a group and twice too",
		fact_1_before_set_iommu},
	{"fact 2: a group is opened once and set to one container", fact_2_groups_and_containers},
	{"fact 2: noiommu and real groups do not mix", fact_2_noiommu_does_not_mix},
	{"fact 3: a device is opened after SET_IOMMU and holds its group", fact_3_device_fd},
	{"fact 4: a group that is not viable is refused with EPERM", fact_4_not_viable},
	{"fact 5: with the last group, maps and type are gone", fact_5_last_group_leaves},
	{"fact 5: a group leaves when its last file is closed", fact_5_closing_is_leaving},
	{"fact 6: a live map behind the new aperture refuses the attach",
		fact_6_map_behind_aperture},
	{"fact 6: a live map before the new aperture refuses the attach",
		fact_6_map_before_aperture},
	{"fact 6: a live map over a reserved region refuses the attach", fact_6_map_over_reserved},
	{"fact 6: a disjoint aperture is refused", fact_6_disjoint_aperture},
	{"fact 6: no usable range left is refused", fact_6_no_range_left},
	{"fact 6: no MSI isolation is EPERM", fact_6_no_msi_isolation},
	{"fact 6: relaxable regions are no conflict", fact_6_relaxable_is_no_conflict},
	{"fact 6: a failed replay refuses the attach with its error", fact_6_replay_fails},
	{"fact 7: a compatible group joins the domain without replay",
		fact_7_compatible_group_joins},
	{"fact 7: an incompatible group gets a domain, and a replay",
		fact_7_incompatible_group_gets_a_domain},
	{"fact 8: only mapped ranges are checked; ranges shrink and come back",
		fact_8_only_maps_are_checked},
	{"fact 9: page sizes are the intersection over the domains", fact_9_page_sizes_intersect},
	{"fact 10: a small argsz succeeds and says what is wanted", fact_10_small_argsz},
	{"fact 10: ranges are inclusive", fact_10_ranges_are_inclusive},
	{"fact 11: the errors of MAP", fact_11_map_errors},
	{"fact 11: outside of the ranges is EINVAL", fact_11_outside_the_ranges},
	{"fact 12: a map is all or nothing", fact_12_all_or_nothing},
	{"fact 12: a map is all or nothing over the domains", fact_12_over_domains},
	{"fact 13: a map costs one entry of 65,535", fact_13_an_entry_for_each_map},
	{"fact 13: no entry left is ENOSPC", fact_13_no_entry_left},
	{"fact 13: all 65,535 entries can be used", fact_13_all_65535},
	{"fact 14: v2 unmaps whole maps only", fact_14_unmap_v2},
	{"fact 15: v1 unmaps by first addresses", fact_15_unmap_v1},
	{"fact 16: another process unmaps nothing, or all", fact_16_another_process},
	{"fact 17: UNMAP_ALL wants zeroes", fact_17_unmap_all},
	{"fact 18: the last page of the address space", fact_18_last_page},
	{"fact 19: UPDATE_VADDR", fact_19_update_vaddr},
	{"fact 20: dirty pages", fact_20_dirty_pages},
	{"fact 20: dirty pages on v1 are EACCES", fact_20_dirty_pages_v1},
	{"fact 21: coherency is known after SET_IOMMU", fact_21_coherency},
	{"fact 21: coherency is what all domains enforce", fact_21_coherency_of_all_domains},
	{"fact 22: locked memory is charged in base pages", fact_22_base_pages},
	{"fact 22: locked memory is charged once for all domains", fact_22_once_for_all_domains},
	{"fact 22: locked memory is charged twice for two containers",
		fact_22_twice_for_two_containers},
	{"fact 22: over the limit is ENOMEM, unless capable", fact_22_limit},
};

static int
setup_5_15(void)
{
	return bench_setup(conformance_mock_5_15);
}

static int
setup_6_1(void)
{
	return bench_setup(conformance_mock_6_1);
}

static int
setup_6_12(void)
{
	return bench_setup(conformance_mock_6_12);
}

static int
setup_6_18(void)
{
	return bench_setup(conformance_mock_6_18);
}

static int
setup_linux(void)
{
	return bench_setup(conformance_linux);
}

static int
setup_front(void)
{
	return bench_setup(conformance_front_type1);
}

static int
setup_front_isolated(void)
{
	return bench_setup(conformance_front_isolated);
}

static int
setup_front_coalescing(void)
{
	return bench_setup(conformance_front_coalescing);
}

static int
setup_front_iommufd(void)
{
	return bench_setup(conformance_front_iommufd);
}

static int
setup_front_no_container(void)
{
	return bench_setup(conformance_front_no_container);
}

static void
teardown_front(void)
{
	bench_teardown();
	conformance_front_end();
}

#define CONFORMANCE_SUITE(suite, suite_name, suite_kind, begin, end)                               \
	REGISTER_TEST_SUITE(suite) = {                                                             \
		.name = suite_name,                                                                \
		.kind = suite_kind,                                                                \
		.cases = facts_cases,                                                              \
		.n_cases = RTE_DIM(facts_cases),                                                   \
		.setup = begin,                                                                    \
		.teardown = end,                                                                   \
	}

CONFORMANCE_SUITE(mock_6_1, "conformance", TEST_FAST, setup_6_1, bench_teardown_mock);
CONFORMANCE_SUITE(mock_5_15, "conformance_5_15", TEST_FAST, setup_5_15, bench_teardown_mock);
CONFORMANCE_SUITE(mock_6_12, "conformance_6_12", TEST_FAST, setup_6_12, bench_teardown_mock);
CONFORMANCE_SUITE(mock_6_18, "conformance_6_18", TEST_FAST, setup_6_18, bench_teardown_mock);
CONFORMANCE_SUITE(real_linux, "conformance_vm", TEST_VM, setup_linux, bench_teardown);
CONFORMANCE_SUITE(front, "conformance_front", TEST_FAST, setup_front, teardown_front);
CONFORMANCE_SUITE(front_isolated, "conformance_front_isolated", TEST_FAST, setup_front_isolated,
	teardown_front);
CONFORMANCE_SUITE(front_coalescing, "conformance_front_coalescing", TEST_FAST,
	setup_front_coalescing, teardown_front);
CONFORMANCE_SUITE(
	front_iommufd, "conformance_front_iommufd", TEST_FAST, setup_front_iommufd, teardown_front);
CONFORMANCE_SUITE(front_no_container, "conformance_front_no_container", TEST_FAST,
	setup_front_no_container, teardown_front);
