/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * State of the mock as text, and the report of objects that are still in use at destroy.
 */

#include <inttypes.h>
#include <stdlib.h>

#include "mock_log.h"
#include "mock_priv.h"

/** Describe a file. @return `text`, or a constant. */
static const char *
file_text(const struct mock_file *file, char *text, size_t size)
{
	switch (file->kind) {
	case MOCK_CONTAINER:
		return "container";
	case MOCK_IOMMUFD:
		return "iommufd";
	case MOCK_FOLDER:
		return "directory of devices";
	case MOCK_COPY:
		snprintf(text, size, "copy of file %d", file->of);
		return text;
	case MOCK_GROUP:
		snprintf(text, size, "group %d", file->group->id);
		return text;
	case MOCK_CDEV:
		snprintf(text, size, "device %s, its own file%s", file->device->name,
			file->bound ? ", bound" : "");
		return text;
	default:
		snprintf(text, size, "device %s", file->device->name);
		return text;
	}
}

unsigned int
mock_report_leaks(const struct vfio_mock *m)
{
	const struct mock_container *c;
	char text[128];
	unsigned int n = 0;
	int fd;

	for (fd = 0; fd < m->n_files; fd++) {
		const struct mock_file *file = &m->files[fd];

		if (file->kind == MOCK_NONE)
			continue;
		n++;
		MOCK_LOG("file %d is open: %s", fd, file_text(file, text, sizeof(text)));
	}
	TAILQ_FOREACH(c, &m->containers, next) {
		n++;
		if (c->maps.n != 0)
			MOCK_LOG("a kernel container still holds %zu maps", c->maps.n);
	}
	return n;
}

static void
table_dump(FILE *out, const struct mock_table *table)
{
	const struct mock_map *map;

	MOCK_TABLE_FOREACH(map, table)
		fprintf(out, "    %#" PRIx64 "-%#" PRIx64 " -> %#" PRIx64 " %s%s%s\n",
			map->iova.start, map->iova.last, map->va,
			map->prot & DMAMAP_READ ? "r" : "", map->prot & DMAMAP_WRITE ? "w" : "",
			map->va_invalid ? " (address invalid)" : "");
}

static void
domains_dump(FILE *out, const struct mock_domain_list *domains)
{
	const struct mock_domain *dom;
	const struct mock_group *group;

	TAILQ_FOREACH(dom, domains, next) {
		fprintf(out, "  domain: IOMMU %d, %scoherent, groups", dom->iommu->id,
			dom->coherent ? "" : "not ");
		TAILQ_FOREACH(group, &dom->groups, in_domain)
			fprintf(out, " %d", group->id);
		fprintf(out, "\n");
		table_dump(out, &dom->table);
	}
}

static void
iommufd_dump(FILE *out, const struct vfio_mock *m, const struct mock_ctx *ctx)
{
	const struct mock_ioas *ioas;
	size_t i;
	int fd;

	fprintf(out, "iommufd: files");
	for (fd = 0; fd < m->n_files; fd++)
		if (m->files[fd].kind == MOCK_IOMMUFD && m->files[fd].ctx == ctx)
			fprintf(out, " %d", fd);
	fprintf(out, ", references %u%s\n", ctx->refs, ctx->per_process ? ", per process" : "");
	TAILQ_FOREACH(ioas, &ctx->spaces, next) {
		fprintf(out, "  IOAS %u%s%s, allowed", ioas->id,
			ioas == ctx->compat ? ", VFIO's container" : "",
			ioas->base_pages ? ", base pages" : "");
		for (i = 0; i < ioas->allowed.n; i++)
			fprintf(out, " %#" PRIx64 "-%#" PRIx64, ioas->allowed.v[i].start,
				ioas->allowed.v[i].last);
		fprintf(out, "\n  maps\n");
		table_dump(out, &ioas->areas);
		domains_dump(out, &ioas->domains);
	}
}

static void
container_dump(FILE *out, const struct vfio_mock *m, const struct mock_container *c)
{
	const struct mock_group *group;
	size_t i;
	int fd;

	fprintf(out, "container: files");
	for (fd = 0; fd < m->n_files; fd++)
		if (m->files[fd].kind == MOCK_CONTAINER && m->files[fd].container == c)
			fprintf(out, " %d", fd);
	fprintf(out, ", type %lu%s, pages %#" PRIx64 ", entries left %u%s, groups", c->type,
		c->noiommu ? " (noiommu)" : "", c->page_sizes, c->entries_left,
		c->dirty_tracking ? ", dirty tracking" : "");
	TAILQ_FOREACH(group, &c->groups, in_container)
		fprintf(out, " %d", group->id);
	fprintf(out, "\n  ranges");
	for (i = 0; i < c->ranges.n; i++)
		fprintf(out, " %#" PRIx64 "-%#" PRIx64, c->ranges.v[i].start, c->ranges.v[i].last);
	fprintf(out, "\n  maps\n");
	table_dump(out, &c->maps);
	domains_dump(out, &c->domains);
}

static void
machine_dump(FILE *out, const struct vfio_mock *m)
{
	const struct mock_container *c;
	const struct mock_group *group;
	const struct mock_device *dev;
	const struct mock_ctx *ctx;
	char text[128];
	int fd;

	fprintf(out, "locked: %" PRIu64 " pages\n", m->locked);
	for (fd = 0; fd < m->n_files; fd++)
		if (m->files[fd].kind != MOCK_NONE)
			fprintf(out, "file %d: %s%s\n", fd,
				file_text(&m->files[fd], text, sizeof(text)),
				m->files[fd].closed ? ", closed except for copies" : "");
	TAILQ_FOREACH(group, &m->groups, next)
		fprintf(out, "group %d: IOMMU %d, references %u, devices open %u\n", group->id,
			group->iommu != NULL ? group->iommu->id : -1, group->refs,
			group->devices_open);
	TAILQ_FOREACH(dev, &m->devices, next)
		fprintf(out, "device %s: group %d, driver '%s', open %u%s%s\n", dev->name,
			dev->group->id, dev->driver, dev->open, dev->ctx != NULL ? ", bound" : "",
			dev->attached ? ", attached" : "");
	TAILQ_FOREACH(c, &m->containers, next)
		container_dump(out, m, c);
	TAILQ_FOREACH(ctx, &m->ctxs, next)
		iommufd_dump(out, m, ctx);
}

char *
vfio_mock_dump(struct vfio_mock *m)
{
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	if (out == NULL)
		return NULL;
	pthread_mutex_lock(&m->lock);
	machine_dump(out, m);
	pthread_mutex_unlock(&m->lock);
	if (fclose(out) != 0) {
		free(text);
		return NULL;
	}
	return text;
}
