/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 */

#ifndef DMAMAP_MBUF_H
#define DMAMAP_MBUF_H

/**
 * @file
 * mbuf pools whose buffers lie in a zone of a container. Every mbuf carries the IOVA at which the
 * container's devices reach it. A separate library: libdmamap does not depend on mbufs.
 *
 * Control path only: one thread at a time for each pool, not from a signal handler. Needs the EAL.
 * The pool's bookkeeping is EAL memory, with or without hugepages; the buffers are in the zone.
 */

#include <stdint.h>

#include <rte_mempool.h>
#include <dmamap.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * Create a pool of packet buffers in a zone, like rte_pktmbuf_pool_create(). rte_mempool_free()
 * frees the pool and the zone.
 *
 * @param c               the container whose IOVAs the buffers get; must outlive the pool.
 * @param name            of the pool, unique in the EAL.
 * @param n               number of mbufs, best a power of two minus one.
 * @param cache_size      objects in each lcore's cache.
 * @param priv_size       bytes of private area, a multiple of RTE_MBUF_PRIV_ALIGN.
 * @param data_room_size  bytes of each buffer, including RTE_PKTMBUF_HEADROOM.
 * @param node            NUMA node, or SOCKET_ID_ANY.
 * @return
 *   The pool; or NULL, with rte_errno:
 *   - EINVAL: c or name is NULL, or priv_size, data_room_size or cache_size is invalid.
 *   - EEXIST, ENAMETOOLONG: from the mempool library, for the name.
 *   - ENOENT: no mempool handler of the configured name is loaded.
 *   - ENOMEM, or the error of dmamap_zone_alloc().
 */
struct rte_mempool *dmamap_pktmbuf_pool_create(struct dmamap_container *c, const char *name,
	unsigned int n, unsigned int cache_size, uint16_t priv_size, uint16_t data_room_size,
	int node);

/**
 * Map a pool into another container too, at the IOVAs that its mbufs carry. Packets can then pass
 * between devices of both containers. dmamap_pktmbuf_pool_unshare() undoes it. Call that before the
 * pool is freed or that container destroyed.
 *
 * @param mp  a pool of dmamap_pktmbuf_pool_create().
 * @param c   a container other than the pool's own.
 * @return
 *   0, -EINVAL, or the error of dmamap_map() for a FIXED mapping: -EEXIST (the range is mapped or
 *   reserved by an application), -EADDRINUSE (it overlaps a reserved range), -ERANGE (beyond the
 *   aperture), -ENOSPC, -ENOMEM, -EFAULT.
 */
int dmamap_pktmbuf_pool_share(struct rte_mempool *mp, struct dmamap_container *c);

/**
 * Undo dmamap_pktmbuf_pool_share(). No device of the container may hold an mbuf of the pool. Waits
 * for readers of translations, as dmamap_unmap() does.
 * @return 0, -EINVAL, or the error of dmamap_unmap().
 */
int dmamap_pktmbuf_pool_unshare(struct rte_mempool *mp, struct dmamap_container *c);

#ifdef __cplusplus
}
#endif

#endif /* DMAMAP_MBUF_H */
