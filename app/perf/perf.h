/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * How is a benchmark written? A function, registered by name, that measures and reports rows.
 */

#ifndef GANTRY_PERF_H
#define GANTRY_PERF_H

#include <math.h>
#include <stdbool.h>
#include <stdint.h>

#include <rte_common.h>
#include <rte_cycles.h>

/** A benchmark: measures one thing and reports it with perf_report(), once or for several rows. */
struct perf_bench {
	const char *name; /**< as on the command line: part/what */
	const char *what; /**< one line for people */
	int (*run)(void); /**< 0; negative: it could not measure (not: too slow) */
	struct perf_bench *next;
};

/** Which way is better. */
enum perf_better {
	PERF_AT_LEAST, /**< the figure should reach its target from below: times faster */
	PERF_AT_MOST, /**< the figure should stay below its target: ns, MiB, p99.9 over median */
};

/**
 * One line of the result. Times are in ns for each operation unless `unit` says otherwise.
 * What is not known or does not apply is NAN (numbers) or NULL (strings).
 */
struct perf_row {
	const char *name; /**< what was measured; unique; copied */
	const char *peer; /**< against what; copied */
	const char *unit; /**< of the figure: "x", "ns", "MiB" */
	double figure; /**< what is compared with target and stretch; mostly a ratio */
	double figure_low, figure_high; /**< its quartiles */
	bool difference; /**< in: the figure is A - B in ns, not B / A */
	double target;
	double stretch;
	enum perf_better better;
	double median; /**< ours */
	double low, high; /**< ours: quartiles of the repeats */
	double p99_9; /**< ours: of single operations */
	double peer_median; /**< the peer's */
	unsigned int repeats;
	uint64_t errors; /**< wrong answers; anything but 0 is a failure, however fast */
	const char *series; /**< points of one plot share it; NULL: not plotted; copied */
	double x; /**< place of this point on the plot's x axis */
};

/** A row in which nothing is known yet. */
#define PERF_ROW_INIT                                                                              \
	{                                                                                          \
		.unit = "x", .figure = NAN, .figure_low = NAN, .figure_high = NAN, .target = NAN,  \
		.stretch = NAN, .median = NAN, .low = NAN, .high = NAN, .p99_9 = NAN,              \
		.peer_median = NAN, .x = NAN                                                       \
	}

/** Print a row and keep it for --json. */
void perf_report(const struct perf_row *row);

/** How many times each side is measured: 11 at least, more with --repeats. */
unsigned int perf_repeats(void);

/**
 * One side of a comparison: run `ops` operations once.
 * @return wrong answers
 */
typedef uint64_t (*perf_round_t)(void *arg, uint64_t ops);

/** One side of a comparison. */
struct perf_side {
	perf_round_t round;
	void *arg;
	uint64_t ops; /**< for each round */
};

/**
 * Measure two sides interleaved, A B A B, after one unmeasured round of each. Time is the CPU time
 * of the calling thread, so that other load on the machine counts less. b may be NULL: only A then.
 * Fills median, low, high, peer_median, repeats, errors, and the figure and its quartiles from the
 * ratios B / A (the differences A - B, if row->difference) of neighbouring rounds.
 */
void perf_compare(const struct perf_side *a, const struct perf_side *b, struct perf_row *row);

/** Fill a figure from its values in n repeats (sorts them). */
void perf_figure(struct perf_row *row, double *v, unsigned int n);

/** Report a point of a plot: median and quartiles of n times (sorts them), without a target. */
void perf_report_point(const char *name, const char *series, double x, double *ns, unsigned int n,
	uint64_t errors);

/**
 * Measure one side and report its time, which is to stay below a target.
 * @param check  counts what is wrong afterwards, called with the side's argument; NULL: nothing to
 * check
 */
void perf_report_time(const char *name, const struct perf_side *side,
	uint64_t (*check)(const void *arg), double target, double stretch);

/** Median of n values (sorts them). */
double perf_median(double *v, unsigned int n);

/** The q-quantile (0 to 1) of n values (sorts them). */
double perf_quantile(double *v, unsigned int n, double q);

/** CPU time of the calling thread in ns. */
uint64_t perf_thread_ns(void);

/** @name Tails: how long does one operation take, at worst but one in a thousand? */
/**@{*/

/** Times of single operations in TSC cycles. */
struct perf_tail {
	uint32_t *cycles;
	uint64_t n;
	uint64_t cap;
};

/** Make room for n samples. @return 0 or -ENOMEM */
int perf_tail_init(struct perf_tail *t, uint64_t n);
/** Free them. */
void perf_tail_fini(struct perf_tail *t);

/** Keep one time, from rte_rdtsc_precise() before to after; beyond the room it is dropped. */
static inline void
perf_tail_add(struct perf_tail *t, uint64_t cycles)
{
	if (t->n < t->cap)
		t->cycles[t->n++] = RTE_MIN(cycles, UINT32_MAX);
}

/** The q-quantile in ns, less what reading the clock costs. Sorts the samples. */
double perf_tail_ns(struct perf_tail *t, double q);
/**@}*/

/** Pin the calling thread to the n-th CPU that the process may use. @return 0; -ENOENT: not so many
 */
int perf_pin(unsigned int n);

/** How many CPUs the process may use. */
unsigned int perf_cpus(void);

/** A fast generator of random numbers for the measured loops; never 0 if x is not. */
static inline uint64_t
perf_random(uint64_t *x)
{
	*x ^= *x << 13;
	*x ^= *x >> 7;
	*x ^= *x << 17;
	return *x;
}

/** A look-up and what it must answer. */
struct perf_query {
	uint64_t key, want;
};

/** So many queries has a round, again and again; a power of two. */
#define PERF_QUERIES (64u * 1024)

/** What a round of look-ups is given. */
struct perf_look_ups {
	const void *table;
	const struct perf_query *query; /**< PERF_QUERIES of them */
};

/**
 * Define a round of look-ups: translate(table, key), for each query.
 *
 * Table and queries are in variables of its own. Read from *arg each time, they cost two loads a
 * look-up, and only the sides whose look-ups acquire would pay: past an acquiring load the compiler
 * has to read memory again. A driver that translates a burst has both at hand, too.
 */
#define PERF_ROUND_OF_LOOK_UPS(name, translate)                                                    \
	static uint64_t name(void *arg, uint64_t ops)                                              \
	{                                                                                          \
		const struct perf_query *query = ((const struct perf_look_ups *)arg)->query;       \
		const void *table = ((const struct perf_look_ups *)arg)->table;                    \
		uint64_t i, errors = 0;                                                            \
                                                                                                   \
		for (i = 0; i < ops; i++) {                                                        \
			const struct perf_query *q = &query[i & (PERF_QUERIES - 1)];               \
                                                                                                   \
			errors += translate(table, q->key) != q->want;                             \
		}                                                                                  \
		return errors;                                                                     \
	}

/** A round of what a driver does in IOVA-as-VA mode: the VA is the answer. It is none that any
 * query wants. */
uint64_t perf_identity_round(void *look_ups, uint64_t ops);

/** Called by REGISTER_PERF(). */
void perf_register(struct perf_bench *bench);

/** Register a benchmark: REGISTER_PERF(name) = {.name = "part/what", .what = "...", .run = fn}; */
#define REGISTER_PERF(bench)                                                                       \
	static struct perf_bench bench;                                                            \
	RTE_INIT(perf_register_##bench)                                                            \
	{                                                                                          \
		perf_register(&(bench));                                                           \
	}                                                                                          \
	static struct perf_bench bench

#endif /* GANTRY_PERF_H */
