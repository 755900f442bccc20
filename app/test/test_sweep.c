/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Failure sweep: each call into the kernel of each operation fails in turn, with each errno that
 * it can return. After a failure everything is as before, or the loss is logged and quarantined,
 * and a retry succeeds. On the mock kernel.
 */

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "dm_container.h"
#include "vfio_mock.h"
#include "mock_priv.h"
#include "test.h"

#define PAGE ((size_t)4096)
#define CHUNK ((size_t)65536)
#define CHUNKS 16
#define BUF_LEN (CHUNK * CHUNKS)
#define MAX_DOMAINS 5
#define MOST_CALLS 1000
#define KINDS (VFIO_MOCK_ANY | 1 << VFIO_MOCK_IOMMU_ATTACH | 1 << VFIO_MOCK_IOMMU_MAP)
#define MAPS (1 << VFIO_MOCK_MAP | 1 << VFIO_MOCK_IOAS_MAP | 1 << VFIO_MOCK_IOAS_COPY)
#define UNMAPS (1 << VFIO_MOCK_UNMAP | 1 << VFIO_MOCK_IOAS_UNMAP)

/** A mapping that must exist. */
struct expected {
	struct dmamap_container *c;
	char *va;
	size_t len;
	rte_iova_t iova;
	uint32_t flags;
};

/** The backend of the sweep. */
static enum dmamap_backend backend;

/** A machine with MAX_DOMAINS + 1 devices, each behind an IOMMU of its own, and two containers. */
static struct world {
	struct vfio_mock *mock;
	struct dmamap_container *c, *other;
	struct dmamap_device *dev[MAX_DOMAINS + 1]; /**< the last is the device of `other` */
	struct dmamap_zone *zone;
	struct expected maps[16];
	unsigned int n_maps;
	unsigned int n_devices; /**< number of devices in the case: 1, 2 or 5 domains */
	enum dmamap_sharing sharing;
	rte_iova_t taken;
} w;

static char *buf;

/** Results of a sweep. */
struct counts {
	unsigned int points; /**< calls that were made to fail */
	unsigned int absorbed; /**< of these: the operation succeeded all the same */
	unsigned int quarantined; /**< of these: something was lost, logged and quarantined */
	unsigned int differences; /**< of these: something differed from the expected state */
};

static struct counts now, of_backend, of_all;

static void
count_in(struct counts *sum, const struct counts *part)
{
	sum->points += part->points;
	sum->absorbed += part->absorbed;
	sum->quarantined += part->quarantined;
	sum->differences += part->differences;
}

static void
print_counts(const char *what, const struct counts *c)
{
	printf("  %s: %u points failed, %u of them absorbed, %u in quarantine, differences found: %u\n",
		what, c->points, c->absorbed, c->quarantined, c->differences);
}

/* Set-up */

static const char *const names[MAX_DOMAINS + 1] = {"0000:01:00.0", "0000:02:00.0", "0000:03:00.0",
	"0000:04:00.0", "0000:05:00.0", "0000:06:00.0"};

static const char *
device_name(unsigned int i)
{
	return names[i];
}

static int
make_mock(void)
{
	static const struct vfio_mock_resv msi = {{0xfee00000, 0xfeefffff}, DMAMAP_RESERVED_MSI};
	const struct vfio_mock_conf conf = {.linux_version = VFIO_MOCK_LINUX(6, 12)};
	struct vfio_mock_group_conf group = {.n_resv = 1, .resv = &msi};
	unsigned int i;
	int id;

	TEST_ASSERT_SUCCESS(vfio_mock_create(&conf, &w.mock), "mock");
	for (i = 0; i < RTE_DIM(w.dev); i++) {
		group.iommu = vfio_mock_add_iommu(w.mock, NULL);
		id = vfio_mock_add_group(w.mock, &group);
		TEST_ASSERT_SUCCESS(
			vfio_mock_add_device(w.mock, id, device_name(i), -1, "vfio-pci"), "device");
	}
	return 0;
}

static int
make_world(unsigned int n_devices, enum dmamap_sharing sharing)
{
	struct dmamap_container_conf conf = {.backend = backend, .sharing = sharing};

	w = (struct world){.n_devices = n_devices, .sharing = sharing};
	memset(buf, 0x5a, BUF_LEN);
	TEST_ASSERT_SUCCESS(make_mock(), "mock");
	conf.kernel = vfio_mock_kernel(w.mock);
	TEST_ASSERT_SUCCESS(dmamap_container_create(&conf, &w.c), "container");
	TEST_ASSERT_SUCCESS(dmamap_container_create(&conf, &w.other), "container");
	return 0;
}

