/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * What does the user want? Reads a port's parameters; touches no device.
 */

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <netinet/in.h>

#include <rte_kvargs.h>
#include <rte_string_fns.h>

#include "af_xdp.h"

#define DEFAULT_CONTAINER "af_xdp"

/* A parameter: how its value is read. @return 0, or what is wrong with it */
struct param {
	const char *key;
	const char *(*read)(const char *value, struct af_xdp_args *args);
};

static const char *
read_number(const char *value, unsigned long least, unsigned long most, uint16_t *number)
{
	static char wrong[64];
	unsigned long n;
	char *end;

	errno = 0;
	n = strtoul(value, &end, 10);
	if (value[0] < '0' || value[0] > '9' || *end != '\0' || errno != 0 || n < least ||
		n > most) {
		snprintf(wrong, sizeof(wrong), "is no number from %lu to %lu", least, most);
		return wrong;
	}
	*number = n;
	return NULL;
}

static const char *
read_bool(const char *value, bool *yes)
{
	uint16_t number;

	if (read_number(value, 0, 1, &number) != NULL)
		return "is neither 0 nor 1";
	*yes = number;
	return NULL;
}

static const char *
read_choice(const char *value, enum af_xdp_choice *choice)
{
	bool yes;

	if (read_bool(value, &yes) != NULL)
		return "is neither 0 nor 1; without it, 1 is tried before 0";
	*choice = yes ? AF_XDP_YES : AF_XDP_NO;
	return NULL;
}

static const char *
read_iface(const char *value, struct af_xdp_args *args)
{
	if (value[0] == '\0' || rte_strscpy(args->iface, value, sizeof(args->iface)) < 0)
		return "is no name of a netdev";
	return NULL;
}

static const char *
read_container(const char *value, struct af_xdp_args *args)
{
	if (value[0] == '\0' || rte_strscpy(args->container, value, sizeof(args->container)) < 0)
		return "is no name of a container";
	return NULL;
}

static const char *
read_start_queue(const char *value, struct af_xdp_args *args)
{
	return read_number(value, 0, 1023, &args->start_queue);
}

static const char *
read_queue_count(const char *value, struct af_xdp_args *args)
{
	return read_number(value, 1, AF_XDP_MAX_QUEUES, &args->n_queues);
}

static const char *
read_busy_budget(const char *value, struct af_xdp_args *args)
{
	return read_number(value, 0, UINT16_MAX, &args->busy_budget);
}

static const char *
read_zero_copy(const char *value, struct af_xdp_args *args)
{
	return read_choice(value, &args->zero_copy);
}

static const char *
read_native(const char *value, struct af_xdp_args *args)
{
	return read_choice(value, &args->native);
}

static const char *
read_shared_umem(const char *value, struct af_xdp_args *args)
{
	return read_bool(value, &args->shared_umem);
}

static const char *
read_need_wakeup(const char *value, struct af_xdp_args *args)
{
	return read_bool(value, &args->need_wakeup);
}

/* PROTO or PROTO:PORT. */
static const char *
read_rule(char *text, struct af_xdp_rule *rule)
{
	static const struct {
		const char *name;
		uint16_t ether_type, proto;
		bool ports;
	} known[] = {
		{"arp", RTE_ETHER_TYPE_ARP, 0, false},
		{"ipv4", RTE_ETHER_TYPE_IPV4, 0, false},
		{"ipv6", RTE_ETHER_TYPE_IPV6, 0, false},
		{"icmp", 0, IPPROTO_ICMP, false},
		{"icmp6", 0, IPPROTO_ICMPV6, false},
		{"tcp", 0, IPPROTO_TCP, true},
		{"udp", 0, IPPROTO_UDP, true},
		{"sctp", 0, IPPROTO_SCTP, true},
	};
	char *port = strchr(text, ':'), *end;
	unsigned long type;
	unsigned int i;

	if (port != NULL)
		*port++ = '\0';
	for (i = 0; i < RTE_DIM(known); i++) {
		if (strcmp(known[i].name, text) != 0)
			continue;
		rule->ether_type = known[i].ether_type;
		rule->proto = known[i].proto;
		if (port == NULL)
			return NULL;
		return known[i].ports ? read_number(port, 1, UINT16_MAX, &rule->port)
				      : "gives a port to a protocol without ports";
	}
	type = strtoul(text, &end, 16);
	if (strncmp(text, "0x", 2) == 0 && *end == '\0' && port == NULL && type >= 0x600 &&
		type <= UINT16_MAX) {
		rule->ether_type = type;
		return NULL;
	}
	return "wants of each kind of frame arp, ipv4, ipv6, icmp, icmp6, an ether type 0x600 to 0xffff, or"
	       " tcp, udp, sctp with or without :PORT; kinds are joined by +";
}

