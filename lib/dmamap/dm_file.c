/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Readers of small kernel files in sysfs and procfs. See dm_file.h.
 */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dm_file.h"

int
dm_file_line(const char *path, char *buf, size_t size)
{
	FILE *f = fopen(path, "re");
	int rc = 0;

	buf[0] = '\0';
	if (f == NULL)
		return -errno;
	if (fgets(buf, (int)size, f) == NULL && ferror(f)) {
		rc = -errno;
		buf[0] = '\0';
	}
	buf[strcspn(buf, "\n")] = '\0';
	fclose(f);
	return rc;
}

int
dm_file_number(const char *path, int64_t *value)
{
	char line[32], *end;
	int rc = dm_file_line(path, line, sizeof(line));
	long long number;

	if (rc < 0)
		return rc;
	errno = 0;
	number = strtoll(line, &end, 0);
	if (end == line || errno != 0)
		return -EINVAL;
	*value = number;
	return 0;
}
