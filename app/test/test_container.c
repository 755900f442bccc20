/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Tests of containers: one address space over any number of domains, and every change all or
 * nothing. On the mock kernel.
 */

#include <errno.h>
#include <inttypes.h>
#include <linux/vfio.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "dm_container.h"
#include "machine.h"
#include "peek.h"
#include "test.h"

static int
maps_before_the_first_device_are_replayed(void)
{
	rte_iova_t a = 0, b = 0;
	struct dmamap_device *d;

	TEST_ASSERT_SUCCESS(dmamap_map(c, buf, MB2, DMAMAP_RW, &a), "map");
	TEST_ASSERT_SUCCESS(dmamap_map(c, buf + MB2, KB4, DMAMAP_READ, &b), "map");
	TEST_ASSERT_EQUAL(machine_info().map_calls, 0, "the kernel was asked too early");
	d = machine_attach("nic0");
	TEST_ASSERT_NOT_NULL(d, "attach");
	TEST_ASSERT_EQUAL(machine_info().map_calls, 2, "replay is one call a mapping");
	TEST_ASSERT(machine_reaches("nic0", a, buf, MB2), "not reached");
	TEST_ASSERT_EQUAL(vfio_mock_dma_write(mock, "nic0", b, "x", 1), -EFAULT,
		"a read-only mapping was written");
	TEST_ASSERT_EQUAL(dmamap_va2iova(c, buf + 5), a + 5, "va2iova");
	TEST_ASSERT(dmamap_iova2va(c, b + 7) == buf + MB2 + 7, "iova2va");
	return dmamap_container_detach(d);
}

static int
devices_of_one_iommu_share_a_domain(void)
{
	struct dmamap_device *d[4] = {machine_attach("nic0"), machine_attach("nic1"),
		machine_attach("twin0"), machine_attach("twin1")};
	rte_iova_t iova = 0;
	unsigned int i;

	for (i = 0; i < RTE_DIM(d); i++)
		TEST_ASSERT_NOT_NULL(d[i], "attach %u", i);
	TEST_ASSERT_EQUAL(machine_info().n_domains, 1, "%u domains", machine_info().n_domains);
	TEST_ASSERT_EQUAL(machine_info().n_groups, 3, "%u groups", machine_info().n_groups);
	TEST_ASSERT_EQUAL(machine_info().n_devices, 4, "%u devices", machine_info().n_devices);
	TEST_ASSERT_SUCCESS(dmamap_map(c, buf, KB4, DMAMAP_RW, &iova), "map");
	TEST_ASSERT_EQUAL(machine_info().map_calls, 1, "one call for a domain, not for a device");
	TEST_ASSERT(
		machine_reaches("nic1", iova, buf, KB4) && machine_reaches("twin1", iova, buf, KB4),
		"not reached by all");
	TEST_ASSERT_SUCCESS(dmamap_unmap(c, iova, KB4), "unmap");
	TEST_ASSERT_EQUAL(machine_info().unmap_calls, 1, "one call for a domain, not for a device");
	for (i = 0; i < RTE_DIM(d); i++)
		TEST_ASSERT_SUCCESS(dmamap_container_detach(d[i]), "detach %u", i);
	return 0;
}

static int
isolation_makes_a_domain_for_each_group(void)
{
	struct dmamap_device *d[4];
	rte_iova_t early = 0, late = 0;
	unsigned int i;

	TEST_ASSERT_SUCCESS(machine_remake(NULL, DMAMAP_ISOLATE), "remake");
	TEST_ASSERT_SUCCESS(dmamap_map(c, buf, MB2, DMAMAP_RW, &early), "map");
	d[0] = machine_attach("nic0");
	d[1] = machine_attach("nic1");
	d[2] = machine_attach("twin0");
	d[3] = machine_attach("twin1");
	TEST_ASSERT_EQUAL(machine_info().n_domains, 3, "%u domains", machine_info().n_domains);
	TEST_ASSERT_EQUAL(machine_info().map_calls, 3, "one replay a domain");
	TEST_ASSERT_SUCCESS(dmamap_map(c, buf + MB2, MB2, DMAMAP_RW, &late), "map");
	TEST_ASSERT_EQUAL(machine_info().map_calls, 6, "one call a domain");
	TEST_ASSERT(machine_reaches("nic0", early, buf, MB2) &&
			machine_reaches("twin1", late, buf + MB2, MB2),
		"not reached by all");
	TEST_ASSERT_SUCCESS(dmamap_unmap(c, late, MB2), "unmap");
	TEST_ASSERT_EQUAL(machine_info().unmap_calls, 3, "one call a domain");
	TEST_ASSERT_EQUAL(vfio_mock_dma_read(mock, "nic1", late, buf, 1), -EFAULT, "still reached");
	for (i = 0; i < RTE_DIM(d); i++)
		TEST_ASSERT_SUCCESS(dmamap_container_detach(d[i]), "detach %u", i);
	return 0;
}

static int
a_device_that_a_domain_refuses_gets_a_new_one(void)
{
	struct dmamap_device *d0 = machine_attach("nic0"), *d1;
	rte_iova_t iova = 0;

	TEST_ASSERT_SUCCESS(dmamap_map(c, buf, MB2, DMAMAP_RW, &iova), "map");
	vfio_mock_fail(mock, 1u << VFIO_MOCK_SET_CONTAINER, 1, EINVAL);
	d1 = machine_attach("nic1");
	TEST_ASSERT_NOT_NULL(d1, "attach");
	TEST_ASSERT_EQUAL(machine_info().n_domains, 2, "%u domains", machine_info().n_domains);
	TEST_ASSERT(
		machine_reaches("nic0", iova, buf, MB2) && machine_reaches("nic1", iova, buf, MB2),
		"not reached by both");
	TEST_ASSERT_SUCCESS(dmamap_container_detach(d0), "detach");
	TEST_ASSERT(machine_reaches("nic1", iova, buf, MB2), "lost with the other's domain");
	return dmamap_container_detach(d1);
}

static int
ranges_shrink_and_grow_with_the_devices(void)
{
	struct dmamap_device *d0, *d1;
	struct dmamap_container_info i;

	d0 = machine_attach("nic0");
	i = machine_info();
	TEST_ASSERT_EQUAL(i.n_ranges, 2, "%u ranges", i.n_ranges);
	TEST_ASSERT_EQUAL(i.ranges[0].start, 0x1000, "page 0 is not left out");
	TEST_ASSERT_EQUAL(i.ranges[0].last, 0xfedfffff, "the MSI window is not left out");
	TEST_ASSERT_EQUAL(i.ranges[1].last, (UINT64_C(1) << 39) - 1, "aperture");
	d1 = machine_attach("narrow0");
	i = machine_info();
	TEST_ASSERT_EQUAL(i.ranges[i.n_ranges - 1].last, UINT32_MAX, "ranges did not shrink");
	TEST_ASSERT_SUCCESS(dmamap_container_detach(d1), "detach");
	i = machine_info();
	TEST_ASSERT_EQUAL(i.ranges[1].last, (UINT64_C(1) << 39) - 1, "ranges did not grow");
	return dmamap_container_detach(d0);
}

/** Number of lines that the last refusal logged. */
static unsigned int refused_lines;

static unsigned int
count_lines(const char *text)
{
	unsigned int n = 0;

	for (; *text != '\0'; text++)
		n += *text == '\n';
	return n;
}

/** Try to attach. It must fail with an errno and these texts, and change nothing. */
static int
refused(const char *dev, int err, const char *const text[], unsigned int n)
{
	struct dmamap_container_info before = machine_info(), after;
	char *state = vfio_mock_dump(mock), *state_after;
	struct dmamap_device *d = NULL;
	const char *said;
	unsigned int i;
	int rc;

	test_log_begin();
	rc = dmamap_container_attach(c, dev, &d);
	said = test_log_end();
	refused_lines = count_lines(said);
	TEST_ASSERT_EQUAL(rc, err, "attach gave %d", rc);
	for (i = 0; i < n; i++)
		TEST_ASSERT_NOT_NULL(
			strstr(said, text[i]), "'%s' does not say '%s'", said, text[i]);
	after = machine_info();
	after.map_calls = before.map_calls;
	after.unmap_calls = before.unmap_calls;
	TEST_ASSERT_EQUAL(memcmp(&before, &after, sizeof(after)), 0, "the container changed");
	state_after = vfio_mock_dump(mock);
	rc = strcmp(state, state_after);
	if (rc != 0)
		printf("before:\n%s\nafter:\n%s\n", state, state_after);
	free(state);
	free(state_after);
	return rc;
}

