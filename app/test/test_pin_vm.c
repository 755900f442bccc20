/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Tests of memory placement on a machine with two NUMA nodes, and of a real control group's limit.
 */

#include <errno.h>
#include <inttypes.h>
#include <numa.h>
#include <numaif.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <rte_common.h>

#include <dmamap.h>

#include "dm_anon.h"
#include "dm_hugepage.h"
#include "dm_pin.h"
#include "pages.h"
#include "test.h"

#define MB2 ((size_t)2 << 20)

static struct dm_hugepage_count free_on[2];

static int
setup(void)
{
	if (numa_available() < 0 || numa_max_node() < 1)
		return test_skip("this machine has one NUMA node");
	if (dm_hugepage_count(MB2, 0, &free_on[0]) < 0 ||
		dm_hugepage_count(MB2, 1, &free_on[1]) < 0 || free_on[0].free < 8 ||
		free_on[1].free < 8)
		return test_skip("fewer than 8 hugepages are free on a node");
	return 0;
}

/** Bytes of a range on a node, by get_mempolicy(2) for each page. */
static size_t
on_node(const void *va, size_t len, size_t page, int node)
{
	size_t at, sum = 0;
	int where;

	for (at = 0; at < len; at += page)
		if (get_mempolicy(
			    &where, NULL, 0, RTE_PTR_ADD(va, at), MPOL_F_NODE | MPOL_F_ADDR) == 0 &&
			where == node)
			sum += page;
	return sum;
}

static int
strict_is_on_the_node_or_refused(void)
{
	struct dm_pin_conf conf = {.page_size = MB2, .name = "rx"};
	struct dm_pin *pin;

	for (conf.node = 0; conf.node < 2; conf.node++) {
		conf.len = 4 * MB2;
		TEST_ASSERT_SUCCESS(pages_alloc(&conf, NULL, &pin), "node %d", conf.node);
		TEST_ASSERT(pin->node == conf.node && pin->as_asked, "on node %d", pin->node);
		TEST_ASSERT_EQUAL(
			on_node(pin->va, pin->len, MB2, conf.node), pin->len, "elsewhere");
		dm_pin_free(pin);
		/* More than this node has free, but the other node has some. */
		conf.len = (free_on[conf.node].free + 1) * MB2;
		TEST_ASSERT_EQUAL(
			pages_alloc(&conf, conf.node == 0 ? " on node 0, " : " on node 1, ", &pin),
			-ENOMEM, "node %d", conf.node);
	}
	return TEST_SUCCESS;
}

static int
preferred_falls_back_to_another_node(void)
{
	struct dm_pin_conf conf = {.page_size = MB2,
		.node = 1,
		.placement = DMAMAP_PLACE_PREFERRED,
		.name = "rx",
		.len = 2 * MB2};
	struct dm_pin *pin;

	TEST_ASSERT_SUCCESS(pages_alloc(&conf, NULL, &pin), "little");
	TEST_ASSERT(pin->node == 1 && pin->as_asked, "on node %d", pin->node);
	dm_pin_free(pin);
	conf.len = (free_on[1].free + 2) * MB2;
	TEST_ASSERT_SUCCESS(
		pages_alloc(&conf, "rx: wanted preferred on node 1, got 4 MiB on node 0, ", &pin),
		"much");
	TEST_ASSERT(
		pin->node == -1 && !pin->as_asked && pin->nodes.n == 2, "on node %d", pin->node);
	TEST_ASSERT_EQUAL(pin->nodes.of[0].len, on_node(pin->va, pin->len, MB2, 0), "node 0");
	TEST_ASSERT_EQUAL(pin->nodes.of[1].len, on_node(pin->va, pin->len, MB2, 1), "node 1");
	dm_pin_free(pin);
	return TEST_SUCCESS;
}

static int
interleaved_is_on_both(void)
{
	struct dm_pin_conf conf = {
		.node = -1, .placement = DMAMAP_PLACE_INTERLEAVE, .name = "rx", .len = 4 * MB2};
	const size_t sizes[] = {4096, MB2};
	struct dm_pin *pin;
	unsigned int i;

	for (i = 0; i < RTE_DIM(sizes); i++) {
		conf.page_size = sizes[i];
		TEST_ASSERT_SUCCESS(pages_alloc(&conf, NULL, &pin), "pages of %zu", sizes[i]);
		TEST_ASSERT(pin->as_asked && pin->nodes.n == 2, "%u nodes", pin->nodes.n);
		TEST_ASSERT_EQUAL(on_node(pin->va, pin->len, sizes[i], 0), pin->len / 2, "node 0");
		TEST_ASSERT_EQUAL(on_node(pin->va, pin->len, sizes[i], 1), pin->len / 2, "node 1");
		dm_pin_free(pin);
	}
	return TEST_SUCCESS;
}

static int
local_is_the_callers_node(void)
{
	const struct dm_pin_conf conf = {.node = -1,
		.placement = DMAMAP_PLACE_LOCAL,
		.name = "rx",
		.page_size = MB2,
		.len = 2 * MB2};
	cpu_set_t old, one;
	struct dm_pin *pin;
	int node, cpu;

	TEST_ASSERT_SUCCESS(sched_getaffinity(0, sizeof(old), &old), "affinity");
	for (cpu = 0; cpu < 2; cpu++) {
		CPU_ZERO(&one);
		CPU_SET(cpu, &one);
		TEST_ASSERT_SUCCESS(sched_setaffinity(0, sizeof(one), &one), "CPU %d", cpu);
		TEST_ASSERT_SUCCESS(pages_alloc(&conf, NULL, &pin), "CPU %d", cpu);
		node = numa_node_of_cpu(cpu);
		TEST_ASSERT(pin->node == node && pin->wanted == node && pin->as_asked, "on node %d",
			pin->node);
		dm_pin_free(pin);
	}
	return sched_setaffinity(0, sizeof(old), &old);
}

