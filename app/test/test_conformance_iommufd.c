/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Conformance suites for iommufd: facts 23 to 28 of doc/conformance.md, run on the mock and on
 * Linux alike.
 */

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <rte_common.h>

#include "conformance_bench.h"
#include "iommufd_abi.h"

#define R ABI_IOAS_MAP_READABLE
#define W ABI_IOAS_MAP_WRITEABLE
#define FIXED ABI_IOAS_MAP_FIXED_IOVA
#define ANYWHERE UINT64_MAX /* for map(): the kernel chooses */
#define BEYOND (UINT64_C(1) << 62) /* above the aperture of all present IOMMUs */

/* Calls */

static int
ioctl_at(int fd, unsigned long request, void *arg)
{
	return k->ioctl(fd, request, (unsigned long)arg);
}

/** @return the number of a new IOAS, or the kernel's error. */
static int
make_ioas(int iommufd)
{
	struct abi_ioas_alloc cmd = {.size = sizeof(cmd)};
	int rc = ioctl_at(iommufd, ABI_IOMMU_IOAS_ALLOC, &cmd);

	return rc < 0 ? rc : (int)cmd.out_ioas_id;
}

static int
destroy(int iommufd, uint32_t id)
{
	struct abi_iommu_destroy cmd = {.size = sizeof(cmd), .id = id};

	return ioctl_at(iommufd, ABI_IOMMU_DESTROY, &cmd);
}

/** Map an address. *iova is the IOVA with FIXED, otherwise it returns the kernel's choice. */
static int
map_at(int iommufd, uint32_t ioas, uint64_t *iova, uint64_t va, uint64_t len, uint32_t flags)
{
	struct abi_ioas_map cmd = {.size = sizeof(cmd),
		.flags = flags,
		.ioas_id = ioas,
		.user_va = va,
		.length = len,
		.iova = flags & FIXED ? *iova : 0};
	int rc = ioctl_at(iommufd, ABI_IOMMU_IOAS_MAP, &cmd);

	if (rc == 0)
		*iova = cmd.iova;
	return rc;
}

/** Map pages of `memory` at iova. */
static int
map(int iommufd, uint32_t ioas, uint64_t iova, unsigned int page, unsigned int pages)
{
	return map_at(iommufd, ioas, &iova, (uintptr_t)memory + page * PAGE, (uint64_t)pages * PAGE,
		R | W | FIXED);
}

static int
unmap(int iommufd, uint32_t ioas, uint64_t iova, uint64_t len, uint64_t *done)
{
	struct abi_ioas_unmap cmd = {
		.size = sizeof(cmd), .ioas_id = ioas, .iova = iova, .length = len};
	int rc = ioctl_at(iommufd, ABI_IOMMU_IOAS_UNMAP, &cmd);

	*done = rc == 0 ? cmd.length : 0;
	return rc;
}

static int
copy(int iommufd, uint32_t to, uint64_t to_iova, uint32_t from, uint64_t from_iova, uint64_t len,
	uint32_t flags)
{
	struct abi_ioas_copy cmd = {.size = sizeof(cmd),
		.flags = flags | FIXED,
		.dst_ioas_id = to,
		.src_ioas_id = from,
		.length = len,
		.dst_iova = to_iova,
		.src_iova = from_iova};

	return ioctl_at(iommufd, ABI_IOMMU_IOAS_COPY, &cmd);
}

/** Get the ranges of an IOAS, with an array of `max` ranges. @return the kernel's result */
static int
read_ranges(int iommufd, uint32_t ioas, uint32_t max, struct facts *f)
{
	struct abi_iova_range ranges[RTE_DIM(f->ranges)];
	struct abi_ioas_iova_ranges cmd = {.size = sizeof(cmd),
		.ioas_id = ioas,
		.num_iovas = max,
		.allowed_iovas = (uintptr_t)ranges};
	int rc = ioctl_at(iommufd, ABI_IOMMU_IOAS_IOVA_RANGES, &cmd);
	uint32_t i;

	*f = (struct facts){.n_ranges = cmd.num_iovas, .page_sizes = cmd.out_iova_alignment};
	for (i = 0; i < RTE_MIN(cmd.num_iovas, max); i++)
		f->ranges[i] = (struct dmamap_range){ranges[i].start, ranges[i].last};
	return rc;
}

static int
allow(int iommufd, uint32_t ioas, const struct abi_iova_range *ranges, uint32_t n)
{
	struct abi_ioas_allow_iovas cmd = {.size = sizeof(cmd),
		.ioas_id = ioas,
		.num_iovas = n,
		.allowed_iovas = (uintptr_t)ranges};

	return ioctl_at(iommufd, ABI_IOMMU_IOAS_ALLOW_IOVAS, &cmd);
}

static int
open_cdev(const struct place *place)
{
	char path[64];

	snprintf(path, sizeof(path), "/dev/vfio/devices/%s", place->cdev);
	return k_open(path);
}

static int
bind_to(int cdev, int iommufd)
{
	struct abi_vfio_bind_iommufd cmd = {
		.argsz = offsetof(struct abi_vfio_bind_iommufd, token_uuid_ptr),
		.iommufd = iommufd};

	return ioctl_at(cdev, ABI_VFIO_BIND_IOMMUFD, &cmd);
}

/** @param table  returns the id of the page table; NULL: not wanted */
static int
attach_to(int cdev, uint32_t ioas, uint32_t *table)
{
	struct abi_vfio_attach_pt cmd = {.argsz = sizeof(cmd), .pt_id = ioas};
	int rc = ioctl_at(cdev, ABI_VFIO_ATTACH_PT, &cmd);

	if (table != NULL)
		*table = cmd.pt_id;
	return rc;
}

static int
detach_from(int cdev)
{
	struct abi_vfio_detach_pt cmd = {.argsz = sizeof(cmd)};

	return ioctl_at(cdev, ABI_VFIO_DETACH_PT, &cmd);
}

/* Preconditions of a case */

/** An iommufd with one IOAS, and a device that is bound to it. */
struct stand {
	struct probed *at;
	int i; /**< /dev/iommu */
	uint32_t s; /**< the IOAS */
	int d; /**< the device */
};

static int
stand_open_iommufd(struct stand *st)
{
	int id;

	st->i = k_open("/dev/iommu");
	TEST_ASSERT(st->i >= 0, "/dev/iommu: %s", answer_name(st->i));
	id = make_ioas(st->i);
	TEST_ASSERT(id > 0, "IOAS_ALLOC: %s", answer_name(id));
	st->s = id;
	return TEST_SUCCESS;
}

/** Open a device and bind it to an iommufd; its file goes to *d. */
static int
bind_place(enum need need, int iommufd, struct probed **p, int *d)
{
	TRY(get_place(need, p));
	if ((*p)->place.cdev[0] == '\0')
		return test_skip("no character device of %s", (*p)->place.name);
	*d = open_cdev(&(*p)->place);
	TEST_ASSERT(*d >= 0, "%s: %s", (*p)->place.cdev, answer_name(*d));
	WANT("BIND", bind_to(*d, iommufd), 0);
	return TEST_SUCCESS;
}

