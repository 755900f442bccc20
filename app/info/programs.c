/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * The programs that `serve` shows: found by their telemetry sockets, asked at most once a second.
 * Implements part of info.h.
 *
 * A socket stays open between questions, because DPDK starts a thread for each client. Invariants:
 * a socket is read only if the user of the process owns it, and an answer that came too late is
 * never taken for that of the next question: the socket is closed.
 */

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "info.h"

/** Programs at a time, with those that have ended. */
#define PROGRAMS_MAX 64
/** Milliseconds. */
#define FRESH_MS 1000
#define FRESH_MOST_MS 5000
/** Part of the time that programs are asked in, at most. */
#define DUTY 10
#define RETRY_MS 5000
#define GONE_SHOWN_MS (10 * 60 * 1000)

struct program {
	char path[PATH_MAX]; /**< of its socket */
	char pid[16]; /**< "": nothing answered there */
	int fd; /**< -1: to be opened again after `retry` */
	uint64_t retry;
	uint64_t gone; /**< when it had ended; 0: it runs */
	const char *state; /**< "running", "silent", "gone", "other": without libdmamap */
	json_t *facts; /**< the latest; NULL: none yet */
};

struct info_programs {
	const struct info_host *host;
	char *const *pids;
	int n_pids;
	struct program of[PROGRAMS_MAX];
	unsigned int n;
	uint64_t fresh_until; /**< what was read is fresh; 0: nothing was */
	uint64_t reads;
	json_t *state;
};

static uint64_t
now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * UINT64_C(1000) + now.tv_nsec / 1000000 + 1;
}

static void
program_close(struct program *p)
{
	if (p->fd >= 0)
		close(p->fd);
	p->fd = -1;
}

/** Forget a program, which has ended or never was one. */
static void
program_drop(struct info_programs *all, unsigned int i)
{
	program_close(&all->of[i]);
	json_decref(all->of[i].facts);
	memmove(&all->of[i], &all->of[i + 1], (all->n - i - 1) * sizeof(all->of[0]));
	all->n--;
}

static bool
pid_is_served(const struct info_programs *all, const char *pid)
{
	int i;

	for (i = 0; i < all->n_pids; i++)
		if (strcmp(all->pids[i], pid) == 0)
			return true;
	return all->n_pids == 0;
}

/** Connect, and see whose socket it is. @return whether it is a program that is served */
static bool
program_connect(struct info_programs *all, struct program *p)
{
	struct info_process asked = {.host = all->host}, found;
	struct info_host quiet = *all->host;
	char pid[sizeof(p->pid)];
	json_t *greeting;
	struct stat st;

	if (lstat(p->path, &st) < 0)
		return false;
	asked.uid = st.st_uid;
	p->fd = info_connect(&asked, p->path, SOCK_SEQPACKET);
	if (p->fd < 0)
		return false;
	greeting = info_telemetry_ask(p->fd, NULL);
	snprintf(pid, sizeof(pid), "%" JSON_INTEGER_FORMAT,
		json_integer_value(json_object_get(greeting, "pid")));
	json_decref(greeting);
	quiet.err = fopen("/dev/null", "we");
	if (quiet.err != NULL && info_process_find(&quiet, pid, &found) == INFO_OK &&
		found.uid == st.st_uid && pid_is_served(all, pid) &&
		(p->pid[0] == '\0' || strcmp(p->pid, pid) == 0))
		snprintf(p->pid, sizeof(p->pid), "%s", pid);
	else
		program_close(p);
	if (quiet.err != NULL)
		fclose(quiet.err);
	return p->fd >= 0;
}

/** Look at a socket, unless it is known. */
static void
socket_found(struct info_programs *all, const char *path, uint64_t now)
{
	struct program *p;
	unsigned int i;

	for (i = 0; i < all->n; i++)
		if (strcmp(all->of[i].path, path) == 0 && all->of[i].gone == 0)
			return;
	if (all->n == PROGRAMS_MAX)
		return;
	p = &all->of[all->n++];
	*p = (struct program){.fd = -1};
	snprintf(p->path, sizeof(p->path), "%s", path);
	/* Nobody there, or somebody else: look again later, since file names are used again. */
	if (!program_connect(all, p))
		p->retry = now + RETRY_MS;
}

static void
sockets_find_in(struct info_programs *all, const char *dir, uint64_t now)
{
	json_t *prefixes = info_list(all->host, "%s", dir), *prefix, *files, *file;
	char path[PATH_MAX];
	size_t i, j;

	json_array_foreach(prefixes, i, prefix) {
		files = info_list(all->host, "%s/%s", dir, json_string_value(prefix));
		json_array_foreach(files, j, file)
			if (strncmp(json_string_value(file), "dpdk_telemetry.v2", 17) == 0)
				socket_found(all,
					info_path(all->host, path, "%s/%s/%s", dir,
						json_string_value(prefix), json_string_value(file)),
					now);
		json_decref(files);
	}
	json_decref(prefixes);
}

