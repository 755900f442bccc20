/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * List of the groups that this process has open, or of which it has a device open. Under
 * front_tree, except front_group_free(). Called by front.c and front_container.c.
 */

#include <stdlib.h>

#include "front_priv.h"

static struct front_group_list groups = LIST_HEAD_INITIALIZER(groups);

struct front_group *
front_group_new(int number)
{
	struct front_group *g = calloc(1, sizeof(*g));

	if (g == NULL)
		return NULL;
	g->token = front_token_new(NULL, g);
	if (g->token < 0) {
		free(g);
		return NULL;
	}
	g->number = number;
	g->in = FRONT_NOWHERE;
	LIST_INSERT_HEAD(&groups, g, next);
	return g;
}

struct front_group *
front_group_find(int number)
{
	struct front_group *g;

	LIST_FOREACH(g, &groups, next)
		if (number >= 0 && g->number == number)
			return g;
	return NULL;
}

void
front_group_drop(struct front_group *g)
{
	front_token_free(g->token);
	LIST_REMOVE(g, next);
	free(g);
}

void
front_group_free(struct front_group *g)
{
	pthread_mutex_lock(&front_tree);
	front_group_drop(g);
	pthread_mutex_unlock(&front_tree);
}
