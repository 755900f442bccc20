/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Tests of gantry-trace's audit that need no kernel: sets of ranges, answers of programs, the
 * comparison of what the kernel maps with what containers believe, races. test_trace_calls.c and
 * e2e/test_trace_vm.py test the rest.
 */

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_common.h>

#include "test.h"
#include "trace.h"

/* Ranges */

#define TOP UINT64_MAX
#define SETS_MAX 6

struct set {
	struct trace_range v[SETS_MAX]; /* up to the first with start above last */
};

#define END                                                                                        \
	{                                                                                          \
		1, 0                                                                               \
	}

static int
set_fill(const struct set *from, struct trace_ranges *to)
{
	unsigned int i;

	for (i = 0; i < SETS_MAX && from->v[i].start <= from->v[i].last; i++)
		if (trace_ranges_add(to, from->v[i].start, from->v[i].last) < 0)
			return -ENOMEM;
	return 0;
}

static bool
set_is(const struct trace_ranges *set, const struct set *wanted)
{
	size_t i;

	for (i = 0; i < set->n; i++)
		if (i == SETS_MAX || set->v[i].start != wanted->v[i].start ||
			set->v[i].last != wanted->v[i].last)
			return false;
	return i == SETS_MAX || wanted->v[i].start > wanted->v[i].last;
}

static int
ranges_are_combined(void)
{
	static const struct {
		struct set a, b, both, any, a_only;
		uint64_t overlap;
	} cases[] = {
		{{{END}}, {{END}}, {{END}}, {{END}}, {{END}}, 0},
		{{{{1, 5}, END}}, {{END}}, {{END}}, {{{1, 5}, END}}, {{{1, 5}, END}}, 0},
		{{{{1, 5}, END}}, {{{1, 5}, END}}, {{{1, 5}, END}}, {{{1, 5}, END}}, {{END}}, 5},
		/* inside, at both ends, adjacent */
		{{{{1, 9}, END}}, {{{3, 4}, {6, 6}, END}}, {{{3, 4}, {6, 6}, END}}, {{{1, 9}, END}},
			{{{1, 2}, {5, 5}, {7, 9}, END}}, 3},
		{{{{2, 5}, {7, 9}, END}}, {{{0, 2}, {5, 7}, {9, 12}, END}},
			{{{2, 2}, {5, 5}, {7, 7}, {9, 9}, END}}, {{{0, 12}, END}},
			{{{3, 4}, {8, 8}, END}}, 4},
		{{{{1, 2}, {4, 5}, END}}, {{{3, 3}, {6, 8}, END}}, {{END}}, {{{1, 8}, END}},
			{{{1, 2}, {4, 5}, END}}, 0},
		/* one reaches over several */
		{{{{1, 2}, {4, 5}, {7, 8}, END}}, {{{2, 7}, END}}, {{{2, 2}, {4, 5}, {7, 7}, END}},
			{{{1, 8}, END}}, {{{1, 1}, {8, 8}, END}}, 4},
		/* the ends of 64 bits */
		{{{{0, TOP}, END}}, {{{0, 0}, {TOP, TOP}, END}}, {{{0, 0}, {TOP, TOP}, END}},
			{{{0, TOP}, END}}, {{{1, TOP - 1}, END}}, 2},
		{{{{0, TOP}, END}}, {{{0, TOP}, END}}, {{{0, TOP}, END}}, {{{0, TOP}, END}},
			{{END}}, TOP},
		{{{{5, TOP}, END}}, {{{9, TOP}, END}}, {{{9, TOP}, END}}, {{{5, TOP}, END}},
			{{{5, 8}, END}}, TOP - 8},
	};
	struct trace_ranges a = {0}, b = {0}, both = {0}, any = {0}, a_only = {0};
	unsigned int i;

	for (i = 0; i < RTE_DIM(cases); i++) {
		TEST_ASSERT(
			set_fill(&cases[i].a, &a) == 0 && set_fill(&cases[i].b, &b) == 0, "memory");
		TEST_ASSERT(trace_ranges_and(&a, &b, &both) == 0 && set_is(&both, &cases[i].both),
			"case %u", i);
		TEST_ASSERT(trace_ranges_or(&a, &b, &any) == 0 && set_is(&any, &cases[i].any),
			"case %u", i);
		TEST_ASSERT(trace_ranges_minus(&a, &b, &a_only) == 0 &&
				set_is(&a_only, &cases[i].a_only),
			"case %u", i);
		TEST_ASSERT_EQUAL(trace_ranges_overlap(&a, &b), cases[i].overlap, "case %u", i);
		trace_ranges_free(&a);
		trace_ranges_free(&b);
		trace_ranges_free(&both);
		trace_ranges_free(&any);
		trace_ranges_free(&a_only);
	}
	return TEST_SUCCESS;
}

