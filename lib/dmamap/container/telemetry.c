/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Commands of the EAL's telemetry, /dmamap/...: containers, zones and memory of a running program.
 *
 * The EAL's telemetry thread calls these at any time. Each holds a reference to the container that
 * it reports, and its bookkeeping lock while it reads lists. No file of the library calls this one:
 * a build without the EAL omits it.
 */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_common.h>
#include <rte_telemetry.h>

#include "dm_container.h"
#include "dm_hugepage.h"
#include "gantry_dpdk.h"

/*
 * Registered before main(), which is harmless if the EAL is never started. A reply of DPDK 22.11
 * holds 16 KiB, a dictionary 256 entries. So zones and owners are limited, and zones are requested
 * by number.
 */

/** Zones or owners in one reply. */
#define SHOWN_MAX 40
/** Parts of an IOVA space in one reply: names may fill 128 bytes of each. */
#define PARTS_SHOWN 30
/** Faults in one reply. */
#define FAULTS_SHOWN 8

static const char *const kinds[] = {"hugetlb", "transparent", "base", "foreign"};
static const char *const placements[] = {"strict", "preferred", "interleave", "local"};
static const char *const backends[] = {"auto", "type1", "iommufd", "noiommu"};

/**
 * Add a dictionary to another, which frees it. @return it, empty; NULL: out of memory
 */
static struct rte_tel_data *
tel_add_dict(struct rte_tel_data *d, const char *name)
{
	struct rte_tel_data *inner = rte_tel_data_alloc();

	if (inner == NULL)
		return NULL;
	rte_tel_data_start_dict(inner);
	if (rte_tel_data_add_dict_container(d, name, inner, 0) == 0)
		return inner;
	rte_tel_data_free(inner);
	return NULL;
}

static struct rte_tel_data *
tel_add_numbered(struct rte_tel_data *d, unsigned int number)
{
	char name[16];

	snprintf(name, sizeof(name), "%u", number);
	return tel_add_dict(d, name);
}

static void
tel_add_address(struct rte_tel_data *d, const char *name, uint64_t address)
{
	char text[32];

	snprintf(text, sizeof(text), "0x%" PRIx64, address);
	rte_tel_data_add_dict_string(d, name, text);
}

static int
tel_add_name(struct dmamap_container *c, void *arg)
{
	rte_tel_data_add_array_string(arg, c->name);
	return 0;
}

static int
tel_containers(const char *cmd, const char *params, struct rte_tel_data *d)
{
	rte_tel_data_start_array(d, RTE_TEL_STRING_VAL);
	return dm_containers_walk(tel_add_name, d);
}

/** Add the devices of a container, each with its domain. */
static void
tel_add_devices(struct rte_tel_data *d, const struct dmamap_container *c)
{
	struct rte_tel_data *devices = tel_add_dict(d, "attached"), *one;
	const struct dmamap_device *dev;
	unsigned int n = 0;

	TAILQ_FOREACH(dev, &c->devices, next) {
		one = devices != NULL ? tel_add_numbered(devices, n++) : NULL;
		if (one == NULL)
			return;
		rte_tel_data_add_dict_string(one, "name", dev->name);
		rte_tel_data_add_dict_int(one, "group", dmamap_device_group(dev));
		rte_tel_data_add_dict_int(one, "domain", (int)dev->domain->dom->id);
		rte_tel_data_add_dict_int(one, "node", dmamap_device_node(dev));
	}
}

/** Add what only the lists of a container contain. */
static void
tel_add_lists(struct rte_tel_data *d, struct dmamap_container *c)
{
	const struct dmamap_zone *z;
	uint64_t zones = 0, zone_len = 0;

	dm_book_lock(c);
	LIST_FOREACH(z, &c->zones, next) {
		zones += z->ready;
		zone_len += z->ready ? dmamap_zone_len(z) : 0;
	}
	rte_tel_data_add_dict_uint(d, "zones", zones);
	rte_tel_data_add_dict_uint(d, "zone_bytes", zone_len);
	tel_add_devices(d, c);
	dm_book_unlock(c);
}

