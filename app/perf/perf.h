/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Interface of a benchmark: a function, registered by name, that measures and reports rows.
 * Implemented by main.c and called by the perf_*.c files. A row counts wrong answers besides
 * times: a fast wrong answer is a failure.
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
	const char *what; /**< description, one line */
	int (*run)(void); /**< 0, or negative: it could not measure. A figure that misses its target
			     is no failure. */
	struct perf_bench *next;
};

/** Which way is better. */
enum perf_better {
	PERF_AT_LEAST, /**< the figure should reach its target from below: times faster */
	PERF_AT_MOST, /**< the figure should stay below its target: ns, MiB, p99.9 over median */
};

/**
 * One row of results. Times are in ns for each operation unless `unit` says otherwise.
 * Unknown numbers are NAN; unknown strings are NULL.
 */
struct perf_row {
	const char *name; /**< what was measured; unique; copied */
	const char *peer; /**< against what; copied */
	const char *unit; /**< of the figure: "x", "ns", "MiB" */
	double figure; /**< what is compared with target and stretch; mostly a ratio */
	double figure_low, figure_high; /**< its quartiles */
	bool difference; /**< the figure is A - B in ns, not B / A; set by the caller */
	double target;
	double stretch;
	enum perf_better better;
	double median; /**< our median */
	double low, high; /**< quartiles of our repeats */
	double p99_9; /**< 99.9 % quantile of our single operations */
	double peer_median; /**< the peer's median */
	unsigned int repeats;
	uint64_t errors; /**< wrong answers; anything but 0 is a failure, however fast */
	const char *series; /**< points of one plot share it; NULL: not plotted; copied */
	double x; /**< place of this point on the plot's x axis */
};

/** Initializer of a row in which nothing is known yet. */
#define PERF_ROW_INIT                                                                              \
	{                                                                                          \
		.unit = "x", .figure = NAN, .figure_low = NAN, .figure_high = NAN, .target = NAN,  \
		.stretch = NAN, .median = NAN, .low = NAN, .high = NAN, .p99_9 = NAN,              \
		.peer_median = NAN, .x = NAN                                                       \
	}

/** Print a row and keep a copy for --json. */
void perf_report(const struct perf_row *row);

/** How many rounds of each side are measured: at least 11; --repeats raises it. */
unsigned int perf_repeats(void);
/** Upper bound of perf_repeats(). */
#define PERF_MAX_REPEATS 1001

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
 * Measure two sides interleaved, A B A B, after one unmeasured round of each. Times are CPU times
 * of the calling thread, so that other load on the machine counts less.
 * Fills median, low, high, peer_median, repeats and errors. The figure and its quartiles come from
 * the ratios B / A of neighbouring rounds, or from the differences A - B if row->difference.
 * @param b  NULL: only A is measured.
 */
void perf_compare(const struct perf_side *a, const struct perf_side *b, struct perf_row *row);

/** Fill a figure from its values in n repeats (sorts them). */
void perf_figure(struct perf_row *row, double *v, unsigned int n);

/** Report a point of a plot: median and quartiles of n times (sorts them), without a target. */
void perf_report_point(const char *name, const char *series, double x, double *ns, unsigned int n,
	uint64_t errors);

/**
 * Measure one side and report its time, which has to stay below a target.
 * @param check  counts wrong results afterwards, called with the side's argument; NULL: no check
 */
void perf_report_time(const char *name, const struct perf_side *side,
	uint64_t (*check)(const void *arg), double target, double stretch);

/** Median of n values (sorts them). */
double perf_median(double *v, unsigned int n);

/** The q-quantile (0 to 1) of n values (sorts them). */
double perf_quantile(double *v, unsigned int n, double q);

/** CPU time of the calling thread in ns. */
uint64_t perf_thread_ns(void);

/** @name Tails: quantiles of the times of single operations */
/**@{*/

/** Times of single operations in TSC cycles. */
struct perf_tail {
	uint32_t *cycles;
	uint64_t n;
	uint64_t cap;
};

/** Allocate n samples. @return 0 or -ENOMEM */
int perf_tail_init(struct perf_tail *t, uint64_t n);
/** Free them. */
void perf_tail_fini(struct perf_tail *t);

/** Record one time, from rte_rdtsc_precise() before to after. Drops it if all samples are used. */
static inline void
perf_tail_add(struct perf_tail *t, uint64_t cycles)
{
	if (t->n < t->cap)
		t->cycles[t->n++] = RTE_MIN(cycles, UINT32_MAX);
}

/** The q-quantile in ns, less the cost of reading the clock. Sorts the samples. */
double perf_tail_ns(struct perf_tail *t, double q);
/**@}*/

/**
 * Pin the calling thread to the n-th CPU that the process may use.
 * @return 0; -ENOENT: there are fewer CPUs
 */
int perf_pin(unsigned int n);

/** How many CPUs the process may use. */
unsigned int perf_cpus(void);

/** Fast pseudo-random numbers for measured loops (xorshift). Never 0 if x is not 0. */
static inline uint64_t
perf_random(uint64_t *x)
{
	*x ^= *x << 13;
	*x ^= *x >> 7;
	*x ^= *x << 17;
	return *x;
}

/** A look-up and its expected answer. */
struct perf_query {
	uint64_t key, want;
};

/** Queries in a round; a round repeats them. A power of two. */
#define PERF_QUERIES (64u * 1024)

/** Argument of a round of look-ups. */
struct perf_look_ups {
	const void *table;
	const struct perf_query *query; /**< PERF_QUERIES of them */
};

/**
 * Define a round of look-ups: translate(table, key), for each query.
 *
 * Table and queries are in local variables. If they were read from *arg each time, each look-up
 * would cost two more loads, but only for sides whose look-ups acquire: after an acquiring load the
 * compiler has to read memory again. A driver that translates a burst has both in registers, too.
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

/**
 * A round of look-ups in IOVA-as-VA mode, where the VA is the answer. No query expects it as its
 * answer, so errors stay 0.
 */
uint64_t perf_identity_round(void *look_ups, uint64_t ops);

/** Internal: called by REGISTER_PERF() before main(). */
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
