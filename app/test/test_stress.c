/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Stress test: four threads use everything that libdmamap offers at the same time, on one mock
 * kernel with several domains. The first run has no faults, the second random ones. At the end
 * nothing is left.
 *
 * Two containers exist all the time: `home` has readers (RCU) and a promised cache, `away` a
 * watched one. Each thread also fills a container of its own, merges it into one of these, or
 * destroys it, and moves a device. Threads use each other's containers by name, and each other's
 * devices. STRESS_SECONDS in the environment: duration, 5 by default.
 */

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include <rte_log.h>
#include <rte_rcu_qsbr.h>

#include <dmamap.h>
#include <vfio_mock.h>

#include "test.h"

#define N_THREADS 4
#define PAGE ((size_t)4096)
/**
 * Memory of a thread: slots of 16 pages. Each mapping, registration, zone or stream has its own
 * slot.
 */
#define N_SLOTS 32
#define SLOT_LEN (16 * PAGE)
/**
 * IOVAs of a thread's DMAMAP_FIXED maps, below the linear maps: one GiB for each thread, with a
 * place for each slot.
 */
#define FIXED_BASE(t, slot) ((UINT64_C(1) << 30) * (16 + (t)) + (slot)*SLOT_LEN)

static struct vfio_mock *machine;
static struct dmamap_container *home, *away;
static struct rte_rcu_qsbr *readers;
static bool stop, faults;

/** Contents of one slot of a thread. */
struct slot {
	enum { FREE, MAPPED, REGISTERED, ZONE, STREAM } is;
	struct dmamap_container *in; /**< MAPPED: the container */
	rte_iova_t iova;
	size_t len;
	struct dmamap_registration *reg;
	struct dmamap_zone *zone;
	struct dmamap_stream stream;
};

struct worker {
	pthread_t thread;
	unsigned int id;
	unsigned short rand[3];
	char *mem;
	struct slot slots[N_SLOTS];
	struct dmamap_container *own; /**< NULL: merged or destroyed */
	struct dmamap_client *client; /**< client of home */
	/** The thread's device, which other threads use under `device_lock`. */
	struct dmamap_device *device;
	struct dmamap_container *device_in;
	pthread_rwlock_t device_lock;
	char device_name[16];
	uint64_t ops, done, merges, moves, refused, callbacks, unexpected;
	int last_rc;
	const char *last_op;
};

static struct worker workers[N_THREADS];

static uint32_t
pick(struct worker *w, uint32_t max)
{
	return (uint32_t)nrand48(w->rand) % max;
}

/** Count an operation. Without faults it must succeed; with injected faults it may fail. */
static bool
note(struct worker *w, const char *op, int rc)
{
	w->ops++;
	w->done += rc >= 0;
	if (rc >= 0)
		return true;
	if (__atomic_load_n(&faults, __ATOMIC_RELAXED))
		return false;
	w->unexpected++;
	w->last_rc = rc;
	w->last_op = op;
	return false;
}

/** As note(), for an operation that may be refused with `err`, or with `err2` if that is not 0. */
static bool
note_or(struct worker *w, const char *op, int rc, int err, int err2)
{
	if (rc < 0 && (rc == err || (err2 != 0 && rc == err2))) {
		w->ops++;
		w->refused++;
		return false;
	}
	return note(w, op, rc);
}

static char *
slot_va(const struct worker *w, unsigned int i)
{
	return w->mem + i * SLOT_LEN;
}

static struct dmamap_container *
pick_container(struct worker *w)
{
	switch (pick(w, 3)) {
	case 0:
		return home;
	case 1:
		return away;
	default:
		return w->own != NULL ? w->own : home;
	}
}

/**
 * Check that the thread's device reaches the new mapping, if it is in that container. Only this
 * thread moves the device.
 */
