/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * On what do suites of the container run? A machine of the software model, and memory to map.
 */

#ifndef GANTRY_TEST_MACHINE_H
#define GANTRY_TEST_MACHINE_H

#include <dmamap.h>
#include <dmamap_model.h>

#define KB4 ((size_t)4096)
#define MB2 ((size_t)2 << 20)
#define BUF_LEN (4 * MB2)

/*
 * The machine: nic0 and nic1 alone in their groups (0 and 1), twin0 and twin1 in one (2), behind
 * one IOMMU with an MSI window; narrow0 (3) behind one that translates 32 bits only; odd0 (4)
 * behind one with a hole [0x8000000, 0x80fffff]; coarse0 (5) behind one with pages of 64 KiB.
 */
extern struct dmamap_model *model;
extern struct dmamap_container *c; /**< on the model */
extern char *buf; /**< BUF_LEN bytes, aligned to 2 MiB */

/** Make the machine and a container on it. */
int machine_setup(void);
/** Destroy both. What a failed case left attached stays behind. */
void machine_teardown(void);
/** A machine of another kind, and a container on it, instead of the usual ones. */
int machine_remake(const struct dmamap_model_conf *conf, enum dmamap_sharing sharing);
/** Make a container on the machine, as c. */
int machine_make_container(enum dmamap_sharing sharing);
/** Attach a device to c. @return NULL: it failed */
struct dmamap_device *machine_attach(const char *name);
/** dmamap_container_info() of c. */
struct dmamap_container_info machine_info(void);
/** Does a device reach len bytes of memory at va by iova, both ways? */
bool machine_reaches(const char *dev, rte_iova_t iova, char *va, size_t len);
/**
 * Let this process lock so many bytes, without CAP_IPC_LOCK; 0: as at the start.
 * @return 0, or -EPERM: this process may not say so.
 */
int machine_limit_memory(uint64_t bytes);

#endif /* GANTRY_TEST_MACHINE_H */
