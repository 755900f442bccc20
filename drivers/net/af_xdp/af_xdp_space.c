/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * In which container does a device live? It is a client there: a device without hardware, whose
 * buffers lie in the container's zones. Devices that name the same container share it, and with it
 * their packet buffers. A device stays in its container when its port is closed, for only then may
 * an application free the buffers.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include <rte_string_fns.h>

#include "af_xdp.h"

/** A container with devices of this driver in it. */
struct space {
	TAILQ_ENTRY(space) next;
	struct dmamap_container *container;
	bool made; /**< by the driver, which destroys it with its last device */
	unsigned int n_members;
};

/** A device in it. */
struct member {
	TAILQ_ENTRY(member) next;
	char name[RTE_DEV_NAME_MAX_LEN];
	struct space *space;
	struct dmamap_client *client;
};

static TAILQ_HEAD(, space) spaces = TAILQ_HEAD_INITIALIZER(spaces);
static TAILQ_HEAD(, member) members = TAILQ_HEAD_INITIALIZER(members);

/* Find the space of a container, or make both. Without devices it goes with space_put(). */
static struct space *
space_get(const char *name)
{
	struct dmamap_container_conf conf = {.name = name};
	struct dmamap_container *c = dmamap_container_by_name(name);
	struct space *space;

	TAILQ_FOREACH(space, &spaces, next)
		if (space->container == c)
			return space;
	space = calloc(1, sizeof(*space));
	if (space == NULL)
		return NULL;
	space->made = c == NULL;
	if (space->made && dmamap_container_create(&conf, &c) < 0) {
		free(space);
		return NULL;
	}
	space->container = c;
	TAILQ_INSERT_TAIL(&spaces, space, next);
	return space;
}

static void
space_put(struct space *space)
{
	struct dmamap_container_info info;

	if (space->n_members > 0)
		return;
	TAILQ_REMOVE(&spaces, space, next);
	/* A device of another bus may have come: then the container stays as long as the process.
	 */
	if (space->made && dmamap_container_info(space->container, &info) == 0 &&
		info.n_devices == 0)
		dmamap_container_destroy(space->container);
	free(space);
}

int
af_xdp_space_join(const char *name, const char *container)
{
	struct dmamap_client_conf conf = {.name = name};
	struct member *member = calloc(1, sizeof(*member));
	struct space *space = member != NULL ? space_get(container) : NULL;
	int rc = -ENOMEM;

	if (space == NULL)
		goto fail;
	rc = dmamap_client_attach(space->container, &conf, &member->client);
	if (rc < 0) {
		space_put(space);
		goto fail;
	}
	rte_strscpy(member->name, name, sizeof(member->name));
	member->space = space;
	space->n_members++;
	TAILQ_INSERT_TAIL(&members, member, next);
	return 0;

fail:
	AF_XDP_LOG(ERR, name, "container %s cannot be had: %s", container, strerror(-rc));
	free(member);
	return rc;
}

void
af_xdp_space_leave(const char *name)
{
	struct member *member;

	TAILQ_FOREACH(member, &members, next)
		if (strcmp(member->name, name) == 0)
			break;
	if (member == NULL)
		return;
	TAILQ_REMOVE(&members, member, next);
	dmamap_client_detach(member->client);
	member->space->n_members--;
	space_put(member->space);
	free(member);
}
