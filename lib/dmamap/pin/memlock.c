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

#include <rte_common.h>

#include "dm_log.h"
#include "dm_pin.h"

/** What /proc/self/status says. */
struct status {
	uint64_t locked;   /**< bytes: VmLck (charged by type1) or VmPin (by iommufd), the larger */
	uint64_t caps;	   /**< effective capabilities */
};

static int
read_status(struct status *st)
{
	FILE *f = fopen("/proc/self/status", "re");
	char line[256];
	uint64_t kib;

	if (f == NULL)
		return -errno;
	*st = (struct status){0};
	while (fgets(line, sizeof(line), f) != NULL) {
		if (sscanf(line, "VmLck: %" SCNu64, &kib) == 1 ||
				sscanf(line, "VmPin: %" SCNu64, &kib) == 1)
			st->locked = RTE_MAX(st->locked, kib << 10);
		else
			sscanf(line, "CapEff: %" SCNx64, &st->caps);
	}
	fclose(f);
	return 0;
}

int
dm_pin_memlock_check(uint64_t len, const char *what)
{
	struct rlimit limit;
	struct status st;
	uint64_t wanted;

	/* What cannot be read cannot be judged: the kernel has the last word then. */
	if (read_status(&st) < 0 || getrlimit(RLIMIT_MEMLOCK, &limit) < 0)
		return 0;
	if (st.caps & (UINT64_C(1) << CAP_IPC_LOCK) || limit.rlim_cur == RLIM_INFINITY)
		return 0;
	if (st.locked <= limit.rlim_cur && len <= limit.rlim_cur - st.locked)
		return 0;

	wanted = len > UINT64_MAX - st.locked - 1023 ? UINT64_MAX : len + st.locked + 1023;
	wanted >>= 10;
	return DM_FAIL(ENOMEM, "%s: locking %" PRIu64 " KiB needs RLIMIT_MEMLOCK of %" PRIu64
		" KiB, it is %" PRIu64 " KiB (%" PRIu64 " KiB in use): ulimit -l %" PRIu64
		", LimitMEMLOCK= of the service, or CAP_IPC_LOCK",
		what, len >> 10, wanted, (uint64_t)limit.rlim_cur >> 10, st.locked >> 10, wanted);
}
