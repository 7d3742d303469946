/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * Moving pages out. range.c checks the range and goes from mapping to mapping, part.c goes through
 * one mapping, out.c moves a few blocks of it, readonly.c those of one that may not be written.
 * shared.c is for shared memory that a device takes exclusively.
 * Exclusive access (exclusive.c) moves pages to a region of its own. coherent.c is for memory that
 * both sides reach, to_device.c for programs. place.c tells where pages are.
 *
 * In steps: vma.c is for programs, state.c knows where each page waits, isolate.c is the
 * first step, vma_pages.c the others; lend.c gives frames to drivers, evict.c empties a part of a
 * region.
 */
#ifndef LIB_MIGRATE_MIGRATE_H
#define LIB_MIGRATE_MIGRATE_H

#include "devmem/devmem.h"

#include <hmm/migrate.h>
#include <hmm/migrate_vma.h>

struct migration {
	struct hmm_devmem *d;
	struct hmm_devmem *into; /* the coherent region for which pages are in d; NULL: they stay */
	bool lifts;              /* coherent pages move, too */
	/* makes the region for shared memory; NULL: that stays */
	int (*need_alias)(struct hmm_mm *mm);
	bool readonly;                /* those of mappings that may not be written, too */
	struct migrate_state *state;  /* of a migration in steps; NULL: of one call */
	struct hmm_exclusive *taking; /* of exclusive access, or NULL */
	/* a row has moved to d, from frame `first` on; R is held; may be NULL */
	void (*arrived)(struct migration *m, uint64_t at, uint32_t first, uint32_t n);
	struct hmm_mm *mm;
	struct devmem_space *s;
	void *owner;         /* of the invalidation */
	uint64_t start, end; /* all of the range, which is not evicted */
	uint64_t timeout;
	uint64_t deadline; /* moves with progress */
	/* pages below were made the program's own; if they are refused still they stay */
	uint64_t populated;
	uint64_t want;     /* up to here pages are to be made the program's own */
	uint64_t patience; /* until when a pending discard is waited for; 0: none was met */
	uint64_t stale_at; /* where the mapping had changed */
	/* huge pages, as of the time when the gate was closed; none, of the block at huge_from */
	uint64_t huge_from, huge_to;
	bool staged;       /* pages of this mapping pass through the stage */
	bool shares;       /* this mapping is shared memory, and d the alias region */
	uint64_t shift;    /* how far the page lies behind its address: it is in the stage */
	struct run victim; /* what is to go home to make room, once its device has copied it */
	bool cannot_evict; /* that has failed */
	struct hmm_migrate_result result;
};

/*
 * What a region is for: drivers; exclusive access; the same of shared memory; pages in the midst of
 * a migration.
 */
enum devmem_use { DEVMEM_DRIVER, DEVMEM_EXCLUSIVE, DEVMEM_ALIAS, DEVMEM_ISOLATION };

/*
 * Makes a region that nobody knows yet. 0; -EEXIST: the space has one of the latter uses already;
 * -errno as hmm_devmem_create(). Of these a space has one each, which is made when it is first
 * needed.
 */
int devmem_make(struct hmm_mm *mm, const struct hmm_devmem_options *options, enum devmem_use use,
		struct hmm_devmem **out);
int devmem_need_one(struct hmm_mm *mm, enum devmem_use use, struct hmm_devmem **out);

/* range.c: why the mapping as a whole stays in place; HMM_MIGRATE_REASON_NR: it need not. */
enum hmm_migrate_reason migrate_refuses(const struct hmm_vma *vma);
/* Does it take HMM_DEVMEM_READONLY? */
bool migrate_is_staged(const struct hmm_vma *vma);
/* The same file: notes range and timeout. 0; -EINVAL: it is no range; -ESRCH. */
int migrate_begin(struct migration *m, uint64_t start, uint64_t end, uint64_t timeout_ns);
/* 0: all of it is mapped and may be read; -EINVAL; -errno. */
int migrate_check_mapped(const struct migration *m);
/* Both. */
int migrate_check(struct migration *m, uint64_t start, uint64_t end, uint64_t timeout_ns);
/* Moves [start, end). Errors as hmm_migrate_to_device(). */
int migrate_range(struct migration *m, uint64_t start, uint64_t end);
/* to_device.c: hmm_migrate_to_device() for the library's own; *result is written in any case. */
int migrate_to_device(struct hmm_devmem *d, uint64_t start, uint64_t end, uint64_t timeout_ns,
		      struct hmm_migrate_result *result);

/* coherent.c: m is checked, and m->d the coherent region. Errors as hmm_migrate_to_device(). */
int coherent_take(struct migration *m);
/*
 * home.c: brings pages of [start, end) home, of `only` or of any region. coherent.c: the same for
 * coherent pages alone. Errors as hmm_migrate_to_system().
 */
int migrate_home(struct hmm_mm *mm, uint64_t start, uint64_t end, struct hmm_devmem *only,
		 uint64_t timeout_ns);
int coherent_home(struct hmm_mm *mm, uint64_t start, uint64_t end, struct hmm_devmem *only,
		  uint64_t timeout_ns);

/* part.c: the same for what lies in the mapping vma. -EAGAIN: the mapping has changed. */
int migrate_part(struct migration *m, const struct hmm_vma *vma, uint64_t start, uint64_t end);

/* A step says what to do next: an -errno, or one of these. */
enum { MIGRATE_DONE, MIGRATE_POPULATE = 1, MIGRATE_EVICT };

