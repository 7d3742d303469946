// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * Interval notifiers. A notifier's sequence is the number of the last invalidation that hit it.
 * Invalidations write it with the gate closed, so it does not change during a commit section;
 * notifiers_outdate() and changes that a log tells of (drain.h) are the exceptions.
 */
#include "notifier/notifier.h"
#include "notifier/recent.h"
#include "engine/gate.h"
#include "space/debug.h"
#include "space/space.h"
#include "provider/log.h"
#include "base/deadline.h"
#include "base/epoch.h"
#include "base/grow.h"
#include "base/itree.h"
#include "base/mutation.h"
#include "base/nocancel.h"
#include "base/number.h"
#include "base/pool.h"
#include "base/trace.h"

#include <assert.h>
#include <errno.h>

static _Thread_local bool in_callback __attribute__((tls_model("initial-exec")));

static const char *const event_names[HMM_EVENT_NR] = {
	[HMM_EVENT_UNMAP] = "UNMAP",         [HMM_EVENT_CLEAR] = "CLEAR",
	[HMM_EVENT_MOVE] = "MOVE",           [HMM_EVENT_FORK] = "FORK",
	[HMM_EVENT_PROTECT] = "PROTECT",     [HMM_EVENT_MIGRATE] = "MIGRATE",
	[HMM_EVENT_EXCLUSIVE] = "EXCLUSIVE", [HMM_EVENT_RELEASE] = "RELEASE",
};

const char *hmm_event_name(enum hmm_event event)
{
	return (unsigned int)event < HMM_EVENT_NR ? event_names[event] : "?";
}

static struct hmm_interval_notifier *to_ni(struct itree_node *node)
{
	return (struct hmm_interval_notifier *)node; /* its first member */
}

struct hmm_mm *ni_mm(const struct hmm_interval_notifier *ni)
{
	return ni->mm;
}

bool ni_covers(const struct hmm_interval_notifier *ni, uint64_t start, uint64_t end)
{
	return start >= ni->node.start && end <= ni->node.end;
}

bool ni_unchanged(const struct hmm_interval_notifier *ni, uint64_t start, uint64_t end,
		  uint64_t *seq)
{
	const uint64_t now = atomic_load(&ni->seq);

	if (now != *seq && recent_hit(ni->mm, start, end, *seq, now))
		return false;
	*seq = now;
	return true;
}

static int lock_until(struct hmm_mm *mm, uint64_t deadline)
{
	int err;

	held_begin(mm);
	err = deadline_lock(&mm->notifier_lock, deadline);
	if (err)
		held_not();
	return err;
}

static void unlock(struct hmm_mm *mm)
{
	pthread_mutex_unlock(&mm->notifier_lock);
	held_end(mm);
}

/* The caller has the notifiers' lock. A log has a lock for sequences, see drain.h. */
static void numbers_lock(struct hmm_mm *mm)
{
	if (mm->log)
		pthread_mutex_lock(&mm->log->lock);
}

static void numbers_unlock(struct hmm_mm *mm)
{
	if (mm->log)
		pthread_mutex_unlock(&mm->log->lock);
}

int ni_insert(struct hmm_mm *mm, uint64_t start, uint64_t length,
	      const struct hmm_interval_notifier_ops *ops, void *priv,
	      struct hmm_interval_notifier **out, uint64_t deadline)
{
	struct hmm_interval_notifier_ops own;
	struct hmm_interval_notifier *ni;
	int err = mm_alive(mm);

