/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * gantry-run: starts a program that uses VFIO, with libgantry_vfio.so in front of VFIO.
 *
 * Invariant: options are passed in the environment variable GANTRY_VFIO, and the library in
 * LD_PRELOAD. Then execv(3) replaces this process: the program gets no additional descriptor,
 * signal handler or process.
 */

#include <errno.h>
#include <getopt.h>
#include <libgen.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "hand_in.h"
#include "preload_options.h"
#include "program.h"

/** Options of the user, as words of GANTRY_VFIO. */
struct run_options {
	const char *backend;
	const char *coalesce;
	const char *log;
	bool isolate;
	bool report;
	bool status;
	bool faults;
};

static const char usage[] =
	"usage: gantry-run [OPTION...] [--] PROGRAM [ARGUMENT...]\n"
	"\n"
	"Runs an unmodified program that uses VFIO through /dev/vfio on Gantry's DMA mapper.\n"
	"\n"
	"  --backend=auto|type1|iommufd  kernel interface (auto: type1 if the kernel has it, else\n"
	"                                iommufd)\n"
	"  --isolate                     one IOMMU domain per group (default: shared domains)\n"
	"  --coalesce=off|start|always   merge contiguous maps: never, those made before the first\n"
	"                                device is opened (default), or also later ones\n"
	"  --log=FILE                    append messages to FILE (default: standard error)\n"
	"  --report                      log devices, domains, entries, calls and refusals at the end\n"
	"  --status                      serve the same on a UNIX socket while the program runs\n"
	"  --faults                      when the IOMMU blocks a device, tell whose memory it was\n"
	"  --broker=SOCKET               get files that cannot be opened from a gantry-broker\n"
	"  --fd=NUMBER=PATH              descriptor NUMBER is PATH, already open; can be repeated\n"
	"  --help, --version\n"
	"\n"
	"Exit status: the program's; 125 if gantry-run fails, 126 if the program cannot be run\n"
	"on it, 127 if it does not exist.\n";

/* Options */

static bool
is_one_of(const char *value, const char *const *values)
{
	while (*values != NULL && strcmp(*values, value) != 0)
		values++;
	return *values != NULL;
}

static int
option_choice(const char *option, const char *value, const char *const *values, const char **out)
{
	if (!is_one_of(value, values))
		return run_fail(RUN_FAILED, "--%s=%s: unknown value: see --help", option, value);
	*out = value;
	return 0;
}

/** @return 0, with optind at the program; a status; -1: done (--help, --version). */
static int
options_parse(int argc, char **argv, struct run_options *o)
{
	static const char *const backends[] = {"auto", "type1", "iommufd", NULL};
	static const char *const coalescing[] = {"off", "start", "always", NULL};
	static const struct option options[] = {
		{"backend", required_argument, NULL, 'b'},
		{"broker", required_argument, NULL, 'B'},
		{"coalesce", required_argument, NULL, 'c'},
		{"faults", no_argument, NULL, 'F'},
		{"fd", required_argument, NULL, 'f'},
		{"help", no_argument, NULL, 'h'},
		{"isolate", no_argument, NULL, 'i'},
		{"log", required_argument, NULL, 'l'},
		{"report", no_argument, NULL, 'r'},
		{"status", no_argument, NULL, 's'},
		{"version", no_argument, NULL, 'V'},
		{NULL, 0, NULL, 0},
	};
	int c, rc = 0;

	/*
	 * "+": stop at the first argument that is no option; later options belong to the program.
	 */
	while (rc == 0 && (c = getopt_long(argc, argv, "+", options, NULL)) != -1) {
		if (c == 'b')
			rc = option_choice("backend", optarg, backends, &o->backend);
		else if (c == 'c')
			rc = option_choice("coalesce", optarg, coalescing, &o->coalesce);
		else if (c == 'l')
			o->log = optarg;
		else if (c == 'i')
			o->isolate = true;
		else if (c == 'r')
			o->report = true;
		else if (c == 's')
			o->status = true;
		else if (c == 'F')
			o->faults = true;
		else if (c == 'B')
			rc = run_hand_in_broker(optarg);
		else if (c == 'f')
			rc = run_hand_in_fd(optarg);
		else if (c == 'h')
			return fputs(usage, stdout), -1;
		else if (c == 'V')
			return printf("gantry-run %s\n", GANTRY_VERSION), -1;
		else
			return RUN_FAILED;
	}
	if (rc == 0 && optind == argc)
		return run_fail(RUN_FAILED, "no program: see --help");
	return rc;
}

/* Environment */

/** Append to a string. @return 0; -ENAMETOOLONG. */
static int
text_append(char *text, size_t size, const char *prefix, const char *value)
{
	const size_t at = strlen(text);

	return snprintf(text + at, size - at, "%s%s", prefix, value) < (int)(size - at)
		? 0
		: -ENAMETOOLONG;
}

/**
 * Format the value of GANTRY_VFIO. The path of the log is made absolute, because the program may
 * change its directory.
 */
static int
options_to_text(const struct run_options *o, char *text, size_t size)
{
	char cwd[PATH_MAX];
	int rc = 0;

	text[0] = '\0';
	rc |= text_append(text, size, "backend=", o->backend);
	rc |= text_append(text, size, ",coalesce=", o->coalesce);
	rc |= o->isolate ? text_append(text, size, ",isolate", "") : 0;
	rc |= o->report ? text_append(text, size, ",report", "") : 0;
	rc |= o->faults ? text_append(text, size, ",faults", "") : 0;
	rc |= o->status ? text_append(text, size, ",status", "") : 0;
	if (rc != 0 || o->log == NULL)
		return rc;
	rc = text_append(text, size, ",log=", "");
	if (rc == 0 && o->log[0] != '/') {
		if (getcwd(cwd, sizeof(cwd)) == NULL)
			return -errno;
		rc = text_append(text, size, cwd, "/");
	}
	return rc != 0 ? rc : text_append(text, size, o->log, "");
}