static int
stand_open(struct stand *st, bool attached)
{
	TRY(stand_open_iommufd(st));
	TRY(bind_place(PLAIN, st->i, &st->at, &st->d));
	if (attached)
		WANT("ATTACH", attach_to(st->d, st->s, NULL), 0);
	return TEST_SUCCESS;
}

/**
 * The first range that every device here reserves, found by the ranges of an IOAS with one device.
 */
static int
find_reserved(struct stand *st, struct dmamap_range *r)
{
	struct facts f;

	WANT("ATTACH", attach_to(st->d, st->s, NULL), 0);
	WANT("IOVA_RANGES", read_ranges(st->i, st->s, RTE_DIM(f.ranges), &f), 0);
	WANT("DETACH", detach_from(st->d), 0);
	if (f.n_ranges < 2)
		return test_skip("no reserved range here");
	*r = (struct dmamap_range){f.ranges[0].last + 1, f.ranges[1].start - 1};
	return TEST_SUCCESS;
}

/* 23: attaching a device */

/**
 * A map is in the way: the attach is refused and changes nothing. Without the map it is accepted.
 */
static int
refused_over(struct stand *st, uint64_t iova, uint64_t len)
{
	struct facts before, after;
	uint64_t done;

	WANT("MAP before the attach",
		map_at(st->i, st->s, &iova, (uintptr_t)memory, len, R | W | FIXED), 0);
	WANT("IOVA_RANGES", read_ranges(st->i, st->s, RTE_DIM(before.ranges), &before), 0);
	WANT("ATTACH", attach_to(st->d, st->s, NULL), -EADDRINUSE);
	WANT("IOVA_RANGES", read_ranges(st->i, st->s, RTE_DIM(after.ranges), &after), 0);
	TEST_ASSERT(same_facts(&before, &after), "the refused attach changed the IOAS");
	WANT("UNMAP", unmap(st->i, st->s, iova, len, &done), 0);
	TEST_ASSERT_EQUAL(done, len, "size");
	WANT("ATTACH without the map", attach_to(st->d, st->s, NULL), 0);
	WANT("MAP where nothing may be",
		map_at(st->i, st->s, &iova, (uintptr_t)memory, len, R | W | FIXED), -EINVAL);
	return TEST_SUCCESS;
}

static int
fact_23_map_over_reserved(void)
{
	struct dmamap_range r;
	struct stand st;

	TRY(stand_open(&st, false));
	TRY(find_reserved(&st, &r));
	return refused_over(&st, r.start, PAGE);
}

static int
fact_23_map_outside_aperture(void)
{
	struct stand st;

	TRY(stand_open(&st, false));
	if (in_ranges(&st.at->facts, BEYOND))
		return test_skip("no end of the aperture here");
	return refused_over(&st, BEYOND, PAGE);
}

static int
fact_23_map_not_aligned(void)
{
	struct stand st;

	TRY(stand_open(&st, false));
	return refused_over(&st, IOVA + PAGE / 2, PAGE / 2);
}

static int
fact_23_map_over_reserved_of_another(void)
{
	struct probed *p;
	struct stand st;
	uint64_t done;
	int d;

	TRY(stand_open(&st, true));
	TRY(bind_place(RESERVED, st.i, &p, &d));
	WANT("MAP", map(st.i, st.s, p->special.start, 0, 1), 0);
	WANT("ATTACH", attach_to(d, st.s, NULL), -EADDRINUSE);
	WANT("UNMAP", unmap(st.i, st.s, p->special.start, PAGE, &done), 0);
	TEST_ASSERT_EQUAL(done, PAGE, "size");
	WANT("ATTACH without the map", attach_to(d, st.s, NULL), 0);
	return TEST_SUCCESS;
}

static int
fact_23_allowed_over_reserved(void)
{
	struct dmamap_range r;
	struct abi_iova_range allowed;
	struct stand st;

	TRY(stand_open(&st, false));
	TRY(find_reserved(&st, &r));
	allowed = (struct abi_iova_range){r.start, r.last};
	WANT("ALLOW_IOVAS before the attach", allow(st.i, st.s, &allowed, 1), 0);
	WANT("ATTACH", attach_to(st.d, st.s, NULL), -EADDRINUSE);
	WANT("ALLOW_IOVAS of anything", allow(st.i, st.s, NULL, 0), 0);
	WANT("ATTACH", attach_to(st.d, st.s, NULL), 0);
	return TEST_SUCCESS;
}

static int
fact_23_one_group_one_table(void)
{
	struct probed *twin, *second;
	struct stand st;
	int d, d2, other;

	TRY(stand_open(&st, true));
	TRY(bind_place(TWIN, st.i, &twin, &d));
	other = make_ioas(st.i);
	WANT("ATTACH of the same group elsewhere", attach_to(d, other, NULL), -EINVAL);
	if (find_place(SECOND) != NULL) {
		TRY(bind_place(SECOND, st.i, &second, &d2));
		WANT("ATTACH of another group", attach_to(d2, other, NULL), 0);
		WANT("ATTACH of the same group to its table", attach_to(d, other, NULL), -EINVAL);
	}
	WANT("ATTACH", attach_to(d, st.s, NULL), 0);
	return TEST_SUCCESS;
}

static int
fact_23_group_of_another_iommufd(void)
{
	struct stand st, other;
	struct probed *twin;
	int d;

	TRY(stand_open(&st, true));
	TRY(get_place(TWIN, &twin));
	TRY(stand_open_iommufd(&other));
	d = open_cdev(&twin->place);
	TEST_ASSERT(d >= 0, "%s: %s", twin->place.cdev, answer_name(d));
	WANT("BIND of a group of another iommufd", bind_to(d, other.i), -EPERM, -EBUSY);
	return TEST_SUCCESS;
}

static int
fact_23_attach_again_moves(void)
{
	struct dmamap_range r;
	struct stand st;
	int other;

	TRY(stand_open(&st, false));
	TRY(find_reserved(&st, &r));
	WANT("ATTACH", attach_to(st.d, st.s, NULL), 0);
	other = make_ioas(st.i);
	WANT("MAP in the other IOAS", map(st.i, other, r.start, 0, 1), 0);
	WANT("ATTACH to it", attach_to(st.d, other, NULL), -EADDRINUSE);
	WANT("the old one is in use", destroy(st.i, st.s), -EBUSY);
	WANT("UNMAP", unmap(st.i, other, r.start, PAGE, &(uint64_t){0}), 0);
	WANT("ATTACH again", attach_to(st.d, other, NULL), 0);
	WANT("the old one is free", destroy(st.i, st.s), 0);
	WANT("the new one is in use", destroy(st.i, other), -EBUSY);
	return TEST_SUCCESS;
}