static int
tel_container(const char *cmd, const char *params, struct rte_tel_data *d)
{
	struct dmamap_container *c = dmamap_container_by_name(params);
	struct dmamap_container_info info;

	if (c == NULL)
		return -ENOENT;
	dmamap_container_info(c, &info);
	rte_tel_data_start_dict(d);
	rte_tel_data_add_dict_string(d, "name", params);
	rte_tel_data_add_dict_string(d, "backend", backends[info.backend]);
	rte_tel_data_add_dict_uint(d, "domains", info.n_domains);
	rte_tel_data_add_dict_uint(d, "groups", info.n_groups);
	rte_tel_data_add_dict_uint(d, "devices", info.n_devices);
	tel_add_address(d, "page_sizes", info.page_sizes);
	rte_tel_data_add_dict_uint(d, "mappings", info.n_mappings);
	rte_tel_data_add_dict_uint(d, "mapped_bytes", info.mapped_len);
	rte_tel_data_add_dict_uint(d, "reservation_bytes", info.reservation_len);
	rte_tel_data_add_dict_uint(d, "quarantined_bytes", info.quarantined_len);
	rte_tel_data_add_dict_uint(d, "entries_left", info.entries_left);
	rte_tel_data_add_dict_uint(d, "map_calls", info.map_calls);
	rte_tel_data_add_dict_uint(d, "unmap_calls", info.unmap_calls);
	rte_tel_data_add_dict_uint(d, "faults", info.faults);
	rte_tel_data_add_dict_string(d, "coherent", info.coherent ? "yes" : "no");
	tel_add_lists(d, c);
	dmamap_container_put(c);
	return 0;
}

struct zone_query {
	struct rte_tel_data *d;
	unsigned long first, at;
};

static void
tel_add_zone(struct rte_tel_data *d, const struct dmamap_zone *z)
{
	struct dmamap_zone_info info;
	struct rte_tel_data *nodes;
	unsigned int i;
	char name[16];

	dm_zone_describe(z, &info);
	rte_tel_data_add_dict_string(d, "name", info.name);
	rte_tel_data_add_dict_string(d, "container", z->c->name);
	rte_tel_data_add_dict_string(d, "owner", info.owner);
	rte_tel_data_add_dict_uint(d, "bytes", info.len);
	rte_tel_data_add_dict_uint(d, "page_size", info.page_size);
	rte_tel_data_add_dict_string(d, "kind", kinds[info.kind]);
	rte_tel_data_add_dict_string(d, "placement", placements[info.placement]);
	rte_tel_data_add_dict_string(d, "as_asked", info.as_asked ? "yes" : "no");
	tel_add_address(d, "va", (uintptr_t)dmamap_zone_va(z));
	tel_add_address(d, "iova", dmamap_zone_iova(z));
	nodes = tel_add_dict(d, "nodes");
	for (i = 0; i < info.n_nodes && nodes != NULL; i++) {
		snprintf(name, sizeof(name), info.nodes[i].node < 0 ? "unknown" : "%d",
			info.nodes[i].node);
		rte_tel_data_add_dict_uint(nodes, name, info.nodes[i].len);
	}
}

static int
tel_add_zones_of(struct dmamap_container *c, void *arg)
{
	struct zone_query *q = arg;
	const struct dmamap_zone *z;
	struct rte_tel_data *one;

	dm_book_lock(c);
	LIST_FOREACH(z, &c->zones, next) {
		if (!z->ready)
			continue;
		if (q->at >= q->first && q->at - q->first < SHOWN_MAX) {
			one = tel_add_numbered(q->d, q->at);
			if (one != NULL)
				tel_add_zone(one, z);
		}
		q->at++;
	}
	dm_book_unlock(c);
	return 0;
}

static int
tel_zones(const char *cmd, const char *params, struct rte_tel_data *d)
{
	struct zone_query q = {.d = d, .first = params != NULL ? strtoul(params, NULL, 10) : 0};

	rte_tel_data_start_dict(d);
	dm_containers_walk(tel_add_zones_of, &q);
	rte_tel_data_add_dict_uint(d, "total", q.at);
	return 0;
}

/** Sums by key and node, for one reply. */
struct sums {
	unsigned int n;
	struct {
		char key[DMAMAP_NAME_MAX + 48];
		int node;
		uint64_t len;
	} of[SHOWN_MAX];
	uint64_t zones, foreign, rest;
};

