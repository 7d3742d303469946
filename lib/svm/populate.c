// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * Faults one chunk and commits it if nothing has changed:
 *
 *	populate			pump
 *	range_fault: seq, entries
 *	commit_begin
 *	read_retry: probe says no	waits for commit sections
 *	map, chunk table
 *	commit_end			reads the event, invalidates what was just mapped
 */
#include "svm/svm.h"
#include "device/device.h"
#include "range/walk.h"
#include "notifier/notifier.h"
#include "engine/gate.h"
#include "space/space.h"
#include "base/deadline.h"
#include "base/number.h"
#include "base/pool.h"
#include "base/trace.h"

#include <errno.h>
#include <sched.h>
#include <string.h>
#include <sys/mman.h>
#include <hmm/engine.h>
#include <hmm/ptable.h>
#include <hmm/range.h>

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

int section_begin(struct hmm_svm *svm, uint64_t deadline)
{
	for (;;) {
		int ret = device_lock_until(svm->dev, deadline);

		if (ret)
			return ret;
		if (gate_commit_try(svm->mm))
			return 0;
		device_unlock(svm->dev);
		ret = gate_wait_open(svm->mm, deadline);
		if (ret)
			return ret;
	}
}

void section_end(struct hmm_svm *svm)
{
	hmm_mm_commit_end(svm->mm);
	device_unlock(svm->dev);
}

/* 0; -errno; CHUNK_LATER; CHUNK_CHANGED; CHUNK_COLLIDED */
static int try_commit(struct hmm_svm *svm, const struct hmm_range *range,
		      const struct range_walked *walked, struct chunk_request *rq, uint64_t word)
{
	int ret = section_begin(svm, rq->deadline);

	if (ret)
		return ret;
	mm_refused_forget();
	ret = range_walk_stands(range, walked);
	if (ret)
		ret = ret == -EBUSY ? CHUNK_COLLIDED : CHUNK_LATER;
	else
		ret = chunk_commit(svm, rq, range->hmm_pfns, word);
	section_end(svm);
	return ret;
}

/* 0; -errno; CHUNK_CHANGED; CHUNK_COLLIDED */
static int commit(struct hmm_svm *svm, struct hmm_range *range, const struct range_walked *walked,
		  struct chunk_request *rq, uint64_t word)
{
	for (;;) {
		int ret = try_commit(svm, range, walked, rq, word);
		uint64_t seq;

		if (ret == CHUNK_LATER || ret == CHUNK_COLLIDED)
			count(&svm->dev->retries, 1);
		if (ret != CHUNK_LATER)
			return ret;
		hmm_trace(retry, svm->mm, range->start, range->end);
		ret = mm_alive(svm->mm);
		if (!ret)
			ret = mm_refused();
		if (ret)
			return ret;
		if (deadline_passed(rq->deadline))
			return -ETIME;
		/*
		 * A change was in flight, maybe of other memory. When it is handled the sequence
		 * shows whether it was about this chunk. If it was not, the walk's result is still
		 * right and only the commit is repeated.
		 */
		ret = ni_read_begin(range->notifier, rq->deadline, &seq);
		if (ret)
			return ret;
		if (!ni_unchanged(range->notifier, range->start, range->end, &range->notifier_seq))
			return CHUNK_COLLIDED;
		sched_yield();
	}
}

/*
 * Is the mapping one huge entry of a file on a DAX filesystem? Then the write fault of the block
 * has made all of it writable and dirty. If all of it is asked for it stays one entry of the
 * device, too.
 */
static bool dirties_all(const struct chunk_request *rq, const uint64_t *pfns)
{
	uint64_t need = (rq->need_start - rq->start) >> HMM_PAGE_SHIFT;

	return !rq->block && chunk_writes_block(rq) && rq->look.vma.kind == HMM_VMA_DAX &&
	       rq->shift == CHUNK_MAX_SHIFT &&
	       hmm_pfn_to_map_order(pfns[need]) >= CHUNK_MAX_SHIFT - HMM_PAGE_SHIFT;
}

static int walk_and_commit(struct hmm_svm *svm, struct chunk_request *rq, struct hmm_range *range)
{
	const struct vma_look *look = &rq->look;
	struct range_walked walked;
	uint64_t word;
	int need;
	int ret;

	do {
		request(rq, range);
		count(&svm->stats.range_faults, 1);
		ret = range_walk(range, deadline_left_ns(rq->deadline), look, &walked);
		if (ret) {
			chunk_look_again(svm, rq->start);
			return ret == -EBUSY ? -ETIME : ret;
		}
		/*
		 * The first walk is progress, which moves the deadline. A further one after a
		 * collision is not, and looks the mapping up itself.
		 */
		if (look)
			rq->deadline = deadline_after(svm->options.fault_timeout_ns);
		look = NULL;
		if (walked.again)
			chunk_look_again(svm, rq->start);
		if (dirties_all(rq, range->hmm_pfns)) {
			rq->huge = true;
			ret = CHUNK_COLLIDED;
			continue;
		}
		need = chunk_judge(rq, range->hmm_pfns, &word);
		ret = commit(svm, range, &walked, rq, word);
	} while (ret == CHUNK_COLLIDED);
	if (rq->refused)
		svm_drop(svm, rq->start, rq->end, deadline_after(svm->options.fault_timeout_ns));
	return ret ? ret : need;
}

static int populate(struct hmm_svm *svm, struct chunk_request *rq, struct hmm_interval_notifier *ni)
{
	struct hmm_range range = {
		.size = sizeof(range),
		.notifier = ni,
		.start = rq->start,
		.end = rq->end,
		.dev_private_owner = svm_owner(svm, &rq->policy),
	};
	int ret;

	range.hmm_pfns = objpool_get(&svm->pfns_pool);
	if (!range.hmm_pfns)
		return -ENOMEM;
	rq->refused = false;
	ret = walk_and_commit(svm, rq, &range);
	objpool_put(&svm->pfns_pool, range.hmm_pfns);
	return ret;
}

/*
 * More permission for a block of a chunk that the device holds: only the block is walked and
 * installed. If the chunk has changed by the commit the whole chunk is populated.
 */
static bool take_block(struct hmm_svm *svm, const struct chunk_request *rq,
		       struct chunk_request *block)
{
	uint64_t mask = FILE_WRITE_BLOCK - 1;
	uint32_t shift;
	uint64_t word = chunk_word(svm, rq, &shift);

	if (!chunk_writes_block(rq) || !chunk_is_whole(word, shift, rq))
		return false;
	*block = *rq;
	block->block = true;
	block->shift = shift;
	if (block->start < (rq->need_start & ~mask))
		block->start = rq->need_start & ~mask;
	if (block->end > ((rq->need_end + mask) & ~mask))
		block->end = (rq->need_end + mask) & ~mask;
	return true;
}

int chunk_populate(struct hmm_svm *svm, struct chunk_request *rq)
{
	struct hmm_interval_notifier *ni;
	struct chunk_request block;
	int ret = svm_notifier_ensure(svm, rq->start, rq->deadline, &ni);

	if (ret)
		return ret;
	rq->shift = (uint32_t)__builtin_ctzll(rq->end - rq->start);
	svm_migrate_chunk(svm, rq);
	do
		ret = take_block(svm, rq, &block) ? populate(svm, &block, ni)
						  : populate(svm, rq, ni);
	while (ret == CHUNK_CHANGED);
	return ret;
}
