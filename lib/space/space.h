/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * The attached address space: what the layers above keep in it, and whether it is alive. Key
 * letters say what guards a field:
 *	C  constant after attach
 *	P  written by the pump alone, read by anybody
 *	R  region_lock
 *	G  gate.lock
 *	N  notifier_lock
 *	M  the lock of the log (provider/log.h) if there is one, else notifier_lock
 *	D  discards.lock
 *	S  suspects.lock, which is taken before discards.lock
 *	A  atomic
 *
 * docs/protocol.md has the order of all locks. No thread allocates, frees or touches memory of the
 * program while it holds one: that memory's owner may be blocked in an event that only the pump can
 * end. A fork takes gate.lock and those below it, and holds none while the kernel copies the space.
 */
#ifndef LIB_SPACE_SPACE_H
#define LIB_SPACE_SPACE_H

#include <pthread.h>
#include <stdatomic.h>
#include <hmm/coherence.h>
#include <hmm/engine.h>
#include <hmm/mm.h>
#include <hmm/notifier.h>
#include "base/itree.h"
#include "base/ownfd.h"
#include "base/ownthread.h"
#include "base/pool.h"
#include "kernel/pagemap.h"
#include "kernel/vma.h"
#include "provider/provider.h"

struct file_table;
struct thief;
struct keeper;
struct persist_cache;
struct log;
struct devmem_space;

#define ENGINES_MAX 1024
#define DISCARDS_MAX 4096
#define THIEF_EVENTS 512

/*
 * Where an engine is. OVERRUN: the pump went on while the engine was in its section, so that
 * section does not count.
 */
enum engine_state { ENGINE_OUT, ENGINE_IN, ENGINE_OVERRUN };

struct hmm_engine {
	_Atomic uint32_t state; /* A: enum engine_state */
	_Atomic uint32_t used;  /* A */
	struct hmm_mm *mm;      /* C */
	_Atomic int32_t tid;    /* A: the thread that is inside */
	_Atomic int cpu;        /* A: a hint: the CPU on which it entered */
	uint64_t queued;        /* its thread's own: changes that were told when it entered */
	char pad[64 - 4 * sizeof(uint32_t) - sizeof(uint64_t) - sizeof(void *)];
};
_Static_assert(sizeof(struct hmm_engine) == 64, "an engine has a cache line of its own");

/*
 * Bits of gate.closed. GATE_CLOSER: a thread with gate.lock has closed the gate. The bits of
 * GATE_THIEVES count how often thieves have closed it and begun to read (pump/steal.h).
 */
#define GATE_CLOSER 1U
#define GATE_THIEF 0x100U
#define GATE_THIEVES (~(GATE_THIEF - 1))

struct gate {
	pthread_mutex_t lock;           /* one closer at a time */
	_Atomic uint32_t closed;        /* A: not 0 while closed */
	_Atomic uint32_t quiesced;      /* A: the quiescers have stopped their devices */
	_Atomic uint32_t sleepers;      /* A: threads that sleep, or are about to, until it opens */
	_Atomic int closer_cpu;         /* A: a hint: the CPU of the thread that closed it */
	_Atomic uint32_t waiting;       /* A: the closer sleeps on 'left' */
	_Atomic uint32_t left;          /* A: an engine that leaves while 'waiting' adds 1 */
	_Atomic uint32_t commits;       /* A: open commit sections */
	_Atomic uint32_t engines_top;   /* A: slots in use are below this */
	struct hmm_engine *engines;     /* C: ENGINES_MAX slots */
	struct hmm_quiescer *quiescers; /* G */
};

struct hmm_quiescer {
	struct hmm_quiescer *next; /* G */
	struct hmm_mm *mm;
	struct hmm_quiescer_ops ops;
	void *priv;
};

