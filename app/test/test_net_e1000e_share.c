/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Tests queues of the 82574L driver that secondary processes poll, on the mock kernel. What the
 * primary process says is read by a thread that plays the secondary one (struct played). The part
 * of a secondary process runs in a forked child, which has the EAL's memory, but no zone.
 */

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <poll.h>
#include <unistd.h>

#include <rte_cycles.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>

#include <dmamap_mbuf.h>

#include "child.h"
#include "e1000e.h"
#include "e1000e_chip.h"
#include "e1000e_nic.h"
#include "e1000e_view.h"
#include "test.h"
#include "vfio_pci_private.h"

#define FRAME_LEN 60
#define GIVE_UP_MS 5000
#define BURST_US 100000

static struct rte_eth_dev *
nic_eth(void)
{
	return &rte_eth_devices[nic_port];
}

static struct e1000e_port *
nic_private(void)
{
	return nic_eth()->data->dev_private;
}

/* A secondary process that is played by a thread. */
struct played {
	int fd; /* its end of the connection */
	pthread_t thread;
	int rc; /* its answer */
	bool silent; /* it does not answer */
	bool dies; /* it ends when the second state comes */
	uint32_t n; /* states that came; atomic */
	uint32_t ended; /* the connection has ended; atomic */
	struct e1000e_share_msg last; /* after a call in the primary: what that said */
	unsigned int n_fds;
	int fds[GANTRY_SHARE_FDS]; /* closed when the next come */
	/* of the chip, when the last state came */
	uint32_t rctl, rdlen1;
	bool active; /* the thread runs */
};
/* The one of a case. */
static struct played p;

static void
played_close_fds(void)
{
	while (p.n_fds > 0)
		close(p.fds[--p.n_fds]);
}

static void *
played_run(void *arg)
{
	for (;;) {
		union {
			char buf[CMSG_SPACE(sizeof(p.fds))];
			struct cmsghdr align;
		} control = {0};
		struct iovec iov = {.iov_base = &p.last, .iov_len = sizeof(p.last)};
		struct msghdr head = {.msg_iov = &iov,
			.msg_iovlen = 1,
			.msg_control = control.buf,
			.msg_controllen = sizeof(control.buf)};
		struct gantry_share_answer answer;
		const struct cmsghdr *cmsg;

		if (recvmsg(p.fd, &head, 0) != sizeof(p.last))
			break;
		played_close_fds();
		cmsg = CMSG_FIRSTHDR(&head);
		if (cmsg != NULL) {
			p.n_fds = (cmsg->cmsg_len - CMSG_LEN(0)) / sizeof(int);
			memcpy(p.fds, CMSG_DATA(cmsg), p.n_fds * sizeof(int));
		}
		p.rctl = nic_reg(E1000E_RCTL);
		p.rdlen1 = nic_reg(E1000E_RDLEN(1));
		__atomic_add_fetch(&p.n, 1, __ATOMIC_SEQ_CST);
		answer = (struct gantry_share_answer){.seq = p.last.head.seq, .rc = p.rc};
		if (p.dies && p.n == 2)
			break;
		if (!p.silent)
			send(p.fd, &answer, sizeof(answer), MSG_NOSIGNAL);
	}
	__atomic_store_n(&p.ended, 1, __ATOMIC_SEQ_CST);
	shutdown(p.fd, SHUT_RDWR);
	return NULL;
}

static bool
played_wait(const uint32_t *value, uint32_t wanted)
{
	unsigned int ms;

	for (ms = 0; ms < GIVE_UP_MS; ms++) {
		if (__atomic_load_n(value, __ATOMIC_SEQ_CST) == wanted)
			return true;
		rte_delay_us_sleep(1000);
	}
	return false;
}

static int
share_setup(void)
{
	p = (struct played){0};
	return nic_setup();
}

/* Connect with the port, and wait for the first state. */
static int
played_begin(void)
{
	int fds[2];

	TEST_ASSERT_SUCCESS(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds), "sockets");
	p.fd = fds[0];
	TEST_ASSERT_SUCCESS(gantry_secondary_answer("net_gantry_e1000e", NIC, fds[1]), "attach");
	TEST_ASSERT_SUCCESS(pthread_create(&p.thread, NULL, played_run, NULL), "thread");
	p.active = true;
	TEST_ASSERT(played_wait(&p.n, 1), "no state comes");
	return 0;
}

