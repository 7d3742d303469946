/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/* The provider that needs no privilege and no module. The only file that makes userfaultfd calls. */
#include "provider/provider.h"
#include "abi/uffd.h"
#include "base/child.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define EVENTS_NEEDED                                                                              \
	(UFFD_FEATURE_EVENT_REMAP | UFFD_FEATURE_EVENT_REMOVE | UFFD_FEATURE_EVENT_UNMAP)
/* What registers more kinds or makes more certain; used where there is. */
#define WANTED                                                                                     \
	(EVENTS_NEEDED | UFFD_FEATURE_PAGEFAULT_FLAG_WP | UFFD_FEATURE_WP_HUGETLBFS_SHMEM |        \
	 UFFD_FEATURE_WP_UNPOPULATED | UFFD_FEATURE_WP_ASYNC)

static int open_fd(bool *user_mode_only)
{
	int fd;
	int dev;

	/* Full first: kernel-mode faults come with privilege, or with the device node. */
	*user_mode_only = false;
	fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);
	if (fd >= 0)
		return fd;
	dev = open("/dev/userfaultfd", O_RDWR | O_CLOEXEC);
	if (dev >= 0) {
		fd = ioctl(dev, USERFAULTFD_IOC_NEW, O_CLOEXEC | O_NONBLOCK);
		close(dev);
		if (fd >= 0)
			return fd;
	}
	*user_mode_only = true;
	fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK | UFFD_USER_MODE_ONLY);
	return fd >= 0 ? fd : -errno;
}

static int api(int fd, uint64_t features, uint64_t *available)
{
	struct uffdio_api a = { .api = UFFD_API, .features = features };

	if (ioctl(fd, UFFDIO_API, &a))
		return -errno;
	if (available)
		*available = a.features;
	return 0;
}

/* The features that a kernel has are told once a descriptor, so ask a second one. */
static int probe_features(uint64_t *available)
{
	bool user;
	int fd = open_fd(&user);
	int err;

	if (fd < 0)
		return fd;
	err = api(fd, 0, available);
	close(fd);
	return err;
}

static bool uffd_in_flight(const struct provider *p)
{
	/* Zero length: the kernel looks for changes in flight before it looks at the range. */
	struct uffdio_writeprotect wp = { .range = { 0, 0 }, .mode = 0 };

	return ioctl(p->fd, UFFDIO_WRITEPROTECT, &wp) && errno == EAGAIN;
}

static int uffd_watch(const struct provider *p, uint64_t start, uint64_t end)
{
	struct uffdio_register r = {
		.range = { start, end - start },
		.mode = UFFDIO_REGISTER_MODE_WP,
	};

	if (!ioctl(p->fd, UFFDIO_REGISTER, &r))
		return 0;
	switch (errno) {
	case EINVAL: /* no VMA there any more, or one of a kind that cannot be */
	case EPERM:  /* shared mapping of a read-only descriptor */
		return -EOPNOTSUPP;
	case EBUSY:
	case ENOMEM:
	case ESRCH:
		return -errno;
	default:
		return -EAGAIN;
	}
}

static int uffd_unwatch(const struct provider *p, uint64_t start, uint64_t end)
{
	struct uffdio_range r = { start, end - start };

	return ioctl(p->fd, UFFDIO_UNREGISTER, &r) ? -errno : 0;
}

/* One message becomes at most one event. A FORK brings a descriptor of the child's, which is not ours to keep. */
static int translate(const struct uffd_msg *m, struct provider_event *e)
{
	switch (m->event) {
	case UFFD_EVENT_UNMAP:
		*e = (struct provider_event){ PROVIDER_UNMAP, m->arg.remove.start,
					      m->arg.remove.end, 0 };
		return 1;
	case UFFD_EVENT_REMOVE:
		*e = (struct provider_event){ PROVIDER_REMOVE, m->arg.remove.start,
					      m->arg.remove.end, 0 };
		return 1;
	case UFFD_EVENT_REMAP:
		*e = (struct provider_event){ PROVIDER_MOVE, m->arg.remap.from,
					      m->arg.remap.from + m->arg.remap.len,
					      m->arg.remap.to };
		return 1;
	case UFFD_EVENT_FORK:
		close((int)m->arg.fork.ufd);
		*e = (struct provider_event){ PROVIDER_FORK, 0, UINT64_MAX, 0 };
		return 1;
	default:
		return 0;
	}
}

