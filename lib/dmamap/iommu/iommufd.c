/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Backend iommufd: a domain is an IOAS. The kernel keeps its page tables, one for each kind of
 * IOMMU, equal. Pages are pinned once for all of them, and for all IOAS.
 *
 * Devices are attached by their character devices, or whole groups by their files (group_only).
 * Invariant: one iommufd uses one of the two ways at a time, and all groups share one IOAS. Called
 * by container/ through dm_iommu_iommufd_ops.
 */

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dm_compat_group.h"
#include "dm_given.h"
#include "dm_ioas.h"
#include "dm_iommu.h"
#include "dm_kernel.h"
#include "dm_log.h"
#include "dm_parse.h"
#include "dm_process.h"
#include "dm_sysfs_dev.h"
#include "dm_util.h"
#include "iommufd_abi.h"

#define IOMMUFD_FILE "/dev/iommu"
#define CDEV_DIR "/dev/vfio/devices/"

struct iommufd {
	struct dm_iommu iommu;
	int fd;
	bool is_given; /**< duplicate of a file that was handed in */
	unsigned int n_cdevs; /**< devices attached by their character devices */
	struct dm_compat_groups groups; /**< groups attached by their files */
};

struct iommufd_dev {
	struct dm_iommu_dev dev;
	char vf_token[DM_UUID_STRLEN];
	char cdev[NAME_MAX + 1]; /**< "vfio0"; "": its file was handed in */
	struct dm_iommu_given *given; /**< files that were handed in, or NULL */
};

struct iommufd_domain {
	struct dm_iommu_domain dom;
	struct dm_ioas ioas;
	unsigned int n_devices;
};

#define IOMMUFD(ptr) DM_CONTAINER_OF(ptr, struct iommufd, iommu)
#define IOMMUFD_DEV(ptr) DM_CONTAINER_OF(ptr, struct iommufd_dev, dev)
#define IOMMUFD_DOMAIN(ptr) DM_CONTAINER_OF(ptr, struct iommufd_domain, dom)

static bool
conf_is_automatic(const struct dmamap_container_conf *conf)
{
	return conf != NULL && conf->backend == DMAMAP_BACKEND_AUTO;
}

/** Whether VFIO creates character devices. It does not if the kernel lacks VFIO_DEVICE_CDEV. */
static bool
vfio_has_cdevs(const struct dmamap_kernel *k)
{
	int fd = dm_kernel_open(k, CDEV_DIR, O_RDONLY);

	if (fd >= 0)
		dm_kernel_close(k, fd);
	return fd >= 0;
}

static int
iommufd_open(const struct dmamap_container_conf *conf, struct dm_iommu **iommu)
{
	const struct dmamap_kernel *k = dm_kernel_of(conf);
	const bool given = conf != NULL && conf->iommu_fd.given;
	struct iommufd *i;
	int fd, rc;

	/* Not logged: type1 is tried next, and its message covers both. */
	if (!given && conf_is_automatic(conf) && !vfio_has_cdevs(k))
		return -ENOENT;
	if (given) {
		rc = dm_given_dup(k, conf->iommu_fd, IOMMUFD_FILE, &fd);
		if (rc < 0)
			return rc;
	} else {
		fd = dm_kernel_open(k, IOMMUFD_FILE, O_RDWR);
	}
	if (fd == -ENOENT || fd == -ENODEV)
		return conf_is_automatic(conf)
			? -ENOENT
			: DM_FAIL(ENOENT,
				  "there is no " IOMMUFD_FILE
				  ": this kernel lacks IOMMUFD (Debian's kernels do): use the type1"
				  " backend");
	if (fd < 0)
		return DM_FAIL(-fd,
			"cannot open " IOMMUFD_FILE ": %s: run as root, or give this"
			" user the file (chown, a udev rule)",
			strerror(-fd));
	i = calloc(1, sizeof(*i));
	if (i == NULL) {
		dm_kernel_close(k, fd);
		return -ENOMEM;
	}
	i->iommu.ops = &dm_iommu_iommufd_ops;
	i->iommu.kind = DMAMAP_BACKEND_IOMMUFD;
	i->iommu.kernel = k;
	i->iommu.process = dm_process_id();
	i->fd = fd;
	i->is_given = given;
	*iommu = &i->iommu;
	return 0;
}

static void
iommufd_close(struct dm_iommu *iommu)
{
	dm_kernel_close(iommu->kernel, IOMMUFD(iommu)->fd);
	free(IOMMUFD(iommu));
}