	if (err)
		return err;
	err = grow_take(&own, sizeof(own), ops,
			GROW_LEAST(struct hmm_interval_notifier_ops, invalidate));
	if (err)
		return err;
	if (!length || start + length < start || !own.invalidate ||
	    own.ignored_events & ~HMM_EVENTS_IGNORABLE)
		return -EINVAL;
	ni = objpool_get(&mm->notifiers_pool);
	if (!ni)
		return -ENOMEM;
	ni->mm = mm;
	mm_get(mm);
	ni->ops = own;
	ni->priv = priv;
	ni->node.start = start;
	ni->node.end = start + length;
	err = lock_until(mm, deadline);
	if (err) {
		objpool_put(&mm->notifiers_pool, ni);
		mm_put(mm);
		return err;
	}
	/*
	 * The notifier begins with a new number, so that no sequence of a former notifier in the
	 * same memory is valid.
	 */
	numbers_lock(mm);
	recent_note(mm, ++mm->invalidate_seq, 0, 0);
	ni->born = mm->invalidate_seq;
	atomic_store(&ni->seq, mm->invalidate_seq);
	atomic_store(&ni->told, mm->invalidate_seq);
	atomic_store(&ni->kinds, 0);
	itree_insert(&mm->notifiers, &ni->node);
	numbers_unlock(mm);
	unlock(mm);
	*out = ni;
	return 0;
}

int hmm_interval_notifier_insert(struct hmm_mm *mm, uint64_t start, uint64_t length,
				 const struct hmm_interval_notifier_ops *ops, void *priv,
				 struct hmm_interval_notifier **out)
{
	DEBUG_CALL(mm, DEBUG_BLOCKS);
	HMM_NO_CANCEL;
	return ni_insert(mm, start, length, ops, priv, out, 0);
}

int ni_remove(struct hmm_interval_notifier *ni, uint64_t deadline)
{
	struct hmm_mm *mm = ni->mm;
	int err;

	assert(!in_callback);
	/*
	 * Callbacks run under the lock. When this thread has it no callback of the notifier runs,
	 * and none will.
	 */
	err = lock_until(mm, deadline);
	if (err)
		return err;
	numbers_lock(mm);
	itree_remove(&mm->notifiers, &ni->node);
	numbers_unlock(mm);
	objpool_put(&mm->notifiers_pool, ni);
	unlock(mm);
	mm_put(mm);
	return 0;
}

void hmm_interval_notifier_remove(struct hmm_interval_notifier *ni)
{
	DEBUG_CALL(NULL, DEBUG_BLOCKS);
	HMM_NO_CANCEL;

	if (ni && !mm_inherited(ni->mm))
		ni_remove(ni, 0);
}

static int invalidate(struct hmm_interval_notifier *ni, const struct hmm_invalidation *inv)
{
	DEBUG_CALLBACK("hmm_interval_notifier_ops.invalidate");

	return ni->ops.invalidate(ni, inv, ni->priv);
}

static bool holds(struct hmm_interval_notifier *ni, uint64_t start, uint64_t end)
{
	DEBUG_CALLBACK("hmm_interval_notifier_ops.holds");

	return !ni->ops.holds || ni->ops.holds(ni, start, end, ni->priv);
}

static bool ignores(const struct hmm_interval_notifier *ni, const struct hmm_invalidation *inv)
{
	return ni->ops.ignored_events & (1U << inv->event);
}

static void call(struct hmm_mm *mm, struct hmm_interval_notifier *ni,
		 const struct hmm_invalidation *inv)
{
	if (ignores(ni, inv)) {
		count(&mm->stats.ignored, 1);
		return;
	}
	if (hmm_mutation(HMM_MUTATION_NO_CALLBACK))
		return;
	in_callback = true;
	if (invalidate(ni, inv))
		count(&mm->stats.callback_errors, 1);
	in_callback = false;
	count(&mm->stats.callbacks, 1);
}

bool notifiers_number(struct hmm_mm *mm, struct hmm_invalidation *inv)
{
	const uint64_t start = inv->start;
	const uint64_t end = inv->end;
	bool told = false;

	inv->seq = ++mm->invalidate_seq;
	recent_note(mm, inv->seq, start, end);
	hmm_trace(invalidate, mm, start, end, inv->event, inv->seq);
	for (struct itree_node *node = itree_first(&mm->notifiers, start, end); node;
	     node = itree_next(&mm->notifiers, node, start, end)) {
		struct hmm_interval_notifier *ni = to_ni(node);

		told |= !ignores(ni, inv);
		if (hmm_mutation(HMM_MUTATION_NO_GENERATION))
			continue;
		atomic_store(&ni->seq, inv->seq);
		if (!ignores(ni, inv))
			atomic_store(&ni->told, inv->seq);
	}
	return told;
}

