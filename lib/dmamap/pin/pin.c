/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * The file behind a pin, and release of its memory. See dm_pin.h.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "dm_log.h"
#include "dm_pin_todo.h"
#include "dm_process.h"
#include "dm_va.h"

/* Since Linux 5.18; the C library's headers may be older. */
#ifndef MADV_DONTNEED_LOCKED
#define MADV_DONTNEED_LOCKED 24
#endif

int
dm_pin_fd(const struct dm_pin *pin, uint64_t *offset)
{
	if (pin == NULL || pin->fd < 0)
		return -ENOTSUP;
	if (offset != NULL)
		*offset = 0;
	return pin->fd;
}

/** The madvise(2) advice that releases the pages without splitting a VMA. */
static int
pin_release_advice(const struct dm_pin *pin)
{
	if (pin->kind == DMAMAP_PAGES_HUGETLB || pin->fd >= 0)
		return MADV_REMOVE;
	return pin->locked ? MADV_DONTNEED_LOCKED : MADV_DONTNEED;
}

void
dm_pin_vacate(const struct dm_pin *pin)
{
	char why[DM_REFUSAL_MAX];
	int err;

	if (dm_va_reserve(pin->va, pin->len) != NULL)
		return;
	err = errno;
	DM_LOG(ERR, "memory at %p: %s, but access to %zu bytes cannot be revoked: %s", pin->va,
		madvise(pin->va, pin->len, pin_release_advice(pin)) == 0 ? "its pages are released"
									 : "its pages stay in use",
		pin->len, dm_refusal_mmap(pin->len, err, why));
}

void
dm_pin_free(struct dm_pin *pin)
{
	if (pin == NULL)
		return;
	if (pin->va != NULL && !pin->borrowed)
		dm_va_release(pin->va, pin->len, pin->process);
	else if (pin->va != NULL && dm_process_is(pin->process))
		dm_pin_vacate(pin);
	if (pin->fd >= 0)
		close(pin->fd);
	free(pin->todo);
	free(pin);
}