static void
sums_add(struct sums *s, int node, const char *key, uint64_t len)
{
	unsigned int i;

	for (i = 0; i < s->n; i++)
		if (s->of[i].node == node && strcmp(s->of[i].key, key) == 0)
			break;
	if (i == RTE_DIM(s->of)) {
		s->rest += len;
		return;
	}
	if (i == s->n) {
		s->n++;
		s->of[i].node = node;
		snprintf(s->of[i].key, sizeof(s->of[i].key), "%s", key);
	}
	s->of[i].len += len;
}

static int
sums_by_node(const struct dmamap_memory *m, void *arg)
{
	char size[DM_HUGEPAGE_STR_MAX], key[64], *blank;
	struct sums *s = arg;

	if (m->kind == DMAMAP_PAGES_FOREIGN) {
		s->foreign += m->len;
		sums_add(s, INT32_MAX, m->zone, m->len);
		return 0;
	}
	s->zones += m->len;
	/* A name in a dictionary must not have blanks: hugetlb_2MiB. */
	dm_hugepage_size_str(m->page_size, size);
	blank = strchr(size, ' ');
	memmove(blank, blank + 1, strlen(blank));
	snprintf(key, sizeof(key), "%s_%s", kinds[m->kind], size);
	sums_add(s, m->node, key, m->len);
	return 0;
}

static int
tel_memory(const char *cmd, const char *params, struct rte_tel_data *d)
{
	struct sums *s = calloc(1, sizeof(*s));
	struct rte_tel_data *inner;
	unsigned int i, j;
	char name[16];

	if (s == NULL)
		return -ENOMEM;
	rte_tel_data_start_dict(d);
	dmamap_memory_walk(sums_by_node, s);
	rte_tel_data_add_dict_uint(d, "zone_bytes", s->zones);
	rte_tel_data_add_dict_uint(d, "foreign_bytes", s->foreign);
	for (i = 0; i < s->n; i++) {
		for (j = 0; j < i && s->of[j].node != s->of[i].node;)
			j++;
		if (j < i)
			continue;
		snprintf(name, sizeof(name),
			s->of[i].node == INT32_MAX  ? "foreign"
				: s->of[i].node < 0 ? "node_unknown"
						    : "node%d",
			s->of[i].node);
		inner = tel_add_dict(d, name);
		for (; j < s->n && inner != NULL; j++)
			if (s->of[j].node == s->of[i].node)
				rte_tel_data_add_dict_uint(inner, s->of[j].key, s->of[j].len);
	}
	free(s);
	return 0;
}

static int
sums_by_owner(const struct dmamap_memory *m, void *arg)
{
	sums_add(arg, 0, m->owner, m->len);
	return 0;
}

static int
tel_owners(const char *cmd, const char *params, struct rte_tel_data *d)
{
	struct sums *s = calloc(1, sizeof(*s));
	struct rte_tel_data *one;
	unsigned int i;

	if (s == NULL)
		return -ENOMEM;
	rte_tel_data_start_dict(d);
	dmamap_memory_walk(sums_by_owner, s);
	for (i = 0; i < s->n; i++) {
		one = tel_add_numbered(d, i);
		if (one == NULL)
			break;
		rte_tel_data_add_dict_string(one, "owner", s->of[i].key);
		rte_tel_data_add_dict_uint(one, "bytes", s->of[i].len);
	}
	/* Bytes of the owners that did not fit into the reply. */
	if (s->rest > 0)
		rte_tel_data_add_dict_uint(d, "rest", s->rest);
	free(s);
	return 0;
}

/** Names of enum dmamap_fault_kind. */
static const char *const fault_kinds[] = {
	"unknown", "past", "denied", "live", "changing", "quarantined", "reserved", "beside"};

/** Add a fault in parts: a string in a dictionary has 127 characters at most. */
static void
tel_add_fault(struct rte_tel_data *d, const struct dmamap_fault *f)
{
	rte_tel_data_add_dict_string(d, "device", f->device);
	rte_tel_data_add_dict_string(d, "container", f->container);
	tel_add_address(d, "iova", f->iovas.start);
	rte_tel_data_add_dict_string(d, "access",
		f->access == DMAMAP_WRITE          ? "write"
			: f->access == DMAMAP_READ ? "read"
						   : "unknown");
	rte_tel_data_add_dict_string(d, "kind", fault_kinds[f->kind]);
	rte_tel_data_add_dict_string(d, "name", f->name);
	tel_add_address(d, "start", f->range.start);
	tel_add_address(d, "last", f->range.last);
	if (f->kind == DMAMAP_FAULT_PAST) {
		rte_tel_data_add_dict_uint(d, "unmapped_ms_before", f->ago_ns / 1000000);
		rte_tel_data_add_dict_uint(d, "thread", f->thread);
		rte_tel_data_add_dict_string(d, "thread_name", f->thread_name);
	}
	rte_tel_data_add_dict_uint(d, "count", f->count);
	rte_tel_data_add_dict_string(d, "detail", f->detail);
}

