// SPDX-License-Identifier: GPL-2.0
/* place: filesystems to run on: what they are, proven by trying. */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <mntent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "place.h"

#ifndef MAP_SYNC
#define MAP_SYNC 0x80000
#endif
#ifndef STATX_ATTR_DAX
#define STATX_ATTR_DAX 0x00200000
#endif
#ifndef XFS_SUPER_MAGIC
#define XFS_SUPER_MAGIC 0x58465342
#endif

static const char *fs_name(const char *path)
{
	struct statfs sb;

	if (statfs(path, &sb))
		return "unknown";
	switch (sb.f_type) {
	case EXT4_SUPER_MAGIC:
		return "ext4";
	case XFS_SUPER_MAGIC:
		return "xfs";
	case TMPFS_MAGIC:
		return "tmpfs";
	case BTRFS_SUPER_MAGIC:
		return "btrfs";
	}
	return "other";
}

/* The attribute alone may be stale and MAP_SYNC alone may be had elsewhere: DAX is both. */
static bool is_dax(int fd)
{
	struct statx sx;
	void *map;

	if (statx(fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS, &sx) ||
	    !(sx.stx_attributes & STATX_ATTR_DAX))
		return false;
	map = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED_VALIDATE | MAP_SYNC, fd, 0);
	if (map == MAP_FAILED)
		return false;
	munmap(map, 4096);
	return true;
}

static bool can_reflink(int fd, const char *path)
{
	char twin[320];
	bool can;
	int fd2;

	snprintf(twin, sizeof(twin), "%s.twin", path);
	fd2 = open(twin, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	can = fd2 >= 0 && !ioctl(fd2, FICLONE, fd);
	if (fd2 >= 0)
		close(fd2);
	unlink(twin);
	return can;
}

/*
 * Then each file decides. It need not be shown: xfs never does, ext4 only where it was asked for.
 */
static bool mounted_inode(const char *path)
{
	FILE *f = setmntent("/proc/self/mounts", "r");
	bool inode = false;
	struct mntent *m;
	size_t len;

	while (f && (m = getmntent(f))) {
		len = strlen(m->mnt_dir);
		if (!strncmp(path, m->mnt_dir, len) && (!path[len] || path[len] == '/'))
			inode = !strstr(m->mnt_opts, "dax=always") &&
				!strstr(m->mnt_opts, "dax=never");
	}
	if (f)
		endmntent(f);
	return inode;
}

int place_probe(const char *path, struct place *place)
{
	char probe[300], real[PATH_MAX];
	int fd;

	memset(place, 0, sizeof(*place));
	if (!realpath(path, real))
		return -errno;
	if (snprintf(place->path, sizeof(place->path), "%s", real) >= (int)sizeof(place->path))
		return -ENAMETOOLONG;
	snprintf(probe, sizeof(probe), "%s/probe.%d", place->path, getpid());
	fd = open(probe, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	if (ftruncate(fd, 4096)) {
		close(fd);
		return -errno;
	}
	place->dax = is_dax(fd);
	place->reflink = can_reflink(fd, probe);
	unlink(probe);
	place->dax_inode = mounted_inode(place->path);
	snprintf(place->name, sizeof(place->name), "%s%s", fs_name(place->path),
		 place->reflink ? "-reflink" : "");
	close(fd);
	return 0;
}

/* Of struct xfs_fsop_geom (xfs_fs.h), which few machines have the header of. */
struct xfs_geometry {
	uint32_t before[23];
	uint32_t flags;
	uint32_t after[40];
};
#define XFS_IOC_FSGEOMETRY _IOR('X', 126, struct xfs_geometry)
#define XFS_FLAG_RMAPBT (1u << 19)

bool place_knows_owners(const char *path)
{
	struct xfs_geometry geometry = { .flags = 0 };
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	bool knows = fd >= 0 && !ioctl(fd, XFS_IOC_FSGEOMETRY, &geometry) &&
		     geometry.flags & XFS_FLAG_RMAPBT;

	if (fd >= 0)
		close(fd);
	return knows;
}

/* The same filesystem mounted twice is one place. */
static bool place_known(const struct place *places, size_t n, const char *path)
{
	struct stat a, b;
	size_t i;

	for (i = 0; i < n; i++)
		if (!stat(path, &a) && !stat(places[i].path, &b) && a.st_dev == b.st_dev)
			return true;
	return false;
}

size_t place_find(struct place *places, size_t max)
{
	FILE *f = setmntent("/proc/self/mounts", "r");
	struct mntent *m;
	size_t n = 0;

	while (f && n + 1 < max && (m = getmntent(f))) {
		bool shown = strstr(m->mnt_opts, "dax="), xfs = !strcmp(m->mnt_type, "xfs");
		char path[256];

		/* Probing reads the mounts too, and getmntent() has one buffer. */
		snprintf(path, sizeof(path), "%s", m->mnt_dir);
		if ((shown || xfs) && !place_known(places, n, path) &&
		    !place_probe(path, &places[n]))
			n += shown || places[n].dax;
	}
	if (f)
		endmntent(f);
	if (!place_probe("/dev/shm", &places[n]))
		n++;
	return n;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	return remove(path);
}

void place_remove(const char *dir)
{
	nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}