static int
an_attach_that_a_mapping_forbids_is_refused_whole(void)
{
	static const char *const in_hole[] = {
		"odd0", "[0x8000000, 0x8000fff]", "[0x8000000, 0x80fffff]", "group 4"};
	static const char *const too_high[] = {
		"narrow0", "[0x200000000, 0x200000fff]", "translates"};
	static const char *const too_fine[] = {"coarse0", "page size", "0x10000"};
	rte_iova_t iova = 0x8000000;
	struct dmamap_device *d = machine_attach("nic0");

	TEST_ASSERT_SUCCESS(dmamap_map(c, buf, KB4, DMAMAP_RW | DMAMAP_FIXED, &iova), "map");
	TEST_ASSERT_SUCCESS(refused("odd0", -EADDRINUSE, in_hole, RTE_DIM(in_hole)), "odd0");
	TEST_ASSERT_SUCCESS(dmamap_unmap(c, iova, KB4), "unmap");

	iova = 0x200000000;
	TEST_ASSERT_SUCCESS(dmamap_map(c, buf, KB4, DMAMAP_RW | DMAMAP_FIXED, &iova), "map");
	TEST_ASSERT_SUCCESS(
		refused("narrow0", -EADDRINUSE, too_high, RTE_DIM(too_high)), "narrow0");
	TEST_ASSERT_SUCCESS(dmamap_unmap(c, iova, KB4), "unmap");

	iova = 0x1000;
	TEST_ASSERT_SUCCESS(dmamap_map(c, buf, KB4, DMAMAP_RW | DMAMAP_FIXED, &iova), "map");
	TEST_ASSERT_SUCCESS(
		refused("coarse0", -EADDRINUSE, too_fine, RTE_DIM(too_fine)), "coarse0");
	TEST_ASSERT_SUCCESS(dmamap_unmap(c, iova, KB4), "unmap");
	return dmamap_container_detach(d);
}

/**
 * Map and unmap in a container with nic0 (pages of 4 KiB, 2 MiB, 1 GiB) and coarse0 (64 KiB only).
 */
static int
check_both_page_sizes(void)
{
	const struct dmamap_zone_conf conf = {
		.len = 100000, .page_size = sysconf(_SC_PAGESIZE), .max_len = 300000};
	rte_iova_t iova = 0;
	struct dmamap_zone *z;

	TEST_ASSERT_EQUAL(machine_info().page_sizes, 1 << 16, "page sizes 0x%" PRIx64,
		machine_info().page_sizes);
	test_log_begin();
	TEST_ASSERT_EQUAL(dmamap_map(c, buf, KB4, DMAMAP_RW, &iova), -EINVAL, "4 KiB");
	TEST_ASSERT(test_logged("multiples of the IOMMU's page size, 0x10000"), "line");
	TEST_ASSERT_SUCCESS(dmamap_map(c, buf, 3 << 16, DMAMAP_RW, &iova), "192 KiB");
	TEST_ASSERT(machine_reaches("nic0", iova, buf, 3 << 16), "nic0");
	TEST_ASSERT(machine_reaches("coarse0", iova, buf, 3 << 16), "coarse0");
	TEST_ASSERT_SUCCESS(dmamap_unmap(c, iova, 3 << 16), "unmap");
	TEST_ASSERT_SUCCESS(dmamap_zone_alloc(c, &conf, &z), "zone");
	TEST_ASSERT(
		machine_reaches("nic0", dmamap_zone_iova(z), dmamap_zone_va(z), 100000), "zone");
	TEST_ASSERT(
		machine_reaches("coarse0", dmamap_zone_iova(z), dmamap_zone_va(z), 100000), "zone");
	TEST_ASSERT_EQUAL(dmamap_zone_len(z), 2 << 16, "0x%zx bytes", dmamap_zone_len(z));
	TEST_ASSERT_SUCCESS(dmamap_zone_resize(z, 300000), "resize");
	TEST_ASSERT(machine_reaches("coarse0", dmamap_zone_iova(z), dmamap_zone_va(z), 300000),
		"grown");
	TEST_ASSERT_EQUAL(dmamap_zone_len(z), 5 << 16, "0x%zx bytes", dmamap_zone_len(z));
	return dmamap_zone_free(z);
}

/**
 * One kernel container would accept both, but then map nothing: it only has page sizes that all its
 * IOMMUs have (Linux, vfio_update_pgsize_bitmap()). With a domain each, whole pages of the coarser
 * IOMMU suit both.
 */
static int
iommus_without_a_common_page_size_get_domains_of_their_own(void)
{
	struct dmamap_device *nic, *coarse;
	rte_iova_t iova = 0;

	TEST_ASSERT_NOT_NULL(nic = machine_attach("nic0"), "attach");
	TEST_ASSERT_NOT_NULL(coarse = machine_attach("coarse0"), "attach");
	TEST_ASSERT_EQUAL(machine_info().n_domains, 2, "domains");
	TEST_ASSERT_SUCCESS(check_both_page_sizes(), "nic0 first");
	TEST_ASSERT_SUCCESS(dmamap_container_detach(nic), "detach");
	TEST_ASSERT_NOT_NULL(nic = machine_attach("nic0"), "attach");
	TEST_ASSERT_SUCCESS(check_both_page_sizes(), "coarse0 first");
	TEST_ASSERT_SUCCESS(dmamap_container_detach(coarse), "detach");
	TEST_ASSERT_SUCCESS(dmamap_map(c, buf, KB4, DMAMAP_RW, &iova), "4 KiB again");
	TEST_ASSERT(machine_reaches("nic0", iova, buf, KB4), "nic0");
	return dmamap_container_detach(nic);
}

static int
a_reservation_forbids_an_attach_too(void)
{
	static const char *const text[] = {"odd0", "reservation", "[0x8000000, 0x80fffff]"};
	struct dmamap_range within = {0x8000000, 0x800ffff};
	struct dmamap_device *d = machine_attach("nic0");
	rte_iova_t iova;

	TEST_ASSERT_SUCCESS(dmamap_iova_reserve(c, 0x10000, 0, within, &iova), "reserve");
	TEST_ASSERT_SUCCESS(refused("odd0", -EADDRINUSE, text, RTE_DIM(text)), "odd0");
	TEST_ASSERT_SUCCESS(dmamap_iova_release(c, iova, 0x10000), "release");
	return dmamap_container_detach(d);
}

/** Whether a list has such a conflict. */
static bool
has_conflict(const struct dmamap_conflict *all, int n, enum dmamap_conflict_kind kind,
	rte_iova_t start, const char *name, const char *owner)
{
	int i;

	for (i = 0; i < n; i++)
		if (all[i].kind == kind && all[i].range.start == start &&
			strcmp(all[i].name, name) == 0 && strcmp(all[i].owner, owner) == 0 &&
			strcmp(all[i].container, dmamap_container_name(c)) == 0)
			return true;
	return false;
}

