// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * Coherent device memory: the page lies at the program's address, where both sides reach it, and is
 * one of the region's. So there is no fault to answer, and this index says which frame of the
 * region the page takes. It is kept apart from that of the pages that are away.
 */
#include "devmem/devmem.h"
#include "base/deadline.h"
#include "base/nocancel.h"
#include "base/number.h"
#include "base/pool.h"

#include <errno.h>

int coherent_init(struct devmem_space *s)
{
	struct devmem_space *index = pool_map(sizeof(*index));

	if (!index)
		return -ENOMEM;
	index->page = s->page;
	index->block = s->block;
	objpool_init(&index->blocks, sizeof(struct block));
	objpool_init(&index->arrays, BLOCK_PAGES * sizeof(place_t));
	s->coherent = index;
	return 0;
}

void coherent_fini(struct devmem_space *s)
{
	if (!s->coherent)
		return;
	objpool_fini(&s->coherent->blocks);
	objpool_fini(&s->coherent->arrays);
	pool_unmap(s->coherent, sizeof(*s->coherent));
}

place_t coherent_at(const struct devmem_space *s, uint64_t addr)
{
	return place_at(s->coherent, addr);
}

bool coherent_next(const struct devmem_space *s, uint64_t start, uint64_t end,
		   const struct hmm_devmem *only, struct run *run)
{
	return places_next(s->coherent, start, end, only, run);
}

int coherent_put(struct devmem_space *s, uint64_t start, uint64_t end, place_t first)
{
	struct devmem_space *index = s->coherent;

	if (!index->reserve)
		index->reserve = objpool_get(&index->arrays);
	return index->reserve ? places_put(index, start, end, first, false) : -ENOMEM;
}

static void forget(struct devmem_space *s, uint64_t start, uint64_t end, bool dropped)
{
	struct run run;

	for (uint64_t at = start; coherent_next(s, at, end, NULL, &run); at = run.end) {
		struct hmm_devmem *d = place_devmem(s, run.first);

		if (places_take(s->coherent, run.start, run.end))
			continue;
		frames_free(d, place_frame(run.first), (uint32_t)((run.end - run.start) / s->page),
			    false);
		count(dropped ? &d->stats.dropped : &d->stats.moved_home, run.end - run.start);
	}
}

void coherent_forget(struct devmem_space *s, uint64_t start, uint64_t end)
{
	forget(s, start, end, false);
}

void coherent_drop(struct devmem_space *s, uint64_t start, uint64_t end)
{
	forget(s, start, end, true);
}

/* The row is now at `to`; a part for which there is no memory becomes the system's. */
static void put(struct devmem_space *s, const struct run *run, uint64_t to)
{
	struct hmm_devmem *d = place_devmem(s, run->first);

	for (uint64_t at = run->start, bytes; at < run->end; at += bytes) {
		const uint64_t new = to + (at - run->start);
		const place_t first = run->first + (place_t)((at - run->start) / s->page);

		bytes = min64(s->block - (new &(s->block - 1)), run->end - at);
		if (!coherent_put(s, new, new + bytes, first))
			continue;
		frames_free(d, place_frame(first), (uint32_t)(bytes / s->page), false);
		count(&d->stats.moved_home, bytes);
	}
}

void coherent_rekey(struct devmem_space *s, uint64_t start, uint64_t end, uint64_t to)
{
	struct run run;

	for (uint64_t at = start; coherent_next(s, at, end, NULL, &run); at = run.end) {
		if (!places_take(s->coherent, run.start, run.end))
			put(s, &run, to + (run.start - start));
	}
}
