/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * What an event tells: the members of maps, unmaps and attaches, as <linux/vfio.h> and
 * <linux/iommufd.h> lay them out. Called by follow.c.
 */

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "trace.h"

/** Where members of an ioctl's structure are, in bytes; 0: it has no such member. */
struct layout {
	uint32_t request;
	uint8_t iova, length, memory; /**< of 8 bytes each */
	uint8_t id; /**< of 4 bytes */
	const char *id_name;
};

static const struct layout layouts[] = {
	{0x3b71, 16, 24, 8, 0, NULL}, /* VFIO_IOMMU_MAP_DMA */
	{0x3b72, 8, 16, 0, 0, NULL}, /* VFIO_IOMMU_UNMAP_DMA */
	{0x3b76 | TRACE_WIRE_DEVICE, 0, 0, 0, 8, "iommufd"}, /* VFIO_DEVICE_BIND_IOMMUFD */
	{0x3b77 | TRACE_WIRE_DEVICE, 0, 0, 0, 8, "ioas"}, /* VFIO_DEVICE_ATTACH_IOMMUFD_PT */
	{0x3b80, 0, 0, 0, 4, "object"}, /* IOMMU_DESTROY */
	{0x3b81, 0, 0, 0, 8, "ioas"}, /* IOMMU_IOAS_ALLOC */
	{0x3b85, 32, 24, 16, 8, "ioas"}, /* IOMMU_IOAS_MAP */
	{0x3b86, 8, 16, 0, 4, "ioas"}, /* IOMMU_IOAS_UNMAP */
};

static const char *const kinds[] = {
	[TRACE_WIRE_IOCTL] = "ioctl",
	[TRACE_WIRE_IOMMU_MAP] = "iommu map",
	[TRACE_WIRE_IOMMU_UNMAP] = "iommu unmap",
	[TRACE_WIRE_ATTACH] = "attach",
	[TRACE_WIRE_FAULT] = "fault",
};

static uint64_t
member(const struct trace_wire_event *e, unsigned int at, size_t size)
{
	uint64_t value = 0;

	memcpy(&value, e->bytes + at, size);
	return value;
}

static const struct layout *
layout_find(const struct trace_wire_event *e)
{
	size_t i;

	for (i = 0; e->has_bytes && i < sizeof(layouts) / sizeof(layouts[0]); i++)
		if (layouts[i].request == e->request)
			return &layouts[i];
	return NULL;
}

static void
ioctl_put(const struct trace_wire_event *e, json_t *json)
{
	const struct layout *l = layout_find(e);

	info_put(json, "call", "%s", trace_ioctl_name(e->request));
	json_object_set_new(json, "descriptor", json_integer(e->fd));
	if (l != NULL && l->id != 0)
		info_put_int(json, l->id_name, member(e, l->id, 4));
	if (l != NULL && l->length != 0) {
		info_put(json, "iova", "0x%" PRIx64, member(e, l->iova, 8));
		info_put(json, "length", "0x%" PRIx64, member(e, l->length, 8));
	}
	if (l != NULL && l->memory != 0)
		info_put(json, "memory", "0x%" PRIx64, member(e, l->memory, 8));
	json_object_set_new(json, "result", json_integer(e->result));
	if (e->result < 0 && e->result > -4096) {
		const char *name = strerrorname_np((int)-e->result);

		info_put(json, "error", "%s", name != NULL ? name : "unknown");
	}
	info_put_int(json, "latency_ns", e->latency);
}

json_t *
trace_event_json(const struct trace_wire_event *e)
{
	json_t *json = json_object();

	info_put(json, "event", "%s", e->kind <= TRACE_WIRE_FAULT ? kinds[e->kind] : "unknown");
	info_put_int(json, "time_ns", e->time);
	if (e->tgid != 0) {
		info_put_int(json, "pid", e->tgid);
		info_put_int(json, "thread", e->tid);
	}
	if (e->kind == TRACE_WIRE_IOCTL)
		ioctl_put(e, json);
	if (e->kind == TRACE_WIRE_ATTACH || e->kind == TRACE_WIRE_FAULT)
		info_put(json, "device", "%.*s", TRACE_WIRE_NAME - 1, e->device);
	if (e->kind == TRACE_WIRE_FAULT || e->kind == TRACE_WIRE_IOMMU_MAP ||
		e->kind == TRACE_WIRE_IOMMU_UNMAP)
		info_put(json, "iova", "0x%" PRIx64, (uint64_t)e->iova);
	if (e->kind == TRACE_WIRE_FAULT)
		info_put_int(json, "flags", e->size);
	else if (e->kind == TRACE_WIRE_IOMMU_MAP || e->kind == TRACE_WIRE_IOMMU_UNMAP)
		info_put(json, "length", "0x%" PRIx64, (uint64_t)e->size);
	return json;
}

/** The members of the JSON in a row, so text and --json never differ. */
void
trace_event_text(const struct trace_wire_event *e, char *text, size_t size)
{
	json_t *json = trace_event_json(e), *value;
	const char *key, *call = json_string_value(json_object_get(json, "call"));
	size_t at;

	at = (size_t)snprintf(text, size, "%" PRIu64 ".%06" PRIu64, (uint64_t)e->time / 1000000000,
		(uint64_t)e->time / 1000 % 1000000);
	if (e->tgid != 0)
		at += (size_t)snprintf(text + at, size - at, " %u", e->tid);
	at += (size_t)snprintf(text + at, size - at, " %s",
		call != NULL ? call : json_string_value(json_object_get(json, "event")));
	json_object_foreach(json, key, value) {
		if (at >= size || strcmp(key, "event") == 0 || strcmp(key, "time_ns") == 0 ||
			strcmp(key, "pid") == 0 || strcmp(key, "thread") == 0 ||
			strcmp(key, "call") == 0)
			continue;
		if (json_is_string(value))
			at += (size_t)snprintf(
				text + at, size - at, ", %s %s", key, json_string_value(value));
		else
			at += (size_t)snprintf(text + at, size - at, ", %s %" JSON_INTEGER_FORMAT,
				key, json_integer_value(value));
	}
	json_decref(json);
}
