/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Tests of containers on a real kernel: what the container reports is compared with the kernel's
 * tracepoints. Uses all devices that the runner assigned.
 */

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <rte_common.h>

#include <dmamap.h>

#include "peek.h"
#include "test.h"
#include "test_dma_edu_raw.h"

#define PAGE ((size_t)4096)
#define HUGE_PAGE ((size_t)2 << 20)
#define PAGES 16
/** Above 4 GiB, where no kernel driver of the machine maps, so events there are ours. */
#define OURS UINT64_C(0x200000000)
#define OURS_LEN UINT64_C(0x100000000)
#define DEVICES_MAX 16
#define TRACEFS "/sys/kernel/tracing"
#define INSTANCE TRACEFS "/instances/gantry-test"

static struct dmamap_container *c;
static struct dmamap_device *devs[DEVICES_MAX];
static unsigned int n_devs;
static char *buf;

/* The container under test. */

static int
setup(void)
{
	const char *list = getenv("GANTRY_DEVICES");

	if (list == NULL || list[0] == '\0')
		return test_skip("no devices are assigned (GANTRY_DEVICES)");
	if (access("/dev/vfio/vfio", F_OK) < 0)
		return test_skip("no /dev/vfio/vfio");
	buf = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	TEST_ASSERT(buf != MAP_FAILED, "mmap");
	memset(buf, 0x5a, PAGES * PAGE);
	return TEST_SUCCESS;
}

static void
detach_all(void)
{
	while (n_devs > 0)
		dmamap_container_detach(devs[--n_devs]);
}

static void
destroy(void)
{
	detach_all();
	if (c != NULL)
		dmamap_container_destroy(c);
	c = NULL;
}

static void
teardown(void)
{
	destroy();
	if (buf != NULL)
		munmap(buf, PAGES * PAGE);
	buf = NULL;
	rmdir(INSTANCE);
}

static int
create(enum dmamap_backend backend, enum dmamap_sharing sharing)
{
	const struct dmamap_container_conf conf = {.backend = backend, .sharing = sharing};

	return dmamap_container_create(&conf, &c);
}

/** Attach all devices that can be attached. Some share a group. */
static void
attach_all(void)
{
	char *copy = strdup(getenv("GANTRY_DEVICES")), *rest = copy, *name;

	test_log_begin(); /* suppress lines about groups that are not viable; another suite tests
			     these */
	while ((name = strsep(&rest, " ")) != NULL)
		if (name[0] != '\0' && n_devs < DEVICES_MAX &&
			dmamap_container_attach(c, name, &devs[n_devs]) == 0)
			n_devs++;
	test_log_end();
	free(copy);
}

static struct dmamap_container_info
info(void)
{
	struct dmamap_container_info i;

	dmamap_container_info(c, &i);
	return i;
}

/* Trace events of the kernel */

static int
put(const char *file, const char *text)
{
	char path[256];
	int fd, rc;

	snprintf(path, sizeof(path), "%s/%s", INSTANCE, file);
	fd = open(path, O_WRONLY | O_TRUNC);
	if (fd < 0)
		return -errno;
	rc = write(fd, text, strlen(text)) < 0 ? -errno : 0;
	close(fd);
	return rc;
}

static const char *const events[] = {"attach_device_to_domain", "map", "unmap"};

/** Record events from now on. @return 0, or the result of test_skip(). */
static int
trace_begin(void)
{
	char file[64], filter[96];
	unsigned int i;

	if (access(TRACEFS "/events/iommu/map/enable", F_OK) < 0)
		return test_skip("this kernel has no tracepoints of its IOMMUs");
	if (mkdir(INSTANCE, 0700) < 0 && errno != EEXIST)
		return test_skip("no trace instance can be made: %s", strerror(errno));
	snprintf(filter, sizeof(filter), "iova >= 0x%" PRIx64 " && iova < 0x%" PRIx64, OURS,
		OURS + OURS_LEN);
	for (i = 0; i < RTE_DIM(events); i++) {
		snprintf(file, sizeof(file), "events/iommu/%s/filter", events[i]);
		if (i > 0)
			TEST_ASSERT_SUCCESS(put(file, filter), "%s", file);
		snprintf(file, sizeof(file), "events/iommu/%s/enable", events[i]);
		TEST_ASSERT_SUCCESS(put(file, "1"), "%s", file);
	}
	return put("trace", "");
}

