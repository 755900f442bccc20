/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Who may reach memory, where VFIO has character devices? Backend iommufd: a domain is an IOAS,
 * whose page tables (one for each kind of IOMMU) the kernel keeps equal. Pages are pinned once for
 * all of them, and for all IOAS.
 */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <rte_common.h>

#include "dm_ioas.h"
#include "dm_iommu.h"
#include "dm_kernel.h"
#include "dm_log.h"
#include "dm_sysfs_dev.h"
#include "iommufd_abi.h"

#define IOMMUFD_FILE "/dev/iommu"
#define CDEV_DIR "/dev/vfio/devices/"

struct iommufd {
	struct dm_iommu iommu;
	int fd;
};

struct iommufd_dev {
	struct dm_iommu_dev dev;
	char vf_token[RTE_UUID_STRLEN];
	char cdev[NAME_MAX + 1]; /**< "vfio0" */
};

struct iommufd_domain {
	struct dm_iommu_domain dom;
	uint32_t ioas;
	unsigned int n_devices;
};

#define IOMMUFD(ptr) container_of(ptr, struct iommufd, iommu)
#define IOMMUFD_DEV(ptr) container_of(ptr, struct iommufd_dev, dev)
#define IOMMUFD_DOMAIN(ptr) container_of(ptr, struct iommufd_domain, dom)

static bool
is_automatic(const struct dmamap_container_conf *conf)
{
	return conf != NULL && conf->backend == DMAMAP_BACKEND_AUTO;
}

/** Does VFIO make character devices? It does not where the kernel lacks VFIO_DEVICE_CDEV. */
static bool
have_cdevs(void)
{
	int fd = dm_kernel->open(CDEV_DIR, O_RDONLY);

	if (fd >= 0)
		dm_kernel->close(fd);
	return fd >= 0;
}

static int
iommufd_open(const struct dmamap_container_conf *conf, struct dm_iommu **iommu)
{
	struct iommufd *i;
	int fd;

	/* Nothing to say then: type1 is tried next, and speaks for both. */
	if (is_automatic(conf) && !have_cdevs())
		return -ENOENT;
	fd = dm_kernel->open(IOMMUFD_FILE, O_RDWR);
	if (fd == -ENOENT || fd == -ENODEV)
		return is_automatic(conf)
			? -ENOENT
			: DM_FAIL(ENOENT,
				  "there is no " IOMMUFD_FILE
				  ": this kernel lacks IOMMUFD (Debian's do): use the type1 backend");
	if (fd < 0)
		return DM_FAIL(-fd,
			"cannot open " IOMMUFD_FILE ": %s: run as root, or give this"
			" user the file (chown, a udev rule)",
			strerror(-fd));
	i = calloc(1, sizeof(*i));
	if (i == NULL) {
		dm_kernel->close(fd);
		return -ENOMEM;
	}
	i->iommu.ops = &dm_iommu_iommufd_ops;
	i->iommu.kind = DMAMAP_BACKEND_IOMMUFD;
	i->fd = fd;
	*iommu = &i->iommu;
	return 0;
}

static void
iommufd_close(struct dm_iommu *iommu)
{
	dm_kernel->close(IOMMUFD(iommu)->fd);
	free(IOMMUFD(iommu));
}

static int
iommufd_host_reserved(
	const struct dmamap_container_conf *conf, struct dm_iommu_resv **resv, unsigned int *n)
{
	return dm_sysfs_host_reserved(resv, n);
}

/** The name of a device's character device: the one folder in its folder vfio-dev. */
static int
find_cdev(struct iommufd_dev *d)
{
	char path[PATH_MAX];
	const struct dirent *e;
	DIR *dir;

	dm_kernel_sysfs(path, sizeof(path), "bus/pci/devices/%s/vfio-dev", d->dev.name);
	dir = opendir(path);
	while (dir != NULL && (e = readdir(dir)) != NULL)
		if (e->d_name[0] != '.')
			snprintf(d->cdev, sizeof(d->cdev), "%s", e->d_name);
	if (dir != NULL)
		closedir(dir);
	if (d->cdev[0] == '\0')
		return DM_FAIL(ENODEV,
			"%s: VFIO made no character device for it: this kernel lacks"
			" VFIO_DEVICE_CDEV; use the type1 backend",
			d->dev.name);
	return 0;
}

