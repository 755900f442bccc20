/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 */

#ifndef DMAMAP_MBUF_H
#define DMAMAP_MBUF_H

/**
 * @file
 * mbuf pools whose buffers live in a zone of a container, so that every mbuf carries the IOVA at
 * which the container's devices reach it. A library of its own: libdmamap knows no mbufs.
 */

#include <stdint.h>

#include <rte_mempool.h>
#include <dmamap.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * Make a pool of packet buffers in a zone; like rte_pktmbuf_pool_create(), and freed with rte_mempool_free(), which frees the zone too.
 *
 * @param c               whose IOVAs the buffers get; outlives the pool.
 * @param name            of the pool, unique in the EAL.
 * @param n               number of mbufs, best a power of two minus one.
 * @param cache_size      objects in each lcore's cache.
 * @param priv_size       bytes of private area, a multiple of RTE_MBUF_PRIV_ALIGN.
 * @param data_room_size  bytes of each buffer, with RTE_PKTMBUF_HEADROOM.
 * @param node            NUMA node, or SOCKET_ID_ANY.
 * @return the pool, or NULL and rte_errno (that of rte_mempool_create() or of dmamap_zone_alloc(), positive).
 */
struct rte_mempool *dmamap_pktmbuf_pool_create(struct dmamap_container *c, const char *name,
	unsigned int n, unsigned int cache_size, uint16_t priv_size, uint16_t data_room_size,
	int node);

#ifdef __cplusplus
}
#endif

#endif /* DMAMAP_MBUF_H */