struct hmm_interval_notifier {
	struct itree_node node;               /* written under N and M, read under one of them */
	struct hmm_mm *mm;                    /* C */
	struct hmm_interval_notifier_ops ops; /* C */
	void *priv;
	_Atomic uint64_t seq;  /* A: the last event that hit it; written under M */
	_Atomic uint64_t told; /* A: the last that its driver does not ignore; written under M */
	uint64_t born;         /* C: the number that it began with */
	/* A: HMM_CHECK_* that what was faulted or watched under it needs by its kind */
	_Atomic uint32_t kinds;
};

/* One of the latest invalidations, see notifier/recent.h. Written under M. */
struct recent {
	_Atomic uint64_t seq; /* A: 0 while it is written */
	_Atomic uint64_t start;
	_Atomic uint64_t end;
};

#define RECENT_MAX 256

struct region {
	struct itree_node node; /* R */
	uint32_t cost;          /* R: how many of the process's map entries it takes */
};

/*
 * How far the pages of a file's mapping are mapped before it is registered (watch/resident.c).
 * There is one such work a space, for the last mapping that asked.
 */
struct resident_work {
	uint64_t start, end; /* R: the mapping */
	uint64_t at;         /* R: where the next step begins */
	uint64_t steps;      /* R: how many are left */
};

struct discard {
	struct itree_node node; /* D */
	uint64_t id;            /* D: its number; a younger discard has a larger one */
};

/* A thread that may be in the middle of a discard. See watch/suspect.c. */
struct suspect {
	pid_t tid;
	uint64_t user_ns; /* how long it had been in user mode at the last look */
	uint64_t cleared; /* it is in no discard up to this number */
	uint64_t round;   /* the last listing of the threads that named it */
};

struct suspect_list {
	pthread_mutex_t lock; /* S: one thread looks at the others at a time */
	/* S: all threads have been looked at since the discard of this number */
	uint64_t asked;
	uint64_t round;     /* S */
	struct suspect *s;  /* S */
	size_t n;           /* S */
	size_t bytes;       /* S: size of the array s */
	char *names;        /* S: buffer for a listing of the threads */
	size_t names_bytes; /* S */
	bool other_numbers; /* C: /proc numbers threads in its own way */
};

struct discard_list {
	pthread_mutex_t lock;
	_Atomic int n;           /* A: read without the lock; D: written */
	uint64_t next_id;        /* D */
	struct itree tree;       /* D */
	struct discard *reserve; /* C: used when there is no memory */
	_Atomic bool unlisted;   /* A: some came before there was device memory */
	struct objpool pool;     /* has a lock of its own */
	struct suspect_list suspects;
	uint64_t looked; /* P: the youngest discard at the pump's last look */
	int looks;       /* P: how often it has looked since that one */
};

/*
 * What a fault saw of memory that cannot be registered, and the sequence at that time. See
 * range/once.c.
 */
struct once_note {
	struct hmm_interval_notifier *notifier;
	uint64_t seq;
	uint64_t start;
	uint64_t end;
	uint64_t seen;
};

#define ONCE_NOTES 1024

struct once_table {
	pthread_mutex_t lock;
	_Atomic bool any;
	/* lock: how many notes were written; modulo ONCE_NOTES it is the next place */
	uint32_t count;
	struct once_note notes[ONCE_NOTES]; /* lock */
};

