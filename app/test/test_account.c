/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Tests of memory accounting: every byte is reported once, with its container, zone, owner and
 * kind. On the mock kernel.
 */

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <rte_common.h>

#include "machine.h"
#include "test.h"

/** The result of the walk as text: "container zone owner kind page node len;" for each entry. */
static char account[4096];
static uint64_t total;

static int
note(const struct dmamap_memory *m, void *arg)
{
	size_t used = strlen(account);

	total += m->len;
	snprintf(&account[used], sizeof(account) - used, "%s %s %s %d %zu %d %" PRIu64 ";",
		m->container, m->zone, m->owner, m->kind, m->page_size, m->node, m->len);
	return 0;
}

static const char *
walk_account(void)
{
	account[0] = '\0';
	total = 0;
	return dmamap_memory_walk(note, NULL) == 0 ? account : "failed";
}

/** Whether exactly one such entry of a container's memory exists. */
static bool
has(const char *container, const char *rest)
{
	char entry[256];
	const char *at;

	snprintf(entry, sizeof(entry), "%s %s;", container, rest);
	at = strstr(account, entry);
	return at != NULL && strstr(at + 1, entry) == NULL;
}

static int
an_empty_container_has_nothing(void)
{
	TEST_ASSERT(strcmp(walk_account(), "") == 0, "%s", account);
	TEST_ASSERT_EQUAL(dmamap_memory_walk(NULL, NULL), -EINVAL, "no function");
	return TEST_SUCCESS;
}

static int
zones_are_named_with_their_owners(void)
{
	const char *name = dmamap_container_name(c);
	struct dmamap_device *d = machine_attach("nic0");
	struct dmamap_zone_conf conf = {.len = 3 * KB4, .page_size = KB4, .on_node = true};
	struct dmamap_zone *z[3];

	TEST_ASSERT_SUCCESS(dmamap_zone_alloc(c, &conf, &z[0]), "zone");
	conf.name = "rings";
	conf.dev = d;
	TEST_ASSERT_SUCCESS(dmamap_zone_alloc(c, &conf, &z[1]), "zone of a device");
	conf.name = "rx";
	conf.owner = "pool rx";
	TEST_ASSERT_SUCCESS(dmamap_zone_alloc(c, &conf, &z[2]), "zone of a pool");
	walk_account();
	TEST_ASSERT(has(name, "rings nic0 2 4096 0 12288"), "%s", account);
	TEST_ASSERT(has(name, "rx pool rx 2 4096 0 12288"), "%s", account);
	account[0] = '\0';
	walk_account();
	TEST_ASSERT(strstr(account, "zone dmamap") != NULL, "%s", account);
	TEST_ASSERT_EQUAL(total, 9 * KB4, "%" PRIu64, total);
	TEST_ASSERT_SUCCESS(dmamap_zone_free(z[1]), "free");
	walk_account();
	TEST_ASSERT(!has(name, "rings nic0 2 4096 0 12288"), "%s", account);
	TEST_ASSERT_EQUAL(total, 6 * KB4, "%" PRIu64, total);
	TEST_ASSERT_SUCCESS(dmamap_container_detach(d), "detach");
	return TEST_SUCCESS;
}

/** Whether foreign memory is reported as "name zone container kind page node len". */
static bool
has_foreign(const char *what, uint64_t len)
{
	char rest[128];

	snprintf(rest, sizeof(rest), "%s %s 3 0 -1 %" PRIu64, what, dmamap_container_name(c), len);
	return has(dmamap_container_name(c), rest);
}

static int
foreign_memory_is_counted_by_its_use(void)
{
	struct dmamap_registration *reg;
	rte_iova_t iova;

	TEST_ASSERT_SUCCESS(dmamap_registration_cache(c, DMAMAP_CACHE_PROMISED, MB2), "cache");
	TEST_ASSERT_SUCCESS(dmamap_map(c, buf, 2 * KB4, DMAMAP_RW, &iova), "map");
	TEST_ASSERT_SUCCESS(dmamap_map(c, buf, KB4, DMAMAP_RW | DMAMAP_ALIAS, &iova), "alias");
	TEST_ASSERT_SUCCESS(
		dmamap_register(c, buf + MB2 + 100, KB4, DMAMAP_RW, &iova, &reg), "register");
	walk_account();
	TEST_ASSERT(has_foreign("mapped", 2 * KB4), "%s", account);
	TEST_ASSERT(has_foreign("registered", 2 * KB4), "%s", account);
	dmamap_deregister(reg);
	walk_account();
	TEST_ASSERT(has_foreign("idle", 2 * KB4), "%s", account);
	TEST_ASSERT_EQUAL(total, 4 * KB4, "%" PRIu64, total);
	return TEST_SUCCESS;
}

