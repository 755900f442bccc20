/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Texts that name the limit that was reached. See dm_refusal.h.
 */

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "dm_file.h"
#include "dm_refusal.h"

/** Files open at a time while limits are read: mountinfo, a counter, and one spare. */
#define FILES 3

#define MIB(bytes) ((uint64_t)(bytes) >> 20)

/** A value in KiB from /proc/self/status, converted to bytes; 0: not found. */
static uint64_t
status_read_kib(const char *key)
{
	FILE *f = fopen("/proc/self/status", "re");
	char line[256], word[64];
	uint64_t kib = 0;

	while (f != NULL && fgets(line, sizeof(line), f) != NULL)
		if (sscanf(line, "%63[^:]: %" SCNu64, word, &kib) == 2 && strcmp(word, key) == 0)
			break;
		else
			kib = 0;
	if (f != NULL)
		fclose(f);
	return kib << 10;
}

/** Count the VMAs of this process. */
static int64_t
vma_count(void)
{
	FILE *f = fopen("/proc/self/maps", "re");
	int64_t n = 0;
	int c;

	while (f != NULL && (c = getc_unlocked(f)) != EOF)
		n += c == '\n';
	if (f != NULL)
		fclose(f);
	return n;
}

/** Whether a limit leaves less than len bytes. */
static bool
rlimit_is_reached(int resource, uint64_t use, size_t len, struct rlimit *limit)
{
	return getrlimit(resource, limit) == 0 && limit->rlim_cur != RLIM_INFINITY &&
		(use > limit->rlim_cur || len > limit->rlim_cur - use);
}

const char *
dm_refusal_mmap(size_t len, int err, char buf[DM_REFUSAL_MAX])
{
	uint64_t size = status_read_kib("VmSize"), data = status_read_kib("VmData");
	int64_t max_areas, overcommit;
	struct rlimit limit;

	if (err != ENOMEM && err != EAGAIN)
		snprintf(buf, DM_REFUSAL_MAX, "%s", strerror(err));
	else if (rlimit_is_reached(RLIMIT_AS, size, len, &limit))
		snprintf(buf, DM_REFUSAL_MAX,
			"RLIMIT_AS of %" PRIu64 " MiB is reached (%" PRIu64
			" MiB in use): ulimit -v unlimited, or LimitAS= of the service",
			MIB(limit.rlim_cur), MIB(size));
	else if (rlimit_is_reached(RLIMIT_DATA, data, len, &limit))
		snprintf(buf, DM_REFUSAL_MAX,
			"RLIMIT_DATA of %" PRIu64 " MiB is reached (%" PRIu64
			" MiB in use): ulimit -d unlimited, or LimitDATA= of the service",
			MIB(limit.rlim_cur), MIB(data));
	else if (dm_file_number("/proc/sys/vm/max_map_count", &max_areas) == 0 &&
		vma_count() + 2 >= max_areas)
		snprintf(buf, DM_REFUSAL_MAX,
			"vm.max_map_count is reached: sysctl -w vm.max_map_count=%" PRId64,
			2 * max_areas);
	else if (dm_file_number("/proc/sys/vm/overcommit_memory", &overcommit) == 0 &&
		overcommit == 2)
		snprintf(buf, DM_REFUSAL_MAX,
			"CommitLimit of /proc/meminfo is reached: "
			"sysctl -w vm.overcommit_memory=0, or a higher "
			"vm.overcommit_ratio");
	else
		snprintf(buf, DM_REFUSAL_MAX, "%s", strerror(err));
	return buf;
}

const char *
dm_refusal_file(int err, char buf[DM_REFUSAL_MAX])
{
	struct rlimit limit = {0};

	if (err == EMFILE && getrlimit(RLIMIT_NOFILE, &limit) == 0)
		snprintf(buf, DM_REFUSAL_MAX,
			"RLIMIT_NOFILE of %" PRIu64 " open files is reached: "
			"ulimit -n %" PRIu64 ", or LimitNOFILE= of the service",
			(uint64_t)limit.rlim_cur, 2 * (uint64_t)limit.rlim_cur + FILES);
	else if (err == ENFILE)
		snprintf(buf, DM_REFUSAL_MAX,
			"fs.file-max is reached by the open files of the system: raise it"
			" with sysctl");
	else
		snprintf(buf, DM_REFUSAL_MAX, "%s", strerror(err));
	return buf;
}

int
dm_refusal_files_check(void)
{
	int fd[FILES], rc = 0;
	unsigned int i;

	for (i = 0; i < FILES; i++) {
		fd[i] = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (fd[i] >= 0)
			continue;
		/* Other errors do not keep the files of /proc from being read. */
		rc = errno == EMFILE || errno == ENFILE ? -errno : 0;
		break;
	}
	while (i-- > 0)
		close(fd[i]);
	return rc;
}
