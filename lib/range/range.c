// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * hmm_range_fault(): makes attempts until none collides with a change. The next attempt begins with
 * the requests that the entries had at first. The deadline moves while a walk comes further than
 * before.
 */
#include "range/once.h"
#include "range/walk.h"
#include "mm/fork.h"
#include "watch/region.h"
#include "notifier/drain.h"
#include "notifier/notifier.h"
#include "space/debug.h"
#include "space/space.h"
#include "base/deadline.h"
#include "base/grow.h"
#include "base/hooks.h"
#include "base/mutation.h"
#include "base/nocancel.h"
#include "base/trace.h"

#include <hmm/notifier.h>

#include <errno.h>
#include <sched.h>
#include <time.h>
#include <unistd.h>

#define REQUEST_BITS (HMM_PFN_REQ_FAULT | HMM_PFN_REQ_WRITE)

static int check_range(const struct hmm_range *r)
{
	if (r->flags & ~(HMM_RANGE_LOOK | HMM_RANGE_FRESH) || !r->notifier || !r->hmm_pfns)
		return -EINVAL;
	if (r->flags & HMM_RANGE_FRESH && r->pfn_flags_mask)
		return -EINVAL;
	if (r->start >= r->end || (r->start | r->end) & (HMM_PAGE_SIZE - 1))
		return -EINVAL;
	return ni_covers(r->notifier, r->start, r->end) ? 0 : -EINVAL;
}

static void begin(struct walk *w, struct hmm_range *range, uint64_t timeout_ns)
{
	const uint64_t all = range->default_flags;

	*w = (struct walk){ .range = range, .mm = ni_mm(range->notifier), .timeout = timeout_ns };
	w->page_size = (uint64_t)sysconf(_SC_PAGESIZE);
	/* without THP in the kernel: what one entry of the next level maps */
	w->thp_size = w->mm->thp_size ? w->mm->thp_size : w->page_size / 8 * w->page_size;
	w->request = !(all & HMM_PFN_REQ_FAULT) ? REQUEST_NONE
		     : all & HMM_PFN_REQ_WRITE  ? REQUEST_WRITE
						: REQUEST_READ;
	if (w->request != REQUEST_WRITE)
		w->mask = range->pfn_flags_mask & REQUEST_BITS;
	w->written = w->furthest = range->start;
	range->last = range->start;
	w->deadline = deadline_after(timeout_ns);
}

/* A walk that has come further gets the whole timeout anew (rule 12 in docs/protocol.md). */
static void progress(struct walk *w, uint64_t done)
{
	if (done <= w->furthest) {
		w->stuck++;
		return;
	}
	w->furthest = done;
	w->stuck = 0;
	if (!hmm_mutation(HMM_MUTATION_CUT_PROGRESS))
		w->deadline = deadline_after(w->timeout);
}

/*
 * The entries are read: were all true at one instant? While another change is in flight that cannot
 * be told. So this asks again until the change is handled, and the sequence shows whether it was
 * about this range.
 */
static int settle(struct walk *w)
{
	struct hmm_range *r = w->range;
	uint64_t seq;

	hmm_hook(HMM_POINT_SNAPSHOT);
	mm_refused_forget();
	while (hmm_interval_read_retry(r->notifier, r->notifier_seq)) {
		int err = mm_alive(w->mm);

		if (!err)
			err = mm_refused();
		if (!err)
			err = ni_read_begin(r->notifier, w->deadline, &seq);
		if (err)
			return err;
		if (!ni_unchanged(r->notifier, r->start, r->end, &r->notifier_seq))
			return -EBUSY;
		if (deadline_passed(w->deadline))
			return -ETIME;
		sched_yield();
	}
	return 0;
}

/* Faults, takes a sequence for this attempt, and reads the page table. */
static int fault_and_look(struct walk *w, uint64_t *end, uint64_t *done)
{
	struct hmm_range *r = w->range;
	uint64_t seq;
	int err = walk_fault(w);

	if (err)
		return err;
	*end = w->error ? w->error_at : r->end;
	err = ni_read_begin(r->notifier, w->deadline, &seq);
	/* What is under way now is over before the page table is read. */
	if (!err)
		err = log_wait(w->mm, r->start, r->end, w->deadline);
	if (err)
		return err;
	if (!w->begun || !hmm_mutation(HMM_MUTATION_OLD_SEQUENCE))
		r->notifier_seq = seq;
	w->begun = true;
	return walk_snapshot(w, *end, done);
}

/*
 * Comes before the sequence is checked, so that the note's content was read while nothing had
 * changed.
 */
static void look_once(struct walk *w)
{
	struct hmm_range *r = w->range;

	w->seen = 0;
	if (w->once && !w->error && !(r->flags & HMM_RANGE_LOOK) &&
	    !once_look(w->mm, r->start, r->end, &w->seen))
		w->seen = 0;
}

static int note_once(struct walk *w)
{
	struct hmm_range *r = w->range;
	struct once_note note = { r->notifier, r->notifier_seq, r->start, r->end, w->seen };
	int err = 0;

	if (w->seen)
		err = once_put(w->mm, &note, w->deadline);
	else
		once_drop(w->mm, &note);
	r->notifier_seq = note.seq;
	return err;
}