/** Check that the log can be written, before the program starts. Does not create it. */
static int
log_check(const char *path)
{
	char dir[PATH_MAX];
	struct stat st;
	int err = 0;

	if (stat(path, &st) == 0) {
		err = S_ISDIR(st.st_mode) ? EISDIR : access(path, W_OK) < 0 ? errno : 0;
	} else if (errno == ENOENT && snprintf(dir, sizeof(dir), "%s", path) < (int)sizeof(dir)) {
		err = access(dirname(dir), W_OK | X_OK) < 0 ? errno : 0;
	} else {
		err = errno;
	}
	return err == 0
		? 0
		: run_fail(RUN_FAILED,
			  "--log=%s: cannot be written: %s: choose a file in a folder that exists"
			  " and can be written to",
			  path, strerror(err));
}

static int
options_set(const struct run_options *o)
{
	char text[PATH_MAX + 256], bad[64];
	struct preload_options parsed;
	int rc;

	if (o->log != NULL && o->log[0] == '\0')
		return run_fail(RUN_FAILED, "--log: empty file name");
	rc = o->log != NULL ? log_check(o->log) : 0;
	if (rc != 0)
		return rc;
	rc = options_to_text(o, text, sizeof(text));
	/* Parse what was formatted, so that the library cannot refuse it. */
	if (rc == 0)
		rc = preload_options_parse(text, &parsed, bad, sizeof(bad));
	if (rc == 0 && setenv(PRELOAD_OPTIONS_ENV, text, 1) < 0)
		rc = -errno;
	return rc == 0 ? 0 : run_fail(RUN_FAILED, "--log=%s: %s", o->log, strerror(-rc));
}

/** Find the library relative to this program: installed, or in the build tree. */
static int
library_find(char library[PATH_MAX])
{
	static const char *const places[] = {
		GANTRY_LIBRARY_FROM_BIN, "../../lib/vfio_front/libgantry_vfio.so", GANTRY_LIBRARY};
	char self[PATH_MAX], candidate[2 * PATH_MAX];
	ssize_t len = readlink("/proc/self/exe", self, sizeof(self) - 1);
	unsigned int i;

	if (len < 0)
		return run_fail(RUN_FAILED, "/proc/self/exe: cannot be read: %s: mount /proc",
			strerror(errno));
	self[len] = '\0';
	*strrchr(self, '/') = '\0';
	for (i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		snprintf(candidate, sizeof(candidate), "%s/%s", places[i][0] == '/' ? "" : self,
			places[i]);
		if (realpath(candidate, library) != NULL)
			break;
	}
	if (i == sizeof(places) / sizeof(places[0]))
		return run_fail(RUN_FAILED,
			"libgantry_vfio.so: not found in %s/../lib or at %s: install it together with"
			" gantry-run",
			self, GANTRY_LIBRARY);
	if (strpbrk(library, " :$") != NULL)
		return run_fail(RUN_FAILED,
			"%s: LD_PRELOAD cannot take a path with a blank, a colon or a dollar sign:"
			" install it elsewhere",
			library);
	return 0;
}

/** Whether a library is in a list like that of LD_PRELOAD. */
static bool
library_is_listed(const char *list, const char *library)
{
	const size_t len = strlen(library);
	const char *at = list;

	while ((at = strstr(at, library)) != NULL) {
		if ((at == list || strchr(" :", at[-1]) != NULL) &&
			(at[len] == '\0' || strchr(" :", at[len]) != NULL))
			return true;
		at += len;
	}
	return false;
}

/**
 * Append to LD_PRELOAD. Libraries already in it stay first: the address sanitizer's run-time
 * requires it, and a tracer then sees the program's calls.
 */
static int
preload_set(void)
{
	char library[PATH_MAX], *list;
	const char *old = getenv("LD_PRELOAD");
	int rc = library_find(library);

	if (rc != 0)
		return rc;
	if (old != NULL && library_is_listed(old, library))
		return 0;
	if (asprintf(&list, "%s%s%s", old != NULL ? old : "",
		    old != NULL && old[0] != '\0' ? ":" : "", library) < 0)
		return run_fail(RUN_FAILED, "out of memory");
	rc = setenv("LD_PRELOAD", list, 1);
	free(list);
	return rc == 0 ? 0 : run_fail(RUN_FAILED, "LD_PRELOAD: %s", strerror(errno));
}

int
main(int argc, char **argv)
{
	struct run_options options = {.backend = "auto", .coalesce = "start"};
	char path[PATH_MAX];
	int rc;

	rc = options_parse(argc, argv, &options);
	if (rc != 0)
		return rc < 0 ? EXIT_SUCCESS : rc;
	rc = run_program_find(argv[optind], path);
	if (rc == 0)
		rc = options_set(&options);
	if (rc == 0)
		rc = preload_set();
	if (rc != 0)
		return rc;
	execv(path, argv + optind);
	return run_fail(
		errno == ENOENT ? RUN_NOT_FOUND : RUN_NOT_RUN, "%s: %s", path, strerror(errno));
}
