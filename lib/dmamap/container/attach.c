/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Attach and detach of devices. An attach joins a domain or creates one, checks for conflicts, and
 * replays all mappings into a new domain.
 *
 * Invariant: a failed attach leaves the container and the kernel as before. All runs under the
 * topology lock for writing, so no mapping or reservation comes or goes meanwhile. Fields that are
 * read under the bookkeeping lock alone are changed under that too. Called by users and device.c.
 */

#include <errno.h>
#include <inttypes.h>
#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dm_backend.h"
#include "dm_given.h"
#include "dm_history.h"
#include "dm_kernel.h"
#include "dm_util.h"

/**
 * Whether a remaining group reserves the same ranges as a device's group. Only the first device is
 * compared, as most groups are alike.
 */
static bool
group_resv_is_common(const struct dmamap_container *c, const struct dm_iommu_dev *dev)
{
	const struct dmamap_device *first = TAILQ_FIRST(&c->devices);
	unsigned int i;

	if (first == NULL || first->dev->n_resv != dev->n_resv)
		return dev->n_resv == 0;
	for (i = 0; i < dev->n_resv; i++)
		if (first->dev->resv[i].type != dev->resv[i].type ||
			first->dev->resv[i].range.start != dev->resv[i].range.start ||
			first->dev->resv[i].range.last != dev->resv[i].range.last)
			return false;
	return true;
}

/**
 * dm_refresh() after a device has left domain d; NULL: d was destroyed with it. Usable ranges can
 * only have grown, so a failure loses nothing. All groups are read only if they can have grown.
 */
static void
container_refresh_after_leave(
	struct dmamap_container *c, struct dm_domain *d, const struct dm_iommu_dev *dev)
{
	struct dm_info_change change = {.wider = true};

	/* A forked child makes no call on its parent's files, so its ranges stay as they are. */
	if (!dm_process_is(c->process))
		return;
	if (d != NULL && dm_domain_read(c, d, &change) == 0 && !change.wider && !c->refresh_due &&
		group_resv_is_common(c, dev))
		return;
	c->refresh_due = dm_refresh(c, NULL) < 0;
	if (c->refresh_due)
		DM_LOG(WARNING,
			"container %s: usable IOVA ranges could not be widened after a detach: "
			"call dmamap_container_refresh()",
			c->name);
}

static struct dm_domain *
group_domain(const struct dmamap_container *c, int id)
{
	const struct dm_group *group = dm_group_find(c, id);

	return group != NULL ? group->domain : NULL;
}

static void
domain_free(struct dm_domain *d)
{
	d->dom->iommu->ops->domain_destroy(d->dom);
	free(d->info.ranges);
	free(d);
}

/**
 * Check that all mapped memory may be locked once more. Memory that the kernel does not charge is
 * looked up only if the plain sum exceeds the limit.
 */
static int
container_check_memlock(const struct dmamap_container *c)
{
	unsigned int mark;
	int rc;

	dm_log_defer();
	mark = dm_log_mark();
	rc = dm_pin_memlock_check(c->mapped_len, c->name);
	if (rc < 0) {
		dm_log_forget(mark);
		rc = dm_pin_memlock_check(dm_mappings_chargeable(c), c->name);
	}
	dm_log_flush();
	return rc;
}

/** Map all mappings of c into a domain, in order, one call each. Undoes nothing on failure. */
static int
domain_replay(struct dmamap_container *c, struct dm_domain *d)
{
	const struct dm_mapping *m;
	int rc;

	if (d->info.entries_left < c->n_mappings)
		return DM_FAIL(ENOSPC,
			"container %s: replay needs %" PRIu64 " map entries, domain "
			"%u has %" PRIu64,
			c->name, c->n_mappings, d->dom->id, d->info.entries_left);
	rc = dm_domain_charges(c, d) && !c->conf.as_linux ? container_check_memlock(c) : 0;
	if (rc < 0)
		return rc;
	TAILQ_FOREACH(m, &c->mappings, next) {
		/* With many mappings, most are in no CPU cache: fetch the next during the call. */
		__builtin_prefetch(TAILQ_NEXT(m, next));
		rc = dm_domain_map(c, d, m);
		/* The kernel has refused: the check logs the reason. */
		if (rc == -ENOMEM && c->conf.as_linux)
			container_check_memlock(c);
		if (rc < 0)
			return rc;
		dm_domain_count_entries(d, 1);
	}
	return 0;
}