static const char *
read_steer(const char *value, struct af_xdp_args *args)
{
	char text[256], *rest = text, *word;
	const char *wrong;

	if (rte_strscpy(text, value, sizeof(text)) < 0)
		return "is too long";
	while ((word = strsep(&rest, "+")) != NULL) {
		if (args->steer.n_rules == AF_XDP_STEER_MAX)
			return "names more than " RTE_STR(AF_XDP_STEER_MAX) " kinds of frames";
		wrong = read_rule(word, &args->steer.rule[args->steer.n_rules++]);
		if (wrong != NULL)
			return wrong;
	}
	return NULL;
}

static const struct param params[] = {
	{"iface", read_iface},
	{"container", read_container},
	{"start_queue", read_start_queue},
	{"queue_count", read_queue_count},
	{"busy_budget", read_busy_budget},
	{"zero_copy", read_zero_copy},
	{"native", read_native},
	{"shared_umem", read_shared_umem},
	{"need_wakeup", read_need_wakeup},
	{"steer", read_steer},
};

static int
check_args(const char *name, const struct af_xdp_args *args)
{
	if (args->iface[0] == '\0') {
		AF_XDP_LOG(ERR, name, "which netdev? Name it: iface=eth0");
		return -EINVAL;
	}
	if (args->start_queue + args->n_queues > 1024) {
		AF_XDP_LOG(ERR, name, "queues %u to %u: there are none beyond 1023",
			args->start_queue, args->start_queue + args->n_queues - 1);
		return -EINVAL;
	}
	if (args->native == AF_XDP_NO && args->zero_copy == AF_XDP_YES) {
		AF_XDP_LOG(ERR, name, "zero_copy=1 needs the driver's XDP; leave native=0 out");
		return -EINVAL;
	}
	return 0;
}

static int
read_pair(const char *name, const struct rte_kvargs_pair *pair, struct af_xdp_args *args)
{
	const char *wrong = "is not known; known are iface, container, start_queue, queue_count,"
			    " zero_copy, native, shared_umem, need_wakeup, busy_budget, steer";
	unsigned int i;

	for (i = 0; i < RTE_DIM(params); i++) {
		if (strcmp(params[i].key, pair->key) != 0)
			continue;
		wrong = pair->value == NULL ? "has no value" : params[i].read(pair->value, args);
		break;
	}
	if (wrong == NULL)
		return 0;
	AF_XDP_LOG(ERR, name, "%s=%s %s", pair->key, pair->value == NULL ? "" : pair->value, wrong);
	return -EINVAL;
}

int
af_xdp_args_parse(const char *name, const char *text, struct af_xdp_args *args)
{
	struct rte_kvargs *kvargs = rte_kvargs_parse(text == NULL ? "" : text, NULL);
	unsigned int i, j;
	int rc = 0;

	*args = (struct af_xdp_args){
		.container = DEFAULT_CONTAINER,
		.n_queues = 1,
		.shared_umem = true,
		.need_wakeup = true,
	};
	if (kvargs == NULL) {
		AF_XDP_LOG(ERR, name, "\"%s\" is no list of KEY=VALUE", text);
		return -EINVAL;
	}
	for (i = 0; i < kvargs->count && rc == 0; i++) {
		for (j = 0; j < i && rc == 0; j++)
			if (strcmp(kvargs->pairs[i].key, kvargs->pairs[j].key) == 0) {
				AF_XDP_LOG(ERR, name, "%s= is given twice", kvargs->pairs[i].key);
				rc = -EINVAL;
			}
		if (rc == 0)
			rc = read_pair(name, &kvargs->pairs[i], args);
	}
	rte_kvargs_free(kvargs);
	return rc < 0 ? rc : check_args(name, args);
}
