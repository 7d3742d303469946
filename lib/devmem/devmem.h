/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * Device memory: where pages of the program live while a device has them.
 *
 *	places.c	the index: which page of the program is where
 *	frames.c	a region's pages, free or in use
 *	coherent.c	the index of coherent pages, which are at the program's address
 *	row.c		moves a row of pages home
 *	home.c		brings ranges home
 *	fault.c		answers touches of the CPU
 *	event.c		what becomes of places when the program changes its memory
 *	alias.c		shared memory that devices have exclusively
 *	stage.c		where pages are on their way out of memory that may not be written
 *	worker.c	a thread that frees pages
 *	rescue.c	a thread that brings all home when the space is lost
 *	fork.c		brings all home before a fork through libc
 *	copy.h		regions whose bytes are a device's own
 *
 * A *place* is where a page of the program is: a region and a frame in it, as one number. All is
 * guarded by region_lock (R), but for what is atomic. lib/migrate moves pages out.
 *
 * The watchdog answers touches without R if a driver's callback is stuck under it. So R alone is
 * not enough: its holder also moves (moving.h) or has the turn (space/turn.h).
 */
#ifndef LIB_DEVMEM_DEVMEM_H
#define LIB_DEVMEM_DEVMEM_H

#include "kernel/abi/pagemap.h"
#include "space/space.h"
#include "base/futex.h"

#include <errno.h>
#include <hmm/devmem.h>

#define BLOCK_PAGES 512U
#define REGIONS_MAX 255
#define FRAME_BITS 24
#define FAULTS_MAX 128
#define RECENT_HOME 16
#define HANDLE_BYTES 64
/* so many huge pages move by one call, in 10 us */
#define HUGE_AT_ONCE 16

/* 0: at home; else the region's number << FRAME_BITS | frame */
typedef uint32_t place_t;

/* What is known of an aligned block of BLOCK_PAGES pages of the program of which some are away. */
struct block {
	struct itree_node node;
	place_t *page; /* R: one for each page; NULL: all are away, in a row from `first` on */
	place_t first; /* R: the place of the first page; 0 if there is an array */
	uint32_t n;    /* R: how many are away */
	bool huge;     /* R: without an array: as one huge page */
};

/* A row of pages whose places follow each other. */
struct run {
	uint64_t start;
	uint64_t end;
	place_t first;
	bool huge; /* all of a block, which moved as one huge page; or of several such blocks */
};

struct hmm_devmem {
	struct hmm_mm *mm;                 /* C */
	struct devmem_space *space;        /* C */
	struct hmm_devmem_options options; /* C */
	uint32_t id;                       /* C: 1 to REGIONS_MAX */
	bool exclusive;                    /* C: it holds what devices have exclusively */
	bool alias;                        /* C: of these, shared memory (alias.c) */
	bool isolates;                     /* C: pages wait there in the midst of a migration */
	bool stage;                        /* C: it is the stage, whose frames are not counted */
	char *map;                         /* C: the mapping; its aligned part begins at base */
	uint64_t map_bytes;                /* C */
	uint64_t base;                     /* C */
	uint32_t frames;                   /* C */
	_Atomic uint32_t used;             /* A, written under R: frames in use, or being freed */
	_Atomic uint32_t unusable;         /* A, written under R: of these, for good */
	uint32_t dying;                    /* R: of these, those that wait for the worker */
	uint32_t next;                     /* R: where the search for a free one begins */
	uint64_t *in_use;                  /* R: a bit a frame */
	uint64_t *to_free;                 /* R: in use, but only until the worker has freed it */
	uint64_t *full;                    /* R: of to_free: has a page that nobody needs */
	uint64_t *split;                   /* R: a bit a block: it has had small pages */
	uint64_t *lent;                    /* R: in use, but only by its driver so far */
	uint64_t evict_at;                 /* R: the address behind the block evicted last */
	struct copier *copier;             /* C: of copy.h; NULL: the bytes are this process's */
	/* C: pages go home by a copy, which is a new page */
	bool copies;
	/*
	 * C, of coherent memory: pages pass through there on their way, so that the CPU waits for
	 * them; NULL: private memory. The frames of a coherent region hold pages for a moment only.
	 */
	struct hmm_devmem *transit;
	/* who may use transit */
	pthread_mutex_t transit_lock;
	/* A, for `exclusive` and `isolates` alone: how often each frame was freed */
	_Atomic uint32_t *freed;
	struct {
		_Atomic uint64_t moved_out, moved_home, copied_home, faults, evicted, dropped;
		_Atomic uint64_t copied_in, copied_out, lost;
	} stats; /* A */
};

