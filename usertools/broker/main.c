/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * gantry-broker: the command line. See broker.h.
 */

#include <errno.h>
#include <getopt.h>
#include <grp.h>
#include <pwd.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "broker.h"

static const char usage[] =
	"usage: gantry-broker [OPTION...] DEVICE...\n"
	"       gantry-broker [OPTION...] --user=USER DEVICE... -- PROGRAM [ARGUMENT...]\n"
	"\n"
	"Opens VFIO files for programs that have no permission to. A DEVICE is the PCI address\n"
	"(0000:01:00.0) of a device that is bound to vfio-pci. The first form serves a UNIX socket,\n"
	"for gantry-run --broker. The second form starts a program with the files open, and lists\n"
	"them in " BROKER_FDS_ENV ".\n"
	"\n"
	"  --user=USER, --group=GROUP    user and group that are served, besides root (name or\n"
	"                                number); second form: that the program runs as\n"
	"  --memlock=BYTES|unlimited     raise RLIMIT_MEMLOCK of served processes; suffix K, M or G\n"
	"  --socket=PATH                 where to listen (default: " BROKER_SOCKET ")\n"
	"  --once                        serve one process, and exit when it exits\n"
	"  --cdev                        second form: device files (/dev/vfio/devices/) in place of\n"
	"                                group files, for programs that use iommufd themselves\n"
	"  --dev=DIR, --sysfs=DIR        where the host's /dev and /sys are mounted (default: /dev,\n"
	"                                /sys)\n"
	"  --help, --version\n"
	"\n"
	"Exit status: 0; 125 if gantry-broker fails; second form: the program's, 126 if it cannot\n"
	"be run, 127 if it does not exist.\n";

/** Result of the command line, for both forms. */
struct command {
	struct broker b;
	bool cdevs;
};

static int
memlock_parse(struct broker *b, const char *text)
{
	static const char units[] = "KMG";
	unsigned long long value;
	const char *unit;
	char *end;
	int i;

	b->has_memlock = true;
	b->memlock = RLIM_INFINITY;
	if (strcmp(text, "unlimited") == 0)
		return 0;
	errno = 0;
	value = strtoull(text, &end, 10);
	unit = *end != '\0' ? strchr(units, *end) : NULL;
	if (text[0] < '0' || text[0] > '9' || errno != 0 ||
		(*end != '\0' && (unit == NULL || end[1] != '\0')))
		return broker_fail(BROKER_FAILED, "--memlock=%s: not a number of bytes", text);
	for (i = 0; unit != NULL && i <= unit - units; i++) {
		if (value > UINT64_MAX / 1024)
			return broker_fail(
				BROKER_FAILED, "--memlock=%s: too much: beyond 64 bits", text);
		value *= 1024;
	}
	b->memlock = value;
	return 0;
}

/** Parse a number. @return false: not a number. */
static bool
number_parse(const char *text, unsigned int *id)
{
	unsigned long value;
	char *end;

	errno = 0;
	value = strtoul(text, &end, 10);
	if (text[0] < '0' || text[0] > '9' || *end != '\0' || errno != 0 || value >= UINT32_MAX)
		return false;
	*id = (unsigned int)value;
	return true;
}

static int
user_parse(struct broker *b, const char *text)
{
	const struct passwd *user = getpwnam(text);

	b->has_uid = true;
	if (user != NULL)
		b->uid = user->pw_uid;
	else if (!number_parse(text, &b->uid))
		return broker_fail(BROKER_FAILED, "--user=%s: no such user", text);
	return 0;
}

static int
group_parse(struct broker *b, const char *text)
{
	const struct group *group = getgrnam(text);

	b->has_gid = true;
	if (group != NULL)
		b->gid = group->gr_gid;
	else if (!number_parse(text, &b->gid))
		return broker_fail(BROKER_FAILED, "--group=%s: no such group", text);
	return 0;
}

/** @return 0, with optind at the first device; an exit status; -1: done (--help, --version). */
static int
options_parse(int argc, char **argv, struct command *c)
{
	static const struct option options[] = {
		{"cdev", no_argument, NULL, 'c'},
		{"dev", required_argument, NULL, 'd'},
		{"group", required_argument, NULL, 'g'},
		{"help", no_argument, NULL, 'h'},
		{"memlock", required_argument, NULL, 'm'},
		{"once", no_argument, NULL, 'o'},
		{"socket", required_argument, NULL, 's'},
		{"sysfs", required_argument, NULL, 'S'},
		{"user", required_argument, NULL, 'u'},
		{"version", no_argument, NULL, 'V'},
		{NULL, 0, NULL, 0},
	};
	int o, rc = 0;

	/*
	 * "+": stop at the first argument that is no option; later options belong to the program.
	 */
	while (rc == 0 && (o = getopt_long(argc, argv, "+", options, NULL)) != -1) {
		if (o == 'c')
			c->cdevs = true;
		else if (o == 'd')
			c->b.dev = optarg;
		else if (o == 'g')
			rc = group_parse(&c->b, optarg);
		else if (o == 'm')
			rc = memlock_parse(&c->b, optarg);
		else if (o == 'o')
			c->b.once = true;
		else if (o == 's')
			c->b.socket = optarg;
		else if (o == 'S')
			c->b.sysfs = optarg;
		else if (o == 'u')
			rc = user_parse(&c->b, optarg);
		else if (o == 'h')
			return fputs(usage, stdout), -1;
		else if (o == 'V')
			return printf("gantry-broker %s\n", GANTRY_VERSION), -1;
		else
			return BROKER_FAILED;
	}
	return rc;
}

/**
 * Parse devices, up to the end or "--".
 * @param end  out: after the last device.
 * @return 0; an exit status.
 */
static int
devices_parse(struct broker *b, char **argv, char ***end)
{
	int rc = broker_common_add(b);

	for (; rc == 0 && *argv != NULL && strcmp(*argv, "--") != 0; argv++)
		rc = broker_device_add(b, *argv);
	*end = argv;
	return rc;
}

static int
broker_start(struct command *c, char **devices)
{
	char **end;
	int rc = devices_parse(&c->b, devices, &end);

	if (rc != 0)
		return rc;
	if (end == devices)
		return broker_fail(BROKER_FAILED, "no device: see --help");
	if (*end == NULL)
		return c->cdevs
			? broker_fail(BROKER_FAILED,
				  "--cdev: only with a program after --: a socket serves both kinds of file")
			: broker_serve(&c->b);
	if (end[1] == NULL)
		return broker_fail(BROKER_FAILED, "no program after --: see --help");
	if (!c->b.has_uid)
		return broker_fail(
			BROKER_FAILED, "--user is missing: name the user that %s runs as", end[1]);
	if (c->b.once)
		return broker_fail(BROKER_FAILED,
			"--once: not with a program after --, which needs no socket");
	return broker_run(&c->b, c->cdevs, end + 1);
}

int
main(int argc, char **argv)
{
	struct command c = {.b = {.sysfs = "/sys", .dev = "/dev", .socket = BROKER_SOCKET}};
	int rc = options_parse(argc, argv, &c);

	if (rc == 0)
		/* getopt(3) skips a "--" that precedes all devices. */
		rc = strcmp(argv[optind - 1], "--") == 0
			? broker_fail(BROKER_FAILED, "no device before --: see --help")
			: broker_start(&c, argv + optind);
	else if (rc < 0)
		rc = EXIT_SUCCESS;
	free(c.b.files);
	return rc;
}