/*
 * out.c: one attempt, from *at on, as far as it goes. MIGRATE_POPULATE: pages up to m->want are to
 * be made the program's own; -EOPNOTSUPP: they cannot be trapped; -ESTALE: the mapping has changed.
 */
int migrate_attempt(struct migration *m, const struct hmm_vma *vma, uint64_t *at, uint64_t end);
/*
 * Makes pages that a fork has left shared the program's own. No lock is held, as this may wait for
 * the pump.
 */
void migrate_populate(struct migration *m, uint64_t at);

/* out.c, for readonly.c. R is held. */
uint64_t block_end(const struct migration *m, uint64_t at, uint64_t end);
/*
 * May pages of [start, end) move, and are they trapped? Then it moves. 0; as migrate_part(). vma:
 * their mapping; NULL: -ESTALE unless they were trapped before.
 */
int moving_ready(struct migration *m, const struct hmm_vma *vma, uint64_t start, uint64_t end);
/*
 * It moves. From *at on, block by block. What goes on behind the first block is tried again if it
 * meets an error. As migrate_attempt().
 */
int migrate_blocks(struct migration *m, uint64_t *at, uint64_t end);
/* False: a thief has come meanwhile, and nothing moves (devmem/moving.h). */
bool migrate_tell(struct migration *m, uint64_t start, uint64_t end);
bool migrate_is_huge(struct migration *m, uint64_t start, uint64_t end, uint64_t limit);
/* A page that is away already is counted. -EAGAIN: it is on its way. */
int migrate_already(struct migration *m, place_t place);
/* Moves from *at on to frames that follow each other. */
int migrate_row(struct migration *m, uint64_t *at, uint64_t next, bool huge);
/* Makes sure that the index of places has room. 0; -ENOMEM. */
int migrate_reserve(struct devmem_space *s);
/* After MIGRATE_EVICT, without R: the region's device copies pages out, to make room. */
void migrate_evict(struct migration *m);

/* readonly.c: may pages of mappings that may not be written move? 0; -errno: they stay. */
int readonly_begin(struct migration *m);
/* One block, as far as it goes. Errors as the attempts of migrate_part(). */
int readonly_block(struct migration *m, const struct hmm_vma *vma, uint64_t *at, uint64_t end);
/* shared.c: may a device have pages of the mapping exclusively, as shared memory? */
bool shared_may(const struct migration *m, const struct hmm_vma *vma);
/* The same file: takes pages from *at on. Errors as migrate_part(). */
int shared_take(struct migration *m, const struct hmm_vma *vma, uint64_t at, uint64_t end);
/* readonly.c: has the process locked memory? True: this cannot be told. */
bool process_has_locked(void);
typedef int (*migrate_move)(struct migration *m, uint64_t *at, uint64_t end);
/* The same file: moves pages that are away already; signals are blocked. 0; -errno of `move`. */
int migrate_turn(struct migration *m, migrate_move move, uint64_t *at, uint64_t end);
/* copied.c: waits until the device has copied all; what it could not copy goes home. As above. */
int migrate_copied(struct migration *m);

/* ---- in steps (hmm/migrate_vma.h) ----------------------------------------------------------- */

/* A page of the range. */
struct migrate_page {
	uint64_t src;   /* what the driver is told */
	uint64_t dst;   /* what it says: of this page, also if the entry is a huge page's */
	place_t place;  /* where it waits, and later where it has gone; 0: it does not take part */
	uint32_t freed; /* of the frame in the isolation, as it was then */
	bool used;      /* the frame of dst is a page's */
	bool gone;      /* where dst says */
};

struct migrate_state {
	struct hmm_mm *mm;            /* C */
	struct devmem_space *s;       /* C */
	struct hmm_devmem *isolation; /* C: NULL: nothing of system memory was selected */
	uint64_t start, end;          /* C */
	uint32_t n;                   /* C: pages */
	uint32_t flags;               /* C */
	void *owner;                  /* C */
	bool told;                    /* dst has been read */
	struct migrate_page page[];   /* written under R while pages move */
};

static inline uint64_t state_addr(const struct migrate_state *st, uint32_t i)
{
	return st->start + i * st->s->page;
}

static inline bool state_is_whole(const struct migrate_state *st, uint32_t i)
{
	return st->page[i].src & HMM_MIGRATE_PFN_COMPOUND;
}

/*
 * isolate.c: takes pages out of the program's memory, says in each src what can go. 0; -errno as
 * hmm_migrate_vma_setup().
 */
int state_isolate(struct migrate_state *st, uint64_t timeout_ns);
/* state.c: a row has moved to the isolation, from `first` on. R is held. */
void state_note(struct migration *m, uint64_t at, uint32_t first, uint32_t n);
/* Is the page still where it was found? R is held, and nobody else moves. */
bool state_has(const struct migrate_state *st, uint32_t i);
/* vma_pages.c: sends each page where its dst says. As hmm_migrate_vma_pages(). */
int state_send(struct migrate_state *st, const uint64_t *dst, uint64_t timeout_ns);
/* What waits goes home, and frames that were not used are free. */
void state_end(struct migrate_state *st, const uint64_t *dst);
/* lend.c: the region of these addresses, and the number of the first frame. NULL: there is none. */
struct hmm_devmem *lend_find(const struct devmem_space *s, uint64_t addr, uint32_t n,
			     uint32_t *first);

/* So much stays in place. */
void migrate_left(struct migration *m, enum hmm_migrate_reason why, uint64_t bytes);

#endif
