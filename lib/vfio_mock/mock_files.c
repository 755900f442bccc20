/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Table of open files of the mock kernel. A number is VFIO_MOCK_FIRST_FD plus the lowest free
 * index.
 *
 * Invariant: files of devices with regions have a real descriptor of this process as their number.
 */

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "dm_util.h"
#include "mock_priv.h"

/** Open a real descriptor for a file of a device with regions. @return 0; a negative errno. */
static int
file_make_real(struct mock_file *file)
{
	int fd;

	if ((file->kind != MOCK_DEVICE && file->kind != MOCK_CDEV) || file->device->vdev == NULL)
		return 0;
	fd = mock_vdev_open(file->device->vdev);
	if (fd < 0)
		return fd;
	file->is_real = true;
	file->number = fd;
	return 0;
}

int
mock_file_new(struct vfio_mock *m, struct mock_file file)
{
	struct mock_file *files;
	int at, rc;

	for (at = m->low_file; at < m->n_files; at++)
		if (m->files[at].kind == MOCK_NONE)
			break;
	if (at == m->n_files) {
		files = realloc(m->files, (m->n_files + 16) * sizeof(*files));
		if (files == NULL)
			return -ENOMEM;
		memset(&files[m->n_files], 0, 16 * sizeof(*files));
		m->files = files;
		m->n_files += 16;
	}
	rc = file_make_real(&file);
	if (rc < 0)
		return rc;
	m->files[at] = file;
	m->low_file = at + 1;
	return file.is_real ? file.number : VFIO_MOCK_FIRST_FD + at;
}

/** Entry of a descriptor: a file or a copy. NULL: not open. */
static struct mock_file *
file_by_number(struct vfio_mock *m, int fd)
{
	int at;

	if (fd < 0)
		return NULL;
	for (at = 0; fd < VFIO_MOCK_FIRST_FD && at < m->n_files; at++)
		if (m->files[at].kind != MOCK_NONE && m->files[at].is_real &&
			!m->files[at].closed && m->files[at].number == fd)
			return &m->files[at];
	at = fd - VFIO_MOCK_FIRST_FD;
	if (fd < VFIO_MOCK_FIRST_FD || at >= m->n_files || m->files[at].kind == MOCK_NONE ||
		m->files[at].is_real || m->files[at].closed)
		return NULL;
	return &m->files[at];
}

struct mock_file *
mock_file_get(struct vfio_mock *m, int fd)
{
	struct mock_file *file = file_by_number(m, fd);

	return file != NULL && file->kind == MOCK_COPY ? &m->files[file->of] : file;
}

int
mock_file_dup(struct vfio_mock *m, int fd)
{
	struct mock_file *file = mock_file_get(m, fd);
	struct mock_file copy = {.kind = MOCK_COPY};
	int at, number;

	if (file == NULL)
		return -EBADF;
	copy.of = at = file - m->files;
	copy.is_real = file->is_real;
	if (file->is_real) {
		copy.number = fcntl(fd, F_DUPFD_CLOEXEC, 0);
		if (copy.number < 0)
			return -errno;
	}
	number = mock_file_new(m, copy);
	if (number < 0) {
		if (copy.is_real)
			close(copy.number);
		return number;
	}
	m->files[at].copies++;
	return number;
}

int
mock_file_close(struct vfio_mock *m, int fd, struct mock_file *last)
{
	struct mock_file *number = file_by_number(m, fd), *file = mock_file_get(m, fd);

	*last = (struct mock_file){.kind = MOCK_NONE};
	if (number == NULL)
		return -EBADF;
	if (number != file) {
		mock_file_free(m, number);
		file->copies--;
	} else {
		if (file->is_real)
			close(file->number);
		file->closed = true;
	}
	if (!file->closed || file->copies > 0)
		return 0;
	*last = *file;
	file->is_real = false;
	mock_file_free(m, file);
	return 0;
}

void
mock_file_free(struct vfio_mock *m, struct mock_file *file)
{
	if (file->is_real)
		close(file->number);
	file->kind = MOCK_NONE;
	m->low_file = DM_MIN(m->low_file, (int)(file - m->files));
}
