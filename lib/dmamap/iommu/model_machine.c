/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * What is the modelled machine made of, what do its devices see, what went wrong? dmamap_model.h.
 */

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <rte_common.h>
#include <rte_string_fns.h>

#include "dm_log.h"
#include "model_priv.h"

#define DEFAULT_APERTURE ((struct dmamap_range){0, (UINT64_C(1) << 39) - 1})
#define DEFAULT_PAGE_SIZES (UINT64_C(1) << 12 | UINT64_C(1) << 21 | UINT64_C(1) << 30)

/* Description */

int
dmamap_model_create(const struct dmamap_model_conf *conf, struct dmamap_model **model)
{
	struct dmamap_model *m;
	int rc;

	if (model == NULL)
		return -EINVAL;
	m = calloc(1, sizeof(*m));
	if (m == NULL)
		return -ENOMEM;
	rc = pthread_mutex_init(&m->lock, NULL);
	if (rc != 0) {
		free(m);
		return -rc;
	}
	if (conf != NULL)
		m->conf = *conf;
	if (m->conf.linux_version == 0)
		m->conf.linux_version = DMAMAP_MODEL_LINUX(6, 1);
	m->failed_kind = -1;
	TAILQ_INIT(&m->iommus);
	TAILQ_INIT(&m->groups);
	TAILQ_INIT(&m->devices);
	TAILQ_INIT(&m->containers);
	TAILQ_INIT(&m->ctxs);
	*model = m;
	return 0;
}

/** What a file is, for people. */
static const char *
file_text(const struct mk_file *file, char *text, size_t room)
{
	switch (file->kind) {
	case MK_CONTAINER:
		return "container";
	case MK_IOMMUFD:
		return "iommufd";
	case MK_FOLDER:
		return "folder of devices";
	case MK_GROUP:
		snprintf(text, room, "group %d", file->group->id);
		return text;
	case MK_CDEV:
		snprintf(text, room, "device %s, its own file%s", file->device->name,
			file->bound ? ", bound" : "");
		return text;
	default:
		snprintf(text, room, "device %s", file->device->name);
		return text;
	}
}

/** Name what is still alive. @return how many objects. */
static unsigned int
report_leaks(const struct dmamap_model *m)
{
	const struct mk_container *c;
	char text[128];
	unsigned int n = 0;
	int fd;

	for (fd = 0; fd < m->n_files; fd++) {
		const struct mk_file *file = &m->files[fd];

		if (file->kind == MK_NONE)
			continue;
		n++;
		DM_LOG(ERR, "model: file %d is open: %s", fd, file_text(file, text, sizeof(text)));
	}
	TAILQ_FOREACH(c, &m->containers, next) {
		n++;
		if (c->maps.n != 0)
			DM_LOG(ERR, "model: a kernel container still holds %zu maps", c->maps.n);
	}
	return n;
}

int
dmamap_model_destroy(struct dmamap_model *m)
{
	struct mk_device *dev;
	struct mk_group *group;
	struct mk_iommu *iommu;

	if (m == NULL)
		return 0;
	if (report_leaks(m) != 0)
		return DM_FAIL(EBUSY, "model: still in use; destroy its containers first");
	while ((dev = TAILQ_FIRST(&m->devices)) != NULL) {
		TAILQ_REMOVE(&m->devices, dev, next);
		free(dev);
	}
	while ((group = TAILQ_FIRST(&m->groups)) != NULL) {
		TAILQ_REMOVE(&m->groups, group, next);
		free(group->resv);
		free(group);
	}
	while ((iommu = TAILQ_FIRST(&m->iommus)) != NULL) {
		TAILQ_REMOVE(&m->iommus, iommu, next);
		free(iommu);
	}
	free(m->files);
	pthread_mutex_destroy(&m->lock);
	free(m);
	return 0;
}

