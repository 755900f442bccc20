/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Follows a process, or a command from its first call on: prints events as they come, and at the
 * end histograms of latencies. Called by options.c.
 *
 * Invariant: what is lost is counted and said. A signal ends the following, not the process.
 */

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "follow_elf.h"
#include "trace.h"

#define POLL_MS 100
#define PROGRAMS_MAX 16

struct follow {
	const struct info_host *h;
	const struct trace_options *o;
	struct bpf_object *object;
	struct bpf_link *links[PROGRAMS_MAX];
	unsigned int n_links;
	struct ring_buffer *events;
	pid_t pid;
	int start; /**< pipe to the command, which waits for its end; -1: a process */
	struct timespec until; /**< with --seconds: the end */
	bool draining; /**< nothing comes any more: print what has come */
};

static volatile sig_atomic_t stopped;

static void
stop(int sig)
{
	stopped = 1;
}

/** @return whether a signal or --seconds ends the following */
static bool
is_over(const struct follow *f)
{
	struct timespec now;

	if (stopped || f->o->seconds == 0)
		return stopped;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec > f->until.tv_sec ||
		(now.tv_sec == f->until.tv_sec && now.tv_nsec >= f->until.tv_nsec);
}

/* Loading */

static int
settings_write(struct follow *f)
{
	const struct trace_wire_settings s = {.ioctl_number = SYS_ioctl,
		.follow_children = f->o->children,
		.vfio_number = trace_misc_number(f->h, "vfio"),
		.iommufd_number = trace_misc_number(f->h, "iommu")};
	struct bpf_map *map;

	bpf_object__for_each_map(map, f->object)
	{
		if (strstr(bpf_map__name(map), ".rodata.set") != NULL)
			return bpf_map__set_initial_value(map, &s, sizeof(s));
	}
	return -ENOENT;
}

/** Attach each program. Kernels lack some events of IOMMUs. */
static int
programs_attach(struct follow *f)
{
	struct bpf_program *prog;
	struct bpf_link *link;

	bpf_object__for_each_program(prog, f->object)
	{
		link = bpf_program__attach(prog);
		if (link != NULL && f->n_links < PROGRAMS_MAX)
			f->links[f->n_links++] = link;
		else if (strcmp(bpf_program__name(prog), "follow_enter") == 0 ||
			strcmp(bpf_program__name(prog), "follow_exit") == 0)
			return -errno;
		else
			info_fail(f->h, 0, "note: %s: this kernel has no such event",
				bpf_program__name(prog));
	}
	return 0;
}

static int
event_print(void *arg, void *data, size_t size)
{
	const struct trace_wire_event *e = data;
	struct follow *f = arg;
	char text[512];
	json_t *json;

	if (size < sizeof(*e))
		return 0;
	if (f->o->json) {
		json = trace_event_json(e);
		json_dumpf(json, f->h->out, JSON_COMPACT);
		fputc('\n', f->h->out);
		json_decref(json);
	} else {
		trace_event_text(e, text, sizeof(text));
		fprintf(f->h->out, "%s\n", text);
	}
	fflush(f->h->out);
	/* A reader of the ring stays there as long as events come, unless it is sent away. */
	return !f->draining && is_over(f) ? -EINTR : 0;
}

static int
follow_load(struct follow *f)
{
	uint32_t pid = (uint32_t)f->pid, one = 1;
	int rc;

	f->object = trace_object_open(follow_elf, sizeof(follow_elf), "gantry_follow");
	if (f->object == NULL)
		return trace_load_fail(f->h, "follow", -errno);
	rc = settings_write(f);
	if (rc == 0)
		rc = bpf_object__load(f->object);
	if (rc < 0)
		return trace_load_fail(f->h, "follow: the kernel refuses the programs", rc);
	if (bpf_map_update_elem(bpf_object__find_map_fd_by_name(f->object, "followed"), &pid, &one,
		    BPF_ANY) < 0)
		return trace_load_fail(f->h, "follow", -errno);
	f->events = ring_buffer__new(
		bpf_object__find_map_fd_by_name(f->object, "events"), event_print, f, NULL);
	if (f->events == NULL)
		return trace_load_fail(f->h, "follow: no ring buffer", -errno);
	rc = programs_attach(f);
	return rc < 0 ? trace_load_fail(f->h, "follow: system calls cannot be followed", rc) : 0;
}

static void
follow_detach(struct follow *f)
{
	while (f->n_links > 0)
		bpf_link__destroy(f->links[--f->n_links]);
}

static void
follow_unload(struct follow *f)
{
	follow_detach(f);
	ring_buffer__free(f->events);
	bpf_object__close(f->object);
}

