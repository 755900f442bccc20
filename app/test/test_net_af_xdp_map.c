/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Tests of ports on a pinned map that somebody else provides, with an XDP program of its own.
 * lib/veth_port.h has the netdevs and frames, lib/foreign_map.h the program and the map.
 */

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <linux/capability.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include <bpf/bpf.h>
#include <ethdev_driver.h>
#include <rte_bus_vdev.h>
#include <rte_eal.h>
#include <rte_ethdev.h>

#include <dmamap.h>

#include "af_xdp.h"
#include "foreign_map.h"
#include "peek.h"
#include "private_bpffs.h"
#include "test.h"
#include "veth_port.h"

#define N_ENTRIES 8
/* For the pool of a port, in bytes, and not for two. */
#define MEMLOCK_NEEDED (8U << 20)

static char args[256];

static int
setup(void)
{
	int rc = veth_setup();

	if (rc == 0)
		rc = bpffs_setup();
	if (rc != 0)
		return rc;
	TEST_ASSERT_SUCCESS(foreign_make(N_ENTRIES), "program and map");
	TEST_ASSERT_SUCCESS(foreign_attach("near"), "attach");
	return 0;
}

static void
teardown(void)
{
	foreign_drop();
	bpffs_teardown();
	veth_teardown();
}

/* @return arguments of a port on what is at a path */
static const char *
args_of(const char *path)
{
	snprintf(args, sizeof(args), "iface=near,use_pinned_map=1,dp_path=%s", path);
	return args;
}

/* @return arguments of a port on the map, which is pinned unless it was before */
static const char *
args_pinned(const char *more)
{
	if (bpffs_pin(foreign.map_fd, "xsks_map") == NULL && errno != EEXIST)
		return "iface=not-pinned";
	snprintf(args, sizeof(args), "iface=near,use_pinned_map=1,dp_path=%s/xsks_map%s", bpffs_dir,
		more);
	return args;
}

static struct af_xdp_port *
private_data(void)
{
	return rte_eth_devices[veth.port].data->dev_private;
}

static int
frames_cross(void)
{
	TEST_ASSERT_SUCCESS(veth_port_start(args_pinned(""), 1), "start");
	TEST_ASSERT_EQUAL(foreign_has_entry(0), 1, "the socket is not in the map");
	if (veth_both_ways(60, 160) < 0 || veth_stop_whole() < 0)
		return -1;
	TEST_ASSERT(foreign_is_attached("near"), "the program is gone after the stop");
	TEST_ASSERT_EQUAL(foreign_has_entry(0), 0, "the entry stays");
	veth_port_drop();
	TEST_ASSERT(foreign_is_attached("near"), "the program is gone after the close");
	return 0;
}

static int
two_queues(void)
{
	uint16_t q;

	TEST_ASSERT_SUCCESS(veth_port_start(args_pinned(",queue_count=2"), 2), "start");
	for (q = 0; q < 2; q++) {
		TEST_ASSERT_EQUAL(foreign_has_entry(q), 1, "queue %u is not in the map", q);
		if (veth_port_sends(q, q) < 0 || veth_port_gets(q, 10 + q) < 0)
			return -1;
	}
	if (veth_stop_whole() < 0)
		return -1;
	for (q = 0; q < 2; q++)
		TEST_ASSERT_EQUAL(foreign_has_entry(q), 0, "queue %u stays in the map", q);
	return 0;
}

/* The key is the queue's number in the netdev, not that in the port. */
static int
a_later_queue(void)
{
	TEST_ASSERT_SUCCESS(veth_port_start(args_pinned(",start_queue=1"), 1), "start");
	TEST_ASSERT_EQUAL(foreign_has_entry(0), 0, "an entry for queue 0");
	TEST_ASSERT_EQUAL(foreign_has_entry(1), 1, "no entry for queue 1");
	TEST_ASSERT_SUCCESS(veth_peer_send_on(1, 200, 5), "send");
	TEST_ASSERT_NOT_NULL(veth_port_receive(&(uint16_t){0}), "the frame did not come");
	return 0;
}

