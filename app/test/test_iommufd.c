/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Is the iommufd backend right about the kernel? On the model in Linux' place, which answers oddly
 * where told to.
 */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_common.h>
#include <rte_uuid.h>

#include "dm_iommu.h"
#include "fake_sysfs.h"
#include "iommufd_abi.h"
#include "model_linux.h"
#include "test.h"

#define OPS (&dm_iommu_iommufd_ops)
#define A "0000:01:00.0"
#define B "0000:02:00.0"
#define PAGE UINT64_C(4096)
#define UUID "2ab74924-c335-45f4-9b16-8569e5b08258"
/* Nothing is there: the model is told not to look. */
#define VA ((char *)UINT64_C(0x7f0000000000))

static const struct dmamap_model_iommu_conf coherent = {.enforces_coherency = true};

static struct dmamap_model *model;
static struct dm_iommu *iommu;
static struct dm_iommu_domain *dom;

/** Two devices, each behind an IOMMU of its own. */
static int
make_model(unsigned int version)
{
	const struct dmamap_model_conf conf = {.linux_version = version, .no_memory = true};
	struct dmamap_model_group_conf group = {0};
	static const char *const names[] = {A, B};
	unsigned int i;
	int id;

	TEST_ASSERT_SUCCESS(dmamap_model_create(&conf, &model), "model");
	for (i = 0; i < RTE_DIM(names); i++) {
		group.iommu = dmamap_model_add_iommu(model, &coherent);
		id = dmamap_model_add_group(model, &group);
		TEST_ASSERT_SUCCESS(dmamap_model_add_device(model, id, names[i], -1, "vfio-pci"),
			"%s", names[i]);
	}
	return model_linux_begin(model, names, RTE_DIM(names));
}

static int
setup_linux(unsigned int version)
{
	iommu = NULL;
	dom = NULL;
	TEST_ASSERT_SUCCESS(make_model(version), "model");
	TEST_ASSERT_SUCCESS(OPS->open(NULL, &iommu), "open");
	TEST_ASSERT_SUCCESS(OPS->domain_create(iommu, &dom), "domain_create");
	return TEST_SUCCESS;
}

static int
setup(void)
{
	return setup_linux(DMAMAP_MODEL_LINUX(6, 12));
}

static void
teardown(void)
{
	if (dom != NULL)
		OPS->domain_destroy(dom);
	if (iommu != NULL)
		OPS->close(iommu);
	model_linux_end();
	if (dmamap_model_destroy(model) < 0)
		printf("  something is left open in the model\n");
}

static struct dm_iommu_dev *
attach(const char *name)
{
	struct dm_iommu_dev *dev;

	if (OPS->dev_get(iommu, name, &dev) < 0)
		return NULL;
	if (OPS->attach(dom, dev) == 0)
		return dev;
	OPS->dev_put(dev);
	return NULL;
}

static void
detach(struct dm_iommu_dev *dev)
{
	OPS->detach(dom, dev);
	OPS->dev_put(dev);
}

/** Is the model as it was? Frees the earlier text. */
static bool
unchanged(char *before)
{
	char *after = dmamap_model_dump(model);
	bool same = strcmp(before, after) == 0;

	if (!same)
		printf("  before:\n%s  after:\n%s", before, after);
	free(before);
	free(after);
	return same;
}

static int
is_silent_about_its_absence_when_another_may_do(void)
{
	const struct dmamap_container_conf automatic = {.backend = DMAMAP_BACKEND_AUTO};
	const struct dmamap_container_conf asked_for = {.backend = DMAMAP_BACKEND_IOMMUFD};
	struct dm_iommu *other;
	unsigned int nth;
	char *before;
	int rc;

	/* First the folder of devices is looked for, then /dev/iommu. */
	for (nth = 1; nth <= 2; nth++) {
		before = dmamap_model_dump(model);
		dmamap_model_fail(model, 1 << DMAMAP_MODEL_OPEN, nth, ENOENT);
		test_log_begin();
		rc = OPS->open(&automatic, &other);
		TEST_ASSERT(test_log_end()[0] == '\0', "it was not silent");
		TEST_ASSERT_EQUAL(rc, -ENOENT, "file %u: %d", nth, rc);
		TEST_ASSERT(unchanged(before), "file %u: something was left open", nth);
	}
	dmamap_model_fail(model, 1 << DMAMAP_MODEL_OPEN, 1, ENOENT);
	test_log_begin();
	rc = OPS->open(&asked_for, &other);
	TEST_ASSERT(test_logged("there is no /dev/iommu"), "log");
	TEST_ASSERT_EQUAL(rc, -ENOENT, "%d", rc);
	TEST_ASSERT_SUCCESS(OPS->open(&automatic, &other), "open");
	OPS->close(other);
	return TEST_SUCCESS;
}

