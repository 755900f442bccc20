/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Moves: a port changes its container, or is restarted, while the others forward. Requested through
 * DPDK's telemetry.
 *
 * The lcores stop using the port first. A move then unplugs its device, plugs it in again in the
 * other container, and lets the lcores resume. If that fails the device goes back. A request holds
 * the ports' lock, so there is one at a time, and no other command reads the port meanwhile. Called
 * by main.c before and after forwarding, and on telemetry's threads.
 */

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_bitops.h>
#include <rte_bus.h>
#include <rte_dev.h>
#include <rte_devargs.h>
#include <rte_errno.h>
#include <rte_ethdev.h>
#include <rte_lcore.h>
#include <rte_rcu_qsbr.h>
#include <rte_telemetry.h>

#include <dmamap.h>

#include "gantry_dpdk.h"
#include "l2fwd.h"

#define BUS "vfio_pci"
#define ARGS_MAX 512

/* Telemetry's handlers get no argument, hence the static app. The ports' lock protects it. */
static struct l2fwd_app *app;

/* A device, and the arguments to plug it in again. */
struct plug_args {
	char name[RTE_DEV_NAME_MAX_LEN];
	char args[ARGS_MAX]; /* as the operator wrote them */
};

static int __rte_format_printf(3, 4)
	error_set(struct l2fwd_error *err, int rc, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(err->line, sizeof(err->line), fmt, ap);
	va_end(ap);
	return rc;
}

/*
 * Append the pairs of a list to args, except for those with a key in without. @return 0, or -E2BIG
 */
static int
args_add(char *args, const char *list, const char *const *without)
{
	char *copy, *rest, *pair;
	unsigned int i;
	int rc = 0;

	copy = rest = strndup(list, strcspn(list, "/"));
	while (rest != NULL && (pair = strsep(&rest, ",")) != NULL) {
		for (i = 0; without[i] != NULL; i++)
			if (strncmp(pair, without[i], strlen(without[i])) == 0)
				break;
		if (pair[0] == '\0' || without[i] != NULL)
			continue;
		if (strlen(args) + strlen(pair) + 2 > ARGS_MAX)
			rc = -E2BIG;
		else
			sprintf(args + strlen(args), ",%s", pair);
	}
	free(copy);
	return rc;
}

/* Get the device's arguments in DPDK's legacy syntax, except for those with a key in without. */
static int
args_get(const struct rte_device *dev, const char *const *without, char *args)
{
	const struct rte_devargs *da = rte_dev_devargs(dev);
	int rc = 0;

	args[0] = '\0';
	if (da != NULL && da->bus_str != NULL)
		rc = args_add(args, da->bus_str, without);
	if (rc == 0 && da != NULL && da->args != NULL)
		rc = args_add(args, da->args, without);
	return rc;
}

/* Check that the port forwards: only then it can be paused. */
static int
port_check_forwards(uint16_t port, struct rte_eth_dev_info *info, struct l2fwd_error *err)
{
	if (__atomic_load_n(&app->ready, __ATOMIC_ACQUIRE) < rte_lcore_count())
		return error_set(err, -EAGAIN, "forwarding has not begun yet: try again");
	if (port >= L2FWD_MAX_PORTS || !(app->started & RTE_BIT64(port)) ||
		rte_eth_dev_info_get(port, info) < 0 || info->device == NULL)
		return error_set(err, -ENODEV, "port %u is not forwarding", port);
	return 0;
}

