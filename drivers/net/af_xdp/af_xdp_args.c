/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * A port's arguments. A value is valid or refused with one log line. Called by af_xdp_ethdev.c at
 * probe; touches no device.
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

/* A parameter. read() stores its value. @return NULL, or what is expected instead */
struct param {
	const char *key;
	const char *(*read)(const char *value, struct af_xdp_args *args);
};

static const char *
param_read_number(const char *value, unsigned long least, unsigned long most, uint16_t *number)
{
	static char expected[64];
	unsigned long n;
	char *end;

	errno = 0;
	n = strtoul(value, &end, 10);
	if (value[0] < '0' || value[0] > '9' || *end != '\0' || errno != 0 || n < least ||
		n > most) {
		snprintf(expected, sizeof(expected), "a number from %lu to %lu", least, most);
		return expected;
	}
	*number = n;
	return NULL;
}

static const char *
param_read_bool(const char *value, bool *yes)
{
	uint16_t number;

	if (param_read_number(value, 0, 1, &number) != NULL)
		return "0 or 1";
	*yes = number;
	return NULL;
}

static const char *
param_read_choice(const char *value, enum af_xdp_choice *choice)
{
	bool yes;

	if (param_read_bool(value, &yes) != NULL)
		return "0 or 1 (without it, 1 is tried before 0)";
	*choice = yes ? AF_XDP_YES : AF_XDP_NO;
	return NULL;
}

static const char *
param_read_iface(const char *value, struct af_xdp_args *args)
{
	if (value[0] == '\0' || rte_strscpy(args->iface, value, sizeof(args->iface)) < 0)
		return "the name of a netdev";
	return NULL;
}

static const char *
param_read_container(const char *value, struct af_xdp_args *args)
{
	if (value[0] == '\0' || rte_strscpy(args->container, value, sizeof(args->container)) < 0)
		return "the name of a container";
	return NULL;
}

static const char *
param_read_start_queue(const char *value, struct af_xdp_args *args)
{
	return param_read_number(value, 0, 1023, &args->start_queue);
}

static const char *
param_read_queue_count(const char *value, struct af_xdp_args *args)
{
	return param_read_number(value, 1, AF_XDP_MAX_QUEUES, &args->n_queues);
}

static const char *
param_read_busy_budget(const char *value, struct af_xdp_args *args)
{
	return param_read_number(value, 0, UINT16_MAX, &args->busy_budget);
}

static const char *
param_read_zero_copy(const char *value, struct af_xdp_args *args)
{
	return param_read_choice(value, &args->zero_copy);
}

static const char *
param_read_native(const char *value, struct af_xdp_args *args)
{
	return param_read_choice(value, &args->native);
}

static const char *
param_read_shared_umem(const char *value, struct af_xdp_args *args)
{
	return param_read_bool(value, &args->shared_umem);
}

static const char *
param_read_need_wakeup(const char *value, struct af_xdp_args *args)
{
	return param_read_bool(value, &args->need_wakeup);
}

/* PROTO or PROTO:PORT. */
static const char *
param_read_rule(char *text, struct af_xdp_rule *rule)
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
		return known[i].ports ? param_read_number(port, 1, UINT16_MAX, &rule->port)
				      : "no port after a protocol without ports";
	}
	type = strtoul(text, &end, 16);
	if (strncmp(text, "0x", 2) == 0 && *end == '\0' && port == NULL && type >= 0x600 &&
		type <= UINT16_MAX) {
		rule->ether_type = type;
		return NULL;
	}
	return "arp, ipv4, ipv6, icmp, icmp6, an ether type from 0x600 to 0xffff, or tcp, udp, sctp with"
	       " or without :PORT, joined by +";
}

static const char *
param_read_steer(const char *value, struct af_xdp_args *args)
{
	char text[256], *rest = text, *word;
	const char *expected;

	if (rte_strscpy(text, value, sizeof(text)) < 0)
		return "at most 255 characters";
	while ((word = strsep(&rest, "+")) != NULL) {
		if (args->steer.n_rules == AF_XDP_STEER_MAX)
			return "at most " RTE_STR(AF_XDP_STEER_MAX) " kinds of frames";
		expected = param_read_rule(word, &args->steer.rule[args->steer.n_rules++]);
		if (expected != NULL)
			return expected;
	}
	return NULL;
}

static const char *
param_read_use_pinned_map(const char *value, struct af_xdp_args *args)
{
	return param_read_bool(value, &args->use_pinned_map);
}

