/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * The XDP program that selects the frames of the port's sockets: loads af_xdp_prog.bpf.c and
 * attaches it to the netdev.
 *
 * A netdev has one program, which the ports of this process share. It is attached by a BPF link, so
 * the kernel detaches it when the process ends in any way. A foreign program is neither attached
 * nor detached here; of its map af_xdp_map.c takes care. Called by af_xdp_ethdev.c at start and
 * stop of a port.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/queue.h>
#include <linux/if_link.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "af_xdp.h"
#include "af_xdp_prog_elf.h"

/** A program on a netdev. */
struct af_xdp_prog {
	TAILQ_ENTRY(af_xdp_prog) next;
	int ifindex;
	unsigned int n_ports;
	bool was_down; /**< before one of the ports set the netdev up */
	uint8_t rx_vlan; /**< features that one of the ports switched off */
	struct af_xdp_steer steer;
	enum af_xdp_choice native;
	bool scatter; /**< the program takes frames in several buffers */
	bool foreign; /**< somebody else attaches it, and there is no obj */
	struct bpf_object *obj;
	int link_fd;
	int xsks_fd; /**< map from queue to socket, obj's */
};

static TAILQ_HEAD(, af_xdp_prog) progs = TAILQ_HEAD_INITIALIZER(progs);

/* Silence libbpf: this file logs one line for each failure. */
static int
libbpf_no_print(enum libbpf_print_level level, const char *fmt, va_list ap)
{
	return 0;
}

static int
prog_set_steer(struct bpf_object *obj, const struct af_xdp_steer *steer)
{
	struct bpf_map *map;

	bpf_object__for_each_map(map, obj) if (strstr(bpf_map__name(map), ".rodata") !=
		NULL) return bpf_map__set_initial_value(map, steer, sizeof(*steer));
	return -ENOENT;
}

static int
prog_load(struct af_xdp_port *port, struct af_xdp_prog *prog, int *prog_fd)
{
	const char *used = port->args.steer.n_rules > 0 ? "gantry_steer" : "gantry_all";
	LIBBPF_OPTS(bpf_object_open_opts, opts, .object_name = "gantry_af_xdp");
	struct bpf_program *p;
	int rc;

	prog->obj = bpf_object__open_mem(af_xdp_prog_elf, sizeof(af_xdp_prog_elf), &opts);
	if (prog->obj == NULL) {
		rc = -errno;
		goto fail;
	}
	bpf_object__for_each_program(p, prog->obj)
	{
		bpf_program__set_autoload(p, strcmp(bpf_program__name(p), used) == 0);
		if (port->scatter)
			bpf_program__set_flags(p, bpf_program__flags(p) | BPF_F_XDP_HAS_FRAGS);
	}
	rc = prog_set_steer(prog->obj, &port->args.steer);
	if (rc == 0)
		rc = bpf_object__load(prog->obj);
	if (rc < 0)
		goto fail;
	*prog_fd = bpf_program__fd(bpf_object__find_program_by_name(prog->obj, used));
	prog->xsks_fd = bpf_object__find_map_fd_by_name(prog->obj, "xsks");
	return 0;

fail:
	AF_XDP_LOG(ERR, port->name, "the kernel refuses the XDP program: %s%s", strerror(-rc),
		rc == -EPERM ? ": run as root, or with CAP_BPF and CAP_NET_ADMIN, or have it"
			       " attached outside: use_pinned_map=1"
			     : "");
	return rc;
}

/*
 * A bond passes a native program on to its members. Their frames carry the member, so the socket,
 * which is bound to the bond, drops each (xsk_rcv_check(), net/xdp/xsk.c of Linux).
 */
static bool
native_is_useless(const struct af_xdp_port *port)
{
	return strcmp(port->kind.name, "bond") == 0;
}

/*
 * Attach in native mode (the netdev driver's XDP), else in the kernel's generic mode; native= can
 * force either.
 */
