/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * The machine of the mock kernel: IOMMUs, groups, devices, their drivers, and limits. Tests
 * describe it with these functions; the other files look objects up.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "dm_util.h"
#include "mock_log.h"
#include "mock_priv.h"

#define DEFAULT_APERTURE ((struct dmamap_range){0, (UINT64_C(1) << 39) - 1})
#define DEFAULT_PAGE_SIZES (UINT64_C(1) << 12 | UINT64_C(1) << 21 | UINT64_C(1) << 30)

/* Description */

int
vfio_mock_create(const struct vfio_mock_conf *conf, struct vfio_mock **mock)
{
	struct vfio_mock *m;
	unsigned int i;
	int rc;

	if (mock == NULL)
		return -EINVAL;
	m = calloc(1, sizeof(*m));
	if (m == NULL)
		return -ENOMEM;
	m->fault_fd = -1;
	rc = pthread_mutex_init(&m->lock, NULL);
	if (rc != 0) {
		free(m);
		return -rc;
	}
	if (conf != NULL)
		m->conf = *conf;
	if (m->conf.linux_version == 0)
		m->conf.linux_version = VFIO_MOCK_LINUX(6, 1);
	m->failed_kind = -1;
	TAILQ_INIT(&m->iommus);
	TAILQ_INIT(&m->groups);
	TAILQ_INIT(&m->devices);
	TAILQ_INIT(&m->containers);
	TAILQ_INIT(&m->ctxs);
	for (i = 0; i < MOCK_BUCKETS; i++)
		LIST_INIT(&m->by_name[i]);
	*mock = m;
	return 0;
}

int
vfio_mock_destroy(struct vfio_mock *m)
{
	struct mock_device *dev;
	struct mock_group *group;
	struct mock_iommu *iommu;

	if (m == NULL)
		return 0;
	if (mock_report_leaks(m) != 0)
		return MOCK_FAIL(EBUSY,
			"cannot be destroyed: files are open or memory is pinned: destroy the containers first");
	while ((dev = TAILQ_FIRST(&m->devices)) != NULL) {
		TAILQ_REMOVE(&m->devices, dev, next);
		mock_vdev_free(dev->vdev);
		free(dev);
	}
	free(m->group_by_id);
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
vfio_mock_add_iommu(struct vfio_mock *m, const struct vfio_mock_iommu_conf *conf)
{
	struct mock_iommu *iommu = calloc(1, sizeof(*iommu));
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
		return MOCK_FAIL(EINVAL, "bad aperture: its last address is below its start");
	}
	pthread_mutex_lock(&m->lock);
	id = iommu->id = m->n_iommus++;
	TAILQ_INSERT_TAIL(&m->iommus, iommu, next);
	pthread_mutex_unlock(&m->lock);
	return id;
}

static struct mock_iommu *
iommu_find(struct vfio_mock *m, int id)
{
	struct mock_iommu *iommu;

	TAILQ_FOREACH(iommu, &m->iommus, next)
		if (iommu->id == id)
			return iommu;
	return NULL;
}

static int
resv_order(const void *a, const void *b)
{
	const struct vfio_mock_resv *x = a, *y = b;

	return x->range.start < y->range.start ? -1 : x->range.start > y->range.start;
}