static int
every_conflict_of_an_attach_is_named(void)
{
	static const struct vfio_mock_iommu_conf narrow_and_coarse = {
		.aperture = {0, UINT32_MAX}, .page_sizes = 1 << 16 | 1 << 21};
	static const struct vfio_mock_resv hole = {{0x8000000, 0x80fffff}, DMAMAP_RESERVED_BUS};
	static const char *const text[] = {
		"(the first of 5 conflicts)", "zone rings", "reservation"};
	struct vfio_mock_group_conf group = {.n_resv = 1, .resv = &hole};
	struct dmamap_zone_conf conf = {
		.len = KB4, .page_size = KB4, .flags = DMAMAP_LOW32, .name = "rings"};
	rte_iova_t in_hole = 0x8000000, high = 0x200000000, taken;
	struct dmamap_device *d = machine_attach("nic0"), *other;
	struct dmamap_conflict all[8] = {0};
	struct dmamap_zone *z;
	int n;

	group.iommu = vfio_mock_add_iommu(mock, &narrow_and_coarse);
	vfio_mock_add_device(mock, vfio_mock_add_group(mock, &group), "bad0", 0, "vfio-pci");
	TEST_ASSERT_SUCCESS(dmamap_map(c, buf, KB4, DMAMAP_RW | DMAMAP_FIXED, &in_hole), "map");
	TEST_ASSERT_SUCCESS(
		dmamap_map(c, buf + MB2, 1 << 16, DMAMAP_RW | DMAMAP_FIXED, &high), "map");
	TEST_ASSERT_SUCCESS(dmamap_iova_reserve(c, 0x10000, 0,
				    (struct dmamap_range){0x8010000, 0x801ffff}, &taken),
		"reserve");
	TEST_ASSERT_SUCCESS(dmamap_zone_alloc(c, &conf, &z), "zone");

	TEST_ASSERT_SUCCESS(refused("bad0", -EADDRINUSE, text, RTE_DIM(text)), "bad0");
	TEST_ASSERT_EQUAL(refused_lines, 5, "not a line each");
	n = dmamap_container_conflicts(c, all, RTE_DIM(all));
	TEST_ASSERT_EQUAL(n, 5, "%d conflicts", n);
	TEST_ASSERT(has_conflict(
			    all, n, DMAMAP_CONFLICT_RESERVED, in_hole, "mapping", "group 6 (bad0)"),
		"a mapping in a reserved range");
	TEST_ASSERT(has_conflict(all, n, DMAMAP_CONFLICT_PAGE_SIZE, in_hole, "mapping", "domain 1"),
		"a mapping of too small pages");
	TEST_ASSERT(has_conflict(all, n, DMAMAP_CONFLICT_RESERVED, taken, "reservation",
			    "group 6 (bad0)"),
		"a reservation in a reserved range");
	TEST_ASSERT(has_conflict(all, n, DMAMAP_CONFLICT_RESERVED, high, "mapping", "domain 1"),
		"a mapping beyond the aperture");
	TEST_ASSERT(has_conflict(all, n, DMAMAP_CONFLICT_PAGE_SIZE, dmamap_zone_iova(z),
			    "zone rings", "domain 1"),
		"a zone of too small pages");
	TEST_ASSERT(all[0].va == buf && all[0].with.start == 0x8000000 &&
			all[0].with.last == 0x80fffff && all[0].type == DMAMAP_RESERVED_BUS,
		"what it is and what it runs into");

	TEST_ASSERT_SUCCESS(dmamap_unmap(c, in_hole, KB4), "unmap");
	TEST_ASSERT_SUCCESS(dmamap_unmap(c, high, 1 << 16), "unmap");
	TEST_ASSERT_SUCCESS(dmamap_iova_release(c, taken, 0x10000), "release");
	TEST_ASSERT_SUCCESS(dmamap_zone_free(z), "zone");
	TEST_ASSERT_SUCCESS(dmamap_container_attach(c, "bad0", &other), "all of them are gone");
	TEST_ASSERT_EQUAL(dmamap_container_conflicts(c, NULL, 0), 0, "conflicts after a success");
	TEST_ASSERT_SUCCESS(dmamap_container_detach(other), "detach");
	return dmamap_container_detach(d);
}

static int
a_shrinking_aperture_names_every_range_beyond(void)
{
	static const char *const text[] = {
		"(the first of 2 conflicts)", "[0x100000000, 0xffffffffffffffff]"};
	struct dmamap_device *d = machine_attach("nic0"), *narrow;
	struct dmamap_conflict all[2];
	rte_iova_t iova[2];
	unsigned int i;

	/*
	 * The kernel knows no reservations and accepts the device. The ranges shrink, and grow
	 * again.
	 */
	for (i = 0; i < 2; i++)
		TEST_ASSERT_SUCCESS(dmamap_iova_reserve(c, KB4, 0,
					    (struct dmamap_range){(i + 2) * 0x100000000,
						    (i + 3) * 0x100000000 - 1},
					    &iova[i]),
			"reserve");
	TEST_ASSERT_SUCCESS(refused("narrow0", -EADDRINUSE, text, RTE_DIM(text)), "narrow0");
	TEST_ASSERT_EQUAL(dmamap_container_conflicts(c, all, 2), 2, "conflicts");
	for (i = 0; i < 2; i++) {
		TEST_ASSERT(has_conflict(all, 2, DMAMAP_CONFLICT_RESERVED, iova[i], "reservation",
				    "domain 0"),
			"range %u", i);
		TEST_ASSERT_SUCCESS(dmamap_iova_release(c, iova[i], KB4), "release");
	}
	narrow = machine_attach("narrow0");
	TEST_ASSERT_NOT_NULL(narrow, "attach");
	TEST_ASSERT_EQUAL(dmamap_iova_reserve(c, KB4, 0,
				  (struct dmamap_range){UINT64_C(1) << 32, UINT64_MAX}, &iova[0]),
		-ENOSPC, "beyond the narrow aperture");
	TEST_ASSERT_SUCCESS(dmamap_container_detach(narrow), "detach");
	TEST_ASSERT_SUCCESS(dmamap_iova_reserve(c, KB4, 0,
				    (struct dmamap_range){UINT64_C(1) << 32, UINT64_MAX}, &iova[0]),
		"the aperture did not grow");
	TEST_ASSERT_SUCCESS(dmamap_iova_release(c, iova[0], KB4), "release");
	return dmamap_container_detach(d);
}

static int
many_conflicts_are_listed_and_some_logged(void)
{
	static const char *const text[] = {"(the first of 40 conflicts)"};
	struct dmamap_device *d = machine_attach("nic0");
	struct dmamap_conflict all[40] = {0};
	rte_iova_t iova[40];
	unsigned int i;

	for (i = 0; i < 40; i++) {
		iova[i] = 0x8000000 + i * KB4;
		TEST_ASSERT_SUCCESS(
			dmamap_map(c, buf + i * KB4, KB4, DMAMAP_RW | DMAMAP_FIXED, &iova[i]),
			"map");
	}
	TEST_ASSERT_SUCCESS(refused("odd0", -EADDRINUSE, text, RTE_DIM(text)), "odd0");
	TEST_ASSERT_EQUAL(refused_lines, DMAMAP_CONFLICTS_LOGGED, "lines");
	TEST_ASSERT_EQUAL(dmamap_container_conflicts(c, all, 3), 40, "conflicts");
	TEST_ASSERT(all[2].range.start == iova[2] && all[3].range.start == 0, "room for three");
	TEST_ASSERT_EQUAL(dmamap_container_conflicts(c, all, 40), 40, "conflicts");
	for (i = 0; i < 40; i++)
		TEST_ASSERT_EQUAL(all[i].range.start, iova[i], "conflict %u", i);
	TEST_ASSERT_EQUAL(dmamap_container_attach(c, "none", &d), -ENODEV, "no such device");
	TEST_ASSERT_EQUAL(
		dmamap_container_conflicts(c, NULL, 0), 0, "conflicts of another failure");
	TEST_ASSERT_EQUAL(dmamap_container_conflicts(c, NULL, 1), -EINVAL, "no room");
	TEST_ASSERT_SUCCESS(dmamap_unmap(c, iova[0], 40 * KB4), "unmap");
	return dmamap_container_detach(d);
}

