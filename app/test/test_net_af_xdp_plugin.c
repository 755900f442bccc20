/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Tests of ports that get their map from a device plugin, over a UNIX socket. lib/plugin_server.h
 * is the plugin, lib/foreign_map.h the program that it has attached.
 */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <ethdev_driver.h>
#include <rte_bus_vdev.h>
#include <rte_ethdev.h>

#include <dmamap.h>

#include "foreign_map.h"
#include "peek.h"
#include "plugin_server.h"
#include "private_bpffs.h"
#include "test.h"
#include "veth_port.h"

#define N_STEPS 4

/* In the bpffs no socket can be made. */
static char path[64], args[256];
/* What the plugin of Kubernetes answers; the descriptor is filled in. */
static struct plugin_answer good[N_STEPS];

static int
setup(void)
{
	int rc = veth_setup();

	if (rc == 0)
		rc = bpffs_setup();
	if (rc != 0)
		return rc;
	TEST_ASSERT_SUCCESS(foreign_make(8), "program and map");
	TEST_ASSERT_SUCCESS(foreign_attach("near"), "attach");
	snprintf(path, sizeof(path), "/tmp/gantry-plugin-%d", getpid());
	snprintf(args, sizeof(args), "iface=near,queue_count=2,use_cni=1,dp_path=%s", path);
	good[0] = (struct plugin_answer){.text = "/host_ok"};
	good[1] = (struct plugin_answer){.text = "0.1"};
	good[2] = (struct plugin_answer){.text = "/fd_ack", .n_fds = 1, .fd = foreign.map_fd};
	good[3] = (struct plugin_answer){.text = "/fin_ack"};
	return 0;
}

static void
teardown(void)
{
	plugin_server_stop();
	unlink(path);
	foreign_drop();
	bpffs_teardown();
	veth_teardown();
}

static int
the_map_comes(void)
{
	char host[65] = "", connect[80];
	unsigned int files;

	gethostname(host, sizeof(host) - 1);
	snprintf(connect, sizeof(connect), "/connect,%s", host);
	TEST_ASSERT_SUCCESS(plugin_server_start(path, good, N_STEPS), "server");
	TEST_ASSERT_SUCCESS(veth_port_start(args, 2), "start");
	/* Returns because the connection is closed. */
	plugin_server_stop();
	TEST_ASSERT_SUCCESS(
		strcmp(plugin_server_request(0), connect), "%s", plugin_server_request(0));
	TEST_ASSERT_SUCCESS(
		strcmp(plugin_server_request(1), "/version"), "%s", plugin_server_request(1));
	TEST_ASSERT_SUCCESS(strcmp(plugin_server_request(2), "/xsk_map_fd,near"), "%s",
		plugin_server_request(2));
	TEST_ASSERT_SUCCESS(
		strcmp(plugin_server_request(3), "/fin"), "%s", plugin_server_request(3));
	TEST_ASSERT_SUCCESS(strcmp(plugin_server_request(4), ""), "%s", plugin_server_request(4));
	TEST_ASSERT(foreign_has_entry(0) == 1 && foreign_has_entry(1) == 1, "entries");
	if (veth_port_sends(1, 1) < 0 || veth_port_gets(0, 2) < 0 || veth_port_gets(1, 3) < 0)
		return -1;
	/* The plugin has gone, and is not asked again. */
	if (veth_stop_whole() < 0)
		return -1;
	TEST_ASSERT(foreign_has_entry(0) == 0 && foreign_has_entry(1) == 0, "entries stay");
	TEST_ASSERT_SUCCESS(rte_eth_dev_start(veth.port), "start again");
	if (veth_port_gets(1, 4) < 0 || veth_stop_whole() < 0)
		return -1;
	files = test_open_files();
	rte_eth_dev_close(veth.port);
	TEST_ASSERT(test_open_files() < files, "the map stays open");
	TEST_ASSERT(foreign_is_attached("near"), "the program is gone");
	return 0;
}

