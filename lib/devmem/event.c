// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * What becomes of pages that are away when the program unmaps, moves or discards their addresses,
 * or forks without libc. All this is told before anybody else may move a page (moving.h).
 */
#include "devmem/copy.h"
#include "devmem/devmem.h"
#include "space/space.h"
#include "space/turn.h"
#include "provider/provider.h"
#include "base/itree.h"
#include "base/log.h"
#include "base/mutation.h"
#include "base/number.h"
#include "base/raw.h"

#include <errno.h>
#include <string.h>

static void drop(struct devmem_space *s, uint64_t start, uint64_t end)
{
	struct run run;
	uint64_t at = start;

	if (hmm_mutation(HMM_MUTATION_KEEP_PLACE))
		return;
	for (; places_next(s, at, end, NULL, &run); at = run.end) {
		struct hmm_devmem *d = place_devmem(s, run.first);
		const uint64_t bytes = run.end - run.start;

		if (places_take(s, run.start, run.end))
			continue;
		if (hmm_mutation(HMM_MUTATION_KEEP_FRAME))
			continue;
		frames_free(d, place_frame(run.first), (uint32_t)(bytes / s->page), true);
		count(&d->stats.dropped, bytes);
	}
}

/* The row is now at `to`, which need not be aligned as it was. */
static void put(struct devmem_space *s, const struct run *run, uint64_t to)
{
	uint64_t at = run->start;

	while (at < run->end) {
		const uint64_t new = to + (at - run->start);
		const uint64_t room = s->block - (new &(s->block - 1));
		const uint64_t bytes = min64(room, run->end - at);
		const place_t first = run->first + (place_t)((at - run->start) / s->page);

		if (places_put(s, new, new + bytes, first, run->huge && bytes == s->block))
			log_say(HMM_LOG_ERROR, "no memory to know where pages in device memory "
					       "belong: their content is lost.");
		at += bytes;
	}
}

static void rekey(struct devmem_space *s, uint64_t start, uint64_t end, uint64_t to)
{
	struct run run;
	uint64_t at = start;

	if (hmm_mutation(HMM_MUTATION_NO_REKEY))
		return;
	for (; places_next(s, at, end, NULL, &run); at = run.end) {
		frames_revoke(place_devmem(s, run.first), place_frame(run.first),
			      (uint32_t)((run.end - run.start) / s->page));
		if (!places_take(s, run.start, run.end))
			put(s, &run, to + (run.start - start));
	}
}

/* ---- forks ----------------------------------------------------------------------------------- */

#define TRIES 100

/*
 * Gives the child its copy of a page. What is on a device alone is SIGBUS there. A copy of what is
 * not there would wait for the pump, which this is. It is made one of zeros; if that cannot be as
 * another event waits the child has none either.
 */
static int64_t give_page(struct hmm_mm *mm, int fd, uint64_t at, uint64_t from)
{
	const struct provider_move *ops = mm->provider.ops->move;
	const uint64_t page = devmem_of(mm)->page;

	if (!from && !hmm_mutation(HMM_MUTATION_LOST_ZEROS))
		return ops->poison(fd, at, page);
	if (!from)
		from = (uint64_t)(uintptr_t)devmem_of(mm)->zeros;
	if (ops->zero(&mm->provider, from, page) == -EAGAIN && !page_is(mm, from, PAGE_IS_HERE))
		return (int64_t)page;
	return ops->copy_into(fd, at, from, page);
}

/* The same of a row. False: it lacks one. */
static bool give_row(struct hmm_mm *mm, int fd, const struct run *run)
{
	const struct devmem_space *s = devmem_of(mm);
	unsigned int tries = 0;

	for (uint64_t at = run->start; at < run->end;) {
		const place_t place = run->first + (place_t)((at - run->start) / s->page);
		int64_t n = give_page(mm, fd, at, copy_source(s, place));

		if (n == -EAGAIN && tries++ < TRIES)
			continue;
		/* The child has no such memory (MADV_DONTFORK). */
		if (n == -ENOENT || n == -EEXIST || n == -EINVAL || n == -ESRCH)
			n = (int64_t)s->page;
		if (n < 0)
			return false;
		at += (uint64_t)n;
	}
	return true;
}

static void copy_all(struct hmm_mm *mm, int fd)
{
	const struct devmem_space *s = devmem_of(mm);
	bool whole = true;
	struct run run;

	for (uint64_t at = 0; places_next(s, at, UINT64_MAX, NULL, &run); at = run.end) {
		if (place_devmem(s, run.first)->alias)
			continue; /* the child shares it */
		whole &=
			fd >= 0 && (hmm_mutation(HMM_MUTATION_FORK_AWAY) || give_row(mm, fd, &run));
	}
	if (!whole)
		log_say(HMM_LOG_ERROR, "a child that was not made by fork(3) lacks pages that are "
				       "in device memory: it reads zeros there.");
}

