/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * A log of an address space: what tracing programs in the kernel tell of it (kernel/abi/watch.h).
 * The beginning of each change is in the log before the change takes effect. So if the log has
 * nothing that was not handled, nothing has changed that was not handled: that is *quiet*, and
 * loads alone tell it.
 *
 *	changing thread			reader
 *	record of the beginning
 *	the page table changes
 *	record of the end
 *					has the log grown? did records not fit? was a program
 *					skipped? three loads
 *
 * Why that is enough. Take a change that began before the first of the three loads. Either its
 * record is in the log, and then the log has grown, as records below `pos` are handled. Or it did
 * not fit, and then `trouble` had grown before the change. Or the program that writes it was
 * skipped, and then a thread was out, or the number in `word` has grown since. So the answer
 * "quiet" is about the instant of the first load. `pos` is written after the sequences of the
 * notifiers have changed, and a reader looks at them after it has looked at `pos`.
 *
 * After records were lost a change may be under way that nobody knows. Most changes hold the lock
 * of the address space from before their beginning until after their end. So the log is not
 * trusted again before the settler has taken that lock (log_settle()), for 20 ms at most. A thread
 * that was preempted may hold it for seconds, so nobody waits for the settler: what is not trusted
 * is refused, or asked again until a deadline of its own. Changes that do not hold it are told by
 * their end, before the call that makes them returns: an end without a beginning is a change. These
 * are changes of a file, of a page by reclaim or writeback, copies on write, and since Linux 6.17
 * discards of memory that no userfaultfd has registered, which hold the lock of their mapping only.
 *
 * This file knows no notifiers: notifier/drain.c handles the records.
 */
#ifndef LIB_PROVIDER_LOG_H
#define LIB_PROVIDER_LOG_H

#include "kernel/abi/watch.h"
#include "base/mutation.h"
#include "base/ownfd.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <hmm/notifier.h>

struct watch_fds;
struct watch_site;

/* What a log consists of, wherever that lies. */
struct log_memory {
	_Atomic uint64_t *consumer; /* up to here the kernel may write again */
	const _Atomic uint64_t *producer;
	const char *data;
	uint64_t bytes; /* of data, a power of two */
	const struct watch_space *space;
	const struct watch_global *global;
};

/* A change that has begun and is not over. */
struct log_open {
	uint64_t start;
	uint64_t end;
	uint64_t met; /* when somebody first had to wait for it, by clock_ns(); 0: nobody had */
	uint32_t task;
	uint16_t site;
	/* Something was lost since it began: maybe its end, and another beginning after it. */
	bool doubtful;
};

#define LOG_OPEN_MAX 256
/*
 * A change that is waited for longer is not waited for any more: its end is lost. It did not fit,
 * or its program was skipped, or programs were attached or detached at the same function meanwhile.
 * An end that comes after all is a change without a beginning.
 */
#define LOG_OPEN_NS 1000000000ULL
/*
 * Nothing is trusted for no longer than this because of changes that were under way when something
 * was lost: on a busy machine the lock of the address space may be another's all the time.
 */
#define LOG_SETTLE_NS 20000000ULL
#define LOG_QUEUE_MAX 256
/* `pos` while the log must not be trusted: no position of a producer */
#define LOG_NOT_QUIET UINT64_MAX

/* What the test at attaching waits for. */
struct log_probe {
	uint64_t start;
	uint64_t end;
	uint32_t begun;  /* bits of enum watch_kind: beginnings that were seen there */
	uint32_t over;   /* ends */
	uint64_t resets; /* of the log, when it began */
};

/*
 * Key letters as in space/space.h, and
 *	L  lock
 */
struct log {
	struct log_memory m; /* C */
	/* What quiet is compared with, in a line of its own. A: written under L. */
	_Atomic uint64_t pos __attribute__((aligned(64)));
	_Atomic uint64_t trouble;
	_Atomic uint64_t word;

