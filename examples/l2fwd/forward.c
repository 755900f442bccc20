/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * How does a packet get from one port to the other? Each lcore polls its lanes; packets gather
 * until there is a burst of them or the source port has no more, so a doorbell serves many and none
 * waits.
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

/* What an lcore keeps for a lane while it runs. */
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
update_macs(const struct worker_lane *wl, struct rte_mbuf **pkt, unsigned int n)
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
flush(struct worker_lane *wl, uint64_t away)
{
	uint16_t sent = 0;

	if (likely(!(away & RTE_BIT64(wl->lane->dst))))
		sent = rte_eth_tx_burst(wl->lane->dst, 0, wl->pkt, wl->n);

	wl->lane->tx += sent;
	if (unlikely(sent < wl->n)) {
		wl->lane->dropped += wl->n - sent;
		rte_pktmbuf_free_bulk(wl->pkt + sent, wl->n - sent);
	}
	wl->n = 0;
}

static void
poll_lane(struct worker_lane *wl, bool mac_updating, uint64_t away)
{
	struct rte_mbuf **pkt = wl->pkt + wl->n;
	uint16_t n = 0;

	if (likely(!(away & RTE_BIT64(wl->lane->src))))
		n = rte_eth_rx_burst(wl->lane->src, 0, pkt, L2FWD_BURST);
	if (n > 0) {
		wl->lane->rx += n;
		wl->n += n;
		if (mac_updating)
			update_macs(wl, pkt, n);
	}
	if (wl->n >= L2FWD_BURST || (n == 0 && wl->n > 0))
		flush(wl, away);
}

static unsigned int
gather_lanes(struct l2fwd_app *app, struct worker_lane *wl)
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
	uint64_t next = rte_rdtsc() + period, away;
	unsigned int me = rte_lcore_index(rte_lcore_id()), n, i;

	n = gather_lanes(app, wl);
	__atomic_add_fetch(&app->ready, 1, __ATOMIC_RELEASE);
	if (n == 0 && !main_lcore)
		return 0;
	rte_rcu_qsbr_thread_register(app->rcu, me);
	rte_rcu_qsbr_thread_online(app->rcu, me);
	while (!stopped) {
		away = __atomic_load_n(&app->away, __ATOMIC_ACQUIRE);
		for (i = 0; i < n; i++)
			poll_lane(&wl[i], app->opt.mac_updating, away);
		if (n == 0)
			usleep(10000);
		if (period != 0 && rte_rdtsc() >= next) {
			l2fwd_print_ports(app, "statistics");
			next += period;
		}
		rte_rcu_qsbr_quiescent(app->rcu, me);
	}
	away = __atomic_load_n(&app->away, __ATOMIC_ACQUIRE);
	for (i = 0; i < n; i++)
		if (wl[i].n > 0)
			flush(&wl[i], away);
	rte_rcu_qsbr_thread_offline(app->rcu, me);
	rte_rcu_qsbr_thread_unregister(app->rcu, me);
	return 0;
}