/* The process ends. */
static void
played_end(void)
{
	p.active = false;
	shutdown(p.fd, SHUT_RDWR);
	pthread_join(p.thread, NULL);
	close(p.fd);
	played_close_fds();
}

static void
share_teardown(void)
{
	if (p.active)
		played_end();
	nic_teardown();
}

static int
a_start_hands_over_what_is_needed(void)
{
	const struct dmamap_zone *rings;
	volatile uint8_t *at;
	void *zone;
	bool same;

	TEST_ASSERT_SUCCESS(nic_probe(), "probe");
	if (played_begin() != 0)
		return TEST_FAILED;
	TEST_ASSERT(!p.last.running && p.n_fds == 0, "a port that is not started");
	if (nic_start() != 0)
		return TEST_FAILED;
	rings = nic_private()->rings;
	TEST_ASSERT_EQUAL(p.n, 2u, "%u states", p.n);
	TEST_ASSERT(p.last.running && p.n_fds == 2, "%u descriptors", p.n_fds);
	TEST_ASSERT_EQUAL(p.last.rx_open | p.last.tx_open << 4, 0x11u, "queues");
	TEST_ASSERT(nic_reg(E1000E_RCTL) == p.rctl && (p.rctl & E1000E_RCTL_EN), "too early");
	TEST_ASSERT(p.last.rings == dmamap_zone_va(rings), "place of the rings");
	TEST_ASSERT_EQUAL(p.last.rings_len, dmamap_zone_len(rings), "their length");
	zone = mmap(NULL, p.last.rings_len, PROT_READ, MAP_SHARED, p.fds[E1000E_SHARE_RINGS],
		p.last.rings_at);
	TEST_ASSERT(zone != MAP_FAILED, "rings: %s", strerror(errno));
	same = memcmp(zone, dmamap_zone_va(rings), p.last.rings_len) == 0;
	munmap(zone, p.last.rings_len);
	TEST_ASSERT(same, "other memory than the rings");
	TEST_ASSERT_EQUAL(p.last.bar.n_areas, 1u, "%u areas", p.last.bar.n_areas);
	at = mmap(NULL, p.last.bar.len, p.last.bar.prot, MAP_SHARED, p.fds[E1000E_SHARE_DEVICE],
		p.last.bar.offset);
	TEST_ASSERT(at != MAP_FAILED, "BAR: %s", strerror(errno));
	*(volatile uint32_t *)(at + E1000E_RDBAL(1)) = 0x5ca1ab1e;
	munmap((void *)(uintptr_t)at, p.last.bar.len);
	TEST_ASSERT_EQUAL(nic_reg(E1000E_RDBAL(1)), 0x5ca1ab1eu, "another BAR");
	played_end();
	return nic_no_fault();
}

static int
the_primary_describes_bars_that_can_be_mapped(void)
{
	struct vfio_pci_bar_map map;

	TEST_ASSERT_SUCCESS(nic_probe(), "probe");
	TEST_ASSERT_SUCCESS(vfio_pci_bar_describe(nic_on_bus(), 0, &map), "BAR 0");
	TEST_ASSERT(map.n_areas == 1 && map.area[0].start == 0 && map.area[0].last == map.len - 1,
		"%u areas", map.n_areas);
	TEST_ASSERT_EQUAL(map.prot, PROT_READ | PROT_WRITE, "%d", map.prot);
	TEST_ASSERT_SUCCESS(vfio_pci_bar_describe(nic_on_bus(), 3, &map), "BAR 3");
	TEST_ASSERT(map.n_areas == 1 && map.area[0].start == 4096, "the MSI-X table is mapped");
	TEST_ASSERT_EQUAL(vfio_pci_bar_describe(nic_on_bus(), 1, &map), -ENOTSUP, "absent");
	TEST_ASSERT_EQUAL(vfio_pci_bar_describe(nic_on_bus(), 6, &map), -EINVAL, "BAR 6");
	TEST_ASSERT_EQUAL(vfio_pci_bar_import(nic_on_bus(), 1, &map, 0), -EEXIST, "imported");
	vfio_pci_bars_drop(nic_on_bus());
	TEST_ASSERT_NOT_NULL((void *)(uintptr_t)nic_on_bus()->bar[0].addr, "it was dropped");
	return nic_no_fault();
}

