/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * What a physical function and its virtual function allow by their tokens, in the order in which
 * the kernel's rules show (vfio-pci of Linux, vfio_pci_validate_vf_token()). The same on the mock
 * kernel (test_bus_token.c) and on a real one (test_bus_sriov_vm.c).
 */

#ifndef GANTRY_TEST_VF_TOKENS_H
#define GANTRY_TEST_VF_TOKENS_H

#define TOKEN_A ",vf_token=11111111-2222-3333-4444-5555555555aa"
/* The same, as another operator writes it. */
#define TOKEN_A_CAPITALS ",vf_token=11111111-2222-3333-4444-5555555555AA"
#define TOKEN_B ",vf_token=11111111-2222-3333-4444-5555555555bb"

/** How a suite plugs and unplugs a device by its PCI address. @return a negative errno */
struct vf_token_plugs {
	int (*plug)(const char *name, const char *args);
	int (*unplug)(const char *name);
};

/** Neither function is plugged in, before and after. @return 0; -1: an assertion failed */
int vf_tokens_check(const struct vf_token_plugs *plugs, const char *pf, const char *vf);
/** The same where the kernel does not know tokens: iommufd's device files before Linux 6.17. */
int vf_tokens_check_none(const struct vf_token_plugs *plugs, const char *pf, const char *vf);

#endif /* GANTRY_TEST_VF_TOKENS_H */
