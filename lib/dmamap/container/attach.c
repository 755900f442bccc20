/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * How does a device enter the address space, and leave it? Join or make a domain, check, replay.
 */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_common.h>

#include "dm_backend.h"

/** Read anew what a domain translates. *narrower: less than before; may be NULL. */
static int
read_info(struct dmamap_container *c, struct dm_domain *d, bool *narrower)
{
	struct dm_iommu_info info = {0};
	int rc;

	rc = d->dom->iommu->ops->info(d->dom, &info);
	if (rc < 0)
		return DM_FAIL(-rc, "container %s: domain %u does not tell its ranges: %s", c->name,
			d->dom->id, strerror(-rc));
	if (narrower != NULL)
		*narrower = !dm_info_covers(&info, &d->info);
	free(d->info.ranges);
	d->info = info;
	return 0;
}

static bool
same_ranges(const struct dm_range_set *a, const struct dm_range_set *b)
{
	return a->n == b->n && (a->n == 0 || memcmp(a->r, b->r, a->n * sizeof(a->r[0])) == 0);
}

int
dm_refresh(struct dmamap_container *c)
{
	struct dm_range_set usable = {0};
	struct dmamap_range conflict;
	uint64_t page_sizes = UINT64_MAX;
	const struct dm_domain *d;
	int rc;

	if (TAILQ_EMPTY(&c->domains))
		return 0;
	TAILQ_FOREACH(d, &c->domains, next)
		page_sizes &= d->info.page_sizes;
	if (page_sizes == 0)
		return DM_FAIL(
			EINVAL, "container %s: the domains have no page size in common", c->name);
	rc = dm_usable_ranges(c, &usable);
	/* To be told the same again, the allocator would empty its caches and look at all that is
	 * live. */
	if (rc == 0 && (page_sizes != c->page_sizes || !same_ranges(&usable, &c->usable)))
		rc = dm_iova_set_usable(c->space, &usable, page_sizes, &conflict);
	if (rc == -EADDRINUSE)
		dm_conflicts_live(c, conflict);
	if (rc < 0) {
		dm_range_set_clear(&usable);
		return rc;
	}
	dm_range_set_clear(&c->usable);
	c->usable = usable;
	c->page_sizes = page_sizes;
	return 0;
}

/** The same after a device has left: what remains can only have grown, so a failure loses nothing.
 */
static void
refresh_after_leave(struct dmamap_container *c, struct dm_domain *d)
{
	if (d != NULL)
		read_info(c, d, NULL);
	if (dm_refresh(c) < 0)
		DM_LOG(WARNING, "container %s: ranges are not widened after a device has left",
			c->name);
}

static struct dm_domain *
domain_of_group(const struct dmamap_container *c, int group)
{
	const struct dmamap_device *d;

	TAILQ_FOREACH(d, &c->devices, next)
		if (d->dev->group == group)
			return d->domain;
	return NULL;
}

static void
domain_free(struct dm_domain *d)
{
	d->dom->iommu->ops->domain_destroy(d->dom);
	free(d->info.ranges);
	free(d);
}

int
dm_replay(struct dmamap_container *c, struct dm_domain *d)
{
	const struct dm_mapping *m;
	int rc;

	if (d->info.entries_left < c->n_mappings)
		return DM_FAIL(ENOSPC,
			"container %s: replay needs %" PRIu64 " map entries, domain "
			"%u has %" PRIu64,
			c->name, c->n_mappings, d->dom->id, d->info.entries_left);
	rc = dm_domain_charges(c, d) ? dm_pin_memlock_check(c->mapped_len, c->name) : 0;
	if (rc < 0)
		return rc;
	TAILQ_FOREACH(m, &c->mappings, next) {
		rc = dm_domain_map(c, d, m);
		if (rc < 0)
			return rc;
	}
	return 0;
}

/** Make a domain that is like no other yet, with a device in it. */
static int
make_domain(struct dmamap_container *c, struct dm_iommu_dev *dev, struct dm_domain **out)
{
	const struct dm_iommu_ops *ops = dev->iommu->ops;
	struct dm_domain *d;
	int rc;

	d = calloc(1, sizeof(*d));
	if (d == NULL)
		return -ENOMEM;
	rc = ops->domain_create(dev->iommu, &d->dom);
	if (rc < 0) {
		free(d);
		return DM_FAIL(-rc, "container %s: no further domain can be made: %s", c->name,
			strerror(-rc));
	}
	d->dom->id = c->next_domain_id;
	rc = ops->attach(d->dom, dev);
	if (rc == -EINVAL || rc == -EADDRINUSE)
		DM_LOG(ERR,
			"container %s: the kernel takes %s into no domain, not even one of its own",
			c->name, dev->name);
	if (rc < 0)
		goto free_domain;
	rc = read_info(c, d, NULL);
	if (rc < 0)
		goto detach;
	*out = d;
	return 0;

detach:
	ops->detach(d->dom, dev);
free_domain:
	domain_free(d);
	return rc;
}

