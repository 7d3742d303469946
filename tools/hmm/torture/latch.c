// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* The second userfaultfd and its one page. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "../../../lib/kernel/abi/uffd.h"
#include "latch.h"

#define EVENTS (UFFD_FEATURE_EVENT_REMAP | UFFD_FEATURE_EVENT_REMOVE | UFFD_FEATURE_EVENT_UNMAP)

static int open_with(uint64_t features)
{
	struct uffdio_api api = { .api = UFFD_API, .features = features };
	int fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK | UFFD_USER_MODE_ONLY);

	if (fd < 0 || !ioctl(fd, UFFDIO_API, &api))
		return fd;
	close(fd);
	return -1;
}

void latch_open(struct latch *latch)
{
	latch->set = false;
	pthread_mutex_init(&latch->lock, NULL);
	pthread_mutex_init(&latch->forking, NULL);
	latch->fd = open_with(EVENTS | UFFD_FEATURE_EVENT_FORK);
	latch->forks = latch->fd >= 0;
	if (latch->fd < 0)
		latch->fd = open_with(EVENTS);
}

void latch_close(struct latch *latch)
{
	if (latch->fd >= 0)
		close(latch->fd);
	latch->fd = -1;
}

bool latch_set(struct latch *latch, uint64_t at)
{
	struct uffdio_register r = { .range = { at, LATCH_LEN },
				     .mode = UFFDIO_REGISTER_MODE_MISSING };

	if (latch->fd < 0)
		return false;
	pthread_mutex_lock(&latch->lock);
	/* Without any permission it merges with no neighbour, and a stack may grow next to it. */
	if (mmap((void *)at, LATCH_LEN, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1,
		 0) != MAP_FAILED) {
		latch->at = at;
		if (!ioctl(latch->fd, UFFDIO_REGISTER, &r)) {
			latch->set = latch->locked = true;
			return true;
		}
		munmap((void *)at, LATCH_LEN);
	}
	pthread_mutex_unlock(&latch->lock);
	return false;
}

bool latch_caught(struct latch *latch, int ms)
{
	struct pollfd pfd = { .fd = latch->fd, .events = POLLIN };

	return poll(&pfd, 1, ms) > 0;
}

void latch_release(struct latch *latch)
{
	struct uffd_msg msg;

	while (read(latch->fd, &msg, sizeof(msg)) == (ssize_t)sizeof(msg)) {
		if (msg.event == UFFD_EVENT_FORK)
			close((int)msg.arg.fork.ufd);
		if (msg.event == UFFD_EVENT_UNMAP)
			latch->set = false; /* the operation has unmapped it */
	}
}

void latch_drop(struct latch *latch)
{
	struct uffdio_range r = { latch->at, LATCH_LEN };

	/* Unregistered first, as its unmapping would wait until its event is read. */
	if (latch->set && !ioctl(latch->fd, UFFDIO_UNREGISTER, &r))
		munmap((void *)latch->at, LATCH_LEN);
	latch->set = false;
	if (latch->locked) {
		latch->locked = false;
		pthread_mutex_unlock(&latch->lock);
	}
}
