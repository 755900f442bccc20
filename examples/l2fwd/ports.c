/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * The ports: configured with one receive and one transmit queue each, started, stopped and closed.
 *
 * app->opened and app->started say what is to be undone. Called by main.c, and by move.c for one
 * port that no lcore uses.
 */

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <rte_cycles.h>
#include <rte_ethdev.h>

#include "l2fwd.h"

#define LINK_WAIT_MS 100
#define LINK_WAIT_TRIES 50

static int
port_fail(struct l2fwd_app *app, uint16_t port, const char *what, int rc)
{
	snprintf(app->err.line, sizeof(app->err.line), "port %u: %s failed: %s", port, what,
		strerror(-rc));
	return rc;
}

/* Events after which a port forwards no more. */
static const enum rte_eth_event_type end_events[] = {
	RTE_ETH_EVENT_INTR_RMV, RTE_ETH_EVENT_INTR_RESET};

/* The device is being removed, or has failed: end the program while its driver still answers. */
static int
port_end_cb(uint16_t port, enum rte_eth_event_type type, void *arg, void *ret)
{
	if (!l2fwd_stopped())
		l2fwd_log("port %u %s, so forwarding ends", port,
			type == RTE_ETH_EVENT_INTR_RMV ? "is being removed"
						       : "reports an error of its device");
	l2fwd_stop();
	return 0;
}

static void
port_watch(uint16_t port, bool watch)
{
	unsigned int i;

	for (i = 0; i < RTE_DIM(end_events); i++)
		if (watch)
			rte_eth_dev_callback_register(port, end_events[i], port_end_cb, NULL);
		else
			rte_eth_dev_callback_unregister(port, end_events[i], port_end_cb, NULL);
}

static int
port_setup_queues(struct l2fwd_app *app, uint16_t port, const struct rte_eth_dev_info *info,
	const struct rte_eth_conf *conf)
{
	struct rte_eth_rxconf rxconf = info->default_rxconf;
	struct rte_eth_txconf txconf = info->default_txconf;
	uint16_t nb_rxd = app->nb_rxd, nb_txd = app->nb_txd;
	int node = rte_eth_dev_socket_id(port), rc;

	rc = rte_eth_dev_adjust_nb_rx_tx_desc(port, &nb_rxd, &nb_txd);
	if (rc < 0)
		return port_fail(app, port, "adjusting the number of descriptors", rc);
	rxconf.offloads = conf->rxmode.offloads;
	rc = rte_eth_rx_queue_setup(port, 0, nb_rxd, node, &rxconf, app->pool);
	if (rc < 0)
		return port_fail(app, port, "receive queue setup", rc);
	txconf.offloads = conf->txmode.offloads;
	rc = rte_eth_tx_queue_setup(port, 0, nb_txd, node, &txconf);
	if (rc < 0)
		return port_fail(app, port, "transmit queue setup", rc);
	return 0;
}

int
l2fwd_port_start(struct l2fwd_app *app, uint16_t port)
{
	struct rte_eth_conf conf = {0};
	struct rte_eth_dev_info info;
	int rc;

	rc = rte_eth_dev_info_get(port, &info);
	if (rc < 0)
		return port_fail(app, port, "rte_eth_dev_info_get()", rc);
	/* All mbufs are of one pool, with a reference count of 1. */
	conf.txmode.offloads = info.tx_offload_capa & RTE_ETH_TX_OFFLOAD_MBUF_FAST_FREE;

	app->opened |= RTE_BIT64(port);
	rc = rte_eth_dev_configure(port, 1, 1, &conf);
	if (rc < 0)
		return port_fail(app, port, "configuration", rc);
	rc = port_setup_queues(app, port, &info, &conf);
	if (rc < 0)
		return rc;
	port_watch(port, true);
	rc = rte_eth_dev_start(port);
	if (rc < 0)
		return port_fail(app, port, "start", rc);
	app->started |= RTE_BIT64(port);

	if (app->opt.promiscuous) {
		rc = rte_eth_promiscuous_enable(port);
		if (rc < 0)
			return port_fail(app, port, "promiscuous mode", rc);
	}
	return 0;
}

static void
port_halt(struct l2fwd_app *app, uint16_t port)
{
	int rc;

	if (!(app->started & RTE_BIT64(port)))
		return;
	rc = rte_eth_dev_stop(port);
	if (rc < 0)
		l2fwd_log("port %u: stop failed: %s", port, strerror(-rc));
	app->started &= ~RTE_BIT64(port);
}

int
l2fwd_port_restart(struct l2fwd_app *app, uint16_t port)
{
	int rc;

	port_halt(app, port);
	rc = rte_eth_dev_start(port);
	if (rc < 0)
		return port_fail(app, port, "start", rc);
	app->started |= RTE_BIT64(port);
	return 0;
}

int
l2fwd_ports_start(struct l2fwd_app *app)
{
	unsigned int i;
	int rc;

	for (i = 0; i < app->plan.n_lanes; i++) {
		rc = l2fwd_port_start(app, app->plan.lane[i].src);
		if (rc < 0) {
			l2fwd_ports_stop(app);
			return rc;
		}
	}
	return 0;
}

static unsigned int
ports_count_down(const struct l2fwd_app *app)
{
	struct rte_eth_link link;
	unsigned int i, down = 0;

	for (i = 0; i < app->plan.n_lanes; i++)
		if (rte_eth_link_get_nowait(app->plan.lane[i].src, &link) < 0 ||
			link.link_status == RTE_ETH_LINK_DOWN)
			down++;
	return down;
}

void
l2fwd_ports_wait_link(const struct l2fwd_app *app)
{
	char text[RTE_ETH_LINK_MAX_STR_LEN];
	struct rte_eth_link link;
	unsigned int i;

	for (i = 0; i < LINK_WAIT_TRIES && ports_count_down(app) > 0 && !l2fwd_stopped(); i++)
		rte_delay_ms(LINK_WAIT_MS);
	for (i = 0; i < app->plan.n_lanes; i++) {
		uint16_t port = app->plan.lane[i].src;

		if (rte_eth_link_get_nowait(port, &link) < 0)
			continue;
		rte_eth_link_to_str(text, sizeof(text), &link);
		printf("port %u: %s\n", port, text);
	}
}

void
l2fwd_port_stop(struct l2fwd_app *app, uint16_t port)
{
	int rc;

	port_halt(app, port);
	if (!(app->opened & RTE_BIT64(port)))
		return;
	app->opened &= ~RTE_BIT64(port);
	if (!rte_eth_dev_is_valid_port(port))
		return;
	port_watch(port, false);
	rc = rte_eth_dev_close(port);
	if (rc < 0)
		l2fwd_log("port %u: close failed: %s", port, strerror(-rc));
}

void
l2fwd_ports_stop(struct l2fwd_app *app)
{
	uint16_t port;

	/* Stop all before any is closed: mbufs of one may be in the rings of another. */
	for (port = 0; port < L2FWD_MAX_PORTS; port++)
		port_halt(app, port);
	for (port = 0; port < L2FWD_MAX_PORTS; port++)
		l2fwd_port_stop(app, port);
}