int
dmamap_model_add_iommu(struct dmamap_model *m, const struct dmamap_model_iommu_conf *conf)
{
	struct mk_iommu *iommu = calloc(1, sizeof(*iommu));
	int id;

	if (iommu == NULL)
		return -ENOMEM;
	if (conf != NULL)
		iommu->conf = *conf;
	if (iommu->conf.aperture.last == 0)
		iommu->conf.aperture = DEFAULT_APERTURE;
	if (iommu->conf.page_sizes == 0)
		iommu->conf.page_sizes = DEFAULT_PAGE_SIZES;
	if (iommu->conf.aperture.last < iommu->conf.aperture.start) {
		free(iommu);
		return DM_FAIL(EINVAL, "model: an aperture that ends before it starts");
	}
	pthread_mutex_lock(&m->lock);
	id = iommu->id = m->n_iommus++;
	TAILQ_INSERT_TAIL(&m->iommus, iommu, next);
	pthread_mutex_unlock(&m->lock);
	return id;
}

static struct mk_iommu *
find_iommu(struct dmamap_model *m, int id)
{
	struct mk_iommu *iommu;

	TAILQ_FOREACH(iommu, &m->iommus, next)
		if (iommu->id == id)
			return iommu;
	return NULL;
}

static int
resv_order(const void *a, const void *b)
{
	const struct dmamap_model_resv *x = a, *y = b;

	return x->range.start < y->range.start ? -1 : x->range.start > y->range.start;
}

static int
copy_resv(struct mk_group *group, const struct dmamap_model_group_conf *conf)
{
	unsigned int i;

	for (i = 0; i < conf->n_resv; i++)
		if (conf->resv[i].range.last < conf->resv[i].range.start)
			return DM_FAIL(
				EINVAL, "model: a reserved range that ends before it starts");
	if (conf->n_resv == 0)
		return 0;
	group->resv = calloc(conf->n_resv, sizeof(*group->resv));
	if (group->resv == NULL)
		return -ENOMEM;
	memcpy(group->resv, conf->resv, conf->n_resv * sizeof(*group->resv));
	group->n_resv = conf->n_resv;
	qsort(group->resv, group->n_resv, sizeof(*group->resv), resv_order);
	return 0;
}

int
dmamap_model_add_group(struct dmamap_model *m, const struct dmamap_model_group_conf *conf)
{
	struct mk_group *group;
	int rc;

	if (conf == NULL)
		return -EINVAL;
	group = calloc(1, sizeof(*group));
	if (group == NULL)
		return -ENOMEM;
	group->no_snoop_control = conf->no_snoop_control;
	rc = copy_resv(group, conf);
	if (rc < 0)
		goto fail;
	pthread_mutex_lock(&m->lock);
	group->iommu = find_iommu(m, conf->iommu);
	if (group->iommu == NULL && conf->iommu != DMAMAP_MODEL_NOIOMMU) {
		pthread_mutex_unlock(&m->lock);
		rc = DM_FAIL(EINVAL, "model: there is no IOMMU %d", conf->iommu);
		goto fail;
	}
	rc = group->id = m->n_groups++;
	TAILQ_INSERT_TAIL(&m->groups, group, next);
	pthread_mutex_unlock(&m->lock);
	return rc;
fail:
	free(group->resv);
	free(group);
	return rc;
}

struct mk_group *
mk_find_group(struct dmamap_model *m, int id)
{
	struct mk_group *group;

	TAILQ_FOREACH(group, &m->groups, next)
		if (group->id == id)
			return group;
	return NULL;
}

struct mk_device *
mk_find_device(struct dmamap_model *m, const char *name)
{
	struct mk_device *dev;

	TAILQ_FOREACH(dev, &m->devices, next)
		if (strcmp(dev->name, name) == 0)
			return dev;
	return NULL;
}

static bool
driver_is_vfio(const char *driver)
{
	return strncmp(driver, "vfio", strlen("vfio")) == 0;
}

