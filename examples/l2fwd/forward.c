/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Forwarding: each lcore polls its lanes and passes packets from the source port to the destination
 * port.
 *
 * Packets are gathered until there is a burst of them or the source port has no more. So one
 * doorbell serves many, and no packet waits. Called by main.c on each lcore; no other thread moves
 * packets.
 */

#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include <rte_bitops.h>
#include <rte_cycles.h>
#include <rte_ethdev.h>
#include <rte_ether.h>
#include <rte_lcore.h>
#include <rte_mbuf.h>
#include <rte_prefetch.h>
#include <rte_rcu_qsbr.h>

#include "l2fwd.h"

static volatile sig_atomic_t stopped;

/* The state of a lane on its lcore. */
struct worker_lane {
	struct l2fwd_lane *lane;
	unsigned int n; /* packets gathered */
	struct rte_mbuf *pkt[2 * L2FWD_BURST];
	struct rte_ether_addr src_mac, dst_mac;
};

void
l2fwd_stop(void)
{
	stopped = 1;
}

bool
l2fwd_stopped(void)
{
	return stopped;
}

static void
lane_update_macs(const struct worker_lane *wl, struct rte_mbuf **pkt, unsigned int n)
{
	struct rte_ether_hdr *eth;
	unsigned int i;

	for (i = 0; i < n; i++) {
		if (i + 1 < n)
			rte_prefetch0(rte_pktmbuf_mtod(pkt[i + 1], void *));
		eth = rte_pktmbuf_mtod(pkt[i], struct rte_ether_hdr *);
		rte_ether_addr_copy(&wl->dst_mac, &eth->dst_addr);
		rte_ether_addr_copy(&wl->src_mac, &eth->src_addr);
	}
}

static void
lane_flush(struct worker_lane *wl, uint64_t paused)
{
	uint16_t sent = 0;

	if (likely(!(paused & RTE_BIT64(wl->lane->dst))))
		sent = rte_eth_tx_burst(wl->lane->dst, 0, wl->pkt, wl->n);

	wl->lane->tx += sent;
	if (unlikely(sent < wl->n)) {
		wl->lane->dropped += wl->n - sent;
		rte_pktmbuf_free_bulk(wl->pkt + sent, wl->n - sent);
	}
	wl->n = 0;
}

static void
lane_poll(struct worker_lane *wl, bool mac_updating, uint64_t paused)
{
	struct rte_mbuf **pkt = wl->pkt + wl->n;
	uint16_t n = 0;

	if (likely(!(paused & RTE_BIT64(wl->lane->src))))
		n = rte_eth_rx_burst(wl->lane->src, 0, pkt, L2FWD_BURST);
	if (n > 0) {
		wl->lane->rx += n;
		wl->n += n;
		if (mac_updating)
			lane_update_macs(wl, pkt, n);
	}
	if (wl->n >= L2FWD_BURST || (n == 0 && wl->n > 0))
		lane_flush(wl, paused);
}

static unsigned int
lanes_collect(struct l2fwd_app *app, struct worker_lane *wl)
{
	unsigned int me = rte_lcore_index(rte_lcore_id()), i, n = 0;

	for (i = 0; i < app->plan.n_lanes; i++) {
		struct l2fwd_lane *lane = &app->plan.lane[i];

		if (lane->lcore != me)
			continue;
		wl[n].lane = lane;
		wl[n].n = 0;
		wl[n].dst_mac = (struct rte_ether_addr){{0x02, 0, 0, 0, 0, lane->dst}};
		rte_eth_macaddr_get(lane->dst, &wl[n].src_mac);
		n++;
		printf("lcore %u: port %u -> port %u\n", rte_lcore_id(), lane->src, lane->dst);
	}
	return n;
}

int
l2fwd_lcore(void *arg)
{
	struct worker_lane wl[L2FWD_MAX_LANES_PER_LCORE];
	struct l2fwd_app *app = arg;
	bool main_lcore = rte_lcore_id() == rte_get_main_lcore();
	uint64_t period = main_lcore ? app->opt.period * rte_get_tsc_hz() : 0;
	uint64_t next = rte_rdtsc() + period, paused;
	unsigned int me = rte_lcore_index(rte_lcore_id()), n, i;

	n = lanes_collect(app, wl);
	__atomic_add_fetch(&app->ready, 1, __ATOMIC_RELEASE);
	if (n == 0 && !main_lcore)
		return 0;
	rte_rcu_qsbr_thread_register(app->rcu, me);
	rte_rcu_qsbr_thread_online(app->rcu, me);
	while (!stopped) {
		paused = __atomic_load_n(&app->paused, __ATOMIC_ACQUIRE);
		for (i = 0; i < n; i++)
			lane_poll(&wl[i], app->opt.mac_updating, paused);
		if (n == 0)
			usleep(10000);
		if (period != 0 && rte_rdtsc() >= next) {
			l2fwd_print_ports(app, "statistics");
			next += period;
		}
		rte_rcu_qsbr_quiescent(app->rcu, me);
	}
	paused = __atomic_load_n(&app->paused, __ATOMIC_ACQUIRE);
	for (i = 0; i < n; i++)
		if (wl[i].n > 0)
			lane_flush(&wl[i], paused);
	rte_rcu_qsbr_thread_offline(app->rcu, me);
	rte_rcu_qsbr_thread_unregister(app->rcu, me);
	return 0;
}
