/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * The first of two steps: decide which pages will serve, and how many. See dm_pin_plan().
 *
 * Invariant: a plan is a list of choices in order of preference, and its length and alignment fit
 * every choice. So a fallback in the second step needs no other address space.
 */

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "dm_log.h"
#include "dm_pin_todo.h"
#include "dm_process.h"
#include "dm_util.h"

size_t
dm_pin_base_size(void)
{
	return sysconf(_SC_PAGESIZE);
}

static bool
is_pow2(size_t n)
{
	return n != 0 && (n & (n - 1)) == 0;
}

static int
plan_check_conf(const struct dm_pin_conf *conf)
{
	char why[DM_REFUSAL_MAX];
	int rc;

	if (conf == NULL || conf->name == NULL)
		return -EINVAL;
	/* Larger than any machine, and small enough that the sums below cannot wrap. */
	if (conf->len == 0 || conf->len > SIZE_MAX / 4)
		return DM_FAIL(EINVAL, "%s: invalid length: %zu bytes", conf->name, conf->len);
	if (conf->align != 0 && (!is_pow2(conf->align) || conf->align > SIZE_MAX / 4))
		return DM_FAIL(EINVAL, "%s: invalid alignment %zu: must be a power of two",
			conf->name, conf->align);
	if (conf->page_size != 0 && !is_pow2(conf->page_size))
		return DM_FAIL(EINVAL, "%s: invalid page size %zu: must be a power of two",
			conf->name, conf->page_size);
	if (conf->node < -1)
		return DM_FAIL(
			EINVAL, "%s: invalid NUMA node %d: -1 means any", conf->name, conf->node);
	if ((unsigned int)conf->placement > DMAMAP_PLACE_LOCAL ||
		(conf->allow & ~(DMAMAP_ALLOW_TRANSPARENT | DMAMAP_ALLOW_BASE)) != 0)
		return DM_FAIL(EINVAL, "%s: unknown placement %d or fallback 0x%x", conf->name,
			conf->placement, conf->allow);
	/* The limits are all read from files. */
	rc = dm_refusal_files_check();
	if (rc < 0)
		return DM_FAIL(-rc, "%s: cannot read the limits of memory: %s", conf->name,
			dm_refusal_file(-rc, why));
	return dm_node_check(conf->node, conf->name);
}

static int
plan_node(const struct dm_pin_conf *conf)
{
	if (conf->placement == DMAMAP_PLACE_LOCAL)
		return dm_node_local();
	return conf->placement == DMAMAP_PLACE_INTERLEAVE ? -1 : conf->node;
}

/** Whether whole pages of a size waste at most an eighth of the result. */
static bool
wastes_little(size_t len, size_t page_size)
{
	size_t result = DM_ALIGN_CEIL(len, page_size);

	return result - len <= result / 8;
}

static void
choice_add(struct dm_pin_todo *todo, enum dmamap_page_kind kind, size_t page_size, bool locked)
{
	todo->choice[todo->n++] = (struct dm_pin_choice){kind, page_size, locked};
}

/** Add the page size that was asked for. */
static void
plan_add_size(struct dm_pin_todo *todo, size_t page_size)
{
	size_t sizes[DM_HUGEPAGE_SIZES_MAX];
	char str[DM_HUGEPAGE_STR_MAX];
	unsigned int n;

	if (page_size == dm_pin_base_size()) {
		choice_add(todo, DMAMAP_PAGES_BASE, page_size, false);
		return;
	}
	for (n = dm_hugepage_sizes(sizes); n > 0; n--)
		if (sizes[n - 1] == page_size)
			choice_add(todo, DMAMAP_PAGES_HUGETLB, page_size, false);
	if (todo->n == 0)
		snprintf(todo->why, sizeof(todo->why),
			"this system has no pages of %s: see /sys/kernel/mm/hugepages",
			dm_hugepage_size_str(page_size, str));
}

/**
 * Add the hugepage sizes that fit and are available, largest first. The smallest is always added,
 * so that its shortage is reported.
 */
static void
plan_add_sizes(struct dm_pin_todo *todo, const struct dm_pin *pin, size_t len)
{
	size_t sizes[DM_HUGEPAGE_SIZES_MAX], smallest = dm_hugepage_smallest();
	unsigned int i, n = dm_hugepage_sizes(sizes);

	if (smallest == 0) {
		snprintf(todo->why, sizeof(todo->why),
			"this kernel has no hugepages (no /sys/kernel/mm/hugepages)");
		return;
	}
	for (i = 0; i < n && sizes[i] > smallest; i++)
		if (wastes_little(len, sizes[i]) &&
			dm_hugepage_available(sizes[i], dm_pin_only_node(pin)) >=
				DM_ALIGN_CEIL(len, sizes[i]) / sizes[i])
			choice_add(todo, DMAMAP_PAGES_HUGETLB, sizes[i], false);
	choice_add(todo, DMAMAP_PAGES_HUGETLB, smallest, false);
}

/** Add everything that may serve, available or not. */
static void
plan_add_choices(struct dm_pin *pin, const struct dm_pin_conf *conf)
{
	size_t transparent =
		conf->allow & DMAMAP_ALLOW_TRANSPARENT ? dm_anon_transparent_size() : 0;
	struct dm_pin_todo *todo = pin->todo;

	if (conf->like != NULL) {
		choice_add(todo, conf->like->kind, conf->like->page_size, conf->like->locked);
		return;
	}
	if (conf->page_size == 0)
		plan_add_sizes(todo, pin, conf->len);
	else
		plan_add_size(todo, conf->page_size);
	if (todo->n > 0 && todo->choice[0].kind == DMAMAP_PAGES_BASE)
		return;
	if (transparent != 0 && !conf->want_fd)
		choice_add(todo, DMAMAP_PAGES_TRANSPARENT, transparent, true);
	if (conf->allow & DMAMAP_ALLOW_BASE)
		choice_add(todo, DMAMAP_PAGES_BASE, dm_pin_base_size(), true);
}

