/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * A device plugin's side of a UNIX socket: a thread that answers one connection from a table.
 *
 * Like the plugin of Kubernetes it accepts one connection, and removes the socket after it. It
 * records what it was asked. Called by the suites of the AF_XDP driver, in the main thread.
 */

#ifndef GANTRY_TEST_PLUGIN_SERVER_H
#define GANTRY_TEST_PLUGIN_SERVER_H

#define PLUGIN_MAX_REQUESTS 8

/** What is answered to the n-th request. */
struct plugin_answer {
	enum {
		PLUGIN_SAY, /**< text, and n_fds times the descriptor fd */
		PLUGIN_CLOSE, /**< nothing: the connection is closed */
		PLUGIN_SILENCE, /**< nothing: the connection stays open until the client closes it
				 */
	} what;
	const char *text;
	unsigned int n_fds; /**< up to 4 */
	int fd;
};

/** Listen at a path and answer n requests; later ones close the connection. @return -errno */
int plugin_server_start(const char *path, const struct plugin_answer *answers, unsigned int n);
/** Wait until the client has closed the connection, and end. Removes the socket. */
void plugin_server_stop(void);
/** @return the n-th request, from 0; "": there was none. After plugin_server_stop() */
const char *plugin_server_request(unsigned int n);

#endif /* GANTRY_TEST_PLUGIN_SERVER_H */