/*
 * Reading a FORK makes a descriptor. Without a free one the program's fork would wait until it closes one, which the
 * thread that forks can no longer do.
 */
static ssize_t read_messages(struct provider *p, struct uffd_msg *msgs, size_t bytes)
{
	ssize_t n = read(p->fd, msgs, bytes);
	int spare = p->spare;

	if (n >= 0 || (errno != EMFILE && errno != ENFILE) || spare < 0)
		return n;
	p->spare = -1;
	close_ours(spare);
	return read(p->fd, msgs, bytes);
}

/* Once the descriptors of children are closed again. */
static void keep_spare(struct provider *p)
{
	if (p->event_fork && p->spare < 0)
		p->spare = child_closes(eventfd(0, EFD_CLOEXEC));
}

static int uffd_read(struct provider *p, struct provider_event *events, int max)
{
	struct uffd_msg msgs[32];
	ssize_t n;
	int out = 0;

	keep_spare(p);
	if (max > 32)
		max = 32;
	n = read_messages(p, msgs, (size_t)max * sizeof(msgs[0]));
	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	for (int i = 0; i < (int)((size_t)n / sizeof(msgs[0])); i++)
		out += translate(&msgs[i], &events[out]);
	keep_spare(p);
	return out;
}

static void uffd_close(struct provider *p)
{
	close_ours(p->fd);
	close_ours(p->spare);
	p->fd = p->spare = -1;
}

static const struct provider_ops uffd_ops = {
	.name = "uffd",
	.in_flight = uffd_in_flight,
	.watch = uffd_watch,
	.unwatch = uffd_unwatch,
	.read = uffd_read,
	.close = uffd_close,
};

static uint64_t choose(uint64_t available, uint32_t flags)
{
	uint64_t f = WANTED & available;

	if (flags & HMM_MM_NO_WP_ASYNC)
		f &= ~(uint64_t)UFFD_FEATURE_WP_ASYNC;
	if (!(flags & HMM_MM_NO_EVENT_FORK))
		f |= UFFD_FEATURE_EVENT_FORK & available;
	return f;
}

static int enable(struct provider *p, uint32_t flags)
{
	uint64_t f;
	int err = probe_features(&p->available);

	if (err)
		return err == -EINVAL ? -EOPNOTSUPP : err;
	if ((p->available & EVENTS_NEEDED) != EVENTS_NEEDED ||
	    !(p->available & UFFD_FEATURE_PAGEFAULT_FLAG_WP))
		return -EOPNOTSUPP;
	f = choose(p->available, flags);
	err = api(p->fd, f, NULL);
	if (err == -EPERM && (f & UFFD_FEATURE_EVENT_FORK)) {
		f &= ~(uint64_t)UFFD_FEATURE_EVENT_FORK;
		err = api(p->fd, f, NULL);
	}
	p->features = f;
	p->wp_async = f & UFFD_FEATURE_WP_ASYNC;
	p->event_fork = f & UFFD_FEATURE_EVENT_FORK;
	if (!err)
		keep_spare(p);
	return err;
}

int provider_uffd_open(const struct hmm_mm_options *options, struct provider *p)
{
	int err;

	*p = (struct provider){ .ops = &uffd_ops, .fd = options->uffd, .spare = -1 };
	if (options->uffd < 0)
		p->fd = open_fd(&p->user_mode_only);
	else if (fcntl(p->fd, F_SETFL, O_NONBLOCK) < 0)
		return -EINVAL;
	if (p->fd < 0)
		return p->fd;
	child_closes(p->fd);
	err = enable(p, options->flags);
	if (err && options->uffd < 0)
		uffd_close(p);
	else if (err)
		child_keeps(p->fd);
	return err;
}
