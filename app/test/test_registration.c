/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Tests of registrations: a registered buffer is always mapped whole, with as few kernel calls as
 * possible. On the mock kernel.
 */

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "machine.h"
#include "test.h"

static struct dmamap_device *nic;

static int
setup(void)
{
	int rc = machine_setup();

	if (rc != 0)
		return rc;
	nic = machine_attach("nic0");
	if (nic == NULL)
		return -1;
	return dmamap_registration_cache(c, DMAMAP_CACHE_PROMISED, UINT64_C(1) << 30);
}

static void
teardown(void)
{
	dmamap_container_detach(nic);
	machine_teardown();
}

static struct dmamap_registration *
reg(char *va, size_t len, uint32_t flags, rte_iova_t *iova)
{
	struct dmamap_registration *r = NULL;

	dmamap_register(c, va, len, flags, iova, &r);
	return r;
}

static int
a_second_registration_is_a_look_up(void)
{
	struct dmamap_registration *a, *b;
	rte_iova_t x, y;
	unsigned int i;

	a = reg(buf + 100, 3 * KB4, DMAMAP_RW, &x);
	TEST_ASSERT_NOT_NULL(a, "register");
	TEST_ASSERT_EQUAL(x % KB4, 100, "offset in the page");
	TEST_ASSERT(machine_reaches("nic0", x, buf + 100, 3 * KB4), "not reached");
	for (i = 0; i < 1000; i++) {
		b = reg(buf + 200 + i, KB4, DMAMAP_READ, &y);
		TEST_ASSERT_EQUAL(y, x + 100 + i, "a part of it");
		dmamap_deregister(b);
	}
	dmamap_deregister(a);
	b = reg(buf + 100, 3 * KB4, DMAMAP_RW, &y);
	TEST_ASSERT_EQUAL(x, y, "another IOVA after idling");
	TEST_ASSERT_EQUAL(machine_info().map_calls, 1, "the kernel was asked again");
	dmamap_deregister(b);
	return 0;
}

static int
a_buffer_that_grew_is_covered_whole(void)
{
	struct dmamap_registration *a, *b, *d;
	rte_iova_t x, y, z;

	/* If the shorter one is idle, it is replaced. */
	a = reg(buf, KB4, DMAMAP_RW, &x);
	dmamap_deregister(a);
	a = reg(buf, 4 * KB4, DMAMAP_RW, &x);
	TEST_ASSERT(machine_reaches("nic0", x, buf, 4 * KB4), "grown");
	TEST_ASSERT_EQUAL(machine_info().n_mappings, 1, "the shorter one was not replaced");

	/* If it is in use, it stays, and the longer one gets another IOVA. */
	b = reg(buf + KB4, 8 * KB4, DMAMAP_RW, &y);
	TEST_ASSERT_NOT_NULL(b, "register");
	TEST_ASSERT(machine_reaches("nic0", y, buf + KB4, 8 * KB4), "grown in use");
	TEST_ASSERT(machine_reaches("nic0", x, buf, 4 * KB4), "the one in use is lost");
	TEST_ASSERT_EQUAL(dmamap_va2iova(c, buf + KB4), x + KB4, "the first mapping counts");
	d = reg(buf + 7 * KB4, KB4, DMAMAP_RW, &z);
	TEST_ASSERT_EQUAL(z, y + 6 * KB4, "the second one is not found");
	TEST_ASSERT_EQUAL(machine_info().n_mappings, 2, "mappings");
	dmamap_deregister(a);
	dmamap_deregister(b);
	dmamap_deregister(d);

	/* Additional permissions need a new map, too. */
	a = reg(buf + MB2, KB4, DMAMAP_READ, &x);
	b = reg(buf + MB2, KB4, DMAMAP_RW, &y);
	TEST_ASSERT_NOT_EQUAL(x, y, "read-only memory was used for writing");
	TEST_ASSERT(machine_reaches("nic0", y, buf + MB2, KB4), "not writable");
	dmamap_deregister(a);
	dmamap_deregister(b);
	return 0;
}

