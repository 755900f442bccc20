/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Test code in a child process. See child.h.
 */

#include <errno.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/filter.h>
#include <linux/seccomp.h>

#include <rte_common.h>

#include "child.h"

#define CALLS_MAX 16

#ifdef GANTRY_COVERAGE
/* Of libgcov, which has no header for it in Debian 12. Its own hook is of exit(3). */
void __gcov_dump(void);
#endif

void
test_child_exit(int status)
{
	fflush(stdout);
#ifdef GANTRY_COVERAGE
	__gcov_dump();
#endif
	_exit(status);
}

int
test_in_child(int (*run)(const void *arg), const void *arg)
{
	int status;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (pid == 0)
		test_child_exit(run(arg));
	if (pid < 0 || waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
		return -1;
	return WEXITSTATUS(status);
}

static int
install(struct sock_filter *code, unsigned int n)
{
	const struct sock_fprog prog = {.len = (unsigned short)n, .filter = code};

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
		prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog) < 0)
		return -errno;
	return 0;
}

static struct sock_filter
verdict(int err)
{
	return (struct sock_filter)BPF_STMT(BPF_RET | BPF_K,
		err != 0 ? SECCOMP_RET_ERRNO | (unsigned int)err : SECCOMP_RET_KILL_PROCESS);
}

int
test_refuse_calls(const int *calls, unsigned int n, int err)
{
	struct sock_filter code[CALLS_MAX + 3];
	unsigned int i;

	if (n > CALLS_MAX)
		return -EINVAL;
	code[0] = (struct sock_filter)BPF_STMT(
		BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
	for (i = 0; i < n; i++)
		code[1 + i] = (struct sock_filter)BPF_JUMP(
			BPF_JMP | BPF_JEQ | BPF_K, (unsigned int)calls[i], (uint8_t)(n - i), 0);
	code[1 + n] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	code[2 + n] = verdict(err);
	return install(code, n + 3);
}

int
test_refuse_call_with(int call, unsigned int arg, uint32_t value, int err)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned int)call, 0, 3),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
			offsetof(struct seccomp_data, args) + arg * sizeof(uint64_t)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, 0, 1),
		verdict(err),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};

	return install(code, sizeof(code) / sizeof(code[0]));
}

int
test_refuse_mmap(int prot, int flags, int err)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_mmap, 0, 5),
		/* The lower halves of 64-bit arguments, on little-endian machines. */
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[2])),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned int)prot, 0, 3),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[3])),
		BPF_STMT(BPF_ALU | BPF_AND | BPF_K, (unsigned int)flags),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned int)flags, 1, 0),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
		verdict(err),
	};

	return install(code, RTE_DIM(code));
}

int
test_range_access(const void *va, size_t len)
{
	uint64_t at = (uintptr_t)va, last = at + len, from, to;
	FILE *f = fopen("/proc/self/maps", "re");
	char line[512], perms[8];
	int access, all = 0;

	if (f == NULL)
		return -1;
	while (at < last && fgets(line, sizeof(line), f) != NULL) {
		if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %7s", &from, &to, perms) != 3 || to <= at)
			continue;
		if (from > at)
			break;
		access = strcmp(perms, "---p") == 0 ? 1 : strncmp(perms, "rw-", 3) == 0 ? 3 : 4;
		all |= 1 << access;
		at = to;
	}
	fclose(f);
	if (at < last)
		return -1;
	return all == 1 << 1 ? 1 : all == 1 << 3 ? 3 : 0;
}
