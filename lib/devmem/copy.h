/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * Regions whose bytes are not this process's: the driver copies pages in and out.
 *
 *	copy.c		what is known of each frame
 *	copy_home.c	what becomes of a row that is to go home
 *	copier.c	a thread of the region's that calls the driver
 *	bounce.c	buffers for small pages on their way home
 *
 * A page moves to its frame as in any region. The copier has it copied from there, and gives the
 * frame's memory back. On the way home the driver writes into the stage, address space with a page
 * for each frame, from where the page moves home, or into a bounce buffer, from where it is copied.
 * So a page is always brought home by a mover, and the copier moves nothing. If the region is
 * backed the frame's memory is kept, and the frames are the stage.
 *
 * The driver's callbacks run without a lock and may hang. Nobody waits for them but with a bound,
 * and the thread that hangs in one is left behind if the region ends.
 */
#ifndef LIB_DEVMEM_COPY_H
#define LIB_DEVMEM_COPY_H

#include "devmem/devmem.h"

/* how many bounce buffers a region has, of a block each */
#define BOUNCES 4

enum copy_state {
	COPY_HOST,        /* free, or in the frame and to stay there */
	COPY_ARRIVED,     /* in the frame, to be copied in */
	COPY_IN,          /* in the frame, being copied in */
	COPY_DROP,        /* copied in; the frame is being emptied */
	COPY_DEVICE,      /* on the device alone */
	COPY_WANTED,      /* on the device, to be copied out */
	COPY_TOUCHED,     /* the same, and a thread waits for it */
	COPY_OUT,         /* on the device, being copied out */
	COPY_STAGED,      /* copied out: in the stage */
	COPY_STAGED_HUGE, /* in the stage of huge pages */
	COPY_FAILED,      /* on the device, which did not copy it out */
	COPY_KEPT,        /* on the device, which keeps it for now */
	COPY_LOST,        /* nowhere any more */
	COPY_BOUNCE,      /* copied out: in the first bounce buffer; then those in the others */
	COPY_STATES = COPY_BOUNCE + BOUNCES,
};

#define COPY_BIT(state) (1U << (state))
/* What the device may use. */
#define COPY_OWNED (COPY_BIT(COPY_DEVICE) | COPY_BIT(COPY_FAILED) | COPY_BIT(COPY_KEPT))
/* What takes no memory of the host. */
#define COPY_AWAY (COPY_OWNED | COPY_BIT(COPY_WANTED) | COPY_BIT(COPY_TOUCHED))
/* In a bounce buffer. */
#define COPY_BOUNCED (COPY_BIT(COPY_STATES) - COPY_BIT(COPY_BOUNCE))
/* Copied out. */
#define COPY_OUTSIDE (COPY_BIT(COPY_STAGED) | COPY_BIT(COPY_STAGED_HUGE) | COPY_BOUNCED)
/* In the frame, where nobody empties it. */
#define COPY_FRAME (COPY_BIT(COPY_HOST) | COPY_BIT(COPY_ARRIVED) | COPY_BIT(COPY_IN))
/* On its way to the device. */
#define COPY_COMING (COPY_BIT(COPY_ARRIVED) | COPY_BIT(COPY_IN) | COPY_BIT(COPY_DROP))

/* What the copier's thread does. */
enum copy_phase { COPY_IDLE, COPY_CALLS, COPY_ABANDONED };

/* Of the copier's thread. */
struct bounce {
	uint32_t block; /* the first frame of the block that was copied there last */
	uint32_t low;   /* there may be pages from this one on, of that block's */
	uint32_t high;  /* and below this one; 0: there are none */
	bool holes;     /* some of these are not there */
};

struct copier {
	struct hmm_devmem *d;     /* C */
	_Atomic uint64_t timeout; /* A: how long a callback may take */
	bool backed;              /* C: frames keep their memory */
	char *map;                /* C: of the stage; NULL: the frames are it */
	uint64_t stage;           /* C: where the page of frame 0 lies there */
	char *huge_map;           /* C: the same for huge pages; NULL: there are none */
	uint64_t huge;            /* C */
	char *bounce_map;         /* C */
	uint64_t bounce_bytes;    /* C */
	uint64_t bounce;          /* C: where the bounce buffers begin */
	struct bounce buffer[BOUNCES];
	_Atomic bool rests;          /* A: it is to be woken when a buffer is no longer needed */
	uint8_t *state;              /* R: a byte a frame */
	uint32_t count[COPY_STATES]; /* R: how many frames are so; not of COPY_HOST */
	uint32_t next;               /* R: where it looks for work first */
	uint32_t first;              /* R: the frames that it works on */
	uint32_t n;                  /* R: how many; 0: none */
	uint32_t touched;            /* R: the frame for which a thread waits, while one is asked */
	bool urgent;                 /* R: there is one */
	bool lost;                   /* R: what is on the device is lost */
	bool last;                   /* R: the space ends: what cannot come home is lost */
	bool said;                   /* R: the log has been told that pages are lost */
	_Atomic bool hurry;          /* A: a thread waits */
	_Atomic uint64_t since;      /* A: when the callback began that runs; 0: none does */
	_Atomic uint32_t phase;      /* A: enum copy_phase */
	_Atomic uint32_t work;       /* A, futex: counts what there is to do */
	_Atomic uint32_t stop;       /* A: it is to end */
	_Atomic uint32_t ended;      /* A, futex: it has ended */
	struct ownthread thread;     /* C */
};

