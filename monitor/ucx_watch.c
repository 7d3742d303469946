// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * A record for each region that a cache keeps. Of the states of record.h it has
 *
 *	STARTING	the watch begins, the memory is being pinned; changes are found afterwards
 *	ARMED		the region may be found
 *	DEAD		the range changed; it has not been delivered
 *	DELIVERED	it has
 *	FREE		the region is gone; the deliverer frees the record if it was DEAD
 *
 * Records lie in memory that is never watched, as the pump touches them.
 */
#include "deliver.h"
#include "monitor.h"
#include "mutation.h"
#include "record.h"
#include "space.h"
#include "ucx.h"

#include <errno.h>
#include <pthread.h>

#define SLAB_BYTES 65536

struct ucx_watch {
	struct record record; /* addr and len are those of the region */
	bool files;           /* a part is shared memory or a file's */
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* a leaf */
static struct ucx_watch *unused;                         /* lock; linked by record.link */
static _Atomic uint64_t with_files;

static void add_slab(void)
{
	struct ucx_watch *w = hmm_memory_alloc(SLAB_BYTES);

	for (size_t i = 0; w && i < SLAB_BYTES / sizeof(*w); i++) {
		w[i].record.link = (struct record *)unused;
		unused = w + i;
	}
}

static struct ucx_watch *take(void)
{
	struct ucx_watch *w;

	pthread_mutex_lock(&lock);
	if (!unused)
		add_slab();
	w = unused;
	if (w)
		unused = (struct ucx_watch *)w->record.link;
	pthread_mutex_unlock(&lock);
	return w;
}

static void give(struct ucx_watch *w)
{
	pthread_mutex_lock(&lock);
	w->record.link = (struct record *)unused;
	unused = w;
	pthread_mutex_unlock(&lock);
}

/* Runs on the pump. The beginning of a watch raises an event of its own, which finds STARTING. */
static int invalidate(struct hmm_interval_notifier *ni, const struct hmm_invalidation *inv,
		      void *priv)
{
	struct record *r = priv;
	uint32_t state = RECORD_ARMED;

	(void)ni;
	(void)inv;
	if (atomic_compare_exchange_strong(&r->state, &state, RECORD_DEAD)) {
		stats_add(&monitor_counters()->invalidations);
		deliver_push(r);
	}
	return 0;
}

static void let_go(struct ucx_watch *w)
{
	hmm_interval_notifier_remove(w->record.ni);
	if (w->files)
		atomic_fetch_sub(&with_files, 1);
	give(w);
}

void record_delivered(struct record *r)
{
	uint32_t state = RECORD_DEAD;

	if (!atomic_compare_exchange_strong(&r->state, &state, RECORD_DELIVERED))
		let_go((struct ucx_watch *)r);
}

/* A fork leaves pinned pages to the parent. */
static const struct hmm_interval_notifier_ops watch_ops = {
	.size = sizeof(watch_ops),
	.invalidate = invalidate,
	.ignored_events = HMM_EVENT_BIT(HMM_EVENT_FORK),
};

static struct hmm_range range_of(const struct ucx_watch *w)
{
	return (struct hmm_range){
		.size = sizeof(struct hmm_range),
		.notifier = w->record.ni,
		.notifier_seq = w->record.seq,
		.start = w->record.addr & ~(HMM_PAGE_SIZE - 1),
		.end = (w->record.addr + w->record.len + HMM_PAGE_SIZE - 1) & ~(HMM_PAGE_SIZE - 1),
	};
}

static int look(const struct hmm_vma *vma, void *arg)
{
	struct ucx_watch *w = arg;

	if (vma->kind == HMM_VMA_SYSV || vma->kind == HMM_VMA_SPECIAL)
		return -EOPNOTSUPP;
	w->files |= vma->kind != HMM_VMA_ANON;
	return 0;
}

static int begin(struct ucx_watch *w, struct hmm_mm *mm)
{
	struct hmm_range range = range_of(w);
	int err = hmm_interval_notifier_insert(mm, range.start, range.end - range.start, &watch_ops,
					       &w->record, &w->record.ni);

	if (err)
		return err;
	range.notifier = w->record.ni;
	err = hmm_range_watch(&range, ucx_patience());
	ucx_learn(err);
	if (!err)
		err = hmm_vma_walk(mm, range.start, range.end, look, w);
	w->record.seq = range.notifier_seq;
	if (err)
		hmm_interval_notifier_remove(w->record.ni);
	return err;
}

int ucx_watch_begin(uint64_t start, uint64_t end, struct ucx_watch **watch)
{
	struct hmm_mm *mm = libhmm_monitor_space();
	struct ucx_watch *w;
	int err;

	if (!mm)
		return -ESRCH;
	/* While a callback hangs on the pump, nobody else gets the lock of the notifiers. */
	if (ucx_stalled())
		return -ETIME;
	w = take();
	if (!w)
		return -ENOMEM;
	*w = (struct ucx_watch){ .record = { .addr = start, .len = end - start } };
	atomic_store(&w->record.state, RECORD_STARTING);
	err = begin(w, mm);
	if (err) {
		give(w);
		return err;
	}
	if (w->files)
		atomic_fetch_add(&with_files, 1);
	*watch = w;
	return 0;
}

bool ucx_watch_keep(struct ucx_watch *w)
{
	const struct hmm_range range = range_of(w);
	int err;

	atomic_store(&w->record.state, RECORD_ARMED);
	err = hmm_range_check_timeout(&range, HMM_CHECK_KIND, ucx_patience());
	ucx_learn(err);
	return !err || broken(UNCHECKED);
}

void ucx_watch_end(struct ucx_watch *w)
{
	/* A child leaves the records as they are: the lock may be that of a thread it lacks. */
	if (!w || !libhmm_monitor_space())
		return;
	if (atomic_exchange(&w->record.state, RECORD_FREE) == RECORD_DEAD)
		return; /* the deliverer has it */
	if (!ucx_stalled()) {
		let_go(w);
		return;
	}
	w->record.len = 0; /* there is nothing to tell */
	deliver_push(&w->record);
}

bool ucx_watch_has_files(void)
{
	return atomic_load(&with_files);
}
