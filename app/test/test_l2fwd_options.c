/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Tests of gantry-l2fwd's command line: valid options are parsed, and each invalid one is refused
 * with a line that names it.
 */

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <l2fwd.h>

#include "test.h"

#define MAX_ARGS 8

/* A valid command line and the resulting options. */
struct good_case {
	const char *args[MAX_ARGS];
	uint64_t portmask;
	unsigned int lanes_per_lcore, period, n_pairs;
	bool mac_updating, promiscuous;
};

/* An invalid command line, and a word that its message must contain. */
struct bad_case {
	const char *args[MAX_ARGS];
	const char *says;
};

static int
parse(const char *const *args, struct l2fwd_options *opt, struct l2fwd_error *err)
{
	char copy[MAX_ARGS + 1][64] = {"l2fwd"};
	char *argv[MAX_ARGS + 2] = {copy[0]};
	int argc = 1;

	for (; argc <= MAX_ARGS && args[argc - 1] != NULL; argc++) {
		snprintf(copy[argc], sizeof(copy[argc]), "%s", args[argc - 1]);
		argv[argc] = copy[argc];
	}
	err->line[0] = '\0';
	return l2fwd_parse(argc, argv, opt, err);
}

static int
test_good_lines(void)
{
	static const struct good_case cases[] = {
		{{"-p", "3"}, 0x3, 1, 10, 0, true, false},
		{{"-p", "0xf0", "-q", "4"}, 0xf0, 4, 10, 0, true, false},
		{{"-p3", "-T0", "-P"}, 0x3, 1, 0, 0, true, true},
		{{"-p", "3", "--no-mac-updating"}, 0x3, 1, 10, 0, false, false},
		{{"--no-mac-updating", "--mac-updating", "-p", "3"}, 0x3, 1, 10, 0, true, false},
		{{"-p", "f", "--portmap=(0,3)(1,2)"}, 0xf, 1, 10, 2, true, false},
		{{"-p", "f", "--portmap", "(0,3),(1,2)"}, 0xf, 1, 10, 2, true, false},
		{{"-p", "3", "-T", "86400", "-q", "16"}, 0x3, 16, 86400, 0, true, false},
	};
	struct l2fwd_options opt;
	struct l2fwd_error err;
	unsigned int i;

	for (i = 0; i < RTE_DIM(cases); i++) {
		const struct good_case *c = &cases[i];

		TEST_ASSERT_EQUAL(parse(c->args, &opt, &err), 0, "case %u: %s", i, err.line);
		TEST_ASSERT_EQUAL(opt.portmask, c->portmask, "case %u: mask", i);
		TEST_ASSERT_EQUAL(opt.lanes_per_lcore, c->lanes_per_lcore, "case %u: -q", i);
		TEST_ASSERT_EQUAL(opt.period, c->period, "case %u: -T", i);
		TEST_ASSERT_EQUAL(opt.n_pairs, c->n_pairs, "case %u: pairs", i);
		TEST_ASSERT_EQUAL(opt.mac_updating, c->mac_updating, "case %u: MACs", i);
		TEST_ASSERT_EQUAL(opt.promiscuous, c->promiscuous, "case %u: -P", i);
	}
	return TEST_SUCCESS;
}

static int
test_bad_lines(void)
{
	static const struct bad_case cases[] = {
		{{NULL}, "-p PORTMASK"},
		{{"-p", "0"}, "-p 0"},
		{{"-p", "xyz"}, "xyz"},
		{{"-p", "-1"}, "-1"},
		{{"-p", "3g"}, "3g"},
		{{"-p", "10000000000000000"}, "10000000000000000"},
		{{"-p", ""}, "mask"},
		{{"-p"}, "-p"},
		{{"-p", "3", "-q", "0"}, "-q 0"},
		{{"-p", "3", "-q", "17"}, "-q 17"},
		{{"-p", "3", "-q", "a"}, "-q a"},
		{{"-p", "3", "-T", "-4"}, "-T -4"},
		{{"-p", "3", "-T", "86401"}, "86401"},
		{{"-p", "3", "-T", " 1"}, "-T"},
		{{"-p", "3", "-x"}, "-x"},
		{{"-p", "3", "--nothing"}, "--nothing"},
		{{"-p", "3", "rest"}, "rest"},
		{{"-p", "3", "--portmap=(0,1"}, "(0,1"},
		{{"-p", "3", "--portmap=(0,1)x"}, "(0,1)x"},
		{{"-p", "3", "--portmap=(0,1),"}, "(0,1),"},
		{{"-p", "3", "--portmap=(-1,1)"}, "(-1,1)"},
		{{"-p", "3", "--portmap="}, "--portmap"},
		{{"-p", "3", "--portmap=(0,32)"}, "32"},
		{{"-p", "3", "--portmap=(0,4294967297)"}, "4294967297"},
	};
	struct l2fwd_options opt;
	struct l2fwd_error err;
	unsigned int i;

	for (i = 0; i < RTE_DIM(cases); i++) {
		TEST_ASSERT_EQUAL(parse(cases[i].args, &opt, &err), -EINVAL, "case %u (%s) passed",
			i, cases[i].says);
		TEST_ASSERT_NOT_NULL(strstr(err.line, cases[i].says),
			"case %u: \"%s\" does not name \"%s\"", i, err.line, cases[i].says);
		TEST_ASSERT_NULL(strchr(err.line, '\n'), "case %u: more than a line", i);
	}
	return TEST_SUCCESS;
}

