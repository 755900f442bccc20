/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * How does the library speak? Its log type.
 */

#include "dm_log.h"

RTE_LOG_REGISTER(dm_logtype, lib.dmamap, NOTICE);