/*
 * The stage: pages of a mapping that may not be written pass through it (stage.c). One thread at a
 * time uses it, from stage_take() to stage_leave().
 */
struct stage {
	struct hmm_devmem area;    /* C: a region of one block */
	bool taken;                /* R */
	_Atomic bool gone;         /* A: the program has mapped something where it was */
	struct ownthread thread;   /* C */
	uint64_t from, to, bytes;  /* what it is to move; of the thread that has taken the stage */
	bool shared;               /* it goes to frames of the alias region */
	int err;                   /* what became of it */
	_Atomic uint32_t asked;    /* A, futex: how often it was asked */
	_Atomic uint32_t answered; /* A, futex */
	_Atomic uint32_t stop;     /* A */
};

struct devmem_space {
	struct hmm_mm *mm;   /* C */
	uint64_t page;       /* C: bytes of the machine's page */
	uint64_t block;      /* C: bytes of a block */
	bool large;          /* C: a huge page is a block */
	struct itree places; /* R: struct block */
	struct objpool blocks;
	struct objpool arrays;
	struct objpool handles;                     /* of migrate/exclusive.c */
	char *zeros;                                /* C: a page that nobody writes */
	place_t *reserve;                           /* R: an array, for when there is no memory */
	struct block *spare;                        /* R: one of which nothing is away, or NULL */
	struct hmm_devmem *region[REGIONS_MAX + 1]; /* R */
	uint32_t regions;                           /* R: how many */
	uint32_t copiers;                           /* R: how many have had a copier */
	struct devmem_space *coherent;              /* C: an index alone, of coherent pages */
	_Atomic uint32_t coherent_regions;          /* A, written under R */
	struct hmm_devmem *shadow;                  /* R: for exclusive access; NULL: none yet */
	_Atomic(struct hmm_devmem *) alias;         /* A, written under R: of shared memory */
	struct hmm_devmem *isolation;               /* R: for migrate_vma; NULL: none yet */
	struct stage stage;
	struct itree trapped; /* R: a hint: where a hole is a fault */
	struct {
		uint64_t start, end, taken;
	} proven;                   /* R: what was trapped while regions_taken() was that */
	uint64_t fault[FAULTS_MAX]; /* R: threads wait there for a page */
	/* R: since when the one of `fault` waits for a device; 0: it does not */
	uint64_t fault_since[FAULTS_MAX];
	_Atomic uint32_t faults; /* R */
	_Atomic uint32_t parked; /* R: how many of these wait for a device */
	_Atomic bool staged;     /* A: a device has copied something since */
	_Atomic uint32_t copied; /* A, futex: counts what devices have copied */
	_Atomic uint32_t moves;  /* A, written under R: how often the program moved mappings */
	_Atomic bool wake_all;   /* R: more wait than fit */
	_Atomic bool confused;   /* R: events were lost: all is to go home */
	bool any_lost;           /* R: a device has lost a page of the program */
	bool rescued;            /* R: the rescuer is at work, and no thief any more */
	_Atomic bool closed;     /* A, written under R: no page moves out any more */
	struct {
		uint64_t start, end, ns;
	} recent[RECENT_HOME];    /* R: what the CPU touched last */
	uint32_t recents;         /* R */
	struct ownthread worker;  /* C */
	_Atomic uint32_t work;    /* A, futex: counts what there is for it */
	_Atomic uint32_t stop;    /* A: it is to end */
	struct ownthread rescuer; /* C */
	_Atomic uint32_t ready;   /* A, futex: it has its table of descriptors */
	_Atomic uint32_t alarm;   /* A, futex: the space is lost, or ends: see rescue.c */
};

static inline struct devmem_space *devmem_of(struct hmm_mm *mm)
{
	return atomic_load_explicit(&mm->devmem, memory_order_acquire);
}

/* Where the address's block ends. */
static inline uint64_t block_above(const struct devmem_space *s, uint64_t addr)
{
	return (addr & ~(s->block - 1)) + s->block;
}

/* space.c: what a space has of device memory is made when it is asked for first. */
int devmem_need(struct hmm_mm *mm, struct devmem_space **out);
/* Brings all home and ends it, before the space is detached. */
void devmem_fini(struct hmm_mm *mm);
/* When nobody uses the space any more: gives its memory back. */
void devmem_release(struct hmm_mm *mm);