static void
check_reach(struct worker *w, struct dmamap_container *in, rte_iova_t iova, const char *what)
{
	char byte;

	if (w->device == NULL || w->device_in != in)
		return;
	if (vfio_mock_dma_read(machine, w->device_name, iova, &byte, 1) < 0) {
		w->unexpected++;
		w->last_rc = -EFAULT;
		w->last_op = what;
	}
}

static void
do_map(struct worker *w, unsigned int i)
{
	struct slot *s = &w->slots[i];
	const unsigned int how = pick(w, 4);
	const uint32_t flags = DMAMAP_RW | (how == 0 ? DMAMAP_LOW32 : how >= 2 ? DMAMAP_FIXED : 0);
	const struct dmamap_sge sge[2] = {{slot_va(w, i), PAGE}, {slot_va(w, i) + 4 * PAGE, PAGE}};
	int rc;

	s->in = pick_container(w);
	s->iova = FIXED_BASE(w->id, i);
	s->len = PAGE * (1 + pick(w, 4));
	if (how == 3) {
		s->len = 2 * PAGE;
		rc = dmamap_map_sg(s->in, sge, 2, flags, &s->iova);
	} else {
		rc = dmamap_map(s->in, slot_va(w, i), s->len, flags, &s->iova);
	}
	/* The IOVAs may be in use by another mapping, or in quarantine. */
	if (!note_or(w, "map", rc, how >= 2 ? -EEXIST : 0, 0))
		return;
	s->is = MAPPED;
	check_reach(w, s->in, s->iova + s->len - 1, "reach of a mapping");
}

static void
undo_map(struct worker *w, struct slot *s)
{
	const int rc = dmamap_unmap(s->in, s->iova, s->len);

	if (note(w, "unmap", rc) || rc == -EIO)
		s->is = FREE;
}

/** Registrations of a slot overlap each other, and are released in another order. */
static void
do_register(struct worker *w, unsigned int i)
{
	struct slot *s = &w->slots[i];
	char *va = slot_va(w, i) + pick(w, 4) * 100;
	struct dmamap_container *in = pick_container(w);

	if (!note(w, "register",
		    dmamap_register(in, va, 1 + pick(w, 3 * PAGE),
			    pick(w, 2) ? DMAMAP_RW : DMAMAP_READ, &s->iova, &s->reg)))
		return;
	s->is = REGISTERED;
	check_reach(w, in, s->iova, "reach of a registration");
}

static void
undo_register(struct worker *w, struct slot *s)
{
	const int rc = dmamap_deregister(s->reg);

	note(w, "deregister", rc);
	if (pick(w, 4) == 0 && dmamap_deregister(s->reg) != -EINVAL) {
		w->unexpected++;
		w->last_op = "second release";
	}
	s->is = FREE;
}

static void
do_zone(struct worker *w, unsigned int i)
{
	struct dmamap_zone_conf conf = {.len = PAGE * (1 + pick(w, 4)),
		.page_size = PAGE,
		.name = "stress",
		.threads = 1,
		.max_len = pick(w, 2) ? 16 * PAGE : 0};
	struct slot *s = &w->slots[i];

	if (pick(w, 4) == 0)
		conf.flags = DMAMAP_LOW32;
	if (!note(w, "zone_alloc", dmamap_zone_alloc(pick_container(w), &conf, &s->zone)))
		return;
	memset(dmamap_zone_va(s->zone), 1, dmamap_zone_len(s->zone));
	s->is = ZONE;
	if (conf.max_len != 0)
		note(w, "zone_resize", dmamap_zone_resize(s->zone, 8 * PAGE));
}

static void
undo_zone(struct worker *w, struct slot *s)
{
	const int rc = dmamap_zone_free(s->zone);

	if (note(w, "zone_free", rc) || rc == -EIO)
		s->is = FREE;
}

static void
do_stream(struct worker *w, unsigned int i)
{
	struct slot *s = &w->slots[i];
	int rc;

	if (w->device == NULL)
		return;
	rc = dmamap_stream_map(w->device, slot_va(w, i) + 8, 2 * PAGE, pick(w, 3), &s->stream);
	if (note(w, "stream_map", rc))
		s->is = STREAM;
}