/* Check that the port is in a container, and may leave it for another. */
static int
port_check_container(uint16_t port, const char *dev, const struct dmamap_container *c, bool ours,
	const char *container, struct l2fwd_error *err)
{
	if (c == NULL || !ours)
		return error_set(err, -ENOTSUP,
			"port %u (%s) is not in a container of the bus " BUS, port, dev);
	if (container[0] == '\0' || strlen(container) >= DMAMAP_NAME_MAX ||
		strpbrk(container, ",=/") != NULL)
		return error_set(err, -EINVAL,
			"invalid container name \"%s\": expected 1 to %d characters other than"
			" \",=/\"",
			container, DMAMAP_NAME_MAX - 1);
	if (strcmp(dmamap_container_name(c), container) == 0)
		return error_set(err, -EALREADY, "port %u (%s) is in container %s already", port,
			dev, container);
	if (l2fwd_pool_needs(c))
		return error_set(err, -EBUSY,
			"port %u (%s) is the last in container %s, which holds the packet"
			" buffers",
			port, dev, dmamap_container_name(c));
	return 0;
}

/*
 * Check that the port can go there. Fill in its device with the arguments that it has now, and with
 * those for there.
 */
static int
move_prepare(uint16_t port, const char *container, struct plug_args *from, struct plug_args *to,
	struct l2fwd_error *err)
{
	static const char *const layers[] = {"bus=", "addr=", NULL};
	/*
	 * An existing container has its properties; a new one gets those that the device's
	 * arguments name.
	 */
	static const char *const to_new[] = {"bus=", "addr=", "container=", NULL};
	static const char *const to_old[] = {
		"bus=", "addr=", "container=", "isolate=", "backend=", NULL};
	struct dmamap_container *there = dmamap_container_by_name(container);
	const char *const *places = there != NULL ? to_old : to_new;
	struct rte_eth_dev_info info;
	struct dmamap_container *c;
	int rc;

	dmamap_container_put(there);
	rc = port_check_forwards(port, &info, err);
	if (rc < 0)
		return rc;
	snprintf(from->name, sizeof(from->name), "%s", rte_dev_name(info.device));
	snprintf(to->name, sizeof(to->name), "%s", from->name);
	c = dmamap_container_by_device(from->name);
	rc = port_check_container(port, from->name, c,
		strcmp(rte_bus_name(rte_dev_bus(info.device)), BUS) == 0, container, err);
	dmamap_container_put(c);
	if (rc < 0)
		return rc;
	if (args_get(info.device, layers, from->args) < 0 ||
		args_get(info.device, places, to->args) < 0 ||
		strlen(to->args) + sizeof(",container=") + strlen(container) > ARGS_MAX)
		return error_set(err, -E2BIG, "%s has too many arguments", from->name);
	sprintf(to->args + strlen(to->args), ",container=%s", container);
	return 0;
}

/*
 * Stop the lcores from using the port. Afterwards none does, until port_resume(). Waits for a round
 * of each lcore.
 */
static void
port_pause(uint16_t port)
{
	__atomic_fetch_or(&app->paused, RTE_BIT64(port), __ATOMIC_SEQ_CST);
	rte_rcu_qsbr_synchronize(app->rcu, RTE_QSBR_THRID_INVALID);
}

static void
port_resume(uint16_t port)
{
	__atomic_fetch_and(&app->paused, ~RTE_BIT64(port), __ATOMIC_RELEASE);
}

static int
port_unplug(uint16_t port, struct l2fwd_error *err)
{
	struct rte_eth_dev_info info;
	int rc = rte_eth_dev_info_get(port, &info);

	if (rc < 0)
		return error_set(
			err, rc, "port %u: rte_eth_dev_info_get() failed: %s", port, strerror(-rc));
	l2fwd_port_stop(app, port);
	l2fwd_pool_leave(app, rte_dev_name(info.device));
	rc = rte_dev_remove(info.device);
	return rc < 0 ? error_set(err, rc, "port %u: unplugging its device failed: %s", port,
				strerror(-rc))
		      : 0;
}