/** The allocation is refused, and no process is killed. */
static int
base_pages_beyond_the_node_are_refused(void)
{
	struct dm_pin_conf conf = {.node = 1, .name = "rx", .page_size = 4096, .len = 16 * MB2};
	struct dm_pin *pin;

	TEST_ASSERT_SUCCESS(pages_alloc(&conf, NULL, &pin), "some");
	TEST_ASSERT_EQUAL(on_node(pin->va, pin->len, 4096, 1), pin->len, "elsewhere");
	dm_pin_free(pin);
	conf.len = dm_anon_available(1) + 16 * MB2;
	TEST_ASSERT_EQUAL(
		pages_alloc(&conf, "rx: cannot get ", &pin), -ENOMEM, "more than there is");
	return TEST_SUCCESS;
}

static int
a_zone_tells_of_both_nodes(void)
{
	const struct dmamap_zone_conf conf = {.len = 4 * MB2,
		.page_size = MB2,
		.placement = DMAMAP_PLACE_INTERLEAVE,
		.max_len = 8 * MB2};
	struct dmamap_zone_info info;
	struct dmamap_container *c;
	struct dmamap_zone *z;

	TEST_ASSERT_SUCCESS(dmamap_container_create(NULL, &c), "container");
	TEST_ASSERT_SUCCESS(dmamap_zone_alloc(c, &conf, &z), "zone");
	TEST_ASSERT_SUCCESS(dmamap_zone_resize(z, 8 * MB2), "grow");
	TEST_ASSERT_SUCCESS(dmamap_zone_info(z, &info), "info");
	TEST_ASSERT(info.n_nodes == 2 && info.as_asked, "%u nodes", info.n_nodes);
	TEST_ASSERT(
		info.nodes[0].len == 4 * MB2 && info.nodes[1].len == 4 * MB2, "not half and half");
	TEST_ASSERT_EQUAL(dmamap_zone_node(z), -1, "one node");
	return dmamap_container_destroy(c);
}

static bool
put(const char *dir, const char *name, const char *text)
{
	char path[256];
	FILE *f;
	bool ok;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	f = fopen(path, "we");
	ok = f != NULL && fputs(text, f) >= 0;
	return f != NULL && fclose(f) == 0 && ok;
}

/**
 * Run in a control group with a limit of two hugepages. @return the step that failed; 77: there are
 * no such groups
 */
static int
run_in_group(const char *dir)
{
	struct dm_pin_conf conf = {.node = -1, .name = "rx", .page_size = MB2, .len = 3 * MB2};
	char group[128], self[16], says[256];
	struct dm_pin *pin;

	snprintf(group, sizeof(group), "%s/app", dir);
	snprintf(self, sizeof(self), "%d", getpid());
	if (mount("none", dir, "cgroup2", 0, NULL) < 0 ||
		!put(dir, "cgroup.subtree_control", "+hugetlb") || mkdir(group, 0755) < 0)
		return 77;
	if (!put(group, "hugetlb.2MB.max", "4194304") || !put(group, "cgroup.procs", self))
		return 2;
	snprintf(says, sizeof(says),
		"rx: needs 3 pages of 2 MiB, the control group allows 2 more: echo 6291456 > "
		"%s/hugetlb.2MB.max\n",
		group);
	if (pages_alloc(&conf, says, &pin) != -ENOMEM)
		return 3;
	conf.len = 2 * MB2;
	if (pages_alloc(&conf, NULL, &pin) != 0)
		return 4;
	if (pages_alloc(&conf, "allows 0 more", &pin) != -ENOMEM)
		return 5;
	return 0;
}

static int
a_control_group_counts(void)
{
	char dir[] = "/tmp/gantry-cgroup-XXXXXX";
	int status;
	pid_t pid;

	TEST_ASSERT_NOT_NULL(mkdtemp(dir), "mkdtemp");
	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		status = run_in_group(dir);
		fflush(stdout);
		_exit(status);
	}
	TEST_ASSERT(pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status), "child");
	if (WEXITSTATUS(status) == 77)
		return test_skip("no leave to make a control group for hugepages");
	TEST_ASSERT_EQUAL(WEXITSTATUS(status), 0, "step %d", WEXITSTATUS(status));
	return TEST_SUCCESS;
}

static const struct test_case cases[] = {
	{"strict is on the node or refused", strict_is_on_the_node_or_refused},
	{"preferred falls back to another node", preferred_falls_back_to_another_node},
	{"interleaved is on both", interleaved_is_on_both},
	{"local is the caller's node", local_is_the_callers_node},
	{"base pages beyond the node are refused", base_pages_beyond_the_node_are_refused},
	{"a zone tells of both nodes", a_zone_tells_of_both_nodes},
	{"a control group counts", a_control_group_counts},
};

REGISTER_TEST_SUITE(pin_vm) = {.name = "pin_vm",
	.kind = TEST_VM,
	.cases = cases,
	.n_cases = RTE_DIM(cases),
	.setup = setup};
