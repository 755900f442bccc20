/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Tests of the vfio_pci bus that need no device: arguments, scan, hotplug, BAR layouts, ids.
 */

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <linux/pci_regs.h>

#include <rte_common.h>
#include <rte_dev.h>
#include <rte_errno.h>
#include <rte_memory.h>

#include "test.h"
#include "vfio_pci_private.h"

/* A folder in place of /sys, with these devices in it. */
#define DEV_A "0000:aa:00.0"
#define DEV_B "0000:bb:00.1"
#define DEV_ABSENT "0000:cc:00.0"
#define DEVICES "/bus/pci/devices"

static char sysfs[] = "/tmp/gantry-test-sysfs-XXXXXX";
static const char *const folders[] = {"", "/bus", "/bus/pci", DEVICES};
static const char *real_sysfs;
static unsigned int n_probes;
static int probe_result;

static void
write_file(const char *dev, const char *file, const char *text)
{
	char path[PATH_MAX];
	FILE *f;

	snprintf(path, sizeof(path), "%s" DEVICES "/%s/%s", sysfs, dev, file);
	f = fopen(path, "w");
	if (f != NULL) {
		fputs(text, f);
		fclose(f);
	}
}

static void
make_device(const char *dev, const char *vendor, const char *device, const char *node)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s" DEVICES "/%s", sysfs, dev);
	mkdir(path, 0755);
	write_file(dev, "vendor", vendor);
	write_file(dev, "device", device);
	write_file(dev, "subsystem_vendor", "0x1af4\n");
	write_file(dev, "subsystem_device", "0x1100\n");
	write_file(dev, "class", "0x020000\n");
	write_file(dev, "numa_node", node);
}

static void
remove_device(const char *dev)
{
	static const char *const files[] = {"vendor", "device", "subsystem_vendor",
		"subsystem_device", "class", "numa_node", ""};
	char path[PATH_MAX];
	unsigned int i;

	for (i = 0; i < RTE_DIM(files); i++) {
		snprintf(path, sizeof(path), "%s" DEVICES "/%s/%s", sysfs, dev, files[i]);
		remove(path);
	}
}

static int
setup(void)
{
	char path[PATH_MAX];
	unsigned int i;

	strcpy(sysfs + strlen(sysfs) - 6, "XXXXXX");
	if (mkdtemp(sysfs) == NULL)
		return test_skip("no temporary folder can be made: %s", strerror(errno));
	for (i = 1; i < RTE_DIM(folders); i++) {
		snprintf(path, sizeof(path), "%s%s", sysfs, folders[i]);
		mkdir(path, 0755);
	}
	make_device(DEV_A, "0x8086\n", "0x10d3\n", "1\n");
	make_device(DEV_B, "0x1234\n", "0xdead\n", "-1\n");
	real_sysfs = vfio_pci_sysfs.sysfs;
	vfio_pci_sysfs.sysfs = sysfs;
	n_probes = 0;
	probe_result = 0;
	return TEST_SUCCESS;
}

static void
teardown(void)
{
	struct vfio_pci_device *dev, *tmp;
	struct rte_devargs *da;
	char path[PATH_MAX];
	unsigned int i;

	RTE_TAILQ_FOREACH_SAFE(dev, &vfio_pci_devices, next, tmp)
		vfio_pci_device_remove(dev);
	while ((da = rte_devargs_next("vfio_pci", NULL)) != NULL)
		rte_devargs_remove(da);
	vfio_pci_sysfs.sysfs = real_sysfs;
	remove_device(DEV_A);
	remove_device(DEV_B);
	for (i = RTE_DIM(folders); i-- > 0;) {
		snprintf(path, sizeof(path), "%s%s", sysfs, folders[i]);
		rmdir(path);
	}
}

static struct vfio_pci_device *
on_bus(const char *name)
{
	struct vfio_pci_device *dev;

	TAILQ_FOREACH(dev, &vfio_pci_devices, next)
		if (strcmp(dev->device.name, name) == 0)
			return dev;
	return NULL;
}

static unsigned int
count_devargs(const char *bus)
{
	struct rte_devargs *da;
	unsigned int n = 0;

	RTE_EAL_DEVARGS_FOREACH(bus, da) {
		n++;
	}
	return n;
}

static unsigned int
count_lines(const char *text, const char *what)
{
	unsigned int n = 0;

	while ((text = strstr(text, what)) != NULL) {
		n++;
		text += strlen(what);
	}
	return n;
}

/* A driver for DEV_A. No container can attach it, so its probe() is never called. */
static int
fake_probe(struct vfio_pci_driver *driver, struct vfio_pci_device *dev)
{
	RTE_SET_USED(driver);
	RTE_SET_USED(dev);
	n_probes++;
	return probe_result;
}

#define FAKE_IDS(ID) ID(0x8086, 0x10d3) ID(0x1af4, 7)
static const struct rte_pci_id fake_ids[] = VFIO_PCI_ID_TABLE(FAKE_IDS);
VFIO_PCI_PMD_INFO(test_fake, FAKE_IDS, "speed=<0-9>");