/** Whether two devices share a page table. Map events are evaluated as for fact 7. */
static int
two_devices(enum need need, bool *shared)
{
	uint32_t first, second;
	int64_t start, joined;
	struct probed *p;
	struct stand st;
	int d;

	TRY(stand_open(&st, false));
	TRY(bind_place(need, st.i, &p, &d));
	WANT("ATTACH", attach_to(st.d, st.s, &first), 0);
	WANT("MAP", map(st.i, st.s, IOVA, 0, 1), 0);
	start = k->map_events();
	WANT("ATTACH of the second", attach_to(d, st.s, &second), 0);
	joined = k->map_events();
	WANT("MAP", map(st.i, st.s, IOVA + PAGE, 1, 1), 0);
	*shared = first == second;
	if (start < 0)
		seen("not counted: no iommu tracepoints here");
	else
		seen("at the attach %" PRId64 ", for a map %" PRId64 " entries into tables",
			joined - start, k->map_events() - joined);
	TEST_ASSERT(start < 0 || (joined != start) == !*shared, "a replay for nothing, or none");
	return TEST_SUCCESS;
}

static int
fact_23_compatible_device_joins(void)
{
	bool shared;

	TRY(two_devices(SECOND, &shared));
	if (!shared)
		return test_skip("this kernel gives each group a page table of its own");
	return TEST_SUCCESS;
}

static int
fact_23_incompatible_device_gets_a_table(void)
{
	bool shared;

	TRY(two_devices(find_place(OTHER_IOMMU) != NULL ? OTHER_IOMMU : SECOND, &shared));
	return shared ? test_skip("all groups here share one page table") : TEST_SUCCESS;
}

static int
fact_23_order_of_calls(void)
{
	struct stand st;
	int again, file;

	TRY(stand_open_iommufd(&st));
	TRY(get_place(PLAIN, &st.at));
	if (st.at->place.cdev[0] == '\0')
		return test_skip("no character device of %s", st.at->place.name);
	st.d = open_cdev(&st.at->place);
	WANT("ATTACH before BIND", attach_to(st.d, st.s, NULL), -EINVAL);
	WANT("BIND to a bad fd", bind_to(st.d, 9999), -EBADF);
	WANT("BIND to an fd that is no iommufd", bind_to(st.d, st.d), -EBADFD);
	WANT("BIND", bind_to(st.d, st.i), 0);
	WANT("BIND again", bind_to(st.d, st.i), -EINVAL);
	again = open_cdev(&st.at->place);
	TEST_ASSERT(again >= 0, "a second open: %s", answer_name(again));
	WANT("BIND of a device that is bound", bind_to(again, st.i), -EINVAL);
	WANT("group opened while a device is bound", k_open_group(&st.at->place), -EBUSY);
	WANT("ATTACH to what is not there", attach_to(st.d, 12345, NULL), -ENOENT);
	WANT("DETACH of what is not attached", detach_from(st.d), 0);
	WANT("ATTACH", attach_to(st.d, st.s, NULL), 0);
	WANT("DESTROY of what is in use", destroy(st.i, st.s), -EBUSY);
	k_close(st.d);
	WANT("DESTROY of what no device uses", destroy(st.i, st.s), 0);
	WANT("DESTROY of what is not there", destroy(st.i, st.s), -ENOENT);
	file = k_open_group(&st.at->place);
	TEST_ASSERT(file >= 0, "group: %s", answer_name(file));
	WANT("BIND while the group is open", bind_to(again, st.i), -EBUSY);
	return TEST_SUCCESS;
}

/* 24: mapping */

static int
fact_24_map_errors(void)
{
	uint64_t va = (uintptr_t)memory, top = UINT64_MAX - PAGE + 1, iova = IOVA, odd = IOVA + 1;
	struct abi_ioas_map small = {.size = 8, .flags = R | FIXED};
	struct dmamap_range r;
	struct stand st;

	TRY(stand_open(&st, false));
	TRY(find_reserved(&st, &r));
	WANT("ATTACH", attach_to(st.d, st.s, NULL), 0);
	WANT("size", ioctl_at(st.i, ABI_IOMMU_IOAS_MAP, &small), -EINVAL);
	WANT("unknown flag", map_at(st.i, st.s, &iova, va, PAGE, R | FIXED | 1u << 20),
		-EOPNOTSUPP);
	WANT("no access", map_at(st.i, st.s, &iova, va, PAGE, FIXED), -EINVAL);
	WANT("no such IOAS", map(st.i, 12345, IOVA, 0, 1), -ENOENT);
	WANT("length 0", map(st.i, st.s, IOVA, 0, 0), -EINVAL);
	WANT("length not aligned", map_at(st.i, st.s, &iova, va, PAGE / 2, R | FIXED), -EINVAL);
	WANT("IOVA not aligned", map_at(st.i, st.s, &odd, va, PAGE, R | FIXED), -EINVAL);
	WANT("address not aligned", map_at(st.i, st.s, &iova, va + 1, PAGE, R | FIXED), -EINVAL);
	WANT("IOVA wraps", map_at(st.i, st.s, &top, va, 2 * PAGE, R | FIXED), -EOVERFLOW);
	WANT("address wraps", map_at(st.i, st.s, &iova, top, 2 * PAGE, R | FIXED), -EOVERFLOW);
	WANT("length of all ones", map_at(st.i, st.s, &iova, va, UINT64_MAX, R | FIXED),
		-EOVERFLOW);
	WANT("reserved", map(st.i, st.s, r.start, 0, 1), -EINVAL);
	WANT("reserved from its second page on", map(st.i, st.s, r.start - PAGE, 0, 2), -EINVAL);
	WANT("MAP", map(st.i, st.s, IOVA, 0, 4), 0);
	WANT("the same again", map(st.i, st.s, IOVA, 0, 4), -EEXIST);
	WANT("overlap in front", map(st.i, st.s, IOVA - PAGE, 0, 2), -EEXIST);
	WANT("overlap behind", map(st.i, st.s, IOVA + 3 * PAGE, 0, 2), -EEXIST);
	WANT("MAP in front", map(st.i, st.s, IOVA - PAGE, 0, 1), 0);
	return TEST_SUCCESS;
}

static int
fact_24_all_or_nothing(void)
{
	uint64_t pinned = k->pinned();
	struct stand st;

	TRY(stand_open(&st, true));
	WANT("MAP of memory with a hole", map(st.i, st.s, IOVA, PAGES - 4, 8), -EFAULT, -ENOMEM);
	TEST_ASSERT_EQUAL(k->pinned(), pinned, "memory stays pinned");
	WANT("MAP of what is there", map(st.i, st.s, IOVA, PAGES - 4, 4), 0);
	TEST_ASSERT_EQUAL(k->pinned(), pinned + 4 * PAGE, "four pages");
	return TEST_SUCCESS;
}