/** Destroy everything: nothing may fail, and nothing may be left in the kernel. */
static int
destroy_world(void)
{
	unsigned int i;

	for (i = 0; i < RTE_DIM(w.dev); i++)
		TEST_ASSERT_SUCCESS(dmamap_container_detach(w.dev[i]), "detach");
	TEST_ASSERT_SUCCESS(dmamap_container_destroy(w.other), "destroy");
	TEST_ASSERT_SUCCESS(dmamap_container_destroy(w.c), "destroy");
	TEST_ASSERT_EQUAL(vfio_mock_locked(w.mock), 0, "memory stays pinned");
	TEST_ASSERT_SUCCESS(vfio_mock_destroy(w.mock), "something is open in the mock");
	return 0;
}

static int
attach(struct dmamap_container *c, unsigned int i)
{
	return dmamap_container_attach(c, device_name(i), &w.dev[i]);
}

static void
expect(struct dmamap_container *c, char *va, size_t len, uint32_t flags, rte_iova_t iova)
{
	w.maps[w.n_maps++] = (struct expected){c, va, len, iova, flags};
}

/** Map at iova, or anywhere if it is 0. */
static int
map(struct dmamap_container *c, char *va, size_t len, uint32_t flags, rte_iova_t iova)
{
	int rc = dmamap_map(c, va, len, flags | (iova != 0 ? DMAMAP_FIXED : 0), &iova);

	if (rc == 0)
		expect(c, va, len, flags, iova);
	return rc;
}

/** Mappings of each kind: writable, read-only, in a reservation, an alias. */
static int
base_maps(void)
{
	TEST_ASSERT_SUCCESS(map(w.c, buf, PAGE, DMAMAP_RW, 0), "map");
	TEST_ASSERT_SUCCESS(map(w.c, buf + CHUNK, 2 * PAGE, DMAMAP_READ, 0), "map");
	TEST_ASSERT_SUCCESS(
		dmamap_iova_reserve(w.c, CHUNK, 0, DMAMAP_ANYWHERE, &w.taken), "reserve");
	TEST_ASSERT_SUCCESS(map(w.c, buf + 2 * CHUNK, PAGE, DMAMAP_RW, w.taken + PAGE), "map");
	TEST_ASSERT_SUCCESS(map(w.c, buf, PAGE, DMAMAP_READ | DMAMAP_ALIAS, 0), "map");
	return 0;
}

static int
attach_first(unsigned int n)
{
	unsigned int i;

	for (i = 0; i < n; i++)
		TEST_ASSERT_SUCCESS(attach(w.c, i), "attach");
	return 0;
}

/* State as text */

static void
print_container(FILE *out, const struct dmamap_container *c)
{
	struct dmamap_container_info info;
	struct dmamap_reserved resv[64];
	struct dmamap_range r = {0, 0};
	rte_iova_t from;
	unsigned int i;
	int n;

	dmamap_container_info(c, &info);
	fprintf(out,
		"container: %u domains, %u groups, %u devices, pages %#" PRIx64 ", %" PRIu64
		" mappings of %" PRIu64 " bytes, reserved %" PRIu64 ", quarantined %" PRIu64
		", entries left %" PRIu64 ", coherent %d\n",
		info.n_domains, info.n_groups, info.n_devices, info.page_sizes, info.n_mappings,
		info.mapped_len, info.reservation_len, info.quarantined_len, info.entries_left,
		info.coherent);
	for (i = 0; i < info.n_ranges; i++)
		fprintf(out, " usable " DM_RANGE_FMT "\n", DM_RANGE_ARG(info.ranges[i]));
	n = dmamap_reserved(c, resv, RTE_DIM(resv));
	for (i = 0; (int)i < n; i++)
		fprintf(out, " reserved " DM_RANGE_FMT " %s\n", DM_RANGE_ARG(resv[i].range),
			resv[i].owner);
	for (from = 0; dm_iova_next_live(c->iova_space, from, &r) == 0; from = r.last + 1)
		fprintf(out, " live " DM_RANGE_FMT "\n", DM_RANGE_ARG(r));
	for (i = 0; i < BUF_LEN / PAGE; i++)
		if (dmamap_va2iova(c, buf + i * PAGE) != RTE_BAD_IOVA)
			fprintf(out, " page %u is at %#" PRIx64 "\n", i,
				dmamap_va2iova(c, buf + i * PAGE));
	for (i = 0; i < w.n_maps; i++)
		fprintf(out, " %#" PRIx64 " is %p\n", w.maps[i].iova,
			dmamap_iova2va(c, w.maps[i].iova));
}

