/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * What did the operator ask for? Arguments of a device, in both of DPDK's syntaxes.
 */

#include <errno.h>
#include <string.h>

#include <rte_common.h>
#include <rte_errno.h>
#include <rte_kvargs.h>
#include <rte_string_fns.h>
#include <rte_uuid.h>

#include "vfio_pci_private.h"

#define PARAMS_KNOWN "container, isolate, backend, eal_memory, vf_token, driver"

/** One key of the bus: read its value into the parameters, -EINVAL if it is none. */
struct param {
	const char *key;
	const char *wanted; /**< for the message */
	int (*set)(struct vfio_pci_params *params, const char *value);
};

static int
set_container(struct vfio_pci_params *params, const char *value)
{
	if (value[0] == '\0' || rte_strscpy(params->container, value, DMAMAP_NAME_MAX) < 0)
		return -EINVAL;
	return 0;
}

static int
set_switch(int *which, const char *value)
{
	if ((value[0] != '0' && value[0] != '1') || value[1] != '\0')
		return -EINVAL;
	*which = value[0] - '0';
	return 0;
}

static int
set_isolate(struct vfio_pci_params *params, const char *value)
{
	return set_switch(&params->isolate, value);
}

static int
set_eal_memory(struct vfio_pci_params *params, const char *value)
{
	return set_switch(&params->eal_memory, value);
}

static int
set_backend(struct vfio_pci_params *params, const char *value)
{
	static const struct {
		const char *name;
		enum dmamap_backend backend;
	} backends[] = {
		{"auto", DMAMAP_BACKEND_AUTO},
		{"type1", DMAMAP_BACKEND_TYPE1},
		{"iommufd", DMAMAP_BACKEND_IOMMUFD},
		{"noiommu", DMAMAP_BACKEND_NOIOMMU},
	};
	unsigned int i;

	for (i = 0; i < RTE_DIM(backends); i++)
		if (strcmp(value, backends[i].name) == 0) {
			params->backend = backends[i].backend;
			return 0;
		}
	return -EINVAL;
}

static int
set_vf_token(struct vfio_pci_params *params, const char *value)
{
	rte_uuid_t uuid;

	if (rte_uuid_parse(value, uuid) < 0)
		return -EINVAL;
	rte_uuid_unparse(uuid, params->vf_token, sizeof(params->vf_token));
	return 0;
}

static int
set_driver(struct vfio_pci_params *params, const char *value)
{
	if (value[0] == '\0' || rte_strscpy(params->driver, value, sizeof(params->driver)) < 0)
		return -EINVAL;
	return 0;
}

static const struct param bus_params[] = {
	{"container", "a name of 1 to 63 characters", set_container},
	{"isolate", "0 or 1", set_isolate},
	{"backend", "auto, type1, iommufd or noiommu", set_backend},
	{"eal_memory", "0 or 1", set_eal_memory},
	{"vf_token", "a UUID", set_vf_token},
	{"driver", "the name of a driver", set_driver},
};

/** The keys by which the layered syntax names bus and device; they are no parameters. */
static const char *const layer_keys[] = {"bus", "addr", NULL};

static bool
key_in(const char *key, const char *const *keys)
{
	for (; keys != NULL && *keys != NULL; keys++)
		if (strcmp(key, *keys) == 0)
			return true;
	return false;
}

static bool
key_repeated(const struct rte_kvargs *kv, unsigned int i)
{
	unsigned int j;

	for (j = 0; j < i; j++)
		if (strcmp(kv->pairs[j].key, kv->pairs[i].key) == 0)
			return true;
	return false;
}

/** Take one pair in: the bus's own key, or one that somebody else understands. */
static int
take_pair(const char *name, const struct rte_kvargs_pair *pair, const char *const *others,
	struct vfio_pci_params *params)
{
	const char *value = pair->value != NULL ? pair->value : "";
	unsigned int i;

	for (i = 0; i < RTE_DIM(bus_params); i++) {
		if (strcmp(pair->key, bus_params[i].key) != 0)
			continue;
		if (bus_params[i].set(params, value) == 0)
			return 0;
		return VFIO_PCI_FAIL(EINVAL, "%s: %s=%s makes no sense; it takes %s", name,
			pair->key, value, bus_params[i].wanted);
	}
	if (key_in(pair->key, others))
		return 0;
	return VFIO_PCI_FAIL(EINVAL,
		"%s: neither bus nor driver knows the argument \"%s\"; the bus has " PARAMS_KNOWN,
		name, pair->key);
}

/** Take a list of key=value pairs in; keys of others are passed over. */
static int
take_list(const char *name, const char *list, const char *const *others,
	struct vfio_pci_params *params)
{
	struct rte_kvargs *kv;
	unsigned int i;
	int rc = 0;

