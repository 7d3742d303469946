// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * Where each page is. The kernel tells of pages that are present, the index of places of those that
 * are away. Both are asked under region_lock, which every mover holds, so no page is missed or told
 * of twice.
 */
#include "migrate/migrate.h"
#include "devmem/moving.h"
#include "space/debug.h"
#include "space/space.h"
#include "space/turn.h"
#include "kernel/abi/pagemap.h"
#include "kernel/pagemap.h"
#include "kernel/vma.h"
#include "base/nocancel.h"
#include "base/number.h"
#include "base/pool.h"

#include <errno.h>
#include <unistd.h>

/* So many runs of the kernel are looked at while the lock is held. */
#define RUNS 64
/* and so much of the address space */
#define STEP (32ULL << 20)

typedef int (*place_fn)(const struct hmm_place_run *run, void *arg);

struct place_walk {
	struct hmm_mm *mm;
	place_fn fn;
	void *arg;
	const struct hmm_vma *vma;
	struct hmm_place_run kept; /* may go on; empty if end is 0 */
	uint64_t page;
	uint64_t huge; /* bytes of a huge page */
	int32_t stays;
};

static int give(struct place_walk *w)
{
	const struct hmm_place_run run = w->kept;
	DEBUG_PROGRAM;

	w->kept.end = 0;
	return run.end ? w->fn(&run, w->arg) : 0;
}

static bool goes_on(const struct hmm_place_run *a, const struct hmm_place_run *b)
{
	return a->end == b->start && a->place == b->place && a->page_size == b->page_size &&
	       a->owner == b->owner && a->stays == b->stays &&
	       (!a->device_start || a->device_start + (a->end - a->start) == b->device_start);
}

static int add(struct place_walk *w, const struct hmm_place_run *run)
{
	int ret = 0;

	if (run->start >= run->end)
		return 0;
	if (w->kept.end && goes_on(&w->kept, run)) {
		w->kept.end = run->end;
		return 0;
	}
	ret = give(w);
	w->kept = *run;
	return ret;
}

/* ---- what lies in [start, end), under R ----------------------------------------------------- */

struct found {
	struct hmm_place_run run[2 * RUNS];
	size_t n;
	uint64_t end; /* so far it was looked at */
};

static void found_add(struct place_walk *w, struct found *f, uint64_t start, uint64_t end,
		      enum hmm_place place, uint64_t page_size)
{
	f->run[f->n++] = (struct hmm_place_run){ .start = start,
						 .end = end,
						 .page_size = page_size,
						 .place = place,
						 .stays = w->stays };
}

static enum hmm_place place_of(const struct page_run *r)
{
	if (!(r->categories & PAGE_IS_PRESENT))
		return HMM_PLACE_SWAP;
	return r->categories & PAGE_IS_PFNZERO ? HMM_PLACE_ZERO : HMM_PLACE_SYSTEM;
}

/* What the kernel tells up to f->end, which may become less. */
static int look_at_pages(struct place_walk *w, struct found *f, uint64_t start)
{
	struct page_run runs[RUNS];
	const uint64_t plain = max64(w->vma->page_size, w->page);
	uint64_t at = start;
	size_t n = RUNS;
	int err = pagemap_runs(mm_pagemap(w->mm), start, f->end, runs, &n, &f->end);

	if (err)
		return err;
	for (size_t i = 0; i < n; i++) {
		const bool huge = plain == w->page && runs[i].categories & PAGE_IS_HUGE;

		if (runs[i].start > at)
			found_add(w, f, at, runs[i].start, HMM_PLACE_NONE, plain);
		found_add(w, f, runs[i].start, runs[i].end, place_of(&runs[i]),
			  huge ? w->huge : plain);
		at = runs[i].end;
	}
	if (at < f->end && f->n < 2 * RUNS)
		found_add(w, f, at, f->end, HMM_PLACE_NONE, plain);
	else if (at < f->end)
		f->end = at;
	return 0;
}

