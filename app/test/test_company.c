/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Tests of libdmamap under concurrency: objects whose owner changes or ends while other threads
 * use them, readers that an unmap waits for, callbacks, hooks of munmap(2), fork(2) and
 * dlclose(3). On the mock kernel.
 *
 * Where a thread has to run at an exact moment, it is started from within a call into the kernel
 * (`hook`).
 */

#include <dlfcn.h>
#include <errno.h>
#include <inttypes.h>
#include <linux/vfio.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <rte_rcu_qsbr.h>

#include "child.h"
#include "machine.h"
#include "odd_kernel.h"
#include "peek.h"
#include "test.h"

/** A second container. `c` and `other` are on a kernel whose calls can be hooked. */
static struct dmamap_container *other;

/**
 * Called once, from within a call into the kernel that `at` selects: an ioctl request, or 0 for
 * close(2).
 */
static struct {
	unsigned long at;
	void (*run)(void);
	unsigned int skip;
} hook;

static void
run_hook(unsigned long request)
{
	void (*run)(void) = hook.run;

	if (run == NULL || hook.at != request || hook.skip-- > 0)
		return;
	hook.run = NULL;
	run();
}

static int
hooked_ioctl(int fd, unsigned long request, uintptr_t param)
{
	run_hook(request);
	return odd_kernel_pass(fd, request, param);
}

static int (*plain_close)(void *arg, int fd);

static int
hooked_close(void *arg, int fd)
{
	run_hook(0);
	return plain_close(arg, fd);
}

static struct dmamap_container *
make_container(const char *name, struct rte_rcu_qsbr *rcu)
{
	const struct dmamap_container_conf conf = {.name = name,
		.backend = DMAMAP_BACKEND_TYPE1,
		.rcu = rcu,
		.kernel = &odd_kernel.table};
	struct dmamap_container *made = NULL;

	dmamap_container_create(&conf, &made);
	return made;
}

static int
setup(void)
{
	int rc = machine_setup();

	if (rc != 0)
		return rc;
	/* A case that blocks is ended by SIGALRM, as a failure. */
	alarm(120);
	odd_kernel_begin(mock);
	odd_kernel.ioctl = hooked_ioctl;
	plain_close = odd_kernel.table.close;
	odd_kernel.table.close = hooked_close;
	hook.run = NULL;
	dmamap_container_destroy(c);
	c = make_container(NULL, NULL);
	other = make_container(NULL, NULL);
	return c != NULL && other != NULL ? 0 : -1;
}

static void
teardown(void)
{
	alarm(0);
	hook.run = NULL;
	dmamap_container_destroy(other);
	machine_teardown();
}

static void
sleep_ms(unsigned int ms)
{
	const struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};

	nanosleep(&t, NULL);
}

/** A thread that makes one call, and whether the call has returned. */
struct call {
	void (*run)(struct call *call);
	pthread_t thread;
	bool started, done; /**< done: atomic */
	bool early; /**< the call had returned when the hook returned */
	/**
	 * The call waits for no other thread, so it returns at once. A busy machine gets seconds
	 * for it.
	 */
	bool prompt;
	int rc;
	void *arg;
	struct dmamap_device_info info;
};

static void *
call_main(void *arg)
{
	struct call *call = arg;

	call->run(call);
	__atomic_store_n(&call->done, true, __ATOMIC_RELEASE);
	return NULL;
}

static void
call_start(struct call *call)
{
	call->started = pthread_create(&call->thread, NULL, call_main, call) == 0;
}

/** Start the call and wait a while: afterwards it has returned or is blocked. */
static void
call_start_and_wait(struct call *call)
{
	const unsigned int patience_ms = call->prompt ? 10000 : 50;
	unsigned int i;

	call_start(call);
	for (i = 0; i < patience_ms && !__atomic_load_n(&call->done, __ATOMIC_ACQUIRE); i++)
		sleep_ms(1);
	call->early = __atomic_load_n(&call->done, __ATOMIC_ACQUIRE);
}

static int
call_end(struct call *call)
{
	if (!call->started)
		return -ECHILD;
	pthread_join(call->thread, NULL);
	return call->rc;
}

static struct call calls[4];

static void
start_calls(void)
{
	unsigned int i;

	for (i = 0; i < RTE_DIM(calls); i++)
		if (calls[i].run != NULL)
			call_start_and_wait(&calls[i]);
}

static void
arm(unsigned long at, unsigned int skip, void (*run)(void))
{
	hook.at = at;
	hook.skip = skip;
	hook.run = run;
}

static void
call_device_info(struct call *call)
{
	call->rc = dmamap_device_info(call->arg, &call->info);
}

static void
call_hold(struct call *call)
{
	dmamap_device_hold(call->arg);
}

static void
call_mask(struct call *call)
{
	call->rc = dmamap_device_dma_mask(call->arg, 36);
}

static void
call_zone_free(struct call *call)
{
	call->rc = dmamap_zone_free(call->arg);
}

static void
call_deregister(struct call *call)
{
	call->rc = dmamap_deregister(call->arg);
}

static void
call_detach(struct call *call)
{
	call->rc = dmamap_container_detach(call->arg);
}

/* Devices that move */

