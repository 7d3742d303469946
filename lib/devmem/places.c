// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * The index of places: a block for each aligned BLOCK_PAGES pages of the program of which some are
 * away. A block that is away as a whole, in a row, needs no array: 64 bytes. Otherwise its array
 * takes 4 bytes a page.
 */
#include "devmem/devmem.h"
#include "base/itree.h"
#include "base/number.h"
#include "base/pool.h"

#include <errno.h>

static struct block *block_first(const struct devmem_space *s, uint64_t start, uint64_t end)
{
	return (struct block *)itree_first(&s->places, start, end);
}

static uint32_t index_of(const struct devmem_space *s, uint64_t addr)
{
	return (uint32_t)((addr & (s->block - 1)) / s->page);
}

static place_t place_in(const struct block *b, uint32_t i)
{
	return b->page ? b->page[i] : b->first + i;
}

place_t place_at(const struct devmem_space *s, uint64_t addr)
{
	const struct block *b = block_first(s, addr, addr + 1);

	return b ? place_in(b, index_of(s, addr)) : 0;
}

static bool is_wanted(place_t place, const struct hmm_devmem *only)
{
	return place && (!only || place_region(place) == only->id);
}

/* The same in the block b. */
static bool next_in(const struct devmem_space *s, const struct block *b, uint64_t start,
		    uint64_t end, const struct hmm_devmem *only, struct run *run)
{
	const uint64_t from = max64(start, b->node.start);
	const uint32_t top = (uint32_t)((min64(end, b->node.end) - b->node.start) / s->page);
	uint32_t i = (uint32_t)((from - b->node.start) / s->page);

	while (i < top && !is_wanted(place_in(b, i), only))
		i++;
	if (i >= top)
		return false;
	run->first = place_in(b, i);
	run->start = b->node.start + i * s->page;
	for (uint32_t n = 1; ++i < top && place_in(b, i) == run->first + n; n++)
		;
	run->end = b->node.start + i * s->page;
	run->huge = b->huge;
	return true;
}

bool places_next(const struct devmem_space *s, uint64_t start, uint64_t end,
		 const struct hmm_devmem *only, struct run *run)
{
	for (struct itree_node *n = itree_first(&s->places, start, end); n;
	     n = itree_next(&s->places, n, start, end)) {
		if (next_in(s, (struct block *)n, start, end, only, run))
			return true;
	}
	return false;
}

void places_add_huge(const struct devmem_space *s, uint64_t end, struct run *run)
{
	place_t next = run->first + BLOCK_PAGES;

	for (; end - run->end >= s->block; next += BLOCK_PAGES) {
		const struct block *b = block_first(s, run->end, run->end + 1);

		if (!b || !b->huge || b->first != next ||
		    place_region(next) != place_region(run->first))
			return;
		run->end = b->node.end;
	}
}

/* The last one of which everything came home has its array still, if it had one. */
static struct block *block_new(struct devmem_space *s, uint64_t addr)
{
	struct block *b = s->spare ? s->spare : objpool_get(&s->blocks);

	s->spare = NULL;
	if (!b)
		return NULL;
	b->node.start = addr & ~(s->block - 1);
	b->node.end = b->node.start + s->block;
	return b;
}

/* Gives the block an array, which says the same. */
static int spread(struct devmem_space *s, struct block *b)
{
	place_t *page;

	if (b->page)
		return 0;
	page = objpool_get(&s->arrays);
	if (!page) {
		page = s->reserve;
		s->reserve = NULL;
	}
	if (!page)
		return -ENOMEM;
	for (uint32_t i = 0; b->first && i < BLOCK_PAGES; i++)
		page[i] = b->first + i;
	b->first = 0;
	b->huge = false;
	b->page = page;
	return 0;
}

static void block_drop(struct devmem_space *s, struct block *b)
{
	itree_remove(&s->places, &b->node);
	if (!b->n && b->page && !s->spare) {
		s->spare = b;
		return;
	}
	objpool_put(&s->arrays, b->page);
	objpool_put(&s->blocks, b);
}

static int put_in(struct devmem_space *s, uint64_t start, uint64_t end, place_t first, bool huge)
{
	const uint32_t n = (uint32_t)((end - start) / s->page);
	struct block *b = block_first(s, start, start + 1);
	const bool fresh = !b;

	if (fresh && !(b = block_new(s, start)))
		return -ENOMEM;
	if (n == BLOCK_PAGES) {
		b->first = first;
		b->huge = huge;
		objpool_put(&s->arrays, b->page);
		b->page = NULL;
	} else {
		if (spread(s, b)) {
			if (fresh)
				objpool_put(&s->blocks, b);
			return -ENOMEM;
		}
		for (uint32_t i = 0; i < n; i++)
			b->page[index_of(s, start) + i] = first + i;
	}
	b->n += n;
	if (fresh)
		itree_insert(&s->places, &b->node);
	return 0;
}

int places_put(struct devmem_space *s, uint64_t start, uint64_t end, place_t first, bool huge)
{
	int err = 0;

	for (uint64_t at = start, next; !err && at < end; at = next) {
		next = min64(end, block_above(s, at));
		err = put_in(s, at, next, first + (place_t)((at - start) / s->page), huge);
		/* Blocks as a whole, for which no memory is needed. */
		if (err)
			places_take(s, start, at);
	}
	return err;
}

static int take_in(struct devmem_space *s, struct block *b, uint64_t start, uint64_t end)
{
	const uint64_t from = max64(start, b->node.start);
	const uint64_t to = min64(end, b->node.end);

	if (from == b->node.start && to == b->node.end) {
		block_drop(s, b);
		return 0;
	}
	if (spread(s, b))
		return -ENOMEM;
	for (uint64_t at = from; at < to; at += s->page) {
		place_t *place = &b->page[index_of(s, at)];

		b->n -= *place != 0;
		*place = 0;
	}
	if (!b->n)
		block_drop(s, b);
	return 0;
}

int places_take(struct devmem_space *s, uint64_t start, uint64_t end)
{
	struct block *b;

	for (uint64_t at = start; at < end && (b = block_first(s, at, end));) {
		const uint64_t next = b->node.end;
		const int err = take_in(s, b, start, end);

		if (err)
			return err;
		at = next;
	}
	return 0;
}