static int
iommufd_host_reserved(
	const struct dmamap_container_conf *conf, struct dm_iommu_resv **resv, unsigned int *n)
{
	return dm_sysfs_host_reserved(dm_kernel_of(conf), resv, n);
}

/** Callback: store the name of a character device. */
static int
cdev_store_name(void *ctx, const char *name)
{
	struct iommufd_dev *d = ctx;

	snprintf(d->cdev, sizeof(d->cdev), "%s", name);
	return 1;
}

/** Find the name of a device's character device: the only entry of its directory vfio-dev. */
static int
cdev_find(struct iommufd_dev *d, const struct dm_sysfs_dev *at)
{
	int rc = dm_kernel_list(at->kernel, cdev_store_name, d, "%s/vfio-dev", at->dir);

	if (rc > 0)
		return 0;
	if (rc < 0 && rc != -ENOENT)
		return dm_sysfs_fail(at, "its character device", rc);
	return DM_FAIL(ENODEV,
		"%s: VFIO created no character device for it: this kernel lacks"
		" VFIO_DEVICE_CDEV; use the type1 backend",
		at->name);
}

/** Character devices and groups exclude each other on one iommufd. */
static int
iommufd_check_kind(const struct dm_iommu *iommu, const char *name, bool group_only)
{
	const struct iommufd *i = IOMMUFD(iommu);

	if (group_only ? i->n_cdevs == 0 : i->groups.n == 0)
		return 0;
	return DM_FAIL(EINVAL, "%s: %s: attach all in the same way, or to another container", name,
		group_only
			? "by its group (group_only), where devices are attached by their character"
			  " devices"
			: "by its character device, where groups are attached (group_only)");
}

static int
iommufd_dev_get(struct dm_iommu *iommu, const char *name, struct dm_iommu_dev **dev)
{
	struct dm_dev_name parsed;
	struct dm_sysfs_dev at;
	struct iommufd_dev *d;
	int rc = dm_dev_name_parse(name, &parsed);

	if (rc == 0)
		rc = iommufd_check_kind(iommu, parsed.name, false);
	if (rc < 0)
		return rc;
	d = calloc(1, sizeof(*d));
	if (d == NULL)
		return -ENOMEM;
	d->dev.iommu = iommu;
	rc = dm_sysfs_find(iommu->kernel, parsed.name, &at);
	if (rc == 0)
		rc = dm_sysfs_dev_init(&d->dev, &at);
	if (rc == 0)
		rc = cdev_find(d, &at);
	if (rc < 0) {
		dm_sysfs_dev_fini(&d->dev);
		free(d);
		return rc;
	}
	memcpy(d->vf_token, parsed.vf_token, sizeof(d->vf_token));
	*dev = &d->dev;
	return 0;
}

static int
iommufd_dev_adopt(struct dm_iommu *iommu, const char *name, struct dm_iommu_given *given,
	struct dm_iommu_dev **dev)
{
	struct dm_dev_name parsed;
	struct iommufd_dev *d;
	int rc = dm_dev_name_parse(name, &parsed);

	if (rc == 0)
		rc = iommufd_check_kind(iommu, parsed.name, given->group_only);
	if (rc < 0)
		return rc;
	if (given->cdev_fd < 0 && !given->group_only)
		return DM_FAIL(EINVAL,
			"%s: the iommufd backend needs its character device: hand in"
			" an open"
			" /dev/vfio/devices/vfioN (cdev_fd), or attach its group alone"
			" (group_fd, group_only)",
			parsed.name);
	if (given->bound != NULL && given->bound != iommu)
		return DM_FAIL(EBUSY,
			"%s: the character device that was handed in is bound to the"
			" iommufd of another container until it is closed: attach it there,"
			" or hand in a file opened again",
			parsed.name);
	d = calloc(1, sizeof(*d));
	if (d == NULL)
		return -ENOMEM;
	d->dev.iommu = iommu;
	d->given = given;
	rc = dm_sysfs_dev_adopt(&d->dev, parsed.name, given, false);
	if (rc < 0) {
		dm_sysfs_dev_fini(&d->dev);
		free(d);
		return rc;
	}
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
	rc = dm_ioas_create(iommu, IOMMUFD(iommu)->fd, &d->ioas);
	if (rc < 0) {
		free(d);
		return rc;
	}
	d->ioas.shared = IOMMUFD(iommu)->is_given;
	d->dom.iommu = iommu;
	*dom = &d->dom;
	return 0;
}

static void
iommufd_domain_destroy(struct dm_iommu_domain *dom)
{
	struct iommufd_domain *d = IOMMUFD_DOMAIN(dom);

	dm_ioas_destroy(&d->ioas);
	free(d);
}

