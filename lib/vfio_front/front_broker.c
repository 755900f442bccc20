/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Client of gantry-broker, and descriptors handed in at the start of the process. Implements
 * front_broker.h.
 *
 * Descriptors that were handed in are hidden at the first call: moved to high numbers, with
 * FD_CLOEXEC. A program that searches /proc/self/fd for its container then finds its own descriptor
 * first. Functions that the preload library interposes are called by syscall(2).
 *
 * Locks, in order: `op` of a container, hand_in_lock, front_tree. No lock of this file is held
 * while waiting for the broker.
 */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "broker_wire.h"
#include "front_broker.h"
#include "front_priv.h"

#define VFIO_DIR "/dev/vfio/"
#define IOMMUFD "/dev/iommu"
/** Maximum number of descriptors that can be handed in. */
#define HAND_INS 64
/** Descriptors for which a reply has space; exactly one is valid. */
#define REPLY_FDS 2
/** Timeout of the broker, in seconds. */
#define BROKER_WAIT 10

/** A descriptor that was handed in. */
struct hand_in {
	char path[BROKER_PATH_SIZE];
	struct front_file *file; /**< hidden file; NULL: used up, or owned by the parent */
};

static pthread_mutex_t hand_in_lock = PTHREAD_MUTEX_INITIALIZER;
static bool environment_is_read;
static struct hand_in hand_ins[HAND_INS];
static unsigned int n_hand_ins;
/** "": no broker */
static char socket_path[sizeof(((struct sockaddr_un *)NULL)->sun_path)];

static bool
path_is_vfio(const char *path)
{
	return path != NULL &&
		(strncmp(path, VFIO_DIR, strlen(VFIO_DIR)) == 0 || strcmp(path, IOMMUFD) == 0);
}

bool
front_broker_serves(const char *path, int err)
{
	if (err != ENOENT && err != EACCES && err != EPERM && err != EBUSY)
		return false;
	return path_is_vfio(path) &&
		(getenv(BROKER_FDS_ENV) != NULL || getenv(BROKER_SOCKET_ENV) != NULL);
}

/**
 * Duplicate a descriptor to the lowest free number, for the program, and close `fd` in any case.
 * @return the new descriptor; a negative errno.
 */
static int
fd_hand_out(int fd, int flags)
{
	const int cmd = (flags & O_CLOEXEC) != 0 ? F_DUPFD_CLOEXEC : F_DUPFD;
	int low = syscall(SYS_fcntl, fd, cmd, 0);

	low = low < 0 ? -errno : low;
	syscall(SYS_close, fd);
	return low;
}

/* The environment */

static bool
fd_is_char_device(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 && S_ISCHR(st.st_mode);
}

/** Add a descriptor of GANTRY_VFIO_FDS, hidden. */
static void
hand_in_add(const char *path, size_t len, int fd)
{
	struct hand_in *h = &hand_ins[n_hand_ins];

	if (!fd_is_char_device(fd)) {
		front_log(DMAMAP_LOG_WARNING,
			BROKER_FDS_ENV
			": descriptor %d for %.*s: not open, or not a character device:"
			" start the program with gantry-broker, or list open descriptors",
			fd, (int)len, path);
		return;
	}
	memcpy(h->path, path, len);
	h->path[len] = '\0';
	pthread_mutex_lock(&front_tree);
	fd = front_fd_raise(fd);
	h->file = front_file_new(FRONT_HIDDEN, fd);
	pthread_mutex_unlock(&front_tree);
	if (h->file == NULL)
		syscall(SYS_close, fd);
	else
		n_hand_ins++;
}

/**
 * Parse one item of GANTRY_VFIO_FDS.
 * @param text  in/out: moved past the item.
 * @return false: bad format.
 */
static bool
item_read(const char **text)
{
	const char *path;
	char *end;
	long fd = strtol(*text, &end, 10);
	size_t len;

	path = end + 1;
	if (end == *text || *end != '=' || fd < 0 || fd > INT32_MAX || n_hand_ins == HAND_INS)
		return false;
	len = strcspn(path, ",");
	if (!path_is_vfio(path) || len >= BROKER_PATH_SIZE)
		return false;
	hand_in_add(path, len, (int)fd);
	*text = path + len + (path[len] == ',');
	return true;
}

