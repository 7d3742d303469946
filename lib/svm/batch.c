// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * Serving faults: fetches a batch from the device, sorts it, coalesces it and answers each fault.
 * Within a 2 MiB block writes are sorted before reads: the write populates for the reads, and if
 * writing is not permitted the reads are served alone.
 *
 * Several threads may serve batches at the same time. If a mirror has no fault threads the engines
 * serve their faults themselves, which saves two switches of threads a fault.
 */
#include "svm/svm.h"
#include "device/device.h"
#include "space/debug.h"
#include "base/deadline.h"
#include "base/epoch.h"
#include "base/itree.h"
#include "base/nocancel.h"
#include "base/number.h"
#include "base/pool.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>
#include <hmm/range.h>

#define ONCE_PAGES (HMM_ACCESS_MAX / HMM_PAGE_SIZE + 1)

struct svm_batch {
	struct hmm_device_fault faults[BATCH_MAX];
};

size_t svm_batch_size(void)
{
	return sizeof(struct svm_batch);
}

static int by_address(const struct hmm_device_fault *a, const struct hmm_device_fault *b)
{
	uint64_t block_a = a->addr >> CHUNK_MAX_SHIFT;
	uint64_t block_b = b->addr >> CHUNK_MAX_SHIFT;

	if (block_a != block_b)
		return block_a < block_b ? -1 : 1;
	if (a->prot != b->prot)
		return a->prot & PROT_WRITE ? -1 : 1;
	return a->addr < b->addr ? -1 : a->addr > b->addr;
}

/* Not qsort(), which may allocate. Batches are small and mostly sorted. */
static void sort(struct hmm_device_fault *faults, int n)
{
	for (int i = 1; i < n; i++) {
		struct hmm_device_fault f = faults[i];
		int j = i;

		for (; j > 0 && by_address(&f, &faults[j - 1]) < 0; j--)
			faults[j] = faults[j - 1];
		faults[j] = f;
	}
}

/*
 * The svm's notifier at the address, which is kept from now on. Collection may have removed it
 * after the fault was served: then it is made anew. 0; -errno.
 */
static int keep_notifier(struct hmm_svm *svm, uint64_t addr, struct svm_notifier **w)
{
	const uint64_t deadline = deadline_after(svm->options.fault_timeout_ns);
	struct hmm_interval_notifier *ni;

	for (;;) {
		int ret = svm_notifier_ensure(svm, addr, deadline, &ni);

		if (ret)
			return ret;
		pthread_mutex_lock(&svm->lock);
		*w = (struct svm_notifier *)itree_first(&svm->notifiers, addr, addr + 1);
		if (*w)
			(*w)->once = true;
		pthread_mutex_unlock(&svm->lock);
		if (*w)
			return 0;
		if (deadline_passed(deadline))
			return -ETIME;
	}
}

/*
 * Memory that cannot be cached: walks exactly what is needed, under the svm's notifier, which lives
 * until the device has asked whether the access is valid.
 */
static int grant_once(struct hmm_svm *svm, struct hmm_device_fault *f)
{
	uint64_t pfns[ONCE_PAGES] = { 0 };
	uint64_t start = f->addr & ~(HMM_PAGE_SIZE - 1);
	struct hmm_range range = { .size = sizeof(range), .start = start, .hmm_pfns = pfns };
	struct svm_notifier *w;
	int ret;

	range.end = (f->addr + f->len + HMM_PAGE_SIZE - 1) & ~(HMM_PAGE_SIZE - 1);
	if (range.end - start > sizeof(pfns) / sizeof(pfns[0]) * HMM_PAGE_SIZE)
		return -EINVAL;
	ret = keep_notifier(svm, start, &w);
	if (ret)
		return ret;
	/* No single notifier covers an access across two of them. */
	if (range.end > w->node.end)
		return -EOPNOTSUPP;
	range.notifier = w->ni;
	range.default_flags = HMM_PFN_REQ_FAULT | (f->prot & PROT_WRITE ? HMM_PFN_REQ_WRITE : 0);
	ret = hmm_range_fault(&range, svm->options.fault_timeout_ns);
	if (ret)
		return ret == -EBUSY ? -ETIME : ret;
	f->flags |= HMM_FAULT_ONCE;
	f->once_notifier = range.notifier;
	f->once_seq = range.notifier_seq;
	f->once_start = start;
	f->once_end = range.end;
	count(&svm->stats.once, 1);
	return 0;
}

