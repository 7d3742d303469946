// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * Before a job starts this looks for changes without an event: permissions that were reduced,
 * System V segments that were detached, mappings that were replaced (shmat with SHM_REMAP,
 * remap_file_pages). It makes one VMA look-up (0.5 us) for each mirrored VMA, another and a scan
 * (0.5 us) for each run of chunks.
 */
#include "svm/svm.h"
#include "ptable/ptable.h"
#include "files/files.h"
#include "space/space.h"
#include "base/pool.h"

#include <errno.h>
#include <sys/mman.h>

static bool known(struct hmm_svm *svm, const struct svm_checked *c)
{
	struct svm_checked *k;

	pthread_mutex_lock(&svm->lock);
	for (k = svm->checked; k; k = k->next)
		if (k->start == c->start && k->end == c->end && k->inode == c->inode &&
		    k->offset == c->offset)
			break;
	pthread_mutex_unlock(&svm->lock);
	return k;
}

int checked_add(struct hmm_svm *svm, const struct chunk_request *rq, bool again)
{
	struct svm_checked want = { .start = rq->start,
				    .end = rq->end,
				    .inode = rq->look.vma.inode,
				    .offset = rq->look.vma.offset +
					      (rq->start - rq->look.vma.start) };
	struct svm_checked *c;

	/* The list may be long, so it is not searched for a new chunk. */
	if (again && known(svm, &want))
		return 0;
	c = objpool_get(&svm->small_pool);
	if (!c)
		return -ENOMEM;
	*c = want;
	pthread_mutex_lock(&svm->lock);
	c->next = svm->checked;
	svm->checked = c;
	pthread_mutex_unlock(&svm->lock);
	return 0;
}

static bool still_there(struct hmm_svm *svm, const struct svm_checked *c)
{
	struct hmm_vma vma;

	return !hmm_vma_find(svm->mm, c->start, &vma) && vma.start <= c->start &&
	       vma.end >= c->end && vma.kind == HMM_VMA_SYSV && vma.inode == c->inode &&
	       vma.offset + (c->start - vma.start) == c->offset;
}

/*
 * Takes the list, checks its chunks, and puts those back that are still right. Faults may add to
 * the list meanwhile.
 */
static uint64_t check_segments(struct hmm_svm *svm)
{
	struct svm_checked *list;
	struct svm_checked *c;
	uint64_t n = 0;

	pthread_mutex_lock(&svm->lock);
	list = svm->checked;
	svm->checked = NULL;
	pthread_mutex_unlock(&svm->lock);
	while ((c = list)) {
		bool held = pt_get(svm->chunks, c->start, NULL) != 0;

		list = c->next;
		if (held && still_there(svm, c)) {
			pthread_mutex_lock(&svm->lock);
			c->next = svm->checked;
			svm->checked = c;
			pthread_mutex_unlock(&svm->lock);
			continue;
		}
		if (held) {
			hmm_svm_drop(svm, c->start, c->end);
			n++;
		}
		objpool_put(&svm->small_pool, c);
	}
	return n;
}

struct checking {
	struct hmm_svm *svm;
	struct hmm_vma vma; /* the VMA that was looked up last */
	uint64_t start;     /* start of a run of chunks that are still to be checked */
	uint64_t end;
	uint64_t dropped;
};

static void drop(struct checking *c, uint64_t start, uint64_t end)
{
	hmm_svm_drop(c->svm, start, end);
	c->dropped++;
}

static int drop_other(uint64_t addr, uint32_t shift, uint64_t word, void *arg)
{
	struct checking *c = arg;

	if (!mapping_stands(c->svm->mm, addr, addr + (1ULL << shift)))
		drop(c, addr, addr + (1ULL << shift));
	return 0;
}

static void check_run(struct checking *c)
{
	uint64_t start = c->start;
	uint64_t end = c->end;

	c->start = c->end = 0;
	if (start < end && !mapping_stands(c->svm->mm, start, end))
		hmm_ptable_walk(c->svm->chunks, start, end, drop_other, c);
}

static int check_chunk(uint64_t addr, uint32_t shift, uint64_t word, void *arg)
{
	struct checking *c = arg;
	uint64_t end = addr + (1ULL << shift);
	uint32_t prot = PROT_READ;

	/* the word of a partial chunk may be younger than what is left of the chunk */
	if (word & (CHUNK_MAY_WRITE | CHUNK_PARTIAL))
		prot |= PROT_WRITE;
	if (addr < c->vma.start || end > c->vma.end) {
		if (hmm_vma_find(c->svm->mm, addr, &c->vma))
			c->vma.start = c->vma.end = 0;
	}
	if (c->vma.start > addr || c->vma.end < end || (c->vma.prot & prot) != prot) {
		drop(c, addr, end);
		return 0;
	}
	if (addr != c->end) {
		check_run(c);
		c->start = addr;
	}
	c->end = end;
	return 0;
}

uint64_t svm_revalidate(struct hmm_svm *svm)
{
	struct checking c = { .svm = svm };
	uint64_t n;

	/* A log tells of all of this. */
	if (svm->mm->log)
		return 0;
	n = check_segments(svm);

	hmm_ptable_walk(svm->chunks, 0, UINT64_MAX, check_chunk, &c);
	check_run(&c);
	return n + c.dropped;
}