/** The state of containers, mock and memory, as text. */
static char *
snapshot(void)
{
	char *text = NULL, *dump = vfio_mock_dump(w.mock);
	uint64_t sum = 0;
	size_t len, i;
	FILE *out = open_memstream(&text, &len);

	print_container(out, w.c);
	print_container(out, w.other);
	for (i = 0; i < BUF_LEN; i++)
		sum = sum * 31 + (uint8_t)buf[i];
	for (i = 0; i < RTE_DIM(w.dev); i++)
		if (w.dev[i] != NULL && w.dev[i]->c != NULL)
			fprintf(out, "%s is in %s\n", device_name(i),
				w.dev[i]->c == w.c ? "c" : "other");
	fprintf(out, "memory %#" PRIx64 "\n%s", sum, dump);
	free(dump);
	fclose(out);
	return text;
}

/** Whether a device reaches all of a mapping, with exactly its permissions. */
static bool
reaches(const char *dev, const struct expected *m)
{
	char byte;
	size_t at;

	for (at = 0; at < m->len; at += m->len - 1) {
		char old = m->va[at], new = old ^ 0x33;
		int rc;

		if (vfio_mock_dma_read(w.mock, dev, m->iova + at, &byte, 1) != 0 || byte != old)
			return false;
		rc = vfio_mock_dma_write(w.mock, dev, m->iova + at, &new, 1);
		byte = m->va[at];
		m->va[at] = old;
		if (m->flags & DMAMAP_WRITE ? rc != 0 || byte != new : rc != -EFAULT)
			return false;
	}
	return true;
}

/** A map of the kernel must be a mapping of a container, or in quarantine. */
static bool
is_known(const struct mock_map *m)
{
	struct dmamap_container *const all[] = {w.c, w.other};
	unsigned int i;

	for (i = 0; i < RTE_DIM(all); i++)
		if ((uintptr_t)dmamap_iova2va(all[i], m->iova.start) == m->va ||
			dm_range_set_contains(&all[i]->quarantined, m->iova))
			return true;
	return false;
}

static int
all_known(const struct mock_table *maps)
{
	const struct mock_map *map;

	MOCK_TABLE_FOREACH(map, maps)
		TEST_ASSERT(is_known(map),
			"the kernel maps " DM_RANGE_FMT ", of which no container knows",
			DM_RANGE_ARG(map->iova));
	return 0;
}

/** Quarantined ranges must stay reserved. */
static int
check_quarantine(const struct dmamap_container *c)
{
	struct dmamap_range live;
	const struct dm_reservation *t;
	unsigned int i;

	for (i = 0; i < c->quarantined.n; i++) {
		struct dmamap_range r = c->quarantined.r[i];

		/*
		 * A part of a larger live range: a reservation of the user, or the range into which
		 * a zone may grow.
		 */
		t = dm_reservation_find(c, r);
		if (t != NULL && dm_range_inside(r, t->range))
			continue;
		TEST_ASSERT_SUCCESS(dm_iova_next_live(c->iova_space, r.start, &live),
			"the quarantined range is free");
		TEST_ASSERT(live.start <= r.last, "the quarantined range is free");
	}
	return 0;
}

/** All mappings translate, all devices reach them, and the kernel has no other maps. */
static int
verify(void)
{
	const struct mock_container *kc;
	const struct mock_ioas *ioas;
	const struct mock_ctx *ctx;
	unsigned int i, d;

	for (i = 0; i < w.n_maps; i++) {
		const struct expected *m = &w.maps[i];

		TEST_ASSERT(dmamap_iova2va(m->c, m->iova) == m->va, "iova2va of mapping %u", i);
		TEST_ASSERT(m->flags & DMAMAP_ALIAS || dmamap_va2iova(m->c, m->va) == m->iova,
			"va2iova of mapping %u", i);
		for (d = 0; d < RTE_DIM(w.dev); d++)
			TEST_ASSERT(w.dev[d] == NULL || w.dev[d]->c != m->c ||
					reaches(device_name(d), m),
				"%s does not reach mapping %u", device_name(d), i);
	}
	TAILQ_FOREACH(kc, &w.mock->containers, next)
		TEST_ASSERT_SUCCESS(all_known(&kc->maps), "a container of the kernel");
	TAILQ_FOREACH(ctx, &w.mock->ctxs, next)
		TAILQ_FOREACH(ioas, &ctx->spaces, next)
			TEST_ASSERT_SUCCESS(all_known(&ioas->areas), "IOAS %u", ioas->id);
	TEST_ASSERT_SUCCESS(check_quarantine(w.c), "fence");
	return check_quarantine(w.other);
}

/* Operations */

static int
prepare_attach(void)
{
	return attach_first(w.n_devices - 1);
}

static int
prepare_replay(void)
{
	int rc = prepare_attach();

	return rc == 0 ? base_maps() : rc;
}

static int
run_attach(void)
{
	return attach(w.c, w.n_devices - 1);
}

static int
prepare_all(void)
{
	int rc = attach_first(w.n_devices);

	return rc == 0 ? base_maps() : rc;
}

