/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Page sizes of this machine, and allocations whose log is checked. See pages.h.
 */

#include <stdio.h>
#include <string.h>

#include "dm_hugepage.h"
#include "pages.h"
#include "test.h"

size_t
pages_empty_size(void)
{
	size_t sizes[DM_HUGEPAGE_SIZES_MAX];
	struct dm_hugepage_count count;
	unsigned int n;

	for (n = dm_hugepage_sizes(sizes); n > 0; n--)
		if (dm_hugepage_count(sizes[n - 1], -1, &count) == 0 &&
			count.free + count.surplus == 0)
			return sizes[n - 1];
	return 0;
}

int
pages_alloc(const struct dm_pin_conf *conf, const char *says, struct dm_pin **pin)
{
	const char *log;
	int rc;

	*pin = NULL;
	test_log_begin();
	rc = dm_pin_alloc(conf, pin);
	log = test_log_end();
	if (says == NULL ? log[0] == '\0' : strstr(log, says) != NULL)
		return rc;
	printf("  %d; not \"%s\", but: %s\n", rc, says != NULL ? says : "", log);
	return 1;
}