static int
fact_24_automatic(void)
{
	static const struct abi_iova_range three = {IOVA, IOVA + 3 * PAGE - 1};
	uint64_t va = (uintptr_t)memory, at = 0, next = 0, done;
	struct facts f;
	struct stand st;

	TRY(stand_open(&st, true));
	WANT("IOVA_RANGES", read_ranges(st.i, st.s, RTE_DIM(f.ranges), &f), 0);
	WANT("automatic MAP", map_at(st.i, st.s, &at, va, PAGE, R), 0);
	seen("the first is at %#" PRIx64, at);
	TEST_ASSERT(at != 0 && in_ranges(&f, at), "not in a range: %#" PRIx64, at);
	WANT("UNMAP", unmap(st.i, st.s, at, PAGE, &done), 0);

	WANT("ALLOW_IOVAS", allow(st.i, st.s, &three, 1), 0);
	WANT("automatic with no space", map_at(st.i, st.s, &at, va, 4 * PAGE, R), -ENOSPC);
	WANT("automatic MAP", map_at(st.i, st.s, &at, va, PAGE, R), 0);
	TEST_ASSERT_EQUAL(at, IOVA, "%#" PRIx64, at);
	WANT("automatic MAP", map_at(st.i, st.s, &next, va + PAGE, PAGE, R), 0);
	TEST_ASSERT_EQUAL(next, IOVA + PAGE, "%#" PRIx64, next);
	WANT("automatic with no space left", map_at(st.i, st.s, &next, va, 2 * PAGE, R), -ENOSPC);
	WANT("fixed MAP outside of what is allowed", map(st.i, st.s, IOVA + 16 * PAGE, 0, 1), 0);
	return TEST_SUCCESS;
}

static int
fact_24_pinned_with_a_device(void)
{
	uint64_t pinned = k->pinned();
	struct stand st;

	TRY(stand_open(&st, false));
	WANT("MAP without a device", map(st.i, st.s, IOVA, 0, 4), 0);
	TEST_ASSERT_EQUAL(k->pinned(), pinned, "pinned without a device");
	WANT("ATTACH", attach_to(st.d, st.s, NULL), 0);
	TEST_ASSERT_EQUAL(k->pinned(), pinned + 4 * PAGE, "not pinned with a device");
	WANT("DETACH", detach_from(st.d), 0);
	TEST_ASSERT_EQUAL(k->pinned(), pinned, "still pinned");
	WANT("the map stays", map(st.i, st.s, IOVA, 0, 1), -EEXIST);
	WANT("MAP of what is not there, without a device",
		map(st.i, st.s, IOVA + 8 * PAGE, PAGES, 1), 0);
	WANT("ATTACH", attach_to(st.d, st.s, NULL), -EFAULT, -ENOMEM);
	TEST_ASSERT_EQUAL(k->pinned(), pinned, "the refused attach pins");
	return TEST_SUCCESS;
}

static int
fact_24_limit(void)
{
	uint64_t pinned = k->pinned();
	int capable, over, within;
	struct stand st;

	TRY(stand_open(&st, true));
	if (k->limit_memory(pinned + 2 * PAGE, true) < 0)
		return test_skip("the limit cannot be changed here");
	capable = map(st.i, st.s, IOVA, 0, 8);
	unmap(st.i, st.s, IOVA, 8 * PAGE, &(uint64_t){0});
	k->limit_memory(pinned + 2 * PAGE, false);
	over = map(st.i, st.s, IOVA, 0, 4);
	within = map(st.i, st.s, IOVA, 0, 2);
	k->limit_memory(0, true);
	WANT("MAP over the limit with CAP_IPC_LOCK", capable, 0);
	WANT("MAP over the limit", over, -ENOMEM);
	WANT("MAP within the limit", within, 0);
	return TEST_SUCCESS;
}

/* 25: unmapping */

static int
fact_25_unmap(void)
{
	uint64_t done, top = UINT64_MAX - PAGE + 1;
	struct stand st;

	TRY(stand_open(&st, true));
	WANT("MAP", map(st.i, st.s, IOVA, 0, 4), 0);
	WANT("MAP", map(st.i, st.s, IOVA + 8 * PAGE, 4, 4), 0);
	WANT("a hole", unmap(st.i, st.s, IOVA + 4 * PAGE, 4 * PAGE, &done), -ENOENT);
	WANT("length 0", unmap(st.i, st.s, IOVA, 0, &done), -EINVAL);
	WANT("wraps", unmap(st.i, st.s, top, 2 * PAGE, &done), -EOVERFLOW);
	WANT("no such IOAS", unmap(st.i, 12345, IOVA, PAGE, &done), -ENOENT);
	WANT("last inside", unmap(st.i, st.s, IOVA, 2 * PAGE, &done), -ENOENT);
	WANT("start inside", unmap(st.i, st.s, IOVA + 2 * PAGE, 2 * PAGE, &done), -ENOENT);
	WANT("nothing changed", map(st.i, st.s, IOVA, 0, 1), -EEXIST);
	WANT("several maps and holes", unmap(st.i, st.s, IOVA - PAGE, 16 * PAGE, &done), 0);
	TEST_ASSERT_EQUAL(done, 8 * PAGE, "not the sum: %#" PRIx64, done);
	WANT("all is free", map(st.i, st.s, IOVA, 0, 20), 0);
	return TEST_SUCCESS;
}

static int
fact_25_bisected_behind_others(void)
{
	uint64_t done;
	struct stand st;
	int first;

	TRY(stand_open(&st, true));
	WANT("MAP", map(st.i, st.s, IOVA, 0, 4), 0);
	WANT("MAP", map(st.i, st.s, IOVA + 4 * PAGE, 4, 4), 0);
	WANT("last inside the second", unmap(st.i, st.s, IOVA, 6 * PAGE, &done), -ENOENT);
	first = map(st.i, st.s, IOVA, 0, 4);
	WANT("MAP where the first was", first, 0, -EEXIST);
	WANT("MAP where the second is", map(st.i, st.s, IOVA + 4 * PAGE, 4, 4), -EEXIST);
	return TEST_SUCCESS;
}

static int
fact_25_unmap_all(void)
{
	uint64_t pinned = k->pinned(), done;
	struct stand st;

	TRY(stand_open(&st, true));
	WANT("MAP", map(st.i, st.s, IOVA, 0, 4), 0);
	WANT("MAP", map(st.i, st.s, IOVA + 8 * PAGE, 0, 2), 0);
	WANT("UNMAP of all", unmap(st.i, st.s, 0, UINT64_MAX, &done), 0);
	TEST_ASSERT_EQUAL(done, 6 * PAGE, "not the sum: %#" PRIx64, done);
	TEST_ASSERT_EQUAL(k->pinned(), pinned, "still pinned");
	WANT("UNMAP of all, of nothing", unmap(st.i, st.s, 0, UINT64_MAX, &done), 0, -ENOENT);
	return TEST_SUCCESS;
}

/* 26: ranges */