/** Another thread requests the device's information at each close and each call of a move. */
static int
a_moving_device_tells_what_it_reaches(void)
{
	static const unsigned long at[] = {0, VFIO_GROUP_UNSET_CONTAINER, VFIO_GROUP_SET_CONTAINER,
		VFIO_GROUP_GET_DEVICE_FD, VFIO_IOMMU_MAP_DMA, VFIO_IOMMU_GET_INFO};
	struct dmamap_device *d = machine_attach("nic0");
	unsigned int i, skip, asked = 0;
	rte_iova_t iova = 0, iova2 = 0;

	TEST_ASSERT_SUCCESS(dmamap_map(c, buf, KB4, DMAMAP_RW, &iova), "map");
	TEST_ASSERT_SUCCESS(dmamap_map(other, buf, KB4, DMAMAP_RW, &iova2), "map");
	for (i = 0; i < RTE_DIM(at); i++)
		for (skip = 0; skip < 4; skip++) {
			memset(calls, 0, sizeof(calls));
			calls[0] = (struct call){.run = call_device_info, .arg = d, .prompt = true};
			arm(at[i], skip, start_calls);
			TEST_ASSERT_SUCCESS(
				dmamap_device_move(
					d, peek(dmamap_device_container(d)) == c ? other : c),
				"move");
			hook.run = NULL;
			if (!calls[0].started)
				continue;
			TEST_ASSERT(calls[0].early, "a question waits for a move, %u/%u", i, skip);
			TEST_ASSERT_SUCCESS(call_end(&calls[0]), "info in move, %u/%u", i, skip);
			TEST_ASSERT(calls[0].info.mask_bits == 64 &&
					(calls[0].info.page_sizes & KB4) != 0 &&
					calls[0].info.aperture.last == (UINT64_C(1) << 39) - 1,
				"%u/%u: what it says", i, skip);
			asked++;
		}
	TEST_ASSERT(asked >= 8, "asked %u times only", asked);
	TEST_ASSERT_SUCCESS(dmamap_container_detach(d), "detach");
	return 0;
}

/**
 * A hold and a mask that are set while the device is in no domain are valid in its new container.
 */
static int
a_hold_during_a_move_counts(void)
{
	struct dmamap_device *d = machine_attach("nic0");

	memset(calls, 0, sizeof(calls));
	calls[0] = (struct call){.run = call_hold, .arg = d};
	calls[1] = (struct call){.run = call_mask, .arg = d};
	arm(VFIO_GROUP_SET_CONTAINER, 0, start_calls);
	TEST_ASSERT_SUCCESS(dmamap_device_move(d, other), "move");
	TEST_ASSERT(calls[0].started, "no call into the kernel");
	call_end(&calls[0]);
	TEST_ASSERT_SUCCESS(call_end(&calls[1]), "mask in a move");
	TEST_ASSERT_EQUAL(dmamap_container_detach(d), -EBUSY, "the hold is lost");
	TEST_ASSERT_SUCCESS(dmamap_device_info(d, &calls[0].info), "info");
	TEST_ASSERT_EQUAL(calls[0].info.mask_bits, 36, "the mask is lost");
	dmamap_device_release(d);
	return dmamap_container_detach(d);
}

static bool stop;
static uint64_t answers;

static int
ask_info(struct dmamap_device *d)
{
	struct dmamap_device_info info;

	return dmamap_device_info(d, &info);
}

/** @return -EBADF: the file was closed meanwhile */
static int
ask_kernel(struct dmamap_device *d)
{
	struct vfio_device_info info = {.argsz = sizeof(info)};

	return dmamap_device_ioctl(d, VFIO_DEVICE_GET_INFO, &info);
}

static int (*ask)(struct dmamap_device *d);
static int refusal; /**< atomic; the last result that was an error */

static void *
ask_all_the_time(void *device)
{
	int rc;

	while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
		rc = ask(device);
		if (rc == 0)
			__atomic_add_fetch(&answers, 1, __ATOMIC_RELAXED);
		else
			__atomic_store_n(&refusal, rc, __ATOMIC_RELAXED);
	}
	return NULL;
}

/** Move a device back and forth while another thread asks. */
static int
move_while_asked(int (*question)(struct dmamap_device *d))
{
	struct dmamap_device *d = machine_attach("nic0");
	rte_iova_t iova[2][50] = {0};
	unsigned int i;
	pthread_t t;

	for (i = 0; i < 50; i++) {
		TEST_ASSERT_SUCCESS(
			dmamap_map(c, buf + i * 2 * KB4, KB4, DMAMAP_RW, &iova[0][i]), "map");
		TEST_ASSERT_SUCCESS(
			dmamap_map(other, buf + i * 2 * KB4, KB4, DMAMAP_RW, &iova[1][i]), "map");
	}
	stop = false;
	answers = 0;
	refusal = 0;
	ask = question;
	TEST_ASSERT_SUCCESS(pthread_create(&t, NULL, ask_all_the_time, d), "thread");
	for (i = 0; i < 1000; i++)
		TEST_ASSERT_SUCCESS(dmamap_device_move(d, i & 1 ? c : other), "move %u", i);
	__atomic_store_n(&stop, true, __ATOMIC_RELAXED);
	pthread_join(t, NULL);
	TEST_ASSERT(answers > 0, "no answer");
	TEST_ASSERT_SUCCESS(refusal, "a question was refused: %d", refusal);
	TEST_ASSERT(
		machine_reaches("nic0", iova[0][49], buf + 49 * 2 * KB4, KB4), "not where it was");
	return dmamap_container_detach(d);
}

/** Thousands of moves in one thread, and dmamap_device_info() in another. */
static int
moves_and_queries_run_at_the_same_time(void)
{
	return move_while_asked(ask_info);
}

