/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * How much of a file shares its blocks with other files. Cloning a file (FICLONE) takes permission to write from
 * every mapping of it and leaves no trace in its times, raises no event about it, and once the CPU has mapped
 * the pages again, read-only, none in the page table that may be read. Its extents alone tell.
 */
#include "mm/span.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fiemap.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/vfs.h>

#define EXTENTS_AT_ONCE 32
#define XFS_MAGIC 0x58465342 /* the one filesystem that has both DAX and shared blocks */

const char *fd_path(char buf[FD_PATH_SIZE], int fd)
{
	char digits[12];
	char *p;
	int n = 0;

	strcpy(buf, "/proc/self/fd/");
	p = buf + strlen(buf);
	do {
		digits[n++] = (char)('0' + fd % 10);
		fd /= 10;
	} while (fd);
	while (n)
		*p++ = digits[--n];
	*p = 0;
	return buf;
}

/* A descriptor that extents can be asked of, made from one that was opened for its path alone; -1: not needed, or not to be had. */
int extents_open(int path_fd)
{
	char path[FD_PATH_SIZE];
	struct statfs fs;

	if (fstatfs(path_fd, &fs) || (uint32_t)fs.f_type != XFS_MAGIC)
		return -1;
	return open(fd_path(path, path_fd), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
}

int extents_shared(int fd, uint64_t *bytes)
{
	union {
		struct fiemap map; /* ends in the extents */
		char room[sizeof(struct fiemap) + EXTENTS_AT_ONCE * sizeof(struct fiemap_extent)];
	} q;
	uint64_t from = 0;
	bool more = true;

	*bytes = 0;
	while (more) {
		memset(&q.map, 0, sizeof(q.map));
		q.map.fm_start = from;
		q.map.fm_length = FIEMAP_MAX_OFFSET - from;
		q.map.fm_extent_count = EXTENTS_AT_ONCE;
		if (ioctl(fd, FS_IOC_FIEMAP, &q.map))
			return -errno;
		more = q.map.fm_mapped_extents == EXTENTS_AT_ONCE;
		for (uint32_t i = 0; i < q.map.fm_mapped_extents; i++) {
			const struct fiemap_extent *e = &q.map.fm_extents[i];

			if (e->fe_flags & FIEMAP_EXTENT_SHARED)
				*bytes += e->fe_length;
			if (e->fe_flags & FIEMAP_EXTENT_LAST)
				more = false;
			from = e->fe_logical + e->fe_length;
		}
	}
	return 0;
}
