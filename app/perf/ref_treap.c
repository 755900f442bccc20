/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * First fit in a treap of live ranges. See ref_treap.h.
 * Each node is a range that is not free. It holds the length of the gap just below it. Each
 * subtree holds its largest gap, so one descent finds the lowest gap that fits. Nodes are 40 bytes
 * in one array, linked by indexes, which is as compact as such a tree gets.
 */

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>

#include <rte_common.h>

#include "ref_treap.h"

#define NIL 0
#define PAGE_SHIFT 12

struct node { /* addresses and lengths in pages */
	uint64_t start, gap, max_gap;
	uint32_t left, right;
	uint32_t prio;
	uint32_t len; /* length in pages, saturates; reserved ranges are never released */
};

struct ref_treap {
	struct node *n; /* n[NIL] is the empty tree */
	uint32_t root, used, cap, spare; /* spare: list of free nodes, linked by left */
	uint64_t random;
};

static inline void
node_pull(struct node *n, uint32_t i)
{
	uint64_t m = RTE_MAX(n[n[i].left].max_gap, n[n[i].right].max_gap);

	n[i].max_gap = RTE_MAX(m, n[i].gap);
}

/**
 * Recompute max_gap from the bottom of a path upwards until nothing changes. Node `must` itself has
 * changed, so it is never skipped.
 */
static void
path_pull(struct node *n, const uint32_t *path, unsigned int depth, uint32_t must)
{
	unsigned int least = depth, k;

	for (k = 0; k < depth; k++)
		if (path[k] == must)
			least = k;
	while (depth-- > 0) {
		uint64_t was = n[path[depth]].max_gap;

		node_pull(n, path[depth]);
		if (was == n[path[depth]].max_gap && depth <= least)
			break;
	}
}

static void
treap_split(struct node *n, uint32_t i, uint64_t key, uint32_t *l, uint32_t *r)
{
	if (i == NIL) {
		*l = *r = NIL;
		return;
	}
	if (n[i].start < key) {
		treap_split(n, n[i].right, key, &n[i].right, r);
		*l = i;
	} else {
		treap_split(n, n[i].left, key, l, &n[i].left);
		*r = i;
	}
	node_pull(n, i);
}

static uint32_t
treap_merge(struct node *n, uint32_t a, uint32_t b)
{
	if (a == NIL || b == NIL)
		return a == NIL ? b : a;
	if (n[a].prio > n[b].prio) {
		n[a].right = treap_merge(n, n[a].right, b);
		node_pull(n, a);
		return a;
	}
	n[b].left = treap_merge(n, a, n[b].left);
	node_pull(n, b);
	return b;
}

static uint32_t
node_new(struct ref_treap *t)
{
	uint32_t i = t->spare;

	if (i != NIL) {
		t->spare = t->n[i].left;
	} else {
		if (t->used == t->cap) {
			struct node *n = reallocarray(t->n, t->cap * 2, sizeof(*n));

			if (n == NULL)
				return NIL;
			t->n = n;
			t->cap *= 2;
		}
		i = t->used++;
	}
	t->random = t->random * UINT64_C(6364136223846793005) + 1442695040888963407;
	t->n[i] = (struct node){.prio = t->random >> 32};
	return i;
}

static void
treap_insert(struct ref_treap *t, uint32_t i, uint32_t above)
{
	struct node *n = t->n;
	uint32_t *link = &t->root, path[128];
	unsigned int depth = 0;

	while (*link != NIL && n[*link].prio >= n[i].prio) {
		path[depth++] = *link;
		link = n[i].start < n[*link].start ? &n[*link].left : &n[*link].right;
	}
	treap_split(n, *link, n[i].start, &n[i].left, &n[i].right);
	node_pull(n, i);
	*link = i;
	path_pull(n, path, depth, above);
}

/**
 * Insert a range that is not free into the gap below `above`. `left_over` pages of that gap stay
 * below it.
 */
static int
treap_add(struct ref_treap *t, uint32_t above, uint64_t start, uint64_t len, uint64_t gap,
	uint64_t left_over)
{
	uint32_t i = node_new(t);

	if (i == NIL)
		return -ENOMEM;
	t->n[i].start = start;
	t->n[i].len = RTE_MIN(len, UINT32_MAX);
	t->n[i].gap = gap;
	if (above != NIL)
		t->n[above].gap = left_over;
	treap_insert(t, i, above);
	return 0;
}

