/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * The facts of `map` as a web page that needs no other file: page.html with the facts in it.
 * Implements part of info.h.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "info.h"
#include "info_page.h"

static const char mark[] = "@FACTS@";

/** Print JSON for a script element, which ends at "</": the slash is escaped. */
static int
facts_write(FILE *out, const json_t *facts)
{
	char *text = json_dumps(facts, JSON_COMPACT | JSON_ESCAPE_SLASH | JSON_ENSURE_ASCII);

	if (text == NULL)
		return -ENOMEM;
	fputs(text, out);
	free(text);
	return 0;
}

static int
page_write(FILE *out, const json_t *facts)
{
	const char *page = (const char *)info_page, *at;
	int rc;

	at = memmem(page, sizeof(info_page), mark, strlen(mark));
	fwrite(page, 1, (size_t)(at - page), out);
	rc = facts_write(out, facts);
	at += strlen(mark);
	fwrite(at, 1, (size_t)(page + sizeof(info_page) - at), out);
	return rc == 0 && fflush(out) != 0 ? -errno : rc;
}

int
info_page_save(const struct info_host *h, const char *path, const json_t *facts)
{
	char part[INFO_TEXT_MAX];
	FILE *out;
	int rc;

	if (snprintf(part, sizeof(part), "%s.part", path) >= (int)sizeof(part))
		return info_fail(h, INFO_USAGE, "--html=%s: too long", path);
	out = fopen(part, "we");
	if (out == NULL)
		return info_fail(h, INFO_FAILED, "%s: %s", part, strerror(errno));
	rc = page_write(out, facts);
	if (fclose(out) != 0 && rc == 0)
		rc = -errno;
	/* A reader never sees a half. */
	if (rc == 0 && rename(part, path) < 0)
		rc = -errno;
	if (rc == 0)
		return INFO_OK;
	unlink(part);
	return info_fail(h, INFO_FAILED, "%s: %s", path, strerror(-rc));
}
