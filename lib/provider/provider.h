/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * A provider sees changes of an address space. Each implementation has a file of its own. What the
 * kernel's tracing programs tell is beside it, see log.h.
 *
 *	events in	fd is readable when events wait; read() hands them over, normalised
 *	validity out	in_flight(): has a change taken effect whose event is not read?
 *	registration	watch(), unwatch() and is_watched(); NULL where the provider sees all that
 *			is mapped
 *
 * With a provider that registers nothing the program needs no further map entries, and its munmap
 * does not wait for us. The layers above know of a provider only what is here. They ask
 * mm_registers() (space/space.h), never which provider it is.
 */
#ifndef LIB_PROVIDER_PROVIDER_H
#define LIB_PROVIDER_PROVIDER_H

#include "base/ownfd.h"

#include <poll.h>
#include <hmm/mm.h>

enum provider_event_type {
	PROVIDER_UNMAP, /* [start, end) was unmapped */
	PROVIDER_MOVE,  /* [start, end) was moved to `to` */
	/* pages of [start, end) will be dropped; no event marks when that has ended */
	PROVIDER_REMOVE,
	/* the process has forked; `to`: a descriptor of the child's userfaultfd plus 1, or 0 */
	PROVIDER_FORK,
	/* a thread waits at `start` for a page, where the memory is trapped */
	PROVIDER_FAULT,
	/* no event of a provider's: the watchdog has brought [start, end) home (devmem/fault.c) */
	PROVIDER_HOME,
};

struct provider_event {
	uint32_t type;
	uint32_t invalidates; /* PROVIDER_HOME: the enum hmm_event of which `to` is the owner */
	uint64_t start;
	uint64_t end;
	uint64_t to;
};

struct provider {
	const struct provider_ops *ops;
	struct ownfd fd; /* readable when events wait */
	/* closed to make room for a fork's descriptor; touched by the thread that reads */
	struct ownfd spare;
	/* `spare` is a duplicate of this one, a pipe with an inode of its own */
	struct ownfd model;
	uint64_t features;  /* features in use */
	uint64_t available; /* features that the kernel has */
	bool user_mode_only;
	bool wp_async;
	bool event_fork;
	bool moves;   /* pages can be moved, see struct provider_move */
	bool poisons; /* pages can be made SIGBUS */
	bool shows;   /* shared memory can be trapped, see trap_shared of struct provider_move */
	char *blank;  /* PROVIDER_ASK_MAX bytes of address space that nobody can read */
	bool zero_wp; /* a zero-length UFFDIO_WRITEPROTECT of fd is the question of in_flight() */
	/*
	 * The thread that reads sets this before: when poll() last answered as only a userfaultfd,
	 * a timerfd or a signalfd does, readable and nothing else of PROVIDER_POLL. 0: it did not.
	 */
	uint64_t polled_ns;
	/* how many reads relied on polled_ns; written by the thread that reads */
	unsigned int reads;
};

/* Readable pipes, sockets, terminals, eventfds and files report one of the others, too. */
#define PROVIDER_POLL (POLLIN | POLLPRI | POLLOUT | POLLRDNORM | POLLRDBAND)

/* how many bytes one call of is_watched() may ask about */
#define PROVIDER_ASK_MAX (2ULL << 20)

