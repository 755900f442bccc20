/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * The locks of a container. See dm_lock.h for their order and contracts.
 */

#include <stdio.h>
#include <stdlib.h>

#include "dm_container.h"

/** Number of locks that the calling thread holds, by kind. */
static __thread struct {
	unsigned int topo, book, list;
} held;

static pthread_mutex_t list_lock = PTHREAD_MUTEX_INITIALIZER;

#ifdef DM_LOCK_CHECKS
#define LOCK_CHECK(cond, what)                                                                     \
	do {                                                                                       \
		if (!(cond)) {                                                                     \
			fprintf(stderr, "dmamap: %s: %s\n", __func__, what);                       \
			abort();                                                                   \
		}                                                                                  \
	} while (0)
#else
#define LOCK_CHECK(cond, what)                                                                     \
	do {                                                                                       \
	} while (0)
#endif

static struct dmamap_container *
lock_mutable(const struct dmamap_container *c)
{
	return (struct dmamap_container *)(uintptr_t)c;
}

void
dm_topo_read(const struct dmamap_container *c)
{
	LOCK_CHECK(held.topo == 0 && held.book == 0 && held.list == 0, "a lock is held already");
	pthread_rwlock_rdlock(&lock_mutable(c)->topo);
	held.topo++;
}

void
dm_topo_write(struct dmamap_container *c)
{
	LOCK_CHECK(held.topo == 0 && held.book == 0 && held.list == 0, "a lock is held already");
	pthread_rwlock_wrlock(&c->topo);
	held.topo++;
}

void
dm_topo_unlock(const struct dmamap_container *c)
{
	LOCK_CHECK(held.topo > 0 && held.book == 0, "not held, or a lower lock is");
	held.topo--;
	pthread_rwlock_unlock(&lock_mutable(c)->topo);
}

void
dm_topo_write_both(struct dmamap_container *a, struct dmamap_container *b)
{
	dm_topo_write(a < b ? a : b);
	pthread_rwlock_wrlock(a < b ? &b->topo : &a->topo);
	held.topo++;
}

void
dm_topo_unlock_both(struct dmamap_container *a, struct dmamap_container *b)
{
	dm_topo_unlock(a);
	dm_topo_unlock(b);
}

void
dm_book_lock(const struct dmamap_container *c)
{
	LOCK_CHECK(held.book == 0 && held.list == 0, "a lock is held already");
	pthread_mutex_lock(&lock_mutable(c)->book);
	held.book++;
	dm_log_defer();
}

void
dm_book_unlock(const struct dmamap_container *c)
{
	LOCK_CHECK(held.book > 0 && held.list == 0, "not held, or a lower lock is");
	held.book--;
	pthread_mutex_unlock(&lock_mutable(c)->book);
	dm_log_flush();
}

void
dm_book_lock_both(const struct dmamap_container *a, const struct dmamap_container *b)
{
	dm_book_lock(a < b ? a : b);
	pthread_mutex_lock(&lock_mutable(a < b ? b : a)->book);
	held.book++;
}

void
dm_book_unlock_both(const struct dmamap_container *a, const struct dmamap_container *b)
{
	held.book--;
	pthread_mutex_unlock(&lock_mutable(a < b ? b : a)->book);
	dm_book_unlock(a < b ? a : b);
}

void
dm_book_wait(struct dmamap_container *c)
{
	LOCK_CHECK(held.book == 1 && held.list == 0, "another lock is held");
	c->waiters++;
	held.book = 0;
	pthread_cond_wait(&c->changed, &c->book);
	held.book = 1;
	c->waiters--;
}

void
dm_book_changed(struct dmamap_container *c)
{
	LOCK_CHECK(held.book > 0, "not held");
	if (c->waiters > 0)
		pthread_cond_broadcast(&c->changed);
}

void
dm_assert_may_sleep(void)
{
	LOCK_CHECK(
		held.book == 0 && held.list == 0, "a lock is held under which nothing may sleep");
}

void
dm_assert_unlocked(void)
{
	LOCK_CHECK(held.topo == 0 && held.book == 0 && held.list == 0, "a lock is held");
}

void
dm_assert_book(const struct dmamap_container *c)
{
	LOCK_CHECK(held.book > 0 || held.topo > 0, "the container is not locked");
}

void
dm_list_lock(void)
{
	LOCK_CHECK(held.list == 0, "held already");
	pthread_mutex_lock(&list_lock);
	held.list++;
}

void
dm_list_unlock(void)
{
	held.list--;
	pthread_mutex_unlock(&list_lock);
}
