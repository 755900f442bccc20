/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * The primary process tells secondary ones the state of a port, and waits until they follow it.
 * Each has a connection of its own, of type SOCK_SEQPACKET, which comes by gantry_secondary.h. Used
 * by drivers of drivers/net. Not installed.
 *
 * A message is the whole state: a struct that begins with a struct gantry_share_head, with
 * descriptors beside it. The secondary process answers with a struct gantry_share_answer. A process
 * that ends closes its connection, which is noticed when the next state is told.
 */

#ifndef GANTRY_SHARE_H
#define GANTRY_SHARE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

/** How long the primary process waits for a secondary one, in seconds. */
#define GANTRY_SHARE_WAIT_S 2
/** The most descriptors of a state. Fewer than SCM_MAX_FD, 253. */
#define GANTRY_SHARE_FDS 64
/** The most bytes of a state. */
#define GANTRY_SHARE_MSG_MAX 512

/** The beginning of a state. */
struct gantry_share_head {
	uint32_t seq; /**< the number of the state, set by gantry_share_tell() */
	bool closed; /**< the port is closed: the last state */
};

/** The answer to it. */
struct gantry_share_answer {
	uint32_t seq; /**< of the state */
	int32_t rc; /**< 0; negative errno: the process does without the port */
};

/** A state: descriptors remain the caller's. */
struct gantry_share_state {
	struct gantry_share_head *msg; /**< NULL: none was told yet */
	size_t len; /**< bytes of msg */
	int fd[GANTRY_SHARE_FDS];
	unsigned int n_fds;
};

struct gantry_peer;

/** The secondary processes of a port. Zero: none. */
struct gantry_share {
	LIST_HEAD(, gantry_peer) peers;
	uint32_t seq; /**< of the last state */
};

/**
 * Connect a secondary process, and tell it a state. Does not wait. Any thread, one at a time for
 * each port; the caller has a lock.
 *
 * @param fd  owned by the share if 0 is returned.
 * @return 0; -ENOMEM; the error of sendmsg(2)
 */
int gantry_share_add(struct gantry_share *share, const struct gantry_share_state *state, int fd);
/**
 * Tell all secondary processes a new state, and wait until each has answered, GANTRY_SHARE_WAIT_S
 * each at the most. One that has ended or does not answer is disconnected. Under the caller's lock.
 *
 * @param name  of the port, for lines: "<driver>: <device>".
 * @param logtype  of the driver.
 */
void gantry_share_tell(struct gantry_share *share, const struct gantry_share_state *state,
	int logtype, const char *name);
/** Disconnect all secondary processes: each sees the end of its connection. */
void gantry_share_end(struct gantry_share *share);

#endif /* GANTRY_SHARE_H */