static int
attaches_devices_to_one_address_space(void)
{
	static char page[PAGE] __rte_aligned(PAGE);
	char *before = dmamap_model_dump(model);
	struct dm_iommu_dev *a = attach(A), *b = attach(B);

	TEST_ASSERT(a != NULL && b != NULL, "attach");
	TEST_ASSERT_EQUAL(dmamap_model_calls(model, DMAMAP_MODEL_IOAS_ALLOC), 1, "IOAS");
	TEST_ASSERT_SUCCESS(OPS->map(dom, 0x1000, page, PAGE, DMAMAP_RW), "map");
	TEST_ASSERT_EQUAL(dmamap_model_calls(model, DMAMAP_MODEL_IOAS_MAP), 1, "calls");
	TEST_ASSERT_EQUAL(dmamap_model_calls(model, DMAMAP_MODEL_IOMMU_MAP), 2, "page tables");
	TEST_ASSERT_SUCCESS(dmamap_model_dma_write(model, A, 0x1000, "x", 1), "DMA of the first");
	TEST_ASSERT_SUCCESS(dmamap_model_dma_write(model, B, 0x1001, "y", 1), "DMA of the second");
	TEST_ASSERT(strcmp(page, "xy") == 0, "they wrote \"%.2s\"", page);
	detach(a);
	detach(b);
	TEST_ASSERT(unchanged(before), "something is left");
	return TEST_SUCCESS;
}

static int
is_empty_after_the_last_device(void)
{
	struct dm_iommu_dev *a = attach(A), *b = attach(B);
	uint64_t done;

	TEST_ASSERT(a != NULL && b != NULL, "attach");
	TEST_ASSERT_SUCCESS(OPS->map(dom, 0x1000, VA, PAGE, DMAMAP_READ), "map");
	detach(a);
	TEST_ASSERT_EQUAL(dmamap_model_locked(model), PAGE, "the map is gone");
	detach(b);
	TEST_ASSERT_EQUAL(OPS->unmap(dom, 0x1000, PAGE, &done), -ENOENT, "the map is there");
	return TEST_SUCCESS;
}

static uint32_t map_flags;

static int
keep_map_flags(unsigned long request, void *arg, int rc)
{
	if (request == ABI_IOMMU_IOAS_MAP)
		map_flags = ((const struct abi_ioas_map *)arg)->flags;
	return rc;
}

static int
maps_and_reports_what_was_unmapped(void)
{
	uint64_t done;

	model_linux_hook = keep_map_flags;
	TEST_ASSERT_EQUAL(OPS->unmap(dom, 0x200000, 3 * PAGE, &done), -ENOENT, "hole");
	TEST_ASSERT_EQUAL(done, 0, "done after an error");
	TEST_ASSERT_SUCCESS(OPS->map(dom, 0x200000, VA, PAGE, DMAMAP_READ), "map");
	TEST_ASSERT_EQUAL(map_flags, ABI_IOAS_MAP_FIXED_IOVA | ABI_IOAS_MAP_READABLE, "flags");
	TEST_ASSERT_SUCCESS(OPS->map(dom, 0x201000, VA + PAGE, 2 * PAGE, DMAMAP_WRITE), "map");
	TEST_ASSERT_EQUAL(map_flags, ABI_IOAS_MAP_FIXED_IOVA | ABI_IOAS_MAP_WRITEABLE, "flags");
	TEST_ASSERT_EQUAL(OPS->map(dom, 0x201000, VA, PAGE, DMAMAP_RW), -EEXIST, "overlap");
	dmamap_model_short_unmap(model, 1, PAGE);
	TEST_ASSERT_SUCCESS(OPS->unmap(dom, 0x200000, 3 * PAGE, &done), "unmap");
	TEST_ASSERT_EQUAL(done, PAGE, "a short unmap was not seen");
	TEST_ASSERT_SUCCESS(OPS->unmap(dom, 0x200000, 3 * PAGE, &done), "unmap");
	TEST_ASSERT_EQUAL(done, 2 * PAGE, "the rest");
	return TEST_SUCCESS;
}