static int
plain_mappings_are_used_and_stay(void)
{
	struct dmamap_registration *a;
	rte_iova_t iova = 0, x;

	TEST_ASSERT_SUCCESS(dmamap_map(c, buf, MB2, DMAMAP_RW, &iova), "map");
	a = reg(buf + 5, 10, DMAMAP_RW, &x);
	TEST_ASSERT_EQUAL(x, iova + 5, "not answered from the mapping");
	TEST_ASSERT_EQUAL(dmamap_unmap(c, iova, MB2), -EBUSY, "unmapped in use");
	dmamap_deregister(a);
	TEST_ASSERT_SUCCESS(dmamap_unmap(c, iova, MB2), "unmap");
	a = reg(buf, KB4, DMAMAP_RW, &x);
	dmamap_deregister(a);
	TEST_ASSERT_EQUAL(
		dmamap_unmap(c, x, KB4), -EINVAL, "an idle registration is not the user's");
	TEST_ASSERT_EQUAL(machine_info().n_mappings, 1, "mappings");
	return 0;
}

static int
idle_registrations_are_unmapped_on_request_or_evicted(void)
{
	struct dmamap_registration *a, *b, *d;
	rte_iova_t x, y, z;

	dmamap_registration_cache(c, DMAMAP_CACHE_PROMISED, 2 * KB4);
	a = reg(buf, KB4, DMAMAP_RW, &x);
	b = reg(buf + 2 * KB4, KB4, DMAMAP_RW, &y);
	d = reg(buf + 4 * KB4, KB4, DMAMAP_RW, &z);
	dmamap_deregister(b);
	dmamap_deregister(a);
	TEST_ASSERT_EQUAL(machine_info().n_mappings, 3, "evicted too early");
	/* A registration that was used again has a second chance. */
	dmamap_deregister(reg(buf, KB4, DMAMAP_RW, &x));
	dmamap_deregister(d);
	TEST_ASSERT_EQUAL(machine_info().n_mappings, 2, "not evicted");
	TEST_ASSERT_EQUAL(
		dmamap_va2iova(c, buf + 2 * KB4), RTE_BAD_IOVA, "the longest unused stays");

	TEST_ASSERT_SUCCESS(dmamap_invalidate(c, buf, KB4), "invalidate");
	TEST_ASSERT_EQUAL(dmamap_va2iova(c, buf), RTE_BAD_IOVA, "still mapped");
	d = reg(buf + 4 * KB4, 10, DMAMAP_RW, &z);
	TEST_ASSERT_EQUAL(dmamap_invalidate(c, buf, BUF_LEN), -EBUSY, "in use");
	dmamap_deregister(d);
	TEST_ASSERT_SUCCESS(dmamap_invalidate(c, buf, BUF_LEN), "invalidate all");
	TEST_ASSERT_EQUAL(machine_info().n_mappings, 0, "still mapped");
	TEST_ASSERT_EQUAL(dmamap_invalidate(c, buf, 0), -EINVAL, "nothing");
	return 0;
}

/**
 * A registration in use is found at any position among idle and plain mappings. All idle ones are
 * unmapped.
 */
static int
an_invalidation_sees_all_that_it_covers(void)
{
	enum { N = 32 };
	struct dmamap_registration *r;
	rte_iova_t iova[N] = {0};
	unsigned int i, mapped = 0;

	for (i = 0; i < N; i++) {
		char *va = buf + 2 * KB4 * i;

		if (i % 3 == 1) {
			TEST_ASSERT_SUCCESS(dmamap_map(c, va, KB4, DMAMAP_RW, &iova[i]), "map");
			mapped++;
			continue;
		}
		r = reg(va, KB4, DMAMAP_RW, &iova[i]);
		TEST_ASSERT_NOT_NULL(r, "register");
		dmamap_deregister(r);
	}
	for (i = 0; i < N; i++) {
		if (i % 3 == 1)
			continue;
		r = reg(buf + 2 * KB4 * i, KB4, DMAMAP_RW, &iova[i]);
		TEST_ASSERT_EQUAL(dmamap_invalidate(c, buf, BUF_LEN), -EBUSY, "%u is in use", i);
		dmamap_deregister(r);
	}
	TEST_ASSERT_EQUAL(machine_info().n_mappings, N, "something was unmapped");
	TEST_ASSERT_SUCCESS(dmamap_invalidate(c, buf, BUF_LEN), "invalidate");
	TEST_ASSERT_EQUAL(machine_info().n_mappings, mapped, "mappings");
	for (i = 0; i < N; i++)
		TEST_ASSERT_EQUAL(dmamap_va2iova(c, buf + 2 * KB4 * i),
			i % 3 == 1 ? iova[i] : RTE_BAD_IOVA, "%u", i);
	for (i = 1; i < N; i += 3)
		TEST_ASSERT_SUCCESS(dmamap_unmap(c, iova[i], KB4), "unmap");
	return 0;
}

