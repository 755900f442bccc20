/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * A C++ program on the public headers. It checks that they are ISO C++17 and that the calls have C
 * linkage.
 */

#include <dmamap.h>
#include <dmamap_kernel.h>

int
main()
{
	struct dmamap_container_conf conf = {};
	struct dmamap_container_info info;
	struct dmamap_container *c;
	dmamap_iova_t iova;
	int rc;

	conf.readers = dmamap_readers{nullptr, nullptr, nullptr};
	if (dmamap_container_create(&conf, &c) < 0)
		return 1;
	rc = dmamap_iova_reserve(c, 4096, 0, DMAMAP_ANYWHERE, &iova);
	if (rc == 0)
		rc = dmamap_container_info(c, &info);
	if (rc == 0 && (info.reservation_len != 4096 || dmamap_va2iova(c, c) != DMAMAP_BAD_IOVA))
		rc = -1;
	if (rc == 0)
		rc = dmamap_iova_release(c, iova, 4096);
	return dmamap_container_destroy(c) < 0 || rc != 0;
}
