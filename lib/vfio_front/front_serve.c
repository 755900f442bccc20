/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Status socket: one thread that answers connections one after the other. Implements front_serve.h.
 *
 * Invariant: no lock of vfio_front is held while sending. A client that does not read is dropped
 * after 1 s. Locks, in order: serve_lock, front_tree.
 */

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "front_json.h"
#include "front_priv.h"
#include "front_serve.h"

#define STACK_SIZE (128 << 10)
/** Timeout in seconds: of a send to a client, and of the thread's end. */
#define TIMEOUT_S 1

/**
 * State of a server. Its thread may outlive front_serve_stop(), and then touches only this
 * structure.
 */
struct serve {
	pid_t pid; /**< process that started it; a child of fork(2) has a copy of this structure */
	pthread_t thread;
	/** hidden, so its number may change; NULL: stopped. Guarded by front_tree */
	struct front_file *file;
	struct sockaddr_un at;
	struct front_refusal
		latest[FRONT_REFUSALS]; /**< buffer of the thread, too large for its stack */
};

static pthread_mutex_t serve_lock = PTHREAD_MUTEX_INITIALIZER;
static struct serve *serve; /**< atomic */

/* Content of the answer */

static const char *
backend_name(enum dmamap_backend backend)
{
	return backend == DMAMAP_BACKEND_TYPE1      ? "type1"
		: backend == DMAMAP_BACKEND_IOMMUFD ? "iommufd"
						    : "auto";
}

static const char *
coalesce_name(enum front_coalesce coalesce)
{
	return coalesce == FRONT_COALESCE_ALWAYS   ? "always"
		: coalesce == FRONT_COALESCE_START ? "start"
						   : "off";
}

static void
status_add_stats(struct front_json *json)
{
	struct front_stats s;

	front_stats(&s);
	front_json_open(json, "stats", '{');
	front_json_number(json, "containers", s.n_containers);
	front_json_number(json, "groups", s.n_groups);
	front_json_number(json, "devices", s.n_devices);
	front_json_number(json, "domains", s.n_domains);
	front_json_number(json, "maps", s.n_maps);
	front_json_number(json, "entries", s.n_entries);
	front_json_number(json, "map_calls", s.map_calls);
	front_json_number(json, "unmap_calls", s.unmap_calls);
	front_json_number(json, "kernel_maps", s.kernel_maps);
	front_json_number(json, "kernel_unmaps", s.kernel_unmaps);
	front_json_number(json, "refusals", s.refusals);
	front_json_close(json, '}');
}

static void
status_add_refusals(struct front_json *json, struct front_refusal *latest)
{
	unsigned int i, n = front_refusals(latest, FRONT_REFUSALS);
	const char *name;

	front_json_open(json, "refusals", '[');
	for (i = 0; i < n; i++) {
		name = strerrorname_np(latest[i].err);
		front_json_open(json, NULL, '{');
		front_json_number(json, "number", latest[i].number);
		front_json_text(json, "call", latest[i].call);
		front_json_text(json, "error", name != NULL ? name : "unknown");
		front_json_text(json, "why", latest[i].why);
		front_json_close(json, '}');
	}
	front_json_close(json, ']');
}

static void
status_send(struct serve *s, int fd)
{
	struct front_json json;

	front_json_begin(&json, fd);
	front_json_open(&json, NULL, '{');
	front_json_text(&json, "program", program_invocation_short_name);
	front_json_number(&json, "pid", (uint64_t)s->pid);
	front_json_text(&json, "backend", backend_name(front_conf.backend));
	front_json_bool(&json, "isolate", front_conf.isolate);
	front_json_text(&json, "coalesce", coalesce_name(front_conf.coalesce));
	status_add_stats(&json);
	front_spaces_add(&json);
	status_add_refusals(&json, s->latest);
	front_json_close(&json, '}');
	front_json_end(&json);
}

/* The thread */

static bool
peer_is_allowed(int fd)
{
	struct ucred peer;
	socklen_t len = sizeof(peer);

	return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0 &&
		(peer.uid == 0 || peer.uid == geteuid());
}

/** @return the descriptor to accept on; -1: stopped. */
static int
listen_fd(const struct serve *s)
{
	int fd;

	pthread_mutex_lock(&front_tree);
	fd = s->file != NULL ? s->file->fds[0] : -1;
	pthread_mutex_unlock(&front_tree);
	return fd;
}

static void *
serve_run(void *arg)
{
	const struct timeval wait = {.tv_sec = TIMEOUT_S};
	struct serve *s = arg;
	int at, fd;

	while ((at = listen_fd(s)) >= 0) {
		fd = accept4(at, NULL, NULL, SOCK_CLOEXEC);
		/*
		 * No busy loop if accept fails: out of descriptors, or the number was just moved.
		 */
		if (fd < 0 && listen_fd(s) >= 0)
			poll(NULL, 0, 100);
		if (fd < 0)
			continue;
		setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof(wait));
		if (peer_is_allowed(fd))
			status_send(s, fd);
		syscall(SYS_close, fd);
	}
	return NULL;
}

/**
 * Start the thread with all signals blocked, so that none of the program's signals is handled
 * there.
 */
static int
thread_start(struct serve *s)
{
	sigset_t all, before;
	pthread_attr_t attr;
	int rc;

	sigfillset(&all);
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK_SIZE);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	rc = pthread_create(&s->thread, &attr, serve_run, s);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_attr_destroy(&attr);
	if (rc == 0)
		pthread_setname_np(s->thread, "gantry-status");
	return -rc;
}

/* The socket */

