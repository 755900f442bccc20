/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Fixture of suites that test containers: a machine of the mock kernel, a container on it, and
 * memory to map. There is one machine at a time, in global variables; setup and teardown enclose
 * each case.
 */

#ifndef GANTRY_TEST_MACHINE_H
#define GANTRY_TEST_MACHINE_H

#include <dmamap.h>
#include <vfio_mock.h>

#include <rte_common.h>

#define KB4 ((size_t)4096)
#define MB2 ((size_t)2 << 20)
#define BUF_LEN (4 * MB2)

/*
 * The machine. One IOMMU with an MSI window has groups 0 (nic0), 1 (nic1) and 2 (twin0, twin1).
 * Others have one group each: 3 (narrow0), which translates 32 bits only; 4 (odd0) with a hole
 * [0x8000000, 0x80fffff]; 5 (coarse0) with pages of 64 KiB.
 */
extern struct vfio_mock *mock;
extern struct dmamap_container *c; /**< on the mock */
extern char *buf; /**< BUF_LEN bytes, aligned to 2 MiB */

/** Make the machine and a container on it; a suite's setup. */
int machine_setup(void);
/**
 * Destroy container and machine; a suite's teardown. Devices that a failed case left attached stay.
 */
void machine_teardown(void);
/** Replace machine and container by others: a mock with this configuration, and a container. */
int machine_remake(const struct vfio_mock_conf *conf, enum dmamap_sharing sharing);
/** Make a container on the machine and set c. */
int machine_make_container(enum dmamap_sharing sharing);
/** Attach a device to c. @return NULL: it failed */
struct dmamap_device *machine_attach(const char *name);
/** dmamap_container_info() of c. */
struct dmamap_container_info machine_info(void);
/** Whether a device reaches len bytes of memory at va by iova, for reads and writes. */
bool machine_reaches(const char *dev, rte_iova_t iova, char *va, size_t len);
/**
 * Limit the locked memory of this process, without CAP_IPC_LOCK.
 * @param bytes  0: as at the start
 * @return 0, or -EPERM: this process may not change its limit.
 */
int machine_limit_memory(uint64_t bytes);

#endif /* GANTRY_TEST_MACHINE_H */