static int
idle_registrations_make_room_for_maps(void)
{
	static const struct vfio_mock_conf conf = {.entry_limit = 2};
	struct dmamap_registration *a, *b;
	rte_iova_t x;

	TEST_ASSERT_SUCCESS(dmamap_container_detach(nic), "detach");
	TEST_ASSERT_SUCCESS(machine_remake(&conf, DMAMAP_SHARE), "remake");
	TEST_ASSERT_SUCCESS(dmamap_registration_cache(c, DMAMAP_CACHE_PROMISED, MB2), "cache");
	nic = machine_attach("nic0");
	a = reg(buf, KB4, DMAMAP_RW, &x);
	b = reg(buf + 2 * KB4, KB4, DMAMAP_RW, &x);
	dmamap_deregister(a);
	TEST_ASSERT_EQUAL(machine_info().entries_left, 0, "entries");
	x = 0;
	TEST_ASSERT_SUCCESS(dmamap_map(c, buf + MB2, KB4, DMAMAP_RW, &x), "map");
	TEST_ASSERT_EQUAL(dmamap_va2iova(c, buf), RTE_BAD_IOVA, "the idle one stays");
	TEST_ASSERT_NOT_EQUAL(dmamap_va2iova(c, buf + 2 * KB4), RTE_BAD_IOVA, "the used one goes");
	TEST_ASSERT_SUCCESS(dmamap_unmap(c, x, KB4), "unmap");
	dmamap_deregister(b);
	return 0;
}

/* A random sequence of registrations, each checked by DMA. */
static int
random_registrations_are_reached_whole(void)
{
	struct {
		struct dmamap_registration *r;
		char *va;
		size_t len;
		rte_iova_t iova;
	} held[16] = {0};
	unsigned int i, slot;

	test_seed();
	for (i = 0; i < 20000; i++) {
		slot = test_rand_max(RTE_DIM(held));
		if (held[slot].r != NULL) {
			TEST_ASSERT(machine_reaches(
					    "nic0", held[slot].iova, held[slot].va, held[slot].len),
				"step %u: lost while in use", i);
			dmamap_deregister(held[slot].r);
			held[slot].r = NULL;
			continue;
		}
		held[slot].va = buf + test_rand_max(64 * KB4);
		held[slot].len = 1 + test_rand_max(16 * KB4);
		held[slot].r = reg(held[slot].va, held[slot].len, DMAMAP_RW, &held[slot].iova);
		TEST_ASSERT_NOT_NULL(held[slot].r, "step %u: refused", i);
		TEST_ASSERT(machine_reaches("nic0", held[slot].iova, held[slot].va, held[slot].len),
			"step %u: not reached", i);
	}
	for (i = 0; i < RTE_DIM(held); i++)
		dmamap_deregister(held[i].r);
	TEST_ASSERT_SUCCESS(dmamap_invalidate(c, buf, BUF_LEN), "invalidate all");
	TEST_ASSERT_EQUAL(machine_info().n_mappings, 0, "something is left");
	return 0;
}

