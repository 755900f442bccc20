/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * A mock kernel of which a test replaces single calls, so that backends get answers that the mock
 * would not give. One at a time; single-threaded.
 */

#ifndef GANTRY_TEST_ODD_KERNEL_H
#define GANTRY_TEST_ODD_KERNEL_H

#include <dmamap_kernel.h>
#include <vfio_mock.h>

struct odd_kernel {
	struct dmamap_kernel table; /**< kernel table for container configurations */

	/* Replaced calls; NULL: as the mock. */
	const char *no_file; /**< opening this path fails with no_file_errno */
	int no_file_errno;
	/** Called instead of the mock's ioctl, which odd_kernel_pass() calls. */
	int (*ioctl)(int fd, unsigned long request, uintptr_t param);

	/* Observed state. */
	unsigned int open_files; /**< 0: nothing was left behind */
};

/** The one instance. */
extern struct odd_kernel odd_kernel;

/** Put a mock below it, with no call replaced. */
void odd_kernel_begin(struct vfio_mock *mock);
/** The mock's ioctl. */
int odd_kernel_pass(int fd, unsigned long request, uintptr_t param);

#endif /* GANTRY_TEST_ODD_KERNEL_H */