/**
 * A move closes the device's file and opens another. No ioctl may use the closed file, or a file
 * that got its number.
 */
static int
an_ioctl_never_meets_a_closed_file(void)
{
	const struct vfio_mock_device_conf conf = {.region[0] = {.size = KB4}};

	TEST_ASSERT_SUCCESS(vfio_mock_describe_device(mock, "nic0", &conf), "describe");
	return move_while_asked(ask_kernel);
}

/* Containers that merge */

static struct dmamap_zone_conf zone_conf = {.len = 3 * KB4, .page_size = KB4};

/** Changes that are made during a merge apply to the container that remains. */
static int
changes_during_a_merge_are_not_lost(void)
{
	struct dmamap_device *d0 = machine_attach("nic0"), *d1, *d2;
	struct dmamap_registration *r;
	struct dmamap_zone *z;
	rte_iova_t a = 0x100000, b, high = 0;

	TEST_ASSERT_SUCCESS(dmamap_container_attach(other, "nic1", &d1), "attach");
	TEST_ASSERT_SUCCESS(dmamap_container_attach(other, "twin0", &d2), "attach");
	TEST_ASSERT_SUCCESS(dmamap_map(c, buf, KB4, DMAMAP_RW | DMAMAP_FIXED, &a), "map");
	TEST_ASSERT_SUCCESS(dmamap_zone_alloc(other, &zone_conf, &z), "zone");
	TEST_ASSERT_SUCCESS(dmamap_register(other, buf + MB2, KB4, DMAMAP_RW, &b, &r), "register");
	memset(calls, 0, sizeof(calls));
	calls[0] = (struct call){.run = call_zone_free, .arg = z};
	calls[1] = (struct call){.run = call_mask, .arg = d1};
	calls[2] = (struct call){.run = call_deregister, .arg = r};
	calls[3] = (struct call){.run = call_detach, .arg = d2};
	arm(VFIO_IOMMU_MAP_DMA, 1, start_calls);
	TEST_ASSERT_SUCCESS(dmamap_container_merge(c, other), "merge");
	TEST_ASSERT(calls[3].started, "no call into the kernel");
	TEST_ASSERT_SUCCESS(call_end(&calls[0]), "zone_free: %d", calls[0].rc);
	TEST_ASSERT_SUCCESS(call_end(&calls[1]), "dma_mask: %d", calls[1].rc);
	TEST_ASSERT_SUCCESS(call_end(&calls[2]), "deregister: %d", calls[2].rc);
	TEST_ASSERT_SUCCESS(call_end(&calls[3]), "detach: %d", calls[3].rc);
	TEST_ASSERT_EQUAL(machine_info().n_mappings, 1, "zone or registration is left");
	TEST_ASSERT_EQUAL(machine_info().n_devices, 2, "devices");
	TEST_ASSERT_EQUAL(dmamap_iova_reserve(c, KB4, 0,
				  (struct dmamap_range){UINT64_C(1) << 36, UINT64_MAX}, &high),
		-ENOSPC, "an IOVA beyond the mask: 0x%" PRIx64, high);
	TEST_ASSERT_SUCCESS(dmamap_unmap(c, a, KB4), "unmap");
	TEST_ASSERT_SUCCESS(dmamap_container_detach(d0), "detach");
	return dmamap_container_detach(d1);
}

static struct dmamap_client *visitor;

static void
call_client_attach(struct call *call)
{
	static const struct dmamap_client_conf conf = {.name = "visitor"};

	call->rc = dmamap_client_attach(call->arg, &conf, &visitor);
}

/** After a merge has found that there is no client, none can attach until the merge is over. */
static int
no_client_attaches_during_a_merge(void)
{
	struct dmamap_device *d0 = machine_attach("nic0"), *d1;
	rte_iova_t b = 0x200000;
	char byte;

	TEST_ASSERT_SUCCESS(dmamap_container_attach(other, "nic1", &d1), "attach");
	TEST_ASSERT_SUCCESS(dmamap_map(other, buf, KB4, DMAMAP_RW | DMAMAP_FIXED, &b), "map");
	memset(calls, 0, sizeof(calls));
	calls[0] = (struct call){.run = call_client_attach, .arg = other};
	arm(VFIO_IOMMU_MAP_DMA, 0, start_calls);
	TEST_ASSERT_SUCCESS(dmamap_container_merge(c, other), "merge");
	TEST_ASSERT(calls[0].started, "no call into the kernel");
	TEST_ASSERT_SUCCESS(call_end(&calls[0]), "client");
	TEST_ASSERT(!calls[0].early, "it came in the midst");
	TEST_ASSERT_EQUAL(
		dmamap_client_read(visitor, b, &byte, 1), -EFAULT, "it reads what went elsewhere");
	TEST_ASSERT_EQUAL(dmamap_container_merge(c, other), -EBUSY, "merge with a client");
	dmamap_client_detach(visitor);
	TEST_ASSERT_SUCCESS(dmamap_container_detach(d0), "detach");
	return dmamap_container_detach(d1);
}

/** One round of a race with a merge of `from` into c. */
struct round {
	struct dmamap_container *from;
	struct dmamap_device *d;
	const char *wrong; /**< description of a failure */
};

