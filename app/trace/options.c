/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * The command line of gantry-trace. Called by main.c and by tests.
 */

#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "trace.h"

static const char usage[] =
	"usage: gantry-trace [options] PID             follow a process until Ctrl-C\n"
	"       gantry-trace [options] -- COMMAND...   follow a command from its start on\n"
	"       gantry-trace [options] audit PID       compare the kernel's mappings with the containers'\n"
	"\n"
	"  --json         JSON: one object, or one on each line\n"
	"  --children     follow processes that the process starts, too\n"
	"  --seconds=N    follow for N seconds\n"
	"  --watch[=S]    audit: again every S seconds (1)\n"
	"  --help, --version\n"
	"\n"
	"Exit status of audit: 0 same, 1 different, 2 it cannot be told.\n";

static int
seconds_parse(
	const struct info_host *h, const char *option, const char *text, unsigned int *seconds)
{
	const size_t len = strlen(text);
	unsigned long n = len > 0 && len < 6 && strspn(text, "0123456789") == len
		? strtoul(text, NULL, 10)
		: 0;

	if (n == 0 || n > 86400)
		return info_fail(h, TRACE_CANNOT, "--%s=%s: not a number of seconds, 1 to 86400",
			option, text);
	*seconds = (unsigned int)n;
	return 0;
}

/**
 * @param shorts  "+:": options end at the first other word, which may be a command with options of
 * its own; ":": they may stand anywhere, and optind is at the other words.
 * @return 0; a status; -1: done (--help, --version)
 */
static int
options_parse(const struct info_host *h, const char *shorts, int argc, char **argv,
	struct trace_options *o)
{
	static const struct option options[] = {
		{"children", no_argument, NULL, 'c'},
		{"help", no_argument, NULL, 'h'},
		{"json", no_argument, NULL, 'j'},
		{"seconds", required_argument, NULL, 's'},
		{"version", no_argument, NULL, 'V'},
		{"watch", optional_argument, NULL, 'w'},
		{NULL, 0, NULL, 0},
	};
	int c, rc = 0;

	opterr = 0;
	optind = 0;
	while (rc == 0 && (c = getopt_long(argc, argv, shorts, options, NULL)) != -1) {
		if (c == 'c')
			o->children = true;
		else if (c == 'j')
			o->json = true;
		else if (c == 's')
			rc = seconds_parse(h, "seconds", optarg, &o->seconds);
		else if (c == 'w')
			rc = seconds_parse(h, "watch", optarg != NULL ? optarg : "1", &o->watch);
		else if (c == 'h')
			return fputs(usage, h->out), -1;
		else if (c == 'V')
			return fprintf(h->out, "gantry-trace %s\n", GANTRY_VERSION), -1;
		else
			rc = info_fail(h, TRACE_CANNOT, "%s: %s: see --help", argv[optind - 1],
				c == '?' ? "unknown option" : "lacks its value");
	}
	return rc;
}

static int
audit_run(const struct info_host *h, const struct trace_commands *commands, struct trace_options *o,
	int argc, char **argv)
{
	int rc = options_parse(h, ":", argc, argv, o);

	if (rc != 0)
		return rc < 0 ? 0 : rc;
	if (argc - optind != 1)
		return info_fail(h, TRACE_CANNOT, "audit: wants one argument, a process ID");
	o->pid = argv[optind];
	if (o->children || o->seconds > 0)
		return info_fail(h, TRACE_CANNOT,
			"audit: --children and --seconds are for following: see --help");
	return commands->audit(h, o);
}

int
trace_run(const struct info_host *h, const struct trace_commands *commands, int argc, char **argv)
{
	struct trace_options o = {0};
	int rc = options_parse(h, "+:", argc, argv, &o);
	bool is_command;

	if (rc != 0)
		return rc < 0 ? 0 : rc;
	if (optind == argc)
		return info_fail(h, TRACE_CANNOT,
			"wants a process ID, -- and a command, or audit: see --help");
	is_command = strcmp(argv[optind - 1], "--") == 0;
	if (!is_command && strcmp(argv[optind], "audit") == 0)
		return audit_run(h, commands, &o, argc - optind, argv + optind);
	if (o.watch > 0)
		return info_fail(h, TRACE_CANNOT, "--watch is for audit: see --help");
	if (is_command)
		o.command = argv + optind;
	else if (argc - optind != 1)
		return info_fail(h, TRACE_CANNOT,
			"%s: wants one argument, a process ID; a command comes after --",
			argv[optind + 1]);
	else
		o.pid = argv[optind];
	return commands->follow(h, &o);
}
