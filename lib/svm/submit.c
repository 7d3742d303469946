// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * Jobs. When a job is submitted the mirror is validated: the device knows of all changes that the
 * program made before. For devices without faults the job's ranges are also populated then:
 *
 *	invalidate: engines are outside their sections, entries go		(pump)
 *	an engine finds an entry missing: hmm_device_restore()			(engine)
 *	every running job's ranges are populated again, under retry		(engine)
 *	the engine looks again; what is missing now was never named: -EFAULT
 */
#include "svm/svm.h"
#include "device/device.h"
#include "watch/discard.h"
#include "space/debug.h"
#include "space/space.h"
#include "base/deadline.h"
#include "base/epoch.h"
#include "base/grow.h"
#include "base/nocancel.h"
#include "base/number.h"
#include "base/pool.h"

#include <errno.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* How long a job waits for a pending discard, and how long between two looks. */
#define DISCARD_NS 100000000ULL
#define LOOK_NS 200000L

static void nap(void)
{
	const struct timespec ts = { 0, LOOK_NS };

	/* by number, as nanosleep() is a point of cancellation */
	syscall(SYS_nanosleep, &ts, NULL);
}

/*
 * A device without faults cannot use memory once. So this waits for a pending discard, and returns
 * -EAGAIN after too long. Memory that can never be cached cannot be named in a job. A discard may
 * end between the fault and the question whether one is pending.
 */
static int populate_range(struct hmm_svm *svm, const struct hmm_job_range *r, struct svm_need *need,
			  uint64_t deadline)
{
	for (bool pending = true;;) {
		const bool was_pending = pending;
		int ret = svm_fault_span(svm, r->start, r->end, (int)r->prot, need);

		if (ret != 1)
			return ret;
		pending = discard_pending(svm->mm, r->start, r->end);
		if (!pending && !was_pending)
			return -EOPNOTSUPP;
		if (pending && deadline_passed(deadline))
			return -EAGAIN;
		if (pending)
			nap();
	}
}

static int populate_ranges(struct hmm_svm *svm, const struct hmm_job *job, struct svm_need *need)
{
	const uint64_t deadline = deadline_after(DISCARD_NS);
	unsigned int walks = need->walks;
	int ret = 0;

	for (uint32_t i = 0; i < job->nranges && ret >= 0; i++)
		ret = populate_range(svm, &job->ranges[i], need, deadline);
	if (need->walks != walks)
		count(&svm->stats.restores, 1);
	return ret;
}

/*
 * The pointer to the job, or to NULL if it is not there, as with a device that has faults. The
 * caller holds the lock.
 */
static struct svm_job **job_find(struct hmm_svm *svm, const struct hmm_job *job)
{
	struct svm_job **j = &svm->jobs;

	while (*j && (*j)->job != job)
		j = &(*j)->next;
	return j;
}

static int job_add(struct hmm_svm *svm, struct hmm_job *job)
{
	struct svm_job *j = objpool_get(&svm->small_pool);

	if (!j)
		return -ENOMEM;
	j->job = job;
	j->ended = false;
	pthread_mutex_lock(&svm->lock);
	j->next = svm->jobs;
	svm->jobs = j;
	pthread_mutex_unlock(&svm->lock);
	return 0;
}

/* Removes a job that the device has finished. 0; -ETIME: another thread still reads its ranges. */
static int job_remove(struct hmm_svm *svm, const struct hmm_job *job, uint64_t deadline)
{
	struct svm_job *found;
	int ret = 0;

	pthread_mutex_lock(&svm->lock);
	found = *job_find(svm, job);
	if (found)
		found->ended = true;
	/* The caller may free the job after this, so no thread may be reading its ranges. */
	while (found && !ret && svm->restoring)
		ret = deadline_cond_wait(&svm->claimed, &svm->lock, deadline);
	if (found && !ret)
		*job_find(svm, job) = found->next;
	pthread_mutex_unlock(&svm->lock);
	if (found && !ret)
		objpool_put(&svm->small_pool, found);
	return ret;
}