static void
drop_domain(struct dm_domain *d, struct dm_iommu_dev *dev)
{
	dev->iommu->ops->detach(d->dom, dev);
	domain_free(d);
}

/** Make a domain for a device and bring it to the state of the others. */
static int
join_new_domain(struct dmamap_container *c, struct dmamap_device *dev)
{
	struct dm_domain *d;
	int rc;

	rc = make_domain(c, dev->dev, &d);
	if (rc < 0)
		return rc;
	dm_conflicts_of_domain(c, d, dev->dev);
	rc = dm_conflicts_any(c) ? -EADDRINUSE : dm_replay(c, d);
	if (rc < 0) {
		drop_domain(d, dev->dev);
		return rc;
	}
	c->next_domain_id++;
	TAILQ_INSERT_TAIL(&c->domains, d, next);
	dev->domain = d;
	return 0;
}

/** Of a device that cannot be attached: what else is in its way? Only a domain of its own tells
 * what its IOMMU translates. */
static void
look_further(struct dmamap_container *c, struct dm_iommu_dev *dev)
{
	struct dm_domain *d;

	if (domain_of_group(c, dev->group) != NULL || make_domain(c, dev, &d) < 0)
		return;
	dm_conflicts_of_domain(c, d, dev);
	drop_domain(d, dev);
}

/** Let a device join a domain, which may be one that came with a merge, of another backend
 * instance. */
static int
join_domain(struct dmamap_device *d, struct dm_domain *domain)
{
	const struct dm_iommu_ops *ops = domain->dom->iommu->ops;
	struct dm_iommu_dev *again;
	int rc;

	if (d->dev->iommu != domain->dom->iommu) {
		rc = ops->dev_get(domain->dom->iommu, d->spec, &again);
		if (rc < 0)
			return rc;
		ops->dev_put(d->dev);
		d->dev = again;
	}
	rc = ops->attach(domain->dom, d->dev);
	if (rc == 0)
		d->domain = domain;
	return rc;
}

/** Find a domain that takes the device, without replay; else make one. */
static int
join(struct dmamap_container *c, struct dmamap_device *d)
{
	struct dm_domain *domain = domain_of_group(c, d->dev->group);
	int rc;

	if (domain != NULL) {
		rc = join_domain(d, domain);
		if (rc == -EINVAL || rc == -EADDRINUSE)
			DM_LOG(ERR,
				"container %s: domain %u does not take %s, though its group is "
				"there",
				c->name, domain->dom->id, d->dev->name);
		return rc;
	}
	if (c->conf.sharing == DMAMAP_ISOLATE)
		return join_new_domain(c, d);
	TAILQ_FOREACH(domain, &c->domains, next) {
		rc = join_domain(d, domain);
		/* This domain cannot take it; another may, or else tells what is in the way. */
		if (rc != -EINVAL && rc != -EADDRINUSE)
			return rc;
		DM_LOG(INFO, "container %s: domain %u cannot take %s", c->name, domain->dom->id,
			d->dev->name);
	}
	return join_new_domain(c, d);
}

/** What every device can put on the bus. */
static void
refresh_mask(struct dmamap_container *c)
{
	const struct dmamap_device *d;

	c->mask_last = UINT64_MAX;
	TAILQ_FOREACH(d, &c->devices, next)
		if (d->mask_bits < 64)
			c->mask_last = RTE_MIN(c->mask_last, (UINT64_C(1) << d->mask_bits) - 1);
}

/** Take a device out of its domain, and the domain out of the container if that was the last one.
 */
static void
leave(struct dmamap_container *c, struct dmamap_device *dev)
{
	struct dm_domain *d = dev->domain;

	TAILQ_REMOVE(&c->devices, dev, next);
	d->dom->iommu->ops->detach(d->dom, dev->dev);
	if (--d->n_devices == 0) {
		TAILQ_REMOVE(&c->domains, d, next);
		domain_free(d);
		d = NULL;
	}
	refresh_after_leave(c, d);
}

