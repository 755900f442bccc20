/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * The log type of the driver. All its other files use it.
 */

#include "af_xdp_log.h"

RTE_LOG_REGISTER(af_xdp_logtype, pmd.net.gantry_af_xdp, NOTICE);
