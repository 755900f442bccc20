/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * How do the backends of real kernels run on the model? It takes Linux' place behind dm_kernel, and
 * in a sysfs.
 */

#ifndef MODEL_LINUX_H
#define MODEL_LINUX_H

#include <dmamap_model.h>

/**
 * Take Linux' place, with a sysfs that lists these devices of a model.
 * @param names  PCI addresses, n of them.
 * @return 0, or negative errno.
 */
int model_linux_begin(struct dmamap_model *model, const char *const *names, unsigned int n);
/** Go on with another model that has the same devices. NULL: there is none for now. */
void model_linux_use(struct dmamap_model *model);
/**
 * Called after each ioctl with what the model answered, so that a test can look at it or answer
 * oddly; NULL: not.
 * @return what the caller gets.
 */
extern int (*model_linux_hook)(unsigned long request, void *arg, int rc);
/** Go away, with the sysfs. */
void model_linux_end(void);

#endif /* MODEL_LINUX_H */
