/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * A program that closes the library ($1) while a thread that used it still runs. The thread has
 * destructors in the library, and the library may have threads of its own, so dlclose(3) must not
 * unmap its code.
 */

#include <dlfcn.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include <dmamap.h>

static pthread_barrier_t used, closed;
static void *library;
static bool worked;

/** Make a container, reserve IOVAs in it, destroy it. */
static bool
use_library(void)
{
	__typeof__(dmamap_container_create_sized) *create;
	__typeof__(dmamap_container_destroy) *destroy;
	__typeof__(dmamap_iova_reserve) *reserve;
	struct dmamap_container *c;
	dmamap_iova_t iova;
	int i, rc = 0;

	*(void **)&create = dlsym(library, "dmamap_container_create_sized");
	*(void **)&destroy = dlsym(library, "dmamap_container_destroy");
	*(void **)&reserve = dlsym(library, "dmamap_iova_reserve");
	if (create == NULL || destroy == NULL || reserve == NULL || create(NULL, 0, &c) < 0)
		return false;
	for (i = 0; i < 3 && rc == 0; i++)
		rc = reserve(c, 4096, 0, DMAMAP_ANYWHERE, &iova);
	return destroy(c) == 0 && rc == 0;
}

static void *
thread_main(void *arg)
{
	worked = use_library();
	pthread_barrier_wait(&used);
	pthread_barrier_wait(&closed);
	return NULL;
}

int
main(int argc, char **argv)
{
	pthread_t thread;
	bool stayed;

	library = argc == 2 ? dlopen(argv[1], RTLD_NOW | RTLD_LOCAL) : NULL;
	if (library == NULL) {
		fprintf(stderr, "usage: dlclose LIBRARY: %s\n",
			argc == 2 ? dlerror() : "none given");
		return 2;
	}
	pthread_barrier_init(&used, NULL, 2);
	pthread_barrier_init(&closed, NULL, 2);
	if (pthread_create(&thread, NULL, thread_main, NULL) != 0)
		return 2;
	pthread_barrier_wait(&used);
	dlclose(library);
	library = dlopen(argv[1], RTLD_NOW | RTLD_NOLOAD);
	stayed = library != NULL;
	pthread_barrier_wait(&closed);
	pthread_join(thread, NULL);
	printf("%s dlclose: the thread used the library\n", worked ? "ok     " : "FAILED ");
	printf("%s dlclose: the code stays while threads may come back to it\n",
		stayed ? "ok     " : "FAILED ");
	printf("%d passed, %d failed, 0 skipped\n", worked + stayed, !worked + !stayed);
	return worked && stayed ? EXIT_SUCCESS : EXIT_FAILURE;
}