static int
prog_attach(struct af_xdp_port *port, struct af_xdp_prog *prog, int prog_fd)
{
	LIBBPF_OPTS(bpf_link_create_opts, native, .flags = XDP_FLAGS_DRV_MODE);
	LIBBPF_OPTS(bpf_link_create_opts, generic, .flags = XDP_FLAGS_SKB_MODE);
	int fd = -EOPNOTSUPP;

	if (port->args.native != AF_XDP_NO && !native_is_useless(port))
		fd = bpf_link_create(prog_fd, port->ifindex, BPF_XDP, &native);
	if (port->args.native == AF_XDP_NO ||
		(fd == -EOPNOTSUPP && port->args.native == AF_XDP_AUTO)) {
		if (port->args.native == AF_XDP_AUTO)
			AF_XDP_LOG(NOTICE, port->name,
				"the driver of %s does not support XDP%s, so the kernel's"
				" generic XDP is used, which is slower",
				port->args.iface,
				native_is_useless(port) ? " sockets on a bond" : "");
		fd = bpf_link_create(prog_fd, port->ifindex, BPF_XDP, &generic);
	}
	prog->link_fd = fd;
	return fd < 0 ? fd : 0;
}

/* Log why a program cannot be attached, and the name of one that is in the way. */
static void
prog_log_attach_error(const struct af_xdp_port *port, int rc)
{
	struct bpf_prog_info info = {.name = "?"};
	uint32_t id = 0, len = sizeof(info);
	char name[IFNAMSIZ];
	int fd;

	af_xdp_netdev_name(port, name);
	if (rc == -EBUSY || rc == -EEXIST) {
		bpf_xdp_query_id(port->ifindex, 0, &id);
		fd = bpf_prog_get_fd_by_id(id);
		if (fd >= 0) {
			bpf_obj_get_info_by_fd(fd, &info, &len);
			close(fd);
		}
		AF_XDP_LOG(ERR, port->name,
			"%s has an XDP program already, \"%s\" (id %u): end the process"
			" that it belongs to, or detach it: ip link set dev %s xdp off",
			name, info.name, id, name);
	} else if (rc == -EOPNOTSUPP) {
		AF_XDP_LOG(ERR, port->name,
			"the driver of %s does not support XDP%s: leave native=1 out", name,
			native_is_useless(port) ? " sockets on a bond" : "");
	} else if (rc == -EINVAL || rc == -ERANGE) {
		AF_XDP_LOG(ERR, port->name,
			"the driver of %s refuses XDP: %s: often an MTU above 3,000 there or"
			" at a veth's other end, or an offload such as LRO",
			name, strerror(-rc));
	} else {
		AF_XDP_LOG(ERR, port->name, "the XDP program cannot be attached to %s: %s", name,
			strerror(-rc));
	}
}

static struct af_xdp_prog *
prog_find(const struct af_xdp_port *port)
{
	struct af_xdp_prog *prog;

	TAILQ_FOREACH(prog, &progs, next)
		if (prog->ifindex == port->ifindex)
			return prog;
	return NULL;
}

/* Load and attach a program of our own. */
static int
prog_own(struct af_xdp_port *port, struct af_xdp_prog *prog)
{
	libbpf_print_fn_t print = libbpf_set_print(libbpf_no_print);
	int rc, prog_fd = -1;

	rc = prog_load(port, prog, &prog_fd);
	if (rc == 0) {
		rc = prog_attach(port, prog, prog_fd);
		if (rc < 0)
			prog_log_attach_error(port, rc);
	}
	libbpf_set_print(print);
	if (rc < 0)
		bpf_object__close(prog->obj);
	return rc;
}

/* Look whether the netdev has a program, whichever it is: which map that uses, only root sees. */
static void
prog_look_for_foreign(const struct af_xdp_port *port)
{
	uint32_t id = 0;

	if (bpf_xdp_query_id(port->ifindex, 0, &id) == 0 && id == 0)
		AF_XDP_LOG(WARNING, port->name,
			"%s has no XDP program: no frame comes until one is attached that uses the"
			" map of %s",
			port->args.iface, port->args.dp_path);
}

