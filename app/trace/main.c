/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * gantry-trace: compares what the kernel has mapped for a process with what its containers believe,
 * and follows its calls of VFIO and iommufd. The rest is in the other files of this folder, most of
 * which the tests link too.
 */

#include "trace.h"

int
main(int argc, char **argv)
{
	static const struct trace_commands commands = {trace_audit, trace_follow};
	const struct info_host host = {
		.root = "", .out = stdout, .err = stderr, .program = "gantry-trace"};

	return trace_run(&host, &commands, argc, argv);
}