static int
run_map(void)
{
	return map(w.c, buf + 8 * CHUNK, CHUNK, DMAMAP_RW, 0);
}

static int
run_map_taken(void)
{
	return map(w.c, buf + 8 * CHUNK, PAGE, DMAMAP_RW, w.taken + 4 * PAGE);
}

static int
run_map_sg(void)
{
	const struct dmamap_sge sge[] = {
		{buf + 8 * CHUNK, PAGE}, {buf + 10 * CHUNK, 2 * PAGE}, {buf + 9 * CHUNK, PAGE}};
	rte_iova_t iova;
	int rc = dmamap_map_sg(w.c, sge, RTE_DIM(sge), DMAMAP_RW, &iova);
	unsigned int i;

	for (i = 0; rc == 0 && i < RTE_DIM(sge); i++) {
		expect(w.c, sge[i].va, sge[i].len, DMAMAP_RW, iova);
		iova += sge[i].len;
	}
	return rc;
}

static int
prepare_unmap(void)
{
	int rc = prepare_all();

	return rc == 0 ? run_map_sg() : rc;
}

static int
run_unmap(void)
{
	int rc = dmamap_unmap(w.c, w.maps[w.n_maps - 3].iova, 4 * PAGE);

	if (rc == 0 || rc == -EIO)
		w.n_maps -= 3;
	return rc;
}

static int
run_zone_alloc(void)
{
	const struct dmamap_zone_conf conf = {.len = 3 * PAGE, .page_size = PAGE, .name = "swept"};
	int rc = dmamap_zone_alloc(w.c, &conf, &w.zone);

	if (rc == 0)
		expect(w.c, dmamap_zone_va(w.zone), dmamap_zone_len(w.zone), DMAMAP_RW,
			dmamap_zone_iova(w.zone));
	return rc;
}

static int
prepare_zone_free(void)
{
	int rc = prepare_all();

	return rc == 0 ? run_zone_alloc() : rc;
}

static int
run_zone_free(void)
{
	int rc = dmamap_zone_free(w.zone);

	if (rc == 0 || rc == -EIO)
		w.n_maps--;
	return rc;
}

/** A zone that has grown once. */
static int
prepare_growth(void)
{
	const struct dmamap_zone_conf conf = {
		.len = 3 * PAGE, .max_len = CHUNK, .page_size = PAGE, .name = "swept"};

	TEST_ASSERT_SUCCESS(prepare_all(), "all");
	TEST_ASSERT_SUCCESS(dmamap_zone_alloc(w.c, &conf, &w.zone), "zone");
	expect(w.c, dmamap_zone_va(w.zone), 3 * PAGE, DMAMAP_RW, dmamap_zone_iova(w.zone));
	TEST_ASSERT_SUCCESS(dmamap_zone_resize(w.zone, 5 * PAGE), "growth");
	expect(w.c, RTE_PTR_ADD(dmamap_zone_va(w.zone), 3 * PAGE), 2 * PAGE, DMAMAP_RW,
		dmamap_zone_iova(w.zone) + 3 * PAGE);
	return 0;
}

static int
run_growth(void)
{
	int rc = dmamap_zone_resize(w.zone, 9 * PAGE);

	if (rc == 0)
		expect(w.c, RTE_PTR_ADD(dmamap_zone_va(w.zone), 5 * PAGE), 4 * PAGE, DMAMAP_RW,
			dmamap_zone_iova(w.zone) + 5 * PAGE);
	return rc;
}

static int
prepare_shrinking(void)
{
	int rc = prepare_growth();

	return rc == 0 ? run_growth() : rc;
}

/** Shrink a zone by two growths at once. */
static int
run_shrinking(void)
{
	int rc = dmamap_zone_resize(w.zone, 3 * PAGE);

	if (rc == 0 || rc == -EIO)
		w.n_maps -= 2;
	return rc;
}

static int
run_detach(void)
{
	int rc = dmamap_container_detach(w.dev[w.n_devices - 1]);

	if (rc == 0)
		w.dev[w.n_devices - 1] = NULL;
	return rc;
}

/** The other container has a device and mappings of its own. */
static int
prepare_merge(void)
{
	rte_iova_t taken = 0x70000000;

	TEST_ASSERT_SUCCESS(prepare_all(), "all");
	TEST_ASSERT_SUCCESS(attach(w.other, MAX_DOMAINS), "attach");
	TEST_ASSERT_SUCCESS(map(w.other, buf + 4 * CHUNK, PAGE, DMAMAP_RW, 0x60000000), "map");
	TEST_ASSERT_SUCCESS(map(w.other, buf + 5 * CHUNK, CHUNK, DMAMAP_READ, 0x60100000), "map");
	TEST_ASSERT_SUCCESS(dmamap_iova_reserve(w.other, CHUNK, 0,
				    (struct dmamap_range){taken, taken + CHUNK - 1}, &taken),
		"reserve");
	return 0;
}

