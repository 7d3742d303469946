/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * A registration cache from inside. Key letters say what guards a field:
 *	C  constant after the cache was made, or after the entry was made
 *	L  lock
 *	A  atomic
 *
 *	index.c		entries by address, searched without a lock
 *	entry.c		one registration: its references, its death and its end
 *	hit.c		a look-up, and whether what it found is true
 *	miss.c		a new registration
 *	merge.c		which range it gets, and what it replaces
 *	room.c		limits: which registrations end for it
 *	child.c		registrations of forked children, which are not kept
 *
 * A hit takes no lock, so it may look at an entry that is being ended. Memory of entries and of
 * the index is never given back before the cache is destroyed, and the state of an entry says
 * whether it may be used: a hit takes its reference by compare-and-swap on a state that is LIVE,
 * and only then reads what the entry is about. An entry whose references are 0 is not LIVE, so no
 * hit brings it back. (RCU would need a library beneath libhmm, which must know of each fork.)
 */
#ifndef LIB_REGCACHE_CACHE_H
#define LIB_REGCACHE_CACHE_H

#include "space/space.h"
#include "base/deadline.h"
#include "base/mutation.h"

#include <hmm/regcache.h>

struct side;

/*
 * Two sorted arrays, one of which is read. A writer, who has the lock, brings the other up to date
 * and then makes that one the one that is read. Readers look whether it was so all the time:
 *
 *	reader				writer
 *	version = 6: side 0
 *					writes side 1
 *					version = 7
 *	searches side 0
 *	version = 7, not 6: again
 *					writes side 0 from now on
 */
struct index {
	_Atomic uint64_t version;     /* A: its lowest bit says which side is read */
	struct side *_Atomic side[2]; /* A */
	struct side *retired;         /* L: smaller ones, which readers may still look at */
	size_t same;                  /* L: up to here both sides are equal */
};

/*
 * Where requests that began at these addresses were found last: hits of 10,000 entries then look at
 * two lines of memory instead of at fourteen. Written by anybody, and guesses only: whether the
 * entry fits is asked when there is a reference to it.
 */
#define HINT_WAYS 4

struct hint {
	_Atomic uint64_t start[HINT_WAYS];
	struct entry *_Atomic entry[HINT_WAYS];
} __attribute__((aligned(64)));

#define HINT_BITS 12
#define HINTS (1U << HINT_BITS)

/*
 * The state of an entry. ENTRY_LIVE: it is in the index and may be handed out. ENTRY_WATCHED: an
 * invalidation makes it dead. ENTRY_DEAD: its memory has changed. ENTRY_MADE: it is not free;
 * without references it is ending. Then come 24 bits of references: one is the index's, one the
 * list's of dead entries, the others are of users. The upper half counts hits, so that a hit
 * changes one word only. No hit is taken back: a state that is the same later was so all the time.
 */
#define ENTRY_LIVE 1ULL
#define ENTRY_WATCHED 2ULL
#define ENTRY_DEAD 4ULL
#define ENTRY_MADE 8ULL
#define ENTRY_LISTED 16ULL /* the list of dead entries has a reference */
#define ENTRY_REF 0x100ULL
#define ENTRY_REFS(state) ((state) / ENTRY_REF & 0xffffff)
#define ENTRY_REFS_MAX 0x800000ULL /* from then on it is handed out no more */
#define ENTRY_HIT 0x100000000ULL
#define ENTRY_HITS(state) ((state) / ENTRY_HIT)

struct entry {
	struct hmm_registration r;        /* C; its first member, as users have the address */
	_Atomic uint64_t state;           /* A */
	_Atomic uint64_t used;            /* A: the cache's time of its last hit */
	uint32_t checks;                  /* C: HMM_CHECK_* that each hit needs */
	bool indexed;                     /* L */
	bool joined;                      /* L: it was made larger, as it touched others */
	bool ended;                       /* L: too early, by a mutation */
	uint64_t seen;                    /* L: the state that entries_are_used() has seen */
	struct hmm_regcache *cache;       /* C */
	struct hmm_interval_notifier *ni; /* C: NULL: it is used once. Ends what a hit looks at */
	uint64_t seq;                     /* C: the notifier's, when it was registered */
	uint64_t bytes;                   /* C: its length */
	uint64_t epoch;                   /* C: of the process that made it */
	struct entry *_Atomic undead;     /* A: the next on the list of dead entries */
	struct entry *next;               /* of the free ones (L), or of those that a thread ends */
} __attribute__((aligned(64)));

/* Entries whose last reference a thread has taken. That thread ends them, without the lock. */
struct doomed {
	struct entry *first;
	uint64_t ended;
};

/* A thread registers this range. Another one that misses any of it waits. */
struct miss {
	uint64_t start; /* C */
	uint64_t end;
	uint32_t flags;
	bool joined;       /* it is larger, as it touches others */
	struct miss *next; /* L */
};

