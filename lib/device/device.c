// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * Devices: a table of ops that is filled in, and a stack. An op that a stacked device lacks calls
 * the device below; one that the lowest device lacks returns -EOPNOTSUPP.
 */
#include "device/device.h"
#include "space/debug.h"
#include "space/space.h"
#include "base/deadline.h"
#include "base/epoch.h"
#include "base/grow.h"
#include "base/nocancel.h"
#include "base/pool.h"

#include <hmm/ptable.h>

#include <errno.h>
#include <string.h>

/* ---- what stands in for a missing op of the lowest device ----------------------------------- */

static int none_map(struct hmm_device *dev, const struct hmm_device_map *map)
{
	return -EOPNOTSUPP;
}

static void none_invalidate(struct hmm_device *dev, uint64_t start, uint64_t end,
			    enum hmm_event event)
{
}

static void none_void(struct hmm_device *dev)
{
}

static int none_fetch(struct hmm_device *dev, struct hmm_device_fault *faults, unsigned int n,
		      uint64_t timeout_ns)
{
	return -EOPNOTSUPP;
}

static int none_done(struct hmm_device *dev, const struct hmm_device_fault *fault, int error)
{
	return -EOPNOTSUPP;
}

static int none_job(struct hmm_device *dev, struct hmm_job *job)
{
	return -EOPNOTSUPP;
}

static int none_wait(struct hmm_device *dev, struct hmm_job *job, uint64_t timeout_ns)
{
	return -EOPNOTSUPP;
}

static uint64_t none_collect(struct hmm_device *dev)
{
	return 0;
}

static int none_stats(struct hmm_device *dev, struct hmm_device_stats *stats)
{
	return 0;
}

static const struct hmm_device_ops none = {
	.map = none_map,
	.invalidate = none_invalidate,
	.quiesce = none_void,
	.resume = none_void,
	.fetch_faults = none_fetch,
	.fault_done = none_done,
	.submit = none_job,
	.wait = none_wait,
	.cancel = none_job,
	.collect = none_collect,
	.get_stats = none_stats,
	.destroy = none_void,
};

/* ---- what stands in for a missing op of a stacked device: the device below ------------------ */

static int next_map(struct hmm_device *dev, const struct hmm_device_map *map)
{
	return dev->inner->ops.map(dev->inner, map);
}

static void next_invalidate(struct hmm_device *dev, uint64_t start, uint64_t end,
			    enum hmm_event event)
{
	dev->inner->ops.invalidate(dev->inner, start, end, event);
}

static void next_quiesce(struct hmm_device *dev)
{
	dev->inner->ops.quiesce(dev->inner);
}

static void next_resume(struct hmm_device *dev)
{
	dev->inner->ops.resume(dev->inner);
}

static int next_fetch(struct hmm_device *dev, struct hmm_device_fault *faults, unsigned int n,
		      uint64_t timeout_ns)
{
	return dev->inner->ops.fetch_faults(dev->inner, faults, n, timeout_ns);
}

static int next_done(struct hmm_device *dev, const struct hmm_device_fault *fault, int error)
{
	return dev->inner->ops.fault_done(dev->inner, fault, error);
}

static int next_submit(struct hmm_device *dev, struct hmm_job *job)
{
	return dev->inner->ops.submit(dev->inner, job);
}

static int next_wait(struct hmm_device *dev, struct hmm_job *job, uint64_t timeout_ns)
{
	return dev->inner->ops.wait(dev->inner, job, timeout_ns);
}

static int next_cancel(struct hmm_device *dev, struct hmm_job *job)
{
	return dev->inner->ops.cancel(dev->inner, job);
}

static uint64_t next_collect(struct hmm_device *dev)
{
	return dev->inner->ops.collect(dev->inner);
}

static const struct hmm_device_ops next = {
	.map = next_map,
	.invalidate = next_invalidate,
	.quiesce = next_quiesce,
	.resume = next_resume,
	.fetch_faults = next_fetch,
	.fault_done = next_done,
	.submit = next_submit,
	.wait = next_wait,
	.cancel = next_cancel,
	.collect = next_collect,
	/* for statistics and destruction the callers go down the stack themselves */
	.get_stats = none_stats,
	.destroy = none_void,
};

#define FILL(op)                                                                                   \
	do {                                                                                       \
		if (!dev->ops.op)                                                                  \
			dev->ops.op = from->op;                                                    \
	} while (0)

static void fill_in(struct hmm_device *dev)
{
	const struct hmm_device_ops *from = dev->inner ? &next : &none;

	FILL(map);
	FILL(invalidate);
	FILL(quiesce);
	FILL(resume);
	FILL(fetch_faults);
	FILL(fault_done);
	FILL(submit);
	FILL(wait);
	FILL(cancel);
	FILL(collect);
	FILL(get_stats);
	FILL(destroy);
	if (dev->inner) {
		dev->ops.fault_model = dev->inner->ops.fault_model;
		dev->ops.page_shifts = dev->inner->ops.page_shifts;
		dev->ops.ignored_events = dev->inner->ops.ignored_events;
		if (dev->inner->ops.thread_model == HMM_THREADS_SERIAL)
			dev->ops.thread_model = HMM_THREADS_SERIAL;
	} else if (!dev->ops.page_shifts) {
		dev->ops.page_shifts = 1ULL << 12 | 1ULL << 21 | 1ULL << 30;
	}
}

