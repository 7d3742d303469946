// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * The worker frees frames, when no engine can store into them any more: one that was run over in
 * its section may do so late, and must not hit the next page that lives there. It discards pages
 * that nobody needs, and tells the driver. A discard waits for the pump, and the driver's callback
 * may block, so neither is done with a lock, nor by the pump.
 */
#include "devmem/copy.h"
#include "devmem/devmem.h"
#include "space/turn.h"
#include "engine/gate.h"
#include "space/debug.h"
#include "space/space.h"
#include "base/futex.h"
#include "base/pool.h"

#include <errno.h>
#include <hmm/types.h>
#include <time.h>

struct work {
	struct hmm_devmem *d;
	uint32_t first;
	uint32_t n;
	bool full;
};

static bool find_work(struct devmem_space *s, struct work *w)
{
	bool found = false;

	pthread_mutex_lock(&s->mm->region_lock);
	turn_take(s->mm);
	for (uint32_t i = 1; !found && i <= REGIONS_MAX; i++) {
		w->d = s->region[i];
		found = w->d && frames_dying(w->d, &w->first, &w->n, &w->full);
	}
	turn_end(s->mm);
	pthread_mutex_unlock(&s->mm->region_lock);
	return found;
}

static void tell_driver(struct hmm_devmem *d, uint64_t start, uint64_t bytes)
{
	DEBUG_PROGRAM;
	d->options.page_free(d, start, bytes, d->options.priv);
}

static void work(struct devmem_space *s, const struct work *w)
{
	const uint64_t start = w->d->base + w->first * s->page;
	const uint64_t bytes = w->n * s->page;

	if (w->d->alias)
		alias_clear(w->d, w->first, w->n);
	else if (w->full)
		pool_discard((void *)(uintptr_t)start, bytes);
	if (w->full && w->d->copier)
		copier_empty(w->d->copier, w->first * s->page, bytes);
	if (w->d->options.page_free)
		tell_driver(w->d, start, bytes);
	pthread_mutex_lock(&s->mm->region_lock);
	turn_take(s->mm);
	frames_freed(w->d, w->first, w->n);
	turn_end(s->mm);
	pthread_mutex_unlock(&s->mm->region_lock);
}

/* Nobody tells when an engine leaves its section. */
static void nap(void)
{
	const struct timespec ts = { 0, 1000000 };

	nanosleep(&ts, NULL);
}

static void *worker_main(void *arg)
{
	struct devmem_space *s = arg;

	struct work w;
	uint32_t seen;

	while (ownthread_goes_on(&s->work, &s->stop, &seen)) {
		if (!find_work(s, &w))
			futex_wait(&s->work, seen, HMM_FOREVER);
		else if (gate_has_overrun(s->mm))
			nap();
		else
			work(s, &w);
	}
	return NULL;
}

int worker_start(struct devmem_space *s)
{
	return ownthread_start(&s->worker, worker_main, s, 0);
}

void worker_stop(struct devmem_space *s)
{
	atomic_store(&s->stop, 1);
	worker_wake(s);
	ownthread_join(&s->worker);
}