/* A queue that only transmits stays out of the map. */
static int
a_queue_without_receiving(void)
{
	TEST_ASSERT_SUCCESS(veth_port_add(args_pinned(",queue_count=2"), VETH_N_MBUFS), "add");
	TEST_ASSERT_SUCCESS(veth_port_configure(1, 2, NULL), "configure");
	TEST_ASSERT_SUCCESS(rte_eth_dev_start(veth.port), "start");
	TEST_ASSERT_EQUAL(foreign_has_entry(0), 1, "no entry for queue 0");
	TEST_ASSERT_EQUAL(foreign_has_entry(1), 0, "an entry for queue 1");
	return veth_port_sends(1, 1) < 0 ? -1 : veth_stop_whole();
}

/* Refuse these arguments with this line, and leave nothing. */
static int
refuses(const char *devargs, int err, const char *said)
{
	unsigned int files = test_open_files();
	int rc;

	test_log_begin();
	rc = rte_vdev_init(VETH_DEVICE, devargs);
	TEST_ASSERT(test_logged(said), "%s", devargs);
	TEST_ASSERT_EQUAL(rc, -err, "%s: %d", devargs, rc);
	TEST_ASSERT(rte_eth_dev_get_port_by_name(VETH_DEVICE, &veth.port) < 0, "a port is left");
	TEST_ASSERT_NULL(peek(dmamap_container_by_name("af_xdp")), "a container is left");
	TEST_ASSERT_EQUAL(test_open_files(), files, "%s: %u files instead of %u", devargs,
		test_open_files(), files);
	return 0;
}

static int
wrong_parameters(void)
{
	static const struct {
		const char *args, *said;
	} bad[] = {
		{"iface=near,use_pinned_map=1,use_cni=1,dp_path=/x", "exclude each other"},
		{"iface=near,dp_path=/x", "add use_pinned_map=1 or use_cni=1"},
		{"iface=near,dp_path=/x,use_cni=0", "add use_pinned_map=1 or use_cni=1"},
		{"iface=near,use_pinned_map=1,dp_path=", "expected the path of a pinned map or"},
		{"iface=near,use_pinned_map=yes",
			"invalid argument use_pinned_map=yes: expected 0"},
		{"iface=near,use_cni=2", "invalid argument use_cni=2: expected 0 or 1"},
		{"iface=near,use_pinned_map=1,dp_path=/x,steer=arp",
			"steer= is for the port's own XDP program, and use_pinned_map=1 leaves"},
		{"iface=near,use_cni=1,dp_path=/x,native=1",
			"native= is for the port's own XDP program, and use_cni=1 leaves"},
		{"iface=near,use_cni=1,dp_path=/x,native=0", "native= is for"},
	};
	unsigned int i;

	for (i = 0; i < RTE_DIM(bad); i++)
		if (refuses(bad[i].args, EINVAL, bad[i].said) < 0)
			return -1;
	/* Both switched off is as without them. */
	TEST_ASSERT_SUCCESS(
		veth_port_add("iface=near,use_pinned_map=0,use_cni=0", VETH_N_MBUFS), "off");
	return 0;
}

static int
wrong_objects(void)
{
	int array = bpf_map_create(BPF_MAP_TYPE_ARRAY, "array", 4, 4, 4, NULL);
	int hash = bpf_map_create(BPF_MAP_TYPE_HASH, "hash", 64, 64, 4, NULL);
	int rc;

	TEST_ASSERT(array >= 0 && hash >= 0, "maps");
	rc = refuses(args_of(bpffs_pin(array, "array")), EINVAL, "is not an XSKMAP");
	if (rc == 0)
		rc = refuses(args_of(bpffs_pin(hash, "hash")), EINVAL, "is not an XSKMAP");
	close(array);
	close(hash);
	if (rc < 0)
		return -1;
	if (refuses(args_of(bpffs_pin(foreign.prog_fd, "prog")), EINVAL,
		    "is not an XSKMAP: name the map that the XDP program of near redirects to") < 0)
		return -1;
	if (refuses(args_of("/nowhere/xsks_map"), ENOENT,
		    "the pinned map /nowhere/xsks_map cannot be opened: No such file or directory:"
		    " pin it there, or name it by dp_path=") < 0)
		return -1;
	return refuses(args_of("/proc/self/exe"), EACCES, "it must be pinned in a bpffs");
}

