/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * How does a port change its container, or start anew, while the others forward? The lcores let go
 * of it, its device is unplugged and plugged in again elsewhere, and they take it back. Asked for
 * through DPDK's telemetry.
 */

#include <ctype.h>
#include <errno.h>
#include <pthread.h>
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

/* Telemetry's handlers get no argument. The lock also keeps the ports from being stopped meanwhile.
 */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct l2fwd_app *app;

/* A device, and what it takes to plug it in again. */
struct seat {
	char name[RTE_DEV_NAME_MAX_LEN];
	char args[ARGS_MAX]; /* as the operator gave them */
};

static int __rte_format_printf(3, 4) refuse(struct l2fwd_error *err, int rc, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(err->line, sizeof(err->line), fmt, ap);
	va_end(ap);
	return rc;
}

/* Add the pairs of a list to args, but for those with one of these keys. */
static int
add_pairs(char *args, const char *list, const char *const *without)
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

/* The device's arguments in the first of DPDK's syntaxes, without some. */
static int
args_of(const struct rte_device *dev, const char *const *without, char *args)
{
	const struct rte_devargs *da = rte_dev_devargs(dev);
	int rc = 0;

	args[0] = '\0';
	if (da != NULL && da->bus_str != NULL)
		rc = add_pairs(args, da->bus_str, without);
	if (rc == 0 && da != NULL && da->args != NULL)
		rc = add_pairs(args, da->args, without);
	return rc;
}

/* Does the port forward? Only then it can be taken away. */
static int
check_forwards(uint16_t port, struct rte_eth_dev_info *info, struct l2fwd_error *err)
{
	if (__atomic_load_n(&app->ready, __ATOMIC_ACQUIRE) < rte_lcore_count())
		return refuse(err, -EAGAIN, "forwarding has not begun yet: ask again");
	if (port >= L2FWD_MAX_PORTS || !(app->started & RTE_BIT64(port)) ||
		rte_eth_dev_info_get(port, info) < 0 || info->device == NULL)
		return refuse(err, -ENODEV, "port %u is none that forwards", port);
	return 0;
}

/* Can the port go there? Fill in where it is now, and what takes it there. */
static int
check(uint16_t port, const char *container, struct seat *from, struct seat *to,
	struct l2fwd_error *err)
{
	static const char *const layers[] = {"bus=", "addr=", NULL};
	/* A container that is there knows best what it is; one that is not becomes as the device's
	 * was to be. */
	static const char *const to_new[] = {"bus=", "addr=", "container=", NULL};
	static const char *const to_old[] = {
		"bus=", "addr=", "container=", "isolate=", "backend=", NULL};
	const char *const *places = dmamap_container_by_name(container) != NULL ? to_old : to_new;
	const struct dmamap_container *c;
	struct rte_eth_dev_info info;
	int rc = check_forwards(port, &info, err);

	if (rc < 0)
		return rc;
	snprintf(from->name, sizeof(from->name), "%s", rte_dev_name(info.device));
	snprintf(to->name, sizeof(to->name), "%s", from->name);
	c = dmamap_container_by_device(from->name);
	if (c == NULL || strcmp(rte_bus_name(rte_dev_bus(info.device)), BUS) != 0)
		return refuse(err, -ENOTSUP, "port %u (%s) is in no container", port, from->name);
	if (container[0] == '\0' || strlen(container) >= DMAMAP_NAME_MAX ||
		strpbrk(container, ",=/") != NULL)
		return refuse(err, -EINVAL,
			"\"%s\" is no name of a container: 1 to %d characters, none of"
			" \",=/\"",
			container, DMAMAP_NAME_MAX - 1);
	if (strcmp(dmamap_container_name(c), container) == 0)
		return refuse(err, -EALREADY, "port %u (%s) is in container %s already", port,
			from->name, container);
	if (l2fwd_pool_needs(c))
		return refuse(err, -EBUSY,
			"port %u (%s) is the last in container %s, which holds the packet"
			" buffers",
			port, from->name, dmamap_container_name(c));
	if (args_of(info.device, layers, from->args) < 0 ||
		args_of(info.device, places, to->args) < 0 ||
		strlen(to->args) + sizeof(",container=") + strlen(container) > ARGS_MAX)
		return refuse(err, -E2BIG, "%s has too many arguments", from->name);
	sprintf(to->args + strlen(to->args), ",container=%s", container);
	return 0;
}

