// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * Reading events. The keeper runs this, too, which has no thread-local storage of its own. So this
 * code uses no errno and no sanitizer.
 */
#include "provider/provider.h"
#include "kernel/abi/uffd.h"
#include "base/raw.h"

#include <errno.h>
#include <stddef.h>

/*
 * One message becomes at most one event. A FORK message comes with a userfaultfd of the child,
 * which is closed at once unless the reader wants it.
 */
static int translate(const struct uffd_msg *m, struct provider_event *e, bool fork)
{
	switch (m->event) {
	case UFFD_EVENT_UNMAP:
		*e = (struct provider_event){ PROVIDER_UNMAP, 0, m->arg.remove.start,
					      m->arg.remove.end, 0 };
		return 1;
	case UFFD_EVENT_REMOVE:
		*e = (struct provider_event){ PROVIDER_REMOVE, 0, m->arg.remove.start,
					      m->arg.remove.end, 0 };
		return 1;
	case UFFD_EVENT_REMAP:
		*e = (struct provider_event){ PROVIDER_MOVE, 0, m->arg.remap.from,
					      m->arg.remap.from + m->arg.remap.len,
					      m->arg.remap.to };
		return 1;
	case UFFD_EVENT_FORK:
		if (!fork)
			raw3(SYS_close, (long)m->arg.fork.ufd, 0, 0);
		*e = (struct provider_event){ PROVIDER_FORK, 0, 0, UINT64_MAX,
					      fork ? m->arg.fork.ufd + 1ULL : 0 };
		return 1;
	case UFFD_EVENT_PAGEFAULT:
		*e = (struct provider_event){ PROVIDER_FAULT, 0, m->arg.pagefault.address,
					      m->arg.pagefault.address + 1, 0 };
		return 1;
	default:
		return 0;
	}
}

/* A message begins with a byte that is not 0, so an event's type is seen to be something. */
_Static_assert(sizeof(struct uffd_msg) == sizeof(struct provider_event) &&
		       _Alignof(struct uffd_msg) <= _Alignof(struct provider_event) &&
		       !offsetof(struct uffd_msg, event) && !offsetof(struct provider_event, type),
	       "a message has the place of an event");

/* The kernel writes to the events, where others may see at once that it has been there. */
static int read_messages(int fd, struct provider_event *events, int max, bool fork)
{
	int out = 0;
	long n;

	n = raw3(SYS_read, fd, (long)events, (long)((size_t)max * sizeof(*events)));
	if (n < 0)
		return n == -EAGAIN || n == -EINTR ? 0 : (int)n;
	for (int i = 0; i < (int)((size_t)n / sizeof(*events)); i++) {
		const struct uffd_msg m = *(const struct uffd_msg *)&events[i];

		out += translate(&m, &events[out], fork);
	}
	return out;
}

int provider_uffd_read_raw(int fd, struct provider_event *events, int max)
{
	return read_messages(fd, events, max, false);
}

int provider_uffd_read_fork(int fd, struct provider_event *events, int max)
{
	return read_messages(fd, events, max, true);
}
