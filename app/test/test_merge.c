/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Tests of merges and moves: devices see exactly their new address space, or the old one after a
 * failure. On the mock kernel.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "machine.h"
#include "peek.h"
#include "test.h"

static struct dmamap_container *other;

static int
setup(void)
{
	struct dmamap_container_conf conf = {.backend = DMAMAP_BACKEND_TYPE1};
	int rc = machine_setup();

	if (rc != 0)
		return rc;
	conf.kernel = vfio_mock_kernel(mock);
	return dmamap_container_create(&conf, &other);
}

static void
teardown(void)
{
	dmamap_container_destroy(other);
	machine_teardown();
}

static struct dmamap_device *
attach_to_other(const char *name)
{
	struct dmamap_device *d = NULL;

	dmamap_container_attach(other, name, &d);
	return d;
}

static int
a_merge_lets_all_devices_reach_everything(void)
{
	struct dmamap_device *d0 = machine_attach("nic0"), *d1 = attach_to_other("nic1"), *twin0,
			     *twin1;
	struct dmamap_zone_conf zone_conf = {.len = MB2, .page_size = KB4};
	rte_iova_t a = 0x100000, b = 0x200000, taken, late = 0;
	struct dmamap_zone *zone, *own;

	twin0 = attach_to_other("twin0");
	TEST_ASSERT_SUCCESS(dmamap_map(c, buf, KB4, DMAMAP_RW | DMAMAP_FIXED, &a), "map");
	TEST_ASSERT_SUCCESS(dmamap_map(other, buf + MB2, KB4, DMAMAP_RW | DMAMAP_FIXED, &b), "map");
	TEST_ASSERT_SUCCESS(dmamap_iova_reserve(other, MB2, MB2,
				    (struct dmamap_range){0x40000000, 0x4fffffff}, &taken),
		"reserve");
	TEST_ASSERT_SUCCESS(dmamap_zone_alloc(other, &zone_conf, &zone), "zone");
	TEST_ASSERT_SUCCESS(dmamap_zone_alloc(c, &zone_conf, &own), "zone");
	TEST_ASSERT_SUCCESS(dmamap_container_merge(c, other), "merge");

	TEST_ASSERT_EQUAL(machine_info().n_domains, 2, "domains");
	TEST_ASSERT_EQUAL(machine_info().n_devices, 3, "devices");
	TEST_ASSERT_EQUAL(machine_info().n_mappings, 4, "mappings");
	TEST_ASSERT_EQUAL(machine_info().reservation_len, MB2, "taken");
	TEST_ASSERT(machine_reaches("nic0", b, buf + MB2, KB4), "nic0 does not reach the other's");
	TEST_ASSERT(machine_reaches("nic1", a, buf, KB4), "nic1 does not reach the first's");
	TEST_ASSERT(machine_reaches("nic0", dmamap_zone_iova(zone), dmamap_zone_va(zone), MB2),
		"nic0 does not reach the other's zone");
	TEST_ASSERT(machine_reaches("nic1", dmamap_zone_iova(own), dmamap_zone_va(own), MB2),
		"nic1 does not reach the first's zone");
	TEST_ASSERT_EQUAL(dmamap_va2iova(c, dmamap_zone_va(zone)), dmamap_zone_iova(zone), "zone");
	TEST_ASSERT_EQUAL(dmamap_va2iova(c, buf + MB2), b, "translation");
	TEST_ASSERT_EQUAL(
		dmamap_va2iova(other, buf + MB2), RTE_BAD_IOVA, "translation of the other");
	TEST_ASSERT(peek(dmamap_device_container(d1)) == c, "the device's container");

	twin1 = machine_attach("twin1");
	TEST_ASSERT_NOT_NULL(twin1, "a group that came with the merge takes another device");
	TEST_ASSERT_EQUAL(machine_info().n_domains, 2, "in its own domain");
	TEST_ASSERT_SUCCESS(dmamap_map(c, buf + 2 * MB2, MB2, DMAMAP_RW, &late), "map");
	TEST_ASSERT(machine_reaches("twin1", late, buf + 2 * MB2, MB2) &&
			machine_reaches("nic0", late, buf + 2 * MB2, MB2),
		"a late map");
	TEST_ASSERT_SUCCESS(dmamap_zone_free(zone), "zone");
	TEST_ASSERT_SUCCESS(dmamap_iova_release(c, taken, MB2), "release");
	TEST_ASSERT_SUCCESS(dmamap_container_detach(d0), "detach");
	TEST_ASSERT_SUCCESS(dmamap_container_detach(d1), "detach");
	TEST_ASSERT_SUCCESS(dmamap_container_detach(twin0), "detach");
	return dmamap_container_detach(twin1);
}