struct hmm_regcache {
	struct hmm_mm *mm;                  /* C */
	struct hmm_regcache_ops ops;        /* C */
	struct hmm_regcache_options limits; /* C: none is 0, but max_bytes and max_map_entries */
	void *priv;                         /* C */
	uint64_t epoch;                     /* C */
	struct index index;
	struct hint *hints;         /* C: HINTS of them */
	_Atomic uint32_t hint_turn; /* A: which way is overwritten next */

	pthread_mutex_t lock;
	pthread_cond_t changed;     /* with lock: a miss is over, or a registration has ended */
	struct miss *missing;       /* L */
	struct entry *free;         /* L */
	struct slab *_Atomic slabs; /* A: written under L */
	_Atomic uint64_t ends;      /* A: how many registrations have ended; written under L */
	_Atomic uint64_t time;      /* A: how many registrations were made; written under L */
	/* L: larger registrations that were made of what touched; that died; that were not made */
	uint64_t joins, joins_lost, joins_refused;
	size_t hand;              /* L: of room.c: a place in the index */
	uint64_t registered;      /* L: registrations that have not ended, and those being made */
	_Atomic uint64_t entries; /* A: in the index; written under L */
	_Atomic uint64_t bytes;   /* A: of these; written under L */
	_Atomic uint64_t pinned;  /* A: bytes of `registered`; written under L */
	_Atomic uint64_t idle;    /* A: bytes in the index that nobody uses; only with max_bytes */
	struct entry *_Atomic undead; /* A: dead entries that nobody has reaped */
	_Atomic uint64_t hits, misses, refused, invalidated, stale, evicted, merged, dead;
};

static inline uint64_t entry_end(const struct entry *e)
{
	return e->r.start + e->r.length;
}

/* ---- index.c: all but index_find() and index_fini() need the lock --------------------------- */

/* The last entry that begins at or before the address, or NULL. It may have ended by now. */
struct entry *index_find(const struct index *ix, uint64_t addr);
size_t index_count(const struct index *ix);
struct entry *index_at(const struct index *ix, size_t i);
/* The place of the first entry that ends behind the address. */
size_t index_place(const struct index *ix, uint64_t addr);
/* Replaces the entries from place i up to place j by `add`, if it is not NULL. 0; -ENOMEM. */
int index_splice(struct index *ix, size_t i, size_t j, struct entry *add);
/* Removes all entries that are not `indexed`. */
void index_sweep(struct index *ix);
int index_init(struct index *ix);
void index_fini(struct index *ix);

/* ---- entry.c -------------------------------------------------------------------------------- */

/* One with one reference, the caller's; NULL: no memory. Takes the lock. */
struct entry *entry_new(struct hmm_regcache *c, const struct miss *m);
/* Watches the entry's range from now on. 0; -errno of hmm_interval_notifier_insert(). */
int entry_watch(struct entry *e, uint64_t deadline);
/* It is no longer idle: what max_bytes is about. */
static inline void entry_count_out(struct hmm_regcache *c, const struct entry *e, uint64_t was)
{
	if (__builtin_expect(c->limits.max_bytes && was & ENTRY_LIVE && ENTRY_REFS(was) == 1, 0))
		atomic_fetch_sub(&c->idle, e->bytes);
}

/* Takes a reference if the entry may be handed out, and counts a hit. */
static inline bool entry_take(struct hmm_regcache *c, struct entry *e)
{
	uint64_t was = atomic_load_explicit(&e->state, memory_order_relaxed);

	do {
		if (!(was & ENTRY_LIVE) && !(hmm_mutation(HMM_MUTATION_CACHE_UNDEAD) &&
					     was & ENTRY_DEAD && ENTRY_REFS(was)))
			return false;
		if (__builtin_expect(ENTRY_REFS(was) >= ENTRY_REFS_MAX, 0))
			return false;
	} while (!atomic_compare_exchange_weak(&e->state, &was, was + ENTRY_REF + ENTRY_HIT));
	entry_count_out(c, e, was);
	return true;
}

/* It was none: gives the reference back. Takes the lock, maybe. */
void entry_untake(struct hmm_regcache *c, struct entry *e);
/* There are so many hits in the state that they have to be counted elsewhere. */
void entry_move_hits(struct hmm_regcache *c, struct entry *e);
/* How many hits are in the states of all entries. */
uint64_t entries_hits(const struct hmm_regcache *c);
/*
 * Gives a reference back. If it was the last one the entry is ended: its @dereg is called. True:
 * what is idle is more than max_bytes now. Takes the lock only if the entry is dead or ends.
 */
