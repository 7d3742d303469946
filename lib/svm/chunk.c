// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* Chunks: finds the piece of the address space that one fault populates, or chooses it. */
#include "svm/svm.h"
#include "ptable/ptable.h"
#include "base/number.h"

#include <errno.h>
#include <sys/mman.h>

static const unsigned int shifts[] = { CHUNK_MAX_SHIFT, 16, HMM_PAGE_SHIFT };

static struct vma_look *look_at(struct hmm_svm *svm, uint64_t addr)
{
	for (int i = 0; i < LOOKS_MAX; i++) {
		struct vma_look *l = &svm->looks[i];

		if (addr >= l->vma.start && addr < l->vma.end)
			return l;
	}
	return NULL;
}

static bool remembered(struct hmm_svm *svm, uint64_t addr, struct vma_look *look)
{
	struct vma_look *l;
	bool stands;

	pthread_mutex_lock(&svm->lock);
	l = look_at(svm, addr);
	stands = l && vma_look_stands(svm->mm, l);
	if (stands)
		*look = *l;
	pthread_mutex_unlock(&svm->lock);
	return stands;
}

/* A System V segment is not remembered here: its chunk has what was mapped. */
static void remember(struct hmm_svm *svm, uint64_t addr, const struct vma_look *look)
{
	struct vma_look *l;

	if (!look->watched || look->vma.start > addr || look->vma.kind == HMM_VMA_SYSV)
		return;
	pthread_mutex_lock(&svm->lock);
	l = look_at(svm, addr);
	*(l ? l : &svm->looks[svm->n_looks++ % LOOKS_MAX]) = *look;
	pthread_mutex_unlock(&svm->lock);
}

void chunk_look_again(struct hmm_svm *svm, uint64_t addr)
{
	struct vma_look *l;

	pthread_mutex_lock(&svm->lock);
	l = look_at(svm, addr);
	if (l)
		l->vma.start = l->vma.end = 0;
	pthread_mutex_unlock(&svm->lock);
}

/*
 * Looks the mapping up, or takes a fault's last look-up if that may still be right: see
 * range/look.h.
 */
static int look(struct hmm_svm *svm, uint64_t addr, bool ask, struct vma_look *look)
{
	int err;

	if (!ask && remembered(svm, addr, look))
		return 0;
	err = vma_look(svm->mm, addr, look);
	if (!err)
		remember(svm, addr, look);
	return err;
}

int chunk_choose(struct hmm_svm *svm, uint64_t addr, int prot, unsigned int max_shift,
		 struct chunk_request *rq)
{
	uint64_t start = 0;
	uint64_t end = UINT64_MAX;
	int ret = mm_alive(svm->mm);

	if (!ret)
		ret = look(svm, addr, rq->ask, &rq->look);
	if (ret == -ENOENT || (!ret && rq->look.vma.start > addr))
		return -EFAULT;
	if (ret)
		return ret;
	if (!svm_allowed(svm, addr, prot, &start, &end))
		return -EACCES;
	if (start < rq->look.vma.start)
		start = rq->look.vma.start;
	if (end > rq->look.vma.end)
		end = rq->look.vma.end;
	svm_policy_at(svm, addr, &start, &end, &rq->policy);
	if (rq->policy.chunk_shift && max_shift > rq->policy.chunk_shift)
		max_shift = rq->policy.chunk_shift;
	for (unsigned int i = 0; i < sizeof(shifts) / sizeof(shifts[0]); i++) {
		uint64_t size = 1ULL << shifts[i];
		bool allowed = svm->options.chunk_shifts & size || shifts[i] == HMM_PAGE_SHIFT;

		rq->start = addr & ~(size - 1);
		rq->end = rq->start + size;
		if (allowed && shifts[i] <= max_shift && rq->start >= start && rq->end <= end)
			break;
	}
	rq->prot = prot;
	rq->huge = rq->block = false;
	return 0;
}

