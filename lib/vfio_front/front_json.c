/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * JSON writer. Implements front_json.h.
 */

#include "front_json.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

static void
json_flush(struct front_json *json)
{
	size_t done = 0;
	ssize_t rc;

	while (done < json->len && !json->failed) {
		rc = send(json->fd, json->buf + done, json->len - done, MSG_NOSIGNAL);
		if (rc > 0)
			done += (size_t)rc;
		else
			json->failed = errno != EINTR;
	}
	json->len = 0;
}

static void
json_put(struct front_json *json, const char *bytes, size_t n)
{
	if (n > sizeof(json->buf) - json->len)
		json_flush(json);
	memcpy(json->buf + json->len, bytes, n);
	json->len += n;
}

/** Length in bytes of the UTF-8 character at the start of a text (RFC 3629); 0: invalid. */
static size_t
utf8_len(const char *text)
{
	const unsigned char *b = (const unsigned char *)text;
	const size_t len = b[0] < 0x80 ? 1
		: b[0] < 0xc2          ? 0
		: b[0] < 0xe0          ? 2
		: b[0] < 0xf0          ? 3
		: b[0] < 0xf5          ? 4
				       : 0;
	size_t i;

	for (i = 1; i < len; i++)
		if ((b[i] & 0xc0) != 0x80)
			return 0;
	/* Reject overlong forms, surrogates, and characters above U+10FFFF. */
	if ((b[0] == 0xe0 && b[1] < 0xa0) || (b[0] == 0xed && b[1] > 0x9f) ||
		(b[0] == 0xf0 && b[1] < 0x90) || (b[0] == 0xf4 && b[1] > 0x8f))
		return 0;
	return len;
}

static void
json_put_text(struct front_json *json, const char *text)
{
	char escape[8];
	size_t len;

	json_put(json, "\"", 1);
	for (; *text != '\0'; text += len) {
		len = utf8_len(text);
		if (len == 0) {
			json_put(json, "\\ufffd", 6);
			len = 1;
		} else if (*text == '"' || *text == '\\') {
			json_put(json, "\\", 1);
			json_put(json, text, 1);
		} else if (len == 1 && (unsigned char)*text < 0x20) {
			snprintf(escape, sizeof(escape), "\\u%04x", (unsigned char)*text);
			json_put(json, escape, 6);
		} else {
			json_put(json, text, len);
		}
	}
	json_put(json, "\"", 1);
}

static void
json_put_name(struct front_json *json, const char *name)
{
	if (json->comma)
		json_put(json, ",", 1);
	json->comma = true;
	if (name != NULL) {
		json_put_text(json, name);
		json_put(json, ":", 1);
	}
}

void
front_json_begin(struct front_json *json, int fd)
{
	*json = (struct front_json){.fd = fd};
}

void
front_json_open(struct front_json *json, const char *name, char bracket)
{
	json_put_name(json, name);
	json_put(json, &bracket, 1);
	json->comma = false;
}

void
front_json_close(struct front_json *json, char bracket)
{
	json_put(json, &bracket, 1);
	json->comma = true;
}

void
front_json_text(struct front_json *json, const char *name, const char *text)
{
	json_put_name(json, name);
	json_put_text(json, text);
}

void
front_json_number(struct front_json *json, const char *name, uint64_t number)
{
	char text[24];

	json_put_name(json, name);
	json_put(json, text, (size_t)snprintf(text, sizeof(text), "%" PRIu64, number));
}

void
front_json_bool(struct front_json *json, const char *name, bool value)
{
	json_put_name(json, name);
	json_put(json, value ? "true" : "false", value ? 4 : 5);
}

bool
front_json_end(struct front_json *json)
{
	json_put(json, "\n", 1);
	json_flush(json);
	return !json->failed;
}