static int
a_stop_takes_everything_back_first(void)
{
	if (nic_start_two() != 0 || played_begin() != 0)
		return TEST_FAILED;
	TEST_ASSERT(p.last.running && p.n_fds == 2, "a process that comes late");
	TEST_ASSERT_EQUAL(p.last.rx_open | p.last.tx_open << 4, 0x33u, "queues");
	TEST_ASSERT_SUCCESS(rte_eth_dev_stop(nic_port), "stop");
	TEST_ASSERT(!p.last.running && p.n_fds == 0, "stopped");
	TEST_ASSERT(p.last.rx_open == 0 && p.last.tx_open == 0, "queues are left");
	TEST_ASSERT(p.rctl & E1000E_RCTL_EN, "the chip was stopped before");
	TEST_ASSERT_SUCCESS(rte_eth_dev_start(nic_port), "start");
	TEST_ASSERT(p.last.running && p.last.rx_open == 3, "started again");
	TEST_ASSERT_SUCCESS(rte_eth_dev_stop(nic_port), "stop");
	TEST_ASSERT_SUCCESS(rte_eth_dev_close(nic_port), "close");
	TEST_ASSERT(p.last.head.closed && !p.last.running, "it is not told of the end");
	TEST_ASSERT(played_wait(&p.ended, 1), "the connection stays");
	played_end();
	return nic_no_fault();
}

static int
a_queue_is_taken_back_before_it_stops(void)
{
	if (nic_start_two() != 0 || played_begin() != 0)
		return TEST_FAILED;
	TEST_ASSERT_SUCCESS(rte_eth_dev_rx_queue_stop(nic_port, 1), "stop");
	TEST_ASSERT(p.last.running && p.last.rx_open == 1 && p.last.tx_open == 3, "Rx 1");
	TEST_ASSERT(p.rdlen1 != 0, "its ring was taken away before");
	TEST_ASSERT_SUCCESS(rte_eth_dev_rx_queue_start(nic_port, 1), "start");
	TEST_ASSERT(p.last.rx_open == 3 && p.rdlen1 != 0, "Rx 1 again");
	TEST_ASSERT_SUCCESS(rte_eth_dev_tx_queue_stop(nic_port, 0), "stop");
	TEST_ASSERT(p.last.rx_open == 3 && p.last.tx_open == 2, "Tx 0");
	TEST_ASSERT_SUCCESS(rte_eth_dev_tx_queue_start(nic_port, 0), "start");
	TEST_ASSERT(p.last.tx_open == 3, "Tx 0 again");
	played_end();
	return nic_no_fault();
}

static int
a_queue_that_cannot_stop_is_handed_back(void)
{
	struct rte_mbuf *m;

	if (nic_start_two() != 0 || played_begin() != 0)
		return TEST_FAILED;
	chip_stall(true);
	m = rte_pktmbuf_alloc(nic_pool);
	memset(rte_pktmbuf_append(m, FRAME_LEN), 0, FRAME_LEN);
	TEST_ASSERT_EQUAL(rte_eth_tx_burst(nic_port, 1, &m, 1), 1, "send");
	test_log_begin();
	TEST_ASSERT_EQUAL(rte_eth_dev_tx_queue_stop(nic_port, 1), -EBUSY, "stopped");
	TEST_ASSERT(test_logged("that the chip does not send"), "line");
	TEST_ASSERT(p.n == 3 && p.last.tx_open == 3, "%u states", p.n);
	chip_stall(false);
	played_end();
	return nic_no_fault();
}

static int
a_silent_process_is_named_and_left_out(void)
{
	p.silent = true;
	if (nic_start_two() != 0 || played_begin() != 0)
		return TEST_FAILED;
	test_log_begin();
	TEST_ASSERT_SUCCESS(rte_eth_dev_stop(nic_port), "stop");
	TEST_ASSERT(test_logged("does not answer within 2 s: it may hold the queues"), "line");
	TEST_ASSERT(played_wait(&p.ended, 1), "it is still connected");
	test_log_begin();
	TEST_ASSERT_SUCCESS(rte_eth_dev_start(nic_port), "start");
	TEST_ASSERT_EQUAL(strlen(test_log_end()), 0u, "%s", test_log_end());
	TEST_ASSERT_EQUAL(p.n, 2u, "%u states", p.n);
	played_end();
	return nic_no_fault();
}

