/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * notifier: interval notifiers with sequence counts, the lock-like protocol of HMM.
 *
 *	again:
 *		seq = hmm_interval_read_begin(ni);
 *		... find out what is mapped (hmm_range_fault() refreshes seq itself) ...
 *		hmm_mm_commit_begin(mm);
 *		if (hmm_interval_read_retry(ni, seq)) {
 *			hmm_mm_commit_end(mm);
 *			goto again;
 *		}
 *		... install the translation in the device's page table ...
 *		hmm_mm_commit_end(mm);
 *
 * A sequence is the number of the last event that hit the notifier. Two questions are asked about
 * one: has anything happened since, of any kind (hmm_interval_read_retry(), while a translation is
 * being made); and has anything happened since that the driver is told of (hmm_interval_stale(), of
 * one that was made). They differ by the events that hmm_interval_notifier_ops.ignored_events
 * names.
 *
 * Every answer about a sequence has one sense: false, or 0, goes on; true, or an error, begins
 * again. That holds for hmm_interval_read_retry(), hmm_interval_check_retry(), hmm_interval_stale()
 * and hmm_range_check().
 *
 * What a commit section installs is seen by the next invalidation: the pump waits for open sections
 * before it reads an event, and the event's caller is blocked until it is read.
 */
#ifndef HMM_NOTIFIER_H
#define HMM_NOTIFIER_H

#include <hmm/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * struct hmm_invalidation - what a callback is told
 * @start: first address, clipped to nothing: may reach beyond the notifier
 * @end: one past the last
 * @event: enum hmm_event
 * @owner: who caused a MIGRATE or EXCLUSIVE event, else NULL: skip your own
 * @seq: the sequence that makes older ones retry
 * @arg: HMM_EVENT_MOVE: where the range moved to, else 0
 */
struct hmm_invalidation {
	uint64_t start;
	uint64_t end;
	uint32_t event;
	uint32_t pad;
	void *owner;
	uint64_t seq;
	uint64_t arg;
};

/**
 * struct hmm_interval_notifier_ops - callbacks of an interval notifier
 * @size: sizeof(struct hmm_interval_notifier_ops); the structure may grow, see hmm(7)
 * @invalidate: drop every translation in the range, now. Called with the device gate closed (no
 *	engine is inside a section) and the space's notifier lock held, on the pump or on the thread
 *	that faults, notes or forks. As restricted as a signal handler: no malloc, stdio, dlopen, no
 *	lock that the program may hold across free(), no touch of mirrored memory, no call of this
 *	library except hmm_ptable_clear(). Must not block. Return 0; anything else is counted and the
 *	notifier's sequence is bumped all the same.
 * @holds: optional: does the driver hold a translation in [start, end)? Asked, under the notifier lock
 *	alone, before a range is registered that nobody can have mirrored: false saves the stop of
 *	all engines. Same restrictions as @invalidate.
 * @ignored_events: a mask of HMM_EVENT_BIT(): events that leave what the driver holds as it is.
 *	HMM_EVENT_FORK may be ignored by a driver whose pages a fork leaves to the parent: pinned
 *	for writing, or excepted from fork by MADV_DONTFORK. It is not called then and keeps its
 *	translations
 */
struct hmm_interval_notifier_ops {
	uint32_t size;
	int (*invalidate)(struct hmm_interval_notifier *ni, const struct hmm_invalidation *inv,
			  void *priv);
	bool (*holds)(struct hmm_interval_notifier *ni, uint64_t start, uint64_t end, void *priv);
	uint32_t ignored_events;
	uint32_t pad;
};

/**
 * hmm_interval_notifier_insert() - watch a range
 * @mm: the space
 * @start: first address
 * @length: bytes, not 0
 * @ops: copied
 * @priv: handed to the callback
 * @ni: out
 *
 * Ranges may nest and overlap and need not be mapped. Costs nothing to the program until ranges are
 * faulted. Context: may block; not from a callback.
 * Return: 0; -EINVAL an empty or wrapping range, no @ops->invalidate, an event that cannot be
 * ignored; -E2BIG @ops says what this library does not know (see hmm(7)); -ENOMEM; -ESRCH in a
 * forked child.
 * Ownership: *ni is the caller's until hmm_interval_notifier_remove().
 * Since: 0.1. Follows: mmu_interval_notifier_insert().
 */
int hmm_interval_notifier_insert(struct hmm_mm *mm, uint64_t start, uint64_t length,
				 const struct hmm_interval_notifier_ops *ops, void *priv,
				 struct hmm_interval_notifier **ni);

/**
 * hmm_interval_notifier_remove() - stop watching
 * @ni: may be NULL
 *
 * After it returns no callback of @ni runs or will run. Context: may block; from a callback it is a
 * bug that asserts. Since: 0.1. Follows: mmu_interval_notifier_remove().
 */
void hmm_interval_notifier_remove(struct hmm_interval_notifier *ni);

/**
 * hmm_interval_read_begin() - begin to look at a range
 * @ni: the notifier
 * Waits while an invalidation runs. Context: outside sections and callbacks; may block.
 * Return: the sequence for hmm_interval_read_retry().
 * Since: 0.1. Follows: mmu_interval_read_begin().
 */
uint64_t hmm_interval_read_begin(struct hmm_interval_notifier *ni);

/**
 * hmm_interval_read_retry() - has what was looked at changed?
 * @ni: the notifier
 * @seq: from read_begin, or range->notifier_seq
 *
 * Includes the in-flight probe: true also while a change has taken effect whose event nobody has
 * read. An event that the driver ignores counts here: what is being made begins again, as it may
 * have been made of what was before.
 * Context: inside a commit section the answer holds until the section ends. Never blocks.
 * Return: true: begin again with a fresh sequence.
 * Since: 0.1. Follows: mmu_interval_read_retry().
 */
bool hmm_interval_read_retry(struct hmm_interval_notifier *ni, uint64_t seq);

/**
 * hmm_interval_check_retry() - the cheap form: may say false where read_retry says true
 * No probe, no system call. Since: 0.1. Follows: mmu_interval_check_retry().
 */
bool hmm_interval_check_retry(const struct hmm_interval_notifier *ni, uint64_t seq);

/**
 * hmm_interval_stale() - validated use: may a translation made at @seq not be used any more?
 * @ni: the notifier
 * @seq: its sequence
 *
 * False: at an instant within the call the pump was idle, nothing was in flight, and nothing that
 * the driver is told of had invalidated the range since @seq: what it holds outlives the events
 * that it ignores. Costs one system call of 0.2-0.55 us. Does not see what the coherence table
 * calls validated by other means (files, System V, discards: hmm_range_check()).
 * Context: any thread, sections included. Never blocks.
 * Return: true: do not use it, fault again. Since: 0.1.
 */
bool hmm_interval_stale(struct hmm_interval_notifier *ni, uint64_t seq);

/**
 * hmm_interval_invalidate() - invalidate a range on behalf of a device
 * @mm: the space
 * @inv: range, event, owner; the sequence is filled in
 *
 * What MIGRATE and EXCLUSIVE use. Context: outside sections and callbacks; blocks until every
 * overlapping callback has run. Return: 0; -EINVAL; -ESRCH.
 * Since: 0.1. Follows: mmu_notifier_invalidate_range_start().
 */
int hmm_interval_invalidate(struct hmm_mm *mm, const struct hmm_invalidation *inv);

#ifdef __cplusplus
}
#endif
#endif