/* Refuse what is at the path, with this line, and leave nothing. */
static int
refused(int err, const char *said)
{
	unsigned int files = test_open_files();
	int rc;

	test_log_begin();
	rc = rte_vdev_init(VETH_DEVICE, args);
	plugin_server_stop();
	TEST_ASSERT(test_logged(said), "%s", said);
	TEST_ASSERT_EQUAL(rc, -err, "%s: %d", said, rc);
	TEST_ASSERT(rte_eth_dev_get_port_by_name(VETH_DEVICE, &veth.port) < 0, "a port is left");
	TEST_ASSERT_NULL(peek(dmamap_container_by_name("af_xdp")), "a container is left");
	/* The server's socket is one of those before. */
	TEST_ASSERT(test_open_files() <= files, "%s: %u files instead of %u", said,
		test_open_files(), files);
	return 0;
}

/* Refuse a plugin that answers as the good one, but this to the request `step`. */
static int
answer_refused(unsigned int step, struct plugin_answer answer, int err, const char *said)
{
	struct plugin_answer answers[N_STEPS];
	unsigned int files = test_open_files();

	memcpy(answers, good, sizeof(answers));
	answers[step] = answer;
	TEST_ASSERT_SUCCESS(plugin_server_start(path, answers, N_STEPS), "server");
	if (refused(err, said) < 0)
		return -1;
	TEST_ASSERT_EQUAL(test_open_files(), files, "step %u: %u files instead of %u", step,
		test_open_files(), files);
	return 0;
}

static int
refusals(void)
{
	struct plugin_answer no_host = {.text = "/host_nak"}, no_map = {.text = "/fd_nak"};
	struct plugin_answer error = {.text = "/error"}, bad = {.text = "/nak"};

	if (answer_refused(0, no_host, EACCES,
		    "it expects the name of its pod as the host name, of at most 55 characters") <
		0)
		return -1;
	if (answer_refused(2, no_map, EACCES,
		    " refuses \"/xsk_map_fd,near\": it has no map for this netdev: see iface=") < 0)
		return -1;
	if (answer_refused(0, error, EPROTO, " answers \"/error\" to \"/connect,") < 0)
		return -1;
	return answer_refused(3, bad, EPROTO,
		" answers \"/nak\" to \"/fin\": expected \"/fin_ack\": it speaks another protocol");
}

static int
nonsense(void)
{
	static const char long_text[] = "/fd_ack, and far more than any answer of the protocol has,"
					" so that it does not fit into the buffer of a client that"
					" expects a short word";
	unsigned int step;

	for (step = 0; step < N_STEPS; step++) {
		struct plugin_answer hello = {
			.text = "what\n\x1b[now", .n_fds = step == 2, .fd = foreign.map_fd};

		/* Any text is a version, so there a descriptor makes it wrong. */
		if (step == 1) {
			hello.n_fds = 1;
			if (answer_refused(step, hello, EPROTO,
				    " with a descriptor to \"/version\": expected") < 0)
				return -1;
			continue;
		}
		if (answer_refused(step, hello, EPROTO, " answers \"what..[now\"") < 0)
			return -1;
	}
	for (step = 0; step < N_STEPS; step++) {
		struct plugin_answer more = {
			.text = long_text, .n_fds = step == 2, .fd = foreign.map_fd};

		_Static_assert(sizeof(long_text) > 128, "longer than the driver's buffer");
		if (answer_refused(step, more, EMSGSIZE, "Message too long") < 0)
			return -1;
	}
	/* A beginning of the word that is expected, and more than it. */
	if (answer_refused(0, (struct plugin_answer){.text = "/host_"}, EPROTO, "\"/host_\"") < 0)
		return -1;
	return answer_refused(
		0, (struct plugin_answer){.text = "/host_ok\n"}, EPROTO, "\"/host_ok.\"");
}

