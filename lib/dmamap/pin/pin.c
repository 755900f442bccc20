/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Where do the bytes live? Choose a page size, map pages of it, bind them to a node, fault them in.
 */

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <rte_common.h>

#include "dm_anon.h"
#include "dm_hugepage.h"
#include "dm_log.h"
#include "dm_node.h"
#include "dm_pin.h"
#include "dm_prefault.h"
#include "dm_space.h"

static size_t
base_page_size(void)
{
	return sysconf(_SC_PAGESIZE);
}

static bool
is_pow2(size_t n)
{
	return n != 0 && (n & (n - 1)) == 0;
}

static int
check_conf(const struct dm_pin_conf *conf)
{
	if (conf == NULL || conf->name == NULL)
		return -EINVAL;
	/* Half the address space is beyond any machine and keeps the sums below from wrapping. */
	if (conf->len == 0 || conf->len > SIZE_MAX / 4)
		return DM_FAIL(
			EINVAL, "%s: a length of %zu bytes makes no sense", conf->name, conf->len);
	if (conf->align != 0 && (!is_pow2(conf->align) || conf->align > SIZE_MAX / 4))
		return DM_FAIL(EINVAL, "%s: alignment %zu is no power of two that memory can have",
			conf->name, conf->align);
	if (conf->page_size != 0 && !is_pow2(conf->page_size))
		return DM_FAIL(EINVAL, "%s: page size %zu is no power of two", conf->name,
			conf->page_size);
	if (conf->node < -1)
		return DM_FAIL(
			EINVAL, "%s: node %d makes no sense; -1 is any", conf->name, conf->node);
	if ((unsigned int)conf->placement > DMAMAP_PLACE_LOCAL ||
		(conf->allow & ~(DMAMAP_ALLOW_TRANSPARENT | DMAMAP_ALLOW_BASE)) != 0)
		return DM_FAIL(EINVAL, "%s: placement %d or fallback 0x%x is none that is known",
			conf->name, conf->placement, conf->allow);
	return dm_node_check(conf->node, conf->name);
}

/** Map a file, or anonymous memory if fd is -1, at an aligned address, or exactly at `at`. */
static void *
map_aligned(size_t len, size_t align, int fd, void *at)
{
	int flags = fd < 0 ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED;
	void *va = at != NULL ? at : dm_space_reserve_aligned(len, align);

	if (va == NULL)
		return NULL;
	if (mmap(va, len, PROT_READ | PROT_WRITE, flags | MAP_FIXED, fd, 0) != MAP_FAILED)
		return va;
	/* Where there are no pages, the kernel may have unmapped what was there before it said so.
	 */
	if (at != NULL)
		dm_space_reserve(at, len);
	else
		munmap(va, len);
	return NULL;
}

/** Undo map_aligned(). */
static void
unmap(const struct dm_pin_conf *conf, struct dm_pin *p)
{
	if (conf->at == NULL)
		munmap(p->va, p->len);
	else if (dm_space_reserve(p->va, p->len) == NULL)
		DM_LOG(ERR, "%s: the kernel does not take %zu bytes back: %s", conf->name, p->len,
			strerror(errno));
}

/** Map anonymous memory; nothing is touched. */
static int
map_anon(const struct dm_pin_conf *conf, struct dm_pin *p)
{
	/* Better no memory than a process that is killed for having taken too much. */
	if (p->len > dm_anon_available(conf->placement == DMAMAP_PLACE_STRICT ? p->wanted : -1))
		return -ENOSPC;
	p->va = map_aligned(p->len, RTE_MAX(conf->align, p->page_size), -1, conf->at);
	if (p->va == NULL)
		return -ENOSPC;
	/* Base pages were asked for: none that is made huge behind the caller's back. */
	madvise(p->va, p->len, p->kind == DMAMAP_PAGES_BASE ? MADV_NOHUGEPAGE : MADV_HUGEPAGE);
	return 0;
}