	pthread_mutex_t lock;
	uint64_t read;  /* L: the next record */
	uint64_t seen;  /* L: what it was when the pump looked last */
	bool distrusts; /* L: a program may be skipped now */
	bool unheard;   /* L: something was lost, and the kernel has not woken the pump for it */
	/* L: since when a change whose beginning was lost may be under way, by clock_ns(), or 0 */
	uint64_t unsettled;
	/* A, futex: how often the settler was called */
	_Atomic uint32_t doubts;
	_Atomic int over; /* A: -errno: nothing is told any more; 0: the log goes on */
	struct log_open open[LOG_OPEN_MAX]; /* L: the oldest first */
	unsigned int n_open;                /* L */
	uint64_t doubtful;                  /* L: what began before this position is doubtful */
	/* L: changes that the pump has not told drivers of, the oldest first */
	struct hmm_invalidation queue[LOG_QUEUE_MAX];
	unsigned int queue_first; /* L */
	unsigned int queue_n;     /* L */
	/* A: how many were queued, written under L; of how many the callbacks have run */
	_Atomic uint64_t queued;
	_Atomic uint64_t delivered;
	/*
	 * A: the pump does not poll the log, and looks at it in a moment; written under L. A thread
	 * that reads what drivers have to be told of wakes it.
	 */
	_Atomic bool naps;
	struct log_probe probe;    /* L */
	_Atomic uint64_t records;  /* A: how many were read */
	_Atomic uint64_t resets;   /* A: how often everything was invalidated */
	_Atomic uint64_t given_up; /* A: how many changes were not waited for any longer */

	/*
	 * Where logs can be renewed these change, on the pump and with the lock, while `next` is
	 * set.
	 */
	struct ownfd fd;    /* readable when there are records */
	struct ownfd links; /* keeps the programs attached */
	struct ownfd conn;  /* to hmm-watchd, or none */
	/* A: nobody else keeps the programs attached, so uses look whether `links` is still ours */
	_Atomic bool alone;
	bool mapped;                    /* C */
	bool anchored;                  /* C: told of by the kernel's own notifiers (watch_space) */
	bool from_watchd;               /* C: another can be had when this one has ended */
	const struct watch_site *sites; /* as numbered in records, or NULL; changes like `fd` */
	size_t n_sites;
	/* A: the log that is to take this one's place: set by the watchdog, taken by the pump */
	struct log *_Atomic next;
	_Atomic uint64_t renewals; /* A: how often that was */
	_Atomic bool orphan;       /* A: hmm-watchd has ended, or the log has: `over` */
};

static inline uint64_t log_load(const __u64 *p)
{
	return __atomic_load_n(p, __ATOMIC_ACQUIRE);
}

/*
 * Is there nothing new? What readers have taken over is loaded before what the kernel has written,
 * `pos` after the other two:
 *
 *	this thread			another reader
 *					the word has changed
 *					pos = not quiet
 *					word = the new one
 *	word is the new one
 *	pos: not quiet, or the
 *	sequences have changed
 *					the sequences change
 *					pos = where it has read
 */
static inline bool log_is_quiet(const struct log *log)
{
	const uint64_t word = atomic_load_explicit(&log->word, memory_order_acquire);
	const uint64_t trouble = atomic_load_explicit(&log->trouble, memory_order_acquire);
	const uint64_t pos = atomic_load_explicit(&log->pos, memory_order_acquire);

	if (atomic_load_explicit(log->m.producer, memory_order_acquire) != pos)
		return false;
	if (log_load(&log->m.space->trouble) != trouble && !hmm_mutation(HMM_MUTATION_LOST_RECORD))
		return false;
	return log_load(&log->m.global->word) == word || hmm_mutation(HMM_MUTATION_TRUST_WORD);
}

/* Have all changes that were read been told to drivers? */
static inline bool log_is_delivered(const struct log *log)
{
	return atomic_load(&log->delivered) == atomic_load(&log->queued);
}