static int
isolated_domains_share_what_is_pinned(void)
{
	const struct dmamap_container_conf conf = {
		.backend = DMAMAP_BACKEND_IOMMUFD, .sharing = DMAMAP_ISOLATE};
	rte_iova_t early = 0x10000000, late = 0x20000000;
	struct dmamap_device *a, *b;
	struct dmamap_container *c;

	TEST_ASSERT_SUCCESS(dmamap_container_create(&conf, &c), "create");
	TEST_ASSERT_SUCCESS(dmamap_container_attach(c, A, &a), "attach");
	TEST_ASSERT_SUCCESS(dmamap_map(c, VA, PAGE, DMAMAP_READ | DMAMAP_FIXED, &early), "map");
	TEST_ASSERT_EQUAL(dmamap_model_calls(model, DMAMAP_MODEL_IOAS_COPY), 0,
		"there is nothing to share yet");
	TEST_ASSERT_SUCCESS(dmamap_container_attach(c, B, &b), "attach");
	TEST_ASSERT_EQUAL(dmamap_model_calls(model, DMAMAP_MODEL_IOAS_COPY), 1, "the replay");
	TEST_ASSERT_SUCCESS(
		dmamap_map(c, VA + PAGE, 3 * PAGE, DMAMAP_RW | DMAMAP_FIXED, &late), "map");
	TEST_ASSERT_EQUAL(
		dmamap_model_calls(model, DMAMAP_MODEL_IOMMU_MAP), 4, "two maps in two tables");
	TEST_ASSERT_EQUAL(dmamap_model_locked(model), 4 * PAGE, "pages are pinned for each domain");
	TEST_ASSERT_SUCCESS(dmamap_unmap(c, late, 3 * PAGE), "unmap");
	TEST_ASSERT_EQUAL(dmamap_model_locked(model), PAGE, "pages stay pinned");
	/* The first leaves: what the second shared with it stays. */
	TEST_ASSERT_SUCCESS(dmamap_container_detach(a), "detach");
	TEST_ASSERT_EQUAL(dmamap_model_locked(model), PAGE, "the second's are not pinned");
	TEST_ASSERT_SUCCESS(dmamap_container_detach(b), "detach");
	return dmamap_container_destroy(c);
}

/** Put a device into a new group, behind a new IOMMU. */
static int
replace_device(const char *name, const struct dmamap_model_iommu_conf *iommu_conf,
	struct dmamap_model_group_conf group)
{
	static const char *const names[] = {A, B};

	TEST_ASSERT_SUCCESS(dmamap_model_remove_device(model, name), "remove");
	group.iommu = dmamap_model_add_iommu(model, iommu_conf);
	TEST_ASSERT_SUCCESS(dmamap_model_add_device(model, dmamap_model_add_group(model, &group),
				    name, -1, "vfio-pci"),
		"add");
	model_linux_end();
	return model_linux_begin(model, names, RTE_DIM(names));
}

