// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * The first step: pages of system memory move to a region of the library's, the isolation, where
 * neither the program nor a device reaches them. The CPU that touches one brings it home. Pages in
 * a device's region stay there.
 */
#include "migrate/migrate.h"
#include "space/space.h"
#include "space/turn.h"
#include "kernel/abi/pagemap.h"
#include "kernel/pagemap.h"
#include "kernel/vma.h"
#include "base/number.h"

#include <errno.h>
#include <sys/mman.h>

#define RUNS 32

/* ---- what is there, under R ------------------------------------------------------------------ */

static void mark_zeros(struct migrate_state *st, uint32_t i, uint64_t at, const struct page_run *r)
{
	if (!(r->categories & PAGE_IS_PFNZERO))
		return;
	for (uint64_t a = r->start; a < r->end; a += st->s->page)
		st->page[i + (a - at) / st->s->page].src &=
			HMM_MIGRATE_PFN_MIGRATE | HMM_MIGRATE_PFN_WRITE;
}

/* Of n pages that are isolated in a row: those that are zero pages have no source. */
static void find_zeros(struct migrate_state *st, uint32_t i, uint32_t n)
{
	const uint64_t at = place_addr(st->s, st->page[i].place);
	const uint64_t end = at + n * st->s->page;
	struct page_run runs[RUNS];
	uint64_t walked;

	for (uint64_t from = at; from < end; from = walked) {
		size_t found = RUNS;

		if (pagemap_runs(mm_pagemap(st->mm), from, end, runs, &found, &walked))
			return;
		for (size_t k = 0; k < found; k++)
			mark_zeros(st, i, at, &runs[k]);
	}
}

static void check_isolated(struct migrate_state *st)
{
	for (uint32_t i = 0, n; i < st->n; i += n) {
		const place_t first = st->page[i].place;

		n = 1;
		if (!state_has(st, i)) {
			st->page[i].place = 0;
			st->page[i].src = 0;
			continue;
		}
		while (i + n < st->n && st->page[i + n].place == first + n && state_has(st, i + n))
			n++;
		find_zeros(st, i, n);
	}
}

/* The row is a device's. */
static void select_row(struct migrate_state *st, const struct run *run, bool coherent)
{
	const uint64_t page = st->s->page;

	for (uint64_t at = run->start; at < run->end; at += page) {
		struct migrate_page *p = &st->page[(at - st->start) / page];

		p->place = run->first + (place_t)((at - run->start) / page);
		p->src = (coherent ? at : place_addr(st->s, p->place)) | HMM_MIGRATE_PFN_VALID |
			 HMM_MIGRATE_PFN_MIGRATE;
	}
}

static void select_device(struct migrate_state *st)
{
	struct run run;
	uint64_t at;

	for (at = st->start; st->flags & HMM_MIGRATE_VMA_SELECT_DEVICE_PRIVATE &&
			     places_next(st->s, at, st->end, NULL, &run);
	     at = run.end) {
		if (place_devmem(st->s, run.first)->options.owner == st->owner)
			select_row(st, &run, false);
	}
	for (at = st->start; st->flags & HMM_MIGRATE_VMA_SELECT_DEVICE_COHERENT &&
			     coherent_next(st->s, at, st->end, NULL, &run);
	     at = run.end) {
		if (place_devmem(st->s, run.first)->options.owner == st->owner)
			select_row(st, &run, true);
	}
}

/* One entry for each huge page. */
static void join_huge(struct migrate_state *st)
{
	struct run run;

	for (uint64_t at = st->start; places_next(st->s, at, st->end, NULL, &run); at = run.end) {
		const uint32_t first = (uint32_t)((run.start - st->start) / st->s->page);
		bool all = run.huge && run.end - run.start == st->s->block;

		for (uint32_t i = first; all && i < first + BLOCK_PAGES; i++)
			all = st->page[i].place == run.first + (i - first) &&
			      st->page[i].src & HMM_MIGRATE_PFN_VALID;
		if (!all)
			continue;
		st->page[first].src |= HMM_MIGRATE_PFN_COMPOUND;
		for (uint32_t i = first + 1; i < first + BLOCK_PAGES; i++)
			st->page[i].src = 0;
	}
}

static void look(struct migrate_state *st)
{
	pthread_mutex_lock(&st->mm->region_lock);
	turn_take(st->mm);
	check_isolated(st);
	select_device(st);
	if (st->flags & HMM_MIGRATE_VMA_SELECT_COMPOUND)
		join_huge(st);
	turn_end(st->mm);
	pthread_mutex_unlock(&st->mm->region_lock);
}

/* ---- all ------------------------------------------------------------------------------------- */

/* Which of a device's pages may the program write? */
static void find_writable(struct migrate_state *st)
{
	const uint32_t known =
		HMM_MIGRATE_VMA_SELECT_DEVICE_PRIVATE | HMM_MIGRATE_VMA_SELECT_DEVICE_COHERENT;
	struct hmm_vma vma = { 0 };

	for (uint64_t at = st->start; st->flags & known && at < st->end; at = vma.end) {
		const bool found = !vma_peek(mm_vmas(st->mm), at, &vma);
		const uint64_t end = found ? min64(vma.end, st->end) : st->end;

		for (uint64_t a = max64(at, found ? vma.start : end); a < end; a += st->s->page) {
			struct migrate_page *p = &st->page[(a - st->start) / st->s->page];

			if (p->src && vma.prot & PROT_WRITE)
				p->src |= HMM_MIGRATE_PFN_WRITE;
		}
		vma.end = end;
	}
}

int state_isolate(struct migrate_state *st, uint64_t timeout_ns)
{
	struct migration m = { .d = st->isolation,
			       .readonly = st->flags & HMM_MIGRATE_VMA_SELECT_READONLY,
			       .state = st,
			       .arrived = state_note,
			       .mm = st->mm,
			       .s = st->s,
			       .owner = st->owner };
	int err = migrate_check(&m, st->start, st->end, timeout_ns);

	if (!err && st->isolation)
		err = migrate_range(&m, st->start, st->end);
	if (err)
		return mm_lost_by(st->mm, err);
	look(st);
	find_writable(st);
	return 0;
}