/* A kind of program whose number is that of an XSKMAP among kinds of maps. */
static int
a_program_like_a_map(void)
{
	const struct bpf_insn insns[] = {
		{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0},
		{.code = BPF_JMP | BPF_EXIT},
	};
	int fd, rc;

	_Static_assert((int)BPF_PROG_TYPE_RAW_TRACEPOINT == (int)BPF_MAP_TYPE_XSKMAP, "numbers");
	fd = bpf_prog_load(BPF_PROG_TYPE_RAW_TRACEPOINT, "like_a_map", "BSD", insns, 2, NULL);
	if (fd < 0)
		return test_skip("this kernel has no raw tracepoints: %s", strerror(errno));
	rc = refuses(args_of(bpffs_pin(fd, "like_a_map")), EINVAL, "is not an XSKMAP");
	close(fd);
	return rc;
}

static int
a_map_too_small(void)
{
	char said[256];

	foreign_drop();
	TEST_ASSERT_SUCCESS(foreign_make(1), "map with one entry");
	if (refuses(args_pinned(",queue_count=2"), EINVAL,
		    "has no entry for queue 1, only for 0 to 0: choose others with start_queue=") <
		0)
		return -1;
	snprintf(said, sizeof(said), "the map of %s/xsks_map has no entry for queue 1", bpffs_dir);
	if (refuses(args_pinned(",start_queue=1"), EINVAL, said) < 0)
		return -1;
	TEST_ASSERT_SUCCESS(veth_port_start(args_pinned(""), 1), "one queue in one entry");
	TEST_ASSERT_EQUAL(foreign_has_entry(0), 1, "no entry");
	return veth_stop_whole();
}

static int
an_entry_of_somebody_else(void)
{
	int rival = foreign_set_entry(1);

	TEST_ASSERT(rival >= 0, "rival: %s", strerror(-rival));
	TEST_ASSERT_SUCCESS(veth_port_add(args_pinned(",queue_count=2"), VETH_N_MBUFS), "add");
	TEST_ASSERT_SUCCESS(veth_port_configure(2, 2, NULL), "configure");
	test_log_begin();
	TEST_ASSERT_EQUAL(rte_eth_dev_start(veth.port), -EEXIST, "started");
	TEST_ASSERT_NOT_NULL(
		strstr(test_log_end(), "/xsks_map has the socket of another program there: end"),
		"%s", test_log_end());
	TEST_ASSERT_EQUAL(foreign_has_entry(0), 0, "an entry of the start that failed");
	TEST_ASSERT(foreign_entry_is(1, rival), "the rival's entry is gone");
	TEST_ASSERT_EQUAL(rte_mempool_avail_count(veth.pool), veth.pool->size, "mbufs");
	close(rival);
	TEST_ASSERT_SUCCESS(rte_eth_dev_start(veth.port), "start without the rival");
	return veth_port_gets(1, 3) < 0 ? -1 : veth_stop_whole();
}

/* A socket that somebody puts in our place by force stays there. */
static int
an_entry_that_is_taken(void)
{
	int rival;

	TEST_ASSERT_SUCCESS(veth_port_start(args_pinned(",queue_count=2"), 2), "start");
	rival = foreign_set_entry(0);
	TEST_ASSERT(rival >= 0, "rival: %s", strerror(-rival));
	test_log_begin();
	if (veth_stop_whole() < 0)
		return -1;
	TEST_ASSERT(
		test_logged("queue 0: another program has taken its entry in the map of"), "line");
	TEST_ASSERT(foreign_entry_is(0, rival), "the rival's entry is gone");
	TEST_ASSERT_EQUAL(foreign_has_entry(1), 0, "our entry stays");
	close(rival);
	return 0;
}