static const char *const fake_params[] = {"speed", NULL};
static struct vfio_pci_driver fake_driver = {
	.driver.name = "test_fake",
	.id_table = fake_ids,
	.probe = fake_probe,
	.params = fake_params,
};

static int
params_are_read(void)
{
	static const struct {
		const char *args;
		struct vfio_pci_params want;
	} cases[] = {
		{"", {"default", DMAMAP_BACKEND_AUTO, -1, -1, "", ""}},
		{"container=a", {"a", DMAMAP_BACKEND_AUTO, -1, -1, "", ""}},
		{"isolate=0,container=x y", {"x y", DMAMAP_BACKEND_AUTO, 0, -1, "", ""}},
		{"isolate=1", {"default", DMAMAP_BACKEND_AUTO, 1, -1, "", ""}},
		{"eal_memory=0", {"default", DMAMAP_BACKEND_AUTO, -1, 0, "", ""}},
		{"eal_memory=1", {"default", DMAMAP_BACKEND_AUTO, -1, 1, "", ""}},
		{"backend=auto", {"default", DMAMAP_BACKEND_AUTO, -1, -1, "", ""}},
		{"backend=type1", {"default", DMAMAP_BACKEND_TYPE1, -1, -1, "", ""}},
		{"backend=iommufd", {"default", DMAMAP_BACKEND_IOMMUFD, -1, -1, "", ""}},
		{"backend=noiommu", {"default", DMAMAP_BACKEND_NOIOMMU, -1, -1, "", ""}},
		{"vf_token=5A000000-1111-2222-3333-4444444444ff",
			{"default", DMAMAP_BACKEND_AUTO, -1, -1,
				"5a000000-1111-2222-3333-4444444444ff", ""}},
		{"driver=net_x,speed=7", {"default", DMAMAP_BACKEND_AUTO, -1, -1, "", "net_x"}},
		{"container=123456789012345678901234567890123456789012345678901234567890123",
			{"123456789012345678901234567890123456789012345678901234567890123",
				DMAMAP_BACKEND_AUTO, -1, -1, "", ""}},
	};
	struct vfio_pci_params got;
	struct rte_devargs da = {.name = DEV_A};
	unsigned int i;

	for (i = 0; i < RTE_DIM(cases); i++) {
		da.args = cases[i].args;
		memset(&got, 0xa5, sizeof(got));
		TEST_ASSERT_SUCCESS(vfio_pci_params_parse(&da, fake_params, &got),
			"\"%s\" is refused", cases[i].args);
		TEST_ASSERT_EQUAL(strcmp(got.container, cases[i].want.container), 0,
			"%s: container %s", cases[i].args, got.container);
		TEST_ASSERT_EQUAL(got.backend, cases[i].want.backend, "%s: backend", cases[i].args);
		TEST_ASSERT_EQUAL(got.isolate, cases[i].want.isolate, "%s: isolate", cases[i].args);
		TEST_ASSERT_EQUAL(
			got.eal_memory, cases[i].want.eal_memory, "%s: eal_memory", cases[i].args);
		TEST_ASSERT_EQUAL(strcmp(got.vf_token, cases[i].want.vf_token), 0, "%s: token %s",
			cases[i].args, got.vf_token);
		TEST_ASSERT_EQUAL(strcmp(got.driver, cases[i].want.driver), 0, "%s: driver %s",
			cases[i].args, got.driver);
	}
	return TEST_SUCCESS;
}

static int
wrong_params_are_refused_with_one_line(void)
{
	static const struct {
		const char *args;
		const char *line;
	} cases[] = {
		{"container=", "invalid argument container=: expected "},
		{"container", "invalid argument container=: expected "},
		{"container=1234567890123456789012345678901234567890123456789012345678901234",
			"expected a name of 1 to 63 characters"},
		{"isolate=2", "invalid argument isolate=2: expected 0 or 1"},
		{"isolate=", "invalid argument isolate=: expected "},
		{"isolate=01", "invalid argument isolate=01: expected "},
		{"eal_memory=yes", "invalid argument eal_memory=yes: expected 0 or 1"},
		{"backend=model", "expected auto, type1, iommufd or noiommu"},
		{"backend=TYPE1", "invalid argument backend=TYPE1: expected "},
		{"vf_token=1234", "expected a UUID"},
		{"vf_token=5a000000-1111-2222-3333-4444444444fg", "expected a UUID"},
		{"driver=", "the name of a driver"},
		{"containers=a", "unknown argument \"containers\""},
		{"addr=" DEV_A, "unknown argument \"addr\""},
		{"isolate=1,isolate=1", "\"isolate\" is given twice"},
		{"speed=1,speed=2", "\"speed\" is given twice"},
		{"a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a",
			"are not of the form key=value"},
		{"container=a=b", "unknown argument \"a\""},
	};
	const struct vfio_pci_params untouched = {.container = "before"};
	struct vfio_pci_params got;
	struct rte_devargs da = {.name = DEV_A};
	const char *log;
	unsigned int i;
	int rc;

	for (i = 0; i < RTE_DIM(cases); i++) {
		da.args = cases[i].args;
		got = untouched;
		test_log_begin();
		rc = vfio_pci_params_parse(&da, fake_params, &got);
		log = test_log_end();
		TEST_ASSERT_EQUAL(rc, -EINVAL, "\"%s\" gives %d", cases[i].args, rc);
		TEST_ASSERT_NOT_NULL(
			strstr(log, cases[i].line), "\"%s\" logs: %s", cases[i].args, log);
		TEST_ASSERT_NOT_NULL(
			strstr(log, DEV_A), "the line does not say which device: %s", log);
		TEST_ASSERT_EQUAL(count_lines(log, "vfio_pci: "), 1u, "more than a line: %s", log);
		TEST_ASSERT_EQUAL(memcmp(&got, &untouched, sizeof(got)), 0, "%s: changed something",
			cases[i].args);
	}
	return TEST_SUCCESS;
}

