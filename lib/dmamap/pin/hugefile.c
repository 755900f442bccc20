/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Files on a hugetlbfs mount that are removed after a crash. See dm_hugefile.h.
 */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <mntent.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <linux/magic.h>

#include "dm_hugefile.h"
#include "dm_log.h"

#define NAME "gantry-%d-%" PRIu64 "-%u"
#define NAME_IN "gantry-%d-%" SCNu64 "-%u%c"

/**
 * Start time of a process in clock ticks since boot (proc(5), field 22 of stat).
 * @return 0: no such process
 */
static uint64_t
process_start_time(pid_t pid)
{
	char path[64], line[1024];
	uint64_t start = 0;
	const char *at;
	FILE *f;
	int i;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	f = fopen(path, "re");
	if (f == NULL)
		return 0;
	/* Field 2, the name, may contain anything; the last parenthesis ends it. */
	at = fgets(line, sizeof(line), f) != NULL ? strrchr(line, ')') : NULL;
	for (i = 2; at != NULL && i < 22; i++) {
		at = strchr(at, ' ');
		at = at != NULL ? at + 1 : NULL;
	}
	if (at != NULL)
		sscanf(at, "%" SCNu64, &start);
	fclose(f);
	return start;
}

int
dm_hugefile_create(const char *dir, char *path, size_t size)
{
	static unsigned int number;
	uint64_t start = process_start_time(getpid());
	int fd, rc;

	if (snprintf(path, size, "%s/" NAME, dir, getpid(), start,
		    __atomic_fetch_add(&number, 1, __ATOMIC_RELAXED)) >= (int)size)
		return -ENAMETOOLONG;
	fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	/* A process that sweeps may hold the lock for a moment. */
	do
		rc = flock(fd, LOCK_EX);
	while (rc < 0 && errno == EINTR);
	if (rc == 0)
		return fd;
	rc = -errno;
	unlink(path);
	close(fd);
	return rc;
}

/**
 * Whether no process has locked the file. Two sweeps at once do no harm: the loser skips the file.
 */
static bool
file_is_unlocked(int dir, const char *name)
{
	int fd = openat(dir, name, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	bool unlocked;

	if (fd < 0)
		return false;
	unlocked = flock(fd, LOCK_EX | LOCK_NB) == 0;
	close(fd);
	return unlocked;
}

unsigned int
dm_hugefile_sweep(const char *dir)
{
	DIR *d = opendir(dir);
	const struct dirent *e;
	unsigned int n = 0, number;
	uint64_t start;
	char rest;
	int pid;

	if (d == NULL)
		return 0;
	while ((e = readdir(d)) != NULL) {
		if (sscanf(e->d_name, NAME_IN, &pid, &start, &number, &rest) != 3 || pid <= 0 ||
			process_start_time(pid) == start ||
			!file_is_unlocked(dirfd(d), e->d_name) ||
			unlinkat(dirfd(d), e->d_name, 0) < 0)
			continue;
		DM_LOG(NOTICE, "hugetlbfs: removed %s/%s: left by dead process %d", dir, e->d_name,
			pid);
		n++;
	}
	closedir(d);
	return n;
}

int
dm_hugefile_open_in(const char *dir)
{
	int fd = open(dir, O_RDWR | O_TMPFILE | O_EXCL | O_CLOEXEC, 0600);

	if (fd < 0 && (errno == EMFILE || errno == ENFILE))
		return -errno;
	return fd >= 0 ? fd : dm_hugefile_open_named(dir);
}

int
dm_hugefile_open_named(const char *dir)
{
	char path[PATH_MAX];
	int fd;

	fd = dm_hugefile_create(dir, path, sizeof(path));
	if (fd >= 0)
		unlink(path);
	return fd;
}

/** Whether a mount is a hugetlbfs with pages of this size; 0: any size. */
static bool
mount_fits(const struct mntent *m, size_t page_size)
{
	struct statfs fs;

	return strcmp(m->mnt_type, "hugetlbfs") == 0 && statfs(m->mnt_dir, &fs) == 0 &&
		fs.f_type == HUGETLBFS_MAGIC && (page_size == 0 || (size_t)fs.f_bsize == page_size);
}

/** Call fn for each hugetlbfs of a page size (0: any) until it returns a file descriptor. */
static int
mount_each(size_t page_size, int (*fn)(const char *dir))
{
	FILE *mounts = setmntent("/proc/self/mounts", "re");
	struct mntent m;
	char buf[4096];
	int fd = -ENOENT;

	if (mounts == NULL)
		return -errno;
	while (fd < 0 && fd != -EMFILE && fd != -ENFILE &&
		getmntent_r(mounts, &m, buf, sizeof(buf)) != NULL)
		if (mount_fits(&m, page_size))
			fd = fn(m.mnt_dir);
	endmntent(mounts);
	return fd;
}

static int
mount_sweep(const char *dir)
{
	dm_hugefile_sweep(dir);
	return -ENOENT;
}

static void
mount_sweep_all(void)
{
	mount_each(0, mount_sweep);
}

int
dm_hugefile_open(size_t page_size)
{
	static pthread_once_t swept = PTHREAD_ONCE_INIT;
	int fd;

	pthread_once(&swept, mount_sweep_all);
	fd = mount_each(page_size, dm_hugefile_open_in);
	return fd < 0 && fd != -EMFILE && fd != -ENFILE ? -ENOENT : fd;
}
