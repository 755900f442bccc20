/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Table from descriptor to open file. Every interposed call on any descriptor begins with a look-up
 * here.
 *
 * A radix tree of three levels over all non-negative numbers. A look-up takes no lock. It costs two
 * loads for a descriptor in a range where nothing was ever tracked.
 *
 * Invariant: nodes are created when needed and never freed, so a reader without a lock never sees a
 * freed node. Writers hold front_tree.
 */

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "front_priv.h"

#define LOW_BITS 10
#define MID_BITS 10
#define TOP_BITS 11
#define LOW_MASK ((1u << LOW_BITS) - 1)
#define MID_MASK ((1u << MID_BITS) - 1)

/**
 * A slot holds the file's address with its kind in the low bits. A reader of the kind does not
 * dereference the file, which another thread may free.
 */
#define KIND_MASK ((uintptr_t)7)

pthread_mutex_t front_tree = PTHREAD_MUTEX_INITIALIZER;

struct low {
	uintptr_t file[1 << LOW_BITS];
};

struct mid {
	struct low *low[1 << MID_BITS];
};

static struct mid *top[1 << TOP_BITS];

/** Slot of a descriptor. @return NULL: no node covers it. */
static uintptr_t *
slot_find(int fd)
{
	const unsigned int n = (unsigned int)fd;
	struct mid *mid;
	struct low *low;

	if (DM_UNLIKELY(fd < 0))
		return NULL;
	mid = __atomic_load_n(&top[n >> (LOW_BITS + MID_BITS)], __ATOMIC_ACQUIRE);
	if (DM_LIKELY(mid == NULL))
		return NULL;
	low = __atomic_load_n(&mid->low[n >> LOW_BITS & MID_MASK], __ATOMIC_ACQUIRE);
	return low == NULL ? NULL : &low->file[n & LOW_MASK];
}

/** Slot of a descriptor; creates its nodes. Under front_tree. @return NULL: out of memory. */
static uintptr_t *
slot_get(int fd)
{
	const unsigned int n = (unsigned int)fd;
	struct mid **mid = &top[n >> (LOW_BITS + MID_BITS)];
	struct low **low;

	if (*mid == NULL) {
		struct mid *made = calloc(1, sizeof(*made));

		if (made == NULL)
			return NULL;
		__atomic_store_n(mid, made, __ATOMIC_RELEASE);
	}
	low = &(*mid)->low[n >> LOW_BITS & MID_MASK];
	if (*low == NULL) {
		struct low *made = calloc(1, sizeof(*made));

		if (made == NULL)
			return NULL;
		__atomic_store_n(low, made, __ATOMIC_RELEASE);
	}
	return &(*low)->file[n & LOW_MASK];
}

enum front_kind
front_kind(int fd)
{
	const uintptr_t *slot = slot_find(fd);

	return slot == NULL ? FRONT_NONE : __atomic_load_n(slot, __ATOMIC_RELAXED) & KIND_MASK;
}

static struct front_file *
slot_file(const uintptr_t *slot)
{
	return (struct front_file *)(*slot & ~KIND_MASK);
}

struct front_file *
front_fd_get(int fd)
{
	const uintptr_t *slot = slot_find(fd);

	return slot == NULL ? NULL : slot_file(slot);
}

int
front_fd_add(struct front_file *file, int fd)
{
	uintptr_t *slot = slot_get(fd);

	if (slot == NULL)
		return -ENOMEM;
	if (file->n_fds == file->cap) {
		unsigned int cap = DM_MAX(2 * file->cap, 2u);
		int *more = realloc(file->fds, cap * sizeof(*more));

		if (more == NULL)
			return -ENOMEM;
		file->fds = more;
		file->cap = cap;
	}
	file->fds[file->n_fds++] = fd;
	__atomic_store_n(slot, (uintptr_t)file | file->kind, __ATOMIC_RELEASE);
	return 0;
}

struct front_file *
front_file_new(enum front_kind kind, int fd)
{
	struct front_file *file = calloc(1, sizeof(*file));

	if (file == NULL)
		return NULL;
	file->kind = kind;
	if (front_fd_add(file, fd) < 0) {
		front_file_free(file);
		return NULL;
	}
	return file;
}

void
front_file_set_kind(struct front_file *file, enum front_kind kind)
{
	unsigned int i;

	file->kind = kind;
	for (i = 0; i < file->n_fds; i++)
		__atomic_store_n(slot_find(file->fds[i]), (uintptr_t)file | kind, __ATOMIC_RELEASE);
}

bool
front_fd_remove(int fd)
{
	uintptr_t *slot = slot_find(fd);
	struct front_file *file = slot_file(slot);
	unsigned int i;

	__atomic_store_n(slot, 0, __ATOMIC_RELEASE);
	for (i = 0; file->fds[i] != fd; i++)
		;
	memmove(&file->fds[i], &file->fds[i + 1], (--file->n_fds - i) * sizeof(file->fds[0]));
	return file->n_fds == 0;
}

void
front_file_free(struct front_file *file)
{
	free(file->fds);
	free(file);
}

void
front_fd_each(void (*each)(struct front_file *file, void *arg), void *arg)
{
	unsigned int t, m, l;
	const struct low *low;

	for (t = 0; t < DM_DIM(top); t++)
		for (m = 0; top[t] != NULL && m < DM_DIM(top[t]->low); m++)
			for (l = 0, low = top[t]->low[m]; low != NULL && l < DM_DIM(low->file);
				l++) {
				struct front_file *file = slot_file(&low->file[l]);
				const int fd = (int)((t << MID_BITS | m) << LOW_BITS | l);

				/* Call once per file, at its first descriptor. */
				if (file != NULL && file->fds[0] == fd)
					each(file, arg);
			}
}

int
front_next(int first, int last)
{
	const unsigned int end = (unsigned int)last;
	unsigned int n = first < 0 ? 0 : (unsigned int)first;
	const struct mid *mid;
	const struct low *low;

	if (last < 0)
		return -1;
	while (n <= end) {
		mid = __atomic_load_n(&top[n >> (LOW_BITS + MID_BITS)], __ATOMIC_ACQUIRE);
		if (mid == NULL) {
			n = ((n >> (LOW_BITS + MID_BITS)) + 1) << (LOW_BITS + MID_BITS);
			continue;
		}
		low = __atomic_load_n(&mid->low[n >> LOW_BITS & MID_MASK], __ATOMIC_ACQUIRE);
		if (low == NULL) {
			n = ((n >> LOW_BITS) + 1) << LOW_BITS;
			continue;
		}
		if (__atomic_load_n(&low->file[n & LOW_MASK], __ATOMIC_RELAXED) != 0)
			return (int)n;
		n++;
	}
	return -1;
}

int
front_fd_raise(int fd)
{
	struct rlimit limit = {.rlim_cur = 1024};
	int at, moved;

	getrlimit(RLIMIT_NOFILE, &limit);
	/*
	 * Not higher than needed: the kernel's table of descriptors extends up to the highest
	 * number.
	 */
	for (at = DM_MIN(limit.rlim_cur, (rlim_t)DM_MAX(1024, 2 * fd)) - 1; at > fd;
		at -= 1 + at / 64) {
		moved = syscall(SYS_fcntl, fd, F_DUPFD_CLOEXEC, at);
		if (moved < 0)
			continue;
		syscall(SYS_close, fd);
		return moved;
	}
	return fd;
}
