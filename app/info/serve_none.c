/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * The command `serve` of a build without libmicrohttpd. Implements part of info.h.
 */

#include "info.h"

int
info_serve(const struct info_host *h, const struct info_options *o, int n_pids, char **pids)
{
	return info_fail(h, INFO_FAILED,
		"serve: this build lacks it: install libmicrohttpd-dev and build again");
}