static int
fact_26_ranges(void)
{
	struct facts before, with, after, some;
	struct stand st;
	unsigned int i;

	TRY(stand_open(&st, false));
	WANT("IOVA_RANGES", read_ranges(st.i, st.s, RTE_DIM(before.ranges), &before), 0);
	TEST_ASSERT(before.n_ranges == 1 && before.ranges[0].start == 0 &&
			before.ranges[0].last == UINT64_MAX,
		"without a device not all is usable");
	TEST_ASSERT_EQUAL(before.page_sizes, 1, "alignment %#" PRIx64, before.page_sizes);
	WANT("ATTACH", attach_to(st.d, st.s, NULL), 0);
	WANT("IOVA_RANGES", read_ranges(st.i, st.s, RTE_DIM(with.ranges), &with), 0);
	seen("alignment %#" PRIx64, with.page_sizes);
	for (i = 0; i < with.n_ranges; i++) {
		seen("%#" PRIx64 "-%#" PRIx64, with.ranges[i].start, with.ranges[i].last);
		TEST_ASSERT((with.ranges[i].last & (PAGE - 1)) == PAGE - 1, "not inclusive");
		TEST_ASSERT(
			i == 0 || with.ranges[i].start > with.ranges[i - 1].last, "not ascending");
	}
	WANT("an empty array", read_ranges(st.i, st.s, 0, &some), -EMSGSIZE);
	TEST_ASSERT_EQUAL(some.n_ranges, with.n_ranges, "the count");
	if (with.n_ranges > 1) {
		WANT("a small array", read_ranges(st.i, st.s, 1, &some), -EMSGSIZE);
		TEST_ASSERT_EQUAL(some.n_ranges, with.n_ranges, "the count");
		TEST_ASSERT_EQUAL(some.ranges[0].last, with.ranges[0].last, "the first range");
	}
	WANT("DETACH", detach_from(st.d), 0);
	WANT("IOVA_RANGES", read_ranges(st.i, st.s, RTE_DIM(after.ranges), &after), 0);
	TEST_ASSERT(same_facts(&before, &after), "not as before the attach");
	WANT("no such IOAS", read_ranges(st.i, 12345, 1, &some), -ENOENT);
	return TEST_SUCCESS;
}

static int
fact_26_ranges_shrink(void)
{
	struct facts with, both, after;
	struct probed *p;
	struct stand st;
	int d;

	TRY(stand_open(&st, true));
	TRY(bind_place(find_place(RESERVED) != NULL ? RESERVED : NARROW, st.i, &p, &d));
	WANT("IOVA_RANGES", read_ranges(st.i, st.s, RTE_DIM(with.ranges), &with), 0);
	TEST_ASSERT(in_ranges(&with, p->special.start), "not offered before");
	WANT("ATTACH", attach_to(d, st.s, NULL), 0);
	WANT("IOVA_RANGES", read_ranges(st.i, st.s, RTE_DIM(both.ranges), &both), 0);
	TEST_ASSERT(!in_ranges(&both, p->special.start), "still offered");
	WANT("DETACH", detach_from(d), 0);
	WANT("IOVA_RANGES", read_ranges(st.i, st.s, RTE_DIM(after.ranges), &after), 0);
	TEST_ASSERT(same_facts(&with, &after), "not as before the attach");
	return TEST_SUCCESS;
}

static int
fact_26_allow(void)
{
	struct abi_iova_range allowed[2] = {{IOVA, IOVA + PAGE - 1}};
	struct dmamap_range r;
	struct stand st;

	TRY(stand_open(&st, false));
	TRY(find_reserved(&st, &r));
	WANT("ATTACH", attach_to(st.d, st.s, NULL), 0);
	allowed[1] = (struct abi_iova_range){r.start, r.last};
	WANT("ALLOW_IOVAS over reserved", allow(st.i, st.s, allowed, 2), -EADDRINUSE);
	allowed[1] = allowed[0];
	WANT("ALLOW_IOVAS twice", allow(st.i, st.s, allowed, 2), -EINVAL);
	allowed[1] = (struct abi_iova_range){IOVA + PAGE, IOVA};
	WANT("ALLOW_IOVAS backwards", allow(st.i, st.s, allowed, 2), -EINVAL);
	WANT("ALLOW_IOVAS", allow(st.i, st.s, allowed, 1), 0);
	return TEST_SUCCESS;
}

/* 27: copies */

/** Two IOAS with four pages mapped in the first; each has a device if `both`. */
struct pair {
	struct stand st;
	uint32_t other;
	int d;
};

static int
pair_open(struct pair *p, bool both)
{
	struct probed *at;
	int id;

	TRY(stand_open(&p->st, true));
	id = make_ioas(p->st.i);
	TEST_ASSERT(id > 0, "IOAS_ALLOC: %s", answer_name(id));
	p->other = id;
	if (both) {
		TRY(bind_place(SECOND, p->st.i, &at, &p->d));
		WANT("ATTACH", attach_to(p->d, p->other, NULL), 0);
	}
	WANT("MAP", map(p->st.i, p->st.s, IOVA, 0, 4), 0);
	return TEST_SUCCESS;
}

static int
fact_27_pinned_once(void)
{
	uint64_t pinned = k->pinned(), done;
	struct pair p;
	int i;

	TRY(pair_open(&p, true));
	i = p.st.i;
	WANT("COPY", copy(i, p.other, 2 * IOVA, p.st.s, IOVA, 4 * PAGE, R | W), 0);
	TEST_ASSERT_EQUAL(k->pinned(), pinned + 4 * PAGE, "not pinned once");
	WANT("MAP of the same memory", map(i, p.other, 4 * IOVA, 0, 4), 0);
	TEST_ASSERT_EQUAL(k->pinned(), pinned + 8 * PAGE, "a map pins again");
	WANT("UNMAP", unmap(i, p.other, 4 * IOVA, 4 * PAGE, &done), 0);
	WANT("UNMAP of the source", unmap(i, p.st.s, IOVA, 4 * PAGE, &done), 0);
	TEST_ASSERT_EQUAL(k->pinned(), pinned + 4 * PAGE, "the copy does not hold its pages");
	WANT("COPY back", copy(i, p.st.s, IOVA, p.other, 2 * IOVA, 4 * PAGE, R | W), 0);
	WANT("UNMAP", unmap(i, p.st.s, IOVA, 4 * PAGE, &done), 0);
	WANT("UNMAP of the copy", unmap(i, p.other, 2 * IOVA, 4 * PAGE, &done), 0);
	TEST_ASSERT_EQUAL(k->pinned(), pinned, "still pinned");
	return TEST_SUCCESS;
}

static int
fact_27_charged_once(void)
{
	uint64_t pinned = k->pinned();
	int copied, mapped, first;
	struct pair p;

	TRY(pair_open(&p, true));
	unmap(p.st.i, p.st.s, IOVA, 4 * PAGE, &(uint64_t){0});
	if (k->limit_memory(pinned + 4 * PAGE, false) < 0)
		return test_skip("the limit cannot be changed here");
	first = map(p.st.i, p.st.s, IOVA, 0, 4);
	mapped = map(p.st.i, p.other, IOVA, 0, 4);
	copied = copy(p.st.i, p.other, IOVA, p.st.s, IOVA, 4 * PAGE, R | W);
	k->limit_memory(0, true);
	WANT("MAP up to the limit", first, 0);
	WANT("MAP of the same memory", mapped, -ENOMEM);
	WANT("COPY", copied, 0);
	return TEST_SUCCESS;
}