static void
undo_stream(struct worker *w, struct slot *s)
{
	const int rc = dmamap_stream_unmap(&s->stream);

	/*
	 * A bounce buffer belongs to the stream until its unmap succeeds; a registration is
	 * released in any case.
	 */
	if (note(w, "stream_unmap", rc) || s->stream.bounce == NULL)
		s->is = FREE;
}

static void
undo_slot(struct worker *w, struct slot *s)
{
	if (s->is == MAPPED)
		undo_map(w, s);
	else if (s->is == REGISTERED)
		undo_register(w, s);
	else if (s->is == ZONE)
		undo_zone(w, s);
	else if (s->is == STREAM)
		undo_stream(w, s);
}

static void
do_slot(struct worker *w)
{
	const unsigned int i = pick(w, N_SLOTS);
	struct slot *s = &w->slots[i];

	if (s->is != FREE) {
		undo_slot(w, s);
		return;
	}
	switch (pick(w, 8)) {
	case 0:
		do_zone(w, i);
		break;
	case 1:
	case 2:
		do_stream(w, i);
		break;
	case 3:
	case 4:
	case 5:
		do_register(w, i);
		break;
	default:
		do_map(w, i);
	}
}

/** Replace the memory of a free slot. */
static void
do_renew(struct worker *w)
{
	const unsigned int i = pick(w, N_SLOTS);
	char *va = slot_va(w, i);

	if (w->slots[i].is != FREE)
		return;
	note(w, "invalidate home", dmamap_invalidate(home, va, SLOT_LEN));
	note(w, "invalidate away", dmamap_invalidate(away, va, SLOT_LEN));
	if (w->own != NULL)
		note(w, "invalidate own", dmamap_invalidate(w->own, va, SLOT_LEN));
	/* One step: after munmap(2), another thread's mmap(2) could get the addresses. */
	if (mmap(va, SLOT_LEN, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1,
		    0) != va) {
		w->unexpected++;
		w->last_op = "mmap";
	}
}

/** Calls that an online reader of translations may make. */
static int
count_memory(const struct dmamap_memory *m, void *arg)
{
	uint64_t *sum = arg;

	*sum += m->len;
	return 0;
}

static void
do_read(struct worker *w)
{
	const struct slot *s = &w->slots[pick(w, N_SLOTS)];
	struct dmamap_container_info info;
	struct dmamap_container *found;
	char name[16], byte;
	uint64_t sum = 0;

	rte_rcu_qsbr_thread_online(readers, w->id);
	note(w, "info", dmamap_container_info(home, &info));
	dmamap_va2iova(home, slot_va(w, 0));
	dmamap_va2iova(away, slot_va(w, 0));
	dmamap_memory_walk(count_memory, &sum);
	snprintf(name, sizeof(name), "own%u", pick(w, N_THREADS));
	found = dmamap_container_by_name(name);
	if (found != NULL)
		note(w, "info of another's", dmamap_container_info(found, &info));
	if (s->is == MAPPED && s->in == home)
		note(w, "client_read", dmamap_client_read(w->client, s->iova, &byte, 1));
	if (s->is == MAPPED && s->in == home)
		note(w, "client_write", dmamap_client_write(w->client, s->iova, &byte, 1));
	rte_rcu_qsbr_quiescent(readers, w->id);
	rte_rcu_qsbr_thread_offline(readers, w->id);
	dmamap_container_put(found);
}

