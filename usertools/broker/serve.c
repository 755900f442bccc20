/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Socket of gantry-broker. Implements broker_serve() of broker.h; wire format: broker_wire.h.
 *
 * Invariants: the broker never waits for a client. A request is one message, so it is complete or
 * absent. A silent connection is closed after a timeout. A peer is identified by the kernel
 * (SO_PEERCRED, SO_PEERGROUPS): its user, groups and process at the time of connect(2).
 */

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "broker.h"

/** Directory of BROKER_SOCKET. */
#define BROKER_DIR "/run/gantry"

/** Maximum number of connections; further ones wait in the backlog. */
#define CLIENTS 32
/** Timeout of a silent connection, in seconds. */
#define TIMEOUT_S 5
/** Maximum number of supplementary groups of a peer that are checked. */
#define PEER_GROUPS 256

struct client {
	int fd; /**< -1: free */
	time_t since;
};

/** Order of the polled descriptors; those of clients follow. */
enum { POLL_SIGNAL, POLL_LISTEN, POLL_SERVED, POLL_CLIENTS };

struct server {
	const struct broker *b;
	int listen, signals;
	int served; /**< with `once`: pidfd of the served process, or -1 */
	pid_t served_pid; /**< 0: none yet */
	struct client clients[CLIENTS];
};

static time_t
now_seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec;
}

/* Access control */

static bool
peer_has_group(int fd, gid_t wanted, gid_t gid)
{
	gid_t groups[PEER_GROUPS];
	socklen_t len = sizeof(groups);
	unsigned int i;

	if (gid == wanted)
		return true;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &len) < 0)
		return false;
	for (i = 0; i < len / sizeof(groups[0]); i++)
		if (groups[i] == wanted)
			return true;
	return false;
}

static bool
peer_is_allowed(const struct broker *b, int fd, const struct ucred *peer)
{
	return peer->uid == 0 || (b->has_uid && peer->uid == b->uid) ||
		(b->has_gid && peer_has_group(fd, b->gid, peer->gid));
}

/** With `once`, accept the first process and refuse all others. @return 0; a negative errno. */
static int
server_claim(struct server *s, const struct ucred *peer)
{
	if (!s->b->once)
		return 0;
	if (s->served_pid != 0)
		return peer->pid == s->served_pid ? 0 : -EPERM;
	s->served = (int)syscall(SYS_pidfd_open, peer->pid, 0);
	if (s->served < 0) {
		broker_log(
			"--once: process %d cannot be watched: %s: run the broker where the client's"
			" processes are visible (its PID namespace, or the host's)",
			peer->pid, strerror(errno));
		return -EPERM;
	}
	s->served_pid = peer->pid;
	return 0;
}

/* RLIMIT_MEMLOCK */

/**
 * Whether a process has this real user. Guards against a PID that was reused by another process.
 */
static bool
process_is_of_user(pid_t pid, uid_t uid)
{
	char path[32], line[256];
	unsigned int real = 0;
	bool found = false;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	f = fopen(path, "re");
	while (f != NULL && !found && fgets(line, sizeof(line), f) != NULL)
		found = sscanf(line, "Uid: %u", &real) == 1;
	if (f != NULL)
		fclose(f);
	return found && real == uid;
}

/** Raise RLIMIT_MEMLOCK of the peer's process; never lower it. */
static void
limit_raise(const struct broker *b, const struct ucred *peer)
{
	struct rlimit limit;

	if (!b->has_memlock)
		return;
	if (peer->pid <= 0 || !process_is_of_user(peer->pid, peer->uid) ||
		prlimit(peer->pid, RLIMIT_MEMLOCK, NULL, &limit) < 0) {
		broker_log(
			"RLIMIT_MEMLOCK of process %d: not raised: the process is not visible in this"
			" PID namespace, or has exited: raise the limit where it is started",
			(int)peer->pid);
		return;
	}
	if (limit.rlim_cur >= b->memlock)
		return;
	limit.rlim_cur = b->memlock;
	limit.rlim_max = limit.rlim_max > b->memlock ? limit.rlim_max : b->memlock;
	if (prlimit(peer->pid, RLIMIT_MEMLOCK, &limit, NULL) < 0)
		broker_log("RLIMIT_MEMLOCK of process %d: %s: the broker needs CAP_SYS_RESOURCE",
			(int)peer->pid, strerror(errno));
	else if (b->memlock == RLIM_INFINITY)
		broker_log("RLIMIT_MEMLOCK of process %d: unlimited now", (int)peer->pid);
	else
		broker_log("RLIMIT_MEMLOCK of process %d: %llu bytes now", (int)peer->pid,
			(unsigned long long)b->memlock);
}