static void *
make_zones(void *arg)
{
	struct round *r = arg;
	struct dmamap_zone *z;
	unsigned int i;

	for (i = 0; i < 8; i++) {
		if (dmamap_zone_alloc(r->from, &zone_conf, &z) != 0)
			r->wrong = "zone_alloc";
		else if (dmamap_zone_free(z) != 0)
			r->wrong = "zone_free";
	}
	return NULL;
}

static void *
stream_buffers(void *arg)
{
	struct round *r = arg;
	struct dmamap_stream s;
	unsigned int i;
	char byte;

	for (i = 0; i < 8; i++) {
		if (dmamap_stream_map(r->d, buf, 100, DMAMAP_TO_DEVICE, &s) != 0) {
			r->wrong = "stream_map";
			continue;
		}
		if (vfio_mock_dma_read(mock, "nic1", s.iova, &byte, 1) != 0)
			r->wrong = "the device does not reach its stream";
		if (dmamap_stream_unmap(&s) != 0)
			r->wrong = "stream_unmap";
	}
	return NULL;
}

static int
race_with_merges(void *(*run)(void *round))
{
	struct dmamap_device *d0 = machine_attach("nic0");
	unsigned int i;
	pthread_t t;

	for (i = 0; i < 200; i++) {
		struct round r = {.from = make_container(NULL, NULL)};

		TEST_ASSERT_SUCCESS(dmamap_container_attach(r.from, "nic1", &r.d), "attach");
		TEST_ASSERT_SUCCESS(pthread_create(&t, NULL, run, &r), "thread");
		if (i % 4 != 0)
			sched_yield();
		TEST_ASSERT_SUCCESS(dmamap_container_merge(c, r.from), "merge");
		pthread_join(t, NULL);
		TEST_ASSERT(r.wrong == NULL, "round %u: %s", i, r.wrong);
		TEST_ASSERT_EQUAL(machine_info().n_mappings, 0, "round %u: mappings", i);
		TEST_ASSERT_EQUAL(machine_info().reservation_len, 0, "round %u: reservations", i);
		TEST_ASSERT_SUCCESS(dmamap_container_destroy(r.from), "destroy");
		TEST_ASSERT_SUCCESS(dmamap_container_detach(r.d), "detach");
	}
	return dmamap_container_detach(d0);
}

static int
zones_are_made_while_containers_merge(void)
{
	return race_with_merges(make_zones);
}

static int
streams_are_reached_while_containers_merge(void)
{
	return race_with_merges(stream_buffers);
}

/* Containers that end */

static int
count(const struct dmamap_memory *m, void *arg)
{
	uint64_t *n = arg;

	/* Returned names are copies. */
	*n += strlen(m->owner) + strlen(m->zone) > 0;
	return 0;
}

static void *
look_all_the_time(void *arg)
{
	struct dmamap_container_info info;
	struct dmamap_container *found;
	uint64_t n = 0;

	while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
		dmamap_memory_walk(count, &n);
		found = dmamap_container_by_name("short-lived");
		if (found == NULL)
			continue;
		dmamap_container_info(found, &info);
		__atomic_add_fetch(&answers, 1, __ATOMIC_RELAXED);
		dmamap_container_put(found);
	}
	return arg;
}

/** The calls that telemetry makes, while the application destroys the container. */
static int
a_container_ends_while_threads_query_it(void)
{
	struct dmamap_container *brief;
	struct dmamap_zone *z;
	unsigned int i, k;
	pthread_t t;

	stop = false;
	answers = 0;
	TEST_ASSERT_SUCCESS(pthread_create(&t, NULL, look_all_the_time, NULL), "thread");
	for (i = 0; i < 100; i++) {
		brief = make_container("short-lived", NULL);
		TEST_ASSERT_NOT_NULL(brief, "create %u", i);
		for (k = 0; k < 20; k++)
			TEST_ASSERT_SUCCESS(dmamap_zone_alloc(brief, &zone_conf, &z), "zone");
		TEST_ASSERT_SUCCESS(dmamap_container_destroy(brief), "destroy");
	}
	__atomic_store_n(&stop, true, __ATOMIC_RELAXED);
	pthread_join(t, NULL);
	return 0;
}

/** With a reference to a destroyed container, queries work and additions are refused. */
static int
a_destroyed_container_refuses_additions(void)
{
	struct dmamap_container *gone = dmamap_container_get(other);
	struct dmamap_registration *r;
	struct dmamap_container_info info;
	struct dmamap_client *client;
	struct dmamap_device *d;
	struct dmamap_zone *z;
	rte_iova_t iova = 0;

	TEST_ASSERT_SUCCESS(dmamap_container_destroy(other), "destroy");
	other = NULL;
	TEST_ASSERT_SUCCESS(dmamap_container_info(gone, &info), "info");
	TEST_ASSERT_EQUAL(dmamap_map(gone, buf, KB4, DMAMAP_RW, &iova), -ESHUTDOWN, "map");
	TEST_ASSERT_EQUAL(
		dmamap_register(gone, buf, KB4, DMAMAP_RW, &iova, &r), -ESHUTDOWN, "register");
	TEST_ASSERT_EQUAL(dmamap_zone_alloc(gone, &zone_conf, &z), -ESHUTDOWN, "zone");
	TEST_ASSERT_EQUAL(
		dmamap_iova_reserve(gone, KB4, 0, DMAMAP_ANYWHERE, &iova), -ESHUTDOWN, "reserve");
	TEST_ASSERT_EQUAL(dmamap_container_attach(gone, "nic0", &d), -ESHUTDOWN, "attach");
	TEST_ASSERT_EQUAL(
		dmamap_client_attach(gone, &(struct dmamap_client_conf){.name = "x"}, &client),
		-ESHUTDOWN, "client");
	TEST_ASSERT_EQUAL(dmamap_container_merge(c, gone), -ESHUTDOWN, "merge");
	TEST_ASSERT_EQUAL(dmamap_registration_cache(gone, DMAMAP_CACHE_PROMISED, MB2), -ESHUTDOWN,
		"promised");
	TEST_ASSERT_EQUAL(
		dmamap_registration_cache(gone, DMAMAP_CACHE_WATCHED, MB2), -ESHUTDOWN, "watched");
	dmamap_container_put(gone);
	return 0;
}

