/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * The packet buffers. If a port's device is in a container, they are in a zone of it. So each mbuf
 * carries an IOVA that the device can use.
 *
 * All ports share one pool, because packets go from port to port. In further containers the pool is
 * mapped at the same IOVAs. Called by main.c at start and end, and by move.c when a device changes
 * its container.
 */

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <rte_bitops.h>
#include <rte_bus.h>
#include <rte_dev.h>
#include <rte_errno.h>
#include <rte_ethdev.h>
#include <rte_lcore.h>
#include <rte_mbuf.h>

#include <dmamap.h>
#include <dmamap_mbuf.h>

#include "l2fwd.h"

#define POOL_NAME "l2fwd"
#define POOL_CACHE 256

/*
 * Containers of the ports, with a reference each. The first holds the pool; in the others it is
 * mapped.
 */
static struct dmamap_container *containers[L2FWD_MAX_PORTS];
static unsigned int n_containers, n_shared;

static bool
containers_have(const struct dmamap_container *c)
{
	unsigned int i;

	for (i = 0; i < n_containers; i++)
		if (containers[i] == c)
			return true;
	return false;
}

/* Release the references. The pool is freed. */
static void
containers_put(void)
{
	while (n_containers > 0)
		dmamap_container_put(containers[--n_containers]);
	n_shared = 0;
}

/*
 * A driver that copies by virtual address (bus vdev) can use any buffer; hardware on another bus
 * cannot.
 */
static bool
device_takes_any_buffer(const struct rte_device *dev)
{
	const struct rte_bus *bus = rte_dev_bus(dev);

	return bus != NULL && strcmp(rte_bus_name(bus), "vdev") == 0;
}

static int
containers_find(struct l2fwd_app *app)
{
	const struct rte_device *uncontained = NULL;
	struct dmamap_container *c;
	struct rte_eth_dev_info info;
	unsigned int i;
	int rc;

	n_containers = 0;
	for (i = 0; i < app->plan.n_lanes; i++) {
		rc = rte_eth_dev_info_get(app->plan.lane[i].src, &info);
		if (rc < 0 || info.device == NULL) {
			snprintf(app->err.line, sizeof(app->err.line),
				"port %u: rte_eth_dev_info_get() failed: %s", app->plan.lane[i].src,
				strerror(-rc));
			return rc < 0 ? rc : -ENODEV;
		}
		c = dmamap_container_by_device(rte_dev_name(info.device));
		if (c == NULL && !device_takes_any_buffer(info.device))
			uncontained = info.device;
		if (c != NULL && !containers_have(c))
			containers[n_containers++] = c; /* with its reference */
		else
			dmamap_container_put(c);
	}
	if (n_containers > 0 && uncontained != NULL) {
		snprintf(app->err.line, sizeof(app->err.line),
			"%s is not in a container and cannot send packets of ports that are: bind it to"
			" vfio-pci and name it with -a vfio_pci:%s, or leave it out of -p",
			rte_dev_name(uncontained), rte_dev_name(uncontained));
		return -ENOTSUP;
	}
	return 0;
}

static unsigned int
pool_size(const struct l2fwd_app *app)
{
	unsigned int n = app->plan.n_lanes * (app->nb_rxd + app->nb_txd + 2 * L2FWD_BURST) +
		rte_lcore_count() * 2 * POOL_CACHE;

	return rte_align32pow2(n) - 1;
}

static int
pool_share_with(struct l2fwd_app *app, struct dmamap_container *c)
{
	int rc = dmamap_pktmbuf_pool_share(app->pool, c);

	if (rc < 0)
		snprintf(app->err.line, sizeof(app->err.line),
			"packets cannot go from container %s to container %s: the pool's IOVAs"
			" are not free there (%s): put the devices into one container",
			dmamap_container_name(containers[0]), dmamap_container_name(c),
			strerror(-rc));
	return rc;
}

