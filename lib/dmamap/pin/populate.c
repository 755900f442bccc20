/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * The second of two steps: create the pages of a plan at the caller's address. See
 * dm_pin_populate().
 *
 * Invariant: reserved address space is never free for another mmap(2), whatever fails. So a step
 * that could fail after it has removed a mapping is tried elsewhere first.
 */

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "dm_log.h"
#include "dm_pin_todo.h"
#include "dm_prefault.h"
#include "dm_va.h"
#include "dm_util.h"

/** Bytes of a file that are reserved at a time; bounds the address space that this needs. */
#define RESERVE_STEP ((size_t)1 << 30)

/** Limits read by the plan are reused for this many milliseconds. */
#define PLAN_FRESH_MS 20

/** Check RLIMIT_FSIZE. Beyond it, ftruncate(2) sends SIGXFSZ, which ends the process. */
static int
pin_check_file_size(const struct dm_pin *p)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_FSIZE, &limit) < 0 || limit.rlim_cur == RLIM_INFINITY ||
		p->len <= limit.rlim_cur)
		return 0;
	return DM_FAIL(EFBIG,
		"%s: a file of %zu bytes is larger than RLIMIT_FSIZE of %" PRIu64
		": ulimit -f unlimited, or LimitFSIZE= of the service",
		p->todo->name, p->len, (uint64_t)limit.rlim_cur);
}

/** Set the length of a new file and seal it. Closes the file on failure. */
static int
pin_set_file_size(const struct dm_pin *p, int fd)
{
	int rc;

	do
		rc = ftruncate(fd, (off_t)p->len);
	while (rc < 0 && errno == EINTR);
	if (rc < 0) {
		rc = -errno;
		close(fd);
		return DM_FAIL(-rc, "%s: cannot create a file of %zu bytes: %s", p->todo->name,
			p->len, strerror(-rc));
	}
	/*
	 * Without seals a process that shares the file could truncate it: a SIGBUS here. Files on a
	 * hugetlbfs mount have no seals.
	 */
	fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL);
	return fd;
}

