/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Watched ranges: an interval tree that mirrors the kernel's registrations. See dm_watch_ranges.h.
 *
 * Ranges are ordered by start, then by the address of the object. Each node knows the highest last
 * of its subtree. Treap priorities are hashes of the objects' addresses, so nothing is allocated.
 */

#include <errno.h>
#include <inttypes.h>
#include <linux/userfaultfd.h>
#include <pthread.h>
#include <stddef.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "dm_hugepage.h"
#include "dm_log.h"
#include "dm_util.h"
#include "dm_watch_ranges.h"

static pthread_mutex_t ranges_lock = PTHREAD_MUTEX_INITIALIZER;
static struct dm_watch_range *root;
static size_t huge_sizes[DM_HUGEPAGE_SIZES_MAX];
static unsigned int n_huge_sizes;

void
dm_watch_ranges_init(void)
{
	n_huge_sizes = dm_hugepage_sizes(huge_sizes);
}

static uint64_t
range_priority(const struct dm_watch_range *r)
{
	uint64_t h = (uintptr_t)r;

	/* Objects of one kind lie at regular distances, so mix all bits. */
	h = (h ^ (h >> 33)) * 0xff51afd7ed558ccdULL;
	return h ^ (h >> 29);
}

static bool
range_less(const struct dm_watch_range *a, const struct dm_watch_range *b)
{
	return a->start != b->start ? a->start < b->start : (uintptr_t)a < (uintptr_t)b;
}

static void
range_update(struct dm_watch_range *r)
{
	r->max_last = r->last;
	if (r->left != NULL)
		r->max_last = DM_MAX(r->max_last, r->left->max_last);
	if (r->right != NULL)
		r->max_last = DM_MAX(r->max_last, r->right->max_last);
}

/** Split a tree into the nodes before r and the others. */
static void
tree_split(struct dm_watch_range *t, const struct dm_watch_range *r, struct dm_watch_range **before,
	struct dm_watch_range **after)
{
	if (t == NULL) {
		*before = *after = NULL;
	} else if (range_less(t, r)) {
		*before = t;
		tree_split(t->right, r, &t->right, after);
		range_update(t);
	} else {
		*after = t;
		tree_split(t->left, r, before, &t->left);
		range_update(t);
	}
}

/** Join two trees, all of a before all of b. */
static struct dm_watch_range *
tree_join(struct dm_watch_range *a, struct dm_watch_range *b)
{
	if (a == NULL || b == NULL)
		return a == NULL ? b : a;
	if (range_priority(a) > range_priority(b)) {
		a->right = tree_join(a->right, b);
		range_update(a);
		return a;
	}
	b->left = tree_join(a, b->left);
	range_update(b);
	return b;
}

static struct dm_watch_range *
tree_insert(struct dm_watch_range *t, struct dm_watch_range *r)
{
	if (t == NULL || range_priority(r) > range_priority(t)) {
		tree_split(t, r, &r->left, &r->right);
		range_update(r);
		return r;
	}
	if (range_less(r, t))
		t->left = tree_insert(t->left, r);
	else
		t->right = tree_insert(t->right, r);
	range_update(t);
	return t;
}

/** Remove r, which must be in the tree. */
static struct dm_watch_range *
tree_remove(struct dm_watch_range *t, const struct dm_watch_range *r)
{
	if (t == r)
		return tree_join(t->left, t->right);
	if (range_less(r, t))
		t->left = tree_remove(t->left, r);
	else
		t->right = tree_remove(t->right, r);
	range_update(t);
	return t;
}

/** The highest last of the ranges that start at or before an address; 0 if there are none. */
static uint64_t
tree_reach(uint64_t at)
{
	const struct dm_watch_range *t = root;
	uint64_t reach = 0;

	while (t != NULL) {
		if (t->start > at) {
			t = t->left;
			continue;
		}
		reach = DM_MAX(reach, t->last);
		if (t->left != NULL)
			reach = DM_MAX(reach, t->left->max_last);
		t = t->right;
	}
	return reach;
}

/** The first range that starts at or after an address, and after `prev` if that is not NULL. */
static struct dm_watch_range *
tree_next(uint64_t at, const struct dm_watch_range *prev)
{
	struct dm_watch_range *t = root, *found = NULL;

	while (t != NULL) {
		if (t->start < at || (prev != NULL && !range_less(prev, t))) {
			t = t->right;
		} else {
			found = t;
			t = t->left;
		}
	}
	return found;
}

static int
uffd_register(int fd, uint64_t start, uint64_t last)
{
	struct uffdio_register reg = {.range = {.start = start, .len = last - start + 1},
		.mode = UFFDIO_REGISTER_MODE_WP};

	return ioctl(fd, UFFDIO_REGISTER, &reg) < 0 ? -errno : 0;
}

/** A failure is harmless: memory stays watched without need, and its munmap(2) is slower. */
static void
uffd_unregister(int fd, uint64_t start, uint64_t last)
{
	struct uffdio_range range = {.start = start, .len = last - start + 1};

	ioctl(fd, UFFDIO_UNREGISTER, &range);
}

