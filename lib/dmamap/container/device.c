/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Queries on an attached device, and its move to another container.
 *
 * A device's owner may change at any time by a merge or a move. So each function locks the owner
 * and checks it again. During a move the old container remains the owner: a thread that locks it
 * waits, and then finds the new owner. Queries report the state before the move until then.
 *
 * Accessors read copies that attach and move update, and take no lock. An ioctl holds the topology
 * lock for reading. Called by drivers, and by files that need a device's node or name.
 */

#include <errno.h>
#include <string.h>

#include "dm_container.h"
#include "dm_kernel.h"

int
dmamap_device_info_sized(const struct dmamap_device *d, struct dmamap_device_info *out, size_t size)
{
	struct dmamap_device_info info;
	struct dmamap_container *c;

	if (d == NULL || out == NULL)
		return -EINVAL;
	c = dm_owner_lock(&d->c);
	if (c == NULL)
		return -EINVAL;
	if (d->domain_valid)
		dm_device_describe(c, d, &info);
	else
		info = d->last;
	dm_owner_unlock(c);
	return dm_copy_out(out, size, &info, sizeof(info));
}

int
dmamap_device_dma_mask(struct dmamap_device *d, unsigned int bits)
{
	struct dm_want beyond = {.what = DM_WANT_IOVAS, .range = {0, UINT64_MAX}};
	const struct dm_mapping *m = NULL;
	struct dmamap_container *c;
	int rc;

	if (d == NULL || bits < 12 || bits > 64)
		return DM_FAIL(EINVAL, "DMA mask of %u bits: must be 12 to 64", bits);
	c = dm_owner_topo_write(&d->c);
	if (c == NULL)
		return DM_FAIL(EINVAL, "DMA mask of %s: it is in no container", d->name);
	rc = dm_process_check(c->process, c->name, "DMA mask");
	if (rc < 0) {
		dm_owner_topo_unlock(c);
		return rc;
	}
	dm_book_lock(c);
	d->mask_bits = bits;
	dm_refresh_mask(c);
	dm_book_unlock(c);
	beyond.range.start = dm_mask_last(c) + 1;
	dm_topo_unlock(c);
	/* Evict idle registrations beyond the mask: their next use maps them within reach. */
	if (beyond.range.start != 0) {
		c->reclaim(c, &beyond);
		dm_book_lock(c);
		m = dm_mapping_find(c, beyond.range);
		if (m != NULL)
			DM_LOG(NOTICE,
				"container %s: %s reaches IOVAs of %u bits; mappings lie beyond, the "
				"lowest at " DM_RANGE_FMT,
				c->name, d->name, bits, DM_RANGE_ARG(m->range));
		dm_book_unlock(c);
	}
	dmamap_container_put(c);
	return 0;
}

static void
device_count_holds(struct dmamap_device *d, int n)
{
	/* Under topology: wait for a detach or move that has read the count already. */
	struct dmamap_container *c = dm_owner_topo_read(&d->c);

	if (c == NULL)
		return;
	dm_book_lock(c);
	d->holds += n;
	dm_book_unlock(c);
	dm_owner_topo_unlock(c);
}

void
dmamap_device_hold(struct dmamap_device *d)
{
	device_count_holds(d, 1);
}

void
dmamap_device_release(struct dmamap_device *d)
{
	device_count_holds(d, -1);
}

int
dmamap_device_fd(const struct dmamap_device *d)
{
	return __atomic_load_n(&d->fd, __ATOMIC_RELAXED);
}

int
dmamap_device_ioctl(const struct dmamap_device *d, unsigned long request, void *arg)
{
	/* Under topology: no move or detach closes the file during the call. */
	struct dmamap_container *c;
	int rc;

	if (d == NULL)
		return DM_FAIL(EINVAL, "ioctl: no device");
	c = dm_owner_topo_read(&d->c);
	if (c == NULL)
		return DM_FAIL(ENODEV, "ioctl on %s: it is in no container", d->name);
	rc = dm_process_check(c->process, c->name, "ioctl");
	if (rc == 0)
		rc = dm_kernel_ioctl(d->dev->iommu, d->dev->fd, request, arg);
	dm_owner_topo_unlock(c);
	return rc;
}

int
dmamap_device_node(const struct dmamap_device *d)
{
	return __atomic_load_n(&d->node, __ATOMIC_RELAXED);
}

