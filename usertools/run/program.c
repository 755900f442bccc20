/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Finding and checking a program. Implements program.h.
 */

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/prctl.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "elf_file.h"
#include "program.h"

/** Maximum nesting of script interpreters, as in the kernel. */
#define SCRIPTS_MAX 5
/** Bytes of a script's first line that the kernel reads (BINPRM_BUF_SIZE). */
#define SCRIPT_LINE 256

enum run_status
run_fail(enum run_status status, const char *fmt, ...)
{
	va_list ap;

	fprintf(stderr, "gantry-run: ");
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	return status;
}

static const char *
base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash != NULL ? slash + 1 : path;
}

/* Checks for the dynamic linker */

/**
 * Check that execve(2) will not request secure execution. It does if the effective user or group
 * would differ from the real one, or if an ordinary user would get file capabilities. Rules:
 * execve(2), capabilities(7).
 */
static int
program_check_privileges(const char *path, int fd, const struct stat *st)
{
	const bool no_new = prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1;
	const unsigned int group_bits = S_ISGID | S_IXGRP;
	uid_t uid = geteuid();
	gid_t gid = getegid();
	struct statvfs fs;
	bool ignored;

	ignored = fstatvfs(fd, &fs) == 0 && (fs.f_flag & ST_NOSUID) != 0;
	if (!ignored && !no_new && (st->st_mode & S_ISUID) != 0)
		uid = st->st_uid;
	if (!ignored && !no_new && (st->st_mode & group_bits) == group_bits)
		gid = st->st_gid;
	if (uid != getuid())
		return run_fail(RUN_NOT_RUN,
			"%s: would run as another user (%u, not %u), for which the dynamic linker"
			" ignores LD_PRELOAD: remove the set-user-ID bit, or become that user first",
			path, uid, getuid());
	if (gid != getgid())
		return run_fail(RUN_NOT_RUN,
			"%s: would run as another group (%u, not %u), for which the dynamic linker"
			" ignores LD_PRELOAD: remove the set-group-ID bit, or become that group"
			" first",
			path, gid, getgid());
	if (!ignored && getuid() != 0 && fgetxattr(fd, "security.capability", NULL, 0) >= 0)
		return run_fail(RUN_NOT_RUN,
			"%s: has file capabilities, for which the dynamic linker ignores LD_PRELOAD:"
			" use ambient capabilities (setpriv --ambient-caps, AmbientCapabilities= of"
			" systemd), or run it as root",
			path);
	return 0;
}

/** Log why a file without a program interpreter is refused. @return status */
static int
program_refuse_static(const char *path, const struct elf_file *elf)
{
	if (elf->type == ET_DYN && !elf->is_pie)
		return run_fail(RUN_NOT_RUN,
			"%s: is a shared library or a dynamic linker: name the program itself",
			path);
	return run_fail(RUN_NOT_RUN,
		"%s: statically linked%s, so its calls of the C library cannot be intercepted:"
		" link it with the shared C library",
		path, elf->type == ET_DYN ? " (static-pie)" : "");
}

/** Check that the program has the same dynamic linker as this one: glibc's for this machine. */
static int
program_check_elf(const char *path, const struct elf_file *elf)
{
	struct elf_file own;
	int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC), rc;

	rc = fd < 0 ? -errno : elf_file_read(fd, &own);
	if (fd >= 0)
		close(fd);
	if (rc < 0)
		return run_fail(RUN_FAILED, "/proc/self/exe: cannot be read: %s: mount /proc",
			strerror(-rc));
	if (elf->class != own.class || elf->machine != own.machine)
		return run_fail(RUN_NOT_RUN,
			"%s: built for another machine (ELF class %u, machine %u; gantry-run: %u, %u):"
			" use a build for this machine",
			path, elf->class, elf->machine, own.class, own.machine);
	if (elf->type != ET_EXEC && elf->type != ET_DYN)
		return run_fail(RUN_NOT_RUN,
			"%s: not an executable (ELF type %u): name an executable", path, elf->type);
	if (elf->interp[0] == '\0')
		return program_refuse_static(path, elf);
	if (strcmp(base_name(elf->interp), base_name(own.interp)) != 0)
		return run_fail(RUN_NOT_RUN,
			"%s: not linked with glibc (its program interpreter is"
			" %s, not %s): use a build for glibc",
			path, elf->interp, base_name(own.interp));
	if (access(elf->interp, X_OK) < 0)
		return run_fail(RUN_NOT_RUN,
			"%s: its program interpreter %s: %s: install the C"
			" library that it was linked with",
			path, elf->interp, strerror(errno));
	return 0;
}

/* Scripts */

/**
 * Parse a script's first line: the interpreter, and the rest, which is one argument.
 * @return false: not a script.
 */
static bool
script_parse(char *line, char **interp, char **arg)
{
	if (strncmp(line, "#!", 2) != 0)
		return false;
	line[strcspn(line, "\n")] = '\0';
	*interp = line + 2 + strspn(line + 2, " \t");
	*arg = *interp + strcspn(*interp, " \t");
	if (**arg != '\0')
		*(*arg)++ = '\0';
	*arg += strspn(*arg, " \t");
	(*arg)[strcspn(*arg, " \t")] = '\0';
	return true;
}

