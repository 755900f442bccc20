/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * gantry-info: tells what a machine, a device, a group or a process has of VFIO, and why a device
 * cannot be used. The rest is in the other files of this folder, which the tests link too.
 */

#include "info.h"

int
main(int argc, char **argv)
{
	const struct info_host host = {.root = "", .out = stdout, .err = stderr};

	return info_run(&host, argc, argv);
}