/* As if a secondary process that hangs had the socket: its close removes nothing. */
static int
a_socket_that_is_open_elsewhere(void)
{
	int fd, entry;

	TEST_ASSERT_SUCCESS(veth_port_start(args_pinned(""), 1), "start");
	fd = dup(private_data()->queue[0].rx.fd);
	TEST_ASSERT(fd >= 0, "dup");
	TEST_ASSERT_SUCCESS(rte_eth_dev_stop(veth.port), "stop");
	entry = foreign_has_entry(0);
	close(fd);
	TEST_ASSERT_EQUAL(entry, 0, "the entry stays: %d", entry);
	return 0;
}

static int
restarts(void)
{
	unsigned int i, files;

	TEST_ASSERT_SUCCESS(veth_port_start(args_pinned(""), 1), "start");
	for (i = 0; i < 3; i++) {
		if (veth_both_ways(100, 110) < 0 || veth_stop_whole() < 0)
			return -1;
		TEST_ASSERT_EQUAL(foreign_has_entry(0), 0, "the entry stays");
		TEST_ASSERT_SUCCESS(rte_eth_dev_start(veth.port), "start again");
	}
	/* Removed while it runs, and probed again in another container. */
	veth_port_drop();
	TEST_ASSERT_EQUAL(foreign_has_entry(0), 0, "the entry stays after the removal");
	files = test_open_files();
	TEST_ASSERT_SUCCESS(
		veth_port_start(args_pinned(",container=other"), 1), "start in another container");
	if (veth_both_ways(100, 110) < 0 || veth_stop_whole() < 0)
		return -1;
	veth_port_drop();
	TEST_ASSERT_EQUAL(
		test_open_files(), files, "%u files instead of %u", test_open_files(), files);
	return 0;
}

static int
no_program_yet(void)
{
	TEST_ASSERT_SUCCESS(veth_sh("ip link set dev near xdp off"), "detach");
	TEST_ASSERT_SUCCESS(veth_port_add(args_pinned(""), VETH_N_MBUFS), "add");
	TEST_ASSERT_SUCCESS(veth_port_configure(1, 1, NULL), "configure");
	test_log_begin();
	TEST_ASSERT_SUCCESS(rte_eth_dev_start(veth.port), "start");
	TEST_ASSERT_NOT_NULL(
		strstr(test_log_end(),
			"near has no XDP program: no frame comes until one is attached"),
		"%s", test_log_end());
	TEST_ASSERT_SUCCESS(foreign_attach("near"), "attach");
	if (veth_both_ways(100, 110) < 0 || veth_stop_whole() < 0)
		return -1;
	test_log_begin();
	TEST_ASSERT_SUCCESS(rte_eth_dev_start(veth.port), "start again");
	TEST_ASSERT_NULL(strstr(test_log_end(), "no XDP program"), "%s", test_log_end());
	return veth_stop_whole();
}

static int
start_second(const char *devargs, uint16_t *port2)
{
	static const struct rte_eth_conf conf;
	int rc = rte_vdev_init(VETH_DEVICE2, devargs);

	if (rc == 0)
		rc = rte_eth_dev_get_port_by_name(VETH_DEVICE2, port2);
	if (rc == 0)
		rc = rte_eth_dev_configure(*port2, 1, 1, &conf);
	if (rc == 0)
		rc = rte_eth_rx_queue_setup(*port2, 0, VETH_N_DESC, SOCKET_ID_ANY, NULL, veth.pool);
	if (rc == 0)
		rc = rte_eth_tx_queue_setup(*port2, 0, VETH_N_DESC, SOCKET_ID_ANY, NULL);
	return rc < 0 ? rc : rte_eth_dev_start(*port2);
}