static int
group_copy_resv(struct mock_group *group, const struct vfio_mock_group_conf *conf)
{
	unsigned int i;

	for (i = 0; i < conf->n_resv; i++)
		if (conf->resv[i].range.last < conf->resv[i].range.start)
			return MOCK_FAIL(
				EINVAL, "bad reserved range: its last address is below its start");
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
vfio_mock_add_group(struct vfio_mock *m, const struct vfio_mock_group_conf *conf)
{
	struct mock_group *group, **more;
	int rc;

	if (conf == NULL)
		return -EINVAL;
	group = calloc(1, sizeof(*group));
	if (group == NULL)
		return -ENOMEM;
	TAILQ_INIT(&group->devices);
	group->no_snoop_control = conf->no_snoop_control;
	rc = group_copy_resv(group, conf);
	if (rc < 0)
		goto fail;
	pthread_mutex_lock(&m->lock);
	group->iommu = iommu_find(m, conf->iommu);
	if (group->iommu == NULL && conf->iommu != VFIO_MOCK_NOIOMMU) {
		pthread_mutex_unlock(&m->lock);
		rc = MOCK_FAIL(EINVAL, "no such IOMMU: %d", conf->iommu);
		goto fail;
	}
	more = realloc(m->group_by_id, (m->n_groups + 1) * sizeof(*more));
	if (more == NULL) {
		pthread_mutex_unlock(&m->lock);
		rc = -ENOMEM;
		goto fail;
	}
	m->group_by_id = more;
	more[m->n_groups] = group;
	rc = group->id = m->n_groups++;
	TAILQ_INSERT_TAIL(&m->groups, group, next);
	pthread_mutex_unlock(&m->lock);
	return rc;
fail:
	free(group->resv);
	free(group);
	return rc;
}

struct mock_group *
mock_find_group(struct vfio_mock *m, int id)
{
	return id >= 0 && id < m->n_groups ? m->group_by_id[id] : NULL;
}

/** FNV-1a hash, 32 bits. */
static unsigned int
name_hash(const char *name)
{
	uint32_t h = 2166136261;

	for (; *name != '\0'; name++)
		h = (h ^ (uint8_t)*name) * 16777619;
	return h % MOCK_BUCKETS;
}

struct mock_device *
mock_find_device(struct vfio_mock *m, const char *name)
{
	struct mock_device *dev;

	LIST_FOREACH(dev, &m->by_name[name_hash(name)], same_hash)
		if (strcmp(dev->name, name) == 0)
			return dev;
	return NULL;
}

/** Matches vfio-pci, vfio-platform, and vendor variants such as mlx5_vfio_pci. */
static bool
driver_is_vfio(const char *driver)
{
	return strstr(driver, "vfio") != NULL;
}

/**
 * Whether a driver is a host driver that does DMA. Those with driver_managed_dma in Linux do not
 * claim the group.
 */
static bool
driver_claims(const char *driver)
{
	return driver[0] != '\0' && !driver_is_vfio(driver) && strcmp(driver, "pcieport") != 0 &&
		strcmp(driver, "pci-stub") != 0 && strcmp(driver, "fsl_mc_dprc") != 0;
}

bool
mock_is_vfio(const struct mock_device *dev)
{
	return driver_is_vfio(dev->driver);
}

int
mock_cdev_number(const struct mock_device *dev)
{
	return dev->has_cdev && dev->group->iommu != NULL && mock_is_vfio(dev) ? dev->index : -1;
}

bool
mock_claims_dma(const struct mock_device *dev)
{
	return driver_claims(dev->driver);
}

bool
mock_claimed(const struct mock_group *group)
{
	const struct mock_device *dev;

	TAILQ_FOREACH(dev, &group->devices, in_group)
		if (mock_claims_dma(dev))
			return true;
	return false;
}

static int
device_bind_driver(struct mock_device *dev, const char *driver)
{
	if (driver == NULL)
		driver = "";
	if (strlen(driver) >= sizeof(dev->driver))
		return -EINVAL;
	if (dev->open != 0 ||
		(driver_claims(driver) &&
			(dev->group->container != NULL || dev->group->domain != NULL)))
		return -EBUSY;
	dm_strlcpy(dev->driver, driver, sizeof(dev->driver));
	return 0;
}

int
vfio_mock_add_device(struct vfio_mock *m, int group, const char *name, int node, const char *driver)
{
	struct mock_device *dev;
	int rc;

	if (name == NULL || name[0] == '\0' || strlen(name) >= sizeof(dev->name) ||
		strpbrk(name, " \t\n") != NULL)
		return MOCK_FAIL(EINVAL, "bad device name '%s'", name == NULL ? "" : name);
	dev = calloc(1, sizeof(*dev));
	if (dev == NULL)
		return -ENOMEM;
	dm_strlcpy(dev->name, name, sizeof(dev->name));
	dev->node = node;
	pthread_mutex_lock(&m->lock);
	dev->index = m->n_devices;
	dev->has_cdev = m->conf.linux_version >= VFIO_MOCK_LINUX(6, 6);
	dev->group = mock_find_group(m, group);
	if (dev->group == NULL)
		rc = MOCK_FAIL(EINVAL, "no such group: %d", group);
	else if (mock_find_device(m, name) != NULL)
		rc = MOCK_FAIL(EEXIST, "device %s exists already", name);
	else
		rc = device_bind_driver(dev, driver);
	if (rc == 0) {
		TAILQ_INSERT_TAIL(&m->devices, dev, next);
		TAILQ_INSERT_TAIL(&dev->group->devices, dev, in_group);
		LIST_INSERT_HEAD(&m->by_name[name_hash(name)], dev, same_hash);
		m->n_devices++;
	} else {
		free(dev);
	}
	pthread_mutex_unlock(&m->lock);
	return rc;
}

int
vfio_mock_remove_device(struct vfio_mock *m, const char *name)
{
	struct mock_device *dev;
	int rc = 0;

	pthread_mutex_lock(&m->lock);
	dev = mock_find_device(m, name);
	if (dev == NULL) {
		rc = -ENODEV;
	} else if (dev->open != 0) {
		rc = -EBUSY;
	} else {
		TAILQ_REMOVE(&m->devices, dev, next);
		LIST_REMOVE(dev, same_hash);
		TAILQ_REMOVE(&dev->group->devices, dev, in_group);
		mock_vdev_free(dev->vdev);
		free(dev);
	}
	pthread_mutex_unlock(&m->lock);
	return rc;
}

int
vfio_mock_bind(struct vfio_mock *m, const char *name, const char *driver)
{
	struct mock_device *dev;
	int rc;

	pthread_mutex_lock(&m->lock);
	dev = mock_find_device(m, name);
	rc = dev == NULL ? -ENODEV : device_bind_driver(dev, driver);
	pthread_mutex_unlock(&m->lock);
	return rc;
}

void
vfio_mock_set_memlock(struct vfio_mock *m, uint64_t memlock)
{
	pthread_mutex_lock(&m->lock);
	m->conf.memlock = memlock;
	pthread_mutex_unlock(&m->lock);
}

void
vfio_mock_set_entry_limit(struct vfio_mock *m, unsigned int entry_limit)
{
	pthread_mutex_lock(&m->lock);
	m->conf.entry_limit = entry_limit;
	pthread_mutex_unlock(&m->lock);
}

uint64_t
vfio_mock_locked(struct vfio_mock *m)
{
	uint64_t locked;

	pthread_mutex_lock(&m->lock);
	locked = m->locked * MOCK_PAGE;
	pthread_mutex_unlock(&m->lock);
	return locked;
}
