// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * From a VMA to its file: through /proc/self/map_files if that is allowed (CAP_CHECKPOINT_RESTORE),
 * by the file's name, or through one of the program's own descriptors (memfds and unlinked files).
 * Device and inode are compared to make sure that it is the same file.
 */
#include "kernel/extents.h"
#include "kernel/mounts.h"
#include "kernel/vma.h"
#include "base/dirent.h"
#include "base/epoch.h"
#include "base/number.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define FD_DIR "/proc/self/fd/"

/*
 * Some filesystems show another device in stat than in maps (btrfs: each subvolume has a number of
 * its own). maps shows the superblock's device, which mountinfo also has for the mount.
 */
bool vma_file_is(int fd, const struct hmm_vma *vma)
{
	struct mount_facts facts;
	struct statx stx;

	if (statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_INO | STATX_MNT_ID, &stx) ||
	    stx.stx_ino != vma->inode)
		return false;
	if (stx.stx_dev_major == vma->dev_major && stx.stx_dev_minor == vma->dev_minor)
		return true;
	return (stx.stx_mask & STATX_MNT_ID) && !mounts_find_id(stx.stx_mnt_id, &facts) &&
	       facts.dev_major == vma->dev_major && facts.dev_minor == vma->dev_minor;
}

/*
 * Are device and inode the VMA's as stat shows them, too? No other file has both. No server is
 * asked, as it may be the program itself that waits for the answer.
 */
static bool is_very_file(int fd, const struct hmm_vma *vma)
{
	struct statx stx;

	return !statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_INO, &stx) &&
	       stx.stx_ino == vma->inode && stx.stx_dev_major == vma->dev_major &&
	       stx.stx_dev_minor == vma->dev_minor;
}

static int open_checked(const char *path, const struct hmm_vma *vma)
{
	int fd = open(path, O_PATH | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	if (vma_file_is(fd, vma))
		return fd;
	close(fd);
	return -ENOENT;
}

static int open_map_file(const struct hmm_vma *vma)
{
	char path[64] = "/proc/self/map_files/";
	char *p = put_number(path + strlen(path), vma->start, 16);

	*p++ = '-';
	p = put_number(p, vma->end, 16);
	*p = 0;
	return open_checked(path, vma);
}

/*
 * Looks only for a descriptor with the same numbers in stat: if two files have the same number in
 * maps, an open descriptor of one does not tell which is mapped. -ENOENT: the process has no such
 * descriptor. Other errors: it may have one.
 */
static int open_own_fd(const struct hmm_vma *vma)
{
	char buf[2048] __attribute__((aligned(8)));
	char path[FD_PATH_SIZE];
	int dir = open(FD_DIR, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int found = -ENOENT;
	long n;

	if (dir < 0)
		return errno == ENOENT ? -EACCES : -errno;
	while (found < 0 && (n = syscall(SYS_getdents64, dir, buf, sizeof(buf))) > 0) {
		for (long at = 0; found < 0 && at < n;) {
			struct linux_dirent64 *d = (struct linux_dirent64 *)(buf + at);

			at += d->d_reclen;
			if (d->d_name[0] == '.' || !is_very_file(dirent_number(d), vma))
				continue;
			found = open_checked(fd_path(path, dirent_number(d)), vma);
		}
	}
	close(dir);
	return found;
}

int vma_file_open(const struct vma_raw *raw)
{
	int fd = open_map_file(&raw->vma);

	if (fd < 0 && !strcmp(raw->path, "/dev/zero (deleted)"))
		return -ENOENT; /* shared anonymous memory: nobody has a descriptor of it */
	if (fd < 0 && raw->path[0] == '/')
		fd = open_checked(raw->path, &raw->vma);
	return fd < 0 ? open_own_fd(&raw->vma) : fd;
}