static int
a_process_that_cannot_follow_is_named(void)
{
	p.rc = -ENOTSUP;
	if (nic_start_two() != 0 || played_begin() != 0)
		return TEST_FAILED;
	TEST_ASSERT_SUCCESS(rte_eth_dev_rx_queue_stop(nic_port, 1), "stop");
	test_log_begin();
	TEST_ASSERT_SUCCESS(rte_eth_dev_rx_queue_start(nic_port, 1), "start");
	TEST_ASSERT(test_logged("cannot use the queues, see its log"), "line");
	TEST_ASSERT_EQUAL(p.n, 3u, "it is not told any more");
	played_end();
	return nic_no_fault();
}

static int
a_process_that_has_ended_is_forgotten(void)
{
	if (nic_start_two() != 0 || played_begin() != 0)
		return TEST_FAILED;
	played_end();
	test_log_begin();
	TEST_ASSERT_SUCCESS(rte_eth_dev_stop(nic_port), "stop");
	TEST_ASSERT_EQUAL(strlen(test_log_end()), 0u, "%s", test_log_end());
	TEST_ASSERT(LIST_EMPTY(&nic_private()->share.peers), "it is on the list");
	return nic_no_fault();
}

static int
a_process_that_ends_meanwhile_is_not_waited_for(void)
{
	p.dies = true;
	if (nic_start_two() != 0 || played_begin() != 0)
		return TEST_FAILED;
	test_log_begin();
	TEST_ASSERT_SUCCESS(rte_eth_dev_stop(nic_port), "stop");
	TEST_ASSERT_EQUAL(strlen(test_log_end()), 0u, "%s", test_log_end());
	TEST_ASSERT(LIST_EMPTY(&nic_private()->share.peers), "it is on the list");
	played_end();
	return nic_no_fault();
}

/* Secondary processes read counters and settings of a queue without asking. */
static int
a_queue_that_is_set_up_again_stays_where_it_is(void)
{
	const struct e1000e_rxq *rxq;
	const struct e1000e_txq *txq;

	if (nic_start_two() != 0)
		return TEST_FAILED;
	rxq = nic_eth()->data->rx_queues[1];
	txq = nic_eth()->data->tx_queues[1];
	TEST_ASSERT_SUCCESS(rte_eth_dev_rx_queue_stop(nic_port, 1), "stop");
	TEST_ASSERT_SUCCESS(rte_eth_dev_tx_queue_stop(nic_port, 1), "stop");
	TEST_ASSERT_SUCCESS(
		rte_eth_rx_queue_setup(nic_port, 1, E1000E_MAX_DESC, 0, NULL, nic_pool), "set up");
	TEST_ASSERT_SUCCESS(
		rte_eth_tx_queue_setup(nic_port, 1, E1000E_MAX_DESC, 0, NULL), "set up");
	TEST_ASSERT(nic_eth()->data->rx_queues[1] == rxq, "another receive queue");
	TEST_ASSERT(nic_eth()->data->tx_queues[1] == txq, "another transmit queue");
	TEST_ASSERT_EQUAL(rxq->n_desc, E1000E_MAX_DESC, "%u", rxq->n_desc);
	TEST_ASSERT_EQUAL(txq->n_desc, E1000E_MAX_DESC, "%u", txq->n_desc);
	return nic_no_fault();
}

/** @name In the child
 * A failed step is told by the line of the step in stderr, and by an exit status.
 */
/**@{*/
static struct vfio_pci_inner child_dev;
static struct rte_eth_dev *child_eth;
static unsigned int child_removals;
static uint32_t child_bursts; /* of other threads, that run; atomic */

