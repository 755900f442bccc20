/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * The command line, and the plan of lanes that follows from it.
 *
 * An error is one line, and names the option. Nothing here touches a port, so tests run it with
 * tables of cases. Called by main.c.
 */

#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_bitops.h>

#include "l2fwd.h"

enum { OPT_PORTMAP = 256, OPT_MAC, OPT_NO_MAC };

static const struct option long_options[] = {
	{"portmap", required_argument, NULL, OPT_PORTMAP},
	{"mac-updating", no_argument, NULL, OPT_MAC},
	{"no-mac-updating", no_argument, NULL, OPT_NO_MAC},
	{"help", no_argument, NULL, 'h'},
	{NULL, 0, NULL, 0},
};

const char *
l2fwd_usage(void)
{
	return "usage: gantry-l2fwd [EAL options] -- -p PORTMASK [options]\n"
	       "  -p PORTMASK         ports to use, hexadecimal: 0x3 is ports 0 and 1\n"
	       "  -q NQ               ports that one lcore polls (1)\n"
	       "  -T PERIOD           seconds between two tables, 0 for none (10)\n"
	       "  -P                  promiscuous mode\n"
	       "  --portmap=\"(A,B),(C,D)\"\n"
	       "                      which ports are joined; all ports of the mask (neighbours)\n"
	       "  --[no-]mac-updating write the MAC addresses of forwarded frames (yes): source is that of\n"
	       "                      the port, destination 02:00:00:00:00:PORT\n"
	       "  -h, --help          print this\n";
}

static int __rte_format_printf(2, 3) error_set(struct l2fwd_error *err, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(err->line, sizeof(err->line), fmt, ap);
	va_end(ap);
	return -EINVAL;
}

/* Parse a number in [min, max]. Nothing may follow it. @return 0, or -EINVAL */
static int
parse_number(const char *text, int base, uint64_t min, uint64_t max, uint64_t *value)
{
	char *end;

	/* strtoull() takes blanks and a minus sign. */
	if (!isxdigit((unsigned char)text[0]))
		return -EINVAL;
	errno = 0;
	*value = strtoull(text, &end, base);
	if (errno != 0 || *end != '\0' || *value < min || *value > max)
		return -EINVAL;
	return 0;
}

/* Parse "(0,1),(2,3)". The comma between pairs is optional. */
static int
parse_portmap(const char *text, struct l2fwd_options *opt, struct l2fwd_error *err)
{
	const char *p = text;
	unsigned int a, b;
	int used;

	opt->n_pairs = 0;
	do {
		used = 0;
		if (sscanf(p, "(%4u,%4u)%n", &a, &b, &used) != 2 || used == 0 || p[1] == '-')
			return error_set(
				err, "--portmap: \"%s\" is not of the form \"(0,1),(2,3)\"", text);
		if (a >= L2FWD_MAX_PORTS || b >= L2FWD_MAX_PORTS)
			return error_set(err,
				"--portmap: port %u is beyond the last possible port, %u",
				RTE_MAX(a, b), L2FWD_MAX_PORTS - 1);
		if (opt->n_pairs == L2FWD_MAX_PORTS / 2)
			return error_set(err, "--portmap: more pairs than there can be ports");
		opt->pair[opt->n_pairs].a = a;
		opt->pair[opt->n_pairs].b = b;
		opt->n_pairs++;
		p += used;
		if (p[0] == ',' && p[1] != '\0')
			p++;
	} while (*p != '\0');
	return 0;
}

static int
parse_option(int c, struct l2fwd_options *opt, struct l2fwd_error *err)
{
	uint64_t value;

	switch (c) {
	case 'p':
		if (parse_number(optarg, 16, 1, UINT64_MAX, &opt->portmask) < 0)
			return error_set(
				err, "-p %s: invalid mask of ports: 0x3 is ports 0 and 1", optarg);
		return 0;
	case 'q':
		if (parse_number(optarg, 10, 1, L2FWD_MAX_LANES_PER_LCORE, &value) < 0)
			return error_set(err, "-q %s: not a number of ports from 1 to %u", optarg,
				L2FWD_MAX_LANES_PER_LCORE);
		opt->lanes_per_lcore = value;
		return 0;
	case 'T':
		if (parse_number(optarg, 10, 0, L2FWD_MAX_PERIOD, &value) < 0)
			return error_set(err, "-T %s: not a number of seconds from 0 to %u", optarg,
				L2FWD_MAX_PERIOD);
		opt->period = value;
		return 0;
	case 'P':
		opt->promiscuous = true;
		return 0;
	case OPT_PORTMAP:
		return parse_portmap(optarg, opt, err);
	case OPT_MAC:
	case OPT_NO_MAC:
		opt->mac_updating = c == OPT_MAC;
		return 0;
	case ':':
		return error_set(err, "missing value of an option: see --help");
	default:
		return error_set(err, "unknown option: see --help");
	}
}