static void
choice_drop(struct dm_pin_todo *todo, unsigned int i)
{
	memmove(&todo->choice[i], &todo->choice[i + 1],
		(todo->n - i - 1) * sizeof(todo->choice[0]));
	todo->n--;
}

/**
 * Round the length up to whole units, and to whole pages of all choices. Choices for which that
 * wastes too much are dropped.
 */
static size_t
plan_fit_len(struct dm_pin_todo *todo, size_t wanted, size_t unit)
{
	size_t len = DM_ALIGN_CEIL(wanted, DM_MAX(unit, todo->choice[0].page_size));
	unsigned int i = 1;

	while (i < todo->n) {
		if (len % todo->choice[i].page_size == 0) {
			i++;
		} else if (wastes_little(wanted, todo->choice[i].page_size)) {
			len = DM_ALIGN_CEIL(len, todo->choice[i].page_size);
			i = 1;
		} else {
			choice_drop(todo, i);
		}
	}
	return len;
}

bool
dm_pin_is_short(
	const struct dm_pin *pin, const struct dm_pin_choice *choice, char why[DM_PIN_WHY_MAX])
{
	const int node = dm_pin_only_node(pin);
	char text[DM_ANON_SHORTAGE_MAX];
	bool is_short;

	_Static_assert(DM_HUGEPAGE_SHORTAGE_MAX <= DM_PIN_WHY_MAX, "DM_HUGEPAGE_SHORTAGE_MAX fits");
	if (choice->kind == DMAMAP_PAGES_HUGETLB)
		return dm_hugepage_shortage(
			choice->page_size, node, pin->len / choice->page_size, why);
	is_short = dm_anon_shortage(pin->len, node, pin->todo->name, text);
	snprintf(why, DM_PIN_WHY_MAX, "cannot get %zu KiB in %s: %s", pin->len >> 10,
		choice->kind == DMAMAP_PAGES_BASE ? "base pages" : "transparent hugepages", text);
	return is_short;
}

void
dm_pin_why_add(struct dm_pin_todo *todo, const struct dm_pin_choice *choice, const char *why)
{
	const size_t used = strlen(todo->why);

	/* Of several hugepage sizes, the smallest is the one to provide more of; it comes last. */
	if (used == 0 || choice->kind == DMAMAP_PAGES_HUGETLB)
		snprintf(todo->why, sizeof(todo->why), "%s", why);
	/* Base pages need the same memory as transparent hugepages, and come after them. */
	else if (choice == &todo->choice[todo->n - 1])
		snprintf(&todo->why[used], sizeof(todo->why) - used, "; %s", why);
}

/**
 * Settle length, alignment and the first choice. Choices that are short now are dropped for good.
 */
static int
plan_decide(struct dm_pin *pin, const struct dm_pin_conf *conf)
{
	struct dm_pin_todo *todo = pin->todo;
	char why[DM_PIN_WHY_MAX];
	unsigned int i;

	if (todo->n == 0)
		return DM_FAIL(ENOENT, "%s: %s", todo->name, todo->why);
	for (;;) {
		pin->len = plan_fit_len(todo, conf->len, conf->unit);
		if (!dm_pin_is_short(pin, &todo->choice[0], why))
			break;
		dm_pin_why_add(todo, &todo->choice[0], why);
		choice_drop(todo, 0);
		if (todo->n == 0)
			return DM_FAIL(ENOMEM, "%s: %s", todo->name, todo->why);
	}
	pin->unit = conf->unit;
	pin->align = DM_MAX(conf->align, conf->unit);
	for (i = 0; i < todo->n; i++)
		pin->align = DM_MAX(pin->align, todo->choice[i].page_size);
	pin->kind = todo->choice[0].kind;
	pin->page_size = todo->choice[0].page_size;
	return todo->choice[0].locked ? dm_pin_memlock_check(pin->len, todo->name) : 0;
}

int
dm_pin_plan(const struct dm_pin_conf *conf, struct dm_pin **out)
{
	int rc = plan_check_conf(conf);
	struct dm_pin *pin;

	if (rc < 0)
		return rc;
	pin = calloc(1, sizeof(*pin));
	if (pin != NULL)
		pin->todo = calloc(1, sizeof(*pin->todo));
	if (pin == NULL || pin->todo == NULL) {
		free(pin);
		return DM_FAIL(ENOMEM, "%s: out of memory", conf->name);
	}
	pin->fd = -1;
	pin->process = dm_process_id();
	pin->node = -1;
	pin->wanted = plan_node(conf);
	snprintf(pin->todo->name, sizeof(pin->todo->name), "%s", conf->name);
	pin->todo->placement = conf->placement;
	pin->todo->want_fd = conf->want_fd;
	clock_gettime(CLOCK_MONOTONIC_COARSE, &pin->todo->planned);
	plan_add_choices(pin, conf);
	rc = plan_decide(pin, conf);
	if (rc < 0) {
		dm_pin_free(pin);
		return rc;
	}
	*out = pin;
	return 0;
}