static int
tel_faults(const char *cmd, const char *params, struct rte_tel_data *d)
{
	struct dmamap_fault *latest = calloc(FAULTS_SHOWN, sizeof(*latest));
	struct dmamap_fault_counts counts;
	struct rte_tel_data *all, *one;
	unsigned int i, n;

	if (latest == NULL)
		return -ENOMEM;
	dmamap_fault_counts(&counts);
	rte_tel_data_start_dict(d);
	rte_tel_data_add_dict_uint(d, "faults", counts.faults);
	rte_tel_data_add_dict_uint(d, "lines", counts.lines);
	rte_tel_data_add_dict_uint(d, "suppressed", counts.suppressed);
	rte_tel_data_add_dict_uint(d, "lost", counts.lost);
	all = tel_add_dict(d, "latest");
	n = dmamap_faults(latest, FAULTS_SHOWN);
	for (i = 0; i < n && all != NULL; i++) {
		one = tel_add_numbered(all, i);
		if (one != NULL)
			tel_add_fault(one, &latest[i]);
	}
	free(latest);
	return 0;
}

/** Parameters: a device and an address, as "0000:01:00.0,0x1000". */
static int
tel_explain(const char *cmd, const char *params, struct rte_tel_data *d)
{
	const char *comma = params != NULL ? strchr(params, ',') : NULL;
	char dev[DMAMAP_NAME_MAX], *end = NULL;
	struct dmamap_fault fault;
	uint64_t iova;
	int rc;

	if (comma == NULL || (size_t)(comma - params) >= sizeof(dev))
		return -EINVAL;
	snprintf(dev, sizeof(dev), "%.*s", (int)(comma - params), params);
	iova = strtoull(comma + 1, &end, 0);
	if (end == comma + 1 || *end != '\0')
		return -EINVAL;
	rc = dmamap_fault_explain(dev, (struct dmamap_range){iova, iova}, 0, &fault);
	if (rc < 0)
		return rc;
	return rte_tel_data_string(d, fault.text);
}

/** Add what was refused, by call and reason; what never was is left out. */
static void
tel_add_refused(struct rte_tel_data *d, const struct dm_counters *counters)
{
	struct rte_tel_data *refused = tel_add_dict(d, "refused"), *one;
	unsigned int op, i;
	uint64_t n;

	for (op = 0; op < DM_OP_COUNT && refused != NULL; op++) {
		one = tel_add_dict(refused, dm_op_name(op));
		for (i = 0; i < DM_REASONS && one != NULL; i++) {
			n = __atomic_load_n(&counters->refused[op][i], __ATOMIC_RELAXED);
			if (n > 0)
				rte_tel_data_add_dict_uint(one, dm_reason_name(i), n);
		}
	}
}

static void
tel_add_histogram(struct rte_tel_data *d, const struct dm_histogram *h)
{
	struct rte_tel_data *buckets = rte_tel_data_alloc();
	unsigned int i;

	rte_tel_data_add_dict_uint(d, "sum_ns", __atomic_load_n(&h->sum_ns, __ATOMIC_RELAXED));
	if (buckets == NULL)
		return;
	rte_tel_data_start_array(buckets, RTE_TEL_UINT_VAL);
	for (i = 0; i < DM_TIME_BUCKETS; i++)
		rte_tel_data_add_array_uint(
			buckets, __atomic_load_n(&h->bucket[i], __ATOMIC_RELAXED));
	if (rte_tel_data_add_dict_container(d, "buckets", buckets, 0) < 0)
		rte_tel_data_free(buckets);
}

/** Parameter: a container. Bucket i counts what took at most `first_ns` * 2^i; the last, all else.
 */