struct hmm_mm {
	_Atomic uint32_t refs;         /* A: the attachment, each notifier, engine and quiescer */
	struct hmm_mm_options options; /* C */
	pid_t pid;                     /* C */
	/* C: the epoch of the process that attached the space, see base/epoch.h */
	uint64_t epoch;
	/* C: a page that is registered, so that the kernel tells of forks */
	uint64_t *token;
	_Atomic uint64_t faulted; /* A: how many faults have succeeded, for mm/fork.c */
	/* A: of these, how many had their translations invalidated by a fork */
	_Atomic uint64_t told;
	_Atomic bool fork_late; /* A: a fork must be invalidated for before the gate opens */
	/*
	 * C: invalidates for such a fork; closed: the gate is closed, and the notifiers' lock is
	 * free
	 */
	void (*tell_fork)(struct hmm_mm *mm, bool closed);
	void (*release)(struct hmm_mm *mm); /* C: frees the space when refs is 0 */
	struct provider provider;           /* C */
	struct log *log;                    /* C: what the kernel tells of the space, or NULL */
	/* C: handles what is new in the log. True: all of it, at some instant of the call. */
	bool (*drain)(struct hmm_mm *mm);
	void (*wake)(struct hmm_mm *mm); /* C: the pump has work */
	/* C: which kinds of mapping the log tells of, for each operation: bits of 1 << kind */
	uint8_t exact[HMM_OP_NR];
	uint32_t tried; /* C: which operations were tried when the space was attached: 1 << op */
	int provider_error;       /* C: why there is no log; 0: there is, or nobody asked */
	struct ownfd anchor;      /* its virtual machine, until the watchdog has closed that */
	int anchor_error;         /* C: why the log is not anchored; 0: it is, or there is none */
	struct vma_reader vmas;   /* C */
	struct pagemap pagemap;   /* C */
	struct file_table *files; /* of lib/files */
	struct once_table once;
	/*
	 * lib/persist, a layer above, sets these at the first hmm_persist(), in this order; both
	 * are NULL before. Detaching calls persist_fini.
	 */
	void (*_Atomic persist_fini)(struct persist_cache *); /* A */
	struct persist_cache *_Atomic persist;                /* A */
	uint64_t thp_size;                                    /* C */
	struct devmem_space *_Atomic devmem; /* A: of lib/devmem; NULL until it is needed */
	/* A: not 0 while pages move, see devmem/moving.h; written under R */
	_Atomic uint32_t moving;

	pthread_mutex_t region_lock;
	struct itree regions; /* R */
	/* C: the budget: how many map entries all regions together may take */
	uint32_t regions_max;
	/* A: how often a region was removed, or the log told that a mapping has changed */
	_Atomic uint64_t taken;
	struct resident_work resident; /* R */
	struct gate gate;
	pthread_mutex_t notifier_lock;
	struct itree notifiers;           /* written under N and M, read under one of them */
	uint64_t invalidate_seq;          /* M */
	struct recent recent[RECENT_MAX]; /* number n at n % RECENT_MAX */
	struct discard_list discards;

	_Atomic uint64_t pump_seq; /* P: odd while the pump works on events */
	/* A: nothing is valid any more: the space is being detached, or its process has ended */
	_Atomic uint32_t dead;
	_Atomic bool detached; /* A: hmm_mm_detach() is over; for debug.c */
	_Atomic uint32_t lost; /* A: the program has closed our descriptors (lost.c) */
	/* the pump's own: the process has ended, so there is nothing to read */
	bool gone;
	bool told_by_log;          /* the pump's own: drivers are told of these events by the log */
	_Atomic uint32_t stopping; /* A, futex */
	struct ownthread pump;
	struct ownthread watchdog;
	struct ownthread settler;      /* with a log */
	_Atomic pid_t pump_tid;        /* A: 0 until it runs */
	_Atomic pid_t watchdog_tid;    /* A */
	_Atomic uint32_t watched;      /* A, futex: the watchdog runs, with a keeper or without */
	struct ownfd kick[2];          /* C: a pipe that wakes the pump: end to read, to write */
	struct thief *thieves;         /* C: THIEVES of them */
	_Atomic uint32_t turn;         /* A: somebody reads events */
	_Atomic uint64_t stolen;       /* A: events that thieves have read */
	struct keeper *prepared;       /* the keeper that the watchdog is to start */
	struct keeper *_Atomic keeper; /* written by the watchdog; NULL: there is none */

	struct objpool regions_pool;
	struct objpool notifiers_pool;

	struct {
		_Atomic uint64_t pump_cycles, callbacks, callback_errors, registrations, regions,
			map_entries, probes, probes_busy, discards_pending, discards_settled,
			watchdog_reads, overruns, pump_busy_ns, ignored;
		_Atomic uint64_t events[HMM_EVENT_NR];
	} stats;
};

/* ---- who is alive --------------------------------------------------------------------------- */

