/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * dm_pin_alloc(): memory in one step, plan and populate. For callers that need no address space of
 * their own; container/ uses the two steps. See dm_pin.h.
 */

#include "dm_pin.h"

int
dm_pin_alloc(const struct dm_pin_conf *conf, struct dm_pin **out)
{
	struct dm_pin_fill fill;
	struct dm_pin *pin;
	int rc = dm_pin_plan(conf, &pin);

	if (rc < 0)
		return rc;
	fill = (struct dm_pin_fill){conf->threads, conf->progress, conf->progress_arg};
	rc = dm_pin_populate(pin, conf->at, &fill);
	if (rc < 0) {
		dm_pin_free(pin);
		return rc;
	}
	*out = pin;
	return 0;
}