static bool job_ended(struct hmm_svm *svm, const struct hmm_job *job)
{
	const struct svm_job *found;
	bool ended;

	pthread_mutex_lock(&svm->lock);
	found = *job_find(svm, job);
	ended = found && found->ended;
	pthread_mutex_unlock(&svm->lock);
	return ended;
}

/* The n-th job that runs. A job that has ended does not count, as its memory may have gone. */
static const struct hmm_job *job_at(struct hmm_svm *svm, unsigned int n)
{
	const struct hmm_job *job = NULL;

	pthread_mutex_lock(&svm->lock);
	for (struct svm_job *j = svm->jobs; j; j = j->next)
		if (!j->ended && n-- == 0) {
			job = j->job;
			break;
		}
	pthread_mutex_unlock(&svm->lock);
	return job;
}

/*
 * If the table says that nothing is missing, either another engine has restored it or the device
 * has dropped entries by itself. So many times in a row it counts as the former.
 */
#define VAIN_MAX 64

/*
 * Installs what is missing of a job's ranges, without waiting. 1: something was missing and is
 * installed now; otherwise 0 or the first error.
 */
static int install_ranges(struct hmm_svm *svm, const struct hmm_job *job, struct svm_need *need)
{
	bool installed = false;
	int first = 0;

	for (uint32_t i = 0; i < job->nranges; i++) {
		const struct hmm_job_range *r = &job->ranges[i];
		const unsigned int walks = need->walks;
		const int ret = svm_fault_span(svm, r->start, r->end, (int)r->prot, need);

		installed |= !ret && need->walks != walks;
		if (!first && ret)
			first = ret < 0 ? ret : -EAGAIN;
	}
	return installed ? 1 : first;
}

/*
 * It is not known for which job an engine asks, and no job may fail because of memory that another
 * one has named. So all jobs' ranges are tried. While that installs something no engine waits for a
 * pending discard or gets an error.
 */
static int restore_all(struct hmm_svm *svm, struct svm_need *need)
{
	const unsigned int walks = need->walks;
	const struct hmm_job *job;
	bool installed = false;
	int first = 0;

	for (unsigned int n = 0; (job = job_at(svm, n)); n++) {
		const int ret = install_ranges(svm, job, need);

		installed |= ret == 1;
		if (!first && ret < 0)
			first = ret;
	}
	if (need->walks != walks)
		count(&svm->stats.restores, 1);
	if (installed || !first)
		return 0;
	first = 0;
	for (unsigned int n = 0; (job = job_at(svm, n)); n++) {
		const int ret = populate_ranges(svm, job, need);

		if (!first)
			first = ret;
	}
	return first;
}

int svm_restore(struct hmm_svm *svm)
{
	struct svm_need need = { .raised_after = UINT64_MAX };
	int ret;

	pthread_mutex_lock(&svm->lock);
	svm->restoring++;
	need.missing = svm->vain >= VAIN_MAX;
	pthread_mutex_unlock(&svm->lock);
	ret = restore_all(svm, &need);
	pthread_mutex_lock(&svm->lock);
	svm->restoring--;
	svm->vain = need.walks ? 0 : svm->vain + 1;
	pthread_cond_broadcast(&svm->claimed);
	pthread_mutex_unlock(&svm->lock);
	return ret;
}

static int barrier(struct hmm_svm *svm)
{
	uint64_t dropped;
	int ret = hmm_mm_barrier(svm->mm, HMM_FOREVER);

	if (ret)
		return ret;
	ret = hmm_mm_check_files(svm->mm);
	if (ret < 0)
		return ret;
	dropped = svm_revalidate(svm);
	count(&svm->stats.barriers, 1);
	count(&svm->stats.dropped_at_submit, dropped);
	return 0;
}

