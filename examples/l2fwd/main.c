/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * gantry-l2fwd, a forwarder between Ethernet ports: options, EAL, plan, buffers, ports and
 * forwarding, in that order, and everything undone in reverse.
 *
 * Errors are one line on the standard error output.
 */

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_ethdev.h>
#include <rte_launch.h>
#include <rte_lcore.h>

#include "l2fwd.h"

#define DESCRIPTORS 1024

static struct l2fwd_app app = {.nb_rxd = DESCRIPTORS, .nb_txd = DESCRIPTORS};

static void
signal_cb(int number)
{
	l2fwd_stop();
}

static void
catch_signals(void)
{
	struct sigaction sa = {.sa_handler = signal_cb};

	sigaction(SIGINT, &sa, NULL);
	sigaction(SIGTERM, &sa, NULL);
}

static uint64_t
available_ports(void)
{
	uint64_t mask = 0;
	uint16_t port;

	RTE_ETH_FOREACH_DEV(port)
		if (port < L2FWD_MAX_PORTS)
			mask |= RTE_BIT64(port);
	return mask;
}

/*
 * Run from the plan to the final table, with the ports' lock except while it forwards. @return 0;
 * negative errno and app.err: forwarding did not begin
 */
static int
app_run(void)
{
	int rc;

	rc = l2fwd_plan(&app.opt, available_ports(), rte_lcore_count(), &app.plan, &app.err);
	if (rc < 0)
		return rc;
	rc = l2fwd_pool_create(&app);
	if (rc < 0)
		return rc;
	rc = l2fwd_ports_start(&app);
	if (rc < 0)
		goto free_pool;

	rc = l2fwd_moves_begin(&app);
	if (rc < 0)
		goto stop_ports;

	l2fwd_ports_unlock();
	l2fwd_ports_wait_link(&app);
	printf("gantry-l2fwd: forwarding; stop with Ctrl-C\n");
	fflush(stdout);
	rte_eal_mp_remote_launch(l2fwd_lcore, &app, CALL_MAIN);
	rte_eal_mp_wait_lcore();
	l2fwd_ports_lock();
	l2fwd_moves_end(&app);

	l2fwd_print_ports(&app, "final statistics");
	l2fwd_print_containers(&app);
stop_ports:
	l2fwd_ports_stop(&app);
free_pool:
	l2fwd_pool_free(&app);
	return rc;
}

/* Parse the program's own options, after "--", before the EAL starts: a mistake costs no start. */
static int
read_options(int argc, char **argv)
{
	int i;

	for (i = 1; i < argc && strcmp(argv[i], "--") != 0; i++)
		if (strcmp(argv[i], "-h") == 0 || strcmp(argv[i], "--help") == 0)
			return 1;
	if (i >= argc) {
		snprintf(app.err.line, sizeof(app.err.line),
			"the program's options come after \"--\": gantry-l2fwd [EAL options] -- -p 0x3");
		return -EINVAL;
	}
	return l2fwd_parse(argc - i, argv + i, &app.opt, &app.err);
}

int
main(int argc, char **argv)
{
	int rc = read_options(argc, argv);

	if (rc > 0) {
		fputs(l2fwd_usage(), stdout);
		return EXIT_SUCCESS;
	}
	if (rc < 0) {
		l2fwd_log("%s", app.err.line);
		return EXIT_FAILURE;
	}

	catch_signals();
	if (rte_eal_init(argc, argv) < 0) {
		l2fwd_log("rte_eal_init() failed: %s",
			rte_errno != 0 ? rte_strerror(rte_errno) : "see the lines above");
		return EXIT_FAILURE;
	}
	/* Until the process ends: its telemetry still answers, and nobody may read a closed port.
	 */
	l2fwd_ports_lock();
	rc = app_run();
	if (rc < 0)
		l2fwd_log("%s", app.err.line);
	rte_eal_cleanup();
	return rc < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
