/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * The device plugin of a pod: a process outside that has attached an XDP program to the pod's
 * netdev, and hands the program's map over on a UNIX socket.
 *
 * Requests and answers are texts of one message each, as the AF_XDP device plugin for Kubernetes
 * has them (internal/udsserver/udsserver.go there), and as DPDK's net_af_xdp speaks them. Whatever
 * comes instead is refused with one log line, and no descriptor is left open. Called by
 * af_xdp_map.c at probe.
 */

#include <ctype.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <rte_cycles.h>
#include <rte_string_fns.h>

#include "af_xdp.h"

/* The plugin asks the kubelet about the pod before it answers. */
#define ANSWER_WAIT_S 5
/* Longest text of either direction, with its end. The plugin reads 64 bytes. */
#define TEXT_LEN 128
#define HOST_LEN 65

/** A connection with a plugin. */
struct af_xdp_plugin {
	const char *name; /**< of the device, for messages */
	const char *path;
	int fd;
};

/** What a plugin answers. */
struct af_xdp_answer {
	char text[TEXT_LEN];
	int fd; /**< that came with it; -1: none */
};

static const char *
plugin_connect_remedy(int err)
{
	switch (err) {
	case ENOENT:
		return ": mount the device plugin's socket there, or name it by dp_path=";
	case ECONNREFUSED:
		return ": nobody listens: the device plugin answers one program for each pod, so"
		       " start the pod again";
	case EACCES:
		return ": the user of this program may not write to the socket";
	case EPROTOTYPE:
		return ": it is not a socket of type SOCK_SEQPACKET";
	default:
		return "";
	}
}

/* Connect, within ANSWER_WAIT_S unless signals come all the time. */
static int
plugin_connect(struct af_xdp_plugin *plugin)
{
	const struct timeval wait = {.tv_sec = ANSWER_WAIT_S};
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int rc;

	if (rte_strscpy(addr.sun_path, plugin->path, sizeof(addr.sun_path)) < 0)
		return AF_XDP_FAIL(ENAMETOOLONG, plugin->name,
			"the path of the device plugin's socket, %s, is too long: at most %zu"
			" characters",
			plugin->path, sizeof(addr.sun_path) - 1);
	plugin->fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (plugin->fd < 0)
		return AF_XDP_FAIL(
			errno, plugin->name, "cannot create a UNIX socket: %s", strerror(errno));
	setsockopt(plugin->fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof(wait));
	do
		rc = connect(plugin->fd, (const struct sockaddr *)&addr, sizeof(addr));
	while (rc < 0 && errno == EINTR);
	if (rc == 0)
		return 0;
	/* The list of connections that nobody accepts is full (unix(7)). */
	rc = errno == EAGAIN ? ETIMEDOUT : errno;
	close(plugin->fd);
	return AF_XDP_FAIL(rc, plugin->name, "cannot connect to the device plugin at %s: %s%s",
		plugin->path, strerror(rc), plugin_connect_remedy(rc));
}

