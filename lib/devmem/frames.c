// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * The frames of a region: address space of the library's own, trapped with the same userfaultfd as
 * the program's memory, which the kernel asks of what pages move to. A frame without a page takes
 * no memory. A child does not inherit it.
 *
 * A discard in the region raises an event, as the kernel knows one userfaultfd a mapping. So the
 * worker discards what nobody needs, never the pump.
 */
#include "devmem/copy.h"
#include "devmem/devmem.h"
#include "engine/gate.h"
#include "space/space.h"
#include "provider/provider.h"
#include "kernel/pagemap.h"
#include "base/mutation.h"
#include "base/pool.h"

#include <errno.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>

static bool bit(const uint64_t *map, uint32_t i)
{
	return map[i / 64] >> i % 64 & 1;
}

static void set_bit(uint64_t *map, uint32_t i, bool on)
{
	const uint64_t mask = 1ULL << i % 64;

	map[i / 64] = on ? map[i / 64] | mask : map[i / 64] & ~mask;
}

static void set_bits(uint64_t *map, uint32_t first, uint32_t n, bool on)
{
	const uint32_t end = first + n;
	uint32_t next;

	if (n == 1) {
		set_bit(map, first, on);
		return;
	}
	for (uint32_t i = first; i < end; i = next) {
		const uint32_t low = i % 64;
		uint64_t bits = UINT64_MAX << low;

		next = i - low + 64;
		if (next > end) {
			next = end;
			bits &= UINT64_MAX >> (64 - (next - i + low));
		}
		map[i / 64] = on ? map[i / 64] | bits : map[i / 64] & ~bits;
	}
}

static bool block_is_free(const struct hmm_devmem *d, uint32_t first)
{
	for (uint32_t i = 0; i < BLOCK_PAGES / 64; i++) {
		if (d->in_use[first / 64 + i])
			return false;
	}
	return true;
}

bool frames_split(const struct hmm_devmem *d, uint32_t first)
{
	return bit(d->split, first / BLOCK_PAGES);
}

/* A free block that is split, or not. */
static bool find_block(const struct hmm_devmem *d, bool split, uint32_t *first)
{
	const uint32_t blocks = d->frames / BLOCK_PAGES;
	const uint32_t from = d->next / BLOCK_PAGES;

	for (uint32_t i = 0; i < blocks; i++) {
		*first = (from + i) % blocks * BLOCK_PAGES;
		if (frames_split(d, *first) == split && block_is_free(d, *first))
			return true;
	}
	return false;
}

/* How many frames there are in free blocks that follow each other. */
static uint32_t blocks_from(const struct hmm_devmem *d, bool split_too, uint32_t first,
			    uint32_t want)
{
	const uint32_t end = d->frames - d->frames % BLOCK_PAGES;
	uint32_t n = BLOCK_PAGES;

	while (n < want && first + n < end && block_is_free(d, first + n) &&
	       (split_too || !frames_split(d, first + n)))
		n += BLOCK_PAGES;
	return n;
}

/* The frames from `first` on are unsplit again, if they can be. */
static bool renew(struct hmm_devmem *d, uint32_t first, uint32_t n)
{
	const struct provider *p = &d->mm->provider;
	const uint64_t start = d->base + first * d->space->page;
	const uint64_t bytes = n * d->space->page;
	void *map = (void *)(uintptr_t)start;

	/* A late store of an engine that was run over may still come. */
	if (d->alias || gate_has_overrun(d->mm) || pool_locks_all() ||
	    p->ops->unwatch(p, start, start + bytes))
		return false;
	if (!pool_renew(map, bytes)) {
		if (!p->ops->move->trap(p, start, start + bytes))
			return false;
	} else if (!madvise(map, bytes, MADV_WIPEONFORK) &&
		   !p->ops->move->trap(p, start, start + bytes) && pool_open(map, bytes)) {
		set_bits(d->split, first / BLOCK_PAGES, n / BLOCK_PAGES, false);
		return true;
	}
	set_bits(d->in_use, first, n, true);
	d->used += n;
	d->unusable += n;
	return false;
}

/* Blocks for huge pages: unsplit ones, or such as become so. */
static uint32_t find_huge(struct hmm_devmem *d, uint32_t want, uint32_t *first)
{
	if (!find_block(d, false, first)) {
		if (!find_block(d, true, first))
			return 0;
		if (!renew(d, *first, blocks_from(d, true, *first, want)))
			return block_is_free(d, *first) ? BLOCK_PAGES : 0;
	}
	return blocks_from(d, false, *first, want);
}