static int
an_address_space_in_the_way_of_a_device_is_named(void)
{
	static const struct dmamap_model_iommu_conf narrow = {.aperture = {0, 0xfffffff}};
	const struct dmamap_container_conf conf = {.backend = DMAMAP_BACKEND_IOMMUFD};
	rte_iova_t iova = 0x10000000;
	struct dmamap_container_info info;
	struct dmamap_conflict conflict;
	struct dmamap_container *c;
	struct dmamap_device *a, *b;
	const char *log;
	char *before;
	int rc;

	TEST_ASSERT_SUCCESS(dmamap_container_create(&conf, &c), "create");
	TEST_ASSERT_SUCCESS(dmamap_container_attach(c, A, &a), "attach");
	TEST_ASSERT_SUCCESS(dmamap_map(c, VA, PAGE, DMAMAP_READ | DMAMAP_FIXED, &iova), "map");

	/* The kernel says no more than EADDRINUSE. A device that translates it all the same gets an
	 * address space of its own. */
	dmamap_model_fail(model, 1 << DMAMAP_MODEL_ATTACH_PT, 1, EADDRINUSE);
	TEST_ASSERT_SUCCESS(dmamap_container_attach(c, B, &b), "attach");
	dmamap_container_info(c, &info);
	TEST_ASSERT_EQUAL(info.n_domains, 2, "%u domains", info.n_domains);
	TEST_ASSERT_SUCCESS(dmamap_container_detach(b), "detach");

	TEST_ASSERT_SUCCESS(
		replace_device(B, &narrow, (struct dmamap_model_group_conf){0}), "narrow");
	before = dmamap_model_dump(model);
	test_log_begin();
	rc = dmamap_container_attach(c, B, &b);
	log = test_log_end();
	TEST_ASSERT_EQUAL(rc, -EADDRINUSE, "%d", rc);
	TEST_ASSERT(strstr(log, "[0x10000000, 0x10000fff]") != NULL &&
			strstr(log, "[0x10000000, 0xffffffffffffffff] is out of reach") != NULL,
		"log: %s", log);
	TEST_ASSERT_EQUAL(dmamap_container_conflicts(c, &conflict, 1), 1, "conflicts");
	TEST_ASSERT(conflict.va == VA && conflict.type == DMAMAP_RESERVED_APERTURE, "the conflict");
	TEST_ASSERT(unchanged(before), "the refused attach left something");
	TEST_ASSERT_SUCCESS(dmamap_container_detach(a), "detach");
	return dmamap_container_destroy(c);
}

/* Answers about ranges */

/** What IOVA_RANGES is made to say; ranges[] is repeated, shifted, up to n. */
static struct {
	uint32_t n, grows;
	struct abi_iova_range ranges[2];
} odd;

static int
answer_oddly(unsigned long request, void *arg, int rc)
{
	struct abi_ioas_iova_ranges *cmd = arg;
	struct abi_iova_range *to;
	uint32_t room, i;

	if (request != ABI_IOMMU_IOAS_IOVA_RANGES)
		return rc;
	/* The model has said how many ranges it has; there is room for at least 16. */
	room = rc == -EMSGSIZE ? 0 : 16;
	to = (void *)(uintptr_t)cmd->allowed_iovas;
	odd.n += odd.grows;
	cmd->num_iovas = odd.n;
	for (i = 0; i < RTE_MIN(odd.n, RTE_MIN(room, 2u)); i++)
		to[i] = odd.ranges[i];
	return odd.n > room ? -EMSGSIZE : 0;
}

static int
refuses_a_malformed_answer(void)
{
	static const struct {
		const char *what;
		uint32_t n, grows;
		struct abi_iova_range ranges[2];
	} cases[] = {
		{"range that ends before it starts", 2, 0, {{0x2000, 0x1fff}, {0x3000, 0x3fff}}},
		{"ranges that overlap", 2, 0, {{0, 0x1fff}, {0x1fff, 0x3fff}}},
		{"ranges without end", 20, 100, {{0, 0}}},
		{"too many ranges", 100000, 0, {{0, 0}}},
	};
	struct dm_iommu_info info;
	unsigned int i;
	int rc;

	model_linux_hook = answer_oddly;
	for (i = 0; i < RTE_DIM(cases); i++) {
		odd.n = cases[i].n;
		odd.grows = cases[i].grows;
		memcpy(odd.ranges, cases[i].ranges, sizeof(odd.ranges));
		test_log_begin();
		rc = OPS->info(dom, &info);
		TEST_ASSERT(test_logged("IOMMU_IOAS_IOVA_RANGES: malformed"), "%s", cases[i].what);
		TEST_ASSERT_EQUAL(rc, -EPROTO, "%s: %d", cases[i].what, rc);
		TEST_ASSERT_NULL(info.ranges, "%s", cases[i].what);
	}
	return TEST_SUCCESS;
}

