/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Tests of how faults are read out of the kernel's log: the lines of each IOMMU driver of Linux,
 * lines that look like them, and torn ones.
 */

#include <stdio.h>
#include <string.h>

#include <rte_common.h>

#include "dm_fault_log.h"
#include "test.h"

struct example {
	const char *line, *dev, *reason;
	uint64_t start, last;
	uint32_t access;
};

/* As Linux 6.12, 6.1 and 5.10 print them on VT-d, AMD-Vi and SMMUv3. */
static const struct example faults[] = {
	{"3,812,5301223,-;DMAR: [DMA Write NO_PASID] Request device [01:00.0] fault addr 0x7f0000 "
	 "[fault reason 0x05] PTE Write access is not set\n SUBSYSTEM=x\n",
		"01:00.0", "PTE Write access is not set", 0x7f0000, 0x7f0fff, DMAMAP_WRITE},
	{"DMAR: [DMA Read NO_PASID] Request device [0a:1f.7] fault addr 0xfffffffff000 [fault "
	 "reason 0x06] PTE Read access is not set",
		"0a:1f.7", "PTE Read access is not set", 0xfffffffff000, 0xffffffffffff,
		DMAMAP_READ},
	{"DMAR: [DMA Write] Request device [02:00.0] PASID ffffffff fault addr 2000 [fault reason "
	 "05] PTE Write access is not set ",
		"02:00.0", "PTE Write access is not set", 0x2000, 0x2fff, DMAMAP_WRITE},
	{"3,1,1,-;vfio-pci 0000:01:00.0: AMD-Vi: Event logged [IO_PAGE_FAULT domain=0x000a "
	 "address=0x7f0123 flags=0x0020]\n SUBSYSTEM=pci\n DEVICE=+pci:0000:01:00.0\n",
		"0000:01:00.0", "IO_PAGE_FAULT", 0x7f0123, 0x7f0123, DMAMAP_WRITE},
	{"AMD-Vi: Event logged [IO_PAGE_FAULT device=0001:02:03.4 domain=0x000a address=0x1000 "
	 "flags=0x0000]",
		"0001:02:03.4", "IO_PAGE_FAULT", 0x1000, 0x1000, DMAMAP_READ},
	{"arm-smmu-v3 9050000.smmuv3: event: F_TRANSLATION client: 0000:01:00.0 sid: 0x100 ssid: "
	 "0x0 iova: 0xdead0040 ipa: 0x0",
		"0000:01:00.0", "F_TRANSLATION", 0xdead0040, 0xdead0040, 0},
	{"arm-smmu-v3 9050000.smmuv3: event: F_PERMISSION client: 0000:01:00.0 sid: 0x100 ssid: "
	 "0x0 iova: 0x40 ipa: 0x0",
		"0000:01:00.0", "F_PERMISSION", 0x40, 0x40, 0},
	{"3,9,9,-;virtio_iommu virtio0: page fault from EP 264 at 0xdead123 [W]", "0000:01:01.0",
		"page", 0xdead123, 0xdead123, DMAMAP_WRITE},
	{"virtio_iommu virtio0: page fault from EP 128 at 0x8155004 []", "0000:00:10.0", "page",
		0x8155004, 0x8155004, 0},
	{"virtio_iommu virtio0: domain fault from EP 8 at 0x40 [R]", "0000:00:01.0", "domain", 0x40,
		0x40, DMAMAP_READ},
};

static const char *const others[] = {
	"DMAR: DRHD: handling fault status reg 2",
	"DMAR: [INTR-REMAP] Request device [01:00.0] fault index 0x0 [fault reason 0x22]",
	"DMAR: [DMA Write NO_PASID] Request device [01:00.0",
	"DMAR: [DMA Write NO_PASID] Request device [] fault addr 0x1000 [fault reason 0x05] x",
	"DMAR: [DMA Write NO_PASID] Request device [01:00.0] fault addr ",
	"DMAR: [DMA Write NO_PASID] Request device [01:00.0] fault addr zzz",
	("DMAR: [DMA Write] Request device "
	 "[0123456789012345678901234567890123456789012345678901234567890123456789] fault addr 0x1"),
	"AMD-Vi: Event logged [IO_PAGE_FAULT domain=0x000a address=0x7f0123 flags=0x0020]",
	"AMD-Vi: Event logged [INVALID_DEVICE_REQUEST device=0000:01:00.0 address=0x1 flags=0x0]",
	"vfio-pci 0000:01:00.0: AMD-Vi: Event logged [IO_PAGE_FAULT domain=0x000a",
	"arm-smmu-v3 9050000.smmuv3: event: F_TRANSLATION client: ",
	"arm-smmu-v3 9050000.smmuv3: event: C_BAD_STE client: (unassigned sid) sid: 0x8 ssid: 0x0",
	"arm-smmu-v3 9050000.smmuv3: \t0x0000010000000010",
	"virtio_iommu virtio0: page fault from EP 264 [W]",
	"e1000e 0000:01:00.0: Detected Hardware Unit Hang",
	"",
};