/** Read the environment at the first call. Under hand_in_lock. */
static void
environment_read(void)
{
	const char *fds = secure_getenv(BROKER_FDS_ENV), *path = secure_getenv(BROKER_SOCKET_ENV);

	if (environment_is_read)
		return;
	environment_is_read = true;
	while (fds != NULL && *fds != '\0')
		if (!item_read(&fds)) {
			front_log(DMAMAP_LOG_WARNING,
				BROKER_FDS_ENV ": '%s': not NUMBER=PATH with a path below"
					       " " VFIO_DIR " or " IOMMUFD
					       ", or more than %d: the rest is ignored",
				fds, HAND_INS);
			break;
		}
	if (path != NULL &&
		dm_strlcpy(socket_path, path, sizeof(socket_path)) >= sizeof(socket_path)) {
		front_log(DMAMAP_LOG_WARNING,
			BROKER_SOCKET_ENV ": '%s': path of a UNIX socket is longer than %zu"
					  " characters: no broker is used",
			path, sizeof(socket_path) - 1);
		socket_path[0] = '\0';
	}
}

/* Descriptors that were handed in */

/** @return the group number of "/dev/vfio/N"; -1: not a group. */
static int
group_of_path(const char *path)
{
	char *end;
	long number;

	if (strncmp(path, VFIO_DIR, strlen(VFIO_DIR)) != 0)
		return -1;
	path += strlen(VFIO_DIR);
	number = strtol(path, &end, 10);
	return end == path || *end != '\0' || number < 0 || number > INT32_MAX ? -1 : (int)number;
}

struct group_search {
	int number;
	bool found;
};

static void
group_match(struct front_file *file, void *arg)
{
	struct group_search *search = arg;

	if ((file->kind == FRONT_GROUP || file->kind == FRONT_DEVICE) && file->g != NULL &&
		file->g->number == search->number)
		search->found = true;
}

/** Whether the program has the group, or a device of it, open. Under front_tree. */
static bool
group_is_used(int number)
{
	struct group_search search = {.number = number};

	front_fd_each(group_match, &search);
	return search.found;
}

/**
 * Duplicate the descriptor of a group for the program. The kernel takes a group out of its
 * container when its last descriptor is closed. Ours stays open, so take it out here. Under
 * front_tree.
 * @return a descriptor; -EBUSY: the group or a device of it is open, here or in another process.
 */
static int
group_hand_out(const struct hand_in *h, int number, int flags)
{
	int fd = h->file->fds[0];

	if (group_is_used(number))
		return -EBUSY;
	if (syscall(SYS_ioctl, fd, VFIO_GROUP_UNSET_CONTAINER, 0) < 0 && errno == EBUSY)
		return -EBUSY;
	fd = syscall(SYS_fcntl, fd, (flags & O_CLOEXEC) != 0 ? F_DUPFD_CLOEXEC : F_DUPFD, 0);
	return fd < 0 ? -errno : fd;
}

/** Pass the descriptor itself to the program; it serves one open. Under front_tree. */
static int
file_hand_out(struct hand_in *h, int flags)
{
	int fd = h->file->fds[0];

	front_fd_remove(fd);
	front_file_free(h->file);
	h->file = NULL;
	return fd_hand_out(fd, flags);
}

/**
 * @return a descriptor; -ENOENT: none was handed in for this path; -EMFILE: all were used; -EBUSY:
 *   the group is in use.
 */
static int
hand_in_open(const char *path, int flags)
{
	const int group = group_of_path(path);
	int fd = -ENOENT;
	unsigned int i;

	pthread_mutex_lock(&hand_in_lock);
	environment_read();
	pthread_mutex_lock(&front_tree);
	for (i = 0; i < n_hand_ins && (fd == -ENOENT || fd == -EMFILE); i++) {
		if (strcmp(hand_ins[i].path, path) != 0)
			continue;
		if (hand_ins[i].file == NULL)
			fd = -EMFILE;
		else
			fd = group >= 0 ? group_hand_out(&hand_ins[i], group, flags)
					: file_hand_out(&hand_ins[i], flags);
	}
	pthread_mutex_unlock(&front_tree);
	pthread_mutex_unlock(&hand_in_lock);
	return fd;
}

/* The broker */

static int
broker_connect(void)
{
	struct sockaddr_un at = {.sun_family = AF_UNIX};
	const struct timeval wait = {.tv_sec = BROKER_WAIT};
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0), rc;

	if (fd < 0)
		return -errno;
	dm_strlcpy(at.sun_path, socket_path, sizeof(at.sun_path));
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof(wait));
	do
		rc = connect(fd, (struct sockaddr *)&at, sizeof(at));
	while (rc < 0 && errno == EINTR);
	if (rc == 0)
		return fd;
	rc = errno == EAGAIN ? -ETIMEDOUT : -errno;
	syscall(SYS_close, fd);
	return rc;
}

/**
 * Take the descriptor out of a reply. Closes all descriptors if their number is wrong, because the
 * kernel has installed them.
 * @param wanted  true: exactly one must be there; false: none.
 * @return the descriptor, or 0 if none is wanted; -EPROTO: wrong number.
 */