/* Answers */

static int
belief_of(const char *text, struct trace_belief *b, char *why, size_t size)
{
	json_t *json = json_loads(text, JSON_DECODE_ANY, NULL);
	int rc = trace_belief_parse(json, b, why, size);

	json_decref(json);
	return rc;
}

static int
an_answer_is_read(void)
{
	static const struct set mapped = {{{0x2000, 0x4fff}, {TOP, TOP}, END}};
	static const struct set unsure = {{{0x8000, 0x8fff}, END}};
	struct trace_belief b;
	char why[128];

	TEST_ASSERT_SUCCESS(
		belief_of(
			"[{\"name\":\"c\",\"backend\":\"type1\",\"domains\":2,\"parts\":["
			"{\"start\":\"0x0\",\"last\":\"0x1fff\",\"kind\":\"free\"},"
			"{\"start\":\"0x2000\",\"last\":\"0x2fff\",\"kind\":\"zone\",\"name\":\"rings\",\"owner\":\"nic\"},"
			"{\"start\":\"0x3000\",\"last\":\"0x4fff\",\"kind\":\"registration\"},"
			"{\"start\":\"0x6000\",\"last\":\"0x6fff\",\"kind\":\"reservation\"},"
			"{\"start\":\"0x8000\",\"last\":\"0x8fff\",\"kind\":\"quarantine\"},"
			"{\"start\":\"0xffffffffffffffff\",\"last\":\"0xffffffffffffffff\",\"kind\":\"mapping\"}]},"
			"{\"name\":\"n\",\"backend\":\"noiommu\",\"domains\":1,\"parts\":["
			"{\"start\":\"0x0\",\"last\":\"0x1fff\",\"kind\":\"zone\"}]}]",
			&b, why, sizeof(why)),
		"%s", why);
	TEST_ASSERT(b.n == 2 && b.v[0].domains == 2 && b.v[0].n_parts == 3, "%zu", b.n);
	TEST_ASSERT_EQUAL(b.v[1].domains, 0u, "noiommu has no domain of the kernel");
	TEST_ASSERT(strcmp(b.v[0].parts[0].name, "rings") == 0 &&
			strcmp(b.v[0].parts[0].owner, "nic") == 0 &&
			strcmp(b.v[0].parts[1].kind, "registration") == 0,
		"names");
	TEST_ASSERT(set_is(&b.v[0].mapped, &mapped) && set_is(&b.v[0].unsure, &unsure), "ranges");
	trace_belief_free(&b);
	return TEST_SUCCESS;
}

static int
a_bad_answer_is_refused(void)
{
#define ONE "[{\"name\":\"c\",\"domains\":1,\"parts\":["
	static const char *const answers[] = {
		"{}",
		"null",
		"7",
		"[7]",
		"[{}]",
		"[{\"name\":\"c\",\"domains\":1}]",
		"[{\"domains\":1,\"parts\":[]}]",
		"[{\"name\":\"c\",\"parts\":[]}]",
		"[{\"name\":\"c\",\"domains\":-1,\"parts\":[]}]",
		"[{\"name\":\"c\",\"domains\":99999999,\"parts\":[]}]",
		"[{\"name\":\"c\",\"domains\":\"1\",\"parts\":[]}]",
		"[{\"name\":\"c\",\"domains\":1,\"parts\":[],\"error\":\"ENOMEM\"}]",
		ONE "7]}]",
		ONE "{}]}]",
		ONE "{\"start\":0,\"last\":1,\"kind\":\"zone\"}]}]",
		ONE "{\"start\":\"1\",\"last\":\"2\",\"kind\":\"zone\"}]}]",
		ONE "{\"start\":\"0x\",\"last\":\"0x1\",\"kind\":\"zone\"}]}]",
		ONE "{\"start\":\"0x1g\",\"last\":\"0x20\",\"kind\":\"zone\"}]}]",
		ONE "{\"start\":\"0x5\",\"last\":\"0x4\",\"kind\":\"zone\"}]}]",
		ONE "{\"start\":\"0x0\",\"last\":\"0x10000000000000000\",\"kind\":\"zone\"}]}]",
		/* overlap, descent, and beyond the end */
		ONE
		"{\"start\":\"0x0\",\"last\":\"0x5\",\"kind\":\"free\"},{\"start\":\"0x5\",\"last\":\"0x6\"}]}]",
		ONE
		"{\"start\":\"0x9\",\"last\":\"0x9\",\"kind\":\"zone\"},{\"start\":\"0x5\",\"last\":\"0x6\"}]}]",
		ONE
		"{\"start\":\"0x0\",\"last\":\"0xffffffffffffffff\"},{\"start\":\"0x0\",\"last\":\"0x6\"}]}]",
	};
	struct trace_belief b;
	char why[128];
	unsigned int i;

	for (i = 0; i < RTE_DIM(answers); i++) {
		TEST_ASSERT_EQUAL(
			belief_of(answers[i], &b, why, sizeof(why)), -EBADMSG, "%s", answers[i]);
		TEST_ASSERT(why[0] != '\0' && b.n == 0 && b.v == NULL, "%s", answers[i]);
	}
	return TEST_SUCCESS;
}