static const char *
param_read_use_cni(const char *value, struct af_xdp_args *args)
{
	return param_read_bool(value, &args->use_cni);
}

static const char *
param_read_dp_path(const char *value, struct af_xdp_args *args)
{
	if (value[0] == '\0' || rte_strscpy(args->dp_path, value, sizeof(args->dp_path)) < 0)
		return "the path of a pinned map or of a socket";
	return NULL;
}

static const struct param params[] = {
	{"iface", param_read_iface},
	{"container", param_read_container},
	{"start_queue", param_read_start_queue},
	{"queue_count", param_read_queue_count},
	{"busy_budget", param_read_busy_budget},
	{"zero_copy", param_read_zero_copy},
	{"native", param_read_native},
	{"shared_umem", param_read_shared_umem},
	{"need_wakeup", param_read_need_wakeup},
	{"steer", param_read_steer},
	{"use_pinned_map", param_read_use_pinned_map},
	{"use_cni", param_read_use_cni},
	{"dp_path", param_read_dp_path},
};

/* Check the parameters of a map that somebody else provides, with its XDP program. */
static int
args_check_map(const char *name, const struct af_xdp_args *args)
{
	if (args->use_pinned_map && args->use_cni)
		return AF_XDP_FAIL(EINVAL, name,
			"use_pinned_map=1 and use_cni=1 exclude each other: give one of them");
	if (args->dp_path[0] != '\0' && !af_xdp_args_foreign(args))
		return AF_XDP_FAIL(EINVAL, name,
			"dp_path= is the path of a map or of a socket: add use_pinned_map=1 or"
			" use_cni=1");
	if (af_xdp_args_foreign(args) && (args->steer.n_rules > 0 || args->native != AF_XDP_AUTO))
		return AF_XDP_FAIL(EINVAL, name,
			"%s= is for the port's own XDP program, and %s=1 leaves that to another:"
			" leave one of them out",
			args->steer.n_rules > 0 ? "steer" : "native",
			args->use_cni ? "use_cni" : "use_pinned_map");
	return 0;
}

static int
args_check(const char *name, const struct af_xdp_args *args)
{
	if (args->iface[0] == '\0')
		return AF_XDP_FAIL(EINVAL, name, "no netdev given: add iface=, such as iface=eth0");
	if (args->start_queue + args->n_queues > 1024)
		return AF_XDP_FAIL(EINVAL, name, "invalid queues %u to %u: expected at most 1023",
			args->start_queue, args->start_queue + args->n_queues - 1);
	if (args->native == AF_XDP_NO && args->zero_copy == AF_XDP_YES)
		return AF_XDP_FAIL(
			EINVAL, name, "zero_copy=1 needs the driver's XDP: leave native=0 out");
	return args_check_map(name, args);
}

static int
args_read_pair(const char *name, const struct rte_kvargs_pair *pair, struct af_xdp_args *args)
{
	const char *value = pair->value != NULL ? pair->value : "", *expected;
	unsigned int i;

	for (i = 0; i < RTE_DIM(params); i++) {
		if (strcmp(params[i].key, pair->key) != 0)
			continue;
		expected = pair->value == NULL ? "a value" : params[i].read(value, args);
		if (expected == NULL)
			return 0;
		return AF_XDP_FAIL(EINVAL, name, "invalid argument %s=%s: expected %s", pair->key,
			value, expected);
	}
	return AF_XDP_FAIL(EINVAL, name,
		"unknown argument \"%s\": known are iface, container, start_queue, queue_count,"
		" zero_copy, native, shared_umem, need_wakeup, busy_budget, steer, use_pinned_map,"
		" use_cni, dp_path",
		pair->key);
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
	if (kvargs == NULL)
		return AF_XDP_FAIL(
			EINVAL, name, "arguments \"%s\" are not of the form key=value,...", text);
	for (i = 0; i < kvargs->count && rc == 0; i++) {
		for (j = 0; j < i && rc == 0; j++)
			if (strcmp(kvargs->pairs[i].key, kvargs->pairs[j].key) == 0) {
				AF_XDP_LOG(ERR, name, "the argument \"%s\" is given twice",
					kvargs->pairs[i].key);
				rc = -EINVAL;
			}
		if (rc == 0)
			rc = args_read_pair(name, &kvargs->pairs[i], args);
	}
	rte_kvargs_free(kvargs);
	return rc < 0 ? rc : args_check(name, args);
}
