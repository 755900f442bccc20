/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * IOMMU faults in the text of the kernel's log. See dm_fault_log.h.
 */

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dm_fault_log.h"
#include "dm_util.h"

/** VT-d reports the page only. */
#define VTD_PAGE UINT64_C(4096)

/* Numbers and fields of SMMUv3 events: Arm IHI 0070, 7.3. */
#define SMMU_TRANSLATION 0x10
#define SMMU_ADDR_SIZE 0x11
#define SMMU_ACCESS 0x12
#define SMMU_PERMISSION 0x13
#define SMMU_WORDS 4
#define SMMU_SID_SHIFT 32 /* of word 0 */
#define SMMU_READ DM_BIT64(35) /* of word 1, RnW */

static const char *const smmu_names[] = {
	"F_TRANSLATION", "F_ADDR_SIZE", "F_ACCESS", "F_PERMISSION"};

/** Copy up to a line's end, without trailing blanks. */
static void
reason_set(struct dm_fault_record *record, const char *text)
{
	size_t len = strcspn(text, "\n");

	while (len > 0 && isspace((unsigned char)text[len - 1]))
		len--;
	if (len >= sizeof(record->reason))
		len = sizeof(record->reason) - 1;
	memcpy(record->reason, text, len);
	record->reason[len] = '\0';
}

static void
address_set(struct dm_fault_record *record, uint64_t iova, uint64_t page)
{
	record->iovas.start = DM_ALIGN_FLOOR(iova, page);
	record->iovas.last = record->iovas.start + page - 1;
}

/** Copy the word at text, up to any of the characters in `end`. @return false: it has no length */
static bool
device_set(struct dm_fault_record *record, const char *text, const char *end)
{
	const size_t len = strcspn(text, end);

	if (len == 0 || len >= sizeof(record->dev) || text[len] == '\0')
		return false;
	memcpy(record->dev, text, len);
	record->dev[len] = '\0';
	return true;
}

/*
 * DMAR: [DMA Write NO_PASID] Request device [01:00.0] fault addr 0xdead000 [fault reason 0x05] ...
 * DMAR: [DMA Write] Request device [01:00.0] PASID ffffffff fault addr dead000 [fault reason 05]
 * ...
 */
static bool
parse_vtd(const char *line, struct dm_fault_record *record)
{
	static const char device[] = "Request device [", address[] = "fault addr ",
			  reason[] = "[fault reason ";
	const char *access = strstr(line, "DMAR: [DMA "), *at;
	uint64_t iova;
	char *end;

	if (access == NULL)
		return false;
	access += strlen("DMAR: [DMA ");
	record->access =
		strncmp(access, "Write", strlen("Write")) == 0 ? DMAMAP_WRITE : DMAMAP_READ;
	at = strstr(access, device);
	if (at == NULL || !device_set(record, at + strlen(device), "]"))
		return false;
	at = strstr(at, address);
	if (at == NULL)
		return false;
	iova = strtoull(at + strlen(address), &end, 16);
	if (end == at + strlen(address))
		return false;
	address_set(record, iova, VTD_PAGE);
	at = strstr(end, reason);
	at = at != NULL ? strchr(at, ']') : NULL;
	reason_set(record, at != NULL ? at + 1 + strspn(at + 1, " ") : "");
	return true;
}

/*
 * vfio-pci 0000:01:00.0: AMD-Vi: Event logged [IO_PAGE_FAULT domain=0x000a address=0xdead000
 * flags=0x0020] AMD-Vi: Event logged [IO_PAGE_FAULT device=0000:01:00.0 domain=0x000a
 * address=0xdead000 flags=0x0020]
 */
static bool
parse_amd(const char *line, struct dm_fault_record *record)
{
	/* EVENT_FLAG_RW of drivers/iommu/amd/amd_iommu_types.h. */
	const unsigned long wrote = 0x20;
	const char *at = strstr(line, "IO_PAGE_FAULT "), *device, *heading, *flags;
	char *end;

	if (at == NULL || strstr(line, "AMD-Vi: ") == NULL)
		return false;
	device = strstr(at, "device=");
	if (device != NULL) {
		if (!device_set(record, device + strlen("device="), " "))
			return false;
	} else {
		/* The word before "AMD-Vi:" is the device, with a colon behind it. */
		heading = strstr(line, ": AMD-Vi: ");
		if (heading == NULL)
			return false;
		device = heading;
		while (device > line && device[-1] != ' ' && device[-1] != ';')
			device--;
		if (heading == device || (size_t)(heading - device) >= sizeof(record->dev))
			return false;
		memcpy(record->dev, device, heading - device);
		record->dev[heading - device] = '\0';
	}
	at = strstr(at, "address=");
	if (at == NULL)
		return false;
	address_set(record, strtoull(at + strlen("address="), &end, 16), 1);
	flags = strstr(end, "flags=");
	record->access = flags == NULL                                ? 0
		: strtoul(flags + strlen("flags="), NULL, 16) & wrote ? DMAMAP_WRITE
								      : DMAMAP_READ;
	reason_set(record, "IO_PAGE_FAULT");
	return true;
}

/** A PCI device by its requester ID, which firmware gives to SMMUv3 streams and virtio endpoints.
 */
static void
device_set_rid(struct dm_fault_record *record, unsigned int rid)
{
	snprintf(record->dev, sizeof(record->dev), "%04x:%02x:%02x.%x", rid >> 16, rid >> 8 & 0xff,
		rid >> 3 & 0x1f, rid & 7);
}