/** Unregister the parts of [start, last] that no range in the tree covers. */
static void
uffd_unregister_uncovered(int fd, uint64_t start, uint64_t last)
{
	const struct dm_watch_range *next;
	uint64_t at = start, reach, end;

	for (;; at = end + 1) {
		reach = tree_reach(at);
		if (reach != 0 && reach >= at) {
			end = reach;
		} else {
			next = tree_next(at, NULL);
			end = next != NULL ? DM_MIN(last, next->start - 1) : last;
			uffd_unregister(fd, at, end);
		}
		if (end >= last)
			return;
	}
}

/**
 * Whether all of the range is mapped. MS_ASYNC has no other effect (msync(2), since Linux 2.6.19).
 */
static bool
range_is_mapped(const struct dm_watch_range *range)
{
	const uint64_t len = range->last - range->start + 1;

	return msync((void *)(uintptr_t)range->start, len, MS_ASYNC) == 0 || errno != ENOMEM;
}

/**
 * Register the base pages of a range; if the kernel refuses, the hugepages of each size around it.
 * Hugetlb memory can be registered in whole pages only, and its page size is not reported. A hole
 * is detected first: with enough neighbours around it, it would look like a hugepage.
 */
static int
range_register(int fd, struct dm_watch_range *range, uint64_t start, uint64_t last)
{
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
	unsigned int i = n_huge_sizes;
	int rc;

	for (;;) {
		/* A range that ends at the top of the address space has no length in 64 bits. */
		if (last >= DM_ALIGN_FLOOR(UINT64_MAX, page))
			return -EINVAL;
		range->start = DM_ALIGN_FLOOR(start, page);
		range->last = last | (page - 1);
		rc = uffd_register(fd, range->start, range->last);
		if (rc != -EINVAL || i == 0)
			return rc;
		if (i == n_huge_sizes && !range_is_mapped(range))
			return -EFAULT;
		page = huge_sizes[--i];
	}
}

static const char *
refusal_str(int rc)
{
	switch (rc) {
	case -ENOTSUP:
		return "the kernel reports no changes of this kind of memory";
	case -EBUSY:
		return "another userfaultfd of this process has it";
	case -EFAULT:
		return "part of it is not mapped";
	case -ENOMEM:
		return "vm.max_map_count is reached, or memory is short";
	case -EINVAL:
		return "not a range";
	default:
		return strerror(-rc);
	}
}

int
dm_watch_ranges_add(int fd, struct dm_watch_range *range, uint64_t start, uint64_t last)
{
	int rc = -EINVAL;

	*range = (struct dm_watch_range){0};
	if (start > last || last > UINT64_MAX - (uint64_t)sysconf(_SC_PAGESIZE))
		goto out;
	pthread_mutex_lock(&ranges_lock);
	rc = range_register(fd, range, start, last);
	if (rc == 0) {
		root = tree_insert(root, range);
		range->linked = true;
	} else if (rc == -ENOMEM) {
		/* The kernel may have registered the part before a VMA that it could not split. */
		uffd_unregister_uncovered(fd, range->start, range->last);
	}
	pthread_mutex_unlock(&ranges_lock);
	/* The cause is the kind of memory. EPERM: it may never be written. */
	if (rc == -EINVAL || rc == -EPERM)
		rc = -ENOTSUP;
out:
	if (rc < 0)
		DM_LOG(DEBUG, "memory 0x%" PRIx64 "-0x%" PRIx64 ": not watched: %s", start, last,
			refusal_str(rc));
	return rc;
}

void
dm_watch_ranges_del(int fd, struct dm_watch_range *range)
{
	pthread_mutex_lock(&ranges_lock);
	if (range->linked) {
		root = tree_remove(root, range);
		range->linked = false;
		uffd_unregister_uncovered(fd, range->start, range->last);
	}
	pthread_mutex_unlock(&ranges_lock);
}

void
dm_watch_ranges_unmapped(uint64_t start, uint64_t last)
{
	struct dm_watch_range *r, *next;

	pthread_mutex_lock(&ranges_lock);
	for (r = tree_next(start, NULL); r != NULL && r->start <= last; r = next) {
		next = tree_next(start, r);
		if (r->last > last)
			continue;
		/*
		 * Do not unregister it later: the address may be reused for memory of another
		 * userfaultfd.
		 */
		root = tree_remove(root, r);
		r->linked = false;
	}
	pthread_mutex_unlock(&ranges_lock);
}

void
dm_watch_ranges_moved(int fd, uint64_t start, uint64_t last)
{
	pthread_mutex_lock(&ranges_lock);
	uffd_unregister_uncovered(fd, start, last);
	pthread_mutex_unlock(&ranges_lock);
}

void
dm_watch_ranges_clear(int fd)
{
	struct dm_watch_range *r;

	pthread_mutex_lock(&ranges_lock);
	while ((r = root) != NULL) {
		root = tree_remove(root, r);
		r->linked = false;
		uffd_unregister_uncovered(fd, r->start, r->last);
	}
	pthread_mutex_unlock(&ranges_lock);
}