static int
entries_have_to_ascend(void)
{
	static const struct trace_wire_entry first = {.start = 0x1000, .last = 0x1fff},
					     same = {.start = 0x1fff, .last = 0x2fff},
					     torn = {.start = 0x5000, .last = 0x4fff};
	struct trace_domain d = {0};
	struct trace_truth t = {.v = NULL};

	TEST_ASSERT_SUCCESS(trace_domain_add(&d, &first), "first");
	TEST_ASSERT_EQUAL(trace_domain_add(&d, &same), -EBADMSG, "overlap");
	TEST_ASSERT_EQUAL(trace_domain_add(&d, &torn), -EBADMSG, "it ends before it begins");
	TEST_ASSERT(d.n_entries == 1 && d.mapped.n == 1, "it is there");
	t.v = malloc(sizeof(d));
	t.v[0] = d;
	t.n = 1;
	trace_truth_free(&t);
	return TEST_SUCCESS;
}

/* The comparison. Beliefs and domains in short: "c:1 zone=1000-1fff/name,..."; "1000-1fff,..." */

static int
belief_make(const char *text, struct trace_belief *b)
{
	char answer[2048] = "[", copy[512], *at, *container, *part, kind[16], name[32], why[128];
	unsigned int domains;
	uint64_t start, last;
	size_t len = 1;
	char *more = copy;

	snprintf(copy, sizeof(copy), "%s", text);
	while ((container = strsep(&more, ";")) != NULL && *container != '\0') {
		at = container;
		part = strsep(&at, " ");
		if (sscanf(part, "%31[^:]:%u", name, &domains) != 2)
			return -EINVAL;
		len += (size_t)snprintf(answer + len, sizeof(answer) - len,
			"%s{\"name\":\"%s\",\"domains\":%u,\"parts\":[", len > 1 ? "," : "", name,
			domains);
		while ((part = strsep(&at, ",")) != NULL && *part != '\0') {
			name[0] = '\0';
			if (sscanf(part, "%15[^=]=%" SCNx64 "-%" SCNx64 "/%31s", kind, &start,
				    &last, name) < 3)
				return -EINVAL;
			len += (size_t)snprintf(answer + len, sizeof(answer) - len,
				"%s{\"start\":\"0x%" PRIx64 "\",\"last\":\"0x%" PRIx64
				"\",\"kind\":\"%s\",\"name\":\"%s\"}",
				answer[len - 1] == '[' ? "" : ",", start, last, kind, name);
		}
		len += (size_t)snprintf(answer + len, sizeof(answer) - len, "]}");
	}
	snprintf(answer + len, sizeof(answer) - len, "]");
	return belief_of(answer, b, why, sizeof(why));
}

