/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * Jobs. Submission is the point of validation: what the program changed before it is known to the device
 * when the job starts. For devices without faults it is also the point of population:
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

/* How long a discard that is pending is waited for, and between two looks. */
#define DISCARD_NS 100000000ULL
#define LOOK_NS 200000L

static void nap(void)
{
	const struct timespec ts = { 0, LOOK_NS };

	syscall(SYS_nanosleep, &ts, NULL); /* no point of cancellation */
}

/*
 * A device without faults cannot use memory once: what is pending is waited for, -EAGAIN if for too long; what
 * cannot be cached at all cannot be named beforehand. A discard may end between the fault and the question.
 */
static int populate_range(struct hmm_svm *svm, const struct hmm_job_range *r, struct svm_need *need,
			  uint64_t deadline)
{
	for (bool pending = true;;) {
		const bool was_pending = pending;
		int rc = svm_fault_span(svm, r->start, r->end, (int)r->prot, need);

		if (rc != 1)
			return rc;
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
	int rc = 0;

	for (uint32_t i = 0; i < job->nranges && rc >= 0; i++)
		rc = populate_range(svm, &job->ranges[i], need, deadline);
	if (need->walks != walks)
		count(&svm->stats.restores, 1);
	return rc;
}

/* With the lock held; what points to NULL if the device has faults. */
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

/* The job that the device is done with. 0, or -ETIME: its ranges are still read. */
static int job_remove(struct hmm_svm *svm, const struct hmm_job *job, uint64_t deadline)
{
	struct svm_job *found;
	int rc = 0;

	pthread_mutex_lock(&svm->lock);
	found = *job_find(svm, job);
	if (found)
		found->ended = true;
	/* After this the caller may free the job: nobody may be reading its ranges. */
	while (found && !rc && svm->restoring)
		rc = deadline_cond_wait(&svm->claimed, &svm->lock, deadline);
	if (found && !rc)
		*job_find(svm, job) = found->next;
	pthread_mutex_unlock(&svm->lock);
	if (found && !rc)
		objpool_put(&svm->small_pool, found);
	return rc;
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

/* Job number n of those that run; one that ended is none: its memory need not be there. */
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
 * Nothing was missing by the table: another engine had it restored, or the device has dropped it by itself. Not more
 * often than this in a row it is the former.
 */
#define VAIN_MAX 64

/* 1: something was missing, and is there now; else 0 or the first error. Waits for nothing. */
static int install_ranges(struct hmm_svm *svm, const struct hmm_job *job, struct svm_need *need)
{
	bool installed = false;
	int first = 0;

	for (uint32_t i = 0; i < job->nranges; i++) {
		const struct hmm_job_range *r = &job->ranges[i];
		const unsigned int walks = need->walks;
		const int rc = svm_fault_span(svm, r->start, r->end, (int)r->prot, need);

		installed |= !rc && need->walks != walks;
		if (!first && rc)
			first = rc < 0 ? rc : -EAGAIN;
	}
	return installed ? 1 : first;
}

/*
 * Whose engine asks is not known, and a job must not suffer from memory that another one named: all ranges are tried, and
 * while something comes of it nobody waits for a discard pending, nor is told of an error.
 */
static int restore_all(struct hmm_svm *svm, struct svm_need *need)
{
	const unsigned int walks = need->walks;
	const struct hmm_job *job;
	bool installed = false;
	int first = 0;

	for (unsigned int n = 0; (job = job_at(svm, n)); n++) {
		const int rc = install_ranges(svm, job, need);

		installed |= rc == 1;
		if (!first && rc < 0)
			first = rc;
	}
	if (need->walks != walks)
		count(&svm->stats.restores, 1);
	if (installed || !first)
		return 0;
	first = 0;
	for (unsigned int n = 0; (job = job_at(svm, n)); n++) {
		const int rc = populate_ranges(svm, job, need);

		if (!first)
			first = rc;
	}
	return first;
}

int svm_restore(struct hmm_svm *svm)
{
	struct svm_need need = { .raised_after = UINT64_MAX };
	int rc;

	pthread_mutex_lock(&svm->lock);
	svm->restoring++;
	need.missing = svm->vain >= VAIN_MAX;
	pthread_mutex_unlock(&svm->lock);
	rc = restore_all(svm, &need);
	pthread_mutex_lock(&svm->lock);
	svm->restoring--;
	svm->vain = need.walks ? 0 : svm->vain + 1;
	pthread_cond_broadcast(&svm->claimed);
	pthread_mutex_unlock(&svm->lock);
	return rc;
}

static int barrier(struct hmm_svm *svm)
{
	uint64_t dropped;
	int rc = hmm_mm_barrier(svm->mm, HMM_FOREVER);

	if (rc)
		return rc;
	rc = hmm_mm_check_files(svm->mm);
	if (rc < 0)
		return rc;
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
	int rc = check_job(job);

	if (!rc)
		rc = barrier(svm);
	if (rc)
		return rc;
	svm_collect_maybe(svm);
	job->status = 0;
	__atomic_store_n(&job->done, 0, __ATOMIC_RELAXED);
	if (no_faults) {
		rc = populate_ranges(svm, job, &need);
		if (!rc)
			rc = job_add(svm, job);
		if (rc)
			return rc;
	}
	device_lock(svm->dev);
	rc = submit_to(svm->dev, job);
	device_unlock(svm->dev);
	if (rc && no_faults)
		job_remove(svm, job, 0);
	return rc;
}

int hmm_svm_wait(struct hmm_svm *svm, struct hmm_job *job, uint64_t timeout_ns)
{
	DEBUG_CALL(svm->mm, DEBUG_BLOCKS);
	HMM_CANCEL_POINT;
	uint64_t deadline = deadline_after(timeout_ns);
	int rc = 0;

	if (mm_inherited(svm->mm))
		return -ESRCH;
	/* The device is asked once about the end. */
	if (!job_ended(svm, job))
		rc = wait_for(svm->dev, job, timeout_ns);
	return rc ? rc : job_remove(svm, job, deadline);
}

int hmm_svm_cancel(struct hmm_svm *svm, struct hmm_job *job)
{
	DEBUG_CALL(svm->mm, DEBUG_QUICK);
	HMM_NO_CANCEL;
	int rc;

	if (mm_inherited(svm->mm))
		return -ESRCH;
	device_lock(svm->dev);
	rc = svm->dev->ops.cancel(svm->dev, job);
	device_unlock(svm->dev);
	return rc;
}

int hmm_svm_run(struct hmm_svm *svm, struct hmm_job *job)
{
	DEBUG_CALL(svm->mm, DEBUG_BLOCKS);
	HMM_CANCEL_POINT;
	int rc = hmm_svm_submit(svm, job);

	if (!rc)
		rc = hmm_svm_wait(svm, job, HMM_FOREVER);
	return rc ? rc : job->status;
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
