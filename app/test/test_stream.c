/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Tests of streams: bounce buffers and their pools, scatter lists, and memory that is unmapped
 * from the process while a device uses it. On the mock kernel.
 */

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <rte_common.h>

#include "dm_bounce.h"
#include "dm_hugepage.h"
#include "machine.h"
#include "quiet.h"
#include "test.h"

#define N 16u

static struct dmamap_device *nic;
static struct dmamap_stream s[N];
static struct dmamap_segment seg[N];

static int
setup(void)
{
	int rc = machine_setup();

	nic = rc == 0 ? machine_attach("nic0") : NULL;
	return nic != NULL ? 0 : -1;
}

static void
teardown(void)
{
	dmamap_container_detach(nic);
	machine_teardown();
}

/** From now on maps of application memory fail with err; 0: they succeed again. */
static void
refuse_maps(int err)
{
	vfio_mock_fail_all(mock, 1u << VFIO_MOCK_MAP, err);
}

/** Map a stream with a bounce buffer: the kernel refuses to map the buffer, and only that. */
static int
bounce(char *va, size_t len, enum dmamap_direction dir, struct dmamap_stream *to)
{
	int rc;

	vfio_mock_fail(mock, 1u << VFIO_MOCK_MAP, 1, EFAULT);
	rc = dmamap_stream_map(nic, va, len, dir, to);
	vfio_mock_fail(mock, 1u << VFIO_MOCK_MAP, 0, 0);
	TEST_ASSERT_SUCCESS(rc, "stream: %d", rc);
	TEST_ASSERT_NOT_NULL(to->bounce, "not bounced");
	return 0;
}

static int
bounce_buffers_share_zones(void)
{
	struct dmamap_stream many[200];
	unsigned int i;

	for (i = 0; i < RTE_DIM(many); i++) {
		buf[i * 1000] = i;
		TEST_ASSERT_SUCCESS(
			bounce(buf + i * 1000, 700, DMAMAP_TO_DEVICE, &many[i]), "%u", i);
		TEST_ASSERT_EQUAL(many[i].iova % 1024, 0, "%u: alignment", i);
	}
	TEST_ASSERT(
		machine_info().n_mappings <= 3, "%" PRIu64 " mappings", machine_info().n_mappings);
	for (i = 0; i < RTE_DIM(many); i++) {
		char got;

		TEST_ASSERT_SUCCESS(
			vfio_mock_dma_read(mock, "nic0", many[i].iova, &got, 1), "read");
		TEST_ASSERT_EQUAL(got, (char)i, "%u: another's buffer", i);
		TEST_ASSERT(vfio_mock_dma_write(mock, "nic0", many[i].iova, &got, 1) < 0,
			"it may only read");
		TEST_ASSERT_SUCCESS(dmamap_stream_unmap(&many[i]), "unmap");
	}
	return 0;
}

static int
a_reserved_buffer_needs_no_kernel_call(void)
{
	unsigned int i;

	TEST_ASSERT_SUCCESS(dmamap_bounce_reserve(c, DMAMAP_FROM_DEVICE, 3000, N), "reserve");
	refuse_maps(EFAULT);
	for (i = 0; i < N; i++)
		TEST_ASSERT_SUCCESS(
			dmamap_stream_map(nic, buf + i * KB4, 3000, DMAMAP_FROM_DEVICE, &s[i]),
			"%u", i);
	TEST_ASSERT_SUCCESS(
		vfio_mock_dma_write(mock, "nic0", s[N - 1].iova + 2999, "x", 1), "write");
	for (i = 0; i < N; i++)
		TEST_ASSERT_SUCCESS(dmamap_stream_unmap(&s[i]), "%u", i);
	TEST_ASSERT_EQUAL(buf[(N - 1) * KB4 + 2999], 'x', "not copied back");
	/* For another direction or length no buffer is reserved. */
	TEST_ASSERT_EQUAL(
		dmamap_stream_map(nic, buf, 3000, DMAMAP_TO_DEVICE, &s[0]), -EFAULT, "to device");
	TEST_ASSERT_EQUAL(
		dmamap_stream_map(nic, buf, 5000, DMAMAP_FROM_DEVICE, &s[0]), -EFAULT, "longer");
	refuse_maps(0);
	/* Larger than any buffer that is made without a reservation. */
	TEST_ASSERT_SUCCESS(
		dmamap_bounce_reserve(c, DMAMAP_FROM_DEVICE, 17 * MB2 / 2, 2), "17 MiB");
	TEST_ASSERT_SUCCESS(dmamap_bounce_reserve(c, DMAMAP_FROM_DEVICE, 1, 1), "a byte");
	TEST_ASSERT_EQUAL(dmamap_bounce_reserve(c, DMAMAP_FROM_DEVICE, 0, 1), -EINVAL, "nothing");
	TEST_ASSERT_EQUAL(dmamap_bounce_reserve(c, DMAMAP_FROM_DEVICE, 1, 0), -EINVAL, "none");
	TEST_ASSERT_EQUAL(
		dmamap_bounce_reserve(NULL, DMAMAP_FROM_DEVICE, 1, 1), -EINVAL, "no container");
	TEST_ASSERT_EQUAL(dmamap_bounce_reserve(c, 3, 1, 1), -EINVAL, "direction");
	TEST_ASSERT_EQUAL(
		dmamap_bounce_reserve(c, DMAMAP_TO_DEVICE, SIZE_MAX, 1), -EINVAL, "too long");
	return 0;
}