static int
truth_make(const char *text, struct trace_truth *t)
{
	char copy[512], *more = copy, *domain, *part;
	struct trace_wire_entry e;
	int rc = 0;

	*t = (struct trace_truth){.v = calloc(8, sizeof(t->v[0]))};
	snprintf(copy, sizeof(copy), "%s", text);
	while (rc == 0 && (domain = strsep(&more, ";")) != NULL) {
		if (strcmp(domain, "none") == 0)
			break;
		t->v[t->n] = (struct trace_domain){.kind = TRACE_WIRE_TYPE1,
			.fd = 10 + (uint32_t)t->n,
			.identity = 100 + t->n};
		while (rc == 0 && (part = strsep(&domain, ",")) != NULL && *part != '\0') {
			uint64_t start, last;

			rc = sscanf(part, "%" SCNx64 "-%" SCNx64, &start, &last) == 2 ? 0 : -EINVAL;
			e = (struct trace_wire_entry){start, last, start + 0x7f0000000000, 3, 0};
			rc = rc == 0 ? trace_domain_add(&t->v[t->n], &e) : rc;
		}
		t->n++;
	}
	return rc;
}

/** "unknown 1000-1fff @10 c;lost 2000-2fff name @11 c;" */
static void
differences_text(const struct trace_differences *d, char *text, size_t size)
{
	const struct trace_difference *one;
	size_t i, len = 0;
	unsigned int fd;

	text[0] = '\0';
	for (i = 0; i < d->n && len < size; i++) {
		one = &d->v[i];
		if (sscanf(one->domain, "type1 container of descriptor %u", &fd) != 1)
			fd = 0;
		len += (size_t)snprintf(text + len, size - len,
			"%s %" PRIx64 "-%" PRIx64 "%s%s @%u %s;",
			one->kind == TRACE_LOST ? "lost" : "unknown", one->range.start,
			one->range.last, one->name[0] != '\0' ? " " : "", one->name, fd,
			one->container);
	}
}

static int
compare_texts(const char *before, const char *truth, const char *after, char *text, size_t size)
{
	struct trace_belief b = {0}, a = {0};
	struct trace_differences d = {0};
	struct trace_truth t = {0};
	int rc = belief_make(before, &b);

	if (rc == 0)
		rc = belief_make(after, &a);
	if (rc == 0)
		rc = truth_make(truth, &t);
	if (rc == 0)
		rc = trace_compare(&b, &t, &a, &d);
	differences_text(&d, text, size);
	trace_differences_free(&d);
	trace_belief_free(&b);
	trace_belief_free(&a);
	trace_truth_free(&t);
	return rc;
}

struct comparison {
	const char *before, *truth, *after, *wanted;
};

static int
compare_all(const struct comparison *c, unsigned int n)
{
	char text[1024];
	unsigned int i;

	for (i = 0; i < n; i++) {
		TEST_ASSERT_SUCCESS(
			compare_texts(c[i].before, c[i].truth,
				c[i].after != NULL ? c[i].after : c[i].before, text, sizeof(text)),
			"case %u", i);
		TEST_ASSERT_SUCCESS(strcmp(text, c[i].wanted), "case %u: %s", i, text);
	}
	return TEST_SUCCESS;
}

static int
coverage_is_compared_not_entries(void)
{
	static const struct comparison cases[] = {
		{"c:1 ", "", NULL, ""},
		{"c:1 zone=1000-1fff/z", "1000-1fff", NULL, ""},
		/* one against several, both ways, with other borders */
		{"c:1 zone=1000-1fff/a,zone=2000-4fff/b", "1000-4fff", NULL, ""},
		{"c:1 mapping=1000-4fff", "1000-1fff,2000-3fff,4000-4fff", NULL, ""},
		{"c:1 zone=1000-2fff/a,mapping=3000-4fff", "1000-1fff,2000-3fff,4000-4fff", NULL,
			""},
		/* the whole space, and its ends */
		{"c:1 mapping=0-ffffffffffffffff", "0-ffffffffffffffff", NULL, ""},
		{"c:1 mapping=0-fff,mapping=fffffffffffff000-ffffffffffffffff",
			"0-fff,fffffffffffff000-ffffffffffffffff", NULL, ""},
	};

	return compare_all(cases, RTE_DIM(cases));
}

