/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Tests of telemetry: the EAL's telemetry of a running program reports its containers and memory.
 */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <rte_common.h>
#include <rte_eal.h>

#include "child.h"
#include "machine.h"
#include "test.h"

/** A telemetry command, and texts that its answer must contain; {N}: the container's name. */
struct question {
	const char *ask, *says[4];
};

static const struct question questions[] = {
	{"/dmamap/containers", {"[\"{N}\"]"}},
	{"/dmamap/container,{N}",
		{"\"backend\": \"type1\"", "\"devices\": 1", "\"zones\": 2, \"zone_bytes\": 28672",
			"{\"name\": \"nic0\", \"group\": 0, \"domain\": 0"}},
	{"/dmamap/container,no", {"null"}},
	{"/dmamap/container", {"null"}},
	{"/dmamap/memory",
		{"\"zone_bytes\": 28672, \"foreign_bytes\": 8192",
			"\"node0\": {\"base_4KiB\": 28672}", "\"foreign\": {\"mapped\": 8192}"}},
	{"/dmamap/owners",
		{"{\"owner\": \"nic0\", \"bytes\": 12288}",
			"{\"owner\": \"pool rx\", \"bytes\": 16384}",
			"{\"owner\": \"{N}\", \"bytes\": 8192}"}},
	{"/dmamap/zones",
		{"\"name\": \"rings\", \"container\": \"{N}\", \"owner\": \"nic0\", \"bytes\": 12288, "
		 "\"page_size\": 4096, \"kind\": \"base\", \"placement\": \"strict\", \"as_asked\": \"yes\"",
			"\"nodes\": {\"0\": 16384}", "\"0\": {\"name\"", "\"total\": 2"}},
	{"/dmamap/zones,1", {"{\"/dmamap/zones\": {\"1\": {\"name\"", "\"total\": 2"}},
	{"/dmamap/zones,9", {"{\"/dmamap/zones\": {\"total\": 2}}"}},
	{"/dmamap/space,{N},0",
		{"\"0\": {\"start\": \"0x0\", \"last\": \"0xfff\", \"kind\": \"reserved\", \"owner\": "
		 "\"gantry\"}",
			"\"kind\": \"zone\", \"name\": \"rings\", \"owner\": \"nic0\", \"mappings\": 1, "
			"\"page_size\": 4096, \"node\": 0}",
			"\"last\": \"0xffffffffffffffff\", \"kind\": \"outside\"}",
			"\"kind\": \"reserved\", \"owner\": \"group 0 (nic0)\"}"}},
	{"/dmamap/space,{N},0xffffffffffffffff",
		{"{\"/dmamap/space\": {\"0\": {\"start\": \"0xffffffffffffffff\", \"last\": "
		 "\"0xffffffffffffffff\", \"kind\": \"outside\"}}}"}},
	{"/dmamap/space,{N}", {"null"}},
	{"/dmamap/counters,{N}",
		{"\"refused\": {\"map\": {\"EINVAL\": 1}, \"unmap\": {\"ENOENT\": 1}",
			"\"first_ns\": 256",
			"\"times\": {\"map\": {\"sum_ns\": ", "\"buckets\": ["}},
	{"/dmamap/counters,no", {"null"}},
	{"/dmamap/counters", {"null"}},
	{"/dmamap/space,no,0", {"null"}},
	{"/dmamap/space", {"null"}},
	/* The counters are the process's, and suites may share it. */
	{"/dmamap/faults",
		{"{\"/dmamap/faults\": {\"faults\": ", "\"lines\": ", "\"suppressed\": ",
			"\"lost\": 0, \"latest\":"}},
	{"/dmamap/explain,nic0,0xfee00000",
		{"device nic0: the IOMMU blocked an access to IOVA 0xfee00000",
			"it is reserved: MSI window of group 0 (nic0) [0xfee00000, 0xfeefffff]"}},
	{"/dmamap/explain,nic1,0xfee00000", {"null"}},
	{"/dmamap/explain,nic0", {"null"}},
	{"/dmamap/explain,nic0,12x", {"null"}},
};

/**
 * Copy a text without blanks, as DPDK's versions differ in these, and insert the container's name.
 */
static const char *
fill_in(const char *from, char to[512])
{
	const char *mark = strstr(from, "{N}");
	size_t used = 0;
	char text[512];

	snprintf(text, sizeof(text), "%.*s%s%s", (int)(mark != NULL ? mark - from : 500), from,
		mark != NULL ? dmamap_container_name(c) : "", mark != NULL ? mark + 3 : "");
	for (from = text; *from != '\0'; from++)
		if (*from != ' ')
			to[used++] = *from;
	to[used] = '\0';
	return to;
}

