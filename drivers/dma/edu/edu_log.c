/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * The log type of the driver.
 */

#include "edu_log.h"

RTE_LOG_REGISTER(edu_logtype, pmd.dma.gantry_edu, NOTICE);