static int
iommufd_dev_get(struct dm_iommu *iommu, const char *name, struct dm_iommu_dev **dev)
{
	struct dm_dev_name parsed;
	struct iommufd_dev *d;
	int rc = dm_dev_name_parse(name, &parsed);

	if (rc < 0)
		return rc;
	d = calloc(1, sizeof(*d));
	if (d == NULL)
		return -ENOMEM;
	rc = dm_sysfs_dev_init(&d->dev, parsed.bdf);
	if (rc == 0)
		rc = find_cdev(d);
	if (rc < 0) {
		dm_sysfs_dev_fini(&d->dev);
		free(d);
		return rc;
	}
	d->dev.iommu = iommu;
	memcpy(d->vf_token, parsed.vf_token, sizeof(d->vf_token));
	*dev = &d->dev;
	return 0;
}

static void
iommufd_dev_put(struct dm_iommu_dev *dev)
{
	dm_sysfs_dev_fini(dev);
	free(IOMMUFD_DEV(dev));
}

static int
iommufd_domain_create(struct dm_iommu *iommu, struct dm_iommu_domain **dom)
{
	struct iommufd_domain *d = calloc(1, sizeof(*d));
	int rc;

	if (d == NULL)
		return -ENOMEM;
	rc = dm_ioas_create(IOMMUFD(iommu)->fd, &d->ioas);
	if (rc < 0) {
		free(d);
		return rc;
	}
	d->dom.iommu = iommu;
	*dom = &d->dom;
	return 0;
}

static void
iommufd_domain_destroy(struct dm_iommu_domain *dom)
{
	struct iommufd_domain *d = IOMMUFD_DOMAIN(dom);

	dm_ioas_destroy(IOMMUFD(dom->iommu)->fd, d->ioas);
	free(d);
}

static int
explain_bind(const struct iommufd_dev *d, int rc)
{
	const char *bdf = d->dev.name;

	switch (-rc) {
	case EPERM:
		return dm_dev_fail_unsafe_interrupts(bdf, "iommufd");
	case EACCES:
		return DM_FAIL(EACCES,
			"%s: wrong or missing VF token: attach it as \"%s"
			" vf_token=UUID\" with the UUID that its physical function's driver has set",
			bdf, bdf);
	/* A device that is open says EINVAL (drivers/vfio/vfio_main.c, vfio_df_open()), a group
	 * that is in use says EBUSY. */
	case EBUSY:
	case EINVAL:
		return DM_FAIL(EBUSY,
			"%s: it or its group %d is in use by another process or"
			" container (fuser -v " CDEV_DIR "%s /dev/vfio/%d says which), or its IOMMU"
			" cannot keep caches coherent",
			bdf, d->dev.group, d->cdev, d->dev.group);
	default:
		return DM_FAIL(-rc, "%s: iommufd does not take it: %s", bdf, strerror(-rc));
	}
}

/** Make the kernel's device and iommufd know each other. */
static int
bind_device(const struct iommufd_dev *d, int cdev, int iommufd)
{
	rte_uuid_t token;
	struct abi_vfio_bind_iommufd bind = {.argsz = sizeof(bind), .iommufd = iommufd};
	int rc;

	if (d->vf_token[0] != '\0' && rte_uuid_parse(d->vf_token, token) == 0) {
		bind.flags = ABI_VFIO_BIND_FLAG_TOKEN;
		bind.token_uuid_ptr = (uintptr_t)token;
	}
	rc = dm_kernel_ioctl(cdev, ABI_VFIO_BIND_IOMMUFD, &bind);
	if (rc == -EINVAL && bind.flags != 0) {
		/* Before Linux 6.17 no flag is known, and no token is asked for. */
		bind.flags = 0;
		rc = dm_kernel_ioctl(cdev, ABI_VFIO_BIND_IOMMUFD, &bind);
	}
	return rc < 0 ? explain_bind(d, rc) : 0;
}

static int
open_cdev(const struct iommufd_dev *d)
{
	char path[sizeof(CDEV_DIR) + NAME_MAX];
	int fd;

	snprintf(path, sizeof(path), CDEV_DIR "%s", d->cdev);
	fd = dm_kernel->open(path, O_RDWR);
	if (fd >= 0)
		return fd;
	return DM_FAIL(-fd, "%s: cannot open %s: %s%s", d->dev.name, path, strerror(-fd),
		fd == -EACCES || fd == -EPERM ? ": run as root, or give this user the file"
						" (chown, a udev rule)"
					      : "");
}

