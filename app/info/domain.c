/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * What a device has after an attach: apertures, page sizes, coherency, entries, reserved ranges.
 * libdmamap attaches, in a container of its own, and says why if it cannot. Implements part of
 * info.h.
 */

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "info.h"

/** IOMMUs have a few page sizes; more are no list of pages, but a smallest multiple. */
#define SIZES_SHOWN 12

/** Receives libdmamap's log: the last error is the reason of a failure. */
static void
log_keep(void *arg, enum dmamap_log_level level, const char *line)
{
	static const char prefix[] = "dmamap: ";
	struct info_domain *d = arg;

	if (strncmp(line, prefix, strlen(prefix)) == 0)
		line += strlen(prefix);
	if (level <= DMAMAP_LOG_ERR)
		snprintf(d->said, sizeof(d->said), "%s", line);
}

const char *
info_backend_name(enum dmamap_backend backend)
{
	static const char *const names[] = {[DMAMAP_BACKEND_AUTO] = "auto",
		[DMAMAP_BACKEND_TYPE1] = "type1",
		[DMAMAP_BACKEND_IOMMUFD] = "iommufd",
		[DMAMAP_BACKEND_NOIOMMU] = "noiommu"};

	return names[backend];
}

const char *
info_reserved_name(enum dmamap_reserved_type type)
{
	static const char *const names[] = {[DMAMAP_RESERVED_PAGE0] = "page 0",
		[DMAMAP_RESERVED_MSI] = "msi",
		[DMAMAP_RESERVED_DIRECT] = "direct",
		[DMAMAP_RESERVED_RELAXABLE] = "direct-relaxable",
		[DMAMAP_RESERVED_BUS] = "reserved",
		[DMAMAP_RESERVED_APERTURE] = "aperture"};

	return names[type];
}

int
info_domain_open(struct info_domain *d, const struct info_host *h, const char *address,
	enum dmamap_backend backend)
{
	const struct dmamap_container_conf conf = {
		.name = "gantry-info", .backend = backend, .kernel = h->kernel};
	int rc;

	*d = (struct info_domain){.c = NULL};
	dmamap_log_set(log_keep, d);
	rc = dmamap_container_create(&conf, &d->c);
	if (rc == 0)
		rc = dmamap_container_attach(d->c, address, &d->dev);
	if (rc == 0)
		return 0;
	if (d->said[0] == '\0')
		snprintf(d->said, sizeof(d->said), "%s: %s", address, strerror(-rc));
	info_domain_close(d);
	return rc;
}

void
info_domain_close(struct info_domain *d)
{
	if (d->dev != NULL)
		dmamap_container_detach(d->dev);
	if (d->c != NULL)
		dmamap_container_destroy(d->c);
	d->dev = NULL;
	d->c = NULL;
	dmamap_log_set(NULL, NULL);
}

static void
domain_put_reserved(const struct dmamap_container *c, json_t *facts)
{
	json_t *array = info_put_array(facts, "reserved"), *one;
	int i, n = dmamap_reserved(c, NULL, 0);
	struct dmamap_reserved *all;

	all = n > 0 ? calloc((size_t)n, sizeof(*all)) : NULL;
	if (all == NULL)
		return;
	n = dmamap_reserved(c, all, (unsigned int)n);
	for (i = 0; i < n; i++) {
		one = info_add_object(array);
		info_put_range(one, all[i].range.start, all[i].range.last);
		info_put(one, "type", "%s", info_reserved_name(all[i].type));
		info_put(one, "owner", "%s", all[i].owner);
	}
	free(all);
}

/** A bitmap of sizes. iommufd sets all bits from the smallest page's on. */
static void
domain_put_sizes(uint64_t sizes, json_t *facts)
{
	json_t *array;
	unsigned int i;

	if (sizes != 0)
		info_put_int(facts, "smallest_page_bytes", sizes & -sizes);
	if (__builtin_popcountll(sizes) > SIZES_SHOWN)
		return;
	array = info_put_array(facts, "page_size_bytes");
	for (i = 0; i < 63; i++)
		if (sizes >> i & 1)
			json_array_append_new(array, json_integer((json_int_t)1 << i));
}

void
info_domain_facts(const struct info_domain *d, json_t *facts)
{
	struct dmamap_container_info info;
	const unsigned int max = sizeof(info.ranges) / sizeof(info.ranges[0]);
	json_t *array;
	unsigned int i;

	dmamap_container_info(d->c, &info);
	info_put(facts, "backend", "%s", info_backend_name(info.backend));
	domain_put_sizes(info.page_sizes, facts);
	info_put_bool(facts, "coherent", info.coherent);
	if (info.entries_left != UINT64_MAX)
		info_put_int(facts, "entries_left", info.entries_left);
	else
		info_put(facts, "entries_left", "no known limit");
	array = info_put_array(facts, "usable");
	for (i = 0; i < info.n_ranges && i < max; i++)
		info_put_range(info_add_object(array), info.ranges[i].start, info.ranges[i].last);
	domain_put_reserved(d->c, facts);
}
