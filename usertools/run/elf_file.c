/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Reader of ELF headers. Implements elf_file.h. Layout: elf(5).
 *
 * Invariant: no value in a file is trusted. Sizes are bounded, and an offset beyond the end is an
 * error.
 */

#include <elf.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "elf_file.h"

/** Maximum number of dynamic section entries that are read. */
#define DYN_MAX 4096

/** @return 0; -ENOEXEC: the file is too short; another negative errno. */
static int
file_read_at(int fd, void *buf, size_t size, uint64_t offset)
{
	ssize_t got = pread(fd, buf, size, (off_t)offset);

	if (got < 0)
		return errno == EINVAL ? -ENOEXEC : -errno;
	return (size_t)got == size ? 0 : -ENOEXEC;
}

static int
elf_read_interp(int fd, const Elf64_Phdr *phdr, struct elf_file *elf)
{
	int rc;

	if (phdr->p_filesz == 0 || phdr->p_filesz > sizeof(elf->interp))
		return -ENOEXEC;
	rc = file_read_at(fd, elf->interp, phdr->p_filesz, phdr->p_offset);
	if (rc == 0 && elf->interp[phdr->p_filesz - 1] != '\0')
		rc = -ENOEXEC;
	return rc;
}

static int
elf_read_dynamic(int fd, const Elf64_Phdr *phdr, struct elf_file *elf)
{
	Elf64_Dyn dyn;
	unsigned int i;
	int rc;

	for (i = 0; i < phdr->p_filesz / sizeof(dyn) && i < DYN_MAX; i++) {
		rc = file_read_at(fd, &dyn, sizeof(dyn), phdr->p_offset + i * sizeof(dyn));
		if (rc < 0 || dyn.d_tag == DT_NULL)
			return rc;
		if (dyn.d_tag == DT_FLAGS_1)
			elf->is_pie = (dyn.d_un.d_val & DF_1_PIE) != 0;
	}
	return 0;
}

int
elf_file_read(int fd, struct elf_file *elf)
{
	Elf64_Ehdr ehdr;
	Elf64_Phdr phdr;
	unsigned int i;
	int rc;

	memset(elf, 0, sizeof(*elf));
	/* Class, byte order, type and machine are at the same offsets in both classes. */
	rc = file_read_at(fd, &ehdr, sizeof(Elf32_Ehdr), 0);
	if (rc < 0)
		return rc;
	if (memcmp(ehdr.e_ident, ELFMAG, SELFMAG) != 0)
		return -ENOEXEC;
	elf->class = ehdr.e_ident[EI_CLASS];
	elf->machine = ehdr.e_machine;
	elf->type = ehdr.e_type;
	if (elf->class != ELFCLASS64)
		return 0;
	rc = file_read_at(fd, &ehdr, sizeof(ehdr), 0);
	for (i = 0; rc == 0 && i < ehdr.e_phnum && ehdr.e_phentsize == sizeof(phdr); i++) {
		rc = file_read_at(
			fd, &phdr, sizeof(phdr), ehdr.e_phoff + (uint64_t)i * sizeof(phdr));
		if (rc == 0 && phdr.p_type == PT_INTERP)
			rc = elf_read_interp(fd, &phdr, elf);
		else if (rc == 0 && phdr.p_type == PT_DYNAMIC)
			rc = elf_read_dynamic(fd, &phdr, elf);
	}
	return rc;
}