static int
wrong_descriptors(void)
{
	struct plugin_answer none = {.text = "/fd_ack"};
	struct plugin_answer early = {.text = "/host_ok", .n_fds = 1, .fd = foreign.map_fd};
	struct plugin_answer nak = {.text = "/fd_nak", .n_fds = 1, .fd = foreign.map_fd};
	struct plugin_answer late = {.text = "/fin_ack", .n_fds = 1, .fd = foreign.map_fd};
	struct plugin_answer other = {.text = "/fd_ack", .n_fds = 1, .fd = foreign.prog_fd};
	struct plugin_answer file = {.text = "/fd_ack", .n_fds = 1};
	unsigned int n;

	for (n = 2; n <= 4; n++) {
		struct plugin_answer many = {.text = "/fd_ack", .n_fds = n, .fd = foreign.map_fd};

		if (answer_refused(2, many, EMSGSIZE, "no answer to \"/xsk_map_fd,near\"") < 0)
			return -1;
	}
	if (answer_refused(2, none, EPROTO, "expected \"/fd_ack\" with a descriptor") < 0 ||
		answer_refused(0, early, EPROTO, "\"/host_ok\" with a descriptor to") < 0 ||
		answer_refused(2, nak, EACCES, "it has no map for this netdev") < 0 ||
		answer_refused(3, late, EPROTO, "\"/fin_ack\" with a descriptor to") < 0 ||
		answer_refused(2, other, EINVAL, "is not an XSKMAP") < 0)
		return -1;
	file.fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	TEST_ASSERT(file.fd >= 0, "/dev/null");
	n = answer_refused(2, file, EINVAL, "is not an XSKMAP") < 0;
	close(file.fd);
	return n == 0 ? 0 : -1;
}

/* It is the kernel that refuses this one, at start. */
static int
a_read_only_map(void)
{
	LIBBPF_OPTS(bpf_obj_get_opts, opts, .file_flags = BPF_F_RDONLY);
	struct plugin_answer answers[N_STEPS];
	const char *pin = bpffs_pin(foreign.map_fd, "xsks_map");

	memcpy(answers, good, sizeof(answers));
	answers[2].fd = bpf_obj_get_opts(pin, &opts);
	TEST_ASSERT(answers[2].fd >= 0, "read-only: %s", strerror(errno));
	TEST_ASSERT_SUCCESS(plugin_server_start(path, answers, N_STEPS), "server");
	TEST_ASSERT_SUCCESS(veth_port_add(args, VETH_N_MBUFS), "add");
	plugin_server_stop();
	close(answers[2].fd);
	TEST_ASSERT_SUCCESS(veth_port_configure(2, 2, NULL), "configure");
	test_log_begin();
	TEST_ASSERT_EQUAL(rte_eth_dev_start(veth.port), -EPERM, "started");
	TEST_ASSERT_NOT_NULL(strstr(test_log_end(), "the map is read-only here, or frozen"), "%s",
		test_log_end());
	TEST_ASSERT_EQUAL(rte_mempool_avail_count(veth.pool), veth.pool->size, "mbufs");
	return 0;
}

static int
hangs_up(void)
{
	static const char *const requests[N_STEPS] = {
		"connection at \"/connect,", "\"/version\"", "\"/xsk_map_fd,near\"", "\"/fin\""};
	unsigned int step;

	for (step = 0; step < N_STEPS; step++)
		if (answer_refused(step, (struct plugin_answer){.what = PLUGIN_CLOSE}, EPIPE,
			    requests[step]) < 0)
			return -1;
	/* An empty message. */
	return answer_refused(0, (struct plugin_answer){.text = ""}, EPIPE, requests[0]);
}

static int
never_answers(void)
{
	uint64_t hz = rte_get_timer_hz(), begin = rte_get_timer_cycles(), passed;

	if (answer_refused(2, (struct plugin_answer){.what = PLUGIN_SILENCE}, ETIMEDOUT,
		    " does not answer \"/xsk_map_fd,near\" within 5 s: see its log") < 0)
		return -1;
	passed = (rte_get_timer_cycles() - begin) / hz;
	TEST_ASSERT(passed >= 4 && passed < 15, "%" PRIu64 " s", passed);
	return 0;
}