static int
what_only_the_kernel_maps_is_named(void)
{
	static const struct comparison cases[] = {
		{"c:1 ", "1000-1fff", NULL, "unknown 1000-1fff @10 c;"},
		{"c:1 zone=1000-1fff/z", "1000-1fff,3000-3fff", NULL, "unknown 3000-3fff @10 c;"},
		/* before, behind and between */
		{"c:1 zone=2000-2fff/z", "1000-3fff", NULL,
			"unknown 1000-1fff @10 c;unknown 3000-3fff @10 c;"},
		{"c:1 zone=1000-1fff/a,zone=3000-3fff/b", "1000-3fff", NULL,
			"unknown 2000-2fff @10 c;"},
		{"c:1 zone=1000-1fff/z", "1000-1fff,fffffffffffff000-ffffffffffffffff", NULL,
			"unknown fffffffffffff000-ffffffffffffffff @10 c;"},
		{"c:1 reservation=1000-1fff/z", "1000-1fff", NULL, "unknown 1000-1fff @10 c;"},
		/* no container has the domain */
		{"", "1000-1fff", NULL, "unknown 1000-1fff @10 ;"},
		{"c:1 zone=1000-1fff/z", "1000-1fff;1000-1fff", NULL, "unknown 1000-1fff @11 ;"},
	};

	return compare_all(cases, RTE_DIM(cases));
}

static int
what_the_kernel_lost_is_named(void)
{
	static const struct comparison cases[] = {
		{"c:1 zone=1000-1fff/z", "", NULL, "lost 1000-1fff z @10 c;"},
		{"c:1 zone=1000-4fff/z", "1000-1fff,4000-4fff", NULL, "lost 2000-3fff z @10 c;"},
		/* one line for each owner */
		{"c:1 zone=1000-1fff/a,zone=2000-2fff/b,zone=3000-3fff/d", "1000-17ff", NULL,
			"lost 1800-1fff a @10 c;lost 2000-2fff b @10 c;lost 3000-3fff d @10 c;"},
		{"c:1 zone=1000-1fff/a,zone=fffffffffffff000-ffffffffffffffff/top", "1000-1fff",
			NULL, "lost fffffffffffff000-ffffffffffffffff top @10 c;"},
		/* both at once */
		{"c:1 zone=1000-1fff/a", "2000-2fff", NULL,
			"unknown 2000-2fff @10 c;lost 1000-1fff a @10 c;"},
		{"c:1 registration=1000-1fff/r", "none", NULL, "lost 1000-1fff r @0 c;"},
	};

	return compare_all(cases, RTE_DIM(cases));
}

static int
each_domain_is_compared(void)
{
	static const struct comparison cases[] = {
		{"c:2 zone=1000-1fff/z", "1000-1fff;1000-1fff", NULL, ""},
		{"c:2 zone=1000-2fff/z", "1000-2fff;1000-1fff", NULL, "lost 2000-2fff z @11 c;"},
		{"c:2 zone=1000-1fff/z", "1000-1fff", NULL, "lost 1000-1fff z @0 c;"},
		/* two containers, whichever comes first */
		{"c:1 zone=1000-1fff/z;d:1 zone=5000-5fff/y", "1000-1fff;5000-5fff", NULL, ""},
		{"c:1 zone=1000-1fff/z;d:1 zone=5000-5fff/y", "5000-5fff;1000-1fff", NULL, ""},
		{"c:1 zone=1000-1fff/z;d:1 zone=1000-2fff/y", "1000-1fff;1000-2fff", NULL, ""},
		{"c:1 zone=1000-1fff/z;d:2 zone=5000-5fff/y",
			"5000-5fff;1000-1fff;5000-5fff,6000-6fff", NULL,
			"unknown 6000-6fff @12 d;"},
		/* nothing in common: the one that lacks a domain */
		{"c:1 zone=1000-1fff/z;d:1 zone=5000-5fff/y", "1000-1fff;", NULL,
			"lost 5000-5fff y @11 d;"},
		/* no domain yet: maps are kept for the first device */
		{"c:0 zone=1000-1fff/z", "none", NULL, ""},
	};

	return compare_all(cases, RTE_DIM(cases));
}

