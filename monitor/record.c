// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
#include "record.h"
#include "deliver.h"
#include "monitor.h"
#include "mutation.h"
#include "space.h"
#include "table.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

/*
 * A peer calls with locks held, so no call may wait for long. While the pump is stalled each call
 * would wait for its whole time: after the first that did so, the others do not wait, until one
 * gets an answer.
 */
#define WATCH_NS 50000000ULL
#define CHECK_NS 10000000ULL

static _Atomic bool stalled;
static _Atomic bool ready;                   /* record_start() was successful */
static unsigned int checks = HMM_CHECK_KIND; /* constant once ready is set */

static _Atomic uint64_t watches; /* that have begun; a record's stamp */
/* `watches` at the last call of this thread. */
static _Thread_local uint64_t seen __attribute__((tls_model("initial-exec")));

static uint64_t patience(uint64_t ns)
{
	return atomic_load_explicit(&stalled, memory_order_relaxed) ? HMM_NO_WAIT : ns;
}

static void learn(int err)
{
	const bool timed_out = err == -ETIME || err == -EBUSY;

	if (atomic_load_explicit(&stalled, memory_order_relaxed) != timed_out)
		atomic_store(&stalled, timed_out);
}

static struct hmm_range range_of(const struct record *r)
{
	return (struct hmm_range){
		.size = sizeof(struct hmm_range),
		.notifier = r->ni,
		.notifier_seq = r->seq,
		.start = r->addr & ~(HMM_PAGE_SIZE - 1),
		.end = (r->addr + r->len + HMM_PAGE_SIZE - 1) & ~(HMM_PAGE_SIZE - 1),
	};
}

static bool strict(void)
{
	const char *value = getenv(MONITOR_STRICT_ENV);

	return value && *value && strcmp(value, "0");
}

int record_start(void)
{
	int err = libhmm_monitor_attach();

	if (!err && !atomic_load(&ready)) {
		if (strict())
			checks = HMM_CHECK_KIND | HMM_CHECK_VMA;
		err = table_init();
		if (!err)
			err = deliver_start();
		atomic_store(&ready, !err);
	}
	return err;
}

static struct hmm_mm *space(void)
{
	return atomic_load_explicit(&ready, memory_order_acquire) ? libhmm_monitor_space() : NULL;
}

/* ---- changes --------------------------------------------------------------------------------- */

/* False: it was dead already, or nothing depends on it. */
static bool kill_record(struct record *r)
{
	uint32_t state = RECORD_ARMED;

	if (!atomic_compare_exchange_strong(&r->state, &state, RECORD_DEAD)) {
		state = RECORD_WATCHED;
		if (!atomic_compare_exchange_strong(&r->state, &state, RECORD_DEAD))
			return false;
	}
	if (state == RECORD_ARMED)
		stats_add(&monitor_counters()->invalidations);
	deliver_push(r);
	return true;
}

/*
 * Runs on the pump. The beginning of a watch raises an event of its own, which finds STARTING: what
 * changes then changes the sequence, and that is asked before anything is kept.
 */
static int invalidate(struct hmm_interval_notifier *ni, const struct hmm_invalidation *inv,
		      void *priv)
{
	(void)ni;
	(void)inv;
	kill_record(priv);
	return 0;
}

/* A fork leaves pinned pages to the parent. */
static const struct hmm_interval_notifier_ops watch_ops = {
	.size = sizeof(watch_ops),
	.invalidate = invalidate,
	.ignored_events = HMM_EVENT_BIT(HMM_EVENT_FORK),
};

/* The record has left the table, and nothing leads to it but its notifier. */
static void forget(struct record *r)
{
	hmm_interval_notifier_remove(r->ni);
	r->ni = NULL;
	table_lock();
	table_free(r);
	table_unlock();
}

/*
 * The pump calls back every notifier that an event hits, so those that wait for nothing are
 * removed: a program may send parts of one buffer in thousands of lengths.
 */
void record_delivered(struct record *r)
{
	bool gone;

	table_lock();
	gone = table_unlink_unused(r);
	if (!gone) {
		r->evict = false;
		atomic_store(&r->state, RECORD_DELIVERED);
	}
	table_unlock();
	if (gone)
		forget(r);
}

/* With the lock. Records are handed to the deliverer to make room; it frees them soon. */
static void make_room(void)
{
	for (unsigned int n = 0; n < TABLE_ROOM; n++) {
		struct record *r = table_victim();
		uint32_t state;

		if (!r)
			return;
		/* What an invalidation has made DEAD meanwhile, the deliverer has already. */
		state = atomic_load(&r->state);
		if (state == RECORD_DEAD ||
		    !atomic_compare_exchange_strong(&r->state, &state, RECORD_DEAD))
			continue;
		r->evict = true;
		deliver_push(r);
	}
}

/* ---- watching -------------------------------------------------------------------------------- */

static int start(struct record *r, struct hmm_mm *mm)
{
	struct hmm_range range = range_of(r);
	int err = 0;

	if (!r->ni)
		err = hmm_interval_notifier_insert(mm, range.start, range.end - range.start,
						   &watch_ops, r, &r->ni);
	if (err)
		return err;
	range.notifier = r->ni;
	err = hmm_range_watch(&range, patience(WATCH_NS));
	learn(err);
	if (!err)
		r->seq = range.notifier_seq;
	return err;
}

