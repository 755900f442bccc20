/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * A device's name and arguments as the operator writes them, in both of DPDK's syntaxes.
 *
 * A value is either valid or refused with one log line; there are no partial results. Called by the
 * EAL when it parses its command line, and by the bus when it scans and probes.
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
#define BUS_PREFIX "vfio_pci:"

int
vfio_pci_parse_name(const char *name, bool bare, struct rte_pci_addr *addr)
{
	if (strncmp(name, BUS_PREFIX, strlen(BUS_PREFIX)) == 0)
		name += strlen(BUS_PREFIX);
	else if (!bare)
		return -EINVAL;
	/* rte_pci_addr_parse() accepts signs and blanks, as strtoul() does. */
	if (name[strspn(name, "0123456789abcdefABCDEF:.")] != '\0')
		return -EINVAL;
	if (rte_pci_addr_parse(name, addr) < 0)
		return -EINVAL;
	/* PCI Local Bus 3.0, 3.2.2.3.4: 32 devices a bus, 8 functions a device. */
	return addr->devid < 32 && addr->function < 8 ? 0 : -EINVAL;
}

/** A key of the bus. set() stores its value; -EINVAL: the value is not valid. */
struct param {
	const char *key;
	const char *expected; /**< for the message */
	int (*set)(struct vfio_pci_params *params, const char *value);
};

static int
param_set_container(struct vfio_pci_params *params, const char *value)
{
	if (value[0] == '\0' || rte_strscpy(params->container, value, DMAMAP_NAME_MAX) < 0)
		return -EINVAL;
	return 0;
}

static int
param_set_switch(int *which, const char *value)
{
	if ((value[0] != '0' && value[0] != '1') || value[1] != '\0')
		return -EINVAL;
	*which = value[0] - '0';
	return 0;
}

static int
param_set_isolate(struct vfio_pci_params *params, const char *value)
{
	return param_set_switch(&params->isolate, value);
}

static int
param_set_eal_memory(struct vfio_pci_params *params, const char *value)
{
	return param_set_switch(&params->eal_memory, value);
}

static int
param_set_backend(struct vfio_pci_params *params, const char *value)
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
param_set_vf_token(struct vfio_pci_params *params, const char *value)
{
	rte_uuid_t uuid;

	if (rte_uuid_parse(value, uuid) < 0)
		return -EINVAL;
	rte_uuid_unparse(uuid, params->vf_token, sizeof(params->vf_token));
	return 0;
}

static int
param_set_driver(struct vfio_pci_params *params, const char *value)
{
	if (value[0] == '\0' || rte_strscpy(params->driver, value, sizeof(params->driver)) < 0)
		return -EINVAL;
	return 0;
}

static const struct param bus_params[] = {
	{"container", "a name of 1 to 63 characters", param_set_container},
	{"isolate", "0 or 1", param_set_isolate},
	{"backend", "auto, type1, iommufd or noiommu", param_set_backend},
	{"eal_memory", "0 or 1", param_set_eal_memory},
	{"vf_token", "a UUID", param_set_vf_token},
	{"driver", "the name of a driver", param_set_driver},
};

/** The keys by which the layered syntax names bus and device. */
static const char *const layer_keys[] = {"bus", "addr", NULL};

static bool
key_listed(const char *key, const char *const *keys)
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

/** Read one pair: a key of the bus, or one of others, which is skipped. */
static int
params_read_pair(const char *name, const struct rte_kvargs_pair *pair, const char *const *others,
	struct vfio_pci_params *params)
{
	const char *value = pair->value != NULL ? pair->value : "";
	unsigned int i;

	for (i = 0; i < RTE_DIM(bus_params); i++) {
		if (strcmp(pair->key, bus_params[i].key) != 0)
			continue;
		if (bus_params[i].set(params, value) == 0)
			return 0;
		return VFIO_PCI_FAIL(EINVAL, "%s: invalid argument %s=%s: expected %s", name,
			pair->key, value, bus_params[i].expected);
	}
	if (key_listed(pair->key, others))
		return 0;
	return VFIO_PCI_FAIL(EINVAL,
		"%s: unknown argument \"%s\": the driver has none of this name, the bus "
		"has " PARAMS_KNOWN,
		name, pair->key);
}

/** Read a list of key=value pairs; keys of others are skipped. */
static int
params_read_list(const char *name, const char *list, const char *const *others,
	struct vfio_pci_params *params)
{
	struct rte_kvargs *kv;
	unsigned int i;
	int rc = 0;

	if (list == NULL || list[0] == '\0')
		return 0;
	kv = rte_kvargs_parse(list, NULL);
	if (kv == NULL)
		return VFIO_PCI_FAIL(EINVAL,
			"%s: arguments \"%s\" are not of the form key=value,...", name, list);
	for (i = 0; i < kv->count && rc == 0; i++) {
		if (key_repeated(kv, i))
			rc = VFIO_PCI_FAIL(EINVAL, "%s: the argument \"%s\" is given twice", name,
				kv->pairs[i].key);
		else
			rc = params_read_pair(name, &kv->pairs[i], others, params);
	}
	rte_kvargs_free(kv);
	return rc;
}

static void
params_set_defaults(struct vfio_pci_params *params)
{
	*params = (struct vfio_pci_params){.container = "default", .isolate = -1, .eal_memory = -1};
}

int
vfio_pci_params_parse(const struct rte_devargs *da, const char *const *driver_keys,
	struct vfio_pci_params *params)
{
	struct vfio_pci_params parsed;
	int rc;

	params_set_defaults(&parsed);
	if (da->bus_str != NULL) {
		rc = params_read_list(da->name, da->bus_str, layer_keys, &parsed);
		if (rc == 0)
			rc = params_read_list(da->name, da->drv_str, driver_keys, &parsed);
	} else {
		rc = params_read_list(da->name, da->args, driver_keys, &parsed);
	}
	if (rc == 0)
		*params = parsed;
	return rc;
}

static bool
params_peek_list(const char *list, const char *key, char *value)
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
		params_peek_list(da->args, key, value);
	else if (!params_peek_list(da->bus_str, key, value))
		params_peek_list(da->drv_str, key, value);
}

/**
 * The EAL passes only arguments in the layered syntax to a bus while it can still refuse to start.
 * So all that can be checked without a driver is checked here.
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
	params_set_defaults(&params);
	vfio_pci_params_peek(da, "addr", text);
	if (text[0] != '\0') {
		if (vfio_pci_parse_name(text, true, &addr) < 0)
			rc = VFIO_PCI_FAIL(EINVAL,
				"invalid argument addr=%s: expected a PCI address such as "
				"0000:01:00.0",
				text);
		else
			rte_pci_device_name(&addr, da->name, sizeof(da->name));
	}
	if (rc == 0)
		rc = params_read_list(
			text[0] != '\0' ? da->name : "device", da->bus_str, layer_keys, &params);
	if (rc < 0)
		rte_errno = -rc;
	return rc;
}