static int
cdev_explain_bind(const struct iommufd_dev *d, int rc)
{
	const char *bdf = d->dev.name;
	char suspects[64];

	switch (-rc) {
	/* The group has another owner, or interrupts are not isolated (iommufd_device_bind()). */
	case EPERM:
		if (dm_sysfs_suspects(
			    d->dev.iommu->kernel, d->dev.group, suspects, sizeof(suspects)))
			return dm_sysfs_fail_unviable(d->dev.iommu->kernel, bdf, d->dev.group);
		return dm_dev_fail_unsafe_interrupts(bdf, "iommufd");
	case EACCES:
		return DM_FAIL(EACCES,
			"%s: wrong or missing VF token: attach it as \"%s"
			" vf_token=UUID\" with the UUID that its physical function's driver has"
			" set",
			bdf, bdf);
	/*
	 * EINVAL: the device is open (drivers/vfio/vfio_main.c, vfio_df_open()). EBUSY: the group
	 * is in use.
	 */
	case EBUSY:
	case EINVAL:
		if (d->given != NULL)
			return DM_FAIL(EBUSY,
				"%s: the character device that was handed in cannot be bound: it"
				" was bound before (each opening binds once), or the device or its"
				" group %d is in use elsewhere, or its IOMMU cannot keep caches"
				" coherent",
				bdf, d->dev.group);
		return DM_FAIL(EBUSY,
			"%s: it or its group %d is in use by another process or container"
			" (see fuser -v " CDEV_DIR
			"%s /dev/vfio/%d), or its IOMMU cannot keep caches coherent",
			bdf, d->dev.group, d->cdev, d->dev.group);
	default:
		return DM_FAIL(-rc, "%s: iommufd refuses it: %s", bdf, strerror(-rc));
	}
}

/** Bind a device to iommufd. */
static int
cdev_bind(const struct iommufd_dev *d, int cdev, int iommufd)
{
	dm_uuid_t token;
	int rc;
	struct abi_vfio_bind_iommufd bind = {.argsz = sizeof(bind), .iommufd = iommufd};

	/* It is still bound: closing our duplicate does not unbind. */
	if (d->given != NULL && d->given->bound != NULL)
		return 0;
	if (d->vf_token[0] != '\0' && dm_uuid_parse(d->vf_token, token) == 0) {
		bind.flags = ABI_VFIO_BIND_FLAG_TOKEN;
		bind.token_uuid_ptr = (uintptr_t)token;
	}
	rc = dm_kernel_ioctl(d->dev.iommu, cdev, ABI_VFIO_BIND_IOMMUFD, &bind);
	if (rc == -EINVAL && bind.flags != 0) {
		/* Before Linux 6.17 flags are rejected, and no token is needed. */
		bind.flags = 0;
		rc = dm_kernel_ioctl(d->dev.iommu, cdev, ABI_VFIO_BIND_IOMMUFD, &bind);
		if (rc == 0)
			DM_LOG(WARNING,
				"%s: vf_token has no effect: with iommufd the kernel does not check"
				" VF tokens before Linux 6.17; type1 does",
				d->dev.name);
	}
	if (rc < 0)
		return cdev_explain_bind(d, rc);
	if (d->given != NULL)
		d->given->bound = d->dev.iommu;
	return 0;
}

static int
cdev_open(const struct iommufd_dev *d)
{
	char path[sizeof(CDEV_DIR) + NAME_MAX];
	int fd;

	if (d->given != NULL) {
		fd = dm_kernel_dup(d->dev.iommu->kernel, d->given->cdev_fd);
		return fd < 0 ? DM_FAIL(-fd, "%s: its file cannot be duplicated: %s", d->dev.name,
					strerror(-fd))
			      : fd;
	}
	snprintf(path, sizeof(path), CDEV_DIR "%s", d->cdev);
	fd = dm_kernel_open(d->dev.iommu->kernel, path, O_RDWR);
	if (fd >= 0)
		return fd;
	return DM_FAIL(-fd, "%s: cannot open %s: %s%s", d->dev.name, path, strerror(-fd),
		fd == -EACCES || fd == -EPERM ? ": run as root, or give this user the file"
						" (chown, a udev rule)"
					      : "");
}

/**
 * Log an error of attach, except those that the container explains: another domain may do, or a
 * mapping conflicts.
 */
static int
cdev_explain_attach(const struct iommufd_dev *d, uint32_t ioas, int rc)
{
	if (rc == -EINVAL || rc == -EADDRINUSE)
		return rc;
	return DM_FAIL(-rc,
		"%s: iommufd cannot attach it to IOAS %u, or cannot map for it what"
		" is mapped there: %s",
		d->dev.name, ioas, strerror(-rc));
}

