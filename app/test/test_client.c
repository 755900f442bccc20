/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Tests of clients, which are devices without hardware: they have the permissions of a real
 * device, and a callback runs before an unmap completes. On the mock kernel.
 */

#include <errno.h>
#include <string.h>

#include "machine.h"
#include "peek.h"
#include "test.h"

struct seen {
	unsigned int calls;
	struct dmamap_range range;
	rte_iova_t iova_at_call; /**< result of va2iova when the callback ran */
	bool device_reached; /**< whether a real device still reached the range then */
};

static void
on_unmap(void *arg, struct dmamap_range range)
{
	struct seen *seen = arg;
	char byte;

	seen->calls++;
	seen->range = range;
	seen->iova_at_call = dmamap_va2iova(c, buf);
	seen->device_reached = vfio_mock_dma_read(mock, "nic0", range.start, &byte, 1) == 0;
}

static struct dmamap_client *
attach_client(struct seen *seen)
{
	struct dmamap_client_conf conf = {.name = "soft0", .unmap = on_unmap, .arg = seen};
	struct dmamap_client *client = NULL;

	dmamap_client_attach(c, &conf, &client);
	return client;
}

static int
a_client_reads_and_writes_at_iovas(void)
{
	struct seen seen = {0};
	struct dmamap_client *client = attach_client(&seen);
	rte_iova_t a = 0x10000, b = 0x10000 + KB4;
	char text[32] = "";

	TEST_ASSERT_SUCCESS(dmamap_map(c, buf, KB4, DMAMAP_RW | DMAMAP_FIXED, &a), "map");
	TEST_ASSERT_SUCCESS(dmamap_map(c, buf + MB2, KB4, DMAMAP_RW | DMAMAP_FIXED, &b), "map");
	TEST_ASSERT_SUCCESS(dmamap_client_write(client, b - 5, "hello world", 12), "write");
	TEST_ASSERT_EQUAL(memcmp(buf + KB4 - 5, "hello", 5), 0, "first part");
	TEST_ASSERT_EQUAL(strcmp(buf + MB2, " world"), 0, "second part");
	TEST_ASSERT_SUCCESS(dmamap_client_read(client, b - 5, text, 12), "read");
	TEST_ASSERT_EQUAL(strcmp(text, "hello world"), 0, "'%s'", text);
	dmamap_client_detach(client);
	return dmamap_unmap(c, a, 2 * KB4);
}

static int
a_client_has_the_permissions_of_a_device(void)
{
	struct seen seen = {0};
	struct dmamap_client *client = attach_client(&seen);
	rte_iova_t a = 0x10000, b = 0x10000 + KB4;
	char byte = 'x';

	TEST_ASSERT_SUCCESS(dmamap_map(c, buf, KB4, DMAMAP_RW | DMAMAP_FIXED, &a), "map");
	TEST_ASSERT_SUCCESS(dmamap_map(c, buf + MB2, KB4, DMAMAP_READ | DMAMAP_FIXED, &b), "map");
	TEST_ASSERT_EQUAL(dmamap_client_write(client, b, &byte, 1), -EFAULT, "read-only");
	TEST_ASSERT_EQUAL(dmamap_client_write(client, b - 1, "yy", 2), -EFAULT, "half of it");
	TEST_ASSERT_EQUAL(buf[KB4 - 1], 0, "a refused write wrote");
	TEST_ASSERT_EQUAL(dmamap_client_read(client, b + KB4 - 1, &byte, 2), -EFAULT, "beyond");
	TEST_ASSERT_EQUAL(dmamap_client_read(client, 0x5000, &byte, 1), -EFAULT, "nowhere");
	TEST_ASSERT_EQUAL(dmamap_client_read(client, UINT64_MAX, &byte, 2), -EINVAL, "wrap");
	TEST_ASSERT_EQUAL(dmamap_client_read(client, a, &byte, 0), -EINVAL, "nothing");
	dmamap_client_detach(client);
	return dmamap_unmap(c, a, 2 * KB4);
}

static int
a_client_is_told_before_an_unmap_completes(void)
{
	struct seen seen = {0};
	struct dmamap_client *client = attach_client(&seen);
	struct dmamap_device *d = machine_attach("nic0");
	rte_iova_t iova = 0;

	TEST_ASSERT_SUCCESS(dmamap_map(c, buf, KB4, DMAMAP_RW, &iova), "map");
	TEST_ASSERT_EQUAL(dmamap_unmap(c, iova, 2 * KB4), -ENOENT, "a wrong unmap");
	TEST_ASSERT_EQUAL(seen.calls, 0, "told of an unmap that is refused");
	TEST_ASSERT_SUCCESS(dmamap_unmap(c, iova, KB4), "unmap");
	TEST_ASSERT_EQUAL(seen.calls, 1, "%u calls", seen.calls);
	TEST_ASSERT(seen.range.start == iova && seen.range.last == iova + KB4 - 1, "range");
	TEST_ASSERT_EQUAL(seen.iova_at_call, RTE_BAD_IOVA, "look-ups still found it");
	TEST_ASSERT(seen.device_reached, "told after the fact");
	TEST_ASSERT_EQUAL(dmamap_container_detach(d), 0, "detach");
	TEST_ASSERT_EQUAL(dmamap_container_destroy(c), -EBUSY, "destroyed under a client");
	dmamap_client_detach(client);
	TEST_ASSERT_SUCCESS(dmamap_map(c, buf, KB4, DMAMAP_RW, &iova), "map");
	TEST_ASSERT_SUCCESS(dmamap_unmap(c, iova, KB4), "unmap");
	TEST_ASSERT_EQUAL(seen.calls, 1, "told after it has left");
	return 0;
}

static int
a_client_is_found_by_its_name(void)
{
	struct seen seen = {0};
	struct dmamap_client *client = attach_client(&seen);

	TEST_ASSERT(peek(dmamap_container_by_device("soft0")) == c, "not found");
	TEST_ASSERT_NULL(peek(dmamap_container_by_device("soft")), "found by half its name");
	dmamap_client_detach(client);
	TEST_ASSERT_NULL(peek(dmamap_container_by_device("soft0")), "found after it has left");
	return 0;
}

static const struct test_case cases[] = {
	{"a client reads and writes at IOVAs", a_client_reads_and_writes_at_iovas},
	{"a client has the permissions of a device", a_client_has_the_permissions_of_a_device},
	{"a client is told before an unmap completes", a_client_is_told_before_an_unmap_completes},
	{"a client is found by its name", a_client_is_found_by_its_name},
};

REGISTER_TEST_SUITE(client) = {
	.name = "client",
	.kind = TEST_FAST,
	.cases = cases,
	.n_cases = RTE_DIM(cases),
	.setup = machine_setup,
	.teardown = machine_teardown,
};