static int
both_syntaxes_mean_the_same(void)
{
	static const struct {
		const char *text;
		int rc; /* result of rte_devargs_parse(): 0 or not 0 */
	} cases[] = {
		{"vfio_pci:" DEV_A ",container=a,isolate=1", 0},
		{"vfio_pci:aa:00.0,container=a,isolate=1", 0},
		{"bus=vfio_pci,addr=" DEV_A ",container=a,isolate=1", 0},
		{"bus=vfio_pci,addr=aa:00.0,container=a/driver=test_fake,isolate=1", 0},
		{"vfio_pci:", -1},
		{"vfio_pci:0000:aa:00", -1},
		{"vfio_pci:0000:aa:00.8", -1},
		{"vfio_pci:0000:aa:20.0", -1},
		{"vfio_pci: 0000:aa:00.0", -1},
		{"vfio_pci:0000:aa:00.0x", -1},
		{"vfio_pci:0000:-1:00.0", -1},
		{"bus=vfio_pci,addr=0000:aa", -1},
		{"bus=vfio_pci,addr=" DEV_A ",isolate=2", -1},
		{"bus=vfio_pci,addr=" DEV_A ",colour=red", -1},
	};
	struct vfio_pci_params params;
	struct rte_pci_addr addr, want;
	struct rte_devargs da;
	unsigned int i;
	int rc;

	TEST_ASSERT_FAIL(
		vfio_pci_bus.bus.parse(DEV_A, NULL), "a bare address is taken from others");
	rte_pci_addr_parse(DEV_A, &want);
	for (i = 0; i < RTE_DIM(cases); i++) {
		test_log_begin();
		rc = rte_devargs_parse(&da, cases[i].text);
		test_log_end();
		TEST_ASSERT((rc == 0) == (cases[i].rc == 0), "%s gives %d", cases[i].text, rc);
		if (rc == 0) {
			TEST_ASSERT(da.bus == &vfio_pci_bus.bus, "%s: another bus", cases[i].text);
			TEST_ASSERT_SUCCESS(vfio_pci_parse_name(da.name, true, &addr),
				"%s: name %s", cases[i].text, da.name);
			TEST_ASSERT_EQUAL(rte_pci_addr_cmp(&addr, &want), 0, "%s: name %s",
				cases[i].text, da.name);
			TEST_ASSERT_SUCCESS(
				vfio_pci_params_parse(&da, NULL, &params), "%s", cases[i].text);
			TEST_ASSERT(strcmp(params.container, "a") == 0 && params.isolate == 1,
				"%s: container %s, isolate %d", cases[i].text, params.container,
				params.isolate);
		}
		rte_devargs_reset(&da);
	}
	return TEST_SUCCESS;
}

static int
capabilities_are_found_and_circles_left(void)
{
	static const struct {
		const char *what;
		uint8_t status, pointer;
		struct {
			uint8_t at, id, next;
		} caps[4];
		uint8_t wanted;
		int rc;
	} cases[] = {
		{"first", PCI_STATUS_CAP_LIST, 0x40, {{0x40, 0x01, 0x50}, {0x50, 0x11, 0}}, 0x01,
			0x40},
		{"last", PCI_STATUS_CAP_LIST, 0x40, {{0x40, 0x01, 0x50}, {0x50, 0x11, 0}}, 0x11,
			0x50},
		{"backwards", PCI_STATUS_CAP_LIST, 0xf0, {{0xf0, 0x01, 0x40}, {0x40, 0x11, 0}},
			0x11, 0x40},
		{"at the end", PCI_STATUS_CAP_LIST, 0xfc, {{0xfc, 0x11, 0}}, 0x11, 0xfc},
		{"absent", PCI_STATUS_CAP_LIST, 0x40, {{0x40, 0x01, 0}}, 0x11, 0},
		{"empty list", PCI_STATUS_CAP_LIST, 0, {{0}}, 0x11, 0},
		{"no list", 0, 0x40, {{0x40, 0x11, 0}}, 0x11, 0},
		{"reserved bits", PCI_STATUS_CAP_LIST, 0x43, {{0x40, 0x01, 0x51}, {0x50, 0x11, 0}},
			0x11, 0x50},
		{"points at itself", PCI_STATUS_CAP_LIST, 0x40, {{0x40, 0x01, 0x40}}, 0x11, -ELOOP},
		{"circle of two", PCI_STATUS_CAP_LIST, 0x40,
			{{0x40, 0x01, 0x50}, {0x50, 0x05, 0x40}}, 0x11, -ELOOP},
		{"found before the circle", PCI_STATUS_CAP_LIST, 0x40,
			{{0x40, 0x11, 0x50}, {0x50, 5, 0x40}}, 0x11, 0x40},
		{"into the header", PCI_STATUS_CAP_LIST, 0x40, {{0x40, 0x01, 0x10}}, 0x11,
			-EBADMSG},
		{"begins in the header", PCI_STATUS_CAP_LIST, 0x3c, {{0}}, 0x11, -EBADMSG},
	};
	uint8_t cfg[VFIO_PCI_CFG_LEN];
	unsigned int i, j;
	int rc;

	for (i = 0; i < RTE_DIM(cases); i++) {
		memset(cfg, 0, sizeof(cfg));
		cfg[PCI_STATUS] = cases[i].status;
		cfg[PCI_CAPABILITY_LIST] = cases[i].pointer;
		for (j = 0; j < RTE_DIM(cases[i].caps) && cases[i].caps[j].at != 0; j++) {
			cfg[cases[i].caps[j].at] = cases[i].caps[j].id;
			cfg[cases[i].caps[j].at + 1] = cases[i].caps[j].next;
		}
		rc = vfio_pci_cap_find(cfg, cases[i].wanted);
		TEST_ASSERT_EQUAL(
			rc, cases[i].rc, "%s: %d instead of %d", cases[i].what, rc, cases[i].rc);
	}
	return TEST_SUCCESS;
}

