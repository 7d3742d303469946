// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * There is an interval notifier for each 512 MiB (or more) of address space that the device has
 * touched. Their callback is the only part of the svm layer that the pump runs. It walks two
 * tables.
 */
#include "svm/svm.h"
#include "device/device.h"
#include "ptable/ptable.h"
#include "notifier/notifier.h"
#include "engine/gate.h"
#include "space/debug.h"
#include "space/space.h"
#include "base/deadline.h"
#include "base/itree.h"
#include "base/nocancel.h"
#include "base/number.h"
#include "base/pool.h"

#include <errno.h>

/*
 * How long a thread that holds svm->lock waits for the notifiers' lock. Notifiers that it cannot
 * remove by then are left to the next collection.
 */
#define LOCK_NS 10000000ULL

static void invalidate(struct hmm_device *dev, uint64_t start, uint64_t end, enum hmm_event event)
{
	DEBUG_CALLBACK("hmm_device_ops.invalidate");

	dev->ops.invalidate(dev, start, end, event);
}

uint64_t svm_forget(struct hmm_svm *svm, uint64_t start, uint64_t end, enum hmm_event event)
{
	/*
	 * A chunk that reaches beyond the range stays in the table as partial, as the device keeps
	 * the rest of it.
	 */
	uint64_t n = pt_trim(svm->chunks, start, end, CHUNK_PARTIAL);

	if (n)
		invalidate(svm->dev, start, end, event);
	return n;
}

static int notifier_invalidate(struct hmm_interval_notifier *ni, const struct hmm_invalidation *inv,
			       void *priv)
{
	struct svm_notifier *w = priv;
	struct hmm_svm *svm = w->svm;
	uint64_t start = inv->start > w->node.start ? inv->start : w->node.start;
	uint64_t end = inv->end < w->node.end ? inv->end : w->node.end;

	count(&svm->stats.callbacks, 1);
	if (start >= end || !svm_forget(svm, start, end, inv->event))
		return 0;
	count(&svm->stats.invalidations, 1);
	count(&svm->garbage, 1);
	if (inv->event == HMM_EVENT_UNMAP)
		count(&svm->stats.unmaps, 1);
	return 0;
}

static bool notifier_holds(struct hmm_interval_notifier *ni, uint64_t start, uint64_t end,
			   void *priv)
{
	struct svm_notifier *w = priv;

	return pt_any(w->svm->chunks, start, end);
}

static const struct hmm_interval_notifier_ops notifier_ops = {
	.size = sizeof(notifier_ops),
	.invalidate = notifier_invalidate,
	.holds = notifier_holds,
};

static int notifier_new(struct hmm_svm *svm, uint64_t start, uint64_t deadline)
{
	struct hmm_interval_notifier_ops ops = notifier_ops;
	struct svm_notifier *w = objpool_get(&svm->small_pool);
	int ret;

	if (!w)
		return -ENOMEM;
	w->svm = svm;
	ops.ignored_events = svm->dev->ops.ignored_events;
	w->node.start = start;
	w->node.end = start + svm->options.notifier_size;
	ret = ni_insert(svm->mm, start, svm->options.notifier_size, &ops, w, &w->ni, deadline);
	if (ret) {
		objpool_put(&svm->small_pool, w);
		return ret;
	}
	pthread_mutex_lock(&svm->lock);
	itree_insert(&svm->notifiers, &w->node);
	svm->n_notifiers++;
	pthread_mutex_unlock(&svm->lock);
	return 0;
}

static struct hmm_interval_notifier *notifier_find(struct hmm_svm *svm, uint64_t addr)
{
	const struct svm_notifier *w;

	pthread_mutex_lock(&svm->lock);
	w = (const struct svm_notifier *)itree_first(&svm->notifiers, addr, addr + 1);
	pthread_mutex_unlock(&svm->lock);
	return w ? w->ni : NULL;
}

/*
 * The notifiers' lock may be held for long. So svm->lock, for which threads wait without a
 * deadline, is not held while this waits for it.
 */
int svm_notifier_ensure(struct hmm_svm *svm, uint64_t addr, uint64_t deadline,
			struct hmm_interval_notifier **ni)
{
	int ret;

	*ni = notifier_find(svm, addr);
	if (*ni)
		return 0;
	ret = deadline_lock(&svm->notifier_lock, deadline);
	if (ret)
		return ret;
	*ni = notifier_find(svm, addr);
	if (!*ni) {
		ret = notifier_new(svm, addr & ~(svm->options.notifier_size - 1), deadline);
		*ni = notifier_find(svm, addr);
	}
	pthread_mutex_unlock(&svm->notifier_lock);
	return ret;
}

static int notifier_free(struct hmm_svm *svm, struct svm_notifier *w, uint64_t deadline)
{
	int ret = ni_remove(w->ni, deadline);

	if (ret)
		return ret;
	itree_remove(&svm->notifiers, &w->node);
	svm->n_notifiers--;
	objpool_put(&svm->small_pool, w);
	return 0;
}

void svm_notifiers_fini(struct hmm_svm *svm)
{
	struct itree_node *node;

	while ((node = itree_first(&svm->notifiers, 0, UINT64_MAX)))
		notifier_free(svm, (struct svm_notifier *)node, 0);
}

static bool claimed_in(const struct hmm_svm *svm, uint64_t start, uint64_t end)
{
	for (int i = 0; i < CLAIMS_MAX; i++) {
		const struct svm_claim *c = &svm->claims[i];

		if (c->start < c->end && c->start < end && c->end > start)
			return true;
	}
	return false;
}

/*
 * A fault claims its chunk before svm_notifier_ensure() and keeps the claim until the commit, so
 * that no notifier is removed in between.
 */
uint64_t svm_notifiers_collect(struct hmm_svm *svm)
{
	struct itree_node *node;
	struct itree_node *next;
	uint64_t deadline = deadline_after(LOCK_NS);
	uint64_t n = 0;

	pthread_mutex_lock(&svm->lock);
	for (node = itree_first(&svm->notifiers, 0, UINT64_MAX); node; node = next) {
		struct svm_notifier *w = (struct svm_notifier *)node;

		next = itree_next(&svm->notifiers, node, 0, UINT64_MAX);
		if (w->once || claimed_in(svm, node->start, node->end) ||
		    pt_any(svm->chunks, node->start, node->end))
			continue;
		if (notifier_free(svm, w, deadline))
			break;
		n++;
	}
	pthread_mutex_unlock(&svm->lock);
	return n;
}

int svm_drop(struct hmm_svm *svm, uint64_t start, uint64_t end, uint64_t deadline)
{
	int ret = mm_alive(svm->mm);

	if (ret)
		return ret;
	if (start >= end)
		return -EINVAL;
	/* drivers get whole pages */
	start &= ~(HMM_PAGE_SIZE - 1);
	end = end > -HMM_PAGE_SIZE ? UINT64_MAX : (end + HMM_PAGE_SIZE - 1) & ~(HMM_PAGE_SIZE - 1);
	ret = gate_close(svm->mm, deadline);
	if (ret)
		return ret;
	svm_forget(svm, start, end, HMM_EVENT_MIGRATE);
	gate_open(svm->mm);
	return 0;
}

int hmm_svm_drop(struct hmm_svm *svm, uint64_t start, uint64_t end)
{
	DEBUG_CALL(svm->mm, DEBUG_BLOCKS);
	HMM_CANCEL_POINT;

	return svm_drop(svm, start, end, 0);
}