/*
 * One attempt. *end: where its output ends if it succeeds. walked: given if the caller commits the
 * result, or NULL. Even then a walk with an error of a page, or with memory that may be used once,
 * is checked here. Otherwise an older note of the range (once.c) is kept: committed translations do
 * not use it, and it is still right about what it saw.
 */
static int attempt(struct walk *w, uint64_t *end, struct range_walked *walked)
{
	uint64_t done = w->range->start;
	uint64_t word;
	int err = mm_fork_wait(w->deadline, &word);

	if (err)
		return err;
	w->forks = mm_forks(w->mm);
	w->once = false;
	err = fault_and_look(w, end, &done);
	if (!err)
		look_once(w);
	progress(w, done);
	if (!err && walked && !w->error && !w->once) {
		walked->settled = false;
		walked->word = word;
		walked->forks = w->forks;
		hmm_hook(HMM_POINT_SNAPSHOT);
		return 0;
	}
	if (!err)
		err = settle(w);
	/*
	 * A fork makes pages shared again that were faulted for writing before it. All other
	 * changes are known at this place.
	 */
	if (!err && (mm_fork_passed(w->mm, word) || mm_forks(w->mm) != w->forks))
		err = -EBUSY;
	return err ? err : note_once(w);
}

static void wait_a_little(unsigned int stuck)
{
	const struct timespec ts = { 0, 50000 };

	if (stuck > 64)
		nanosleep(&ts, NULL);
	else if (stuck > 2)
		sched_yield();
}

/*
 * With LIBHMM_DEBUG. If another thread holds the lock of the regions nothing is known of the array,
 * and nothing reported.
 */
static void check_call(const struct hmm_range *r, const void *site)
{
	static const char name[] = "hmm_range_fault";
	uint64_t at;

	debug_call(name, r && r->notifier ? ni_mm(r->notifier) : NULL, DEBUG_BLOCKS, site);
	if (check_range(r))
		return;
	at = (uint64_t)(uintptr_t)r->hmm_pfns;
	if (region_any(ni_mm(r->notifier), at,
		       at + (r->end - r->start) / HMM_PAGE_SIZE * sizeof(*r->hmm_pfns)) == 1)
		debug_array(name, "hmm_range.hmm_pfns", site);
}

static int walk(struct hmm_range *range, uint64_t timeout_ns, const struct vma_look *look,
		struct range_walked *walked)
{
	bool collided = false;
	uint64_t end;
	struct walk w;
	int err;

	begin(&w, range, timeout_ns);
	w.given = look;
	if (walked)
		*walked = (struct range_walked){ .settled = true };
	hmm_trace(fault, w.mm, range->start, range->end, range->default_flags);
	for (;;) {
		end = range->start;
		err = mm_alive(w.mm);
		if (!err)
			err = attempt(&w, &end, walked);
		/* The error says where the time went: -EBUSY for collisions, -ETIME for waiting. */
		if (err == -ETIME && collided)
			err = -EBUSY;
		collided = err == -EBUSY;
		if (!collided || deadline_passed(w.deadline))
			break;
		if (walked)
			walked->again = true;
		hmm_trace(retry, w.mm, range->start, range->end);
		wait_a_little(w.stuck);
	}
	/* After a failed attempt no entry is output, even if some were written. */
	range->last = err ? range->start : end;
	walk_finish_output(&w, range->start, range->last);
	if (!(range->flags & HMM_RANGE_FRESH))
		walk_restore_input(&w, range->last, range->end);
	err = mm_lost_by(w.mm, err ? err : w.error);
	hmm_trace(resolve, w.mm, range->start, range->last, err);
	return err;
}

int hmm_range_fault(struct hmm_range *range, uint64_t timeout_ns)
{
	if (debug_is_on())
		check_call(range, __builtin_return_address(0));
	HMM_CANCEL_POINT;
	struct hmm_range own;
	int err = grow_take(&own, sizeof(own), range, GROW_LEAST(struct hmm_range, hmm_pfns));

	if (!err)
		err = check_range(&own);
	if (err)
		return err;
	err = walk(&own, timeout_ns, NULL, NULL);
	grow_give(range, &own, sizeof(own));
	return err;
}

int range_walk(struct hmm_range *range, uint64_t timeout_ns, const struct vma_look *look,
	       struct range_walked *walked)
{
	int err = check_range(range);

	return err ? err : walk(range, timeout_ns, look, walked);
}

/* The same order as at the end of an attempt: first the changes in flight, then forks. */
int range_walk_stands(const struct hmm_range *range, const struct range_walked *walked)
{
	struct hmm_mm *mm = ni_mm(range->notifier);

	if (hmm_interval_read_retry(range->notifier, range->notifier_seq))
		return -EAGAIN;
	if (!walked->settled && (mm_fork_passed(mm, walked->word) || mm_forks(mm) != walked->forks))
		return -EBUSY;
	return 0;
}