/* A free frame at d->next or behind, around the end. The region is not full. */
static uint32_t find_frame(const struct hmm_devmem *d)
{
	uint32_t i = d->next % d->frames;

	while (bit(d->in_use, i)) {
		if (!(i % 64) && d->in_use[i / 64] == UINT64_MAX)
			i += 63;
		i = (i + 1) % d->frames;
	}
	return i;
}

static void note_split(struct hmm_devmem *d, uint32_t first, uint32_t n)
{
	set_bits(d->split, first / BLOCK_PAGES,
		 (first + n - 1) / BLOCK_PAGES - first / BLOCK_PAGES + 1, true);
}

void frames_torn(struct hmm_devmem *d, uint32_t frame)
{
	note_split(d, frame, 1);
}

uint32_t frames_take(struct hmm_devmem *d, uint32_t want, bool whole, bool huge, uint32_t *first)
{
	uint32_t n = 0;

	if (d->used == d->frames)
		return 0;
	if (whole && huge) {
		n = find_huge(d, want, first);
	} else if (whole) {
		if (find_block(d, true, first) || find_block(d, false, first))
			n = BLOCK_PAGES;
	} else {
		*first = find_frame(d);
		while (n < want && *first + n < d->frames && !bit(d->in_use, *first + n))
			n++;
	}
	if (!n)
		return 0;
	set_bits(d->in_use, *first, n, true);
	if (!huge)
		note_split(d, *first, n);
	d->used += n;
	d->next = (*first + n) % d->frames;
	return n;
}

void frames_untake(struct hmm_devmem *d, uint32_t first, uint32_t n)
{
	set_bits(d->in_use, first, n, false);
	d->used -= n;
	d->next = first;
}

void frames_abandon(struct hmm_devmem *d, uint32_t first, uint32_t n, bool keep)
{
	for (uint32_t i = first; i < first + n; i++) {
		if (!bit(d->to_free, i)) {
			if (!keep)
				frames_untake(d, i, 1);
			continue;
		}
		if (!keep)
			continue;
		set_bits(d->to_free, i, 1, false);
		set_bits(d->full, i, 1, false);
		d->dying--;
	}
}

bool frames_lend(struct hmm_devmem *d, bool block, uint32_t *first)
{
	const uint32_t n = frames_take(d, block ? BLOCK_PAGES : 1, block, block, first);

	if (n)
		set_bits(d->lent, *first, n, true);
	return n;
}

bool frames_are_lent(const struct hmm_devmem *d, uint32_t first, uint32_t n)
{
	for (uint32_t i = first; i < first + n; i++) {
		if (!bit(d->lent, i))
			return false;
	}
	return true;
}

void frames_use(struct hmm_devmem *d, uint32_t first, uint32_t n, bool huge)
{
	set_bits(d->lent, first, n, false);
	if (!huge)
		note_split(d, first, n);
}

/* Has a driver written something there? */
static bool are_written(const struct hmm_devmem *d, uint32_t first, uint32_t n)
{
	const uint64_t start = d->base + first * d->space->page;
	struct page_run run;
	uint64_t walked;
	size_t found = 1;

	return pagemap_runs(mm_pagemap(d->mm), start, start + n * d->space->page, &run, &found,
			    &walked) ||
	       found;
}

void frames_unlend(struct hmm_devmem *d, uint32_t first, uint32_t n)
{
	const bool full = are_written(d, first, n);

	set_bits(d->lent, first, n, false);
	if (full)
		note_split(d, first, n);
	frames_free(d, first, n, full);
}

void frames_revoke(struct hmm_devmem *d, uint32_t first, uint32_t n)
{
	/* An alias that was kept would be a crash. */
	if (hmm_mutation(HMM_MUTATION_NO_REVOKE) && !d->alias)
		return;
	if (d->alias && gate_has_overrun(d->mm))
		alias_cut(d, first, n);
	for (uint32_t i = first; d->freed && i < first + n; i++)
		atomic_fetch_add(&d->freed[i], 1);
}

static void free_row(struct hmm_devmem *d, uint32_t first, uint32_t n, bool full)
{
	if (!full && !d->options.page_free) {
		frames_untake(d, first, n);
		return;
	}
	set_bits(d->to_free, first, n, true);
	set_bits(d->full, first, n, full);
	d->dying += n;
	worker_wake(d->space);
}

