/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * libnuma's functions as on a kernel without NUMA, for the private libdmamap in libgantry_vfio.so.
 *
 * Reason: the real libnuma reads sysfs and allocates before main() in every program that loads it,
 * and is a further dependency. libdmamap uses it only to place zones on nodes, and vfio_front
 * allocates no zones.
 *
 * Invariant: numa_available() returns -1, after which numa(3) allows no other call, and libdmamap
 * makes none. The other functions are here for the linker and fail.
 */

#include <errno.h>
#include <stddef.h>

#include <numa.h>
#include <numaif.h>

struct bitmask *numa_nodes_ptr;
struct bitmask *numa_all_nodes_ptr;
struct bitmask *numa_all_cpus_ptr;

static int
numa_refuse(void)
{
	errno = ENOSYS;
	return -1;
}

int
numa_available(void)
{
	return -1;
}

int
numa_max_node(void)
{
	return 0;
}

int
numa_node_of_cpu(int cpu)
{
	return numa_refuse();
}

int
numa_node_to_cpus(int node, struct bitmask *mask)
{
	return numa_refuse();
}

int
numa_run_on_node(int node)
{
	return numa_refuse();
}

int
numa_move_pages(
	int pid, unsigned long count, void **pages, const int *nodes, int *status, int flags)
{
	return numa_refuse();
}

long
mbind(void *start, unsigned long len, int mode, const unsigned long *nmask, unsigned long maxnode,
	unsigned int flags)
{
	return numa_refuse();
}

struct bitmask *
numa_allocate_nodemask(void)
{
	return NULL;
}

struct bitmask *
numa_allocate_cpumask(void)
{
	return NULL;
}

void
numa_bitmask_free(struct bitmask *mask)
{
}

int
numa_bitmask_isbitset(const struct bitmask *mask, unsigned int n)
{
	return 0;
}

struct bitmask *
numa_bitmask_setbit(struct bitmask *mask, unsigned int n)
{
	return mask;
}

unsigned int
numa_bitmask_weight(const struct bitmask *mask)
{
	return 0;
}

void
copy_bitmask_to_bitmask(struct bitmask *from, struct bitmask *to)
{
}