static int
a_merge_loses_no_byte(void)
{
	const struct dmamap_zone_conf conf = {.len = 3 * KB4, .page_size = KB4, .name = "z"};
	struct dmamap_container *other = c;
	struct dmamap_zone *z[2];
	rte_iova_t iova;

	/* At another IOVA than the first. */
	TEST_ASSERT_SUCCESS(machine_make_container(DMAMAP_SHARE), "container");
	TEST_ASSERT_SUCCESS(dmamap_zone_alloc(other, &conf, &z[0]), "zone");
	TEST_ASSERT_SUCCESS(dmamap_iova_reserve(c, 3 * KB4, 0, DMAMAP_ANYWHERE, &iova), "reserve");
	TEST_ASSERT_SUCCESS(dmamap_zone_alloc(c, &conf, &z[1]), "zone");
	TEST_ASSERT_SUCCESS(dmamap_iova_release(c, iova, 3 * KB4), "release");
	walk_account();
	TEST_ASSERT_EQUAL(total, 6 * KB4, "%" PRIu64, total);
	TEST_ASSERT_SUCCESS(dmamap_container_merge(c, other), "merge");
	walk_account();
	TEST_ASSERT_EQUAL(total, 6 * KB4, "%" PRIu64, total);
	TEST_ASSERT_NULL(strstr(account, dmamap_container_name(other)), "%s", account);
	TEST_ASSERT_SUCCESS(dmamap_container_destroy(other), "destroy");
	return TEST_SUCCESS;
}

static int
stop_at_once(const struct dmamap_memory *m, void *arg)
{
	++*(unsigned int *)arg;
	return 7;
}

static int
the_walk_can_be_ended(void)
{
	const struct dmamap_zone_conf conf = {.len = KB4, .page_size = KB4};
	unsigned int n = 0;
	struct dmamap_zone *z;

	TEST_ASSERT_SUCCESS(dmamap_zone_alloc(c, &conf, &z), "zone");
	TEST_ASSERT_SUCCESS(dmamap_zone_alloc(c, &conf, &z), "zone");
	TEST_ASSERT_EQUAL(dmamap_memory_walk(stop_at_once, &n), 7, "result");
	TEST_ASSERT_EQUAL(n, 1, "%u calls", n);
	return TEST_SUCCESS;
}

static int
a_zone_tells_what_it_is(void)
{
	const struct dmamap_zone_conf conf = {.len = 5 * KB4 - 1,
		.page_size = KB4,
		.on_node = true,
		.name = "z",
		.placement = DMAMAP_PLACE_PREFERRED};
	struct dmamap_zone_info info;
	struct dmamap_zone *z;

	TEST_ASSERT_SUCCESS(dmamap_zone_alloc(c, &conf, &z), "zone");
	TEST_ASSERT_SUCCESS(dmamap_zone_info(z, &info), "info");
	TEST_ASSERT(
		strcmp(info.name, "z") == 0 && strcmp(info.owner, dmamap_container_name(c)) == 0,
		"names");
	TEST_ASSERT(info.len == 5 * KB4 && info.page_size == KB4, "size");
	TEST_ASSERT(
		info.kind == DMAMAP_PAGES_BASE && info.placement == DMAMAP_PLACE_PREFERRED, "kind");
	TEST_ASSERT(info.node == 0 && info.as_asked, "node");
	TEST_ASSERT(info.n_nodes == 1 && info.nodes[0].node == 0 && info.nodes[0].len == info.len,
		"nodes");
	TEST_ASSERT_EQUAL(dmamap_zone_info(NULL, &info), -EINVAL, "no zone");
	TEST_ASSERT_EQUAL(dmamap_zone_info(z, NULL), -EINVAL, "no place");
	return TEST_SUCCESS;
}

static const struct test_case cases[] = {
	{"an empty container has nothing", an_empty_container_has_nothing},
	{"zones are named with their owners", zones_are_named_with_their_owners},
	{"foreign memory is counted by its use", foreign_memory_is_counted_by_its_use},
	{"a merge loses no byte", a_merge_loses_no_byte},
	{"the walk can be ended", the_walk_can_be_ended},
	{"a zone tells what it is", a_zone_tells_what_it_is},
};

REGISTER_TEST_SUITE(account_suite) = {.name = "account",
	.kind = TEST_FAST,
	.cases = cases,
	.n_cases = RTE_DIM(cases),
	.setup = machine_setup,
	.teardown = machine_teardown};
