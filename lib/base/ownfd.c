// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
#include "base/ownfd.h"
#include "base/child.h"
#include "base/opening.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

/* The kernel's table of descriptors is as large as the highest number needs: 8 KiB for this one. */
#define HIGH 960

static int high_number(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) || limit.rlim_cur >= HIGH + 64)
		return HIGH;
	return limit.rlim_cur > 128 ? (int)limit.rlim_cur - 64 : 0;
}

int ownfd_adopt(struct ownfd *own, int fd)
{
	struct stat st;

	*own = OWNFD_NONE;
	if (fd < 0)
		return fd;
	if (fstat(fd, &st)) {
		int err = -errno;

		close(fd);
		return err;
	}
	*own = (struct ownfd){ .fd = child_closes(fd), .dev = st.st_dev, .ino = st.st_ino };
	return 0;
}

int ownfd_take(struct ownfd *own, int fd)
{
	const int least = high_number();
	int high = fd >= 0 && fd < least ? fcntl(fd, F_DUPFD_CLOEXEC, least) : -1;

	if (high >= 0) {
		close(fd);
		fd = high;
	}
	return ownfd_adopt(own, fd);
}

int ownfd_look(const struct ownfd *own)
{
	return own->fd < 0 ? 0 : fd_look(own->fd, own->dev, own->ino);
}

bool ownfd_is_ours(const struct ownfd *own)
{
	return ownfd_look(own) == 1;
}

void close_ours(int fd)
{
	bool ours;

	if (fd < 0)
		return;
	opening_begin();
	ours = child_is_listed(fd);
	/*
	 * A thread that does not wait for forks closes first: a fork may come in between, and the
	 * child must not inherit a descriptor that is no longer on the list.
	 */
	if (ours && !opening_waits())
		close(fd);
	child_keeps(fd);
	if (ours && opening_waits())
		close(fd);
	opening_end();
}

void ownfd_close(struct ownfd *own)
{
	close_ours(own->fd);
	*own = OWNFD_NONE;
}