/** Drivers that do no DMA on the host's behalf (driver_managed_dma in Linux) claim nothing. */
static bool
driver_claims(const char *driver)
{
	return driver[0] != '\0' && !driver_is_vfio(driver) && strcmp(driver, "pcieport") != 0 &&
		strcmp(driver, "pci-stub") != 0;
}

bool
mk_is_vfio(const struct mk_device *dev)
{
	return driver_is_vfio(dev->driver);
}

bool
mk_spoils(const struct mk_device *dev)
{
	return driver_claims(dev->driver);
}

bool
mk_claimed(struct dmamap_model *m, const struct mk_group *group)
{
	const struct mk_device *dev;

	TAILQ_FOREACH(dev, &m->devices, next)
		if (dev->group == group && mk_spoils(dev))
			return true;
	return false;
}

static int
bind_device(struct mk_device *dev, const char *driver)
{
	if (driver == NULL)
		driver = "";
	if (strlen(driver) >= sizeof(dev->driver))
		return -EINVAL;
	if (dev->open != 0 ||
		(driver_claims(driver) &&
			(dev->group->container != NULL || dev->group->domain != NULL)))
		return -EBUSY;
	strlcpy(dev->driver, driver, sizeof(dev->driver));
	return 0;
}

int
dmamap_model_add_device(
	struct dmamap_model *m, int group, const char *name, int node, const char *driver)
{
	struct mk_device *dev;
	int rc;

	if (name == NULL || name[0] == '\0' || strlen(name) >= sizeof(dev->name) ||
		strpbrk(name, " \t\n") != NULL)
		return DM_FAIL(EINVAL, "model: bad device name '%s'", name == NULL ? "" : name);
	dev = calloc(1, sizeof(*dev));
	if (dev == NULL)
		return -ENOMEM;
	strlcpy(dev->name, name, sizeof(dev->name));
	dev->node = node;
	pthread_mutex_lock(&m->lock);
	dev->index = m->n_devices;
	dev->group = mk_find_group(m, group);
	if (dev->group == NULL)
		rc = DM_FAIL(EINVAL, "model: there is no group %d", group);
	else if (mk_find_device(m, name) != NULL)
		rc = DM_FAIL(EEXIST, "model: there is a device %s already", name);
	else
		rc = bind_device(dev, driver);
	if (rc == 0) {
		TAILQ_INSERT_TAIL(&m->devices, dev, next);
		m->n_devices++;
	} else {
		free(dev);
	}
	pthread_mutex_unlock(&m->lock);
	return rc;
}

int
dmamap_model_remove_device(struct dmamap_model *m, const char *name)
{
	struct mk_device *dev;
	int rc = 0;

	pthread_mutex_lock(&m->lock);
	dev = mk_find_device(m, name);
	if (dev == NULL) {
		rc = -ENODEV;
	} else if (dev->open != 0) {
		rc = -EBUSY;
	} else {
		TAILQ_REMOVE(&m->devices, dev, next);
		free(dev);
	}
	pthread_mutex_unlock(&m->lock);
	return rc;
}

int
dmamap_model_bind(struct dmamap_model *m, const char *name, const char *driver)
{
	struct mk_device *dev;
	int rc;

	pthread_mutex_lock(&m->lock);
	dev = mk_find_device(m, name);
	rc = dev == NULL ? -ENODEV : bind_device(dev, driver);
	pthread_mutex_unlock(&m->lock);
	return rc;
}

void
dmamap_model_set_memlock(struct dmamap_model *m, uint64_t memlock)
{
	pthread_mutex_lock(&m->lock);
	m->conf.memlock = memlock;
	pthread_mutex_unlock(&m->lock);
}

void
dmamap_model_set_entry_limit(struct dmamap_model *m, unsigned int entry_limit)
{
	pthread_mutex_lock(&m->lock);
	m->conf.entry_limit = entry_limit;
	pthread_mutex_unlock(&m->lock);
}

uint64_t
dmamap_model_locked(struct dmamap_model *m)
{
	uint64_t locked;

	pthread_mutex_lock(&m->lock);
	locked = m->locked * MK_PAGE;
	pthread_mutex_unlock(&m->lock);
	return locked;
}