/* Map the pool at the same IOVAs in the other containers. @return 0; else it cannot be used */
static int
pool_share(struct l2fwd_app *app)
{
	int rc = 0;

	for (n_shared = 1; n_shared < n_containers && rc == 0; n_shared++) {
		rc = pool_share_with(app, containers[n_shared]);
		if (rc < 0)
			break;
	}
	return rc;
}

int
l2fwd_pool_join(struct l2fwd_app *app, const char *dev)
{
	struct dmamap_container *c = dmamap_container_by_device(dev);
	int rc = 0;

	if (c != NULL && !containers_have(c)) {
		rc = pool_share_with(app, c);
		if (rc == 0) {
			containers[n_containers++] = dmamap_container_get(c);
			n_shared = n_containers;
		}
	}
	dmamap_container_put(c);
	return rc;
}

/* @return true if the device of another port is in the same container */
static bool
container_has_other(const struct l2fwd_app *app, const struct dmamap_container *c, const char *dev)
{
	struct dmamap_container *other;
	struct rte_eth_dev_info info;
	bool found = false;
	unsigned int i;

	for (i = 0; i < app->plan.n_lanes && !found; i++) {
		/* The port that leaves is closed already, and ethdev logs an error for it. */
		if (!rte_eth_dev_is_valid_port(app->plan.lane[i].src) ||
			rte_eth_dev_info_get(app->plan.lane[i].src, &info) < 0 ||
			info.device == NULL || strcmp(rte_dev_name(info.device), dev) == 0)
			continue;
		other = dmamap_container_by_device(rte_dev_name(info.device));
		found = other == c;
		dmamap_container_put(other);
	}
	return found;
}

void
l2fwd_pool_leave(struct l2fwd_app *app, const char *dev)
{
	struct dmamap_container *c = dmamap_container_by_device(dev);
	unsigned int i;

	for (i = 1; i < n_containers && containers[i] != c; i++)
		;
	if (i < n_containers && !container_has_other(app, c, dev)) {
		dmamap_pktmbuf_pool_unshare(app->pool, c);
		dmamap_container_put(containers[i]);
		containers[i] = containers[--n_containers];
		n_shared = n_containers;
	}
	dmamap_container_put(c);
}

bool
l2fwd_pool_needs(const struct dmamap_container *c)
{
	struct dmamap_container_info info;

	return n_containers > 0 && c == containers[0] && dmamap_container_info(c, &info) == 0 &&
		info.n_devices == 1;
}

int
l2fwd_pool_create(struct l2fwd_app *app)
{
	unsigned int n = pool_size(app);
	int rc = containers_find(app);

	if (rc < 0) {
		containers_put();
		return rc;
	}
	if (n_containers > 0)
		app->pool = dmamap_pktmbuf_pool_create(containers[0], POOL_NAME, n, POOL_CACHE, 0,
			RTE_MBUF_DEFAULT_BUF_SIZE, rte_eth_dev_socket_id(app->plan.lane[0].src));
	else
		app->pool = rte_pktmbuf_pool_create(POOL_NAME, n, POOL_CACHE, 0,
			RTE_MBUF_DEFAULT_BUF_SIZE, rte_eth_dev_socket_id(app->plan.lane[0].src));
	if (app->pool == NULL) {
		rc = -rte_errno;
		snprintf(app->err.line, sizeof(app->err.line),
			"no memory for %u packet buffers (%zu MiB): %s: reserve more hugepages, or give"
			" the EAL more with -m",
			n, (n * (size_t)(RTE_MBUF_DEFAULT_BUF_SIZE + 256)) >> 20, strerror(-rc));
		containers_put();
		return rc;
	}
	rc = pool_share(app);
	if (rc < 0)
		l2fwd_pool_free(app);
	return rc;
}

void
l2fwd_pool_free(struct l2fwd_app *app)
{
	if (app->pool == NULL)
		return;
	while (n_shared > 1)
		dmamap_pktmbuf_pool_unshare(app->pool, containers[--n_shared]);
	rte_mempool_free(app->pool);
	app->pool = NULL;
	containers_put();
}