static int
get_and_put(void)
{
	struct dm_bounce b[N];
	unsigned int i;

	for (i = 0; i < N; i++)
		if (dm_bounce_get(c, 4000, DMAMAP_RW, &b[i]) < 0)
			return -2;
	for (i = 0; i < N; i++)
		if (dm_bounce_put(&b[i]) < 0)
			return -3;
	return 0;
}

static int
a_reserved_buffer_makes_no_system_call(void)
{
	if (QUIET_CANNOT_TELL)
		return test_skip("a sanitizer makes system calls");
	TEST_ASSERT_SUCCESS(dmamap_bounce_reserve(c, DMAMAP_BIDIRECTIONAL, 4000, N), "reserve");
	TEST_ASSERT_SUCCESS(quiet_run(get_and_put), "a system call");
	return 0;
}

static int
a_buffer_that_no_pool_holds_gets_a_zone(void)
{
	const size_t large = 3 * MB2 / 2;
	struct dmamap_stream many[12];
	uint64_t before;
	unsigned int i;

	/* 16 MiB hold four buffers of 4 MiB. The others get zones, which are freed afterwards. */
	for (i = 0; i < RTE_DIM(many); i++) {
		TEST_ASSERT_SUCCESS(bounce(buf, large, DMAMAP_BIDIRECTIONAL, &many[i]), "%u", i);
		TEST_ASSERT_EQUAL(many[i].zone != NULL, i >= 4, "%u", i);
		TEST_ASSERT(machine_reaches("nic0", many[i].iova, many[i].bounce, large),
			"%u: not reached", i);
	}
	before = machine_info().n_mappings;
	for (i = 0; i < RTE_DIM(many); i++)
		TEST_ASSERT_SUCCESS(dmamap_stream_unmap(&many[i]), "%u", i);
	TEST_ASSERT_EQUAL(machine_info().n_mappings, before - 8, "zones");
	return 0;
}

static int
a_narrower_device_gets_what_it_reaches(void)
{
	const rte_iova_t low = (1 << 28) - 1;
	struct dmamap_device *narrow;
	struct dmamap_stream old;

	TEST_ASSERT_SUCCESS(bounce(buf, 100, DMAMAP_BIDIRECTIONAL, &old), "before");
	TEST_ASSERT(old.iova > low, "0x%" PRIx64, old.iova);
	narrow = machine_attach("nic1");
	TEST_ASSERT_SUCCESS(dmamap_device_dma_mask(narrow, 28), "mask");
	/* The existing pool has free buffers, but out of the device's reach. */
	TEST_ASSERT_SUCCESS(bounce(buf + KB4, 100, DMAMAP_BIDIRECTIONAL, &s[0]), "after");
	TEST_ASSERT(s[0].iova + 99 <= low, "0x%" PRIx64, s[0].iova);
	TEST_ASSERT(machine_reaches("nic1", s[0].iova, s[0].bounce, 100), "not reached");
	TEST_ASSERT_SUCCESS(dmamap_stream_unmap(&s[0]), "unmap");
	TEST_ASSERT_SUCCESS(dmamap_stream_unmap(&old), "unmap");
	return dmamap_container_detach(narrow);
}

