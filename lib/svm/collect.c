// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * Collects what unmapped ranges leave behind: nodes of the device's page table and of the chunk
 * table, and notifiers without a chunk. The pump removes entries. Their nodes are freed here, with
 * the gate closed, so that no engine reads them.
 */
#include "svm/svm.h"
#include "device/device.h"
#include "engine/gate.h"
#include "space/debug.h"
#include "space/space.h"
#include "base/deadline.h"
#include "base/nocancel.h"
#include "base/number.h"

#include <errno.h>
#include <hmm/ptable.h>

/* After how many invalidations that removed something it is worth stopping the engines. */
#define COLLECT_AFTER 512

/* How long a fault that collects, and has a deadline, waits for the gate at most. */
#define GATE_NS 10000000ULL

struct collecting {
	struct hmm_svm *svm;
	uint64_t deadline;
};

/*
 * Drops a chunk of which nothing is mapped any more. When a chunk is unmapped piece by piece the
 * pump only marks it as partial.
 */
static int drop_unmapped(uint64_t addr, uint32_t shift, uint64_t word, void *arg)
{
	const struct collecting *c = arg;
	struct hmm_svm *svm = c->svm;
	uint64_t end = addr + (1ULL << shift);
	struct hmm_vma vma;

	if (!(word & CHUNK_PARTIAL))
		return 0;
	/* the library's own memory is often mapped into the holes */
	for (uint64_t a = addr; a < end; a = vma.end) {
		int ret = hmm_vma_find(svm->mm, a, &vma);

		if (ret == -ENOENT || (!ret && vma.start >= end))
			break;
		if (ret || vma.kind != HMM_VMA_SPECIAL)
			return 0;
	}
	return svm_drop(svm, addr, end, c->deadline);
}

static uint64_t collect_on(struct hmm_device *dev)
{
	DEBUG_CALLBACK("hmm_device_ops.collect");

	return dev->ops.collect(dev);
}

static uint64_t collect(struct hmm_svm *svm, uint64_t deadline)
{
	struct collecting c = { svm, deadline };
	uint64_t bytes;

	if (mm_alive(svm->mm))
		return 0;
	atomic_store(&svm->garbage, 0);
	if (hmm_ptable_walk(svm->chunks, 0, UINT64_MAX, drop_unmapped, &c) == -ETIME ||
	    gate_close(svm->mm, deadline))
		return 0;
	bytes = collect_on(svm->dev);
	bytes += hmm_ptable_reclaim(svm->chunks);
	gate_open(svm->mm);
	count(&svm->stats.collections, 1);
	count(&svm->stats.collected_bytes, bytes);
	count(&svm->stats.collected_notifiers, svm_notifiers_collect(svm));
	return bytes;
}

uint64_t hmm_svm_collect(struct hmm_svm *svm)
{
	DEBUG_CALL(svm->mm, DEBUG_BLOCKS);
	HMM_CANCEL_POINT;

	return collect(svm, 0);
}

void svm_collect_maybe(struct hmm_svm *svm)
{
	if (svm->options.flags & HMM_SVM_NO_COLLECT ||
	    atomic_load_explicit(&svm->garbage, memory_order_relaxed) < COLLECT_AFTER)
		return;
	collect(svm, svm->options.fault_timeout_ns != HMM_FOREVER ? deadline_after(GATE_NS) : 0);
}