static int
each_iommu_is_understood(void)
{
	struct dm_fault_parser parser = {0};
	struct dm_fault_record got;
	unsigned int i, n;

	for (i = 0; i < RTE_DIM(faults); i++) {
		memset(&got, 0xff, sizeof(got));
		TEST_ASSERT_EQUAL(dm_fault_parse(&parser, faults[i].line, &got, &n), DM_FAULT_ONE,
			"line %u", i);
		TEST_ASSERT(strcmp(got.dev, faults[i].dev) == 0, "line %u: %s", i, got.dev);
		TEST_ASSERT(
			strcmp(got.reason, faults[i].reason) == 0, "line %u: %s", i, got.reason);
		TEST_ASSERT(got.iovas.start == faults[i].start && got.iovas.last == faults[i].last,
			"line %u: 0x%lx", i, (unsigned long)got.iovas.start);
		TEST_ASSERT_EQUAL(got.access, faults[i].access, "line %u: %u", i, got.access);
	}
	return TEST_SUCCESS;
}

static int
other_lines_are_passed_over(void)
{
	struct dm_fault_parser parser = {0};
	struct dm_fault_record got;
	unsigned int i, n;

	for (i = 0; i < RTE_DIM(others); i++)
		TEST_ASSERT_EQUAL(dm_fault_parse(&parser, others[i], &got, &n), DM_FAULT_NONE,
			"line %u: %s", i, got.dev);
	return TEST_SUCCESS;
}

static enum dm_fault_line
parse_all(struct dm_fault_parser *parser, const char *const *lines, unsigned int n_lines,
	struct dm_fault_record *got)
{
	enum dm_fault_line what = DM_FAULT_NONE;
	unsigned int i, n;

	for (i = 0; i < n_lines && what == DM_FAULT_NONE; i++)
		what = dm_fault_parse(parser, lines[i], got, &n);
	return i == n_lines ? what : DM_FAULT_SUPPRESSED;
}

static int
words_of_an_event_are_put_together(void)
{
	static const char *const read_at_1040[] = {
		"arm-smmu-v3 9050000.smmuv3: event 0x10 received:",
		"arm-smmu-v3 9050000.smmuv3: \t0x0000010000000010",
		"vfio-pci 0000:01:00.0: a line in between 0x1",
		"arm-smmu-v3 9050000.smmuv3: \t0x0000020800000000",
		"arm-smmu-v3 9050000.smmuv3: \t0x0000000000001040",
		"arm-smmu-v3 9050000.smmuv3: \t0x0000000000000000",
	};
	static const char *const bad_stream[] = {
		"arm-smmu-v3 9050000.smmuv3: event 0x02 received:",
		"arm-smmu-v3 9050000.smmuv3: \t0x0000010000000002",
		"arm-smmu-v3 9050000.smmuv3: \t0x0",
		"arm-smmu-v3 9050000.smmuv3: \t0x0",
		"arm-smmu-v3 9050000.smmuv3: \t0x0",
	};
	struct dm_fault_parser parser = {0};
	struct dm_fault_record got;

	TEST_ASSERT_EQUAL(parse_all(&parser, read_at_1040, RTE_DIM(read_at_1040), &got),
		DM_FAULT_ONE, "not with the last word");
	TEST_ASSERT(strcmp(got.dev, "0000:01:00.0") == 0, "%s", got.dev);
	TEST_ASSERT_EQUAL(got.iovas.start, 0x1040, "0x%lx", (unsigned long)got.iovas.start);
	TEST_ASSERT_EQUAL(got.iovas.last, 0x1040, "0x%lx", (unsigned long)got.iovas.last);
	TEST_ASSERT_EQUAL(got.access, DMAMAP_READ, "%u", got.access);
	TEST_ASSERT(strcmp(got.reason, "F_TRANSLATION") == 0, "%s", got.reason);
	TEST_ASSERT_EQUAL(parse_all(&parser, bad_stream, RTE_DIM(bad_stream), &got), DM_FAULT_NONE,
		"an event without an address");
	return TEST_SUCCESS;
}

static int
what_the_kernel_left_out_is_counted(void)
{
	struct dm_fault_parser parser = {0};
	struct dm_fault_record got;
	unsigned int n = 0;

	TEST_ASSERT_EQUAL(
		dm_fault_parse(&parser, "4,1,2,-;dmar_fault: 812 callbacks suppressed\n", &got, &n),
		DM_FAULT_SUPPRESSED, "VT-d");
	TEST_ASSERT_EQUAL(n, 812, "%u", n);
	TEST_ASSERT_EQUAL(
		dm_fault_parse(&parser, "net_ratelimit: 3 callbacks suppressed", &got, &n),
		DM_FAULT_NONE, "another limit");
	return TEST_SUCCESS;
}

static const struct test_case cases[] = {
	{"each IOMMU's lines are understood", each_iommu_is_understood},
	{"other lines and torn ones are passed over", other_lines_are_passed_over},
	{"words of an event are put together", words_of_an_event_are_put_together},
	{"what the kernel left out is counted", what_the_kernel_left_out_is_counted},
};

REGISTER_TEST_SUITE(fault_log) = {
	.name = "fault_log", .kind = TEST_FAST, .cases = cases, .n_cases = RTE_DIM(cases)};
