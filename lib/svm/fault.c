// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * Faults a range of addresses. Each chunk of it is found in the table, or populated. After an error
 * smaller chunks are tried, so that only memory that is really missing fails.
 */
#include "svm/svm.h"
#include "watch/discard.h"
#include "space/debug.h"
#include "space/space.h"
#include "base/deadline.h"
#include "base/nocancel.h"
#include "base/number.h"

#include <errno.h>
#include <sys/mman.h>

bool svm_streaming(struct hmm_svm *svm, uint64_t start)
{
	for (int i = 0; i < 8; i++)
		if (atomic_load_explicit(&svm->streams[i], memory_order_relaxed) == start)
			return true;
	return false;
}

static void stream_note(struct hmm_svm *svm, uint64_t start, uint64_t end)
{
	uint32_t i;

	for (i = 0; i < 8; i++)
		if (atomic_load_explicit(&svm->streams[i], memory_order_relaxed) == start)
			break;
	if (i == 8)
		i = atomic_fetch_add_explicit(&svm->stream_next, 1, memory_order_relaxed) & 7;
	atomic_store_explicit(&svm->streams[i], end, memory_order_relaxed);
}

static void note(struct hmm_svm *svm, const struct chunk_request *rq)
{
	uint64_t block = FILE_WRITE_BLOCK - 1;

	if (chunk_writes_block(rq))
		stream_note(svm, rq->need_start & ~block, (rq->need_end + block) & ~block);
	else
		stream_note(svm, rq->start, rq->end);
}

void svm_fault_ahead(struct hmm_svm *svm, uint64_t addr, int prot, unsigned int max)
{
	struct chunk_request rq = { .prefetch = true };

	for (unsigned int i = 0; i < max; i++, addr = rq.end) {
		if (chunk_choose(svm, addr, prot, CHUNK_MAX_SHIFT, &rq))
			return;
		if (rq.end - rq.start < 1ULL << 16)
			return;
		if (chunk_found(svm, rq.start, rq.end, prot) || !claim_try(svm, rq.start, rq.end))
			continue;
		rq.need_start = rq.start;
		rq.need_end = rq.end;
		rq.deadline = deadline_after(svm->options.fault_timeout_ns);
		if (chunk_populate(svm, &rq) == 0)
			stream_note(svm, rq.start, rq.end);
		claim_end(svm, rq.start, rq.end);
	}
}

/*
 * Another thread populates our chunk: populates the next one of the stream meanwhile, then waits.
 */
static void wait_usefully(struct hmm_svm *svm, const struct chunk_request *rq)
{
	if (svm->options.prefetch && svm_streaming(svm, rq->start))
		svm_fault_ahead(svm, rq->end, rq->prot, 1);
	claim_wait(svm, rq->start, rq->end);
}

static unsigned int smaller(unsigned int shift)
{
	return shift > 16 ? 16 : HMM_PAGE_SHIFT;
}

/*
 * Is a discard pending of other pages of the chunk, and of no page that is needed? Then smaller
 * chunks can be populated.
 */
static bool discard_beside(struct hmm_svm *svm, const struct chunk_request *rq)
{
	return rq->end - rq->start > HMM_PAGE_SIZE &&
	       discard_pending(svm->mm, rq->start, rq->end) &&
	       !discard_pending(svm->mm, rq->need_start, rq->need_end);
}

static bool may_be_elsewhere(int ret)
{
	return ret == -EFAULT || ret == -EPERM || ret == -EHWPOISON || ret == -EACCES;
}

/*
 * Is the chunk in the table, and still right? It may stand for a mapping whose unmapping is not
 * handled yet: the program may have mapped something else there since. 0: no; 1: yes; -errno.
 */
static int found(struct hmm_svm *svm, const struct chunk_request *rq)
{
	int ret;

	/*
	 * The chunk table is written before the device: the thread that has the claim may be
	 * between the two.
	 */
	if (!chunk_found(svm, rq->need_start, rq->need_end, rq->prot) ||
	    claim_held(svm, rq->start, rq->end))
		return 0;
	ret = hmm_mm_barrier(svm->mm, deadline_left_ns(rq->deadline));
	if (ret)
		return ret;
	return chunk_found(svm, rq->need_start, rq->need_end, rq->prot);
}

/* The table has the chunk, and the device has faulted. Is the device right? See install_log.c. */
static bool is_missing(struct hmm_svm *svm, const struct chunk_request *rq,
		       const struct svm_need *need)
{
	return need->missing &&
	       !installed_since(svm, rq->need_start, rq->need_end, need->raised_after);
}

/*
 * Answers a fault of a chunk that is in the table already, without looking at the mapping. 1: the
 * device has it, up to *next; 0: the caller has to look; -errno. A chunk leaves the table with the
 * event that ends its mapping, and the barrier waits for events that are not handled yet. A System
 * V segment is detached without an event, so its chunks, which are marked, are left to the caller.
 */
static int served(struct hmm_svm *svm, uint64_t addr, uint64_t end, int prot, uint64_t *next,
		  const struct svm_need *need)
{
	struct chunk_request rq = { .prot = prot, .need_start = addr };
	uint64_t start = 0;
	uint64_t limit = UINT64_MAX;
	int ret = mm_alive(svm->mm);

	if (ret || !chunk_span(svm, addr, &rq))
		return ret;
	rq.need_end = end < rq.end ? end : rq.end;
	if (!svm_allowed(svm, addr, prot, &start, &limit) || start > addr || limit < rq.need_end)
		return 0;
	rq.deadline = deadline_after(svm->options.fault_timeout_ns);
	ret = found(svm, &rq);
	*next = rq.end;
	return ret == 1 ? !is_missing(svm, &rq, need) : ret;
}