struct provider_ops {
	const char *name;
	/*
	 * Is a change in flight: has it taken effect, or is it about to, and is its event not read?
	 * 1; 0: no; -errno: this cannot be told. -EBADF: the program has closed our descriptor;
	 * other errors come from a seccomp filter of the program's. Makes one system call and never
	 * blocks.
	 */
	int (*in_flight)(const struct provider *p);
	/*
	 * Registers a range that lies inside one VMA. -EOPNOTSUPP: this kind of memory cannot be
	 * registered; -EBUSY: it is registered with another userfaultfd; -ENOMEM: too many
	 * mappings, or on 6.1 none at `start` or above; -EAGAIN: there is no such VMA (any more).
	 * watch, unwatch and is_watched are NULL if nothing needs to be registered.
	 */
	int (*watch)(const struct provider *p, uint64_t start, uint64_t end);
	int (*unwatch)(const struct provider *p, uint64_t start, uint64_t end);
	/*
	 * Does the range lie inside one VMA, and is that registered, with us or with another
	 * userfaultfd? 1; 0; -EAGAIN: a change is in flight, so this cannot be told; -ENOMEM;
	 * errors as in_flight(). Makes one system call, and changes nothing.
	 */
	int (*is_watched)(const struct provider *p, uint64_t start, uint64_t end);
	/*
	 * Reads up to max events without blocking. The calls that raised them go on when they are
	 * read. Returns how many, or -errno; -EBADF: the program has closed our descriptor, and
	 * nothing was read.
	 */
	int (*read)(struct provider *p, struct provider_event *events, int max);
	/*
	 * The same for another process that has the descriptor under the same number. Does not
	 * touch errno. A fork's event has no descriptor.
	 */
	int (*read_raw)(int fd, struct provider_event *events, int max);
	void (*close)(struct provider *p);
	/* NULL where the kernel moves no pages. */
	const struct provider_move *move;
};

/*
 * Pages that move (uffd_move.c). All return how many bytes were done, from the beginning on, or
 * -errno if none was. -EAGAIN: a change is in flight, whose event comes first; -ENOENT: there is no
 * page at `from`, or no such mapping is registered with us at `to`; -EEXIST: there is a page at
 * `to`; -EBUSY: the page is shared or pinned; -EINVAL: the two mappings differ in protection or are
 * not both anonymous; -ESRCH, -EBADF: the end of the process, or of our descriptor.
 */
struct provider_move {
	/* Registers a range inside one VMA: a touch of a page that is not there is a fault. */
	int (*trap)(const struct provider *p, uint64_t start, uint64_t end);
	/*
	 * The same of shared memory, where there may be a page that is not in the page table.
	 * -EINVAL: of another kind.
	 */
	int (*trap_shared)(const struct provider *p, uint64_t start, uint64_t end);
	/*
	 * Puts the pages that shared memory has there into the page table. -EFAULT: it has none;
	 * -EINVAL: this is no shared memory.
	 */
	int64_t (*show)(const struct provider *p, uint64_t start, uint64_t bytes);
	/* It may do more than it says: devmem_move(). */
	int64_t (*move)(const struct provider *p, uint64_t to, uint64_t from, uint64_t bytes);
	int64_t (*copy)(const struct provider *p, uint64_t to, uint64_t from, uint64_t bytes);
	int64_t (*zero)(const struct provider *p, uint64_t start, uint64_t bytes);
	/* Lets the threads go on that wait in the range: they touch their page again. */
	void (*wake)(const struct provider *p, uint64_t start, uint64_t bytes);
	/* Copies into a child, whose descriptor came with a PROVIDER_FORK. */
	int64_t (*copy_into)(int fd, uint64_t to, uint64_t from, uint64_t bytes);
	/* Makes a touch of what is not there SIGBUS, also in a child. Lets those who wait go on. */
	int64_t (*poison)(int fd, uint64_t start, uint64_t bytes);
	/* Removes a marker of write-protection. 0 or -errno. */
	int (*unmark)(const struct provider *p, uint64_t start, uint64_t bytes);
};

/* uffd_move.c */
extern const struct provider_move provider_uffd_move;

/* Opens a userfaultfd, or adopts options->uffd. Errors as hmm_mm_attach(). */
int provider_uffd_open(const struct hmm_mm_options *options, struct provider *p);

/* bpf.c: registers nothing; a log tells of all changes. */
void provider_bpf_open(struct provider *p);

/* uffd_read.c: read_raw of struct provider_ops; with `fork` it hands out a fork's descriptor. */
int provider_uffd_read_raw(int fd, struct provider_event *events, int max);
int provider_uffd_read_fork(int fd, struct provider_event *events, int max);

#endif
