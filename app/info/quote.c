/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Words of commands that an operator runs. Invariant: a shell takes a word as it is, whatever its
 * characters mean elsewhere. Implements part of info.h; callers: the checks of `why`.
 */

#include <string.h>

#include "info.h"

#define PLAIN                                                                                      \
	"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"                           \
	"_./:@+,=%-"

const char *
info_quote(char *out, const char *text)
{
	size_t len = 0;

	if (text[0] != '\0' && text[strspn(text, PLAIN)] == '\0') {
		snprintf(out, INFO_TEXT_MAX, "%s", text);
		return out;
	}
	out[len++] = '\'';
	for (; *text != '\0' && len < INFO_TEXT_MAX - 6; text++) {
		/* End the quotation, add a quotation mark, begin again (POSIX, Quoting). */
		if (*text == '\'')
			len += (size_t)snprintf(out + len, INFO_TEXT_MAX - len, "'\\''");
		else
			out[len++] = *text;
	}
	out[len++] = '\'';
	out[len] = '\0';
	return out;
}
