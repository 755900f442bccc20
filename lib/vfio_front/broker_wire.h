/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Wire format between gantry-broker and its clients, over a UNIX socket of type SOCK_SEQPACKET.
 *
 * Invariant: a connection carries one request and one reply, one message each. A reply with err 0
 * carries one descriptor (SCM_RIGHTS). Integers are in host byte order.
 *
 * Users: front_broker.c (client), usertools/broker/serve.c (server).
 */

#ifndef BROKER_WIRE_H
#define BROKER_WIRE_H

#include <stdint.h>

/** Increment when a message changes. */
#define BROKER_VERSION 1
/** Default socket of the broker. */
#define BROKER_SOCKET "/run/gantry/broker"
/** Environment variable: path of a broker's socket. */
#define BROKER_SOCKET_ENV "GANTRY_VFIO_BROKER"
/** Environment variable: descriptors that are already open, as NUMBER=PATH, separated by commas. */
#define BROKER_FDS_ENV "GANTRY_VFIO_FDS"
/** Size of a path in bytes, including the terminating zero. */
#define BROKER_PATH_SIZE 64

/** Request: open a file for reading and writing. */
struct broker_request {
	uint32_t version;
	char path[BROKER_PATH_SIZE]; /**< path on the host: /dev/vfio/vfio, /dev/vfio/N, ... */
};

/**
 * Reply.
 * EPERM: this user or this process is not served. EACCES: this file is not on the broker's list.
 * EPROTO: malformed request, or another version. Other errors are those of open(2).
 */
struct broker_reply {
	int32_t err; /**< positive errno; 0: the descriptor is attached */
};

_Static_assert(sizeof(struct broker_request) == 4 + BROKER_PATH_SIZE, "no padding");
_Static_assert(sizeof(struct broker_reply) == 4, "no padding");

#endif /* BROKER_WIRE_H */
