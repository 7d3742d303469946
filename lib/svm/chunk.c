/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/* Chunks: the piece of the address space that one fault populates, found or chosen anew. */
#include <errno.h>
#include <sys/mman.h>
#include <hmm/ptable.h>
#include "svm/svm.h"

static const unsigned int shifts[] = { CHUNK_MAX_SHIFT, 16, HMM_PAGE_SHIFT };

int chunk_choose(struct hmm_svm *svm, uint64_t addr, int prot, unsigned int max_shift,
		 struct chunk_request *rq)
{
	uint64_t start = 0;
	uint64_t end = UINT64_MAX;
	int rc = hmm_vma_find(svm->mm, addr, &rq->vma);

	if (rc == -ENOENT || (!rc && rq->vma.start > addr))
		return -EFAULT;
	if (rc)
		return rc;
	if (!svm_allowed(svm, addr, prot, &start, &end))
		return -EACCES;
	if (start < rq->vma.start)
		start = rq->vma.start;
	if (end > rq->vma.end)
		end = rq->vma.end;
	for (unsigned int i = 0; i < sizeof(shifts) / sizeof(shifts[0]); i++) {
		uint64_t size = 1ULL << shifts[i];
		bool allowed = svm->options.chunk_shifts & size || shifts[i] == HMM_PAGE_SHIFT;

		rq->start = addr & ~(size - 1);
		rq->end = rq->start + size;
		if (allowed && shifts[i] <= max_shift && rq->start >= start && rq->end <= end)
			break;
	}
	rq->prot = prot;
	return 0;
}

bool chunk_found(struct hmm_svm *svm, uint64_t addr, uint64_t end, int prot)
{
	while (addr < end) {
		uint32_t shift;
		uint64_t word = hmm_ptable_lookup(svm->chunks, addr, &shift);

		if (!word || word & CHUNK_PARTIAL || (prot & PROT_WRITE && !(word & CHUNK_WRITE)))
			return false;
		addr = (addr | ((1ULL << shift) - 1)) + 1;
	}
	return true;
}

/*
 * Inside the commit section. A larger partial chunk that is there already stays and stays partial: its
 * word stands for more of the device's entries than this one would.
 */
int chunk_remember(struct hmm_svm *svm, const struct chunk_request *rq, uint64_t word)
{
	uint64_t size = rq->end - rq->start;
	uint32_t shift = (uint32_t)__builtin_ctzll(size);
	uint32_t old_shift = 0;
	uint64_t old = hmm_ptable_lookup(svm->chunks, rq->start, &old_shift);

	if (old && old_shift > shift) {
		word = old | (word & CHUNK_CHECKED);
		shift = old_shift;
	}
	count(size == HMM_PAGE_SIZE             ? &svm->stats.chunks_4k
	      : size == 1ULL << CHUNK_MAX_SHIFT ? &svm->stats.chunks_2m
						: &svm->stats.chunks_64k,
	      1);
	return hmm_ptable_set(svm->chunks, rq->start & ~((1ULL << shift) - 1), shift, &word, 1);
}
