/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Requests of secondary processes to the primary one, over the EAL's messages (rte_mp). See
 * gantry_secondary.h.
 *
 * A message is a port's name, and a descriptor if it asks for a connection; the reply is 0 or a
 * negative errno. `lock` is held while an answer is made, so a port that was withdrawn is not in
 * use. Called by the drivers of drivers/net.
 */

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_log.h>
#include <rte_string_fns.h>

#include "gantry_secondary.h"

static TAILQ_HEAD(, gantry_secondary) servers = TAILQ_HEAD_INITIALIZER(servers);
/* Guards the list, what is private in its entries, and the ports while an answer is made. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

/* @return the driver if it serves the port; NULL */
static const struct gantry_secondary *
server_find(const char *name, const struct rte_eth_dev *eth)
{
	const struct gantry_secondary *s;

	TAILQ_FOREACH(s, &servers, next)
		if (strcmp(s->name, name) == 0)
			return eth != NULL && s->served[eth->data->port_id] ? s : NULL;
	return NULL;
}

static int
server_answer(const struct gantry_secondary *s, struct rte_eth_dev *eth, int *fd)
{
	int rc;

	if (s == NULL)
		return -ENODEV;
	if (*fd < 0)
		return s->refresh(eth);
	if (s->attach == NULL)
		return -ENOTSUP;
	/* The EAL receives descriptors without this flag. */
	fcntl(*fd, F_SETFD, FD_CLOEXEC);
	rc = s->attach(eth, *fd);
	if (rc == 0)
		*fd = -1;
	return rc;
}

int
gantry_secondary_answer(const char *name, const char *port, int fd)
{
	struct rte_eth_dev *eth;
	int rc;

	pthread_mutex_lock(&lock);
	eth = rte_eth_dev_allocated(port);
	rc = server_answer(server_find(name, eth), eth, &fd);
	pthread_mutex_unlock(&lock);
	if (fd >= 0)
		close(fd);
	return rc;
}

static int
mp_answer(const struct rte_mp_msg *msg, const void *peer)
{
	struct rte_mp_msg reply = {.len_param = sizeof(int)};
	int rc, i, fd = msg->num_fds > 0 ? msg->fds[0] : -1;
	const char *port = "";

	for (i = 1; i < msg->num_fds; i++)
		close(msg->fds[i]);
	if (msg->len_param > 0 && msg->len_param < RTE_MP_MAX_PARAM_LEN &&
		msg->param[msg->len_param - 1] == '\0')
		port = (const char *)msg->param;
	rc = gantry_secondary_answer(msg->name, port, fd);
	rte_strscpy(reply.name, msg->name, sizeof(reply.name));
	memcpy(reply.param, &rc, sizeof(rc));
	return rte_mp_reply(&reply, peer);
}

int
gantry_secondary_ask(const struct gantry_secondary *s, const struct rte_eth_dev *eth, int fd)
{
	const struct timespec within = {.tv_sec = GANTRY_SECONDARY_TIMEOUT_S};
	struct rte_mp_reply replies = {0};
	struct rte_mp_msg msg = {0};
	int rc = -ETIMEDOUT;

	rte_strscpy(msg.name, s->name, sizeof(msg.name));
	rte_strscpy((char *)msg.param, eth->data->name, sizeof(msg.param));
	msg.len_param = strlen(eth->data->name) + 1;
	if (fd >= 0)
		msg.fds[msg.num_fds++] = fd;
	if (rte_mp_request_sync(&msg, &replies, &within) < 0)
		rc = -rte_errno;
	else if (replies.nb_received == 1)
		memcpy(&rc, replies.msgs[0].param, sizeof(rc));
	free(replies.msgs);
	return rc;
}

int
gantry_secondary_refresh(const struct gantry_secondary *s, const struct rte_eth_dev *eth)
{
	int rc = gantry_secondary_ask(s, eth, -1);

	if (rc < 0)
		rte_log(RTE_LOG_ERR, *s->logtype,
			"%s: %s: the primary process did not read the counters: %s\n", s->name,
			eth->data->name, rte_strerror(-rc));
	return rc;
}

void
gantry_secondary_serve(struct gantry_secondary *s, const struct rte_eth_dev *eth)
{
	bool first;

	pthread_mutex_lock(&lock);
	first = s->n_ports++ == 0;
	if (first)
		TAILQ_INSERT_TAIL(&servers, s, next);
	s->served[eth->data->port_id] = true;
	pthread_mutex_unlock(&lock);
	/* ENOTSUP: there are no other processes (--in-memory, --no-shconf). */
	if (first && rte_mp_action_register(s->name, mp_answer) < 0 && rte_errno != ENOTSUP)
		rte_log(RTE_LOG_WARNING, *s->logtype,
			"%s: %s: secondary processes will not see its counters: %s\n", s->name,
			eth->data->name, rte_strerror(rte_errno));
}

void
gantry_secondary_withdraw(struct gantry_secondary *s, const struct rte_eth_dev *eth)
{
	bool last = false;

	pthread_mutex_lock(&lock);
	if (s->served[eth->data->port_id]) {
		s->served[eth->data->port_id] = false;
		last = --s->n_ports == 0;
		if (last)
			TAILQ_REMOVE(&servers, s, next);
	}
	pthread_mutex_unlock(&lock);
	if (last)
		rte_mp_action_unregister(s->name);
}