static int
fixed_maps_are_checked(void)
{
	static const struct {
		rte_iova_t iova;
		size_t len;
		int rc;
		const char *text;
	} cases[] = {
		{0xfee00000, KB4, -EADDRINUSE, "MSI window"},
		{0xfedff000, 2 * KB4, -EADDRINUSE, "group 0 (nic0)"},
		{0, KB4, -EADDRINUSE, "page 0"},
		{UINT64_C(1) << 39, KB4, -ERANGE, "domain 0"},
		{(UINT64_C(1) << 39) - KB4, 2 * KB4, -ERANGE, "outside the aperture"},
		{0x100001000, KB4, -EEXIST, "[0x100000000, 0x100001fff]"},
		{0x100000800, KB4, -EINVAL, "page size"},
		{UINT64_MAX - KB4 + 1, 2 * KB4, -EINVAL, "wraps"},
		{(UINT64_C(1) << 39) - KB4, KB4, 0, ""},
		{0x1000, KB4, 0, ""},
	};
	struct dmamap_device *d = machine_attach("nic0");
	rte_iova_t iova = 0x100000000;
	unsigned int i;

	TEST_ASSERT_SUCCESS(dmamap_map(c, buf, 2 * KB4, DMAMAP_RW | DMAMAP_FIXED, &iova), "map");
	for (i = 0; i < RTE_DIM(cases); i++) {
		const char *said;
		int rc;

		iova = cases[i].iova;
		test_log_begin();
		rc = dmamap_map(c, buf + MB2, cases[i].len, DMAMAP_RW | DMAMAP_FIXED, &iova);
		said = test_log_end();
		TEST_ASSERT_EQUAL(rc, cases[i].rc, "case %u gave %d: %s", i, rc, said);
		TEST_ASSERT_NOT_NULL(strstr(said, cases[i].text), "case %u: '%s'", i, said);
		if (rc == 0)
			TEST_ASSERT_SUCCESS(dmamap_unmap(c, iova, cases[i].len), "unmap");
	}
	TEST_ASSERT_SUCCESS(dmamap_unmap(c, 0x100000000, 2 * KB4), "unmap");
	return dmamap_container_detach(d);
}

static int
arguments_are_checked(void)
{
	rte_iova_t iova = 0;

	TEST_ASSERT_EQUAL(dmamap_map(c, buf, 0, DMAMAP_RW, &iova), -EINVAL, "no length");
	TEST_ASSERT_EQUAL(dmamap_map(c, buf, 100, DMAMAP_RW, &iova), -EINVAL, "no page multiple");
	TEST_ASSERT_EQUAL(dmamap_map(c, buf + 1, KB4, DMAMAP_RW, &iova), -EINVAL, "no page");
	TEST_ASSERT_EQUAL(dmamap_map(c, buf, KB4, 0, &iova), -EINVAL, "no access");
	TEST_ASSERT_EQUAL(dmamap_map(c, buf, KB4, 0x8000 | DMAMAP_RW, &iova), -EINVAL, "flags");
	TEST_ASSERT_EQUAL(dmamap_map(c, buf, KB4, DMAMAP_RW, NULL), -EINVAL, "no result");
	TEST_ASSERT_EQUAL(dmamap_map(NULL, buf, KB4, DMAMAP_RW, &iova), -EINVAL, "no container");
	TEST_ASSERT_EQUAL(dmamap_map(c, buf, (size_t)0 - KB4, DMAMAP_RW, &iova), -EINVAL, "wrap");
	TEST_ASSERT_EQUAL(dmamap_unmap(c, 0x1000, 0), -EINVAL, "unmap of nothing");
	TEST_ASSERT_EQUAL(dmamap_unmap(c, UINT64_MAX - KB4 + 1, 2 * KB4), -EINVAL, "unmap wrap");
	TEST_ASSERT_EQUAL(
		dmamap_iova_reserve(c, 100, 0, DMAMAP_ANYWHERE, &iova), -EINVAL, "reserve");
	TEST_ASSERT_EQUAL(dmamap_iova_reserve(c, KB4, 3, DMAMAP_ANYWHERE, &iova), -EINVAL, "align");
	TEST_ASSERT_EQUAL(dmamap_iova_release(c, 0x1000, KB4), -ENOENT, "release");
	return 0;
}

static int
an_unmap_covers_whole_mappings(void)
{
	struct dmamap_device *d = machine_attach("nic0");
	rte_iova_t iova = 0x100000000, next = iova + MB2;

	TEST_ASSERT_SUCCESS(dmamap_map(c, buf, MB2, DMAMAP_RW | DMAMAP_FIXED, &iova), "map");
	TEST_ASSERT_SUCCESS(dmamap_map(c, buf + MB2, MB2, DMAMAP_RW | DMAMAP_FIXED, &next), "map");
	TEST_ASSERT_EQUAL(dmamap_unmap(c, iova, KB4), -EINVAL, "a half was unmapped");
	TEST_ASSERT_EQUAL(dmamap_unmap(c, iova + KB4, MB2 - KB4), -EINVAL, "a tail was unmapped");
	TEST_ASSERT_EQUAL(dmamap_unmap(c, iova, MB2 + KB4), -EINVAL, "one and a bit");
	TEST_ASSERT_EQUAL(dmamap_unmap(c, iova, 3 * MB2), -ENOENT, "beyond");
	TEST_ASSERT_EQUAL(dmamap_unmap(c, iova - MB2, 2 * MB2), -ENOENT, "before");
	TEST_ASSERT_EQUAL(machine_info().unmap_calls, 0, "the kernel was asked");
	TEST_ASSERT(machine_reaches("nic0", iova, buf, 1) &&
			machine_reaches("nic0", next, buf + MB2, MB2),
		"lost");
	TEST_ASSERT_SUCCESS(dmamap_unmap(c, iova, 2 * MB2), "two whole ones");
	TEST_ASSERT_EQUAL(machine_info().unmap_calls, 1, "two mappings in a row are one call");
	TEST_ASSERT_EQUAL(machine_info().n_mappings, 0, "still there");
	TEST_ASSERT_EQUAL(dmamap_va2iova(c, buf), RTE_BAD_IOVA, "still found");
	TEST_ASSERT_NULL(dmamap_iova2va(c, next), "still found");
	TEST_ASSERT_EQUAL(dmamap_unmap(c, iova, MB2), -ENOENT, "unmapped twice");
	return dmamap_container_detach(d);
}

static int
memory_has_one_iova_unless_an_alias_is_asked_for(void)
{
	struct dmamap_device *d = machine_attach("nic0");
	rte_iova_t a = 0, b = 0;

	TEST_ASSERT_SUCCESS(dmamap_map(c, buf + KB4, KB4, DMAMAP_RW, &a), "map");
	TEST_ASSERT_EQUAL(dmamap_map(c, buf, 4 * KB4, DMAMAP_RW, &b), -EEXIST, "second mapping");
	TEST_ASSERT_SUCCESS(dmamap_map(c, buf, 4 * KB4, DMAMAP_READ | DMAMAP_ALIAS, &b), "alias");
	TEST_ASSERT_EQUAL(dmamap_va2iova(c, buf + KB4), a, "the first mapping counts");
	TEST_ASSERT_EQUAL(dmamap_va2iova(c, buf), RTE_BAD_IOVA, "an alias counts");
	TEST_ASSERT(dmamap_iova2va(c, b + KB4) == buf + KB4, "the alias is not known");
	TEST_ASSERT_EQUAL(vfio_mock_dma_write(mock, "nic0", b, "x", 1), -EFAULT, "writable");
	TEST_ASSERT_SUCCESS(dmamap_unmap(c, b, 4 * KB4), "unmap");
	TEST_ASSERT_EQUAL(dmamap_va2iova(c, buf + KB4), a, "lost with the alias");
	TEST_ASSERT_SUCCESS(dmamap_unmap(c, a, KB4), "unmap");
	return dmamap_container_detach(d);
}

