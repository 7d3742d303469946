/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * The provider seam: how changes of an address space are seen. One implementation a file.
 *
 *	events in	fd is readable when events wait; read() hands them over, normalised
 *	validity out	in_flight(): has a change taken effect whose event is not read?
 *	registration	watch() and unwatch(); NULL where the provider sees all that is mapped
 *
 * A provider that registers nothing costs the program no map entry, and its munmap no waiting for us. All that the
 * layers above know of a provider is here: they ask mm_registers() (space/space.h), never which one it is.
 */
#ifndef LIB_PROVIDER_PROVIDER_H
#define LIB_PROVIDER_PROVIDER_H

#include "base/ownfd.h"

#include <poll.h>
#include <hmm/mm.h>

enum provider_event_type {
	PROVIDER_UNMAP,  /* done: start, end */
	PROVIDER_MOVE,   /* done: start, end went to 'to' */
	PROVIDER_REMOVE, /* announced: pages of start, end will be dropped, the end is unmarked */
	PROVIDER_FORK,   /* done */
};

struct provider_event {
	uint32_t type;
	uint64_t start;
	uint64_t end;
	uint64_t to;
};

struct provider {
	const struct provider_ops *ops;
	struct ownfd fd;    /* readable when events wait */
	struct ownfd spare; /* given away when there is no descriptor to be had; by who reads */
	struct ownfd model; /* what the spare is another of: an inode of its own */
	uint64_t features;  /* in use */
	uint64_t available; /* the kernel has */
	bool user_mode_only;
	bool wp_async;
	bool event_fork;
	/*
	 * By who reads, before: when poll() last answered as none but a userfaultfd, a timerfd or a
	 * signalfd does: readable, and nothing else of PROVIDER_POLL. 0: it did not.
	 */
	uint64_t polled_ns;
	unsigned int reads; /* by who reads: how many believed that */
};

/* Pipes, sockets, terminals, eventfds and files that are readable are one of the others as well. */
#define PROVIDER_POLL (POLLIN | POLLPRI | POLLOUT | POLLRDNORM | POLLRDBAND)

struct provider_ops {
	const char *name;
	/*
	 * Is a change in flight: taken effect or about to, its event not read? 1; 0 no; -errno it cannot be said: -EBADF
	 * the program closed our descriptor, others what a filter of the program's answers. One system call, never
	 * blocks.
	 */
	int (*in_flight)(const struct provider *p);
	/*
	 * Watch a range that lies inside one VMA. -EOPNOTSUPP this kind cannot be; -EBUSY somebody else watches it;
	 * -ENOMEM too many mappings; -EAGAIN no such VMA (any more). Both NULL: nothing needs to be registered.
	 */
	int (*watch)(const struct provider *p, uint64_t start, uint64_t end);
	int (*unwatch)(const struct provider *p, uint64_t start, uint64_t end);
	/*
	 * Read up to max events without blocking: how many, 0 none, -errno; -EBADF the program closed our descriptor,
	 * and nothing was read. Reading lets their callers go on.
	 */
	int (*read)(struct provider *p, struct provider_event *events, int max);
	/* The same from another process that has the descriptor under the same number; touches no errno. */
	int (*read_raw)(int fd, struct provider_event *events, int max);
	void (*close)(struct provider *p);
};

/* Opens (or adopts) a userfaultfd. flags: HMM_MM_NO_*; errors as hmm_mm_attach(). */
int provider_uffd_open(const struct hmm_mm_options *options, struct provider *p);

/* uffd_read.c: for struct provider_ops */
int provider_uffd_read_raw(int fd, struct provider_event *events, int max);

#endif
