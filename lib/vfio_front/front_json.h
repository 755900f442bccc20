/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * JSON writer (RFC 8259) to a socket: objects, arrays, strings, numbers. Used by the status socket
 * (front_serve.c).
 *
 * Invariant: does not allocate. Output goes through a fixed buffer, which is sent when it is full.
 * The first failed send(2) stops the output.
 */

#ifndef FRONT_JSON_H
#define FRONT_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct front_json {
	int fd; /**< a socket */
	bool comma; /**< an item precedes at this level */
	bool failed; /**< a send(2) failed: the rest is dropped */
	size_t len;
	char buf[2048];
};

/** Begin a document on a socket. */
void front_json_begin(struct front_json *json, int fd);
/**
 * Begin an object or an array.
 * @param name     NULL: an item of an array, or the outermost value.
 * @param bracket  '{' or '['
 */
void front_json_open(struct front_json *json, const char *name, char bracket);
/** End an object or an array. @param bracket  '}' or ']' */
void front_json_close(struct front_json *json, char bracket);
/** Add a string. Bytes that are not valid UTF-8 become U+FFFD. */
void front_json_text(struct front_json *json, const char *name, const char *text);
void front_json_number(struct front_json *json, const char *name, uint64_t number);
void front_json_bool(struct front_json *json, const char *name, bool value);
/** Send the rest. @return whether everything was sent. */
bool front_json_end(struct front_json *json);

#endif /* FRONT_JSON_H */