/** Use another thread's container while that thread merges or destroys it. */
static void
do_visit(struct worker *w)
{
	struct dmamap_conflict conflicts[4];
	struct dmamap_reserved reserved[4];
	struct dmamap_client_conf conf = {.name = "visitor"};
	struct dmamap_client *client;
	struct dmamap_container *c;
	char name[16];

	snprintf(name, sizeof(name), "own%u", pick(w, N_THREADS));
	c = dmamap_container_by_name(name);
	if (c == NULL)
		return;
	dmamap_reserved(c, reserved, RTE_DIM(reserved));
	dmamap_container_conflicts(c, conflicts, RTE_DIM(conflicts));
	if (note_or(w, "client_attach", dmamap_client_attach(c, &conf, &client), -ESHUTDOWN, 0))
		dmamap_client_detach(client);
	note_or(w, "map_check", dmamap_map_check(c, PAGE, 1), -ENOMEM, 0);
	note_or(w, "cache", dmamap_registration_cache(c, pick(w, 3), 8 * PAGE), -ESHUTDOWN, 0);
	dmamap_container_put(c);
}

/** Use any thread's device while that thread moves it or merges its container. */
static void
do_device(struct worker *w)
{
	struct worker *of = &workers[pick(w, N_THREADS)];
	struct dmamap_device_info info;
	struct dmamap_container *c;

	pthread_rwlock_rdlock(&of->device_lock);
	if (of->device != NULL) {
		note(w, "device_info", dmamap_device_info(of->device, &info));
		note(w, "dma_mask", dmamap_device_dma_mask(of->device, pick(w, 2) ? 64 : 39));
		dmamap_device_hold(of->device);
		dmamap_device_release(of->device);
		c = dmamap_device_container(of->device);
		if (c == NULL) {
			w->unexpected++;
			w->last_op = "device_container";
		}
		dmamap_container_put(c);
	}
	pthread_rwlock_unlock(&of->device_lock);
	c = dmamap_container_by_device(of->device_name);
	if (c != NULL)
		dmamap_domain_by_device(c, of->device_name);
	dmamap_container_put(c);
}

static void
do_attach(struct worker *w)
{
	struct dmamap_container *in = pick_container(w);
	struct dmamap_device *d = NULL;

	if (!note_or(w, "attach", dmamap_container_attach(in, w->device_name, &d), -EADDRINUSE, 0))
		return;
	pthread_rwlock_wrlock(&w->device_lock);
	w->device = d;
	w->device_in = in;
	pthread_rwlock_unlock(&w->device_lock);
}

/** Streams of a device must be unmapped before it is detached. */
static void
drop_streams(struct worker *w)
{
	unsigned int i, k;

	for (i = 0; i < N_SLOTS; i++)
		for (k = 0; k < 100 && w->slots[i].is == STREAM; k++)
			undo_slot(w, &w->slots[i]);
}

static void
do_detach(struct worker *w)
{
	struct dmamap_device *d = w->device;

	drop_streams(w);
	pthread_rwlock_wrlock(&w->device_lock);
	w->device = NULL;
	w->device_in = NULL;
	pthread_rwlock_unlock(&w->device_lock);
	note(w, "detach", dmamap_container_detach(d));
}

static void
do_move(struct worker *w)
{
	struct dmamap_container *to = pick_container(w);
	int rc;

	rc = dmamap_device_move(w->device, to);
	w->moves += rc == 0;
	/* Another thread may hold it for a moment. */
	if (rc != -EINVAL && note_or(w, "move", rc, -EBUSY, -EADDRINUSE))
		w->device_in = to;
	if (rc == -ENODEV)
		do_detach(w);
}

static void
do_topology(struct worker *w)
{
	if (w->device == NULL)
		do_attach(w);
	else if (pick(w, 3) == 0)
		do_detach(w);
	else
		do_move(w);
}

static void
make_own(struct worker *w)
{
	struct dmamap_container_conf conf = {.backend = DMAMAP_BACKEND_TYPE1,
		.rcu = readers,
		.kernel = vfio_mock_kernel(machine)};
	char name[16];

	snprintf(name, sizeof(name), "own%u", w->id);
	conf.name = name;
	note(w, "create", dmamap_container_create(&conf, &w->own));
}

/** Everything of the thread's own container belongs to `to` now. */
static void
moved_to(struct worker *w, struct dmamap_container *to)
{
	unsigned int i;

	for (i = 0; i < N_SLOTS; i++)
		if (w->slots[i].is == MAPPED && w->slots[i].in == w->own)
			w->slots[i].in = to;
	if (w->device_in == w->own)
		w->device_in = to;
}