/** The backend's attach, timed. */
static int
domain_attach_call(
	struct dmamap_container *c, struct dm_iommu_domain *dom, struct dm_iommu_dev *dev)
{
	const uint64_t begin = dm_time_begin();
	const int rc = dev->iommu->ops->attach(dom, dev);

	dm_time_end(&c->counters, DM_TIME_KERNEL_ATTACH, begin);
	return rc;
}

/** Create a domain with a device in it, but without mappings. */
static int
domain_make(struct dmamap_container *c, struct dm_iommu_dev *dev, struct dm_domain **out)
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
		return DM_FAIL(-rc, "container %s: cannot create another domain: %s", c->name,
			strerror(-rc));
	}
	d->dom->id = c->next_domain_id;
	rc = domain_attach_call(c, d->dom, dev);
	if (rc == -EINVAL || rc == -EADDRINUSE)
		DM_LOG(ERR,
			"container %s: cannot attach %s: the kernel refused it even in a new "
			"domain: its group %d is in another VFIO container, or its reserved "
			"ranges leave no usable IOVA",
			c->name, dev->name, dev->group);
	if (rc < 0)
		goto free_domain;
	rc = dm_domain_read(c, d, NULL);
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
domain_drop(struct dm_domain *d, struct dm_iommu_dev *dev)
{
	dev->iommu->ops->detach(d->dom, dev);
	domain_free(d);
}

/** Create a domain for a device, and replay all mappings into it. */
static int
device_join_new_domain(struct dmamap_container *c, struct dmamap_device *dev)
{
	struct dm_domain *d;
	int rc;

	rc = domain_make(c, dev->dev, &d);
	if (rc < 0)
		return rc;
	dm_conflicts_of_domain(c, d, dev->dev);
	rc = dm_conflicts_any(c) ? -EADDRINUSE : domain_replay(c, d);
	if (rc < 0) {
		domain_drop(d, dev->dev);
		return rc;
	}
	dm_book_lock(c);
	c->next_domain_id++;
	TAILQ_INSERT_TAIL(&c->domains, d, next);
	c->n_domains++;
	dm_book_unlock(c);
	dev->domain = d;
	return 0;
}

/**
 * Find further conflicts of a device that cannot be attached. Only a domain of its own shows what
 * its IOMMU translates.
 */
static void
device_find_conflicts(struct dmamap_container *c, struct dm_iommu_dev *dev)
{
	struct dm_domain *d;

	if (group_domain(c, dev->group) != NULL || domain_make(c, dev, &d) < 0)
		return;
	dm_conflicts_of_domain(c, d, dev);
	domain_drop(d, dev);
}

/** Look a device up, by name or by the files that were passed in. */
static int
device_look_up(struct dm_iommu *iommu, struct dmamap_device *d, struct dm_iommu_dev **dev)
{
	if (d->has_given && d->kernel != iommu->kernel)
		return DM_FAIL(EINVAL,
			"%s: cannot attach: its files were passed in for another kernel", d->spec);
	return d->has_given ? iommu->ops->dev_adopt(iommu, d->spec, &d->given, dev)
			    : iommu->ops->dev_get(iommu, d->spec, dev);
}

