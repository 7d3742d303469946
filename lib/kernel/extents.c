/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * How much of a file shares its blocks with other files. Cloning a file (FICLONE) takes permission
 * to write from every mapping of it and leaves no trace in its times, raises no event about it, and
 * once the CPU has mapped the pages again, read-only, none in the page table that may be read. Its
 * extents alone tell.
 */
#include "kernel/extents.h"
#include "base/number.h"

#include <string.h>
#include <sys/vfs.h>

#define XFS_MAGIC 0x58465342 /* the one filesystem that has both DAX and shared blocks */

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
