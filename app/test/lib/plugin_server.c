/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * A device plugin's side of a UNIX socket, in a thread.
 */

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "plugin_server.h"

#define MAX_FDS 4
#define GIVE_UP_MS 20000

static struct {
	pthread_t thread;
	bool running;
	struct sockaddr_un addr;
	int listener;
	const struct plugin_answer *answers;
	unsigned int n_answers;
	char requests[PLUGIN_MAX_REQUESTS][256];
} server = {.listener = -1};

static void
server_say(int fd, const struct plugin_answer *answer)
{
	union {
		char buf[CMSG_SPACE(MAX_FDS * sizeof(int))];
		struct cmsghdr align;
	} control = {0};
	struct iovec iov = {
		.iov_base = (void *)(uintptr_t)answer->text, .iov_len = strlen(answer->text)};
	struct msghdr head = {.msg_iov = &iov, .msg_iovlen = 1};
	struct cmsghdr *cmsg;
	unsigned int i;

	if (answer->n_fds > 0) {
		head.msg_control = control.buf;
		head.msg_controllen = CMSG_SPACE(answer->n_fds * sizeof(int));
		cmsg = CMSG_FIRSTHDR(&head);
		cmsg->cmsg_level = SOL_SOCKET;
		cmsg->cmsg_type = SCM_RIGHTS;
		cmsg->cmsg_len = CMSG_LEN(answer->n_fds * sizeof(int));
		for (i = 0; i < answer->n_fds; i++)
			memcpy(CMSG_DATA(cmsg) + i * sizeof(int), &answer->fd, sizeof(int));
	}
	if (sendmsg(fd, &head, MSG_NOSIGNAL) < 0)
		perror("plugin_server: sendmsg");
}

static bool
server_wait(int fd)
{
	struct pollfd pollfd = {.fd = fd, .events = POLLIN};

	return poll(&pollfd, 1, GIVE_UP_MS) == 1;
}

static void *
server_run(void *arg)
{
	unsigned int i;
	ssize_t len;
	int fd;

	if (!server_wait(server.listener))
		return NULL;
	fd = accept4(server.listener, NULL, NULL, SOCK_CLOEXEC);
	for (i = 0; fd >= 0 && i < PLUGIN_MAX_REQUESTS; i++) {
		if (!server_wait(fd))
			break;
		len = recv(fd, server.requests[i], sizeof(server.requests[i]) - 1, 0);
		if (len <= 0 || i >= server.n_answers || server.answers[i].what == PLUGIN_CLOSE)
			break;
		if (server.answers[i].what == PLUGIN_SAY)
			server_say(fd, &server.answers[i]);
	}
	unlink(server.addr.sun_path);
	if (fd >= 0)
		close(fd);
	return NULL;
}

int
plugin_server_start(const char *path, const struct plugin_answer *answers, unsigned int n)
{
	int rc;

	memset(server.requests, 0, sizeof(server.requests));
	server.answers = answers;
	server.n_answers = n;
	server.addr.sun_family = AF_UNIX;
	snprintf(server.addr.sun_path, sizeof(server.addr.sun_path), "%s", path);
	server.listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (server.listener < 0)
		return -errno;
	if (bind(server.listener, (struct sockaddr *)&server.addr, sizeof(server.addr)) == 0 &&
		listen(server.listener, 1) == 0) {
		rc = -pthread_create(&server.thread, NULL, server_run, NULL);
		server.running = rc == 0;
	} else {
		rc = -errno;
	}
	if (rc < 0)
		plugin_server_stop();
	return rc;
}

void
plugin_server_stop(void)
{
	if (server.running) {
		/* Wakes a thread that nobody has connected to. */
		shutdown(server.listener, SHUT_RDWR);
		pthread_join(server.thread, NULL);
	}
	server.running = false;
	if (server.listener >= 0) {
		close(server.listener);
		unlink(server.addr.sun_path);
	}
	server.listener = -1;
}

const char *
plugin_server_request(unsigned int n)
{
	return n < PLUGIN_MAX_REQUESTS ? server.requests[n] : "";
}
