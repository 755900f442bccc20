/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * How do other processes of the program see a port? They read what it shares; the chip's counters,
 * which its registers hold, are fetched by the primary process when one asks it to. Only that one
 * moves packets.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_string_fns.h>

#include "e1000e.h"

#define ACTION "net_gantry_e1000e"
#define ANSWER_WITHIN_S 5

/* Ports of this, the primary process. */
static unsigned int n_ports;

/* A message is a port's name; the answer 0 or a negative errno. */
static int
answer(const struct rte_mp_msg *msg, const void *peer)
{
	struct rte_mp_msg reply = {.name = ACTION, .len_param = sizeof(int)};
	struct rte_eth_dev *eth = NULL;
	int rc = -EINVAL;

	if (msg->len_param > 0 && msg->len_param < RTE_MP_MAX_PARAM_LEN &&
		msg->param[msg->len_param - 1] == '\0')
		eth = rte_eth_dev_allocated((const char *)msg->param);
	if (eth != NULL)
		rc = e1000e_is_ours(eth) ? e1000e_stats_refresh(eth) : -ENODEV;
	memcpy(reply.param, &rc, sizeof(rc));
	return rte_mp_reply(&reply, peer);
}

int
e1000e_secondary_ask(const struct rte_eth_dev *eth)
{
	const struct timespec within = {.tv_sec = ANSWER_WITHIN_S};
	struct rte_mp_msg msg = {.name = ACTION};
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
		E1000E_LOG(ERR, eth->data->name,
			"the primary process does not fetch the counters: %s", rte_strerror(-rc));
	return rc;
}

void
e1000e_secondary_serve(const char *name)
{
	/* Without other processes (--in-memory, --no-shconf) there is nobody to answer. */
	if (n_ports++ == 0 && rte_mp_action_register(ACTION, answer) < 0 && rte_errno != ENOTSUP)
		E1000E_LOG(WARNING, name, "other processes will not see its counters: %s",
			rte_strerror(rte_errno));
}

void
e1000e_secondary_done(void)
{
	if (--n_ports == 0)
		rte_mp_action_unregister(ACTION);
}
