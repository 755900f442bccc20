/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * The limit on locked memory (RLIMIT_MEMLOCK): predicts what the kernel checks when a mapping pins
 * pages. See dm_pin.h.
 */

#include <errno.h>
#include <inttypes.h>
#include <linux/capability.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "dm_log.h"
#include "dm_pin.h"
#include "dm_util.h"

/**
 * Whether the calling thread is exempt. The kernel checks the caller's capability too
 * (vfio_dma_do_map(), lock_cap).
 */
static bool
memlock_is_exempt(void)
{
	struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct caps[_LINUX_CAPABILITY_U32S_3];

	return syscall(SYS_capget, &head, caps) == 0 &&
		(caps[0].effective & (UINT32_C(1) << CAP_IPC_LOCK)) != 0;
}

/** Locked bytes: VmLck (charged by type1) or VmPin (by iommufd), whichever is larger. */
static int
memlock_read_use(uint64_t *locked)
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
			*locked = DM_MAX(*locked, kib << 10);
	}
	fclose(f);
	return 0;
}

/** Whether one of the ranges overlaps [from, to). */
static bool
sge_overlaps(const struct iovec *sge, unsigned int n_sge, uint64_t from, uint64_t to)
{
	unsigned int i;

	for (i = 0; i < n_sge; i++)
		if ((uintptr_t)sge[i].iov_base < to &&
			(uintptr_t)sge[i].iov_base + sge[i].iov_len > from)
			return true;
	return false;
}

/** Bytes of the ranges that lie in [from, to). */
static uint64_t
sge_overlap_len(const struct iovec *sge, unsigned int n_sge, uint64_t from, uint64_t to)
{
	uint64_t start, end, len = 0;
	unsigned int i;

	for (i = 0; i < n_sge; i++) {
		start = DM_MAX((uint64_t)(uintptr_t)sge[i].iov_base, from);
		end = DM_MIN((uint64_t)(uintptr_t)sge[i].iov_base + sge[i].iov_len, to);
		len += start < end ? end - start : 0;
	}
	return len;
}

/** Whether a named mapping lies in the ranges. Unnamed anonymous memory is never device memory. */
static bool
sge_has_named(const struct iovec *sge, unsigned int n_sge)
{
	FILE *f = fopen("/proc/self/maps", "re");
	bool found = f == NULL, whole = true, starts;
	uint64_t from, to;
	char line[512], name[8];

	while (!found && fgets(line, sizeof(line), f) != NULL) {
		/* A line may be longer than the buffer; its remainder is no mapping. */
		starts = whole;
		whole = strchr(line, '\n') != NULL;
		found = starts &&
			sscanf(line, "%" SCNx64 "-%" SCNx64 " %*s %*s %*s %*s %7s", &from, &to,
				name) == 3 &&
			sge_overlaps(sge, n_sge, from, to);
	}
	if (f != NULL)
		fclose(f);
	return found;
}

/** Bytes of the ranges that are device memory: "pf" or "io" in VmFlags of smaps (proc(5)). */
static uint64_t
sge_device_len(const struct iovec *sge, unsigned int n_sge)
{
	FILE *f = fopen("/proc/self/smaps", "re");
	uint64_t from = 0, to = 0, start, end, len = 0;
	char line[512];

	while (f != NULL && fgets(line, sizeof(line), f) != NULL) {
		/* Keys may begin with hex digits, but no dash follows those. */
		if (sscanf(line, "%" SCNx64 "-%" SCNx64 " ", &start, &end) == 2) {
			from = start;
			to = end;
		} else if (strncmp(line, "VmFlags:", 8) == 0 &&
			(strstr(line, " pf") != NULL || strstr(line, " io") != NULL)) {
			len += sge_overlap_len(sge, n_sge, from, to);
		}
	}
	if (f != NULL)
		fclose(f);
	return len;
}

uint64_t
dm_pin_memlock_chargeable_sge(const struct iovec *sge, unsigned int n_sge)
{
	uint64_t len = sge_overlap_len(sge, n_sge, 0, UINT64_MAX);

	return sge_has_named(sge, n_sge) ? len - sge_device_len(sge, n_sge) : len;
}

uint64_t
dm_pin_memlock_chargeable(const void *va, uint64_t len)
{
	const struct iovec sge = {(void *)(uintptr_t)va, len};

	return dm_pin_memlock_chargeable_sge(&sge, 1);
}

/** Read the limit and its current use, in bytes. @return whether a limit applies to this process */
static bool
memlock_read_limit(uint64_t *limit, uint64_t *locked)
{
	struct rlimit rlimit;

	/*
	 * Reading /proc takes longer than the rest of a map call, so it is read only if it can
	 * matter.
	 */
	if (getrlimit(RLIMIT_MEMLOCK, &rlimit) < 0 || rlimit.rlim_cur == RLIM_INFINITY ||
		memlock_is_exempt())
		return false;
	*limit = rlimit.rlim_cur;
	/*
	 * Without the current use there is nothing to compare; the kernel still enforces the limit.
	 */
	return memlock_read_use(locked) == 0;
}

static bool
memlock_fits(uint64_t len, uint64_t limit, uint64_t locked)
{
	return locked <= limit && len <= limit - locked;
}

static int
memlock_fail(uint64_t len, uint64_t limit, uint64_t locked, const char *what)
{
	uint64_t wanted = len > UINT64_MAX - locked - 1023 ? UINT64_MAX : len + locked + 1023;

	wanted >>= 10;
	return DM_FAIL(ENOMEM,
		"%s: locking %" PRIu64 " KiB needs RLIMIT_MEMLOCK of %" PRIu64
		" KiB, it is %" PRIu64 " KiB (%" PRIu64 " KiB in use): ulimit -l %" PRIu64
		", LimitMEMLOCK= of the service, or CAP_IPC_LOCK",
		what, len >> 10, wanted, limit >> 10, locked >> 10, wanted);
}

int
dm_pin_memlock_check(uint64_t len, const char *what)
{
	uint64_t limit, locked;

	if (len == 0 || !memlock_read_limit(&limit, &locked) || memlock_fits(len, limit, locked))
		return 0;
	return memlock_fail(len, limit, locked, what);
}

/** len * n, or UINT64_MAX on overflow. */
static uint64_t
mul_saturating(uint64_t len, unsigned int n)
{
	uint64_t product;

	return __builtin_mul_overflow(len, n, &product) ? UINT64_MAX : product;
}

int
dm_pin_memlock_check_sge(
	const struct iovec *sge, unsigned int n_sge, unsigned int charges, const char *what)
{
	uint64_t len = mul_saturating(sge_overlap_len(sge, n_sge, 0, UINT64_MAX), charges), limit,
		 locked;

	if (len == 0 || !memlock_read_limit(&limit, &locked) || memlock_fits(len, limit, locked))
		return 0;
	len = mul_saturating(dm_pin_memlock_chargeable_sge(sge, n_sge), charges);
	return len == 0 || memlock_fits(len, limit, locked)
		? 0
		: memlock_fail(len, limit, locked, what);
}

int
dm_pin_memlock_check_range(const void *va, uint64_t len, unsigned int charges, const char *what)
{
	const struct iovec sge = {(void *)(uintptr_t)va, len};

	return dm_pin_memlock_check_sge(&sge, 1, charges, what);
}
