/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Physical addresses of memory of this process, from pagemap. An address is valid only when it is
 * read; nothing here pins it. See dm_phys.h.
 */

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#include "dm_log.h"
#include "dm_phys.h"
#include "dm_util.h"

/* Entries of /proc/self/pagemap: one for each page of the process. */
#define PAGEMAP_PRESENT (UINT64_C(1) << 63)
#define PAGEMAP_PFN ((UINT64_C(1) << 55) - 1)
/* Entries of /proc/kpageflags: one for each physical page. */
#define KPF_HUGE (UINT64_C(1) << 17)

/** Entries in one read. */
#define BATCH 512

/** Read n entries of 8 bytes, starting with entry `first` of a file. */
static int
phys_read_entries(const char *path, uint64_t first, uint64_t *entries, unsigned int n)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t want = n * sizeof(*entries), got;

	if (fd < 0)
		return -errno;
	got = pread(fd, entries, want, (off_t)(first * sizeof(*entries)));
	close(fd);
	return got == want ? 0 : -EIO;
}

/** Check that a page of this process is in the expected page frame. */
static int
phys_check_entry(uint64_t entry, const void *va, uint64_t wanted)
{
	if (!(entry & PAGEMAP_PRESENT))
		return DM_FAIL(EFAULT,
			"the memory at %p is not present, so it has no physical address", va);
	if ((entry & PAGEMAP_PFN) == 0)
		return DM_FAIL(EPERM,
			"the physical address of %p is hidden from this process: it"
			" needs CAP_SYS_ADMIN",
			va);
	if ((entry & PAGEMAP_PFN) != wanted)
		return DM_FAIL(EINVAL,
			"the memory at %p is not physically contiguous with the page before"
			" it: without an IOMMU, use larger hugepages or shorter runs",
			va);
	return 0;
}

/** Check that n physical pages from pfn on are parts of hugepages. */
static int
phys_check_huge(uint64_t pfn, unsigned int n, const void *va)
{
	uint64_t flags[BATCH];
	unsigned int i;
	int rc = phys_read_entries("/proc/kpageflags", pfn, flags, n);

	if (rc < 0)
		return DM_FAIL(-rc, "cannot read /proc/kpageflags: %s", strerror(-rc));
	for (i = 0; i < n; i++)
		if (!(flags[i] & KPF_HUGE))
			return DM_FAIL(EINVAL,
				"the memory at %p is not in a hugepage: compaction and swapping"
				" move base pages: without an IOMMU, use hugepages",
				va);
	return 0;
}

int
dm_phys_of(const void *va, uint64_t len, uint64_t *phys)
{
	const uint64_t page = sysconf(_SC_PAGESIZE);
	uint64_t entries[BATCH], first = 0, done, n, i;
	int rc;

	for (done = 0; done < len / page; done += n) {
		n = DM_MIN(len / page - done, (uint64_t)BATCH);
		rc = phys_read_entries(
			"/proc/self/pagemap", (uintptr_t)va / page + done, entries, n);
		if (rc < 0)
			return DM_FAIL(-rc, "cannot read /proc/self/pagemap: %s", strerror(-rc));
		if (done == 0)
			first = entries[0] & PAGEMAP_PFN;
		for (i = 0; i < n && rc == 0; i++)
			rc = phys_check_entry(
				entries[i], DM_PTR_ADD(va, (done + i) * page), first + done + i);
		if (rc == 0)
			rc = phys_check_huge(first + done, n, DM_PTR_ADD(va, done * page));
		if (rc < 0)
			return rc;
	}
	*phys = first * page;
	return 0;
}
