// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * How much of a file shares its blocks with other files. Cloning a file (FICLONE) removes the
 * permission to write from every mapping of it. That changes no time of the file and raises no
 * event, and once the CPU has mapped the pages again, read-only, the readable part of the page
 * table does not show it either. Only the file's extents do.
 */
#include "kernel/extents.h"
#include "base/number.h"

#include <string.h>
#include <sys/vfs.h>

#define XFS_MAGIC 0x58465342 /* the only filesystem with both DAX and shared blocks */

const char *fd_path(char buf[FD_PATH_SIZE], int fd)
{
	strcpy(buf, "/proc/self/fd/");
	*put_number(buf + strlen(buf), (uint64_t)fd, 10) = 0;
	return buf;
}

bool extents_matter(int path_fd)
{
	struct statfs fs;

	return !fstatfs(path_fd, &fs) && (uint32_t)fs.f_type == XFS_MAGIC;
}
