/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * libFuzzer target: call sequences on the IOVA allocator, compared with the model (iova_model.h).
 */

#include <stdio.h>
#include <stdlib.h>

#include "../lib/iova_model.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The first byte chooses the kind of address space, the others are the script of calls. */
int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct iova_history h = {.steps = UINT64_MAX};

	if (size < 2)
		return 0;
	h.scene = data[0] % IOVA_SCENES;
	h.script = data + 1;
	h.script_len = size - 1;
	if (iova_history_run(&h) != 0) {
		fprintf(stderr, "scene %u, step %llu: %s\n", h.scene, (unsigned long long)h.step,
			h.wrong);
		abort();
	}
	return 0;
}
