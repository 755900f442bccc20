/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * gantry-test, the test program: command line, selection of suites, start of the EAL, log capture,
 * counts of results.
 */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include <rte_eal.h>
#include <rte_log.h>

#include <vfio_mock.h>

#include "test.h"

static struct test_suite *suites;
static char skip_reason[256];
static uint64_t seed;
static unsigned short history[3]; /* state of nrand48(3) */
static FILE *log_stream; /* stream of the EAL's log */
static FILE *log_memory; /* memory stream to which log_write() copies it */
static char *log_text;
static size_t log_len;

#ifdef __SANITIZE_THREAD__
/**
 * Suppressions of the thread sanitizer. rte_rcu_qsbr_check() of DPDK's header reads a token by a
 * plain load, which other threads write atomically. The value is a hint: if it is too low, it is
 * read again by an atomic load.
 */
const char *__tsan_default_suppressions(void);

const char *
__tsan_default_suppressions(void)
{
	return "race:rte_rcu_qsbr_check\n";
}
#endif

/** Memory configuration with which the EAL was started. */
enum test_eal {
	TEST_EAL_NONE,
	TEST_EAL_FIXED, /**< memory of a fixed size, without hugepages */
	TEST_EAL_HUGE, /**< memory that grows, in hugepages */
};

struct counts {
	unsigned int passed, failed, skipped;
};

void
test_suite_register(struct test_suite *suite)
{
	struct test_suite **at = &suites;

	while (*at != NULL && strcmp((*at)->name, suite->name) < 0)
		at = &(*at)->next;
	suite->next = *at;
	*at = suite;
}

int
test_skip(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(skip_reason, sizeof(skip_reason), fmt, ap);
	va_end(ap);
	return TEST_SKIPPED;
}

void
test_failure(const char *file, int line, const char *cond, const char *fmt, ...)
{
	va_list ap;

	printf("  %s:%d: (%s) does not hold: ", file, line, cond);
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	putchar('\n');
}

uint64_t
test_seed(void)
{
	printf("  seed %" PRIu64 " (repeat with --seed %" PRIu64 ")\n", seed, seed);
	memcpy(history, &seed, sizeof(history));
	return seed;
}

uint32_t
test_rand_max(uint32_t max)
{
	return (uint32_t)nrand48(history) % max;
}

int
test_write_file(const char *path, const char *fmt, ...)
{
	char text[256];
	va_list ap;
	int fd, len;
	ssize_t done;

	va_start(ap, fmt);
	len = vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (len < 0 || (size_t)len >= sizeof(text))
		return -EFBIG;
	fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	done = write(fd, text, (size_t)len);
	if (done < 0)
		done = -errno;
	close(fd);
	return done < 0 ? (int)done : done == len ? 0 : -EIO;
}

static unsigned int
count_entries(const char *path)
{
	DIR *dir = opendir(path);
	unsigned int n = 0;

	while (dir != NULL && readdir(dir) != NULL)
		n++;
	if (dir != NULL)
		closedir(dir);
	return n;
}

/* Whether an entry is a descriptor that is still open, and no epoll instance. */
static bool
is_counted(int dir, const char *name)
{
	static const char epoll[] = "anon_inode:[eventpoll]";
	char target[sizeof(epoll)];
	ssize_t n = readlinkat(dir, name, target, sizeof(target));

	return n > 0 && (n != sizeof(epoll) - 1 || memcmp(target, epoll, n) != 0);
}

unsigned int
test_open_files(void)
{
	DIR *dir = opendir("/proc/self/fd");
	const struct dirent *entry;
	unsigned int n = 0;

	while (dir != NULL && (entry = readdir(dir)) != NULL)
		n += is_counted(dirfd(dir), entry->d_name);
	if (dir != NULL)
		closedir(dir);
	return n;
}

unsigned int
test_threads(void)
{
	return count_entries("/proc/self/task");
}

/*
 * Any write can change errno. This one always does, which exposes code that reads errno after it
 * has logged.
 */
static ssize_t
log_write(void *cookie, const char *text, size_t len)
{
	size_t written = fwrite(text, 1, len, log_memory);

	errno = 0;
	return written;
}

void
test_log_begin(void)
{
	free(log_text);
	log_text = NULL;
	log_memory = open_memstream(&log_text, &log_len);
	if (log_memory == NULL)
		return;
	log_stream = fopencookie(NULL, "w", (cookie_io_functions_t){.write = log_write});
	if (log_stream == NULL) {
		fclose(log_memory);
		return;
	}
	rte_openlog_stream(log_stream);
	vfio_mock_set_log(log_stream);
}

const char *
test_log_end(void)
{
	rte_openlog_stream(NULL);
	vfio_mock_set_log(NULL);
	if (log_stream == NULL)
		return "";
	fclose(log_stream);
	log_stream = NULL;
	fclose(log_memory);
	return log_text;
}

bool
test_logged(const char *text)
{
	const char *log = test_log_end(), *end = strchr(log, '\n');

	if (strstr(log, text) != NULL && end != NULL && end[1] == '\0')
		return true;
	printf("  wanted \"%s\", logged \"%s\"\n", text, log);
	return false;
}