/* Two ports on queues of one netdev, which is down before the first and after the last. */
static int
two_ports(void)
{
	uint16_t port2;

	TEST_ASSERT_SUCCESS(veth_sh("ip link set near down"), "down");
	TEST_ASSERT_SUCCESS(veth_port_start(args_pinned(",start_queue=1"), 1), "first");
	TEST_ASSERT_SUCCESS(start_second(args_pinned(""), &port2), "second");
	TEST_ASSERT(foreign_has_entry(0) == 1 && foreign_has_entry(1) == 1, "entries");
	TEST_ASSERT_SUCCESS(rte_eth_dev_stop(veth.port), "stop the first");
	TEST_ASSERT(foreign_has_entry(0) == 1 && foreign_has_entry(1) == 0, "entries");
	TEST_ASSERT_SUCCESS(veth_sh("ip link show near | grep -q '[<,]UP[,>]'"), "set down early");
	TEST_ASSERT_SUCCESS(rte_eth_dev_stop(port2), "stop the second");
	TEST_ASSERT_FAIL(veth_sh("ip link show near | grep -q '[<,]UP[,>]'"), "left up");
	return 0;
}

/* A netdev has one program: a port with its own does not go with one on a foreign map. */
static int
a_port_with_its_own_program(void)
{
	uint16_t port2;

	TEST_ASSERT_SUCCESS(veth_port_start(args_pinned(""), 1), "on the map");
	test_log_begin();
	TEST_ASSERT_EQUAL(start_second("iface=near,start_queue=1", &port2), -EBUSY, "own program");
	TEST_ASSERT_NOT_NULL(
		strstr(test_log_end(),
			"another port of near leaves the XDP program to others: give both"),
		"%s", test_log_end());
	veth_port_drop();
	TEST_ASSERT(foreign_is_attached("near"), "the program is gone");
	/* The other way round. */
	TEST_ASSERT_SUCCESS(veth_sh("ip link set dev near xdp off"), "detach");
	TEST_ASSERT_SUCCESS(veth_port_start("iface=near", 1), "own program");
	test_log_begin();
	TEST_ASSERT_EQUAL(
		start_second(args_pinned(",start_queue=1"), &port2), -EBUSY, "on the map");
	TEST_ASSERT_NOT_NULL(
		strstr(test_log_end(), "another port of near has attached its own: give both"),
		"%s", test_log_end());
	TEST_ASSERT_EQUAL(foreign_has_entry(1), 0, "an entry of the start that failed");
	return 0;
}

/* The driver cannot know whether a foreign program lets such frames through. */
static int
no_scattering(void)
{
	const struct rte_eth_conf conf = {.rxmode.offloads = RTE_ETH_RX_OFFLOAD_SCATTER};
	struct rte_eth_dev_info info;

	TEST_ASSERT_SUCCESS(veth_port_add(args_pinned(""), VETH_N_MBUFS), "add");
	TEST_ASSERT_SUCCESS(rte_eth_dev_info_get(veth.port, &info), "info");
	TEST_ASSERT_EQUAL(info.rx_offload_capa & RTE_ETH_RX_OFFLOAD_SCATTER, 0, "offered");
	TEST_ASSERT_EQUAL(info.max_rx_pktlen, AF_XDP_MAX_FRAME, "%u", info.max_rx_pktlen);
	TEST_ASSERT_EQUAL(rte_eth_dev_configure(veth.port, 1, 1, &conf), -EINVAL, "configured");
	return 0;
}

static int
a_netdev_that_vanishes(void)
{
	TEST_ASSERT_SUCCESS(veth_port_start(args_pinned(""), 1), "start");
	TEST_ASSERT_SUCCESS(veth_sh("ip link del far"), "delete");
	if (veth_stop_whole() < 0)
		return -1;
	TEST_ASSERT_EQUAL(foreign_has_entry(0), 0, "the entry stays");
	veth_port_drop();
	return 0;
}

static int
set_effective(const struct __user_cap_data_struct *caps)
{
	struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};

	return syscall(SYS_capset, &head, caps) < 0 ? -errno : 0;
}

