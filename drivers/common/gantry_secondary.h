/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * What a secondary process asks of the primary one about a port: refresh its counters, or take the
 * end of a connection. Used by the drivers of drivers/net. Not installed.
 *
 * The primary process answers on a thread of the EAL. It never touches a port after
 * gantry_secondary_withdraw() has returned.
 */

#ifndef GANTRY_SECONDARY_H
#define GANTRY_SECONDARY_H

#include <stdbool.h>
#include <sys/queue.h>

#include <ethdev_driver.h>

/** How long a secondary process waits for an answer, in seconds. */
#define GANTRY_SECONDARY_TIMEOUT_S 5

/** What a driver does for secondary processes. One object a driver, with static storage. */
struct gantry_secondary {
	const char *name; /**< the driver's: the action of rte_mp, and the first word of lines */
	const int *logtype;
	/** Primary: publish a port's counters in shared memory. @return 0; negative errno */
	int (*refresh)(struct rte_eth_dev *eth);
	/**
	 * Primary: connect a port with a secondary process. NULL: the driver has no such thing.
	 * @param fd  owned by the driver if it returns 0.
	 * @return 0; negative errno
	 */
	int (*attach)(struct rte_eth_dev *eth, int fd);

	/* Private to gantry_secondary.c */
	TAILQ_ENTRY(gantry_secondary) next;
	unsigned int n_ports;
	bool served[RTE_MAX_ETHPORTS];
};

/**
 * Primary process: answer secondary processes that ask about a port. Logs a line if the EAL cannot.
 * Control path, one thread a port at a time.
 */
void gantry_secondary_serve(struct gantry_secondary *s, const struct rte_eth_dev *eth);
/**
 * Undo gantry_secondary_serve(), before the port is closed. Waits for an answer that is being made.
 * Does nothing if the port is not served. Must not be called by refresh() and attach().
 */
void gantry_secondary_withdraw(struct gantry_secondary *s, const struct rte_eth_dev *eth);
/**
 * Secondary process: have the primary call refresh() for a port, or attach() if fd is not negative.
 * Waits GANTRY_SECONDARY_TIMEOUT_S at the most. Not on the EAL's thread that handles messages.
 *
 * @param fd  sent to the primary; remains the caller's.
 * @return what it returned; -ENODEV: the primary has closed the port; -ETIMEDOUT: no answer; the
 *   error of rte_mp_request_sync(). Not logged.
 */
int gantry_secondary_ask(const struct gantry_secondary *s, const struct rte_eth_dev *eth, int fd);
/** gantry_secondary_ask() for counters, with a line if it fails. */
int gantry_secondary_refresh(const struct gantry_secondary *s, const struct rte_eth_dev *eth);
/**
 * Primary process: what it answers. Called on the EAL's thread, and by tests.
 *
 * @param fd  closed or taken over in any case; -1: none.
 * @return what refresh() or attach() returned; -ENODEV: no such port is served; -ENOTSUP: the
 *   driver has no attach()
 */
int gantry_secondary_answer(const char *name, const char *port, int fd);

#endif /* GANTRY_SECONDARY_H */
