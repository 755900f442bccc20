/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * What the kernel has mapped for a process: runs the iterators of audit.bpf.c. Called by audit.c.
 *
 * Invariant: a domain is walked until two walks in a row give the same, WALKS_MAX times at most. A
 * walk takes no lock, so one that meets a change may miss entries.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "audit_elf.h"
#include "trace.h"

/** Walks of a domain that changes. */
#define WALKS_MAX 8
/** Domains of a process. */
#define DOMAINS_MAX 4096

/** An iterator. */
struct source {
	const char *program, *module, *structure;
	struct bpf_program *prog;
	struct bpf_link *link;
};

enum { TYPE1, IOMMUFD, N_SOURCES };

struct trace_kernel {
	const struct info_host *host;
	struct bpf_object *object;
	struct source sources[N_SOURCES];
	int request; /**< descriptor of the map */
	struct trace_wire_request q;
};

/* Loading */

/**
 * Which iterators the types of this kernel allow. A kernel without the module in question has no
 * such files, unless the module has no types.
 * @return TRACE_SAME; a status
 */
static int
sources_choose(struct trace_kernel *k)
{
	const uint32_t devices[N_SOURCES] = {k->q.vfio, k->q.iommufd};
	unsigned int i, chosen = 0;
	struct source *s;

	for (i = 0; i < N_SOURCES; i++) {
		s = &k->sources[i];
		s->prog = bpf_object__find_program_by_name(k->object, s->program);
		if (s->prog == NULL)
			return info_fail(k->host, TRACE_CANNOT, "audit: there is no BPF program %s",
				s->program);
		bpf_program__set_autoload(s->prog, false);
		if (devices[i] == 0)
			continue;
		if (trace_btf_has(s->module, s->structure)) {
			bpf_program__set_autoload(s->prog, true);
			chosen++;
			continue;
		}
		/* The container's file is there before its driver is loaded. */
		if (i == TYPE1 && !info_exists(k->host, "/sys/module/%s", s->module))
			continue;
		return info_fail(k->host, TRACE_CANNOT,
			"audit: the kernel has no types of %s (/sys/kernel/btf/%s): use a kernel whose modules"
			" were built with CONFIG_DEBUG_INFO_BTF_MODULES",
			s->module, s->module);
	}
	if (chosen == 0)
		return info_fail(k->host, TRACE_CANNOT,
			"audit: neither VFIO's type1 driver nor iommufd is loaded: load vfio-pci");
	return TRACE_SAME;
}

static int
source_attach(struct trace_kernel *k, struct source *s)
{
	union bpf_iter_link_info limit = {.task = {.pid = k->q.pid}};
	LIBBPF_OPTS(
		bpf_iter_attach_opts, opts, .link_info = &limit, .link_info_len = sizeof(limit));

	/* Linux 6.1 limits an iterator to a process; before, it sees all. */
	s->link = bpf_program__attach_iter(s->prog, &opts);
	if (s->link == NULL)
		s->link = bpf_program__attach_iter(s->prog, NULL);
	return s->link != NULL ? 0 : -errno;
}

static int
kernel_load(struct trace_kernel *k)
{
	unsigned int i;
	int rc;

	k->object = trace_object_open(audit_elf, sizeof(audit_elf), "gantry_audit");
	if (k->object == NULL)
		return trace_load_fail(k->host, "audit", -errno);
	rc = sources_choose(k);
	if (rc != TRACE_SAME)
		return rc;
	rc = bpf_object__load(k->object);
	if (rc < 0)
		return trace_load_fail(k->host, "audit: the kernel refuses the iterators", rc);
	k->request = bpf_object__find_map_fd_by_name(k->object, "request");
	for (i = 0; i < N_SOURCES; i++) {
		rc = bpf_program__autoload(k->sources[i].prog) ? source_attach(k, &k->sources[i])
							       : 0;
		if (rc < 0)
			return trace_load_fail(k->host, "audit: the kernel refuses to iterate", rc);
	}
	return TRACE_SAME;
}

struct trace_kernel *
trace_kernel_open(const struct info_host *h, uint32_t pid)
{
	static const struct source sources[N_SOURCES] = {
		[TYPE1] = {.program = "audit_type1",
			.module = "vfio_iommu_type1",
			.structure = "vfio_dma"},
		[IOMMUFD] = {.program = "audit_iommufd",
			.module = "iommufd",
			.structure = "iopt_area"},
	};
	struct trace_kernel *k = calloc(1, sizeof(*k));

	if (k == NULL) {
		info_fail(h, TRACE_CANNOT, "audit: out of memory");
		return NULL;
	}
	k->host = h;
	memcpy(k->sources, sources, sizeof(sources));
	k->q = (struct trace_wire_request){.pid = pid,
		.vfio = trace_misc_number(h, "vfio"),
		.iommufd = trace_misc_number(h, "iommu")};
	if (kernel_load(k) == TRACE_SAME)
		return k;
	trace_kernel_close(k);
	return NULL;
}

