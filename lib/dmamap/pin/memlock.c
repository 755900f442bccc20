/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * How much may this process lock? What the kernel will compare when a mapping pins pages.
 */

#include <errno.h>
#include <inttypes.h>
#include <linux/capability.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <rte_common.h>

#include "dm_log.h"
#include "dm_pin.h"

/** Is the calling thread exempt? The kernel asks for its capability too (vfio_dma_do_map(),
 * lock_cap). */
static bool
is_exempt(void)
{
	struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct caps[_LINUX_CAPABILITY_U32S_3];

	return syscall(SYS_capget, &head, caps) == 0 &&
		(caps[0].effective & (UINT32_C(1) << CAP_IPC_LOCK)) != 0;
}

/** Bytes that are locked: VmLck (charged by type1) or VmPin (by iommufd), the larger. */
static int
read_locked(uint64_t *locked)
{
	FILE *f = fopen("/proc/self/status", "re");
	char line[256];
	uint64_t kib;

	if (f == NULL)
		return -errno;
	*locked = 0;
	while (fgets(line, sizeof(line), f) != NULL) {
		if (sscanf(line, "VmLck: %" SCNu64, &kib) == 1 ||
			sscanf(line, "VmPin: %" SCNu64, &kib) == 1)
			*locked = RTE_MAX(*locked, kib << 10);
	}
	fclose(f);
	return 0;
}

int
dm_pin_memlock_check(uint64_t len, const char *what)
{
	struct rlimit limit;
	uint64_t locked, wanted;

	/* Reading /proc takes longer than all else that a map does: only if it can matter. */
	if (len == 0 || getrlimit(RLIMIT_MEMLOCK, &limit) < 0 || limit.rlim_cur == RLIM_INFINITY ||
		is_exempt())
		return 0;
	/* What cannot be read cannot be judged: the kernel has the last word then. */
	if (read_locked(&locked) < 0)
		return 0;
	if (locked <= limit.rlim_cur && len <= limit.rlim_cur - locked)
		return 0;

	wanted = len > UINT64_MAX - locked - 1023 ? UINT64_MAX : len + locked + 1023;
	wanted >>= 10;
	return DM_FAIL(ENOMEM,
		"%s: locking %" PRIu64 " KiB needs RLIMIT_MEMLOCK of %" PRIu64
		" KiB, it is %" PRIu64 " KiB (%" PRIu64 " KiB in use): ulimit -l %" PRIu64
		", LimitMEMLOCK= of the service, or CAP_IPC_LOCK",
		what, len >> 10, wanted, (uint64_t)limit.rlim_cur >> 10, locked >> 10, wanted);
}