/* ---- places.c (R) -------------------------------------------------------------------------- */

static inline uint32_t place_region(place_t place)
{
	return place >> FRAME_BITS;
}

static inline uint32_t place_frame(place_t place)
{
	return place & ((1U << FRAME_BITS) - 1);
}

static inline struct hmm_devmem *place_devmem(const struct devmem_space *s, place_t place)
{
	return s->region[place_region(place)];
}

static inline uint64_t place_addr(const struct devmem_space *s, place_t place)
{
	return place_devmem(s, place)->base + place_frame(place) * s->page;
}

place_t place_at(const struct devmem_space *s, uint64_t addr);
/*
 * The first row of pages in [start, end) that are away, within one block. only: of this region, or
 * NULL. False: there is none.
 */
bool places_next(const struct devmem_space *s, uint64_t start, uint64_t end,
		 const struct hmm_devmem *only, struct run *run);
/*
 * Huge pages that follow that of `run`, in the region, too, join it. None of them ends behind
 * `end`, which is not below run->end.
 */
void places_add_huge(const struct devmem_space *s, uint64_t end, struct run *run);
/*
 * The pages of [start, end), all at home, are now at `first` and behind. They are of one block, or
 * several blocks as a whole. 0; -ENOMEM: nothing was done.
 */
int places_put(struct devmem_space *s, uint64_t start, uint64_t end, place_t first, bool huge);
/* They are no longer anywhere. What is not away stays so. 0; -ENOMEM: nothing was done. */
int places_take(struct devmem_space *s, uint64_t start, uint64_t end);

/* ---- coherent.c (R) ------------------------------------------------------------------------ */

int coherent_init(struct devmem_space *s);
void coherent_fini(struct devmem_space *s);
place_t coherent_at(const struct devmem_space *s, uint64_t addr);
/* As places_next(). */
bool coherent_next(const struct devmem_space *s, uint64_t start, uint64_t end,
		   const struct hmm_devmem *only, struct run *run);
/* The pages of [start, end), of one block, are those of the frames from `first` on. */
int coherent_put(struct devmem_space *s, uint64_t start, uint64_t end, place_t first);
/* The pages are the system's from now on, or away. */
void coherent_forget(struct devmem_space *s, uint64_t start, uint64_t end);
/* The program has unmapped or discarded them. */
void coherent_drop(struct devmem_space *s, uint64_t start, uint64_t end);
void coherent_rekey(struct devmem_space *s, uint64_t start, uint64_t end, uint64_t to);

/* ---- frames.c (R) -------------------------------------------------------------------------- */

/*
 * Takes up to `want` frames in a row. whole: an aligned block of BLOCK_PAGES, or none. huge: for a
 * huge page, or several. Returns how many.
 */
uint32_t frames_take(struct hmm_devmem *d, uint32_t want, bool whole, bool huge, uint32_t *first);
/*
 * The block has small pages, or had. The kernel keeps the table of these, and so splits a huge
 * page that moves there.
 */
bool frames_split(const struct hmm_devmem *d, uint32_t first);
/* A huge page was to move there, and did not as a whole. */
void frames_torn(struct hmm_devmem *d, uint32_t frame);
/*
 * Lends a driver a frame, or an aligned block of them. False: none is free. What is lent can be
 * used by pages of the program, as one huge page or not, or be given back.
 */
bool frames_lend(struct hmm_devmem *d, bool block, uint32_t *first);
bool frames_are_lent(const struct hmm_devmem *d, uint32_t first, uint32_t n);
void frames_use(struct hmm_devmem *d, uint32_t first, uint32_t n, bool huge);
void frames_unlend(struct hmm_devmem *d, uint32_t first, uint32_t n);
/* Gives frames back that never held a page of the program. */
void frames_untake(struct hmm_devmem *d, uint32_t first, uint32_t n);
/*
 * The same of frames of which the worker is to free some, as their pages have gone home. keep: none
 * of them is used again.
 */