/**
 * Remove the socket of a dead process that had the same PID and user.
 * @return whether it was removed
 */
static bool
socket_remove_stale(const struct sockaddr_un *at)
{
	struct stat st;
	int fd, rc;

	if (lstat(at->sun_path, &st) < 0 || !S_ISSOCK(st.st_mode) || st.st_uid != geteuid())
		return false;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	rc = connect(fd, (const struct sockaddr *)at, sizeof(*at)) < 0 ? errno : 0;
	syscall(SYS_close, fd);
	return rc == ECONNREFUSED && unlink(at->sun_path) == 0;
}

static int
socket_bind_in(struct sockaddr_un *at, int fd, const char *dir)
{
	*at = (struct sockaddr_un){.sun_family = AF_UNIX};
	if (dir == NULL || dir[0] != '/' ||
		snprintf(at->sun_path, sizeof(at->sun_path), "%s/gantry-vfio.%d", dir,
			(int)getpid()) >= (int)sizeof(at->sun_path))
		return -ENAMETOOLONG;
	if (bind(fd, (struct sockaddr *)at, sizeof(*at)) == 0)
		return 0;
	if (errno != EADDRINUSE || !socket_remove_stale(at))
		return -errno;
	return bind(fd, (struct sockaddr *)at, sizeof(*at)) == 0 ? 0 : -errno;
}

/** @return a listening socket, with its path in s->at; a negative errno. */
static int
socket_start(struct serve *s)
{
	const char *const dirs[] = {secure_getenv("XDG_RUNTIME_DIR"), "/run/gantry", "/tmp"};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), rc = -ENOENT;
	unsigned int i;

	if (fd < 0)
		return -errno;
	/* Set the mode of the socket file here; the umask applies on bind. */
	if (fchmod(fd, S_IRUSR | S_IWUSR) < 0)
		rc = -errno;
	for (i = 0; i < DM_DIM(dirs) && rc != 0; i++)
		rc = socket_bind_in(&s->at, fd, dirs[i]);
	if (rc == 0 && listen(fd, 8) < 0) {
		rc = -errno;
		unlink(s->at.sun_path);
	}
	if (rc == 0)
		return front_fd_raise(fd);
	syscall(SYS_close, fd);
	return rc;
}

/**
 * Remove the socket file and wake the thread out of accept(2).
 * @return the descriptor. Close it only after the thread has ended, which may be about to use the
 *   number.
 */
static int
socket_stop(struct serve *s)
{
	int fd;

	unlink(s->at.sun_path);
	pthread_mutex_lock(&front_tree);
	fd = s->file->fds[0];
	front_fd_remove(fd);
	front_file_free(s->file);
	s->file = NULL;
	pthread_mutex_unlock(&front_tree);
	shutdown(fd, SHUT_RDWR);
	return fd;
}

/* Start and stop */

static int
serve_begin(struct serve *s)
{
	int fd = socket_start(s), rc;

	if (fd < 0)
		return fd;
	s->pid = getpid();
	pthread_mutex_lock(&front_tree);
	s->file = front_file_new(FRONT_HIDDEN, fd);
	pthread_mutex_unlock(&front_tree);
	if (s->file == NULL) {
		syscall(SYS_close, fd);
		unlink(s->at.sun_path);
		return -ENOMEM;
	}
	rc = thread_start(s);
	if (rc < 0)
		syscall(SYS_close, socket_stop(s));
	return rc;
}

/** @return the server of this process, or NULL: none, or it is the parent's. */
static struct serve *
serve_own(void)
{
	struct serve *s = __atomic_load_n(&serve, __ATOMIC_ACQUIRE);

	return s != NULL && s->pid == getpid() ? s : NULL;
}

int
front_serve_start(void)
{
	int rc = -EALREADY;
	struct serve *s;

	pthread_mutex_lock(&serve_lock);
	if (serve_own() == NULL) {
		s = calloc(1, sizeof(*s));
		rc = s == NULL ? -ENOMEM : serve_begin(s);
		if (rc == 0)
			__atomic_store_n(&serve, s, __ATOMIC_RELEASE);
		else
			free(s);
	}
	pthread_mutex_unlock(&serve_lock);
	if (rc == 0)
		front_log(DMAMAP_LOG_NOTICE, "status: listening at %s", s->at.sun_path);
	else if (rc != -EALREADY)
		front_log(DMAMAP_LOG_WARNING,
			"status: no socket in XDG_RUNTIME_DIR, /run/gantry or /tmp: %s: the"
			" program runs without it",
			strerror(-rc));
	return rc;
}

void
front_serve_stop(void)
{
	struct timespec until;
	struct serve *s;
	int fd;

	if (serve_own() == NULL)
		return;
	pthread_mutex_lock(&serve_lock);
	s = serve_own();
	__atomic_store_n(&serve, NULL, __ATOMIC_RELEASE);
	if (s != NULL) {
		fd = socket_stop(s);
		clock_gettime(CLOCK_REALTIME, &until);
		until.tv_sec += TIMEOUT_S;
		/*
		 * exit() may run inside a call that holds a lock that the thread waits for. Then
		 * leave the thread.
		 */
		if (pthread_timedjoin_np(s->thread, NULL, &until) == 0)
			free(s);
		else
			pthread_detach(s->thread);
		syscall(SYS_close, fd);
	}
	pthread_mutex_unlock(&serve_lock);
}

size_t
front_serve_path(char *path, size_t size)
{
	const struct serve *s = serve_own();

	return dm_strlcpy(path, s != NULL ? s->at.sun_path : "", size);
}