static int
large_iommu_pages_make_no_difference(void)
{
	struct dmamap_stream zone;

	TEST_ASSERT_SUCCESS(dmamap_container_detach(nic), "detach");
	nic = machine_attach("coarse0");
	TEST_ASSERT_NOT_NULL(nic, "attach");
	TEST_ASSERT_SUCCESS(bounce(buf, 100, DMAMAP_BIDIRECTIONAL, &s[0]), "from a pool");
	TEST_ASSERT_SUCCESS(bounce(buf, BUF_LEN - 5, DMAMAP_BIDIRECTIONAL, &s[1]), "8 MiB");
	TEST_ASSERT_SUCCESS(bounce(buf, BUF_LEN - 5, DMAMAP_BIDIRECTIONAL, &s[2]), "8 MiB");
	TEST_ASSERT_SUCCESS(bounce(buf, BUF_LEN - 5, DMAMAP_BIDIRECTIONAL, &zone), "a zone");
	TEST_ASSERT_NOT_NULL(zone.zone, "no zone");
	TEST_ASSERT(machine_reaches("coarse0", s[0].iova, s[0].bounce, 100), "pool");
	TEST_ASSERT(machine_reaches("coarse0", zone.iova, zone.bounce, BUF_LEN - 5), "zone");
	TEST_ASSERT_SUCCESS(dmamap_stream_unmap(&zone), "unmap");
	return dmamap_stream_unmap_sg(s, 3);
}

static int
a_merge_moves_bounce_buffers(void)
{
	struct dmamap_container *from = c;

	TEST_ASSERT_SUCCESS(bounce(buf, 100, DMAMAP_FROM_DEVICE, &s[0]), "bounce");
	TEST_ASSERT_SUCCESS(machine_make_container(DMAMAP_SHARE), "container");
	TEST_ASSERT_SUCCESS(dmamap_container_merge(c, from), "merge");
	TEST_ASSERT_SUCCESS(dmamap_container_destroy(from), "destroy");
	TEST_ASSERT_SUCCESS(vfio_mock_dma_write(mock, "nic0", s[0].iova + 1, "y", 1), "write");
	TEST_ASSERT_SUCCESS(dmamap_stream_unmap(&s[0]), "unmap");
	TEST_ASSERT_EQUAL(buf[1], 'y', "not copied back");
	/* Its pool belongs to the other container now. */
	refuse_maps(EFAULT);
	TEST_ASSERT_SUCCESS(dmamap_stream_map(nic, buf, 100, DMAMAP_FROM_DEVICE, &s[0]), "bounce");
	refuse_maps(0);
	return dmamap_stream_unmap(&s[0]);
}

static int
hugepages_serve_without_an_iommu(void)
{
	struct dmamap_container_conf made = {.backend = DMAMAP_BACKEND_NOIOMMU};
	const struct vfio_mock_group_conf without = {.iommu = VFIO_MOCK_NOIOMMU};
	struct dmamap_container *identity;
	struct dm_hugepage_count count;
	struct dmamap_device *d;
	struct dmamap_stream st;

	if (geteuid() != 0)
		return test_skip("only root may know physical addresses");
	if (dm_hugepage_count(MB2, -1, &count) < 0 || count.free < 4)
		return test_skip("fewer than 4 hugepages of 2 MiB are free");
	TEST_ASSERT_SUCCESS(vfio_mock_add_device(mock, vfio_mock_add_group(mock, &without),
				    "0000:09:00.0", -1, "vfio-pci"),
		"device");
	made.kernel = vfio_mock_kernel(mock);
	TEST_ASSERT_SUCCESS(dmamap_container_create(&made, &identity), "container");
	TEST_ASSERT_SUCCESS(dmamap_container_attach(identity, "0000:09:00.0", &d), "attach");
	memcpy(buf, "ordinary", 8);
	TEST_ASSERT_SUCCESS(dmamap_stream_map(d, buf, 8, DMAMAP_BIDIRECTIONAL, &st), "stream");
	TEST_ASSERT_NOT_NULL(st.bounce, "ordinary memory in place");
	TEST_ASSERT_EQUAL(dmamap_va2iova(identity, st.bounce), st.iova, "IOVA");
	TEST_ASSERT_EQUAL(memcmp(st.bounce, "ordinary", 8), 0, "not copied");
	memcpy(st.bounce, "OR", 2);
	TEST_ASSERT_SUCCESS(dmamap_stream_unmap(&st), "unmap");
	TEST_ASSERT_EQUAL(memcmp(buf, "ORdinary", 8), 0, "not copied back");
	/* Physical memory cannot be moved: a device that reaches 4 KiB reaches none of it. */
	TEST_ASSERT_SUCCESS(dmamap_device_dma_mask(d, 12), "mask");
	TEST_ASSERT_EQUAL(
		dmamap_stream_map(d, buf, 8, DMAMAP_TO_DEVICE, &st), -ENOSPC, "out of reach");
	TEST_ASSERT_SUCCESS(dmamap_container_detach(d), "detach");
	return dmamap_container_destroy(identity);
}