/* The capabilities of the calling thread, and those alone, are what the kernel asks for. */
static int
with_net_raw_only(int (*run)(void))
{
	struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct before[2], few[2];
	int rc;

	TEST_ASSERT_SUCCESS(syscall(SYS_capget, &head, before), "capget");
	memcpy(few, before, sizeof(few));
	few[0].effective = 1U << CAP_NET_RAW;
	few[1].effective = 0;
	TEST_ASSERT_SUCCESS(set_effective(few), "capset");
	rc = run();
	TEST_ASSERT_SUCCESS(set_effective(before), "capset back");
	return rc;
}

static int
unprivileged(void)
{
	TEST_ASSERT(bpf_map_create(BPF_MAP_TYPE_XSKMAP, "none", 4, 4, 1, NULL) < 0,
		"capabilities are left");
	TEST_ASSERT_SUCCESS(veth_port_start(args, 2), "start");
	TEST_ASSERT(veth_port_sends(1, 1) == 0 && veth_port_gets(0, 2) == 0 &&
			veth_port_gets(1, 3) == 0,
		"frames");
	TEST_ASSERT_SUCCESS(rte_eth_promiscuous_enable(veth.port), "promiscuous mode");
	TEST_ASSERT_SUCCESS(veth_stop_whole(), "stop");
	TEST_ASSERT_SUCCESS(rte_eth_dev_start(veth.port), "start again");
	TEST_ASSERT_SUCCESS(veth_port_gets(1, 4), "frame");
	TEST_ASSERT_SUCCESS(veth_stop_whole(), "stop again");
	veth_port_drop();
	return 0;
}

static int
without_capabilities(void)
{
	struct rlimit before, most;
	int rc;

	TEST_ASSERT_SUCCESS(veth_sh("ip link set near up"), "up");
	args_pinned(",queue_count=2");
	/* Without CAP_IPC_LOCK the buffers count, and there is no room for those of two starts. */
	TEST_ASSERT_SUCCESS(getrlimit(RLIMIT_MEMLOCK, &before), "getrlimit");
	if (before.rlim_max < MEMLOCK_NEEDED)
		return test_skip("RLIMIT_MEMLOCK is %lu, and %u bytes are needed",
			(unsigned long)before.rlim_max, MEMLOCK_NEEDED);
	most = before;
	most.rlim_cur = MEMLOCK_NEEDED;
	TEST_ASSERT_SUCCESS(setrlimit(RLIMIT_MEMLOCK, &most), "setrlimit");
	rc = with_net_raw_only(unprivileged);
	TEST_ASSERT_SUCCESS(setrlimit(RLIMIT_MEMLOCK, &before), "setrlimit back");
	TEST_ASSERT_SUCCESS(rc, "with CAP_NET_RAW");
	TEST_ASSERT(foreign_has_entry(0) == 0 && foreign_has_entry(1) == 0, "entries stay");
	TEST_ASSERT(foreign_is_attached("near"), "the program is gone");
	return 0;
}

static int
start_netdev_that_is_down(void)
{
	TEST_ASSERT_SUCCESS(veth_port_add(args, VETH_N_MBUFS), "add");
	TEST_ASSERT_SUCCESS(veth_port_configure(1, 1, NULL), "configure");
	test_log_begin();
	TEST_ASSERT_EQUAL(rte_eth_dev_start(veth.port), -EPERM, "started");
	TEST_ASSERT_NOT_NULL(
		strstr(test_log_end(), "near cannot be set up: Operation not permitted: set it up"),
		"%s", test_log_end());
	return 0;
}

static int
without_capabilities_and_down(void)
{
	TEST_ASSERT_SUCCESS(veth_sh("ip link set near down"), "down");
	args_pinned("");
	return with_net_raw_only(start_netdev_that_is_down);
}

