/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Measures what the preload library adds to a call on a descriptor that is not VFIO's, compared
 * with the C library's own function. Started by gantry-run.
 * Both are measured alternately, in one process, in CPU time of the thread. It prints medians,
 * quartiles of the difference, and the ratio. No target is checked: it fails only if a call fails
 * or if no library is interposed.
 */

#undef _FILE_OFFSET_BITS

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#define REPEATS 401
#define CALLS 500

/** The functions of one library. */
struct calls {
	int (*ioctl)(int fd, unsigned long request, ...);
	int (*close)(int fd);
	int (*open)(const char *path, int flags, ...);
	int (*dup)(int fd);
	int (*fcntl)(int fd, int cmd, ...);
};

/** One measured call. @return whether it succeeded */
typedef bool (*measured)(const struct calls *c, int fd);

static bool
call_ioctl(const struct calls *c, int fd)
{
	int ready;

	return c->ioctl(fd, FIONREAD, &ready) == 0;
}

/** An invalid number costs the C library the least, so this ratio is the worst case. */
static bool
call_close_nothing(const struct calls *c, int fd)
{
	return c->close(-1) == -1;
}

static bool
call_dup_close(const struct calls *c, int fd)
{
	return c->close(c->dup(fd)) == 0;
}

static bool
call_fcntl(const struct calls *c, int fd)
{
	return c->fcntl(fd, F_GETFL) >= 0;
}

/** close() is the same in both, so the difference is that of open(). */
static bool
call_open(const struct calls *c, int fd)
{
	return close(c->open("/etc/passwd", O_RDONLY)) == 0;
}

static uint64_t
now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static double
run(measured what, const struct calls *c, int fd, uint64_t *bad)
{
	uint64_t start = now_ns();
	int i;

	for (i = 0; i < CALLS; i++)
		*bad += !what(c, fd);
	return (double)(now_ns() - start) / CALLS;
}

static int
compare(const void *a, const void *b)
{
	const double *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

/** @return calls that failed. */
static uint64_t
measure(const char *name, measured what, const struct calls *ours, const struct calls *theirs,
	int fd)
{
	double with[REPEATS], without[REPEATS], added[REPEATS];
	uint64_t bad = 0;
	int i;

	for (i = 0; i < REPEATS; i++) {
		without[i] = run(what, theirs, fd, &bad);
		with[i] = run(what, ours, fd, &bad);
		added[i] = with[i] - without[i];
	}
	qsort(with, REPEATS, sizeof(with[0]), compare);
	qsort(without, REPEATS, sizeof(without[0]), compare);
	qsort(added, REPEATS, sizeof(added[0]), compare);
	printf("%-22s %8.1f %8.1f %8.1f (%.1f to %.1f) %6.2fx\n", name, without[REPEATS / 2],
		with[REPEATS / 2], added[REPEATS / 2], added[REPEATS / 4], added[REPEATS * 3 / 4],
		with[REPEATS / 2] / without[REPEATS / 2]);
	return bad;
}

/** @param library  RTLD_DEFAULT: the functions that the program's own calls reach. */
static bool
calls_find(struct calls *c, void *library)
{
	/* POSIX guarantees that a void pointer can hold a function pointer. */
	*(void **)&c->ioctl = dlsym(library, "ioctl");
	*(void **)&c->close = dlsym(library, "close");
	*(void **)&c->open = dlsym(library, "open");
	*(void **)&c->dup = dlsym(library, "dup");
	*(void **)&c->fcntl = dlsym(library, "fcntl");
	return c->ioctl != NULL && c->close != NULL && c->open != NULL && c->dup != NULL &&
		c->fcntl != NULL;
}

int
main(void)
{
	void *libc = dlopen("libc.so.6", RTLD_NOW);
	struct calls ours, theirs;
	uint64_t bad = 0;
	int pipes[2];

	if (libc == NULL || !calls_find(&theirs, libc) || !calls_find(&ours, RTLD_DEFAULT) ||
		pipe(pipes) < 0) {
		fprintf(stderr, "front-overhead: no C library, or no pipe\n");
		return 1;
	}
	if (ours.ioctl == theirs.ioctl || ours.close == theirs.close) {
		fprintf(stderr, "front-overhead: nothing in between: start it with gantry-run\n");
		return 1;
	}
	printf("%-22s %8s %8s %8s\n", "ns a call", "without", "with", "added (quartiles), ratio");
	bad += measure("ioctl of a pipe", call_ioctl, &ours, &theirs, pipes[0]);
	bad += measure("close of no descriptor", call_close_nothing, &ours, &theirs, pipes[0]);
	bad += measure("dup and close", call_dup_close, &ours, &theirs, pipes[0]);
	bad += measure("fcntl F_GETFL", call_fcntl, &ours, &theirs, pipes[0]);
	bad += measure("open of a file", call_open, &ours, &theirs, pipes[0]);
	printf("%s: %llu calls failed\n", bad == 0 ? "ok" : "FAILED", (unsigned long long)bad);
	return bad > 0;
}
