/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/* The provider that needs no privilege and no module. The only file that makes userfaultfd calls. */
#include "watch/region.h"
#include "provider/provider.h"
#include "kernel/abi/uffd.h"
#include "base/child.h"
#include "base/deadline.h"
#include "base/epoch.h"
#include "base/opening.h"
#include "base/ownfd.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
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

/* Of so many probes of a thread one looks whether the descriptor is still ours: that costs more than the probe. */
#define PROBES_A_LOOK 64

static _Thread_local unsigned int probes __attribute__((tls_model("initial-exec")));

/*
 * Zero length: the kernel looks for changes in flight before it looks at the range. Files that are no userfaultfd
 * answer ENOTTY, a number that is closed EBADF, and a filter of the program's whatever it likes.
 */
static int uffd_in_flight(const struct provider *p)
{
	struct uffdio_writeprotect wp = { .range = { 0, 0 }, .mode = 0 };
	int err = ioctl(p->fd.fd, UFFDIO_WRITEPROTECT, &wp) ? errno : 0;

	if (__builtin_expect(err == EINVAL, 1) && ++probes % PROBES_A_LOOK)
		return 0;
	if (err == EAGAIN)
		return 1;
	if (!ownfd_is_ours(&p->fd))
		return -EBADF;
	return err == EINVAL ? 0 : err ? -err : -EIO;
}

static int uffd_watch(const struct provider *p, uint64_t start, uint64_t end)
{
	struct uffdio_register r = {
		.range = { start, end - start },
		.mode = UFFDIO_REGISTER_MODE_WP,
	};

	if (!ownfd_is_ours(&p->fd))
		return -ESRCH;
	if (!ioctl(p->fd.fd, UFFDIO_REGISTER, &r))
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

	if (!ownfd_is_ours(&p->fd))
		return -ESRCH;
	return ioctl(p->fd.fd, UFFDIO_UNREGISTER, &r) ? -errno : 0;
}

/* Of a number that the limit of descriptors allows, whatever it becomes: the lowest. */
static void keep_spare(struct provider *p)
{
	if (p->event_fork && p->spare.fd < 0)
		ownfd_adopt(&p->spare, fcntl(p->model.fd, F_DUPFD_CLOEXEC, 0));
}

static int make_spare(struct provider *p)
{
	int fds[2];
	int err;

	if (!p->event_fork)
		return 0;
	if (pipe2(fds, O_CLOEXEC))
		return -errno;
	close(fds[1]);
	err = ownfd_take(&p->model, fds[0]);
	if (!err)
		keep_spare(p);
	return err;
}

/*
 * Is the number ours still, or has the program closed it and opened something under it, whose data
 * it would miss? Asking is a system call, a third of what a cycle of the pump makes. Where poll()
 * has just answered as few other descriptors would it is asked for one read in so many, and every
 * 50 ms by the watchdog.
 */
#define READS_A_LOOK 64
#define JUST_NS 1000000ULL

static bool is_ours_to_read(struct provider *p)
{
	const uint64_t polled = p->polled_ns;

	p->polled_ns = 0;
	if (polled && clock_ns() - polled < JUST_NS && ++p->reads % READS_A_LOOK)
		return true;
	return ownfd_is_ours(&p->fd);
}

/*
 * Reading a FORK makes a descriptor. Without a free one the program's fork would wait until it closes one, which the
 * thread that forks can no longer do.
 */
static int uffd_read(struct provider *p, struct provider_event *events, int max)
{
	int n;

	if (!is_ours_to_read(p))
		return -EBADF;
	opening_begin(); /* for the moment for which a forked child's descriptor is here */
	keep_spare(p);
	n = provider_uffd_read_raw(p->fd.fd, events, max);
	if ((n == -EMFILE || n == -ENFILE) && p->spare.fd >= 0) {
		ownfd_close(&p->spare);
		n = provider_uffd_read_raw(p->fd.fd, events, max);
	}
	keep_spare(p);
	opening_end();
	return n;
}

static void uffd_close(struct provider *p)
{
	ownfd_close(&p->fd);
	ownfd_close(&p->spare);
	ownfd_close(&p->model);
}

static const struct provider_ops uffd_ops = {
	.name = "uffd",
	.in_flight = uffd_in_flight,
	.watch = uffd_watch,
	.unwatch = uffd_unwatch,
	.read = uffd_read,
	.read_raw = provider_uffd_read_raw,
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

/*
 * The features of a userfaultfd that has been through UFFDIO_API already, as /proc shows them: "API:\taa:FEATURES:...".
 * 0: none can be read.
 */
static uint64_t features_in_use(int fd)
{
	char path[48];
	char buf[512];
	uint64_t features = 0;
	const char *line;
	ssize_t n;
	int info;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	info = open(path, O_RDONLY | O_CLOEXEC);
	if (info < 0)
		return 0;
	n = read(info, buf, sizeof(buf) - 1);
	close(info);
	buf[n > 0 ? n : 0] = 0;
	line = strstr(buf, "API:");
	if (line && sscanf(line, "API: %*x:%lx", &features) != 1)
		features = 0;
	return features & 0x7fffffff; /* the kernel keeps a mark of its own above */
}

static void use_features(struct provider *p, uint64_t features)
{
	p->features = features;
	p->wp_async = features & UFFD_FEATURE_WP_ASYNC;
	p->event_fork = features & UFFD_FEATURE_EVENT_FORK;
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
	err = api(p->fd.fd, f, NULL);
	if (err == -EPERM && (f & UFFD_FEATURE_EVENT_FORK)) {
		f &= ~(uint64_t)UFFD_FEATURE_EVENT_FORK;
		err = api(p->fd.fd, f, NULL);
	}
	if (err == -EINVAL) {
		/* It has been through this before: what it has must be enough. */
		f = features_in_use(p->fd.fd);
		if ((f & EVENTS_NEEDED) == EVENTS_NEEDED)
			err = 0;
	}
	if (err)
		return err;
	use_features(p, f);
	return make_spare(p);
}

int provider_uffd_open(const struct hmm_mm_options *options, struct provider *p)
{
	int fd = options->uffd;
	int err;

	memset(p, 0, sizeof(*p));
	p->ops = &uffd_ops;
	p->fd = p->spare = p->model = OWNFD_NONE;
	if (fd < 0) {
		err = ownfd_take(&p->fd, open_fd(&p->user_mode_only));
	} else {
		struct stat st;

		/* The caller's until it has worked: not moved, not closed, and as it was. */
		if (fstat(fd, &st))
			return -EINVAL;
		p->fd = (struct ownfd){ .fd = child_closes(fd),
					.dev = st.st_dev,
					.ino = st.st_ino };
		err = 0;
	}
	if (!err)
		err = enable(p, options->flags);
	if (!err && fd >= 0 && fcntl(fd, F_SETFL, O_NONBLOCK) < 0)
		err = -EINVAL;
	if (err && fd < 0)
		uffd_close(p);
	else if (err)
		child_keeps(fd);
	return err == -ENOTTY ? -EINVAL : err;
}