static int
reservations_hold_fixed_maps(void)
{
	rte_iova_t iova, at, other;

	TEST_ASSERT_SUCCESS(
		dmamap_iova_reserve(c, 4 * MB2, MB2, DMAMAP_ANYWHERE, &iova), "reserve");
	TEST_ASSERT_EQUAL(iova % MB2, 0, "alignment");
	TEST_ASSERT_EQUAL(machine_info().reservation_len, 4 * MB2, "reservation_len");
	at = iova + MB2;
	TEST_ASSERT_SUCCESS(dmamap_map(c, buf, MB2, DMAMAP_RW | DMAMAP_FIXED, &at), "map");
	at = iova + 3 * MB2;
	TEST_ASSERT_EQUAL(dmamap_map(c, buf + MB2, 2 * MB2, DMAMAP_RW | DMAMAP_FIXED, &at), -EEXIST,
		"a map across the end of a reservation");
	other = 0;
	TEST_ASSERT_SUCCESS(dmamap_map(c, buf + MB2, MB2, DMAMAP_RW, &other), "map");
	TEST_ASSERT(other > iova + 4 * MB2 - 1 || other + MB2 - 1 < iova, "in the reservation");
	TEST_ASSERT_SUCCESS(dmamap_unmap(c, other, MB2), "unmap");
	TEST_ASSERT_EQUAL(dmamap_iova_release(c, iova, 4 * MB2), -EBUSY, "given while mapped");
	TEST_ASSERT_SUCCESS(dmamap_unmap(c, iova + MB2, MB2), "unmap");
	TEST_ASSERT_EQUAL(dmamap_iova_release(c, iova, MB2), -EINVAL, "another length");
	TEST_ASSERT_SUCCESS(dmamap_iova_release(c, iova, 4 * MB2), "release");
	TEST_ASSERT_EQUAL(dmamap_iova_release(c, iova, 4 * MB2), -ENOENT, "given twice");
	TEST_ASSERT_EQUAL(machine_info().reservation_len, 0, "reservation_len");
	return 0;
}

static int
a_running_device_cannot_be_detached(void)
{
	struct dmamap_device *d = machine_attach("nic0");

	dmamap_device_hold(d);
	TEST_ASSERT_EQUAL(dmamap_container_detach(d), -EBUSY, "detached while running");
	dmamap_device_release(d);
	TEST_ASSERT_EQUAL(dmamap_container_destroy(c), -EBUSY, "destroyed while attached");
	return dmamap_container_detach(d);
}

static int
an_ioctl_on_a_device_reaches_its_kernel(void)
{
	const struct vfio_mock_device_conf conf = {.region[3] = {.size = KB4, .mappable = true}};
	struct vfio_device_info info = {.argsz = sizeof(info)};
	struct vfio_region_info region = {.argsz = sizeof(region), .index = 3};
	struct vfio_irq_set none = {.argsz = sizeof(none),
		.index = VFIO_PCI_NUM_IRQS,
		.flags = VFIO_IRQ_SET_ACTION_TRIGGER | VFIO_IRQ_SET_DATA_NONE};
	struct dmamap_device *d;

	TEST_ASSERT_SUCCESS(vfio_mock_describe_device(mock, "nic0", &conf), "describe");
	TEST_ASSERT_NOT_NULL(d = machine_attach("nic0"), "attach");
	TEST_ASSERT_SUCCESS(dmamap_device_ioctl(d, VFIO_DEVICE_GET_INFO, &info), "info");
	TEST_ASSERT(
		(info.flags & VFIO_DEVICE_FLAGS_PCI) && info.num_regions == VFIO_PCI_NUM_REGIONS,
		"what it says");
	TEST_ASSERT_SUCCESS(dmamap_device_ioctl(d, VFIO_DEVICE_GET_REGION_INFO, &region), "region");
	TEST_ASSERT_EQUAL(region.size, KB4, "its size");
	TEST_ASSERT_SUCCESS(dmamap_device_ioctl(d, VFIO_DEVICE_RESET, NULL), "reset");
	TEST_ASSERT_EQUAL(vfio_mock_resets(mock, "nic0"), 1u, "it was not reset");

	/* Errors of the kernel, and errors before the kernel is called. Nothing is logged. */
	test_log_begin();
	TEST_ASSERT_EQUAL(dmamap_device_ioctl(d, VFIO_DEVICE_SET_IRQS, &none), -EINVAL, "index");
	TEST_ASSERT_EQUAL(dmamap_device_ioctl(d, VFIO_IOMMU_GET_INFO, &info), -ENOTTY, "request");
	vfio_mock_fail(mock, UINT32_C(1) << VFIO_MOCK_DEVICE, 1, EIO);
	TEST_ASSERT_EQUAL(dmamap_device_ioctl(d, VFIO_DEVICE_RESET, NULL), -EIO, "error");
	TEST_ASSERT_EQUAL(strlen(test_log_end()), 0u, "something is logged");
	test_log_begin();
	TEST_ASSERT_EQUAL(dmamap_device_ioctl(NULL, VFIO_DEVICE_RESET, NULL), -EINVAL, "no device");
	TEST_ASSERT(test_logged("ioctl: no device"), "no device");
	return dmamap_container_detach(d);
}

/**
 * A device that a failed move lost is in no container. No kernel call is made for it, and it can be
 * freed.
 */
static int
a_lost_device_has_no_file(void)
{
	const struct dmamap_container_conf conf = {
		.backend = DMAMAP_BACKEND_TYPE1, .kernel = vfio_mock_kernel(mock)};
	struct dmamap_container *to;
	struct dmamap_device *d;

	TEST_ASSERT_SUCCESS(dmamap_container_create(&conf, &to), "create");
	TEST_ASSERT_NOT_NULL(d = machine_attach("nic0"), "attach");
	test_log_begin();
	vfio_mock_fail_all(mock, UINT32_C(1) << VFIO_MOCK_GET_DEVICE_FD, EIO);
	TEST_ASSERT_EQUAL(dmamap_device_move(d, to), -ENODEV, "move");
	vfio_mock_fail_all(mock, UINT32_C(1) << VFIO_MOCK_GET_DEVICE_FD, 0);
	test_log_end();
	test_log_begin();
	TEST_ASSERT_EQUAL(dmamap_device_ioctl(d, VFIO_DEVICE_RESET, NULL), -ENODEV, "ioctl");
	TEST_ASSERT(test_logged("ioctl on nic0: it is in no container"), "ioctl");
	TEST_ASSERT_EQUAL(dmamap_device_fd(d), -1, "it has a file");
	TEST_ASSERT_SUCCESS(dmamap_container_detach(d), "detach");
	return dmamap_container_destroy(to);
}

static int
a_map_that_one_domain_refuses_is_in_none(void)
{
	struct dmamap_device *d0, *d1, *d2;
	rte_iova_t iova = 0, again = 0;
	char *state, *after;
	int rc;

	TEST_ASSERT_SUCCESS(machine_remake(NULL, DMAMAP_ISOLATE), "remake");
	d0 = machine_attach("nic0");
	d1 = machine_attach("nic1");
	d2 = machine_attach("twin0");
	state = vfio_mock_dump(mock);
	vfio_mock_fail(mock, 1u << VFIO_MOCK_MAP, 3, ENOMEM);
	TEST_ASSERT_EQUAL(dmamap_map(c, buf, MB2, DMAMAP_RW, &iova), -ENOMEM, "map");
	after = vfio_mock_dump(mock);
	rc = strcmp(state, after);
	free(state);
	free(after);
	TEST_ASSERT_EQUAL(rc, 0, "something is left behind");
	TEST_ASSERT_EQUAL(machine_info().n_mappings, 0, "n_mappings");
	TEST_ASSERT_EQUAL(dmamap_va2iova(c, buf), RTE_BAD_IOVA, "found");
	TEST_ASSERT_SUCCESS(dmamap_map(c, buf, MB2, DMAMAP_RW, &again), "retry");
	TEST_ASSERT(machine_reaches("twin0", again, buf, MB2), "not reached");
	TEST_ASSERT_SUCCESS(dmamap_unmap(c, again, MB2), "unmap");
	TEST_ASSERT_SUCCESS(dmamap_container_detach(d0), "detach");
	TEST_ASSERT_SUCCESS(dmamap_container_detach(d1), "detach");
	return dmamap_container_detach(d2);
}

