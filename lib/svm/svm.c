// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* Makes and destroys a mirror; its counters. */
#include "svm/svm.h"
#include "devmem/devmem.h"
#include "device/device.h"
#include "space/debug.h"
#include "space/space.h"
#include "base/grow.h"
#include "base/nocancel.h"
#include "base/pool.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <hmm/engine.h>
#include <hmm/ptable.h>

#define NOTIFIER_MIN (512ULL << 20)
#define SHIFTS_ALL (1ULL << 12 | 1ULL << 16 | 1ULL << 21)

/* 2M, 64K and 4K words below one wide root: 57 bits. */
static const struct hmm_ptable_geometry chunk_geometry = { 57, 12, 4, { 18, 18, 5, 4 } };

static int options_fill(struct hmm_svm_options *to, const struct hmm_svm_options *from)
{
	static const struct hmm_svm_options defaults = HMM_SVM_OPTIONS_INIT;

	int err = grow_take(to, sizeof(*to), from ? from : &defaults,
			    GROW_LEAST(struct hmm_svm_options, flags));

	if (err)
		return err;
	if (to->prefetch > 64 || to->fault_threads > 16 || to->fault_batch > BATCH_MAX ||
	    to->chunk_shifts & ~SHIFTS_ALL || to->pad ||
	    to->flags & ~(HMM_SVM_EXPLICIT | HMM_SVM_NO_PREFETCH | HMM_SVM_NO_COLLECT))
		return -EINVAL;
	if (!to->chunk_shifts)
		to->chunk_shifts = SHIFTS_ALL;
	if (to->flags & HMM_SVM_NO_PREFETCH)
		to->prefetch = 0;
	else if (!to->prefetch)
		to->prefetch = 3;
	if (!to->fault_batch)
		to->fault_batch = 64;
	if (!to->fault_timeout_ns)
		to->fault_timeout_ns = HMM_FOREVER;
	if (!to->notifier_size)
		to->notifier_size = NOTIFIER_MIN;
	if (to->notifier_size < NOTIFIER_MIN || to->notifier_size & (to->notifier_size - 1))
		return -EINVAL;
	return 0;
}

/* ---- devices that are stopped as a whole ---------------------------------------------------- */

static void quiesce(void *priv)
{
	struct hmm_device *dev = priv;

	dev->ops.quiesce(dev);
}

static void resume(void *priv)
{
	struct hmm_device *dev = priv;

	dev->ops.resume(dev);
}

static const struct hmm_quiescer_ops quiescer_ops = { sizeof(quiescer_ops), quiesce, resume };

static void init(struct hmm_svm *svm, struct hmm_mm *mm, struct hmm_device *dev)
{
	size_t small = sizeof(struct svm_notifier);

	if (small < sizeof(struct svm_checked))
		small = sizeof(struct svm_checked);
	svm->mm = mm;
	svm->dev = dev;
	svm->pid = getpid();
	pthread_mutex_init(&svm->notifier_lock, NULL);
	pthread_mutex_init(&svm->lock, NULL);
	pthread_cond_init(&svm->claimed, NULL);
	objpool_init(&svm->pfns_pool, CHUNK_MAX_PAGES * sizeof(uint64_t));
	objpool_init(&svm->batch_pool, svm_batch_size());
	objpool_init(&svm->small_pool, small);
	objpool_init(&svm->policy_pool, sizeof(struct svm_policy));
}

static void fini(struct hmm_svm *svm)
{
	hmm_ptable_destroy(svm->chunks);
	objpool_fini(&svm->policy_pool);
	objpool_fini(&svm->small_pool);
	objpool_fini(&svm->batch_pool);
	objpool_fini(&svm->pfns_pool);
	pthread_cond_destroy(&svm->claimed);
	pthread_mutex_destroy(&svm->lock);
	pthread_mutex_destroy(&svm->notifier_lock);
	pool_unmap(svm, sizeof(*svm));
}

int hmm_svm_create(struct hmm_mm *mm, struct hmm_device *dev, const struct hmm_svm_options *options,
		   struct hmm_svm **out)
{
	DEBUG_CALL(mm, DEBUG_BLOCKS);
	HMM_NO_CANCEL;
	struct hmm_svm_options filled;
	struct hmm_svm *none = NULL;
	struct hmm_svm *svm;
	int ret = options_fill(&filled, options);