/* Scatter lists */

static int
contiguous_entries_become_one_segment(void)
{
	rte_iova_t a = 0x100000, b = 0x100000 + KB4;
	const struct dmamap_sge list[] = {{buf + 10, 100}, {buf + 110, 3 * KB4},
		{buf + 110 + 3 * KB4, 1}, {buf + MB2, KB4}, {buf + MB2 + 8 * KB4, 50},
		{buf + 9 * KB4, 8}};
	unsigned int i;

	/* Not adjacent in memory, but adjacent in IOVAs. */
	TEST_ASSERT_SUCCESS(dmamap_map(c, buf + MB2, KB4, DMAMAP_RW | DMAMAP_FIXED, &a), "map");
	TEST_ASSERT_SUCCESS(
		dmamap_map(c, buf + MB2 + 8 * KB4, KB4, DMAMAP_RW | DMAMAP_FIXED, &b), "map");
	TEST_ASSERT_EQUAL(
		dmamap_stream_map_sg(nic, list, 6, DMAMAP_BIDIRECTIONAL, s, seg, N), 3, "segments");
	TEST_ASSERT_EQUAL(seg[0].len, 101 + 3 * KB4, "a run of memory");
	TEST_ASSERT(seg[1].iova == a && seg[1].len == KB4 + 50, "a run of IOVAs");
	TEST_ASSERT_EQUAL(seg[2].len, 8, "alone");
	TEST_ASSERT(machine_reaches("nic0", seg[0].iova, buf + 10, seg[0].len), "not reached");
	TEST_ASSERT(machine_reaches("nic0", seg[2].iova, buf + 9 * KB4, 8), "not reached");
	for (i = 0; i < 6; i++)
		TEST_ASSERT_NULL(s[i].bounce, "%u: bounced for nothing", i);
	TEST_ASSERT_SUCCESS(dmamap_stream_unmap_sg(s, 6), "unmap");
	TEST_ASSERT_EQUAL(machine_info().n_mappings, 2, "registrations are left");
	TEST_ASSERT_SUCCESS(dmamap_unmap(c, a, 2 * KB4), "unmap");
	return 0;
}