/** Undo device_join_domain() of a device that is in no list yet. An empty domain is destroyed. */
static void
device_leave_domain(struct dmamap_container *c, struct dmamap_device *dev)
{
	struct dm_domain *d = dev->domain;

	d->dom->iommu->ops->detach(d->dom, dev->dev);
	if (d->n_devices > 0) {
		dm_domain_read(c, d, NULL);
		return;
	}
	dm_book_lock(c);
	TAILQ_REMOVE(&c->domains, d, next);
	c->n_domains--;
	dm_book_unlock(c);
	domain_free(d);
}

/**
 * Let a device join a domain. A domain that came with a merge may have another backend instance.
 * @param narrower  out: the domain translates less than before.
 */
static int
device_join_domain(struct dmamap_container *c, struct dmamap_device *d, struct dm_domain *domain,
	bool *narrower)
{
	const struct dm_iommu_ops *ops = domain->dom->iommu->ops;
	struct dm_info_change change = {0};
	struct dm_iommu_dev *again;
	unsigned int mark;
	int rc;

	if (d->dev->iommu != domain->dom->iommu) {
		mark = dm_log_mark();
		rc = device_look_up(domain->dom->iommu, d, &again);
		/* The other instance may need other kinds of files. A later domain may fit. */
		if (rc == -EINVAL)
			dm_log_forget(mark);
		if (rc < 0)
			return rc;
		ops->dev_put(d->dev);
		d->dev = again;
	}
	rc = domain_attach_call(c, domain->dom, d->dev);
	if (rc < 0)
		return rc;
	d->domain = domain;
	rc = dm_domain_read(c, domain, &change);
	*narrower = change.narrower;
	if (rc < 0)
		device_leave_domain(c, d);
	return rc;
}

/**
 * Let a device join an existing domain, without replay; otherwise create one. *narrower: see
 * device_join_domain().
 */
static int
device_join(struct dmamap_container *c, struct dmamap_device *d, bool *narrower)
{
	struct dm_domain *domain = group_domain(c, d->dev->group);
	int rc;

	if (domain != NULL) {
		rc = device_join_domain(c, d, domain, narrower);
		if (rc == -EINVAL || rc == -EADDRINUSE)
			DM_LOG(ERR,
				"container %s: domain %u refused %s, although other devices of "
				"its group are in it",
				c->name, domain->dom->id, d->dev->name);
		return rc;
	}
	if (c->conf.sharing == DMAMAP_ISOLATE)
		return device_join_new_domain(c, d);
	TAILQ_FOREACH(domain, &c->domains, next) {
		rc = device_join_domain(c, d, domain, narrower);
		/* This domain cannot take it. Another may, or a new one shows the conflict. */
		if (rc != -EINVAL && rc != -EADDRINUSE)
			return rc;
		DM_LOG(INFO, "container %s: domain %u cannot take %s", c->name, domain->dom->id,
			d->dev->name);
	}
	return device_join_new_domain(c, d);
}

void
dm_refresh_mask(struct dmamap_container *c)
{
	dmamap_iova_t last = UINT64_MAX;
	const struct dmamap_device *d;

	TAILQ_FOREACH(d, &c->devices, next)
		if (d->mask_bits < 64)
			last = DM_MIN(last, (UINT64_C(1) << d->mask_bits) - 1);
	__atomic_store_n(&c->mask_last, last, __ATOMIC_RELAXED);
}

/** Add a device, whose domain is set, to the lists of the container. @return 0, or -ENOMEM */
static int
device_enter(struct dmamap_container *c, struct dmamap_device *d)
{
	struct dm_group *group = dm_group_find(c, d->dev->group), *new = NULL;

	if (group == NULL) {
		group = new = calloc(1, sizeof(*new));
		if (new == NULL)
			return -ENOMEM;
		*new = (struct dm_group){.id = d->dev->group, .domain = d->domain, .first = d};
	}
	if (tsearch(d, &c->devices_by_name, dm_device_cmp) == NULL)
		goto free_group;
	if (new != NULL && tsearch(new, &c->groups, dm_group_cmp) == NULL) {
		tdelete(d, &c->devices_by_name, dm_device_cmp);
		goto free_group;
	}
	d->group = group;
	group->n_devices++;
	d->domain->n_devices++;
	TAILQ_INSERT_TAIL(&c->devices, d, next);
	c->n_devices++;
	c->n_groups += new != NULL;
	return 0;

free_group:
	free(new);
	return -ENOMEM;
}

