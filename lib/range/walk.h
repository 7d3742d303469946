/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * One hmm_range_fault(). An attempt has two passes: faulting (fault.c) brings in what is requested,
 * registers and tracks it; the snapshot (snapshot.c) then writes the entries under a fresh
 * sequence. Whatever changes in between makes the attempt start over.
 *
 * A restart must find the requests that the entries held at first, while entries that the attempt
 * before wrote are output: bits 48 and 49, of no meaning to callers, keep each entry's request
 * meanwhile.
 */
#ifndef LIB_RANGE_WALK_H
#define LIB_RANGE_WALK_H

#include "range/look.h"
#include "space/space.h"

#include <hmm/range.h>

#define KEPT_SHIFT 14
#define KEPT_FAULT (HMM_PFN_REQ_FAULT >> KEPT_SHIFT)
#define KEPT_WRITE (HMM_PFN_REQ_WRITE >> KEPT_SHIFT)
#define KEPT (KEPT_FAULT | KEPT_WRITE)

/* What is wanted of a page, ordered: more includes less. */
enum request { REQUEST_NONE, REQUEST_READ, REQUEST_WRITE };

struct walk {
	struct hmm_range *range;
	struct hmm_mm *mm;
	uint64_t mask;        /* request bits of entries that count, 0: all the same */
	enum request request; /* of every page, from default_flags */
	uint64_t page_size;   /* bytes, the machine's */
	uint64_t thp_size;
	uint64_t written;   /* entries below have been output, their requests are in KEPT */
	uint64_t furthest;  /* progress: entries below were right once */
	unsigned int stuck; /* attempts without progress */
	bool begun;         /* there is a sequence */
	uint64_t forks;     /* seen when the attempt began */
	bool once;          /* some of it nobody can watch: used once, see once.c */
	uint64_t seen;      /* of it, for the note; 0: there is none to leave */
	uint64_t timeout;   /* ns without progress */
	uint64_t deadline;  /* moves with progress */
	/* An error that belongs to a page: what is below it is still output. */
	int error;
	uint64_t error_at;
	/* The VMA, if the whole walk lies in one. */
	bool have_vma;
	struct hmm_vma vma;
	const struct vma_look
		*given; /* a look-up that the caller made, or NULL: for the first attempt */
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
/* Give [start, end) its requests back, or take them out of output. */
void walk_restore_input(const struct walk *w, uint64_t start, uint64_t end);
void walk_finish_output(const struct walk *w, uint64_t start, uint64_t end);

/* fault.c: 0, also with w->error set; -EBUSY begin again; others end the walk. */
int walk_fault(struct walk *w);
/* snapshot.c: 0 or -EBUSY and the like; *done: entries below are output. */
int walk_snapshot(struct walk *w, uint64_t end, uint64_t *done);

/* fill.c: flags for every page, or per page from pagemap words */
void fill_same(struct walk *w, uint64_t start, uint64_t end, uint64_t flags);
void fill_empty(struct walk *w, uint64_t start, uint64_t end, uint64_t flags);
void fill_by_words(struct walk *w, uint64_t start, uint64_t end, uint64_t flags,
		   const uint64_t *words, uint64_t mask, uint64_t bits);
bool fill_all_have(const struct walk *w, uint64_t start, uint64_t end, uint64_t flags);

#endif
