/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Internal interface of gantry-trace, which compares what the kernel has mapped for a process with
 * what its containers believe (audit), and follows its calls of VFIO and iommufd.
 *
 * Invariants: nothing is changed in the process or in the kernel. Ranges are inclusive. Readers of
 * the process's answers are those of gantry-info (app/info). Single-threaded.
 *
 * Files, each calls only files before it: ranges.c, truth.c, belief.c, compare.c, look.c, text.c,
 * names.c, decode.c, hist.c, load.c, kernel.c, follow.c, options.c.
 */

#ifndef TRACE_H
#define TRACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <jansson.h>

#include "info.h"
#include "trace_wire.h"

/** Exit statuses. */
#define TRACE_SAME 0
#define TRACE_DIFFERENT 1
#define TRACE_CANNOT 2

#define TRACE_NAME_MAX 128

/** @name ranges.c: sets of IOVAs */
/**@{*/
struct trace_range {
	uint64_t start, last;
};
/** Disjoint ranges, ascending, not adjacent. All zeroes: empty. */
struct trace_ranges {
	struct trace_range *v;
	size_t n, cap;
};
/** Append a range that does not begin before the last one begins. @return 0; -ENOMEM */
int trace_ranges_add(struct trace_ranges *set, uint64_t start, uint64_t last);
void trace_ranges_free(struct trace_ranges *set);
/** out = a and b; out = a or b; out = a without b. `out` is empty before. @return 0; -ENOMEM */
int trace_ranges_and(
	const struct trace_ranges *a, const struct trace_ranges *b, struct trace_ranges *out);
int trace_ranges_or(
	const struct trace_ranges *a, const struct trace_ranges *b, struct trace_ranges *out);
int trace_ranges_minus(
	const struct trace_ranges *a, const struct trace_ranges *b, struct trace_ranges *out);
/** Addresses in both; UINT64_MAX if there are more. */
uint64_t trace_ranges_overlap(const struct trace_ranges *a, const struct trace_ranges *b);
/**@}*/

/** @name belief.c: what the containers of a process believe */
/**@{*/
/** What is mapped, with its name. */
struct trace_part {
	struct trace_range range;
	char kind[16]; /**< "zone", "mapping", "registration" */
	char name[TRACE_NAME_MAX]; /**< "": none */
	char owner[TRACE_NAME_MAX]; /**< "": none */
};
/** A container of libdmamap. */
struct trace_container {
	char name[TRACE_NAME_MAX];
	unsigned int domains; /**< kernel domains, each with all mappings */
	struct trace_part *parts; /**< ascending */
	size_t n_parts;
	struct trace_ranges mapped;
	struct trace_ranges unsure; /**< quarantine: it may be mapped or not */
};
struct trace_belief {
	struct trace_container *v;
	size_t n;
};
/**
 * Read the array of containers with their parts, as app/info has it.
 * @return 0; -EBADMSG: it is none, and `why` says what is wrong; -ENOMEM
 */
int trace_belief_parse(const json_t *containers, struct trace_belief *b, char *why, size_t size);
void trace_belief_free(struct trace_belief *b);
/**@}*/

/** @name truth.c, kernel.c: what the kernel has mapped */
/**@{*/
struct trace_entry {
	struct trace_range range;
	uint64_t vaddr; /**< 0: unknown */
	uint32_t prot; /**< 1: read, 2: write */
	uint32_t pad; /**< 0: entries are compared by their bytes */
};
struct trace_domain {
	enum trace_wire_kind kind;
	uint32_t fd, tid, id;
	uint64_t identity;
	struct trace_entry *entries; /**< ascending */
	size_t n_entries;
	struct trace_ranges mapped;
	bool torn; /**< it changed during each walk */
};
struct trace_truth {
	struct trace_domain *v;
	size_t n;
};
void trace_truth_free(struct trace_truth *t);
/** Add an entry to a domain; no address below the end of the last one. @return 0; -errno */
int trace_domain_add(struct trace_domain *d, const struct trace_wire_entry *e);
/** "type1 container of descriptor 12", "IOAS 3 of descriptor 9". */
const char *trace_domain_name(const struct trace_domain *d, char name[TRACE_NAME_MAX]);

struct trace_kernel;
/**
 * Load the BPF programs for a process. Errors are said on h->err.
 * @return NULL: it cannot be done
 */
struct trace_kernel *trace_kernel_open(const struct info_host *h, uint32_t pid);
/** Walk all domains of the process. @return 0; -errno */
int trace_kernel_read(struct trace_kernel *k, struct trace_truth *t);
void trace_kernel_close(struct trace_kernel *k);
/**@}*/

