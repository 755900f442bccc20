/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 */

#ifndef DMAMAP_MBUF_H
#define DMAMAP_MBUF_H

/**
 * @file
 * mbuf pools whose buffers live in a zone of a container, so that every mbuf carries the IOVA at
 * which the container's devices reach it. A library of its own: libdmamap knows no mbufs.
 *
 * Control path: one thread a pool at a time, none of it from a signal handler. Needs the EAL (the
 * pool's bookkeeping is EAL memory, with or without hugepages); the buffers are Gantry's own.
 */

#include <stdint.h>

#include <rte_mempool.h>
#include <dmamap.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * Make a pool of packet buffers in a zone; like rte_pktmbuf_pool_create(), and freed with
 * rte_mempool_free(), which frees the zone too.
 *
 * @param c               whose IOVAs the buffers get; outlives the pool.
 * @param name            of the pool, unique in the EAL.
 * @param n               number of mbufs, best a power of two minus one.
 * @param cache_size      objects in each lcore's cache.
 * @param priv_size       bytes of private area, a multiple of RTE_MBUF_PRIV_ALIGN.
 * @param data_room_size  bytes of each buffer, with RTE_PKTMBUF_HEADROOM.
 * @param node            NUMA node, or SOCKET_ID_ANY.
 * @return
 *   the pool, or NULL and rte_errno: EINVAL (c or name is NULL, priv_size, cache_size), EEXIST,
 *   ENAMETOOLONG, ENOENT (no mempool handler of the wanted name is loaded), ENOMEM, or what
 *   dmamap_zone_alloc() said.
 */
struct rte_mempool *dmamap_pktmbuf_pool_create(struct dmamap_container *c, const char *name,
	unsigned int n, unsigned int cache_size, uint16_t priv_size, uint16_t data_room_size,
	int node);

/**
 * Let the devices of another container reach a pool too, at the IOVAs that its mbufs carry: packets
 * can then go from a device of one container to a device of the other. Undone by
 * dmamap_pktmbuf_pool_unshare(), before the pool is freed or that container destroyed.
 *
 * @param mp  a pool of dmamap_pktmbuf_pool_create().
 * @param c   another container than the pool's own.
 * @return
 *   0, -EINVAL, or what dmamap_map() said of a FIXED mapping: -EEXIST (something is mapped or taken
 * there), -EADDRINUSE (reserved there), -ERANGE (beyond its aperture), -ENOSPC, -ENOMEM, -EFAULT.
 */
int dmamap_pktmbuf_pool_share(struct rte_mempool *mp, struct dmamap_container *c);

/**
 * Undo dmamap_pktmbuf_pool_share(). No device of the container may hold an mbuf of the pool.
 * @return 0, -EINVAL, or what dmamap_unmap() said.
 */
int dmamap_pktmbuf_pool_unshare(struct rte_mempool *mp, struct dmamap_container *c);

#ifdef __cplusplus
}
#endif

#endif /* DMAMAP_MBUF_H */
