/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Internal interface of gantry-l2fwd: options, the plan that follows from them, counters, and the
 * functions of each file.
 *
 * Calls that can fail write one line to app->err. One thread at a time makes them, with the ports'
 * lock: the main lcore, or a thread of telemetry for a move. l2fwd_stop(), l2fwd_stopped(),
 * l2fwd_lcore() and l2fwd_log() are for any thread.
 */

#ifndef L2FWD_H
#define L2FWD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <rte_common.h>
#include <rte_config.h>

/** Ports that a mask can name, which is also the most that can be used. */
#define L2FWD_MAX_PORTS 32
_Static_assert(L2FWD_MAX_PORTS <= RTE_MAX_ETHPORTS, "ports beyond DPDK's");
/** Most lanes that one lcore polls (-q). */
#define L2FWD_MAX_LANES_PER_LCORE 16
/** Longest time between two tables, in seconds (-T): a day. */
#define L2FWD_MAX_PERIOD 86400
/** Most packets received from a port at once. */
#define L2FWD_BURST 32

/** The command line. */
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
	uint64_t rx; /**< packets received from src */
	uint64_t tx; /**< packets that dst accepted */
	uint64_t dropped; /**< packets that dst did not accept */
} __rte_cache_aligned;

/** The lanes: which port forwards to which, and on which lcore. */
struct l2fwd_plan {
	unsigned int n_lanes;
	struct l2fwd_lane
		lane[L2FWD_MAX_PORTS]; /**< ascending by src; each port is the dst of one */
};

/** One line that says what failed, the cause and the remedy. */
struct l2fwd_error {
	char line[256];
};

/**
 * Parse the program's own options (argv[0] is skipped).
 *
 * @return 0; 1: help was requested; -EINVAL and err->line.
 */
int l2fwd_parse(int argc, char **argv, struct l2fwd_options *opt, struct l2fwd_error *err);
/** @return the help text */
const char *l2fwd_usage(void);

/**
 * Make the plan of lanes.
 *
 * @param available  mask of the ports that exist.
 * @param n_lcores  lcores that may poll.
 * @return 0; -EINVAL, -ENODEV and err->line.
 */
int l2fwd_plan(const struct l2fwd_options *opt, uint64_t available, unsigned int n_lcores,
	struct l2fwd_plan *plan, struct l2fwd_error *err);

struct rte_mempool;
struct rte_rcu_qsbr;
struct dmamap_container;
struct l2fwd_app;

/** The state of the program. */
struct l2fwd_app {
	struct l2fwd_options opt;
	struct l2fwd_plan plan;
	struct rte_mempool *pool;
	struct l2fwd_error err;
	uint16_t nb_rxd, nb_txd;
	uint64_t started; /**< mask of ports to be stopped */
	uint64_t opened; /**< mask of ports to be closed */
	uint64_t paused; /**< mask of ports that no lcore may touch; atomic */
	unsigned int ready; /**< lcores that have begun to forward; atomic */
	struct rte_rcu_qsbr *rcu; /**< lcores, by index, report here that they use no port */
};

/** Print a line "gantry-l2fwd: ..." to the standard error output. */
void l2fwd_log(const char *fmt, ...) __rte_format_printf(1, 2);

/**
 * Create the packet buffers: in the ports' containers, or in the EAL's memory if no port is in one.
 *
 * @return 0, or negative errno and app->err.
 */
int l2fwd_pool_create(struct l2fwd_app *app);
/**
 * Map the packet buffers in the container of a device that was moved there.
 *
 * @return 0, or negative errno and app->err.
 */
int l2fwd_pool_join(struct l2fwd_app *app, const char *dev);
/**
 * Before a device leaves its container: unmap the packet buffers there if no other port is in it.
 */
void l2fwd_pool_leave(struct l2fwd_app *app, const char *dev);
/**
 * @return true if the container holds the packet buffers and has only one device, so it would go
 *   with it
 */
bool l2fwd_pool_needs(const struct dmamap_container *c);
/** Free the packet buffers. The ports must be closed. */
void l2fwd_pool_free(struct l2fwd_app *app);

/**
 * Keep other threads from ethdev's control calls: those of telemetry's commands, and requests to
 * move or restart a port. Waits for one that is under way. Not for lcores that forward.
 */
void l2fwd_ports_lock(void);
/** Undo l2fwd_ports_lock(). */
void l2fwd_ports_unlock(void);

/** Configure and start the plan's ports. @return 0, or negative errno and app->err. */
int l2fwd_ports_start(struct l2fwd_app *app);
/** Configure and start one port. @return 0, or negative errno and app->err */
int l2fwd_port_start(struct l2fwd_app *app, uint16_t port);
/**
 * Stop a started port, and start it again with its configuration.
 *
 * @return 0; negative errno and app->err: it stays stopped.
 */
int l2fwd_port_restart(struct l2fwd_app *app, uint16_t port);
/** Stop and close one port. */
void l2fwd_port_stop(struct l2fwd_app *app, uint16_t port);
/** Wait for the links: 5 s, or until l2fwd_stopped(). */
void l2fwd_ports_wait_link(const struct l2fwd_app *app);
/** Stop and close all ports. */
void l2fwd_ports_stop(struct l2fwd_app *app);

/** Stop forwarding. Async-signal-safe. */
void l2fwd_stop(void);
/** @return true after l2fwd_stop() */
bool l2fwd_stopped(void);
/** Forward on this lcore until l2fwd_stop(); arg is the app. */
int l2fwd_lcore(void *arg);

/**
 * Accept requests to move and restart ports, by telemetry. The caller holds the ports' lock.
 *
 * @return 0, or -ENOMEM and app->err.
 */
int l2fwd_moves_begin(struct l2fwd_app *app);
/** Accept no more requests. The caller holds the ports' lock, and no lcore is forwarding. */
void l2fwd_moves_end(struct l2fwd_app *app);

/** Print the table of ports. */
void l2fwd_print_ports(const struct l2fwd_app *app, const char *title);
/** Print the state of the containers that the ports are in. */
void l2fwd_print_containers(const struct l2fwd_app *app);

#endif /* L2FWD_H */