void
dm_device_describe(const struct dmamap_container *c, const struct dmamap_device *d,
	struct dmamap_device_info *info)
{
	const struct dm_iommu_info *dom = &d->domain->info;

	dm_assert_book(c);
	*info = (struct dmamap_device_info){
		.domain = d->domain->dom->id,
		.group = d->group_id,
		.node = d->node,
		.mask_bits = d->mask_bits,
		.page_sizes = dom->page_sizes,
		.coherent = dom->coherent,
		.identity = c->backend == DMAMAP_BACKEND_NOIOMMU,
	};
	if (dom->n_ranges > 0)
		info->aperture = (struct dmamap_range){
			dom->ranges[0].start, dom->ranges[dom->n_ranges - 1].last};
}

/** Undo device_enter(). @return the group if it has no other device; the caller frees it */
static struct dm_group *
device_remove(struct dmamap_container *c, struct dmamap_device *d)
{
	struct dm_group *group = d->group;
	struct dmamap_device *other;

	/* Its domain may be destroyed now, while other threads query the device. */
	if (d->domain_valid)
		dm_device_describe(c, d, &d->last);
	d->domain_valid = false;
	TAILQ_REMOVE(&c->devices, d, next);
	tdelete(d, &c->devices_by_name, dm_device_cmp);
	c->n_devices--;
	d->group = NULL;
	if (--group->n_devices == 0) {
		tdelete(group, &c->groups, dm_group_cmp);
		c->n_groups--;
		return group;
	}
	if (group->first == d)
		TAILQ_FOREACH(other, &c->devices, next)
			if (other->group == group) {
				group->first = other;
				break;
			}
	return NULL;
}

/** Remove a device from its domain, and the domain from the container if it is empty then. */
static void
device_leave(struct dmamap_container *c, struct dmamap_device *dev)
{
	struct dm_domain *d = dev->domain, *last = NULL;
	struct dm_group *group;

	dm_book_lock(c);
	group = device_remove(c, dev);
	if (--d->n_devices == 0) {
		TAILQ_REMOVE(&c->domains, d, next);
		c->n_domains--;
		last = d;
	}
	dm_book_unlock(c);
	free(group);
	d->dom->iommu->ops->detach(d->dom, dev->dev);
	if (last != NULL)
		domain_free(last);
	container_refresh_after_leave(c, last == NULL ? d : NULL, dev->dev);
}

/** Look the device up, and check that it is not attached already. */
static int
device_find_new(struct dmamap_container *c, struct dmamap_device *d)
{
	int rc;

	rc = device_look_up(c->iommu, d, &d->dev);
	if (rc < 0)
		return rc;
	snprintf(d->name, sizeof(d->name), "%s", d->dev->name);
	if (dm_device_find(c, d->name) != NULL)
		rc = DM_FAIL(EALREADY, "container %s: %s is attached already", c->name, d->name);
	else if (d->given.group_only && dm_group_find(c, d->dev->group) != NULL)
		rc = DM_FAIL(EALREADY, "container %s: %s: its group %d is attached already",
			c->name, d->name, d->dev->group);
	if (rc == 0)
		return 0;
	d->dev->iommu->ops->dev_put(d->dev);
	d->dev = NULL;
	return rc;
}

/**
 * Complete the attach of a device that has joined a domain: check all mappings against it.
 * @param narrower  see device_join_domain()
 */
static int
device_settle(struct dmamap_container *c, struct dmamap_device *d, bool narrower)
{
	int rc;

	dm_book_lock(c);
	rc = device_enter(c, d);
	dm_book_unlock(c);
	if (rc < 0) {
		device_leave_domain(c, d);
		return rc;
	}
	if (narrower)
		dm_conflicts_of_domain(c, d->domain, d->dev);
	rc = dm_conflicts_any(c) ? -EADDRINUSE : dm_refresh(c, d);
	if (rc < 0)
		device_leave(c, d);
	return rc;
}

