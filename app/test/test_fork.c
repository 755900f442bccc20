/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Tests of a forked child that uses its parent's containers. Releasing calls make no call into the
 * kernel but close(2); all others fail with -ECHILD. On the mock kernel, of which the child has a
 * copy that counts.
 */

#include <errno.h>
#include <inttypes.h>
#include <linux/vfio.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <rte_rcu_qsbr.h>

#include "child.h"
#include "dm_process.h"
#include "machine.h"
#include "test.h"

#define IOVA UINT64_C(0x40000000)

/** State of a container when its process forks. Each state includes the earlier ones. */
enum state {
	EMPTY,
	MAPPED, /**< and no device attached */
	ATTACHED,
	TWO_DOMAINS,
	REGISTERED, /**< one registration in use, one idle */
	ZONED,
	N_STATES,
};

static const char *const state_names[] = {
	"empty", "mapped", "attached", "two domains", "registered", "zoned"};

static struct dmamap_device *nic, *odd;
static struct dmamap_zone *zone;
static struct dmamap_registration *reg;
static struct dmamap_container *other;
static rte_iova_t reserved;

static enum dmamap_backend backend;

static int
make_container(struct rte_rcu_qsbr *rcu)
{
	const struct dmamap_container_conf conf = {.backend = backend,
		.kernel = vfio_mock_kernel(mock),
		.sharing = DMAMAP_ISOLATE,
		.rcu = rcu};

	TEST_ASSERT_SUCCESS(dmamap_container_destroy(c), "destroy");
	TEST_ASSERT_SUCCESS(dmamap_container_create(&conf, &c), "create");
	TEST_ASSERT_SUCCESS(dmamap_container_create(&conf, &other), "create");
	return 0;
}

static int
bring_to(enum state state)
{
	const struct dmamap_zone_conf conf = {
		.len = KB4, .flags = DMAMAP_ALLOW_BASE, .max_len = 2 * MB2};
	struct dmamap_registration *idle;
	rte_iova_t iova = IOVA;

	nic = odd = NULL;
	zone = NULL;
	reg = NULL;
	if (state >= MAPPED) {
		TEST_ASSERT_SUCCESS(
			dmamap_map(c, buf, MB2, DMAMAP_RW | DMAMAP_FIXED, &iova), "map");
		TEST_ASSERT_SUCCESS(
			dmamap_iova_reserve(c, MB2, 0, DMAMAP_ANYWHERE, &reserved), "reserve");
	}
	if (state >= ATTACHED)
		TEST_ASSERT_NOT_NULL(nic = machine_attach("nic0"), "attach");
	if (state >= TWO_DOMAINS)
		TEST_ASSERT_NOT_NULL(odd = machine_attach("odd0"), "attach");
	if (state >= REGISTERED) {
		TEST_ASSERT_SUCCESS(
			dmamap_registration_cache(c, DMAMAP_CACHE_PROMISED, BUF_LEN), "cache");
		TEST_ASSERT_SUCCESS(
			dmamap_register(c, buf + MB2, KB4, DMAMAP_RW, &iova, &reg), "register");
		TEST_ASSERT_SUCCESS(dmamap_register(c, buf + 2 * MB2, KB4, DMAMAP_RW, &iova, &idle),
			"register");
		TEST_ASSERT_SUCCESS(dmamap_deregister(idle), "deregister");
	}
	if (state >= ZONED)
		TEST_ASSERT_SUCCESS(dmamap_zone_alloc(c, &conf, &zone), "zone");
	return 0;
}

static int
clean_up(void)
{
	TEST_ASSERT_SUCCESS(dmamap_zone_free(zone), "zone_free");
	TEST_ASSERT_SUCCESS(dmamap_deregister(reg), "deregister");
	if (dmamap_iova2va(c, IOVA) != NULL) {
		TEST_ASSERT_SUCCESS(dmamap_unmap(c, IOVA, MB2), "unmap");
		TEST_ASSERT_SUCCESS(dmamap_iova_release(c, reserved, MB2), "release");
	}
	TEST_ASSERT_SUCCESS(dmamap_container_detach(odd), "detach");
	TEST_ASSERT_SUCCESS(dmamap_container_detach(nic), "detach");
	TEST_ASSERT_SUCCESS(dmamap_container_destroy(other), "destroy");
	TEST_ASSERT_SUCCESS(dmamap_container_destroy(c), "destroy");
	return 0;
}

/** Number of calls into the kernel so far, except close(2). */
static uint64_t
count_calls(void)
{
	uint64_t n = 0;
	unsigned int kind;

	for (kind = 0; kind < VFIO_MOCK_N_CALLS; kind++)
		if (kind != VFIO_MOCK_CLOSE && kind < VFIO_MOCK_IOMMU_ATTACH)
			n += vfio_mock_calls(mock, kind);
	return n;
}

