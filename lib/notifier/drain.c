// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
#include "notifier/drain.h"
#include "notifier/notifier.h"
#include "provider/log.h"
#include "base/deadline.h"
#include "base/futex.h"
#include "base/hooks.h"
#include "base/mutation.h"
#include "base/nocancel.h"
#include "base/number.h"

#include <errno.h>

/* How many records a call handles, so that it ends although memory changes all the time. */
#define RECORDS_MAX 8192
/* How often a check tries for the lock. Its holder handles records, at some 100 ns each. */
#define TRIES 500
#define DELIVER_AT_ONCE 32
/* How long the pump looks for a moment at which nothing is new, before it takes another log. */
#define QUIET_NS 40000000ULL

static enum hmm_event event_of(uint16_t kind)
{
	static const uint8_t events[WATCH_KIND_NR] = {
		[WATCH_UNMAP] = HMM_EVENT_UNMAP,         [WATCH_CLEAR] = HMM_EVENT_CLEAR,
		[WATCH_PROTECT] = HMM_EVENT_PROTECT,     [WATCH_PROTECT_PAGE] = HMM_EVENT_PROTECT,
		[WATCH_FORK] = HMM_EVENT_FORK,           [WATCH_MOVE] = HMM_EVENT_MOVE,
		[WATCH_SOFT_DIRTY] = HMM_EVENT_PROTECT,  [WATCH_MIGRATE] = HMM_EVENT_MIGRATE,
		[WATCH_EXCLUSIVE] = HMM_EVENT_EXCLUSIVE,
	};

	return events[kind];
}

/*
 * A change of memory of which nobody asks gets no number: a program may unmap other memory all day,
 * and faults compare with the last few numbers (recent.h).
 */
static void begin(struct hmm_mm *mm, uint64_t start, uint64_t end, enum hmm_event event)
{
	struct hmm_invalidation inv = { .start = start, .end = end, .event = event };

	count(&mm->stats.events[event], 1);
	/* What a look-up of a mapping says may be out of date (range/look.h). */
	if (event == HMM_EVENT_UNMAP || event == HMM_EVENT_MOVE || event == HMM_EVENT_PROTECT)
		atomic_fetch_add_explicit(&mm->taken, 1, memory_order_relaxed);
	if (!notifiers_overlap(mm, start, end))
		return;
	if (hmm_mutation(HMM_MUTATION_HALF_INVALIDATE) && end - start > HMM_PAGE_SIZE)
		inv.end = start + HMM_PAGE_SIZE;
	if (notifiers_number(mm, &inv))
		log_queue(mm->log, &inv);
}

static void probe(struct log_probe *p, const struct watch_record *r)
{
	if (r->start >= p->end || r->end <= p->start)
		return;
	if (r->flags & WATCH_END)
		p->over |= 1U << r->kind;
	else
		p->begun |= 1U << r->kind;
}

static void handle(struct hmm_mm *mm, const struct watch_record *r)
{
	const bool known = log_changes(mm->log, r);

	probe(&mm->log->probe, r);
	/* The end of a change whose beginning was lost: it took effect some time before. */
	if (r->flags & WATCH_END && known)
		return;
	if (hmm_mutation(HMM_MUTATION_NO_START))
		return;
	if (r->kind == WATCH_FORK && hmm_mutation(HMM_MUTATION_NO_FORK_KILL))
		return;
	if (r->kind == WATCH_MOVE && hmm_mutation(HMM_MUTATION_NO_MOVE))
		return;
	begin(mm, r->start, r->end, event_of(r->kind));
}

/*
 * A broken rule. Its window is open without the lock, so that users come into it, and before a
 * record is taken, so that the records keep their order.
 */
static void count_early(struct log *log)
{
	atomic_store(&log->pos, atomic_load(log->m.producer));
	pthread_mutex_unlock(&log->lock);
	hmm_hook(HMM_POINT_COUNTED);
	pthread_mutex_lock(&log->lock);
}

/* The caller has the lock. True: the log is quiet. */
static bool drain(struct hmm_mm *mm)
{
	struct log *log = mm->log;
	struct watch_record r;
	int ret = -EAGAIN;

	if (log_lost(log)) {
		begin(mm, 0, UINT64_MAX, HMM_EVENT_CLEAR);
		log->unheard = true;
	}
	if (hmm_mutation(HMM_MUTATION_EARLY_READ) && log->read != atomic_load(log->m.producer))
		count_early(log);
	for (int i = 0; i < RECORDS_MAX && (ret = log_take(log, &r)) > 0; i++)
		handle(mm, &r);
	if (ret == -EPROTO)
		atomic_store(&log->over, ret);
	log_handled(log, !ret && log_trusted(log));
	return log_is_quiet(log);
}

static bool lock(struct log *log)
{
	for (int i = 0; i < TRIES; i++) {
		if (!pthread_mutex_trylock(&log->lock))
			return true;
		cpu_relax();
	}
	return false;
}

/* Nothing is told any more, and no other log can be had (pump/renew.h). */
static bool is_lost(const struct log *log)
{
	return __builtin_expect(atomic_load(&log->over), 0) && !log_may_return(log);
}

