// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* A part of a region is emptied, as its device says, by its frames. */
#include "migrate/migrate.h"
#include "space/debug.h"
#include "space/space.h"
#include "space/turn.h"
#include "base/nocancel.h"
#include "base/pool.h"

#include <errno.h>

/* What is known of each frame of the region. */
enum { EMPTY, HOLDS, HOLDS_HUGE };

static bool next(const struct hmm_devmem *d, uint64_t at, struct run *run)
{
	return d->transit ? coherent_next(d->space, at, UINT64_MAX, d, run)
			  : places_next(d->space, at, UINT64_MAX, d, run);
}

/* A byte a frame. NULL: no memory. */
static uint8_t *take_stock(struct hmm_devmem *d)
{
	uint8_t *held = pool_map(d->frames);
	struct run run;

	if (!held)
		return NULL;
	pthread_mutex_lock(&d->mm->region_lock);
	turn_take(d->mm);
	for (uint64_t at = 0; next(d, at, &run); at = run.end) {
		const uint32_t n = (uint32_t)((run.end - run.start) / d->space->page);

		for (uint32_t i = 0; i < n; i++)
			held[place_frame(run.first) + i] = run.huge ? HOLDS_HUGE : HOLDS;
	}
	turn_end(d->mm);
	pthread_mutex_unlock(&d->mm->region_lock);
	return held;
}

static bool frame_of(const struct hmm_devmem *d, uint64_t addr, uint32_t *frame)
{
	const uint64_t offset = addr - d->base;

	*frame = (uint32_t)(offset / d->space->page);
	return offset < d->options.bytes && !(offset & (d->space->page - 1));
}

static int check(const struct hmm_devmem *d, const uint64_t *src)
{
	if (!d || !src)
		return -EINVAL;
	return mm_alive(d->mm);
}

/* ---- what is there --------------------------------------------------------------------------- */

static bool is_huge(const uint8_t *held, uint32_t frame, uint32_t end)
{
	return held[frame] == HOLDS_HUGE && !(frame % BLOCK_PAGES) && end - frame >= BLOCK_PAGES;
}

int hmm_migrate_device_range(struct hmm_devmem *d, uint64_t *src, uint64_t start, uint64_t npages)
{
	DEBUG_CALL(d ? d->mm : NULL, DEBUG_BLOCKS);
	HMM_NO_CANCEL;
	const uint64_t what = HMM_MIGRATE_PFN_VALID | HMM_MIGRATE_PFN_MIGRATE;
	uint32_t first;
	uint8_t *held;
	int err = check(d, src);

	if (err)
		return err;
	if (!frame_of(d, start, &first) || npages > d->frames - first)
		return -EINVAL;
	held = take_stock(d);
	if (!held)
		return -ENOMEM;
	for (uint32_t i = 0, n; i < npages; i += n) {
		const bool huge = is_huge(held, first + i, first + (uint32_t)npages);

		n = huge ? BLOCK_PAGES : 1;
		src[i] = held[first + i] ? what | (start + i * d->space->page) : 0;
		src[i] |= huge ? HMM_MIGRATE_PFN_COMPOUND : 0;
		for (uint32_t k = 1; k < n; k++)
			src[i + k] = 0;
	}
	pool_unmap(held, d->frames);
	return 0;
}

/* Are all of them in the region? */
static bool are_frames(const struct hmm_devmem *d, const uint64_t *src, uint64_t npages)
{
	uint32_t frame;

	for (uint64_t i = 0; i < npages; i++) {
		const bool whole = src[i] & HMM_MIGRATE_PFN_COMPOUND;

		if (src[i] && (!frame_of(d, hmm_migrate_pfn_to_addr(src[i]), &frame) ||
			       (whole && d->frames - frame < BLOCK_PAGES)))
			return false;
	}
	return true;
}