/** Update the fields that queries read without a lock. */
static void
device_publish(struct dmamap_device *d)
{
	__atomic_store_n(&d->fd, d->dev != NULL ? d->dev->fd : -1, __ATOMIC_RELAXED);
	if (d->dev == NULL)
		return;
	__atomic_store_n(&d->node, d->dev->node, __ATOMIC_RELAXED);
	__atomic_store_n(&d->group_id, d->dev->group, __ATOMIC_RELAXED);
}

/**
 * Make c the owner of a device, and its domain visible to queries. A thread that has locked the old
 * owner sees the device there until it releases that lock.
 */
static void
device_change_owner(struct dmamap_container *c, struct dmamap_device *d)
{
	struct dmamap_container *old = d->c;

	if (old != NULL && old != c)
		dm_book_lock_both(c, old);
	else
		dm_book_lock(c);
	dm_owner_set(&d->c, c);
	d->domain_valid = true;
	if (old != NULL && old != c)
		dm_book_unlock_both(c, old);
	else
		dm_book_unlock(c);
}

int
dm_attach_locked(struct dmamap_container *c, struct dmamap_device *d)
{
	bool opened = c->iommu == NULL, narrower = false;
	int rc;

	dm_conflicts_clear(c);
	rc = dm_process_check(c->process, c->name, "attach");
	if (rc < 0)
		return rc;
	if (c->closed)
		return DM_FAIL(ESHUTDOWN, "container %s: attach: it is being destroyed", c->name);
	rc = dm_backend_open(c);
	if (rc < 0)
		return rc;
	rc = device_find_new(c, d);
	if (rc < 0)
		goto undo_open;
	dm_conflicts_of_dev(c, d->dev);
	if (dm_conflicts_any(c))
		device_find_conflicts(c, d->dev);
	else
		rc = device_join(c, d, &narrower);
	if (rc == 0 && !dm_conflicts_any(c))
		rc = device_settle(c, d, narrower);
	if (dm_conflicts_any(c))
		rc = dm_conflicts_report(
			c, "attach", d->name, "unmap it, or attach before mapping");
	if (rc < 0)
		goto put;
	/* The device's mask may be narrower than the others'. */
	if (d->mask_bits < 64)
		dm_refresh_mask(c);
	dmamap_container_get(c);
	device_publish(d);
	device_change_owner(c, d);
	return 0;

put:
	d->dev->iommu->ops->dev_put(d->dev);
	d->dev = NULL;
undo_open:
	if (opened)
		dm_backend_open_undo(c);
	return rc;
}

void
dm_detach_locked(struct dmamap_container *c, struct dmamap_device *d)
{
	dm_trace_detach(c->name, d->name);
	dm_history_detach(c->name, d->name);
	device_leave(c, d);
	if (d->mask_bits < 64)
		dm_refresh_mask(c);
	d->dev->iommu->ops->dev_put(d->dev);
	d->dev = NULL;
	device_publish(d);
}

static int
device_attach_once(struct dmamap_container *c, struct dmamap_device *d)
{
	int rc;

	dm_topo_write(c);
	rc = dm_attach_locked(c, d);
	dm_topo_unlock(c);
	return rc;
}

static struct dmamap_device *
device_new(const struct dmamap_container *c)
{
	struct dmamap_device *d = calloc(1, sizeof(*d));

	if (d == NULL)
		return NULL;
	d->kernel = dm_kernel_of(&c->conf);
	d->mask_bits = 64;
	d->fd = d->node = d->group_id = -1;
	return d;
}

/** Free a device that is in no container. */
static void
device_free(struct dmamap_device *d)
{
	if (d->has_given)
		dm_given_close(d->kernel, &d->given);
	free(d);
}

