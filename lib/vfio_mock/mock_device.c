/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Devices of the mock that have regions and interrupts: the functions with which a test describes
 * them and acts as the device.
 */

#include <errno.h>

#include "mock_log.h"
#include "mock_priv.h"

int
vfio_mock_describe_device(
	struct vfio_mock *m, const char *name, const struct vfio_mock_device_conf *conf)
{
	struct mock_device *dev;
	struct mock_vdev *vdev;
	int rc = mock_vdev_new(conf, &vdev);

	if (rc < 0)
		return rc;
	pthread_mutex_lock(&m->lock);
	dev = mock_find_device(m, name);
	if (dev == NULL)
		rc = -ENODEV;
	else if (dev->open != 0)
		rc = MOCK_FAIL(EBUSY, "%s: cannot be described: the device is open", name);
	if (rc < 0) {
		mock_vdev_free(vdev);
	} else {
		mock_vdev_free(dev->vdev);
		dev->vdev = vdev;
	}
	pthread_mutex_unlock(&m->lock);
	return rc;
}

void *
vfio_mock_region(struct vfio_mock *m, const char *name, unsigned int index)
{
	const struct mock_device *dev;
	void *region = NULL;

	pthread_mutex_lock(&m->lock);
	dev = mock_find_device(m, name);
	if (dev != NULL && dev->vdev != NULL)
		region = mock_vdev_region(dev->vdev, index);
	pthread_mutex_unlock(&m->lock);
	return region;
}

int
vfio_mock_interrupt(struct vfio_mock *m, const char *name, unsigned int index, unsigned int vector)
{
	const struct mock_device *dev;
	int rc = -ENODEV;

	pthread_mutex_lock(&m->lock);
	dev = mock_find_device(m, name);
	if (dev != NULL && dev->vdev != NULL)
		rc = mock_vdev_fire(dev->vdev, index, vector);
	pthread_mutex_unlock(&m->lock);
	return rc;
}

unsigned int
vfio_mock_resets(struct vfio_mock *m, const char *name)
{
	const struct mock_device *dev;
	unsigned int n = 0;

	pthread_mutex_lock(&m->lock);
	dev = mock_find_device(m, name);
	if (dev != NULL && dev->vdev != NULL)
		n = mock_vdev_resets(dev->vdev);
	pthread_mutex_unlock(&m->lock);
	return n;
}

unsigned int
vfio_mock_hot_resets(struct vfio_mock *m, const char *name)
{
	const struct mock_device *dev;
	unsigned int n = 0;

	pthread_mutex_lock(&m->lock);
	dev = mock_find_device(m, name);
	if (dev != NULL && dev->vdev != NULL)
		n = mock_vdev_hot_resets(dev->vdev);
	pthread_mutex_unlock(&m->lock);
	return n;
}

int
mock_device_ioctl(
	struct vfio_mock *m, const struct mock_file *file, unsigned long request, unsigned long arg)
{
	struct mock_vdev *vdev = file->device->vdev;
	int rc = mock_call(m, VFIO_MOCK_DEVICE);

	if (rc < 0)
		return rc;
	if (vdev == NULL)
		return -ENOTTY;
	switch (request) {
	case VFIO_DEVICE_GET_PCI_HOT_RESET_INFO:
	case VFIO_DEVICE_PCI_HOT_RESET:
		return mock_hot_reset_ioctl(m, file, request, arg);
	default:
		return mock_vdev_ioctl(vdev, request, arg);
	}
}