/** A device whose group reserves 39 ranges, so that 40 are left. */
static int
makes_room_for_many_ranges(void)
{
	struct dmamap_model_resv resv[39];
	struct dmamap_model_group_conf group = {.n_resv = RTE_DIM(resv), .resv = resv};
	struct dm_iommu_info info;
	struct dm_iommu_dev *dev;
	unsigned int i;

	for (i = 0; i < RTE_DIM(resv); i++)
		resv[i] = (struct dmamap_model_resv){
			{i * 0x10000 + 0x1000, i * 0x10000 + 0xffff}, DMAMAP_RESERVED_BUS};
	TEST_ASSERT_SUCCESS(replace_device(A, &coherent, group), "reserved ranges");
	dev = attach(A);
	TEST_ASSERT_NOT_NULL(dev, "attach");
	TEST_ASSERT_SUCCESS(OPS->info(dom, &info), "info");
	TEST_ASSERT_EQUAL(info.n_ranges, 40, "%u", info.n_ranges);
	TEST_ASSERT_EQUAL(info.ranges[39].start, 39 * 0x10000, "last range");
	TEST_ASSERT_EQUAL(info.ranges[39].last, (UINT64_C(1) << 39) - 1, "last range");
	TEST_ASSERT_EQUAL(info.page_sizes, ~UINT64_C(0xfff), "page sizes");
	TEST_ASSERT_EQUAL(info.entries_left, UINT64_MAX, "entries");
	TEST_ASSERT(info.coherent, "coherent");
	free(info.ranges);
	detach(dev);
	return TEST_SUCCESS;
}

static int
promises_no_less_than_a_page(void)
{
	struct dm_iommu_info info;

	/* An IOAS without devices takes single bytes, says the kernel. */
	TEST_ASSERT_SUCCESS(OPS->info(dom, &info), "info");
	TEST_ASSERT_EQUAL(info.page_sizes, ~UINT64_C(0xfff), "page sizes");
	TEST_ASSERT_EQUAL(info.n_ranges, 1, "%u", info.n_ranges);
	TEST_ASSERT_EQUAL(info.ranges[0].last, UINT64_MAX, "last range");
	free(info.ranges);
	/* Where the kernel does not say whether it is coherent, it is not. */
	dmamap_model_fail(model, 1 << DMAMAP_MODEL_VFIO_IOAS, 1, ENOENT);
	TEST_ASSERT_SUCCESS(OPS->info(dom, &info), "info");
	TEST_ASSERT(!info.coherent, "coherent");
	free(info.ranges);
	return TEST_SUCCESS;
}

static int
explains_what_the_kernel_refuses(void)
{
	static const struct {
		enum dmamap_model_call call;
		int err, rc;
		const char *log; /* NULL: nothing to add to the errno */
	} cases[] = {
		{DMAMAP_MODEL_BIND_IOMMUFD, EPERM, -EPERM,
			"/sys/module/iommufd/parameters/allow_unsafe_interrupts"},
		{DMAMAP_MODEL_BIND_IOMMUFD, EACCES, -EACCES, A ": wrong or missing VF token"},
		{DMAMAP_MODEL_BIND_IOMMUFD, EBUSY, -EBUSY,
			A ": it or its group 0 is in use by another process"},
		{DMAMAP_MODEL_BIND_IOMMUFD, EINVAL, -EBUSY,
			"fuser -v /dev/vfio/devices/vfio0 /dev/vfio/0"},
		{DMAMAP_MODEL_BIND_IOMMUFD, ENODEV, -ENODEV,
			A ": iommufd does not take it: No such device"},
		{DMAMAP_MODEL_ATTACH_PT, ENOMEM, -ENOMEM,
			A ": iommufd does not attach it to IOAS 1"},
		{DMAMAP_MODEL_ATTACH_PT, EADDRINUSE, -EADDRINUSE, NULL},
		{DMAMAP_MODEL_ATTACH_PT, EINVAL, -EINVAL, NULL},
	};
	struct dm_iommu_dev *dev;
	unsigned int i;
	char *before;
	int rc;

	TEST_ASSERT_SUCCESS(OPS->dev_get(iommu, A, &dev), "dev_get");
	for (i = 0; i < RTE_DIM(cases); i++) {
		before = dmamap_model_dump(model);
		dmamap_model_fail(model, 1 << cases[i].call, 1, cases[i].err);
		test_log_begin();
		rc = OPS->attach(dom, dev);
		if (cases[i].log != NULL)
			TEST_ASSERT(test_logged(cases[i].log), "case %u", i);
		else
			TEST_ASSERT(test_log_end()[0] == '\0', "case %u logs", i);
		TEST_ASSERT_EQUAL(rc, cases[i].rc, "case %u: %d", i, rc);
		TEST_ASSERT(unchanged(before), "case %u leaves something", i);
		TEST_ASSERT_EQUAL(dev->fd, -1, "case %u left a device", i);
	}
	TEST_ASSERT_SUCCESS(OPS->attach(dom, dev), "retry");
	detach(dev);
	return TEST_SUCCESS;
}

