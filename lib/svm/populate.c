/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * One chunk: fault it in, and commit it under retry.
 *
 *	populate			pump
 *	range_fault: seq, entries
 *	commit_begin
 *	read_retry: probe says no	waits for commit sections
 *	map, chunk table
 *	commit_end			reads the event, invalidates what was just mapped
 */
#include <errno.h>
#include <sched.h>
#include <string.h>
#include <sys/mman.h>
#include <hmm/engine.h>
#include <hmm/ptable.h>
#include <hmm/range.h>
#include "mm/mm.h"
#include "svm/device.h"
#include "svm/svm.h"

static int nothing(struct hmm_interval_notifier *ni, const struct hmm_invalidation *inv, void *priv)
{
	return 0;
}

/* The window's notifier answers for what is installed; nothing is, on behalf of this one. */
static bool holds_nothing(struct hmm_interval_notifier *ni, uint64_t start, uint64_t end,
			  void *priv)
{
	return false;
}

static const struct hmm_interval_notifier_ops fault_ops = {
	.size = sizeof(fault_ops),
	.invalidate = nothing,
	.holds = holds_nothing,
};

static void request(const struct chunk_request *rq, struct hmm_range *range)
{
	uint64_t from = rq->need_start & ~(FILE_WRITE_BLOCK - 1);
	uint64_t to = (rq->need_end + FILE_WRITE_BLOCK - 1) & ~(FILE_WRITE_BLOCK - 1);

	range->flags = HMM_RANGE_FRESH;
	range->default_flags = HMM_PFN_REQ_FAULT;
	range->pfn_flags_mask = 0;
	if (!(rq->prot & PROT_WRITE))
		return;
	if (!chunk_writes_block(rq)) {
		range->default_flags |= HMM_PFN_REQ_WRITE;
		return;
	}
	memset(range->hmm_pfns, 0, (rq->end - rq->start) / HMM_PAGE_SIZE * sizeof(uint64_t));
	range->flags = 0;
	range->pfn_flags_mask = HMM_PFN_REQ_WRITE;
	for (uint64_t a = rq->start; a < rq->end; a += HMM_PAGE_SIZE)
		if (a >= from && a < to)
			range->hmm_pfns[(a - rq->start) >> HMM_PAGE_SHIFT] = HMM_PFN_REQ_WRITE;
}

/*
 * What may be installed of the walk's result, and what word stands for it. -1: not all that is needed can
 * be cached.
 */
static int judge(const struct chunk_request *rq, uint64_t *pfns, uint64_t *word)
{
	uint64_t n = (rq->end - rq->start) >> HMM_PAGE_SHIFT;
	uint64_t all = HMM_PFN_WRITE;
	int rc = 0;

	*word = CHUNK_PRESENT;
	for (uint64_t i = 0; i < n; i++) {
		uint64_t addr = rq->start + (i << HMM_PAGE_SHIFT);

		if ((pfns[i] & (HMM_PFN_VALID | HMM_PFN_ERROR | HMM_PFN_TRANSIENT)) ==
		    HMM_PFN_VALID) {
			all &= pfns[i];
			continue;
		}
		pfns[i] = 0;
		*word |= CHUNK_PARTIAL;
		if (addr < rq->need_end && addr + HMM_PAGE_SIZE > rq->need_start)
			rc = 1;
	}
	if (all && !(*word & CHUNK_PARTIAL))
		*word |= CHUNK_WRITE;
	return rc;
}

static bool is_large(const struct hmm_svm *svm, const struct chunk_request *rq,
		     const uint64_t *pfns)
{
	if (rq->end - rq->start != 1ULL << CHUNK_MAX_SHIFT ||
	    !(svm->dev->ops.page_shifts >> 21 & 1) ||
	    hmm_pfn_to_map_order(pfns[0]) < CHUNK_MAX_SHIFT - HMM_PAGE_SHIFT)
		return false;
	for (unsigned int i = 0; i < CHUNK_MAX_PAGES; i++)
		if (!pfns[i] || ((pfns[i] ^ pfns[0]) & ~HMM_PFN_PAGE_MASK))
			return false;
	return true;
}

