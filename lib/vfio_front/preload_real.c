/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Look-up of the C library's own functions. Implements preload_real.h.
 */

#include "preload_real.h"

#include <dlfcn.h>
#include <limits.h>
#include <sys/resource.h>

struct preload_real preload_real;

/**
 * RTLD_NEXT also finds another library that interposes the same functions, if it is loaded after
 * this one.
 */
__attribute__((constructor(101))) static void
real_init(void)
{
	void *next;

#define X(name)                                                                                    \
	next = dlsym(RTLD_NEXT, #name);                                                            \
	__atomic_store_n((void **)&preload_real.name, next, __ATOMIC_RELAXED);
	PRELOAD_REAL_NAMES(X)
#undef X
}

void
preload_real_closefrom(int low)
{
	__typeof__(closefrom) *f = PRELOAD_REAL(closefrom);
	struct rlimit limit;
	int fd, err = errno;

	if (PRELOAD_LIKELY(f != NULL)) {
		f(low);
		return;
	}
	low = low < 0 ? 0 : low;
	/* Linux before 5.9 has no close_range(2). */
	if (syscall(SYS_close_range, low, UINT_MAX, 0) != 0 &&
		getrlimit(RLIMIT_NOFILE, &limit) == 0)
		for (fd = low; (rlim_t)fd < limit.rlim_cur && fd < INT_MAX; fd++)
			preload_real_close(fd);
	errno = err;
}