static int take_ops(struct hmm_device_ops *own, const struct hmm_device_ops *ops)
{
	int err = grow_take(own, sizeof(*own), ops, GROW_LEAST(struct hmm_device_ops, page_shifts));

	if (err)
		return err;
	if (own->abi != HMM_DEVICE_ABI || !own->name || own->thread_model > HMM_THREADS_PARALLEL ||
	    own->fault_model > HMM_FAULTS_NONE || own->ignored_events & ~HMM_EVENTS_IGNORABLE ||
	    own->pad)
		return -EINVAL;
	if (own->page_shifts && !(own->page_shifts & (1ULL << HMM_PAGE_SHIFT)))
		return -EINVAL;
	return 0;
}

int hmm_device_create(struct hmm_mm *mm, const struct hmm_device_ops *ops, void *priv,
		      struct hmm_device *inner, struct hmm_device **dev)
{
	DEBUG_CALL(mm, DEBUG_BLOCKS);
	HMM_NO_CANCEL;
	struct hmm_device_ops own;
	struct hmm_device *d;
	int ret;

	if (!mm)
		return -EINVAL;
	ret = take_ops(&own, ops);
	if (ret)
		return ret;
	if (inner && (inner->mm != mm || inner->outer || atomic_load(&inner->svm)))
		return -EINVAL;
	if (mm_inherited(mm))
		return -ESRCH;
	d = pool_map(sizeof(*d));
	if (!d)
		return -ENOMEM;
	d->epoch = epoch_now();
	d->ops = own;
	d->mm = mm;
	d->priv = priv;
	d->inner = inner;
	pthread_mutex_init(&d->serial, NULL);
	fill_in(d);
	if (inner)
		inner->outer = d;
	*dev = d;
	return 0;
}

void hmm_device_destroy(struct hmm_device *dev)
{
	DEBUG_CALL(NULL, DEBUG_BLOCKS);
	HMM_NO_CANCEL;

	/* Threads that a forked child does not have may hold the driver's locks. */
	if (dev && epoch_inherited(dev->epoch))
		return;
	while (dev) {
		struct hmm_device *inner = dev->inner;

		dev->ops.destroy(dev);
		pthread_mutex_destroy(&dev->serial);
		pool_unmap(dev, sizeof(*dev));
		dev = inner;
	}
}

struct hmm_device *device_outermost(struct hmm_device *dev)
{
	while (dev->outer)
		dev = dev->outer;
	return dev;
}

int device_lock_until(struct hmm_device *dev, uint64_t deadline)
{
	if (dev->ops.thread_model != HMM_THREADS_SERIAL)
		return 0;
	return deadline_lock(&dev->serial, deadline);
}

void device_lock(struct hmm_device *dev)
{
	device_lock_until(dev, 0);
}

void device_unlock(struct hmm_device *dev)
{
	if (dev->ops.thread_model == HMM_THREADS_SERIAL)
		pthread_mutex_unlock(&dev->serial);
}

void *hmm_device_priv(const struct hmm_device *dev)
{
	return dev->priv;
}

struct hmm_mm *hmm_device_mm(const struct hmm_device *dev)
{
	return dev->mm;
}

struct hmm_device *hmm_device_inner(const struct hmm_device *dev)
{
	return dev->inner;
}

const struct hmm_device_ops *hmm_device_get_ops(const struct hmm_device *dev)
{
	return &dev->ops;
}

static int count_entry(uint64_t addr, uint32_t shift, uint64_t entry, void *arg)
{
	struct hmm_device_stats *stats = arg;

	*(shift == 12   ? &stats->held_4k
	  : shift == 21 ? &stats->held_2m
	  : shift == 30 ? &stats->held_1g
			: &stats->held_other) += 1;
	return 0;
}

void hmm_device_stats_count(struct hmm_device_stats *stats, struct hmm_ptable *table)
{
	hmm_ptable_walk(table, 0, UINT64_MAX, count_entry, stats);
}

int hmm_device_get_stats(struct hmm_device *dev, struct hmm_device_stats *stats)
{
	DEBUG_CALL(dev->mm, DEBUG_QUICK);
	HMM_NO_CANCEL;
	struct hmm_device_stats now = { .size = sizeof(now) };
	int ret = grow_room(stats, GROW_LEAST(struct hmm_device_stats, engines));

	if (ret)
		return ret;
	if (epoch_inherited(dev->epoch))
		return -ESRCH;
	now.retries = atomic_load(&dev->retries);
	device_lock(dev);
	for (struct hmm_device *d = dev; d; d = d->inner)
		d->ops.get_stats(d, &now);
	device_unlock(dev);
	grow_give(stats, &now, sizeof(now));
	return 0;
}
