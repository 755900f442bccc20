/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Tests of scatter lists: all entries become one IOVA range, or none is mapped. On the mock
 * kernel.
 */

#include <errno.h>
#include <string.h>

#include "machine.h"
#include "test.h"

static int
entries_become_adjacent_in_iovas(void)
{
	struct dmamap_sge sge[] = {{buf + 8 * KB4, KB4}, {buf, 2 * KB4}, {buf + 2 * KB4, KB4},
		{buf + 20 * KB4, 4 * KB4}};
	struct dmamap_device *d = machine_attach("nic0");
	rte_iova_t iova = 0;
	char text[2] = "";

	TEST_ASSERT_SUCCESS(dmamap_map_sg(c, sge, RTE_DIM(sge), DMAMAP_RW, &iova), "map");
	TEST_ASSERT_EQUAL(machine_info().n_mappings, 3, "adjacent entries are one mapping");
	TEST_ASSERT_EQUAL(dmamap_va2iova(c, buf + 8 * KB4), iova, "first");
	TEST_ASSERT_EQUAL(dmamap_va2iova(c, buf), iova + KB4, "second");
	TEST_ASSERT_EQUAL(dmamap_va2iova(c, buf + 20 * KB4), iova + 4 * KB4, "fourth");
	buf[9 * KB4 - 1] = 'a';
	buf[0] = 'b';
	TEST_ASSERT_SUCCESS(vfio_mock_dma_read(mock, "nic0", iova + KB4 - 1, text, 2), "DMA");
	TEST_ASSERT_EQUAL(memcmp(text, "ab", 2), 0, "DMA across entries");
	TEST_ASSERT_SUCCESS(dmamap_unmap(c, iova, 8 * KB4), "unmap");
	TEST_ASSERT_EQUAL(machine_info().unmap_calls, 1, "one call for all");
	TEST_ASSERT_SUCCESS(dmamap_iova_reserve(c, 8 * KB4, KB4,
				    (struct dmamap_range){iova, iova + 8 * KB4 - 1}, &iova),
		"IOVAs were not given back");
	TEST_ASSERT_SUCCESS(dmamap_iova_release(c, iova, 8 * KB4), "give");
	return dmamap_container_detach(d);
}

static int
a_list_that_fails_half_way_leaves_nothing(void)
{
	struct dmamap_sge sge[] = {{buf + 8 * KB4, KB4}, {buf, 2 * KB4}, {buf + 20 * KB4, 4 * KB4}};
	struct dmamap_device *d = machine_attach("nic0");
	rte_iova_t iova = 0;

	vfio_mock_fail(mock, 1u << VFIO_MOCK_MAP, 3, ENOMEM);
	TEST_ASSERT_EQUAL(dmamap_map_sg(c, sge, RTE_DIM(sge), DMAMAP_RW, &iova), -ENOMEM, "map");
	TEST_ASSERT_EQUAL(machine_info().n_mappings, 0, "mappings are left");
	TEST_ASSERT_EQUAL(vfio_mock_locked(mock), 0, "memory is pinned");
	sge[2].va = buf + KB4;
	TEST_ASSERT_EQUAL(dmamap_map_sg(c, sge, RTE_DIM(sge), DMAMAP_RW, &iova), -EEXIST,
		"the same memory twice");
	TEST_ASSERT_EQUAL(machine_info().n_mappings, 0, "mappings are left");
	sge[2].len = 5;
	TEST_ASSERT_EQUAL(
		dmamap_map_sg(c, sge, RTE_DIM(sge), DMAMAP_RW, &iova), -EINVAL, "no page multiple");
	TEST_ASSERT_EQUAL(dmamap_map_sg(c, sge, 0, DMAMAP_RW, &iova), -EINVAL, "empty");
	return dmamap_container_detach(d);
}

static int
a_list_beyond_the_entries_is_refused_before_the_first_call(void)
{
	static const struct vfio_mock_conf conf = {.entry_limit = 2};
	/* Four entries in three runs; the first two are contiguous. */
	struct dmamap_sge sge[] = {
		{buf, KB4}, {buf + KB4, KB4}, {buf + 8 * KB4, KB4}, {buf + 20 * KB4, KB4}};
	struct dmamap_device *d;
	rte_iova_t iova = 0;
	const char *said;
	int rc;

	TEST_ASSERT_SUCCESS(machine_remake(&conf, DMAMAP_SHARE), "remake");
	d = machine_attach("nic0");
	test_log_begin();
	rc = dmamap_map_sg(c, sge, 4, DMAMAP_RW, &iova);
	said = test_log_end();
	TEST_ASSERT_EQUAL(rc, -ENOSPC, "three runs for two entries: %d", rc);
	TEST_ASSERT_NOT_NULL(strstr(said, "needs 3 map entries, domain 0 has 2 left"), "%s", said);
	TEST_ASSERT_EQUAL(vfio_mock_calls(mock, VFIO_MOCK_MAP), 0, "the kernel was asked");
	TEST_ASSERT_SUCCESS(
		dmamap_map_sg(c, sge, 3, DMAMAP_RW, &iova), "two runs of three entries");
	TEST_ASSERT_EQUAL(machine_info().entries_left, 0, "entries");
	TEST_ASSERT_SUCCESS(dmamap_unmap(c, iova, 3 * KB4), "unmap");
	return dmamap_container_detach(d);
}