static int
fact_27_copy_errors(void)
{
	struct pair p;
	int i;

	TRY(pair_open(&p, true));
	i = p.st.i;
	WANT("length 0", copy(i, p.other, IOVA, p.st.s, IOVA, 0, R), -EINVAL);
	WANT("no access", copy(i, p.other, IOVA, p.st.s, IOVA, PAGE, 0), -EINVAL);
	WANT("unknown flag", copy(i, p.other, IOVA, p.st.s, IOVA, PAGE, R | 1u << 20), -EOPNOTSUPP);
	WANT("no such source", copy(i, p.other, IOVA, 12345, IOVA, PAGE, R), -ENOENT);
	WANT("no such target", copy(i, 12345, IOVA, p.st.s, IOVA, PAGE, R), -ENOENT);
	WANT("a hole", copy(i, p.other, IOVA, p.st.s, IOVA + 4 * PAGE, PAGE, R), -ENOENT);
	WANT("up to a hole", copy(i, p.other, IOVA, p.st.s, IOVA, 5 * PAGE, R), -ENOENT);
	WANT("the source wraps", copy(i, p.other, IOVA, p.st.s, UINT64_MAX - 1, PAGE, R),
		-EOVERFLOW);
	WANT("COPY", copy(i, p.other, IOVA, p.st.s, IOVA, 4 * PAGE, R), 0);
	WANT("COPY to where a map is", copy(i, p.other, IOVA, p.st.s, IOVA, PAGE, R), -EEXIST);
	if (in_ranges(&p.st.at->facts, BEYOND))
		return TEST_SUCCESS;
	WANT("COPY outside of the ranges", copy(i, p.other, BEYOND, p.st.s, IOVA, PAGE, R),
		-EINVAL);
	return TEST_SUCCESS;
}

static int
fact_27_no_more_access(void)
{
	uint64_t iova = 2 * IOVA;
	struct pair p;

	TRY(pair_open(&p, true));
	WANT("MAP to be read", map_at(p.st.i, p.st.s, &iova, (uintptr_t)memory, PAGE, R | FIXED),
		0);
	WANT("COPY to be written", copy(p.st.i, p.other, IOVA, p.st.s, iova, PAGE, R | W), -EPERM);
	WANT("COPY to be read", copy(p.st.i, p.other, IOVA, p.st.s, iova, PAGE, R), 0);
	return TEST_SUCCESS;
}

static int
fact_27_parts(void)
{
	uint64_t pinned = k->pinned(), done;
	struct pair p;
	int i;

	TRY(pair_open(&p, true));
	i = p.st.i;
	WANT("MAP behind", map(i, p.st.s, IOVA + 4 * PAGE, 8, 4), 0);
	WANT("COPY of parts of two maps",
		copy(i, p.other, IOVA, p.st.s, IOVA + 2 * PAGE, 4 * PAGE, R | W), 0);
	TEST_ASSERT_EQUAL(k->pinned(), pinned + 8 * PAGE, "not pinned once");
	WANT("UNMAP of the sources", unmap(i, p.st.s, IOVA, 8 * PAGE, &done), 0);
	TEST_ASSERT_EQUAL(done, 8 * PAGE, "size");
	TEST_ASSERT_EQUAL(k->pinned(), pinned + 4 * PAGE, "what is copied is not held");
	WANT("they are two", unmap(i, p.other, IOVA, 2 * PAGE, &done), 0);
	WANT("UNMAP", unmap(i, p.other, IOVA + 2 * PAGE, 2 * PAGE, &done), 0);
	TEST_ASSERT_EQUAL(k->pinned(), pinned, "still pinned");
	return TEST_SUCCESS;
}

static int
fact_27_without_devices(void)
{
	uint64_t pinned = k->pinned(), done;
	struct pair p;
	int rc;

	TRY(pair_open(&p, false));
	WANT("COPY to an IOAS without a device",
		copy(p.st.i, p.other, IOVA, p.st.s, IOVA, 4 * PAGE, R | W), 0);
	TEST_ASSERT_EQUAL(k->pinned(), pinned + 4 * PAGE, "not pinned once");
	WANT("UNMAP of the source", unmap(p.st.i, p.st.s, IOVA, 4 * PAGE, &done), 0);
	TEST_ASSERT_EQUAL(k->pinned(), pinned, "pinned without a device");
	/*
	 * virtio-iommu of 6.12 knows its aperture only after an attach, so no device can be
	 * attached where a map is.
	 */
	rc = attach_to(p.st.d, p.other, NULL);
	WANT("ATTACH to the copy", rc, 0, -EADDRINUSE);
	TEST_ASSERT_EQUAL(k->pinned(), pinned + (rc == 0 ? 4 * PAGE : 0), "pinned memory after it");
	return TEST_SUCCESS;
}

/* 28: the compatibility container */

/** /dev/iommu as a VFIO container, with a group in it. */
static int
compat_open(struct bench *b, bool with_group)
{
	TRY(get_place(PLAIN, &b->at));
	b->c = k_open("/dev/iommu");
	TEST_ASSERT(b->c >= 0, "/dev/iommu: %s", answer_name(b->c));
	b->g = k_open_group(&b->at->place);
	TEST_ASSERT(b->g >= 0, "group: %s", answer_name(b->g));
	if (with_group) {
		WANT("SET_CONTAINER", k_set_container(b->g, b->c), 0);
		WANT("SET_IOMMU", k->ioctl(b->c, VFIO_SET_IOMMU, V2), 0);
	}
	return TEST_SUCCESS;
}

static int
extension(int c, unsigned long which)
{
	return k->ioctl(c, VFIO_CHECK_EXTENSION, which);
}

static int
fact_28_order_of_calls(void)
{
	struct facts f;
	struct bench b;
	uint64_t done;

	TRY(compat_open(&b, false));
	WANT("GET_API_VERSION", k->ioctl(b.c, VFIO_GET_API_VERSION, 0), VFIO_API_VERSION);
	WANT("v2 is there", extension(b.c, V2), 1);
	WANT("v1 is there", extension(b.c, V1), 1);
	WANT("UNMAP_ALL", extension(b.c, VFIO_UNMAP_ALL), 1);
	WANT("coherency before a group", extension(b.c, VFIO_DMA_CC_IOMMU), -ENODEV);
	WANT("SET_IOMMU without a group", k->ioctl(b.c, VFIO_SET_IOMMU, V2), -ENODEV);
	WANT("GET_INFO without a group", k_info(b.c, &f), -ENODEV);
	WANT("MAP without a group", k_map(b.c, IOVA, 0, 1), -ENODEV);
	WANT("UNMAP without a group", k_unmap(b.c, IOVA, PAGE, 0, &done), -ENODEV);
	WANT("SET_CONTAINER", k_set_container(b.g, b.c), 0);
	WANT("SET_CONTAINER again", k_set_container(b.g, b.c), -EINVAL);
	WANT("MAP before SET_IOMMU", k_map(b.c, IOVA, 0, 1), 0);
	WANT("SET_IOMMU", k->ioctl(b.c, VFIO_SET_IOMMU, V2), 0);
	WANT("SET_IOMMU again", k->ioctl(b.c, VFIO_SET_IOMMU, V2), 0);
	WANT("CC_IOMMU without a device", extension(b.c, VFIO_DMA_CC_IOMMU), 1);
	return TEST_SUCCESS;
}