/** Bind a device to iommufd by its character device, and attach it. */
static int
cdev_attach(struct dm_iommu_domain *dom, struct dm_iommu_dev *dev)
{
	struct iommufd_domain *d = IOMMUFD_DOMAIN(dom);
	struct abi_vfio_attach_pt attach = {.argsz = sizeof(attach), .pt_id = d->ioas.id};
	int fd, rc;

	fd = cdev_open(IOMMUFD_DEV(dev));
	if (fd < 0)
		return fd;
	rc = cdev_bind(IOMMUFD_DEV(dev), fd, IOMMUFD(dom->iommu)->fd);
	if (rc == 0) {
		rc = dm_kernel_ioctl(dom->iommu, fd, ABI_VFIO_ATTACH_PT, &attach);
		rc = rc < 0 ? cdev_explain_attach(IOMMUFD_DEV(dev), d->ioas.id, rc) : 0;
	}
	if (rc < 0) {
		dm_kernel_close(dom->iommu->kernel, fd); /* unbinds */
		return rc;
	}
	dev->fd = fd;
	IOMMUFD(dom->iommu)->n_cdevs++;
	return 0;
}

static void
cdev_detach(struct dm_iommu_domain *dom, struct dm_iommu_dev *dev)
{
	struct abi_vfio_detach_pt detach = {.argsz = sizeof(detach)};

	dm_kernel_ioctl(dom->iommu, dev->fd, ABI_VFIO_DETACH_PT, &detach);
	dm_kernel_close(dom->iommu->kernel, dev->fd);
	dev->fd = -1;
	IOMMUFD(dom->iommu)->n_cdevs--;
}

static bool
dev_is_group_only(const struct dm_iommu_dev *dev)
{
	const struct dm_iommu_given *given = IOMMUFD_DEV(dev)->given;

	return given != NULL && given->group_only;
}

static int
iommufd_attach(struct dm_iommu_domain *dom, struct dm_iommu_dev *dev)
{
	struct iommufd_domain *d = IOMMUFD_DOMAIN(dom);
	int rc;

	if (!dm_process_is(dom->iommu->process))
		return -ECHILD;
	if (dev_is_group_only(dev))
		rc = dm_compat_group_attach(
			&IOMMUFD(dom->iommu)->groups, &d->ioas, dev, IOMMUFD_DEV(dev)->given);
	else
		rc = cdev_attach(dom, dev);
	if (rc == 0)
		d->n_devices++;
	return rc;
}

static void
iommufd_detach(struct dm_iommu_domain *dom, struct dm_iommu_dev *dev)
{
	struct iommufd_domain *d = IOMMUFD_DOMAIN(dom);

	if (dev_is_group_only(dev))
		dm_compat_group_detach(&IOMMUFD(dom->iommu)->groups, dev);
	else
		cdev_detach(dom, dev);
	/*
	 * An IOAS keeps its mappings, but the container requires that a domain without devices is
	 * empty.
	 */
	if (--d->n_devices == 0)
		dm_ioas_clear(&d->ioas);
}

static int
iommufd_info(struct dm_iommu_domain *dom, struct dm_iommu_info *info)
{
	return dm_ioas_info(&IOMMUFD_DOMAIN(dom)->ioas, info);
}

static int
iommufd_map(struct dm_iommu_domain *dom, dmamap_iova_t iova, void *va, uint64_t len, uint32_t prot)
{
	return dm_ioas_map(&IOMMUFD_DOMAIN(dom)->ioas, iova, va, len, prot);
}

static int
iommufd_copy(struct dm_iommu_domain *dom, struct dm_iommu_domain *from, dmamap_iova_t iova,
	uint64_t len, uint32_t prot)
{
	return dm_ioas_copy(
		&IOMMUFD_DOMAIN(dom)->ioas, &IOMMUFD_DOMAIN(from)->ioas, iova, len, prot);
}

static int
iommufd_unmap(struct dm_iommu_domain *dom, dmamap_iova_t iova, uint64_t len, uint64_t *done)
{
	return dm_ioas_unmap(&IOMMUFD_DOMAIN(dom)->ioas, iova, len, done);
}

const struct dm_iommu_ops dm_iommu_iommufd_ops = {
	.name = "iommufd",
	.open = iommufd_open,
	.close = iommufd_close,
	.host_reserved = iommufd_host_reserved,
	.dev_get = iommufd_dev_get,
	.dev_adopt = iommufd_dev_adopt,
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