/*
 * 0; -ESRCH in a forked child, after the process has ended or the space is detached. Every entry
 * point asks this first.
 */
int mm_alive(const struct hmm_mm *mm);
/*
 * Has a forked child inherited this space? Then the child may take none of its locks and free
 * nothing of it.
 */
bool mm_inherited(const struct hmm_mm *mm);
/*
 * References. A notifier, engine or quiescer that a driver still has when the space is detached
 * keeps the space's memory, and nothing else of it.
 */
void mm_get(struct hmm_mm *mm);
void mm_put(struct hmm_mm *mm);
/*
 * lost.c: the program has closed our descriptors. From now on nothing is valid. Prints a line,
 * once.
 */
void mm_lost(struct hmm_mm *mm);
/* The log (provider/log.h) has ended: the same. -EPROTO: it makes no sense. */
void mm_lost_log(struct hmm_mm *mm, int err);
/* The same, as a filter of system calls keeps the pump from waiting and reading. */
void mm_shut_out(struct hmm_mm *mm);
/* What a call of ours answered: -EBADF says that it has, and becomes -ESRCH. */
int mm_lost_by(struct hmm_mm *mm, int err);

static inline struct vma_reader *mm_vmas(struct hmm_mm *mm)
{
	return &mm->vmas;
}

static inline struct pagemap *mm_pagemap(struct hmm_mm *mm)
{
	return &mm->pagemap;
}

/* Forks seen since attach. */
static inline uint64_t mm_forks(const struct hmm_mm *mm)
{
	return atomic_load_explicit(&mm->stats.events[HMM_EVENT_FORK], memory_order_relaxed);
}

/* Must a range be registered before its changes are seen? */
static inline bool mm_registers(const struct hmm_mm *mm)
{
	return mm->provider.ops->watch;
}

static inline bool mm_wp_async(const struct hmm_mm *mm)
{
	return mm->provider.wp_async;
}

/* ---- probe.c: the in-flight probe (rule 2) -------------------------------------------------- */

/* True while a change is in flight. */
bool mm_in_flight(struct hmm_mm *mm);
/* The same for changes of which an event tells. Without a log it is the same question. */
bool mm_event_waits(struct hmm_mm *mm);
/*
 * -errno if this thread's last probe that was not answered "no" failed, and mm_refused_forget() was
 * not called since; 0 otherwise. A probe fails if a seccomp filter of the program answers it, so
 * waiting does not help.
 */
int mm_refused(void);
void mm_refused_forget(void);

/* ---- spaces.c: the spaces that the process has attached ----------------------------------- */

/* Calls fn for every attached space of the process. No lock is held. */
void spaces_for_each(void (*fn)(struct hmm_mm *mm, void *arg), void *arg);
int spaces_add(struct hmm_mm *mm);
/* When it returns no thread visits the space any more. */
void spaces_remove(struct hmm_mm *mm);
void spaces_forget(void); /* in a child */

/* ---- what this thread holds, for forks ------------------------------------------------------ */

/*
 * The space of which this thread has the gate's lock or the notifiers', or is about to take one. If
 * a callback or a signal handler forks meanwhile the fork must not wait for these locks.
 */
struct fork_held {
	struct hmm_mm *mm;
	unsigned int depth;
};
extern _Thread_local struct fork_held fork_held
	__attribute__((tls_model("initial-exec"), visibility("hidden")));

static inline void held_begin(struct hmm_mm *mm)
{
	fork_held.mm = mm;
	fork_held.depth++;
	atomic_signal_fence(memory_order_seq_cst);
}

/* This thread did not get the lock. The thread that has it invalidates for a late fork. */
static inline void held_not(void)
{
	atomic_signal_fence(memory_order_seq_cst);
	fork_held.depth--;
}

static inline void held_end(struct hmm_mm *mm)
{
	atomic_signal_fence(memory_order_seq_cst);
	if (!--fork_held.depth && __builtin_expect(atomic_load(&mm->fork_late), 0))
		mm->tell_fork(mm, false);
}

#endif