static int
bars_are_mapped_around_the_msix_table(void)
{
#define K UINT64_C(1024)
#define TABLE(start, last) .has_table = true, .table = { start, last }
	static const struct vfio_pci_area two[] = {{0, 4 * K - 1}, {12 * K, 16 * K - 1}};
	static const struct vfio_pci_area odd[] = {{100, 9000}};
	static const struct {
		const char *what;
		struct vfio_pci_bar_shape shape;
		unsigned int n;
		struct vfio_pci_area want[3];
	} cases[] = {
		{"no table", {.len = 128 * K, .page = 4 * K}, 1, {{0, 128 * K - 1}}},
		{"less than a page", {.len = 128, .page = 4 * K}, 1, {{0, 4 * K - 1}}},
		{"odd length", {.len = 5 * K, .page = 4 * K}, 1, {{0, 8 * K - 1}}},
		{"table first", {.len = 16 * K, .page = 4 * K, TABLE(0, 79)}, 1,
			{{4 * K, 16 * K - 1}}},
		{"table in the middle", {.len = 16 * K, .page = 4 * K, TABLE(8 * K, 8 * K + 79)}, 2,
			{{0, 8 * K - 1}, {12 * K, 16 * K - 1}}},
		{"table last", {.len = 16 * K, .page = 4 * K, TABLE(12 * K, 12 * K + 79)}, 1,
			{{0, 12 * K - 1}}},
		{"table inside its page",
			{.len = 16 * K, .page = 4 * K, TABLE(4 * K + 256, 4 * K + 511)}, 2,
			{{0, 4 * K - 1}, {8 * K, 16 * K - 1}}},
		{"table over two pages", {.len = 16 * K, .page = 4 * K, TABLE(6 * K, 10 * K - 1)},
			2, {{0, 4 * K - 1}, {12 * K, 16 * K - 1}}},
		{"table ends with its page", {.len = 16 * K, .page = 4 * K, TABLE(0, 4 * K - 1)}, 1,
			{{4 * K, 16 * K - 1}}},
		{"nothing but the table", {.len = 4 * K, .page = 4 * K, TABLE(0, 79)}, 0, {{0}}},
		{"2,048 vectors", {.len = 64 * K, .page = 4 * K, TABLE(0, 32 * K - 1)}, 1,
			{{32 * K, 64 * K - 1}}},
		{"table beyond the BAR", {.len = 4 * K, .page = 4 * K, TABLE(8 * K, 8 * K + 79)}, 1,
			{{0, 4 * K - 1}}},
		{"small pages, kernel allows",
			{.len = 16 * K, .page = 4 * K, TABLE(0, 79), .table_mappable = true}, 1,
			{{4 * K, 16 * K - 1}}},
		{"large pages, kernel allows",
			{.len = 64 * K,
				.page = 64 * K,
				TABLE(4 * K, 5 * K - 1),
				.table_mappable = true},
			1, {{0, 64 * K - 1}}},
		{"large pages, kernel refuses",
			{.len = 128 * K, .page = 64 * K, TABLE(4 * K, 5 * K - 1)}, 1,
			{{64 * K, 128 * K - 1}}},
		{"the kernel's list", {.len = 16 * K, .page = 4 * K, .n_sparse = 2, .sparse = two},
			2, {{0, 4 * K - 1}, {12 * K, 16 * K - 1}}},
		{"list and table",
			{.len = 16 * K,
				.page = 4 * K,
				TABLE(12 * K, 12 * K + 79),
				.n_sparse = 2,
				.sparse = two},
			1, {{0, 4 * K - 1}}},
		{"list off page borders",
			{.len = 16 * K, .page = 4 * K, .n_sparse = 1, .sparse = odd}, 1,
			{{4 * K, 8 * K - 1}}},
		{"list beyond the BAR", {.len = 4 * K, .page = 4 * K, .n_sparse = 2, .sparse = two},
			1, {{0, 4 * K - 1}}},
	};
	struct vfio_pci_area got[4];
	unsigned int i, j, n;

	for (i = 0; i < RTE_DIM(cases); i++) {
		n = vfio_pci_bar_areas(&cases[i].shape, got, RTE_DIM(got));
		TEST_ASSERT_EQUAL(
			n, cases[i].n, "%s: %u areas instead of %u", cases[i].what, n, cases[i].n);
		for (j = 0; j < n; j++)
			TEST_ASSERT(got[j].start == cases[i].want[j].start &&
					got[j].last == cases[i].want[j].last,
				"%s: area %u is 0x%" PRIx64 "-0x%" PRIx64, cases[i].what, j,
				got[j].start, got[j].last);
	}
	n = vfio_pci_bar_areas(&cases[4].shape, got, 1);
	TEST_ASSERT_EQUAL(n, 1u, "more areas than there is room for: %u", n);
	return TEST_SUCCESS;
#undef TABLE
#undef K
}

