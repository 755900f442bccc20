/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Properties of a type1 container: parser of VFIO_IOMMU_GET_INFO. See dm_type1_info.h.
 *
 * Invariant: no byte outside the answer is read, and every loop is bounded, whatever the kernel
 * returns.
 */

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <linux/vfio.h>

#include "dm_kernel.h"
#include "dm_log.h"
#include "dm_type1_info.h"
#include "dm_util.h"

/** Default aperture: the smallest that an IOMMU has (VT-d with 39 bits). */
#define ASSUMED_LAST ((UINT64_C(1) << 39) - 1)
/** The answer grows with the number of ranges; anything longer is malformed. */
#define ANSWER_MAX (1u << 20)
/** Attempts until the buffer is large enough: ranges can be added in between. */
#define QUERY_MAX 8

/** The kernel's answer, as bytes: parts of it may be unaligned. */
struct answer {
	uint8_t *bytes;
	uint32_t len;
};

/** Copy a part of the answer. @return false: it lies outside */
static bool
answer_get(const struct answer *a, uint64_t at, void *part, size_t len)
{
	if (at > a->len || len > a->len - at)
		return false;
	memcpy(part, a->bytes + at, len);
	return true;
}

static int
answer_malformed(const char *what)
{
	return DM_FAIL(EPROTO, "VFIO_IOMMU_GET_INFO: malformed answer: %s", what);
}

/** Query with a buffer of the length that the kernel last reported. */
static int
answer_query(const struct dm_iommu *iommu, int fd, struct answer *a)
{
	struct vfio_iommu_type1_info head = {.argsz = sizeof(head)};
	unsigned int i;
	uint8_t *more;
	int rc;

	for (i = 0; i < QUERY_MAX; i++) {
		a->len = head.argsz;
		more = realloc(a->bytes, a->len);
		if (more == NULL)
			return -ENOMEM;
		a->bytes = more;
		memset(a->bytes, 0, a->len);
		memcpy(a->bytes, &a->len, sizeof(a->len));
		rc = dm_kernel_ioctl(iommu, fd, VFIO_IOMMU_GET_INFO, a->bytes);
		if (rc < 0)
			return rc;
		memcpy(&head, a->bytes, sizeof(head));
		if (head.argsz < sizeof(head) || head.argsz > ANSWER_MAX)
			return answer_malformed("invalid argsz");
		if (head.argsz <= a->len)
			return 0;
	}
	return answer_malformed("argsz grows without end");
}

/**
 * Find a capability. Headers do not overlap, so a chain with more links than headers fit has a
 * cycle.
 * @return 0; -ENOENT: not present; -EPROTO.
 */
static int
answer_find_cap(const struct answer *a, uint16_t id, uint32_t *at)
{
	struct vfio_iommu_type1_info head;
	struct vfio_info_cap_header cap;
	uint32_t links;

	answer_get(a, 0, &head, sizeof(head));
	if (!(head.flags & VFIO_IOMMU_INFO_CAPS))
		return -ENOENT;
	*at = head.cap_offset;
	for (links = 0; *at != 0; links++) {
		if (*at < offsetof(struct vfio_iommu_type1_info, cap_offset) + sizeof(uint32_t) ||
			!answer_get(a, *at, &cap, sizeof(cap)))
			return answer_malformed("a capability lies outside the answer");
		if (links > a->len / sizeof(cap))
			return answer_malformed("the chain of capabilities has a cycle");
		if (cap.id == id)
			return 0;
		*at = cap.next;
	}
	return -ENOENT;
}

static int
info_assume_range(struct dm_iommu_info *info)
{
	info->ranges = malloc(sizeof(*info->ranges));
	if (info->ranges == NULL)
		return -ENOMEM;
	info->ranges[0] = (struct dmamap_range){0, ASSUMED_LAST};
	info->n_ranges = 1;
	return 0;
}

static int
info_read_ranges(const struct answer *a, struct dm_iommu_info *info)
{
	struct vfio_iommu_type1_info_cap_iova_range cap;
	struct dmamap_range *r;
	struct vfio_iova_range k;
	uint32_t at, i;
	int rc = answer_find_cap(a, VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE, &at);

	if (rc == -ENOENT)
		return info_assume_range(info);
	if (rc < 0)
		return rc;
	if (!answer_get(a, at, &cap, sizeof(cap)) ||
		cap.nr_iovas > (a->len - at - sizeof(cap)) / sizeof(k))
		return answer_malformed("IOVA ranges lie outside the answer");
	r = malloc(DM_MAX(cap.nr_iovas, 1u) * sizeof(*r));
	if (r == NULL)
		return -ENOMEM;
	info->ranges = r;
	info->n_ranges = cap.nr_iovas;
	for (i = 0; i < cap.nr_iovas; i++) {
		if (!answer_get(a, at + sizeof(cap) + i * sizeof(k), &k, sizeof(k)) ||
			k.end < k.start || (i > 0 && k.start <= r[i - 1].last))
			return answer_malformed("IOVA ranges are not ascending");
		r[i] = (struct dmamap_range){k.start, k.end};
	}
	return 0;
}

static int
info_read_entries(const struct answer *a, struct dm_iommu_info *info)
{
	struct vfio_iommu_type1_info_dma_avail cap;
	uint32_t at;
	int rc = answer_find_cap(a, VFIO_IOMMU_TYPE1_INFO_DMA_AVAIL, &at);

	info->entries_left = UINT64_MAX;
	if (rc < 0)
		return rc == -ENOENT ? 0 : rc;
	if (!answer_get(a, at, &cap, sizeof(cap)))
		return answer_malformed("the count of entries lies outside the answer");
	info->entries_left = cap.avail;
	return 0;
}

static void
info_read_page_sizes(const struct answer *a, struct dm_iommu_info *info)
{
	struct vfio_iommu_type1_info head;

	answer_get(a, 0, &head, sizeof(head));
	info->page_sizes = (head.flags & VFIO_IOMMU_INFO_PGSIZES) ? head.iova_pgsizes
								  : (uint64_t)sysconf(_SC_PAGESIZE);
}

int
dm_type1_info(const struct dm_iommu *iommu, int container_fd, struct dm_iommu_info *info)
{
	struct answer a = {0};
	int rc = answer_query(iommu, container_fd, &a);

	*info = (struct dm_iommu_info){0};
	if (rc == 0)
		rc = info_read_ranges(&a, info);
	if (rc == 0)
		rc = info_read_entries(&a, info);
	if (rc == 0)
		info_read_page_sizes(&a, info);
	free(a.bytes);
	if (rc < 0) {
		free(info->ranges);
		*info = (struct dm_iommu_info){0};
	}
	return rc;
}
