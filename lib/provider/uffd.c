// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * The provider that needs no privilege and no module. All userfaultfd calls are here, in
 * uffd_read.c and in uffd_move.c.
 */
#include "watch/region.h"
#include "provider/provider.h"
#include "provider/quick.h"
#include "kernel/abi/uffd.h"
#include "base/child.h"
#include "base/deadline.h"
#include "base/epoch.h"
#include "base/opening.h"
#include "base/ownfd.h"
#include "base/pool.h"

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
/*
 * The features that are used if the kernel has them: they register more kinds of memory, or see
 * more changes.
 */
#define WANTED                                                                                     \
	(EVENTS_NEEDED | UFFD_FEATURE_PAGEFAULT_FLAG_WP | UFFD_FEATURE_WP_HUGETLBFS_SHMEM |        \
	 UFFD_FEATURE_WP_UNPOPULATED | UFFD_FEATURE_WP_ASYNC | UFFD_FEATURE_MINOR_SHMEM)

static int open_fd(bool *user_mode_only)
{
	int fd;
	int dev;

	/*
	 * First a userfaultfd that handles kernel-mode faults, too: that needs privilege, or the
	 * device node.
	 */
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

/* A userfaultfd tells the kernel's features once only, so this opens another one to ask. */
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

_Thread_local unsigned int provider_probes __attribute__((tls_model("initial-exec")));

/*
 * Write-protects a range of length zero: the kernel looks for changes in flight before it looks at
 * the range. A file that is no userfaultfd answers ENOTTY, a closed descriptor EBADF, and a seccomp
 * filter of the program's may answer anything.
 */
static int uffd_in_flight(const struct provider *p)
{
	struct uffdio_writeprotect wp = { .range = { 0, 0 }, .mode = 0 };
	int err = ioctl(p->fd.fd, UFFDIO_WRITEPROTECT, &wp) ? errno : 0;
	int ours;

	if (__builtin_expect(err == EINVAL, 1) && provider_probes++ % PROBES_A_LOOK)
		return 0;
	if (err == EAGAIN)
		return 1;
	if ((ours = ownfd_look(&p->fd)) != 1)
		return ours ? ours : -EBADF;
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
	case EINVAL: /* no VMA is there any more, or its kind cannot be registered */
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

/*
 * UFFDIO_COPY looks at its destination before it copies. So a copy of what nobody can read tells
 * what is there, and copies nothing:
 *
 *	EAGAIN	a change is in flight; this comes first
 *	ENOENT	not all of the range is in one VMA that is registered
 *	EEXIST	it is, and its first page is there
 *	EFAULT	it is, and the copy has failed
 *	EINVAL	it is, and nothing can be copied to such memory, or not to a part of a huge page
 *
 * The ranges themselves are never invalid: the kernel may look whether the source, too, lies in the
 * process's address space (6.18).
 */
static int uffd_is_watched(const struct provider *p, uint64_t start, uint64_t end)
{
	struct uffdio_copy copy = { .dst = start,
				    .src = (uint64_t)(uintptr_t)p->blank,
				    .len = end - start };
	const int err = ioctl(p->fd.fd, UFFDIO_COPY, &copy) ? errno : 0;
	int ours;

	if (err == EEXIST || err == EFAULT || err == EINVAL)
		return 1;
	if (err == EAGAIN)
		return -EAGAIN;
	if ((ours = ownfd_look(&p->fd)) != 1)
		return ours ? ours : -EBADF;
	return err == ENOENT ? 0 : err ? -err : -EIO;
}

/*
 * Opens the spare descriptor if it is missing. It gets the lowest free number, which stays allowed
 * if the limit of descriptors is lowered.
 */
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
 * Is the descriptor still ours? If the program has closed it and opened a file under its number a
 * read would take that file's data. To ask is a system call, and a cycle of the pump makes only
 * three. So if poll() has just answered as few other descriptors do this asks for one read in
 * READS_A_LOOK. The watchdog asks every 50 ms.
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
 * The kernel makes a descriptor when a FORK event is read. If none is free the read fails and the
 * program's fork waits, and the thread that forks cannot close one meanwhile. So the spare one is
 * closed then, and the read repeated.
 */
static int uffd_read(struct provider *p, struct provider_event *events, int max)
{
	int n;

	if (!is_ours_to_read(p))
		return -EBADF;
	opening_begin(); /* the child's descriptor is open here for a moment */
	keep_spare(p);
	n = provider_uffd_read_fork(p->fd.fd, events, max);
	if ((n == -EMFILE || n == -ENFILE) && p->spare.fd >= 0) {
		ownfd_close(&p->spare);
		n = provider_uffd_read_fork(p->fd.fd, events, max);
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
	pool_unmap(p->blank, PROVIDER_ASK_MAX);
}

static const struct provider_ops uffd_ops = {
	.name = "uffd",
	.in_flight = uffd_in_flight,
	.watch = uffd_watch,
	.unwatch = uffd_unwatch,
	.is_watched = uffd_is_watched,
	.read = uffd_read,
	.read_raw = provider_uffd_read_raw,
	.close = uffd_close,
	.move = &provider_uffd_move,
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
 * The features of a userfaultfd that has been through UFFDIO_API already, from the line
 * "API:\taa:FEATURES:..." in /proc. 0: they cannot be read.
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
	return features & 0x7fffffff; /* the kernel keeps a flag of its own in bit 31 */
}

static void use_features(struct provider *p, uint64_t features)
{
	p->features = features;
	p->wp_async = features & UFFD_FEATURE_WP_ASYNC;
	p->event_fork = features & UFFD_FEATURE_EVENT_FORK;
	p->moves = p->available & UFFD_FEATURE_MOVE;
	p->shows = features & UFFD_FEATURE_MINOR_SHMEM;
	p->poisons = p->available & UFFD_FEATURE_POISON;
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
		/*
		 * The descriptor has been through UFFDIO_API before. The features that it has then
		 * must be enough.
		 */
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
	p->zero_wp = true;
	p->fd = p->spare = p->model = OWNFD_NONE;
	if (fd < 0) {
		err = ownfd_take(&p->fd, open_fd(&p->user_mode_only));
	} else {
		struct stat st;

		/*
		 * The descriptor stays the caller's if this fails, so it is not moved, closed or
		 * changed before.
		 */
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
	if (!err) {
		p->blank = pool_reserve(PROVIDER_ASK_MAX);
		err = p->blank ? 0 : -ENOMEM;
	}
	if (err && fd < 0)
		uffd_close(p);
	else if (err)
		child_keeps(fd);
	return err == -ENOTTY ? -EINVAL : err;
}