static int
says_that_there_is_no_character_device(void)
{
	struct dm_iommu_dev *dev;
	int rc;

	TEST_ASSERT_SUCCESS(fake_sysfs_device("0000:03:00.0", 7, "vfio-pci"), "sysfs");
	test_log_begin();
	rc = OPS->dev_get(iommu, "0000:03:00.0", &dev);
	TEST_ASSERT(test_logged("0000:03:00.0: VFIO made no character device for it"), "log");
	TEST_ASSERT_EQUAL(rc, -ENODEV, "%d", rc);
	return TEST_SUCCESS;
}

/* Tokens of virtual functions */

static rte_uuid_t token;

static int
keep_token(unsigned long request, void *arg, int rc)
{
	const struct abi_vfio_bind_iommufd *cmd = arg;

	if (request == ABI_VFIO_BIND_IOMMUFD && cmd->flags & ABI_VFIO_BIND_FLAG_TOKEN && rc == 0)
		memcpy(token, (const void *)(uintptr_t)cmd->token_uuid_ptr, sizeof(token));
	return rc;
}

/** Which token does a Linux get? */
static int
attach_with_token(unsigned int version, char *text)
{
	struct dm_iommu_dev *dev;

	teardown();
	TEST_ASSERT_SUCCESS(setup_linux(version), "setup");
	memset(token, 0, sizeof(token));
	model_linux_hook = keep_token;
	dev = attach(A " vf_token=" UUID);
	TEST_ASSERT_NOT_NULL(dev, "attach");
	detach(dev);
	rte_uuid_unparse(token, text, RTE_UUID_STRLEN);
	return 0;
}

static int
passes_the_token_of_a_vf(void)
{
	char text[RTE_UUID_STRLEN];

	/* An older kernel knows no token, and wants none. */
	TEST_ASSERT_SUCCESS(attach_with_token(DMAMAP_MODEL_LINUX(6, 12), text), "6.12");
	TEST_ASSERT(rte_uuid_is_null(token), "%s", text);
	TEST_ASSERT_SUCCESS(attach_with_token(DMAMAP_MODEL_LINUX(6, 18), text), "6.18");
	TEST_ASSERT(strcmp(text, UUID) == 0, "%s", text);
	return TEST_SUCCESS;
}

static const struct test_case cases[] = {
	{"is silent about its absence when another may do",
		is_silent_about_its_absence_when_another_may_do},
	{"attaches devices to one address space", attaches_devices_to_one_address_space},
	{"is empty after the last device", is_empty_after_the_last_device},
	{"maps, and reports what was unmapped", maps_and_reports_what_was_unmapped},
	{"isolated domains share what is pinned", isolated_domains_share_what_is_pinned},
	{"an address space in the way of a device is named",
		an_address_space_in_the_way_of_a_device_is_named},
	{"makes room for many ranges", makes_room_for_many_ranges},
	{"promises no less than a page", promises_no_less_than_a_page},
	{"refuses a malformed answer", refuses_a_malformed_answer},
	{"explains what the kernel refuses", explains_what_the_kernel_refuses},
	{"says that there is no character device", says_that_there_is_no_character_device},
	{"passes the token of a VF", passes_the_token_of_a_vf},
};

REGISTER_TEST_SUITE(iommufd) = {
	.name = "iommufd",
	.kind = TEST_FAST,
	.cases = cases,
	.n_cases = RTE_DIM(cases),
	.setup = setup,
	.teardown = teardown,
};
