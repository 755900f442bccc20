/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Options of a process, which gantry-run passes in the environment variable GANTRY_VFIO:
 *
 *     backend=auto|type1|iommufd,isolate,coalesce=off|start|always,report,status,faults,log=FILE
 *
 * All are optional. log must be last: its value extends to the end, commas included. Users:
 * front_libc.c, and usertools/run, which checks the options.
 */

#ifndef PRELOAD_OPTIONS_H
#define PRELOAD_OPTIONS_H

#include <limits.h>
#include <stdbool.h>

#include "front.h"

/** Name of the environment variable. */
#define PRELOAD_OPTIONS_ENV "GANTRY_VFIO"

struct preload_options {
	struct front_conf conf;
	bool report; /**< log a report at the end of the process */
	bool faults; /**< tell whose memory a blocked device went for (front_faults.h) */
	bool status; /**< serve the status socket (front_serve.h) */
	char log[PATH_MAX]; /**< file for the log and the report; "": standard error */
};

/**
 * Parse the options. Any thread; neither allocates nor logs.
 * @param text  NULL: no options.
 * @param bad   out: the invalid item, truncated to `size` and terminated.
 * @return 0; -EINVAL: invalid item, and `options` are the defaults.
 */
int preload_options_parse(
	const char *text, struct preload_options *options, char *bad, size_t size);

#endif /* PRELOAD_OPTIONS_H */