static int
test_help(void)
{
	struct l2fwd_options opt;
	struct l2fwd_error err;

	TEST_ASSERT_EQUAL(parse((const char *[]){"--help", NULL}, &opt, &err), 1, "--help");
	TEST_ASSERT_EQUAL(parse((const char *[]){"-h", NULL}, &opt, &err), 1, "-h");
	TEST_ASSERT_NOT_NULL(strstr(l2fwd_usage(), "--portmap"), "usage lacks --portmap");
	return TEST_SUCCESS;
}

/* Options and a machine, and the resulting plan. */
struct plan_case {
	const char *portmap; /* NULL: neighbouring ports are paired */
	uint64_t mask, available;
	unsigned int q, n_lcores;
	int rc;
	const char *says; /* a word of the message */
	unsigned int n_lanes;
	uint8_t src[4], dst[4], lcore[4];
};

static int
test_plans(void)
{
	static const struct plan_case cases[] = {
		{NULL, 0x3, 0x3, 1, 2, 0, NULL, 2, {0, 1}, {1, 0}, {0, 1}},
		{NULL, 0x3, 0x3, 2, 1, 0, NULL, 2, {0, 1}, {1, 0}, {0, 0}},
		{NULL, 0xd, 0xf, 2, 2, 0, NULL, 3, {0, 2, 3}, {2, 0, 3}, {0, 0, 1}},
		{NULL, 0x1, 0x1, 1, 1, 0, NULL, 1, {0}, {0}, {0}},
		{"(0,3)(2,1)", 0xf, 0xf, 2, 2, 0, NULL, 4, {0, 1, 2, 3}, {3, 2, 1, 0},
			{0, 0, 1, 1}},
		{"(1,1)", 0x2, 0x3, 1, 1, 0, NULL, 1, {1}, {1}, {0}},
		{NULL, 0x3, 0, 1, 1, -ENODEV, "no Ethernet port", 0, {0}, {0}, {0}},
		{NULL, 0x7, 0x3, 1, 3, -ENODEV, "port 2", 0, {0}, {0}, {0}},
		{NULL, UINT64_C(1) << 40, 0x3, 1, 3, -ENODEV, "port 40", 0, {0}, {0}, {0}},
		{NULL, 0x3, 0x3, 1, 1, -EINVAL, "lcores", 0, {0}, {0}, {0}},
		{"(0,2)", 0x3, 0x7, 1, 2, -EINVAL, "port 2 is not in the mask", 0, {0}, {0}, {0}},
		{"(0,1)(1,2)", 0x7, 0x7, 1, 3, -EINVAL, "port 1 is in two pairs", 0, {0}, {0}, {0}},
		{"(0,0)(0,1)", 0x3, 0x3, 1, 3, -EINVAL, "port 0 is in two pairs", 0, {0}, {0}, {0}},
		{"(0,1)", 0x7, 0x7, 1, 3, -EINVAL, "port 2 of the mask", 0, {0}, {0}, {0}},
	};
	struct l2fwd_options opt;
	struct l2fwd_error err;
	struct l2fwd_plan plan;
	unsigned int i, j;
	char map[64];

	for (i = 0; i < RTE_DIM(cases); i++) {
		const struct plan_case *c = &cases[i];

		snprintf(map, sizeof(map), "--portmap=%s", c->portmap != NULL ? c->portmap : "");
		TEST_ASSERT_SUCCESS(
			parse((const char *[]){"-p", "1", c->portmap != NULL ? map : NULL, NULL},
				&opt, &err),
			"case %u: %s", i, err.line);
		opt.portmask = c->mask;
		opt.lanes_per_lcore = c->q;
		TEST_ASSERT_EQUAL(l2fwd_plan(&opt, c->available, c->n_lcores, &plan, &err), c->rc,
			"case %u: %s", i, err.line);
		if (c->rc < 0) {
			TEST_ASSERT_NOT_NULL(
				strstr(err.line, c->says), "case %u: \"%s\"", i, err.line);
			continue;
		}
		TEST_ASSERT_EQUAL(plan.n_lanes, c->n_lanes, "case %u: %u lanes", i, plan.n_lanes);
		for (j = 0; j < c->n_lanes; j++) {
			TEST_ASSERT_EQUAL(plan.lane[j].src, c->src[j], "case %u: src %u", i, j);
			TEST_ASSERT_EQUAL(plan.lane[j].dst, c->dst[j], "case %u: dst %u", i, j);
			TEST_ASSERT_EQUAL(
				plan.lane[j].lcore, c->lcore[j], "case %u: lcore %u", i, j);
		}
	}
	return TEST_SUCCESS;
}

static const struct test_case cases[] = {
	{"good command lines mean what they say", test_good_lines},
	{"bad command lines are refused and named", test_bad_lines},
	{"help is asked for", test_help},
	{"lanes and lcores follow from mask and map", test_plans},
};

REGISTER_TEST_SUITE(l2fwd_options) = {
	.name = "l2fwd_options",
	.kind = TEST_FAST,
	.cases = cases,
	.n_cases = RTE_DIM(cases),
};