static int check_job(const struct hmm_job *job)
{
	/* All of it is the device's while it owns the job. */
	int err = grow_check(job, sizeof(*job), GROW_LEAST(struct hmm_job, driver));

	if (err)
		return err;
	if (job->flags || !job->kernel || (job->nranges && !job->ranges))
		return -EINVAL;
	for (uint32_t i = 0; i < job->nranges; i++)
		if (job->ranges[i].start >= job->ranges[i].end ||
		    !(job->ranges[i].prot & PROT_READ) ||
		    job->ranges[i].prot & ~(uint32_t)(PROT_READ | PROT_WRITE))
			return -EINVAL;
	return 0;
}

static int submit_to(struct hmm_device *dev, struct hmm_job *job)
{
	DEBUG_PROGRAM;

	return dev->ops.submit(dev, job);
}

static int wait_for(struct hmm_device *dev, struct hmm_job *job, uint64_t timeout_ns)
{
	DEBUG_PROGRAM;

	return dev->ops.wait(dev, job, timeout_ns);
}

int hmm_svm_submit(struct hmm_svm *svm, struct hmm_job *job)
{
	DEBUG_CALL(svm->mm, DEBUG_BLOCKS);
	HMM_CANCEL_POINT;
	bool no_faults = svm->dev->ops.fault_model == HMM_FAULTS_NONE;
	struct svm_need need = { .missing = false };
	int ret = check_job(job);

	if (!ret)
		ret = barrier(svm);
	if (ret)
		return ret;
	svm_collect_maybe(svm);
	job->status = 0;
	__atomic_store_n(&job->done, 0, __ATOMIC_RELAXED);
	if (no_faults) {
		ret = populate_ranges(svm, job, &need);
		if (!ret)
			ret = job_add(svm, job);
		if (ret)
			return ret;
	}
	device_lock(svm->dev);
	ret = submit_to(svm->dev, job);
	device_unlock(svm->dev);
	if (ret && no_faults)
		job_remove(svm, job, 0);
	return ret;
}

int hmm_svm_wait(struct hmm_svm *svm, struct hmm_job *job, uint64_t timeout_ns)
{
	DEBUG_CALL(svm->mm, DEBUG_BLOCKS);
	HMM_CANCEL_POINT;
	uint64_t deadline = deadline_after(timeout_ns);
	int ret = 0;

	if (mm_inherited(svm->mm))
		return -ESRCH;
	/* The device is asked only once whether the job has ended. */
	if (!job_ended(svm, job))
		ret = wait_for(svm->dev, job, timeout_ns);
	return ret ? ret : job_remove(svm, job, deadline);
}

int hmm_svm_cancel(struct hmm_svm *svm, struct hmm_job *job)
{
	DEBUG_CALL(svm->mm, DEBUG_QUICK);
	HMM_NO_CANCEL;
	int ret;

	if (mm_inherited(svm->mm))
		return -ESRCH;
	device_lock(svm->dev);
	ret = svm->dev->ops.cancel(svm->dev, job);
	device_unlock(svm->dev);
	return ret;
}

int hmm_svm_run(struct hmm_svm *svm, struct hmm_job *job)
{
	DEBUG_CALL(svm->mm, DEBUG_BLOCKS);
	HMM_CANCEL_POINT;
	int ret = hmm_svm_submit(svm, job);

	if (!ret)
		ret = hmm_svm_wait(svm, job, HMM_FOREVER);
	return ret ? ret : job->status;
}

int hmm_device_restore(struct hmm_device *dev)
{
	DEBUG_CALL(dev->mm, DEBUG_BLOCKS);
	HMM_NO_CANCEL;
	struct hmm_svm *svm = atomic_load(&device_outermost(dev)->svm);

	if (epoch_inherited(dev->epoch))
		return -ESRCH;
	return svm ? svm_restore(svm) : -ENODEV;
}
