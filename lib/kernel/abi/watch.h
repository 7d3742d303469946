/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * What the tracing programs (watchd/bpf) write and a watched process reads. The programs run at the
 * beginning and at the end of each change of an address space that is watched. A record of the
 * beginning is in the log before the change takes effect.
 *
 * A watched space has a log (a BPF ring buffer of struct watch_record) and a page (struct
 * watch_space). All spaces share one page more (struct watch_global). A process maps the pages
 * and the log's data for reading alone. Compiled for the kernel's BPF machine, too.
 */
#ifndef LIB_KERNEL_ABI_WATCH_H
#define LIB_KERNEL_ABI_WATCH_H

#include <linux/types.h>

#define WATCH_VERSION 1

/* What changes; the kernel's enum mmu_notifier_event in other words. */
enum watch_kind {
	WATCH_UNMAP,        /* munmap, mremap, exit: nothing is mapped there any more */
	WATCH_CLEAR,        /* pages go or are replaced */
	WATCH_PROTECT,      /* the permissions of the mapping change */
	WATCH_PROTECT_PAGE, /* pages become read-only, as in a fork or for writeback */
	WATCH_FORK,         /* the same, because of a fork */
	WATCH_MOVE,         /* pages move within the space: the range that they leave */
	WATCH_SOFT_DIRTY,
	WATCH_MIGRATE,
	WATCH_EXCLUSIVE,
	WATCH_KIND_NR,
};

/* flags of a record */
#define WATCH_END (1U << 0)     /* the change is over */
#define WATCH_FOREIGN (1U << 1) /* a thread of another process makes it */
#define WATCH_KERNEL (1U << 2)  /* a kernel thread makes it */

/*
 * The end of a change repeats task and site of its beginning. A thread may be in several changes,
 * one inside the other; the end of one is the end of all that it began later.
 */
struct watch_record {
	__u64 start;
	__u64 end;
	__u32 task; /* the thread, numbered in the initial PID namespace */
	__u32 tgid; /* its process, numbered so, too */
	__u16 kind; /* enum watch_kind */
	__u16 site; /* which kernel function; struct watch_site of the loader names it */
	__u32 flags;
};

/*
 * A reader that has seen `trouble` at a value knows that no record was lost while it stays. When it
 * has grown a change may be under way whose beginning the reader does not know. Its end is told
 * all the same, before the call that makes the change returns, or `trouble` grows once more. So a
 * reader takes an end without a beginning for a change, and waits for what holds the lock of the
 * address space.
 */
struct watch_space {
	__u64 trouble; /* grows before a change whose record did not fit, and when the space ends */
	__u64 dropped; /* records that did not fit */
	__u64 ended; /* 1: the space has ended, or is no longer watched; nothing is told any more */
	__u64 records; /* how many were written */
};

/*
 * A program that is preempted makes the kernel skip it for other threads on that CPU: their changes
 * would go unseen. WATCH_OUT counts the threads that are switched out and may be inside a program.
 * When one goes on, the number above grows first. So a reader that finds the same word again, with
 * no such thread, knows that no program was skipped in between.
 *
 * What was skipped may be the beginning of a change that is still under way when that thread goes
 * on. Then its end comes without a beginning, or is skipped, too, and the number grows once more.
 *
 * Before the programs go `detached` is set, and then the number grows.
 */
struct watch_global {
	__u64 word;     /* WATCH_OUT: such threads now; above: how many have gone on */
	__u64 detached; /* 1: the programs are about to go: nothing is told any more */
	__u64 watched;  /* spaces that are watched */
};

#define WATCH_OUT_BITS 20
#define WATCH_OUT ((1ULL << WATCH_OUT_BITS) - 1)
#define WATCH_ON (1ULL << WATCH_OUT_BITS)

/* The size of each of the two pages, and what a log takes by default. */
#define WATCH_PAGE 4096
#define WATCH_LOG_BYTES (256 << 10)

#endif