static void answer(struct hmm_svm *svm, struct hmm_device_fault *f, const struct svm_fetch *fetch)
{
	struct svm_need need = { .missing = true, .raised_after = fetch->raised_after };
	int ret = 0;

	/* the device may not set this flag itself */
	f->flags &= ~HMM_FAULT_ONCE;
	if (!f->len || f->addr + f->len < f->addr)
		ret = -EFAULT;
	else if (!(f->prot & PROT_READ) || f->prot & ~(uint32_t)(PROT_READ | PROT_WRITE))
		ret = -EINVAL;
	else if (f->flags & HMM_FAULT_VANISHED)
		ret = svm_drop(svm, f->addr & ~(HMM_PAGE_SIZE - 1), f->addr + f->len,
			       deadline_after(svm->options.fault_timeout_ns));
	if (!ret) {
		ret = svm_fault_span(svm, f->addr, f->addr + f->len, (int)f->prot, &need);
		if (ret == 1)
			ret = grant_once(svm, f);
		else if (!ret && !need.walks)
			count(&svm->stats.coalesced, 1);
	}
	count(ret ? &svm->stats.cancels : &svm->stats.replays, 1);
	device_lock(svm->dev);
	svm->dev->ops.fault_done(svm->dev, f, ret);
	device_unlock(svm->dev);
}

/*
 * Populates ahead of a stream of faults. Only fault threads do, as engines that serve themselves
 * have no time for it.
 */
static void run_ahead(struct hmm_svm *svm, const struct svm_batch *batch, int n)
{
	for (int i = 0; i < n; i++) {
		const struct hmm_device_fault *f = &batch->faults[i];
		uint64_t chunk = f->addr & ~((1ULL << CHUNK_MAX_SHIFT) - 1);

		if (svm_streaming(svm, chunk + (1ULL << CHUNK_MAX_SHIFT)))
			svm_fault_ahead(svm, chunk + (1ULL << CHUNK_MAX_SHIFT), (int)f->prot,
					svm->options.prefetch);
	}
}

static int serve(struct hmm_svm *svm, uint64_t timeout_ns, bool ahead)
{
	struct svm_batch *batch = objpool_get(&svm->batch_pool);
	struct svm_fetch fetch;
	int n;

	if (!batch)
		return -ENOMEM;
	fetch = fetch_begin(svm);
	n = svm->dev->ops.fetch_faults(svm->dev, batch->faults, svm->options.fault_batch,
				       timeout_ns);
	if (n == -ETIME)
		n = 0;
	/*
	 * a driver that returns more than it was asked for is wrong, or has written beyond the
	 * batch
	 */
	if (n > (int)svm->options.fault_batch)
		n = (int)svm->options.fault_batch;
	if (n >= 0)
		fetch_end(svm, &fetch, n == (int)svm->options.fault_batch);
	if (n > 0) {
		count(&svm->stats.batches, 1);
		count(&svm->stats.faults, (uint64_t)n);
		sort(batch->faults, n);
		for (int i = 0; i < n; i++)
			answer(svm, &batch->faults[i], &fetch);
		if (ahead && svm->options.prefetch)
			run_ahead(svm, batch, n);
	}
	objpool_put(&svm->batch_pool, batch);
	return n;
}

int svm_batch_serve(struct hmm_svm *svm, uint64_t timeout_ns)
{
	svm_collect_maybe(svm);
	return serve(svm, timeout_ns, false);
}

int svm_faults_pending(struct hmm_svm *svm)
{
	int n;

	/* A fault thread waits in the device's fetch_faults. */
	if (svm->n_threads)
		return 0;
	do
		n = svm_batch_serve(svm, HMM_NO_WAIT);
	while (n == (int)svm->options.fault_batch);
	return n < 0 ? n : 0;
}

static void *fault_thread(void *arg)
{
	struct hmm_svm *svm = arg;

	while (!atomic_load(&svm->stopping)) {
		svm_collect_maybe(svm);
		if (serve(svm, 20000000, true) < 0)
			usleep(1000);
	}
	return NULL;
}

int svm_batch_start(struct hmm_svm *svm)
{
	sigset_t all;
	sigset_t old;
	int ret = 0;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	while (!ret && svm->n_threads < svm->options.fault_threads) {
		ret = -pthread_create(&svm->threads[svm->n_threads], NULL, fault_thread, svm);
		if (!ret)
			svm->n_threads++;
	}
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return ret;
}

void svm_batch_stop(struct hmm_svm *svm)
{
	atomic_store(&svm->stopping, true);
	/* A forked child has none of these threads. */
	for (unsigned int i = 0; svm->pid == getpid() && i < svm->n_threads; i++)
		pthread_join(svm->threads[i], NULL);
}

int hmm_device_serve_faults(struct hmm_device *dev)
{
	DEBUG_CALL(dev->mm, DEBUG_BLOCKS);
	HMM_NO_CANCEL;
	struct hmm_svm *svm = atomic_load(&device_outermost(dev)->svm);

	if (epoch_inherited(dev->epoch))
		return -ESRCH;
	return svm ? svm_faults_pending(svm) : -ENODEV;
}
