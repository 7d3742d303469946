/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * struct hmm_mm, for the files that make up mm and notifier. Key letters say what guards a field:
 *	C  constant after attach
 *	P  written by the pump alone, read by anybody
 *	R  region_lock
 *	G  gate.lock
 *	N  notifier_lock
 *	D  discards.lock
 *	S  suspects.lock, outside of discards.lock
 *	A  atomic
 */
#ifndef LIB_MM_CORE_H
#define LIB_MM_CORE_H

#include "mm/mm.h"
#include "base/futex.h"
#include "base/hooks.h"
#include "base/itree.h"
#include "base/mutation.h"
#include "base/ownfd.h"
#include "base/pool.h"
#include "provider/provider.h"

#include <hmm/engine.h>

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
	const struct hmm_quiescer_ops *ops;
	void *priv;
};

struct hmm_interval_notifier {
	struct itree_node node; /* N */
	struct hmm_mm *mm;      /* C */
	const struct hmm_interval_notifier_ops *ops;
	void *priv;
	_Atomic uint64_t seq; /* A: the last invalidation that hit it; written under N */
	struct hmm_interval_notifier *next; /* of mm->abandoned */
};

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

struct hmm_mm {
	_Atomic uint32_t refs;         /* A: the attachment, each notifier, engine and quiescer */
	struct hmm_mm_options options; /* C */
	pid_t pid;                     /* C */
	uint64_t epoch;                /* C: of the process that attached it, see base/epoch.h */
	uint64_t *token;               /* C: a page that is registered so that forks are told */
	_Atomic uint64_t faulted;      /* A: faults that found all as it should be, for fork.c */
	_Atomic uint64_t told;         /* A: of these, those whose translations a fork has killed */
	_Atomic bool fork_late;        /* A: a fork is to be told of before the gate opens */
	struct provider provider;      /* C */
	struct vma_reader vmas;        /* C */
	struct pagemap pagemap;        /* C */
	struct file_table *files;      /* file.c */
	struct persist_cache *persist; /* C: lib/persist */
	uint64_t thp_size;             /* C */

	pthread_mutex_t region_lock;
	struct itree regions;          /* R */
	uint32_t regions_max;          /* C: what they may cost, all together */
	struct resident_work resident; /* R */
	struct gate gate;
	pthread_mutex_t notifier_lock;
	struct itree notifiers;                          /* N */
	struct hmm_interval_notifier *_Atomic abandoned; /* A: to be removed by who has the lock */
	uint64_t invalidate_seq;                         /* N */
	struct discard_list discards;

	_Atomic uint64_t pump_seq; /* P: odd while the pump works on events */
	_Atomic uint32_t dead;     /* A: nothing is valid any more: it is being detached, or gone */
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
			watchdog_reads, overruns, pump_busy_ns;
		_Atomic uint64_t events[HMM_EVENT_NR];
	} stats;
};

static inline void stat_add(_Atomic uint64_t *counter, uint64_t n)
{
	atomic_fetch_add_explicit(counter, n, memory_order_relaxed);
}

/* attach.c: what a driver still holds when the space is detached keeps the memory, and nothing else */
void mm_get(struct hmm_mm *mm);
void mm_put(struct hmm_mm *mm);

/* gate.c */
int gate_init(struct gate *gate, struct hmm_mm *mm);
void gate_fini(struct gate *gate);
void gate_close(struct hmm_mm *mm); /* takes gate.lock, returns when no section is open */
void gate_open(struct hmm_mm *mm);
/* Engines that sleep inside their sections are run over; all of them if awake_too. */
void gate_overrun(struct hmm_mm *mm, bool awake_too);
/* For a thief: have the quiescers stop their devices. False: somebody else is at it. */
bool gate_try_quiesce(struct hmm_mm *mm);

/* notifier.c: run the callbacks of all that overlap; the gate is closed */
/* 1, 0, or -ETIME: does any driver hold something there? */
int notifiers_hold(struct hmm_mm *mm, uint64_t start, uint64_t end, uint64_t deadline);
uint64_t notifiers_invalidate(struct hmm_mm *mm, struct hmm_invalidation *inv);

/* region.c */
void region_forget(struct hmm_mm *mm, uint64_t start, uint64_t end); /* region_lock held */
void regions_fini(struct hmm_mm *mm);
/* unwatch.c. Nothing of the range is registered any more; region_lock is held. */
void unwatch(struct hmm_mm *mm, uint64_t start, uint64_t end);

/* discard.c */
int discards_init(struct hmm_mm *mm);
void discards_fini(struct hmm_mm *mm);
void discard_add(struct hmm_mm *mm, uint64_t start, uint64_t end);
void discard_settle(struct hmm_mm *mm, uint64_t start, uint64_t end);
/* The pump, while there are no events: when to look at pending discards that nobody asks about, -1 never; and to look. */
int discards_wait_ms(struct hmm_mm *mm);
void discards_look(struct hmm_mm *mm);

/* note.c: an address space is attached, so that the preload object, if there is one, has whom to tell */
void notes_begin(void);

/* suspect.c */
void suspects_init(struct hmm_mm *mm);
void suspects_fini(struct hmm_mm *mm);
/*
 * Looks at the threads: discards up to this one have ended; youngest: that of now, read before. Without waiting: 0 if
 * another thread looks.
 */
uint64_t suspects_ask(struct hmm_mm *mm, uint64_t youngest, bool wait);

/* pump.c */
int pump_start(struct hmm_mm *mm);
void pump_stop(struct hmm_mm *mm);
void pump_drain(struct hmm_mm *mm);
/* Wakes it from its poll. Touches no errno. */
void pump_kick(struct hmm_mm *mm);
/* watchdog.c */
void *watchdog_main(void *arg);
/* lost.c: the descriptors are somebody else's by now. Nothing is valid from here on; said once. */
void mm_lost(struct hmm_mm *mm);
void lost_init(void);

/* spaces.c */
/* Call fn for every attached space of the process. No lock is held. */
void spaces_for_each(void (*fn)(struct hmm_mm *mm, void *arg), void *arg);
int spaces_add(struct hmm_mm *mm);
/* Nobody visits it any more when it returns. */
void spaces_remove(struct hmm_mm *mm);
void spaces_forget(void); /* in a child */

/* fork.c */
int fork_attach(struct hmm_mm *mm);
int fork_watch(struct hmm_mm *mm); /* from now on its forks are seen; the pump reads */
void fork_unwatch(struct hmm_mm *mm);
/* Tell of a fork that could not be told of when it was. The gate is closed, or is to be. */
void fork_tell_late(struct hmm_mm *mm, bool closed);

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
		fork_tell_late(mm, false);
}

/* file.c */
int files_init(struct hmm_mm *mm);
uint32_t files_descriptors(void);
void files_fini(struct hmm_mm *mm);

#endif