/** Try a merge that must fail with an errno and change nothing. */
static int
merge_refused(int err, const char *text)
{
	char *before = vfio_mock_dump(mock), *after;
	struct dmamap_container_info i = machine_info(), j;
	const char *said;
	int rc, same;

	test_log_begin();
	rc = dmamap_container_merge(c, other);
	said = test_log_end();
	TEST_ASSERT_EQUAL(rc, err, "merge gave %d: %s", rc, said);
	TEST_ASSERT_NOT_NULL(strstr(said, text), "'%s' does not say '%s'", said, text);
	after = vfio_mock_dump(mock);
	same = strcmp(before, after);
	free(before);
	free(after);
	TEST_ASSERT_EQUAL(same, 0, "the kernel's state changed");
	j = machine_info();
	j.map_calls = i.map_calls;
	j.unmap_calls = i.unmap_calls;
	TEST_ASSERT_EQUAL(memcmp(&i, &j, sizeof(i)), 0, "the container changed");
	return 0;
}

static int
a_merge_that_would_break_a_mapping_is_refused(void)
{
	struct dmamap_device *d0 = machine_attach("nic0"), *d1 = attach_to_other("narrow0");
	rte_iova_t a = 0x100000, b = 0x100000, high = UINT64_C(1) << 33;

	TEST_ASSERT_SUCCESS(dmamap_map(c, buf, 2 * KB4, DMAMAP_RW | DMAMAP_FIXED, &a), "map");
	TEST_ASSERT_SUCCESS(dmamap_map(other, buf + MB2, KB4, DMAMAP_RW | DMAMAP_FIXED, &b), "map");
	TEST_ASSERT_SUCCESS(merge_refused(-EADDRINUSE, "overlaps"), "the same IOVA");
	TEST_ASSERT_SUCCESS(dmamap_unmap(other, b, KB4), "unmap");

	b = 0x200000;
	TEST_ASSERT_SUCCESS(dmamap_map(other, buf + KB4, KB4, DMAMAP_RW | DMAMAP_FIXED, &b), "map");
	TEST_ASSERT_SUCCESS(merge_refused(-EEXIST, "that both containers map"), "the same memory");
	TEST_ASSERT_SUCCESS(dmamap_unmap(other, b, KB4), "unmap");

	TEST_ASSERT_SUCCESS(dmamap_map(c, buf + MB2, KB4, DMAMAP_RW | DMAMAP_FIXED, &high), "map");
	TEST_ASSERT_SUCCESS(merge_refused(-EADDRINUSE, "out of reach"), "beyond the other's reach");
	TEST_ASSERT_SUCCESS(dmamap_unmap(c, high, KB4), "unmap");

	TEST_ASSERT_SUCCESS(dmamap_container_merge(c, other), "merge");
	TEST_ASSERT_EQUAL(dmamap_container_merge(c, c), -EINVAL, "with itself");
	TEST_ASSERT(machine_reaches("narrow0", a, buf, 2 * KB4), "not reached");
	TEST_ASSERT_SUCCESS(dmamap_container_detach(d0), "detach");
	return dmamap_container_detach(d1);
}