#define CHILD_CHECK(cond)                                                                          \
	do {                                                                                       \
		if (!(cond)) {                                                                     \
			fprintf(stderr, "child: line %d: not true: %s\n", __LINE__, #cond);        \
			return 1;                                                                  \
		}                                                                                  \
	} while (0)

static int
count_removal(uint16_t port, enum rte_eth_event_type event, void *arg, void *ret)
{
	child_removals++;
	return 0;
}

/* Forget what only the primary process has. */
static void
child_become_secondary(bool rings_are_free)
{
	const struct e1000e_port *port = nic_private();

	child_eth = nic_eth();
	/* fork(2) leaves zones out. */
	if (!rings_are_free &&
		mmap(dmamap_zone_va(port->rings), 1, PROT_NONE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED)
		test_child_exit(3);
	e1000e_bar[nic_port] = NULL;
	strcpy(child_dev.dev.name, NIC);
	child_eth->device = &child_dev.dev.device;
	child_eth->process_private = NULL;
	rte_eth_dev_callback_register(nic_port, RTE_ETH_EVENT_INTR_RMV, count_removal, NULL);
}

/* Handle the next message. */
static void
child_handle(int fd)
{
	struct pollfd pollfd = {.fd = fd, .events = POLLIN};

	poll(&pollfd, 1, GIVE_UP_MS);
	gantry_view_handle(child_eth->process_private);
}

static unsigned int
child_receive(uint16_t q)
{
	struct rte_mbuf *m[8];
	unsigned int n = rte_eth_rx_burst(nic_port, q, m, RTE_DIM(m));

	rte_pktmbuf_free_bulk(m, n);
	return n;
}

static unsigned int
child_send(uint16_t q)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(nic_pool);
	unsigned int n;

	memset(rte_pktmbuf_append(m, FRAME_LEN), 0x5A, FRAME_LEN);
	n = rte_eth_tx_prepare(nic_port, q, &m, 1);
	n = n == 1 ? rte_eth_tx_burst(nic_port, q, &m, 1) : 2;
	if (n == 0)
		rte_pktmbuf_free(m);
	return n;
}

static bool
child_has_nothing(void)
{
	const struct e1000e_port *port = nic_private();

	return e1000e_bar[nic_port] == NULL && child_dev.dev.bar[0].addr == NULL &&
		test_range_access(dmamap_zone_va(port->rings), dmamap_zone_len(port->rings)) ==
		-1 &&
		child_receive(1) == 0 && child_send(1) == 0 &&
		rte_eth_rx_queue_count(nic_port, 1) == 0 &&
		rte_eth_rx_descriptor_status(nic_port, 1, 0) == RTE_ETH_RX_DESC_UNAVAIL &&
		rte_eth_tx_descriptor_status(nic_port, 1, 0) == RTE_ETH_TX_DESC_UNAVAIL &&
		e1000e_view_done_cleanup(child_eth->data->tx_queues[1], 0) == 0;
}

/* A port with a frame in receive queue 1. The queue stops; the port stops, starts, is closed. */
static int
child_lives_with_the_primary(int fd)
{
	unsigned int tail = nic_reg(E1000E_TDT(1));

	child_become_secondary(true);
	CHILD_CHECK(e1000e_view_start(child_eth, fd) == 0);
	CHILD_CHECK(rte_eth_rx_queue_count(nic_port, 1) == 1);
	CHILD_CHECK(rte_eth_rx_descriptor_status(nic_port, 1, 0) == RTE_ETH_RX_DESC_DONE);
	CHILD_CHECK(child_receive(1) == 1);
	CHILD_CHECK(child_receive(1) == 0);
	CHILD_CHECK(child_send(1) == 1);
	CHILD_CHECK(nic_reg(E1000E_TDT(1)) == tail + 1);
	CHILD_CHECK(rte_eth_tx_descriptor_status(nic_port, 1, 255) == RTE_ETH_TX_DESC_FULL);
	CHILD_CHECK(e1000e_view_done_cleanup(child_eth->data->tx_queues[1], 0) == 0);
	CHILD_CHECK(nic_reg(E1000E_TDT(1)) == tail + 2); /* it asked for a report */
	child_handle(fd); /* Rx 1 stops */
	CHILD_CHECK(child_receive(1) == 0 && child_send(1) == 1);
	child_handle(fd); /* the port stops */
	CHILD_CHECK(child_has_nothing());
	child_handle(fd); /* it starts */
	CHILD_CHECK(child_send(1) == 1);
	CHILD_CHECK(child_removals == 0 && !gantry_view_gone(child_eth));
	child_handle(fd); /* it stops */
	child_handle(fd); /* it is closed */
	CHILD_CHECK(e1000e_bar[nic_port] == NULL && child_receive(1) == 0 && child_send(1) == 0);
	CHILD_CHECK(child_removals == 1 && gantry_view_gone(child_eth));
	gantry_view_detach(child_eth);
	return 0;
}

static int
child_sees_the_primary_die(int fd)
{
	child_become_secondary(true);
	CHILD_CHECK(e1000e_view_start(child_eth, fd) == 0);
	CHILD_CHECK(child_receive(1) == 1 && child_send(1) == 1);
	test_log_begin();
	child_handle(fd);
	CHILD_CHECK(test_logged("the primary process has ended: port"));
	CHILD_CHECK(child_removals == 1 && gantry_view_gone(child_eth));
	CHILD_CHECK(child_has_nothing());
	gantry_view_handle(child_eth->process_private); /* once only */
	CHILD_CHECK(child_removals == 1);
	gantry_view_detach(child_eth);
	return 0;
}

/* A burst of another thread, which has marked its queue and runs for a while. */
static void *
child_burst(void *busy)
{
	rte_delay_us_sleep(BURST_US);
	__atomic_store_n(&child_bursts, child_bursts - 1, __ATOMIC_SEQ_CST);
	__atomic_store_n((uint32_t *)busy, 0, __ATOMIC_SEQ_CST);
	return NULL;
}

static int
child_waits_for_bursts(int fd)
{
	struct e1000e_view_rxq *rxq;
	struct e1000e_view_txq *txq;
	uint32_t *busy[3];
	pthread_t thread;
	unsigned int i;

	child_become_secondary(true);
	CHILD_CHECK(e1000e_view_start(child_eth, fd) == 0);
	rxq = rte_eth_fp_ops[nic_port].rxq.data[0];
	txq = rte_eth_fp_ops[nic_port].txq.data[1];
	busy[0] = &rxq->busy;
	busy[1] = &txq->busy;
	busy[2] = &txq->preparing;
	for (i = 0; i < RTE_DIM(busy); i++) {
		/* The primary stops and starts the port each time. */
		child_bursts = 1;
		*busy[i] = 1;
		CHILD_CHECK(pthread_create(&thread, NULL, child_burst, busy[i]) == 0);
		CHILD_CHECK(child_send(0) == 1); /* go on */
		child_handle(fd);
		CHILD_CHECK(__atomic_load_n(&child_bursts, __ATOMIC_SEQ_CST) == 0);
		pthread_join(thread, NULL);
		child_handle(fd);
	}
	return 0;
}

static int
child_may_open_no_file(int fd)
{
	const struct rlimit none = {.rlim_cur = 1, .rlim_max = 1}; /* poll(2) takes one */

	child_become_secondary(true);
	CHILD_CHECK(e1000e_view_start(child_eth, fd) == 0);
	CHILD_CHECK(child_send(0) == 1); /* go on */
	child_handle(fd); /* the port stops */
	CHILD_CHECK(setrlimit(RLIMIT_NOFILE, &none) == 0);
	test_log_begin();
	child_handle(fd); /* it starts */
	CHILD_CHECK(test_logged("too many are open: raise ulimit -n"));
	CHILD_CHECK(child_has_nothing());
	return 0;
}

static int
child_finds_the_addresses_taken(int fd)
{
	child_become_secondary(false);
	test_log_begin();
	CHILD_CHECK(e1000e_view_start(child_eth, fd) == 0);
	CHILD_CHECK(test_logged("are taken in this process: start it again"));
	CHILD_CHECK(e1000e_bar[nic_port] == NULL && child_dev.dev.bar[0].addr == NULL);
	CHILD_CHECK(child_receive(1) == 0 && child_send(1) == 0);
	return 0;
}

static int
child_has_no_part_in_the_pool(int fd)
{
	child_become_secondary(true);
	test_log_begin();
	CHILD_CHECK(e1000e_view_start(child_eth, fd) == 0);
	CHILD_CHECK(test_logged("receive queue 1: this process has no part in the memory of pool"));
	CHILD_CHECK(child_receive(1) == 0 && child_receive(0) == 1 && child_send(1) == 1);
	return 0;
}
/**@}*/

/* Fork a child with a connection to the port. @return its process; *fd: its end */
static pid_t
child_begin(int (*run)(int fd))
{
	int fds[2];
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) < 0)
		return -1;
	fflush(stdout);
	/* The child must not have the primary's end. */
	pid = fork();
	if (pid == 0) {
		char go;

		close(fds[1]);
		/* A first byte says that the primary is connected; the state follows. */
		if (recv(fds[0], &go, 1, 0) != 1)
			test_child_exit(2);
		test_child_exit(run(fds[0]));
	}
	close(fds[0]);
	if (pid > 0 &&
		(send(fds[1], "g", 1, 0) != 1 ||
			gantry_secondary_answer("net_gantry_e1000e", NIC, fds[1]) < 0))
		return -1;
	return pid;
}