static int
ids_match_with_wildcards(void)
{
	static const struct rte_pci_id id = {.class_id = 0x020000,
		.vendor_id = 0x8086,
		.device_id = 0x10d3,
		.subsystem_vendor_id = 0x1af4,
		.subsystem_device_id = 0x1100};
	static const struct {
		struct rte_pci_id row;
		bool fits;
	} cases[] = {
		{VFIO_PCI_ID(0x8086, 0x10d3), true},
		{VFIO_PCI_ID(0x8086, RTE_PCI_ANY_ID), true},
		{VFIO_PCI_ID(RTE_PCI_ANY_ID, RTE_PCI_ANY_ID), true},
		{VFIO_PCI_ID(0x8086, 0x10d4), false},
		{VFIO_PCI_ID(0x8087, 0x10d3), false},
		{{0x020000, 0x8086, 0x10d3, 0x1af4, 0x1100}, true},
		{{0x010000, 0x8086, 0x10d3, 0x1af4, 0x1100}, false},
		{{RTE_CLASS_ANY_ID, 0x8086, 0x10d3, 0x1af5, RTE_PCI_ANY_ID}, false},
		{{RTE_CLASS_ANY_ID, 0x8086, 0x10d3, RTE_PCI_ANY_ID, 0x1101}, false},
	};
	struct rte_pci_id table[3] = {VFIO_PCI_ID(0x1234, 0x5678)};
	const struct vfio_pci_driver driver = {.id_table = table};
	unsigned int i;

	for (i = 0; i < RTE_DIM(cases); i++) {
		table[1] = cases[i].row;
		TEST_ASSERT_EQUAL(vfio_pci_match(&driver, &id), cases[i].fits, "row %u", i);
	}
	return TEST_SUCCESS;
}

static int
pmd_info_is_one_json_string(void)
{
	static const char want[] = "PMD_INFO_STRING= {\"name\": \"test_fake\", \"params\": "
				   "\"speed=<0-9>\", \"kmod\": \"vfio-pci\", \"pci_ids\": "
				   "[ [32902, 4307,65535,65535],[ 6900,    7,65535,65535]]}";

	TEST_ASSERT_EQUAL(sizeof(vfio_pci_pmd_info_test_fake), sizeof(want), "length");
	TEST_ASSERT_EQUAL(memcmp(&vfio_pci_pmd_info_test_fake, want, sizeof(want)), 0, "it is %s",
		(const char *)&vfio_pci_pmd_info_test_fake);
	TEST_ASSERT(fake_ids[0].vendor_id == 0x8086 && fake_ids[1].device_id == 7 &&
			fake_ids[2].vendor_id == 0,
		"the id table is another");
	return TEST_SUCCESS;
}