/* From now on no lcore touches the port, until give_back(). */
static void
take_away(uint16_t port)
{
	__atomic_fetch_or(&app->away, RTE_BIT64(port), __ATOMIC_SEQ_CST);
	rte_rcu_qsbr_synchronize(app->rcu, RTE_QSBR_THRID_INVALID);
}

static void
give_back(uint16_t port)
{
	__atomic_fetch_and(&app->away, ~RTE_BIT64(port), __ATOMIC_RELEASE);
}

static int
unplug(uint16_t port, struct l2fwd_error *err)
{
	struct rte_eth_dev_info info;
	int rc = rte_eth_dev_info_get(port, &info);

	if (rc < 0)
		return refuse(err, rc, "port %u does not answer: %s", port, strerror(-rc));
	l2fwd_port_stop(app, port);
	l2fwd_pool_leave(app, rte_dev_name(info.device));
	rc = rte_dev_remove(info.device);
	return rc < 0 ? refuse(err, rc, "port %u is not let go: %s", port, strerror(-rc)) : 0;
}

/* Plug the device in and start its port, which must be the one that it was. */
static int
plug(uint16_t port, const struct seat *seat, struct l2fwd_error *err)
{
	char text[sizeof(BUS ":") + sizeof(seat->name) + sizeof(seat->args)];
	struct rte_eth_dev_info info;
	int rc;

	snprintf(text, sizeof(text), BUS ":%s%s", seat->name, seat->args);
	rc = rte_dev_probe(text);
	if (rc < 0)
		return refuse(err, rc, "%s is refused: %s", text, strerror(-rc));
	rc = rte_eth_dev_info_get(port, &info);
	if (rc < 0 || strcmp(rte_dev_name(info.device), seat->name) != 0)
		return refuse(err, -ENODEV, "%s did not come back as port %u", seat->name, port);
	rc = l2fwd_pool_enter(app, seat->name);
	if (rc == 0)
		rc = l2fwd_port_start(app, port);
	if (rc == 0)
		return 0;
	*err = app->err;
	return rc < 0 ? rc : -EIO;
}

/* Whatever plug() left behind. */
static void
clear(uint16_t port, const struct seat *seat)
{
	struct l2fwd_error ignored;
	struct rte_eth_dev_info info;

	if (rte_eth_dev_info_get(port, &info) == 0 &&
		strcmp(rte_dev_name(info.device), seat->name) == 0)
		unplug(port, &ignored);
}

static int
move(uint16_t port, const char *container, struct l2fwd_error *err)
{
	struct l2fwd_error again;
	struct seat from, to;
	int rc;

	rc = check(port, container, &from, &to, err);
	if (rc < 0)
		return rc;
	take_away(port);
	rc = unplug(port, err);
	if (rc == 0)
		rc = plug(port, &to, err);
	if (rc == 0)
		goto done;
	clear(port, &to);
	if (plug(port, &from, &again) < 0) {
		l2fwd_complain(
			"port %u (%s) is lost: %s; and %s", port, from.name, err->line, again.line);
		return refuse(err, -ENODEV,
			"the port could be brought neither there nor back: it is lost");
	}
done:
	give_back(port);
	return rc;
}

/* Stop the port and start it, while no lcore touches it. One that does not start is touched no
 * more. */
static int
restart(uint16_t port, struct l2fwd_error *err)
{
	struct rte_eth_dev_info info;
	int rc = check_forwards(port, &info, err);

	if (rc < 0)
		return rc;
	take_away(port);
	rc = l2fwd_port_restart(app, port);
	if (rc < 0) {
		*err = app->err;
		l2fwd_complain(
			"port %u (%s) is lost: %s", port, rte_dev_name(info.device), err->line);
		return rc;
	}
	give_back(port);
	return 0;
}

