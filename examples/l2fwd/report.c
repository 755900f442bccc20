/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Reports: the table of ports, the state of their containers, and error lines. Called by all files
 * of the program, the table on the main lcore.
 */

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include <rte_bitops.h>
#include <rte_dev.h>
#include <rte_ethdev.h>

#include <dmamap.h>

#include "l2fwd.h"

/* A line of the table. */
struct row {
	uint64_t rx, tx, dropped, errors;
};

void
l2fwd_log(const char *fmt, ...)
{
	char line[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	fflush(stdout);
	fprintf(stderr, "gantry-l2fwd: %s\n", line);
}

static void
print_row(const char *port, const char *name, const struct row *row)
{
	printf("%5s  %-24.24s %14" PRIu64 " %14" PRIu64 " %12" PRIu64 " %10" PRIu64 "\n", port,
		name, row->rx, row->tx, row->dropped, row->errors);
}

/*
 * Fill in the counters of a port: received from it, sent to it, not accepted by it, and its own
 * errors.
 */
static void
fill_row(const struct l2fwd_app *app, uint16_t port, struct row *row)
{
	struct rte_eth_stats stats;
	unsigned int i;

	*row = (struct row){0};
	for (i = 0; i < app->plan.n_lanes; i++) {
		const struct l2fwd_lane *lane = &app->plan.lane[i];

		if (lane->src == port)
			row->rx = lane->rx;
		if (lane->dst == port) {
			row->tx = lane->tx;
			row->dropped = lane->dropped;
		}
	}
	/*
	 * Do not read a paused port: it may be unplugged. port_pause() waits for an lcore that
	 * prints.
	 */
	if (!(__atomic_load_n(&app->paused, __ATOMIC_ACQUIRE) & RTE_BIT64(port)) &&
		rte_eth_stats_get(port, &stats) == 0)
		row->errors = stats.ierrors + stats.oerrors + stats.imissed + stats.rx_nombuf;
}

void
l2fwd_print_ports(const struct l2fwd_app *app, const char *title)
{
	char number[8], name[RTE_ETH_NAME_MAX_LEN];
	struct row row, total = {0};
	unsigned int i;

	if (isatty(STDOUT_FILENO))
		printf("\033[2J\033[1;1H");
	printf("%s\n%5s  %-24s %14s %14s %12s %10s\n", title, "port", "device", "rx", "tx",
		"dropped", "errors");
	for (i = 0; i < app->plan.n_lanes; i++) {
		uint16_t port = app->plan.lane[i].src;

		fill_row(app, port, &row);
		snprintf(number, sizeof(number), "%u", port);
		if (rte_eth_dev_get_name_by_port(port, name) < 0)
			snprintf(name, sizeof(name), "(gone)");
		print_row(number, name, &row);
		total.rx += row.rx;
		total.tx += row.tx;
		total.dropped += row.dropped;
		total.errors += row.errors;
	}
	print_row("total", "", &total);
	fflush(stdout);
}

static const char *
backend_name(enum dmamap_backend backend)
{
	switch (backend) {
	case DMAMAP_BACKEND_TYPE1:
		return "type1";
	case DMAMAP_BACKEND_IOMMUFD:
		return "iommufd";
	case DMAMAP_BACKEND_NOIOMMU:
		return "noiommu";
	default:
		return "no backend yet";
	}
}

static void
print_container(const struct dmamap_container *c)
{
	struct dmamap_container_info info;
	unsigned int i;

	if (dmamap_container_info(c, &info) < 0)
		return;
	printf("container %s: %s, %u domain%s, %u group%s, %u device%s, %s\n",
		dmamap_container_name(c), backend_name(info.backend), info.n_domains,
		info.n_domains == 1 ? "" : "s", info.n_groups, info.n_groups == 1 ? "" : "s",
		info.n_devices, info.n_devices == 1 ? "" : "s",
		info.coherent ? "coherent" : "not coherent");
	printf("  usable IOVA ranges:");
	for (i = 0; i < RTE_MIN(info.n_ranges, RTE_DIM(info.ranges)); i++)
		printf(" 0x%" PRIx64 "-0x%" PRIx64, info.ranges[i].start, info.ranges[i].last);
	printf("\n  mappings: %" PRIu64 ", %" PRIu64 " bytes; entries left: ", info.n_mappings,
		info.mapped_len);
	if (info.entries_left == UINT64_MAX)
		printf("no limit known");
	else
		printf("%" PRIu64, info.entries_left);
	printf("\n  map calls: %" PRIu64 "; unmap calls: %" PRIu64 "\n", info.map_calls,
		info.unmap_calls);
}

void
l2fwd_print_containers(const struct l2fwd_app *app)
{
	struct dmamap_container *seen[L2FWD_MAX_PORTS], *c;
	struct rte_eth_dev_info info;
	unsigned int i, j, n = 0;

	for (i = 0; i < app->plan.n_lanes; i++) {
		if (rte_eth_dev_info_get(app->plan.lane[i].src, &info) < 0 || info.device == NULL)
			continue;
		c = dmamap_container_by_device(rte_dev_name(info.device));
		for (j = 0; j < n && seen[j] != c; j++)
			;
		if (c == NULL || j < n) {
			dmamap_container_put(c);
			continue;
		}
		seen[n++] = c;
		print_container(c);
	}
	while (n > 0)
		dmamap_container_put(seen[--n]);
	fflush(stdout);
}