/** Destroy the thread's own container, with what is still in it. */
static void
end_own(struct worker *w)
{
	unsigned int i, k;
	int rc;

	if (w->device_in == w->own)
		do_detach(w);
	for (i = 0; i < N_SLOTS; i++)
		for (k = 0; k < 100 && w->slots[i].is != FREE &&
			(w->slots[i].is != MAPPED || w->slots[i].in == w->own);
			k++)
			undo_slot(w, &w->slots[i]);
	/* Another thread's client is detached soon. */
	do
		rc = dmamap_container_destroy(w->own);
	while (rc == -EBUSY);
	note(w, "destroy", rc);
	w->own = NULL;
}

static void
do_own(struct worker *w)
{
	struct dmamap_container *to = pick(w, 2) ? home : away;
	int rc;

	if (w->own == NULL) {
		make_own(w);
		return;
	}
	rc = dmamap_container_merge(to, w->own);
	w->merges += rc == 0;
	/*
	 * -EBUSY: another thread's client is attached. -EADDRINUSE: a mapping of `to` has the same
	 * IOVAs.
	 */
	if (rc == -EEXIST || !note_or(w, "merge", rc, -EBUSY, -EADDRINUSE)) {
		if (pick(w, 4) == 0)
			end_own(w);
		return;
	}
	moved_to(w, to);
	if (pick(w, 2))
		end_own(w);
}

static void
do_faults(struct worker *w)
{
	static const uint32_t kinds[] = {1u << VFIO_MOCK_MAP, 1u << VFIO_MOCK_UNMAP, VFIO_MOCK_ANY};

	if (!__atomic_load_n(&faults, __ATOMIC_RELAXED))
		return;
	if (pick(w, 3) > 0)
		vfio_mock_fail(machine, kinds[pick(w, RTE_DIM(kinds))], 1 + pick(w, 8),
			pick(w, 2) ? ENOMEM : EINVAL);
	else
		vfio_mock_short_unmap(machine, 1 + pick(w, 8), PAGE);
}

static void
on_unmap(void *arg, struct dmamap_range range)
{
	struct worker *w = arg;
	struct dmamap_container_info info;
	char byte;

	__atomic_add_fetch(&w->callbacks, 1, __ATOMIC_RELAXED);
	dmamap_container_info(home, &info);
	dmamap_client_read(w->client, range.start, &byte, 1);
}

static void *
work(void *arg)
{
	struct worker *w = arg;
	unsigned int what;

	rte_rcu_qsbr_thread_register(readers, w->id);
	while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
		what = pick(w, 100);
		if (what < 60)
			do_slot(w);
		else if (what < 72)
			do_read(w);
		else if (what < 78)
			do_renew(w);
		else if (what < 84)
			do_device(w);
		else if (what < 90)
			do_topology(w);
		else if (what < 94)
			do_visit(w);
		else if (what < 97)
			do_own(w);
		else
			do_faults(w);
	}
	rte_rcu_qsbr_thread_unregister(readers, w->id);
	return NULL;
}

/** Release everything; no more faults are injected. */
static void
wind_up(struct worker *w)
{
	unsigned int i, k;

	for (i = 0; i < N_SLOTS; i++)
		for (k = 0; k < 4 && w->slots[i].is != FREE; k++)
			undo_slot(w, &w->slots[i]);
	if (w->own != NULL)
		end_own(w);
	if (w->device != NULL)
		do_detach(w);
	dmamap_client_detach(w->client);
	munmap(w->mem, N_SLOTS * SLOT_LEN);
}

static void *
do_nothing(void *arg)
{
	return arg;
}

/**
 * The kernel lists a thread for a moment after it was joined, and a sanitizer starts a thread of
 * its own once there are threads.
 */
