/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * The container of a device: the device is a client there, without hardware, whose buffers lie in
 * the container's zones.
 *
 * Devices that name the same container share it, and its packet buffers. A device stays attached
 * while its port is closed, because the application may free the buffers only then. Called by
 * af_xdp_ethdev.c at probe and remove.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include <rte_string_fns.h>

#include "af_xdp.h"

/**
 * A device of this driver in a container. Its client holds a reference: the last one destroys the
 * container.
 */
struct member {
	TAILQ_ENTRY(member) next;
	char name[RTE_DEV_NAME_MAX_LEN];
	struct dmamap_client *client;
};

static TAILQ_HEAD(, member) members = TAILQ_HEAD_INITIALIZER(members);

/* Find or create a container. @return it, with a reference; NULL: it could not be created */
static struct dmamap_container *
container_get(const char *name)
{
	const struct dmamap_container_conf conf = {.name = name};
	struct dmamap_container *c = dmamap_container_by_name(name);

	if (c == NULL)
		dmamap_container_create(&conf, &c);
	return c;
}

int
af_xdp_container_join(const char *name, const char *container)
{
	struct dmamap_client_conf conf = {.name = name};
	struct member *member = calloc(1, sizeof(*member));
	struct dmamap_container *c = NULL;
	int rc = -ENOMEM;

	if (member != NULL)
		c = container_get(container);
	if (c != NULL)
		rc = dmamap_client_attach(c, &conf, &member->client);
	/* The client has a reference of its own. */
	dmamap_container_put(c);
	if (rc < 0) {
		AF_XDP_LOG(
			ERR, name, "cannot attach to container %s: %s", container, strerror(-rc));
		free(member);
		return rc;
	}
	rte_strscpy(member->name, name, sizeof(member->name));
	TAILQ_INSERT_TAIL(&members, member, next);
	return 0;
}

void
af_xdp_container_leave(const char *name)
{
	struct member *member;

	TAILQ_FOREACH(member, &members, next)
		if (strcmp(member->name, name) == 0)
			break;
	if (member == NULL)
		return;
	TAILQ_REMOVE(&members, member, next);
	dmamap_client_detach(member->client);
	free(member);
}