static int
every_conflict_of_a_merge_is_named(void)
{
	struct dmamap_device *d0 = machine_attach("nic0"), *d1 = attach_to_other("narrow0");
	rte_iova_t a[3] = {0x100000, 0x101000, UINT64_C(1) << 33}, b = 0x100000, b2 = 0x300000,
		   taken;
	struct dmamap_conflict k[8] = {0};
	unsigned int i;

	/*
	 * Conflicts: two mappings of `other` overlap one of c; one is above the aperture; memory
	 * that both map; a reservation.
	 */
	for (i = 0; i < 3; i++)
		TEST_ASSERT_SUCCESS(
			dmamap_map(c, buf + i * KB4, KB4, DMAMAP_RW | DMAMAP_FIXED, &a[i]), "map");
	TEST_ASSERT_SUCCESS(
		dmamap_map(other, buf + MB2, 4 * KB4, DMAMAP_RW | DMAMAP_FIXED, &b), "map");
	TEST_ASSERT_SUCCESS(
		dmamap_map(other, buf + KB4, KB4, DMAMAP_RW | DMAMAP_FIXED, &b2), "map");
	TEST_ASSERT_SUCCESS(
		dmamap_iova_reserve(c, KB4, 0, (struct dmamap_range){0x103000, 0x103fff}, &taken),
		"reserve");
	TEST_ASSERT_SUCCESS(merge_refused(-EADDRINUSE, "(the first of 5 conflicts)"), "merge");
	TEST_ASSERT_EQUAL(dmamap_container_conflicts(c, k, RTE_DIM(k)), 5, "conflicts");
	for (i = 0; i < 2; i++)
		TEST_ASSERT(k[i].kind == DMAMAP_CONFLICT_IOVA && k[i].range.start == b &&
				k[i].with.start == a[i] && strcmp(k[i].owner, "mapping") == 0 &&
				strcmp(k[i].container, dmamap_container_name(other)) == 0,
			"IOVA %u", i);
	TEST_ASSERT(k[2].kind == DMAMAP_CONFLICT_IOVA && k[2].range.start == b &&
			k[2].with.start == taken && strcmp(k[2].owner, "reservation") == 0,
		"taken");
	TEST_ASSERT(k[3].kind == DMAMAP_CONFLICT_MEMORY && k[3].range.start == b2 &&
			k[3].va == buf + KB4 && k[3].with.start == a[1],
		"memory");
	TEST_ASSERT(k[4].kind == DMAMAP_CONFLICT_RESERVED && k[4].range.start == a[2] &&
			k[4].type == DMAMAP_RESERVED_APERTURE &&
			strcmp(k[4].owner, "domain 0") == 0 &&
			strcmp(k[4].container, dmamap_container_name(c)) == 0,
		"too high");

	TEST_ASSERT_SUCCESS(dmamap_unmap(other, b, 4 * KB4), "unmap");
	TEST_ASSERT_SUCCESS(dmamap_unmap(other, b2, KB4), "unmap");
	TEST_ASSERT_SUCCESS(dmamap_unmap(c, a[2], KB4), "unmap");
	TEST_ASSERT_SUCCESS(dmamap_container_merge(c, other), "merge");
	TEST_ASSERT_EQUAL(dmamap_container_conflicts(c, NULL, 0), 0, "conflicts after a success");
	TEST_ASSERT_SUCCESS(dmamap_iova_release(c, taken, KB4), "release");
	TEST_ASSERT_SUCCESS(dmamap_container_detach(d0), "detach");
	return dmamap_container_detach(d1);
}

static int
a_refused_move_names_every_conflict_of_its_goal(void)
{
	struct dmamap_device *d = machine_attach("odd0"), *there = attach_to_other("nic1");
	rte_iova_t iova[2] = {0x8000000, 0x8010000};
	struct dmamap_conflict k[2];
	unsigned int i;

	for (i = 0; i < 2; i++)
		TEST_ASSERT_SUCCESS(
			dmamap_map(other, buf + i * KB4, KB4, DMAMAP_RW | DMAMAP_FIXED, &iova[i]),
			"map");
	TEST_ASSERT_EQUAL(dmamap_device_move(d, other), -EADDRINUSE, "move");
	TEST_ASSERT_EQUAL(dmamap_container_conflicts(other, k, 2), 2, "conflicts");
	TEST_ASSERT(k[0].range.start == iova[0] && k[1].range.start == iova[1], "ranges");
	TEST_ASSERT_EQUAL(dmamap_container_conflicts(c, NULL, 0), 0, "where it came from has none");
	TEST_ASSERT_SUCCESS(dmamap_container_detach(there), "detach");
	return dmamap_container_detach(d);
}

static int
a_merge_that_fails_half_way_is_undone(void)
{
	struct dmamap_device *d0 = machine_attach("nic0"), *d1 = attach_to_other("nic1");
	rte_iova_t a[2] = {0x100000, 0x200000}, b[2] = {0x300000, 0x400000};
	unsigned int i;

	for (i = 0; i < 2; i++) {
		TEST_ASSERT_SUCCESS(
			dmamap_map(c, buf + i * KB4, KB4, DMAMAP_RW | DMAMAP_FIXED, &a[i]), "map");
		TEST_ASSERT_SUCCESS(dmamap_map(other, buf + MB2 + i * KB4, KB4,
					    DMAMAP_RW | DMAMAP_FIXED, &b[i]),
			"map");
	}
	for (i = 1; i <= 4; i++) {
		vfio_mock_fail(mock, 1u << VFIO_MOCK_MAP, i, ENOMEM);
		TEST_ASSERT_SUCCESS(merge_refused(-ENOMEM, "refuses to map"), "failure %u", i);
		TEST_ASSERT_EQUAL(dmamap_va2iova(other, buf + MB2), b[0], "translation");
	}
	TEST_ASSERT_SUCCESS(dmamap_container_merge(c, other), "retry");
	TEST_ASSERT(machine_reaches("nic0", b[1], buf + MB2 + KB4, KB4), "not reached");
	TEST_ASSERT_SUCCESS(dmamap_container_detach(d0), "detach");
	return dmamap_container_detach(d1);
}