static int
child_end(pid_t pid)
{
	int status;

	TEST_ASSERT_EQUAL(waitpid(pid, &status, 0), pid, "%s", strerror(errno));
	TEST_ASSERT(WIFEXITED(status), "signal %d", WTERMSIG(status));
	TEST_ASSERT_EQUAL(WEXITSTATUS(status), 0, "%d, see above", WEXITSTATUS(status));
	return 0;
}

/* Wait until the child has sent on a queue. */
static bool
tail_of(uint16_t q, uint32_t wanted)
{
	unsigned int ms;

	for (ms = 0; ms < GIVE_UP_MS && nic_reg(E1000E_TDT(q)) != wanted; ms++)
		rte_delay_us_sleep(1000);
	return nic_reg(E1000E_TDT(q)) == wanted;
}

static int
a_secondary_process_sends_and_receives(void)
{
	const char *said;
	pid_t pid;
	int rc;

	if (nic_start_two() != 0)
		return TEST_FAILED;
	TEST_ASSERT_EQUAL(chip_receive(1, FRAME_LEN, 11), 1, "queue");
	pid = child_begin(child_lives_with_the_primary);
	TEST_ASSERT(pid > 0, "fork");
	test_log_begin();
	TEST_ASSERT(tail_of(1, 2), "it sends nothing");
	rc = rte_eth_dev_rx_queue_stop(nic_port, 1);
	TEST_ASSERT(rc == 0 && tail_of(1, 3), "%d: it sends nothing beside a stopped queue", rc);
	TEST_ASSERT_SUCCESS(rte_eth_dev_stop(nic_port), "stop");
	TEST_ASSERT_EQUAL(rte_mempool_avail_count(nic_pool), NIC_MBUFS, "mbufs are lost");
	TEST_ASSERT_SUCCESS(rte_eth_dev_start(nic_port), "start");
	TEST_ASSERT(tail_of(1, 1), "it sends nothing after a start");
	TEST_ASSERT_SUCCESS(rte_eth_dev_stop(nic_port), "stop");
	TEST_ASSERT_SUCCESS(rte_eth_dev_close(nic_port), "close");
	said = test_log_end();
	TEST_ASSERT_NULL(strstr(said, "secondary process"), "%s", said);
	return child_end(pid);
}