/*
 * Releases the lock. 0: the log is quiet, and no change of [start, end) is under way; -EINPROGRESS:
 * one is; -EAGAIN: it is not quiet.
 */
static int drain_and_wake(struct hmm_mm *mm, uint64_t start, uint64_t end)
{
	struct log *log = mm->log;
	const int ret = !drain(mm) ? -EAGAIN : log_is_open(log, start, end) ? -EINPROGRESS : 0;
	const bool given = log_give_back(log, false);
	const bool told = log_is_delivered(log);
	const bool wake = log->unheard || (!told && (given || atomic_load(&log->naps)));

	log->unheard = false;
	if (wake)
		atomic_store(&log->naps, false);
	pthread_mutex_unlock(&log->lock);
	if (is_lost(log) && !atomic_load(&mm->lost)) {
		mm_lost_log(mm, atomic_load(&log->over));
		mm->wake(mm);
	} else if (wake) {
		mm->wake(mm);
	}
	return ret;
}

bool log_drain(struct hmm_mm *mm)
{
	HMM_NO_CANCEL;

	return lock(mm->log) && !drain_and_wake(mm, 0, 0);
}

/*
 * A thread that gives records back takes away what wakes the pump, also where another thread has
 * handled them. So it wakes the pump itself.
 */
bool log_look(struct hmm_mm *mm)
{
	struct log *log = mm->log;
	uint64_t before;

	pthread_mutex_lock(&log->lock);
	before = log->seen;
	drain(mm);
	log->seen = log->read;
	/* There was news. If the kernel woke the pump for each, its cause would pay for that. */
	atomic_store(&log->naps, log->fd.fd >= 0 && log->seen != before);
	log_give_back(log, !atomic_load(&log->naps));
	log->unheard = false;
	pthread_mutex_unlock(&log->lock);
	if (is_lost(log))
		mm_lost_log(mm, atomic_load(&log->over));
	return !log_is_delivered(log);
}

/*
 * Takes the lock when the log is quiet. False: it has the lock, but the log has ended, or memory
 * changes all the time.
 */
static bool lock_quiet(struct hmm_mm *mm)
{
	const uint64_t deadline = deadline_after(QUIET_NS);
	struct log *log = mm->log;

	for (unsigned int n = 0;; n++) {
		pthread_mutex_lock(&log->lock);
		if (drain(mm))
			return true;
		if (atomic_load(&log->over) || deadline_passed(deadline))
			return false;
		pthread_mutex_unlock(&log->lock);
		deadline_spin(n);
	}
}

void log_switch(struct hmm_mm *mm)
{
	struct log *log = mm->log;
	struct log *next = atomic_load(&log->next);
	bool whole;

	whole = lock_quiet(mm);
	log_handled(log, false);
	begin(mm, 0, UINT64_MAX, HMM_EVENT_CLEAR);
	log_renew(log, next, whole);
	if (!whole) {
		log->unsettled = 0;
		log_unsettle(log);
	}
	pthread_mutex_unlock(&log->lock);
	log_free(next);
	atomic_store(&log->next, NULL);
}

uint32_t log_resolve(struct hmm_mm *mm)
{
	const uint32_t doubts = log_settle(mm->log);

	pthread_mutex_lock(&mm->log->lock);
	drain_and_wake(mm, 0, 0);
	return doubts;
}

bool log_deliver(struct hmm_mm *mm)
{
	struct hmm_invalidation inv[DELIVER_AT_ONCE];
	struct log *log = mm->log;
	uint64_t queued;
	unsigned int n;

	pthread_mutex_lock(&log->lock);
	n = log_unqueue(log, inv, DELIVER_AT_ONCE, &queued);
	pthread_mutex_unlock(&log->lock);
	for (unsigned int i = 0; i < n; i++)
		notifiers_tell(mm, &inv[i]);
	atomic_store(&log->delivered, queued);
	return n == DELIVER_AT_ONCE;
}

int log_wait(struct hmm_mm *mm, uint64_t start, uint64_t end, uint64_t deadline)
{
	int ret;

	if (!mm->log)
		return 0;
	for (unsigned int n = 0;; n++) {
		ret = mm_alive(mm);
		if (ret)
			return ret;
		if (lock(mm->log) && !drain_and_wake(mm, start, end))
			return 0;
		if (deadline_passed(deadline) && !hmm_mutation(HMM_MUTATION_NO_DEADLINE))
			return -ETIME;
		deadline_spin(n);
	}
}

void log_probe_begin(struct hmm_mm *mm, uint64_t start, uint64_t end)
{
	pthread_mutex_lock(&mm->log->lock);
	drain(mm);
	mm->log->probe = (struct log_probe){ .start = start,
					     .end = end,
					     .resets = atomic_load(&mm->log->resets) };
	pthread_mutex_unlock(&mm->log->lock);
}

uint32_t log_probe_seen(struct hmm_mm *mm, bool *lost)
{
	struct log *log = mm->log;
	uint32_t seen;

	pthread_mutex_lock(&log->lock);
	drain(mm);
	seen = log->probe.begun & log->probe.over;
	*lost = log->distrusts || atomic_load(&log->resets) != log->probe.resets;
	pthread_mutex_unlock(&log->lock);
	return seen;
}