/* ---- all ------------------------------------------------------------------------------------- */

static void faulted(struct devmem_space *s, uint64_t addr)
{
	addr &= ~(s->page - 1);
	for (uint32_t i = 0; i < s->faults; i++) {
		if (s->fault[i] == addr)
			return;
	}
	if (s->faults == FAULTS_MAX) {
		s->wake_all = true;
		return;
	}
	s->fault_since[s->faults] = 0;
	s->fault[s->faults++] = addr;
}

static void put_trapped(struct devmem_space *s, uint64_t start, uint64_t end)
{
	struct itree_node *n = start < end ? objpool_get(&s->blocks) : NULL;

	if (!n)
		return;
	n->start = start;
	n->end = end;
	itree_insert(&s->trapped, n);
}

static void untrap(struct devmem_space *s, uint64_t start, uint64_t end)
{
	struct itree_node *n;

	/* A hint: what is forgotten is trapped once more. */
	while ((n = itree_first(&s->trapped, start, end))) {
		const struct itree_node was = *n;

		itree_remove(&s->trapped, n);
		objpool_put(&s->blocks, n);
		put_trapped(s, was.start, min64(was.end, start));
		put_trapped(s, max64(was.start, end), was.end);
	}
}

void devmem_note_trapped(struct devmem_space *s, uint64_t start, uint64_t end)
{
	const struct itree_node *n = itree_first(&s->trapped, start, end);

	if (!n || n->start > start || n->end < end)
		put_trapped(s, start, end);
}

bool devmem_trapped(struct hmm_mm *mm, uint64_t start, uint64_t end)
{
	const struct devmem_space *s = devmem_of(mm);
	bool ret;

	if (!s)
		return false;
	turn_take(mm);
	ret = itree_first(&s->trapped, start, end);
	turn_end(mm);
	return ret;
}

/* The kernel has moved the registration along. */
static void trap_moved(struct devmem_space *s, const struct provider_event *e)
{
	if (itree_first(&s->trapped, e->start, e->end))
		put_trapped(s, e->to, e->to + (e->end - e->start));
}

bool devmem_untrap_next(struct hmm_mm *mm, uint64_t *start, uint64_t *end)
{
	struct devmem_space *s = devmem_of(mm);
	struct itree_node *n;

	if (!s)
		return false;
	turn_take(mm);
	n = itree_first(&s->trapped, 0, UINT64_MAX);
	if (n) {
		*start = n->start;
		*end = n->end;
		itree_remove(&s->trapped, n);
		objpool_put(&s->blocks, n);
	}
	turn_end(mm);
	return n;
}

void devmem_event(struct hmm_mm *mm, const struct provider_event *e)
{
	struct devmem_space *s = devmem_of(mm);

	if (e->type == PROVIDER_HOME)
		return;
	if (s && e->type != PROVIDER_FORK && e->type != PROVIDER_FAULT && e->end == UINT64_MAX) {
		s->confused = s->wake_all = true;
		coherent_forget(s, 0, UINT64_MAX);
	} else if (s && (e->type == PROVIDER_UNMAP || e->type == PROVIDER_REMOVE)) {
		drop(s, e->start, e->end);
		coherent_drop(s, e->start, e->end);
	} else if (s && e->type == PROVIDER_MOVE && stage_has(s, e->to) &&
		   !hmm_mutation(HMM_MUTATION_STAGE_EVENT)) {
		return; /* the places say so already */
	} else if (s && e->type == PROVIDER_MOVE) {
		atomic_fetch_add(&s->moves, 1);
		rekey(s, e->start, e->end, e->to);
		coherent_rekey(s, e->start, e->end, e->to);
		trap_moved(s, e);
	} else if (s && e->type == PROVIDER_FORK) {
		copy_all(mm, (int)e->to - 1);
		/* A write of one of the two makes a copy that is not the region's. */
		coherent_forget(s, 0, UINT64_MAX);
	} else if (s && e->type == PROVIDER_FAULT) {
		faulted(s, e->start);
	}
	if (s && e->type == PROVIDER_UNMAP && e->end != UINT64_MAX)
		untrap(s, e->start, e->end);
	if (e->type == PROVIDER_FORK && e->to)
		raw3(SYS_close, (long)e->to - 1, 0, 0);
}

bool devmem_any(struct hmm_mm *mm, uint64_t start, uint64_t end)
{
	const struct devmem_space *s = devmem_of(mm);
	struct run run;
	bool any;

	if (!s)
		return false;
	turn_take(mm);
	any = places_next(s, start, end, NULL, &run);
	turn_end(mm);
	return any;
}
