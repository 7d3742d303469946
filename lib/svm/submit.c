/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * Jobs. Submission is the point of validation: what the program changed before it is known to the device
 * when the job starts. For devices without faults it is also the point of population:
 *
 *	invalidate: engines are outside their sections, entries go		(pump)
 *	an engine finds an entry missing: hmm_device_lost()			(engine)
 *	every running job's ranges are populated again, under retry		(engine)
 *	the engine looks again; what is missing now was never named: -EFAULT
 */
#include <errno.h>
#include <sys/mman.h>
#include "base/nocancel.h"
#include "mm/mm.h"
#include "svm/device.h"
#include "svm/svm.h"

static int populate_ranges(struct hmm_svm *svm, const struct hmm_job *job, struct svm_need *need)
{
	unsigned int walks = need->walks;
	int rc = 0;

	for (uint32_t i = 0; i < job->nranges && rc >= 0; i++) {
		const struct hmm_job_range *r = &job->ranges[i];

		rc = svm_fault_span(svm, r->start, r->end, (int)r->prot, need);
		/* What cannot be cached cannot be named beforehand. */
		if (rc == 1)
			rc = -EOPNOTSUPP;
	}
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
	struct svm_job *j = hmm_objpool_get(&svm->small_pool);

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
		rc = mm_cond_until(&svm->claimed, &svm->lock, deadline);
	if (found && !rc)
		*job_find(svm, job) = found->next;
	pthread_mutex_unlock(&svm->lock);
	if (found && !rc)
		hmm_objpool_put(&svm->small_pool, found);
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

int svm_restore(struct hmm_svm *svm)
{
	struct svm_need need = { .raised_after = UINT64_MAX };
	const struct hmm_job *job;
	int rc = 0;

	pthread_mutex_lock(&svm->lock);
	svm->restoring++;
	need.missing = svm->vain >= VAIN_MAX;
	pthread_mutex_unlock(&svm->lock);
	for (unsigned int n = 0; !rc && (job = job_at(svm, n)); n++)
		rc = populate_ranges(svm, job, &need);
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
	int rc = hmm_mm_barrier(svm->mm, 0);

	if (rc)
		return rc;
	rc = hmm_mm_check_files(svm->mm);
	if (rc < 0)
		return rc;
	dropped = svm_check_chunks(svm);
	count(&svm->stats.barriers, 1);
	count(&svm->stats.dropped_at_submit, dropped);
	return 0;
}

static int check_job(const struct hmm_job *job)
{
	if (job->size != sizeof(*job) || job->flags || !job->kernel ||
	    (job->nranges && !job->ranges))
		return -EINVAL;
	for (uint32_t i = 0; i < job->nranges; i++)
		if (job->ranges[i].start >= job->ranges[i].end ||
		    !(job->ranges[i].prot & PROT_READ) ||
		    job->ranges[i].prot & ~(uint32_t)(PROT_READ | PROT_WRITE))
			return -EINVAL;
	return 0;
}

int hmm_svm_submit(struct hmm_svm *svm, struct hmm_job *job)
{
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
	rc = svm->dev->ops.submit(svm->dev, job);
	device_unlock(svm->dev);
	if (rc && no_faults)
		job_remove(svm, job, 0);
	return rc;
}

int hmm_svm_wait(struct hmm_svm *svm, struct hmm_job *job, uint64_t timeout_ns)
{
	HMM_CANCEL_POINT;
	uint64_t deadline = mm_deadline(timeout_ns);
	int rc = 0;

	if (mm_inherited(svm->mm))
		return -ESRCH;
	/* The device is asked once about the end. */
	if (!job_ended(svm, job))
		rc = svm->dev->ops.wait(svm->dev, job, timeout_ns);
	return rc ? rc : job_remove(svm, job, deadline);
}

int hmm_svm_cancel(struct hmm_svm *svm, struct hmm_job *job)
{
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
	HMM_CANCEL_POINT;
	int rc = hmm_svm_submit(svm, job);

	if (!rc)
		rc = hmm_svm_wait(svm, job, 0);
	return rc ? rc : job->status;
}