/*
 * A log in memory that the caller keeps. It begins where the log is now: what is read there counts
 * as handled. -ENOMEM; -EINVAL: this is no log.
 */
int log_new(const struct log_memory *m, struct log **log);
/* A test sets this: spaces that are attached then have a log in its memory. */
extern const struct log_memory *log_of_test;
/*
 * A log of descriptors, which are taken over whether it works or not; conn may be -1. The caller is
 * between opening_begin() and opening_end(). -EINVAL: they are not what they should be; -ENOMEM.
 */
int log_map(const struct watch_fds *fds, int conn, size_t bytes, struct log **log);
/*
 * A log from hmm-watchd, of that many bytes or fewer. functions: not told of by the kernel's
 * notifiers, although the space has one. The caller is as for log_map(). Errors of watchd_connect()
 * and log_map().
 */
int log_ask(size_t bytes, bool functions, struct log **log);
/* A test sets this: nobody tries what a log tells of. */
extern bool log_untried_of_test;
/*
 * Is the socket that keeps the programs attached still ours? Where another thread has the lock for
 * long it counts as ours, and *again is set.
 */
bool log_is_held(struct log *log, bool *again);
/* Closes the descriptors. What is mapped stays until log_free(). */
void log_close(struct log *log);
void log_free(struct log *log);
/*
 * Waits until the changes are over that were under way when something was lost, however long that
 * takes. Then the log may be trusted, unless something was lost meanwhile. Returns `doubts` as it
 * was at the beginning.
 */
uint32_t log_settle(struct log *log);
/* The settler is to look again. */
void log_call_settler(struct log *log);

/* The caller has the lock in all of these. */

/*
 * Takes the next record. 1; 0: there is none; -EAGAIN: the next one is being written; -EPROTO: the
 * log makes no sense.
 */
int log_take(struct log *log, struct watch_record *r);
/* What was taken is handled. trust: the log is quiet if it has not grown. */
void log_handled(struct log *log, bool trust);
/* A change that nobody knows may be under way: not trusted until the settler has waited for it. */
void log_unsettle(struct log *log);
/*
 * The kernel may write over what was taken. While it may not the log's descriptor stays readable,
 * and the kernel wakes nobody for what it adds. So a check that handles records leaves this to the
 * pump, and needs no system call to wake it, unless that naps. all: the caller is the pump, and
 * there was no news for a while. True: it was done, as otherwise the log would be full soon, or
 * there is no descriptor.
 */
bool log_give_back(struct log *log, bool all);
/*
 * Has something been lost since the last call? If so everything has to be invalidated, and then
 * log_handled() called.
 */
bool log_lost(struct log *log);
/*
 * Puts `next` into the place of the log: its memory at the log's addresses, so that readers notice
 * nothing, and its descriptors. `next` has the log's own then, and can be freed. The caller has
 * invalidated everything after log_handled(log, false). `next` is no larger than the log. whole:
 * since `next` was opened the log was found quiet, so all that has begun before is known. If the
 * kernel has no memory the log is over.
 */
void log_renew(struct log *log, struct log *next, bool whole);
/* The log has ended; may another one come in its place? */
bool log_may_return(const struct log *log);
/* May the log be trusted? */
bool log_trusted(struct log *log);
/* A beginning or an end. False: an end of which it is not certain that its beginning was seen. */
bool log_changes(struct log *log, const struct watch_record *r);
/* Is a change of any part of the range under way? The caller waits for its end then. */
bool log_is_open(struct log *log, uint64_t start, uint64_t end);
/* For the pump. If there is no room it is joined with the youngest. */
void log_queue(struct log *log, const struct hmm_invalidation *inv);
/* Takes up to max of them; *n is how many, whose sum with `delivered` the caller stores there. */
unsigned int log_unqueue(struct log *log, struct hmm_invalidation *inv, unsigned int max,
			 uint64_t *queued);

#endif