/* The table has the chunk, but the device lacks a part of it. */
static int discards_wait(struct hmm_svm *svm, const struct chunk_request *rq)
{
	int ret = section_begin(svm, rq->deadline);

	if (ret)
		return ret;
	count(&svm->stats.reinstalled, 1);
	ret = chunk_partial(svm, rq->need_start, rq->need_end);
	section_end(svm);
	return ret;
}

/* Faults the chunk at addr. *next: where the next chunk begins. */
static int fault_chunk(struct hmm_svm *svm, uint64_t addr, uint64_t end, int prot, uint64_t *next,
		       struct svm_need *need)
{
	struct chunk_request rq = { .deadline = deadline_after(svm->options.fault_timeout_ns),
				    .in_place = need->in_place };
	unsigned int max_shift = CHUNK_MAX_SHIFT;
	bool waited = false;
	int ret = served(svm, addr, end, prot, next, need);

	if (ret) {
		count(&svm->stats.chunks_found, ret > 0);
		return ret > 0 ? 0 : ret;
	}
	for (;; rq.ask = true) {
		ret = chunk_choose(svm, addr, prot, max_shift, &rq);
		if (ret)
			return ret;
		rq.need_start = addr;
		rq.need_end = end < rq.end ? end : rq.end;
		if (discard_beside(svm, &rq)) {
			max_shift = smaller((unsigned int)__builtin_ctzll(rq.end - rq.start));
			continue;
		}
		*next = rq.end;
		rq.stream = svm_streaming(svm, addr & ~(FILE_WRITE_BLOCK - 1));
		ret = found(svm, &rq);
		if (ret < 0)
			return ret;
		if (ret && !is_missing(svm, &rq, need)) {
			count(&svm->stats.chunks_found, 1);
			return 0;
		}
		if (waited && deadline_passed(rq.deadline))
			return -ETIME;
		if (!claim_try(svm, rq.start, rq.end)) {
			wait_usefully(svm, &rq);
			waited = true;
			continue;
		}
		ret = chunk_found(svm, rq.need_start, rq.need_end, prot);
		if (ret && !is_missing(svm, &rq, need)) {
			claim_end(svm, rq.start, rq.end);
			continue;
		}
		if (ret)
			ret = discards_wait(svm, &rq);
		need->walks++;
		if (!ret)
			ret = chunk_populate(svm, &rq);
		claim_end(svm, rq.start, rq.end);
		if (ret == 0)
			note(svm, &rq);
		if (!may_be_elsewhere(ret) || rq.end - rq.start == HMM_PAGE_SIZE)
			return ret;
		max_shift = smaller((unsigned int)__builtin_ctzll(rq.end - rq.start));
	}
}

int svm_fault_span(struct hmm_svm *svm, uint64_t addr, uint64_t end, int prot,
		   struct svm_need *need)
{
	uint64_t next;
	int worst = 0;

	for (addr &= ~(HMM_PAGE_SIZE - 1); addr < end; addr = next) {
		int ret = fault_chunk(svm, addr, end, prot, &next, need);

		if (ret < 0)
			return ret;
		worst |= ret;
	}
	return worst;
}

int hmm_svm_fault(struct hmm_svm *svm, uint64_t addr, uint64_t len, int prot)
{
	DEBUG_CALL(svm->mm, DEBUG_BLOCKS);
	HMM_CANCEL_POINT;
	struct svm_need need = { .missing = false };

	if (!len || addr + len < addr || !(prot & PROT_READ) || prot & ~(PROT_READ | PROT_WRITE))
		return -EINVAL;
	if (mm_inherited(svm->mm))
		return -ESRCH;
	svm_collect_maybe(svm);
	return svm_fault_span(svm, addr, addr + len, prot, &need);
}

/* Where the largest chunk around addr ends, at most limit. */
static uint64_t block_end(uint64_t addr, uint64_t limit)
{
	return min64((addr | ((1ULL << CHUNK_MAX_SHIFT) - 1)) + 1, limit);
}

int64_t hmm_svm_prefetch(struct hmm_svm *svm, uint64_t start, uint64_t end, int prot)
{
	DEBUG_CALL(svm->mm, DEBUG_BLOCKS);
	HMM_CANCEL_POINT;
	const uint64_t first = start;
	int64_t bytes = 0;
	uint64_t next;

	if (start >= end || !(prot & PROT_READ) || prot & ~(PROT_READ | PROT_WRITE))
		return -EINVAL;
	if (mm_inherited(svm->mm))
		return -ESRCH;
	for (start &= ~(HMM_PAGE_SIZE - 1); start < end; start = next) {
		struct svm_need need = { .in_place = true };
		struct hmm_vma vma;
		int ret = hmm_vma_find(svm->mm, start, &vma);

		if (ret == -ENOENT)
			break;
		if (ret)
			return ret;
		next = vma.start > start ? vma.start : vma.end;
		if (vma.start > start || vma.kind == HMM_VMA_SPECIAL ||
		    (vma.prot & (uint32_t)prot) != (uint32_t)prot)
			continue;
		svm_migrate_span(svm, start, block_end(start, min64(end, vma.end)));
		ret = fault_chunk(svm, start, end, prot, &next, &need);
		if (ret == -ENOMEM || ret == -ESRCH || ret == -ETIME)
			return ret;
		if (ret == 0)
			bytes += (int64_t)(min64(next, end) - max64(start, first));
		if (need.walks)
			count(&svm->stats.prefetched, 1);
	}
	return bytes;
}