	if (!mm || !dev || dev->mm != mm || dev->outer)
		ret = -EINVAL;
	else if (!ret && filled.devmem && filled.devmem->mm != mm)
		ret = -EINVAL;
	if (!ret)
		ret = mm_alive(mm);
	if (ret)
		return ret;
	svm = pool_map(sizeof(*svm));
	if (!svm)
		return -ENOMEM;
	init(svm, mm, dev);
	svm->options = filled;
	ret = hmm_ptable_create(&chunk_geometry, &svm->chunks);
	if (!ret && !atomic_compare_exchange_strong(&dev->svm, &none, svm))
		ret = -EBUSY;
	if (ret) {
		fini(svm);
		return ret;
	}
	ret = hmm_quiescer_add(mm, &quiescer_ops, dev, &svm->quiescer);
	if (!ret)
		ret = svm_batch_start(svm);
	if (ret) {
		hmm_svm_destroy(svm);
		return ret;
	}
	*out = svm;
	return 0;
}

void hmm_svm_destroy(struct hmm_svm *svm)
{
	DEBUG_CALL(NULL, DEBUG_BLOCKS);
	HMM_NO_CANCEL;

	if (!svm || mm_inherited(svm->mm))
		return;
	atomic_store(&svm->dev->svm, NULL);
	svm_batch_stop(svm);
	hmm_svm_drop(svm, 0, UINT64_MAX);
	svm_notifiers_fini(svm);
	hmm_quiescer_remove(svm->quiescer);
	fini(svm);
}

struct hmm_device *hmm_svm_device(const struct hmm_svm *svm)
{
	return svm->dev;
}

static int add_bytes(uint64_t addr, uint32_t shift, uint64_t word, void *arg)
{
	*(uint64_t *)arg += 1ULL << shift;
	return 0;
}

int hmm_svm_get_stats(struct hmm_svm *svm, struct hmm_svm_stats *stats)
{
	DEBUG_CALL(svm->mm, DEBUG_QUICK);
	HMM_NO_CANCEL;
	struct svm_stats *from = &svm->stats;
	struct hmm_svm_stats now = { 0 };
	int err = grow_room(stats, GROW_LEAST(struct hmm_svm_stats, batches));

	if (err)
		return err;
	if (mm_inherited(svm->mm))
		return -ESRCH;
#define COPY(field) now.field = atomic_load_explicit(&from->field, memory_order_relaxed)
	COPY(batches);
	COPY(faults);
	COPY(coalesced);
	COPY(range_faults);
	COPY(chunks_2m);
	COPY(chunks_64k);
	COPY(chunks_4k);
	COPY(chunks_found);
	COPY(upgrades);
	COPY(reinstalled);
	now.commit_retries = atomic_load(&svm->dev->retries);
	COPY(prefetched);
	COPY(replays);
	COPY(cancels);
	COPY(once);
	COPY(invalidations);
	COPY(callbacks);
	COPY(unmaps);
	COPY(barriers);
	COPY(dropped_at_submit);
	COPY(restores);
	COPY(collections);
	COPY(collected_bytes);
	COPY(collected_notifiers);
	COPY(migrations);
	COPY(migrated);
	COPY(migrated_huge);
	COPY(kept);
	COPY(gathered);
	COPY(evictions);
	for (int i = 0; i < HMM_MIGRATE_REASON_NR; i++)
		COPY(in_place[i]);
#undef COPY
	pthread_mutex_lock(&svm->lock);
	now.notifiers = svm->n_notifiers;
	pthread_mutex_unlock(&svm->lock);
	hmm_ptable_walk(svm->chunks, 0, UINT64_MAX, add_bytes, &now.mapped_bytes);
	grow_give(stats, &now, sizeof(now));
	return 0;
}

struct walk {
	int (*fn)(const struct hmm_svm_chunk *chunk, void *arg);
	void *arg;
};

static int walk_one(uint64_t addr, uint32_t shift, uint64_t word, void *arg)
{
	struct walk *w = arg;
	struct hmm_svm_chunk chunk = { .start = addr,
				       .end = addr + (1ULL << shift),
				       .prot = PROT_READ };

	if (word & CHUNK_WRITE)
		chunk.prot |= PROT_WRITE;
	if (word & CHUNK_CHECKED)
		chunk.flags |= HMM_SVM_CHUNK_CHECKED;
	if (word & CHUNK_PARTIAL)
		chunk.flags |= HMM_SVM_CHUNK_PARTIAL;
	return w->fn(&chunk, w->arg);
}

int hmm_svm_walk(struct hmm_svm *svm, uint64_t start, uint64_t end,
		 int (*fn)(const struct hmm_svm_chunk *chunk, void *arg), void *arg)
{
	DEBUG_CALL(svm->mm, DEBUG_QUICK);
	HMM_NO_CANCEL;
	struct walk w = { fn, arg };

	if (mm_inherited(svm->mm))
		return -ESRCH;
	return hmm_ptable_walk(svm->chunks, start, end, walk_one, &w);
}
