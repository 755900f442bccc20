/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Differences between the DPDK versions that Gantry is built with (22.11 to 25.11). Sources use the
 * names of the newest version; this header defines them for older versions. Included by the parts
 * that call DPDK. Not installed, and not included by any public header.
 */

#ifndef GANTRY_DPDK_H
#define GANTRY_DPDK_H

#include <rte_version.h>

/* Unsigned values of telemetry: renamed in DPDK 23.03, old name removed in 23.11. */
#if RTE_VERSION < RTE_VERSION_NUM(23, 3, 0, 0)
#define rte_tel_data_add_dict_uint rte_tel_data_add_dict_u64
#define rte_tel_data_add_array_uint rte_tel_data_add_array_u64
#define RTE_TEL_UINT_VAL RTE_TEL_U64_VAL
#endif

#endif /* GANTRY_DPDK_H */
