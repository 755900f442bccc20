/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Checks that code makes no system call: a seccomp filter ends the thread that makes one.
 */

#ifndef GANTRY_TEST_QUIET_H
#define GANTRY_TEST_QUIET_H

#include <linux/seccomp.h>
#include <pthread.h>
#include <stdbool.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

struct quiet {
	int (*run)(void);
	int rc;
	bool done;
};

static void *
quiet_thread(void *arg)
{
	struct quiet *q = arg;

	if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT) == 0) {
		q->rc = q->run();
		__atomic_store_n(&q->done, true, __ATOMIC_RELEASE);
	}
	/*
	 * The C library's exit of a thread makes system calls that strict mode forbids. Only
	 * exit(2) is left.
	 */
	for (;;)
		syscall(SYS_exit, 0);
	return NULL;
}

/**
 * Run a function in a thread that may make no system call.
 * @return run()'s result; -1: it made a system call, or could not be run
 */
static inline int
quiet_run(int (*run)(void))
{
	struct quiet q = {.run = run};
	pthread_t thread;

	if (pthread_create(&thread, NULL, quiet_thread, &q) != 0)
		return -1;
	pthread_join(thread, NULL);
	return __atomic_load_n(&q.done, __ATOMIC_ACQUIRE) ? q.rc : -1;
}

/** Whether sanitizers make system calls in our code, so that the check has no meaning. */
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
#define QUIET_CANNOT_TELL true
#else
#define QUIET_CANNOT_TELL false
#endif

#endif /* GANTRY_TEST_QUIET_H */