int hmm_migrate_device_pfns(struct hmm_devmem *d, uint64_t *src, uint64_t npages)
{
	DEBUG_CALL(d ? d->mm : NULL, DEBUG_BLOCKS);
	HMM_NO_CANCEL;
	uint32_t frame;
	uint8_t *held;
	int err = check(d, src);

	if (err)
		return err;
	if (!are_frames(d, src, npages))
		return -EINVAL;
	held = take_stock(d);
	if (!held)
		return -ENOMEM;
	for (uint64_t i = 0; i < npages; i++) {
		const uint64_t addr = hmm_migrate_pfn_to_addr(src[i]);

		src[i] = src[i] && frame_of(d, addr, &frame) && held[frame]
				 ? addr | HMM_MIGRATE_PFN_VALID | HMM_MIGRATE_PFN_MIGRATE
				 : 0;
	}
	pool_unmap(held, d->frames);
	return 0;
}

/* ---- home ------------------------------------------------------------------------------------ */

static uint32_t frames_in(uint64_t entry)
{
	return entry & HMM_MIGRATE_PFN_COMPOUND ? BLOCK_PAGES : 1;
}

static bool is_to_go(uint64_t src, uint64_t dst)
{
	return src & HMM_MIGRATE_PFN_MIGRATE && dst & HMM_MIGRATE_PFN_SYSTEM;
}

/* The next row of pages that are in frames of which `goes` says so. */
static bool next_to_go(struct hmm_devmem *d, const uint8_t *goes, uint64_t at, struct run *run)
{
	const uint64_t page = d->space->page;
	bool found = false;

	pthread_mutex_lock(&d->mm->region_lock);
	turn_take(d->mm);
	for (; !found && next(d, at, run); at = run->end) {
		const uint32_t n = (uint32_t)((run->end - run->start) / page);
		const uint8_t *g = goes + place_frame(run->first);
		uint32_t i = 0, k;

		while (i < n && !g[i])
			i++;
		for (k = i; k < n && g[k]; k++)
			;
		found = i < n;
		if (found && k < n)
			run->end = run->start + k * page;
		run->start += i * page;
	}
	turn_end(d->mm);
	pthread_mutex_unlock(&d->mm->region_lock);
	return found;
}

static int send_all(struct hmm_devmem *d, const uint8_t *goes, uint64_t timeout_ns)
{
	struct run run;
	int err = 0;

	for (uint64_t at = 0; next_to_go(d, goes, at, &run); at = run.end) {
		const int ret = migrate_home(d->mm, run.start, run.end, d, timeout_ns);

		if (ret == -ESRCH)
			return ret;
		err = err ? err : ret;
	}
	return err;
}

/* What is still there has not gone. */
static int report(struct hmm_devmem *d, uint64_t *src, const uint64_t *dst, uint64_t npages)
{
	const uint8_t *held = take_stock(d);
	uint32_t frame;

	if (!held)
		return -ENOMEM;
	for (uint64_t i = 0; i < npages; i++) {
		bool gone = is_to_go(src[i], dst[i]) &&
			    frame_of(d, hmm_migrate_pfn_to_addr(src[i]), &frame);

		for (uint32_t k = 0; gone && k < frames_in(src[i]); k++)
			gone = !held[frame + k];
		if (!gone)
			src[i] &= ~HMM_MIGRATE_PFN_MIGRATE;
	}
	pool_unmap((void *)held, d->frames);
	return 0;
}

int hmm_migrate_device_pages(struct hmm_devmem *d, uint64_t *src, const uint64_t *dst,
			     uint64_t npages, uint64_t timeout_ns)
{
	DEBUG_CALL(d ? d->mm : NULL, DEBUG_BLOCKS);
	HMM_NO_CANCEL;
	uint32_t frame;
	uint8_t *goes;
	int ret;
	int err = dst ? check(d, src) : -EINVAL;

	if (!err && !are_frames(d, src, npages))
		err = -EINVAL;
	if (err)
		return err;
	goes = pool_map(d->frames);
	if (!goes)
		return -ENOMEM;
	for (uint64_t i = 0; i < npages; i++) {
		if (!is_to_go(src[i], dst[i]) ||
		    !frame_of(d, hmm_migrate_pfn_to_addr(src[i]), &frame))
			continue;
		for (uint32_t k = 0; k < frames_in(src[i]); k++)
			goes[frame + k] = true;
	}
	err = send_all(d, goes, timeout_ns);
	pool_unmap(goes, d->frames);
	ret = report(d, src, dst, npages);
	return mm_lost_by(d->mm, err ? err : ret);
}
