/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * A thread that is in the middle of a discard for as long as a test wants: the event of its
 * madvise() waits in a userfaultfd of the test's own. Whatever was discarded before it ends stays
 * pending.
 */
#ifndef TESTS_HELD_DISCARD_H
#define TESTS_HELD_DISCARD_H

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "kernel/abi/uffd.h"

struct held_discard {
	int fd;
	char *p;
	pthread_t thread;
};

static void *held_discard_thread(void *arg)
{
	const struct held_discard *d = arg;

	madvise(d->p, 4096, MADV_DONTNEED);
	return NULL;
}

static inline void held_discard_begin(struct held_discard *d)
{
	struct uffdio_api api = { .api = UFFD_API, .features = UFFD_FEATURE_EVENT_REMOVE };
	struct uffdio_register r = { .range.len = 4096, .mode = UFFDIO_REGISTER_MODE_MISSING };
	struct pollfd event;

	d->fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | UFFD_USER_MODE_ONLY);
	assert_true(d->fd >= 0);
	assert_int_equal(ioctl(d->fd, UFFDIO_API, &api), 0);
	/* Between pages that nobody can access: a mapping of its own. */
	d->p = mmap(NULL, 3 * 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(d->p, MAP_FAILED);
	d->p += 4096;
	assert_int_equal(mprotect(d->p, 4096, PROT_READ | PROT_WRITE), 0);
	r.range.start = (uint64_t)(uintptr_t)d->p;
	assert_int_equal(ioctl(d->fd, UFFDIO_REGISTER, &r), 0);
	assert_int_equal(pthread_create(&d->thread, NULL, held_discard_thread, d), 0);
	event = (struct pollfd){ .fd = d->fd, .events = POLLIN };
	/* A blocking userfaultfd says POLLERR at once. */
	fcntl(d->fd, F_SETFL, O_NONBLOCK);
	assert_int_equal(poll(&event, 1, 20000), 1);
}

static inline void held_discard_end(struct held_discard *d)
{
	close(d->fd);
	pthread_join(d->thread, NULL);
	munmap(d->p - 4096, 3 * 4096);
}

#endif
