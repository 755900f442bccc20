/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * A program without DPDK, on the shared library and the mock kernel. It maps, receives the log by
 * a function of its own, and has readers of its own. The argument "plain" says that the library
 * was built without the EAL.
 */

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <dmamap.h>
#include <vfio_mock.h>

#define LEN ((size_t)64 * 1024)
#define POLLS 3

/** A case ends at the first condition that does not hold. */
#define CHECK(cond)                                                                                \
	do {                                                                                       \
		if (!(cond)) {                                                                     \
			printf("  %s:%d: (%s) does not hold\n", __FILE__, __LINE__, #cond);        \
			return false;                                                              \
		}                                                                                  \
	} while (0)

static bool plain;
static struct vfio_mock *mock;
static void *buf;

/** The last line that a log function got, and the number of its calls. */
struct heard {
	unsigned int n;
	enum dmamap_log_level level;
	char line[512];
};

static void
hear(void *arg, enum dmamap_log_level level, const char *line)
{
	struct heard *h = arg;

	h->n++;
	h->level = level;
	snprintf(h->line, sizeof(h->line), "%s", line);
}

/** Make a container on the mock kernel. @return NULL: failed */
static struct dmamap_container *
make_container(struct dmamap_container_conf conf)
{
	struct dmamap_container *c = NULL;

	conf.backend = DMAMAP_BACKEND_TYPE1;
	conf.kernel = vfio_mock_kernel(mock);
	return dmamap_container_create(&conf, &c) == 0 ? c : NULL;
}

static bool
devices_reach_what_is_mapped(void)
{
	struct dmamap_container *c = make_container((struct dmamap_container_conf){.name = "maps"});
	struct dmamap_device *d;
	dmamap_iova_t iova;
	char text[6] = "";

	CHECK(c != NULL);
	CHECK(dmamap_container_attach(c, "nic0", &d) == 0);
	CHECK(dmamap_map(c, buf, LEN, DMAMAP_RW, &iova) == 0);
	CHECK(vfio_mock_dma_write(mock, "nic0", iova, "hello", 6) == 0);
	CHECK(strcmp(buf, "hello") == 0);
	CHECK(vfio_mock_dma_read(mock, "nic0", iova, text, sizeof(text)) == 0);
	CHECK(strcmp(text, "hello") == 0);
	CHECK(dmamap_va2iova(c, buf) == iova && dmamap_iova2va(c, iova) == buf);
	CHECK(dmamap_unmap(c, iova, LEN) == 0);
	CHECK(dmamap_va2iova(c, buf) == DMAMAP_BAD_IOVA);
	CHECK(vfio_mock_dma_read(mock, "nic0", iova, text, sizeof(text)) != 0);
	CHECK(dmamap_container_detach(d) == 0);
	return dmamap_container_destroy(c) == 0;
}

static bool
an_error_is_a_line_for_the_function(void)
{
	struct dmamap_container *c =
		make_container((struct dmamap_container_conf){.name = "heard"});
	struct heard h = {0};
	dmamap_iova_t iova;

	CHECK(c != NULL);
	CHECK(dmamap_log_set(hear, &h) == 0);
	CHECK(dmamap_map(c, (char *)buf + 1, LEN, DMAMAP_RW, &iova) == -EINVAL);
	CHECK(dmamap_log_set(NULL, NULL) == 0);
	printf("  %s\n", h.line);
	CHECK(h.n == 1 && h.level == DMAMAP_LOG_ERR);
	CHECK(strstr(h.line, "container heard") != NULL && strchr(h.line, '\n') == NULL);
	CHECK(dmamap_map(c, buf, LEN, 0, &iova) == -EINVAL);
	CHECK(h.n == 1);
	return dmamap_container_destroy(c) == 0;
}

/**
 * Run a function with standard error redirected to a file. @return what was written; the caller
 * frees it
 */
static char *
stderr_of(void (*fn)(void))
{
	char *text = calloc(1, 4096);
	int saved = dup(STDERR_FILENO), file = memfd_create("stderr", MFD_CLOEXEC);

	if (text == NULL || saved < 0 || file < 0 || dup2(file, STDERR_FILENO) < 0)
		abort();
	fn();
	fflush(stderr);
	dup2(saved, STDERR_FILENO);
	close(saved);
	if (pread(file, text, 4095, 0) < 0)
		abort();
	close(file);
	return text;
}

static void
fail_to_create(void)
{
	struct dmamap_container *c;

	dmamap_container_create(&(struct dmamap_container_conf){.name = ""}, &c);
}

static bool
without_a_function_errors_go_to_standard_error(void)
{
	char *text = stderr_of(fail_to_create), *end = strchr(text, '\n');
	bool named = strstr(text, "container name") != NULL;
	bool one_line = end != NULL && end[1] == '\0';

	free(text);
	CHECK(one_line);
	CHECK(named);
	return true;
}

static int inner_rc;
static unsigned int inner_calls;

/**
 * Break both rules for log functions that can be checked: no dmamap_log_set() and no failing call.
 */
static void
hear_and_call(void *arg, enum dmamap_log_level level, const char *line)
{
	inner_calls++;
	inner_rc = dmamap_log_set(NULL, NULL);
	fail_to_create();
}

static void
fail_with_calls(void)
{
	dmamap_log_set(hear_and_call, NULL);
	fail_to_create();
	dmamap_log_set(NULL, NULL);
}

static bool
a_function_cannot_replace_or_call_itself(void)
{
	char *text = stderr_of(fail_with_calls);
	bool written = strstr(text, "container name") != NULL;

	free(text);
	CHECK(inner_calls == 1);
	CHECK(inner_rc == -EDEADLK);
	/* The inner line goes to standard error. */
	CHECK(written);
	return true;
}

static atomic_bool in_function, may_return, replaced;

static void
hear_slowly(void *arg, enum dmamap_log_level level, const char *line)
{
	atomic_store(&in_function, true);
	while (!atomic_load(&may_return))
		usleep(100);
}

static void *
fail_in_thread(void *arg)
{
	fail_to_create();
	return NULL;
}

static void *
replace_in_thread(void *arg)
{
	dmamap_log_set(NULL, NULL);
	atomic_store(&replaced, true);
	return NULL;
}

static bool
a_replaced_function_has_returned(void)
{
	pthread_t failing, replacing;
	bool early;

	CHECK(dmamap_log_set(hear_slowly, NULL) == 0);
	CHECK(pthread_create(&failing, NULL, fail_in_thread, NULL) == 0);
	while (!atomic_load(&in_function))
		usleep(100);
	CHECK(pthread_create(&replacing, NULL, replace_in_thread, NULL) == 0);
	usleep(20000);
	early = atomic_load(&replaced);
	atomic_store(&may_return, true);
	pthread_join(failing, NULL);
	pthread_join(replacing, NULL);
	CHECK(!early);
	CHECK(atomic_load(&replaced));
	return true;
}

/** Threads that log while another changes the function. Run under the sanitizers, too. */
static atomic_uint n_heard;

static void
count(void *arg, enum dmamap_log_level level, const char *line)
{
	atomic_fetch_add((atomic_uint *)arg, 1);
}

static void *
fail_often(void *arg)
{
	int i;

	for (i = 0; i < 1000; i++)
		fail_to_create();
	return NULL;
}

static void
fail_in_two_threads(void)
{
	pthread_t threads[2];
	int i;

	for (i = 0; i < 2; i++)
		if (pthread_create(&threads[i], NULL, fail_often, NULL) != 0)
			abort();
	for (i = 0; i < 1000; i++)
		dmamap_log_set(count, &n_heard);
	for (i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	dmamap_log_set(NULL, NULL);
}

static bool
threads_log_while_the_function_changes(void)
{
	CHECK(dmamap_log_set(count, &n_heard) == 0);
	fail_in_two_threads();
	CHECK(atomic_load(&n_heard) == 2000);
	return true;
}

/** Readers that become quiescent after POLLS polls. */
struct slow_readers {
	unsigned int started, polls;
	bool mapped; /**< nic0 still reached the memory at the last poll */
	dmamap_iova_t iova;
};

static uint64_t
slow_start(void *arg)
{
	struct slow_readers *r = arg;

	r->polls = 0;
	return ++r->started;
}

static bool
slow_done(void *arg, uint64_t token)
{
	struct slow_readers *r = arg;
	char byte;

	if (token == 0 || token > r->started)
		abort();
	r->mapped = vfio_mock_dma_read(mock, "nic0", r->iova, &byte, 1) == 0;
	return ++r->polls >= POLLS;
}

static bool
an_unmap_waits_for_readers_of_any_kind(void)
{
	struct slow_readers r = {0};
	struct dmamap_container *c = make_container((struct dmamap_container_conf){
		.name = "read", .readers = {.start = slow_start, .done = slow_done, .arg = &r}});
	struct dmamap_device *d;
	char byte;

	CHECK(c != NULL);
	CHECK(dmamap_container_attach(c, "nic0", &d) == 0);
	CHECK(dmamap_map(c, buf, LEN, DMAMAP_RW, &r.iova) == 0);
	CHECK(dmamap_unmap(c, r.iova, LEN) == 0);
	CHECK(r.started >= 1 && r.polls >= POLLS);
	/* The memory was unmapped from the IOMMU only afterwards. */
	CHECK(r.mapped);
	CHECK(vfio_mock_dma_read(mock, "nic0", r.iova, &byte, 1) != 0);
	CHECK(dmamap_container_detach(d) == 0);
	return dmamap_container_destroy(c) == 0;
}

static bool
readers_are_two_functions_and_exclude_rcu(void)
{
	struct dmamap_container_conf conf = {.readers = {.start = slow_start}};
	struct dmamap_container *c;
	struct heard h = {0};

	CHECK(dmamap_log_set(hear, &h) == 0);
	CHECK(dmamap_container_create(&conf, &c) == -EINVAL);
	conf.readers = (struct dmamap_readers){.done = slow_done};
	CHECK(dmamap_container_create(&conf, &c) == -EINVAL);
	conf.readers.start = slow_start;
	conf.rcu = buf;
	CHECK(dmamap_container_create(&conf, &c) == -EINVAL);
	CHECK(h.n == 3);
	if (plain) {
		conf.readers = (struct dmamap_readers){0};
		CHECK(dmamap_container_create(&conf, &c) == -ENOTSUP);
		printf("  %s\n", h.line);
		CHECK(h.n == 4 && strstr(h.line, "-Deal=enabled") != NULL);
	}
	return dmamap_log_set(NULL, NULL) == 0;
}

static const struct {
	const char *name;
	bool (*run)(void);
} cases[] = {
	{"devices reach what is mapped", devices_reach_what_is_mapped},
	{"an error is a line for the function", an_error_is_a_line_for_the_function},
	{"without a function errors go to standard error",
		without_a_function_errors_go_to_standard_error},
	{"a function cannot replace or call itself", a_function_cannot_replace_or_call_itself},
	{"a replaced function has returned", a_replaced_function_has_returned},
	{"threads log while the function changes", threads_log_while_the_function_changes},
	{"an unmap waits for readers of any kind", an_unmap_waits_for_readers_of_any_kind},
	{"readers are two functions and exclude rcu", readers_are_two_functions_and_exclude_rcu},
};

int
main(int argc, char **argv)
{
	unsigned int i, passed = 0;
	const unsigned int n = sizeof(cases) / sizeof(cases[0]);
	struct vfio_mock_group_conf group = {0};

	plain = argc > 1 && strcmp(argv[1], "plain") == 0;
	buf = mmap(NULL, LEN, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (buf == MAP_FAILED || vfio_mock_create(NULL, &mock) < 0)
		return EXIT_FAILURE;
	group.iommu = vfio_mock_add_iommu(mock, NULL);
	if (vfio_mock_add_device(mock, vfio_mock_add_group(mock, &group), "nic0", 0, "vfio-pci") <
		0)
		return EXIT_FAILURE;
	for (i = 0; i < n; i++) {
		bool ok = cases[i].run();

		printf("%s public: %s\n", ok ? "ok     " : "FAILED ", cases[i].name);
		passed += ok;
	}
	printf("%u passed, %u failed, 0 skipped\n", passed, n - passed);
	return passed == n && vfio_mock_destroy(mock) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