/* The number at the beginning of the parameters, which the character `after` follows. @return what
 * follows that; NULL: no such */
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
say(struct rte_tel_data *d, int rc, const struct l2fwd_error *err, uint16_t port)
{
	rte_tel_data_start_dict(d);
	if (rc == 0)
		rte_tel_data_add_dict_int(d, "port", port);
	else
		rte_tel_data_add_dict_string(d, "error", err->line);
	return 0;
}

static int
on_move(const char *cmd, const char *params, struct rte_tel_data *d)
{
	struct l2fwd_error err = {""};
	const char *container;
	uint16_t port = 0;
	int rc;

	container = parse_port(params, ',', &port);
	pthread_mutex_lock(&lock);
	if (container == NULL)
		rc = refuse(&err, -EINVAL, "%s wants a port and a container: %s,1,b", cmd, cmd);
	else if (app == NULL)
		rc = refuse(&err, -EBUSY, "forwarding ends");
	else
		rc = move(port, container, &err);
	pthread_mutex_unlock(&lock);

	say(d, rc, &err, port);
	if (rc == 0)
		rte_tel_data_add_dict_string(d, "container", container);
	return 0;
}

static int
on_restart(const char *cmd, const char *params, struct rte_tel_data *d)
{
	struct l2fwd_error err = {""};
	uint16_t port = 0;
	int rc;

	pthread_mutex_lock(&lock);
	if (parse_port(params, '\0', &port) == NULL)
		rc = refuse(&err, -EINVAL, "%s wants a port: %s,1", cmd, cmd);
	else if (app == NULL)
		rc = refuse(&err, -EBUSY, "forwarding ends");
	else
		rc = restart(port, &err);
	pthread_mutex_unlock(&lock);

	return say(d, rc, &err, port);
}

static void
describe(const struct l2fwd_lane *lane, struct rte_tel_data *d)
{
	const struct dmamap_container *c = NULL;
	struct rte_eth_dev_info info;

	rte_tel_data_start_dict(d);
	if (rte_eth_dev_info_get(lane->src, &info) == 0 && info.device != NULL) {
		rte_tel_data_add_dict_string(d, "device", rte_dev_name(info.device));
		c = dmamap_container_by_device(rte_dev_name(info.device));
	}
	rte_tel_data_add_dict_string(d, "container", c != NULL ? dmamap_container_name(c) : "");
	rte_tel_data_add_dict_int(d, "to_port", lane->dst);
	rte_tel_data_add_dict_uint(d, "rx", lane->rx);
	rte_tel_data_add_dict_uint(d, "forwarded", lane->tx);
	rte_tel_data_add_dict_uint(d, "dropped", lane->dropped);
}

static int
on_ports(const char *cmd, const char *params, struct rte_tel_data *d)
{
	struct rte_tel_data *one;
	char number[8];
	unsigned int i;

	rte_tel_data_start_dict(d);
	pthread_mutex_lock(&lock);
	for (i = 0; app != NULL && i < app->plan.n_lanes; i++) {
		one = rte_tel_data_alloc();
		if (one == NULL)
			break;
		snprintf(number, sizeof(number), "%u", app->plan.lane[i].src);
		describe(&app->plan.lane[i], one);
		rte_tel_data_add_dict_container(d, number, one, 0);
	}
	pthread_mutex_unlock(&lock);
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
		return refuse(&of->err, -ENOMEM, "no memory to let ports move");
	}
	pthread_mutex_lock(&lock);
	app = of;
	pthread_mutex_unlock(&lock);
	/* They fail only where a process registers them twice. */
	rte_telemetry_register_cmd("/l2fwd/move", on_move,
		"Moves a port's device to another container while the others forward. Parameters: port, container");
	rte_telemetry_register_cmd("/l2fwd/restart", on_restart,
		"Stops a port and starts it again while the others forward. Parameters: port");
	rte_telemetry_register_cmd("/l2fwd/ports", on_ports,
		"Says where each port is and what went through it. Takes no parameters");
	return 0;
}

void
l2fwd_moves_end(struct l2fwd_app *of)
{
	pthread_mutex_lock(&lock);
	app = NULL;
	pthread_mutex_unlock(&lock);
	free(of->rcu);
	of->rcu = NULL;
}