static int
only_what_needs_it_bounces(void)
{
	const struct dmamap_sge list[] = {
		{buf, 100}, {buf + MB2, 100}, {buf + MB2 + 100, KB4}, {buf + 8 * KB4, 100}};
	char byte;

	/*
	 * First the second registration fails, of a run of two entries; then that of the run's
	 * first entry.
	 */
	TEST_ASSERT_SUCCESS(
		dmamap_bounce_reserve(c, DMAMAP_BIDIRECTIONAL, 100 + KB4, 1), "reserve");
	TEST_ASSERT_SUCCESS(dmamap_bounce_reserve(c, DMAMAP_BIDIRECTIONAL, 100, 1), "reserve");
	memset(buf + MB2, 'o', 100 + KB4);
	vfio_mock_fail(mock, 1u << VFIO_MOCK_MAP, 2, EFAULT);
	TEST_ASSERT_EQUAL(
		dmamap_stream_map_sg(nic, list, 4, DMAMAP_BIDIRECTIONAL, s, seg, N), 4, "segments");
	TEST_ASSERT(s[0].bounce == NULL && s[3].bounce == NULL, "bounced for nothing");
	TEST_ASSERT(s[1].bounce == NULL && s[2].bounce == NULL, "each alone can be had in place");
	TEST_ASSERT_SUCCESS(dmamap_stream_unmap_sg(s, 4), "unmap");

	TEST_ASSERT_SUCCESS(dmamap_bounce_reserve(c, DMAMAP_BIDIRECTIONAL, KB4, 1), "reserve");
	refuse_maps(EFAULT);
	TEST_ASSERT_EQUAL(dmamap_stream_map_sg(nic, &list[1], 2, DMAMAP_BIDIRECTIONAL, s, seg, N),
		2, "segments");
	refuse_maps(0);
	TEST_ASSERT(s[0].bounce != NULL && s[1].bounce != NULL, "not bounced");
	TEST_ASSERT_SUCCESS(
		vfio_mock_dma_read(mock, "nic0", seg[1].iova + KB4 - 1, &byte, 1), "read");
	TEST_ASSERT_EQUAL(byte, 'o', "to the device");
	TEST_ASSERT_SUCCESS(
		vfio_mock_dma_write(mock, "nic0", seg[1].iova + KB4 - 1, "d", 1), "write");
	dmamap_stream_sync_sg_for_cpu(s, 2);
	TEST_ASSERT_EQUAL(buf[MB2 + 100 + KB4 - 1], 'd', "from the device");
	buf[MB2] = 'c';
	dmamap_stream_sync_sg_for_device(s, 2);
	TEST_ASSERT_SUCCESS(vfio_mock_dma_read(mock, "nic0", seg[0].iova, &byte, 1), "read");
	TEST_ASSERT_EQUAL(byte, 'c', "to the device again");
	return dmamap_stream_unmap_sg(s, 2);
}

static int
a_list_is_mapped_whole_or_not_at_all(void)
{
	const struct dmamap_sge list[] = {{buf, 100}, {buf + 8 * KB4, 100}, {buf + 20 * KB4, KB4}};
	struct dmamap_sge bad = {buf, 0};
	unsigned int nth, i;
	int rc;

	TEST_ASSERT_EQUAL(dmamap_stream_map_sg(nic, list, 3, DMAMAP_TO_DEVICE, s, seg, 2), -E2BIG,
		"two for three");
	TEST_ASSERT_EQUAL(machine_info().n_mappings, 0, "something is left");
	/* From the nth map on every map fails, including those of bounce buffers. */
	for (nth = 0; nth < 3; nth++) {
		for (i = 0; i < nth; i++)
			TEST_ASSERT_SUCCESS(dmamap_stream_map(nic, list[i].va, list[i].len,
						    DMAMAP_TO_DEVICE, &s[8 + i]),
				"in place");
		refuse_maps(ENOMEM);
		rc = dmamap_stream_map_sg(nic, list, 3, DMAMAP_TO_DEVICE, s, seg, N);
		refuse_maps(0);
		TEST_ASSERT_EQUAL(rc, -ENOMEM, "%u: %d", nth, rc);
		TEST_ASSERT_EQUAL(machine_info().n_mappings, nth, "%u: something is left", nth);
		TEST_ASSERT_SUCCESS(dmamap_stream_unmap_sg(&s[8], nth), "unmap");
		TEST_ASSERT_EQUAL(machine_info().n_mappings, 0, "%u: something is still used", nth);
	}
	TEST_ASSERT_EQUAL(dmamap_stream_map_sg(nic, &bad, 1, DMAMAP_TO_DEVICE, s, seg, N), -EINVAL,
		"no length");
	TEST_ASSERT_EQUAL(
		dmamap_stream_map_sg(nic, list, 0, DMAMAP_TO_DEVICE, s, seg, N), -EINVAL, "empty");
	TEST_ASSERT_EQUAL(dmamap_stream_map_sg(nic, list, 3, DMAMAP_TO_DEVICE, s, seg, 0), -EINVAL,
		"no place");
	TEST_ASSERT_EQUAL(dmamap_stream_map_sg(NULL, list, 3, DMAMAP_TO_DEVICE, s, seg, N), -EINVAL,
		"no device");
	bad = (struct dmamap_sge){(void *)(UINTPTR_MAX - 10), 100};
	TEST_ASSERT_EQUAL(
		dmamap_stream_map_sg(nic, &bad, 1, DMAMAP_TO_DEVICE, s, seg, N), -EINVAL, "wraps");
	return 0;
}