/*
 * With the lock, which it gives up meanwhile. The record is FREE (new) or DELIVERED: the peer keeps
 * nothing of it.
 */
static int watch(struct record *r, struct hmm_mm *mm)
{
	int err = -EAGAIN;

	atomic_store(&r->state, RECORD_STARTING);
	if (!atomic_load(&r->users)) {
		table_use(r);
		table_unlock();
		err = start(r, mm);
		table_lock();
		table_unuse(r);
	}
	if (!err)
		r->stamp = atomic_fetch_add(&watches, 1) + 1;
	atomic_store(&r->state, err ? RECORD_DELIVERED : RECORD_WATCHED);
	return err;
}

/* By a user of the record. */
static int check(struct record *r)
{
	struct hmm_range range = range_of(r);
	int err = hmm_range_check_timeout(&range, checks, patience(CHECK_NS));

	if (!atomic_load_explicit(&r->used, memory_order_relaxed))
		atomic_store(&r->used, true);
	learn(err);
	if (err == -ESTALE)
		kill_record(r);
	return err;
}

/* With the lock. The record of a range, made if it is not there. NULL: the table is full. */
static struct record *get(uint64_t addr, uint64_t len)
{
	struct record *r = table_find(addr, len);

	if (r)
		return r;
	if (table_crowded())
		make_room();
	return table_make(addr, len);
}

static bool may_watch(uint32_t state)
{
	return state == RECORD_FREE || state == RECORD_DELIVERED ||
	       (state == RECORD_DEAD && broken(UNDELIVERED));
}

static int watch_unless_watched(struct hmm_mm *mm, uint64_t addr, uint64_t len)
{
	struct record *r = get(addr, len);
	uint32_t state;

	if (!r)
		return -ENOSPC;
	r->used = true;
	state = atomic_load(&r->state);
	if (may_watch(state))
		return watch(r, mm);
	return state == RECORD_WATCHED || state == RECORD_ARMED ? 0 : -EAGAIN;
}

/* ---- keeping --------------------------------------------------------------------------------- */

/* The pin of this registration may have begun before the watch. */
static bool pinned_before(const struct record *r)
{
	return r->stamp > seen && !broken(ANY_THREAD);
}

/* With the lock, which it gives up meanwhile. */
static int keep(struct record *r)
{
	uint32_t state = RECORD_WATCHED;
	int err;

	if (pinned_before(r))
		return -EAGAIN;
	table_use(r);
	table_unlock();
	err = check(r);
	table_lock();
	table_unuse(r);
	if (err)
		return err == -ESTALE ? -EAGAIN : err;
	if (atomic_compare_exchange_strong(&r->state, &state, RECORD_ARMED))
		return 0;
	return state == RECORD_ARMED ? 0 : -EAGAIN;
}

static int subscribe(struct hmm_mm *mm, uint64_t addr, uint64_t len)
{
	struct record *r = get(addr, len);
	uint32_t state;
	int err;

	if (!r)
		return -ENOSPC;
	state = atomic_load(&r->state);
	if (state == RECORD_WATCHED || state == RECORD_ARMED)
		return keep(r);
	if (!may_watch(state))
		return -EAGAIN;
	err = watch(r, mm);
	if (!err && broken(FIRST_USE))
		atomic_store(&r->state, RECORD_ARMED);
	return err || broken(FIRST_USE) ? err : -EAGAIN;
}

/* Nothing is to be cancelled with a lock of the peer's held. */
static int no_cancel(void)
{
	int old;

	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &old);
	return old;
}

static void called(int cancel)
{
	seen = atomic_load(&watches);
	pthread_setcancelstate(cancel, NULL);
}

int record_watch(uint64_t addr, uint64_t len)
{
	struct hmm_mm *mm = space();
	int cancel;
	int err;

	if (!mm)
		return -ESRCH;
	if (!len || addr + len < addr)
		return -EINVAL;
	cancel = no_cancel();
	table_lock();
	err = watch_unless_watched(mm, addr, len);
	table_unlock();
	called(cancel);
	return err;
}

int record_subscribe(uint64_t addr, uint64_t len)
{
	struct hmm_mm *mm = space();
	int err = mm ? -EINVAL : -ESRCH;
	int cancel;

	stats_add(&monitor_counters()->misses);
	if (mm && len && addr + len > addr) {
		cancel = no_cancel();
		table_lock();
		err = subscribe(mm, addr, len);
		table_unlock();
		called(cancel);
	}
	if (err)
		stats_add(&monitor_counters()->refused);
	return err;
}

/* By a user of the record. */
static int valid(struct record *r)
{
	if (broken(TRUSTING))
		return 0;
	return atomic_load(&r->state) == RECORD_ARMED ? check(r) : -ESTALE;
}

bool record_valid(uint64_t addr, uint64_t len)
{
	struct record *r = space() ? table_get(addr, len) : NULL;
	int err;

	if (!r)
		return false;
	err = valid(r);
	table_unuse(r);
	seen = atomic_load(&watches);
	if (!err)
		stats_add(&monitor_counters()->hits);
	else if (err == -ESTALE)
		stats_add(&monitor_counters()->stale_prevented);
	return !err;
}