/** Create the file behind the memory. @return a file descriptor; a negative errno, logged */
static int
pin_make_file(const struct dm_pin *p, const struct dm_pin_choice *choice)
{
	char str[DM_HUGEPAGE_STR_MAX], why[DM_REFUSAL_MAX];
	int fd = pin_check_file_size(p);

	if (fd < 0)
		return fd;
	if (choice->kind == DMAMAP_PAGES_HUGETLB) {
		fd = dm_hugepage_file(choice->page_size, p->todo->name);
	} else {
		fd = memfd_create(p->todo->name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
		fd = fd < 0 ? -errno : fd;
	}
	if (fd < 0)
		return DM_FAIL(-fd, "%s: cannot create a file of pages of %s: %s", p->todo->name,
			dm_hugepage_size_str(choice->page_size, str), dm_refusal_file(-fd, why));
	return pin_set_file_size(p, fd);
}

/**
 * Reserve the pages of a hugetlbfs file by mapping each part of it once. A reservation belongs to
 * the file (Linux, Documentation/mm/hugetlbfs_reserv.rst), so a later mapping finds all pages.
 * @return 0; -ENOSPC: too few; -ENOMEM, logged: no address space
 */
static int
pin_reserve_pages(const struct dm_pin *p, const struct dm_pin_choice *choice, int fd)
{
	const size_t step = DM_ALIGN_CEIL(RESERVE_STEP, choice->page_size);
	char why[DM_REFUSAL_MAX];
	size_t at, len;
	void *va;

	for (at = 0; at < p->len; at += len) {
		len = DM_MIN(step, p->len - at);
		/*
		 * First with MAP_NORESERVE, to tell a lack of address space from a lack of pages.
		 */
		va = mmap(NULL, len, PROT_NONE, MAP_SHARED | MAP_NORESERVE, fd, (off_t)at);
		if (va == MAP_FAILED)
			return DM_FAIL(ENOMEM, "%s: no address space of %zu bytes: %s",
				p->todo->name, len, dm_refusal_mmap(len, errno, why));
		munmap(va, len);
		va = mmap(NULL, len, PROT_NONE, MAP_SHARED, fd, (off_t)at);
		if (va == MAP_FAILED)
			return -ENOSPC;
		munmap(va, len);
	}
	return 0;
}

/** Map a file over reserved address space. Closes the descriptor unless want_fd is set. */
static int
pin_map_file(struct dm_pin *p, const struct dm_pin_choice *choice)
{
	int fd = pin_make_file(p, choice), rc = 0;
	char why[DM_REFUSAL_MAX];

	if (fd < 0)
		return fd;
	if (choice->kind == DMAMAP_PAGES_HUGETLB)
		rc = pin_reserve_pages(p, choice, fd);
	if (rc == 0 &&
		mmap(p->va, p->len, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0) ==
			MAP_FAILED) {
		rc = -errno;
		DM_LOG(ERR, "%s: cannot map %zu bytes: %s", p->todo->name, p->len,
			dm_refusal_mmap(p->len, -rc, why));
	}
	if (rc == 0 && p->todo->want_fd)
		p->fd = fd;
	else
		close(fd); /* the mapping keeps the file alive */
	return rc;
}

/** Make reserved address space accessible, for base pages or transparent hugepages. */
static int
pin_map_anon(const struct dm_pin *p)
{
	char why[DM_REFUSAL_MAX];
	int rc;

	if (mprotect(p->va, p->len, PROT_READ | PROT_WRITE) == 0) {
		madvise(p->va, p->len, MADV_DODUMP);
		return 0;
	}
	rc = -errno;
	return DM_FAIL(-rc, "%s: cannot map %zu bytes: %s", p->todo->name, p->len,
		dm_refusal_mmap(p->len, -rc, why));
}

/** Map pages without touching them. @return 0; -ENOSPC: too few; else logged */
static int
pin_map(struct dm_pin *p, const struct dm_pin_choice *choice)
{
	int rc;

	if (choice->kind == DMAMAP_PAGES_HUGETLB || p->todo->want_fd)
		rc = pin_map_file(p, choice);
	else
		rc = pin_map_anon(p);
	if (rc < 0 || choice->kind == DMAMAP_PAGES_HUGETLB)
		return rc;
	/* Base pages were asked for, so khugepaged must not collapse them later. */
	madvise(p->va, p->len, choice->kind == DMAMAP_PAGES_BASE ? MADV_NOHUGEPAGE : MADV_HUGEPAGE);
	return 0;
}

/** Set the memory policy. @return 0; else logged */
static int
pin_place(const struct dm_pin *p)
{
	const struct dm_pin_todo *todo = p->todo;
	int rc = dm_node_place(p->va, p->len, todo->placement, p->wanted);

	if (rc == 0)
		return 0;
	return dm_node_refused(
		-rc, todo->placement, p->wanted, dm_node_memory_nodes(NULL), todo->name);
}

/** Fault pages in, placed and excluded from fork. @return 0; -ENOSPC, -ECANCELED; else logged */
static int
pin_fault_in(
	const struct dm_pin *p, const struct dm_pin_choice *choice, const struct dm_pin_fill *fill)
{
	const struct dm_prefault_conf how = {.threads = fill->threads,
		.node = p->wanted,
		.progress = fill->progress,
		.arg = fill->progress_arg,
		.what = p->todo->name};
	char why[DM_REFUSAL_MAX];
	int rc = pin_place(p);

	if (rc < 0)
		return rc;
	/*
	 * Copy-on-write after fork would move the parent's next write to a page that no device
	 * sees.
	 */
	if (madvise(p->va, p->len, MADV_DONTFORK) < 0) {
		rc = -errno;
		return DM_FAIL(-rc, "%s: cannot exclude memory from fork: %s", p->todo->name,
			strerror(-rc));
	}
	rc = dm_prefault(p->va, p->len, choice->page_size, &how);
	if (rc < 0 && rc != -ENOSPC && rc != -ECANCELED)
		DM_LOG(ERR, "%s: cannot fault in memory: %s", p->todo->name,
			dm_refusal_file(-rc, why));
	return rc;
}

/** Lock the pages of a fallback: the kernel can swap them out, unlike hugepages. */
static int
pin_lock(const struct dm_pin *p)
{
	int rc = dm_pin_memlock_check(p->len, p->todo->name);

	if (rc < 0)
		return rc;
	/* Not mlock(), which address sanitizers turn into a no-op. */
	do
		rc = mlock2(p->va, p->len, 0);
	while (rc < 0 && errno == EINTR);
	if (rc == 0)
		return 0;
	rc = -errno;
	return DM_FAIL(-rc, "%s: cannot lock %zu bytes: %s", p->todo->name, p->len, strerror(-rc));
}

/** Count the nodes of the pages, and warn if the placement was not met. */
static void
pin_count_nodes(struct dm_pin *p, size_t page_size)
{
	static const char *const wanted[] = {
		"strictly", "preferred", "interleaved over all nodes", "locally"};
	char got[DM_NODE_STR_MAX], where[32] = "";

	dm_node_count(p->va, p->len, page_size, &p->nodes);
	p->node = dm_node_only(&p->nodes);
	p->as_asked = dm_node_as_asked(&p->nodes, p->todo->placement, p->wanted, page_size);
	/* If the node is unknown, pin_place() has warned. */
	if (p->as_asked || (p->nodes.n == 1 && p->node < 0))
		return;
	if (p->todo->placement != DMAMAP_PLACE_INTERLEAVE)
		snprintf(where, sizeof(where), " on node %d", p->wanted);
	DM_LOG(WARNING, "%s: wanted %s%s, got %s", p->todo->name, wanted[p->todo->placement], where,
		dm_node_lens_str(&p->nodes, got));
}

/** Undo pin_map(): the memory becomes reserved address space again. */
static void
pin_unmap(struct dm_pin *p)
{
	dm_pin_vacate(p);
	if (p->fd >= 0)
		close(p->fd);
	p->fd = -1;
}

/** Record the choice in the pin. */
static void
pin_set_choice(struct dm_pin *p, const struct dm_pin_choice *choice, bool locked)
{
	p->kind = choice->kind;
	p->page_size = choice->page_size;
	p->locked = locked;
}

/**
 * Whether to read the limits before a choice is tried. For anonymous memory yes, since beyond them
 * the kernel kills a process; but not if the plan has just read them. Hugepages are reserved by the
 * kernel, which ignores the node, so they are checked for STRICT placement only.
 */
static bool
pin_needs_check(const struct dm_pin *p, const struct dm_pin_choice *choice)
{
	const struct dm_pin_todo *todo = p->todo;
	struct timespec now;

	if (choice->kind == DMAMAP_PAGES_HUGETLB && dm_pin_only_node(p) < 0)
		return false;
	clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
	return choice != &todo->choice[0] ||
		(now.tv_sec - todo->planned.tv_sec) * 1000 +
			(now.tv_nsec - todo->planned.tv_nsec) / 1000000 >
		PLAN_FRESH_MS;
}

/** Populate with pages of one kind. @return 0; -ENOSPC: too few, `why` is written; else logged */
static int
pin_try_choice(struct dm_pin *p, const struct dm_pin_choice *choice, const struct dm_pin_fill *fill,
	char why[DM_PIN_WHY_MAX])
{
	int rc;

	if (pin_needs_check(p, choice) && dm_pin_is_short(p, choice, why))
		return -ENOSPC;
	pin_set_choice(p, choice, choice->locked);
	rc = pin_map(p, choice);
	if (rc < 0)
		goto explain;
	rc = pin_fault_in(p, choice, fill);
	if (rc == 0 && choice->kind == DMAMAP_PAGES_TRANSPARENT &&
		!dm_anon_make_transparent(p->va, p->len))
		rc = -ENOSPC;
	if (rc == 0 && choice->locked)
		rc = pin_lock(p);
	if (rc == 0)
		return 0;
	pin_unmap(p);
explain:
	if (rc == -ENOSPC)
		dm_pin_is_short(p, choice, why);
	return rc;
}

/** Try the choices in order. @return 0; -ENOMEM: none serves; else an error of the last. Logged. */
static int
pin_try_choices(struct dm_pin *p, const struct dm_pin_fill *fill)
{
	struct dm_pin_todo *todo = p->todo;
	char why[DM_PIN_WHY_MAX], str[DM_HUGEPAGE_STR_MAX], before[DM_PIN_REASONS_MAX];
	const struct dm_pin_choice *choice = todo->choice;
	unsigned int i;
	int rc = 0;

	/* Restored below: a second attempt begins with the plan's reasons only. */
	strcpy(before, todo->why);
	for (i = 0; i < todo->n; i++) {
		choice = &todo->choice[i];
		rc = pin_try_choice(p, choice, fill, why);
		if (rc != -ENOSPC)
			break;
		dm_pin_why_add(todo, choice, why);
	}
	if (rc == -ENOSPC)
		rc = DM_FAIL(ENOMEM, "%s: %s", todo->name, todo->why);
	else if (rc == 0 && choice->locked && todo->why[0] != '\0')
		DM_LOG(WARNING, "%s: %s; using %s of %s instead", todo->name, todo->why,
			choice->kind == DMAMAP_PAGES_BASE ? "locked base pages"
							  : "transparent hugepages",
			dm_hugepage_size_str(choice->page_size, str));
	strcpy(todo->why, before);
	if (rc < 0)
		pin_set_choice(p, &todo->choice[0], false);
	return rc;
}

int
dm_pin_populate(struct dm_pin *p, void *at, const struct dm_pin_fill *fill)
{
	static const struct dm_pin_fill by_itself;
	char why[DM_REFUSAL_MAX];
	int rc;

	if (p == NULL || p->todo == NULL)
		return DM_FAIL(EINVAL, "cannot populate memory: no plan, or already populated");
	if ((uintptr_t)at % p->align != 0)
		return DM_FAIL(EINVAL, "%s: address %p is not a multiple of the alignment, %zu",
			p->todo->name, at, p->align);
	p->va = at != NULL ? at : dm_va_reserve_aligned(p->len, p->align);
	if (p->va == NULL)
		return DM_FAIL(ENOMEM, "%s: no address space of %zu bytes, aligned to %zu: %s",
			p->todo->name, p->len, p->align,
			dm_refusal_mmap(p->len + p->align, errno, why));
	p->borrowed = at != NULL;
	rc = pin_try_choices(p, fill != NULL ? fill : &by_itself);
	if (rc < 0) {
		if (at == NULL)
			munmap(p->va, p->len);
		p->va = NULL;
		return rc;
	}
	pin_count_nodes(p, p->page_size);
	free(p->todo);
	p->todo = NULL;
	return 0;
}