void
trace_kernel_close(struct trace_kernel *k)
{
	unsigned int i;

	for (i = 0; i < N_SOURCES; i++)
		bpf_link__destroy(k->sources[i].link);
	bpf_object__close(k->object);
	free(k);
}

/* Reading */

/** Run an iterator once. @return bytes of its answer; -errno */
static ssize_t
source_run(struct trace_kernel *k, const struct source *s, void *answer, size_t size)
{
	const uint32_t zero = 0;
	size_t len = 0;
	ssize_t got = 0;
	int fd;

	if (bpf_map_update_elem(k->request, &zero, &k->q, BPF_ANY) < 0)
		return -errno;
	fd = bpf_iter_create(bpf_link__fd(s->link));
	if (fd < 0)
		return -errno;
	while (len < size && (got = read(fd, (char *)answer + len, size - len)) != 0) {
		if (got < 0 && errno != EAGAIN && errno != EINTR)
			break;
		len += got > 0 ? (size_t)got : 0;
	}
	got = got < 0 ? -errno : (ssize_t)len;
	close(fd);
	return got;
}

/** Walk a domain once. @return 0; -errno */
static int
domain_walk(struct trace_kernel *k, const struct source *s, struct trace_domain *d)
{
	struct trace_wire_entry *answer = malloc(TRACE_WIRE_ENTRIES * sizeof(*answer));
	ssize_t got = answer != NULL ? 0 : -ENOMEM;
	size_t n, i;

	d->n_entries = 0;
	d->mapped.n = 0;
	k->q.max = TRACE_WIRE_ENTRIES;
	k->q.domain = d->identity;
	k->q.tid = d->tid;
	k->q.fd = d->fd;
	k->q.from = 0;
	do {
		if (got >= 0)
			got = source_run(k, s, answer, TRACE_WIRE_ENTRIES * sizeof(*answer));
		n = got > 0 ? (size_t)got / sizeof(*answer) : 0;
		for (i = 0; i < n && got >= 0; i++) {
			int rc = trace_domain_add(d, &answer[i]);

			got = rc < 0 ? rc : got;
			k->q.from = answer[i].last + 1;
		}
	} while (n == TRACE_WIRE_ENTRIES && got >= 0 && k->q.from != 0);
	free(answer);
	return got < 0 ? (int)got : 0;
}

/** Walk a domain until two walks are the same. */
static int
domain_read(struct trace_kernel *k, const struct source *s, struct trace_domain *d)
{
	struct trace_domain before;
	unsigned int walks;
	int rc = domain_walk(k, s, d);

	d->torn = true;
	for (walks = 1; rc == 0 && d->torn && walks < WALKS_MAX; walks++) {
		before = *d;
		d->entries = NULL;
		d->n_entries = 0;
		d->mapped = (struct trace_ranges){0};
		rc = domain_walk(k, s, d);
		d->torn = rc < 0 || d->n_entries != before.n_entries ||
			(d->n_entries > 0 &&
				memcmp(d->entries, before.entries,
					d->n_entries * sizeof(d->entries[0])) != 0);
		free(before.entries);
		trace_ranges_free(&before.mapped);
	}
	return rc;
}

/** Add a domain, unless another descriptor has shown it. */
static int
domain_append(struct trace_truth *t, const struct trace_wire_domain *d)
{
	struct trace_domain *grown;
	size_t i;

	for (i = 0; i < t->n; i++)
		if (t->v[i].identity == d->domain)
			return 0;
	grown = reallocarray(t->v, t->n + 1, sizeof(t->v[0]));
	if (grown == NULL)
		return -ENOMEM;
	t->v = grown;
	t->v[t->n++] = (struct trace_domain){
		.kind = d->kind, .fd = d->fd, .tid = d->tid, .id = d->id, .identity = d->domain};
	return 0;
}

static int
source_read(struct trace_kernel *k, const struct source *s, struct trace_truth *t)
{
	const size_t size = DOMAINS_MAX * sizeof(struct trace_wire_domain);
	struct trace_wire_domain *domains = malloc(size);
	size_t at = t->n, i;
	ssize_t got;
	int rc = 0;

	if (domains == NULL)
		return -ENOMEM;
	k->q.max = 0;
	got = source_run(k, s, domains, size);
	for (i = 0; got >= 0 && rc == 0 && i < (size_t)got / sizeof(domains[0]); i++)
		rc = domain_append(t, &domains[i]);
	free(domains);
	for (; rc == 0 && at < t->n; at++)
		rc = domain_read(k, s, &t->v[at]);
	return got < 0 ? (int)got : rc;
}

int
trace_kernel_read(struct trace_kernel *k, struct trace_truth *t)
{
	unsigned int i;
	int rc = 0;

	*t = (struct trace_truth){0};
	for (i = 0; i < N_SOURCES && rc == 0; i++)
		if (k->sources[i].link != NULL)
			rc = source_read(k, &k->sources[i], t);
	if (rc == 0)
		return 0;
	trace_truth_free(t);
	info_fail(k->host, TRACE_CANNOT, "audit: what the kernel has mapped cannot be read: %s",
		strerror(-rc));
	return rc;
}