static int install(struct hmm_svm *svm, const struct chunk_request *rq, const uint64_t *pfns,
		   bool upgrade)
{
	struct hmm_device_map map = { .start = rq->start, .pfns = pfns };

	map.flags = (upgrade ? HMM_MAP_UPGRADE : 0) | (rq->prefetch ? HMM_MAP_PREFETCH : 0);
	if (is_large(svm, rq, pfns)) {
		map.shift = CHUNK_MAX_SHIFT;
		map.n = 1;
	} else {
		map.shift = HMM_PAGE_SHIFT;
		map.n = (rq->end - rq->start) >> HMM_PAGE_SHIFT;
	}
	return svm->dev->ops.map(svm->dev, &map);
}

/* Inside the commit section, the sequence stands. */
static int commit_locked(struct hmm_svm *svm, const struct chunk_request *rq, const uint64_t *pfns,
			 uint64_t word)
{
	uint64_t start = rq->start;
	uint64_t end = rq->end;
	uint64_t old = hmm_ptable_lookup(svm->chunks, start, NULL);
	bool upgrade = old && !(old & CHUNK_PARTIAL) && rq->prot & PROT_WRITE;
	int rc;

	if (!svm_allowed(svm, rq->need_start, rq->prot, &start, &end) || start > rq->start ||
	    end < rq->end)
		return -EACCES;
	if (rq->vma.kind == HMM_VMA_SYSV) {
		word |= CHUNK_CHECKED;
		rc = checked_add(svm, rq);
		if (rc)
			return rc;
	}
	/* The table first: it may say too much, never too little. */
	rc = chunk_remember(svm, rq, word);
	if (!rc)
		rc = install(svm, rq, pfns, upgrade);
	if (!rc && upgrade)
		count(&svm->stats.upgrades, 1);
	if (!rc && rq->prefetch)
		count(&svm->stats.prefetched, 1);
	return rc;
}

/* 0, -errno, or -EAGAIN: walk again. */
static int commit(struct hmm_svm *svm, struct hmm_range *range, const struct chunk_request *rq,
		  uint64_t word, uint64_t deadline)
{
	for (;;) {
		int rc = -EAGAIN;

		device_lock(svm->dev);
		hmm_engine_commit_begin(svm->mm);
		if (!hmm_interval_read_retry(range->notifier, range->notifier_seq))
			rc = commit_locked(svm, rq, range->hmm_pfns, word);
		hmm_engine_commit_end(svm->mm);
		device_unlock(svm->dev);
		if (rc != -EAGAIN)
			return rc;
		count(&svm->stats.commit_retries, 1);
		rc = mm_alive(svm->mm);
		if (rc)
			return rc;
		if (mm_deadline_passed(deadline))
			return -ETIME;
		/*
		 * A change was in flight, maybe elsewhere. Once it is handled the sequence knows whether it
		 * was here; if not, what was walked stands and only the commit is repeated.
		 */
		if (hmm_interval_read_begin(range->notifier) != range->notifier_seq)
			return -EAGAIN;
		sched_yield();
	}
}

static int walk_and_commit(struct hmm_svm *svm, struct chunk_request *rq, struct hmm_range *range)
{
	uint64_t timeout = svm->options.fault_timeout_ns;
	uint64_t deadline = timeout ? mm_now_ns() + timeout : 0;
	uint64_t word;
	int need;
	int rc;

	do {
		request(rq, range);
		count(&svm->stats.range_faults, 1);
		rc = hmm_range_fault(range, timeout);
		if (rc)
			return rc;
		need = judge(rq, range->hmm_pfns, &word);
		rc = commit(svm, range, rq, word, deadline);
	} while (rc == -EAGAIN);
	if (rc) {
		/* The device may have installed a part of it. */
		hmm_svm_drop(svm, rq->start, rq->end);
		return rc;
	}
	return need;
}

int chunk_populate(struct hmm_svm *svm, struct chunk_request *rq)
{
	struct hmm_range range = { .size = sizeof(range), .start = rq->start, .end = rq->end };
	int rc = -ENOMEM;

	if (!window_ensure(svm, rq->start))
		return -ENOMEM;
	range.hmm_pfns = hmm_objpool_get(&svm->pfns_pool);
	if (!range.hmm_pfns)
		return -ENOMEM;
	rc = hmm_interval_notifier_insert(svm->mm, rq->start, rq->end - rq->start, &fault_ops, NULL,
					  &range.notifier);
	if (!rc) {
		rc = walk_and_commit(svm, rq, &range);
		hmm_interval_notifier_remove(range.notifier);
	}
	hmm_objpool_put(&svm->pfns_pool, range.hmm_pfns);
	return rc;
}