static int
run_merge(void)
{
	int rc = dmamap_container_merge(w.c, w.other);
	unsigned int i;

	for (i = 0; rc == 0 && i < w.n_maps; i++)
		w.maps[i].c = w.c;
	return rc;
}

static int
run_move(void)
{
	return dmamap_device_move(w.dev[w.n_devices - 1], w.other);
}

struct operation {
	const char *name;
	int (*prepare)(void);
	int (*run)(void);
	bool unmaps; /**< the operation unmaps, so its undo maps; otherwise the operation maps and
			its undo unmaps */
	bool reopens; /**< the undo opens files again, in another order */
	bool never_fails;
	bool quarantine_bars; /**< a range that stays quarantined makes a retry fail */
};

static const struct operation op_attach = {
	.name = "attach", .prepare = prepare_attach, .run = run_attach};
static const struct operation op_replay = {
	.name = "replay", .prepare = prepare_replay, .run = run_attach};
static const struct operation op_map = {.name = "map", .prepare = prepare_all, .run = run_map};
static const struct operation op_map_taken = {.name = "map into a reservation",
	.prepare = prepare_all,
	.run = run_map_taken,
	.quarantine_bars = true};
static const struct operation op_map_sg = {
	.name = "map of a list", .prepare = prepare_all, .run = run_map_sg};
static const struct operation op_unmap = {
	.name = "unmap", .prepare = prepare_unmap, .run = run_unmap, .unmaps = true};
static const struct operation op_zone_alloc = {
	.name = "zone allocation", .prepare = prepare_all, .run = run_zone_alloc};
static const struct operation op_zone_free = {
	.name = "zone free", .prepare = prepare_zone_free, .run = run_zone_free, .unmaps = true};
static const struct operation op_growth = {.name = "growth of a zone",
	.prepare = prepare_growth,
	.run = run_growth,
	.quarantine_bars = true};
static const struct operation op_shrinking = {.name = "shrinking of a zone",
	.prepare = prepare_shrinking,
	.run = run_shrinking,
	.unmaps = true};
static const struct operation op_detach = {
	.name = "detach", .prepare = prepare_all, .run = run_detach, .never_fails = true};
static const struct operation op_merge = {
	.name = "merge", .prepare = prepare_merge, .run = run_merge, .quarantine_bars = true};
static const struct operation op_move = {
	.name = "move", .prepare = prepare_merge, .run = run_move, .reopens = true};

/* The sweep */

/** Errors that a kind of call can return, besides ENOMEM, which is tried first; 0 ends a list. */
static const int errnos[VFIO_MOCK_N_CALLS][6] = {
	[VFIO_MOCK_LOOKUP] = {ENOENT, ENODEV, EIO, EACCES},
	[VFIO_MOCK_OPEN] = {ENOENT, EACCES, EBUSY, EMFILE, ENODEV},
	[VFIO_MOCK_CHECK_EXTENSION] = {EINVAL},
	[VFIO_MOCK_GROUP_STATUS] = {EINVAL, ENODEV},
	[VFIO_MOCK_SET_CONTAINER] = {EINVAL, EPERM, EBUSY, EBADF, ENODEV},
	[VFIO_MOCK_SET_IOMMU] = {EINVAL, EPERM, ENODEV},
	[VFIO_MOCK_GET_DEVICE_FD] = {EINVAL, ENODEV, EBUSY, EACCES, EIO},
	[VFIO_MOCK_GET_INFO] = {EINVAL, EFAULT},
	[VFIO_MOCK_MAP] = {EINVAL, EEXIST, ENOSPC, EFAULT, EBUSY},
	[VFIO_MOCK_UNMAP] = {EINVAL, EFAULT, EIO},
	[VFIO_MOCK_IOMMU_DESTROY] = {EBUSY, ENOENT},
	[VFIO_MOCK_IOVA_RANGES] = {EMSGSIZE, ENOENT, EFAULT},
	[VFIO_MOCK_IOAS_MAP] = {EINVAL, EEXIST, EFAULT, EPERM, EOVERFLOW, ENOENT},
	[VFIO_MOCK_IOAS_COPY] = {EINVAL, EEXIST, ENOENT, EPERM, EOVERFLOW},
	[VFIO_MOCK_IOAS_UNMAP] = {EINVAL, ENOENT, EBUSY, EOVERFLOW, EDEADLK},
	[VFIO_MOCK_VFIO_IOAS] = {ENOENT, EOPNOTSUPP},
	[VFIO_MOCK_BIND_IOMMUFD] = {EINVAL, EBUSY, EPERM, EACCES, ENODEV},
	[VFIO_MOCK_ATTACH_PT] = {EINVAL, EADDRINUSE, EBUSY, ENODEV, ENOENT},
	[VFIO_MOCK_DETACH_PT] = {EINVAL},
	[VFIO_MOCK_IOMMU_ATTACH] = {EINVAL, EBUSY, ENODEV},
	[VFIO_MOCK_IOMMU_MAP] = {EINVAL, EFAULT},
};

