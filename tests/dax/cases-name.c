// SPDX-License-Identifier: GPL-2.0
/* cases: the file's name, its mount and its DAX flag change; its blocks do not. */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "suite.h"

#ifndef STATX_ATTR_DAX
#define STATX_ATTR_DAX 0x00200000
#endif

static int do_rename(struct actor *a)
{
	char to[400];

	snprintf(to, sizeof(to), "%s/renamed", a->dir);
	return rename(a->path, to) ? -errno : 0;
}

static int do_unlink(struct actor *a)
{
	return unlink(a->path) ? -errno : 0;
}

static int do_chmod(struct actor *a)
{
	return fchmod(a->fd, 0) ? -errno : 0;
}

static int do_pwrite(struct actor *a)
{
	char buf[4096];

	pattern_fill(buf, 3, 1, 5);
	return pwrite(a->fd, buf, sizeof(buf), 3 * 4096) == sizeof(buf) ? 0 : -errno;
}

static int do_store(struct actor *a)
{
	pattern_fill(a->map + 3 * 4096, 3, 1, 5);
	return 0;
}

static void unchanged(struct run *r, act_fn fn)
{
	size_t n = 2 * r->unit / r->page;

	mirror_written(r, 2 * r->unit);
	act_ok(r, fn);
	expect_keep(r, 0, n);
	expect_read(r, 0, n, 2);
	expect_write(r, 0, n, 3);
	expect_entries(r, 0, n, write_entry(r), r->place->dax ? r->order : ANY_ORDER);
	expect_file(r, 0, n, 3);
}

static void case_rename(struct run *r)
{
	unchanged(r, do_rename);
}

static void case_chmod(struct run *r)
{
	unchanged(r, do_chmod);
}

static void written_elsewhere(struct run *r, act_fn fn)
{
	size_t n = 2 * r->unit / r->page;

	mirror_written(r, 2 * r->unit);
	act_ok(r, fn);
	expect_keep(r, 0, n);
	expect_read(r, 3, 1, 5);
	expect_read(r, 0, 3, 2);
	expect_read(r, 4, n - 4, 2);
}

static void case_pwrite(struct run *r)
{
	written_elsewhere(r, do_pwrite);
}

static void case_store(struct run *r)
{
	written_elsewhere(r, do_store);
}

/* The mapping keeps the file alive; truncation by descriptor is still seen. */
static void case_unlink(struct run *r)
{
	size_t half = r->unit / r->page;

	unchanged(r, do_unlink);
	CHECK(r, !ftruncate(r->fd, r->unit), "ftruncate: %s", strerror(errno));
	expect_drop(r, EVENT_CLEAR, EVENT_CLEAR | EVENT_PROTECT_PAGE, half, half);
	expect_read_error(r, half, half, -EFAULT);
	expect_read(r, 0, half, 3);
}

/* The last reference goes: what is left of the mirror is the unmapping. */
static void case_evict(struct run *r)
{
	size_t n = 2 * r->unit / r->page;

	mirror_written(r, 2 * r->unit);
	CHECK(r, !unlink(r->path) && !close(r->fd), "unlink: %s", strerror(errno));
	expect_keep(r, 0, n);
	expect_read(r, 0, n, 2);
	CHECK(r, !munmap(r->map, r->size), "munmap: %s", strerror(errno));
	expect_gone(r, EVENT_UNMAP, 0, 0, n);
	expect_read_error(r, 0, n, -EFAULT);
}

static void need_mounts(struct run *r)
{
	if (geteuid())
		run_skip(r, "mounting needs root");
	CHECK(r, !mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL), "making mounts private: %s",
	      strerror(errno));
}

/* A mount of the filesystem for this case alone, with the file opened through it. */
static void bind_mount(struct run *r, char *at, size_t size)
{
	need_mounts(r);
	snprintf(at, size, "%s/mount", r->dir);
	CHECK(r, !mkdir(at, 0700) && !mount(r->place->path, at, NULL, MS_BIND, NULL),
	      "bind mount: %s", strerror(errno));
	snprintf(r->path, sizeof(r->path), "%.200s/%.100s/file", at,
		 r->dir + strlen(r->place->path) + 1);
}

static void case_unmount(struct run *r)
{
	size_t n = 2 * r->unit / r->page;
	char at[336];

	bind_mount(r, at, sizeof(at));
	mirror_written(r, 2 * r->unit);
	CHECK(r, umount2(at, 0) && errno == EBUSY,
	      "umount of a filesystem with a mirrored mapping did not say EBUSY");
	expect_keep(r, 0, n);
	expect_write(r, 0, n, 3);
	CHECK(r, !umount2(at, MNT_DETACH), "lazy umount: %s", strerror(errno));
	expect_keep(r, 0, n);
	expect_read(r, 0, n, 3);
	expect_write(r, 0, n, 4);
	expect_file(r, 0, n, 4);
}

/*
 * The point of a job is where a target has closed what it kept open. Only a reduced one may need a
 * second.
 */
static void settle(struct run *r)
{
	int ret = r->ops->validate(r->t);

	CHECK(r, !ret, "validate: %s", strerror(-ret));
	if (!reduced(r))
		return;
	sleep(1);
	r->ops->validate(r->t);
}

/*
 * Without the mapping the mount goes, at the first attempt, and the entries are gone before that.
 */
static void case_unmount_after(struct run *r)
{
	size_t n = 2 * r->unit / r->page;
	char at[336];

	bind_mount(r, at, sizeof(at));
	mirror_written(r, 2 * r->unit);
	close(r->fd);
	munmap(r->map, r->size);
	expect_gone(r, EVENT_UNMAP, 0, 0, n);
	settle(r);
	CHECK(r, !umount2(at, 0), "umount after the mapping is gone: %s", strerror(errno));
	expect_read_error(r, 0, n, -EFAULT);
}

