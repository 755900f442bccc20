/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Tests of the vfio_pci bus's SIGBUS handler, which any thread may enter while devices come and go,
 * and of BARs in a secondary process, which it handles too. The devices are only list entries with
 * a BAR of plain memory. In a build with the thread sanitizer an access that is not locked fails
 * the suite.
 */

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "child.h"
#include "test.h"
#include "vfio_pci_private.h"

#define PAGE ((size_t)4096)
#define ROUNDS 20000

static unsigned int end;

static struct vfio_pci_inner *
device_make(uint8_t devid, uint8_t *memory)
{
	struct vfio_pci_inner *inner = calloc(1, sizeof(*inner));

	if (inner == NULL)
		abort();
	inner->dev.addr.devid = devid;
	inner->dev.bar[1] = (struct vfio_pci_bar){.addr = memory, .len = 2 * PAGE};
	vfio_pci_list_insert(&inner->dev);
	return inner;
}

static void
device_free(struct vfio_pci_inner *inner)
{
	vfio_pci_list_remove(&inner->dev);
	free(inner);
}

/** Enter the handler until the end, with an address in no BAR. @return NULL: none was handled */
static void *
enter_handler(void *arg)
{
	int elsewhere = 0, handled = 0;

	while (!__atomic_load_n(&end, __ATOMIC_ACQUIRE))
		handled += vfio_pci_bus.bus.sigbus_handler(&elsewhere) != 1;
	return handled != 0 ? arg : NULL;
}

static int
devices_come_and_go_beside_the_handler(void)
{
	struct vfio_pci_inner *first, *second;
	pthread_t thread;
	void *handled;
	unsigned int i;

	end = 0;
	TEST_ASSERT_SUCCESS(pthread_create(&thread, NULL, enter_handler, &end), "thread");
	for (i = 0; i < ROUNDS; i++) {
		first = device_make(1, NULL);
		second = device_make(2, NULL);
		device_free(i % 2 == 0 ? first : second);
		device_free(i % 2 == 0 ? second : first);
	}
	__atomic_store_n(&end, 1, __ATOMIC_RELEASE);
	pthread_join(thread, &handled);
	TEST_ASSERT_NULL(handled, "an address outside of all BARs was handled");
	return TEST_SUCCESS;
}

static bool
is_filled(const uint8_t *page, uint8_t byte)
{
	return page[0] == byte && memcmp(page, page + 1, PAGE - 1) == 0;
}

static int
one_page_reads_as_ones(void)
{
	uint8_t *memory =
		mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct vfio_pci_inner *other = device_make(1, NULL), *device;
	int rc;

	TEST_ASSERT(memory != MAP_FAILED, "no memory");
	device = device_make(2, memory);
	TEST_ASSERT_EQUAL(vfio_pci_bus.bus.sigbus_handler(memory + 2 * PAGE), 1, "beyond the BAR");
	/* The holder of the lock may be interrupted. */
	vfio_pci_list_lock();
	rc = vfio_pci_bus.bus.sigbus_handler(memory + PAGE + 5);
	vfio_pci_list_unlock();
	TEST_ASSERT_SUCCESS(rc, "in the BAR: %d", rc);
	TEST_ASSERT(is_filled(memory + PAGE, 0xff), "the page does not read as ones");
	TEST_ASSERT(is_filled(memory, 0), "another page is changed");
	TEST_ASSERT(device->bars_replaced && !other->bars_replaced, "another device is marked");
	device_free(device);
	device_free(other);
	TEST_ASSERT_EQUAL(vfio_pci_bus.bus.sigbus_handler(memory + PAGE), 1, "a device that left");
	munmap(memory, 2 * PAGE);
	return TEST_SUCCESS;
}

/* The second of four pages is where the BAR begins; it has a hole of a page. */
static const struct vfio_pci_bar_map imported = {
	.len = 3 * PAGE,
	.offset = PAGE,
	.prot = PROT_READ | PROT_WRITE,
	.n_areas = 2,
	.area = {{0, PAGE - 1}, {2 * PAGE, 3 * PAGE - 1}},
};