static void
run_case(const struct test_suite *suite, const struct test_case *tc, struct counts *counts)
{
	int rc = suite->setup != NULL ? suite->setup() : TEST_SUCCESS;

	if (rc == TEST_SUCCESS)
		rc = tc->run();
	if (rc != TEST_SKIPPED && log_stream != NULL)
		fputs(test_log_end(), stderr);
	if (suite->teardown != NULL)
		suite->teardown();

	if (rc == TEST_SUCCESS) {
		counts->passed++;
		printf("ok      %s: %s\n", suite->name, tc->name);
	} else if (rc == TEST_SKIPPED) {
		counts->skipped++;
		printf("skipped %s: %s (%s)\n", suite->name, tc->name, skip_reason);
	} else {
		counts->failed++;
		printf("FAILED  %s: %s\n", suite->name, tc->name);
	}
	fflush(stdout);
}

/**
 * Start the EAL without devices or files of this host. It can be started once in a process.
 * @return 0; positive: it runs already in the other configuration; negative: it does not start.
 */
static int
start_eal(enum test_eal wanted)
{
	static enum test_eal started = TEST_EAL_NONE;
	char *fixed[] = {"gantry-test", "--no-pci", "--no-huge", "-m", "64", "--no-shconf",
		"--no-telemetry", "-l", "0", NULL};
	char *huge[] = {"gantry-test", "--no-pci", "--in-memory", "--iova-mode=va",
		"--no-telemetry", "-l", "0", NULL};
	int rc;

	if (started != TEST_EAL_NONE)
		return started != wanted;
	rc = wanted == TEST_EAL_HUGE ? rte_eal_init(RTE_DIM(huge) - 1, huge)
				     : rte_eal_init(RTE_DIM(fixed) - 1, fixed);
	if (rc < 0) {
		fprintf(stderr, "gantry-test: the EAL does not start\n");
		return -1;
	}
	started = wanted;
	return 0;
}

static int
run_suite(const struct test_suite *suite, const char *only, struct counts *counts)
{
	enum test_eal wanted = suite->needs_hugepages ? TEST_EAL_HUGE : TEST_EAL_FIXED;
	unsigned int i, ran = 0;
	int rc = 0;

	if (suite->needs_eal)
		rc = start_eal(wanted);
	if (rc != 0) {
		if (rc < 0)
			counts->failed++;
		else
			counts->skipped++;
		printf("%s %s: %s\n", rc < 0 ? "FAILED " : "skipped", suite->name,
			rc < 0 ? "no EAL"
			       : "the EAL was started for another suite in another way; run it alone");
		return 1;
	}
	for (i = 0; i < suite->n_cases; i++) {
		if (only != NULL && strstr(suite->cases[i].name, only) == NULL)
			continue;
		run_case(suite, &suite->cases[i], counts);
		ran++;
	}
	return ran;
}

static const struct test_suite *
find_suite(const char *name)
{
	const struct test_suite *s;

	for (s = suites; s != NULL; s = s->next)
		if (strcmp(s->name, name) == 0)
			return s;
	return NULL;
}

static void
usage(FILE *out)
{
	fprintf(out,
		"usage: gantry-test [--list] [--kind fast|vm] [--case TEXT] [--seed N] "
		"[SUITE...]\n");
}

static void
list_suites(void)
{
	const struct test_suite *s;

	for (s = suites; s != NULL; s = s->next)
		printf("%-4s %-20s %u cases\n", s->kind == TEST_FAST ? "fast" : "vm", s->name,
			s->n_cases);
}

int
main(int argc, char **argv)
{
	static const struct option options[] = {{"list", no_argument, NULL, 'l'},
		{"kind", required_argument, NULL, 'k'}, {"case", required_argument, NULL, 'c'},
		{"seed", required_argument, NULL, 's'}, {"help", no_argument, NULL, 'h'},
		{NULL, 0, NULL, 0}};
	const char *kind = NULL, *only = NULL;
	struct counts counts = {0};
	const struct test_suite *s;
	int opt, i, ran = 0;

	if (getrandom(&seed, sizeof(seed), 0) != sizeof(seed))
		seed = time(NULL);
	while ((opt = getopt_long(argc, argv, "lk:c:s:h", options, NULL)) != -1) {
		switch (opt) {
		case 'l':
			list_suites();
			return EXIT_SUCCESS;
		case 'k':
			kind = optarg;
			break;
		case 'c':
			only = optarg;
			break;
		case 's':
			seed = strtoull(optarg, NULL, 0);
			break;
		case 'h':
			usage(stdout);
			return EXIT_SUCCESS;
		default:
			usage(stderr);
			return 2;
		}
	}
	if (kind != NULL && strcmp(kind, "fast") != 0 && strcmp(kind, "vm") != 0) {
		fprintf(stderr, "gantry-test: no such kind: %s (fast or vm)\n", kind);
		return 2;
	}

	/* Suites parse options too and change optind, so save it. */
	for (i = optind; i < argc; i++) {
		s = find_suite(argv[i]);
		if (s == NULL) {
			fprintf(stderr, "gantry-test: no such suite: %s (see --list)\n", argv[i]);
			return 2;
		}
		ran += run_suite(s, only, &counts);
		kind = kind == NULL ? "" : kind;
	}
	if (ran == 0 && (kind == NULL || kind[0] != '\0')) {
		for (s = suites; s != NULL; s = s->next)
			if (kind == NULL || (s->kind == TEST_FAST) == (strcmp(kind, "fast") == 0))
				ran += run_suite(s, only, &counts);
	}
	if (ran == 0) {
		fprintf(stderr, "gantry-test: no case was run\n");
		return 2;
	}
	free(log_text);
	printf("%u passed, %u failed, %u skipped\n", counts.passed, counts.failed, counts.skipped);
	return counts.failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
