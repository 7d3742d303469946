/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * The attached address space: what the layers above keep in it, and who is alive. docs/protocol.md has the order of
 * the locks. Key letters say what guards a field:
 *	C  constant after attach
 *	P  written by the pump alone, read by anybody
 *	R  region_lock
 *	G  gate.lock
 *	N  notifier_lock
 *	D  discards.lock
 *	S  suspects.lock, outside of discards.lock
 *	A  atomic
 *
 * None of these locks is ever held while memory of the program is allocated, freed or touched: the holder may be
 * blocked in an event that only the pump can end. A fork holds none of them over the copy, and takes L3 to L5:
 *
 *	L1 file_table.lock  mirrored files and what was mapped where; the pump only tries for it, outside its cycle
 *	L2 region_lock      the registered regions, and the order kill, register
 *	L3 gate.lock        closing the gate: one closer at a time
 *	L4 notifier_lock    the notifiers' interval tree; held while callbacks run. discards.lock may be held around it
 *	L5 objpool.lock     memory that is never registered
 */
#ifndef LIB_SPACE_SPACE_H
#define LIB_SPACE_SPACE_H

#include <pthread.h>
#include <stdatomic.h>
#include <hmm/engine.h>
#include <hmm/mm.h>
#include <hmm/notifier.h>
#include "base/itree.h"
#include "base/ownfd.h"
#include "base/pool.h"
#include "kernel/pagemap.h"
#include "kernel/vma.h"
#include "provider/provider.h"

struct file_table;
struct thief;
struct keeper;
struct persist_cache;

#define ENGINES_MAX 1024
#define DISCARDS_MAX 4096
#define THIEF_EVENTS 512

/* Where an engine is. OVERRUN: the pump went on without it; its section does not stand. */
enum engine_state { ENGINE_OUT, ENGINE_IN, ENGINE_OVERRUN };

struct hmm_engine {
	_Atomic uint32_t state; /* A: enum engine_state */
	_Atomic uint32_t used;  /* A */
	struct hmm_mm *mm;      /* C */
	_Atomic int32_t tid;    /* A: who is inside */
	_Atomic int cpu;        /* A: a hint: where it entered */
	char pad[64 - 4 * sizeof(uint32_t) - sizeof(void *)];
};
_Static_assert(sizeof(struct hmm_engine) == 64, "an engine has a cache line of its own");

/* Bits of gate.closed: a closer has it closed; above, how often thieves closed it and began to read (steal.h). */
#define GATE_CLOSER 1U
#define GATE_THIEF 0x100U
#define GATE_THIEVES (~(GATE_THIEF - 1))

struct gate {
	pthread_mutex_t lock;           /* one closer at a time */
	_Atomic uint32_t closed;        /* A: not 0 while closed */
	_Atomic uint32_t quiesced;      /* A: the quiescers have stopped their devices */
	_Atomic uint32_t sleepers;      /* A: who sleeps, or is about to, until it opens */
	_Atomic int closer_cpu;         /* A: a hint: where who closed it runs */
	_Atomic uint32_t waiting;       /* A: the closer sleeps on 'left' */
	_Atomic uint32_t left;          /* A: bumped by who leaves while 'waiting' */
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
	struct itree_node node;               /* N */
	struct hmm_mm *mm;                    /* C */
	struct hmm_interval_notifier_ops ops; /* C */
	void *priv;
	_Atomic uint64_t seq;  /* A: the last event that hit it; written under N */
	_Atomic uint64_t told; /* A: the last that its driver does not ignore; written under N */
};

/* One of the latest invalidations, see notifier/recent.h. Written under N. */
struct recent {
	_Atomic uint64_t seq; /* A: 0 while it is written */
	_Atomic uint64_t start;
	_Atomic uint64_t end;
};

#define RECENT_MAX 64

struct region {
	struct itree_node node; /* R */
	uint32_t cost;          /* R: map entries that it takes of the process's */
};

/* What of a file's mapping is still to be mapped before it is registered, see resident.c; the last one's. */
struct resident_work {
	uint64_t start, end; /* R: the mapping */
	uint64_t at;         /* R: where the next step is */
	uint64_t steps;      /* R: how many are left */
};

struct discard {
	struct itree_node node; /* D */
	uint64_t id;            /* D: grows: younger is larger */
};

/* A thread that may be in the middle of a discard. See suspect.c. */
struct suspect {
	pid_t tid;
	uint64_t user_ns; /* how long it had been in user mode at the last look */
	uint64_t cleared; /* it is in none of the discards up to this one */
	uint64_t round;   /* of the listing that found it last */
};

struct suspect_list {
	pthread_mutex_t lock; /* S: one thread looks at the others at a time */
	uint64_t asked;       /* S: all threads have been looked at since this discard */
	uint64_t round;       /* S */
	struct suspect *s;    /* S */
	size_t n;             /* S */
	size_t bytes;         /* S: room for them */
	char *names;          /* S: what a listing of the threads is read into */
	size_t names_bytes;   /* S */
	bool other_numbers;   /* C: /proc numbers threads in its own way */
};

struct discard_list {
	pthread_mutex_t lock;
	_Atomic int n;           /* A for the cheap look, D for the rest */
	uint64_t next_id;        /* D */
	struct itree tree;       /* D */
	struct discard *reserve; /* C: for when there is no memory */
	struct objpool pool;     /* L6 */
	struct suspect_list suspects;
	uint64_t looked; /* P: the youngest discard at the pump's last look */
	int looks;       /* P: how often it has looked since that one */
};

