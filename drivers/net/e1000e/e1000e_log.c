/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * The log type of the driver. All its other files use it.
 */

#include "e1000e_log.h"

RTE_LOG_REGISTER(e1000e_logtype, pmd.net.gantry_e1000e, NOTICE);