static int
changes_during_a_look_are_not_compared(void)
{
	static const struct comparison cases[] = {
		/* mapped, unmapped meanwhile; whatever the kernel says */
		{"c:1 ", "", "c:1 zone=1000-1fff/z", ""},
		{"c:1 ", "1000-1fff", "c:1 zone=1000-1fff/z", ""},
		{"c:1 zone=1000-1fff/z", "", "c:1 ", ""},
		{"c:1 zone=1000-1fff/z", "1000-1fff", "c:1 ", ""},
		/* only what did not change */
		{"c:1 zone=1000-1fff/z,zone=2000-2fff/y", "", "c:1 zone=2000-2fff/y",
			"lost 2000-2fff y @10 c;"},
		{"c:1 zone=1000-1fff/z", "1000-1fff,5000-5fff", "c:1 ", "unknown 5000-5fff @10 c;"},
		/* a container, a domain that come or go */
		{"", "1000-1fff", "c:1 zone=1000-1fff/z", ""},
		{"c:1 zone=1000-1fff/z", "none", "", ""},
		{"c:1 zone=1000-1fff/z", "1000-1fff", "c:2 zone=1000-1fff/z", ""},
		{"c:1 zone=1000-1fff/z", "1000-1fff;1000-1fff", "c:2 zone=1000-1fff/z", ""},
		/* withdrawn after a failed unmap: it may be mapped or not */
		{"c:1 quarantine=1000-1fff", "1000-1fff", NULL, ""},
		{"c:1 quarantine=1000-1fff", "", NULL, ""},
		{"c:1 quarantine=1000-1fff,zone=2000-2fff/z", "", NULL, "lost 2000-2fff z @10 c;"},
	};

	return compare_all(cases, RTE_DIM(cases));
}

/* Two looks */

struct script {
	const char *beliefs[4], *truths[2];
	unsigned int n_beliefs, n_truths, pauses;
	int rc;
};

static int
script_belief(void *arg, struct trace_belief *b)
{
	struct script *s = arg;
	const char *text = s->beliefs[s->n_beliefs < 4 ? s->n_beliefs : 3];

	s->n_beliefs++;
	return text == NULL ? -EIO : belief_make(text, b);
}

/** The second truth stays. */
static int
script_truth(void *arg, struct trace_truth *t)
{
	struct script *s = arg;

	return s->rc != 0 ? s->rc : truth_make(s->truths[s->n_truths++ > 0], t);
}

static void
script_pause(void *arg)
{
	((struct script *)arg)->pauses++;
}

static int
a_race_is_no_difference(void)
{
	static const char z[] = "c:1 zone=1000-3fff/z";
	static const struct {
		const char *first, *second, *belief, *wanted;
		unsigned int looks;
	} cases[] = {
		{"1000-3fff", "", z, "", 1},
		{"1000-1fff", "1000-3fff", z, "", 2},
		{"1000-3fff,5000-5fff", "1000-3fff", z, "", 2},
		{"1000-1fff", "1000-1fff", z, "lost 2000-3fff z @10 c;", TRACE_LOOKS},
		/* what both have in common, and nothing of another kind or domain */
		{"1000-1fff", "1000-2fff", z, "lost 3000-3fff z @10 c;", TRACE_LOOKS},
		{"2000-3fff", "1000-2fff", z, "", 2},
		{"1000-3fff,5000-6fff", "1000-3fff,6000-7fff", z, "unknown 6000-6fff @10 c;",
			TRACE_LOOKS},
		{"1000-3fff,5000-5fff", "1000-3fff;5000-5fff", z, "", 2},
		{"", "1000-1fff,3000-3fff", z, "lost 2000-2fff z @10 c;", TRACE_LOOKS},
	};
	struct trace_found found;
	char text[512];
	unsigned int i;

	for (i = 0; i < RTE_DIM(cases); i++) {
		const char *b = cases[i].belief;
		struct script s = {{b, b, b, b}, {cases[i].first, cases[i].second}, 0, 0, 0, 0};
		const struct trace_sides sides = {&s, script_belief, script_truth, script_pause};

		TEST_ASSERT_SUCCESS(trace_look(&sides, &found), "case %u", i);
		differences_text(&found.differences, text, sizeof(text));
		TEST_ASSERT_SUCCESS(strcmp(text, cases[i].wanted), "case %u: %s", i, text);
		TEST_ASSERT(s.n_truths == cases[i].looks && s.n_beliefs == 2 * cases[i].looks &&
				s.pauses == cases[i].looks - 1,
			"case %u: %u looks", i, s.n_truths);
		TEST_ASSERT(found.containers == 1 && found.domains > 0, "case %u", i);
		if (found.differences.n > 0 && found.differences.v[0].kind == TRACE_UNKNOWN_HERE)
			TEST_ASSERT_EQUAL(found.differences.v[0].vaddr, 0x7f0000006000u,
				"case %u: memory", i);
		trace_found_free(&found);
	}
	return TEST_SUCCESS;
}