/* ---- copier.c ------------------------------------------------------------------------------ */

/* If the region has callbacks: starts its copier. 0; -ENOMEM; -EAGAIN. */
int copier_start(struct hmm_devmem *d);
/*
 * Ends it; d->copier may be NULL. False: a callback hangs, and the thread that is in it gives the
 * region's memory back when it returns. The caller leaves the region alone then.
 */
bool copier_stop(struct hmm_devmem *d);
/* Discards what is staged there. */
void copier_empty(const struct copier *c, uint64_t offset, uint64_t bytes);

/* ---- bounce.c ------------------------------------------------------------------------------ */

/* Where a page that was copied out is; state: one of those that say so. */
uint64_t copy_staged(const struct copier *c, enum copy_state state, uint32_t frame);
/*
 * The rest is for the copier's thread. R: a buffer of which nobody needs anything, as what pages
 * there are; COPY_STAGED: there is none.
 */
enum copy_state bounce_take(const struct copier *c);
/* The buffer gets pages for the frames, which are of one block. */
void bounce_ready(struct copier *c, enum copy_state state, uint32_t first, uint32_t n);
/* Has one of them a page? */
bool bounce_holds(const struct copier *c);
/* Gives back what nobody needs. */
void bounce_empty(struct copier *c);

/* ---- copy.c (R) ---------------------------------------------------------------------------- */

void copy_set(struct copier *c, uint32_t first, uint32_t n, enum copy_state state);
/* Those of the frames that are `from` become `to`. Returns how many. */
uint32_t copy_change(struct copier *c, uint32_t first, uint32_t n, enum copy_state from,
		     enum copy_state to);
/* Does the callback that runs take too long? */
bool copy_overdue(const struct copier *c);
/* Does the copier work on the frame? */
bool copy_busy(const struct copier *c, uint32_t frame);
/* Cuts the row down to its first pages that all are of `states`, or all are not; are they? */
bool copy_row(const struct hmm_devmem *d, struct run *run, unsigned int states);
/* The same: does the device have them? True for each region without callbacks. */
bool copy_owned(const struct hmm_devmem *d, struct run *run);
/* Is something of the range on its way to a region of this owner? */
bool copy_coming(const struct devmem_space *s, const void *owner, uint64_t start, uint64_t end);
/* The copier has work. */
void copy_wake(struct copier *c);
/* Pages have moved to the frames. */
void copy_arrived(struct hmm_devmem *d, uint32_t first, uint32_t n);
/* May more come? 0; -EAGAIN: later; -EIO: never. */
int copy_may_come(const struct hmm_devmem *d);
/* The frames are free. Returns whether the worker has to give their memory back. */
bool copy_free(struct hmm_devmem *d, uint32_t first, uint32_t *n, bool full);
/*
 * A thread waits for the page. since: since when, 0: it is new. Gives the page up after a while.
 * Returns the copier that is to be asked for it, whose `urgent` the caller takes back, or NULL.
 */
struct copier *copy_touch(struct hmm_mm *mm, uint64_t addr, uint64_t since);
/*
 * If the device keeps the page that is touched: SIGBUS, until it comes home. *err: 0; -EAGAIN,
 * -ENOMEM: later. Otherwise *err stays.
 */
void copy_withhold(struct hmm_mm *mm, uint64_t addr, int *err);
/* What is on the device is lost. */
void copy_lose(struct copier *c);
/* What failed, or was kept, is tried again. */
void copy_retry(struct devmem_space *s);
/* What cannot come home from now on is lost. */
void copy_last(struct devmem_space *s);
/* Where the first page of the row is in this process, 0: on the device. */
uint64_t copy_source(const struct devmem_space *s, place_t place);
/* Are all frames free but for those that a callback that hangs works on? */
bool copy_only_stuck(const struct hmm_devmem *d);

/* ---- copy_home.c (R) ----------------------------------------------------------------------- */

/* As home_run() for such a region. -EINPROGRESS: a row waits; -EIO: the device does not give it. */
int copy_home(struct hmm_mm *mm, const struct run *run, uint64_t *done);
/* Asks for what of the row is on the device. The gate is closed. 0; -EINTR, as home_run(). */
int copy_ask(struct hmm_mm *mm, const struct run *run);

#endif
