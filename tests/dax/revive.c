// SPDX-License-Identifier: GPL-2.0
/* revive: takes the device from under a filesystem, and brings both back. */
#include <errno.h>
#include <fcntl.h>
#include <mntent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

#include "place.h"

#define DRIVER "/sys/bus/nd/drivers/nd_pmem"
#define TRIES 200

/* The mount that path lies on. */
static int find_mount(const char *path, struct mounted *out)
{
	FILE *f = setmntent("/proc/self/mounts", "r");
	size_t len, best = 0;
	struct mntent *m;

	while (f && (m = getmntent(f))) {
		len = strlen(m->mnt_dir);
		if (strncmp(path, m->mnt_dir, len) || (path[len] && path[len] != '/') || len < best)
			continue;
		best = len;
		snprintf(out->device, sizeof(out->device), "%s", m->mnt_fsname);
		snprintf(out->path, sizeof(out->path), "%s", m->mnt_dir);
		snprintf(out->type, sizeof(out->type), "%s", m->mnt_type);
		out->dax = strstr(m->mnt_opts, "dax=always")  ? "dax=always"
			   : strstr(m->mnt_opts, "dax=never") ? "dax=never"
							      : "dax=inode";
	}
	if (f)
		endmntent(f);
	return best ? 0 : -ENOENT;
}

static int write_text(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC), ret = 0;

	if (fd < 0)
		return -errno;
	if (write(fd, text, strlen(text)) < 0)
		ret = -errno;
	close(fd);
	return ret;
}

/* The namespace below /dev/pmemN, as the driver calls it. */
static int namespace_of(const char *device, char *name, size_t size)
{
	char path[256], to[256];
	ssize_t n;

	snprintf(path, sizeof(path), "/sys/block/%s/device", strrchr(device, '/') + 1);
	n = readlink(path, to, sizeof(to) - 1);
	if (n < 0)
		return -errno;
	to[n] = 0;
	snprintf(name, size, "%s", strrchr(to, '/') + 1);
	return 0;
}

int place_save(const struct place *place, struct mounted *saved)
{
	int ret = find_mount(place->path, saved);

	saved->name[0] = 0;
	if (!ret && strcmp(saved->path, place->path))
		ret = -EINVAL;
	if (!ret && !strncmp(saved->device, "/dev/pmem", 9))
		ret = namespace_of(saved->device, saved->name, sizeof(saved->name));
	return ret;
}

int place_unbind(const char *path)
{
	struct mounted m;
	char name[64];
	int ret = find_mount(path, &m);

	if (!ret && strncmp(m.device, "/dev/pmem", 9))
		ret = -ENODEV;
	if (!ret)
		ret = namespace_of(m.device, name, sizeof(name));
	return ret ? ret : write_text(DRIVER "/unbind", name);
}

/*
 * A superblock outlives its last mount for a moment, and a mount in that moment gets the dead one.
 */
static bool alive(const char *path)
{
	char probe[300];

	snprintf(probe, sizeof(probe), "%s/alive.%d", path, getpid());
	return !mkdir(probe, 0700) && !rmdir(probe);
}

/*
 * Whether a filesystem still has the device: umount() returns before that is over if another
 * namespace, of a case that is just ending, had the mount too. To take the device away meanwhile is
 * an Oops in xfs (xfs_dax_notify_ddev_failure(), 6.12).
 */
static bool in_use(const char *device)
{
	int fd = open(device, O_RDONLY | O_EXCL | O_CLOEXEC);
	bool busy = fd < 0 && errno == EBUSY;

	if (fd >= 0)
		close(fd);
	return busy;
}

/* The device is bound anew in any case: its driver forgets which blocks are bad. */
int place_revive(const struct mounted *m)
{
	struct timespec pause = { 0, 50000000 };
	int tries;

	for (tries = 0; tries < TRIES; tries++, nanosleep(&pause, NULL)) {
		if ((umount2(m->path, 0) && errno == EBUSY) || in_use(m->device))
			continue;
		if (m->name[0] && !access(m->device, F_OK))
			write_text(DRIVER "/unbind", m->name);
		if (m->name[0] && access(m->device, F_OK))
			write_text(DRIVER "/bind", m->name);
		if (!mount(m->device, m->path, m->type, 0, m->dax) && alive(m->path))
			return 0;
	}
	return -EIO;
}