/** Map hugepages; nothing is touched. */
static int
map_hugepages(const struct dm_pin_conf *conf, struct dm_pin *p)
{
	char str[DM_HUGEPAGE_STR_MAX], why[DM_HUGEPAGE_SHORTAGE_MAX];
	int fd;

	if (dm_hugepage_shortage(p->page_size,
		    conf->placement == DMAMAP_PLACE_STRICT ? p->wanted : -1, p->len / p->page_size,
		    why))
		return -ENOSPC;
	fd = dm_hugepage_file(p->page_size, conf->name);
	if (fd < 0)
		return DM_FAIL(-fd, "%s: cannot make a file of pages of %s: %s", conf->name,
			dm_hugepage_size_str(p->page_size, str), strerror(-fd));
	if (ftruncate(fd, (off_t)p->len) == 0)
		p->va = map_aligned(p->len, RTE_MAX(conf->align, p->page_size), fd, conf->at);
	close(fd); /* the mapping keeps the file alive */
	return p->va == NULL ? -ENOSPC : 0;
}

/** Bring pages to life, where they are wanted and for this process only. @return 0; -ENOSPC,
 * -ECANCELED; else logged */
static int
fill(const struct dm_pin_conf *conf, struct dm_pin *p)
{
	const struct dm_prefault_conf how = {.threads = conf->threads,
		.node = p->wanted,
		.progress = conf->progress,
		.arg = conf->progress_arg,
		.what = conf->name};
	int rc;

	rc = dm_node_place(p->va, p->len, conf->placement, p->wanted);
	if (rc < 0)
		return DM_FAIL(-rc, "%s: cannot place memory on NUMA node %d: %s", conf->name,
			p->wanted, strerror(-rc));
	/* A fork would make the parent's next write go to a copy that no device sees. */
	if (madvise(p->va, p->len, MADV_DONTFORK) < 0)
		return DM_FAIL(errno, "%s: cannot exclude memory from fork: %s", conf->name,
			strerror(errno));
	rc = dm_prefault(p->va, p->len, p->page_size, &how);
	if (rc < 0 && rc != -ENOSPC && rc != -ECANCELED)
		DM_LOG(ERR, "%s: cannot fault in memory: %s", conf->name, strerror(-rc));
	return rc;
}

/** Keep a fallback's pages in memory: the kernel swaps no hugepage out, but these. */
static int
lock(const struct dm_pin_conf *conf, struct dm_pin *p)
{
	int rc = dm_pin_memlock_check(p->len, conf->name);

	if (rc < 0)
		return rc;
	/* Not mlock(), which address sanitizers make do nothing. */
	if (mlock2(p->va, p->len, 0) < 0)
		return DM_FAIL(errno, "%s: cannot lock %zu bytes: %s", conf->name, p->len,
			strerror(errno));
	p->locked = true;
	return 0;
}

/** Count where the pages are, and say if they are elsewhere than wished. */
static void
account(const struct dm_pin_conf *conf, struct dm_pin *p)
{
	static const char *const wish[] = {
		"strictly", "preferred", "interleaved over all nodes", "locally"};
	char got[DM_NODE_STR_MAX], where[32] = "";

	dm_node_count(p->va, p->len, p->page_size, &p->nodes);
	p->node = dm_node_only(&p->nodes);
	p->as_asked = dm_node_as_asked(&p->nodes, conf->placement, p->wanted, p->page_size);
	if (p->as_asked)
		return;
	if (conf->placement != DMAMAP_PLACE_INTERLEAVE)
		snprintf(where, sizeof(where), " on node %d", p->wanted);
	DM_LOG(WARNING, "%s: wanted %s%s, got %s", conf->name, wish[conf->placement], where,
		dm_node_lens_str(&p->nodes, got));
}

static int
wanted_node(const struct dm_pin_conf *conf)
{
	if (conf->placement == DMAMAP_PLACE_LOCAL)
		return dm_node_local();
	return conf->placement == DMAMAP_PLACE_INTERLEAVE ? -1 : conf->node;
}

/** Allocate pages of one kind and size. @return 0; -ENOSPC, not logged: too few pages; else logged.
 */