static int
the_death_of_the_primary_is_noticed(void)
{
	pid_t pid;

	if (nic_start_two() != 0)
		return TEST_FAILED;
	TEST_ASSERT_EQUAL(chip_receive(1, FRAME_LEN, 11), 1, "queue");
	pid = child_begin(child_sees_the_primary_die);
	TEST_ASSERT(pid > 0, "fork");
	TEST_ASSERT(tail_of(1, 1), "it sends nothing");
	gantry_share_end(&nic_private()->share);
	return child_end(pid);
}

static int
a_stop_waits_for_bursts(void)
{
	unsigned int i;
	pid_t pid;

	if (nic_start_two() != 0)
		return TEST_FAILED;
	pid = child_begin(child_waits_for_bursts);
	TEST_ASSERT(pid > 0, "fork");
	for (i = 0; i < 3; i++) {
		TEST_ASSERT(tail_of(0, 1), "it sends nothing");
		TEST_ASSERT_SUCCESS(rte_eth_dev_stop(nic_port), "stop");
		TEST_ASSERT_SUCCESS(rte_eth_dev_start(nic_port), "start");
	}
	return child_end(pid);
}

static int
files_that_do_not_come_are_told(void)
{
	pid_t pid;

	if (nic_start_two() != 0)
		return TEST_FAILED;
	pid = child_begin(child_may_open_no_file);
	TEST_ASSERT(pid > 0, "fork");
	TEST_ASSERT(tail_of(0, 1), "it sends nothing");
	TEST_ASSERT_SUCCESS(rte_eth_dev_stop(nic_port), "stop");
	test_log_begin();
	TEST_ASSERT_SUCCESS(rte_eth_dev_start(nic_port), "start");
	TEST_ASSERT(test_logged("cannot use the queues, see its log"), "line");
	return child_end(pid);
}