/* Readers that an unmap waits for */

static struct {
	struct rte_rcu_qsbr *rcu;
	struct dmamap_container *c2;
	struct dmamap_device *d;
	struct dmamap_client *client;
	struct dmamap_zone *zone;
	rte_iova_t iova, live, resv;
	int rc; /**< result of the unmap */
	bool unmapped;
} rd;

static int
read_info(void)
{
	struct dmamap_container_info info;

	return dmamap_container_info(c, &info);
}

static int
read_client(void)
{
	char text[8];

	return dmamap_client_read(rd.client, rd.iova, text, 8) == -EFAULT
		? dmamap_client_read(rd.client, rd.live, text, 8)
		: -EEXIST;
}

static int
read_client_write(void)
{
	return dmamap_client_write(rd.client, rd.live, "x", 1);
}

static int
read_by_name(void)
{
	return peek(dmamap_container_by_name("c2")) == rd.c2 ? 0 : -ENOENT;
}

static int
read_by_device(void)
{
	return peek(dmamap_container_by_device("nic0")) == c ? 0 : -ENOENT;
}

static int
read_walk(void)
{
	uint64_t n = 0;

	return dmamap_memory_walk(count, &n);
}

static int
read_device(void)
{
	struct dmamap_device_info info;

	dmamap_device_hold(rd.d);
	dmamap_device_release(rd.d);
	return peek(dmamap_device_container(rd.d)) == c ? dmamap_device_info(rd.d, &info) : -ENOENT;
}

static int
read_domain(void)
{
	return dmamap_domain_by_rid(c, 0, 0) == -ENODEV ? dmamap_domain_by_device(c, "nic0")
							: -EEXIST;
}

static int
read_reserved(void)
{
	return dmamap_reserved(c, NULL, 0) > 0 && dmamap_container_conflicts(c, NULL, 0) == 0
		? 0
		: -ENOENT;
}

static int
read_translations(void)
{
	size_t len = KB4;

	return dmamap_va2iova(c, buf + MB2) == rd.live && dmamap_iova2va(c, rd.live) == buf + MB2 &&
			dmamap_va2iova_run(c, buf + MB2, &len) == rd.live &&
			dmamap_va2iova(c, buf) == RTE_BAD_IOVA
		? 0
		: -EFAULT;
}

static int
read_zone(void)
{
	struct dmamap_zone_info info;

	return dmamap_zone_node(rd.zone) >= -1 && dmamap_zone_fd(rd.zone, NULL) == -ENOTSUP
		? dmamap_zone_info(rd.zone, &info)
		: -EINVAL;
}

static int
read_map(void)
{
	const struct dmamap_sge sge[2] = {{buf + 3 * MB2, KB4}, {buf + 3 * MB2 + 2 * KB4, KB4}};
	rte_iova_t iova = 0, fixed = 0x7000000;
	int rc;

	rc = dmamap_map_check(c, KB4, 1);
	if (rc == 0)
		rc = dmamap_map(c, buf + 2 * MB2, KB4, DMAMAP_RW, &iova);
	if (rc == 0)
		rc = dmamap_map(c, buf + 2 * MB2 + KB4, KB4, DMAMAP_RW | DMAMAP_FIXED, &fixed);
	return rc == 0 ? dmamap_map_sg(c, sge, 2, DMAMAP_RW, &iova) : rc;
}

/** The IOVAs of a dying mapping are not free yet. A FIXED map there is refused with -EEXIST. */
static int
read_map_refused(void)
{
	rte_iova_t iova = rd.iova;

	return dmamap_map(c, buf + 2 * MB2, KB4, DMAMAP_RW | DMAMAP_FIXED, &iova) == -EEXIST
		? 0
		: -EINVAL;
}

static int
read_register(void)
{
	struct dmamap_registration *r;
	rte_iova_t iova;

	return dmamap_register(c, buf + 2 * MB2, KB4, DMAMAP_RW, &iova, &r);
}

static int
read_zone_alloc(void)
{
	struct dmamap_zone *z;

	return dmamap_zone_alloc(c, &zone_conf, &z);
}

static int
read_reserve(void)
{
	rte_iova_t iova;

	return dmamap_iova_reserve(c, KB4, 0, DMAMAP_ANYWHERE, &iova) == 0
		? dmamap_iova_release(c, iova, KB4)
		: -ENOSPC;
}

static int
read_reserve_refused(void)
{
	const struct dmamap_range none = {0, KB4 - 1};
	rte_iova_t iova;

	return dmamap_iova_reserve(c, KB4, 0, none, &iova) == -ENOSPC ? 0 : -EINVAL;
}

static int
read_mask(void)
{
	return dmamap_device_dma_mask(rd.d, 39);
}