static int
only_named_devices_are_scanned(void)
{
	struct vfio_pci_device *dev;

	TEST_ASSERT_SUCCESS(vfio_pci_scan(&vfio_pci_bus.bus), "a scan without devargs");
	TEST_ASSERT(TAILQ_EMPTY(&vfio_pci_devices), "a device that nobody named is on the bus");
	TEST_ASSERT_EQUAL(
		vfio_pci_bus.bus.get_iommu_class(), RTE_IOVA_DC, "an empty bus wants something");

	TEST_ASSERT_SUCCESS(rte_devargs_add(RTE_DEVTYPE_ALLOWED, "vfio_pci:" DEV_B), "devargs");
	TEST_ASSERT_SUCCESS(
		rte_devargs_add(RTE_DEVTYPE_ALLOWED, "vfio_pci:aa:00.0,container=a"), "devargs");
	TEST_ASSERT_SUCCESS(vfio_pci_scan(&vfio_pci_bus.bus), "scan");
	dev = TAILQ_FIRST(&vfio_pci_devices);
	TEST_ASSERT(
		dev != NULL && strcmp(dev->name, DEV_A) == 0, "the lowest address is not first");
	TEST_ASSERT(dev->id.vendor_id == 0x8086 && dev->id.device_id == 0x10d3 &&
			dev->id.subsystem_vendor_id == 0x1af4 &&
			dev->id.subsystem_device_id == 0x1100 && dev->id.class_id == 0x020000,
		"ids are wrong");
	TEST_ASSERT_EQUAL(dev->device.numa_node, 1, "node %d", dev->device.numa_node);
	TEST_ASSERT_EQUAL(strcmp(dev->device.devargs->name, DEV_A), 0, "devargs are named %s",
		dev->device.devargs->name);
	TEST_ASSERT_EQUAL(strcmp(dev->device.bus_info, "vendor_id=8086, device_id=10d3"), 0, "%s",
		dev->device.bus_info);
	dev = TAILQ_NEXT(dev, next);
	TEST_ASSERT(dev != NULL && strcmp(dev->name, DEV_B) == 0, "the second is missing");
	TEST_ASSERT_EQUAL(dev->device.numa_node, SOCKET_ID_ANY, "node %d", dev->device.numa_node);
	TEST_ASSERT_NULL(TAILQ_NEXT(dev, next), "a third is on the bus");
	TEST_ASSERT_EQUAL(vfio_pci_bus.bus.get_iommu_class(), RTE_IOVA_VA, "IOVA mode");

	TEST_ASSERT_SUCCESS(vfio_pci_scan(&vfio_pci_bus.bus), "second scan");
	TEST_ASSERT_NULL(TAILQ_NEXT(TAILQ_NEXT(TAILQ_FIRST(&vfio_pci_devices), next), next),
		"a second scan adds devices");
	remove_device(DEV_B);
	TEST_ASSERT_SUCCESS(vfio_pci_scan(&vfio_pci_bus.bus), "third scan");
	TEST_ASSERT_NULL(on_bus(DEV_B), "a device that is gone is still on the bus");
	TEST_ASSERT_NOT_NULL(on_bus(DEV_A), "one that is there is not");
	return TEST_SUCCESS;
}

static int
an_absent_device_has_one_line(void)
{
	const char *log;

	TEST_ASSERT_SUCCESS(
		rte_devargs_add(RTE_DEVTYPE_ALLOWED, "vfio_pci:" DEV_ABSENT), "devargs");
	test_log_begin();
	TEST_ASSERT_SUCCESS(vfio_pci_scan(&vfio_pci_bus.bus), "scan");
	TEST_ASSERT_SUCCESS(vfio_pci_scan(&vfio_pci_bus.bus), "second scan");
	log = test_log_end();
	TEST_ASSERT_EQUAL(count_lines(log, DEV_ABSENT ": no such device"), 1u, "it logs: %s", log);
	TEST_ASSERT(TAILQ_EMPTY(&vfio_pci_devices), "it is on the bus");
	return TEST_SUCCESS;
}

static int
devices_are_found_and_filtered(void)
{
	static const struct {
		const char *filter;
		unsigned int n;
	} cases[] = {
		{"bus=vfio_pci", 2},
		{"bus=vfio_pci,addr=" DEV_A, 1},
		{"bus=vfio_pci,addr=bb:00.1", 1},
		{"bus=vfio_pci,addr=" DEV_ABSENT, 0},
		{"bus=vfio_pci,container=a", 0},
	};
	struct rte_dev_iterator it;
	struct rte_device *dev;
	unsigned int i, n;

	rte_devargs_add(RTE_DEVTYPE_ALLOWED, "vfio_pci:" DEV_A);
	rte_devargs_add(RTE_DEVTYPE_ALLOWED, "vfio_pci:" DEV_B);
	TEST_ASSERT_SUCCESS(vfio_pci_scan(&vfio_pci_bus.bus), "scan");
	for (i = 0; i < RTE_DIM(cases); i++) {
		n = 0;
		RTE_DEV_FOREACH(dev, cases[i].filter, &it)
			n++;
		TEST_ASSERT_EQUAL(n, cases[i].n, "%s: %u devices", cases[i].filter, n);
	}
	dev = &on_bus(DEV_A)->device;
	TEST_ASSERT(rte_bus_find_by_device(dev) == &vfio_pci_bus.bus, "its bus is not found");
	test_log_begin();
	TEST_ASSERT_SUCCESS(rte_dev_iterator_init(&it, "bus=vfio_pci,addr=" DEV_A), "init");
	TEST_ASSERT_NULL(vfio_pci_bus.bus.dev_iterate(NULL, "size=1", &it),
		"a wrong filter finds something");
	TEST_ASSERT_NOT_NULL(strstr(test_log_end(), "invalid filter"), "no line");
	TEST_ASSERT_EQUAL(rte_errno, EINVAL, "rte_errno is %d", rte_errno);
	return TEST_SUCCESS;
}

