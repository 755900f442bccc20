/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Where do the bytes live? Choose a page size, map pages of it, bind them to a node, fault them in.
 */

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <rte_common.h>

#include "dm_fault_in.h"
#include "dm_hugepage.h"
#include "dm_log.h"
#include "dm_node.h"
#include "dm_pin.h"

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
		return DM_FAIL(EINVAL, "%s: a length of %zu bytes makes no sense", conf->name,
			conf->len);
	if (conf->align != 0 && (!is_pow2(conf->align) || conf->align > SIZE_MAX / 4))
		return DM_FAIL(EINVAL, "%s: alignment %zu is no power of two that memory can have",
			conf->name, conf->align);
	if (conf->page_size != 0 && !is_pow2(conf->page_size))
		return DM_FAIL(EINVAL, "%s: page size %zu is no power of two", conf->name,
			conf->page_size);
	if (conf->node < -1)
		return DM_FAIL(EINVAL, "%s: node %d makes no sense; -1 is any", conf->name,
			conf->node);
	return dm_node_check(conf->node, conf->name);
}

/**
 * Map a file, or anonymous memory if fd is -1, at an aligned address: reserve room for the worst
 * case, map into it, trim both ends.
 */
static void *
map_aligned(size_t len, size_t align, int fd)
{
	size_t room = len + align, head;
	int flags = fd < 0 ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED;
	void *start, *va;

	start = mmap(NULL, room, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (start == MAP_FAILED)
		return NULL;
	va = RTE_PTR_ALIGN_CEIL(start, align);
	if (mmap(va, len, PROT_READ | PROT_WRITE, flags | MAP_FIXED, fd, 0) == MAP_FAILED) {
		munmap(start, room);
		return NULL;
	}
	head = RTE_PTR_DIFF(va, start);
	if (head > 0)
		munmap(start, head);
	if (head < align)
		munmap(RTE_PTR_ADD(va, len), align - head);
	return va;
}

/** Map len bytes of base pages; nothing is touched. */
static int
map_base_pages(const struct dm_pin_conf *conf, size_t len, void **va)
{
	*va = map_aligned(len, RTE_MAX(conf->align, base_page_size()), -1);
	if (*va == NULL)
		return -ENOSPC;
	/* Base pages were asked for: none that is made huge behind the caller's back. */
	madvise(*va, len, MADV_NOHUGEPAGE);
	return 0;
}

/** Map len bytes of hugepages; nothing is touched. */
static int
map_hugepages(const struct dm_pin_conf *conf, size_t len, size_t page_size, void **va)
{
	char str[DM_HUGEPAGE_STR_MAX];
	int fd = dm_hugepage_file(page_size, conf->name);

	if (fd < 0)
		return DM_FAIL(-fd, "%s: cannot make a file of pages of %s: %s", conf->name,
			dm_hugepage_size_str(page_size, str), strerror(-fd));
	*va = NULL;
	if (ftruncate(fd, (off_t)len) == 0)
		*va = map_aligned(len, RTE_MAX(conf->align, page_size), fd);
	close(fd); /* the mapping keeps the file alive */
	return *va == NULL ? -ENOSPC : 0;
}

/** Allocate with pages of one size. @return 0; -ENOSPC, not logged: too few pages; else logged. */
static int
alloc_pages(const struct dm_pin_conf *conf, size_t page_size, struct dm_pin **pin)
{
	struct dm_pin *p = calloc(1, sizeof(*p));
	int rc;

	if (p == NULL)
		return DM_FAIL(ENOMEM, "%s: out of memory", conf->name);
	p->page_size = page_size;
	p->len = RTE_ALIGN_CEIL(conf->len, page_size);
	if (page_size == base_page_size())
		rc = map_base_pages(conf, p->len, &p->va);
	else
		rc = map_hugepages(conf, p->len, page_size, &p->va);
	if (rc < 0)
		goto free_pin;
	rc = dm_node_bind(p->va, p->len, conf->node);
	if (rc < 0) {
		DM_LOG(ERR, "%s: cannot bind memory to NUMA node %d: %s", conf->name, conf->node,
			strerror(-rc));
		goto unmap;
	}
	/* A fork would make the parent's next write go to a copy that no device sees. */
	if (madvise(p->va, p->len, MADV_DONTFORK) < 0) {
		rc = DM_FAIL(errno, "%s: cannot exclude memory from fork: %s", conf->name,
			strerror(errno));
		goto unmap;
	}
	rc = dm_fault_in(p->va, p->len, page_size);
	if (rc < 0) {
		if (rc != -ENOSPC)
			DM_LOG(ERR, "%s: cannot fault in memory: %s", conf->name, strerror(-rc));
		goto unmap;
	}
	p->node = dm_node_of(p->va, p->len, page_size);
	*pin = p;
	return 0;

unmap:
	munmap(p->va, p->len);
free_pin:
	free(p);
	return rc;
}

/** The same, and say so if there are too few pages. */
static int
alloc_or_explain(const struct dm_pin_conf *conf, size_t page_size, struct dm_pin **pin)
{
	size_t len = RTE_ALIGN_CEIL(conf->len, page_size);
	int rc = alloc_pages(conf, page_size, pin);

	if (rc != -ENOSPC)
		return rc;
	if (page_size == base_page_size())
		DM_LOG(ERR, "%s: cannot get %zu bytes in base pages: memory is short, or the limit"
			" of ulimit -v or of the cgroup is reached", conf->name, len);
	else
		dm_hugepage_log_shortage(conf->name, page_size, conf->node, len / page_size);
	return -ENOMEM;
}

/** Is a page size a good choice that can be had now? */
static bool
suits(const struct dm_pin_conf *conf, size_t page_size)
{
	size_t len = RTE_ALIGN_CEIL(conf->len, page_size);
	struct dm_hugepage_count count;

	return len - conf->len <= len / 8 &&
		dm_hugepage_count(page_size, conf->node, &count) == 0 &&
		count.free >= len / page_size;
}

/** The largest size that suits; if none does, the smallest hugepages, whose lack is reported. */
static int
alloc_any_size(const struct dm_pin_conf *conf, struct dm_pin **pin)
{
	size_t sizes[DM_HUGEPAGE_SIZES_MAX];
	unsigned int i, n = dm_hugepage_sizes(sizes);
	int rc;

	if (n == 0)
		return DM_FAIL(ENOENT, "%s: this kernel has no hugepages (no"
			" /sys/kernel/mm/hugepages)", conf->name);
	for (i = 0; i < n - 1; i++) {
		if (!suits(conf, sizes[i]))
			continue;
		rc = alloc_pages(conf, sizes[i], pin);
		if (rc != -ENOSPC)
			return rc;
	}
	return alloc_or_explain(conf, sizes[n - 1], pin);
}

static int
check_page_size(const struct dm_pin_conf *conf)
{
	size_t sizes[DM_HUGEPAGE_SIZES_MAX];
	char str[DM_HUGEPAGE_STR_MAX];
	unsigned int n;

	if (conf->page_size == base_page_size())
		return 0;
	for (n = dm_hugepage_sizes(sizes); n > 0; n--)
		if (sizes[n - 1] == conf->page_size)
			return 0;
	return DM_FAIL(ENOENT, "%s: this system has no pages of %s: see /sys/kernel/mm/hugepages",
		conf->name, dm_hugepage_size_str(conf->page_size, str));
}

int
dm_pin_alloc(const struct dm_pin_conf *conf, struct dm_pin **pin)
{
	int rc = check_conf(conf);

	if (rc < 0)
		return rc;
	if (conf->page_size == 0)
		return alloc_any_size(conf, pin);
	rc = check_page_size(conf);
	if (rc < 0)
		return rc;
	return alloc_or_explain(conf, conf->page_size, pin);
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