/** As lib/eal/unix/eal_filesystem.c: root's and other users' run-time folders. */
static void
sockets_find(struct info_programs *all, uint64_t now)
{
	json_t *users = info_list(all->host, "/run/user"), *user;
	char dir[PATH_MAX];
	size_t i;

	sockets_find_in(all, "/var/run/dpdk", now);
	json_array_foreach(users, i, user) {
		snprintf(dir, sizeof(dir), "/run/user/%s/dpdk", json_string_value(user));
		sockets_find_in(all, dir, now);
	}
	json_decref(users);
}

/** Whether the other end has closed the socket. */
static bool
socket_has_ended(int fd)
{
	char byte;

	return recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0;
}

static json_t *
facts_begin(const struct info_programs *all, const struct program *p)
{
	json_t *facts = json_object();
	char name[INFO_NAME_MAX];

	info_line(all->host, name, sizeof(name), "/proc/%s/comm", p->pid);
	info_put_int(facts, "pid", strtoull(p->pid, NULL, 10));
	info_put(facts, "name", "%s", name);
	return facts;
}

/** A program that does not answer is asked again later, by a new socket. */
static void
program_is_silent(struct info_programs *all, struct program *p, uint64_t now)
{
	const bool ended = socket_has_ended(p->fd) || !info_exists(all->host, "/proc/%s", p->pid);

	program_close(p);
	p->state = ended ? "gone" : "silent";
	p->gone = ended ? now : 0;
	p->retry = now + RETRY_MS;
}

/** Read a program that has a socket. Without an answer, what it told before stays. */
static void
program_read(struct info_programs *all, struct program *p, uint64_t now)
{
	json_t *facts = facts_begin(all, p);
	json_t *names = info_telemetry_ask(p->fd, "/dmamap/containers");

	p->state = json_is_array(names) ? "running" : "other";
	if (names == NULL || (json_is_array(names) && !info_map_read(all->host, p->fd, facts)))
		program_is_silent(all, p, now);
	json_decref(names);
	if (p->fd < 0 && p->facts != NULL) {
		json_decref(facts);
		return;
	}
	json_decref(p->facts);
	p->facts = facts;
}

static void
program_refresh(struct info_programs *all, struct program *p, uint64_t now)
{
	if (p->gone != 0)
		return;
	if (p->fd < 0 && now >= p->retry && !program_connect(all, p)) {
		p->retry = now + RETRY_MS;
		if (p->pid[0] != '\0' && !info_exists(all->host, "/proc/%s", p->pid)) {
			p->state = "gone";
			p->gone = now;
		}
	}
	if (p->fd >= 0)
		program_read(all, p, now);
}

static void
state_make(struct info_programs *all)
{
	json_t *programs, *facts;
	unsigned int i;

	json_decref(all->state);
	all->state = json_object();
	info_put_int(all->state, "time", (uint64_t)time(NULL));
	info_put_int(all->state, "reads", all->reads);
	info_hugepages(all->host, info_put_array(all->state, "hugepages"));
	programs = info_put_array(all->state, "programs");
	for (i = 0; i < all->n; i++) {
		facts = all->of[i].facts;
		if (facts == NULL)
			continue;
		info_put(facts, "state", "%s", all->of[i].state);
		json_array_append(programs, facts);
	}
}

const json_t *
info_programs_state(struct info_programs *all)
{
	const uint64_t now = now_ms();
	uint64_t took;
	unsigned int i;

	if (now < all->fresh_until)
		return all->state;
	all->reads++;
	sockets_find(all, now);
	for (i = 0; i < all->n; i++)
		program_refresh(all, &all->of[i], now);
	for (i = all->n; i-- > 0;)
		if ((all->of[i].gone != 0 && now - all->of[i].gone > GONE_SHOWN_MS) ||
			(all->of[i].pid[0] == '\0' && access(all->of[i].path, F_OK) < 0))
			program_drop(all, i);
	state_make(all);
	/* A program that does not answer takes seconds, and so do very many mappings. */
	took = now_ms() - now;
	all->fresh_until = now + took +
		(took * DUTY < FRESH_MS                       ? FRESH_MS
				: took * DUTY > FRESH_MOST_MS ? FRESH_MOST_MS
							      : took * DUTY);
	return all->state;
}

struct info_programs *
info_programs_new(const struct info_host *h, int n_pids, char *const *pids)
{
	struct info_programs *all = calloc(1, sizeof(*all));

	if (all == NULL)
		return NULL;
	all->host = h;
	all->pids = pids;
	all->n_pids = n_pids;
	return all;
}

void
info_programs_free(struct info_programs *all)
{
	if (all == NULL)
		return;
	while (all->n > 0)
		program_drop(all, all->n - 1);
	json_decref(all->state);
	free(all);
}
