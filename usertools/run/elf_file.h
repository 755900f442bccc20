/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * ELF headers that determine which dynamic linker loads a program. Used by program.c.
 */

#ifndef RUN_ELF_FILE_H
#define RUN_ELF_FILE_H

#include <limits.h>
#include <stdbool.h>

struct elf_file {
	unsigned char class; /**< ELFCLASS64, ELFCLASS32 */
	unsigned int machine; /**< EM_... */
	unsigned int type; /**< ET_EXEC, ET_DYN, ... */
	bool is_pie; /**< ET_DYN with DF_1_PIE: an executable */
	char interp[PATH_MAX]; /**< path of the dynamic linker (PT_INTERP); "": none */
};

/**
 * Read the headers of a file. Of another class or byte order, only class, machine and type are
 * read.
 * @return 0; -ENOEXEC: not an ELF file, or a broken one; another negative errno: read failed.
 */
int elf_file_read(int fd, struct elf_file *elf);

#endif /* RUN_ELF_FILE_H */
