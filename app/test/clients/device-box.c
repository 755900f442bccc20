/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Permits a control group of version 2 some character devices, and refuses it all others, as
 * container runtimes do: by a program of type BPF_PROG_TYPE_CGROUP_DEVICE, which lasts as long as
 * the group. End-to-end tests put programs into such a group.
 *
 *     device-box CGROUP MAJOR:MINOR...
 */

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <bpf/bpf.h>
#include <linux/bpf.h>

#define DEVICES_MAX 64
/* Instructions for each device, and besides. */
#define OF_EACH 4
#define BESIDES 4

#define LOAD(reg, member)                                                                          \
	((struct bpf_insn){.code = BPF_LDX | BPF_MEM | BPF_W,                                      \
		.dst_reg = (reg),                                                                  \
		.src_reg = BPF_REG_1,                                                              \
		.off = offsetof(struct bpf_cgroup_dev_ctx, member)})
#define UNLESS_EQUAL(reg, value, skip)                                                             \
	((struct bpf_insn){.code = BPF_JMP | BPF_JNE | BPF_K,                                      \
		.dst_reg = (reg),                                                                  \
		.imm = (value),                                                                    \
		.off = (skip)})
#define ANSWER(value)                                                                              \
	((struct bpf_insn){                                                                        \
		.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = (value)})
#define END ((struct bpf_insn){.code = BPF_JMP | BPF_EXIT})

int
main(int argc, char **argv)
{
	struct bpf_insn code[DEVICES_MAX * OF_EACH + BESIDES];
	unsigned int at_major, at_minor, n = 0;
	int i, prog, group;

	if (argc < 2 || argc - 2 > DEVICES_MAX) {
		fprintf(stderr, "usage: device-box CGROUP MAJOR:MINOR...\n");
		return 2;
	}
	code[n++] = LOAD(BPF_REG_2, major);
	code[n++] = LOAD(BPF_REG_3, minor);
	for (i = 2; i < argc; i++) {
		if (sscanf(argv[i], "%u:%u", &at_major, &at_minor) != 2) {
			fprintf(stderr, "device-box: %s is not MAJOR:MINOR\n", argv[i]);
			return 2;
		}
		code[n++] = UNLESS_EQUAL(BPF_REG_2, at_major, 3);
		code[n++] = UNLESS_EQUAL(BPF_REG_3, at_minor, 2);
		code[n++] = ANSWER(1);
		code[n++] = END;
	}
	code[n++] = ANSWER(0);
	code[n++] = END;
	prog = bpf_prog_load(BPF_PROG_TYPE_CGROUP_DEVICE, "device_box", "BSD", code, n, NULL);
	group = open(argv[1], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (prog < 0 || group < 0 ||
		bpf_prog_attach(prog, group, BPF_CGROUP_DEVICE, BPF_F_ALLOW_MULTI) < 0) {
		fprintf(stderr, "device-box: %s: %s\n", argv[1], strerror(errno));
		return 1;
	}
	return 0;
}
