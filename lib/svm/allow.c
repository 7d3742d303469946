// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* Allowed ranges: what a mirror that is not of the whole address space may touch. */
#include "svm/svm.h"
#include "space/debug.h"
#include "space/space.h"
#include "base/nocancel.h"
#include "base/pool.h"

#include <errno.h>
#include <sys/mman.h>

bool svm_allowed(struct hmm_svm *svm, uint64_t addr, int prot, uint64_t *start, uint64_t *end)
{
	bool found = false;

	if (!(svm->options.flags & HMM_SVM_EXPLICIT))
		return true;
	pthread_mutex_lock(&svm->lock);
	for (struct svm_allowed *a = svm->allowed; a && !found; a = a->next) {
		if (addr < a->start || addr >= a->end || (prot & ~a->prot))
			continue;
		found = true;
		if (*start < a->start)
			*start = a->start;
		if (*end > a->end)
			*end = a->end;
	}
	pthread_mutex_unlock(&svm->lock);
	return found;
}

int hmm_svm_add_range(struct hmm_svm *svm, uint64_t start, uint64_t end, int prot)
{
	DEBUG_CALL(svm->mm, DEBUG_BLOCKS);
	HMM_NO_CANCEL;
	struct svm_allowed *a;

	if (!(svm->options.flags & HMM_SVM_EXPLICIT) || start >= end ||
	    (start | end) % HMM_PAGE_SIZE || !(prot & PROT_READ) ||
	    prot & ~(PROT_READ | PROT_WRITE))
		return -EINVAL;
	if (mm_inherited(svm->mm))
		return -ESRCH;
	a = objpool_get(&svm->small_pool);
	if (!a)
		return -ENOMEM;
	a->start = start;
	a->end = end;
	a->prot = prot;
	pthread_mutex_lock(&svm->lock);
	a->next = svm->allowed;
	svm->allowed = a;
	pthread_mutex_unlock(&svm->lock);
	return 0;
}

int hmm_svm_remove_range(struct hmm_svm *svm, uint64_t start, uint64_t end)
{
	DEBUG_CALL(svm->mm, DEBUG_BLOCKS);
	HMM_NO_CANCEL;
	struct svm_allowed *found = NULL;

	if (mm_inherited(svm->mm))
		return -ESRCH;
	pthread_mutex_lock(&svm->lock);
	for (struct svm_allowed **a = &svm->allowed; *a; a = &(*a)->next) {
		if ((*a)->start != start || (*a)->end != end)
			continue;
		found = *a;
		*a = found->next;
		break;
	}
	pthread_mutex_unlock(&svm->lock);
	if (!found)
		return -ENOENT;
	objpool_put(&svm->small_pool, found);
	/*
	 * A fault that is under way asks again inside its commit section, so it commits before this
	 * or not at all.
	 */
	return hmm_svm_drop(svm, start, end);
}