/* The end */

static uint64_t
lost_count(const struct follow *f, uint32_t what)
{
	uint64_t n = 0;

	bpf_map_lookup_elem(bpf_object__find_map_fd_by_name(f->object, "lost"), &what, &n);
	return n;
}

static void
end_print(const struct follow *f)
{
	int map = bpf_object__find_map_fd_by_name(f->object, "histograms");
	json_t *json = json_object(), *array = info_put_array(json, "histograms");
	struct trace_wire_histogram h;
	uint32_t key, *before = NULL;

	while (bpf_map_get_next_key(map, before, &key) == 0) {
		before = &key;
		if (bpf_map_lookup_elem(map, &key, &h) < 0)
			continue;
		if (f->o->json)
			json_array_append_new(array, trace_histogram_json(key, &h));
		else
			trace_histogram_print(f->h->out, key, &h);
	}
	info_put_int(json, "lost_events", lost_count(f, 0));
	info_put_int(json, "lost_calls", lost_count(f, 1));
	if (f->o->json) {
		json_dumpf(json, f->h->out, JSON_COMPACT);
		fputc('\n', f->h->out);
	} else if (lost_count(f, 0) > 0 || lost_count(f, 1) > 0) {
		fprintf(f->h->out,
			"\nlost: %" JSON_INTEGER_FORMAT " events, %" JSON_INTEGER_FORMAT " calls\n",
			(json_int_t)lost_count(f, 0), (json_int_t)lost_count(f, 1));
	}
	json_decref(json);
	fflush(f->h->out);
}

/* The process */

/** Start the command, which waits. @return 0; a status */
static int
command_start(struct follow *f)
{
	int ends[2];
	char go;

	if (pipe(ends) < 0)
		return info_fail(f->h, TRACE_CANNOT, "%s: %s", f->o->command[0], strerror(errno));
	fflush(f->h->out);
	f->pid = fork();
	if (f->pid == 0) {
		close(ends[1]);
		if (read(ends[0], &go, 1) != 1)
			_exit(TRACE_CANNOT);
		close(ends[0]);
		execvp(f->o->command[0], f->o->command);
		info_fail(f->h, TRACE_CANNOT, "%s: %s", f->o->command[0], strerror(errno));
		fflush(f->h->err);
		_exit(127);
	}
	close(ends[0]);
	f->start = ends[1];
	if (f->pid > 0)
		return 0;
	close(ends[1]);
	return info_fail(f->h, TRACE_CANNOT, "%s: %s", f->o->command[0], strerror(errno));
}

/** @return whether the process has ended; `status` is the command's */
static bool
has_ended(const struct follow *f, int *status)
{
	if (f->start >= 0)
		return waitpid(f->pid, status, WNOHANG) == f->pid;
	return kill(f->pid, 0) < 0 && errno == ESRCH;
}

static int
follow_run(struct follow *f)
{
	const struct sigaction on = {.sa_handler = stop}, off = {.sa_handler = SIG_DFL};
	int status = 0;
	bool ended;

	stopped = 0;
	sigaction(SIGINT, &on, NULL);
	sigaction(SIGTERM, &on, NULL);
	if (f->start >= 0 && write(f->start, "", 1) != 1)
		return info_fail(f->h, TRACE_CANNOT, "%s: it has not started", f->o->command[0]);
	clock_gettime(CLOCK_MONOTONIC, &f->until);
	f->until.tv_sec += f->o->seconds;
	do {
		ended = has_ended(f, &status);
		ring_buffer__poll(f->events, ended ? 0 : POLL_MS);
	} while (!ended && !is_over(f));
	follow_detach(f);
	f->draining = true;
	ring_buffer__consume(f->events);
	end_print(f);
	sigaction(SIGINT, &off, NULL);
	sigaction(SIGTERM, &off, NULL);
	return ended && f->start >= 0 && WIFEXITED(status) ? WEXITSTATUS(status) : 0;
}

int
trace_follow(const struct info_host *h, const struct trace_options *o)
{
	struct follow f = {.h = h, .o = o, .start = -1};
	struct info_process p;
	int rc;

	if (o->pid != NULL) {
		if (info_process_find(h, o->pid, &p) != INFO_OK)
			return TRACE_CANNOT;
		f.pid = (pid_t)strtol(o->pid, NULL, 10);
	} else {
		rc = command_start(&f);
		if (rc != 0)
			return rc;
	}
	rc = follow_load(&f);
	if (rc == 0)
		rc = follow_run(&f);
	/* A command that was not started ends here. */
	if (f.start >= 0)
		close(f.start);
	follow_unload(&f);
	return rc;
}