/* Sockets of this type at the path, with nobody who accepts. @return the listening one; -1 */
static int
listen_only(int type, int backlog)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);

	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path);
	if (fd >= 0 && bind(fd, (struct sockaddr *)&addr, sizeof(addr)) == 0 &&
		(backlog < 0 || listen(fd, backlog) == 0))
		return fd;
	return -1;
}

static int
never_accepts(void)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int fd = listen_only(SOCK_SEQPACKET, 0), clients[2], rc, i;

	TEST_ASSERT(fd >= 0, "socket: %s", strerror(errno));
	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path);
	for (i = 0; i < 2; i++) {
		clients[i] = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
		rc = connect(clients[i], (struct sockaddr *)&addr, sizeof(addr)) < 0 ? errno : 0;
	}
	TEST_ASSERT_EQUAL(rc, EAGAIN, "the list is not full: %d", rc);
	rc = refused(ETIMEDOUT, "cannot connect to the device plugin");
	for (i = 0; i < 2; i++)
		close(clients[i]);
	close(fd);
	return rc;
}

static int
no_plugin(void)
{
	char said[256];
	int fd;

	snprintf(said, sizeof(said),
		"cannot connect to the device plugin at %s: No such file or directory: mount",
		path);
	if (refused(ENOENT, said) < 0)
		return -1;
	fd = listen_only(SOCK_SEQPACKET, -1);
	TEST_ASSERT(fd >= 0, "socket: %s", strerror(errno));
	close(fd);
	if (refused(ECONNREFUSED, "nobody listens: the device plugin answers one program") < 0)
		return -1;
	unlink(path);
	fd = listen_only(SOCK_STREAM, 1);
	TEST_ASSERT(fd >= 0, "socket: %s", strerror(errno));
	if (refused(EPROTOTYPE, "it is not a socket of type SOCK_SEQPACKET") < 0)
		return -1;
	close(fd);
	unlink(path);
	snprintf(args, sizeof(args), "iface=near,use_cni=1,dp_path=/tmp/%0108d", 0);
	return refused(ENAMETOOLONG, " is too long: at most 107 characters");
}

/* The plugin's map is checked as a pinned one is. */
static int
a_map_too_small(void)
{
	int fd = bpf_map_create(BPF_MAP_TYPE_XSKMAP, "small", 4, 4, 1, NULL), rc;
	struct plugin_answer small = {.text = "/fd_ack", .n_fds = 1, .fd = fd};

	TEST_ASSERT(fd >= 0, "map");
	rc = answer_refused(2, small, EINVAL, "has no entry for queue 1, only for 0 to 0");
	close(fd);
	return rc;
}

static const struct test_case cases[] = {
	{"the plugin's map carries frames, and is asked for once", the_map_comes},
	{"a plugin that refuses is named, with its reason", refusals},
	{"a plugin that answers nonsense is refused", nonsense},
	{"wrong, missing and surplus descriptors are refused", wrong_descriptors},
	{"a map that is read-only is refused at start", a_read_only_map},
	{"a plugin that closes the connection is named", hangs_up},
	{"a plugin that never answers is waited for 5 s", never_answers},
	{"a plugin that never accepts is waited for 5 s", never_accepts},
	{"a path without a plugin is refused", no_plugin},
	{"a map of the plugin that is too small is refused", a_map_too_small},
};

REGISTER_TEST_SUITE(net_af_xdp_plugin) = {
	.name = "net_af_xdp_plugin",
	.kind = TEST_FAST,
	.cases = cases,
	.n_cases = RTE_DIM(cases),
	.setup = setup,
	.teardown = teardown,
	.needs_eal = true,
};
