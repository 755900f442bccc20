/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * A map from queue to socket (XSKMAP) that somebody else provides, with the XDP program that uses
 * it: a pinned one, or one from the device plugin of a pod.
 *
 * The map is open from probe to close, because a device plugin hands it over once. The port only
 * adds and removes its own sockets; an entry of another socket is neither replaced nor removed. The
 * kernel removes a socket from its maps when it is closed, so nothing is left by a process that is
 * killed. Called by af_xdp_ethdev.c at probe and close, and by af_xdp_prog.c at start and stop.
 */

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <rte_eal.h>
#include <rte_string_fns.h>

#include "af_xdp.h"

/*
 * Where the map or the socket is without dp_path=, as in DPDK's net_af_xdp: below the EAL's runtime
 * directory, else where the device plugin of Kubernetes mounts it in a pod.
 */
static int
map_default_path(const struct af_xdp_port *port, char *path, size_t size)
{
	const char *const folders[] = {rte_eal_get_runtime_dir(), "/tmp"};
	const char *file = port->args.use_cni ? "afxdp.sock" : "xsks_map";
	unsigned int i;
	int len;

	for (i = 0; i < RTE_DIM(folders); i++) {
		if (folders[i][0] == '\0') /* with --in-memory */
			continue;
		len = snprintf(path, size, "%s/afxdp_dp/%s/%s", folders[i], port->args.iface, file);
		if (len < 0 || (size_t)len >= size)
			return -ENAMETOOLONG;
		if (access(path, F_OK) == 0)
			break;
	}
	return 0;
}

static int
map_open_pinned(const struct af_xdp_port *port)
{
	const char *path = port->args.dp_path, *remedy = "";
	int fd = bpf_obj_get(path);

	if (fd >= 0)
		return fd;
	fd = -errno;
	if (fd == -ENOENT)
		remedy = ": pin it there, or name it by dp_path=";
	else if (fd == -EACCES)
		remedy = ": it must be pinned in a bpffs, and this user must be permitted to read"
			 " and write it";
	else if (fd == -EPERM)
		remedy = ": before Linux 5.19 that takes CAP_BPF, or"
			 " kernel.unprivileged_bpf_disabled=0";
	AF_XDP_LOG(ERR, port->name, "the pinned map %s cannot be opened: %s%s", path, strerror(-fd),
		remedy);
	return fd;
}

/*
 * Programs and links are pinned and handed over too, and the kernel describes them in structures
 * that begin alike. Of these only a map is read: the missing key of a map is -EFAULT.
 */
static bool
fd_is_map(int fd)
{
	return bpf_map_lookup_elem(fd, NULL, NULL) < 0 && errno != EINVAL;
}

static int
map_check(const struct af_xdp_port *port, int fd)
{
	unsigned int last = port->args.start_queue + port->args.n_queues - 1;
	struct bpf_map_info info = {0};
	const char *path = port->args.dp_path;
	uint32_t len = sizeof(info);

	if (bpf_obj_get_info_by_fd(fd, &info, &len) < 0 && errno != EINVAL)
		return AF_XDP_FAIL(errno, port->name, "the map of %s cannot be read: %s%s", path,
			strerror(errno),
			errno == EPERM ? ": before Linux 5.19 that takes CAP_BPF, or"
					 " kernel.unprivileged_bpf_disabled=0"
				       : "");
	if (info.type != BPF_MAP_TYPE_XSKMAP || !fd_is_map(fd))
		return AF_XDP_FAIL(EINVAL, port->name,
			"what %s yields is not an XSKMAP: name the map that the XDP program of %s"
			" redirects to",
			path, port->args.iface);
	if (last >= info.max_entries)
		return AF_XDP_FAIL(EINVAL, port->name,
			"the map of %s has no entry for queue %u, only for 0 to %u: choose others"
			" with start_queue= and queue_count=, or make a larger map",
			path, last, info.max_entries - 1);
	return 0;
}

int
af_xdp_map_open(struct af_xdp_port *port)
{
	struct af_xdp_args *args = &port->args;
	int fd, rc;

	if (!af_xdp_args_foreign(args))
		return 0;
	if (args->dp_path[0] == '\0' &&
		map_default_path(port, args->dp_path, sizeof(args->dp_path)) < 0)
		return AF_XDP_FAIL(ENAMETOOLONG, port->name,
			"the EAL's runtime directory has too long a path: name the %s by dp_path=",
			args->use_cni ? "socket" : "map");
	fd = args->use_cni ? af_xdp_plugin_map(port->name, args->dp_path, args->iface)
			   : map_open_pinned(port);
	if (fd < 0)
		return fd;
	rc = map_check(port, fd);
	if (rc < 0) {
		close(fd);
		return rc;
	}
	port->map_fd = fd;
	return 0;
}

void
af_xdp_map_close(struct af_xdp_port *port)
{
	if (port->map_fd >= 0)
		close(port->map_fd);
	port->map_fd = -1;
}

/*
 * @return 0: the entry is this queue's socket, also if it was before; -EEXIST: it is another one
 * (xsk_map_update_elem(), net/xdp/xskmap.c of Linux). The kernel shows entries in no other way.
 */
static int
map_claim(const struct af_xdp_port *port, const struct af_xdp_queue *q)
{
	uint32_t key = q->id, fd = q->rx.fd;

	return bpf_map_update_elem(port->map_fd, &key, &fd, BPF_NOEXIST) < 0 ? -errno : 0;
}

int
af_xdp_map_add(const struct af_xdp_port *port, const struct af_xdp_queue *q)
{
	int rc = map_claim(port, q);

	if (rc == -EEXIST)
		AF_XDP_LOG(ERR, port->name,
			"queue %u: the map of %s has the socket of another program there: end that"
			" program, or choose others with start_queue=",
			q->id, port->args.dp_path);
	else if (rc < 0)
		AF_XDP_LOG(ERR, port->name,
			"queue %u: cannot add the socket to the map of %s: %s%s", q->id,
			port->args.dp_path, strerror(-rc),
			rc == -EPERM ? ": the map is read-only here, or frozen" : "");
	return rc;
}

void
af_xdp_map_del(const struct af_xdp_port *port, const struct af_xdp_queue *q)
{
	uint32_t key = q->id;
	int rc = map_claim(port, q);

	/*
	 * Whoever replaces sockets by force between these two calls loses the new one. Leaving the
	 * removal to the close of the socket is no way: a secondary process may have it open still.
	 */
	if (rc == 0)
		bpf_map_delete_elem(port->map_fd, &key);
	else if (rc == -EEXIST)
		AF_XDP_LOG(NOTICE, port->name,
			"queue %u: another program has taken its entry in the map of %s, which"
			" stays",
			q->id, port->args.dp_path);
}
