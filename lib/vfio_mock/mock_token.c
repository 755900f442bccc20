/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * VF tokens: who opens a virtual function has to know a UUID that the user of its physical function
 * has set. The rules are those of vfio-pci (drivers/vfio/pci/vfio_pci_core.c,
 * vfio_pci_validate_vf_token()). Called by mock_vfio.c and mock_cdev.c when a device is opened.
 */

#include <errno.h>
#include <string.h>
#include <strings.h>

#include "dm_util.h"
#include "mock_priv.h"

int
vfio_mock_make_vf(struct vfio_mock *m, const char *vf, const char *pf)
{
	struct mock_device *dev, *physical;
	int rc = -ENODEV;

	pthread_mutex_lock(&m->lock);
	dev = mock_find_device(m, vf);
	physical = mock_find_device(m, pf);
	if (dev != NULL && physical != NULL && dev != physical) {
		memcpy(dev->pf, physical->name, sizeof(dev->pf));
		rc = 0;
	}
	pthread_mutex_unlock(&m->lock);
	return rc;
}

/** Count the virtual functions of a device, and those of them that are open. */
static unsigned int
vfs_count(const struct vfio_mock *m, const struct mock_device *pf, unsigned int *n_open)
{
	const struct mock_device *dev;
	unsigned int n = 0;

	*n_open = 0;
	TAILQ_FOREACH(dev, &m->devices, next) {
		if (strcmp(dev->pf, pf->name) != 0)
			continue;
		n++;
		*n_open += dev->open != 0;
	}
	return n;
}

static int
vf_check(struct vfio_mock *m, const struct mock_device *vf, const char *token)
{
	const struct mock_device *pf = mock_find_device(m, vf->pf);

	if (pf == NULL || !mock_is_vfio(pf))
		return token[0] == '\0' ? 0 : -EINVAL;
	/* Linux begins with a random token, which nobody knows. */
	return token[0] != '\0' && strcasecmp(token, pf->vf_token) == 0 ? 0 : -EACCES;
}

int
mock_token_check(struct vfio_mock *m, struct mock_device *dev, const char *token)
{
	unsigned int n_open;

	if (dev->pf[0] != '\0')
		return vf_check(m, dev, token);
	if (vfs_count(m, dev, &n_open) == 0)
		return 0;
	/* While users of virtual functions trust the token, only who knows it may open this one. */
	if (n_open > 0)
		return strcasecmp(token, dev->vf_token) == 0 ? 0 : -EACCES;
	if (token[0] != '\0' && strlen(token) < sizeof(dev->vf_token))
		strcpy(dev->vf_token, token);
	return 0;
}