/** Recorded events. */
struct seen {
	unsigned int devices; /**< number of different domains to which the attached devices were
				 attached */
	unsigned int maps, unmaps; /**< events in one page */
	uint64_t mapped, unmapped; /**< bytes in all of OURS */
};

static uint64_t
number_behind(const char *line, const char *key)
{
	const char *at = strstr(line, key);

	return at != NULL ? strtoull(at + strlen(key), NULL, 0) : 0;
}

static void
read_event(const char *line, rte_iova_t page, bool *attached, char (*names)[DMAMAP_NAME_MAX],
	unsigned int n_names, struct seen *s)
{
	bool ours = number_behind(line, "iova=") == page;
	unsigned int i;

	if (strstr(line, " map: ") != NULL) {
		s->mapped += number_behind(line, " size=");
		s->maps += ours;
	} else if (strstr(line, " unmap: ") != NULL) {
		s->unmapped += number_behind(line, "unmapped_size=");
		s->unmaps += ours;
	}
	if (strstr(line, " attach_device_to_domain: ") == NULL)
		return;
	for (i = 0; i < n_names; i++)
		attached[i] |= strstr(line, names[i]) != NULL;
}

/**
 * Read and clear what was recorded since the last call. The names are those of the attached
 * devices.
 */
static struct seen
trace_read(rte_iova_t page, char (*names)[DMAMAP_NAME_MAX], unsigned int n_names)
{
	bool attached[DEVICES_MAX] = {false};
	struct seen s = {0};
	char line[512];
	unsigned int i;
	FILE *f;

	f = fopen(INSTANCE "/trace", "r");
	while (f != NULL && fgets(line, sizeof(line), f) != NULL)
		if (line[0] != '#')
			read_event(line, page, attached, names, n_names, &s);
	if (f != NULL)
		fclose(f);
	for (i = 0; i < n_names; i++)
		s.devices += attached[i];
	put("trace", "");
	return s;
}

/** Check that one map or unmap makes one event in each domain. */
static int
expect(const char *what, struct seen s, unsigned int maps, unsigned int unmaps)
{
	printf("  %s: %u map events, %u unmap events\n", what, s.maps, s.unmaps);
	TEST_ASSERT(s.maps == maps && s.unmaps == unmaps,
		"%s: %u map and %u unmap events, not %u and %u", what, s.maps, s.unmaps, maps,
		unmaps);
	return 0;
}

/**
 * Map one page before the devices and one after. Each is mapped and unmapped once in every domain,
 * independently of the number of devices.
 * @param kernel_shares  false: the kernel has a domain for each group, whatever the container
 * reports.
 */