static int
tel_counters(const char *cmd, const char *params, struct rte_tel_data *d)
{
	struct dmamap_container *c = dmamap_container_by_name(params);
	struct rte_tel_data *times, *one;
	unsigned int i;

	if (c == NULL)
		return -ENOENT;
	rte_tel_data_start_dict(d);
	tel_add_refused(d, &c->counters);
	rte_tel_data_add_dict_uint(d, "first_ns", UINT64_C(1) << DM_TIME_FIRST);
	times = tel_add_dict(d, "times");
	for (i = 0; i < DM_TIME_COUNT && times != NULL; i++) {
		one = tel_add_dict(times, dm_timed_name(i));
		if (one != NULL)
			tel_add_histogram(one, &c->counters.time[i]);
	}
	dmamap_container_put(c);
	return 0;
}

/** Names of enum dmamap_space_kind. */
static const char *const space_kinds[] = {"free", "outside", "reserved", "reservation",
	"quarantine", "zone", "mapping", "registration"};

struct space_query {
	struct rte_tel_data *d;
	unsigned int n;
};

static int
tel_add_part(const struct dmamap_space *part, void *arg)
{
	struct space_query *q = arg;
	struct rte_tel_data *one;

	if (q->n == PARTS_SHOWN) {
		tel_add_address(q->d, "next", part->range.start);
		return 1;
	}
	one = tel_add_numbered(q->d, q->n++);
	if (one == NULL)
		return -ENOMEM;
	tel_add_address(one, "start", part->range.start);
	tel_add_address(one, "last", part->range.last);
	rte_tel_data_add_dict_string(one, "kind", space_kinds[part->kind]);
	if (part->name[0] != '\0')
		rte_tel_data_add_dict_string(one, "name", part->name);
	if (part->owner[0] != '\0')
		rte_tel_data_add_dict_string(one, "owner", part->owner);
	if (part->n > 0)
		rte_tel_data_add_dict_uint(one, "mappings", part->n);
	if (part->kind == DMAMAP_SPACE_ZONE) {
		rte_tel_data_add_dict_uint(one, "page_size", part->page_size);
		rte_tel_data_add_dict_int(one, "node", part->node);
	}
	return 0;
}

/** Parameters: a container, and where to begin, as "name,0x1000". The answer's "next" goes on. */
static int
tel_space(const char *cmd, const char *params, struct rte_tel_data *d)
{
	const char *comma = params != NULL ? strchr(params, ',') : NULL;
	struct space_query q = {.d = d};
	struct dmamap_container *c;
	char name[DMAMAP_NAME_MAX];
	int rc;

	if (comma == NULL || (size_t)(comma - params) >= sizeof(name))
		return -EINVAL;
	snprintf(name, sizeof(name), "%.*s", (int)(comma - params), params);
	c = dmamap_container_by_name(name);
	if (c == NULL)
		return -ENOENT;
	rte_tel_data_start_dict(d);
	rc = dm_space_walk_some(c, strtoull(comma + 1, NULL, 0), PARTS_SHOWN + 1, tel_add_part, &q);
	dmamap_container_put(c);
	return rc < 0 ? rc : 0;
}

RTE_INIT(dm_telemetry_init)
{
	rte_telemetry_register_cmd(
		"/dmamap/containers", tel_containers, "Names of the containers. No parameters");
	rte_telemetry_register_cmd("/dmamap/container", tel_container,
		"A container: domains, devices, mappings. Parameter: its name");
	rte_telemetry_register_cmd("/dmamap/memory", tel_memory,
		"Bytes by NUMA node, kind and size of pages. No parameters");
	rte_telemetry_register_cmd("/dmamap/owners", tel_owners, "Bytes by owner. No parameters");
	rte_telemetry_register_cmd("/dmamap/zones", tel_zones,
		"Zones, 40 at a time. Parameter: number of the first, or none");
	rte_telemetry_register_cmd("/dmamap/space", tel_space,
		"What is where in an IOVA space, 30 parts at a time. Parameters: container, IOVA to "
		"begin at");
	rte_telemetry_register_cmd("/dmamap/counters", tel_counters,
		"Refusals by reason, and latencies as histograms. Parameter: a container");
	rte_telemetry_register_cmd("/dmamap/faults", tel_faults,
		"Accesses that an IOMMU blocked, and the latest lines. No parameters");
	rte_telemetry_register_cmd("/dmamap/explain", tel_explain,
		"What is or was at an address. Parameters: device, IOVA");
}
