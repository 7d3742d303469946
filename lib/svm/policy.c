// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* Policies: where the pages of a range are to live. Ranges do not overlap. */
#include "svm/svm.h"
#include "space/debug.h"
#include "space/space.h"
#include "base/grow.h"
#include "base/itree.h"
#include "base/nocancel.h"
#include "base/number.h"
#include "base/pool.h"

#include <errno.h>

static struct svm_policy *policy_first(struct hmm_svm *svm, uint64_t start, uint64_t end)
{
	return (struct svm_policy *)itree_first(&svm->policies, start, end);
}

/* Narrows to what lies between two ranges with policies, as far as a chunk reaches. */
static void narrow(struct hmm_svm *svm, uint64_t addr, uint64_t *start, uint64_t *end)
{
	const struct svm_policy *p = policy_first(svm, addr, *end);

	if (p)
		*end = p->node.start;
	*start = max64(*start, addr & ~((1ULL << CHUNK_MAX_SHIFT) - 1));
	while ((p = policy_first(svm, *start, addr)))
		*start = p->node.end;
}

void svm_policy_at(struct hmm_svm *svm, uint64_t addr, uint64_t *start, uint64_t *end,
		   struct hmm_svm_policy *policy)
{
	const struct svm_policy *p;

	pthread_mutex_lock(&svm->lock);
	p = policy_first(svm, addr, addr + 1);
	*policy = p ? p->policy : svm->policy;
	if (p) {
		*start = max64(*start, p->node.start);
		*end = min64(*end, p->node.end);
	} else {
		narrow(svm, addr, start, end);
	}
	pthread_mutex_unlock(&svm->lock);
}

static void insert(struct hmm_svm *svm, struct svm_policy *p, uint64_t start, uint64_t end)
{
	p->node.start = start;
	p->node.end = end;
	itree_insert(&svm->policies, &p->node);
}

/*
 * Cuts [start, end) out of what there is. *spare: for the part behind a hole in the middle; NULL if
 * it was taken. Returns a list of what is no longer used.
 */
static struct svm_policy *cut(struct hmm_svm *svm, uint64_t start, uint64_t end,
			      struct svm_policy **spare)
{
	struct svm_policy *unused = NULL;
	struct svm_policy *p;

	while ((p = policy_first(svm, start, end))) {
		const uint64_t from = p->node.start;
		const uint64_t to = p->node.end;

		itree_remove(&svm->policies, &p->node);
		if (from < start && to > end) {
			(*spare)->policy = p->policy;
			insert(svm, *spare, end, to);
			*spare = NULL;
		}
		if (from < start) {
			insert(svm, p, from, start);
		} else if (to > end) {
			insert(svm, p, end, to);
		} else {
			p->next = unused;
			unused = p;
		}
	}
	return unused;
}

static int set_range(struct hmm_svm *svm, uint64_t start, uint64_t end,
		     const struct hmm_svm_policy *policy)
{
	struct svm_policy *p = objpool_get(&svm->policy_pool);
	struct svm_policy *spare = objpool_get(&svm->policy_pool);
	struct svm_policy *unused = NULL;
	const int err = p && spare ? 0 : -ENOMEM;

	if (!err) {
		pthread_mutex_lock(&svm->lock);
		unused = cut(svm, start, end, &spare);
		if (policy) {
			p->policy = *policy;
			insert(svm, p, start, end);
			p = NULL;
		}
		pthread_mutex_unlock(&svm->lock);
	}
	while (unused) {
		struct svm_policy *next = unused->next;

		objpool_put(&svm->policy_pool, unused);
		unused = next;
	}
	objpool_put(&svm->policy_pool, spare);
	objpool_put(&svm->policy_pool, p);
	return err;
}

static int check(const struct hmm_svm *svm, const struct hmm_svm_policy *p)
{
	if (p->flags & ~HMM_SVM_READ_MOSTLY || p->location > HMM_SVM_DEVICE ||
	    (p->location == HMM_SVM_DEVICE && !svm->options.devmem))
		return -EINVAL;
	if (p->chunk_shift && p->chunk_shift != HMM_PAGE_SHIFT && p->chunk_shift != BLOCK_SHIFT &&
	    p->chunk_shift != CHUNK_MAX_SHIFT)
		return -EINVAL;
	return 0;
}

int hmm_svm_set_policy(struct hmm_svm *svm, uint64_t start, uint64_t end,
		       const struct hmm_svm_policy *policy)
{
	DEBUG_CALL(svm->mm, DEBUG_BLOCKS);
	HMM_NO_CANCEL;
	struct hmm_svm_policy own = { .size = sizeof(own) };
	int err = policy ? grow_take(&own, sizeof(own), policy,
				     GROW_LEAST(struct hmm_svm_policy, chunk_shift))
			 : 0;

	if (err)
		return err;
	if (start >= end || start % HMM_PAGE_SIZE || (end != UINT64_MAX && end % HMM_PAGE_SIZE) ||
	    check(svm, &own))
		return -EINVAL;
	if (mm_inherited(svm->mm))
		return -ESRCH;
	if (start || end != UINT64_MAX)
		return set_range(svm, start, end, policy ? &own : NULL);
	pthread_mutex_lock(&svm->lock);
	svm->policy = own;
	pthread_mutex_unlock(&svm->lock);
	return 0;
}