static int
alloc_kind(const struct dm_pin_conf *conf, enum dmamap_page_kind kind, size_t page_size,
	bool locked, struct dm_pin **pin)
{
	struct dm_pin *p = calloc(1, sizeof(*p));
	int rc;

	if (p == NULL)
		return DM_FAIL(ENOMEM, "%s: out of memory", conf->name);
	p->kind = kind;
	p->page_size = page_size;
	p->len = RTE_ALIGN_CEIL(conf->len, page_size);
	p->wanted = wanted_node(conf);
	p->lodger = conf->at != NULL;
	rc = kind == DMAMAP_PAGES_HUGETLB ? map_hugepages(conf, p) : map_anon(conf, p);
	if (rc < 0)
		goto free_pin;
	rc = fill(conf, p);
	if (rc == 0 && kind == DMAMAP_PAGES_TRANSPARENT && !dm_anon_make_transparent(p->va, p->len))
		rc = -ENOSPC;
	if (rc == 0 && locked)
		rc = lock(conf, p);
	if (rc < 0)
		goto unmap;
	account(conf, p);
	*pin = p;
	return 0;

unmap:
	unmap(conf, p);
free_pin:
	free(p);
	return rc;
}

/** Allocate pages of one size. @return as alloc_kind() */
static int
alloc_pages(const struct dm_pin_conf *conf, size_t page_size, struct dm_pin **pin)
{
	return alloc_kind(conf,
		page_size == base_page_size() ? DMAMAP_PAGES_BASE : DMAMAP_PAGES_HUGETLB, page_size,
		false, pin);
}

/** Whatever is allowed instead of hugepages; `why` they cannot be had goes into the line that says
 * so. */
static int
alloc_instead(const struct dm_pin_conf *conf, const char *why, struct dm_pin **pin)
{
	size_t size = conf->allow & DMAMAP_ALLOW_TRANSPARENT ? dm_anon_transparent_size() : 0;
	char str[DM_HUGEPAGE_STR_MAX];
	int rc = -ENOSPC;

	if (size != 0)
		rc = alloc_kind(conf, DMAMAP_PAGES_TRANSPARENT, size, true, pin);
	if (rc == -ENOSPC && (conf->allow & DMAMAP_ALLOW_BASE))
		rc = alloc_kind(conf, DMAMAP_PAGES_BASE, base_page_size(), true, pin);
	if (rc == 0)
		DM_LOG(WARNING, "%s: %s; it gets %s of %s instead", conf->name, why,
			(*pin)->kind == DMAMAP_PAGES_BASE ? "locked base pages"
							  : "transparent hugepages",
			dm_hugepage_size_str((*pin)->page_size, str));
	return rc;
}

/** Allocate pages like others. */
static int
alloc_like(const struct dm_pin_conf *conf, struct dm_pin **pin)
{
	const struct dm_pin *like = conf->like;
	char why[DM_HUGEPAGE_SHORTAGE_MAX], str[DM_HUGEPAGE_STR_MAX];
	int rc = alloc_kind(conf, like->kind, like->page_size, like->locked, pin);

	if (rc != -ENOSPC)
		return rc;
	dm_hugepage_shortage(like->page_size,
		conf->placement == DMAMAP_PLACE_STRICT ? conf->node : -1,
		RTE_ALIGN_CEIL(conf->len, like->page_size) / like->page_size, why);
	if (like->kind == DMAMAP_PAGES_HUGETLB)
		return DM_FAIL(ENOMEM, "%s: %s", conf->name, why);
	return DM_FAIL(ENOMEM, "%s: cannot get %zu bytes in %s pages of %s", conf->name, conf->len,
		like->kind == DMAMAP_PAGES_BASE ? "base" : "transparent",
		dm_hugepage_size_str(like->page_size, str));
}