/** The lowest node of subtree i with a large enough gap below it; *at is the start of the fit. */
static uint32_t
treap_fit(const struct node *n, uint32_t i, uint64_t len, uint64_t align, uint64_t *at)
{
	uint32_t found;
	uint64_t start;

	while (n[i].max_gap >= len) {
		if (n[n[i].left].max_gap >= len) {
			found = treap_fit(n, n[i].left, len, align, at);
			if (found != NIL)
				return found;
		}
		if (n[i].gap >= len) {
			start = (n[i].start - n[i].gap + align - 1) & ~(align - 1);
			if (start + len <= n[i].start) {
				*at = start;
				return i;
			}
		}
		i = n[i].right;
	}
	return NIL;
}

struct ref_treap *
ref_treap_create(const struct dm_range_set *usable)
{
	struct ref_treap *t = calloc(1, sizeof(*t));
	uint64_t end = 0; /* end of the last range that is not usable */
	unsigned int i;
	int rc;

	if (t == NULL)
		return NULL;
	t->cap = 1024;
	t->used = 1;
	t->random = 1;
	t->n = calloc(t->cap, sizeof(*t->n));
	if (t->n == NULL)
		goto fail;
	for (i = 0; i < usable->n; i++) {
		uint64_t start = usable->r[i].start >> PAGE_SHIFT,
			 last = usable->r[i].last >> PAGE_SHIFT;
		uint64_t above =
			i + 1 < usable->n ? usable->r[i + 1].start >> PAGE_SHIFT : last + 2;

		if (i == 0 && start > 0) {
			rc = treap_add(t, NIL, 0, start, 0, 0);
			if (rc < 0)
				goto fail;
		}
		end = last + 1;
		rc = treap_add(t, NIL, end, above - end, end - start, 0);
		if (rc < 0)
			goto fail;
	}
	return t;
fail:
	ref_treap_destroy(t);
	return NULL;
}

void
ref_treap_destroy(struct ref_treap *t)
{
	if (t != NULL)
		free(t->n);
	free(t);
}

int
ref_treap_reserve(struct ref_treap *t, uint64_t len, uint64_t align, rte_iova_t *iova)
{
	uint64_t at, below;
	uint32_t i;
	int rc;

	len >>= PAGE_SHIFT;
	i = treap_fit(t->n, t->root, len, align >> PAGE_SHIFT, &at);
	if (i == NIL)
		return -ENOSPC;
	below = at - (t->n[i].start - t->n[i].gap);
	rc = treap_add(t, i, at, len, below, t->n[i].start - at - len);
	if (rc == 0)
		*iova = at << PAGE_SHIFT;
	return rc;
}

int
ref_treap_release(struct ref_treap *t, rte_iova_t iova, uint64_t len)
{
	struct node *n = t->n;
	uint32_t *link = &t->root, path[128], spine[128], i, up = NIL;
	unsigned int depth = 0, down = 0;
	uint64_t start = iova >> PAGE_SHIFT;

	while (*link != NIL && n[*link].start != start) {
		path[depth++] = *link;
		if (start < n[*link].start) {
			up = *link;
			link = &n[*link].left;
		} else {
			link = &n[*link].right;
		}
	}
	i = *link;
	if (i == NIL)
		return -ENOENT;
	if (n[i].len != len >> PAGE_SHIFT)
		return -EINVAL;
	/* The released pages join the gap of the next range above. */
	if (n[i].right != NIL) {
		for (up = n[i].right; n[up].left != NIL; up = n[up].left)
			spine[down++] = up;
		n[up].gap += n[i].gap + n[i].len;
		spine[down++] = up;
		path_pull(n, spine, down, up);
	} else {
		n[up].gap += n[i].gap + n[i].len;
	}
	*link = treap_merge(n, n[i].left, n[i].right);
	path_pull(n, path, depth, up);
	n[i].left = t->spare;
	t->spare = i;
	return 0;
}