void frames_abandon(struct hmm_devmem *d, uint32_t first, uint32_t n, bool keep);
/* The frames' pages have gone home; full: they hold pages that nobody needs any more. */
void frames_free(struct hmm_devmem *d, uint32_t first, uint32_t n, bool full);
/* Where pages are isolated, or a device's exclusively: these are no longer what was taken. */
void frames_revoke(struct hmm_devmem *d, uint32_t first, uint32_t n);
/* The next row of frames that wait for the worker. */
bool frames_dying(const struct hmm_devmem *d, uint32_t *first, uint32_t *n, bool *full);
/* The worker has freed them. */
void frames_freed(struct hmm_devmem *d, uint32_t first, uint32_t n);
/* Makes and ends a region; the caller does not hold R. */
int frames_init(struct hmm_devmem *d);
/* No touch of it waits for the pump any more. */
void frames_unwatch(struct hmm_devmem *d);
/* Gives its memory back. Needs nothing of the space. */
void frames_unmap(struct hmm_devmem *d);

/* ---- move.c -------------------------------------------------------------------------------- */

/*
 * Moves pages, as struct provider_move says, and counts what the kernel moves and does not count.
 * The caller holds R and has begun to move: nobody else fills or empties either range.
 */
int64_t devmem_move(struct hmm_mm *mm, uint64_t to, uint64_t from, uint64_t bytes);

/* ---- row.c, home.c ------------------------------------------------------------------------- */

/*
 * Tells devices and moves the row home, of one block or of several huge pages. The caller holds R,
 * has closed the gate and has begun to move. *done: how far it came, which may be less of several
 * huge pages, too. 0; -EAGAIN: an event is to be read first; -EINTR: a thief has come while devices
 * were told, and the caller may not look at the index; -ENOMEM; -ESRCH; -EINPROGRESS: a device is
 * to copy it first; -EIO: and does not.
 */
int home_run(struct hmm_mm *mm, const struct run *run, uint64_t *done);
/* The same where devices are told afterwards. Never -EINTR; not for regions with a copier. */
int home_untold(struct hmm_mm *mm, const struct run *run, uint64_t *done);
/* Tells drivers that the row goes, and revokes what devices have there. False: -EINTR. */
bool home_begin(struct hmm_mm *mm, struct hmm_devmem *d, const struct run *run);
/* The row's pages are at `from`. As home_run(). */
int home_row(struct hmm_mm *mm, const struct run *run, uint64_t from, uint64_t *done);
/* The same of pages that stay at `from`: what is there is copied. */
int home_bounced(struct hmm_mm *mm, const struct run *run, uint64_t from, uint64_t *done);
/* What devices are told of it. */
struct hmm_invalidation home_news(const struct hmm_devmem *d, uint64_t start, uint64_t end);

/* Is it an error after which the mover stops? */
static inline bool home_ends(int64_t ret)
{
	return ret == -EAGAIN || ret == -ESRCH || ret == -EBADF || ret == -ENOMEM || ret == -ENOTTY;
}

/*
 * Moves home what of [start, end) is away, in `only` or in any region, with pages of which the
 * range has a part. 0; -ETIME; -ENOMEM; -ESRCH; -EIO: a device does not give a page back.
 * timeout_ns: without progress.
 */
int devmem_home(struct hmm_mm *mm, uint64_t start, uint64_t end, const struct hmm_devmem *only,
		uint64_t timeout_ns);
/*
 * Has the page one of these, of kernel/abi/pagemap.h? True if this cannot be told. PAGE_IS_HERE: it
 * is there.
 */
bool page_is(struct hmm_mm *mm, uint64_t page, uint64_t any);
/*
 * Up to where there are huge pages from `start` on, where one may begin; `start`: there is none.
 * They may be split at any time.
 */
uint64_t huge_until(struct hmm_mm *mm, uint64_t start, uint64_t end);
#define PAGE_IS_HERE (PAGE_IS_PRESENT | PAGE_IS_SWAPPED)
/* fault.c: the pump, at the end of a cycle: answers those who wait for a page. */
void devmem_resolve(struct hmm_mm *mm);
/* Does somebody still wait, although no event wakes the pump? */
static inline bool devmem_waits(struct hmm_mm *mm)
{
	const struct devmem_space *s = devmem_of(mm);

	if (!s)
		return false;
	return atomic_load(&s->faults) > atomic_load(&s->parked) || atomic_load(&s->confused) ||
	       (atomic_load(&s->parked) && atomic_load(&s->staged)) ||
	       (atomic_load(&s->wake_all) && atomic_load(&s->parked) < FAULTS_MAX);
}
/* Does somebody wait for a device to copy a page? */
static inline bool devmem_parked(struct hmm_mm *mm)
{
	const struct devmem_space *s = devmem_of(mm);

	return s && atomic_load(&s->parked);
}
/*
 * The watchdog, as a thief that has the turn: answers those who wait for a page. True: some have
 * come home, and the pump is to tell so (*home, a PROVIDER_HOME). False: all are answered.
 */