/** Additional faults. */
enum trouble {
	ONCE, /**< none: one call fails */
	WAY_BACK_TOO, /**< every call of the undo fails, too */
	SHORT_UNMAP, /**< an unmap does nothing and reports it */
	SHORTER_UNMAP, /**< an unmap stops half-way and reports it */
};

static const char *const trouble_names[] = {"", ", and the way back", ", short", ", half-way"};

static void
arm(const struct operation *op, enum trouble trouble, unsigned int nth, int err)
{
	if (trouble == SHORT_UNMAP || trouble == SHORTER_UNMAP) {
		vfio_mock_short_unmap(w.mock, nth, trouble == SHORT_UNMAP ? 0 : PAGE);
		return;
	}
	vfio_mock_fail(w.mock, KINDS, nth, err);
	if (trouble == WAY_BACK_TOO)
		vfio_mock_fail_all(w.mock, op->unmaps ? MAPS : UNMAPS, ENOMEM);
}

static void
disarm(void)
{
	vfio_mock_fail(w.mock, 0, 0, 0);
	vfio_mock_fail_all(w.mock, KINDS, 0);
	vfio_mock_short_unmap(w.mock, 0, 0);
}

static int
compare_lines(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/**
 * Sort the lines and remove file numbers, so that files which were closed and opened again compare
 * equal.
 */
static void
forget_order(char *text)
{
	char *lines[1024], *copy = strdup(text), *rest = copy, *line, *number;
	unsigned int n = 0, i;

	while ((line = strsep(&rest, "\n")) != NULL && n < RTE_DIM(lines)) {
		number = strstr(line, "files ");
		if (number != NULL)
			memmove(number, number + 7, strlen(number + 7) + 1);
		if (strncmp(line, "file ", 5) == 0)
			line = strchr(line, ':');
		/*
		 * Remove domain numbers from the owners of ranges: a domain that was made again has
		 * another number.
		 */
		number = strstr(line, "IOAS ");
		if (number != NULL)
			memset(number, ' ', strcspn(number, ","));
		number = strstr(line, "] domain ");
		if (number != NULL)
			number[8] = '\0';
		lines[n++] = line;
	}
	qsort(lines, n, sizeof(lines[0]), compare_lines);
	text[0] = '\0';
	for (i = 0; i < n; i++)
		sprintf(text + strlen(text), "%s\n", lines[i]);
	free(copy);
}

static void
print_difference(const char *before, const char *after)
{
	char *a = strdup(before), *b = strdup(after), *ra = a, *rb = b, *la, *lb;
	unsigned int shown = 0;

	while ((la = strsep(&ra, "\n")) != NULL && (lb = strsep(&rb, "\n")) != NULL && shown < 6)
		if (strcmp(la, lb) != 0) {
			printf("    before: %s\n    after:  %s\n", la, lb);
			shown++;
		}
	free(a);
	free(b);
}

/** Whether a loss was logged and quarantined. */
static bool
is_quarantined(const char *log)
{
	return (w.c->quarantined_len != 0 || w.other->quarantined_len != 0) &&
		strstr(log, "quarantine") != NULL;
}

/**
 * After a failure: everything is as before, or the loss is logged and quarantined. A retry must
 * succeed.
 */
static int
check_failure(
	const struct operation *op, enum trouble trouble, char *before, const char *log, int rc)
{
	bool quarantined = is_quarantined(log), same;
	char *after;

	disarm();
	after = snapshot();
	if (op->reopens) {
		forget_order(before);
		forget_order(after);
	}
	same = strcmp(before, after) == 0;
	if (!same && !quarantined)
		print_difference(before, after);
	free(after);
	now.quarantined += quarantined;
	TEST_ASSERT(same || quarantined, "not as before");
	TEST_ASSERT(!quarantined || trouble != ONCE,
		"something was lost, though the way back was free");
	TEST_ASSERT(log[0] != '\0', "nothing was said");
	TEST_ASSERT_SUCCESS(verify(), "not consistent after the failure");
	if (rc == -EIO && op->unmaps)
		return 0; /* lost for good */
	rc = op->run();
	if (quarantined && op->quarantine_bars && rc < 0)
		return 0;
	TEST_ASSERT_SUCCESS(rc, "a retry fails: %s", strerror(-rc));
	return verify();
}

/**
 * One failure point: the nth call fails. *kind returns the kind of call; -1: there were fewer
 * calls.
 */
static int
sweep_point(const struct operation *op, enum trouble trouble, unsigned int nth, int err, int *kind)
{
	char *before, *log;
	int rc;

	TEST_ASSERT_SUCCESS(op->prepare(), "prepare");
	before = snapshot();
	test_log_begin();
	arm(op, trouble, nth, err);
	rc = op->run();
	*kind = trouble < SHORT_UNMAP    ? vfio_mock_failed(w.mock)
		: w.mock->short_nth == 0 ? VFIO_MOCK_UNMAP
					 : -1;
	log = strdup(test_log_end());
	test_log_begin();
	if (*kind < 0) {
		disarm();
		rc = rc == 0 || trouble != ONCE ? 0 : rc;
	} else if (rc == 0) {
		now.absorbed++;
		disarm();
		rc = verify();
	} else {
		rc = check_failure(op, trouble, before, log, rc);
	}
	if (rc < 0)
		printf("    the log: %s", log);
	free(before);
	free(log);
	if (rc == 0)
		rc = destroy_world();
	test_log_end();
	return rc;
}

static int
sweep_errno(const struct operation *op, unsigned int n, enum dmamap_sharing sharing,
	enum trouble trouble, unsigned int nth, int err, int *kind)
{
	int rc = make_world(n, sharing);

	if (rc == 0)
		rc = sweep_point(op, trouble, nth, err, kind);
	if (rc < 0)
		printf("  %s, %u domains%s: call %u (%s) gives %s%s\n", op->name, n,
			sharing == DMAMAP_ISOLATE ? " apart" : "", nth,
			*kind < 0 ? "none" : vfio_mock_call_name(*kind), strerrorname_np(err),
			trouble_names[trouble]);
	now.differences += rc < 0;
	now.points += *kind >= 0;
	return rc;
}

/** Let each call of an operation fail in turn. */
static int
sweep(const struct operation *op, unsigned int n, enum dmamap_sharing sharing, enum trouble trouble)
{
	unsigned int nth, i;
	int kind, rc = 0;

	for (nth = 1; nth < MOST_CALLS; nth++) {
		kind = -1;
		rc |= sweep_errno(op, n, sharing, trouble, nth, ENOMEM, &kind);
		if (kind < 0)
			break;
		for (i = 0; trouble < SHORT_UNMAP && i < RTE_DIM(errnos[0]); i++)
			if (errnos[kind][i] != 0)
				rc |= sweep_errno(
					op, n, sharing, trouble, nth, errnos[kind][i], &kind);
	}
	TEST_ASSERT(nth < MOST_CALLS, "no end of calls");
	return rc;
}

/** An operation on 1, 2 and 5 domains, in one kernel container and in separate ones. */
static int
sweep_domains(const struct operation *op)
{
	static const unsigned int counts[] = {1, 2, MAX_DOMAINS};
	unsigned int i;
	int sharing, rc = 0;

	now = (struct counts){0};
	for (i = 0; i < RTE_DIM(counts); i++)
		for (sharing = DMAMAP_SHARE; sharing <= DMAMAP_ISOLATE; sharing++) {
			rc |= sweep(op, counts[i], sharing, ONCE);
			if (op->reopens || op->never_fails)
				continue;
			rc |= sweep(op, counts[i], sharing, WAY_BACK_TOO);
			if (!op->unmaps)
				continue;
			rc |= sweep(op, counts[i], sharing, SHORT_UNMAP);
			rc |= sweep(op, counts[i], sharing, SHORTER_UNMAP);
		}
	print_counts(op->name, &now);
	count_in(&of_backend, &now);
	TEST_ASSERT(now.points != 0, "nothing was tried");
	return rc == 0 ? TEST_SUCCESS : TEST_FAILED;
}

#define SWEEP(which)                                                                               \
	static int sweep_##which(void)                                                             \
	{                                                                                          \
		return sweep_domains(&op_##which);                                                 \
	}

SWEEP(attach)
SWEEP(replay)
SWEEP(map)
SWEEP(map_taken)
SWEEP(map_sg)
SWEEP(unmap)
SWEEP(zone_alloc)
SWEEP(zone_free)
SWEEP(growth)
SWEEP(shrinking)
SWEEP(detach)
SWEEP(merge)
SWEEP(move)

/**
 * Neither the move nor its undo succeeds: the device is in no container, which is logged. It can be
 * attached again.
 */
static int
move_loses_a_device(void)
{
	const char *log;

	TEST_ASSERT_SUCCESS(make_world(2, DMAMAP_SHARE), "world");
	TEST_ASSERT_SUCCESS(prepare_merge(), "prepare");
	test_log_begin();
	vfio_mock_fail_all(w.mock, 1 << VFIO_MOCK_OPEN, EMFILE);
	TEST_ASSERT_EQUAL(run_move(), -ENODEV, "moved");
	disarm();
	log = test_log_end();
	TEST_ASSERT(strstr(log, "is in no container now") != NULL, "the loss is not told: %s", log);
	TEST_ASSERT_SUCCESS(verify(), "not consistent");
	TEST_ASSERT_SUCCESS(dmamap_container_detach(w.dev[1]), "detach");
	w.dev[1] = NULL;
	TEST_ASSERT_SUCCESS(attach(w.other, 1), "attach");
	TEST_ASSERT_SUCCESS(verify(), "not consistent");
	return destroy_world();
}

/**
 * Ranges that are quarantined in one container are quarantined in the one that it is merged into.
 */
static int
merge_keeps_quarantine(void)
{
	const rte_iova_t iova = 0x61000000;

	TEST_ASSERT_SUCCESS(make_world(2, DMAMAP_SHARE), "world");
	TEST_ASSERT_SUCCESS(prepare_merge(), "prepare");
	TEST_ASSERT_SUCCESS(map(w.other, buf + 7 * CHUNK, PAGE, DMAMAP_RW, iova), "map");
	test_log_begin();
	vfio_mock_short_unmap(w.mock, 1, 0);
	w.n_maps--;
	TEST_ASSERT_EQUAL(dmamap_unmap(w.other, iova, PAGE), -EIO, "a short unmap");
	TEST_ASSERT_SUCCESS(run_merge(), "merge");
	TEST_ASSERT_EQUAL(map(w.c, buf + 7 * CHUNK, PAGE, DMAMAP_RW, iova), -EEXIST,
		"the quarantine is lost");
	test_log_end();
	TEST_ASSERT_EQUAL(w.c->quarantined_len, PAGE, "quarantined");
	TEST_ASSERT_SUCCESS(verify(), "not consistent");
	return destroy_world();
}

static void
print_sum(const char *what, const struct counts *c)
{
	printf("  %s: points failed: %u, absorbed: %u, in quarantine: %u, differences found: %u\n",
		what, c->points, c->absorbed, c->quarantined, c->differences);
}

/** Print the results of the backend's sweeps, and of all sweeps so far. */
static int
sum_up(void)
{
	static const char *const backends[] = {[DMAMAP_BACKEND_TYPE1] = "backend type1",
		[DMAMAP_BACKEND_IOMMUFD] = "backend iommufd"};
	unsigned int differences = of_backend.differences;

	print_sum(backends[backend], &of_backend);
	count_in(&of_all, &of_backend);
	print_sum("in all so far", &of_all);
	of_backend = (struct counts){0};
	TEST_ASSERT_EQUAL(differences, 0, "%u differences", differences);
	return TEST_SUCCESS;
}

static const struct test_case cases[] = {
	{"attach", sweep_attach},
	{"replay", sweep_replay},
	{"map", sweep_map},
	{"map into a reservation", sweep_map_taken},
	{"map of a list", sweep_map_sg},
	{"unmap", sweep_unmap},
	{"zone allocation", sweep_zone_alloc},
	{"zone free", sweep_zone_free},
	{"growth of a zone", sweep_growth},
	{"shrinking of a zone", sweep_shrinking},
	{"detach", sweep_detach},
	{"merge", sweep_merge},
	{"move", sweep_move},
	{"a device that can be moved neither there nor back is lost, and said to be",
		move_loses_a_device},
	{"what was in quarantine stays so after a merge", merge_keeps_quarantine},
	{"no difference was found", sum_up},
};

static int
setup(enum dmamap_backend which)
{
	backend = which;
	buf = mmap(NULL, BUF_LEN, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	TEST_ASSERT(buf != MAP_FAILED, "mmap");
	w = (struct world){0};
	return 0;
}

static int
setup_type1(void)
{
	return setup(DMAMAP_BACKEND_TYPE1);
}

static int
setup_iommufd(void)
{
	return setup(DMAMAP_BACKEND_IOMMUFD);
}

static void
teardown(void)
{
	munmap(buf, BUF_LEN);
}

#define SWEEP_SUITE(suite, suite_name, begin)                                                      \
	REGISTER_TEST_SUITE(suite) = {                                                             \
		.name = suite_name,                                                                \
		.kind = TEST_FAST,                                                                 \
		.cases = cases,                                                                    \
		.n_cases = RTE_DIM(cases),                                                         \
		.setup = begin,                                                                    \
		.teardown = teardown,                                                              \
	}

SWEEP_SUITE(sweep_of_type1, "sweep_type1", setup_type1);
SWEEP_SUITE(sweep_of_iommufd, "sweep_iommufd", setup_iommufd);