static int
connect_to_telemetry(void)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	char banner[1024];

	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s/dpdk_telemetry.v2",
		rte_eal_get_runtime_dir());
	if (connect(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0 ||
		read(fd, banner, sizeof(banner)) <= 0)
		return -1;
	return fd;
}

static bool
is_answered(int fd, const struct question *q)
{
	static char reply[1 << 15];
	char text[512], *from, *to = reply;
	unsigned int i;
	ssize_t n;

	fill_in(q->ask, text);
	if (write(fd, text, strlen(text)) < 0)
		return false;
	n = read(fd, reply, sizeof(reply) - 1);
	reply[RTE_MAX(n, 0)] = '\0';
	for (from = reply; *from != '\0'; from++)
		if (*from != ' ')
			*to++ = *from;
	*to = '\0';
	for (i = 0; i < RTE_DIM(q->says) && q->says[i] != NULL; i++)
		if (strstr(reply, fill_in(q->says[i], text)) == NULL) {
			printf("  %s: does not say %s: %s\n", q->ask, text, reply);
			return false;
		}
	return true;
}

/** Memory to be reported: two zones and a mapping. */
static int
make_memory(struct dmamap_device *dev)
{
	struct dmamap_zone_conf conf = {
		.len = 3 * KB4, .page_size = KB4, .on_node = true, .name = "rings", .dev = dev};
	struct dmamap_zone *z;
	rte_iova_t iova;

	TEST_ASSERT_SUCCESS(dmamap_zone_alloc(c, &conf, &z), "zone of a device");
	conf.len = 4 * KB4;
	conf.name = "rx";
	conf.owner = "pool rx";
	TEST_ASSERT_SUCCESS(dmamap_zone_alloc(c, &conf, &z), "zone of a pool");
	TEST_ASSERT_EQUAL(dmamap_unmap(c, 0x10000000, KB4), -ENOENT, "nothing is there");
	TEST_ASSERT_EQUAL(dmamap_map(c, buf, 1, DMAMAP_RW, &iova), -EINVAL, "one byte");
	return dmamap_map(c, buf, 2 * KB4, DMAMAP_RW, &iova);
}

/**
 * Run in a child, so that the EAL is started for this test only. @return the number of the check
 * that failed
 */
static int
ask_all(void)
{
	char prefix[64], command[256];
	char *argv[] = {"gantry-test", "--no-pci", "--no-huge", "-m", "64", "-l", "0",
		"--log-level=error", prefix, NULL};
	unsigned int i;
	int fd, rc = 0;

	snprintf(prefix, sizeof(prefix), "--file-prefix=gantry-test-%d", getpid());
	if (rte_eal_init(RTE_DIM(argv) - 1, argv) < 0)
		return 77;
	fd = connect_to_telemetry();
	if (fd < 0)
		return 100;
	for (i = 0; i < RTE_DIM(questions) && rc == 0; i++)
		rc = is_answered(fd, &questions[i]) ? 0 : (int)i + 1;
	close(fd);
	snprintf(command, sizeof(command), "rm -rf %s", rte_eal_get_runtime_dir());
	rte_eal_cleanup();
	return system(command) == 0 ? rc : 101;
}

static int
telemetry_tells_of_memory(void)
{
	struct dmamap_device *dev = machine_attach("nic0");
	int status;
	pid_t pid;

	TEST_ASSERT_SUCCESS(make_memory(dev), "memory");
	fflush(stdout);
	pid = fork();
	if (pid == 0)
		test_child_exit(ask_all());
	TEST_ASSERT(pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status), "child");
	TEST_ASSERT_SUCCESS(dmamap_container_detach(dev), "detach");
	if (WEXITSTATUS(status) == 77)
		return test_skip("the EAL does not start");
	TEST_ASSERT_EQUAL(WEXITSTATUS(status), 0, "question %d", WEXITSTATUS(status));
	return TEST_SUCCESS;
}

static const struct test_case cases[] = {
	{"telemetry tells of memory", telemetry_tells_of_memory},
};

REGISTER_TEST_SUITE(telemetry) = {.name = "telemetry",
	.kind = TEST_FAST,
	.cases = cases,
	.n_cases = RTE_DIM(cases),
	.setup = machine_setup,
	.teardown = machine_teardown};
