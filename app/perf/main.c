/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * gantry-perf, the benchmark program: command line, clocks, measuring loops, table of results.
 * Benchmarks register themselves (perf.h). Exit status is a failure if one gave wrong answers or
 * could not measure.
 */

#include <errno.h>
#include <fnmatch.h>
#include <getopt.h>
#include <inttypes.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <rte_eal.h>

#include "perf.h"

#define MIN_REPEATS 11

static struct perf_bench *benches;
static struct perf_row *rows;
static unsigned int n_rows;
static unsigned int repeats = MIN_REPEATS;
static cpu_set_t allowed;

void
perf_register(struct perf_bench *bench)
{
	struct perf_bench **at = &benches;

	while (*at != NULL && strcmp((*at)->name, bench->name) < 0)
		at = &(*at)->next;
	bench->next = *at;
	*at = bench;
}

unsigned int
perf_repeats(void)
{
	return repeats;
}

uint64_t
perf_thread_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	return ts.tv_sec * UINT64_C(1000000000) + ts.tv_nsec;
}

unsigned int
perf_cpus(void)
{
	return CPU_COUNT(&allowed);
}

int
perf_pin(unsigned int n)
{
	cpu_set_t one;
	int cpu;

	for (cpu = 0; cpu < CPU_SETSIZE; cpu++) {
		if (!CPU_ISSET(cpu, &allowed) || n-- > 0)
			continue;
		CPU_ZERO(&one);
		CPU_SET(cpu, &one);
		return -pthread_setaffinity_np(pthread_self(), sizeof(one), &one);
	}
	return -ENOENT;
}