/** The same, and say so if there are too few pages. */
static int
alloc_or_explain(const struct dm_pin_conf *conf, size_t page_size, struct dm_pin **pin)
{
	size_t len = RTE_ALIGN_CEIL(conf->len, page_size);
	int rc = alloc_pages(conf, page_size, pin), node;
	char why[DM_HUGEPAGE_SHORTAGE_MAX];

	if (rc != -ENOSPC)
		return rc;
	node = conf->placement == DMAMAP_PLACE_STRICT ? conf->node : -1;
	if (page_size == base_page_size())
		return DM_FAIL(ENOMEM,
			"%s: cannot get %zu MiB in base pages, %" PRIu64
			" MiB are free or made free: memory"
			" is short, or the limit of ulimit -v or of the control group is reached",
			conf->name, (len + (1 << 20) - 1) >> 20, dm_anon_available(node) >> 20);
	dm_hugepage_shortage(page_size, node, len / page_size, why);
	rc = alloc_instead(conf, why, pin);
	if (rc == -ENOSPC)
		rc = DM_FAIL(ENOMEM, "%s: %s", conf->name, why);
	return rc;
}

/** Is a page size a good choice that can be had now? */
static bool
suits(const struct dm_pin_conf *conf, size_t page_size)
{
	size_t len = RTE_ALIGN_CEIL(conf->len, page_size);

	return len - conf->len <= len / 8 &&
		dm_hugepage_available(
			page_size, conf->placement == DMAMAP_PLACE_STRICT ? conf->node : -1) >=
		len / page_size;
}

/** The largest size that suits; if none does, the smallest hugepages, whose lack is reported. */
static int
alloc_any_size(const struct dm_pin_conf *conf, struct dm_pin **pin)
{
	size_t sizes[DM_HUGEPAGE_SIZES_MAX], smallest = dm_hugepage_smallest();
	unsigned int i, n = dm_hugepage_sizes(sizes);
	int rc;

	if (smallest == 0) {
		rc = alloc_instead(
			conf, "this kernel has no hugepages (no /sys/kernel/mm/hugepages)", pin);
		return rc != -ENOSPC ? rc
				     : DM_FAIL(ENOENT,
					       "%s: this kernel has no hugepages (no"
					       " /sys/kernel/mm/hugepages)",
					       conf->name);
	}
	for (i = 0; i < n && sizes[i] > smallest; i++) {
		if (!suits(conf, sizes[i]))
			continue;
		rc = alloc_pages(conf, sizes[i], pin);
		if (rc != -ENOSPC)
			return rc;
	}
	return alloc_or_explain(conf, smallest, pin);
}

static int
check_page_size(const struct dm_pin_conf *conf)
{
	size_t sizes[DM_HUGEPAGE_SIZES_MAX];
	unsigned int n;

	if (conf->page_size == base_page_size())
		return 0;
	for (n = dm_hugepage_sizes(sizes); n > 0; n--)
		if (sizes[n - 1] == conf->page_size)
			return 0;
	return -ENOENT;
}

int
dm_pin_alloc(const struct dm_pin_conf *conf, struct dm_pin **pin)
{
	char str[DM_HUGEPAGE_STR_MAX], why[DM_HUGEPAGE_SHORTAGE_MAX];
	int rc = check_conf(conf);

	if (rc < 0)
		return rc;
	if (conf->like != NULL)
		return alloc_like(conf, pin);
	if (conf->page_size == 0)
		return alloc_any_size(conf, pin);
	if (check_page_size(conf) == 0)
		return alloc_or_explain(conf, conf->page_size, pin);
	snprintf(why, sizeof(why), "this system has no pages of %s: see /sys/kernel/mm/hugepages",
		dm_hugepage_size_str(conf->page_size, str));
	rc = alloc_instead(conf, why, pin);
	return rc != -ENOSPC ? rc : DM_FAIL(ENOENT, "%s: %s", conf->name, why);
}

int
dm_pin_move(struct dm_pin *pin, void *at)
{
	void *va;

	if ((uintptr_t)at % pin->page_size != 0)
		return -EINVAL;
	va = mremap(pin->va, pin->len, pin->len, MREMAP_MAYMOVE | MREMAP_FIXED, at);
	if (va == MAP_FAILED)
		return -errno;
	pin->va = va;
	pin->lodger = true;
	return 0;
}

void
dm_pin_free(struct dm_pin *pin)
{
	if (pin == NULL)
		return;
	if (!pin->lodger)
		munmap(pin->va, pin->len);
	free(pin);
}
