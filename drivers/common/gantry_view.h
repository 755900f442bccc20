/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * A port in a secondary process: follows the states that the primary process tells
 * (gantry_share.h). Used by drivers of drivers/net. Not installed.
 *
 * The states come over a connection, on the EAL's interrupt thread. The connection ends with the
 * primary. Then, or when the port is closed there, the queues are dropped for good, and the
 * application gets RTE_ETH_EVENT_INTR_RMV once.
 */

#ifndef GANTRY_VIEW_H
#define GANTRY_VIEW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <ethdev_driver.h>

#include "gantry_secondary.h"
#include "gantry_share.h"

struct gantry_view;

/** What a driver does with states. One object a driver, with static storage. */
struct gantry_view_ops {
	const struct gantry_secondary *secondary;
	size_t msg_len; /**< bytes of a state, GANTRY_SHARE_MSG_MAX at the most */
	/**
	 * Do as a state says.
	 * @param fds  GANTRY_SHARE_FDS descriptors, -1: none; closed afterwards, unless set to -1.
	 * @return 0; negative errno, logged: some queue is not open
	 */
	int (*follow)(struct gantry_view *view, const struct gantry_share_head *msg, int *fds);
	/** Take all queues away: afterwards nothing here uses them, and nothing is mapped. */
	void (*drop)(struct gantry_view *view);
};

/**
 * The first member of a driver's view, which comes from aligned_alloc(3). Private to the process:
 * eth->process_private.
 */
struct gantry_view {
	const struct gantry_view_ops *ops;
	struct rte_eth_dev *eth; /**< NULL: detached within the callback */
	char name[RTE_ETH_NAME_MAX_LEN]; /**< of the port; the primary clears its own at close */
	uint16_t port_id;
	struct rte_intr_handle *intr; /**< on fd */
	int fd; /**< the connection; a copy of quiet_fd once that has ended */
	int quiet_fd; /**< an eventfd without an event */
	bool gone; /**< the primary has ended, or closed the port; atomic */
};

/** Make the thread that closes a queue see the marks of bursts, and they its word. @return 0;
 * -errno */
int gantry_view_barrier(void);
/** Wait until a mark is clear. Sleeps. */
void gantry_view_wait_while(const uint32_t *busy);

/**
 * Follow the states of a connection from the first on, which has to come within
 * GANTRY_SECONDARY_TIMEOUT_S. Sets eth->process_private. All or nothing; on failure the view is
 * freed.
 * @param fd  taken over in any case.
 */
int gantry_view_start(struct gantry_view *view, struct rte_eth_dev *eth,
	const struct gantry_view_ops *ops, int fd);
/** Have the primary process connect, and start. Logs a line if it fails. @see gantry_view_start()
 */
int gantry_view_attach(
	struct gantry_view *view, struct rte_eth_dev *eth, const struct gantry_view_ops *ops);
/**
 * Undo a start: drops the queues, and frees the view. NULL: nothing. May be called by the event
 * that tells of the end, on the EAL's interrupt thread. No thread may poll.
 */
void gantry_view_detach(struct rte_eth_dev *eth);
/** @return whether the primary has ended, or closed the port. Any thread. */
bool gantry_view_gone(const struct rte_eth_dev *eth);
/** Handle what has come. For the EAL's interrupt thread, and tests. */
void gantry_view_handle(struct gantry_view *view);

#endif /* GANTRY_VIEW_H */
