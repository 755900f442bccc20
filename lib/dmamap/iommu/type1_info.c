/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * What can a type1 container do? VFIO_IOMMU_GET_INFO, whose answer is taken for possibly malformed.
 */

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <linux/vfio.h>

#include <rte_common.h>

#include "dm_kernel.h"
#include "dm_log.h"
#include "dm_type1_info.h"

/** What an IOMMU translates at the least (VT-d with 39 bits), where the kernel does not say. */
#define ASSUMED_LAST ((UINT64_C(1) << 39) - 1)
/** The answer grows with the number of ranges; beyond this it is nonsense. */
#define ANSWER_MAX (1u << 20)
/** Questions until the buffer is large enough: ranges can be added in between. */
#define ASK_MAX 8

/** The kernel's answer: bytes, since parts of it need not be aligned. */
struct answer {
	uint8_t *bytes;
	uint32_t len;
};

/** Read a part of the answer. @return false: it is not inside. */
static bool
get(const struct answer *a, uint64_t at, void *part, size_t len)
{
	if (at > a->len || len > a->len - at)
		return false;
	memcpy(part, a->bytes + at, len);
	return true;
}

static int
malformed(const char *what)
{
	return DM_FAIL(EPROTO, "VFIO_IOMMU_GET_INFO: malformed answer: %s", what);
}

/** Ask with a buffer of the length that the kernel last wanted. */
static int
ask(int fd, struct answer *a)
{
	struct vfio_iommu_type1_info head = {.argsz = sizeof(head)};
	unsigned int i;
	uint8_t *more;
	int rc;

	for (i = 0; i < ASK_MAX; i++) {
		a->len = head.argsz;
		more = realloc(a->bytes, a->len);
		if (more == NULL)
			return -ENOMEM;
		a->bytes = more;
		memset(a->bytes, 0, a->len);
		memcpy(a->bytes, &a->len, sizeof(a->len));
		rc = dm_kernel_ioctl(fd, VFIO_IOMMU_GET_INFO, a->bytes);
		if (rc < 0)
			return rc;
		memcpy(&head, a->bytes, sizeof(head));
		if (head.argsz < sizeof(head) || head.argsz > ANSWER_MAX)
			return malformed("argsz makes no sense");
		if (head.argsz <= a->len)
			return 0;
	}
	return malformed("argsz grows without end");
}

/**
 * Find a capability. Each header takes room, so a chain with more links than headers fit has a
 * cycle.
 * @return 0; -ENOENT: there is none; -EPROTO.
 */
static int
find_cap(const struct answer *a, uint16_t id, uint32_t *at)
{
	struct vfio_iommu_type1_info head;
	struct vfio_info_cap_header cap;
	uint32_t links;

	get(a, 0, &head, sizeof(head));
	if (!(head.flags & VFIO_IOMMU_INFO_CAPS))
		return -ENOENT;
	*at = head.cap_offset;
	for (links = 0; *at != 0; links++) {
		if (*at < offsetof(struct vfio_iommu_type1_info, cap_offset) + sizeof(uint32_t) ||
			!get(a, *at, &cap, sizeof(cap)))
			return malformed("a capability lies outside");
		if (links > a->len / sizeof(cap))
			return malformed("the chain of capabilities is a circle");
		if (cap.id == id)
			return 0;
		*at = cap.next;
	}
	return -ENOENT;
}

static int
assume_range(struct dm_iommu_info *info)
{
	info->ranges = malloc(sizeof(*info->ranges));
	if (info->ranges == NULL)
		return -ENOMEM;
	info->ranges[0] = (struct dmamap_range){0, ASSUMED_LAST};
	info->n_ranges = 1;
	return 0;
}

static int
read_ranges(const struct answer *a, struct dm_iommu_info *info)
{
	struct vfio_iommu_type1_info_cap_iova_range cap;
	struct dmamap_range *r;
	struct vfio_iova_range k;
	uint32_t at, i;
	int rc = find_cap(a, VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE, &at);

	if (rc == -ENOENT)
		return assume_range(info);
	if (rc < 0)
		return rc;
	if (!get(a, at, &cap, sizeof(cap)) ||
		cap.nr_iovas > (a->len - at - sizeof(cap)) / sizeof(k))
		return malformed("IOVA ranges lie outside");
	r = malloc(RTE_MAX(cap.nr_iovas, 1u) * sizeof(*r));
	if (r == NULL)
		return -ENOMEM;
	info->ranges = r;
	info->n_ranges = cap.nr_iovas;
	for (i = 0; i < cap.nr_iovas; i++) {
		if (!get(a, at + sizeof(cap) + i * sizeof(k), &k, sizeof(k)) || k.end < k.start ||
			(i > 0 && k.start <= r[i - 1].last))
			return malformed("IOVA ranges are not ascending");
		r[i] = (struct dmamap_range){k.start, k.end};
	}
	return 0;
}

static int
read_entries(const struct answer *a, struct dm_iommu_info *info)
{
	struct vfio_iommu_type1_info_dma_avail cap;
	uint32_t at;
	int rc = find_cap(a, VFIO_IOMMU_TYPE1_INFO_DMA_AVAIL, &at);

	info->entries_left = UINT64_MAX;
	if (rc < 0)
		return rc == -ENOENT ? 0 : rc;
	if (!get(a, at, &cap, sizeof(cap)))
		return malformed("the count of entries lies outside");
	info->entries_left = cap.avail;
	return 0;
}

static void
read_page_sizes(const struct answer *a, struct dm_iommu_info *info)
{
	struct vfio_iommu_type1_info head;

	get(a, 0, &head, sizeof(head));
	if (head.flags & VFIO_IOMMU_INFO_PGSIZES)
		info->page_sizes = head.iova_pgsizes;
	if (info->page_sizes == 0)
		info->page_sizes = sysconf(_SC_PAGESIZE);
}

int
dm_type1_info(int container_fd, struct dm_iommu_info *info)
{
	struct answer a = {0};
	int rc = ask(container_fd, &a);

	*info = (struct dm_iommu_info){0};
	if (rc == 0)
		rc = read_ranges(&a, info);
	if (rc == 0)
		rc = read_entries(&a, info);
	if (rc == 0)
		read_page_sizes(&a, info);
	free(a.bytes);
	if (rc < 0) {
		free(info->ranges);
		*info = (struct dm_iommu_info){0};
	}
	return rc;
}