/* Threads */

#define THREADS 4u
#define ROUNDS 150u

struct worker {
	pthread_t thread;
	unsigned int id;
	int rc;
};

/**
 * Map lists of the thread's own part of `buf`, in place or with bounce buffers, and let the device
 * write.
 */
static void *
map_lists(void *arg)
{
	struct worker *w = arg;
	char *own = buf + w->id * (BUF_LEN / THREADS), byte;
	struct dmamap_sge list[4];
	struct dmamap_stream st[4];
	struct dmamap_segment sg[4];
	unsigned int i, k;
	int n;

	for (k = 0; k < 4; k++)
		list[k] = (struct dmamap_sge){own + k * 3 * KB4, KB4 - 1 - k};
	for (i = 0; i < ROUNDS && w->rc == 0; i++) {
		byte = i;
		n = dmamap_stream_map_sg(nic, list, 4, DMAMAP_BIDIRECTIONAL, st, sg, 4);
		if (n != 4) {
			w->rc = n < 0 ? n : -100;
			break;
		}
		for (k = 0; k < 4; k++)
			if (vfio_mock_dma_write(mock, "nic0", sg[k].iova + k, &byte, 1) < 0)
				w->rc = -101;
		if (dmamap_stream_unmap_sg(st, 4) < 0)
			w->rc = -102;
		for (k = 0; k < 4; k++)
			if (own[k * 3 * KB4 + k] != byte)
				w->rc = -103;
	}
	return NULL;
}

/** Make maps fail from time to time, so that other threads bounce. */
static void *
disturb(void *arg)
{
	const bool *stop = arg;

	while (!__atomic_load_n(stop, __ATOMIC_RELAXED)) {
		vfio_mock_fail(mock, 1u << VFIO_MOCK_MAP, 3, EFAULT);
		usleep(50);
	}
	return NULL;
}

static int
map_in_threads(struct dmamap_container *from)
{
	struct worker w[THREADS];
	pthread_t disturber;
	bool stop = false;
	unsigned int i;
	int rc = 0;

	TEST_ASSERT_SUCCESS(
		dmamap_bounce_reserve(from != NULL ? from : c, DMAMAP_BIDIRECTIONAL, KB4, 64),
		"reserve");
	TEST_ASSERT_SUCCESS(pthread_create(&disturber, NULL, disturb, &stop), "thread");
	for (i = 0; i < THREADS; i++) {
		w[i] = (struct worker){.id = i};
		TEST_ASSERT_SUCCESS(pthread_create(&w[i].thread, NULL, map_lists, &w[i]), "thread");
	}
	if (from != NULL)
		do
			rc = dmamap_container_merge(c, from);
		while (rc == -EFAULT); /* injected by disturb() */
	for (i = 0; i < THREADS; i++) {
		pthread_join(w[i].thread, NULL);
		rc = w[i].rc != 0 ? w[i].rc : rc;
	}
	__atomic_store_n(&stop, true, __ATOMIC_RELAXED);
	pthread_join(disturber, NULL);
	vfio_mock_fail(mock, 1u << VFIO_MOCK_MAP, 0, 0);
	return rc;
}

static int
threads_map_lists_at_the_same_time(void)
{
	TEST_ASSERT_SUCCESS(map_in_threads(NULL), "threads");
	return 0;
}

static int
a_merge_may_come_at_any_time(void)
{
	struct dmamap_container *from;
	unsigned int i;
	int rc;

	for (i = 0; i < 4; i++) {
		from = c;
		TEST_ASSERT_SUCCESS(machine_make_container(DMAMAP_SHARE), "container");
		rc = map_in_threads(from);
		TEST_ASSERT_SUCCESS(rc, "round %u: %d", i, rc);
		TEST_ASSERT_SUCCESS(dmamap_container_destroy(from), "destroy");
	}
	return 0;
}

/* Memory that is unmapped from the process while it is mapped for devices */

/**
 * libdmamap is not told about changes of the process's address space. The mapping stays at the same
 * IOVA, and the device reaches the pages that were pinned.
 */