static int
an_unmap_that_one_domain_refuses_is_undone(void)
{
	struct dmamap_device *d0, *d1;
	rte_iova_t iova = 0;

	TEST_ASSERT_SUCCESS(machine_remake(NULL, DMAMAP_ISOLATE), "remake");
	d0 = machine_attach("nic0");
	d1 = machine_attach("nic1");
	TEST_ASSERT_SUCCESS(dmamap_map(c, buf, MB2, DMAMAP_RW, &iova), "map");
	vfio_mock_fail(mock, 1u << VFIO_MOCK_UNMAP, 2, EINVAL);
	TEST_ASSERT_EQUAL(dmamap_unmap(c, iova, MB2), -EINVAL, "unmap");
	TEST_ASSERT(
		machine_reaches("nic0", iova, buf, MB2) && machine_reaches("nic1", iova, buf, MB2),
		"lost");
	TEST_ASSERT_EQUAL(dmamap_va2iova(c, buf), iova, "not found");
	TEST_ASSERT_SUCCESS(dmamap_unmap(c, iova, MB2), "retry");
	TEST_ASSERT_SUCCESS(dmamap_container_detach(d0), "detach");
	return dmamap_container_detach(d1);
}

static int
a_short_unmap_fences_the_range_off(void)
{
	struct dmamap_device *d = machine_attach("nic0");
	struct dmamap_range within = {0x40000000, 0x400fffff};
	rte_iova_t iova = 0x40000000, other;

	TEST_ASSERT_SUCCESS(dmamap_map(c, buf, 0x100000, DMAMAP_RW | DMAMAP_FIXED, &iova), "map");
	vfio_mock_short_unmap(mock, 1, 0);
	TEST_ASSERT_EQUAL(dmamap_unmap(c, iova, 0x100000), -EIO, "a short unmap went unnoticed");
	TEST_ASSERT_EQUAL(machine_info().quarantined_len, 0x100000, "quarantined_len");
	TEST_ASSERT_EQUAL(dmamap_va2iova(c, buf), RTE_BAD_IOVA, "still found");
	TEST_ASSERT_EQUAL(
		dmamap_iova_reserve(c, KB4, 0, within, &other), -ENOSPC, "given out again");
	TEST_ASSERT_EQUAL(
		dmamap_map(c, buf, KB4, DMAMAP_RW | DMAMAP_FIXED, &iova), -EEXIST, "mapped again");
	return dmamap_container_detach(d);
}

static int
a_device_with_a_narrow_mask_gets_low_iovas(void)
{
	struct dmamap_range high = {UINT64_C(1) << 32, UINT64_MAX};
	struct dmamap_device *d = machine_attach("nic0");
	rte_iova_t iova = 0;

	TEST_ASSERT_SUCCESS(dmamap_iova_reserve(c, KB4, 0, high, &iova), "reserve");
	TEST_ASSERT_SUCCESS(dmamap_iova_release(c, iova, KB4), "release");
	TEST_ASSERT_EQUAL(dmamap_device_dma_mask(d, 11), -EINVAL, "11 bits");
	TEST_ASSERT_SUCCESS(dmamap_device_dma_mask(d, 28), "28 bits");
	TEST_ASSERT_EQUAL(dmamap_iova_reserve(c, KB4, 0, high, &iova), -ENOSPC, "beyond the mask");
	TEST_ASSERT_SUCCESS(dmamap_map(c, buf, BUF_LEN, DMAMAP_RW, &iova), "map");
	TEST_ASSERT(iova + BUF_LEN <= UINT64_C(1) << 28, "0x%" PRIx64, iova);
	TEST_ASSERT_SUCCESS(dmamap_unmap(c, iova, BUF_LEN), "unmap");
	TEST_ASSERT_SUCCESS(dmamap_container_detach(d), "detach");
	TEST_ASSERT_SUCCESS(
		dmamap_iova_reserve(c, KB4, 0, high, &iova), "the mask left with its device");
	TEST_ASSERT_SUCCESS(dmamap_iova_release(c, iova, KB4), "release");
	TEST_ASSERT_SUCCESS(dmamap_map(c, buf, KB4, DMAMAP_RW | DMAMAP_LOW32, &iova), "map");
	TEST_ASSERT(iova <= UINT32_MAX, "LOW32 gave 0x%" PRIx64, iova);
	return dmamap_unmap(c, iova, KB4);
}

static int
detach_of_the_last_and_reattach_restores_everything(void)
{
	struct dmamap_device *d = machine_attach("nic0");
	rte_iova_t a = 0, b = 0x40000000;

	TEST_ASSERT_SUCCESS(dmamap_map(c, buf, MB2, DMAMAP_RW, &a), "map");
	TEST_ASSERT_SUCCESS(dmamap_map(c, buf + MB2, KB4, DMAMAP_RW | DMAMAP_FIXED, &b), "map");
	TEST_ASSERT_SUCCESS(dmamap_container_detach(d), "detach");
	TEST_ASSERT_EQUAL(machine_info().n_domains, 0, "domains");
	TEST_ASSERT_EQUAL(machine_info().n_mappings, 2, "mappings");
	TEST_ASSERT_EQUAL(vfio_mock_locked(mock), 0, "memory is still pinned");
	d = machine_attach("nic1");
	TEST_ASSERT(
		machine_reaches("nic1", a, buf, MB2) && machine_reaches("nic1", b, buf + MB2, KB4),
		"lost");
	return dmamap_container_detach(d);
}

static int
the_budget_of_entries_is_known_before(void)
{
	static const struct vfio_mock_conf conf = {.entry_limit = 2};
	static const char *const text[] = {"3", "2"};
	struct dmamap_device *d;
	rte_iova_t iova[3] = {0};
	unsigned int i;

	TEST_ASSERT_SUCCESS(machine_remake(&conf, DMAMAP_SHARE), "remake");
	for (i = 0; i < 3; i++)
		TEST_ASSERT_SUCCESS(dmamap_map(c, buf + i * MB2, MB2, DMAMAP_RW, &iova[i]), "map");
	TEST_ASSERT_SUCCESS(refused("nic0", -ENOSPC, text, RTE_DIM(text)), "replay of three");
	TEST_ASSERT_EQUAL(vfio_mock_calls(mock, VFIO_MOCK_MAP), 0, "the kernel was asked");
	TEST_ASSERT_SUCCESS(dmamap_unmap(c, iova[2], MB2), "unmap");
	d = machine_attach("nic0");
	TEST_ASSERT_EQUAL(machine_info().entries_left, 0, "entries_left");
	TEST_ASSERT_EQUAL(dmamap_map(c, buf + 2 * MB2, MB2, DMAMAP_RW, &iova[2]), -ENOSPC, "third");
	TEST_ASSERT_EQUAL(vfio_mock_calls(mock, VFIO_MOCK_MAP), 2, "the kernel was asked");
	TEST_ASSERT_SUCCESS(dmamap_unmap(c, iova[1], MB2), "unmap");
	TEST_ASSERT_EQUAL(machine_info().entries_left, 1, "entries_left");
	TEST_ASSERT_SUCCESS(dmamap_map(c, buf + 2 * MB2, MB2, DMAMAP_RW, &iova[2]), "map");
	return dmamap_container_detach(d);
}

#define ENTRIES 65535u