static int
compare(enum dmamap_backend backend, enum dmamap_sharing sharing, bool kernel_shares)
{
	const rte_iova_t early = OURS, late = OURS + HUGE_PAGE, large = OURS + 2 * HUGE_PAGE;
	const struct dmamap_zone_conf conf = {.len = HUGE_PAGE, .page_size = HUGE_PAGE};
	char names[DEVICES_MAX][DMAMAP_NAME_MAX];
	struct seen s, all = {0};
	struct dmamap_zone *zone;
	unsigned int n, i;
	rte_iova_t iova;
	uint64_t calls;

	TEST_ASSERT_SUCCESS(create(backend, sharing), "create");
	iova = early;
	TEST_ASSERT_SUCCESS(dmamap_map(c, buf, PAGE, DMAMAP_RW | DMAMAP_FIXED, &iova), "map");
	attach_all();
	TEST_ASSERT(n_devs >= 2, "%u devices", n_devs);
	for (i = 0; i < n_devs; i++)
		snprintf(names[i], sizeof(names[i]), "%s", dmamap_device_name(devs[i]));
	TEST_ASSERT_EQUAL(
		info().n_domains, sharing == DMAMAP_ISOLATE ? info().n_groups : 1, "domains");
	n = kernel_shares ? info().n_domains : info().n_groups;
	printf("  %u devices in %u groups: the container has %u domains, the kernel %u\n", n_devs,
		info().n_groups, info().n_domains, n);

	s = trace_read(early, names, n_devs);
	TEST_ASSERT_SUCCESS(expect("replay", s, n, 0), "replay");
	TEST_ASSERT_EQUAL(s.devices, n_devs, "%u devices were put into a domain", s.devices);
	TEST_ASSERT_EQUAL(info().map_calls, info().n_domains, "calls");
	all.mapped += s.mapped, all.unmapped += s.unmapped;

	calls = info().map_calls;
	iova = late;
	TEST_ASSERT_SUCCESS(
		dmamap_map(c, buf + PAGE, PAGE, DMAMAP_RW | DMAMAP_FIXED, &iova), "map");
	TEST_ASSERT_EQUAL(info().map_calls, calls + info().n_domains, "calls");
	calls = info().unmap_calls;
	TEST_ASSERT_SUCCESS(dmamap_unmap(c, late, PAGE), "unmap");
	TEST_ASSERT_EQUAL(info().unmap_calls, calls + info().n_domains, "calls");
	s = trace_read(late, names, n_devs);
	TEST_ASSERT_SUCCESS(expect("map and unmap", s, n, n), "late");

	TEST_ASSERT_SUCCESS(dmamap_zone_alloc(c, &conf, &zone), "zone");
	iova = large;
	TEST_ASSERT_SUCCESS(dmamap_map(c, dmamap_zone_va(zone), HUGE_PAGE,
				    DMAMAP_RW | DMAMAP_FIXED | DMAMAP_ALIAS, &iova),
		"map");
	s = trace_read(large, names, n_devs);
	TEST_ASSERT_EQUAL(s.mapped, n * HUGE_PAGE, "a hugepage: 0x%" PRIx64 " bytes", s.mapped);
	TEST_ASSERT_SUCCESS(expect("a hugepage", s, n, 0), "in one piece");
	all.mapped += s.mapped, all.unmapped += s.unmapped;

	/*
	 * When a domain of a kernel container with other domains goes, its tables are freed without
	 * unmap events. So unmap first.
	 */
	if (!kernel_shares) {
		TEST_ASSERT_SUCCESS(dmamap_unmap(c, early, PAGE), "unmap");
		TEST_ASSERT_SUCCESS(dmamap_unmap(c, large, HUGE_PAGE), "unmap");
	}
	destroy();
	s = trace_read(early, names, 0);
	TEST_ASSERT_SUCCESS(expect("destroy", s, 0, n), "left behind");
	TEST_ASSERT_EQUAL(all.unmapped + s.unmapped, all.mapped + s.mapped,
		"mapped 0x%" PRIx64 " bytes, unmapped 0x%" PRIx64, all.mapped + s.mapped,
		all.unmapped + s.unmapped);
	return 0;
}

/**
 * Whether the kernel joins groups in a common domain. The module parameter never_share forbids it.
 */
static bool
type1_shares(void)
{
	FILE *f = fopen("/sys/module/vfio_iommu_type1/parameters/never_share", "r");
	bool never = f != NULL && fgetc(f) == 'Y';

	if (f != NULL)
		fclose(f);
	return !never;
}

static int
type1_in_one_domain(void)
{
	int rc = trace_begin();

	return rc != 0 ? rc : compare(DMAMAP_BACKEND_TYPE1, DMAMAP_SHARE, type1_shares());
}

static int
type1_in_a_domain_each(void)
{
	int rc = trace_begin();

	return rc != 0 ? rc : compare(DMAMAP_BACKEND_TYPE1, DMAMAP_ISOLATE, true);
}

static int
iommufd_begin(void)
{
	return access("/dev/iommu", F_OK) < 0
		? test_skip("no /dev/iommu: this kernel lacks IOMMUFD")
		: trace_begin();
}

static int
iommufd_in_one_domain(void)
{
	int rc = iommufd_begin();

	return rc != 0 ? rc : compare(DMAMAP_BACKEND_IOMMUFD, DMAMAP_SHARE, true);
}