static int
own_program_is_refused(void)
{
	TEST_ASSERT_SUCCESS(veth_port_add("iface=near", VETH_N_MBUFS), "add");
	TEST_ASSERT_SUCCESS(veth_port_configure(1, 1, NULL), "configure");
	test_log_begin();
	TEST_ASSERT_EQUAL(rte_eth_dev_start(veth.port), -EPERM, "started");
	TEST_ASSERT_NOT_NULL(
		strstr(test_log_end(), "or have it attached outside: use_pinned_map=1"), "%s",
		test_log_end());
	return 0;
}

/* Without a foreign map the same process gets no further, and is told of this way. */
static int
without_capabilities_and_map(void)
{
	TEST_ASSERT_SUCCESS(veth_sh("ip link set dev near xdp off; ip link set near up"), "up");
	return with_net_raw_only(own_program_is_refused);
}

static int
open_is_refused(void)
{
	return refuses(args, EACCES, "this user must be permitted to read and write it");
}

static int
open_is_permitted(void)
{
	TEST_ASSERT_SUCCESS(veth_port_add(args, VETH_N_MBUFS), "add");
	return 0;
}

/* The permissions of the pin say which user may have the map: user 65534 is not its owner. */
static int
permissions_of_the_pin(void)
{
	int before, rc;

	args_pinned("");
	before = syscall(SYS_setfsuid, 65534);
	rc = with_net_raw_only(open_is_refused);
	syscall(SYS_setfsuid, before);
	if (rc < 0)
		return -1;
	TEST_ASSERT_SUCCESS(chmod(strstr(args, "/tmp"), 0666), "chmod: %s", strerror(errno));
	syscall(SYS_setfsuid, 65534);
	rc = with_net_raw_only(open_is_permitted);
	syscall(SYS_setfsuid, before);
	return rc;
}

static int
default_place(void)
{
	if (refuses("iface=near,use_pinned_map=1", ENOENT,
		    "the pinned map /tmp/afxdp_dp/near/xsks_map cannot be opened") < 0)
		return -1;
	return refuses("iface=near,use_cni=1", ENOENT,
		"cannot connect to the device plugin at /tmp/afxdp_dp/near/afxdp.sock");
}

static const struct test_case cases[] = {
	{"frames cross over a pinned map, and its program stays attached", frames_cross},
	{"two queues have an entry each", two_queues},
	{"the entry has the number of the netdev's queue", a_later_queue},
	{"a queue that only transmits has no entry", a_queue_without_receiving},
	{"conflicting and incomplete parameters are refused", wrong_parameters},
	{"other objects than an XSKMAP are refused", wrong_objects},
	{"a program whose type has an XSKMAP's number is refused", a_program_like_a_map},
	{"a map without an entry for each queue is refused", a_map_too_small},
	{"the entry of another socket is refused at start, and stays", an_entry_of_somebody_else},
	{"the entry that another socket takes stays at stop", an_entry_that_is_taken},
	{"a socket that is open elsewhere leaves the map at stop", a_socket_that_is_open_elsewhere},
	{"a port starts again, and in another container", restarts},
	{"a netdev without a program is said, and gets one later", no_program_yet},
	{"two ports on a foreign map restore the netdev once", two_ports},
	{"a port with its own program is refused beside one on a map", a_port_with_its_own_program},
	{"frames in several buffers are not offered", no_scattering},
	{"a netdev that vanishes leaves no entry", a_netdev_that_vanishes},
	{"CAP_NET_RAW suffices, on a netdev that is up", without_capabilities},
	{"a netdev that is down needs more, and the line says so", without_capabilities_and_down},
	{"an own program needs more, and the line says so", without_capabilities_and_map},
	{"the permissions of the pin count", permissions_of_the_pin},
	{"the default place is that of the device plugin", default_place},
};

REGISTER_TEST_SUITE(net_af_xdp_map) = {
	.name = "net_af_xdp_map",
	.kind = TEST_FAST,
	.cases = cases,
	.n_cases = RTE_DIM(cases),
	.setup = setup,
	.teardown = teardown,
	.needs_eal = true,
};
