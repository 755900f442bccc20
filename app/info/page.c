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

#define FACTS_MARK "@FACTS@"
#define NONCE_MARK "@NONCE@"

static bool
mark_is(const char *at, const char *end, const char *mark)
{
	return (size_t)(end - at) >= strlen(mark) && strncmp(at, mark, strlen(mark)) == 0;
}

/** Print JSON for a script element, which ends at "</": the slash is escaped. */
static int
facts_write(FILE *out, const json_t *facts)
{
	char *text = json_dumps(
		facts, JSON_COMPACT | JSON_ESCAPE_SLASH | JSON_ENSURE_ASCII | JSON_ENCODE_ANY);

	if (text == NULL)
		return -ENOMEM;
	fputs(text, out);
	free(text);
	return 0;
}

/** Write the page, with facts, or without them, and with a nonce, in the places of their marks. */
static int
page_write(FILE *out, const json_t *facts, const char *nonce)
{
	const char *at = (const char *)info_page, *const end = at + sizeof(info_page), *next;
	int rc = 0;

	while ((next = memchr(at, '@', (size_t)(end - at))) != NULL) {
		fwrite(at, 1, (size_t)(next - at), out);
		at = next;
		if (mark_is(at, end, FACTS_MARK)) {
			rc = rc < 0 ? rc : facts_write(out, facts);
			at += strlen(FACTS_MARK);
		} else if (mark_is(at, end, NONCE_MARK)) {
			fputs(nonce, out);
			at += strlen(NONCE_MARK);
		} else {
			fputc(*at++, out);
		}
	}
	fwrite(at, 1, (size_t)(end - at), out);
	return rc == 0 && fflush(out) != 0 ? -errno : rc;
}

int
info_page_live(FILE *out, const char *nonce)
{
	json_t *nothing = json_null();

	return page_write(out, nothing, nonce);
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
	rc = page_write(out, facts, "gantry");
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