static int
iommufd_in_a_domain_each(void)
{
	int rc = iommufd_begin();

	return rc != 0 ? rc : compare(DMAMAP_BACKEND_IOMMUFD, DMAMAP_ISOLATE, true);
}

/* Locked memory */

/** The value of a line of /proc/self/status, in bytes. */
static uint64_t
status_bytes(const char *key)
{
	FILE *f = fopen("/proc/self/status", "r");
	char line[256];
	uint64_t kib = 0;

	while (f != NULL && fgets(line, sizeof(line), f) != NULL)
		if (strncmp(line, key, strlen(key)) == 0)
			kib = strtoull(line + strlen(key), NULL, 10);
	if (f != NULL)
		fclose(f);
	return kib << 10;
}

static int
iommufd_pins_once_for_all_domains(void)
{
	uint64_t before = status_bytes("VmPin:");
	rte_iova_t early = OURS, late = OURS + HUGE_PAGE;

	if (access("/dev/iommu", F_OK) < 0)
		return test_skip("no /dev/iommu: this kernel lacks IOMMUFD");
	TEST_ASSERT_SUCCESS(create(DMAMAP_BACKEND_IOMMUFD, DMAMAP_ISOLATE), "create");
	TEST_ASSERT_SUCCESS(dmamap_map(c, buf, 4 * PAGE, DMAMAP_RW | DMAMAP_FIXED, &early), "map");
	attach_all();
	TEST_ASSERT(info().n_domains >= 2, "%u domains", info().n_domains);
	TEST_ASSERT_EQUAL(status_bytes("VmPin:") - before, 4 * PAGE,
		"replay pins 0x%" PRIx64 " bytes for %u domains", status_bytes("VmPin:") - before,
		info().n_domains);
	TEST_ASSERT_SUCCESS(
		dmamap_map(c, buf + 4 * PAGE, 8 * PAGE, DMAMAP_READ | DMAMAP_FIXED, &late), "map");
	TEST_ASSERT_EQUAL(status_bytes("VmPin:") - before, 12 * PAGE,
		"a map pins 0x%" PRIx64 " bytes for %u domains", status_bytes("VmPin:") - before,
		info().n_domains);
	/* The domain that mapped first is detached first. */
	TEST_ASSERT_SUCCESS(dmamap_container_detach(devs[0]), "detach");
	memmove(devs, devs + 1, --n_devs * sizeof(devs[0]));
	TEST_ASSERT_EQUAL(status_bytes("VmPin:") - before, 12 * PAGE, "the others' pages");
	TEST_ASSERT_SUCCESS(dmamap_unmap(c, late, 8 * PAGE), "unmap");
	TEST_ASSERT_EQUAL(status_bytes("VmPin:") - before, 4 * PAGE, "after the unmap");
	destroy();
	TEST_ASSERT_EQUAL(status_bytes("VmPin:"), before, "pages stay pinned");
	return 0;
}

/* Entries */

#define ENTRIES 65535u

/**
 * Address space for more than that many pages, with little memory: one file of 2 MiB, mapped
 * repeatedly.
 */
