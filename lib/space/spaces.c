// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * The attached spaces, each at a place of its own. A thread that walks them takes no lock: it may
 * have been called from within an allocator, which holds a lock of its own, and a fork may come in
 * the middle. Instead a place counts its visitors. spaces_remove() takes the space off its place
 * and then waits until no visitor is left.
 */
#include "space/space.h"
#include "base/deadline.h"
#include "base/epoch.h"
#include "base/pool.h"

#include <errno.h>

struct place {
	struct hmm_mm *_Atomic mm;
	_Atomic uint32_t visitors;
};

#define PLACES 63

struct places {
	struct places *_Atomic next;
	struct place place[PLACES];
};

static struct places places;

void spaces_for_each(void (*fn)(struct hmm_mm *mm, void *arg), void *arg)
{
	epoch_look();
	for (struct places *p = &places; p; p = atomic_load(&p->next)) {
		for (int i = 0; i < PLACES; i++) {
			struct place *at = &p->place[i];
			struct hmm_mm *mm;

			if (!atomic_load_explicit(&at->mm, memory_order_relaxed))
				continue;
			atomic_fetch_add(&at->visitors, 1);
			mm = atomic_load(&at->mm);
			if (mm)
				fn(mm, arg);
			atomic_fetch_sub(&at->visitors, 1);
		}
	}
}

static struct places *next_places(struct places *p)
{
	struct places *next = atomic_load(&p->next);
	struct places *fresh;

	if (next)
		return next;
	fresh = pool_map(sizeof(*fresh));
	if (!fresh || atomic_compare_exchange_strong(&p->next, &next, fresh))
		return fresh;
	pool_unmap(fresh, sizeof(*fresh));
	return next;
}

int spaces_add(struct hmm_mm *mm)
{
	for (struct places *p = &places; p; p = next_places(p)) {
		for (int i = 0; i < PLACES; i++) {
			struct hmm_mm *none = NULL;

			if (!atomic_load(&p->place[i].visitors) &&
			    atomic_compare_exchange_strong(&p->place[i].mm, &none, mm))
				return 0;
		}
	}
	return -ENOMEM;
}

void spaces_remove(struct hmm_mm *mm)
{
	for (struct places *p = &places; p; p = atomic_load(&p->next)) {
		for (int i = 0; i < PLACES; i++) {
			struct hmm_mm *it = mm;

			if (!atomic_compare_exchange_strong(&p->place[i].mm, &it, NULL))
				continue;
			for (unsigned int n = 0; atomic_load(&p->place[i].visitors); n++)
				deadline_pause(n);
			return;
		}
	}
}

void spaces_forget(void)
{
	for (struct places *p = &places; p; p = atomic_load(&p->next)) {
		for (int i = 0; i < PLACES; i++) {
			atomic_store(&p->place[i].mm, NULL);
			atomic_store(&p->place[i].visitors, 0);
		}
	}
}