static int
all_entries_are_used_and_released(void)
{
	static const struct vfio_mock_conf conf = {.no_memory = true};
	char *far = (char *)UINT64_C(0x100000000000);
	rte_iova_t *iova = calloc(ENTRIES, sizeof(*iova)), more = 0;
	struct dmamap_device *d[2];
	const char *said;
	uint64_t calls;
	unsigned int n;
	int rc;

	TEST_ASSERT_SUCCESS(machine_remake(&conf, DMAMAP_ISOLATE), "remake");
	d[0] = machine_attach("nic0");
	test_log_begin();
	for (n = 0; (rc = dmamap_map(c, far + n * KB4, KB4, DMAMAP_RW, &more)) == 0 && n < ENTRIES;
		n++)
		iova[n] = more;
	said = test_log_end();
	TEST_ASSERT_EQUAL(n, ENTRIES, "%u maps", n);
	TEST_ASSERT_EQUAL(rc, -ENOSPC, "one too many: %d", rc);
	TEST_ASSERT_NOT_NULL(
		strstr(said, "needs 1 map entries, domain 0 has 0 left: map fewer, longer runs"),
		"%s", said);
	TEST_ASSERT_EQUAL(vfio_mock_calls(mock, VFIO_MOCK_MAP), ENTRIES, "the kernel was asked");

	/* Replay all into another domain. Then unmap one and map another. */
	d[1] = machine_attach("nic1");
	TEST_ASSERT_NOT_NULL(d[1], "replay");
	TEST_ASSERT_SUCCESS(dmamap_unmap(c, iova[ENTRIES / 2], KB4), "unmap");
	TEST_ASSERT_SUCCESS(
		dmamap_map(c, far + ENTRIES * KB4, KB4, DMAMAP_RW, &iova[ENTRIES / 2]), "map");
	TEST_ASSERT_EQUAL(machine_info().entries_left, 0, "entries left");
	TEST_ASSERT_EQUAL(
		dmamap_va2iova(c, far + (ENTRIES - 1) * KB4 + 5), iova[ENTRIES - 1] + 5, "va2iova");
	calls = machine_info().map_calls;
	TEST_ASSERT_EQUAL(
		dmamap_map(c, far - KB4, KB4, DMAMAP_RW, &more), -ENOSPC, "again one too many");
	TEST_ASSERT_EQUAL(machine_info().map_calls, calls, "the kernel was asked");

	for (n = 0; n < ENTRIES; n++)
		TEST_ASSERT_SUCCESS(dmamap_unmap(c, iova[n], KB4), "unmap %u", n);
	TEST_ASSERT_EQUAL(machine_info().entries_left, ENTRIES, "entries left");
	TEST_ASSERT_EQUAL(vfio_mock_locked(mock), 0, "memory is pinned");
	free(iova);
	TEST_ASSERT_SUCCESS(dmamap_container_detach(d[0]), "detach");
	return dmamap_container_detach(d[1]);
}

static int
a_map_is_one_entry_whatever_its_length(void)
{
	struct dmamap_device *d = machine_attach("nic0");
	uint64_t left = machine_info().entries_left;
	rte_iova_t iova = 0x100000000, next = iova + MB2;

	TEST_ASSERT_SUCCESS(dmamap_map(c, buf, MB2, DMAMAP_RW | DMAMAP_FIXED, &iova), "map");
	TEST_ASSERT_EQUAL(machine_info().map_calls, 1, "512 pages in one call");
	TEST_ASSERT_EQUAL(machine_info().entries_left, left - 1, "and one entry");
	/*
	 * The neighbour with contiguous VA and IOVA gets its own entry: the kernel can neither
	 * extend an entry nor split one.
	 */
	TEST_ASSERT_SUCCESS(dmamap_map(c, buf + MB2, MB2, DMAMAP_RW | DMAMAP_FIXED, &next), "map");
	TEST_ASSERT_EQUAL(machine_info().entries_left, left - 2, "another entry");
	TEST_ASSERT_EQUAL(
		machine_info().unmap_calls, 0, "a live mapping was taken away to grow it");
	TEST_ASSERT_SUCCESS(dmamap_unmap(c, next, MB2), "unmap at the border");
	TEST_ASSERT(machine_reaches("nic0", iova, buf, MB2), "its neighbour");
	TEST_ASSERT_SUCCESS(dmamap_map(c, buf + MB2, MB2, DMAMAP_RW | DMAMAP_FIXED, &next), "map");
	TEST_ASSERT_SUCCESS(dmamap_unmap(c, iova, 2 * MB2), "unmap of both");
	TEST_ASSERT_EQUAL(machine_info().unmap_calls, 2, "both in one call");
	TEST_ASSERT_EQUAL(machine_info().entries_left, left, "entries left");
	return dmamap_container_detach(d);
}

static int
iova_and_va_are_alike_modulo_the_page_size(void)
{
	rte_iova_t iova = 0;

	TEST_ASSERT_SUCCESS(dmamap_map(c, buf + 3 * KB4, 2 * MB2, DMAMAP_RW, &iova), "map");
	TEST_ASSERT_EQUAL(iova % MB2, 3 * KB4, "superpages are lost at 0x%" PRIx64, iova);
	TEST_ASSERT_SUCCESS(dmamap_unmap(c, iova, 2 * MB2), "unmap");
	TEST_ASSERT_SUCCESS(dmamap_map(c, buf, MB2, DMAMAP_RW, &iova), "map");
	TEST_ASSERT_EQUAL(iova % MB2, 0, "a superpage is lost at 0x%" PRIx64, iova);
	return dmamap_unmap(c, iova, MB2);
}

static int
zones_are_reached_and_freed_as_one(void)
{
	struct dmamap_zone_conf conf = {.len = 100000, .page_size = KB4, .name = "rings"};
	struct dmamap_device *d = machine_attach("nic0");
	struct dmamap_zone *z;
	rte_iova_t iova;
	char *va;

	conf.dev = d;
	TEST_ASSERT_SUCCESS(dmamap_zone_alloc(c, &conf, &z), "zone");
	va = dmamap_zone_va(z);
	iova = dmamap_zone_iova(z);
	TEST_ASSERT_EQUAL(dmamap_zone_len(z), 25 * KB4, "length");
	TEST_ASSERT_EQUAL(dmamap_zone_page_size(z), KB4, "page size");
	TEST_ASSERT(machine_reaches("nic0", iova, va, 25 * KB4), "not reached");
	TEST_ASSERT_EQUAL(dmamap_va2iova(c, va + 12345), iova + 12345, "va2iova");
	TEST_ASSERT_EQUAL(dmamap_unmap(c, iova, 25 * KB4), -EINVAL, "unmapped behind its back");
	TEST_ASSERT_SUCCESS(dmamap_zone_free(z), "free");
	TEST_ASSERT_EQUAL(vfio_mock_dma_read(mock, "nic0", iova, buf, 1), -EFAULT, "still there");
	TEST_ASSERT_EQUAL(machine_info().n_mappings, 0, "mappings");
	conf.len = 0;
	TEST_ASSERT_EQUAL(dmamap_zone_alloc(c, &conf, &z), -EINVAL, "no length");
	conf.len = KB4;
	conf.align = 3;
	TEST_ASSERT_EQUAL(dmamap_zone_alloc(c, &conf, &z), -EINVAL, "alignment");
	conf.align = 0;
	TEST_ASSERT_SUCCESS(dmamap_zone_alloc(c, &conf, &z), "one that goes with the container");
	return dmamap_container_detach(d);
}

static struct dmamap_zone *
zone_of(size_t len, uint32_t flags)
{
	struct dmamap_zone_conf conf = {.len = len, .page_size = KB4, .flags = flags};
	struct dmamap_zone *z = NULL;

	dmamap_zone_alloc(c, &conf, &z);
	return z;
}

static uint64_t
delta(const struct dmamap_zone *z)
{
	return dmamap_zone_iova(z) - (uintptr_t)dmamap_zone_va(z);
}