static int
hotplug_refuses_and_leaves_nothing(void)
{
	static const struct {
		const char *devargs;
		int rc;
		const char *line;
		bool stays; /* an unprobed device stays on the bus, as in DPDK */
	} cases[] = {
		{"vfio_pci:" DEV_ABSENT, -ENODEV, "no such device", false},
		{"vfio_pci:" DEV_B, -ENOTSUP, "no driver for 1234:dead", true},
		{"vfio_pci:" DEV_A ",driver=other", -ENOTSUP, "no driver other for 8086:10d3",
			true},
		{"vfio_pci:" DEV_A ",colour=red", -EINVAL, "unknown argument \"colour\"", true},
		{"vfio_pci:" DEV_A ",isolate=yes", -EINVAL, "expected 0 or 1", true},
	};
	const char *log;
	unsigned int i;
	int rc;

	vfio_pci_register(&fake_driver);
	for (i = 0; i < RTE_DIM(cases); i++) {
		test_log_begin();
		rc = rte_dev_probe(cases[i].devargs);
		log = test_log_end();
		TEST_ASSERT_EQUAL(rc, cases[i].rc, "%s gives %d", cases[i].devargs, rc);
		TEST_ASSERT_EQUAL(
			count_lines(log, cases[i].line), 1u, "%s logs: %s", cases[i].devargs, log);
		TEST_ASSERT_EQUAL(count_devargs("vfio_pci"), cases[i].stays ? 1u : 0u,
			"%s leaves %u devargs", cases[i].devargs, count_devargs("vfio_pci"));
		if (cases[i].stays)
			vfio_pci_device_remove(TAILQ_FIRST(&vfio_pci_devices));
		TEST_ASSERT(TAILQ_EMPTY(&vfio_pci_devices), "a device is left");
	}
	vfio_pci_unregister(&fake_driver);
	TEST_ASSERT_EQUAL(n_probes, 0u, "the driver was asked");
	return TEST_SUCCESS;
}

static int
naming_a_device_again_replaces_its_arguments(void)
{
	rte_devargs_add(RTE_DEVTYPE_ALLOWED, "vfio_pci:" DEV_B ",container=a");
	TEST_ASSERT_SUCCESS(vfio_pci_scan(&vfio_pci_bus.bus), "scan");
	test_log_begin();
	TEST_ASSERT_EQUAL(rte_dev_probe("vfio_pci:" DEV_B ",container=b"), -ENOTSUP, "no driver");
	TEST_ASSERT_EQUAL(count_devargs("vfio_pci"), 1u, "%u devargs", count_devargs("vfio_pci"));
	TEST_ASSERT_EQUAL(strcmp(on_bus(DEV_B)->device.devargs->args, "container=b"), 0, "args %s",
		on_bus(DEV_B)->device.devargs->args);
	TEST_ASSERT_EQUAL(
		rte_dev_probe("bus=vfio_pci,addr=" DEV_B ",container=c"), -ENOTSUP, "no driver");
	test_log_end();
	TEST_ASSERT_EQUAL(count_devargs("vfio_pci"), 1u, "%u devargs", count_devargs("vfio_pci"));
	TEST_ASSERT_NOT_NULL(strstr(on_bus(DEV_B)->device.devargs->bus_str, "container=c"), "args");
	return TEST_SUCCESS;
}

/* What the vfio_pci bus does to DPDK's own pci bus is observed on a replacement for it. */
static struct rte_device pci_device = {.name = DEV_A};

static int
pci_nothing(void)
{
	return 0;
}

static struct rte_device *
pci_find(const struct rte_device *start, rte_dev_cmp_t cmp, const void *data)
{
	return start == NULL && cmp(&pci_device, data) == 0 ? &pci_device : NULL;
}

static int
pci_parse(const char *name, void *out)
{
	struct rte_pci_addr addr;

	RTE_SET_USED(out);
	return rte_pci_addr_parse(name, &addr);
}

static struct rte_bus pci_bus = {
	.name = "pci",
	.scan = pci_nothing,
	.probe = pci_nothing,
	.find_device = pci_find,
	.parse = pci_parse,
};