/** @name compare.c: differences between the two */
/**@{*/
enum trace_difference_kind {
	TRACE_UNKNOWN_HERE, /**< the kernel maps it, no container knows it */
	TRACE_LOST, /**< a container believes it mapped, the kernel has nothing */
};
struct trace_difference {
	enum trace_difference_kind kind;
	struct trace_range range;
	uint64_t identity; /**< of the domain; 0: there is none */
	char domain[TRACE_NAME_MAX]; /**< its name */
	char container[TRACE_NAME_MAX]; /**< "": the domain belongs to none */
	/** LOST: what is believed there. UNKNOWN_HERE: vaddr of the range, if known */
	char what[16], name[TRACE_NAME_MAX], owner[TRACE_NAME_MAX];
	uint64_t vaddr;
	uint32_t prot;
};
struct trace_differences {
	struct trace_difference *v;
	size_t n, cap;
};
/**
 * Compare one look: what was believed before and after the kernel was read. What changed between
 * the two is not compared.
 * @return 0; -ENOMEM
 */
int trace_compare(const struct trace_belief *before, const struct trace_truth *truth,
	const struct trace_belief *after, struct trace_differences *out);
/** What is in both: the ranges that differ in two looks. Sorts them. @return 0; -ENOMEM */
int trace_differences_both(const struct trace_differences *a, const struct trace_differences *b,
	struct trace_differences *out);
void trace_differences_free(struct trace_differences *d);
/**@}*/

/** @name look.c: looks */
/**@{*/
/** Looks that have to see a difference. */
#define TRACE_LOOKS 6
/** Where the two sides come from. Both return 0, or -errno after they have said why. */
struct trace_sides {
	void *arg;
	int (*belief)(void *arg, struct trace_belief *b);
	int (*truth)(void *arg, struct trace_truth *t);
	void (*pause)(void *arg); /**< between two looks */
};
/** What an audit found. */
struct trace_found {
	struct trace_differences differences;
	size_t containers, domains, entries;
	bool torn; /**< a domain changed during each walk */
};
/** Look once, and again while something differs. @return 0; -errno */
int trace_look(const struct trace_sides *sides, struct trace_found *found);
void trace_found_free(struct trace_found *found);
/**@}*/

/** @name text.c: what is printed of an audit */
/**@{*/
void trace_found_print(FILE *out, const char *pid, const struct trace_found *found);
json_t *trace_found_json(const char *pid, const struct trace_found *found);
/**@}*/

/** @name names.c, decode.c: ioctls */
/**@{*/
/** "VFIO_IOMMU_MAP_DMA"; "ioctl 0x3b99" in a static buffer if it is unknown. */
const char *trace_ioctl_name(uint32_t request);
/** What an event tells: a line without its end. */
void trace_event_text(const struct trace_wire_event *e, char *text, size_t size);
json_t *trace_event_json(const struct trace_wire_event *e);
/**@}*/

/** @name hist.c: histograms of latencies */
/**@{*/
/** Upper bound of the latencies of a share of the calls, in ns; share in percent. */
uint64_t trace_histogram_at(const struct trace_wire_histogram *h, unsigned int percent);
void trace_histogram_print(FILE *out, uint32_t request, const struct trace_wire_histogram *h);
json_t *trace_histogram_json(uint32_t request, const struct trace_wire_histogram *h);
/**@}*/

/** @name load.c: BPF objects */
/**@{*/
struct bpf_object;
/** Whether the kernel, or one of its modules, has BTF of a structure. Module NULL: the kernel */
bool trace_btf_has(const char *module, const char *name);
/** Say why BPF does not work here, after an error of libbpf. @return TRACE_CANNOT */
int trace_load_fail(const struct info_host *h, const char *what, int err);
/** Open an embedded object. Libbpf's messages are kept quiet unless GANTRY_TRACE_LOG is set. */
struct bpf_object *trace_object_open(const void *data, size_t size, const char *name);
/** Device number of a file below /sys/class/misc, as the kernel has it; 0: there is none */
uint32_t trace_misc_number(const struct info_host *h, const char *name);
/**@}*/

/** Options of the user. */
struct trace_options {
	bool json;
	bool children;
	unsigned int watch; /**< seconds; 0: once */
	unsigned int seconds; /**< of following; 0: until it ends, or Ctrl-C */
	const char *pid; /**< NULL: a command */
	char **command;
};

/** follow.c. @return exit status */
int trace_follow(const struct info_host *h, const struct trace_options *o);
/** audit.c. @return exit status */
int trace_audit(const struct info_host *h, const struct trace_options *o);

/** What options.c calls; a test has others. */
struct trace_commands {
	int (*audit)(const struct info_host *h, const struct trace_options *o);
	int (*follow)(const struct info_host *h, const struct trace_options *o);
};
/** The program; getopt(3)'s state is reset. @return exit status */
int trace_run(
	const struct info_host *h, const struct trace_commands *commands, int argc, char **argv);

#endif /* TRACE_H */