static int
check_stays(rte_iova_t iova, const char *what)
{
	TEST_ASSERT_EQUAL(dmamap_va2iova(c, buf), iova, "%s: translation", what);
	TEST_ASSERT(dmamap_iova2va(c, iova) == buf, "%s: the way back", what);
	TEST_ASSERT_EQUAL(machine_info().n_mappings, 1, "%s: mappings", what);
	TEST_ASSERT_EQUAL(vfio_mock_locked(mock), 2 * KB4, "%s: pinned", what);
	TEST_ASSERT_EQUAL(vfio_mock_calls(mock, VFIO_MOCK_UNMAP), 0, "%s: unmapped", what);
	return 0;
}

static int
a_mapping_keeps_its_pinned_pages(void)
{
	rte_iova_t iova;

	TEST_ASSERT_SUCCESS(dmamap_map(c, buf, 2 * KB4, DMAMAP_RW, &iova), "map");
	buf[0] = 'x';
	TEST_ASSERT_SUCCESS(madvise(buf, KB4, MADV_DONTNEED), "madvise");
	TEST_ASSERT_EQUAL(buf[0], 0, "the process has new pages");
	TEST_ASSERT_SUCCESS(check_stays(iova, "MADV_DONTNEED"), "stays");
	return dmamap_unmap(c, iova, 2 * KB4);
}

static int
a_mapping_keeps_pages_of_punched_holes(void)
{
	int fd = memfd_create("holes", MFD_CLOEXEC);
	rte_iova_t iova;

	TEST_ASSERT(fd >= 0 && ftruncate(fd, 2 * KB4) == 0, "memfd");
	TEST_ASSERT(
		mmap(buf, 2 * KB4, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0) == buf,
		"mmap");
	buf[0] = 'x';
	TEST_ASSERT_SUCCESS(dmamap_map(c, buf, 2 * KB4, DMAMAP_RW, &iova), "map");
	TEST_ASSERT_SUCCESS(
		fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, KB4), "hole");
	TEST_ASSERT_EQUAL(buf[0], 0, "the process has new pages");
	TEST_ASSERT_SUCCESS(check_stays(iova, "hole"), "stays");
	TEST_ASSERT_SUCCESS(ftruncate(fd, 0), "truncate");
	TEST_ASSERT_SUCCESS(check_stays(iova, "truncation"), "stays");
	TEST_ASSERT_SUCCESS(dmamap_unmap(c, iova, 2 * KB4), "unmap");
	close(fd);
	return 0;
}

static int
a_mapping_translates_the_address_it_was_made_with(void)
{
	struct dmamap_device *late = NULL;
	rte_iova_t iova, again;
	char *moved;
	int rc;

	TEST_ASSERT_SUCCESS(dmamap_container_detach(nic), "detach");
	TEST_ASSERT_SUCCESS(machine_remake(NULL, DMAMAP_ISOLATE), "remake");
	nic = machine_attach("nic0");
	TEST_ASSERT_SUCCESS(dmamap_map(c, buf, 2 * KB4, DMAMAP_RW, &iova), "map");
	buf[0] = 'x';
	moved = mremap(buf, 2 * KB4, 2 * KB4, MREMAP_MAYMOVE | MREMAP_FIXED, buf + MB2);
	TEST_ASSERT(moved == buf + MB2 && moved[0] == 'x', "mremap");
	/* The device's accesses follow the pages; translation does not. */
	TEST_ASSERT_SUCCESS(check_stays(iova, "mremap"), "stays");
	TEST_ASSERT_EQUAL(dmamap_va2iova(c, moved), RTE_BAD_IOVA, "the new address");
	/*
	 * A kernel container that joins now has to pin memory at the old address, where there is
	 * none.
	 */
	rc = dmamap_container_attach(c, "odd0", &late);
	TEST_ASSERT_EQUAL(rc, -EFAULT, "attach: %d", rc);
	TEST_ASSERT_SUCCESS(check_stays(iova, "a late device"), "stays");
	/* The same pages can be mapped again at their new address, which has no mapping. */
	TEST_ASSERT_SUCCESS(dmamap_map(c, moved, 2 * KB4, DMAMAP_RW, &again), "map");
	TEST_ASSERT(again != iova, "the IOVA is in use");
	TEST_ASSERT_SUCCESS(dmamap_unmap(c, again, 2 * KB4), "unmap");
	return dmamap_unmap(c, iova, 2 * KB4);
}

