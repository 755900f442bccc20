/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * What do the parts of gantry-l2fwd share? Options, the plan that follows from them, and counters.
 */

#ifndef L2FWD_H
#define L2FWD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <rte_common.h>
#include <rte_config.h>

/** Ports that a mask can name, and the most that can be used. */
#define L2FWD_MAX_PORTS 32
_Static_assert(L2FWD_MAX_PORTS <= RTE_MAX_ETHPORTS, "ports beyond DPDK's");
/** The most lanes that one lcore polls (-q). */
#define L2FWD_MAX_LANES_PER_LCORE 16
/** Longest time between two tables in seconds (-T): a day. */
#define L2FWD_MAX_PERIOD 86400
/** Packets taken from a port at once. */
#define L2FWD_BURST 32

/** What the command line says. */
struct l2fwd_options {
	uint64_t portmask; /**< -p */
	unsigned int lanes_per_lcore; /**< -q */
	unsigned int period; /**< -T, seconds; 0: no live statistics */
	bool mac_updating;
	bool promiscuous; /**< -P */
	unsigned int n_pairs;
	struct {
		uint16_t a, b;
	} pair[L2FWD_MAX_PORTS / 2 + 1]; /**< --portmap; none: neighbours are paired */
};

/** A lane: packets go from one port to another. One lcore polls it. */
struct l2fwd_lane {
	uint16_t src, dst;
	unsigned int lcore; /**< index of the lcore that polls it, not its id */
	uint64_t rx; /**< taken from src */
	uint64_t tx; /**< given to dst */
	uint64_t dropped; /**< dst did not take them */
} __rte_cache_aligned;

/** Which port goes where, and who does it. */
struct l2fwd_plan {
	unsigned int n_lanes;
	struct l2fwd_lane
		lane[L2FWD_MAX_PORTS]; /**< ascending by src; each port is the dst of one */
};

/** Room for the one line that says what is wrong. */
struct l2fwd_error {
	char line[256];
};

/**
 * Read the program's own options (argv[0] is skipped).
 * @return 0; 1: help was asked for; -EINVAL: err->line says what is wrong.
 */
int l2fwd_parse(int argc, char **argv, struct l2fwd_options *opt, struct l2fwd_error *err);
/** The options, one a line. */
const char *l2fwd_usage(void);

/**
 * Make lanes of the options and of what there is.
 * @param available  mask of the ports that exist.
 * @param n_lcores   lcores that may poll.
 * @return 0; -EINVAL, -ENODEV: err->line says what is wrong.
 */
int l2fwd_plan(const struct l2fwd_options *opt, uint64_t available, unsigned int n_lcores,
	struct l2fwd_plan *plan, struct l2fwd_error *err);

struct rte_mempool;
struct rte_rcu_qsbr;
struct dmamap_container;
struct l2fwd_app;

/** All that the program holds. */
struct l2fwd_app {
	struct l2fwd_options opt;
	struct l2fwd_plan plan;
	struct rte_mempool *pool;
	struct l2fwd_error err;
	uint16_t nb_rxd, nb_txd;
	uint64_t started; /**< mask of ports to be stopped */
	uint64_t opened; /**< mask of ports to be closed */
	uint64_t away; /**< mask of ports that no lcore may touch; atomic */
	unsigned int ready; /**< lcores that have begun; atomic */
	struct rte_rcu_qsbr
		*rcu; /**< the lcores report to it that they hold no port, by their indices */
};

/** Print a line "gantry-l2fwd: ..." to the standard error output. */
void l2fwd_complain(const char *fmt, ...) __rte_format_printf(1, 2);

/**
 * Make the packet buffers: in the ports' containers, or in the EAL's memory if no port is on one.
 * @return 0, or negative errno and app->err.
 */
int l2fwd_pool_create(struct l2fwd_app *app);
/** Let a device that came to another container use the packet buffers. @return 0, or negative errno
 * and app->err. */
int l2fwd_pool_enter(struct l2fwd_app *app, const char *dev);
/** A device is about to leave its container; if no other port's is there, the packet buffers leave
 * it too. */
void l2fwd_pool_leave(struct l2fwd_app *app, const char *dev);
/** Does a container hold the packet buffers, and go with the one device that is in it? */
bool l2fwd_pool_needs(const struct dmamap_container *c);
/** Free them; the ports are closed. */
void l2fwd_pool_free(struct l2fwd_app *app);

/** Configure and start the plan's ports. @return 0, or negative errno and app->err. */
int l2fwd_ports_start(struct l2fwd_app *app);
/** Configure and start one of them. @return 0, or negative errno and app->err. */
int l2fwd_port_start(struct l2fwd_app *app, uint16_t port);
/** Stop one that is started, and start it again as it is configured. @return 0; negative errno and
 * app->err: it stays stopped. */
int l2fwd_port_restart(struct l2fwd_app *app, uint16_t port);
/** Stop and close one. */
void l2fwd_port_stop(struct l2fwd_app *app, uint16_t port);
/** Wait a few seconds for the links, or until l2fwd_stopped(). */
void l2fwd_ports_wait_link(const struct l2fwd_app *app);
/** Stop and close what was started. */
void l2fwd_ports_stop(struct l2fwd_app *app);

/** Ask all lcores to stop. Safe in a signal handler. */
void l2fwd_stop(void);
/** Were they asked to? */
bool l2fwd_stopped(void);
/** An lcore's life; arg is the app. Returns after l2fwd_stop(). */
int l2fwd_lcore(void *arg);

/** From now on ports can be moved and restarted, by telemetry. @return 0, or -ENOMEM and app->err.
 */
int l2fwd_moves_begin(struct l2fwd_app *app);
/** No more; waits for a move that is under way. No lcore forwards. */
void l2fwd_moves_end(struct l2fwd_app *app);

/** Print the table of ports. */
void l2fwd_print_ports(const struct l2fwd_app *app, const char *title);
/** Print the state of the containers that the ports are on. */
void l2fwd_print_containers(const struct l2fwd_app *app);

#endif /* L2FWD_H */
