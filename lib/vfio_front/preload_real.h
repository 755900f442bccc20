/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * The C library's own functions, behind those that front_libc.c interposes. Used by the preload
 * library only.
 *
 * Invariant: all are looked up once, before main(), and no call looks anything up. close(2) may be
 * called from a signal handler, where the dynamic linker must not be. Calls that come earlier
 * (other constructors, the allocator's start) are made as system calls. Any thread.
 */

#ifndef PRELOAD_REAL_H
#define PRELOAD_REAL_H

/*
 * Symbols have their plain names: no 64-bit redirection, which changes nothing on an LP64 system.
 */
#undef _FILE_OFFSET_BITS
/* No inline variants that check their arguments either. */
#undef _FORTIFY_SOURCE

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

_Static_assert(sizeof(long) == 8, "off_t is off64_t, and a pointer is a long");

/* <fcntl.h> declares these only with _FORTIFY_SOURCE: open without a mode. */
int __open_2(const char *path, int flags);
int __open64_2(const char *path, int flags);
int __openat_2(int dir, const char *path, int flags);
int __openat64_2(int dir, const char *path, int flags);

/** All interposed functions. libgantry_vfio.map lists the same names. */
#define PRELOAD_REAL_NAMES(X)                                                                      \
	X(__open64_2)                                                                              \
	X(__open_2)                                                                                \
	X(__openat64_2)                                                                            \
	X(__openat_2)                                                                              \
	X(close)                                                                                   \
	X(close_range)                                                                             \
	X(closefrom)                                                                               \
	X(creat)                                                                                   \
	X(creat64)                                                                                 \
	X(dup)                                                                                     \
	X(dup2)                                                                                    \
	X(dup3)                                                                                    \
	X(fcntl)                                                                                   \
	X(fcntl64)                                                                                 \
	X(ioctl)                                                                                   \
	X(open)                                                                                    \
	X(open64)                                                                                  \
	X(openat)                                                                                  \
	X(openat64)                                                                                \
	X(recvmmsg)                                                                                \
	X(recvmsg)

/** NULL: not looked up yet, or missing in this C library. */
struct preload_real {
#define X(name) __typeof__(name) *name;
	PRELOAD_REAL_NAMES(X)
#undef X
};

extern struct preload_real preload_real;

/** A function of the table; may be NULL. */
#define PRELOAD_REAL(name) __atomic_load_n(&preload_real.name, __ATOMIC_RELAXED)

#define PRELOAD_LIKELY(x) __builtin_expect(!!(x), 1)
#define PRELOAD_UNLIKELY(x) __builtin_expect(!!(x), 0)

/* Inline, because every call of the program passes here. All set errno as the system call does. */

static inline int
preload_real_ioctl(int fd, unsigned long request, void *arg)
{
	__typeof__(ioctl) *f = PRELOAD_REAL(ioctl);

	return PRELOAD_LIKELY(f != NULL) ? f(fd, request, arg)
					 : (int)syscall(SYS_ioctl, fd, request, arg);
}

static inline int
preload_real_close(int fd)
{
	__typeof__(close) *f = PRELOAD_REAL(close);

	return PRELOAD_LIKELY(f != NULL) ? f(fd) : (int)syscall(SYS_close, fd);
}

/**
 * @param f  the function that the program called: open, or a variant with the same arguments; NULL:
 *   use the system call.
 */
static inline int
preload_real_open(__typeof__(open) *f, const char *path, int flags, mode_t mode)
{
	return PRELOAD_LIKELY(f != NULL) ? f(path, flags, mode)
					 : (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
}

static inline int
preload_real_openat(__typeof__(openat) *f, int dir, const char *path, int flags, mode_t mode)
{
	return PRELOAD_LIKELY(f != NULL) ? f(dir, path, flags, mode)
					 : (int)syscall(SYS_openat, dir, path, flags, mode);
}

static inline int
preload_real_fcntl(__typeof__(fcntl) *f, int fd, int cmd, long arg)
{
	return PRELOAD_LIKELY(f != NULL) ? f(fd, cmd, arg) : (int)syscall(SYS_fcntl, fd, cmd, arg);
}

static inline int
preload_real_dup(int fd)
{
	__typeof__(dup) *f = PRELOAD_REAL(dup);

	return PRELOAD_LIKELY(f != NULL) ? f(fd) : (int)syscall(SYS_dup, fd);
}

static inline int
preload_real_dup2(int from, int to)
{
	__typeof__(dup2) *f = PRELOAD_REAL(dup2);

	if (PRELOAD_LIKELY(f != NULL))
		return f(from, to);
	/* dup2(2) is missing on some architectures, and dup3(2) refuses equal numbers. */
	if (from == to)
		return syscall(SYS_fcntl, from, F_GETFD) < 0 ? -1 : to;
	return (int)syscall(SYS_dup3, from, to, 0);
}

static inline int
preload_real_dup3(int from, int to, int flags)
{
	__typeof__(dup3) *f = PRELOAD_REAL(dup3);

	return PRELOAD_LIKELY(f != NULL) ? f(from, to, flags)
					 : (int)syscall(SYS_dup3, from, to, flags);
}

static inline int
preload_real_close_range(unsigned int first, unsigned int last, int flags)
{
	__typeof__(close_range) *f = PRELOAD_REAL(close_range);

	return PRELOAD_LIKELY(f != NULL) ? f(first, last, flags)
					 : (int)syscall(SYS_close_range, first, last, flags);
}

static inline ssize_t
preload_real_recvmsg(int fd, struct msghdr *msg, int flags)
{
	__typeof__(recvmsg) *f = PRELOAD_REAL(recvmsg);

	return PRELOAD_LIKELY(f != NULL) ? f(fd, msg, flags) : syscall(SYS_recvmsg, fd, msg, flags);
}

static inline int
preload_real_recvmmsg(
	int fd, struct mmsghdr *msgs, unsigned int n, int flags, struct timespec *timeout)
{
	__typeof__(recvmmsg) *f = PRELOAD_REAL(recvmmsg);

	return PRELOAD_LIKELY(f != NULL) ? f(fd, msgs, n, flags, timeout)
					 : (int)syscall(SYS_recvmmsg, fd, msgs, n, flags, timeout);
}

/**
 * Close all descriptors from `low` on, also if the C library or the kernel lacks closefrom() or
 * close_range().
 */
void preload_real_closefrom(int low);

#endif /* PRELOAD_REAL_H */