static int
a_stream_works_in_place_or_on_a_copy(void)
{
	rte_iova_t high = UINT64_C(1) << 34;
	struct dmamap_stream s;
	char got[8] = "";

	TEST_ASSERT_SUCCESS(dmamap_stream_map(nic, buf + 10, 8, DMAMAP_BIDIRECTIONAL, &s), "map");
	TEST_ASSERT_NULL(s.bounce, "bounced for nothing");
	TEST_ASSERT(machine_reaches("nic0", s.iova, buf + 10, 8), "in place");
	TEST_ASSERT_SUCCESS(dmamap_stream_unmap(&s), "unmap");

	TEST_ASSERT_SUCCESS(dmamap_device_dma_mask(nic, 32), "mask");
	TEST_ASSERT_SUCCESS(dmamap_map(c, buf + MB2, MB2, DMAMAP_RW | DMAMAP_FIXED, &high), "map");
	/* Memory that is mapped at an IOVA out of reach is mapped a second time, within reach. */
	TEST_ASSERT_SUCCESS(dmamap_stream_map(nic, buf + MB2, 8, DMAMAP_BIDIRECTIONAL, &s), "map");
	TEST_ASSERT_NULL(s.bounce, "bounced for nothing");
	TEST_ASSERT(s.iova + 7 <= UINT32_MAX, "0x%" PRIx64, s.iova);
	TEST_ASSERT_SUCCESS(dmamap_stream_unmap(&s), "unmap");
	/* Memory that cannot be mapped is copied. */
	vfio_mock_fail(mock, 1u << VFIO_MOCK_MAP, 1, EFAULT);
	memcpy(buf + MB2, "abcdefgh", 8);
	TEST_ASSERT_SUCCESS(dmamap_stream_map(nic, buf + MB2, 8, DMAMAP_BIDIRECTIONAL, &s), "map");
	TEST_ASSERT_NOT_NULL(s.bounce, "out of reach, but not bounced");
	TEST_ASSERT(s.iova + 7 <= UINT32_MAX, "0x%" PRIx64, s.iova);
	TEST_ASSERT_SUCCESS(vfio_mock_dma_read(mock, "nic0", s.iova, got, 8), "read");
	TEST_ASSERT_EQUAL(memcmp(got, "abcdefgh", 8), 0, "to the device");
	TEST_ASSERT_SUCCESS(vfio_mock_dma_write(mock, "nic0", s.iova + 2, "XY", 2), "write");
	dmamap_stream_sync_for_cpu(&s);
	TEST_ASSERT_EQUAL(memcmp(buf + MB2, "abXYefgh", 8), 0, "from the device");
	buf[MB2] = 'Z';
	dmamap_stream_sync_for_device(&s);
	TEST_ASSERT_SUCCESS(vfio_mock_dma_read(mock, "nic0", s.iova, got, 1), "read");
	TEST_ASSERT_EQUAL(got[0], 'Z', "to the device again");
	TEST_ASSERT_SUCCESS(dmamap_stream_unmap(&s), "unmap");

	vfio_mock_fail(mock, 1u << VFIO_MOCK_MAP, 1, EFAULT);
	TEST_ASSERT_SUCCESS(dmamap_stream_map(nic, buf + MB2, 8, DMAMAP_FROM_DEVICE, &s), "map");
	TEST_ASSERT_EQUAL(vfio_mock_dma_read(mock, "nic0", s.iova, got, 1), -EFAULT, "readable");
	TEST_ASSERT_SUCCESS(vfio_mock_dma_write(mock, "nic0", s.iova, "!", 1), "write");
	TEST_ASSERT_SUCCESS(dmamap_stream_unmap(&s), "unmap");
	TEST_ASSERT_EQUAL(memcmp(buf + MB2, "!bXYefgh", 8), 0, "bytes that the device left alone");
	TEST_ASSERT_EQUAL(dmamap_stream_map(nic, buf, 0, DMAMAP_TO_DEVICE, &s), -EINVAL, "nothing");
	return dmamap_unmap(c, high, MB2);
}

static int
a_device_tells_what_it_reaches(void)
{
	struct dmamap_device_info info;

	TEST_ASSERT_SUCCESS(dmamap_device_dma_mask(nic, 40), "mask");
	TEST_ASSERT_SUCCESS(dmamap_device_info(nic, &info), "info");
	TEST_ASSERT_EQUAL(info.aperture.start, 0, "aperture");
	TEST_ASSERT_EQUAL(info.aperture.last, (UINT64_C(1) << 39) - 1, "aperture");
	TEST_ASSERT_EQUAL(info.mask_bits, 40, "mask");
	TEST_ASSERT_EQUAL(info.domain, 0, "domain");
	TEST_ASSERT_EQUAL(info.group, 0, "group");
	TEST_ASSERT(!info.identity, "identity");
	TEST_ASSERT(info.page_sizes & KB4, "page sizes");
	TEST_ASSERT_EQUAL(dmamap_device_info(NULL, &info), -EINVAL, "no device");
	return 0;
}

static const struct test_case cases[] = {
	{"a second registration is a look-up", a_second_registration_is_a_look_up},
	{"a buffer that grew is covered whole", a_buffer_that_grew_is_covered_whole},
	{"plain mappings are used and stay", plain_mappings_are_used_and_stay},
	{"idle registrations are unmapped on request or evicted",
		idle_registrations_are_unmapped_on_request_or_evicted},
	{"an invalidation sees all that it covers", an_invalidation_sees_all_that_it_covers},
	{"idle registrations make room for maps", idle_registrations_make_room_for_maps},
	{"random registrations are reached whole", random_registrations_are_reached_whole},
	{"a stream works in place or on a copy", a_stream_works_in_place_or_on_a_copy},
	{"a device tells what it reaches", a_device_tells_what_it_reaches},
};

REGISTER_TEST_SUITE(registration) = {
	.name = "registration",
	.kind = TEST_FAST,
	.cases = cases,
	.n_cases = RTE_DIM(cases),
	.setup = setup,
	.teardown = teardown,
};