bool entry_put(struct hmm_regcache *c, struct entry *e);
/* The same for a thread that has the lock: it ends the entry later. */
void entry_put_locked(struct entry *e, struct doomed *doomed);
/* Nobody gets it any more. True: it was LIVE. */
bool entry_retire(struct hmm_regcache *c, struct entry *e);
/* The same if nobody uses it. */
bool entry_retire_idle(struct hmm_regcache *c, struct entry *e);
/* A check said no: it is dead, and leaves the index. The caller has a reference. */
void entry_outdate(struct hmm_regcache *c, struct entry *e);
/* From now on invalidations make it dead. The caller is in a commit section. */
void entry_commit(struct entry *e);
/* Makes it LIVE with a reference of the index. False: it is dead by now. */
bool entry_enliven(struct entry *e);
/* The caller has the lock. Takes it out of the index, if it is there. */
void entry_unindex_locked(struct hmm_regcache *c, struct entry *e, struct doomed *doomed);
/* The same, but the caller takes it out of the arrays. */
void entry_unindexed_locked(struct hmm_regcache *c, struct entry *e, struct doomed *doomed);
/* The caller has the lock. Takes dead entries off their list and out of the index. */
void entry_reap_locked(struct hmm_regcache *c, struct doomed *doomed);
uint64_t entry_reap(struct hmm_regcache *c);
/* Ends what is on the list, without the lock. */
void entry_end_all(struct hmm_regcache *c, struct doomed *doomed);
/* Ends one that was never registered: removes its notifier and frees it. */
void entry_drop(struct hmm_regcache *c, struct entry *e);
void entry_unwatch(struct entry *e);
/* Calls @reg and @dereg. */
int entry_reg(struct hmm_regcache *c, struct entry *e);
void entry_dereg(struct hmm_regcache *c, struct entry *e);
/* The caller has the lock. Does another thread end one? It says when it is done: `changed`. */
bool entries_ending(const struct hmm_regcache *c);
/* The caller has the lock. Was there a moment, during the call, when each one had a user? */
bool entries_are_used(struct hmm_regcache *c);
/* Ends all that there are, those in use, too. */
void entries_end(struct hmm_regcache *c);
/* Gives back their memory. */
void entries_fini(struct hmm_regcache *c);

/* How long a call may wait. The clock is read when it has to wait, as a hit has not. */
struct wait {
	uint64_t timeout_ns;
	uint64_t deadline;
	bool begun;
};

static inline uint64_t wait_until(struct wait *w)
{
	if (!w->begun)
		w->deadline = deadline_after(w->timeout_ns);
	w->begun = true;
	return w->deadline;
}

/* ---- hit.c ---------------------------------------------------------------------------------- */

/* Is it still what is mapped? 0; -ESTALE; -ETIME; -ESRCH; -errno of a seccomp filter. */
int hit_stands(struct entry *e, unsigned int flags, struct wait *wait);
/* Looks, without a lock. 0; -ENOENT; and as hit_stands(). */
int hit_again(struct hmm_regcache *c, const struct miss *want, unsigned int flags,
	      struct wait *wait, struct entry **e);

/* ---- miss.c --------------------------------------------------------------------------------- */

/* Registers the range. 0; 1: another thread has done so, look again; -errno. */
int miss(struct hmm_regcache *c, const struct miss *want, uint64_t deadline, struct entry **e);
/* Registers it and does not keep it. */
int miss_once(struct hmm_regcache *c, const struct miss *want, uint64_t deadline, struct entry **e);

/* ---- merge.c: the caller has the lock ------------------------------------------------------- */

/* What to register for a request: with what it overlaps and touches, as far as is allowed. */
void merge_choose(struct hmm_regcache *c, const struct miss *want, struct miss *all);
/*
 * Puts the entry into the index, in the place of all that it overlaps. False: it is dead, or there
 * is no memory.
 */
bool merge_insert(struct hmm_regcache *c, struct entry *e, struct doomed *doomed);

/* ---- room.c --------------------------------------------------------------------------------- */

/* Counts a registration of that size, which is about to be made. 0; -ENOMEM; -ENOSPC. */
int room_take(struct hmm_regcache *c, uint64_t bytes, uint64_t deadline);
/* One that was counted is not made. */
void room_give(struct hmm_regcache *c, uint64_t bytes);
/*
 * Ends an idle registration, or waits until one has ended. False: there is none, and none has ended
 * since c->ends was `ends`.
 */
bool room_evict(struct hmm_regcache *c, uint64_t ends, uint64_t deadline);
/*
 * Are more bytes idle than max_bytes? The count may be below 0 for a moment: another thread takes
 * an entry before the one that has put it counts it.
 */
static inline bool room_is_over(const struct hmm_regcache *c)
{
	return (int64_t)atomic_load(&c->idle) > (int64_t)c->limits.max_bytes;
}
/* Ends idle ones until they fit into max_bytes. */
void room_trim(struct hmm_regcache *c);

/* ---- child.c -------------------------------------------------------------------------------- */

int child_get(struct hmm_regcache *c, const struct miss *want, struct entry **e);
void child_put(struct hmm_regcache *c, struct entry *e);

#endif
