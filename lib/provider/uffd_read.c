// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * Reading events. The keeper runs this, too, which has no thread-local storage of its own. So this
 * code uses no errno and no sanitizer.
 */
#include "provider/provider.h"
#include "kernel/abi/uffd.h"
#include "base/raw.h"

#include <errno.h>

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

#define MESSAGES 32

static int read_messages(int fd, struct provider_event *events, int max, bool fork)
{
	struct uffd_msg msgs[MESSAGES];
	int out = 0;
	long n;

	if (max > MESSAGES)
		max = MESSAGES;
	n = raw3(SYS_read, fd, (long)msgs, (long)((size_t)max * sizeof(msgs[0])));
	if (n < 0)
		return n == -EAGAIN || n == -EINTR ? 0 : (int)n;
	for (int i = 0; i < (int)((size_t)n / sizeof(msgs[0])); i++)
		out += translate(&msgs[i], &events[out], fork);
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