/* Receive one message without waiting. @return its length; -EAGAIN; -EPIPE; another error */
static int
plugin_receive(const struct af_xdp_plugin *plugin, struct af_xdp_answer *answer)
{
	union {
		char buf[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control = {0};
	struct iovec iov = {.iov_base = answer->text, .iov_len = sizeof(answer->text) - 1};
	/* With CMSG_SPACE() as the length, padding would make room for a second descriptor. */
	struct msghdr head = {.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.buf,
		.msg_controllen = CMSG_LEN(sizeof(int))};
	const struct cmsghdr *cmsg;
	ssize_t len;

	answer->fd = -1;
	len = recvmsg(plugin->fd, &head, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	if (len < 0)
		return errno == EINTR ? -EAGAIN : -errno;
	cmsg = CMSG_FIRSTHDR(&head);
	if (cmsg != NULL && cmsg->cmsg_level == SOL_SOCKET && cmsg->cmsg_type == SCM_RIGHTS &&
		cmsg->cmsg_len == CMSG_LEN(sizeof(int)))
		memcpy(&answer->fd, CMSG_DATA(cmsg), sizeof(answer->fd));
	if (len == 0)
		return -EPIPE;
	answer->text[len] = '\0';
	return head.msg_flags & (MSG_TRUNC | MSG_CTRUNC) ? -EMSGSIZE : len;
}

/* Wait for the answer to a request. */
static int
plugin_wait(const struct af_xdp_plugin *plugin, struct af_xdp_answer *answer)
{
	uint64_t now, hz = rte_get_timer_hz();
	uint64_t deadline = rte_get_timer_cycles() + ANSWER_WAIT_S * hz;
	struct pollfd pollfd = {.fd = plugin->fd, .events = POLLIN};
	int rc;

	while ((now = rte_get_timer_cycles()) < deadline) {
		if (poll(&pollfd, 1, (deadline - now) * 1000 / hz + 1) <= 0)
			continue;
		rc = plugin_receive(plugin, answer);
		if (rc != -EAGAIN)
			return rc;
	}
	return -ETIMEDOUT;
}

/* Send a request, and receive the answer. A descriptor in it belongs to the caller if 0 returns. */
static int
plugin_ask(const struct af_xdp_plugin *plugin, const char *request, struct af_xdp_answer *answer)
{
	size_t len = strlen(request), i;
	int rc = 0;

	answer->fd = -1;
	if (send(plugin->fd, request, len, MSG_DONTWAIT | MSG_NOSIGNAL) != (ssize_t)len)
		rc = -EPIPE;
	if (rc == 0)
		rc = plugin_wait(plugin, answer);
	if (rc < 0) {
		if (answer->fd >= 0)
			close(answer->fd);
		if (rc == -EPIPE || rc == -ECONNRESET)
			AF_XDP_LOG(ERR, plugin->name,
				"the device plugin at %s has closed the connection at \"%s\":"
				" see its log",
				plugin->path, request);
		else if (rc == -ETIMEDOUT)
			AF_XDP_LOG(ERR, plugin->name,
				"the device plugin at %s does not answer \"%s\" within %u s: see its"
				" log",
				plugin->path, request, ANSWER_WAIT_S);
		else
			AF_XDP_LOG(ERR, plugin->name,
				"no answer to \"%s\" from the device plugin at %s: %s", request,
				plugin->path, strerror(-rc));
		return rc;
	}
	/* For the log: one line of characters that a terminal shows. */
	for (i = 0; i < (size_t)rc; i++)
		if (!isprint((unsigned char)answer->text[i]))
			answer->text[i] = '.';
	return 0;
}

/*
 * Make a request whose answer must be `expected`; NULL: any text. `naks` is the answer that refuses
 * it, with the reason. A descriptor comes with the answer if and only if fd is not NULL.
 */
static int
plugin_request(const struct af_xdp_plugin *plugin, const char *request, const char *expected,
	const char *nak, const char *reason, int *fd)
{
	struct af_xdp_answer answer;
	int rc = plugin_ask(plugin, request, &answer);

	if (rc < 0)
		return rc;
	if ((expected == NULL || strcmp(answer.text, expected) == 0) &&
		(answer.fd >= 0) == (fd != NULL)) {
		if (fd != NULL)
			*fd = answer.fd;
		return 0;
	}
	rc = answer.fd;
	if (rc >= 0)
		close(rc);
	if (nak != NULL && strcmp(answer.text, nak) == 0)
		return AF_XDP_FAIL(EACCES, plugin->name,
			"the device plugin at %s refuses \"%s\": %s", plugin->path, request,
			reason);
	return AF_XDP_FAIL(EPROTO, plugin->name,
		"the device plugin at %s answers \"%s\"%s to \"%s\": expected \"%s\"%s: it speaks"
		" another protocol",
		plugin->path, answer.text, rc >= 0 ? " with a descriptor" : "", request,
		expected != NULL ? expected : "a version", fd != NULL ? " with a descriptor" : "");
}

static int
plugin_talk(const struct af_xdp_plugin *plugin, const char *iface, int *map_fd)
{
	char host[HOST_LEN] = "", request[TEXT_LEN];
	int rc;

	gethostname(host, sizeof(host) - 1);
	snprintf(request, sizeof(request), "/connect,%s", host);
	rc = plugin_request(plugin, request, "/host_ok", "/host_nak",
		"it expects the name of its pod as the host name, of at most 55 characters", NULL);
	/* DPDK asks for the version and takes any. */
	if (rc == 0)
		rc = plugin_request(plugin, "/version", NULL, NULL, NULL, NULL);
	if (rc < 0)
		return rc;
	snprintf(request, sizeof(request), "/xsk_map_fd,%s", iface);
	rc = plugin_request(plugin, request, "/fd_ack", "/fd_nak",
		"it has no map for this netdev: see iface=", map_fd);
	if (rc < 0)
		return rc;
	rc = plugin_request(plugin, "/fin", "/fin_ack", NULL, NULL, NULL);
	if (rc < 0)
		close(*map_fd);
	return rc;
}

int
af_xdp_plugin_map(const char *name, const char *path, const char *iface)
{
	struct af_xdp_plugin plugin = {.name = name, .path = path};
	int map_fd = -1, rc;

	rc = plugin_connect(&plugin);
	if (rc < 0)
		return rc;
	rc = plugin_talk(&plugin, iface, &map_fd);
	close(plugin.fd);
	return rc < 0 ? rc : map_fd;
}
