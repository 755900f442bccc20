/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * What the BPF programs of gantry-trace need of this machine: BTF, rights, device numbers; and the
 * line that says which of them is missing. Called by kernel.c and follow.c.
 */

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <bpf/btf.h>
#include <bpf/libbpf.h>

#include "trace.h"

static int
said(enum libbpf_print_level level, const char *fmt, va_list ap)
{
	return getenv("GANTRY_TRACE_LOG") != NULL ? vfprintf(stderr, fmt, ap) : 0;
}

bool
trace_btf_has(const char *module, const char *name)
{
	struct btf *vmlinux = btf__load_vmlinux_btf(), *btf = NULL;
	bool has;

	libbpf_set_print(said);
	if (vmlinux == NULL)
		return false;
	has = btf__find_by_name_kind(vmlinux, name, BTF_KIND_STRUCT) > 0;
	if (!has && module != NULL) {
		btf = btf__load_module_btf(module, vmlinux);
		has = btf != NULL && btf__find_by_name_kind(btf, name, BTF_KIND_STRUCT) > 0;
	}
	btf__free(btf);
	btf__free(vmlinux);
	return has;
}

int
trace_load_fail(const struct info_host *h, const char *what, int err)
{
	if (!info_exists(h, "/sys/kernel/btf/vmlinux"))
		return info_fail(h, TRACE_CANNOT,
			"%s: this kernel has no types (/sys/kernel/btf/vmlinux): boot one with"
			" CONFIG_DEBUG_INFO_BTF",
			what);
	if (err == -EPERM || err == -EACCES)
		return info_fail(h, TRACE_CANNOT,
			"%s: it takes CAP_BPF, CAP_PERFMON and CAP_SYS_ADMIN: run it as root",
			what);
	return info_fail(h, TRACE_CANNOT, "%s: %s: set GANTRY_TRACE_LOG=1 to see what libbpf says",
		what, strerror(-err));
}

struct bpf_object *
trace_object_open(const void *data, size_t size, const char *name)
{
	LIBBPF_OPTS(bpf_object_open_opts, opts, .object_name = name);

	libbpf_set_print(said);
	return bpf_object__open_mem(data, size, &opts);
}

uint32_t
trace_misc_number(const struct info_host *h, const char *name)
{
	unsigned int major, minor;
	char line[64];

	if (info_line(h, line, sizeof(line), "/sys/class/misc/%s/dev", name) < 0 ||
		sscanf(line, "%u:%u", &major, &minor) != 2)
		return 0;
	return major << 20 | minor;
}
