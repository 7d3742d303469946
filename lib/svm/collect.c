/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * The garbage of unmapped ranges: table pages of the device and of the chunk table, and windows without a
 * chunk. Entries are taken away on the pump; nodes are freed here, with the gate closed, when no engine
 * can be reading them.
 */
#include <hmm/ptable.h>
#include "mm/core.h"
#include "svm/device.h"
#include "svm/svm.h"

/* Invalidations that removed something, before it is worth the stop of the engines. */
#define COLLECT_AFTER 512

uint64_t hmm_svm_collect(struct hmm_svm *svm)
{
	uint64_t bytes;

	if (mm_alive(svm->mm))
		return 0;
	atomic_store(&svm->garbage, 0);
	gate_close(svm->mm);
	bytes = svm->dev->ops.collect(svm->dev);
	bytes += hmm_ptable_reclaim(svm->chunks);
	gate_open(svm->mm);
	count(&svm->stats.collections, 1);
	count(&svm->stats.collected_bytes, bytes);
	count(&svm->stats.collected_notifiers, windows_collect(svm));
	return bytes;
}

void svm_collect_maybe(struct hmm_svm *svm)
{
	if (svm->options.flags & HMM_SVM_NO_COLLECT ||
	    atomic_load_explicit(&svm->garbage, memory_order_relaxed) < COLLECT_AFTER)
		return;
	hmm_svm_collect(svm);
}