/* Requests */

/** Send a reply. @param fd  descriptor to attach; negative: an errno to send. */
static void
reply_send(int to, int fd)
{
	struct broker_reply reply = {.err = fd < 0 ? -fd : 0};
	union {
		char bytes[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control = {0};
	struct iovec iov = {.iov_base = &reply, .iov_len = sizeof(reply)};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
	struct cmsghdr *c;

	if (fd >= 0) {
		msg.msg_control = control.bytes;
		msg.msg_controllen = sizeof(control.bytes);
		c = CMSG_FIRSTHDR(&msg);
		*c = (struct cmsghdr){.cmsg_len = CMSG_LEN(sizeof(fd)),
			.cmsg_level = SOL_SOCKET,
			.cmsg_type = SCM_RIGHTS};
		memcpy(CMSG_DATA(c), &fd, sizeof(fd));
	}
	if (sendmsg(to, &msg, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
		broker_log("a reply was not delivered: %s", strerror(errno));
}

/**
 * Check and serve a request. @param path  out: the path that was requested, for the log.
 * @return a descriptor; a negative errno.
 */
static int
request_serve(struct server *s, int fd, const struct ucred *peer, char path[BROKER_PATH_SIZE])
{
	struct broker_request request;
	const struct broker_file *file;
	ssize_t got = recv(fd, &request, sizeof(request), MSG_DONTWAIT | MSG_TRUNC);
	int rc;

	if (got != sizeof(request) || request.version != BROKER_VERSION ||
		memchr(request.path, '\0', sizeof(request.path)) == NULL)
		return -EPROTO;
	if (!peer_is_allowed(s->b, fd, peer))
		return -EPERM;
	file = broker_file_find(s->b, request.path);
	if (file == NULL)
		return -EACCES;
	/* A path of our list, so it is safe to print. */
	strcpy(path, file->path);
	rc = server_claim(s, peer);
	if (rc < 0)
		return rc;
	limit_raise(s->b, peer);
	return broker_file_open(s->b, file);
}

/** Handle a readable connection: a request, or its end. */
static void
client_serve(struct server *s, int fd)
{
	char path[BROKER_PATH_SIZE] = "a file that is not served", byte;
	struct ucred peer;
	socklen_t len = sizeof(peer);
	int rc;

	if (recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) <= 0)
		return;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0)
		return;
	rc = request_serve(s, fd, &peer, path);
	if (rc >= 0)
		broker_log("handed %s to process %d of user %u", path, (int)peer.pid, peer.uid);
	else
		broker_log("refused %s to process %d of user %u: %s", path, (int)peer.pid, peer.uid,
			rc == -EPROTO          ? "malformed request, or another version"
				: rc == -EPERM ? "user or process is not served"
					       : strerror(-rc));
	reply_send(fd, rc);
	if (rc >= 0)
		close(rc);
}

/* The socket */

/** Remove a socket that has no listener. @return 0; an exit status. */
static int
socket_remove_stale(const struct sockaddr_un *at)
{
	struct stat st;
	int fd, rc;

	if (lstat(at->sun_path, &st) < 0)
		return 0;
	if (!S_ISSOCK(st.st_mode))
		return broker_fail(
			BROKER_FAILED, "--socket=%s: exists and is not a socket", at->sun_path);
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	rc = connect(fd, (const struct sockaddr *)at, sizeof(*at));
	rc = rc < 0 ? errno : 0;
	close(fd);
	if (rc != ECONNREFUSED)
		return broker_fail(
			BROKER_FAILED, "--socket=%s: another broker listens there", at->sun_path);
	unlink(at->sun_path);
	return 0;
}

/** Set the permissions of the socket file: who may connect. Requests are checked again. */
static int
socket_set_permissions(const struct broker *b)
{
	const uid_t uid = b->has_uid ? b->uid : 0;
	const gid_t gid = b->has_gid ? b->gid : 0;

	if (chown(b->socket, uid, gid) < 0 || chmod(b->socket, b->has_gid ? 0660 : 0600) < 0)
		return broker_fail(BROKER_FAILED, "--socket=%s: %s", b->socket, strerror(errno));
	return 0;
}

/** Create the listening socket. @return 0; an exit status. */
static int
listen_start(struct server *s)
{
	struct sockaddr_un at = {.sun_family = AF_UNIX};
	int rc;

	if (snprintf(at.sun_path, sizeof(at.sun_path), "%s", s->b->socket) >=
		(int)sizeof(at.sun_path))
		return broker_fail(BROKER_FAILED, "--socket=%s: longer than %zu characters",
			s->b->socket, sizeof(at.sun_path) - 1);
	/* Clients must find the socket, whatever the umask. */
	if (strcmp(s->b->socket, BROKER_SOCKET) == 0 && mkdir(BROKER_DIR, 0755) == 0)
		chmod(BROKER_DIR, 0755);
	rc = socket_remove_stale(&at);
	if (rc != 0)
		return rc;
	s->listen = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	/* Mode 0 until the permissions are set, so that no client connects before. */
	if (s->listen < 0 || fchmod(s->listen, 0) < 0 ||
		bind(s->listen, (struct sockaddr *)&at, sizeof(at)) < 0)
		return broker_fail(BROKER_FAILED, "--socket=%s: %s", s->b->socket, strerror(errno));
	rc = socket_set_permissions(s->b);
	if (rc == 0 && listen(s->listen, CLIENTS) < 0)
		rc = broker_fail(BROKER_FAILED, "--socket=%s: %s", s->b->socket, strerror(errno));
	if (rc != 0)
		unlink(at.sun_path);
	return rc;
}

static int
signals_start(struct server *s)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	sigprocmask(SIG_BLOCK, &set, NULL);
	s->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return s->signals < 0 ? broker_fail(BROKER_FAILED, "signalfd: %s", strerror(errno)) : 0;
}

/* Event loop */

static struct client *
client_find(struct server *s, int fd)
{
	unsigned int i;

	for (i = 0; i < CLIENTS; i++)
		if (s->clients[i].fd == fd)
			return &s->clients[i];
	return NULL;
}

static void
client_end(struct client *c)
{
	close(c->fd);
	c->fd = -1;
}

static void
client_accept(struct server *s)
{
	struct client *c = client_find(s, -1);
	int fd;

	if (c == NULL)
		return;
	fd = accept4(s->listen, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (fd >= 0)
		*c = (struct client){.fd = fd, .since = now_seconds()};
}

/** Fill in the poll set, and close silent connections. @return the number of descriptors. */
static unsigned int
poll_prepare(struct server *s, struct pollfd *p)
{
	const time_t now = now_seconds();
	unsigned int i, n = POLL_CLIENTS;

	for (i = 0; i < CLIENTS; i++)
		if (s->clients[i].fd >= 0 && now - s->clients[i].since >= TIMEOUT_S)
			client_end(&s->clients[i]);
	p[POLL_SIGNAL].fd = s->signals;
	p[POLL_LISTEN].fd = client_find(s, -1) != NULL ? s->listen : -1;
	p[POLL_SERVED].fd = s->served;
	for (i = 0; i < CLIENTS; i++)
		if (s->clients[i].fd >= 0)
			p[n++].fd = s->clients[i].fd;
	for (i = 0; i < n; i++)
		p[i].events = POLLIN;
	return n;
}

/** Run until a signal arrives, or the process that `once` serves has exited. */
static void
server_loop(struct server *s)
{
	struct pollfd p[POLL_CLIENTS + CLIENTS];
	unsigned int i, n;

	for (;;) {
		n = poll_prepare(s, p);
		/* With open connections, wake up every second to check timeouts. */
		if (poll(p, n, n > POLL_CLIENTS ? 1000 : -1) < 0)
			continue;
		if ((p[POLL_SIGNAL].revents | p[POLL_SERVED].revents) != 0)
			return;
		for (i = POLL_CLIENTS; i < n; i++)
			if (p[i].revents != 0) {
				client_serve(s, p[i].fd);
				client_end(client_find(s, p[i].fd));
			}
		if (p[POLL_LISTEN].revents != 0)
			client_accept(s);
	}
}

int
broker_serve(const struct broker *b)
{
	struct server s = {.b = b, .listen = -1, .signals = -1, .served = -1};
	unsigned int i;
	int rc;

	for (i = 0; i < CLIENTS; i++)
		s.clients[i].fd = -1;
	rc = signals_start(&s);
	if (rc == 0)
		rc = listen_start(&s);
	if (rc != 0)
		return rc;
	for (i = 0; i < b->n_files; i++)
		broker_log("hands out %s", b->files[i].path);
	broker_log("listens at %s", b->socket);
	server_loop(&s);
	unlink(b->socket);
	broker_log("%s",
		s.served >= 0 ? "ends: its process has ended, or a signal was received" : "ends");
	return 0;
}