int
dm_attach_locked(struct dmamap_container *c, struct dmamap_device *d)
{
	bool opened = c->iommu == NULL;
	const struct dmamap_device *other;
	bool narrower;
	int rc;

	dm_conflicts_clear(c);
	rc = dm_backend_open(c);
	if (rc < 0)
		return rc;
	rc = c->iommu->ops->dev_get(c->iommu, d->spec, &d->dev);
	if (rc < 0)
		goto undo_open;
	TAILQ_FOREACH(other, &c->devices, next)
		if (strcmp(other->dev->name, d->dev->name) == 0) {
			rc = DM_FAIL(EALREADY, "container %s: %s is attached already", c->name,
				d->dev->name);
			goto put;
		}
	dm_conflicts_of_dev(c, d->dev);
	if (dm_conflicts_any(c)) {
		look_further(c, d->dev);
		goto report;
	}
	rc = join(c, d);
	if (rc < 0)
		goto report;
	d->domain->n_devices++;
	d->c = c;
	TAILQ_INSERT_TAIL(&c->devices, d, next);

	rc = read_info(c, d->domain, &narrower);
	if (rc == 0 && narrower)
		dm_conflicts_of_domain(c, d->domain, d->dev);
	if (rc == 0)
		rc = dm_conflicts_any(c) ? -EADDRINUSE : dm_refresh(c);
	if (rc < 0)
		goto undo;
	refresh_mask(c);
	return 0;

undo:
	leave(c, d);
report:
	if (dm_conflicts_any(c))
		rc = dm_conflicts_report(
			c, "attach", d->dev->name, "unmap it, or attach before mapping");
put:
	d->dev->iommu->ops->dev_put(d->dev);
	d->dev = NULL;
undo_open:
	if (opened)
		dm_backend_open_undo(c);
	return rc;
}

void
dm_detach_locked(struct dmamap_device *d)
{
	leave(d->c, d);
	refresh_mask(d->c);
	d->dev->iommu->ops->dev_put(d->dev);
	d->dev = NULL;
}

int
dmamap_container_attach(struct dmamap_container *c, const char *name, struct dmamap_device **out)
{
	struct dmamap_device *d;
	int rc;

	if (c == NULL || name == NULL || out == NULL || strlen(name) >= sizeof(d->spec))
		return DM_FAIL(EINVAL,
			"attach: no container, device or place for the result, or too "
			"long a name");
	d = calloc(1, sizeof(*d));
	if (d == NULL)
		return -ENOMEM;
	snprintf(d->spec, sizeof(d->spec), "%s", name);
	d->mask_bits = 64;
	dm_lock(c);
	rc = dm_attach_locked(c, d);
	dm_unlock(c);
	if (rc < 0) {
		free(d);
		return rc;
	}
	DM_LOG(INFO, "container %s: %s attached, group %d, domain %u", c->name, d->dev->name,
		d->dev->group, d->domain->dom->id);
	*out = d;
	return 0;
}

int
dmamap_container_detach(struct dmamap_device *d)
{
	struct dmamap_container *c;

	if (d == NULL)
		return 0;
	c = d->c;
	if (c == NULL)
		goto free_device; /* lost in dmamap_device_move() */
	dm_lock(c);
	if (__atomic_load_n(&d->holds, __ATOMIC_ACQUIRE) != 0) {
		dm_unlock(c);
		return DM_FAIL(EBUSY,
			"container %s: cannot detach %s while it is running: stop it "
			"first",
			c->name, d->dev->name);
	}
	dm_detach_locked(d);
	dm_unlock(c);
free_device:
	free(d);
	return 0;
}

int
dmamap_device_dma_mask(struct dmamap_device *d, unsigned int bits)
{
	struct dmamap_container *c;
	const struct dm_mapping *m;
	uint64_t beyond = 0;

	if (d == NULL || bits < 12 || bits > 64)
		return DM_FAIL(EINVAL, "DMA mask of %u bits: must be 12 to 64", bits);
	c = d->c;
	dm_lock(c);
	d->mask_bits = bits;
	refresh_mask(c);
	TAILQ_FOREACH(m, &c->mappings, next)
		beyond += m->range.last > c->mask_last;
	dm_unlock(c);
	if (beyond > 0)
		DM_LOG(NOTICE,
			"container %s: %s reaches IOVAs of %u bits; %" PRIu64
			" mappings lie beyond",
			c->name, d->dev->name, bits, beyond);
	return 0;
}

void
dmamap_device_hold(struct dmamap_device *d)
{
	__atomic_add_fetch(&d->holds, 1, __ATOMIC_ACQ_REL);
}

void
dmamap_device_release(struct dmamap_device *d)
{
	__atomic_sub_fetch(&d->holds, 1, __ATOMIC_ACQ_REL);
}

int
dmamap_device_fd(const struct dmamap_device *d)
{
	return d->dev->fd;
}

int
dmamap_device_node(const struct dmamap_device *d)
{
	return d->dev->node;
}

int
dmamap_device_group(const struct dmamap_device *d)
{
	return d->dev->group;
}

const char *
dmamap_device_name(const struct dmamap_device *d)
{
	return d->dev->name;
}

struct dmamap_container *
dmamap_device_container(const struct dmamap_device *d)
{
	return d->c;
}