/** What only the container can explain is left to it: another domain may do, or a mapping is in the
 * way. */
static int
explain_attach(const struct iommufd_dev *d, uint32_t ioas, int rc)
{
	if (rc == -EINVAL || rc == -EADDRINUSE)
		return rc;
	return DM_FAIL(-rc,
		"%s: iommufd does not attach it to IOAS %u, or cannot map there what the"
		" others have: %s",
		d->dev.name, ioas, strerror(-rc));
}

static int
iommufd_attach(struct dm_iommu_domain *dom, struct dm_iommu_dev *dev)
{
	struct iommufd_domain *d = IOMMUFD_DOMAIN(dom);
	struct abi_vfio_attach_pt attach = {.argsz = sizeof(attach), .pt_id = d->ioas};
	int fd = open_cdev(IOMMUFD_DEV(dev)), rc;

	if (fd < 0)
		return fd;
	rc = bind_device(IOMMUFD_DEV(dev), fd, IOMMUFD(dom->iommu)->fd);
	if (rc == 0) {
		rc = dm_kernel_ioctl(fd, ABI_VFIO_ATTACH_PT, &attach);
		rc = rc < 0 ? explain_attach(IOMMUFD_DEV(dev), d->ioas, rc) : 0;
	}
	if (rc < 0) {
		dm_kernel->close(fd); /* unbinds */
		return rc;
	}
	dev->fd = fd;
	d->n_devices++;
	return 0;
}

static void
iommufd_detach(struct dm_iommu_domain *dom, struct dm_iommu_dev *dev)
{
	struct abi_vfio_detach_pt detach = {.argsz = sizeof(detach)};
	struct iommufd_domain *d = IOMMUFD_DOMAIN(dom);

	dm_kernel_ioctl(dev->fd, ABI_VFIO_DETACH_PT, &detach);
	dm_kernel->close(dev->fd);
	dev->fd = -1;
	/* An IOAS keeps its mappings, but the container counts on a domain without devices to be
	 * empty. */
	if (--d->n_devices == 0)
		dm_ioas_clear(IOMMUFD(dom->iommu)->fd, d->ioas);
}

static int
iommufd_info(struct dm_iommu_domain *dom, struct dm_iommu_info *info)
{
	return dm_ioas_info(IOMMUFD(dom->iommu)->fd, IOMMUFD_DOMAIN(dom)->ioas, info);
}

static int
iommufd_map(struct dm_iommu_domain *dom, rte_iova_t iova, void *va, uint64_t len, uint32_t prot)
{
	return dm_ioas_map(IOMMUFD(dom->iommu)->fd, IOMMUFD_DOMAIN(dom)->ioas, iova, va, len, prot);
}

static int
iommufd_copy(struct dm_iommu_domain *dom, struct dm_iommu_domain *from, rte_iova_t iova,
	uint64_t len, uint32_t prot)
{
	return dm_ioas_copy(IOMMUFD(dom->iommu)->fd, IOMMUFD_DOMAIN(dom)->ioas,
		IOMMUFD_DOMAIN(from)->ioas, iova, len, prot);
}

static int
iommufd_unmap(struct dm_iommu_domain *dom, rte_iova_t iova, uint64_t len, uint64_t *done)
{
	return dm_ioas_unmap(IOMMUFD(dom->iommu)->fd, IOMMUFD_DOMAIN(dom)->ioas, iova, len, done);
}

const struct dm_iommu_ops dm_iommu_iommufd_ops = {
	.name = "iommufd",
	.open = iommufd_open,
	.close = iommufd_close,
	.host_reserved = iommufd_host_reserved,
	.dev_get = iommufd_dev_get,
	.dev_put = iommufd_dev_put,
	.domain_create = iommufd_domain_create,
	.domain_destroy = iommufd_domain_destroy,
	.attach = iommufd_attach,
	.detach = iommufd_detach,
	.info = iommufd_info,
	.map = iommufd_map,
	.copy = iommufd_copy,
	.unmap = iommufd_unmap,
};