bool notifiers_overlap(struct hmm_mm *mm, uint64_t start, uint64_t end)
{
	return itree_first(&mm->notifiers, start, end);
}

static uint64_t call_all(struct hmm_mm *mm, const struct hmm_invalidation *inv)
{
	uint64_t n = 0;

	for (struct itree_node *node = itree_first(&mm->notifiers, inv->start, inv->end); node;
	     node = itree_next(&mm->notifiers, node, inv->start, inv->end)) {
		/* A notifier that was inserted since the change was read is not told. */
		if (to_ni(node)->born >= inv->seq)
			continue;
		call(mm, to_ni(node), inv);
		n++;
	}
	return n;
}

uint64_t notifiers_tell(struct hmm_mm *mm, const struct hmm_invalidation *inv)
{
	uint64_t n;

	lock_until(mm, 0);
	n = call_all(mm, inv);
	unlock(mm);
	return n;
}

uint64_t notifiers_invalidate(struct hmm_mm *mm, struct hmm_invalidation *inv)
{
	uint64_t n;

	if (hmm_mutation(HMM_MUTATION_HALF_INVALIDATE) && inv->end - inv->start > HMM_PAGE_SIZE)
		inv->end = inv->start + HMM_PAGE_SIZE;
	lock_until(mm, 0);
	numbers_lock(mm);
	notifiers_number(mm, inv);
	numbers_unlock(mm);
	count(&mm->stats.events[inv->event], 1);
	n = call_all(mm, inv);
	unlock(mm);
	return n;
}

/*
 * Runs no callbacks and leaves the gate as it is. A commit section may have found the sequence
 * valid a moment ago, but it installs no TRANSIENT translations, and only those become outdated
 * here. A fault keeps its own sequence if that was valid until now.
 */
int notifiers_outdate(struct hmm_mm *mm, uint64_t start, uint64_t end, struct hmm_range *own,
		      uint64_t deadline)
{
	bool stood;
	uint64_t now;
	int err = lock_until(mm, deadline);

	if (err)
		return err;
	numbers_lock(mm);
	stood = own && ni_unchanged(own->notifier, own->start, own->end, &own->notifier_seq);
	now = ++mm->invalidate_seq;
	recent_note(mm, now, start, end);
	for (struct itree_node *node = itree_first(&mm->notifiers, start, end); node;
	     node = itree_next(&mm->notifiers, node, start, end)) {
		atomic_store(&to_ni(node)->seq, now);
		atomic_store(&to_ni(node)->told, now);
		if (stood && to_ni(node) == own->notifier)
			own->notifier_seq = now;
	}
	numbers_unlock(mm);
	unlock(mm);
	return 0;
}

int mm_invalidate(struct hmm_mm *mm, const struct hmm_invalidation *inv, uint64_t deadline)
{
	struct hmm_invalidation copy = *inv;
	uint64_t n;
	int ret;

	assert(!in_callback);
	ret = gate_close(mm, deadline);
	if (ret)
		return ret;
	n = notifiers_invalidate(mm, &copy);
	gate_open(mm);
	return (int)n;
}

int notifiers_hold(struct hmm_mm *mm, uint64_t start, uint64_t end, uint64_t deadline)
{
	int held = lock_until(mm, deadline);

	if (held)
		return held;
	for (struct itree_node *node = itree_first(&mm->notifiers, start, end); node && !held;
	     node = itree_next(&mm->notifiers, node, start, end)) {
		struct hmm_interval_notifier *ni = to_ni(node);

		held = holds(ni, start, end);
	}
	unlock(mm);
	return held;
}

int hmm_interval_invalidate(struct hmm_mm *mm, const struct hmm_invalidation *inv)
{
	DEBUG_CALL(mm, DEBUG_BLOCKS);
	HMM_NO_CANCEL;
	int err = mm_alive(mm);

	if (err)
		return err;
	if (!inv || inv->start >= inv->end || inv->event >= HMM_EVENT_NR)
		return -EINVAL;
	mm_invalidate(mm, inv, 0);
	return 0;
}