static int
fact_28_info(void)
{
	struct facts f;
	struct bench b;

	TRY(compat_open(&b, true));
	TEST_ASSERT(k_device(b.g, b.at->place.name) >= 0, "GET_DEVICE_FD");
	WANT("GET_INFO", k_info(b.c, &f), 0);
	TEST_ASSERT(f.has_avail && f.avail == UINT32_MAX, "dma_avail: %u", f.avail);
	TEST_ASSERT(f.has_ranges, "no ranges");
	TEST_ASSERT(!f.has_migration, "dirty pages");
	seen("pages %#" PRIx64 ", CC_IOMMU: %d", f.page_sizes, extension(b.c, VFIO_DMA_CC_IOMMU));
	WANT("MAP", k_map(b.c, IOVA, 0, 1), 0);
	WANT("GET_INFO", k_info(b.c, &f), 0);
	TEST_ASSERT_EQUAL(f.avail, UINT32_MAX, "a map costs an entry");
	return TEST_SUCCESS;
}

static int
fact_28_attach_errors_come_later(void)
{
	struct dmamap_range r;
	struct stand st;
	struct bench b;

	TRY(stand_open(&st, false));
	TRY(find_reserved(&st, &r));
	k_close(st.d);
	TRY(compat_open(&b, true));
	WANT("MAP over a reserved range, without a device", k_map(b.c, r.start, 0, 1), 0);
	WANT("GET_DEVICE_FD", k_device(b.g, b.at->place.name), -EADDRINUSE);
	WANT("UNMAP", k_unmap(b.c, r.start, PAGE, 0, &(uint64_t){0}), 0);
	TEST_ASSERT(k_device(b.g, b.at->place.name) >= 0, "GET_DEVICE_FD without the map");
	WANT("MAP over a reserved range", k_map(b.c, r.start, 0, 1), -EINVAL);
	return TEST_SUCCESS;
}

static int
fact_28_not_viable(void)
{
	struct probed *p;
	int c, g;

	TRY(open_other(UNVIABLE, &p, &g));
	c = k_open("/dev/iommu");
	WANT("SET_CONTAINER", k_set_container(g, c), 0);
	WANT("GET_DEVICE_FD", k_device(g, p->place.name), -EPERM, -EBUSY);
	return TEST_SUCCESS;
}

static int
fact_28_unmaps_as_v2(void)
{
	struct bench b;
	uint64_t done;

	TRY(compat_open(&b, true));
	TEST_ASSERT(k_device(b.g, b.at->place.name) >= 0, "GET_DEVICE_FD");
	WANT("MAP", k_map(b.c, IOVA, 0, 4), 0);
	WANT("MAP", k_map(b.c, IOVA + 4 * PAGE, 4, 4), 0);
	WANT("MAP over a map", k_map(b.c, IOVA + 2 * PAGE, 0, 1), -EEXIST);
	WANT("bisected", k_unmap(b.c, IOVA, 2 * PAGE, 0, &done), -ENOENT);
	WANT("a hole", k_unmap(b.c, IOVA + 16 * PAGE, PAGE, 0, &done), 0, -ENOENT);
	WANT("several maps", k_unmap(b.c, IOVA, 8 * PAGE, 0, &done), 0);
	TEST_ASSERT_EQUAL(done, 8 * PAGE, "not the sum: %#" PRIx64, done);
	WANT("MAP", k_map(b.c, IOVA, 0, 4), 0);
	WANT("UNMAP_ALL", k_unmap(b.c, 0, 0, VFIO_DMA_UNMAP_FLAG_ALL, &done), 0);
	TEST_ASSERT_EQUAL(done, 4 * PAGE, "not the sum: %#" PRIx64, done);
	return TEST_SUCCESS;
}

static int
fact_28_v1_splits(void)
{
	struct bench b;
	uint64_t done;

	TRY(compat_open(&b, false));
	WANT("SET_CONTAINER", k_set_container(b.g, b.c), 0);
	WANT("SET_IOMMU v1", k->ioctl(b.c, VFIO_SET_IOMMU, V1), 0);
	TEST_ASSERT(k_device(b.g, b.at->place.name) >= 0, "GET_DEVICE_FD");
	WANT("MAP", k_map(b.c, IOVA, 0, 6), 0);
	WANT("UNMAP of the middle", k_unmap(b.c, IOVA + 2 * PAGE, 2 * PAGE, 0, &done), 0);
	TEST_ASSERT_EQUAL(done, 2 * PAGE, "not what was asked for: %#" PRIx64, done);
	WANT("the rest stays", k_map(b.c, IOVA + 4 * PAGE, 0, 1), -EEXIST);
	WANT("the middle is free", k_map(b.c, IOVA + 2 * PAGE, 0, 2), 0);
	return TEST_SUCCESS;
}

static int
fact_28_no_update_no_dirty(void)
{
	struct vfio_iommu_type1_dirty_bitmap dirty = {
		.argsz = sizeof(dirty), .flags = VFIO_IOMMU_DIRTY_PAGES_FLAG_START};
	struct bench b;
	uint64_t done;

	TRY(compat_open(&b, true));
	WANT("UPDATE_VADDR extension", extension(b.c, VFIO_UPDATE_VADDR), 0);
	WANT("MAP", k_map(b.c, IOVA, 0, 1), 0);
	WANT("invalidate", k_unmap(b.c, IOVA, PAGE, VFIO_DMA_UNMAP_FLAG_VADDR, &done), -EINVAL);
	WANT("update", k_map_at(b.c, IOVA, (uintptr_t)memory, PAGE, VFIO_DMA_MAP_FLAG_VADDR),
		-EINVAL);
	WANT("DIRTY_PAGES", ioctl_at(b.c, VFIO_IOMMU_DIRTY_PAGES, &dirty), -ENOTTY);
	return TEST_SUCCESS;
}

static int
fact_28_maps_outlive_groups(void)
{
	struct facts f;
	struct bench b;
	int d;

	TRY(compat_open(&b, true));
	d = k_device(b.g, b.at->place.name);
	TEST_ASSERT(d >= 0, "GET_DEVICE_FD: %s", answer_name(d));
	WANT("MAP", k_map(b.c, IOVA, 0, 4), 0);
	k_close(d);
	WANT("UNSET_CONTAINER", k_unset_container(b.g), 0);
	WANT("GET_INFO", k_info(b.c, &f), 0);
	WANT("the map stays", k_map(b.c, IOVA, 0, 1), -EEXIST);
	return TEST_SUCCESS;
}

static int
fact_28_shares_with_iommufd(void)
{
	struct abi_vfio_ioas cmd = {.size = sizeof(cmd), .op = ABI_VFIO_IOAS_GET};
	struct stand st;
	uint64_t done;

	TRY(stand_open(&st, true));
	WANT("no IOAS is the container", ioctl_at(st.i, ABI_IOMMU_VFIO_IOAS, &cmd), -ENODEV);
	cmd.op = ABI_VFIO_IOAS_SET;
	cmd.ioas_id = st.s;
	WANT("VFIO_IOAS set", ioctl_at(st.i, ABI_IOMMU_VFIO_IOAS, &cmd), 0);
	WANT("MAP through the container", k_map(st.i, IOVA, 0, 4), 0);
	WANT("UNMAP through the IOAS", unmap(st.i, st.s, IOVA, 4 * PAGE, &done), 0);
	cmd.op = ABI_VFIO_IOAS_CLEAR;
	WANT("VFIO_IOAS clear", ioctl_at(st.i, ABI_IOMMU_VFIO_IOAS, &cmd), 0);
	WANT("MAP through no container", k_map(st.i, IOVA, 0, 4), -ENODEV);
	return TEST_SUCCESS;
}

