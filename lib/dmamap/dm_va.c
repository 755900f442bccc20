/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Reserved virtual address space. See dm_va.h.
 */

#include <stdint.h>
#include <sys/mman.h>

#include "dm_process.h"
#include "dm_va.h"
#include "dm_util.h"

void *
dm_va_reserve(void *at, size_t len)
{
	void *va = mmap(at, len, PROT_NONE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | (at != NULL ? MAP_FIXED : 0), -1, 0);

	if (va == MAP_FAILED)
		return NULL;
	/* Best effort: both only save work in core dumps and fork(2). */
	madvise(va, len, MADV_DONTDUMP);
	madvise(va, len, MADV_DONTFORK);
	return va;
}

void *
dm_va_reserve_aligned(size_t len, size_t align)
{
	uint8_t *va = dm_va_reserve(NULL, len + align), *start;
	size_t head;

	if (va == NULL)
		return NULL;
	start = DM_PTR_ALIGN_CEIL(va, align);
	head = DM_PTR_DIFF(start, va);
	if (head > 0)
		munmap(va, head);
	if (head < align)
		munmap(start + len, align - head);
	return start;
}

void
dm_va_release(void *va, size_t len, uint64_t process)
{
	if (dm_process_is(process))
		munmap(va, len);
}
