/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * The command `serve`: a web page, JSON and metrics of running programs, by HTTP. Implements part
 * of info.h.
 *
 * Invariants: it listens on 127.0.0.1 only, answers GET and HEAD only, and only to those that call
 * it by a name of this machine, so that no web site can read it by a name of its own (DNS
 * rebinding). One thread of libmicrohttpd answers everybody, so programs.c needs no lock.
 */

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include <microhttpd.h>

#include "info.h"

#define CONNECTIONS_MAX 64u
/** Seconds that a connection may be idle. */
#define IDLE_MAX 5u
/** Bytes of a request. */
#define REQUEST_MAX ((size_t)16 << 10)
#define NONCE_LEN 33

/** Whether a Host header is "127.0.0.1" or "localhost", with any port: a tunnel has its own. */
static bool
host_is_local(const char *host)
{
	static const char *const names[] = {"127.0.0.1", "localhost"};
	unsigned int i;
	size_t len;

	for (i = 0; host != NULL && i < sizeof(names) / sizeof(names[0]); i++) {
		len = strlen(names[i]);
		if (strncasecmp(host, names[i], len) != 0)
			continue;
		host += len;
		return host[0] == '\0' ||
			(host[0] == ':' && host[1] != '\0' &&
				strspn(host + 1, "0123456789") == strlen(host + 1));
	}
	return false;
}

/** What every answer has. */
static void
headers_add(struct MHD_Response *response, const char *type, const char *nonce)
{
	char policy[256];

	snprintf(policy, sizeof(policy),
		"default-src 'none'; script-src 'nonce-%s'; style-src 'nonce-%s'; connect-src "
		"'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
		nonce, nonce);
	MHD_add_response_header(response, "Content-Security-Policy",
		nonce[0] != '\0' ? policy : "default-src 'none'; frame-ancestors 'none'");
	MHD_add_response_header(response, "Content-Type", type);
	MHD_add_response_header(response, "Cache-Control", "no-store");
	MHD_add_response_header(response, "X-Content-Type-Options", "nosniff");
	MHD_add_response_header(response, "X-Frame-Options", "DENY");
	MHD_add_response_header(response, "Referrer-Policy", "no-referrer");
	MHD_add_response_header(response, "Cross-Origin-Resource-Policy", "same-origin");
}

/** Send a text that was allocated, and free it. NULL: out of memory. */
static enum MHD_Result
text_send(struct MHD_Connection *connection, unsigned int status, const char *type,
	const char *nonce, char *text)
{
	struct MHD_Response *response;
	enum MHD_Result rc;

	if (text == NULL)
		return MHD_NO;
	response = MHD_create_response_from_buffer(strlen(text), text, MHD_RESPMEM_MUST_FREE);
	if (response == NULL) {
		free(text);
		return MHD_NO;
	}
	headers_add(response, type, nonce);
	if (status == MHD_HTTP_METHOD_NOT_ALLOWED)
		MHD_add_response_header(response, "Allow", "GET, HEAD");
	rc = MHD_queue_response(connection, status, response);
	MHD_destroy_response(response);
	return rc;
}

static enum MHD_Result
refuse(struct MHD_Connection *connection, unsigned int status, const char *why)
{
	return text_send(connection, status, "text/plain; charset=utf-8", "", strdup(why));
}

static enum MHD_Result
page_send(struct MHD_Connection *connection)
{
	unsigned char random[(NONCE_LEN - 1) / 2];
	char nonce[NONCE_LEN], *text = NULL;
	unsigned int i;
	size_t len;
	FILE *out;
	int rc;

	if (getrandom(random, sizeof(random), 0) != (ssize_t)sizeof(random))
		return MHD_NO;
	for (i = 0; i < sizeof(random); i++)
		snprintf(nonce + i * 2, 3, "%02x", random[i]);
	out = open_memstream(&text, &len);
	if (out == NULL)
		return MHD_NO;
	rc = info_page_live(out, nonce);
	if (fclose(out) != 0 || rc < 0) {
		free(text);
		return MHD_NO;
	}
	return text_send(connection, MHD_HTTP_OK, "text/html; charset=utf-8", nonce, text);
}

static enum MHD_Result
metrics_send(struct MHD_Connection *connection, const json_t *state)
{
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	if (out == NULL)
		return MHD_NO;
	info_metrics(out, state);
	if (fclose(out) != 0) {
		free(text);
		return MHD_NO;
	}
	return text_send(
		connection, MHD_HTTP_OK, "text/plain; version=0.0.4; charset=utf-8", "", text);
}

