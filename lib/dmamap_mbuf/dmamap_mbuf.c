/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * mbuf pools in zones. A mempool is created empty and populated with the zone's pages and their
 * IOVAs, one chunk of memory for each page. The first chunk owns the zone and frees it with the
 * pool. See dmamap_mbuf.h. Called by applications.
 */

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <rte_errno.h>
#include <rte_log.h>
#include <rte_mbuf.h>
#include <rte_mbuf_pool_ops.h>
#include <rte_mempool.h>

#include <dmamap.h>
#include "dmamap_mbuf.h"

RTE_LOG_REGISTER(dmamap_mbuf_logtype, lib.dmamap.mbuf, NOTICE);

#define MBUF_LOG(level, fmt, ...)                                                                  \
	rte_log(RTE_LOG_##level, dmamap_mbuf_logtype, "dmamap_mbuf: " fmt "\n", ##__VA_ARGS__)

/** Frees the zone when the pool is freed: no mbuf is in use, so no device uses the zone. */
static void
pool_free_zone(struct rte_mempool_memhdr *memhdr, void *zone)
{
	dmamap_zone_free(zone);
}

/** log2 of the smallest hugepage that a zone may consist of: 2 MiB. */
#define PAGE_SHIFT 21

/**
 * Bytes that the objects of a pool need when none crosses a page border, as the pool's handler
 * counts. A buffer within one page needs one translation in the IOTLB. Also, QEMU's NICs (7.2,
 * net_tx_pkt_add_raw_fragment()) drop a frame whose buffer is not contiguous in physical memory.
 */
static ssize_t
pool_len(const struct rte_mempool *mp, size_t *align)
{
	const struct rte_mempool_ops *ops = rte_mempool_get_ops(mp->ops_index);
	size_t min_chunk;

	if (ops->calc_mem_size == NULL)
		return rte_mempool_op_calc_mem_size_default(
			mp, mp->size, PAGE_SHIFT, &min_chunk, align);
	return ops->calc_mem_size(mp, mp->size, PAGE_SHIFT, &min_chunk, align);
}

/**
 * Populate a pool with a zone, page by page. The chunk of the first page owns the zone.
 * @return the number of objects, or a negative errno
 */
static int
pool_fill(struct rte_mempool *mp, struct dmamap_zone *zone)
{
	size_t object = mp->header_size + mp->elt_size + mp->trailer_size;
	size_t len = dmamap_zone_len(zone), page = dmamap_zone_page_size(zone), at;
	unsigned int n = 0;
	int rc;

	if (object > page)
		page = len;
	for (at = 0; at < len && n < mp->size; at += page) {
		rc = rte_mempool_populate_iova(mp, RTE_PTR_ADD(dmamap_zone_va(zone), at),
			dmamap_zone_iova(zone) + at, RTE_MIN(page, len - at),
			at == 0 ? pool_free_zone : NULL, zone);
		if (rc <= 0 && at == 0)
			dmamap_zone_free(zone);
		if (rc <= 0)
			return rc < 0 ? rc : -ENOMEM;
		n += rc;
	}
	return n;
}

/** Allocate the pool's zone and populate it. On failure the pool owns the zone, or none exists. */
static int
pool_populate(struct rte_mempool *mp, struct dmamap_container *c, int node)
{
	char owner[sizeof("pool ") + RTE_MEMPOOL_NAMESIZE];
	struct dmamap_zone_conf conf = {
		.node = node, .on_node = node >= 0, .name = mp->name, .owner = owner};
	struct dmamap_zone *zone;
	size_t align;
	ssize_t len;
	int rc;

	len = pool_len(mp, &align);
	if (len < 0)
		return len;
	conf.len = len;
	snprintf(owner, sizeof(owner), "pool %s", mp->name);
	rc = dmamap_zone_alloc(c, &conf, &zone);
	if (rc < 0)
		return rc;

	/*
	 * The zone is one run of IOVAs, and so is any object in it. Without this flag the mempool
	 * splits the zone at the EAL's page size. The flag is needed while populating only.
	 */
	mp->flags |= RTE_MEMPOOL_F_NO_IOVA_CONTIG;
	rc = pool_fill(mp, zone);
	mp->flags &= ~(RTE_MEMPOOL_F_NO_IOVA_CONTIG | RTE_MEMPOOL_F_NON_IO);
	if (rc < 0)
		return rc;
	return (unsigned int)rc == mp->size ? 0 : -ENOMEM;
}

static int
pool_check_args(const struct dmamap_container *c, const char *name, uint16_t priv_size,
	uint16_t data_room_size)
{
	if (c == NULL || name == NULL) {
		MBUF_LOG(ERR, "a pool needs a container and a name");
		return -EINVAL;
	}
	if (RTE_ALIGN(priv_size, RTE_MBUF_PRIV_ALIGN) != priv_size) {
		MBUF_LOG(ERR, "pool %s: the private area of %u bytes is no multiple of %u", name,
			priv_size, RTE_MBUF_PRIV_ALIGN);
		return -EINVAL;
	}
	if (data_room_size != 0 && data_room_size < RTE_PKTMBUF_HEADROOM) {
		MBUF_LOG(ERR, "pool %s: buffers of %u bytes do not hold the headroom of %u", name,
			data_room_size, RTE_PKTMBUF_HEADROOM);
		return -EINVAL;
	}
	return 0;
}

struct rte_mempool *
dmamap_pktmbuf_pool_create(struct dmamap_container *c, const char *name, unsigned int n,
	unsigned int cache_size, uint16_t priv_size, uint16_t data_room_size, int node)
{
	struct rte_pktmbuf_pool_private priv = {
		.mbuf_data_room_size = data_room_size,
		.mbuf_priv_size = priv_size,
	};
	const char *ops = rte_mbuf_best_mempool_ops();
	struct rte_mempool *mp;
	int rc;

	rc = pool_check_args(c, name, priv_size, data_room_size);
	if (rc < 0)
		goto fail;

	mp = rte_mempool_create_empty(name, n, sizeof(struct rte_mbuf) + priv_size + data_room_size,
		cache_size, sizeof(priv), node, 0);
	if (mp == NULL) {
		rc = -rte_errno;
		MBUF_LOG(ERR, "pool %s: cannot create a mempool of %u mbufs: %s", name, n,
			strerror(-rc));
		goto fail;
	}
	if (rte_mempool_set_ops_byname(mp, ops, NULL) < 0) {
		rc = -ENOENT;
		MBUF_LOG(ERR,
			"pool %s: no mempool handler \"%s\" is loaded; is librte_mempool_ring"
			" in the plugin folder of the EAL?",
			name, ops);
		goto fail_free;
	}
	rte_pktmbuf_pool_init(mp, &priv);

	rc = pool_populate(mp, c, node);
	if (rc < 0) {
		MBUF_LOG(ERR, "pool %s: cannot allocate %u mbufs in container %s: %s", name, n,
			dmamap_container_name(c), strerror(-rc));
		goto fail_free;
	}
	rte_mempool_obj_iter(mp, rte_pktmbuf_init, NULL);
	return mp;

fail_free:
	rte_mempool_free(mp);
fail:
	rte_errno = -rc;
	return NULL;
}

/** The zone that the pool's first chunk of memory owns; NULL: not a pool of this library. */
static const struct dmamap_zone *
pool_zone(const struct rte_mempool *mp)
{
	const struct rte_mempool_memhdr *chunk;

	if (mp == NULL || mp->nb_mem_chunks == 0)
		return NULL;
	chunk = STAILQ_FIRST(&mp->mem_list);
	return chunk->free_cb == pool_free_zone ? chunk->opaque : NULL;
}

int
dmamap_pktmbuf_pool_share(struct rte_mempool *mp, struct dmamap_container *c)
{
	const struct dmamap_zone *zone = pool_zone(mp);
	rte_iova_t iova, start;
	size_t len;
	int rc;

	if (zone == NULL || c == NULL) {
		MBUF_LOG(ERR, "only a pool of dmamap_pktmbuf_pool_create() can be shared");
		return -EINVAL;
	}
	iova = start = dmamap_zone_iova(zone);
	len = dmamap_zone_len(zone);
	rc = dmamap_map(c, dmamap_zone_va(zone), len, DMAMAP_RW | DMAMAP_FIXED, &iova);
	if (rc < 0)
		MBUF_LOG(ERR,
			"pool %s cannot be shared with container %s: IOVA 0x%" PRIx64
			" to 0x%" PRIx64 " is not free there: %s",
			mp->name, dmamap_container_name(c), start, start + len - 1, strerror(-rc));
	return rc;
}

int
dmamap_pktmbuf_pool_unshare(struct rte_mempool *mp, struct dmamap_container *c)
{
	const struct dmamap_zone *zone = pool_zone(mp);

	if (zone == NULL || c == NULL)
		return -EINVAL;
	return dmamap_unmap(c, dmamap_zone_iova(zone), dmamap_zone_len(zone));
}
