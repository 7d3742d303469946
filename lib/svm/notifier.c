/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * Windows: one interval notifier for each 512 MiB or more of address space that the device ever touched.
 * Their callback is the only part of the svm layer that runs on the pump: two walks of tables.
 */
#include <errno.h>
#include "mm/mm.h"
#include "ptable/ptable.h"
#include "svm/device.h"
#include "svm/svm.h"

/* The notifiers' lock is waited for no longer with svm->lock held: those windows are for the next collection. */
#define LOCK_NS 10000000ULL

uint64_t svm_forget(struct hmm_svm *svm, uint64_t start, uint64_t end, enum hmm_event event)
{
	/* A chunk that sticks out stays, as partial: the device keeps the rest of it. */
	uint64_t n = pt_trim(svm->chunks, start, end, CHUNK_PARTIAL);

	if (n)
		svm->dev->ops.invalidate(svm->dev, start, end, event);
	return n;
}

static int window_invalidate(struct hmm_interval_notifier *ni, const struct hmm_invalidation *inv,
			     void *priv)
{
	struct svm_window *w = priv;
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

static bool window_holds(struct hmm_interval_notifier *ni, uint64_t start, uint64_t end, void *priv)
{
	struct svm_window *w = priv;

	return pt_any(w->svm->chunks, start, end);
}

static const struct hmm_interval_notifier_ops window_ops = {
	.size = sizeof(window_ops),
	.invalidate = window_invalidate,
	.holds = window_holds,
};

static int window_new(struct hmm_svm *svm, uint64_t start, uint64_t deadline)
{
	struct svm_window *w = objpool_get(&svm->small_pool);
	int rc;

	if (!w)
		return -ENOMEM;
	w->svm = svm;
	w->node.start = start;
	w->node.end = start + svm->options.notifier_size;
	rc = ni_insert(svm->mm, start, svm->options.notifier_size, &window_ops, w, &w->ni,
		       deadline);
	if (rc) {
		objpool_put(&svm->small_pool, w);
		return rc;
	}
	pthread_mutex_lock(&svm->lock);
	itree_insert(&svm->windows, &w->node);
	svm->n_windows++;
	pthread_mutex_unlock(&svm->lock);
	return 0;
}

static bool window_exists(struct hmm_svm *svm, uint64_t addr)
{
	bool exists;

	pthread_mutex_lock(&svm->lock);
	exists = itree_first(&svm->windows, addr, addr + 1);
	pthread_mutex_unlock(&svm->lock);
	return exists;
}

/* The notifiers' lock may be held for long: svm->lock, which nobody waits for with a deadline, not around it. */
int window_ensure(struct hmm_svm *svm, uint64_t addr, uint64_t deadline)
{
	int rc;

	if (window_exists(svm, addr))
		return 0;
	rc = deadline_lock(&svm->window_lock, deadline);
	if (rc)
		return rc;
	if (!window_exists(svm, addr))
		rc = window_new(svm, addr & ~(svm->options.notifier_size - 1), deadline);
	pthread_mutex_unlock(&svm->window_lock);
	return rc;
}

static int window_free(struct hmm_svm *svm, struct svm_window *w, uint64_t deadline)
{
	int rc = ni_remove(w->ni, deadline);

	if (rc)
		return rc;
	itree_remove(&svm->windows, &w->node);
	svm->n_windows--;
	objpool_put(&svm->small_pool, w);
	return 0;
}

void windows_fini(struct hmm_svm *svm)
{
	struct itree_node *node;

	while ((node = itree_first(&svm->windows, 0, UINT64_MAX)))
		window_free(svm, (struct svm_window *)node, 0);
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

/* A claim is taken before window_ensure() and kept until the commit: no window goes between the two. */
uint64_t windows_collect(struct hmm_svm *svm)
{
	struct itree_node *node;
	struct itree_node *next;
	uint64_t deadline = deadline_after(LOCK_NS);
	uint64_t n = 0;

	pthread_mutex_lock(&svm->lock);
	for (node = itree_first(&svm->windows, 0, UINT64_MAX); node; node = next) {
		struct svm_window *w = (struct svm_window *)node;

		next = itree_next(&svm->windows, node, 0, UINT64_MAX);
		if (w->once || claimed_in(svm, node->start, node->end) ||
		    pt_any(svm->chunks, node->start, node->end))
			continue;
		if (window_free(svm, w, deadline))
			break;
		n++;
	}
	pthread_mutex_unlock(&svm->lock);
	return n;
}