static enum MHD_Result
answer(void *arg, struct MHD_Connection *connection, const char *url, const char *method,
	const char *version, const char *data, size_t *data_size, void **request)
{
	static char begun;
	struct info_programs *programs = arg;

	if (!host_is_local(
		    MHD_lookup_connection_value(connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_HOST)))
		return refuse(connection, MHD_HTTP_FORBIDDEN,
			"The Host header must be 127.0.0.1 or localhost.\n");
	if (strcmp(method, MHD_HTTP_METHOD_GET) != 0 && strcmp(method, MHD_HTTP_METHOD_HEAD) != 0)
		return refuse(connection, MHD_HTTP_METHOD_NOT_ALLOWED, "GET and HEAD only.\n");
	/* The first call is for the headers alone; an answer to it would close the connection. */
	if (*request == NULL) {
		*request = &begun;
		return MHD_YES;
	}
	/* A GET with a body: drop it. */
	if (*data_size > 0) {
		*data_size = 0;
		return MHD_YES;
	}
	if (strcmp(url, "/") == 0)
		return page_send(connection);
	/* Browsers ask for it. */
	if (strcmp(url, "/favicon.ico") == 0)
		return refuse(connection, MHD_HTTP_NO_CONTENT, "");
	if (strcmp(url, "/metrics") == 0)
		return metrics_send(connection, info_programs_state(programs));
	if (strcmp(url, "/state.json") == 0)
		return text_send(connection, MHD_HTTP_OK, "application/json", "",
			json_dumps(info_programs_state(programs), JSON_COMPACT));
	return refuse(connection, MHD_HTTP_NOT_FOUND, "There are /, /state.json and /metrics.\n");
}

/** Listen on 127.0.0.1. libmicrohttpd could, too, but does not keep errno. @return -1: see errno */
static int
listen_on(uint16_t port)
{
	const struct sockaddr_in at = {.sin_family = AF_INET,
		.sin_port = htons(port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), on = 1, err;

	if (fd < 0)
		return -1;
	/* Connections of a server that has just ended do not keep the port. */
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(fd, (const struct sockaddr *)&at, sizeof(at)) == 0 && listen(fd, SOMAXCONN) == 0)
		return fd;
	err = errno;
	close(fd);
	errno = err;
	return -1;
}

/** @param fd  listens; taken over. @return NULL: it failed */
static struct MHD_Daemon *
daemon_start(int fd, struct info_programs *programs)
{
	struct MHD_Daemon *daemon = MHD_start_daemon(MHD_USE_POLL_INTERNAL_THREAD, 0, NULL, NULL,
		answer, programs, MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_CONNECTION_LIMIT,
		CONNECTIONS_MAX, MHD_OPTION_CONNECTION_TIMEOUT, IDLE_MAX,
		MHD_OPTION_CONNECTION_MEMORY_LIMIT, REQUEST_MAX, MHD_OPTION_END);

	if (daemon == NULL)
		close(fd);
	return daemon;
}

/** Check that each process that was named answers. @return exit status */
static int
pids_check(const struct info_host *h, struct info_programs *programs, int n_pids, char **pids)
{
	json_t *array = json_object_get(info_programs_state(programs), "programs"), *one;
	struct info_process p;
	size_t n;
	int i, rc;

	for (i = 0; i < n_pids; i++) {
		rc = info_process_find(h, pids[i], &p);
		if (rc != INFO_OK)
			return rc;
		json_array_foreach(array, n, one)
			if ((long)json_integer_value(json_object_get(one, "pid")) ==
				strtol(pids[i], NULL, 10))
				break;
		if (n == json_array_size(array))
			return info_fail(h, INFO_FAILED,
				"%s: no telemetry: it is no DPDK program, runs with --no-telemetry,"
				" or belongs to another user",
				pids[i]);
	}
	return INFO_OK;
}

/** Serve until a signal of the set, which is blocked. @return exit status */
static int
serve(const struct info_host *h, uint16_t port, struct info_programs *programs,
	const sigset_t *signals)
{
	struct sockaddr_in at = {.sin_port = htons(port)};
	socklen_t len = sizeof(at);
	struct MHD_Daemon *daemon;
	int number, fd = listen_on(port);

	if (fd < 0)
		return info_fail(h, INFO_FAILED,
			"127.0.0.1:%u: cannot listen: %s: choose another port with --port", port,
			strerror(errno));
	getsockname(fd, (struct sockaddr *)&at, &len);
	daemon = daemon_start(fd, programs);
	if (daemon == NULL)
		return info_fail(h, INFO_FAILED, "127.0.0.1:%u: the server does not start",
			ntohs(at.sin_port));
	fprintf(h->out, "http://127.0.0.1:%u/\n", ntohs(at.sin_port));
	fflush(h->out);
	sigwait(signals, &number);
	MHD_stop_daemon(daemon);
	return INFO_OK;
}

int
info_serve(const struct info_host *h, const struct info_options *o, int n_pids, char **pids)
{
	struct info_programs *programs;
	sigset_t signals, before;
	int rc;

	programs = info_programs_new(h, n_pids, pids);
	if (programs == NULL)
		return info_fail(h, INFO_FAILED, "out of memory");
	sigemptyset(&signals);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGTERM);
	pthread_sigmask(SIG_BLOCK, &signals, &before);
	rc = pids_check(h, programs, n_pids, pids);
	if (rc == INFO_OK)
		rc = serve(h, o->port, programs, &signals);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	info_programs_free(programs);
	return rc;
}
