/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Tells who has, or had, the address at which a device was blocked. See dm_fault.h.
 */

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "dm_fault.h"
#include "dm_history.h"
#include "dm_sysfs_dev.h"

/** An address that is not further from a mapping is taken for an overrun of it. */
#define BESIDE_MAX UINT64_C(65536)

static void
fault_name_mapping(struct dmamap_fault *f, const struct dm_mapping *m)
{
	dm_mapping_title(m, f->name);
	f->range = m->range;
}

/** @return whether there is a mapping whose state explains it, whatever was there before */
static bool
explain_by_state(const struct dm_mapping *m, struct dmamap_fault *f)
{
	if (m == NULL)
		return false;
	if (m->state != DM_LIVE)
		f->kind = DMAMAP_FAULT_CHANGING;
	else if ((m->flags & f->access) != f->access)
		f->kind = DMAMAP_FAULT_DENIED;
	else
		return false;
	fault_name_mapping(f, m);
	return true;
}

static bool
explain_by_past(const struct dmamap_container *c, struct dmamap_fault *f)
{
	struct dm_past_info past;

	if (!dm_history_find(c, f->iovas, &past))
		return false;
	f->kind = DMAMAP_FAULT_PAST;
	f->range = past.range;
	f->ago_ns = past.ago;
	f->thread = past.tid;
	memcpy(f->name, past.name, sizeof(f->name));
	memcpy(f->thread_name, past.thread, sizeof(f->thread_name));
	return true;
}

static bool
explain_by_live(const struct dm_mapping *m, struct dmamap_fault *f)
{
	if (m == NULL)
		return false;
	f->kind = DMAMAP_FAULT_LIVE;
	fault_name_mapping(f, m);
	return true;
}

static bool
explain_by_reserved(const struct dmamap_container *c, struct dmamap_fault *f)
{
	const struct dm_reservation *t = dm_reservation_find(c, f->iovas);
	struct dmamap_reserved hit;

	if (dm_range_set_overlaps(&c->quarantined, f->iovas, &f->range)) {
		f->kind = DMAMAP_FAULT_QUARANTINED;
		return true;
	}
	if (dm_reserved_hit(c, f->iovas, &hit)) {
		f->range = hit.range;
		snprintf(f->name, sizeof(f->name), "%.20s of %.38s",
			dm_reserved_type_name(hit.type), hit.owner);
	} else if (t != NULL) {
		f->range = t->range;
		snprintf(f->name, sizeof(f->name),
			t->zone != NULL ? "room of zone %.49s" : "reservation",
			t->zone != NULL ? t->zone->name : "");
	} else {
		return false;
	}
	f->kind = DMAMAP_FAULT_RESERVED;
	return true;
}

/** The last mapping that ends below r, within BESIDE_MAX; NULL: none. */
static const struct dm_mapping *
mapping_below(const struct dmamap_container *c, struct dmamap_range r)
{
	const struct dm_mapping *m, *last = NULL;
	struct dmamap_range window;

	if (r.start == 0)
		return NULL;
	window.start = r.start - DM_MIN(r.start, BESIDE_MAX);
	window.last = r.start - 1;
	while (window.start <= window.last && (m = dm_mapping_find(c, window)) != NULL) {
		last = m;
		if (m->range.last >= window.last)
			break;
		window.start = m->range.last + 1;
	}
	return last;
}

static bool
explain_by_neighbour(const struct dmamap_container *c, struct dmamap_fault *f)
{
	const struct dm_mapping *m = mapping_below(c, f->iovas);
	struct dmamap_range above = {f->iovas.last + 1, f->iovas.last + BESIDE_MAX};

	if (m != NULL) {
		f->distance = f->iovas.start - m->range.last;
	} else if (above.start != 0) {
		above.last = DM_MAX(above.last, above.start);
		m = dm_mapping_find(c, above);
		if (m != NULL)
			f->distance = m->range.start - f->iovas.last;
	}
	if (m == NULL)
		return false;
	f->kind = DMAMAP_FAULT_BESIDE;
	fault_name_mapping(f, m);
	return true;
}

static void
fault_explain(struct dmamap_container *c, struct dmamap_fault *f)
{
	const struct dm_mapping *m = dm_mapping_find(c, f->iovas);

	if (!explain_by_state(m, f) && !explain_by_past(c, f) && !explain_by_live(m, f) &&
		!explain_by_reserved(c, f) && !explain_by_neighbour(c, f))
		f->kind = DMAMAP_FAULT_UNKNOWN;
}

/**
 * Whether a container has a device, by the name that the kernel gives it, which may lack the
 * segment. Also as a member of a group whose devices the program opens itself (group_only). Reads
 * sysfs. Under topology.
 * @param name  out: its whole name.
 */
static bool
container_has(const struct dmamap_container *c, const char *by, char name[DMAMAP_NAME_MAX])
{
	const struct dmamap_device *dev;

	TAILQ_FOREACH(dev, &c->devices, next) {
		if (dm_sysfs_names_dev(by, dev->name)) {
			dm_strlcpy(name, dev->name, DMAMAP_NAME_MAX);
			return true;
		}
		if (dev->has_given && dev->given.group_only &&
			dm_sysfs_group_has(dev->kernel, dmamap_device_group(dev), by, name))
			return true;
	}
	return false;
}

struct resolve {
	const char *dev;
	struct dmamap_fault *fault;
};