/* DMA */

static void
record_fault(struct dmamap_model *m, const struct mk_device *dev, rte_iova_t iova, bool write)
{
	struct dmamap_model_fault *fault = &m->faults[m->n_faults++ % MK_FAULTS];

	strlcpy(fault->dev, dev->name, sizeof(fault->dev));
	fault->iova = iova;
	fault->write = write;
}

/** The map that lets a device of the group reach iova, or NULL: what its IOMMU finds. */
static const struct mk_map *
walk(const struct mk_group *group, rte_iova_t iova, bool write)
{
	const struct mk_map *map;

	if (group->domain == NULL)
		return NULL;
	map = mk_table_find(&group->domain->table, (struct dmamap_range){iova, iova});
	if (map == NULL || !(map->prot & (write ? DMAMAP_WRITE : DMAMAP_READ)))
		return NULL;
	return map;
}

static int
dma(struct dmamap_model *m, const struct mk_device *dev, rte_iova_t iova, uint8_t *buf, size_t len,
	bool write)
{
	while (len > 0) {
		const struct mk_map *map = walk(dev->group, iova, write);
		uint8_t *memory;
		size_t chunk;

		if (map == NULL) {
			record_fault(m, dev, iova, write);
			return -EFAULT;
		}
		chunk = RTE_MIN((uint64_t)len - 1, map->iova.last - iova) + 1;
		memory = (uint8_t *)(uintptr_t)(map->va + (iova - map->iova.start));
		if (write)
			memcpy(memory, buf, chunk);
		else
			memcpy(buf, memory, chunk);
		buf += chunk;
		iova += chunk;
		len -= chunk;
	}
	return 0;
}

int
dmamap_model_dma_read(
	struct dmamap_model *m, const char *name, rte_iova_t iova, void *buf, size_t len)
{
	const struct mk_device *dev;
	int rc;

	pthread_mutex_lock(&m->lock);
	dev = mk_find_device(m, name);
	rc = dev == NULL ? -ENODEV : dma(m, dev, iova, buf, len, false);
	pthread_mutex_unlock(&m->lock);
	return rc;
}

int
dmamap_model_dma_write(
	struct dmamap_model *m, const char *name, rte_iova_t iova, const void *buf, size_t len)
{
	const struct mk_device *dev;
	int rc;

	pthread_mutex_lock(&m->lock);
	dev = mk_find_device(m, name);
	rc = dev == NULL ? -ENODEV : dma(m, dev, iova, (uint8_t *)(uintptr_t)buf, len, true);
	pthread_mutex_unlock(&m->lock);
	return rc;
}

unsigned int
dmamap_model_faults(struct dmamap_model *m, struct dmamap_model_fault *out, unsigned int n)
{
	unsigned int total, known, i;

	pthread_mutex_lock(&m->lock);
	total = m->n_faults;
	known = RTE_MIN(total, (unsigned int)MK_FAULTS);
	n = RTE_MIN(n, known);
	for (i = 0; i < n; i++)
		out[i] = m->faults[(total - n + i) % MK_FAULTS];
	pthread_mutex_unlock(&m->lock);
	return total;
}

/* Calls, and making them fail */