static int
read_attach(void)
{
	struct dmamap_device *d;

	return dmamap_container_attach(c, "nic1", &d) == 0 ? dmamap_container_detach(d) : -ENODEV;
}

/** A mapping is in the way. */
static int
read_attach_refused(void)
{
	struct dmamap_device *d;

	return dmamap_container_attach(c, "odd0", &d) == -EADDRINUSE ? 0 : -EINVAL;
}

static int
read_move(void)
{
	return dmamap_device_move(rd.d, rd.c2) == 0 ? dmamap_device_move(rd.d, c) : -EINVAL;
}

/** The device has no description, so the mock returns -ENOTTY; but the call returns. */
static int
read_ioctl(void)
{
	return dmamap_device_ioctl(rd.d, VFIO_DEVICE_RESET, NULL) == -ENOTTY ? 0 : -EINVAL;
}

static int
read_client_attach(void)
{
	struct dmamap_client *client;
	int rc = dmamap_client_attach(c, &(struct dmamap_client_conf){.name = "x"}, &client);

	if (rc == 0)
		dmamap_client_detach(client);
	return rc;
}

static int
read_create(void)
{
	struct dmamap_container *made = make_container("made", NULL);

	dmamap_container_put(dmamap_container_get(rd.c2));
	return made != NULL && strcmp(dmamap_container_name(made), "made") == 0
		? dmamap_container_destroy(made)
		: -EINVAL;
}

static void *
unmap_for_reader(void *arg)
{
	rd.rc = dmamap_unmap(c, rd.iova, KB4);
	__atomic_store_n(&rd.unmapped, true, __ATOMIC_RELEASE);
	return arg;
}

/**
 * Make a call as an online reader while an unmap waits for that reader. @return the call's result
 */
static int
run_online(int (*run)(void))
{
	pthread_t t;
	int rc;

	rd.unmapped = false;
	rte_rcu_qsbr_thread_online(rd.rcu, 0);
	if (pthread_create(&t, NULL, unmap_for_reader, NULL) != 0)
		return -EAGAIN;
	while (dmamap_va2iova(c, buf) != RTE_BAD_IOVA)
		sched_yield();
	sleep_ms(2);
	rc = run();
	if (__atomic_load_n(&rd.unmapped, __ATOMIC_ACQUIRE))
		rc = -ETIME; /* the unmap did not wait */
	rte_rcu_qsbr_thread_offline(rd.rcu, 0);
	pthread_join(t, NULL);
	return rc;
}

/**
 * Each call that dmamap.h allows an online reader returns while an unmap waits for that reader.
 */
static int
every_call_returns_to_an_online_reader(void)
{
	static const struct {
		const char *name;
		int (*run)(void);
	} all[] = {
		{"container_info", read_info},
		{"client_read", read_client},
		{"client_write", read_client_write},
		{"by_name", read_by_name},
		{"by_device", read_by_device},
		{"memory_walk", read_walk},
		{"device_info, hold, release", read_device},
		{"device_ioctl", read_ioctl},
		{"domain_by_device", read_domain},
		{"reserved, conflicts", read_reserved},
		{"translations", read_translations},
		{"zone_info, zone_fd", read_zone},
		{"map, map_sg, map_check", read_map},
		{"map that fails", read_map_refused},
		{"register", read_register},
		{"zone_alloc", read_zone_alloc},
		{"iova_reserve, iova_release", read_reserve},
		{"iova_reserve that fails", read_reserve_refused},
		{"dma_mask", read_mask},
		{"attach, detach", read_attach},
		{"attach that fails", read_attach_refused},
		{"move", read_move},
		{"client_attach, client_detach", read_client_attach},
		{"create, get, put, destroy of another", read_create},
	};
	const size_t size = RTE_ALIGN_CEIL(rte_rcu_qsbr_get_memsize(1), RTE_CACHE_LINE_SIZE);
	rte_iova_t in_the_way = 0x8000000;
	unsigned int i;
	int rc;

	rd.rcu = aligned_alloc(RTE_CACHE_LINE_SIZE, size);
	TEST_ASSERT_SUCCESS(rte_rcu_qsbr_init(rd.rcu, 1), "rcu");
	TEST_ASSERT_SUCCESS(rte_rcu_qsbr_thread_register(rd.rcu, 0), "register");
	for (i = 0; i < RTE_DIM(all); i++) {
		TEST_ASSERT_SUCCESS(dmamap_container_destroy(c), "destroy");
		c = make_container("c", rd.rcu);
		rd.c2 = make_container("c2", NULL);
		rd.d = machine_attach("nic0");
		rd.iova = rd.live = 0;
		TEST_ASSERT_SUCCESS(dmamap_client_attach(c,
					    &(struct dmamap_client_conf){.name = "x"}, &rd.client),
			"client");
		TEST_ASSERT_SUCCESS(dmamap_zone_alloc(c, &zone_conf, &rd.zone), "zone");
		TEST_ASSERT_SUCCESS(dmamap_map(c, buf, KB4, DMAMAP_RW, &rd.iova), "map");
		TEST_ASSERT_SUCCESS(dmamap_map(c, buf + MB2, KB4, DMAMAP_RW, &rd.live), "map");
		TEST_ASSERT_SUCCESS(
			dmamap_map(c, buf + MB2 + KB4, KB4, DMAMAP_RW | DMAMAP_FIXED, &in_the_way),
			"map");
		rc = run_online(all[i].run);
		TEST_ASSERT_SUCCESS(rc, "%s: %d", all[i].name, rc);
		TEST_ASSERT_SUCCESS(rd.rc, "%s: unmap: %d", all[i].name, rd.rc);
		dmamap_client_detach(rd.client);
		TEST_ASSERT_SUCCESS(dmamap_container_detach(rd.d), "detach");
		TEST_ASSERT_SUCCESS(dmamap_container_destroy(rd.c2), "destroy");
	}
	TEST_ASSERT_SUCCESS(dmamap_container_destroy(c), "destroy");
	c = make_container(NULL, NULL);
	free(rd.rcu);
	return 0;
}

