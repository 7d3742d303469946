// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * Pages in device memory, as the kernel's walk sees them: those of the caller's own regions are
 * reported and not faulted, all others come home if something is requested of them. What moves
 * meanwhile changes the sequence.
 */
#include "range/walk.h"
#include "devmem/copy.h"
#include "devmem/devmem.h"
#include "space/space.h"
#include "space/turn.h"
#include "base/deadline.h"
#include "base/number.h"

#include <errno.h>
#include <sys/mman.h>

/* The next row in regions of the owner. R is held. */
static bool next_own(const struct devmem_space *s, const void *owner, uint64_t start, uint64_t end,
		     struct run *run)
{
	for (uint64_t at = start; places_next(s, at, end, NULL, run); at = run->end) {
		const struct hmm_devmem *d = place_devmem(s, run->first);

		if (d->options.owner == owner && copy_owned(d, run))
			return true;
	}
	return false;
}

bool walk_device_next(const struct walk *w, uint64_t start, uint64_t end, struct run *run,
		      uint64_t *addr)
{
	const struct devmem_space *s = devmem_of(w->mm);
	const void *owner = w->range->dev_private_owner;
	bool found;

	if (!s || !owner)
		return false;
	pthread_mutex_lock(&w->mm->region_lock);
	turn_take(w->mm);
	found = next_own(s, owner, start, end, run);
	if (found)
		*addr = place_addr(s, run->first);
	turn_end(w->mm);
	pthread_mutex_unlock(&w->mm->region_lock);
	return found;
}

/* Is something of the range on its way to the caller's own device? */
static bool comes(const struct walk *w, uint64_t start, uint64_t end)
{
	bool coming;

	if (!w->range->dev_private_owner || !devmem_of(w->mm)->copiers)
		return false;
	pthread_mutex_lock(&w->mm->region_lock);
	turn_take(w->mm);
	coming = copy_coming(devmem_of(w->mm), w->range->dev_private_owner, start, end);
	turn_end(w->mm);
	pthread_mutex_unlock(&w->mm->region_lock);
	return coming;
}

int walk_device_home(struct walk *w, uint64_t start, uint64_t end)
{
	int err;

	if (!devmem_of(w->mm))
		return 0;
	if (comes(w, start, end))
		return -EBUSY;
	err = devmem_home(w->mm, start, end, NULL, deadline_left_ns(w->deadline));
	if (!err)
		err = devmem_fill(w->mm, start, end, w->deadline);
	return err == -EAGAIN ? -EBUSY : err;
}

static void fill_run(struct walk *w, const struct hmm_vma *vma, const struct run *run,
		     uint64_t addr)
{
	const struct devmem_space *s = devmem_of(w->mm);
	const unsigned int order =
		run->huge ? (unsigned int)__builtin_ctzll(s->block / HMM_PAGE_SIZE) : 0;
	const uint64_t flags = HMM_PFN_VALID | HMM_PFN_DEVICE_PRIVATE |
			       (vma->prot & PROT_WRITE ? HMM_PFN_WRITE : 0) |
			       (uint64_t)order << HMM_PFN_ORDER_SHIFT;

	fill_elsewhere(w, run->start, run->end, flags, addr);
}

void walk_device_fill(struct walk *w, const struct hmm_vma *vma, uint64_t start, uint64_t end)
{
	struct run run;
	uint64_t addr;

	/* The array of entries is the program's: no lock is held when it is written. */
	while (walk_device_next(w, start, end, &run, &addr)) {
		fill_empty(w, start, run.start, 0);
		fill_run(w, vma, &run, addr);
		start = run.end;
	}
	fill_empty(w, start, end, 0);
}

/* The next row in coherent regions of the owner. */
static bool coherent_row(const struct walk *w, uint64_t start, uint64_t end, struct run *run)
{
	const struct devmem_space *s = devmem_of(w->mm);
	bool found = false;

	pthread_mutex_lock(&w->mm->region_lock);
	turn_take(w->mm);
	while (!found && coherent_next(s, start, end, NULL, run)) {
		found = place_devmem(s, run->first)->options.owner == w->range->dev_private_owner;
		start = run->end;
	}
	turn_end(w->mm);
	pthread_mutex_unlock(&w->mm->region_lock);
	return found;
}

void walk_coherent(struct walk *w, uint64_t start, uint64_t end)
{
	const struct devmem_space *s = devmem_of(w->mm);
	struct run run;

	if (!s || !atomic_load(&s->coherent_regions) || !w->range->dev_private_owner)
		return;
	for (; coherent_row(w, start, end, &run); start = run.end) {
		for (uint64_t at = max64(run.start, start); at < min64(run.end, end);
		     at += HMM_PAGE_SIZE) {
			uint64_t *entry = walk_entry(w, at);

			if (*entry & HMM_PFN_VALID && !(*entry & HMM_PFN_DEVICE_PRIVATE))
				*entry |= HMM_PFN_DEVICE_COHERENT;
		}
	}
}