/* What a fault saw of memory that nobody can watch, under which sequence. See range/once.c. */
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
	uint32_t count; /* lock: how many were put, modulo ONCE_NOTES the next place */
	struct once_note notes[ONCE_NOTES]; /* lock */
};

struct hmm_mm {
	_Atomic uint32_t refs;         /* A: the attachment, each notifier, engine and quiescer */
	struct hmm_mm_options options; /* C */
	pid_t pid;                     /* C */
	uint64_t epoch;                /* C: of the process that attached it, see base/epoch.h */
	uint64_t *token;               /* C: a page that is registered so that forks are told */
	_Atomic uint64_t faulted;      /* A: faults that found all as it should be, for fork.c */
	_Atomic uint64_t told;         /* A: of these, those whose translations a fork has killed */
	_Atomic bool fork_late;        /* A: a fork is to be told of before the gate opens */
	/* C: tells of it; closed: the gate is closed, and the notifiers' lock is free */
	void (*tell_fork)(struct hmm_mm *mm, bool closed);
	void (*release)(struct hmm_mm *mm); /* C: frees the space, once nobody holds it */
	struct provider provider;           /* C */
	struct vma_reader vmas;             /* C */
	struct pagemap pagemap;             /* C */
	struct file_table *files;           /* file.c */
	struct once_table once;
	/* What a layer above made, and undoes; both NULL until then. Set in this order. */
	void (*_Atomic persist_fini)(struct persist_cache *); /* A */
	struct persist_cache *_Atomic persist;                /* A */
	uint64_t thp_size;                                    /* C */

	pthread_mutex_t region_lock;
	struct itree regions;          /* R */
	uint32_t regions_max;          /* C: what they may cost, all together */
	_Atomic uint64_t taken;        /* A: how often regions were taken back; written under R */
	struct resident_work resident; /* R */
	struct gate gate;
	pthread_mutex_t notifier_lock;
	struct itree notifiers;           /* N */
	uint64_t invalidate_seq;          /* N */
	struct recent recent[RECENT_MAX]; /* number n at n % RECENT_MAX */
	struct discard_list discards;

	_Atomic uint64_t pump_seq; /* P: odd while the pump works on events */
	_Atomic uint32_t dead;     /* A: nothing is valid any more: it is being detached, or gone */
	_Atomic bool detached;     /* A: hmm_mm_detach() is over; for debug.c */
	_Atomic uint32_t lost;     /* A: the program closed our descriptors (lost.c) */
	bool gone;                 /* the pump's: the process has ended, there is nothing to read */
	_Atomic uint32_t stopping; /* A, futex */
	pthread_t pump;
	pthread_t watchdog;
	_Atomic pid_t pump_tid;     /* A: 0 until it runs */
	_Atomic pid_t watchdog_tid; /* A */
	_Atomic uint32_t watched;   /* A, futex: the watchdog has begun, with a keeper or without */
	struct ownfd kick[2];       /* C: a pipe that wakes the pump: end to read, to write */
	struct thief *thieves;      /* C: THIEVES of them */
	struct keeper *prepared;    /* what the watchdog is to start */
	struct keeper *_Atomic keeper; /* the watchdog's; NULL: there is none */

	struct objpool regions_pool;
	struct objpool notifiers_pool;

	struct {
		_Atomic uint64_t pump_cycles, callbacks, callback_errors, registrations, regions,
			map_entries, probes, probes_busy, discards_pending, discards_settled,
			watchdog_reads, overruns, pump_busy_ns, ignored;
		_Atomic uint64_t events[HMM_EVENT_NR];
	} stats;
};

/* ---- who is alive ---------------------------------------------------------------------------------- */

/* -ESRCH in a forked child or after the process died; the first thing that every entry point asks. */
int mm_alive(const struct hmm_mm *mm);
/* It is a forked child's by inheritance: none of its locks may be taken, nothing of it is to be freed. */
bool mm_inherited(const struct hmm_mm *mm);
/* What a driver still holds when the space is detached keeps the memory, and nothing else. */
void mm_get(struct hmm_mm *mm);
void mm_put(struct hmm_mm *mm);
/* lost.c: the descriptors are somebody else's by now. Nothing is valid from here on; said once. */
void mm_lost(struct hmm_mm *mm);

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

/* ---- probe.c: the in-flight probe (rule 2) ---------------------------------------------------------- */

/* True while a change is in flight. */
bool mm_in_flight(struct hmm_mm *mm);
/*
 * -errno if the last true of this thread came from a probe that said neither yes nor no, since it was forgotten: a
 * filter of the program's answers it. It will not get better by waiting.
 */
int mm_refused(void);
void mm_refused_forget(void);

/* ---- spaces.c: all that the process has attached ------------------------------------------------------ */

/* Calls fn for every attached space of the process. No lock is held. */
void spaces_for_each(void (*fn)(struct hmm_mm *mm, void *arg), void *arg);
int spaces_add(struct hmm_mm *mm);
/* Nobody visits it any more when it returns. */
void spaces_remove(struct hmm_mm *mm);
void spaces_forget(void); /* in a child */

/* ---- what this thread holds, for forks ---------------------------------------------------------------- */

/*
 * The space whose gate or notifiers' lock this thread has, or is about to take: a callback or a signal handler that
 * forks meanwhile must not wait for them.
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

/* Somebody else has it, and tells. */
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