/** BARs and files that the kernel cannot pin: its errno is returned, and a stream is copied. */
static int
memory_that_cannot_be_pinned_is_refused_or_copied(void)
{
	static const int errs[] = {EFAULT, EOPNOTSUPP};
	rte_iova_t iova;
	unsigned int i;

	for (i = 0; i < RTE_DIM(errs); i++) {
		TEST_ASSERT_SUCCESS(dmamap_bounce_reserve(c, DMAMAP_TO_DEVICE, KB4, 1), "reserve");
		refuse_maps(errs[i]);
		TEST_ASSERT_EQUAL(dmamap_map(c, buf, KB4, DMAMAP_RW, &iova), -errs[i], "map");
		TEST_ASSERT_SUCCESS(
			dmamap_stream_map(nic, buf, KB4, DMAMAP_TO_DEVICE, &s[0]), "stream");
		refuse_maps(0);
		TEST_ASSERT_NOT_NULL(s[0].bounce, "bounce");
		TEST_ASSERT_SUCCESS(dmamap_stream_unmap(&s[0]), "unmap");
	}
	return 0;
}

static int
memory_that_only_the_kernel_may_access_is_mapped(void)
{
	static const struct vfio_mock_conf conf = {.no_memory = true};
	char *bar = mmap(NULL, MB2, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	rte_iova_t iova;

	/*
	 * This mock accepts any address, as type1 accepts a BAR's. Only the kernel may access such
	 * memory.
	 */
	TEST_ASSERT(bar != MAP_FAILED, "mmap");
	TEST_ASSERT_SUCCESS(dmamap_container_detach(nic), "detach");
	TEST_ASSERT_SUCCESS(machine_remake(&conf, DMAMAP_SHARE), "remake");
	nic = machine_attach("nic0");
	TEST_ASSERT_SUCCESS(dmamap_map(c, bar, MB2, DMAMAP_RW, &iova), "map");
	TEST_ASSERT_EQUAL(dmamap_va2iova(c, bar + 5), iova + 5, "translation");
	TEST_ASSERT_SUCCESS(dmamap_unmap(c, iova, MB2), "unmap");
	munmap(bar, MB2);
	return 0;
}

static const struct test_case cases[] = {
	{"bounce buffers share zones", bounce_buffers_share_zones},
	{"a reserved buffer needs no kernel call", a_reserved_buffer_needs_no_kernel_call},
	{"a reserved buffer makes no system call", a_reserved_buffer_makes_no_system_call},
	{"a buffer that no pool holds gets a zone", a_buffer_that_no_pool_holds_gets_a_zone},
	{"a narrower device gets what it reaches", a_narrower_device_gets_what_it_reaches},
	{"large IOMMU pages make no difference", large_iommu_pages_make_no_difference},
	{"a merge moves bounce buffers", a_merge_moves_bounce_buffers},
	{"hugepages serve without an IOMMU", hugepages_serve_without_an_iommu},
	{"contiguous entries become one segment", contiguous_entries_become_one_segment},
	{"only what needs it bounces", only_what_needs_it_bounces},
	{"a list is mapped whole or not at all", a_list_is_mapped_whole_or_not_at_all},
	{"threads map lists at the same time", threads_map_lists_at_the_same_time},
	{"a merge may come at any time", a_merge_may_come_at_any_time},
	{"a mapping keeps its pinned pages", a_mapping_keeps_its_pinned_pages},
	{"a mapping keeps pages of punched holes", a_mapping_keeps_pages_of_punched_holes},
	{"a mapping translates the address it was made with",
		a_mapping_translates_the_address_it_was_made_with},
	{"memory that cannot be pinned is refused or copied",
		memory_that_cannot_be_pinned_is_refused_or_copied},
	{"memory that only the kernel may access is mapped",
		memory_that_only_the_kernel_may_access_is_mapped},
};

REGISTER_TEST_SUITE(stream_suite) = {
	.name = "stream",
	.kind = TEST_FAST,
	.cases = cases,
	.n_cases = RTE_DIM(cases),
	.setup = setup,
	.teardown = teardown,
};