static int
a_merge_beyond_lockable_memory_is_refused_before_the_first_call(void)
{
	struct dmamap_device *d0 = machine_attach("nic0"), *d1 = attach_to_other("nic1");
	rte_iova_t a = 0x100000, b = 0x200000;
	uint64_t maps;
	int rc, enough;

	TEST_ASSERT_SUCCESS(dmamap_map(c, buf, 2 * KB4, DMAMAP_RW | DMAMAP_FIXED, &a), "map");
	TEST_ASSERT_SUCCESS(
		dmamap_map(other, buf + MB2, 3 * KB4, DMAMAP_RW | DMAMAP_FIXED, &b), "map");
	maps = vfio_mock_calls(mock, VFIO_MOCK_MAP);
	/* Each container's memory alone is within the limit. */
	if (machine_limit_memory(4 * KB4) < 0)
		return test_skip("this process may not limit itself");
	rc = merge_refused(-ENOMEM, "locking 20 KiB needs RLIMIT_MEMLOCK of 20 KiB, it is 16 KiB");
	machine_limit_memory(5 * KB4);
	maps -= vfio_mock_calls(mock, VFIO_MOCK_MAP);
	enough = dmamap_container_merge(c, other);
	machine_limit_memory(0);
	TEST_ASSERT_SUCCESS(rc, "under a limit of 4 pages");
	TEST_ASSERT_EQUAL(maps, 0, "the kernel was asked");
	TEST_ASSERT_SUCCESS(enough, "under a limit of 5 pages: %d", enough);
	TEST_ASSERT_SUCCESS(dmamap_container_detach(d0), "detach");
	return dmamap_container_detach(d1);
}

static int
a_moved_device_sees_exactly_its_new_space(void)
{
	struct dmamap_device *d0 = machine_attach("nic0"), *d1 = machine_attach("nic1");
	rte_iova_t a = 0x100000, b = 0x100000;
	char byte;

	TEST_ASSERT_SUCCESS(dmamap_map(c, buf, KB4, DMAMAP_RW | DMAMAP_FIXED, &a), "map");
	TEST_ASSERT_SUCCESS(dmamap_map(other, buf + MB2, KB4, DMAMAP_RW | DMAMAP_FIXED, &b), "map");
	TEST_ASSERT_SUCCESS(dmamap_device_move(d1, other), "move");
	TEST_ASSERT(peek(dmamap_device_container(d1)) == other, "container");
	TEST_ASSERT(machine_reaches("nic1", b, buf + MB2, KB4), "the new space");
	TEST_ASSERT(machine_reaches("nic0", a, buf, KB4), "the one that stayed");
	TEST_ASSERT_EQUAL(dmamap_device_move(d1, other), -EINVAL, "moved to where it is");
	dmamap_device_hold(d1);
	TEST_ASSERT_EQUAL(dmamap_device_move(d1, c), -EBUSY, "moved while running");
	dmamap_device_release(d1);
	TEST_ASSERT_SUCCESS(dmamap_device_move(d1, c), "and back");
	TEST_ASSERT(machine_reaches("nic1", a, buf, KB4), "the old space again");
	TEST_ASSERT_SUCCESS(dmamap_unmap(c, a, KB4), "unmap");
	TEST_ASSERT_EQUAL(vfio_mock_dma_read(mock, "nic1", a, &byte, 1), -EFAULT, "stale");
	TEST_ASSERT_SUCCESS(dmamap_container_detach(d0), "detach");
	return dmamap_container_detach(d1);
}