static int
large_zones_share_one_constant(void)
{
	struct dmamap_device *d = machine_attach("nic0");
	struct dmamap_zone *a = zone_of(MB2, 0), *b = zone_of(2 * MB2, 0), *low, *late;
	void *va = dmamap_zone_va(a);
	rte_iova_t iova = dmamap_zone_iova(a), taken = 0;

	TEST_ASSERT(a != NULL && b != NULL, "zones");
	TEST_ASSERT_EQUAL(delta(a), delta(b), "IOVA minus VA differs");
	TEST_ASSERT(machine_reaches("nic0", iova, va, MB2) &&
			machine_reaches("nic0", dmamap_zone_iova(b), dmamap_zone_va(b), 2 * MB2),
		"not reached");
	TEST_ASSERT_EQUAL(dmamap_va2iova(c, RTE_PTR_ADD(va, 12345)), iova + 12345, "va2iova");
	TEST_ASSERT(dmamap_iova2va(c, iova + 12345) == RTE_PTR_ADD(va, 12345), "iova2va");
	TEST_ASSERT_SUCCESS(dmamap_zone_free(a), "free");
	TEST_ASSERT_EQUAL(dmamap_va2iova(c, va), RTE_BAD_IOVA, "found after its end");
	TEST_ASSERT_NULL(dmamap_iova2va(c, iova), "found after its end");
	TEST_ASSERT_EQUAL(
		dmamap_va2iova(c, dmamap_zone_va(b)), dmamap_zone_iova(b), "its neighbour");

	/* Zones that do not fit into the linear map, or must not be there, are placed elsewhere. */
	low = zone_of(MB2, DMAMAP_LOW32);
	TEST_ASSERT(dmamap_zone_iova(low) + MB2 - 1 <= UINT32_MAX, "LOW32");
	TEST_ASSERT_EQUAL(dmamap_va2iova(c, dmamap_zone_va(low)), dmamap_zone_iova(low), "low");
	TEST_ASSERT_SUCCESS(dmamap_iova_reserve(c, MB2, MB2,
				    (struct dmamap_range){iova, iova + MB2 - 1}, &taken),
		"reserve");
	late = zone_of(MB2, 0);
	TEST_ASSERT(machine_reaches("nic0", dmamap_zone_iova(late), dmamap_zone_va(late), MB2),
		"a zone whose place is taken");
	TEST_ASSERT_NOT_EQUAL(dmamap_zone_iova(late), iova, "at an IOVA that is taken");

	/* After a failed unmap the zone is still found by translation. */
	vfio_mock_fail(mock, 1u << VFIO_MOCK_UNMAP, 1, EINVAL);
	TEST_ASSERT_EQUAL(dmamap_zone_free(b), -EINVAL, "free");
	TEST_ASSERT_EQUAL(dmamap_va2iova(c, dmamap_zone_va(b)), dmamap_zone_iova(b), "lost");
	TEST_ASSERT_SUCCESS(dmamap_zone_free(b), "free");
	TEST_ASSERT_SUCCESS(dmamap_zone_free(late), "free");
	return dmamap_container_detach(d);
}

static int
containers_are_found_by_name_and_device(void)
{
	struct dmamap_container_conf conf = {.name = dmamap_container_name(c)};
	struct dmamap_container *other;
	struct dmamap_device *d;

	TEST_ASSERT(peek(dmamap_container_by_name(dmamap_container_name(c))) == c, "by name");
	TEST_ASSERT_NULL(peek(dmamap_container_by_name("none")), "by another name");
	TEST_ASSERT_NULL(
		peek(dmamap_container_by_device("nic0")), "by a device that is not attached");
	TEST_ASSERT_EQUAL(dmamap_container_create(&conf, &other), -EEXIST, "the same name");
	conf.name = NULL;
	TEST_ASSERT_SUCCESS(dmamap_container_create(&conf, &other), "no name");
	TEST_ASSERT_SUCCESS(dmamap_container_destroy(other), "destroy");
	d = machine_attach("nic0");
	TEST_ASSERT(peek(dmamap_container_by_device("nic0")) == c, "by device");
	TEST_ASSERT(peek(dmamap_device_container(d)) == c, "of device");
	TEST_ASSERT_EQUAL(strcmp(dmamap_device_name(d), "nic0"), 0, "device name");
	TEST_ASSERT_NULL(machine_attach("nic0"), "attached twice");
	return dmamap_container_detach(d);
}

static int
reserved_ranges_name_their_owners(void)
{
	struct dmamap_device *d = machine_attach("nic0");
	struct dmamap_reserved all[16];
	int n, i, seen = 0;

	n = dmamap_reserved(c, NULL, 0);
	TEST_ASSERT(n >= 3 && n <= (int)RTE_DIM(all), "%d ranges", n);
	TEST_ASSERT_EQUAL(dmamap_reserved(c, all, RTE_DIM(all)), n, "count");
	for (i = 0; i < n; i++) {
		TEST_ASSERT(i == 0 || all[i].range.start >= all[i - 1].range.start, "order");
		if (all[i].type == DMAMAP_RESERVED_MSI && all[i].range.start == 0xfee00000 &&
			all[i].range.last == 0xfeefffff &&
			strcmp(all[i].owner, "group 0 (nic0)") == 0)
			seen |= 1;
		if (all[i].type == DMAMAP_RESERVED_PAGE0 && strcmp(all[i].owner, "gantry") == 0)
			seen |= 2;
		if (all[i].type == DMAMAP_RESERVED_APERTURE && all[i].range.last == UINT64_MAX &&
			strcmp(all[i].owner, "domain 0") == 0)
			seen |= 4;
	}
	TEST_ASSERT_EQUAL(seen, 7, "only 0x%x of MSI window, page 0 and aperture", seen);
	return dmamap_container_detach(d);
}

static const struct test_case cases[] = {
	{"maps before the first device are replayed", maps_before_the_first_device_are_replayed},
	{"devices of one IOMMU share a domain", devices_of_one_iommu_share_a_domain},
	{"isolation makes a domain for each group", isolation_makes_a_domain_for_each_group},
	{"a device that a domain refuses gets a new one",
		a_device_that_a_domain_refuses_gets_a_new_one},
	{"ranges shrink and grow with the devices", ranges_shrink_and_grow_with_the_devices},
	{"an attach that a mapping forbids is refused whole",
		an_attach_that_a_mapping_forbids_is_refused_whole},
	{"every conflict of an attach is named", every_conflict_of_an_attach_is_named},
	{"a shrinking aperture names every range beyond",
		a_shrinking_aperture_names_every_range_beyond},
	{"many conflicts are listed, and some logged", many_conflicts_are_listed_and_some_logged},
	{"IOMMUs without a common page size get domains of their own",
		iommus_without_a_common_page_size_get_domains_of_their_own},
	{"a reservation forbids an attach too", a_reservation_forbids_an_attach_too},
	{"fixed maps are checked", fixed_maps_are_checked},
	{"arguments are checked", arguments_are_checked},
	{"an unmap covers whole mappings", an_unmap_covers_whole_mappings},
	{"memory has one IOVA unless an alias is asked for",
		memory_has_one_iova_unless_an_alias_is_asked_for},
	{"reservations hold fixed maps", reservations_hold_fixed_maps},
	{"a running device cannot be detached", a_running_device_cannot_be_detached},
	{"an ioctl on a device reaches its kernel", an_ioctl_on_a_device_reaches_its_kernel},
	{"a lost device has no file", a_lost_device_has_no_file},
	{"a map that one domain refuses is in none", a_map_that_one_domain_refuses_is_in_none},
	{"an unmap that one domain refuses is undone", an_unmap_that_one_domain_refuses_is_undone},
	{"a short unmap fences the range off", a_short_unmap_fences_the_range_off},
	{"a device with a narrow mask gets low IOVAs", a_device_with_a_narrow_mask_gets_low_iovas},
	{"detach of the last and re-attach restores everything",
		detach_of_the_last_and_reattach_restores_everything},
	{"the budget of entries is known before", the_budget_of_entries_is_known_before},
	{"all 65,535 entries are used and released", all_entries_are_used_and_released},
	{"a map is one entry, whatever its length", a_map_is_one_entry_whatever_its_length},
	{"IOVA and VA are alike modulo the page size", iova_and_va_are_alike_modulo_the_page_size},
	{"zones are reached and freed as one", zones_are_reached_and_freed_as_one},
	{"large zones share one constant", large_zones_share_one_constant},
	{"containers are found by name and device", containers_are_found_by_name_and_device},
	{"reserved ranges name their owners", reserved_ranges_name_their_owners},
};

REGISTER_TEST_SUITE(container) = {
	.name = "container",
	.kind = TEST_FAST,
	.cases = cases,
	.n_cases = RTE_DIM(cases),
	.setup = machine_setup,
	.teardown = machine_teardown,
};
