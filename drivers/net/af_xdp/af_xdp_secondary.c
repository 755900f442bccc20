/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Secondary processes: the primary process reads the kernel's counters of its sockets for them.
 *
 * They read everything else from memory that both processes share. Only the primary process moves
 * packets. It answers on a thread of the EAL as long as it has a port. Called by af_xdp_ethdev.c at
 * probe and remove, and in a secondary process by af_xdp_stats.c.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_string_fns.h>

#include "af_xdp.h"

#define MP_ACTION "net_gantry_af_xdp"
#define MP_TIMEOUT_S 5

/* Primary process: number of ports, and the function that refreshes the counters of one. */
static unsigned int n_ports;
static af_xdp_refresh_t refresh_port;

/* A message is a port's name; the reply is 0 or a negative errno. */
static int
mp_answer(const struct rte_mp_msg *msg, const void *peer)
{
	struct rte_mp_msg reply = {.name = MP_ACTION, .len_param = sizeof(int)};
	struct rte_eth_dev *eth = NULL;
	int rc = -ENODEV;

	if (msg->len_param > 0 && msg->len_param < RTE_MP_MAX_PARAM_LEN &&
		msg->param[msg->len_param - 1] == '\0')
		eth = rte_eth_dev_allocated((const char *)msg->param);
	if (eth != NULL)
		rc = refresh_port(eth);
	memcpy(reply.param, &rc, sizeof(rc));
	return rte_mp_reply(&reply, peer);
}

int
af_xdp_secondary_ask(const struct rte_eth_dev *eth)
{
	const struct timespec within = {.tv_sec = MP_TIMEOUT_S};
	struct rte_mp_msg msg = {.name = MP_ACTION};
	struct rte_mp_reply replies = {0};
	int rc = -ETIMEDOUT;

	rte_strscpy((char *)msg.param, eth->data->name, sizeof(msg.param));
	msg.len_param = strlen(eth->data->name) + 1;
	if (rte_mp_request_sync(&msg, &replies, &within) < 0)
		rc = -rte_errno;
	else if (replies.nb_received == 1)
		memcpy(&rc, replies.msgs[0].param, sizeof(rc));
	free(replies.msgs);
	if (rc < 0)
		AF_XDP_LOG(ERR, eth->data->name,
			"the primary process did not read the counters: %s", rte_strerror(-rc));
	return rc;
}

void
af_xdp_secondary_serve(const char *name, af_xdp_refresh_t refresh)
{
	refresh_port = refresh;
	/* ENOTSUP: there are no other processes (--in-memory, --no-shconf). */
	if (n_ports++ == 0 && rte_mp_action_register(MP_ACTION, mp_answer) < 0 &&
		rte_errno != ENOTSUP)
		AF_XDP_LOG(WARNING, name, "secondary processes will not see its counters: %s",
			rte_strerror(rte_errno));
}

void
af_xdp_secondary_done(void)
{
	if (--n_ports == 0)
		rte_mp_action_unregister(MP_ACTION);
}