static int
compare_doubles(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

double
perf_quantile(double *v, unsigned int n, double q)
{
	if (n == 0)
		return NAN;
	qsort(v, n, sizeof(*v), compare_doubles);
	return v[(unsigned int)(q * (n - 1) + 0.5)];
}

double
perf_median(double *v, unsigned int n)
{
	return perf_quantile(v, n, 0.5);
}

static double
measure(const struct perf_side *side, uint64_t *errors)
{
	uint64_t start = perf_thread_ns();

	*errors += side->round(side->arg, side->ops);
	return (double)(perf_thread_ns() - start) / side->ops;
}

void
perf_figure(struct perf_row *row, double *v, unsigned int n)
{
	row->figure = perf_median(v, n);
	row->figure_low = perf_quantile(v, n, 0.25);
	row->figure_high = perf_quantile(v, n, 0.75);
}

void
perf_compare(const struct perf_side *a, const struct perf_side *b, struct perf_row *row)
{
	static double ours[PERF_MAX_REPEATS], theirs[PERF_MAX_REPEATS], figures[PERF_MAX_REPEATS];
	unsigned int i;

	measure(a, &row->errors);
	if (b != NULL)
		measure(b, &row->errors);
	for (i = 0; i < repeats; i++) {
		ours[i] = measure(a, &row->errors);
		if (b != NULL) {
			theirs[i] = measure(b, &row->errors);
			figures[i] = row->difference ? ours[i] - theirs[i] : theirs[i] / ours[i];
		}
	}
	row->repeats = repeats;
	row->median = perf_median(ours, repeats);
	row->low = perf_quantile(ours, repeats, 0.25);
	row->high = perf_quantile(ours, repeats, 0.75);
	if (b != NULL) {
		row->peer_median = perf_median(theirs, repeats);
		perf_figure(row, figures, repeats);
	}
}

uint64_t
perf_identity_round(void *look_ups, uint64_t ops)
{
	const struct perf_query *query = ((const struct perf_look_ups *)look_ups)->query;
	uint64_t i, errors = 0;

	for (i = 0; i < ops; i++) {
		const struct perf_query *q = &query[i & (PERF_QUERIES - 1)];
		uint64_t iova = q->key;

		/* Force the value into a register, so that the compiler keeps the load. */
		__asm__ volatile("" : "+r"(iova));
		errors += iova == q->want;
	}
	return errors;
}

int
perf_tail_init(struct perf_tail *t, uint64_t n)
{
	*t = (struct perf_tail){.cycles = calloc(n, sizeof(*t->cycles)), .cap = n};
	return t->cycles != NULL ? 0 : -ENOMEM;
}

void
perf_tail_fini(struct perf_tail *t)
{
	free(t->cycles);
	*t = (struct perf_tail){0};
}

static int
compare_cycles(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

/** Cost of reading the clock: the smallest difference of two adjacent readings. */
static uint32_t
clock_cost(void)
{
	uint32_t best = UINT32_MAX;
	unsigned int i;

	for (i = 0; i < 1000; i++) {
		uint64_t t0 = rte_rdtsc_precise(), t1 = rte_rdtsc_precise();

		best = RTE_MIN(best, (uint32_t)(t1 - t0));
	}
	return best;
}

double
perf_tail_ns(struct perf_tail *t, double q)
{
	uint32_t cycles, cost = clock_cost();

	if (t->n == 0)
		return NAN;
	qsort(t->cycles, t->n, sizeof(*t->cycles), compare_cycles);
	cycles = t->cycles[(uint64_t)(q * (t->n - 1))];
	return (cycles > cost ? cycles - cost : 0) * 1e9 / rte_get_tsc_hz();
}

/** Whether the row reaches a goal. A row without that goal does. */
static bool
row_reaches(const struct perf_row *row, double goal)
{
	if (isnan(goal))
		return true;
	return row->better == PERF_AT_LEAST ? row->figure >= goal : row->figure <= goal;
}

static const char *
row_verdict(const struct perf_row *row)
{
	if (row->errors != 0)
		return "WRONG";
	if (isnan(row->target))
		return "";
	if (!row_reaches(row, row->target))
		return "missed";
	return !isnan(row->stretch) && row_reaches(row, row->stretch) ? "stretch" : "met";
}

/** Format a number for the table: three digits, or a dash for NAN. */
static const char *
format_number(char *buf, double v, const char *unit)
{
	if (isnan(v))
		return "-";
	snprintf(buf, 24, "%.*f%s", v < 10 ? 2 : v < 100 ? 1 : 0, v, unit);
	return buf;
}

static void
print_header(void)
{
	printf("%-34s %9s %17s %9s %-26s %9s %8s %8s %8s %s\n", "name", "median ns", "quartiles",
		"p99.9", "against", "its ns", "figure", "target", "stretch", "");
}

static void
print_row(const struct perf_row *row)
{
	char b[8][24], quartiles[64];

	snprintf(quartiles, sizeof(quartiles), "%s..%s", format_number(b[0], row->low, ""),
		format_number(b[1], row->high, ""));
	printf("%-34s %9s %17s %9s %-26s %9s %8s %8s %8s %s\n", row->name,
		format_number(b[2], row->median, ""), isnan(row->low) ? "-" : quartiles,
		format_number(b[3], row->p99_9, ""), row->peer != NULL ? row->peer : "-",
		format_number(b[4], row->peer_median, ""),
		format_number(b[5], row->figure, row->unit),
		format_number(b[6], row->target, row->unit),
		format_number(b[7], row->stretch, row->unit), row_verdict(row));
	fflush(stdout);
}

void
perf_report(const struct perf_row *row)
{
	struct perf_row *more = reallocarray(rows, n_rows + 1, sizeof(*rows));

	print_row(row);
	if (more == NULL)
		return;
	rows = more;
	rows[n_rows] = *row;
	rows[n_rows].name = strdup(row->name);
	rows[n_rows].peer = row->peer != NULL ? strdup(row->peer) : NULL;
	rows[n_rows].series = row->series != NULL ? strdup(row->series) : NULL;
	n_rows++;
}

void
perf_report_point(
	const char *name, const char *series, double x, double *ns, unsigned int n, uint64_t errors)
{
	struct perf_row row = PERF_ROW_INIT;

	row.name = name;
	row.series = series;
	row.x = x;
	row.repeats = n;
	row.errors = errors;
	row.median = perf_median(ns, n);
	row.low = perf_quantile(ns, n, 0.25);
	row.high = perf_quantile(ns, n, 0.75);
	perf_report(&row);
}

void
perf_report_time(const char *name, const struct perf_side *side, uint64_t (*check)(const void *arg),
	double target, double stretch)
{
	struct perf_row row = PERF_ROW_INIT;

	row.name = name;
	row.unit = "ns";
	row.target = target;
	row.stretch = stretch;
	row.better = PERF_AT_MOST;
	perf_compare(side, NULL, &row);
	row.figure = row.median;
	row.figure_low = row.low;
	row.figure_high = row.high;
	if (check != NULL)
		row.errors += check(side->arg);
	perf_report(&row);
}

static void
json_number(FILE *f, const char *key, double v)
{
	if (isfinite(v))
		fprintf(f, ", \"%s\": %.6g", key, v);
	else
		fprintf(f, ", \"%s\": null", key);
}

/** Names are our own: none has a character that needs escaping. */
static void
json_string(FILE *f, const char *key, const char *v)
{
	if (v != NULL)
		fprintf(f, ", \"%s\": \"%s\"", key, v);
	else
		fprintf(f, ", \"%s\": null", key);
}

static int
write_json(const char *path)
{
	FILE *f = fopen(path, "w");
	unsigned int i;

	if (f == NULL)
		goto fail;
	fprintf(f, "[\n");
	for (i = 0; i < n_rows; i++) {
		const struct perf_row *row = &rows[i];

		fprintf(f, "  {\"name\": \"%s\"", row->name);
		json_string(f, "peer", row->peer);
		json_number(f, "ratio", row->figure);
		json_number(f, "ratio_low", row->figure_low);
		json_number(f, "ratio_high", row->figure_high);
		json_string(f, "unit", row->unit);
		json_string(f, "better", row->better == PERF_AT_LEAST ? "at least" : "at most");
		json_number(f, "target", row->target);
		json_number(f, "stretch", row->stretch);
		json_number(f, "median", row->median);
		json_number(f, "low", row->low);
		json_number(f, "high", row->high);
		json_number(f, "p99_9", row->p99_9);
		json_number(f, "peer_median", row->peer_median);
		fprintf(f, ", \"repeats\": %u, \"errors\": %" PRIu64, row->repeats, row->errors);
		json_string(f, "verdict", row_verdict(row));
		json_string(f, "series", row->series);
		json_number(f, "x", row->x);
		fprintf(f, "}%s\n", i + 1 < n_rows ? "," : "");
	}
	fprintf(f, "]\n");
	if (fclose(f) == 0)
		return 0;
fail:
	fprintf(stderr, "gantry-perf: cannot write %s: %s\n", path, strerror(errno));
	return -1;
}

static bool
bench_wanted(const struct perf_bench *b, char **patterns, int n)
{
	int i;

	for (i = 0; i < n; i++)
		if (fnmatch(patterns[i], b->name, 0) == 0)
			return true;
	return n == 0;
}

/**
 * Start the EAL without devices or files of this host; the main thread is lcore 0 on the first CPU.
 * @param physical  with 16 hugepages of 2 MiB, in PA mode, so that DPDK's own translation can be
 * measured
 */
static int
start_eal(bool physical)
{
	char *argv[] = {"gantry-perf", "--no-pci", "-m", "32", "--no-telemetry", "--log-level",
		"error", "--lcores", NULL, physical ? "--in-memory" : "--no-huge",
		physical ? "--iova-mode=pa" : "--no-shconf", NULL};
	char lcores[16];
	int cpu = 0;

	while (!CPU_ISSET(cpu, &allowed))
		cpu++;
	snprintf(lcores, sizeof(lcores), "0@%d", cpu);
	argv[RTE_DIM(argv) - 4] = lcores;
	return rte_eal_init(RTE_DIM(argv) - 1, argv);
}

/** @return how many benchmarks could not measure or gave wrong answers */
static unsigned int
run_benches(char **patterns, int n)
{
	struct perf_bench *b;
	unsigned int bad = 0, ran = 0, i;
	int rc;

	print_header();
	for (b = benches; b != NULL; b = b->next) {
		if (!bench_wanted(b, patterns, n))
			continue;
		ran++;
		rc = b->run();
		if (rc < 0) {
			printf("%-34s not measured: %s\n", b->name, strerror(-rc));
			bad++;
		}
	}
	for (i = 0; i < n_rows; i++)
		bad += rows[i].errors != 0;
	if (ran == 0) {
		fprintf(stderr, "gantry-perf: no such benchmark (see --list)\n");
		bad++;
	}
	return bad;
}

static int
clamp(int v, int low, int high)
{
	return v < low ? low : v > high ? high : v;
}

static void
usage(FILE *out)
{
	fprintf(out,
		"usage: gantry-perf [--list] [--repeats N] [--json FILE] [--physical] [PATTERN...]\n"
		"Measures the benchmarks whose names match (all without a pattern), prints a "
		"table; a missed target is no failure, a wrong answer is.\n"
		"--physical: as root, with 16 free hugepages of 2 MiB, for rows against DPDK in "
		"PA mode.\n");
}

int
main(int argc, char **argv)
{
	static const struct option options[] = {{"list", no_argument, NULL, 'l'},
		{"json", required_argument, NULL, 'j'}, {"repeats", required_argument, NULL, 'r'},
		{"physical", no_argument, NULL, 'p'}, {"help", no_argument, NULL, 'h'},
		{NULL, 0, NULL, 0}};
	const char *json = NULL;
	struct perf_bench *b;
	bool physical = false;
	unsigned int bad;
	int opt;

	while ((opt = getopt_long(argc, argv, "lj:r:ph", options, NULL)) != -1) {
		switch (opt) {
		case 'l':
			for (b = benches; b != NULL; b = b->next)
				printf("%-24s %s\n", b->name, b->what);
			return EXIT_SUCCESS;
		case 'j':
			json = optarg;
			break;
		case 'r':
			repeats = clamp(atoi(optarg), MIN_REPEATS, PERF_MAX_REPEATS);
			break;
		case 'p':
			physical = true;
			break;
		case 'h':
			usage(stdout);
			return EXIT_SUCCESS;
		default:
			usage(stderr);
			return 2;
		}
	}
	if (sched_getaffinity(0, sizeof(allowed), &allowed) < 0 || start_eal(physical) < 0) {
		fprintf(stderr, "gantry-perf: the EAL does not start\n");
		return EXIT_FAILURE;
	}
	bad = run_benches(&argv[optind], argc - optind);
	if (json != NULL && write_json(json) < 0)
		bad++;
	return bad == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
