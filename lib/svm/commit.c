// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * Installs what a walk has found: decides which pages may be cached, in entries of which size, and
 * which the device has already. All functions but chunk_judge() are called inside the commit
 * section.
 */
#include "svm/svm.h"
#include "device/device.h"
#include "space/debug.h"
#include "base/number.h"

#include <errno.h>
#include <sys/mman.h>
#include <hmm/ptable.h>

int chunk_judge(const struct chunk_request *rq, uint64_t *pfns, uint64_t *word)
{
	uint64_t n = (rq->end - rq->start) >> HMM_PAGE_SHIFT;
	uint64_t blocks = chunk_blocks(rq->shift, rq->start, rq->end);
	int ret = 0;

	*word = CHUNK_PRESENT;
	for (uint64_t i = 0; i < n; i++) {
		uint64_t addr = rq->start + (i << HMM_PAGE_SHIFT);
		bool cached = (pfns[i] & (HMM_PFN_VALID | HMM_PFN_ERROR | HMM_PFN_TRANSIENT)) ==
			      HMM_PFN_VALID;

		if (cached && pfns[i] & HMM_PFN_WRITE) {
			*word |= CHUNK_MAY_WRITE;
			continue;
		}
		blocks &= ~chunk_blocks(rq->shift, addr, addr + 1);
		if (cached)
			continue;
		pfns[i] = 0;
		*word |= CHUNK_PARTIAL;
		if (addr < rq->need_end && addr + HMM_PAGE_SIZE > rq->need_start)
			ret = 1;
	}
	*word |= blocks;
	if (blocks == chunk_blocks(rq->shift, rq->start, rq->end) && !(*word & CHUNK_PARTIAL))
		*word |= CHUNK_WRITE;
	return ret;
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

/* Leaves out the blocks that are writable in the device already. */
static void leave_writable(const struct chunk_request *rq, uint64_t *pfns, uint64_t old)
{
	for (uint64_t a = rq->start; a < rq->end; a += HMM_PAGE_SIZE)
		if (chunk_blocks(rq->shift, a, a + 1) & old)
			pfns[(a - rq->start) >> HMM_PAGE_SHIFT] = 0;
}

static int map_on(struct hmm_device *dev, const struct hmm_device_map *map)
{
	DEBUG_PROGRAM;

	return dev->ops.map(dev, map);
}

static int install(struct hmm_svm *svm, struct chunk_request *rq, const uint64_t *pfns,
		   bool upgrade, bool large)
{
	struct hmm_device_map map = { .start = rq->start, .pfns = pfns };
	int ret;

	map.flags = (upgrade ? HMM_MAP_UPGRADE : 0) | (rq->prefetch ? HMM_MAP_PREFETCH : 0);
	map.shift = large ? CHUNK_MAX_SHIFT : HMM_PAGE_SHIFT;
	map.n = large ? 1 : (rq->end - rq->start) >> HMM_PAGE_SHIFT;
	ret = map_on(svm->dev, &map);
	if (!ret)
		return 0;
	/* The device may have installed a part, so the table has the chunk until it is dropped. */
	chunk_partial(svm, rq->start, rq->end);
	rq->refused = true;
	return ret < 0 ? ret : -EIO;
}

/*
 * Does the device hold all of the chunk, page by page? Then a write need not install all of it
 * again.
 */
bool chunk_is_whole(uint64_t word, uint32_t shift, const struct chunk_request *rq)
{
	return word && !(word & (CHUNK_PARTIAL | CHUNK_LARGE)) && shift >= rq->shift;
}

/* Installs a new chunk, or all of a chunk with more permission. */
static int commit_whole(struct hmm_svm *svm, struct chunk_request *rq, uint64_t *pfns,
			uint64_t word)
{
	uint32_t shift;
	uint64_t old = chunk_word(svm, rq, &shift);
	bool upgrade = old && !(old & CHUNK_PARTIAL) && shift >= rq->shift && rq->prot & PROT_WRITE;
	bool large = is_large(svm, rq, pfns);
	int ret = 0;

	if (rq->look.vma.kind == HMM_VMA_SYSV) {
		word |= CHUNK_CHECKED;
		ret = checked_add(svm, rq, old & CHUNK_CHECKED);
	}
	/* The table comes first: it may say too much, but never too little. */
	if (!ret)
		ret = chunk_remember(svm, rq, large ? word | CHUNK_LARGE : word);
	if (ret)
		return ret;
	if (!large && shift == rq->shift && chunk_is_whole(old, shift, rq))
		leave_writable(rq, pfns, old);
	ret = install(svm, rq, pfns, upgrade, large);
	if (!ret && upgrade)
		count(&svm->stats.upgrades, 1);
	return ret;
}

/* Installs a block of a chunk that the device held when the walk began. */
static int commit_block(struct hmm_svm *svm, struct chunk_request *rq, const uint64_t *pfns,
			uint64_t word)
{
	uint32_t shift;
	uint64_t old = chunk_word(svm, rq, &shift);
	int ret;

	if (!chunk_is_whole(old, shift, rq))
		return CHUNK_CHANGED;
	ret = chunk_upgrade(svm, rq->start, word);
	if (!ret)
		ret = install(svm, rq, pfns, true, false);
	if (!ret)
		count(&svm->stats.upgrades, 1);
	return ret;
}

int chunk_commit(struct hmm_svm *svm, struct chunk_request *rq, uint64_t *pfns, uint64_t word)
{
	uint64_t start = rq->start;
	uint64_t end = rq->end;
	int ret;

	if (!svm_allowed(svm, rq->need_start, rq->prot, &start, &end) || start > rq->start ||
	    end < rq->end)
		return -EACCES;
	ret = rq->block ? commit_block(svm, rq, pfns, word) : commit_whole(svm, rq, pfns, word);
	if (ret)
		return ret;
	install_note(svm, rq->start, rq->end);
	if (rq->prefetch)
		count(&svm->stats.prefetched, 1);
	return 0;
}