static int
threads_settle(unsigned int wanted)
{
	const struct timespec a_moment = {.tv_nsec = 10000000};
	unsigned int i;

	for (i = 0; i < 100 && test_threads() != wanted; i++)
		nanosleep(&a_moment, NULL);
	return (int)test_threads();
}

static int
make_machine(void)
{
	static const struct vfio_mock_conf conf = {.never_share = true};
	struct vfio_mock_group_conf group = {0};
	unsigned int i;
	char name[16];

	TEST_ASSERT_SUCCESS(vfio_mock_create(&conf, &machine), "mock");
	group.iommu = vfio_mock_add_iommu(machine, NULL);
	for (i = 0; i < N_THREADS; i++) {
		snprintf(name, sizeof(name), "dev%u", i);
		TEST_ASSERT_SUCCESS(
			vfio_mock_add_device(machine, vfio_mock_add_group(machine, &group), name,
				-1, "vfio-pci"),
			"device");
	}
	for (i = 0; i < 2; i++) {
		snprintf(name, sizeof(name), "fast%u", i);
		TEST_ASSERT_SUCCESS(
			vfio_mock_add_device(machine, vfio_mock_add_group(machine, &group), name,
				-1, "vfio-pci"),
			"device");
	}
	return 0;
}

static int
make_container(const char *name, struct rte_rcu_qsbr *rcu, struct dmamap_container **c)
{
	const struct dmamap_container_conf conf = {.name = name,
		.backend = DMAMAP_BACKEND_TYPE1,
		.rcu = rcu,
		.kernel = vfio_mock_kernel(machine)};

	return dmamap_container_create(&conf, c);
}

static int
start_worker(unsigned int id, uint64_t seed)
{
	struct worker *w = &workers[id];
	const struct dmamap_client_conf conf = {.name = "soft", .unmap = on_unmap, .arg = w};

	memset(w, 0, sizeof(*w));
	w->id = id;
	seed += id;
	memcpy(w->rand, &seed, sizeof(w->rand));
	pthread_rwlock_init(&w->device_lock, NULL);
	snprintf(w->device_name, sizeof(w->device_name), "dev%u", id);
	w->mem = mmap(NULL, N_SLOTS * SLOT_LEN, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
		-1, 0);
	TEST_ASSERT(w->mem != MAP_FAILED, "memory");
	TEST_ASSERT_SUCCESS(dmamap_client_attach(home, &conf, &w->client), "client");
	return 0;
}

static unsigned int
stress_seconds(void)
{
	const char *text = getenv("STRESS_SECONDS");

	return text != NULL ? (unsigned int)strtoul(text, NULL, 10) : 5;
}

static int
run_threads(void)
{
	const struct timespec half = {
		.tv_sec = stress_seconds() / 2, .tv_nsec = stress_seconds() % 2 * 500000000};
	unsigned int i;

	__atomic_store_n(&stop, false, __ATOMIC_RELAXED);
	__atomic_store_n(&faults, false, __ATOMIC_RELAXED);
	for (i = 0; i < N_THREADS; i++)
		TEST_ASSERT_SUCCESS(
			pthread_create(&workers[i].thread, NULL, work, &workers[i]), "thread");
	nanosleep(&half, NULL);
	rte_log_set_level_pattern("lib.dmamap", RTE_LOG_EMERG);
	__atomic_store_n(&faults, true, __ATOMIC_RELAXED);
	nanosleep(&half, NULL);
	__atomic_store_n(&stop, true, __ATOMIC_RELAXED);
	for (i = 0; i < N_THREADS; i++)
		pthread_join(workers[i].thread, NULL);
	vfio_mock_fail(machine, 0, 0, 0);
	vfio_mock_short_unmap(machine, 0, 0);
	__atomic_store_n(&faults, false, __ATOMIC_RELAXED);
	return 0;
}