/**
 * A group's device enters the IOAS that is set when the device is opened, and leaves it when it is
 * closed.
 */
static int
fact_28_device_enters_the_ioas_that_is_set(void)
{
	struct abi_vfio_ioas cmd = {.size = sizeof(cmd), .op = ABI_VFIO_IOAS_CLEAR};
	struct abi_iommu_destroy destroy = {.size = sizeof(destroy)};
	struct abi_ioas_alloc alloc = {.size = sizeof(alloc)};
	struct bench b;
	int d;

	TRY(compat_open(&b, true));
	WANT("VFIO_IOAS clear", ioctl_at(b.c, ABI_IOMMU_VFIO_IOAS, &cmd), 0);
	WANT("GET_DEVICE_FD without an IOAS", k_device(b.g, b.at->place.name), -ENODEV);
	WANT("IOAS_ALLOC", ioctl_at(b.c, ABI_IOMMU_IOAS_ALLOC, &alloc), 0);
	cmd.op = ABI_VFIO_IOAS_SET;
	cmd.ioas_id = destroy.id = alloc.out_ioas_id;
	WANT("VFIO_IOAS set", ioctl_at(b.c, ABI_IOMMU_VFIO_IOAS, &cmd), 0);
	d = k_device(b.g, b.at->place.name);
	TEST_ASSERT(d >= 0, "GET_DEVICE_FD: %s", answer_name(d));
	WANT("DESTROY with a device in it", ioctl_at(b.c, ABI_IOMMU_DESTROY, &destroy), -EBUSY);
	WANT("UNSET_CONTAINER with an open device", k_unset_container(b.g), 0);
	WANT("DESTROY with it still there", ioctl_at(b.c, ABI_IOMMU_DESTROY, &destroy), -EBUSY);
	k_close(d);
	WANT("DESTROY", ioctl_at(b.c, ABI_IOMMU_DESTROY, &destroy), 0);
	return TEST_SUCCESS;
}

/* The suites */

static const struct test_case iommufd_cases[] = {
	{"fact 23: a live map over a reserved region refuses the attach with EADDRINUSE",
		fact_23_map_over_reserved},
	{"fact 23: a live map over a region that only the newcomer reserves refuses the attach too",
		fact_23_map_over_reserved_of_another},
	{"fact 23: a live map outside of the aperture refuses the attach with EADDRINUSE",
		fact_23_map_outside_aperture},
	{"fact 23: a live map off the IOMMU's pages refuses the attach with EADDRINUSE",
		fact_23_map_not_aligned},
	{"fact 23: an allowed range over a reserved region refuses the attach with EADDRINUSE",
		fact_23_allowed_over_reserved},
	{"fact 23: the same group to another page table is EINVAL", fact_23_one_group_one_table},
	{"fact 23: a group belongs to one iommufd", fact_23_group_of_another_iommufd},
	{"fact 23: a device that is attached again moves, or stays where it was",
		fact_23_attach_again_moves},
	{"fact 23: a compatible device joins the page table without replay",
		fact_23_compatible_device_joins},
	{"fact 23: an incompatible device gets a page table, and a replay",
		fact_23_incompatible_device_gets_a_table},
	{"fact 23: a device is opened, bound once, attached", fact_23_order_of_calls},
	{"fact 24: the errors of MAP", fact_24_map_errors},
	{"fact 24: a map is all or nothing", fact_24_all_or_nothing},
	{"fact 24: automatic maps fill what is allowed, then ENOSPC", fact_24_automatic},
	{"fact 24: memory is pinned as long as there is a device", fact_24_pinned_with_a_device},
	{"fact 24: over the limit is ENOMEM, unless capable", fact_24_limit},
	{"fact 25: a hole is ENOENT, and so is a part of a map", fact_25_unmap},
	{"fact 25: maps before a bisected one may be gone", fact_25_bisected_behind_others},
	{"fact 25: everything is unmapped at once", fact_25_unmap_all},
	{"fact 26: IOVA_RANGES with too little room is EMSGSIZE and the count", fact_26_ranges},
	{"fact 26: ranges shrink and come back", fact_26_ranges_shrink},
	{"fact 26: ALLOW_IOVAS over reserved is EADDRINUSE", fact_26_allow},
	{"fact 27: a copy shares the pinned pages", fact_27_pinned_once},
	{"fact 27: a copy is not charged again", fact_27_charged_once},
	{"fact 27: the errors of COPY", fact_27_copy_errors},
	{"fact 27: a copy gives no more access than its source", fact_27_no_more_access},
	{"fact 27: parts of maps are copied, as maps of their own", fact_27_parts},
	{"fact 27: a copy without a device pins nothing", fact_27_without_devices},
	{"fact 28: the compatibility container has IOAS of its own from SET_CONTAINER on",
		fact_28_order_of_calls},
	{"fact 28: dma_avail is U32_MAX and stays so", fact_28_info},
	{"fact 28: the errors of an attach come with GET_DEVICE_FD",
		fact_28_attach_errors_come_later},
	{"fact 28: a device enters the IOAS that is set, and leaves it when it is closed",
		fact_28_device_enters_the_ioas_that_is_set},
	{"fact 28: a group that is not viable is refused with GET_DEVICE_FD", fact_28_not_viable},
	{"fact 28: maps are unmapped whole", fact_28_unmaps_as_v2},
	{"fact 28: v1 unmaps what it is told to", fact_28_v1_splits},
	{"fact 28: no UPDATE_VADDR, no dirty pages", fact_28_no_update_no_dirty},
	{"fact 28: maps stay when the last group leaves", fact_28_maps_outlive_groups},
	{"fact 28: an IOAS can be made the container", fact_28_shares_with_iommufd},
};

static int
setup_linux(void)
{
	int fd, rc = bench_setup(conformance_linux);

	if (rc != TEST_SUCCESS)
		return rc;
	fd = k->open("/dev/iommu");
	if (fd < 0)
		return test_skip("/dev/iommu: %s", strerror(-fd));
	k->close(fd);
	return TEST_SUCCESS;
}

static int
setup_6_12(void)
{
	return bench_setup(conformance_mock_6_12);
}

static int
setup_6_18(void)
{
	return bench_setup(conformance_mock_6_18);
}

#define IOMMUFD_SUITE(suite, suite_name, suite_kind, begin, end)                                   \
	REGISTER_TEST_SUITE(suite) = {                                                             \
		.name = suite_name,                                                                \
		.kind = suite_kind,                                                                \
		.cases = iommufd_cases,                                                            \
		.n_cases = RTE_DIM(iommufd_cases),                                                 \
		.setup = begin,                                                                    \
		.teardown = end,                                                                   \
	}

IOMMUFD_SUITE(iommufd_6_12, "conformance_iommufd_6_12", TEST_FAST, setup_6_12, bench_teardown_mock);
IOMMUFD_SUITE(iommufd_6_18, "conformance_iommufd_6_18", TEST_FAST, setup_6_18, bench_teardown_mock);
IOMMUFD_SUITE(iommufd_linux, "conformance_iommufd", TEST_VM, setup_linux, bench_teardown);