/* Plug the device in and start its port, which must have the same number as before. */
static int
port_plug(uint16_t port, const struct plug_args *plug_args, struct l2fwd_error *err)
{
	char text[sizeof(BUS ":") + sizeof(plug_args->name) + sizeof(plug_args->args)];
	struct rte_eth_dev_info info;
	int rc;

	snprintf(text, sizeof(text), BUS ":%s%s", plug_args->name, plug_args->args);
	rc = rte_dev_probe(text);
	if (rc < 0)
		return error_set(err, rc, "probing %s failed: %s", text, strerror(-rc));
	rc = rte_eth_dev_info_get(port, &info);
	if (rc < 0 || strcmp(rte_dev_name(info.device), plug_args->name) != 0)
		return error_set(err, -ENODEV, "%s is not port %u after it was plugged in",
			plug_args->name, port);
	rc = l2fwd_pool_join(app, plug_args->name);
	if (rc == 0)
		rc = l2fwd_port_start(app, port);
	if (rc == 0)
		return 0;
	*err = app->err;
	return rc < 0 ? rc : -EIO;
}

/* Undo what a failed port_plug() left behind. */
static void
port_plug_undo(uint16_t port, const struct plug_args *plug_args)
{
	struct l2fwd_error ignored;
	struct rte_eth_dev_info info;

	if (rte_eth_dev_info_get(port, &info) == 0 &&
		strcmp(rte_dev_name(info.device), plug_args->name) == 0)
		port_unplug(port, &ignored);
}

static int
port_move(uint16_t port, const char *container, struct l2fwd_error *err)
{
	struct l2fwd_error back_err;
	struct plug_args from, to;
	int rc;

	rc = move_prepare(port, container, &from, &to, err);
	if (rc < 0)
		return rc;
	port_pause(port);
	rc = port_unplug(port, err);
	if (rc == 0)
		rc = port_plug(port, &to, err);
	if (rc == 0)
		goto done;
	port_plug_undo(port, &to);
	if (port_plug(port, &from, &back_err) < 0) {
		l2fwd_log("port %u (%s) is lost: %s; and back: %s", port, from.name, err->line,
			back_err.line);
		return error_set(err, -ENODEV,
			"the port is lost: its device could be plugged in neither there nor back");
	}
done:
	port_resume(port);
	return rc;
}

/* Stop the port and start it, while no lcore uses it. If it does not start it stays paused. */
static int
port_restart(uint16_t port, struct l2fwd_error *err)
{
	struct rte_eth_dev_info info;
	int rc = port_check_forwards(port, &info, err);

	if (rc < 0)
		return rc;
	port_pause(port);
	rc = l2fwd_port_restart(app, port);
	if (rc < 0) {
		*err = app->err;
		l2fwd_log("port %u (%s) is lost: %s", port, rte_dev_name(info.device), err->line);
		return rc;
	}
	port_resume(port);
	return 0;
}

/*
 * Parse a port number at the start of the parameters. The character `after` must follow. @return
 * what follows that, or NULL: invalid
 */
static const char *
parse_port(const char *params, char after, uint16_t *port)
{
	char *end;
	unsigned long n;

	if (params == NULL || !isdigit((unsigned char)params[0]))
		return NULL;
	n = strtoul(params, &end, 10);
	if (*end != after || n >= L2FWD_MAX_PORTS)
		return NULL;
	*port = n;
	return end + 1;
}

static int
reply_set(struct rte_tel_data *d, int rc, const struct l2fwd_error *err, uint16_t port)
{
	rte_tel_data_start_dict(d);
	if (rc == 0)
		rte_tel_data_add_dict_int(d, "port", port);
	else
		rte_tel_data_add_dict_string(d, "error", err->line);
	return 0;
}

static int
move_cmd(const char *cmd, const char *params, struct rte_tel_data *d)
{
	struct l2fwd_error err = {""};
	const char *container;
	uint16_t port = 0;
	int rc;

	container = parse_port(params, ',', &port);
	l2fwd_ports_lock();
	if (container == NULL)
		rc = error_set(&err, -EINVAL,
			"invalid parameters: expected a port and a container: %s,1,b", cmd);
	else if (app == NULL)
		rc = error_set(&err, -EBUSY, "forwarding is ending");
	else
		rc = port_move(port, container, &err);
	l2fwd_ports_unlock();

	reply_set(d, rc, &err, port);
	if (rc == 0)
		rte_tel_data_add_dict_string(d, "container", container);
	return 0;
}

