// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * Opening a file for reading, outside of the program's table of descriptors. Closing a descriptor
 * of a file, unless it was opened with O_PATH, drops the POSIX locks that the program holds on the
 * file. Such locks belong to a table of descriptors. So a short-lived task opens the file, which
 * has a table of its own and shares everything else:
 *
 *	caller				task
 *	all signals blocked
 *	clone, sleeps			leaves the table, which it shared
 *					opens, looks
 *	goes on				ends, and its table with it
 */
#include "kernel/extents.h"
#include "base/epoch.h"
#include "base/raw.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fiemap.h>
#include <linux/fs.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef CLOSE_RANGE_UNSHARE
#define CLOSE_RANGE_UNSHARE (1U << 1)
#endif
#define STACK_BYTES 16384 /* of the caller's stack, which sleeps meanwhile */
#define EXTENTS_AT_ONCE 32
#define SIGNAL_BYTES 8 /* size of a signal mask to the kernel */

struct outside {
	const char *path;
	int (*look)(struct outside *o, int fd);
	int result;
	uint64_t value;
};

/*
 * Makes system calls by number only. It must take no lock, allocate nothing, and call no function
 * that a preloaded object stands in for.
 */
static int in_the_task(void *arg)
{
	struct outside *o = arg;
	long fd;

	o->result = -EOPNOTSUPP;
	if (syscall(SYS_close_range, 0, ~0U, CLOSE_RANGE_UNSHARE))
		return 0;
	fd = syscall(SYS_openat, AT_FDCWD, o->path, O_RDONLY | O_NONBLOCK | O_CLOEXEC, 0);
	o->result = fd < 0 ? -errno : o->look(o, (int)fd);
	return 0;
}

static __attribute__((noinline)) int run(struct outside *o)
{
	const unsigned long flags = CLONE_VM | CLONE_VFORK | CLONE_FS | CLONE_FILES |
				    CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM;
	char stack[STACK_BYTES] __attribute__((aligned(16)));
	uint64_t all = ~0ULL;
	uint64_t old;
	int pid;

	o->result = -EOPNOTSUPP;
	/*
	 * By number, as the C library's wrapper does not block the signals that the C library uses
	 * itself.
	 */
	if (syscall(SYS_rt_sigprocmask, SIG_SETMASK, &all, &old, SIGNAL_BYTES))
		return -errno;
	pid = (int)raw_clone(flags, stack + STACK_BYTES, in_the_task, o);
	syscall(SYS_rt_sigprocmask, SIG_SETMASK, &old, NULL, SIGNAL_BYTES);
	return pid < 0 ? -EOPNOTSUPP : o->result;
}

static int add_extents(struct outside *o, int fd)
{
	union {
		struct fiemap map; /* ends in the array of extents */
		char room[sizeof(struct fiemap) + EXTENTS_AT_ONCE * sizeof(struct fiemap_extent)];
	} q;
	uint64_t from = 0;
	bool more = true;

	o->value = 0;
	while (more) {
		memset(&q.map, 0, sizeof(q.map));
		q.map.fm_start = from;
		q.map.fm_length = FIEMAP_MAX_OFFSET - from;
		q.map.fm_extent_count = EXTENTS_AT_ONCE;
		if (syscall(SYS_ioctl, fd, FS_IOC_FIEMAP, &q.map))
			return -errno;
		more = q.map.fm_mapped_extents == EXTENTS_AT_ONCE;
		for (uint32_t i = 0; i < q.map.fm_mapped_extents; i++) {
			const struct fiemap_extent *e = &q.map.fm_extents[i];

			if (e->fe_flags & FIEMAP_EXTENT_SHARED)
				o->value += e->fe_length;
			if (e->fe_flags & FIEMAP_EXTENT_LAST)
				more = false;
			from = e->fe_logical + e->fe_length;
		}
	}
	return 0;
}

int outside_shared_bytes(int path_fd, uint64_t *bytes)
{
	char path[FD_PATH_SIZE];
	struct outside o = { .path = fd_path(path, path_fd), .look = add_extents };
	int err = run(&o);

	*bytes = o.value;
	return err;
}