static const char *const call_names[] = {
	[DMAMAP_MODEL_LOOKUP] = "LOOKUP",
	[DMAMAP_MODEL_OPEN] = "OPEN",
	[DMAMAP_MODEL_CHECK_EXTENSION] = "CHECK_EXTENSION",
	[DMAMAP_MODEL_GROUP_STATUS] = "GROUP_STATUS",
	[DMAMAP_MODEL_SET_CONTAINER] = "SET_CONTAINER",
	[DMAMAP_MODEL_UNSET_CONTAINER] = "UNSET_CONTAINER",
	[DMAMAP_MODEL_SET_IOMMU] = "SET_IOMMU",
	[DMAMAP_MODEL_GET_DEVICE_FD] = "GET_DEVICE_FD",
	[DMAMAP_MODEL_GET_INFO] = "GET_INFO",
	[DMAMAP_MODEL_MAP] = "MAP",
	[DMAMAP_MODEL_UNMAP] = "UNMAP",
	[DMAMAP_MODEL_DIRTY_PAGES] = "DIRTY_PAGES",
	[DMAMAP_MODEL_IOAS_ALLOC] = "IOAS_ALLOC",
	[DMAMAP_MODEL_IOMMU_DESTROY] = "IOMMU_DESTROY",
	[DMAMAP_MODEL_IOVA_RANGES] = "IOVA_RANGES",
	[DMAMAP_MODEL_ALLOW_IOVAS] = "ALLOW_IOVAS",
	[DMAMAP_MODEL_IOAS_MAP] = "IOAS_MAP",
	[DMAMAP_MODEL_IOAS_COPY] = "IOAS_COPY",
	[DMAMAP_MODEL_IOAS_UNMAP] = "IOAS_UNMAP",
	[DMAMAP_MODEL_OPTION] = "OPTION",
	[DMAMAP_MODEL_VFIO_IOAS] = "VFIO_IOAS",
	[DMAMAP_MODEL_BIND_IOMMUFD] = "BIND_IOMMUFD",
	[DMAMAP_MODEL_ATTACH_PT] = "ATTACH_PT",
	[DMAMAP_MODEL_DETACH_PT] = "DETACH_PT",
	[DMAMAP_MODEL_CLOSE] = "CLOSE",
	[DMAMAP_MODEL_IOMMU_ATTACH] = "IOMMU_ATTACH",
	[DMAMAP_MODEL_IOMMU_MAP] = "IOMMU_MAP",
	[DMAMAP_MODEL_IOMMU_UNMAP] = "IOMMU_UNMAP",
};

static_assert(RTE_DIM(call_names) == DMAMAP_MODEL_N_CALLS, "a kind of call has no name");

const char *
dmamap_model_call_name(enum dmamap_model_call kind)
{
	return kind < DMAMAP_MODEL_N_CALLS ? call_names[kind] : "?";
}

int
mk_call(struct dmamap_model *m, enum dmamap_model_call kind)
{
	m->calls[kind]++;
	if (m->fail_all[kind] != 0)
		return -m->fail_all[kind];
	if (m->fail_nth == 0 || !(m->fail_kinds & UINT32_C(1) << kind) || --m->fail_nth != 0)
		return 0;
	m->failed_kind = kind;
	return -m->fail_err;
}

uint64_t
dmamap_model_calls(struct dmamap_model *m, enum dmamap_model_call kind)
{
	uint64_t n;

	if (kind >= DMAMAP_MODEL_N_CALLS)
		return 0;
	pthread_mutex_lock(&m->lock);
	n = m->calls[kind];
	pthread_mutex_unlock(&m->lock);
	return n;
}

void
dmamap_model_fail(struct dmamap_model *m, uint32_t kinds, uint64_t nth, int err)
{
	pthread_mutex_lock(&m->lock);
	m->fail_kinds = kinds;
	m->fail_nth = nth;
	m->fail_err = err;
	m->failed_kind = -1;
	pthread_mutex_unlock(&m->lock);
}

void
dmamap_model_fail_all(struct dmamap_model *m, uint32_t kinds, int err)
{
	unsigned int kind;

	pthread_mutex_lock(&m->lock);
	for (kind = 0; kind < DMAMAP_MODEL_N_CALLS; kind++)
		if (kinds & UINT32_C(1) << kind)
			m->fail_all[kind] = err;
	pthread_mutex_unlock(&m->lock);
}

int
dmamap_model_failed(struct dmamap_model *m)
{
	int kind;

	pthread_mutex_lock(&m->lock);
	kind = m->failed_kind;
	pthread_mutex_unlock(&m->lock);
	return kind;
}

