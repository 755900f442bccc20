/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * A bpffs that only the main thread of the test program sees, in a mount namespace that ends with
 * it. Called by suites that pin maps and programs.
 */

#ifndef GANTRY_TEST_PRIVATE_BPFFS_H
#define GANTRY_TEST_PRIVATE_BPFFS_H

/** Where it is mounted; "": nowhere. */
extern char bpffs_dir[64];

/** Mount it. @return 0; the result of test_skip() */
int bpffs_setup(void);
/** Unmount it, if it is mounted. */
void bpffs_teardown(void);
/** Pin an object in it. @return its path, until the next call; NULL: errno */
const char *bpffs_pin(int fd, const char *name);

#endif /* GANTRY_TEST_PRIVATE_BPFFS_H */
