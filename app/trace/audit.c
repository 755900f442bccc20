/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * The command `audit`: what the kernel has mapped for a process against what its containers
 * believe. Called by options.c.
 */

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "trace.h"

/** Between two looks: longer than most maps and unmaps with all their kernel calls. */
#define PAUSE_MS 50u

struct audit {
	const struct info_host *h;
	struct info_process p;
	struct trace_kernel *kernel;
};

static int
belief_read(void *arg, struct trace_belief *b)
{
	json_t *containers = json_array();
	struct audit *a = arg;
	char why[256];
	int rc;

	if (!info_spaces(&a->p, containers)) {
		json_decref(containers);
		info_fail(a->h, TRACE_CANNOT,
			"%s: its containers cannot be asked: it is neither a DPDK program with libdmamap and"
			" telemetry nor under gantry-run --status, or belongs to another user",
			a->p.pid);
		return -ENOENT;
	}
	rc = trace_belief_parse(containers, b, why, sizeof(why));
	json_decref(containers);
	if (rc < 0)
		info_fail(a->h, TRACE_CANNOT, "%s: its answer cannot be used: %s", a->p.pid,
			rc == -ENOMEM ? strerror(ENOMEM) : why);
	return rc;
}

static int
truth_read(void *arg, struct trace_truth *t)
{
	return trace_kernel_read(((struct audit *)arg)->kernel, t);
}

static void
look_pause(void *arg)
{
	/* Not in step with what the program does. */
	const struct timespec t = {
		.tv_nsec = (PAUSE_MS + (unsigned int)rand() % PAUSE_MS) * 1000000L};

	nanosleep(&t, NULL);
}

static int
audit_once(struct audit *a, const struct trace_options *o)
{
	const struct trace_sides sides = {a, belief_read, truth_read, look_pause};
	struct trace_found found;
	int rc = trace_look(&sides, &found);
	json_t *facts;

	if (rc == -ENOMEM)
		info_fail(a->h, TRACE_CANNOT, "audit: out of memory");
	if (rc < 0)
		return TRACE_CANNOT;
	if (o->json) {
		facts = trace_found_json(a->p.pid, &found);
		json_dumpf(facts, a->h->out, o->watch > 0 ? JSON_COMPACT : JSON_INDENT(2));
		fputc('\n', a->h->out);
		fflush(a->h->out);
		json_decref(facts);
	} else {
		trace_found_print(a->h->out, a->p.pid, &found);
	}
	rc = found.differences.n == 0 ? TRACE_SAME : TRACE_DIFFERENT;
	trace_found_free(&found);
	return rc;
}

int
trace_audit(const struct info_host *h, const struct trace_options *o)
{
	struct audit a = {.h = h};
	int rc;

	if (info_process_find(h, o->pid, &a.p) != INFO_OK)
		return TRACE_CANNOT;
	a.kernel = trace_kernel_open(h, (uint32_t)strtoul(o->pid, NULL, 10));
	if (a.kernel == NULL)
		return TRACE_CANNOT;
	do {
		rc = audit_once(&a, o);
	} while (rc != TRACE_CANNOT && o->watch > 0 && sleep(o->watch) == 0);
	trace_kernel_close(a.kernel);
	return rc;
}