static char *
many_pages(size_t *len)
{
	size_t at;
	char *va;
	int fd = memfd_create("many", 0);

	*len = ((ENTRIES + 1) * PAGE + HUGE_PAGE - 1) / HUGE_PAGE * HUGE_PAGE;
	va = mmap(NULL, *len, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (fd < 0 || va == MAP_FAILED || ftruncate(fd, HUGE_PAGE) < 0)
		return NULL;
	for (at = 0; at < *len; at += HUGE_PAGE)
		if (mmap(va + at, HUGE_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd,
			    0) == MAP_FAILED)
			return NULL;
	close(fd);
	return va;
}

static int
fill_entries(char *va, rte_iova_t *iova)
{
	uint64_t locked = status_bytes("VmLck:");
	const char *said;
	rte_iova_t more;
	unsigned int n;
	int rc;

	TEST_ASSERT_EQUAL(info().entries_left, ENTRIES, "entries: %" PRIu64, info().entries_left);
	test_log_begin();
	for (n = 0; (rc = dmamap_map(c, va + n * PAGE, PAGE, DMAMAP_RW, &more)) == 0 && n < ENTRIES;
		n++)
		iova[n] = more;
	said = test_log_end();
	TEST_ASSERT_EQUAL(n, ENTRIES, "%u maps", n);
	TEST_ASSERT_EQUAL(rc, -ENOSPC, "one too many: %d", rc);
	printf("  %u maps; then: %s", n, said);
	TEST_ASSERT_NOT_NULL(
		strstr(said, "needs 1 map entries, domain 0 has 0 left: map fewer, longer runs"),
		"%s", said);
	TEST_ASSERT_EQUAL(status_bytes("VmLck:") - locked, ENTRIES * PAGE, "locked memory");
	return 0;
}

static int
entries_are_reached_and_survived(void)
{
	rte_iova_t *iova = calloc(ENTRIES, sizeof(*iova)), more;
	uint64_t locked = status_bytes("VmLck:");
	unsigned int n;
	size_t len;
	char *va = many_pages(&len);

	TEST_ASSERT_NOT_NULL(va, "memory");
	TEST_ASSERT_SUCCESS(create(DMAMAP_BACKEND_TYPE1, DMAMAP_SHARE), "create");
	attach_all();
	TEST_ASSERT(n_devs > 0, "no device");
	TEST_ASSERT_SUCCESS(fill_entries(va, iova), "fill");
	TEST_ASSERT_SUCCESS(dmamap_unmap(c, iova[ENTRIES / 2], PAGE), "unmap");
	TEST_ASSERT_SUCCESS(
		dmamap_map(c, va + ENTRIES * PAGE, PAGE, DMAMAP_RW, &iova[ENTRIES / 2]), "map");
	TEST_ASSERT_EQUAL(
		dmamap_map(c, va + ENTRIES / 2 * PAGE, PAGE, DMAMAP_RW, &more), -ENOSPC, "full");
	for (n = 0; n < ENTRIES; n++)
		TEST_ASSERT_SUCCESS(dmamap_unmap(c, iova[n], PAGE), "unmap %u", n);
	TEST_ASSERT_EQUAL(info().entries_left, ENTRIES, "entries: %" PRIu64, info().entries_left);
	TEST_ASSERT_EQUAL(status_bytes("VmLck:"), locked, "memory stays locked");
	/*
	 * An attach re-reads the kernel's count of entries, which confirms the container's count.
	 */
	detach_all();
	attach_all();
	TEST_ASSERT_EQUAL(info().entries_left, ENTRIES, "the kernel keeps entries");
	free(iova);
	munmap(va, len);
	return 0;
}

/* Moving and merging */

/** The device reads a text at one IOVA and writes it at another. */
static bool
copies(struct edu_raw *e, rte_iova_t from, char *to_va, rte_iova_t to, const char *text)
{
	memset(to_va, 0, 64);
	return edu_raw_read(e, from, 0, 64) == 0 && edu_raw_write(e, to, 0, 64) == 0 &&
		strcmp(to_va, text) == 0;
}

static int
a_moved_device_sees_exactly_its_new_space(void)
{
	rte_iova_t here = 0x10000000, there = 0x10000000, out_here = 0x20000000,
		   out_there = 0x30000000;
	struct dmamap_container *other;
	struct dmamap_device *dma;
	struct edu_raw e = {0};
	int group;

	if (edu_raw_name(1) == NULL)
		return test_skip("fewer than two edu devices are assigned");
	TEST_ASSERT_SUCCESS(create(DMAMAP_BACKEND_AUTO, DMAMAP_SHARE), "create");
	TEST_ASSERT_SUCCESS(dmamap_container_attach(c, edu_raw_name(0), &dma), "attach");
	group = dmamap_device_group(dma);
	TEST_ASSERT_SUCCESS(dmamap_container_detach(dma), "detach");
	TEST_ASSERT_SUCCESS(dmamap_container_create(NULL, &other), "create");
	strcpy(buf, "here");
	strcpy(buf + PAGE, "there");
	TEST_ASSERT_SUCCESS(dmamap_map(c, buf, PAGE, DMAMAP_RW | DMAMAP_FIXED, &here), "map");
	TEST_ASSERT_SUCCESS(
		dmamap_map(c, buf + 2 * PAGE, PAGE, DMAMAP_RW | DMAMAP_FIXED, &out_here), "map");
	TEST_ASSERT_SUCCESS(
		dmamap_map(other, buf + PAGE, PAGE, DMAMAP_RW | DMAMAP_FIXED, &there), "map");
	TEST_ASSERT_SUCCESS(
		dmamap_map(other, buf + 3 * PAGE, PAGE, DMAMAP_RW | DMAMAP_FIXED, &out_there),
		"map");
	TEST_ASSERT_SUCCESS(dmamap_container_attach(c, edu_raw_name(1), &dma), "attach");
	if (dmamap_device_group(dma) == group) {
		dmamap_container_detach(dma);
		dmamap_container_destroy(other);
		return test_skip("the first two edu devices are in one group");
	}
	TEST_ASSERT_SUCCESS(edu_raw_open(&e, c, 0), "edu");
	TEST_ASSERT(copies(&e, here, buf + 2 * PAGE, out_here, "here"), "before the move");
	TEST_ASSERT_EQUAL(dmamap_device_move(e.dma, other), -EBUSY, "moved while it runs");
	TEST_ASSERT_SUCCESS(edu_raw_close(&e), "close");

	TEST_ASSERT_SUCCESS(dmamap_device_move(dma, other), "move");
	TEST_ASSERT(peek(dmamap_device_container(dma)) == other, "its container");
	TEST_ASSERT_EQUAL(info().n_domains, 0, "the old domain");
	TEST_ASSERT_SUCCESS(edu_raw_start(&e, dma), "start");
	TEST_ASSERT(copies(&e, there, buf + 3 * PAGE, out_there, "there"),
		"the same IOVA, in the new space");
	memset(buf + 2 * PAGE, 0, PAGE);
	edu_raw_write(&e, out_here, 0, 64);
	TEST_ASSERT_EQUAL(buf[2 * PAGE], 0, "the old space is reached still");
	TEST_ASSERT_SUCCESS(edu_raw_close(&e), "close");

	/* After a merge a device of one container reaches what the other had mapped. */
	TEST_ASSERT_SUCCESS(dmamap_unmap(c, here, PAGE), "unmap");
	TEST_ASSERT_SUCCESS(edu_raw_open(&e, c, 0), "edu");
	TEST_ASSERT_SUCCESS(dmamap_container_attach(other, edu_raw_name(1), &dma), "attach");
	TEST_ASSERT_SUCCESS(dmamap_container_merge(c, other), "merge");
	TEST_ASSERT_EQUAL(info().n_domains, 2, "domains");
	TEST_ASSERT(
		copies(&e, there, buf + 3 * PAGE, out_there, "there"), "what came with the merge");
	TEST_ASSERT_SUCCESS(edu_raw_close(&e), "close");
	TEST_ASSERT_SUCCESS(dmamap_container_detach(dma), "detach");
	TEST_ASSERT_SUCCESS(dmamap_container_destroy(other), "destroy");
	return 0;
}

static const struct test_case cases[] = {
	{"type1, shared: the kernel does each thing once for each domain", type1_in_one_domain},
	{"type1, isolated: the kernel does each thing once for each domain",
		type1_in_a_domain_each},
	{"iommufd, shared: the kernel does each thing once for each domain", iommufd_in_one_domain},
	{"iommufd, isolated: the kernel does each thing once for each domain",
		iommufd_in_a_domain_each},
	{"iommufd pins once for all domains", iommufd_pins_once_for_all_domains},
	{"65,535 entries are reached and survived", entries_are_reached_and_survived},
	{"a moved device sees exactly its new space", a_moved_device_sees_exactly_its_new_space},
};

REGISTER_TEST_SUITE(container_vm) = {
	.name = "container_vm",
	.kind = TEST_VM,
	.cases = cases,
	.n_cases = RTE_DIM(cases),
	.setup = setup,
	.teardown = teardown,
};