static int
a_move_that_fails_puts_the_device_back(void)
{
	struct dmamap_device *d1 = machine_attach("nic1"), *t0, *t1;
	rte_iova_t a = 0x100000, b = 0x100000;

	TEST_ASSERT_SUCCESS(dmamap_map(c, buf, KB4, DMAMAP_RW | DMAMAP_FIXED, &a), "map");
	TEST_ASSERT_SUCCESS(dmamap_map(other, buf + MB2, KB4, DMAMAP_RW | DMAMAP_FIXED, &b), "map");
	vfio_mock_fail(mock, 1u << VFIO_MOCK_MAP, 1, ENOMEM);
	TEST_ASSERT_EQUAL(dmamap_device_move(d1, other), -ENOMEM, "move");
	TEST_ASSERT(peek(dmamap_device_container(d1)) == c, "container");
	TEST_ASSERT(machine_reaches("nic1", a, buf, KB4), "not put back");
	vfio_mock_fail_all(mock, 1u << VFIO_MOCK_MAP, ENOMEM);
	TEST_ASSERT_EQUAL(dmamap_device_move(d1, other), -ENODEV, "lost");
	vfio_mock_fail_all(mock, 1u << VFIO_MOCK_MAP, 0);
	TEST_ASSERT_SUCCESS(dmamap_container_detach(d1), "a lost device is freed");

	t0 = machine_attach("twin0");
	t1 = machine_attach("twin1");
	TEST_ASSERT_EQUAL(dmamap_device_move(t0, other), -EBUSY, "half a group");
	TEST_ASSERT_SUCCESS(dmamap_container_detach(t1), "detach");
	TEST_ASSERT_SUCCESS(dmamap_device_move(t0, other), "the only one of its group");
	return dmamap_container_detach(t0);
}

static int
domains_are_found_by_device_and_requester(void)
{
	static const struct vfio_mock_group_conf group = {.iommu = 0};
	struct dmamap_device *d0 = machine_attach("nic0"), *d1;

	TEST_ASSERT_SUCCESS(vfio_mock_add_device(mock, vfio_mock_add_group(mock, &group),
				    "0001:3a:1f.7", 0, "vfio-pci"),
		"add");
	vfio_mock_fail(mock, 1u << VFIO_MOCK_SET_CONTAINER, 1, EINVAL);
	d1 = machine_attach("0001:3a:1f.7");
	TEST_ASSERT_EQUAL(dmamap_domain_by_device(c, "nic0"), 0, "nic0");
	TEST_ASSERT_EQUAL(dmamap_domain_by_device(c, "nic1"), -ENODEV, "nic1");
	TEST_ASSERT_EQUAL(dmamap_domain_by_rid(c, 1, 0x3a << 8 | 0x1f << 3 | 7), 1, "by rid");
	TEST_ASSERT_EQUAL(
		dmamap_domain_by_rid(c, 0, 0x3a << 8 | 0x1f << 3 | 7), -ENODEV, "another segment");
	TEST_ASSERT_SUCCESS(dmamap_container_detach(d0), "detach");
	return dmamap_container_detach(d1);
}

static int
containers_on_different_kernels_stay_apart(void)
{
	struct dmamap_container_conf conf = {.backend = DMAMAP_BACKEND_TYPE1};
	struct dmamap_container *elsewhere;
	struct vfio_mock *second;
	int rc;

	TEST_ASSERT_SUCCESS(vfio_mock_create(NULL, &second), "mock");
	conf.kernel = vfio_mock_kernel(second);
	TEST_ASSERT_SUCCESS(dmamap_container_create(&conf, &elsewhere), "create");
	test_log_begin();
	rc = dmamap_container_merge(c, elsewhere);
	TEST_ASSERT(test_logged("another backend"), "log");
	TEST_ASSERT_EQUAL(rc, -EINVAL, "%d", rc);
	TEST_ASSERT_SUCCESS(dmamap_container_destroy(elsewhere), "destroy");
	return vfio_mock_destroy(second);
}

static const struct test_case cases[] = {
	{"a merge lets all devices reach everything", a_merge_lets_all_devices_reach_everything},
	{"a merge that would break a mapping is refused",
		a_merge_that_would_break_a_mapping_is_refused},
	{"every conflict of a merge is named", every_conflict_of_a_merge_is_named},
	{"a refused move names every conflict of its goal",
		a_refused_move_names_every_conflict_of_its_goal},
	{"a merge that fails half-way is undone", a_merge_that_fails_half_way_is_undone},
	{"a merge beyond lockable memory is refused before the first call",
		a_merge_beyond_lockable_memory_is_refused_before_the_first_call},
	{"a moved device sees exactly its new space", a_moved_device_sees_exactly_its_new_space},
	{"a move that fails puts the device back", a_move_that_fails_puts_the_device_back},
	{"domains are found by device and requester", domains_are_found_by_device_and_requester},
	{"containers on different kernels stay apart", containers_on_different_kernels_stay_apart},
};

REGISTER_TEST_SUITE(merge) = {
	.name = "merge",
	.kind = TEST_FAST,
	.cases = cases,
	.n_cases = RTE_DIM(cases),
	.setup = setup,
	.teardown = teardown,
};
