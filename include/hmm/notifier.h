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
 * one. Has anything happened since, of any kind? That is hmm_interval_read_retry(), while a
 * translation is being made. Has anything happened since that the driver is told of? That is
 * hmm_interval_stale(), of a translation that was made. The answers differ by the events that
 * hmm_interval_notifier_ops.ignored_events names.
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
 * @start: first address; may lie before the notifier's range
 * @end: one past the last; may lie behind it
 * @event: enum hmm_event
 * @owner: who caused HMM_EVENT_MIGRATE or HMM_EVENT_EXCLUSIVE, else NULL. A driver skips those of
 *	its own
 * @seq: the notifier's new sequence: what was made under an older one is no longer true
 * @arg: HMM_EVENT_MOVE, on the range that was moved away: where to; else 0
 *
 * Since: 0.1. Follows: struct mmu_notifier_range.
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
 * @invalidate: drop every translation in the range, now. It runs with the gate closed (no engine is
 *	inside a section) and with the space's notifier lock held, on the pump, or on a thread that
 *	faults, notes or forks. It is as restricted as a signal handler: no malloc, no stdio, no
 *	dlopen, no lock that the program may hold across free(), no touch of mirrored memory, no
 *	call of this library but hmm_ptable_clear() and hmm_ptable_clear_bits(). It must not wait
 *	for anything that waits for memory to be unmapped. It returns 0; another value is counted as
 *	an error and changes nothing: the sequence has moved all the same
 * @holds: optional: does the driver hold a translation in [start, end)? Asked under the notifier
 *	lock alone, before a range is registered that was not registered so far. If all drivers
 *	answer false the engines need not be stopped. Restricted as @invalidate
 * @ignored_events: a mask of HMM_EVENT_BIT(): events that leave what the driver holds as it is.
 *	HMM_EVENT_FORK may be ignored by a driver whose pages a fork leaves to the parent, as they
 *	are pinned for writing, or excepted by MADV_DONTFORK. It is not called then and keeps its
 *	translations
 *
 * Since: 0.1. Follows: struct mmu_interval_notifier_ops.
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
 * @ops: copied; @invalidate is needed
 * @priv: handed to the callbacks
 * @ni: out
 *
 * Ranges may nest and overlap, and need not be mapped. The program pays nothing until memory is
 * faulted.
 * Context: may block; not from a callback.
 * Return: 0; -EINVAL an empty or wrapping range, a wrong size, no @invalidate, or an event that
 * cannot be ignored; -E2BIG @ops says what this library does not know; -ENOMEM no memory; -ESRCH a
 * forked child, the process has ended, or it closed the library's descriptors.
 * Ownership: *ni is the caller's until hmm_interval_notifier_remove().
 * Since: 0.1. Follows: mmu_interval_notifier_insert().
 */
int hmm_interval_notifier_insert(struct hmm_mm *mm, uint64_t start, uint64_t length,
				 const struct hmm_interval_notifier_ops *ops, void *priv,
				 struct hmm_interval_notifier **ni);

/**
 * hmm_interval_notifier_remove() - stop watching
 * @ni: NULL is legal
 *
 * After it returned no callback of @ni runs or will run.
 * Context: may block; called from a callback it is a bug that asserts. In a forked child it does
 * nothing.
 * Since: 0.1. Follows: mmu_interval_notifier_remove().
 */
void hmm_interval_notifier_remove(struct hmm_interval_notifier *ni);

/**
 * hmm_interval_read_begin() - begin to look at a range
 * @ni: the notifier
 *
 * Waits while events are handled.
 * Context: outside sections and callbacks; may block.
 * Return: the sequence for hmm_interval_read_retry().
 * Since: 0.1. Follows: mmu_interval_read_begin().
 */
uint64_t hmm_interval_read_begin(struct hmm_interval_notifier *ni);

/**
 * hmm_interval_read_retry() - has what was looked at changed?
 * @ni: the notifier
 * @seq: from hmm_interval_read_begin(), or range->notifier_seq
 *
 * It is true also while a change has taken effect whose event nobody has read yet, of whatever
 * memory. So true means "not known to be unchanged": begin again. Events that the driver ignores
 * count: what is being made may be made of what was before.
 * Context: any thread outside callbacks. Inside a commit section the answer holds until the section
 * ends. Never blocks.
 * Return: true: begin again with a fresh sequence.
 * Since: 0.1. Follows: mmu_interval_read_retry().
 */
bool hmm_interval_read_retry(struct hmm_interval_notifier *ni, uint64_t seq);

/**
 * hmm_interval_check_retry() - the cheap question: was the range invalidated since?
 * @ni: the notifier
 * @seq: its sequence
 *
 * One load and no system call, so it does not see a change whose event nobody has read.
 * Context: any thread. Never blocks.
 * Return: true: begin again. False proves nothing: hmm_interval_read_retry() may still say true.
 * Since: 0.1. Follows: mmu_interval_check_retry().
 */
bool hmm_interval_check_retry(const struct hmm_interval_notifier *ni, uint64_t seq);

/**
 * hmm_interval_stale() - validated use: may a translation made at @seq no longer be used?
 * @ni: the notifier
 * @seq: its sequence
 *
 * False says that at an instant within the call the pump was idle, no change was in flight, and
 * nothing that the driver is told of had invalidated the range since @seq: what it holds outlives
 * the events that it ignores. The call costs one system call of 0.2 to 0.55 us. It does not see
 * changes that raise no event (files, System V segments, permissions, pending discards):
 * hmm_range_check() does.
 * Context: any thread, sections included, outside callbacks. Never blocks.
 * Return: true: fault again; the range was invalidated, or a change was in flight somewhere, or the
 * space is gone. False: it is true.
 * Since: 0.1.
 */
bool hmm_interval_stale(struct hmm_interval_notifier *ni, uint64_t seq);

/**
 * hmm_interval_invalidate() - invalidate a range on behalf of a device
 * @mm: the space
 * @inv: range, event, owner; the sequence is filled in
 *
 * For HMM_EVENT_MIGRATE and HMM_EVENT_EXCLUSIVE.
 * Context: outside sections and callbacks; blocks until every callback that overlaps has run.
 * Return: 0; -EINVAL no @inv, an empty or wrapping range, or an unknown event; -ESRCH a forked
 * child, the process has ended, or it closed the library's descriptors.
 * Since: 0.1. Follows: mmu_notifier_invalidate_range_start().
 */
int hmm_interval_invalidate(struct hmm_mm *mm, const struct hmm_invalidation *inv);

#ifdef __cplusplus
}
#endif
#endif
