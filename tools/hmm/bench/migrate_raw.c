// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../../../lib/kernel/abi/uffd.h"
#include "../attach.h"
#include "migrate.h"
#include "raw.h"

#define CALL (2 * RAW_MIB)
#define PAGE 4096UL

/* Without events: nobody reads them here. */
static int bare_uffd(void)
{
	const int flags = O_CLOEXEC | O_NONBLOCK | UFFD_USER_MODE_ONLY;
	struct uffdio_api api = { .api = UFFD_API };
	int fd = (int)syscall(SYS_userfaultfd, flags);

	if (fd < 0)
		return -errno;
	if (!ioctl(fd, UFFDIO_API, &api))
		return fd;
	close(fd);
	return -EOPNOTSUPP;
}

static int trap(int uffd, char *base, size_t bytes)
{
	struct uffdio_register r = { .range = { (uintptr_t)base, bytes },
				     .mode = UFFDIO_REGISTER_MODE_MISSING };

	return ioctl(uffd, UFFDIO_REGISTER, &r) ? -errno : 0;
}

bool raw_move(int uffd, char *to, const char *from, size_t bytes)
{
	for (size_t at = 0; at < bytes; at += CALL) {
		struct uffdio_move m = { .dst = (uintptr_t)to + at,
					 .src = (uintptr_t)from + at,
					 .len = bytes - at < CALL ? bytes - at : CALL };

		if (ioctl(uffd, UFFDIO_MOVE, &m))
			return false;
	}
	return true;
}

bool raw_copy(int uffd, char *to, const char *from, size_t bytes)
{
	for (size_t at = 0; at < bytes; at += CALL) {
		struct uffdio_copy c = { .dst = (uintptr_t)to + at,
					 .src = (uintptr_t)from + at,
					 .len = bytes - at < CALL ? bytes - at : CALL };

		if (ioctl(uffd, UFFDIO_COPY, &c))
			return false;
	}
	return true;
}

void *raw_answer(void *answerer)
{
	struct raw_answerer *a = answerer;
	const struct moves *m = a->moves;
	struct pollfd p = { .fd = m->uffd, .events = POLLIN };

	while (!a->stop) {
		struct uffd_msg msg;
		size_t at;

		if (poll(&p, 1, 100) <= 0 ||
		    read(m->uffd, &msg, sizeof(msg)) != (ssize_t)sizeof(msg) ||
		    msg.event != UFFD_EVENT_PAGEFAULT)
			continue;
		at = ((size_t)msg.arg.pagefault.address & ~(PAGE - 1)) - (uintptr_t)m->theirs;
		raw_move(m->uffd, m->theirs + at, m->frames + at, PAGE);
	}
	return NULL;
}

static int open_ours(struct moves *m)
{
	static char device;
	const struct hmm_devmem_options o = {
		.size = sizeof(o), .bytes = m->bytes, .owner = &device, .fault_around = PAGE
	};
	int ret = space_attach(&m->mm);

	return ret ? ret : hmm_devmem_create(m->mm, &o, &m->devmem);
}

static int open_theirs(struct moves *m, bool huge)
{
	int ret;

	m->uffd = bare_uffd();
	if (m->uffd < 0)
		return m->uffd;
	m->frames = raw_map(m->bytes, huge);
	if (!m->frames)
		return -ENOMEM;
	ret = trap(m->uffd, m->frames, m->bytes);
	return ret ? ret : trap(m->uffd, m->theirs, m->bytes);
}

int moves_open(struct moves *m, size_t bytes, bool huge)
{
	int ret;

	*m = (struct moves){ .bytes = bytes, .uffd = -1 };
	m->ours = raw_map(bytes, huge);
	m->theirs = raw_map(bytes, huge);
	if (!m->ours || !m->theirs)
		return -ENOMEM;
	if (!raw_fill(m->ours, bytes, huge) || !raw_fill(m->theirs, bytes, huge))
		return -ENODATA;
	ret = open_ours(m);
	return ret ? ret : open_theirs(m, huge);
}

void moves_close(struct moves *m)
{
	hmm_devmem_destroy(m->devmem, HMM_FOREVER);
	hmm_mm_detach(m->mm);
	if (m->uffd >= 0)
		close(m->uffd);
	if (m->ours)
		munmap(m->ours, m->bytes);
	if (m->theirs)
		munmap(m->theirs, m->bytes);
	if (m->frames)
		munmap(m->frames, m->bytes);
}
