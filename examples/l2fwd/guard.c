/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * The ports' lock: one thread at a time makes control calls of ethdev, telemetry's included.
 *
 * ethdev asks an application not to make two such calls for a port at a time. Its own telemetry
 * commands (/ethdev/stats and others) break that rule: each client's thread calls ethdev whenever
 * it is asked. DPDK 22.11 reads a port while another thread frees it. 24.11 and later lock out the
 * release of a port (rte_mcfg_ethdev_get_lock()), but not its stop, set-up and close.
 *
 * So the program defines the functions by which a library registers commands. Those of ethdev get a
 * handler that takes the lock first; all others are passed on as they are. The dynamic linker
 * resolves a symbol to the program's definition first, so this works with DPDK's shared libraries.
 * No lcore takes the lock.
 */

#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <string.h>

#include <rte_common.h>
#include <rte_string_fns.h>
#include <rte_telemetry.h>

#include "l2fwd.h"

#define GUARDED "/ethdev/"
#define COMMANDS_MAX 128
#define NAME_MAX_LEN 64

/* telemetry_arg_cb of DPDK 24.11. */
typedef int (*arg_cb_t)(const char *cmd, const char *params, void *arg, struct rte_tel_data *d);
typedef int (*register_fn_t)(const char *cmd, telemetry_cb fn, const char *help);
typedef int (*register_arg_fn_t)(const char *cmd, arg_cb_t fn, void *arg, const char *help);

/* A command of ethdev. One of fn and arg_fn is its handler. */
struct command {
	char name[NAME_MAX_LEN];
	telemetry_cb fn;
	arg_cb_t arg_fn;
	void *arg;
};

static pthread_mutex_t ports = PTHREAD_MUTEX_INITIALIZER;
/* Grows only, in constructors of libraries and by the main thread, one at a time. A command is
 * complete before n_commands counts it. */
static struct command commands[COMMANDS_MAX];
static unsigned int n_commands;

void
l2fwd_ports_lock(void)
{
	pthread_mutex_lock(&ports);
}

void
l2fwd_ports_unlock(void)
{
	pthread_mutex_unlock(&ports);
}

static const struct command *
command_find(const char *name)
{
	unsigned int i, n = __atomic_load_n(&n_commands, __ATOMIC_ACQUIRE);

	for (i = 0; i < n; i++)
		if (strcmp(commands[i].name, name) == 0)
			return &commands[i];
	return NULL;
}

static int
guarded_cmd(const char *cmd, const char *params, struct rte_tel_data *d)
{
	const struct command *command = command_find(cmd);
	int rc;

	if (command == NULL)
		return -ENOENT;
	l2fwd_ports_lock();
	rc = command->fn != NULL ? command->fn(cmd, params, d)
				 : command->arg_fn(cmd, params, command->arg, d);
	l2fwd_ports_unlock();
	return rc;
}

/* Register a command of ethdev with the handler above. */
static int
command_add(const struct command *command, const char *help)
{
	register_fn_t real = (register_fn_t)dlsym(RTLD_NEXT, "rte_telemetry_register_cmd");

	if (real == NULL)
		return -ENOTSUP;
	if (n_commands == COMMANDS_MAX)
		return -ENOMEM;
	commands[n_commands] = *command;
	__atomic_store_n(&n_commands, n_commands + 1, __ATOMIC_RELEASE);
	return real(command->name, guarded_cmd, help);
}

static bool
is_guarded(const char *cmd, struct command *command)
{
	return strncmp(cmd, GUARDED, strlen(GUARDED)) == 0 &&
		strlcpy(command->name, cmd, sizeof(command->name)) < sizeof(command->name);
}

/* Takes the place of the telemetry library's; a library's constructor may call it before main(). */
__attribute__((visibility("default"))) int
rte_telemetry_register_cmd(const char *cmd, telemetry_cb fn, const char *help)
{
	register_fn_t real = (register_fn_t)dlsym(RTLD_NEXT, "rte_telemetry_register_cmd");
	struct command command = {.fn = fn};

	if (fn != NULL && is_guarded(cmd, &command))
		return command_add(&command, help);
	return real != NULL ? real(cmd, fn, help) : -ENOTSUP;
}

/* Of DPDK 24.11 and later, whose ethdev registers its commands by it. */
int rte_telemetry_register_cmd_arg(const char *cmd, arg_cb_t fn, void *arg, const char *help);

__attribute__((visibility("default"))) int
rte_telemetry_register_cmd_arg(const char *cmd, arg_cb_t fn, void *arg, const char *help)
{
	register_arg_fn_t real =
		(register_arg_fn_t)dlsym(RTLD_NEXT, "rte_telemetry_register_cmd_arg");
	struct command command = {.arg_fn = fn, .arg = arg};

	if (fn != NULL && is_guarded(cmd, &command))
		return command_add(&command, help);
	return real != NULL ? real(cmd, fn, arg, help) : -ENOTSUP;
}
