/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * The arguments of a probed device, kept as they were when it was probed.
 *
 * rte_dev_probe() of a device that is plugged in already puts its new arguments into the EAL's list
 * before the bus is asked (lib/eal/common/eal_common_dev.c, local_dev_probe()). Nobody uses them,
 * so the scan puts the old ones back. Called by vfio_pci.c at probe and by vfio_pci_scan.c.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vfio_pci_private.h"

static size_t
text_size(const char *text)
{
	return text != NULL ? strlen(text) + 1 : 0;
}

static bool
text_is(const char *a, const char *b)
{
	return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

/** Append a copy of a text at *end. @return the copy, or NULL if there is no text */
static const char *
text_append(char **end, const char *text)
{
	char *copy = *end;

	if (text == NULL)
		return NULL;
	memcpy(copy, text, text_size(text));
	*end += text_size(text);
	return copy;
}

/**
 * Give devargs the arguments of others. Name and place in the EAL's list stay. `args` of the legacy
 * syntax shares its place with `drv_str`.
 */
static int
devargs_copy(struct rte_devargs *to, const struct rte_devargs *from)
{
	char *data, *end;

	data = malloc(
		text_size(from->bus_str) + text_size(from->cls_str) + text_size(from->drv_str) + 1);
	if (data == NULL)
		return -ENOMEM;
	end = data;
	free(to->data);
	to->bus_str = text_append(&end, from->bus_str);
	to->cls_str = text_append(&end, from->cls_str);
	to->drv_str = text_append(&end, from->drv_str);
	to->data = data;
	return 0;
}

int
vfio_pci_devargs_keep(struct vfio_pci_inner *inner)
{
	if (devargs_copy(&inner->probe_args, inner->dev.device.devargs) < 0)
		return VFIO_PCI_FAIL(ENOMEM, "%s: out of memory", inner->dev.name);
	return 0;
}

void
vfio_pci_devargs_restore(struct vfio_pci_inner *inner)
{
	const struct rte_devargs *saved = &inner->probe_args;
	struct rte_devargs *da = inner->dev.device.devargs;

	if (saved->data == NULL ||
		(text_is(da->bus_str, saved->bus_str) && text_is(da->cls_str, saved->cls_str) &&
			text_is(da->drv_str, saved->drv_str)))
		return;
	if (devargs_copy(da, saved) < 0)
		VFIO_PCI_LOG(ERR, "%s: out of memory: its arguments are replaced by new ones",
			inner->dev.name);
	else
		VFIO_PCI_LOG(WARNING,
			"%s: plugged in already, so the new arguments are not used: remove it "
			"first",
			inner->dev.name);
}

void
vfio_pci_devargs_forget(struct vfio_pci_inner *inner)
{
	free(inner->probe_args.data);
	inner->probe_args.data = NULL;
}