/** Everything that four threads did is undone: no mapping, locked byte, file or thread is left. */
static int
everything_is_balanced_after_four_threads(void)
{
	struct dmamap_device *fast[2];
	pthread_t first;
	const int level = rte_log_get_level(rte_log_register("lib.dmamap"));
	unsigned int i, files, threads;
	char *before, *after;
	uint64_t seed, ops = 0, merges = 0, moves = 0;
	int rc;

	TEST_ASSERT_SUCCESS(pthread_create(&first, NULL, do_nothing, NULL), "thread");
	pthread_join(first, NULL);
	files = test_open_files();
	threads = threads_settle(0);
	alarm(120 + 4 * stress_seconds());
	readers = aligned_alloc(RTE_CACHE_LINE_SIZE,
		RTE_ALIGN_CEIL(rte_rcu_qsbr_get_memsize(N_THREADS), RTE_CACHE_LINE_SIZE));
	rte_rcu_qsbr_init(readers, N_THREADS);
	TEST_ASSERT_SUCCESS(make_machine(), "machine");
	before = vfio_mock_dump(machine);
	TEST_ASSERT_SUCCESS(make_container("home", readers, &home), "home");
	TEST_ASSERT_SUCCESS(make_container("away", NULL, &away), "away");
	TEST_ASSERT_SUCCESS(dmamap_container_attach(home, "fast0", &fast[0]), "attach");
	TEST_ASSERT_SUCCESS(dmamap_container_attach(away, "fast1", &fast[1]), "attach");
	TEST_ASSERT_SUCCESS(
		dmamap_registration_cache(home, DMAMAP_CACHE_PROMISED, 64 * PAGE), "promised");
	rc = dmamap_registration_cache(away, DMAMAP_CACHE_WATCHED, 64 * PAGE);
	if (rc < 0)
		printf("  no watched cache here: %s\n", strerror(-rc));
	seed = test_seed();
	for (i = 0; i < N_THREADS; i++)
		TEST_ASSERT_SUCCESS(start_worker(i, seed), "worker");

	rc = run_threads();
	for (i = 0; i < N_THREADS; i++)
		wind_up(&workers[i]);
	rte_log_set_level_pattern("lib.dmamap", level);
	TEST_ASSERT_SUCCESS(rc, "threads");
	for (i = 0; i < N_THREADS; i++) {
		TEST_ASSERT_EQUAL(workers[i].unexpected, 0, "thread %u: %s: %d, %" PRIu64 " times",
			i, workers[i].last_op, workers[i].last_rc, workers[i].unexpected);
		ops += workers[i].ops;
		merges += workers[i].merges;
		moves += workers[i].moves;
	}
	TEST_ASSERT(
		merges > 0 && moves > 0, "%" PRIu64 " merges, %" PRIu64 " moves", merges, moves);
	for (i = 0; i < 2; i++)
		TEST_ASSERT_SUCCESS(dmamap_container_detach(fast[i]), "detach");
	TEST_ASSERT_SUCCESS(dmamap_container_destroy(home), "destroy");
	TEST_ASSERT_SUCCESS(dmamap_container_destroy(away), "destroy");
	TEST_ASSERT_EQUAL(vfio_mock_locked(machine), 0, "locked");
	after = vfio_mock_dump(machine);
	TEST_ASSERT_EQUAL(strcmp(before, after), 0, "left in the kernel: %s", after);
	free(before);
	free(after);
	TEST_ASSERT_SUCCESS(vfio_mock_destroy(machine), "mock");
	free(readers);
	TEST_ASSERT_EQUAL(test_open_files(), files, "files");
	TEST_ASSERT_EQUAL(threads_settle(threads), (int)threads, "threads");
	printf("  %" PRIu64 " operations, %" PRIu64 " merges, %" PRIu64 " moves\n", ops, merges,
		moves);
	alarm(0);
	return 0;
}

static const struct test_case cases[] = {
	{"everything is balanced after four threads", everything_is_balanced_after_four_threads},
};

REGISTER_TEST_SUITE(stress) = {
	.name = "stress",
	.kind = TEST_FAST,
	.cases = cases,
	.n_cases = RTE_DIM(cases),
};
