/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * In what do the DPDKs that Gantry is built with differ? The names of the newest stand everywhere
 * else; here is what older ones call them. Not installed: nothing of it shows in a public header.
 */

#ifndef GANTRY_DPDK_H
#define GANTRY_DPDK_H

#include <rte_version.h>

/* Telemetry's numbers without a sign were renamed in 23.03; the old name was taken out in 23.11. */
#if RTE_VERSION < RTE_VERSION_NUM(23, 3, 0, 0)
#define rte_tel_data_add_dict_uint rte_tel_data_add_dict_u64
#endif

#endif /* GANTRY_DPDK_H */