static void case_remount(struct run *r)
{
	size_t n = 2 * r->unit / r->page;
	struct stat root, above;
	char up[300];

	need_mounts(r);
	snprintf(up, sizeof(up), "%s/..", r->place->path);
	if (stat(r->place->path, &root) || stat(up, &above) || root.st_dev == above.st_dev)
		run_skip(r, "%s is not a mount point", r->place->path);
	mirror_written(r, 2 * r->unit);
	/* ext4 refuses, xfs ignores it; neither may take DAX from a mapping. */
	mount(NULL, r->place->path, NULL, MS_REMOUNT, "dax=never");
	expect_only(r, EVENT_PROTECT_PAGE);
	expect_fault(r, 0, n, REQ_FAULT | REQ_WRITE, 0, write_entry(r), r->order);
	expect_write(r, 0, n, 3);
	CHECK(r, mount(NULL, r->place->path, NULL, MS_REMOUNT | MS_RDONLY, NULL) && errno == EBUSY,
	      "remounting read-only under a writable mapping did not say EBUSY");
	expect_only(r, EVENT_PROTECT_PAGE);
	expect_fault(r, 0, n, REQ_FAULT | REQ_WRITE, 0, write_entry(r), r->order);
	expect_write(r, 0, n, 4);
	expect_file(r, 0, n, 4);
}

static bool dax_attribute(struct run *r, int fd)
{
	struct statx sx;

	CHECK(r, !statx(fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS, &sx), "statx: %s",
	      strerror(errno));
	return sx.stx_attributes & STATX_ATTR_DAX;
}

static int clear_dax_flag(struct actor *a)
{
	struct fsxattr attr;

	if (ioctl(a->fd, FS_IOC_FSGETXATTR, &attr))
		return -errno;
	attr.fsx_xflags &= ~FS_XFLAG_DAX;
	return ioctl(a->fd, FS_IOC_FSSETXATTR, &attr) ? -errno : 0;
}

/*
 * With dax=inode the flag takes effect when the file is opened for the first time after the last
 * close.
 */
static void case_dax_flag(struct run *r)
{
	size_t n = 2 * r->unit / r->page;

	if (!r->place->dax_inode)
		run_skip(r, "%s is not mounted with dax=inode", r->place->path);
	mirror_written(r, 2 * r->unit);
	act_ok(r, clear_dax_flag);
	expect_only(r, EVENT_PROTECT_PAGE | EVENT_CLEAR);
	CHECK(r, dax_attribute(r, r->fd), "the file stopped being DAX while it was mapped");
	expect_read(r, 0, n, 2);
	expect_write(r, 0, n, 3);
	expect_entries(r, 0, n, write_entry(r), r->order);
	/* Last close: as unmap and map. */
	CHECK(r, !munmap(r->map, r->size) && !close(r->fd), "munmap: %s", strerror(errno));
	expect_gone(r, EVENT_UNMAP, 0, 0, n);
	settle(r);
	r->ops->unmirror(r->t);
	r->t = NULL;
	r->fd = open(r->path, O_RDWR | O_CLOEXEC);
	CHECK(r, r->fd >= 0, "open: %s", strerror(errno));
	CHECK(r, !dax_attribute(r, r->fd),
	      "the file is still DAX after the last close: somebody keeps the inode");
	r->map = file_map(r, r->fd, r->size, 0, PROT_READ | PROT_WRITE, MAP_SHARED);
	mirror_start(r);
	expect_read(r, 0, n, 3);
	expect_entries(r, 0, n, ENTRY_VALID | ENTRY_ANY_WRITE, ANY_ORDER);
	expect_write(r, 0, n, 4);
	expect_file(r, 0, n, 4);
}

static const struct dax_case cases[] = {
	{ "rename", ON_DAX | BY_ORDER | BY_ACTOR, "a new name changes nothing", "unchanged", "none",
	  case_rename },
	{ "chmod", ON_DAX | BY_ORDER | BY_ACTOR,
	  "new permissions of the file change nothing for what is mapped", "unchanged", "none",
	  case_chmod },
	{ "pwrite", ON_DAX | ON_CACHE | BY_ORDER | BY_ACTOR,
	  "pwrite() to allocated blocks is in place", "unchanged", "none", case_pwrite },
	{ "store", ON_DAX | ON_CACHE | BY_ORDER | BY_ACTOR,
	  "a store to allocated blocks is in place", "unchanged", "none", case_store },
	{ "unlink", ON_DAX | ON_CACHE | BY_ORDER | BY_ACTOR,
	  "an unlinked file lives on; its truncation is seen", "unchanged, then none past the end",
	  "none, then CLEAR", case_unlink },
	{ "evict", ON_DAX | BY_ORDER,
	  "after the last unmapping nothing of the file is left in the mirror", "error", "UNMAP",
	  case_evict },
	{ "unmount", ON_DAX | BY_ORDER | AS_ROOT,
	  "a mapping keeps its mount busy; a lazy unmount leaves the mirror working", "unchanged",
	  "none", case_unmount },
	{ "unmount_after", ON_DAX | BY_ORDER | AS_ROOT,
	  "entries are gone before an unmount returns", "error", "UNMAP", case_unmount_after },
	{ "remount", ON_DAX | BY_ORDER | AS_ROOT,
	  "a remount takes neither DAX nor writing from a mapping", "unchanged",
	  "none but PROTECTION_PAGE", case_remount },
	{ "dax_flag", ON_DAX | BY_ORDER | BY_ACTOR,
	  "the DAX flag takes effect at the last close: unmap and map",
	  "unchanged, then page cache", "UNMAP at the last close", case_dax_flag },
};

CASE_LIST(cases_name, cases);
