/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Makes single devices look as if behind an IOMMU with other properties, for tests of how the
 * kernel and Gantry treat them (separate domains, conflicts, replays). QEMU emulates one IOMMU,
 * whose devices are all alike. devtools/vm/kernel-change includes this file in Debian's
 * drivers/iommu/iommu.c, which calls these functions.
 *
 * Module parameters:
 *
 * - iommu.alter: DEVICE[,KEY=HEX...], devices separated by ';'. Each device is as if behind an
 *   IOMMU of its own, so it shares no domain, and must be alone in its group. Keys: first, last
 *   (aperture), pages (bit mask of page sizes), reserve and reserve_last (a reserved range),
 *   incoherent=1 (no-snoop cannot be forbidden).
 * - iommu.fail_map: n. The n-th map from now into a domain of VFIO or iommufd fails with ENOMEM.
 *
 * Invariant: only domains of VFIO and iommufd are changed (IOMMU_DOMAIN_UNMANAGED).
 */

struct alteration {
	bool there;
	bool incoherent;
	u64 first, last;
	u64 pages;
	u64 reserve, reserve_last;
};

static char *alter;
module_param(alter, charp, 0644);
static unsigned int fail_map;
module_param(fail_map, uint, 0644);

static u64
alter_value(const char *entry, const char *key, u64 otherwise)
{
	const char *at = strnstr(entry, key, strcspn(entry, ";"));

	return at ? simple_strtoull(at + strlen(key), NULL, 16) : otherwise;
}

static struct alteration
alteration_of(struct device *dev)
{
	struct alteration a = {};
	const char *entry;

	kernel_param_lock(THIS_MODULE);
	entry = alter ? strstr(alter, dev_name(dev)) : NULL;
	if (entry) {
		a.there = true;
		a.first = alter_value(entry, ",first=", 0);
		a.last = alter_value(entry, ",last=", U64_MAX);
		a.pages = alter_value(entry, ",pages=", U64_MAX);
		a.reserve = alter_value(entry, ",reserve=", U64_MAX);
		a.reserve_last = alter_value(entry, ",reserve_last=", 0);
		a.incoherent = alter_value(entry, ",incoherent=", 0);
	}
	kernel_param_unlock(THIS_MODULE);
	return a;
}

static bool
alter_applies(struct iommu_domain *domain)
{
	return domain->type == IOMMU_DOMAIN_UNMANAGED;
}

/* Called before an attach. Devices behind different IOMMUs cannot share a domain. */
static int
alter_check(struct iommu_domain *domain, struct device *dev)
{
	struct device *first = domain->first_dev;

	if (!alter_applies(domain) || !first || first == dev)
		return 0;
	return alteration_of(first).there || alteration_of(dev).there ? -EINVAL : 0;
}

/* Called after an attach, when the driver has set the properties of the domain. */
static void
alter_domain(struct iommu_domain *domain, struct device *dev)
{
	static struct iommu_domain_ops altered_ops[2];
	struct alteration a;

	if (!alter_applies(domain))
		return;
	if (!domain->first_dev)
		domain->first_dev = dev;
	a = alteration_of(dev);
	if (!a.there)
		return;
	/* May exceed the real aperture: tests compare it, and do not access memory through it. */
	if (a.first)
		domain->geometry.aperture_start = a.first;
	if (a.last != U64_MAX)
		domain->geometry.aperture_end = a.last;
	domain->pgsize_bitmap &= a.pages;
	/* type1 shares domains only between groups with the same ops, so use other ops. */
	altered_ops[a.incoherent] = *domain->ops;
	if (a.incoherent)
		altered_ops[a.incoherent].enforce_cache_coherency = NULL;
	domain->ops = &altered_ops[a.incoherent];
}

static void
alter_reserve(struct device *dev, struct list_head *list)
{
	struct alteration a = alteration_of(dev);
	struct iommu_resv_region *region;

	if (!a.there || a.reserve > a.reserve_last)
		return;
	region = iommu_alloc_resv_region(
		a.reserve, a.reserve_last - a.reserve + 1, 0, IOMMU_RESV_RESERVED, GFP_KERNEL);
	if (region)
		list_add_tail(&region->list, list);
}

static bool
alter_lacks(struct device *dev, enum iommu_cap cap)
{
	return cap == IOMMU_CAP_ENFORCE_CACHE_COHERENCY && alteration_of(dev).incoherent;
}

static bool
alter_fails_map(struct iommu_domain *domain)
{
	return alter_applies(domain) && fail_map && --fail_map == 0;
}
