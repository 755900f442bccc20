/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * An XDP program and its map that are not the driver's, in instructions of this file, so that it
 * depends on nothing of the driver.
 */

#include <errno.h>
#include <stddef.h>
#include <unistd.h>
#include <linux/bpf.h>
#include <linux/if_link.h>
#include <net/if.h>
#include <sys/socket.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "foreign_map.h"

struct foreign_map foreign = {.map_fd = -1, .prog_fd = -1};

void
foreign_drop(void)
{
	if (foreign.prog_fd >= 0)
		close(foreign.prog_fd);
	if (foreign.map_fd >= 0)
		close(foreign.map_fd);
	foreign.prog_fd = foreign.map_fd = -1;
}

int
foreign_make(uint32_t n_entries)
{
	int map_fd = bpf_map_create(BPF_MAP_TYPE_XSKMAP, "foreign_xsks", 4, 4, n_entries, NULL);
	const struct bpf_insn insns[] = {
		/* r2 = ctx->rx_queue_index */
		{.code = BPF_LDX | BPF_MEM | BPF_W,
			.dst_reg = BPF_REG_2,
			.src_reg = BPF_REG_1,
			.off = offsetof(struct xdp_md, rx_queue_index)},
		/* r1 = map, an immediate value (BPF_IMM is 0) */
		{.code = BPF_LD | BPF_DW,
			.dst_reg = BPF_REG_1,
			.src_reg = BPF_PSEUDO_MAP_FD,
			.imm = map_fd},
		{0},
		/* r3 = what to do without an entry */
		{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_3, .imm = XDP_PASS},
		{.code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_redirect_map},
		{.code = BPF_JMP | BPF_EXIT},
	};

	if (map_fd < 0)
		return -errno;
	foreign.map_fd = map_fd;
	foreign.prog_fd = bpf_prog_load(
		BPF_PROG_TYPE_XDP, "foreign", "BSD", insns, sizeof(insns) / sizeof(insns[0]), NULL);
	return foreign.prog_fd < 0 ? -errno : 0;
}

int
foreign_attach(const char *iface)
{
	return bpf_xdp_attach(if_nametoindex(iface), foreign.prog_fd, XDP_FLAGS_DRV_MODE, NULL);
}

bool
foreign_is_attached(const char *iface)
{
	struct bpf_prog_info info = {0};
	uint32_t id = 0, len = sizeof(info);

	return bpf_obj_get_info_by_fd(foreign.prog_fd, &info, &len) == 0 &&
		bpf_xdp_query_id(if_nametoindex(iface), 0, &id) == 0 && id == info.id;
}

int
foreign_set_entry(uint32_t queue)
{
	int fd = socket(AF_XDP, SOCK_RAW | SOCK_CLOEXEC, 0);

	if (fd < 0 || bpf_map_update_elem(foreign.map_fd, &queue, &fd, BPF_ANY) < 0)
		return -errno;
	return fd;
}

/* The kernel does not show entries: see whether a new socket finds the place free. */
int
foreign_has_entry(uint32_t queue)
{
	int fd = socket(AF_XDP, SOCK_RAW | SOCK_CLOEXEC, 0), rc;

	if (fd < 0)
		return -errno;
	rc = bpf_map_update_elem(foreign.map_fd, &queue, &fd, BPF_NOEXIST) == 0 ? 0 : -errno;
	/* The kernel removes it from the map. */
	close(fd);
	return rc == -EEXIST ? 1 : rc;
}

bool
foreign_entry_is(uint32_t queue, int fd)
{
	return foreign_has_entry(queue) == 1 &&
		bpf_map_update_elem(foreign.map_fd, &queue, &fd, BPF_NOEXIST) == 0;
}