static int
pci_bus_cases(void)
{
	struct rte_devargs da, *theirs;
	struct rte_driver driver = {.name = "net_e1000_em"};
	const char *log;
	int rc;

	/* The bus of a name does not depend on the order of registration. */
	TEST_ASSERT_SUCCESS(rte_devargs_parse(&da, "vfio_pci:" DEV_A), "parse");
	TEST_ASSERT(da.bus == &vfio_pci_bus.bus, "the name is another bus's");
	rte_devargs_reset(&da);
	TEST_ASSERT_SUCCESS(rte_devargs_parse(&da, DEV_A), "parse");
	TEST_ASSERT(da.bus == &pci_bus, "a bare address is not the pci bus's");
	rte_devargs_reset(&da);

	/* A named device is blocked on DPDK's pci bus as long as it is on ours. */
	rte_devargs_add(RTE_DEVTYPE_ALLOWED, "vfio_pci:" DEV_A);
	TEST_ASSERT_SUCCESS(vfio_pci_scan(&vfio_pci_bus.bus), "scan");
	theirs = pci_device.devargs;
	TEST_ASSERT(theirs != NULL && theirs->policy == RTE_DEV_BLOCKED, "it is not blocked");
	TEST_ASSERT_EQUAL(
		pci_bus.conf.scan_mode, RTE_BUS_SCAN_BLOCKLIST, "mode %d", pci_bus.conf.scan_mode);
	TEST_ASSERT_EQUAL(count_devargs("pci"), 1u, "%u devargs", count_devargs("pci"));
	TEST_ASSERT_SUCCESS(vfio_pci_scan(&vfio_pci_bus.bus), "scan");
	TEST_ASSERT_EQUAL(count_devargs("pci"), 1u, "a second scan blocks again");
	vfio_pci_device_remove(on_bus(DEV_A));
	TEST_ASSERT_NULL(pci_device.devargs, "it is blocked still");
	TEST_ASSERT_EQUAL(count_devargs("pci"), 0u, "devargs are left");

	/* A device that the operator blocked stays blocked. */
	rte_devargs_add(RTE_DEVTYPE_BLOCKED, "pci:" DEV_A);
	rte_devargs_add(RTE_DEVTYPE_ALLOWED, "vfio_pci:" DEV_A);
	TEST_ASSERT_SUCCESS(vfio_pci_scan(&vfio_pci_bus.bus), "scan");
	vfio_pci_device_remove(on_bus(DEV_A));
	TEST_ASSERT_EQUAL(count_devargs("pci"), 1u, "the operator's block is gone");
	pci_device.devargs = NULL;
	rte_devargs_remove(rte_devargs_next("pci", NULL));

	/* A device that is named on both buses, or driven on the other, is refused on ours. */
	rte_devargs_add(RTE_DEVTYPE_ALLOWED, "pci:" DEV_A);
	test_log_begin();
	rc = rte_dev_probe("vfio_pci:" DEV_A);
	log = test_log_end();
	TEST_ASSERT_EQUAL(rc, -EBUSY, "named on both: %d", rc);
	TEST_ASSERT_NOT_NULL(strstr(log, "name it on one bus only"), "it logs %s", log);
	vfio_pci_device_remove(on_bus(DEV_A));
	TEST_ASSERT_EQUAL(count_devargs("pci"), 1u, "the operator's wish is gone");
	rte_devargs_remove(rte_devargs_next("pci", NULL));
	pci_device.driver = &driver;
	test_log_begin();
	rc = rte_dev_probe("vfio_pci:" DEV_A);
	test_log_end();
	pci_device.driver = NULL;
	TEST_ASSERT_EQUAL(rc, -EBUSY, "driven there: %d", rc);
	return TEST_SUCCESS;
}

static int
the_pci_bus_keeps_its_hands_off(void)
{
	struct rte_bus *real = rte_bus_find_by_name("pci");
	struct rte_devargs *da;
	int rc;

	if (real != NULL)
		rte_bus_unregister(real);
	rte_bus_register(&pci_bus);
	pci_device.bus = &pci_bus;
	rc = pci_bus_cases();
	while (!TAILQ_EMPTY(&vfio_pci_devices))
		vfio_pci_device_remove(TAILQ_FIRST(&vfio_pci_devices));
	while ((da = rte_devargs_next("pci", NULL)) != NULL)
		rte_devargs_remove(da);
	pci_device.devargs = NULL;
	pci_bus.conf.scan_mode = RTE_BUS_SCAN_UNDEFINED;
	rte_bus_unregister(&pci_bus);
	if (real != NULL)
		rte_bus_register(real);
	return rc;
}

/* This log always changes errno. */
static int
a_log_line_does_not_change_the_error(void)
{
	int rc;

	test_log_begin();
	errno = EBUSY;
	rc = VFIO_PCI_FAIL(errno, "in use: %s", strerror(errno));
	TEST_ASSERT_EQUAL(rc, -EBUSY, "it became %d", rc);
	TEST_ASSERT(test_logged("in use: Device or resource busy"), "message");
	return TEST_SUCCESS;
}

static const struct test_case cases[] = {
	{"arguments are read", params_are_read},
	{"wrong arguments are refused with one line", wrong_params_are_refused_with_one_line},
	{"both syntaxes mean the same", both_syntaxes_mean_the_same},
	{"capabilities are found, loops end", capabilities_are_found_and_circles_left},
	{"BARs are mapped around the MSI-X table", bars_are_mapped_around_the_msix_table},
	{"ids match, with wildcards", ids_match_with_wildcards},
	{"pmd info is one JSON string", pmd_info_is_one_json_string},
	{"only named devices are on the bus", only_named_devices_are_scanned},
	{"an absent device has one line", an_absent_device_has_one_line},
	{"devices are found and filtered", devices_are_found_and_filtered},
	{"hotplug refuses and leaves nothing", hotplug_refuses_and_leaves_nothing},
	{"naming a device again replaces its arguments",
		naming_a_device_again_replaces_its_arguments},
	{"DPDK's pci bus does not probe our devices", the_pci_bus_keeps_its_hands_off},
	{"a log line does not change the error", a_log_line_does_not_change_the_error},
};

REGISTER_TEST_SUITE(bus_suite) = {
	.name = "bus",
	.kind = TEST_FAST,
	.cases = cases,
	.n_cases = RTE_DIM(cases),
	.setup = setup,
	.teardown = teardown,
	.needs_eal = true,
};