/** @return 1: it is a device of this container; 0: go on */
static int
resolve_in(struct dmamap_container *c, void *arg)
{
	const struct resolve *r = arg;
	struct dmamap_fault *f = r->fault;
	bool found;

	dm_topo_read(c);
	found = container_has(c, r->dev, f->device);
	if (found) {
		dm_strlcpy(f->container, c->name, sizeof(f->container));
		__atomic_add_fetch(&c->faults, f->count, __ATOMIC_RELAXED);
		dm_book_lock(c);
		fault_explain(c, f);
		dm_book_unlock(c);
	}
	dm_topo_unlock(c);
	return found;
}

/** @return whether the device has just left a container */
static bool
explain_by_detach(const char *dev, struct dmamap_fault *f)
{
	struct dm_past_info past;

	if (!dm_history_find_detach(dev, f->device, f->container, &past))
		return false;
	f->kind = DMAMAP_FAULT_DETACHED;
	f->ago_ns = past.ago;
	f->thread = past.tid;
	memcpy(f->thread_name, past.thread, sizeof(f->thread_name));
	return true;
}

int
dm_fault_resolve(const char *dev, struct dmamap_fault *fault)
{
	struct resolve r = {dev, fault};
	int rc = dm_containers_walk(resolve_in, &r);

	if (rc != 0)
		return DM_MIN(rc, 0);
	return explain_by_detach(dev, fault) ? 0 : -ENODEV;
}

/** Append to the text of a fault; what does not fit is left out. */
static void DM_PRINTF_LIKE(2, 3) tell(struct dmamap_fault *f, const char *fmt, ...)
{
	const size_t used = strlen(f->text);
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(f->text + used, sizeof(f->text) - used, fmt, ap);
	va_end(ap);
}

/** Tell when it was, and by whom. */
static void
tell_when(struct dmamap_fault *f)
{
	const uint64_t ms = f->ago_ns / 1000000;

	if (ms < 10000)
		tell(f, "%" PRIu64 " ms ago", ms);
	else
		tell(f, "%" PRIu64 " s ago", ms / 1000);
	if (f->thread_name[0] != '\0')
		tell(f, " by thread %s (%u)", f->thread_name, f->thread);
	else
		tell(f, " by thread %u", f->thread);
}

static void
tell_owner(struct dmamap_fault *f)
{
	const char *access = f->access == DMAMAP_WRITE ? "writing" : "reading";

	switch (f->kind) {
	case DMAMAP_FAULT_PAST:
		tell(f, "it was %s " DM_RANGE_FMT ", unmapped ", f->name, DM_RANGE_ARG(f->range));
		tell_when(f);
		tell(f, ": the device must not use memory after its unmap");
		break;
	case DMAMAP_FAULT_DETACHED:
		tell(f, "the device was detached ");
		tell_when(f);
		tell(f, ": stop it before, or another program has it now");
		break;
	case DMAMAP_FAULT_DENIED:
		tell(f, "it is %s " DM_RANGE_FMT ", which is not mapped for %s: map it so", f->name,
			DM_RANGE_ARG(f->range), access);
		break;
	case DMAMAP_FAULT_LIVE:
		tell(f, "it is %s " DM_RANGE_FMT " now: the device came before the map", f->name,
			DM_RANGE_ARG(f->range));
		break;
	case DMAMAP_FAULT_CHANGING:
		tell(f, "%s " DM_RANGE_FMT " is being mapped or unmapped: stop the device before",
			f->name, DM_RANGE_ARG(f->range));
		break;
	case DMAMAP_FAULT_QUARANTINED:
		tell(f, "it is in quarantine " DM_RANGE_FMT " since an unmap failed",
			DM_RANGE_ARG(f->range));
		break;
	case DMAMAP_FAULT_RESERVED:
		tell(f, "it is reserved: %s " DM_RANGE_FMT, f->name, DM_RANGE_ARG(f->range));
		break;
	case DMAMAP_FAULT_BESIDE:
		tell(f,
			"nothing is mapped there; 0x%" PRIx64 " bytes %s %s " DM_RANGE_FMT
			": a wrong length or address",
			f->distance, f->iovas.start > f->range.last ? "behind" : "before", f->name,
			DM_RANGE_ARG(f->range));
		break;
	case DMAMAP_FAULT_UNKNOWN:
		tell(f, "nothing is or was mapped there: a wrong address");
		break;
	}
}

void
dm_fault_tell(struct dmamap_fault *f)
{
	f->text[0] = '\0';
	tell(f, "device %s: the IOMMU blocked ", f->device);
	tell(f,
		f->access == DMAMAP_WRITE          ? "a write to"
			: f->access == DMAMAP_READ ? "a read of"
						   : "an access to");
	if (f->iovas.start == f->iovas.last)
		tell(f, " IOVA 0x%" PRIx64, f->iovas.start);
	else
		tell(f, " the page at IOVA 0x%" PRIx64, f->iovas.start);
	if (f->reason[0] != '\0')
		tell(f, " (%s)", f->reason);
	tell(f, ": container %s: ", f->container);
	tell_owner(f);
	if (f->detail[0] != '\0')
		tell(f, "; %s", f->detail);
	if (f->count > 1)
		tell(f, "; %" PRIu64 " faults of this device since the last line", f->count);
}

int
dmamap_fault_explain_sized(const char *dev, struct dmamap_range iovas, uint32_t access,
	struct dmamap_fault *out, size_t size)
{
	struct dmamap_fault fault = {.iovas = iovas, .access = access};
	int rc;

	if (dev == NULL || out == NULL || iovas.last < iovas.start ||
		(access != 0 && access != DMAMAP_READ && access != DMAMAP_WRITE))
		return -EINVAL;
	rc = dm_fault_resolve(dev, &fault);
	if (rc < 0)
		return rc;
	dm_fault_tell(&fault);
	return dm_copy_out(out, size, &fault, sizeof(fault));
}