/* The same of pages of which some are coherent. */
static int look_at_coherent(struct place_walk *w, struct found *f, uint64_t start)
{
	const struct devmem_space *s = devmem_of(w->mm);
	struct run run;
	bool all;
	int err;

	if (!s || !coherent_next(s, start, f->end, NULL, &run))
		return look_at_pages(w, f, start);
	all = run.start <= start;
	f->end = all ? run.end : run.start;
	err = look_at_pages(w, f, start);
	for (size_t i = 0; !err && all && i < f->n; i++) {
		if (f->run[i].place != HMM_PLACE_SYSTEM)
			continue;
		f->run[i].place = HMM_PLACE_COHERENT;
		f->run[i].owner = place_devmem(s, run.first)->options.owner;
	}
	return err;
}

/* Pages that are away come first: there is no page of theirs that the kernel could tell of. */
static int look(struct place_walk *w, struct found *f, uint64_t start)
{
	const struct devmem_space *s = devmem_of(w->mm);
	const struct hmm_devmem *d;
	struct run run;

	f->n = 0;
	if (!s || !places_next(s, start, f->end, NULL, &run))
		return look_at_coherent(w, f, start);
	if (run.start > start) {
		f->end = run.start;
		return look_at_coherent(w, f, start);
	}
	d = place_devmem(s, run.first);
	found_add(w, f, run.start, run.end, d->exclusive ? HMM_PLACE_EXCLUSIVE : HMM_PLACE_DEVICE,
		  run.huge ? s->block : s->page);
	f->end = run.end;
	if (d->stage || d->isolates) {
		f->run[0].place = HMM_PLACE_SYSTEM; /* on its way */
		return 0;
	}
	f->run[0].device_start = place_addr(s, run.first);
	f->run[0].owner = d->options.owner;
	return 0;
}

/* ---- one mapping ---------------------------------------------------------------------------- */

static int walk_mapping(struct place_walk *w, uint64_t start, uint64_t end)
{
	struct found f;
	int ret = 0;

	for (uint64_t at = start; !ret && at < end; at = f.end) {
		uint64_t old;

		f.end = min64(end, at + STEP);
		moving_mask(&old);
		pthread_mutex_lock(&w->mm->region_lock);
		turn_take(w->mm);
		ret = mm_lost_by(w->mm, look(w, &f, at));
		turn_end(w->mm);
		pthread_mutex_unlock(&w->mm->region_lock);
		moving_unmask(&old);
		if (!ret && f.end <= at)
			ret = -EIO;
		for (size_t i = 0; !ret && i < f.n; i++)
			ret = add(w, &f.run[i]);
	}
	return ret ? ret : give(w);
}

int hmm_place_walk(struct hmm_mm *mm, uint64_t start, uint64_t end,
		   int (*fn)(const struct hmm_place_run *run, void *arg), void *arg)
{
	DEBUG_CALL(mm, DEBUG_BLOCKS);
	HMM_NO_CANCEL;
	const uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
	struct place_walk w = {
		.mm = mm, .fn = fn, .arg = arg, .page = page, .huge = page * BLOCK_PAGES
	};
	struct hmm_vma vma;
	int ret = mm_alive(mm);

	start &= ~(page - 1);
	for (; !ret && start < end; start = vma.end) {
		enum hmm_migrate_reason why;

		ret = vma_lookup(mm_vmas(mm), start, &vma);
		if (ret == -ENOENT || (!ret && vma.start >= end))
			return 0;
		if (ret)
			return mm_lost_by(mm, ret);
		if (vma.kind == HMM_VMA_SPECIAL || pool_owns(vma.start))
			continue;
		why = migrate_refuses(&vma);
		if (why == HMM_MIGRATE_REASON_NR && migrate_is_staged(&vma))
			why = HMM_MIGRATE_PERMISSION;
		w.vma = &vma;
		w.stays = why == HMM_MIGRATE_REASON_NR ? -1 : (int32_t)why;
		ret = walk_mapping(&w, max64(start, vma.start), min64(end, vma.end));
	}
	return ret;
}

const char *hmm_place_name(enum hmm_place place)
{
	static const char *const name[HMM_PLACE_NR] = {
		[HMM_PLACE_NONE] = "none",         [HMM_PLACE_ZERO] = "zero",
		[HMM_PLACE_SYSTEM] = "system",     [HMM_PLACE_SWAP] = "swap",
		[HMM_PLACE_DEVICE] = "device",     [HMM_PLACE_EXCLUSIVE] = "exclusive",
		[HMM_PLACE_COHERENT] = "coherent",
	};

	return (unsigned int)place < HMM_PLACE_NR ? name[place] : "?";
}