void
dmamap_model_short_unmap(struct dmamap_model *m, uint64_t nth, uint64_t most)
{
	pthread_mutex_lock(&m->lock);
	m->short_nth = nth;
	m->short_most = most;
	pthread_mutex_unlock(&m->lock);
}

/* State as text */

static void
dump_table(FILE *out, const struct mk_table *table)
{
	size_t i;

	for (i = 0; i < table->n; i++) {
		const struct mk_map *map = table->v[i];

		fprintf(out, "    %#" PRIx64 "-%#" PRIx64 " -> %#" PRIx64 " %s%s%s\n",
			map->iova.start, map->iova.last, map->va,
			map->prot & DMAMAP_READ ? "r" : "", map->prot & DMAMAP_WRITE ? "w" : "",
			map->va_invalid ? " (address invalid)" : "");
	}
}

static void
dump_domains(FILE *out, const struct mk_domain_list *domains)
{
	const struct mk_domain *dom;
	const struct mk_group *group;

	TAILQ_FOREACH(dom, domains, next) {
		fprintf(out, "  domain: IOMMU %d, %scoherent, groups", dom->iommu->id,
			dom->coherent ? "" : "not ");
		TAILQ_FOREACH(group, &dom->groups, in_domain)
			fprintf(out, " %d", group->id);
		fprintf(out, "\n");
		dump_table(out, &dom->table);
	}
}

static void
dump_iommufd(FILE *out, const struct dmamap_model *m, const struct mk_ctx *ctx)
{
	const struct mk_ioas *ioas;
	size_t i;
	int fd;

	fprintf(out, "iommufd: files");
	for (fd = 0; fd < m->n_files; fd++)
		if (m->files[fd].kind == MK_IOMMUFD && m->files[fd].ctx == ctx)
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
		dump_table(out, &ioas->areas);
		dump_domains(out, &ioas->domains);
	}
}

static void
dump_container(FILE *out, const struct dmamap_model *m, const struct mk_container *c)
{
	const struct mk_group *group;
	size_t i;
	int fd;

	fprintf(out, "container: files");
	for (fd = 0; fd < m->n_files; fd++)
		if (m->files[fd].kind == MK_CONTAINER && m->files[fd].container == c)
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
	dump_table(out, &c->maps);
	dump_domains(out, &c->domains);
}

static void
dump(FILE *out, const struct dmamap_model *m)
{
	const struct mk_container *c;
	const struct mk_group *group;
	const struct mk_device *dev;
	const struct mk_ctx *ctx;
	char text[128];
	int fd;

	fprintf(out, "locked: %" PRIu64 " pages\n", m->locked);
	for (fd = 0; fd < m->n_files; fd++)
		if (m->files[fd].kind != MK_NONE)
			fprintf(out, "file %d: %s\n", fd,
				file_text(&m->files[fd], text, sizeof(text)));
	TAILQ_FOREACH(group, &m->groups, next)
		fprintf(out, "group %d: IOMMU %d, references %u, devices open %u\n", group->id,
			group->iommu != NULL ? group->iommu->id : -1, group->refs,
			group->devices_open);
	TAILQ_FOREACH(dev, &m->devices, next)
		fprintf(out, "device %s: group %d, driver '%s', open %u%s%s\n", dev->name,
			dev->group->id, dev->driver, dev->open, dev->ctx != NULL ? ", bound" : "",
			dev->attached ? ", attached" : "");
	TAILQ_FOREACH(c, &m->containers, next)
		dump_container(out, m, c);
	TAILQ_FOREACH(ctx, &m->ctxs, next)
		dump_iommufd(out, m, ctx);
}

char *
dmamap_model_dump(struct dmamap_model *m)
{
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	if (out == NULL)
		return NULL;
	pthread_mutex_lock(&m->lock);
	dump(out, m);
	pthread_mutex_unlock(&m->lock);
	if (fclose(out) != 0) {
		free(text);
		return NULL;
	}
	return text;
}