static int
taken_addresses_are_told(void)
{
	pid_t pid;

	if (nic_start_two() != 0)
		return TEST_FAILED;
	pid = child_begin(child_finds_the_addresses_taken);
	TEST_ASSERT(pid > 0, "fork");
	return child_end(pid);
}

static int
a_pool_that_is_not_shared_is_refused(void)
{
	struct rte_mempool *pool;
	pid_t pid;
	int rc;

	if (nic_start_two() != 0)
		return TEST_FAILED;
	pool = dmamap_pktmbuf_pool_create(
		nic_container(), "zone", 255, 0, 0, RTE_MBUF_DEFAULT_BUF_SIZE, SOCKET_ID_ANY);
	TEST_ASSERT_NOT_NULL(pool, "pool");
	TEST_ASSERT_SUCCESS(rte_eth_dev_rx_queue_stop(nic_port, 1), "stop");
	TEST_ASSERT_SUCCESS(rte_eth_rx_queue_setup(nic_port, 1, NIC_DESC, 0, NULL, pool), "set up");
	TEST_ASSERT_SUCCESS(rte_eth_dev_rx_queue_start(nic_port, 1), "start");
	TEST_ASSERT_EQUAL(chip_receive(0, FRAME_LEN, 10), 0, "queue");
	TEST_ASSERT_EQUAL(chip_receive(1, FRAME_LEN, 11), 1, "queue");
	pid = child_begin(child_has_no_part_in_the_pool);
	rc = pid > 0 ? child_end(pid) : TEST_FAILED;
	rte_eth_dev_stop(nic_port);
	rte_eth_dev_close(nic_port);
	rte_mempool_free(pool);
	return rc;
}

static const struct test_case cases[] = {
	{"a start hands over what is needed", a_start_hands_over_what_is_needed},
	{"the primary describes BARs that can be mapped",
		the_primary_describes_bars_that_can_be_mapped},
	{"a stop takes everything back first", a_stop_takes_everything_back_first},
	{"a queue is taken back before it stops", a_queue_is_taken_back_before_it_stops},
	{"a queue that cannot stop is handed back", a_queue_that_cannot_stop_is_handed_back},
	{"a silent process is named and left out", a_silent_process_is_named_and_left_out},
	{"a process that cannot follow is named", a_process_that_cannot_follow_is_named},
	{"a process that has ended is forgotten", a_process_that_has_ended_is_forgotten},
	{"a process that ends meanwhile is not waited for",
		a_process_that_ends_meanwhile_is_not_waited_for},
	{"a queue that is set up again stays where it is",
		a_queue_that_is_set_up_again_stays_where_it_is},
	{"a secondary process sends and receives", a_secondary_process_sends_and_receives},
	{"the death of the primary is noticed", the_death_of_the_primary_is_noticed},
	{"a stop waits for bursts", a_stop_waits_for_bursts},
	{"files that do not come are told", files_that_do_not_come_are_told},
	{"taken addresses are told", taken_addresses_are_told},
	{"a pool that is not shared is refused", a_pool_that_is_not_shared_is_refused},
};

REGISTER_TEST_SUITE(net_e1000e_share) = {
	.name = "net_e1000e_share",
	.kind = TEST_FAST,
	.cases = cases,
	.n_cases = RTE_DIM(cases),
	.setup = share_setup,
	.teardown = share_teardown,
	.needs_eal = true,
};