static int
a_list_beyond_lockable_memory_is_refused_before_the_first_call(void)
{
	struct dmamap_sge sge[] = {{buf, KB4}, {buf + 8 * KB4, 2 * KB4}};
	struct dmamap_device *d[2];
	rte_iova_t iova = 0;
	const char *said;
	int rc, enough;

	/* Two type1 domains, each of which is charged. */
	TEST_ASSERT_SUCCESS(machine_remake(NULL, DMAMAP_ISOLATE), "remake");
	d[0] = machine_attach("nic0");
	d[1] = machine_attach("nic1");
	if (machine_limit_memory(5 * KB4) < 0)
		return test_skip("this process may not limit itself");
	test_log_begin();
	rc = dmamap_map_sg(c, sge, 2, DMAMAP_RW, &iova);
	said = test_log_end();
	machine_limit_memory(6 * KB4);
	enough = dmamap_map_sg(c, sge, 2, DMAMAP_RW, &iova);
	machine_limit_memory(0);
	TEST_ASSERT_EQUAL(rc, -ENOMEM, "3 pages twice under a limit of 5: %d", rc);
	TEST_ASSERT_NOT_NULL(
		strstr(said, "locking 24 KiB needs RLIMIT_MEMLOCK of 24 KiB, it is 20 KiB"), "%s",
		said);
	TEST_ASSERT_SUCCESS(enough, "3 pages twice under a limit of 6: %d", enough);
	TEST_ASSERT_EQUAL(vfio_mock_calls(mock, VFIO_MOCK_MAP), 4, "the kernel was asked");
	TEST_ASSERT_SUCCESS(dmamap_unmap(c, iova, 3 * KB4), "unmap");
	TEST_ASSERT_SUCCESS(dmamap_container_detach(d[0]), "detach");
	return dmamap_container_detach(d[1]);
}

static int
idle_registrations_make_room_for_a_list(void)
{
	static const struct vfio_mock_conf conf = {.entry_limit = 2};
	struct dmamap_sge sge[] = {{buf, KB4}, {buf + 8 * KB4, KB4}};
	struct dmamap_registration *reg;
	struct dmamap_device *d;
	rte_iova_t iova = 0;

	TEST_ASSERT_SUCCESS(machine_remake(&conf, DMAMAP_SHARE), "remake");
	d = machine_attach("nic0");
	TEST_ASSERT_SUCCESS(dmamap_register(c, buf + MB2, KB4, DMAMAP_RW, &iova, &reg), "register");
	TEST_ASSERT_EQUAL(dmamap_map_sg(c, sge, 2, DMAMAP_RW, &iova), -ENOSPC, "one is in use");
	dmamap_deregister(reg);
	TEST_ASSERT_SUCCESS(dmamap_map_sg(c, sge, 2, DMAMAP_RW, &iova), "it is idle");
	TEST_ASSERT_SUCCESS(dmamap_unmap(c, iova, 2 * KB4), "unmap");
	return dmamap_container_detach(d);
}

static int
a_run_ends_where_the_iovas_do(void)
{
	struct dmamap_sge sge[] = {{buf, 2 * KB4}, {buf + 4 * KB4, KB4}};
	rte_iova_t iova = 0x100000, next = 0x100000 + 2 * KB4;
	size_t len = BUF_LEN;

	/* Adjacent in memory and in IOVAs: one run over two mappings. */
	TEST_ASSERT_SUCCESS(dmamap_map(c, buf, 2 * KB4, DMAMAP_RW | DMAMAP_FIXED, &iova), "map");
	TEST_ASSERT_SUCCESS(
		dmamap_map(c, buf + 2 * KB4, KB4, DMAMAP_RW | DMAMAP_FIXED, &next), "map");
	TEST_ASSERT_EQUAL(dmamap_va2iova_run(c, buf + 100, &len), iova + 100, "IOVA");
	TEST_ASSERT_EQUAL(len, 3 * KB4 - 100, "a run of %zu", len);
	len = 50;
	TEST_ASSERT_EQUAL(dmamap_va2iova_run(c, buf, &len), iova, "IOVA");
	TEST_ASSERT_EQUAL(len, 50, "more than was asked for: %zu", len);
	len = KB4;
	TEST_ASSERT_EQUAL(dmamap_va2iova_run(c, buf + 3 * KB4, &len), RTE_BAD_IOVA, "not mapped");
	TEST_ASSERT_EQUAL(len, 0, "a run of %zu", len);
	TEST_ASSERT_SUCCESS(dmamap_unmap(c, iova, 3 * KB4), "unmap");

	/* Not adjacent in memory: the run ends, although the IOVAs are contiguous. */
	TEST_ASSERT_SUCCESS(dmamap_map_sg(c, sge, 2, DMAMAP_RW, &iova), "map");
	len = BUF_LEN;
	TEST_ASSERT_EQUAL(dmamap_va2iova_run(c, buf, &len), iova, "IOVA");
	TEST_ASSERT_EQUAL(len, 2 * KB4, "a run of %zu", len);
	return dmamap_unmap(c, iova, 3 * KB4);
}

static const struct test_case cases[] = {
	{"a list beyond the entries is refused before the first call",
		a_list_beyond_the_entries_is_refused_before_the_first_call},
	{"a list beyond lockable memory is refused before the first call",
		a_list_beyond_lockable_memory_is_refused_before_the_first_call},
	{"idle registrations make room for a list", idle_registrations_make_room_for_a_list},
	{"entries become adjacent in IOVAs", entries_become_adjacent_in_iovas},
	{"a list that fails half-way leaves nothing", a_list_that_fails_half_way_leaves_nothing},
	{"a run ends where the IOVAs do", a_run_ends_where_the_iovas_do},
};

REGISTER_TEST_SUITE(sg) = {
	.name = "sg",
	.kind = TEST_FAST,
	.cases = cases,
	.n_cases = RTE_DIM(cases),
	.setup = machine_setup,
	.teardown = machine_teardown,
};