/** Attach a new device; frees it on failure. */
static int
device_attach_new(struct dmamap_container *c, struct dmamap_device *d, struct dmamap_device **out)
{
	const uint64_t begin = dm_time_begin();
	unsigned int mark;
	int rc;

	dm_log_defer();
	mark = dm_log_mark();
	rc = device_attach_once(c, d);
	/* An attach must not fail because of idle registrations: evict them and retry. */
	if ((rc == -EADDRINUSE || rc == -ENOSPC || rc == -ENOMEM) &&
		dm_registrations_flush(c) > 0) {
		dm_log_forget(mark);
		rc = device_attach_once(c, d);
	}
	dm_log_flush();
	dm_trace_attach(c->name, d->spec, dm_time_end(&c->counters, DM_TIME_ATTACH, begin), rc);
	if (rc < 0) {
		device_free(d);
		return rc;
	}
	DM_LOG(INFO, "container %s: %s attached, group %d", c->name, d->name, d->group_id);
	*out = d;
	return 0;
}

int
dmamap_container_attach(struct dmamap_container *c, const char *name, struct dmamap_device **out)
{
	struct dmamap_device *d;

	if (c == NULL || name == NULL || out == NULL || strlen(name) >= sizeof(d->spec))
		return dm_refused(c, DM_OP_ATTACH,
			DM_FAIL(EINVAL,
				"attach: container, name or result pointer is NULL, "
				"or the name is too long"));
	d = device_new(c);
	if (d == NULL)
		return dm_refused(c, DM_OP_ATTACH, -ENOMEM);
	snprintf(d->spec, sizeof(d->spec), "%s", name);
	return dm_refused(c, DM_OP_ATTACH, device_attach_new(c, d, out));
}

static int
device_attach_fds(struct dmamap_container *c, const struct dmamap_attach_conf *asked, size_t size,
	struct dmamap_device **out)
{
	struct dmamap_attach_conf conf = {0};
	struct dmamap_device *d;
	int rc;

	if (c == NULL || asked == NULL || out == NULL)
		return DM_FAIL(
			EINVAL, "attach: container, configuration or result pointer is NULL");
	memcpy(&conf, asked, DM_MIN(size, sizeof(conf)));
	rc = dm_process_check(c->process, c->name, "attach");
	if (rc < 0)
		return rc;
	d = device_new(c);
	if (d == NULL)
		return -ENOMEM;
	rc = dm_given_open(d->kernel, &conf, &d->given);
	if (rc < 0) {
		device_free(d);
		return rc;
	}
	d->has_given = true;
	rc = dm_given_check(&d->given, conf.name);
	if (rc == 0)
		rc = dm_given_name(d->kernel, &d->given, conf.name, d->spec, sizeof(d->spec));
	if (rc < 0) {
		device_free(d);
		return rc;
	}
	return device_attach_new(c, d, out);
}

int
dmamap_container_attach_fds_sized(struct dmamap_container *c,
	const struct dmamap_attach_conf *asked, size_t size, struct dmamap_device **out)
{
	return dm_refused(c, DM_OP_ATTACH, device_attach_fds(c, asked, size, out));
}

int
dmamap_container_detach(struct dmamap_device *d)
{
	struct dmamap_container *c;
	unsigned int holds;

	if (d == NULL)
		return 0;
	c = dm_owner_topo_write(&d->c);
	if (c == NULL)
		goto free_device; /* lost in dmamap_device_move() */
	dm_book_lock(c);
	holds = d->holds;
	dm_book_unlock(c);
	if (holds == 0)
		dm_detach_locked(c, d);
	else
		DM_LOG(ERR, "container %s: cannot detach %s while it is running: stop it first",
			c->name, d->name);
	dm_owner_topo_unlock(c);
	if (holds != 0)
		return -EBUSY;
	dmamap_container_put(c);
free_device:
	device_free(d);
	return 0;
}