static int
a_side_that_cannot_be_read_fails(void)
{
	struct script s = {{"c:1 ", "c:1 ", "c:1 ", "c:1 "}, {"", ""}, 0, 0, 0, -EPERM};
	const struct trace_sides sides = {&s, script_belief, script_truth, script_pause};
	struct trace_found found;

	TEST_ASSERT_EQUAL(trace_look(&sides, &found), -EPERM, "the kernel");
	s = (struct script){{NULL}, {"1000-1fff"}, 0, 0, 0, 0};
	TEST_ASSERT_EQUAL(trace_look(&sides, &found), -EIO, "the containers");
	s = (struct script){{"c:1 ", NULL}, {"1000-1fff"}, 0, 0, 0, 0};
	TEST_ASSERT_EQUAL(trace_look(&sides, &found), -EIO, "the containers, after the kernel");
	s = (struct script){{"c:1 ", "c:1 ", "c:1 ", NULL}, {"1000-1fff", "1000-1fff"}, 0, 0, 0, 0};
	TEST_ASSERT(
		trace_look(&sides, &found) == -EIO && found.differences.n == 0, "a second look");
	return TEST_SUCCESS;
}

static int
a_difference_is_one_line(void)
{
	static const char wanted[] =
		"kernel maps 0x5000..0x5fff, nobody here knows it: type1 container of descriptor 10, read and"
		" write, memory 0x7f0000005000, container c\n"
		"kernel maps 0x9000..0x9fff, nobody here knows it: type1 container of descriptor 11, read and"
		" write, memory 0x7f0000009000, no container has this domain\n"
		"zone z believes 0x2000..0x3fff mapped, the kernel has nothing: type1 container of descriptor"
		" 10, container c\n"
		"process 4242: 1 containers, 2 domains of the kernel with 3 mappings: 3 differences\n";
	static const char b[] = "c:1 zone=1000-3fff/z", t[] = "1000-1fff,5000-5fff;9000-9fff";
	struct script s = {{b, b, b, b}, {t, t}, 0, 0, 0, 0};
	const struct trace_sides sides = {&s, script_belief, script_truth, script_pause};
	json_t *json, *all, *lost;
	struct trace_found found;
	char *text = NULL;
	size_t len;
	FILE *out;

	TEST_ASSERT_SUCCESS(trace_look(&sides, &found), "look");
	out = open_memstream(&text, &len);
	trace_found_print(out, "4242", &found);
	fclose(out);
	TEST_ASSERT_SUCCESS(strcmp(text, wanted), "%s", text);
	free(text);
	json = trace_found_json("4242", &found);
	all = json_object_get(json, "differences");
	lost = json_array_get(all, 2);
	TEST_ASSERT(
		json_array_size(all) == 3 && json_is_false(json_object_get(json, "same")), "JSON");
	TEST_ASSERT_SUCCESS(
		strcmp(json_string_value(json_object_get(lost, "kind")), "lost"), "kind");
	TEST_ASSERT_SUCCESS(
		strcmp(json_string_value(json_object_get(lost, "last")), "0x3fff"), "last");
	json_decref(json);
	trace_found_free(&found);
	return TEST_SUCCESS;
}

static const struct test_case cases[] = {
	{"ranges are combined", ranges_are_combined},
	{"an answer is read", an_answer_is_read},
	{"a bad answer is refused", a_bad_answer_is_refused},
	{"entries of the kernel have to ascend", entries_have_to_ascend},
	{"coverage is compared, not entries", coverage_is_compared_not_entries},
	{"what only the kernel maps is named", what_only_the_kernel_maps_is_named},
	{"what the kernel lost is named", what_the_kernel_lost_is_named},
	{"each domain is compared", each_domain_is_compared},
	{"changes during a look are not compared", changes_during_a_look_are_not_compared},
	{"a race is no difference", a_race_is_no_difference},
	{"a side that cannot be read fails", a_side_that_cannot_be_read_fails},
	{"a difference is one line", a_difference_is_one_line},
};

REGISTER_TEST_SUITE(trace) = {
	.name = "trace",
	.kind = TEST_FAST,
	.cases = cases,
	.n_cases = RTE_DIM(cases),
};