/* Callbacks and hooks */

/** A worker thread that uses a client, and the client's callback, which waits for the worker. */
static struct {
	pthread_mutex_t lock; /**< the driver's own lock, around its look-ups */
	struct dmamap_client *client;
	rte_iova_t live;
	sem_t go;
	int rc;
} soft;

static void *
soft_worker(void *arg)
{
	char byte;

	sem_wait(&soft.go);
	pthread_mutex_lock(&soft.lock);
	soft.rc = dmamap_client_read(soft.client, soft.live, &byte, 1);
	pthread_mutex_unlock(&soft.lock);
	return arg;
}

static void
let_go(void *arg, struct dmamap_range range)
{
	pthread_t *worker = arg;
	struct dmamap_container_info info;

	/*
	 * Wait for the worker, which is inside the library, and call the library from the callback.
	 */
	sem_post(&soft.go);
	pthread_join(*worker, NULL);
	dmamap_container_info(c, &info);
	dmamap_iova2va(c, range.start);
}

static int
a_callback_may_wait_for_a_worker_in_the_library(void)
{
	static pthread_t worker;
	const struct dmamap_client_conf conf = {.name = "soft", .unmap = let_go, .arg = &worker};
	rte_iova_t iova = 0;

	soft.live = 0;
	pthread_mutex_init(&soft.lock, NULL);
	sem_init(&soft.go, 0, 0);
	TEST_ASSERT_SUCCESS(dmamap_client_attach(c, &conf, &soft.client), "client");
	TEST_ASSERT_SUCCESS(dmamap_map(c, buf, KB4, DMAMAP_RW, &iova), "map");
	TEST_ASSERT_SUCCESS(dmamap_map(c, buf + MB2, KB4, DMAMAP_RW, &soft.live), "map");
	TEST_ASSERT_SUCCESS(pthread_create(&worker, NULL, soft_worker, NULL), "thread");
	TEST_ASSERT_SUCCESS(dmamap_unmap(c, iova, KB4), "unmap");
	TEST_ASSERT_SUCCESS(soft.rc, "the worker's read");
	dmamap_client_detach(soft.client);
	return 0;
}

/**
 * While it is set, each munmap(2) of this program first invalidates in this container, as UCX's
 * memory hooks do.
 */
static struct dmamap_container *hooked;
static unsigned int hooks_run;

/** The program's own munmap(2). The library's calls go here, too. */
int
munmap(void *va, size_t len)
{
	static int (*found)(void *va, size_t len);
	int (*real)(void *va, size_t len) = __atomic_load_n(&found, __ATOMIC_RELAXED);
	struct dmamap_container *told = __atomic_load_n(&hooked, __ATOMIC_ACQUIRE);

	if (told != NULL) {
		__atomic_add_fetch(&hooks_run, 1, __ATOMIC_RELAXED);
		dmamap_invalidate(told, va, len);
	}
	if (real == NULL) {
		real = (int (*)(void *, size_t))dlsym(RTLD_NEXT, "munmap");
		__atomic_store_n(&found, real, __ATOMIC_RELAXED);
	}
	return real(va, len);
}

/** Such a hook does not deadlock with the allocation and the release of a zone. */
static int
a_hook_of_munmap_may_invalidate(void)
{
	struct dmamap_zone_conf large = {.len = (size_t)3 << 20, .page_size = KB4};
	struct dmamap_device *d = machine_attach("nic0");
	struct dmamap_zone *z;
	int alloc, release;

	TEST_ASSERT_SUCCESS(dmamap_registration_cache(c, DMAMAP_CACHE_PROMISED, MB2), "cache");
	hooks_run = 0;
	__atomic_store_n(&hooked, c, __ATOMIC_RELEASE);
	alloc = dmamap_zone_alloc(c, &large, &z);
	release = alloc == 0 ? dmamap_zone_free(z) : 0;
	__atomic_store_n(&hooked, NULL, __ATOMIC_RELEASE);
	TEST_ASSERT_SUCCESS(alloc, "zone_alloc");
	TEST_ASSERT_SUCCESS(release, "zone_free");
	TEST_ASSERT(hooks_run > 0, "the library's munmap did not go through the hook");
	return dmamap_container_detach(d);
}

/* Processes and libraries */

/** @return 0, or the number of the check that failed */
static int
in_child(const void *arg)
{
	struct dmamap_registration *r;
	struct dmamap_container_info info;
	rte_iova_t iova;

	alarm(20);
	if (dmamap_container_info(c, &info) != 0 || info.n_devices != 1)
		return 1;
	if (peek(dmamap_container_by_name(dmamap_container_name(c))) != c)
		return 2;
	/*
	 * The parent's cache is not valid here. Whether the registration is mapped again or
	 * refused, the call has to return.
	 */
	dmamap_register(c, buf, KB4, DMAMAP_RW, &iova, &r);
	return arg == NULL ? 0 : 3;
}

