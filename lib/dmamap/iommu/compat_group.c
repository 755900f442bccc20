/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * VFIO groups attached to an iommufd that acts as a VFIO container. See dm_compat_group.h.
 */

#include <errno.h>
#include <string.h>

#include "dm_compat_group.h"
#include "dm_log.h"

static int
group_explain_join(const struct dm_iommu_dev *dev, int rc)
{
	switch (-rc) {
	case ECHILD:
		return rc;
	case EINVAL:
		return DM_FAIL(EBUSY,
			"%s: its group %d is in another VFIO container: remove it first"
			" (VFIO_GROUP_UNSET_CONTAINER)",
			dev->name, dev->group);
	case EBADFD:
		return DM_FAIL(ENOTSUP,
			"%s: this kernel's VFIO does not accept an iommufd as a container:"
			" use the type1 backend",
			dev->name);
	default:
		return DM_FAIL(-rc, "%s: iommufd refuses its group %d: %s", dev->name, dev->group,
			strerror(-rc));
	}
}

int
dm_compat_group_attach(struct dm_compat_groups *groups, struct dm_ioas *ioas,
	const struct dm_iommu_dev *dev, const struct dm_iommu_given *given)
{
	struct dm_vfio_group *group;
	int rc;

	if (groups->ioas != NULL && groups->ioas != ioas)
		return DM_FAIL(ENOTSUP,
			"%s: its group %d cannot have a domain of its own: all groups of an"
			" iommufd share one: use DMAMAP_SHARE, or another container",
			dev->name, dev->group);
	rc = dm_vfio_group_get(&groups->open, dev, DM_VFIO_GROUP_PATH, given, &group);
	if (rc < 0)
		return rc;
	if (groups->ioas == NULL) {
		rc = dm_ioas_compat_set(ioas);
		if (rc < 0)
			goto put;
	}
	rc = dm_vfio_group_join(group, ioas->iommufd);
	if (rc < 0) {
		rc = group_explain_join(dev, rc);
		goto clear;
	}
	groups->ioas = ioas;
	groups->n++;
	return 0;

clear:
	if (groups->ioas == NULL)
		dm_ioas_compat_clear(ioas);
put:
	dm_vfio_group_put(group);
	return rc;
}

void
dm_compat_group_detach(struct dm_compat_groups *groups, const struct dm_iommu_dev *dev)
{
	struct dm_vfio_group *group = dm_vfio_group_find(&groups->open, dev);

	dm_vfio_group_leave(group);
	dm_vfio_group_put(group);
	if (--groups->n > 0)
		return;
	dm_ioas_compat_clear(groups->ioas);
	groups->ioas = NULL;
}