void frames_free(struct hmm_devmem *d, uint32_t first, uint32_t n, bool full)
{
	/* A late store of an engine that was run over may still come. */
	const bool late = gate_has_overrun(d->mm);

	if (d->stage)
		return; /* it is emptied as a whole */
	frames_revoke(d, first, n);
	full |= late;
	if (!d->copier) {
		free_row(d, first, n, full);
		return;
	}
	for (uint32_t i = 0, row; i < n; i += row) {
		bool needs;

		row = n - i;
		needs = copy_free(d, first + i, &row, full) || late;
		free_row(d, first + i, row, needs);
	}
}

/* What the copier works on waits until it is done. */
static bool is_dying(const struct hmm_devmem *d, uint32_t i)
{
	return bit(d->to_free, i) && !(d->copier && copy_busy(d->copier, i)) &&
	       !(d->alias && alias_in_transit(d, i, 1));
}

bool frames_dying(const struct hmm_devmem *d, uint32_t *first, uint32_t *n, bool *full)
{
	uint32_t i = 0;

	if (!d->dying)
		return false;
	while (i < d->frames && !is_dying(d, i))
		i += !(i % 64) && !d->to_free[i / 64] ? 64 : 1;
	if (i >= d->frames)
		return false;
	*first = i;
	*full = bit(d->full, i);
	while (++i < d->frames && is_dying(d, i) && bit(d->full, i) == *full)
		;
	*n = i - *first;
	return true;
}

void frames_freed(struct hmm_devmem *d, uint32_t first, uint32_t n)
{
	set_bits(d->to_free, first, n, false);
	set_bits(d->full, first, n, false);
	d->dying -= n;
	frames_untake(d, first, n);
}

static uint64_t map_bytes(const struct hmm_devmem *d)
{
	return (d->frames + 63) / 64 * sizeof(uint64_t);
}

int frames_init(struct hmm_devmem *d)
{
	const struct devmem_space *s = d->space;
	int err;

	d->frames = (uint32_t)(d->options.bytes / s->page);
	d->map_bytes = d->options.bytes + s->block;
	d->map = d->alias ? pool_reserve(d->map_bytes) : pool_map_lazily(d->map_bytes);
	d->in_use = pool_map(map_bytes(d));
	d->to_free = pool_map(map_bytes(d));
	d->full = pool_map(map_bytes(d));
	d->split = pool_map(map_bytes(d) / BLOCK_PAGES + sizeof(*d->split));
	d->lent = pool_map(map_bytes(d));
	if (d->exclusive || d->isolates)
		d->freed = pool_map(d->frames * sizeof(*d->freed));
	if (!d->map || !d->in_use || !d->to_free || !d->full || !d->split || !d->lent ||
	    ((d->exclusive || d->isolates) && !d->freed))
		return -ENOMEM;
	d->base = ((uint64_t)(uintptr_t)d->map + s->block - 1) & ~(s->block - 1);
	/*
	 * Not MADV_DONTFORK: the kernel would give the addresses to other memory of the child,
	 * which the pool would take for ours.
	 */
	if (madvise(d->map, d->map_bytes, MADV_WIPEONFORK))
		return -ENOMEM;
	if (d->alias)
		return 0;
	err = d->mm->provider.ops->move->trap(&d->mm->provider, (uint64_t)(uintptr_t)d->map,
					      (uint64_t)(uintptr_t)d->map + d->map_bytes);
	return err;
}

void frames_unwatch(struct hmm_devmem *d)
{
	const uint64_t start = (uint64_t)(uintptr_t)d->map;

	/* Then the unmapping waits for nobody. If the space is lost there is nobody to wait for. */
	if (d->map)
		d->mm->provider.ops->unwatch(&d->mm->provider, start, start + d->map_bytes);
}

void frames_unmap(struct hmm_devmem *d)
{
	pool_unmap(d->map, d->map_bytes);
	pool_unmap(d->in_use, map_bytes(d));
	pool_unmap(d->to_free, map_bytes(d));
	pool_unmap(d->full, map_bytes(d));
	pool_unmap(d->split, map_bytes(d) / BLOCK_PAGES + sizeof(*d->split));
	pool_unmap(d->lent, map_bytes(d));
	pool_unmap((void *)d->freed, d->frames * sizeof(*d->freed));
}