static int
prog_create(struct af_xdp_port *port, struct af_xdp_prog **made)
{
	struct af_xdp_prog *prog = calloc(1, sizeof(*prog));
	int rc = 0;

	if (prog == NULL)
		return -ENOMEM;
	prog->ifindex = port->ifindex;
	prog->steer = port->args.steer;
	prog->native = port->args.native;
	prog->scatter = port->scatter;
	prog->foreign = af_xdp_args_foreign(&port->args);
	prog->link_fd = -1;
	if (prog->foreign)
		prog_look_for_foreign(port);
	else
		rc = prog_own(port, prog);
	if (rc < 0) {
		free(prog);
		return rc;
	}
	TAILQ_INSERT_TAIL(&progs, prog, next);
	*made = prog;
	return 0;
}

int
af_xdp_prog_get(struct af_xdp_port *port)
{
	struct af_xdp_prog *prog = prog_find(port);
	int rc;

	if (prog == NULL) {
		rc = prog_create(port, &prog);
		if (rc < 0)
			return rc;
	} else if (prog->foreign != af_xdp_args_foreign(&port->args)) {
		return AF_XDP_FAIL(EBUSY, port->name,
			"another port of %s %s: give both use_pinned_map=1 or use_cni=1, or"
			" neither, because a netdev has one XDP program",
			port->args.iface,
			prog->foreign ? "leaves the XDP program to others"
				      : "has attached its own");
	} else if (prog->native != port->args.native || prog->scatter != port->scatter ||
		memcmp(&prog->steer, &port->args.steer, sizeof(prog->steer)) != 0) {
		return AF_XDP_FAIL(EBUSY, port->name,
			"another port has queues of %s with other values of steer= or"
			" native=, or another RTE_ETH_RX_OFFLOAD_SCATTER: give both the same,"
			" because a netdev has one XDP program",
			port->args.iface);
	}
	prog->n_ports++;
	prog->was_down |= port->saved.up;
	prog->rx_vlan |= port->saved.rx_vlan;
	port->prog = prog;
	return 0;
}

void
af_xdp_prog_put(struct af_xdp_port *port)
{
	struct af_xdp_prog *prog = port->prog;

	if (prog == NULL)
		return;
	port->prog = NULL;
	/* The last port restores the netdev, not the one that set it up. */
	port->saved.up = false;
	port->saved.rx_vlan = 0;
	if (--prog->n_ports > 0)
		return;
	port->saved.up = prog->was_down;
	port->saved.rx_vlan = prog->rx_vlan;
	TAILQ_REMOVE(&progs, prog, next);
	if (!prog->foreign) {
		/* At once: the last close of a link may leave that to a worker of the kernel. */
		bpf_link_detach(prog->link_fd);
		close(prog->link_fd);
		bpf_object__close(prog->obj);
	}
	free(prog);
}

int
af_xdp_prog_add(const struct af_xdp_port *port, const struct af_xdp_queue *q)
{
	uint32_t key = q->id, fd = q->rx.fd;
	int rc;

	if (port->prog->foreign)
		return af_xdp_map_add(port, q);
	rc = bpf_map_update_elem(port->prog->xsks_fd, &key, &fd, 0);
	if (rc < 0)
		AF_XDP_LOG(ERR, port->name,
			"queue %u: cannot add the socket to the XDP program's map: %s", q->id,
			strerror(-rc));
	return rc;
}

void
af_xdp_prog_del(const struct af_xdp_port *port, const struct af_xdp_queue *q)
{
	uint32_t key = q->id;

	if (port->prog->foreign)
		af_xdp_map_del(port, q);
	else
		bpf_map_delete_elem(port->prog->xsks_fd, &key);
}