/** Whether the interpreter is env(1) with the name of a program, which it will find as we do. */
static bool
script_is_env(const char *interp, const char *arg)
{
	return strcmp(base_name(interp), "env") == 0 && arg[0] != '\0' && arg[0] != '-' &&
		strchr(arg, '=') == NULL;
}

static int program_check(const char *path, unsigned int depth);
static int program_search(const char *name, char path[PATH_MAX]);

/**
 * Check the interpreters of a script.
 * @param line  first bytes of the file, terminated.
 * @return 0; a status; -ENOEXEC: not a script.
 */
static int
script_check(const char *path, char *line, unsigned int depth)
{
	char found[PATH_MAX], *interp, *arg;
	int rc;

	if (!script_parse(line, &interp, &arg))
		return -ENOEXEC;
	if (depth == 0)
		return run_fail(RUN_NOT_RUN,
			"%s: too many nested script interpreters: name the interpreter itself",
			path);
	rc = program_check(interp, depth - 1);
	if (rc != 0 || !script_is_env(interp, arg))
		return rc;
	rc = program_search(arg, found);
	return rc != 0 ? rc : program_check(found, depth - 1);
}

/** Check an open file and its interpreters. */
static int
file_check(const char *path, int fd, unsigned int depth)
{
	char line[SCRIPT_LINE] = "";
	struct elf_file elf;
	struct stat st;
	int rc;

	if (fstat(fd, &st) < 0)
		return run_fail(RUN_NOT_RUN, "%s: %s", path, strerror(errno));
	if (!S_ISREG(st.st_mode))
		return run_fail(RUN_NOT_RUN, "%s: not a program but a %s: name an executable", path,
			S_ISDIR(st.st_mode) ? "directory" : "special file");
	if (faccessat(AT_FDCWD, path, X_OK, AT_EACCESS) < 0)
		return run_fail(
			RUN_NOT_RUN, "%s: not executable: %s: chmod +x", path, strerror(errno));
	if (pread(fd, line, sizeof(line) - 1, 0) < 0)
		return run_fail(RUN_NOT_RUN, "%s: cannot be read: %s", path, strerror(errno));
	/* Mode bits and capabilities of scripts have no effect. */
	rc = script_check(path, line, depth);
	if (rc != -ENOEXEC)
		return rc;
	rc = elf_file_read(fd, &elf);
	if (rc < 0)
		return run_fail(RUN_NOT_RUN,
			"%s: neither an ELF program nor a script that begins"
			" with \"#!\": %s",
			path, strerror(-rc));
	rc = program_check_elf(path, &elf);
	return rc != 0 ? rc : program_check_privileges(path, fd, &st);
}

static int
program_check(const char *path, unsigned int depth)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK), rc;

	if (fd < 0 && (errno == ENOENT || errno == ENOTDIR))
		return run_fail(depth == SCRIPTS_MAX ? RUN_NOT_FOUND : RUN_NOT_RUN,
			"%s: not found: %s", path, strerror(errno));
	if (fd < 0)
		return run_fail(RUN_NOT_RUN,
			"%s: cannot be read, so it cannot be checked: %s: make it readable", path,
			strerror(errno));
	rc = file_check(path, fd, depth);
	close(fd);
	return rc;
}

/** Search PATH for a name: the first executable file, else the first file. */
static int
program_search(const char *name, char path[PATH_MAX])
{
	const char *dirs = getenv("PATH");
	char candidate[PATH_MAX];
	bool found = false;
	struct stat st;
	size_t len;
	int n;

	/* If PATH is unset, use the default of execvp(3). */
	for (dirs = dirs != NULL ? dirs : "/bin:/usr/bin";; dirs += len + 1) {
		len = strcspn(dirs, ":");
		n = snprintf(candidate, sizeof(candidate), "%.*s%s%s", (int)len, dirs,
			len > 0 ? "/" : "", name);
		if (n < PATH_MAX && stat(candidate, &st) == 0 && S_ISREG(st.st_mode)) {
			if (!found)
				strcpy(path, candidate);
			found = true;
			if (faccessat(AT_FDCWD, candidate, X_OK, AT_EACCESS) == 0) {
				strcpy(path, candidate);
				return 0;
			}
		}
		if (dirs[len] == '\0')
			break;
	}
	return found ? 0 : run_fail(RUN_NOT_FOUND, "%s: not found in PATH", name);
}

int
run_program_find(const char *name, char path[PATH_MAX])
{
	int rc = 0;

	if (strlen(name) >= PATH_MAX)
		return run_fail(
			RUN_NOT_FOUND, "%.40s...: not found: %s", name, strerror(ENAMETOOLONG));
	if (strchr(name, '/') != NULL)
		strcpy(path, name);
	else
		rc = program_search(name, path);
	return rc != 0 ? rc : program_check(path, SCRIPTS_MAX);
}
