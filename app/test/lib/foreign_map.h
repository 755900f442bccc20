/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * An XDP program on a netdev, with a map from queue to socket, as somebody else than the driver
 * attaches it: what a device plugin does for a pod.
 *
 * The program redirects each frame to the socket of its queue, and leaves frames without one to the
 * kernel. There is one at a time. Called by the suites of the AF_XDP driver and by
 * clients/xsk-map.c, in the main thread.
 */

#ifndef GANTRY_TEST_FOREIGN_MAP_H
#define GANTRY_TEST_FOREIGN_MAP_H

#include <stdbool.h>
#include <stdint.h>

/** The program and its map. */
struct foreign_map {
	int map_fd; /**< -1: none */
	int prog_fd; /**< -1: none */
};
extern struct foreign_map foreign;

/** Make the program, and a map with entries for so many queues. @return a negative errno */
int foreign_make(uint32_t n_entries);
/** Undo foreign_make(). The program stays on the netdev, and ends with it. */
void foreign_drop(void);
/** Attach the program to a netdev. @return a negative errno */
int foreign_attach(const char *iface);
/** @return whether the program is attached to the netdev */
bool foreign_is_attached(const char *iface);

/** Put a socket into the map, over any other. @return it, or a negative errno */
int foreign_set_entry(uint32_t queue);
/** @return 1: a socket is the queue's entry; 0: none is; a negative errno */
int foreign_has_entry(uint32_t queue);
/** @return whether this socket is the queue's entry */
bool foreign_entry_is(uint32_t queue, int fd);

#endif /* GANTRY_TEST_FOREIGN_MAP_H */