bool devmem_answer(struct hmm_mm *mm, struct provider_event *home);
/*
 * Fills the holes of [start, end), which is trapped or not, with the zero page, so that populating
 * it meets no trap. 0; -EAGAIN: the caller begins again; -ENOMEM.
 */
int devmem_fill(struct hmm_mm *mm, uint64_t start, uint64_t end, uint64_t deadline);
/* Makes a page that is not there one of zeros. As the ops of struct provider_move. */
int64_t devmem_zero(struct hmm_mm *mm, uint64_t addr);
/* Was a part of it brought home by a touch of the CPU just now? In ns until it may move again. */
uint64_t devmem_recent(const struct devmem_space *s, uint64_t start, uint64_t end);

/* ---- event.c: the pump, under R ------------------------------------------------------------ */

void devmem_event(struct hmm_mm *mm, const struct provider_event *e);
/* A hole in [start, end) is a fault from now on. The caller holds R, and moves or has the turn. */
void devmem_note_trapped(struct devmem_space *s, uint64_t start, uint64_t end);
/* Is a part of it? Under R. */
bool devmem_trapped(struct hmm_mm *mm, uint64_t start, uint64_t end);
/* Forgets one range that is trapped, so that its registration can be taken back. */
bool devmem_untrap_next(struct hmm_mm *mm, uint64_t *start, uint64_t *end);

/* ---- worker.c, rescue.c -------------------------------------------------------------------- */

int worker_start(struct devmem_space *s);
void worker_stop(struct devmem_space *s);

static inline void worker_wake(struct devmem_space *s)
{
	atomic_fetch_add(&s->work, 1);
	futex_wake(&s->work);
}

int rescue_start(struct devmem_space *s);
/* home: no page is away. Else the rescuer brings them home first. */
void rescue_stop(struct devmem_space *s, bool home);
/* The space is lost, and the pump has ended. */
void devmem_lost(struct hmm_mm *mm);

/* ---- stage.c ------------------------------------------------------------------------------- */

int stage_start(struct devmem_space *s);
void stage_stop(struct devmem_space *s);
/* Is the address one to which the stage's thread moves? */
bool stage_has(const struct devmem_space *s, uint64_t addr);
/*
 * The caller holds R and moves; places say that [start, end), of one block, is in the stage.
 * Moves it there: from success on a touch of it is a fault. -errno: nothing was moved. Afterwards
 * R is released, and stage_wait() called.
 */
int stage_move(struct hmm_mm *mm, uint64_t start, uint64_t end);
/* The same to an address of the alias region, for shared memory. */
int stage_send(struct hmm_mm *mm, uint64_t start, uint64_t end, uint64_t to);
/* Until the move is told. False: the range was not ours. */
bool stage_told(struct hmm_mm *mm);
/* Puts it back, but for places and the address space where it was. */
void stage_return(struct hmm_mm *mm);
/* The same, with places. False: the range was not ours any more, and it was put back. */
bool stage_wait(struct hmm_mm *mm);
/* Brings home what is still in the stage, and empties it. full: stage_wait() was true. */
void stage_leave(struct hmm_mm *mm, bool full);

/* ---- alias.c ------------------------------------------------------------------------------- */

/* Is the address a frame of shared memory? */
bool alias_has(const struct devmem_space *s, uint64_t addr);
/* R: are the frames on their way there? */
bool alias_in_transit(const struct hmm_devmem *d, uint32_t first, uint32_t n);
/* R, the gate is closed: an engine that was run over does not reach the frames any more. */
void alias_cut(struct hmm_devmem *d, uint32_t first, uint32_t n);
/* The worker: nothing is there any more. */
void alias_clear(const struct hmm_devmem *d, uint32_t first, uint32_t n);
/* The CPU reaches the pages from here on. As the ops of struct provider_move; -EAGAIN, -ESRCH. */
int64_t alias_show(struct hmm_mm *mm, uint64_t start, uint64_t bytes);

/* ---- fork.c -------------------------------------------------------------------------------- */

/* Brings all home. Until the fork is over nothing moves out: mm_forking(). */
void devmem_fork_begin(struct hmm_mm *mm);

/* Is a page of the range away? Under R. */
bool devmem_any(struct hmm_mm *mm, uint64_t start, uint64_t end);

#endif