static int
a_secondary_process_maps_a_bar(void)
{
	struct vfio_pci_inner *device = device_make(1, NULL);
	int fd = memfd_create("bar", 0), rc;
	uint8_t *bar, byte = 0;

	device->dev.bar[1].len = 0;
	TEST_ASSERT_SUCCESS(ftruncate(fd, 4 * PAGE), "file");
	rc = vfio_pci_bar_import(&device->dev, 2, &imported, fd);
	TEST_ASSERT_SUCCESS(rc, "import: %d", rc);
	TEST_ASSERT_EQUAL(vfio_pci_bar_import(&device->dev, 2, &imported, fd), -EEXIST, "twice");
	TEST_ASSERT_EQUAL(device->dev.bar[2].len, 3 * PAGE, "length");
	bar = (uint8_t *)(uintptr_t)device->dev.bar[2].addr;
	bar[2 * PAGE + 7] = 0xA5;
	TEST_ASSERT(pread(fd, &byte, 1, 3 * PAGE + 7) == 1 && byte == 0xA5, "%x", byte);
	TEST_ASSERT_EQUAL(test_range_access(bar + PAGE, PAGE), 1, "the hole is mapped");
	close(fd);
	TEST_ASSERT_EQUAL(bar[2 * PAGE + 7], 0xA5, "it needs the descriptor");
	TEST_ASSERT_SUCCESS(vfio_pci_bus.bus.sigbus_handler(bar + 5), "in the BAR");
	TEST_ASSERT(is_filled(bar, 0xff), "the page does not read as ones");
	vfio_pci_bars_drop(&device->dev);
	TEST_ASSERT_NULL((void *)(uintptr_t)device->dev.bar[2].addr, "its place");
	TEST_ASSERT_EQUAL(test_range_access(bar, 3 * PAGE), -1, "it is still mapped");
	TEST_ASSERT_EQUAL(vfio_pci_bus.bus.sigbus_handler(bar + 5), 1, "a BAR that was dropped");
	device_free(device);
	return TEST_SUCCESS;
}

static int
an_import_that_fails_leaves_nothing(void)
{
	struct vfio_pci_inner *device = device_make(1, NULL);
	struct vfio_pci_bar_map many = imported;
	int fd = memfd_create("bar", 0);

	device->dev.bar[1].len = 0;
	many.n_areas = VFIO_PCI_BAR_AREAS + 1;
	TEST_ASSERT_EQUAL(vfio_pci_bar_import(&device->dev, 6, &imported, fd), -EINVAL, "BAR 6");
	TEST_ASSERT_EQUAL(vfio_pci_bar_import(&device->dev, 0, &many, fd), -EINVAL, "areas");
	TEST_ASSERT_EQUAL(vfio_pci_bar_import(&device->dev, 0, &imported, -1), -EINVAL, "file");
	close(fd);
	test_log_begin();
	TEST_ASSERT_EQUAL(vfio_pci_bar_import(&device->dev, 0, &imported, fd), -EBADF, "closed");
	TEST_ASSERT(test_logged("BAR 0 cannot be mapped"), "line");
	TEST_ASSERT_NULL((void *)(uintptr_t)device->dev.bar[0].addr, "its place");
	device_free(device);
	return TEST_SUCCESS;
}

static const struct test_case cases[] = {
	{"devices come and go beside the handler", devices_come_and_go_beside_the_handler},
	{"one page reads as ones", one_page_reads_as_ones},
	{"a secondary process maps a BAR", a_secondary_process_maps_a_bar},
	{"an import that fails leaves nothing", an_import_that_fails_leaves_nothing},
};

REGISTER_TEST_SUITE(bus_sigbus) = {
	.name = "bus_sigbus",
	.kind = TEST_FAST,
	.cases = cases,
	.n_cases = RTE_DIM(cases),
};
