/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Tests of the registration cache in all three modes: it never serves stale memory, idle memory
 * never blocks other calls, and eviction frees what is needed. On the mock kernel.
 *
 * Regression cases, by the numbers of the defects:
 * - 1, 2, 2b: memory renewed at the same address: "what is stale is never served ..."
 * - 3, 3b, 7: a map, a zone, a FIXED map over idle memory: "idle memory blocks nothing"
 * - 4: a neighbour's tail that is gone: "a buffer that cannot be widened is mapped alone"
 * - 5, 5b: directions in turn, two buffers in one page: "permissions are joined"
 * - 6, 6b: a DMA mask over idle memory: "idle memory honours a mask"
 * - 8: a second release: "each registration is its own"
 * - A, B: an attach over idle memory, and its replay: "an attach evicts"
 * - C: after the last detach: "usable ranges stay after the last detach"
 * - invalidate of memory in use inside a plain mapping: "memory in use is not invalidated"
 */

#include <errno.h>
#include <malloc.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <rte_rcu_qsbr.h>

#include "machine.h"
#include "test.h"

#define MB1 ((size_t)1 << 20)
#define GIB (UINT64_C(1) << 30)

static struct dmamap_device *nic;
/** Mode of the running case; each case runs in the modes in which it is meaningful. */
static enum dmamap_cache_mode mode;

static int
setup(void)
{
	int rc = machine_setup();

	if (rc != 0)
		return rc;
	/* A case that blocks is ended by SIGALRM, as a failure. */
	alarm(120);
	nic = machine_attach("nic0");
	return nic != NULL ? 0 : -1;
}

static void
teardown(void)
{
	alarm(0);
	dmamap_container_detach(nic);
	machine_teardown();
}

/** Run a part in each of these modes that the machine supports. */
static int
in_modes(const enum dmamap_cache_mode *modes, unsigned int n, int (*part)(void))
{
	unsigned int i;
	int rc;

	for (i = 0; i < n; i++) {
		mode = modes[i];
		rc = dmamap_registration_cache(c, mode, GIB);
		if (mode == DMAMAP_CACHE_WATCHED &&
			(rc == -ENOTSUP || rc == -ENOSYS || rc == -EPERM)) {
			printf("  no userfaultfd events here\n");
			continue;
		}
		TEST_ASSERT_SUCCESS(rc, "mode %d", mode);
		rc = part();
		TEST_ASSERT_SUCCESS(rc, "in mode %d", mode);
		TEST_ASSERT_SUCCESS(dmamap_registration_cache(c, DMAMAP_CACHE_OFF, 0), "off");
		TEST_ASSERT_EQUAL(machine_info().n_mappings, 0, "left in mode %d", mode);
	}
	return 0;
}

static const enum dmamap_cache_mode all_modes[] = {
	DMAMAP_CACHE_OFF, DMAMAP_CACHE_PROMISED, DMAMAP_CACHE_WATCHED};
/** Modes in which registrations become idle. */
static const enum dmamap_cache_mode armed[] = {DMAMAP_CACHE_PROMISED, DMAMAP_CACHE_WATCHED};
/** Modes in which the application does not call invalidate. */
static const enum dmamap_cache_mode unpromised[] = {DMAMAP_CACHE_OFF, DMAMAP_CACHE_WATCHED};

/**
 * Map memory at an address. For NULL: at an address that no other thread's mmap(2) gets after it is
 * freed.
 */