static int
reply_fd(struct msghdr *msg, bool wanted)
{
	const struct cmsghdr *c = CMSG_FIRSTHDR(msg);
	int fds[REPLY_FDS];
	unsigned int n = 0, i;

	if (c != NULL && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS) {
		n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		memcpy(fds, CMSG_DATA(c), n * sizeof(int));
	}
	if (n == (wanted ? 1 : 0) && (msg->msg_flags & MSG_CTRUNC) == 0)
		return wanted ? fds[0] : 0;
	for (i = 0; i < n; i++)
		syscall(SYS_close, fds[i]);
	return -EPROTO;
}

/** Receive a reply. @return the descriptor; the broker's error or -EPROTO, negative. */
static int
broker_receive(int at)
{
	struct broker_reply reply = {.err = EPROTO};
	union {
		char bytes[CMSG_LEN(REPLY_FDS * sizeof(int))];
		struct cmsghdr align;
	} control = {0};
	struct iovec iov = {.iov_base = &reply, .iov_len = sizeof(reply)};
	struct msghdr msg = {.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = sizeof(control.bytes)};
	bool ok;
	ssize_t got;
	int fd;

	do
		got = syscall(SYS_recvmsg, at, &msg, MSG_CMSG_CLOEXEC);
	while (got < 0 && errno == EINTR);
	if (got < 0)
		return errno == EAGAIN ? -ETIMEDOUT : -errno;
	if (got == 0 && msg.msg_controllen == 0)
		return -ECONNRESET;
	ok = got == sizeof(reply) && (msg.msg_flags & MSG_TRUNC) == 0 && reply.err >= 0;
	fd = reply_fd(&msg, ok && reply.err == 0);
	return !ok || fd < 0 ? -EPROTO : reply.err > 0 ? -reply.err : fd;
}

/** Request a file from the broker. @return as front_broker_open() */
static int
broker_ask(const char *path, int flags)
{
	struct broker_request request = {.version = BROKER_VERSION};
	int at, fd;

	if (dm_strlcpy(request.path, path, sizeof(request.path)) >= sizeof(request.path))
		return -ENOENT;
	at = broker_connect();
	if (at < 0)
		return at;
	if (send(at, &request, sizeof(request), MSG_NOSIGNAL) < 0)
		fd = errno == EAGAIN ? -ETIMEDOUT : -errno;
	else
		fd = broker_receive(at);
	syscall(SYS_close, at);
	return fd < 0 ? fd : fd_hand_out(fd, flags);
}

/** Remedy for a broker's error, for the log line. */
static const char *
broker_remedy(int err)
{
	switch (err) {
	case EACCES:
		return "the file is not served: name the device on its command line";
	case EPERM:
		return "the user or process is not served: check --user, --group and --once of"
		       " gantry-broker, and its log";
	case EPROTO:
		return "protocol error: another version, or not a gantry-broker";
	case ETIMEDOUT:
		return "no answer in time: check that gantry-broker runs";
	case ENXIO:
	case ENODEV:
		return "the device or its driver is gone: bind it to vfio-pci";
	default:
		return "check that it is running and that its socket is visible here";
	}
}

int
front_broker_open(const char *path, int flags)
{
	int fd;

	if (!path_is_vfio(path))
		return -ENOENT;
	fd = hand_in_open(path, flags);
	if (fd >= 0 || fd == -EBUSY)
		return fd;
	if (socket_path[0] == '\0') {
		if (fd == -EMFILE)
			front_refuse("open", EMFILE,
				"%s: all descriptors that were handed in are used, and each serves one"
				" open: hand in another one, or use gantry-broker's socket",
				path);
		return fd;
	}
	fd = broker_ask(path, flags);
	if (fd < 0 && fd != -ENOENT && fd != -EBUSY)
		front_refuse(
			"open", -fd, "%s: broker at %s: %s", path, socket_path, broker_remedy(-fd));
	else if (fd == -ENOENT && access(socket_path, F_OK) < 0)
		front_refuse("open", ENOENT,
			"%s: no broker socket at %s: start gantry-broker, or mount its socket here",
			path, socket_path);
	return fd;
}

/* Processes */

void
front_broker_child(void)
{
	unsigned int i;

	pthread_mutex_init(&hand_in_lock, NULL);
	for (i = 0; i < n_hand_ins; i++)
		hand_ins[i].file = NULL;
}

void
front_broker_fini(void)
{
	unsigned int i;
	int fd;

	for (i = 0; i < n_hand_ins; i++)
		if (hand_ins[i].file != NULL) {
			fd = hand_ins[i].file->fds[0];
			front_fd_remove(fd);
			front_file_free(hand_ins[i].file);
			syscall(SYS_close, fd);
		}
	n_hand_ins = 0;
	socket_path[0] = '\0';
	environment_is_read = false;
}