/* virtio_iommu virtio0: page fault from EP 256 at 0xdead000 [W] */
static bool
parse_virtio(const char *line, struct dm_fault_record *record)
{
	static const char from[] = " fault from EP ";
	const char *at = strstr(line, from), *flags;
	unsigned int endpoint;
	uint64_t iova;

	if (at == NULL || strstr(line, "virtio_iommu ") == NULL ||
		sscanf(at + strlen(from), "%u at 0x%" SCNx64, &endpoint, &iova) != 2)
		return false;
	device_set_rid(record, endpoint);
	address_set(record, iova, 1);
	flags = strchr(at, '[');
	/* QEMU's device leaves the letters out. */
	record->access = flags == NULL       ? 0
		: strchr(flags, 'W') != NULL ? DMAMAP_WRITE
		: strchr(flags, 'R') != NULL ? DMAMAP_READ
					     : 0;
	/* The word before " fault". */
	while (at > line && at[-1] != ' ')
		at--;
	reason_set(record, at);
	record->reason[strcspn(record->reason, " ")] = '\0';
	return true;
}

/** The record of an SMMUv3 event. */
static enum dm_fault_line
smmu_words(const struct dm_fault_parser *p, struct dm_fault_record *record)
{
	const unsigned int sid = (unsigned int)(p->word[0] >> SMMU_SID_SHIFT);

	if (p->event < SMMU_TRANSLATION || p->event > SMMU_PERMISSION)
		return DM_FAULT_NONE;
	device_set_rid(record, sid);
	address_set(record, p->word[2], 1);
	record->access = p->word[1] & SMMU_READ ? DMAMAP_READ : DMAMAP_WRITE;
	reason_set(record, smmu_names[p->event - SMMU_TRANSLATION]);
	return DM_FAULT_ONE;
}

/*
 * arm-smmu-v3 9050000.smmuv3: event 0x10 received:
 * arm-smmu-v3 9050000.smmuv3:     0x0000000800000010      and three more words
 */
static enum dm_fault_line
parse_smmu_words(struct dm_fault_parser *p, const char *line, struct dm_fault_record *record)
{
	const char *at = strstr(line, ": event 0x");

	if (at != NULL && sscanf(at, ": event 0x%x received:", &p->event) == 1) {
		p->words = SMMU_WORDS;
		return DM_FAULT_NONE;
	}
	if (p->words == 0)
		return DM_FAULT_NONE;
	at = strstr(line, "0x");
	/* Another line in between, of another driver or CPU, leaves the event as it is. */
	if (strstr(line, "arm-smmu-v3 ") == NULL || at == NULL ||
		sscanf(at, "0x%" SCNx64, &p->word[SMMU_WORDS - p->words]) != 1)
		return DM_FAULT_NONE;
	return --p->words == 0 ? smmu_words(p, record) : DM_FAULT_NONE;
}

/*
 * arm-smmu-v3 9050000.smmuv3: event: F_TRANSLATION client: 0000:01:00.0 sid: 0x8 ssid: 0x0 iova:
 * 0xdead000 ipa: 0x0 arm-smmu-v3 9050000.smmuv3: unpriv data write s1 "Input address caused fault"
 * stag: 0x0
 */
static enum dm_fault_line
parse_smmu(struct dm_fault_parser *p, const char *line, struct dm_fault_record *record)
{
	static const char event[] = ": event: F_", client[] = "client: ", address[] = "iova: ";
	const char *at = strstr(line, event), *device, *iova;
	unsigned int i;

	if (at == NULL)
		return parse_smmu_words(p, line, record);
	device = strstr(at, client);
	iova = strstr(at, address);
	if (device == NULL || iova == NULL || !device_set(record, device + strlen(client), " "))
		return DM_FAULT_NONE;
	at += strlen(": event: ");
	for (i = 0; i < DM_DIM(smmu_names); i++)
		if (strncmp(at, smmu_names[i], strcspn(at, " ")) == 0)
			break;
	if (i == DM_DIM(smmu_names))
		return DM_FAULT_NONE;
	reason_set(record, smmu_names[i]);
	address_set(record, strtoull(iova + strlen(address), NULL, 16), 1);
	/* Only the next line tells, if it comes. */
	record->access = 0;
	return DM_FAULT_ONE;
}

/** "dmar_fault: 812 callbacks suppressed": lib/ratelimit.c names the function. */
static bool
parse_suppressed(const char *line, unsigned int *n)
{
	static const char *const functions[] = {"dmar_fault: ", "amd_iommu_report_page_fault: ",
		"amd_iommu_int_thread: ", "arm_smmu_evtq_thread: ", "arm_smmu_print_event: "};
	const char *at;
	unsigned int i;

	for (i = 0; i < DM_DIM(functions); i++) {
		at = strstr(line, functions[i]);
		if (at != NULL &&
			sscanf(at + strlen(functions[i]), "%u callbacks suppressed", n) == 1)
			return true;
	}
	return false;
}

enum dm_fault_line
dm_fault_parse(struct dm_fault_parser *p, const char *line, struct dm_fault_record *record,
	unsigned int *n)
{
	if (parse_vtd(line, record) || parse_amd(line, record) || parse_virtio(line, record))
		return DM_FAULT_ONE;
	if (parse_suppressed(line, n))
		return DM_FAULT_SUPPRESSED;
	return parse_smmu(p, line, record);
}
