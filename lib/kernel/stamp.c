// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * Stamps of a file: what statx says of its last change. Change times move with the clock's tick (4
 * ms at 250 Hz), so the second of two changes in a tick does not show. So the coarse clock is read
 * before statx. If it has not gone past the change time the stamp is racy and proves nothing:
 *
 *	change, ctime = T          coarse clock says T: stamp is racy
 *	change again, ctime = T    equal stamps, other pages
 *
 * If the clock is set back a change may be missed; size and, on DAX, blocks are compared, too.
 */
#include "kernel/stamp.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <time.h>

int stamp_take(int fd, struct file_stamp *stamp)
{
	struct timespec now;
	struct statx stx;

	clock_gettime(CLOCK_REALTIME_COARSE, &now);
	if (statx(fd, "", AT_EMPTY_PATH, STATX_SIZE | STATX_BLOCKS | STATX_CTIME | STATX_INO, &stx))
		return -errno;
	stamp->size = stx.stx_size;
	stamp->blocks = stx.stx_blocks;
	stamp->dev = makedev(stx.stx_dev_major, stx.stx_dev_minor);
	stamp->ino = stx.stx_ino;
	stamp->ctime_s = stx.stx_ctime.tv_sec;
	stamp->ctime_ns = stx.stx_ctime.tv_nsec;
	if (!stamp->ctime_ns) /* the filesystem keeps whole seconds, or only every other one */
		stamp->racy = now.tv_sec <= stamp->ctime_s + 2;
	else
		stamp->racy = now.tv_sec < stamp->ctime_s || (now.tv_sec == stamp->ctime_s &&
							      now.tv_nsec <= (long)stamp->ctime_ns);
	return 0;
}

bool stamp_differs(const struct file_stamp *a, const struct file_stamp *b, bool blocks)
{
	return a->size != b->size || a->ctime_s != b->ctime_s || a->ctime_ns != b->ctime_ns ||
	       a->shared != b->shared || (blocks && a->blocks != b->blocks);
}

bool stamp_is_local(int fd)
{
	static const uint32_t remote[] = {
		0x6969,     /* NFS */
		0xff534d42, /* CIFS */
		0xfe534d42, /* SMB2 */
		0x517b,     /* SMB */
		0x65735546, /* FUSE */
		0x01021997, /* 9P */
		0x00c36400, /* Ceph */
		0x5346414f, /* AFS */
		0x6b414653, /* kAFS */
		0x73757245, /* Coda */
		0x7461636f, /* OCFS2 */
		0x01161970, /* GFS2 */
		0x0bd00bd0, /* Lustre */
		0x786f4256, /* VirtualBox shared folders */
	};
	struct statfs fs;

	if (fstatfs(fd, &fs))
		return false;
	for (size_t i = 0; i < sizeof(remote) / sizeof(remote[0]); i++) {
		if ((uint32_t)fs.f_type == remote[i])
			return false;
	}
	return true;
}