uint64_t chunk_blocks(uint32_t shift, uint64_t start, uint64_t end)
{
	uint64_t mask = (1ULL << shift) - 1;
	uint64_t first = (start & mask) >> BLOCK_SHIFT;
	uint64_t last = ((end - 1) & mask) >> BLOCK_SHIFT;

	return ((2ULL << last) - (1ULL << first)) & CHUNK_BLOCKS;
}

bool chunk_span(struct hmm_svm *svm, uint64_t addr, struct chunk_request *rq)
{
	uint32_t shift;
	uint64_t word = pt_get(svm->chunks, addr, &shift);

	rq->start = addr & ~((1ULL << shift) - 1);
	rq->end = rq->start + (1ULL << shift);
	return word && !(word & (CHUNK_PARTIAL | CHUNK_CHECKED));
}

bool chunk_found(struct hmm_svm *svm, uint64_t addr, uint64_t end, int prot)
{
	while (addr < end) {
		uint32_t shift;
		uint64_t word = pt_get(svm->chunks, addr, &shift);
		uint64_t next = (addr | ((1ULL << shift) - 1)) + 1;

		if (!word || word & CHUNK_PARTIAL)
			return false;
		if (prot & PROT_WRITE && chunk_blocks(shift, addr, next < end ? next : end) & ~word)
			return false;
		addr = next;
	}
	return true;
}

uint64_t chunk_word(struct hmm_svm *svm, const struct chunk_request *rq, uint32_t *shift)
{
	return pt_get(svm->chunks, rq->start, shift);
}

/* Called in a commit section with the chunk claimed, as it reads words and writes them back. */
int chunk_partial(struct hmm_svm *svm, uint64_t start, uint64_t end)
{
	int ret = 0;

	for (uint64_t addr = start, next; !ret && addr < end; addr = next) {
		uint32_t shift;
		uint64_t word = pt_get(svm->chunks, addr, &shift) | CHUNK_PARTIAL;

		next = (addr | ((1ULL << shift) - 1)) + 1;
		if (word != CHUNK_PARTIAL)
			ret = hmm_ptable_set(svm->chunks, addr & ~((1ULL << shift) - 1), shift,
					     &word, 1);
	}
	return ret;
}

int chunk_upgrade(struct hmm_svm *svm, uint64_t addr, uint64_t word)
{
	uint32_t shift;
	uint64_t now = pt_get(svm->chunks, addr, &shift);
	uint64_t base = addr & ~((1ULL << shift) - 1);

	now |= word & (CHUNK_MAY_WRITE | CHUNK_BLOCKS);
	if (!(chunk_blocks(shift, base, base + (1ULL << shift)) & ~now))
		now |= CHUNK_WRITE;
	return hmm_ptable_set(svm->chunks, base, shift, &now, 1);
}

/*
 * Called inside the commit section. A larger chunk that is in the table already stays: its word
 * stands for more of the device's entries than the new one would. If these are one large entry the
 * device splits it and keeps what is installed now.
 */
int chunk_remember(struct hmm_svm *svm, const struct chunk_request *rq, uint64_t word)
{
	uint64_t size = rq->end - rq->start;
	uint32_t shift = (uint32_t)__builtin_ctzll(size);
	uint32_t old_shift;
	uint64_t old = chunk_word(svm, rq, &old_shift);

	if (old && old_shift > shift) {
		word = old | (word & (CHUNK_CHECKED | CHUNK_MAY_WRITE));
		if (old & CHUNK_LARGE)
			word = (word & ~CHUNK_LARGE) | CHUNK_PARTIAL;
		shift = old_shift;
	}
	count(size == HMM_PAGE_SIZE             ? &svm->stats.chunks_4k
	      : size == 1ULL << CHUNK_MAX_SHIFT ? &svm->stats.chunks_2m
						: &svm->stats.chunks_64k,
	      1);
	return hmm_ptable_set(svm->chunks, rq->start & ~((1ULL << shift) - 1), shift, &word, 1);
}