int
l2fwd_parse(int argc, char **argv, struct l2fwd_options *opt, struct l2fwd_error *err)
{
	int c, rc;

	*opt = (struct l2fwd_options){.lanes_per_lcore = 1, .period = 10, .mac_updating = true};
	opterr = 0;
	optind = 0; /* glibc: restart the scan, whatever was parsed before */
	while ((c = getopt_long(argc, argv, ":hp:q:T:P", long_options, NULL)) != -1) {
		if (c == 'h')
			return 1;
		rc = parse_option(c, opt, err);
		if (rc < 0) {
			/* Name the option that getopt_long() refused. */
			if ((c == '?' || c == ':') && optind > 0 && argv[optind - 1] != NULL)
				error_set(err,
					c == '?' ? "%s: unknown option: see --help"
						 : "%s: missing value: see --help",
					argv[optind - 1]);
			return rc;
		}
	}
	if (optind < argc)
		return error_set(err, "\"%s\" is not an option: see --help", argv[optind]);
	if (opt->portmask == 0)
		return error_set(err, "no ports given: name them with -p PORTMASK, such as -p 0x3");
	return 0;
}

static void
plan_add_lane(struct l2fwd_plan *plan, uint16_t src, uint16_t dst)
{
	plan->lane[plan->n_lanes++] = (struct l2fwd_lane){.src = src, .dst = dst};
}

/* Pair neighbours in the mask. The last of an odd number is paired with itself. */
static void
pair_neighbour_ports(const struct l2fwd_options *opt, uint16_t *dst)
{
	int prev = -1;
	uint16_t port;

	for (port = 0; port < L2FWD_MAX_PORTS; port++) {
		if (!(opt->portmask & RTE_BIT64(port)))
			continue;
		dst[port] = port;
		if (prev < 0) {
			prev = port;
			continue;
		}
		dst[port] = prev;
		dst[prev] = port;
		prev = -1;
	}
}

static int
pair_ports_by_map(const struct l2fwd_options *opt, uint16_t *dst, struct l2fwd_error *err)
{
	uint64_t left = opt->portmask;
	unsigned int i, end;

	for (i = 0; i < opt->n_pairs; i++) {
		uint16_t port[2] = {opt->pair[i].a, opt->pair[i].b};

		for (end = 0; end < 2; end++) {
			if (!(opt->portmask & RTE_BIT64(port[end])))
				return error_set(err,
					"--portmap: port %u is not in the mask 0x%" PRIx64,
					port[end], opt->portmask);
			if (!(left & RTE_BIT64(port[end])) && !(end == 1 && port[0] == port[1]))
				return error_set(
					err, "--portmap: port %u is in two pairs", port[end]);
			left &= ~RTE_BIT64(port[end]);
			dst[port[end]] = port[1 - end];
		}
	}
	if (left != 0)
		return error_set(err, "--portmap: port %u of the mask 0x%" PRIx64 " is in no pair",
			(unsigned int)rte_bsf64(left), opt->portmask);
	return 0;
}

int
l2fwd_plan(const struct l2fwd_options *opt, uint64_t available, unsigned int n_lcores,
	struct l2fwd_plan *plan, struct l2fwd_error *err)
{
	uint16_t dst[L2FWD_MAX_PORTS];
	unsigned int i, need;
	uint64_t missing = opt->portmask & ~available;
	int rc = 0;

	memset(plan, 0, sizeof(*plan));
	if (available == 0) {
		error_set(err,
			"there is no Ethernet port: name devices with -a or --vdev, and"
			" their drivers with -d");
		return -ENODEV;
	}
	if (missing != 0) {
		error_set(err,
			"-p 0x%" PRIx64
			": there is no port %u: the mask of all ports is 0x%" PRIx64,
			opt->portmask, (unsigned int)rte_bsf64(missing), available);
		return -ENODEV;
	}

	if (opt->n_pairs > 0)
		rc = pair_ports_by_map(opt, dst, err);
	else
		pair_neighbour_ports(opt, dst);
	if (rc < 0)
		return rc;
	for (i = 0; i < L2FWD_MAX_PORTS; i++)
		if (opt->portmask & RTE_BIT64(i))
			plan_add_lane(plan, i, dst[i]);

	need = (plan->n_lanes + opt->lanes_per_lcore - 1) / opt->lanes_per_lcore;
	if (need > n_lcores)
		return error_set(err,
			"%u ports at -q %u need %u lcores, and there are %u: raise -q, or"
			" give more cores with -l",
			plan->n_lanes, opt->lanes_per_lcore, need, n_lcores);
	for (i = 0; i < plan->n_lanes; i++)
		plan->lane[i].lcore = i / opt->lanes_per_lcore;
	return 0;
}