int
dmamap_device_group(const struct dmamap_device *d)
{
	return __atomic_load_n(&d->group_id, __ATOMIC_RELAXED);
}

const char *
dmamap_device_name(const struct dmamap_device *d)
{
	return d->name;
}

struct dmamap_container *
dmamap_device_container(const struct dmamap_device *d)
{
	return dm_owner_get(&d->c);
}

static int
device_check_move(const struct dmamap_device *d, const struct dmamap_container *from,
	const struct dmamap_container *to)
{
	const struct dmamap_device *other;
	int rc;

	rc = dm_process_check(from->process, from->name, "move");
	if (rc == 0)
		rc = dm_process_check(to->process, to->name, "move");
	if (rc < 0)
		return rc;
	if (from == to)
		return DM_FAIL(EINVAL, "container %s: cannot move %s: it is attached already",
			to->name, d->name);
	if (d->holds != 0)
		return DM_FAIL(EBUSY,
			"container %s: cannot move %s while it is running: stop it "
			"first",
			from->name, d->name);
	if (d->group->n_devices == 1)
		return 0;
	TAILQ_FOREACH(other, &from->devices, next)
		if (other != d && other->group == d->group)
			break;
	return DM_FAIL(EBUSY,
		"container %s: cannot move %s away from %s, which is in the same group", from->name,
		d->name, other->name);
}

/**
 * Move a device. Both topology locks are held for writing.
 * @param left  out: the device has released its reference to `from`; the caller puts it.
 */
static int
device_move_locked(struct dmamap_device *d, struct dmamap_container *from,
	struct dmamap_container *to, bool *left)
{
	const struct dm_iommu_ops *ops = d->dev->iommu->ops;
	int rc, back;

	rc = device_check_move(d, from, to);
	/* The caller opens the group's devices; one may still be open. Nothing has changed then. */
	if (rc == 0 && d->given.group_only && ops->group_leave != NULL)
		rc = ops->group_leave(d->domain->dom, d->dev);
	if (rc < 0)
		return rc;
	dm_detach_locked(from, d);
	rc = dm_attach_locked(to, d);
	if (rc == 0) {
		*left = true;
		return 0;
	}
	back = dm_attach_locked(from, d);
	/* dm_attach_locked() took a reference: it replaces the one that this device had. */
	*left = true;
	if (back < 0) {
		dm_owner_set(&d->c, NULL);
		return DM_FAIL(ENODEV,
			"container %s: cannot move %s to %s, nor back (%s): it is in no container "
			"now: detach it",
			from->name, d->spec, to->name, strerror(-back));
	}
	return rc;
}

/**
 * Lock the topology of a device's owner and of another container.
 * @return the owner, with a reference; NULL: the device has none, and nothing is locked
 */
static struct dmamap_container *
device_lock_both(const struct dmamap_device *d, struct dmamap_container *to)
{
	struct dmamap_container *from;

	while ((from = dm_owner_get(&d->c)) != NULL) {
		if (from == to)
			dm_topo_write(to);
		else
			dm_topo_write_both(from, to);
		if (dm_owner_is(&d->c, from))
			return from;
		if (from == to)
			dm_topo_unlock(to);
		else
			dm_topo_unlock_both(from, to);
		dmamap_container_put(from);
	}
	return NULL;
}

static int
device_move_once(struct dmamap_device *d, struct dmamap_container *to)
{
	struct dmamap_container *from = device_lock_both(d, to);
	bool left = false;
	int rc;

	if (from == NULL)
		return DM_FAIL(EINVAL, "move: %s is in no container", d->name);
	rc = device_move_locked(d, from, to, &left);
	if (from == to)
		dm_topo_unlock(to);
	else
		dm_topo_unlock_both(from, to);
	if (left)
		dmamap_container_put(from);
	dmamap_container_put(from);
	return rc;
}

int
dmamap_device_move(struct dmamap_device *d, struct dmamap_container *to)
{
	unsigned int mark;
	int rc;

	if (d == NULL || to == NULL)
		return DM_FAIL(EINVAL, "move: no device or no container to move it to");
	dm_log_defer();
	mark = dm_log_mark();
	rc = device_move_once(d, to);
	if ((rc == -EADDRINUSE || rc == -ENOSPC || rc == -ENOMEM) &&
		dm_registrations_flush(to) > 0) {
		dm_log_forget(mark);
		rc = device_move_once(d, to);
	}
	dm_log_flush();
	return rc;
}