static char *
anon_at(void *at, size_t len)
{
	/*
	 * Far below the kernel's search start for mmap(2), and at addresses that the sanitizers
	 * allow.
	 */
	static uintptr_t next = UINT64_C(0x7e9000000000);
	char *va;

	if (at == NULL) {
		at = (void *)next;
		next += UINT64_C(1) << 30;
	}
	va = mmap(at, len, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
	return va == MAP_FAILED ? NULL : va;
}

static struct dmamap_registration *
reg(char *va, size_t len, uint32_t flags, rte_iova_t *iova)
{
	struct dmamap_registration *r = NULL;

	*iova = RTE_BAD_IOVA;
	dmamap_register(c, va, len, flags, iova, &r);
	return r;
}

/** Register and deregister. @return 0 */
static int
touch(char *va, size_t len, uint32_t flags, rte_iova_t *iova)
{
	struct dmamap_registration *r = NULL;
	int rc = dmamap_register(c, va, len, flags, iova, &r);

	return rc == 0 ? dmamap_deregister(r) : rc;
}

static uint64_t
maps(void)
{
	return machine_info().map_calls;
}

/* 1, 2, 2b: stale memory */

static int
renew_memory(void)
{
	char *a = anon_at(NULL, MB1), *b;
	rte_iova_t x, y;
	uint64_t before;
	struct dmamap_registration *r;

	memset(a, 1, MB1);
	TEST_ASSERT_SUCCESS(touch(a, MB1, DMAMAP_RW, &x), "register");
	TEST_ASSERT_EQUAL(machine_info().n_mappings, mode == DMAMAP_CACHE_OFF ? 0 : 1, "idle");
	before = maps();
	if (mode == DMAMAP_CACHE_PROMISED)
		TEST_ASSERT_SUCCESS(dmamap_invalidate(c, a, MB1), "invalidate");
	munmap(a, MB1);
	b = anon_at(a, MB1);
	TEST_ASSERT(b == a, "the same address");
	r = reg(b, MB1, DMAMAP_RW, &y);
	TEST_ASSERT_NOT_NULL(r, "register again");
	TEST_ASSERT_EQUAL(maps() - before, 1, "the old pages were served");
	TEST_ASSERT(machine_reaches("nic0", y, b, MB1), "not reached");
	TEST_ASSERT_SUCCESS(dmamap_deregister(r), "deregister");
	/* Emptied by MADV_DONTNEED, then replaced by mremap(2). */
	before = maps();
	if (mode == DMAMAP_CACHE_PROMISED)
		TEST_ASSERT_SUCCESS(dmamap_invalidate(c, b, MB1), "invalidate");
	madvise(b, MB1, MADV_DONTNEED);
	TEST_ASSERT_SUCCESS(touch(b, MB1, DMAMAP_RW, &y), "register the emptied");
	TEST_ASSERT_EQUAL(maps() - before, 1, "the old pages were served after MADV_DONTNEED");
	if (mode == DMAMAP_CACHE_PROMISED)
		TEST_ASSERT_SUCCESS(dmamap_invalidate(c, b, MB1), "invalidate");
	munmap(b, MB1);
	return 0;
}

static int
what_is_stale_is_never_served(void)
{
	return in_modes(all_modes, RTE_DIM(all_modes), renew_memory);
}

/** The application does not see when malloc(3) unmaps memory, so the promised mode is left out. */
static int
renew_malloc(void)
{
	char *volatile a;
	rte_iova_t x, y;
	uint64_t before;
	bool cached;
	char *b;

	/*
	 * Meson sets MALLOC_PERTURB_, so free(3) overwrites what it keeps. This distinguishes kept
	 * memory from new pages.
	 */
	mallopt(M_PERTURB, 0);
	a = malloc(MB1);
	memset(a, 0x77, 65536);
	TEST_ASSERT_SUCCESS(touch(a, 65536, DMAMAP_RW, &x), "register");
	before = maps();
	free(a);
	b = malloc(MB1);
	TEST_ASSERT_NOT_NULL(b, "malloc");
	/*
	 * Memory that free(3) keeps for the next malloc(3) has the same pages, so a cache hit is
	 * right.
	 */
	cached = b == a && b[30000] == 0x77;
	memset(b, 0x11, 65536);
	TEST_ASSERT_SUCCESS(touch(b, 65536, DMAMAP_RW, &y), "register again");
	TEST_ASSERT(maps() - before == 1 || (cached && mode == DMAMAP_CACHE_WATCHED),
		"the old pages were served");
	free(b);
	return dmamap_registration_cache(c, mode, GIB);
}

static int
what_is_stale_is_never_served_of_malloc(void)
{
	return in_modes(unpromised, RTE_DIM(unpromised), renew_malloc);
}

/** The owner of a stream's buffer promises nothing, in any mode. */
static int
renew_stream(void)
{
	char *a = anon_at(NULL, MB1);
	struct dmamap_stream s;
	uint64_t before;

	TEST_ASSERT_SUCCESS(dmamap_stream_map(nic, a, MB1, DMAMAP_TO_DEVICE, &s), "stream");
	TEST_ASSERT_SUCCESS(dmamap_stream_unmap(&s), "unmap");
	before = maps();
	munmap(a, MB1);
	TEST_ASSERT(anon_at(a, MB1) == a, "the same address");
	strcpy(a, "new");
	TEST_ASSERT_SUCCESS(dmamap_stream_map(nic, a, MB1, DMAMAP_TO_DEVICE, &s), "stream again");
	TEST_ASSERT_EQUAL(maps() - before, 1, "the old pages were served");
	TEST_ASSERT_SUCCESS(dmamap_stream_unmap(&s), "unmap");
	munmap(a, MB1);
	return 0;
}

static int
what_is_stale_is_never_served_to_a_stream(void)
{
	return in_modes(all_modes, RTE_DIM(all_modes), renew_stream);
}

/**
 * Memory that was registered before the cache was armed is not watched. So it is unmapped at its
 * release.
 */
static int
registrations_from_before_arming_are_not_cached(void)
{
	struct dmamap_registration *r;
	char *a = anon_at(NULL, MB1);
	rte_iova_t x;
	int rc;

	r = reg(a, MB1, DMAMAP_RW, &x);
	TEST_ASSERT_NOT_NULL(r, "register");
	rc = dmamap_registration_cache(c, DMAMAP_CACHE_WATCHED, GIB);
	if (rc == -ENOTSUP || rc == -ENOSYS || rc == -EPERM)
		return test_skip("no userfaultfd events here: %s", strerror(-rc));
	TEST_ASSERT_SUCCESS(rc, "watched");
	TEST_ASSERT_SUCCESS(dmamap_deregister(r), "deregister");
	TEST_ASSERT_EQUAL(machine_info().n_mappings, 0, "idle, but nobody watches its memory");
	/*
	 * Switching from promised to watched: registrations that are idle then, and those released
	 * later.
	 */
	TEST_ASSERT_SUCCESS(dmamap_registration_cache(c, DMAMAP_CACHE_PROMISED, GIB), "promised");
	TEST_ASSERT_SUCCESS(touch(a, KB4, DMAMAP_RW, &x), "register");
	r = reg(a + 2 * KB4, KB4, DMAMAP_RW, &x);
	TEST_ASSERT_SUCCESS(
		dmamap_registration_cache(c, DMAMAP_CACHE_WATCHED, GIB), "watched again");
	TEST_ASSERT_EQUAL(machine_info().n_mappings, 1, "idle by another rule");
	TEST_ASSERT_SUCCESS(dmamap_deregister(r), "deregister");
	TEST_ASSERT_EQUAL(machine_info().n_mappings, 0, "idle, but nobody watches its memory");
	munmap(a, MB1);
	return 0;
}

/* 3, 3b, 7: idle memory in the way */

static int
map_over_idle(void)
{
	struct dmamap_zone_conf conf = {.len = 3 * MB1, .page_size = KB4, .name = "rings"};
	char *a = anon_at(NULL, 8 * MB1);
	rte_iova_t x, iova = 0;
	struct dmamap_zone *z;

	TEST_ASSERT_SUCCESS(touch(a, MB1, DMAMAP_RW, &x), "register");
	TEST_ASSERT_SUCCESS(dmamap_map(c, a, MB1, DMAMAP_RW, &iova), "map of idle memory");
	TEST_ASSERT(machine_reaches("nic0", iova, a, MB1), "not reached");
	TEST_ASSERT_SUCCESS(dmamap_unmap(c, iova, MB1), "unmap");

	TEST_ASSERT_SUCCESS(touch(a, MB1, DMAMAP_RW, &x), "register");
	iova = x;
	TEST_ASSERT_SUCCESS(dmamap_map(c, a + 4 * MB1, MB1, DMAMAP_RW | DMAMAP_FIXED, &iova),
		"FIXED over idle");
	TEST_ASSERT_EQUAL(iova, x, "elsewhere");
	TEST_ASSERT_EQUAL(dmamap_va2iova(c, a), RTE_BAD_IOVA, "still translated");
	TEST_ASSERT_SUCCESS(dmamap_unmap(c, iova, MB1), "unmap");

	TEST_ASSERT_SUCCESS(touch(a, 8 * MB1, DMAMAP_RW, &x), "register");
	munmap(a, 8 * MB1);
	TEST_ASSERT_SUCCESS(dmamap_zone_alloc(c, &conf, &z), "zone where idle memory was");
	TEST_ASSERT(machine_reaches("nic0", dmamap_zone_iova(z), dmamap_zone_va(z), 3 * MB1),
		"not reached");
	TEST_ASSERT_SUCCESS(dmamap_zone_free(z), "zone_free");
	return dmamap_invalidate(c, a, 8 * MB1);
}

static int
idle_memory_blocks_nothing(void)
{
	return in_modes(all_modes, RTE_DIM(all_modes), map_over_idle);
}

/** A map of idle memory succeeds while another thread evicts the same. */
static bool stop;

static void *
evict_all_the_time(void *arg)
{
	while (!__atomic_load_n(&stop, __ATOMIC_RELAXED))
		dmamap_invalidate(c, buf, BUF_LEN);
	return arg;
}

static int
an_eviction_by_another_thread_is_no_failure(void)
{
	rte_iova_t x, iova;
	unsigned int i;
	pthread_t t;
	int rc = 0;

	TEST_ASSERT_SUCCESS(dmamap_registration_cache(c, DMAMAP_CACHE_PROMISED, GIB), "promised");
	stop = false;
	TEST_ASSERT_SUCCESS(pthread_create(&t, NULL, evict_all_the_time, NULL), "thread");
	for (i = 0; i < 3000 && rc == 0; i++) {
		rc = touch(buf, KB4, DMAMAP_RW, &x);
		iova = i % 2 ? x : 0;
		if (rc == 0)
			rc = dmamap_map(c, i % 2 ? buf + MB2 : buf, KB4,
				DMAMAP_RW | (i % 2 ? DMAMAP_FIXED : 0), &iova);
		if (rc == 0)
			rc = dmamap_unmap(c, iova, KB4);
	}
	__atomic_store_n(&stop, true, __ATOMIC_RELAXED);
	pthread_join(t, NULL);
	TEST_ASSERT_SUCCESS(rc, "round %u: %d", i, rc);
	return dmamap_invalidate(c, buf, BUF_LEN);
}

/* 4: a buffer that cannot be widened */

static int
register_beside_a_hole(void)
{
	char *a = anon_at(NULL, MB1);
	struct dmamap_registration *r;
	rte_iova_t x;

	TEST_ASSERT_SUCCESS(touch(a, MB1, DMAMAP_READ, &x), "register");
	munmap(a + MB1 / 2, MB1 / 2);
	r = reg(a, 65536, DMAMAP_WRITE, &x);
	TEST_ASSERT_NOT_NULL(r, "64 KiB that are there are refused");
	TEST_ASSERT_SUCCESS(dmamap_deregister(r), "deregister");
	/* A map is widened to include an idle buffer; here the idle one's tail is gone. */
	TEST_ASSERT_SUCCESS(dmamap_invalidate(c, a, MB1), "invalidate");
	TEST_ASSERT_SUCCESS(touch(a + 4 * KB4, 8 * KB4, DMAMAP_RW, &x), "register");
	munmap(a + 8 * KB4, MB1 / 2 - 8 * KB4);
	r = reg(a + KB4, 7 * KB4, DMAMAP_RW, &x);
	TEST_ASSERT_NOT_NULL(r, "28 KiB that are there are refused");
	TEST_ASSERT(machine_reaches("nic0", x, a + KB4, 7 * KB4), "not reached");
	TEST_ASSERT_SUCCESS(dmamap_deregister(r), "deregister");
	TEST_ASSERT_SUCCESS(dmamap_invalidate(c, a, MB1), "invalidate");
	munmap(a, 8 * KB4);
	return 0;
}

static int
a_buffer_that_cannot_be_widened_is_mapped_alone(void)
{
	return in_modes(all_modes, RTE_DIM(all_modes), register_beside_a_hole);
}

/* 5, 5b: permissions */

static int
alternate_directions(void)
{
	const bool off = mode == DMAMAP_CACHE_OFF;
	uint64_t m0 = maps(), u0 = machine_info().unmap_calls;
	rte_iova_t x;
	unsigned int i;

	for (i = 0; i < 1000; i++)
		TEST_ASSERT_SUCCESS(
			touch(buf, 65536, i & 1 ? DMAMAP_READ : DMAMAP_WRITE, &x), "register");
	TEST_ASSERT_EQUAL(maps() - m0, off ? 1000 : 2, "%" PRIu64 " maps", maps() - m0);
	TEST_ASSERT_EQUAL(machine_info().unmap_calls - u0, off ? 1000 : 1, "unmaps");
	m0 = maps();
	for (i = 0; i < 1000; i++)
		TEST_ASSERT_SUCCESS(touch(buf + MB2 + (i & 1) * 512, 512,
					    i & 1 ? DMAMAP_READ : DMAMAP_WRITE, &x),
			"register");
	TEST_ASSERT_EQUAL(
		maps() - m0, off ? 1000 : 2, "%" PRIu64 " maps of two in a page", maps() - m0);
	/* A stream gets hits on watched memory only. */
	m0 = maps();
	for (i = 0; i < 100; i++) {
		struct dmamap_stream s;

		TEST_ASSERT_SUCCESS(dmamap_stream_map(nic, buf, 65536,
					    i & 1 ? DMAMAP_TO_DEVICE : DMAMAP_FROM_DEVICE, &s),
			"stream");
		TEST_ASSERT_SUCCESS(dmamap_stream_unmap(&s), "unmap");
	}
	TEST_ASSERT_EQUAL(maps() - m0, mode == DMAMAP_CACHE_WATCHED ? 0 : 100,
		"%" PRIu64 " maps of streams", maps() - m0);
	return dmamap_invalidate(c, buf, BUF_LEN);
}

static int
permissions_are_joined(void)
{
	return in_modes(all_modes, RTE_DIM(all_modes), alternate_directions);
}

/* 6, 6b: DMA masks */

static int
narrow_the_mask(void)
{
	struct dmamap_stream s;
	rte_iova_t x, taken = RTE_BAD_IOVA;
	rte_iova_t high = UINT64_C(1) << 32;

	/* Idle above 4 GiB: IOVAs below are reserved for now. */
	TEST_ASSERT_SUCCESS(dmamap_iova_reserve(c, 3 * GIB, 0, DMAMAP_ANYWHERE, &taken), "reserve");
	TEST_ASSERT_SUCCESS(touch(buf, MB2, DMAMAP_RW, &x), "register");
	TEST_ASSERT(x + MB2 - 1 > UINT32_MAX, "0x%" PRIx64 " is low: the case is void", x);
	TEST_ASSERT_SUCCESS(dmamap_iova_release(c, taken, 3 * GIB), "release");
	TEST_ASSERT_SUCCESS(dmamap_device_dma_mask(nic, 32), "mask");
	TEST_ASSERT_SUCCESS(touch(buf, MB2, DMAMAP_RW, &x), "register");
	TEST_ASSERT(x + MB2 - 1 < high, "beyond the mask: 0x%" PRIx64, x);
	TEST_ASSERT_SUCCESS(dmamap_stream_map(nic, buf, MB2, DMAMAP_TO_DEVICE, &s), "stream");
	TEST_ASSERT_NULL(s.bounce, "bounced, though it can be mapped low");
	TEST_ASSERT(s.iova + MB2 - 1 < high, "beyond the mask: 0x%" PRIx64, s.iova);
	TEST_ASSERT_SUCCESS(dmamap_stream_unmap(&s), "unmap");
	/* A registration in use above the mask stays, and is not used for hits. */
	TEST_ASSERT_SUCCESS(dmamap_device_dma_mask(nic, 64), "mask");
	TEST_ASSERT_SUCCESS(
		dmamap_map(c, buf + 2 * MB2, MB2, DMAMAP_RW | DMAMAP_FIXED, &high), "map");
	TEST_ASSERT_SUCCESS(dmamap_device_dma_mask(nic, 32), "mask");
	TEST_ASSERT_SUCCESS(touch(buf + 2 * MB2, KB4, DMAMAP_RW, &x), "register");
	TEST_ASSERT(x < high, "beyond the mask: 0x%" PRIx64, x);
	TEST_ASSERT_SUCCESS(dmamap_unmap(c, high, MB2), "unmap");
	TEST_ASSERT_SUCCESS(dmamap_device_dma_mask(nic, 64), "mask");
	return dmamap_invalidate(c, buf, BUF_LEN);
}

static int
idle_memory_honours_a_mask(void)
{
	TEST_ASSERT_SUCCESS(dmamap_container_detach(nic), "detach");
	TEST_ASSERT_SUCCESS(machine_remake(NULL, DMAMAP_SHARE), "machine");
	nic = machine_attach("nic0");
	return in_modes(armed, RTE_DIM(armed), narrow_the_mask);
}

/** An impossible mask is refused and evicts nothing. */
static int
a_mask_that_fails_evicts_nothing(void)
{
	rte_iova_t x;

	TEST_ASSERT_SUCCESS(dmamap_registration_cache(c, DMAMAP_CACHE_PROMISED, GIB), "promised");
	TEST_ASSERT_SUCCESS(touch(buf, KB4, DMAMAP_RW, &x), "register");
	TEST_ASSERT_EQUAL(dmamap_device_dma_mask(nic, 11), -EINVAL, "11 bits");
	TEST_ASSERT_EQUAL(dmamap_device_dma_mask(nic, 65), -EINVAL, "65 bits");
	TEST_ASSERT_EQUAL(machine_info().n_mappings, 1, "evicted");
	return dmamap_invalidate(c, buf, BUF_LEN);
}

/* 8: handles */

static int
release_twice(void)
{
	struct dmamap_registration *r1, *r2;
	rte_iova_t x, y;

	r1 = reg(buf, 65536, DMAMAP_RW, &x);
	r2 = reg(buf, 65536, DMAMAP_RW, &y);
	TEST_ASSERT(r1 != NULL && r2 != NULL && r1 != r2 && x == y, "two handles of one mapping");
	TEST_ASSERT_SUCCESS(dmamap_deregister(r1), "deregister");
	TEST_ASSERT_EQUAL(dmamap_deregister(r1), -EINVAL, "released twice");
	TEST_ASSERT_EQUAL(
		dmamap_invalidate(c, buf, 65536), -EBUSY, "the other's registration is gone");
	TEST_ASSERT(machine_reaches("nic0", y, buf, 65536), "not reached");
	TEST_ASSERT_SUCCESS(dmamap_deregister(r2), "deregister");
	TEST_ASSERT_EQUAL(dmamap_deregister(r2), -EINVAL, "released twice");
	TEST_ASSERT_EQUAL(
		dmamap_deregister((struct dmamap_registration *)buf), -EINVAL, "no handle");
	TEST_ASSERT_SUCCESS(dmamap_deregister(NULL), "NULL");
	return dmamap_invalidate(c, buf, BUF_LEN);
}

static int
each_registration_is_its_own(void)
{
	return in_modes(all_modes, RTE_DIM(all_modes), release_twice);
}

/** Invalidation of memory in use inside a plain mapping: -EBUSY. */
static int
invalidate_in_use(void)
{
	struct dmamap_registration *r, *alias;
	rte_iova_t iova = 0, x;

	TEST_ASSERT_SUCCESS(dmamap_map(c, buf, MB1, DMAMAP_READ, &iova), "map");
	r = reg(buf, KB4, DMAMAP_READ, &x);
	TEST_ASSERT_EQUAL(dmamap_invalidate(c, buf, MB1), -EBUSY, "in use inside a plain mapping");
	TEST_ASSERT_SUCCESS(dmamap_deregister(r), "deregister");
	alias = reg(buf + MB1 / 2, KB4, DMAMAP_RW, &x);
	TEST_ASSERT_NOT_NULL(alias, "alias");
	TEST_ASSERT_EQUAL(dmamap_invalidate(c, buf, MB1), -EBUSY, "in use as an alias");
	TEST_ASSERT_SUCCESS(dmamap_deregister(alias), "deregister");
	TEST_ASSERT_SUCCESS(dmamap_invalidate(c, buf, MB1), "invalidate");
	TEST_ASSERT_EQUAL(
		machine_info().n_mappings, 1, "the idle alias stays, or the mapping went");
	return dmamap_unmap(c, iova, MB1);
}

static int
memory_in_use_is_not_invalidated(void)
{
	return in_modes(all_modes, RTE_DIM(all_modes), invalidate_in_use);
}

/* A, B, C: attach */

static int
attach_over_idle(void)
{
	struct vfio_mock_resv resv = {.type = DMAMAP_RESERVED_MSI};
	const struct vfio_mock_group_conf group = {.n_resv = 1, .resv = &resv};
	static unsigned int n;
	struct dmamap_device *d;
	char name[16];
	rte_iova_t x;

	TEST_ASSERT_SUCCESS(touch(buf, MB1, DMAMAP_RW, &x), "register");
	resv.range = (struct dmamap_range){x, x + KB4 - 1};
	snprintf(name, sizeof(name), "new%u", n++);
	TEST_ASSERT_SUCCESS(
		vfio_mock_add_device(mock, vfio_mock_add_group(mock, &group), name, -1, "vfio-pci"),
		"add");
	TEST_ASSERT_SUCCESS(
		dmamap_container_attach(c, name, &d), "idle memory is in the way of an attach");
	TEST_ASSERT_EQUAL(machine_info().n_mappings, 0, "still mapped in a reserved range");
	return dmamap_container_detach(d);
}

static int
replay_over_the_limit(void)
{
	struct dmamap_device *d, *d2;
	rte_iova_t x;

	TEST_ASSERT_SUCCESS(dmamap_container_attach(c, "nic0", &d), "attach");
	TEST_ASSERT_SUCCESS(touch(buf, MB2, DMAMAP_RW, &x), "2 MiB of 3");
	TEST_ASSERT_SUCCESS(
		dmamap_container_attach(c, "nic1", &d2), "attach, 2 MiB idle, limit 3 MiB");
	TEST_ASSERT_EQUAL(machine_info().n_domains, 2, "domains: the case is void");
	TEST_ASSERT_EQUAL(machine_info().n_mappings, 0, "idle");
	TEST_ASSERT_SUCCESS(dmamap_container_detach(d2), "detach");
	return dmamap_container_detach(d);
}

static int
an_attach_evicts(void)
{
	static const struct vfio_mock_conf conf = {.memlock = 3 << 20, .never_share = true};

	TEST_ASSERT_SUCCESS(in_modes(armed, RTE_DIM(armed), attach_over_idle), "A");
	TEST_ASSERT_SUCCESS(dmamap_container_detach(nic), "detach");
	nic = NULL;
	TEST_ASSERT_SUCCESS(machine_remake(&conf, DMAMAP_ISOLATE), "machine");
	return in_modes(armed, RTE_DIM(armed), replay_over_the_limit);
}

static int
usable_ranges_stay_after_the_last_detach(void)
{
	static const struct vfio_mock_iommu_conf wide = {.aperture = {0, (UINT64_C(1) << 48) - 1}};
	const struct vfio_mock_group_conf group = {.iommu = vfio_mock_add_iommu(mock, &wide)};
	const struct dmamap_range high = {UINT64_C(1) << 40, UINT64_MAX};
	struct dmamap_container_info info;
	rte_iova_t iova = UINT64_C(1) << 40;
	struct dmamap_device *d;
	bool usable;
	int rc;

	TEST_ASSERT_SUCCESS(dmamap_container_detach(nic), "detach");
	nic = NULL;
	TEST_ASSERT_SUCCESS(vfio_mock_add_device(mock, vfio_mock_add_group(mock, &group), "wide0",
				    -1, "vfio-pci"),
		"add");
	TEST_ASSERT_SUCCESS(dmamap_container_destroy(c), "destroy");
	TEST_ASSERT_SUCCESS(machine_make_container(DMAMAP_SHARE), "container");
	TEST_ASSERT_SUCCESS(dmamap_container_attach(c, "wide0", &d), "attach");
	TEST_ASSERT_SUCCESS(
		dmamap_map(c, buf, KB4, DMAMAP_RW | DMAMAP_FIXED, &iova), "FIXED at 2^40");
	TEST_ASSERT_SUCCESS(dmamap_unmap(c, iova, KB4), "unmap");
	TEST_ASSERT_SUCCESS(dmamap_container_detach(d), "detach");
	/* The reported result and the effect are the same. */
	info = machine_info();
	usable = info.ranges[info.n_ranges - 1].last >= iova + KB4 - 1;
	rc = dmamap_map(c, buf, KB4, DMAMAP_RW | DMAMAP_FIXED, &iova);
	TEST_ASSERT_EQUAL(rc, usable ? 0 : -ERANGE, "usable to 0x%" PRIx64 ", but FIXED gives %d",
		info.ranges[info.n_ranges - 1].last, rc);
	if (rc == 0)
		TEST_ASSERT_SUCCESS(dmamap_unmap(c, iova, KB4), "unmap");
	rc = dmamap_iova_reserve(c, KB4, 0, high, &iova);
	TEST_ASSERT_EQUAL(rc, usable ? 0 : -ENOSPC, "reserve: %d", rc);
	if (rc == 0)
		TEST_ASSERT_SUCCESS(dmamap_iova_release(c, iova, KB4), "release");
	return 0;
}

/* Merges with idle memory */

static struct dmamap_container *other;

static struct dmamap_container *
make_other(void)
{
	const struct dmamap_container_conf conf = {
		.backend = DMAMAP_BACKEND_TYPE1, .kernel = vfio_mock_kernel(mock)};

	other = NULL;
	dmamap_container_create(&conf, &other);
	return other;
}

/** Both have idle memory: the same memory at other IOVAs, and other memory at the same IOVAs. */
static int
idle_memory_blocks_no_merge(void)
{
	struct dmamap_registration *r;
	struct dmamap_device *d;
	rte_iova_t x, y;

	make_other();
	TEST_ASSERT_SUCCESS(dmamap_container_attach(other, "nic1", &d), "attach");
	TEST_ASSERT_SUCCESS(dmamap_registration_cache(c, DMAMAP_CACHE_PROMISED, GIB), "promised");
	TEST_ASSERT_SUCCESS(
		dmamap_registration_cache(other, DMAMAP_CACHE_PROMISED, GIB), "promised");
	TEST_ASSERT_SUCCESS(touch(buf + MB2, KB4, DMAMAP_RW, &x), "register");
	TEST_ASSERT_SUCCESS(touch(buf, KB4, DMAMAP_RW, &x), "register");
	TEST_ASSERT_SUCCESS(dmamap_register(other, buf, KB4, DMAMAP_RW, &y, &r), "register");
	TEST_ASSERT_SUCCESS(dmamap_deregister(r), "deregister");
	TEST_ASSERT_SUCCESS(dmamap_container_merge(c, other), "merge");
	TEST_ASSERT_EQUAL(machine_info().n_mappings, 0, "idle");
	TEST_ASSERT_SUCCESS(dmamap_container_destroy(other), "destroy");
	return dmamap_container_detach(d);
}

/**
 * The kernel refuses an unmap of the eviction before a merge, or unmaps less. The rest belongs to
 * `into` afterwards.
 */
static int
merge_with_unmap(void (*spoil)(void), bool stays)
{
	struct dmamap_container_info info;
	struct dmamap_registration *r;
	struct dmamap_device *d;
	rte_iova_t x[2], again;
	unsigned int i;

	make_other();
	TEST_ASSERT_SUCCESS(dmamap_container_attach(other, "nic1", &d), "attach");
	TEST_ASSERT_SUCCESS(
		dmamap_registration_cache(other, DMAMAP_CACHE_PROMISED, GIB), "promised");
	for (i = 0; i < 2; i++) {
		TEST_ASSERT_SUCCESS(
			dmamap_register(other, buf + 2 * i * MB2, MB2, DMAMAP_RW, &x[i], &r),
			"register");
		TEST_ASSERT_SUCCESS(dmamap_deregister(r), "deregister");
	}
	spoil();
	TEST_ASSERT_SUCCESS(dmamap_container_merge(c, other), "merge");
	vfio_mock_fail(mock, 0, 0, 0);
	vfio_mock_short_unmap(mock, 0, 0);
	dmamap_container_info(other, &info);
	TEST_ASSERT_EQUAL(info.n_mappings, 0, "left in the other");
	TEST_ASSERT_SUCCESS(dmamap_container_destroy(other), "destroy");
	TEST_ASSERT_EQUAL(machine_info().n_mappings > 0, stays, "%" PRIu64 " mappings",
		machine_info().n_mappings);
	/* Used, evicted, used again: no dangling reference to the destroyed container. */
	for (i = 0; i < 2; i++) {
		TEST_ASSERT_SUCCESS(touch(buf + 2 * i * MB2, MB2, DMAMAP_RW, &again), "register");
		TEST_ASSERT_SUCCESS(
			dmamap_registration_cache(c, DMAMAP_CACHE_PROMISED, i), "limit");
	}
	TEST_ASSERT_SUCCESS(dmamap_invalidate(c, buf, BUF_LEN), "invalidate");
	TEST_ASSERT_EQUAL(
		machine_info().n_mappings, 0, "mappings that no limit and no invalidation reaches");
	TEST_ASSERT_SUCCESS(dmamap_registration_cache(c, DMAMAP_CACHE_OFF, 0), "off");
	return dmamap_container_detach(d);
}

static void
refuse_unmap(void)
{
	vfio_mock_fail(mock, 1u << VFIO_MOCK_UNMAP, 1, EINVAL);
}

static void
shorten_unmap(void)
{
	vfio_mock_short_unmap(mock, 1, MB2 / 2);
}

static int
a_merge_leaves_nothing_dangling(void)
{
	TEST_ASSERT_SUCCESS(merge_with_unmap(refuse_unmap, true), "the unmap fails");
	return merge_with_unmap(shorten_unmap, false);
}

/* Limits */

/** A registration beyond the entries evicts a few, with one wait for readers, and logs nothing. */
static int
a_full_table_evicts_a_few(void)
{
	static const struct vfio_mock_conf conf = {.no_memory = true, .entry_limit = 1000};
	const char *said;
	rte_iova_t x;
	unsigned int i;
	uint64_t left;
	int rc = 0;

	TEST_ASSERT_SUCCESS(dmamap_container_detach(nic), "detach");
	TEST_ASSERT_SUCCESS(machine_remake(&conf, DMAMAP_SHARE), "machine");
	nic = machine_attach("nic0");
	TEST_ASSERT_SUCCESS(dmamap_registration_cache(c, DMAMAP_CACHE_PROMISED, GIB), "promised");
	for (i = 0; i < 1000; i++)
		TEST_ASSERT_SUCCESS(
			touch((char *)(UINT64_C(1) << 40) + i * 2 * KB4, KB4, DMAMAP_RW, &x),
			"register");
	TEST_ASSERT_EQUAL(machine_info().entries_left, 0, "not full: the case is void");
	test_log_begin();
	rc = touch((char *)(UINT64_C(1) << 40) + i * 2 * KB4, KB4, DMAMAP_RW, &x);
	said = test_log_end();
	TEST_ASSERT_SUCCESS(rc, "one more: %d", rc);
	TEST_ASSERT(said[0] == '\0', "it logs: %s", said);
	left = machine_info().n_mappings;
	TEST_ASSERT(left >= 900 && left < 1000, "%" PRIu64 " are left", left);
	return dmamap_invalidate(c, (char *)(UINT64_C(1) << 40), 2001 * 2 * KB4);
}

/** A reader that is rarely quiescent. It counts the library's waits. */
static struct {
	struct rte_rcu_qsbr *rcu;
	bool stop;
} reader;

static void *
be_a_slow_reader(void *arg)
{
	const struct timespec pause = {.tv_nsec = 20000000};

	rte_rcu_qsbr_thread_online(reader.rcu, 0);
	while (!__atomic_load_n(&reader.stop, __ATOMIC_RELAXED)) {
		nanosleep(&pause, NULL);
		rte_rcu_qsbr_quiescent(reader.rcu, 0);
	}
	rte_rcu_qsbr_thread_offline(reader.rcu, 0);
	return arg;
}

/** Counted by the tokens of rte_rcu_qsbr_start(), not by time. */
static int
an_eviction_of_many_waits_once(void)
{
	struct dmamap_container_conf conf = {
		.backend = DMAMAP_BACKEND_TYPE1, .kernel = vfio_mock_kernel(mock)};
	uint64_t before, after;
	unsigned int i;
	rte_iova_t x;
	pthread_t t;

	reader.rcu = aligned_alloc(RTE_CACHE_LINE_SIZE,
		RTE_ALIGN_CEIL(rte_rcu_qsbr_get_memsize(1), RTE_CACHE_LINE_SIZE));
	TEST_ASSERT_SUCCESS(rte_rcu_qsbr_init(reader.rcu, 1), "rcu");
	TEST_ASSERT_SUCCESS(rte_rcu_qsbr_thread_register(reader.rcu, 0), "register");
	TEST_ASSERT_SUCCESS(dmamap_container_detach(nic), "detach");
	TEST_ASSERT_SUCCESS(dmamap_container_destroy(c), "destroy");
	conf.rcu = reader.rcu;
	TEST_ASSERT_SUCCESS(dmamap_container_create(&conf, &c), "create");
	nic = machine_attach("nic0");
	TEST_ASSERT_SUCCESS(dmamap_registration_cache(c, DMAMAP_CACHE_PROMISED, GIB), "promised");
	for (i = 0; i < 500; i++)
		TEST_ASSERT_SUCCESS(touch(buf + i * 2 * KB4, KB4, DMAMAP_RW, &x), "register");
	__atomic_store_n(&reader.stop, false, __ATOMIC_RELAXED);
	TEST_ASSERT_SUCCESS(pthread_create(&t, NULL, be_a_slow_reader, NULL), "thread");
	before = rte_rcu_qsbr_start(reader.rcu);
	TEST_ASSERT_SUCCESS(dmamap_invalidate(c, buf, BUF_LEN), "invalidate");
	after = rte_rcu_qsbr_start(reader.rcu);
	__atomic_store_n(&reader.stop, true, __ATOMIC_RELAXED);
	pthread_join(t, NULL);
	TEST_ASSERT_EQUAL(machine_info().n_mappings, 0, "mappings");
	TEST_ASSERT(after - before <= 2, "%" PRIu64 " waits for readers", after - before - 1);
	TEST_ASSERT_SUCCESS(dmamap_container_detach(nic), "detach");
	TEST_ASSERT_SUCCESS(dmamap_container_destroy(c), "destroy");
	TEST_ASSERT_SUCCESS(machine_make_container(DMAMAP_SHARE), "container");
	nic = machine_attach("nic0");
	free(reader.rcu);
	return 0;
}

/** With 4 entries, many registrations in sequence succeed and log no error. */
static int
a_small_table_takes_many_one_after_the_other(void)
{
	static const struct vfio_mock_conf conf = {.no_memory = true, .entry_limit = 4};
	const char *said;
	unsigned int i;
	rte_iova_t x;
	int rc = 0;

	TEST_ASSERT_SUCCESS(dmamap_container_detach(nic), "detach");
	TEST_ASSERT_SUCCESS(machine_remake(&conf, DMAMAP_SHARE), "machine");
	nic = machine_attach("nic0");
	TEST_ASSERT_SUCCESS(dmamap_registration_cache(c, DMAMAP_CACHE_PROMISED, GIB), "promised");
	test_log_begin();
	for (i = 0; i < 60 && rc == 0; i++)
		rc = touch((char *)(UINT64_C(1) << 40) + i * 2 * KB4, KB4, DMAMAP_RW, &x);
	said = test_log_end();
	TEST_ASSERT_SUCCESS(rc, "register %u: %d", i, rc);
	TEST_ASSERT(said[0] == '\0', "it logs: %s", said);
	return dmamap_invalidate(c, (char *)(UINT64_C(1) << 40), MB2);
}

/* Aliases */

static int
use_aliases(void)
{
	const bool off = mode == DMAMAP_CACHE_OFF;
	struct dmamap_registration *base, *r[8];
	rte_iova_t x, y, again;
	unsigned int i;

	base = reg(buf, MB2, DMAMAP_READ, &x);
	for (i = 0; i < RTE_DIM(r); i++) {
		r[i] = reg(buf + i * 8 * KB4, KB4 << (i % 3), DMAMAP_WRITE, &y);
		TEST_ASSERT_NOT_NULL(r[i], "alias %u", i);
		TEST_ASSERT(y < x || y >= x + MB2, "used for writing what is mapped for reading");
		TEST_ASSERT_EQUAL(dmamap_va2iova(c, buf + i * 8 * KB4), x + i * 8 * KB4,
			"the first mapping counts");
	}
	again = y;
	TEST_ASSERT_SUCCESS(touch(buf + 56 * KB4, 100, DMAMAP_WRITE, &y), "register in an alias");
	TEST_ASSERT_EQUAL(y, again, "an alias in use is not found");
	for (i = 0; i < RTE_DIM(r); i++)
		TEST_ASSERT_SUCCESS(dmamap_deregister(r[i]), "deregister");
	TEST_ASSERT_EQUAL(machine_info().n_mappings, off ? 1 : 1 + RTE_DIM(r), "mappings");
	TEST_ASSERT_SUCCESS(
		touch(buf + 56 * KB4, 100, DMAMAP_WRITE, &y), "register in an idle alias");
	TEST_ASSERT(off || y == again, "an idle alias is not found");
	TEST_ASSERT_EQUAL(dmamap_invalidate(c, buf, KB4), -EBUSY, "what is below is in use");
	TEST_ASSERT_SUCCESS(dmamap_deregister(base), "deregister");
	TEST_ASSERT_SUCCESS(dmamap_invalidate(c, buf, BUF_LEN), "invalidate");
	TEST_ASSERT_EQUAL(machine_info().n_mappings, 0, "mappings");
	return 0;
}

static int
aliases_are_found_and_evicted(void)
{
	return in_modes(all_modes, RTE_DIM(all_modes), use_aliases);
}

/** A range with more pages than the table of aliases has buckets. */
static int
invalidate_far_beyond(void)
{
	const size_t far = (size_t)64 << 30;
	struct dmamap_registration *base, *alias;
	rte_iova_t x, y;

	base = reg(buf, MB2, DMAMAP_READ, &x);
	alias = reg(buf + KB4, KB4, DMAMAP_WRITE, &y);
	TEST_ASSERT(base != NULL && alias != NULL, "register");
	TEST_ASSERT_SUCCESS(dmamap_deregister(base), "deregister");
	TEST_ASSERT_EQUAL(dmamap_invalidate(c, buf, far), -EBUSY, "an alias in use is not seen");
	TEST_ASSERT_SUCCESS(dmamap_deregister(alias), "deregister the alias");
	TEST_ASSERT_SUCCESS(dmamap_invalidate(c, buf, far), "invalidate");
	TEST_ASSERT_EQUAL(machine_info().n_mappings, 0, "an idle alias is not found");
	return 0;
}

static int
aliases_are_found_in_a_large_range(void)
{
	return in_modes(armed, RTE_DIM(armed), invalidate_far_beyond);
}

/** What devices still use goes with its last user; nobody else gets it. */
static int
replace_memory_in_use(void)
{
	char *a = anon_at(NULL, MB1);
	struct dmamap_registration *base, *alias, *now;
	rte_iova_t x, w, y, z;

	memset(a, 1, MB1);
	base = reg(a, MB1, DMAMAP_READ, &x);
	alias = reg(a, KB4, DMAMAP_WRITE, &w);
	TEST_ASSERT(base != NULL && alias != NULL, "register");
	munmap(a, MB1);
	TEST_ASSERT(anon_at(a, MB1) == a, "the same address");
	now = reg(a, MB1, DMAMAP_RW, &y);
	TEST_ASSERT(now != NULL && y != x && y != w, "register again");
	TEST_ASSERT_EQUAL(dmamap_va2iova(c, a), y, "the new pages are not translated");
	TEST_ASSERT(machine_reaches("nic0", y, a, MB1), "not reached");
	TEST_ASSERT_SUCCESS(touch(a, KB4, DMAMAP_WRITE, &z), "register a part");
	TEST_ASSERT_EQUAL(z, y, "the old pages were served");
	TEST_ASSERT_EQUAL(machine_info().n_mappings, 3, "mappings with all users");
	TEST_ASSERT_SUCCESS(dmamap_deregister(alias), "deregister the old alias");
	TEST_ASSERT_SUCCESS(dmamap_deregister(base), "deregister the old one");
	TEST_ASSERT_EQUAL(machine_info().n_mappings, 1, "the old ones stay idle");
	TEST_ASSERT_EQUAL(dmamap_va2iova(c, a), y, "the translation went with the old one");
	TEST_ASSERT_SUCCESS(dmamap_deregister(now), "deregister the new one");
	munmap(a, MB1);
	return 0;
}

static int
memory_that_goes_while_in_use_is_not_served(void)
{
	static const enum dmamap_cache_mode watched[] = {DMAMAP_CACHE_WATCHED};

	return in_modes(watched, RTE_DIM(watched), replace_memory_in_use);
}

static const struct test_case cases[] = {
	{"what is stale is never served", what_is_stale_is_never_served},
	{"what is stale is never served of malloc", what_is_stale_is_never_served_of_malloc},
	{"what is stale is never served to a stream", what_is_stale_is_never_served_to_a_stream},
	{"registrations from before arming are not cached",
		registrations_from_before_arming_are_not_cached},
	{"idle memory blocks nothing", idle_memory_blocks_nothing},
	{"an eviction by another thread is no failure",
		an_eviction_by_another_thread_is_no_failure},
	{"a buffer that cannot be widened is mapped alone",
		a_buffer_that_cannot_be_widened_is_mapped_alone},
	{"permissions are joined", permissions_are_joined},
	{"idle memory honours a mask", idle_memory_honours_a_mask},
	{"a mask that fails evicts nothing", a_mask_that_fails_evicts_nothing},
	{"each registration is its own", each_registration_is_its_own},
	{"memory in use is not invalidated", memory_in_use_is_not_invalidated},
	{"an attach evicts", an_attach_evicts},
	{"usable ranges stay after the last detach", usable_ranges_stay_after_the_last_detach},
	{"idle memory blocks no merge", idle_memory_blocks_no_merge},
	{"a merge leaves nothing dangling", a_merge_leaves_nothing_dangling},
	{"a full table evicts a few", a_full_table_evicts_a_few},
	{"an eviction of many waits once", an_eviction_of_many_waits_once},
	{"a small table takes many, one after the other",
		a_small_table_takes_many_one_after_the_other},
	{"aliases are found and evicted", aliases_are_found_and_evicted},
	{"aliases are found in a large range", aliases_are_found_in_a_large_range},
	{"memory that goes while in use is not served",
		memory_that_goes_while_in_use_is_not_served},
};

REGISTER_TEST_SUITE(cache) = {
	.name = "cache",
	.kind = TEST_FAST,
	.cases = cases,
	.n_cases = RTE_DIM(cases),
	.setup = setup,
	.teardown = teardown,
};