static int
restart_cmd(const char *cmd, const char *params, struct rte_tel_data *d)
{
	struct l2fwd_error err = {""};
	uint16_t port = 0;
	int rc;

	l2fwd_ports_lock();
	if (parse_port(params, '\0', &port) == NULL)
		rc = error_set(&err, -EINVAL, "invalid parameters: expected a port: %s,1", cmd);
	else if (app == NULL)
		rc = error_set(&err, -EBUSY, "forwarding is ending");
	else
		rc = port_restart(port, &err);
	l2fwd_ports_unlock();

	return reply_set(d, rc, &err, port);
}

static void
reply_add_lane(const struct l2fwd_lane *lane, struct rte_tel_data *d)
{
	struct dmamap_container *c = NULL;
	struct rte_eth_dev_info info;

	rte_tel_data_start_dict(d);
	if (rte_eth_dev_info_get(lane->src, &info) == 0 && info.device != NULL) {
		rte_tel_data_add_dict_string(d, "device", rte_dev_name(info.device));
		c = dmamap_container_by_device(rte_dev_name(info.device));
	}
	rte_tel_data_add_dict_string(d, "container", c != NULL ? dmamap_container_name(c) : "");
	dmamap_container_put(c);
	rte_tel_data_add_dict_int(d, "to_port", lane->dst);
	rte_tel_data_add_dict_uint(d, "rx", lane->rx);
	rte_tel_data_add_dict_uint(d, "forwarded", lane->tx);
	rte_tel_data_add_dict_uint(d, "dropped", lane->dropped);
}

static int
ports_cmd(const char *cmd, const char *params, struct rte_tel_data *d)
{
	struct rte_tel_data *one;
	char number[8];
	unsigned int i;

	rte_tel_data_start_dict(d);
	l2fwd_ports_lock();
	for (i = 0; app != NULL && i < app->plan.n_lanes; i++) {
		one = rte_tel_data_alloc();
		if (one == NULL)
			break;
		snprintf(number, sizeof(number), "%u", app->plan.lane[i].src);
		reply_add_lane(&app->plan.lane[i], one);
		rte_tel_data_add_dict_container(d, number, one, 0);
	}
	l2fwd_ports_unlock();
	return 0;
}

int
l2fwd_moves_begin(struct l2fwd_app *of)
{
	size_t size = rte_rcu_qsbr_get_memsize(RTE_MAX_LCORE);

	of->rcu = aligned_alloc(RTE_CACHE_LINE_SIZE, RTE_ALIGN(size, RTE_CACHE_LINE_SIZE));
	if (of->rcu == NULL || rte_rcu_qsbr_init(of->rcu, RTE_MAX_LCORE) != 0) {
		free(of->rcu);
		of->rcu = NULL;
		return error_set(&of->err, -ENOMEM, "no memory for the RCU variable");
	}
	app = of;
	/* These calls fail only if a process registers a command twice. */
	rte_telemetry_register_cmd("/l2fwd/move", move_cmd,
		"Moves a port's device to another container while the others forward. Parameters: port, container");
	rte_telemetry_register_cmd("/l2fwd/restart", restart_cmd,
		"Stops a port and starts it again while the others forward. Parameters: port");
	rte_telemetry_register_cmd("/l2fwd/ports", ports_cmd,
		"Returns the container and the counters of each port. Takes no parameters");
	return 0;
}

void
l2fwd_moves_end(struct l2fwd_app *of)
{
	app = NULL;
	free(of->rcu);
	of->rcu = NULL;
}