/** Calls that would add something are refused with one line. */
#define REFUSED(call)                                                                              \
	do {                                                                                       \
		int refused_rc;                                                                    \
		test_log_begin();                                                                  \
		refused_rc = (call);                                                               \
		TEST_ASSERT(test_logged("it was created before a fork(2), by another process"),    \
			#call);                                                                    \
		TEST_ASSERT_EQUAL(refused_rc, -ECHILD, #call ": %d", refused_rc);                  \
	} while (0)

static int
nothing_can_be_added(void)
{
	const struct dmamap_zone_conf conf = {.len = KB4, .flags = DMAMAP_ALLOW_BASE};
	const struct dmamap_client_conf client_conf = {.name = "client"};
	const struct dmamap_sge sge = {.va = buf + 3 * MB2, .len = KB4};
	struct dmamap_container_info info;
	struct dmamap_registration *r;
	struct dmamap_client *client;
	struct dmamap_zone *z;
	struct dmamap_device *d;
	rte_iova_t iova = 0;

	REFUSED(dmamap_map(c, buf + 3 * MB2, KB4, DMAMAP_RW, &iova));
	REFUSED(dmamap_map_sg(c, &sge, 1, DMAMAP_RW, &iova));
	REFUSED(dmamap_register(c, buf + 3 * MB2, KB4, DMAMAP_RW, &iova, &r));
	REFUSED(dmamap_register(c, buf + MB2, KB4, DMAMAP_RW, &iova, &r));
	REFUSED(dmamap_container_attach(c, "nic1", &d));
	REFUSED(dmamap_zone_alloc(c, &conf, &z));
	REFUSED(dmamap_iova_reserve(c, MB2, 0, DMAMAP_ANYWHERE, &iova));
	REFUSED(dmamap_client_attach(c, &client_conf, &client));
	REFUSED(dmamap_container_merge(c, other));
	if (nic != NULL) {
		REFUSED(dmamap_device_move(nic, other));
		REFUSED(dmamap_device_dma_mask(nic, 32));
		REFUSED(dmamap_device_ioctl(nic, VFIO_DEVICE_RESET, NULL));
		REFUSED(dmamap_device_hot_reset(nic, 0));
	}
	if (zone != NULL)
		REFUSED(dmamap_zone_resize(zone, dmamap_zone_len(zone) + MB2));
	/* Queries work. */
	TEST_ASSERT_SUCCESS(dmamap_container_info(c, &info), "info");
	return 0;
}

static int
use_and_clean_up(const void *arg __rte_unused)
{
	const uint64_t before = count_calls();
	unsigned int files;
	void *mine = NULL;
	size_t len = 0;

	/* Zone memory is not inherited. Memory at its address is the child's own. */
	if (zone != NULL) {
		len = dmamap_zone_len(zone);
		mine = mmap(dmamap_zone_va(zone), len, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
		TEST_ASSERT(mine == dmamap_zone_va(zone), "the zone was inherited: %p", mine);
		memset(mine, 0x5a, len);
	}
	if (nothing_can_be_added() < 0)
		return 1;
	test_log_begin();
	if (clean_up() < 0)
		return 1;
	TEST_ASSERT(test_log_end()[0] == '\0', "clean-up is silent");
	TEST_ASSERT_EQUAL(count_calls(), before, "%" PRIu64 " calls", count_calls() - before);
	TEST_ASSERT(mine == NULL || ((uint8_t *)mine)[len - 1] == 0x5a, "memory");
	/*
	 * The child keeps nothing open that the parent closes later; the child's copy of the mock
	 * is destroyed, too.
	 */
	files = vfio_mock_destroy(mock) != 0;
	TEST_ASSERT_EQUAL(files, 0, "files are left open");
	return 0;
}

/** In each state, what a child does leaves the parent's kernel unchanged. */
static int
child_of_each_state(void)
{
	char *before, *after;
	unsigned int state;
	int rc;

	for (state = 0; state < N_STATES; state++) {
		TEST_ASSERT_SUCCESS(make_container(NULL), "container");
		TEST_ASSERT_SUCCESS(bring_to(state), "%s", state_names[state]);
		before = vfio_mock_dump(mock);
		rc = test_in_child(use_and_clean_up, NULL);
		after = vfio_mock_dump(mock);
		TEST_ASSERT_SUCCESS(rc, "%s: child %d", state_names[state], rc);
		TEST_ASSERT_SUCCESS(strcmp(before, after), "%s: %s became %s", state_names[state],
			before, after);
		free(before);
		free(after);
		if (nic != NULL)
			TEST_ASSERT(
				machine_reaches("nic0", IOVA, buf, MB2), "%s", state_names[state]);
		TEST_ASSERT_SUCCESS(clean_up(), "%s", state_names[state]);
		TEST_ASSERT_SUCCESS(machine_make_container(DMAMAP_SHARE), "create");
	}
	return TEST_SUCCESS;
}

static int
type1_leaves_the_parent_alone(void)
{
	backend = DMAMAP_BACKEND_TYPE1;
	return child_of_each_state();
}

static int
iommufd_leaves_the_parent_alone(void)
{
	const struct vfio_mock_conf linux_6_12 = {.linux_version = VFIO_MOCK_LINUX(6, 12)};

	TEST_ASSERT_SUCCESS(machine_remake(&linux_6_12, DMAMAP_SHARE), "machine");
	backend = DMAMAP_BACKEND_IOMMUFD;
	return child_of_each_state();
}

/** Readers of other threads do not exist in a child, so no call waits for them. */
static int
child_waits_for_no_reader(void)
{
	struct rte_rcu_qsbr *rcu = aligned_alloc(RTE_CACHE_LINE_SIZE, rte_rcu_qsbr_get_memsize(2));
	int rc;

	TEST_ASSERT_SUCCESS(rte_rcu_qsbr_init(rcu, 2), "rcu");
	TEST_ASSERT_SUCCESS(rte_rcu_qsbr_thread_register(rcu, 1), "register");
	backend = DMAMAP_BACKEND_TYPE1;
	TEST_ASSERT_SUCCESS(make_container(rcu), "container");
	TEST_ASSERT_SUCCESS(bring_to(ZONED), "state");
	rte_rcu_qsbr_thread_online(rcu, 1);
	rc = test_in_child(use_and_clean_up, NULL);
	rte_rcu_qsbr_thread_offline(rcu, 1);
	TEST_ASSERT_SUCCESS(rc, "child %d", rc);
	TEST_ASSERT_SUCCESS(clean_up(), "clean-up");
	free(rcu);
	return machine_make_container(DMAMAP_SHARE);
}

/** A child's own container is independent of its parent's. */
static int
make_own(const void *arg __rte_unused)
{
	const struct dmamap_container_conf conf = {
		.name = "own", .backend = DMAMAP_BACKEND_TYPE1, .kernel = vfio_mock_kernel(mock)};
	struct dmamap_container *own;
	struct dmamap_device *d;
	rte_iova_t iova = IOVA;

	TEST_ASSERT_SUCCESS(dmamap_container_create(&conf, &own), "create");
	TEST_ASSERT_SUCCESS(dmamap_container_attach(own, "nic1", &d), "attach");
	TEST_ASSERT_SUCCESS(dmamap_map(own, buf, MB2, DMAMAP_RW | DMAMAP_FIXED, &iova), "map");
	TEST_ASSERT(machine_reaches("nic1", IOVA, buf, MB2), "DMA");
	TEST_ASSERT_SUCCESS(dmamap_unmap(own, iova, MB2), "unmap");
	TEST_ASSERT_SUCCESS(dmamap_container_detach(d), "detach");
	return dmamap_container_destroy(own);
}

static int
child_makes_its_own(void)
{
	TEST_ASSERT_SUCCESS(test_in_child(make_own, NULL), "child");
	return TEST_SUCCESS;
}

/** Process numbers differ along a line of descent, and do not change. */
static int
process_ids_differ(void)
{
	const uint64_t id = dm_process_id();
	int status = 0;
	pid_t pid;

	TEST_ASSERT(id != 0 && dm_process_is(id) && dm_process_id() == id, "%" PRIu64, id);
	fflush(stdout);
	/* A direct clone(2), as container runtimes make: fork(3)'s handlers do not run. */
	pid = (pid_t)syscall(SYS_clone, 17 /* SIGCHLD */, 0, 0, 0, 0);
	if (pid == 0) {
		const uint64_t own = dm_process_id();

		pid = (pid_t)syscall(SYS_clone, 17, 0, 0, 0, 0);
		if (pid == 0)
			_exit(dm_process_is(id) || dm_process_is(own) ? 2 : 0);
		if (waitpid(pid, &status, 0) != pid || !WIFEXITED(status) ||
			WEXITSTATUS(status) != 0)
			_exit(3);
		_exit(dm_process_is(id) || !dm_process_is(own) ? 4 : 0);
	}
	TEST_ASSERT(waitpid(pid, &status, 0) == pid && WIFEXITED(status), "child");
	TEST_ASSERT_EQUAL(WEXITSTATUS(status), 0, "child %d", WEXITSTATUS(status));
	TEST_ASSERT(dm_process_is(id), "the parent's number changed");
	return TEST_SUCCESS;
}

static const struct test_case cases[] = {
	{"processes have numbers of their own", process_ids_differ},
	{"type1: a child leaves the parent's IOMMU alone in each state",
		type1_leaves_the_parent_alone},
	{"iommufd: a child leaves the parent's IOMMU alone in each state",
		iommufd_leaves_the_parent_alone},
	{"a child waits for no reader of its parent", child_waits_for_no_reader},
	{"a child makes a container of its own", child_makes_its_own},
};

REGISTER_TEST_SUITE(fork_suite) = {
	.name = "fork",
	.kind = TEST_FAST,
	.cases = cases,
	.n_cases = RTE_DIM(cases),
	.setup = machine_setup,
	.teardown = machine_teardown,
};
