/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * One hmm_range_fault(). An attempt has two passes: faulting (fault.c) brings in what is requested,
 * registers and tracks it; the snapshot (snapshot.c) then writes the entries under a fresh
 * sequence. A change in between makes the attempt begin again.
 *
 * A new attempt must find the requests that the entries had at first, although the last attempt has
 * written some of them. So bits 48 and 49, which mean nothing to callers, keep each entry's request
 * meanwhile.
 */
#ifndef LIB_RANGE_WALK_H
#define LIB_RANGE_WALK_H

#include "range/look.h"
#include "devmem/devmem.h"
#include "space/space.h"

#include <hmm/range.h>

#define KEPT_SHIFT 14
#define KEPT_FAULT (HMM_PFN_REQ_FAULT >> KEPT_SHIFT)
#define KEPT_WRITE (HMM_PFN_REQ_WRITE >> KEPT_SHIFT)
#define KEPT (KEPT_FAULT | KEPT_WRITE)

/* What is requested of a page. A larger value includes the smaller ones. */
enum request { REQUEST_NONE, REQUEST_READ, REQUEST_WRITE };

struct walk {
	struct hmm_range *range;
	struct hmm_mm *mm;
	/* which request bits of the entries count; 0: all pages have the same request */
	uint64_t mask;
	enum request request; /* request for every page, from default_flags */
	uint64_t page_size;   /* size of the machine's pages */
	uint64_t thp_size;
	/* entries below this address are written, and their requests are in the bits KEPT */
	uint64_t written;
	uint64_t furthest;  /* progress: entries below this address were right once */
	unsigned int stuck; /* attempts without progress */
	/* attempts in a row in which populating failed by an error that says too little */
	unsigned int unclear;
	bool begun;        /* the attempt has taken a sequence */
	uint64_t forks;    /* how many forks were seen when the attempt began */
	bool once;         /* a part cannot be watched and is used once, see once.c */
	uint64_t seen;     /* the note's content; 0: no note is left */
	uint64_t timeout;  /* ns without progress */
	uint64_t deadline; /* moves with progress */
	/* An error of one page, at error_at. Entries below it are still output. */
	int error;
	uint64_t error_at;
	/* The VMA, if the whole walk lies in one. */
	bool have_vma;
	struct hmm_vma vma;
	const struct vma_look *given; /* the caller's look-up, for the first attempt, or NULL */
};

static inline uint64_t *walk_entry(const struct walk *w, uint64_t addr)
{
	return &w->range->hmm_pfns[(addr - w->range->start) >> HMM_PAGE_SHIFT];
}

/* request.c */
enum request walk_request(const struct walk *w, uint64_t addr);
/* The end of the run of pages from addr with one request, at most end. */
uint64_t walk_request_run(const struct walk *w, uint64_t addr, uint64_t end, enum request *request);
/* The first page in [addr, end) with at least this request; end if none. */
uint64_t walk_find_request(const struct walk *w, uint64_t addr, uint64_t end, enum request least);
/* Gives entries their requests back; removes the kept requests from entries that are output. */
void walk_restore_input(const struct walk *w, uint64_t start, uint64_t end);
void walk_finish_output(const struct walk *w, uint64_t start, uint64_t end);

/*
 * fault.c: 0, also if w->error was set; -EBUSY: the attempt begins again; other errors end the
 * walk.
 */
int walk_fault(struct walk *w);
/*
 * device.c: pages in device memory. The next row of them in [start, end) that are in regions of the
 * caller's owner; they begin at *addr there.
 */
bool walk_device_next(const struct walk *w, uint64_t start, uint64_t end, struct run *run,
		      uint64_t *addr);
/*
 * Before [start, end), of private anonymous memory, is populated: pages of other owners come home,
 * and no touch of a page that is not there waits for the pump. 0; -EBUSY; other errors.
 */
int walk_device_home(struct walk *w, uint64_t start, uint64_t end);
/* Writes the entries of [start, end), in which no page is present: 0, or the page of a region. */
void walk_device_fill(struct walk *w, const struct hmm_vma *vma, uint64_t start, uint64_t end);
/* Entries of [start, end) that are valid say which pages are in coherent memory of the caller's. */
void walk_coherent(struct walk *w, uint64_t start, uint64_t end);
/* snapshot.c: as walk_fault(); entries below *done are output. */
int walk_snapshot(struct walk *w, uint64_t end, uint64_t *done);

/* fill.c: writes entries, with the same flags for every page or with flags from pagemap words */
void fill_same(struct walk *w, uint64_t start, uint64_t end, uint64_t flags);
void fill_empty(struct walk *w, uint64_t start, uint64_t end, uint64_t flags);
/* Entries for consecutive pages from another address on. */
void fill_elsewhere(struct walk *w, uint64_t start, uint64_t end, uint64_t flags, uint64_t addr);
void fill_by_words(struct walk *w, uint64_t start, uint64_t end, uint64_t flags,
		   const uint64_t *words, uint64_t mask, uint64_t bits);
bool fill_all_have(const struct walk *w, uint64_t start, uint64_t end, uint64_t flags);

#endif