	if (list == NULL || list[0] == '\0')
		return 0;
	kv = rte_kvargs_parse(list, NULL);
	if (kv == NULL)
		return VFIO_PCI_FAIL(EINVAL, "%s: \"%s\" is no list of key=value,...", name, list);
	for (i = 0; i < kv->count && rc == 0; i++) {
		if (key_repeated(kv, i))
			rc = VFIO_PCI_FAIL(EINVAL, "%s: the argument \"%s\" is given twice", name,
				kv->pairs[i].key);
		else
			rc = take_pair(name, &kv->pairs[i], others, params);
	}
	rte_kvargs_free(kv);
	return rc;
}

static void
set_defaults(struct vfio_pci_params *params)
{
	*params = (struct vfio_pci_params){.container = "default", .isolate = -1, .eal_memory = -1};
}

int
vfio_pci_params_parse(const struct rte_devargs *da, const char *const *driver_keys,
	struct vfio_pci_params *params)
{
	struct vfio_pci_params parsed;
	int rc;

	set_defaults(&parsed);
	if (da->bus_str != NULL) {
		rc = take_list(da->name, da->bus_str, layer_keys, &parsed);
		if (rc == 0)
			rc = take_list(da->name, da->drv_str, driver_keys, &parsed);
	} else {
		rc = take_list(da->name, da->args, driver_keys, &parsed);
	}
	if (rc == 0)
		*params = parsed;
	return rc;
}

static bool
peek_list(const char *list, const char *key, char *value)
{
	struct rte_kvargs *kv;
	const char *found;

	kv = list != NULL ? rte_kvargs_parse(list, NULL) : NULL;
	if (kv == NULL)
		return false;
	found = rte_kvargs_get(kv, key);
	if (found != NULL)
		strlcpy(value, found, VFIO_PCI_VALUE_MAX);
	rte_kvargs_free(kv);
	return found != NULL;
}

void
vfio_pci_params_peek(const struct rte_devargs *da, const char *key, char value[VFIO_PCI_VALUE_MAX])
{
	value[0] = '\0';
	if (da->bus_str == NULL)
		peek_list(da->args, key, value);
	else if (!peek_list(da->bus_str, key, value))
		peek_list(da->drv_str, key, value);
}

/**
 * The layered syntax is the only one whose arguments the EAL shows to a bus while it still can
 * refuse to start; so all that can be checked without a driver is checked here.
 */
int
vfio_pci_devargs_parse(struct rte_devargs *da)
{
	struct vfio_pci_params params;
	struct rte_pci_addr addr;
	char text[VFIO_PCI_VALUE_MAX];
	int rc = 0;

	if (da->bus_str == NULL)
		return 0;
	set_defaults(&params);
	vfio_pci_params_peek(da, "addr", text);
	if (text[0] != '\0') {
		if (vfio_pci_parse_name(text, true, &addr) < 0)
			rc = VFIO_PCI_FAIL(EINVAL,
				"addr=%s is no PCI address; one looks like 0000:01:00.0", text);
		else
			rte_pci_device_name(&addr, da->name, sizeof(da->name));
	}
	if (rc == 0)
		rc = take_list(
			text[0] != '\0' ? da->name : "device", da->bus_str, layer_keys, &params);
	if (rc < 0)
		rte_errno = -rc;
	return rc;
}

/** Does a device fit a filter? 0: yes. */
static int
device_cmp(const struct rte_device *device, const void *data)
{
	const struct vfio_pci_device *dev = VFIO_PCI_DEVICE_CONST(device);
	const struct rte_kvargs *kv = data;
	const char *text;
	struct rte_pci_addr addr;

	if (kv == NULL)
		return 0;
	text = rte_kvargs_get(kv, "addr");
	if (text != NULL &&
		(vfio_pci_parse_name(text, true, &addr) < 0 ||
			rte_pci_addr_cmp(&addr, &dev->addr) != 0))
		return 1;
	text = rte_kvargs_get(kv, "container");
	if (text != NULL &&
		(dev->container == NULL ||
			strcmp(text, dmamap_container_name(dev->container)) != 0))
		return 1;
	return 0;
}

void *
vfio_pci_dev_iterate(const void *start, const char *str, const struct rte_dev_iterator *it)
{
	static const char *const keys[] = {"addr", "container", NULL};
	struct rte_kvargs *kv = NULL;
	struct rte_device *found;

	RTE_SET_USED(it);
	if (str != NULL) {
		kv = rte_kvargs_parse(str, keys);
		if (kv == NULL) {
			VFIO_PCI_LOG(ERR,
				"filter \"%s\" makes no sense; it takes addr and container", str);
			rte_errno = EINVAL;
			return NULL;
		}
	}
	found = vfio_pci_bus.bus.find_device(start, device_cmp, kv);
	rte_kvargs_free(kv);
	return found;
}