static int
a_child_leaves_its_parent_alone(void)
{
	struct dmamap_device *d = machine_attach("nic0");
	struct dmamap_registration *r;
	rte_iova_t iova;
	int rc;

	rc = dmamap_registration_cache(c, DMAMAP_CACHE_WATCHED, MB2);
	if (rc == -ENOTSUP || rc == -ENOSYS || rc == -EPERM)
		rc = dmamap_registration_cache(c, DMAMAP_CACHE_PROMISED, MB2);
	TEST_ASSERT_SUCCESS(rc, "cache");
	TEST_ASSERT_SUCCESS(dmamap_register(c, buf, KB4, DMAMAP_RW, &iova, &r), "register");
	rc = test_in_child(in_child, NULL);
	TEST_ASSERT_EQUAL(rc, 0, "child: %d", rc);
	TEST_ASSERT(machine_reaches("nic0", iova, buf, KB4), "the parent's device lost its memory");
	TEST_ASSERT_SUCCESS(dmamap_deregister(r), "deregister");
	return dmamap_container_detach(d);
}

/** The library as a plugin of a program that closes it while a thread that used it still runs. */
static struct {
	void *lib;
	sem_t used, closed;
	int rc;
} dl;

static void *
use_plugin(void *arg)
{
	int (*create)(const void *conf, size_t size, void **made) = NULL;
	int (*reserve)(void *container, size_t len, size_t align, struct dmamap_range within,
		rte_iova_t *iova);
	int (*destroy)(void *container);
	void *made;
	rte_iova_t iova;
	unsigned int i;

	create = (int (*)(const void *, size_t, void **))dlsym(
		dl.lib, "dmamap_container_create_sized");
	reserve = (int (*)(void *, size_t, size_t, struct dmamap_range, rte_iova_t *))dlsym(
		dl.lib, "dmamap_iova_reserve");
	destroy = (int (*)(void *))dlsym(dl.lib, "dmamap_container_destroy");
	dl.rc = create == NULL || reserve == NULL || destroy == NULL ? -ENOSYS
								     : create(NULL, 0, &made);
	for (i = 0; i < 3 && dl.rc == 0; i++)
		dl.rc = reserve(made, KB4, 0, DMAMAP_ANYWHERE, &iova);
	if (dl.rc == 0)
		dl.rc = destroy(made);
	sem_post(&dl.used);
	sem_wait(&dl.closed);
	return arg;
}

/** @return 0, or the number of the check that failed */
static int
close_plugin(const void *path)
{
	pthread_t t;

	sem_init(&dl.used, 0, 0);
	sem_init(&dl.closed, 0, 0);
	dl.lib = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	if (dl.lib == NULL) {
		printf("  %s\n", dlerror());
		return 5;
	}
	if (pthread_create(&t, NULL, use_plugin, NULL) != 0)
		return 1;
	sem_wait(&dl.used);
	if (dl.rc != 0)
		return 2;
	if (dlclose(dl.lib) != 0)
		return 3;
	if (dlopen(path, RTLD_NOW | RTLD_NOLOAD) == NULL)
		return 4;
	/* The thread's destructor is code of the library. */
	sem_post(&dl.closed);
	pthread_join(t, NULL);
	return 0;
}

/** dlclose(3) must not unload the library while a thread that used it runs. */
static int
a_closed_library_stays_for_its_threads(void)
{
	char path[512];
	ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - 64);
	char *end;
	int rc;

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
	return test_skip("a sanitized program has the library's copy of the sanitizer's state");
#endif
	path[RTE_MAX(n, 0)] = '\0';
	end = strstr(path, "/app/test/");
	if (end == NULL)
		return test_skip("not run from a build folder");
	strcpy(end, "/lib/dmamap/libdmamap.so.0");
	if (access(path, R_OK) < 0)
		return test_skip("no %s", path);
	rc = test_in_child(close_plugin, path);
	TEST_ASSERT_EQUAL(rc, 0, "%d", rc);
	return 0;
}

static const struct test_case cases[] = {
	{"a moving device tells what it reaches", a_moving_device_tells_what_it_reaches},
	{"a hold during a move counts", a_hold_during_a_move_counts},
	{"moves and queries run at the same time", moves_and_queries_run_at_the_same_time},
	{"an ioctl never meets a closed file", an_ioctl_never_meets_a_closed_file},
	{"changes during a merge are not lost", changes_during_a_merge_are_not_lost},
	{"no client attaches during a merge", no_client_attaches_during_a_merge},
	{"zones are made while containers merge", zones_are_made_while_containers_merge},
	{"streams are reached while containers merge", streams_are_reached_while_containers_merge},
	{"a container ends while threads query it", a_container_ends_while_threads_query_it},
	{"a destroyed container refuses additions", a_destroyed_container_refuses_additions},
	{"every call returns to an online reader", every_call_returns_to_an_online_reader},
	{"a callback may wait for a worker in the library",
		a_callback_may_wait_for_a_worker_in_the_library},
	{"a hook of munmap may invalidate", a_hook_of_munmap_may_invalidate},
	{"a child leaves its parent alone", a_child_leaves_its_parent_alone},
	{"a closed library stays for its threads", a_closed_library_stays_for_its_threads},
};

REGISTER_TEST_SUITE(company) = {
	.name = "company",
	.kind = TEST_FAST,
	.cases = cases,
	.n_cases = RTE_DIM(cases),
	.setup = setup,
	.teardown = teardown,
};
