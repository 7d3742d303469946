// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* Engine threads, and the queue of the jobs whose items they execute. */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>
#include "base/futex.h"
#include "space/space.h"
#include "base/deadline.h"
#include "engines/runner.h"

/*
 * Executes one item. The landing is for accesses through pointers of hmm_access(). After a jump
 * only the parameters are used, which never change.
 */
static int run_item(struct engine *e, struct hmm_job *job, uint64_t item)
{
	int ret;

	if (hmm_guard_landing(&e->guard)) {
		ret = access_recover(e);
		if (ret)
			return ret;
	}
	ret = job->kernel(&e->ctx, item, job->arg);
	/* jumps if the last accesses were not good */
	if (!ret)
		e->ctx.ops->settle(&e->ctx);
	return ret;
}

static void run_items(struct engine *e, struct rjob *rj)
{
	struct hmm_job *job = rj->job;
	uint64_t item;
	int32_t none = 0;
	int ret;

	while (!atomic_load_explicit(&rj->stop, memory_order_relaxed) &&
	       (item = atomic_fetch_add(&rj->next_item, 1)) < rj->items) {
		e->vanished_times = 0;
		ret = run_item(e, job, item);
		access_leave(e);
		e->used = e->wrote = false;
		if (ret) {
			none = 0;
			atomic_compare_exchange_strong(&rj->status, &none, ret);
			atomic_store(&rj->stop, 1);
			break;
		}
		bump(&e->stats.items, 1);
		__atomic_fetch_add(&job->done, 1, __ATOMIC_RELAXED);
	}
}

/* The caller holds the lock. */
static struct rjob *next_job(struct runner *r)
{
	for (struct rjob *rj = r->jobs; rj; rj = rj->next)
		if (!atomic_load(&rj->stop) && atomic_load(&rj->next_item) < rj->items)
			return rj;
	return NULL;
}

/* the caller holds the lock: the last engine that leaves a job without further items ends it */
static void end_if_last(struct runner *r, struct rjob *rj)
{
	struct rjob **p = &r->jobs;

	if (rj->active || !rj->queued)
		return;
	if (!atomic_load(&rj->stop) && atomic_load(&rj->next_item) < rj->items)
		return;
	while (*p != rj)
		p = &(*p)->next;
	*p = rj->next;
	rj->queued = false;
	r->jobs_done++;
	rj->job->status = atomic_load(&rj->status);
	atomic_store(&rj->ended, 1);
	futex_wake(&rj->ended);
}

static void *engine_main(void *arg)
{
	struct engine *e = arg;
	struct runner *r = e->runner;
	struct rjob *rj = NULL;

	hmm_thread_block_signals();
	pthread_setname_np(pthread_self(), "hmm-engine");
	pthread_mutex_lock(&r->lock);
	for (;;) {
		while (!r->stopping && !(rj = next_job(r)))
			pthread_cond_wait(&r->work, &r->lock);
		if (r->stopping)
			break;
		rj->active++;
		pthread_mutex_unlock(&r->lock);
		e->job = rj;
		hmm_guard_look();
		run_items(e, rj);
		pthread_mutex_lock(&r->lock);
		rj->active--;
		end_if_last(r, rj);
	}
	pthread_mutex_unlock(&r->lock);
	return NULL;
}

int runner_create(const struct hmm_software_ops *ops, enum hmm_fault_model model,
		  unsigned int engines, struct runner **runner)
{
	struct runner *r;

	if (engines == 0 || engines > HMM_SOFTWARE_ENGINES_MAX)
		return -EINVAL;
	r = pool_map(sizeof(*r) + engines * sizeof(struct engine));
	if (!r)
		return -ENOMEM;
	r->ops = *ops;
	r->fault_model = model;
	r->n = engines;
	pthread_mutex_init(&r->lock, NULL);
	pthread_cond_init(&r->work, NULL);
	objpool_init(&r->job_pool, sizeof(struct rjob));
	*runner = r;
	return 0;
}

static int engine_start(struct runner *r, unsigned int i)
{
	struct engine *e = &r->engines[i];
	int ret;

	e->runner = r;
	e->ctx.ops = &access_ctx_ops;
	e->ctx.device = r->dev;
	e->ctx.engine = i;
	e->ctx.engines = r->n;
	e->ctx.scratch_size = HMM_SCRATCH_SIZE;
	e->ctx.scratch = pool_map(HMM_SCRATCH_SIZE);
	if (!e->ctx.scratch)
		return -ENOMEM;
	if (r->ops.state_size)
		e->state = pool_map(r->ops.state_size);
	if (r->ops.state_size && !e->state)
		return -ENOMEM;
	ret = hmm_engine_create(hmm_device_mm(r->dev), &e->gate);
	if (!ret)
		ret = -pthread_create(&e->thread, NULL, engine_main, e);
	e->started = !ret;
	return ret;
}

int runner_start(struct runner *r, struct hmm_device *dev)
{
	sigset_t mask;
	sigset_t old;
	int ret = hmm_guard_look();

	r->dev = dev;
	/* Engines have their signals blocked from the start. */
	sigfillset(&mask);
	pthread_sigmask(SIG_SETMASK, &mask, &old);
	for (unsigned int i = 0; !ret && i < r->n; i++)
		ret = engine_start(r, i);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return ret;
}

void runner_stop(struct runner *r)
{
	atomic_store(&r->closing, 1);
	atomic_fetch_add(&r->raised, 1);
	futex_wake(&r->raised);
	pthread_mutex_lock(&r->lock);
	r->stopping = true;
	pthread_cond_broadcast(&r->work);
	pthread_mutex_unlock(&r->lock);
	for (unsigned int i = 0; i < r->n; i++) {
		struct engine *e = &r->engines[i];

		if (e->started)
			pthread_join(e->thread, NULL);
		hmm_engine_destroy(e->gate);
	}
}

void runner_free(struct runner *r)
{
	for (unsigned int i = 0; i < r->n; i++) {
		pool_unmap(r->engines[i].state, r->ops.state_size);
		pool_unmap(r->engines[i].ctx.scratch, HMM_SCRATCH_SIZE);
	}
	objpool_fini(&r->job_pool);
	pthread_cond_destroy(&r->work);
	pthread_mutex_destroy(&r->lock);
	pool_unmap(r, sizeof(*r) + r->n * sizeof(struct engine));
}

int runner_op_submit(struct hmm_device *dev, struct hmm_job *job)
{
	struct runner *r = runner_of(dev);
	struct rjob *rj = objpool_get(&r->job_pool);
	struct rjob **p = &r->jobs;
	int ret;

	if (!rj)
		return -ENOMEM;
	ret = hmm_guard_look();
	if (ret) {
		objpool_put(&r->job_pool, rj);
		return ret;
	}
	rj->job = job;
	rj->items = job->items ? job->items : r->n;
	job->driver = rj;
	pthread_mutex_lock(&r->lock);
	while (*p)
		p = &(*p)->next;
	*p = rj;
	rj->queued = true;
	pthread_cond_broadcast(&r->work);
	pthread_mutex_unlock(&r->lock);
	return 0;
}

int runner_op_wait(struct hmm_device *dev, struct hmm_job *job, uint64_t timeout_ns)
{
	struct runner *r = runner_of(dev);
	struct rjob *rj = job->driver;
	uint64_t deadline = deadline_after(timeout_ns);

	if (!rj)
		return 0;
	/* a signal of the program may end the wait early */
	while (!atomic_load(&rj->ended) && !deadline_passed(deadline))
		futex_wait(&rj->ended, 0, deadline_left_ns(deadline));
	if (!atomic_load(&rj->ended))
		return -ETIME;
	/* The engine that ended the job holds the lock until it no longer looks at the job. */
	pthread_mutex_lock(&r->lock);
	job->driver = NULL;
	pthread_mutex_unlock(&r->lock);
	objpool_put(&r->job_pool, rj);
	return 0;
}

int runner_op_cancel(struct hmm_device *dev, struct hmm_job *job)
{
	struct runner *r = runner_of(dev);
	int32_t none = 0;
	struct rjob *rj = NULL;

	pthread_mutex_lock(&r->lock);
	rj = job->driver;
	if (rj && rj->queued) {
		atomic_compare_exchange_strong(&rj->status, &none, -ECANCELED);
		atomic_store(&rj->stop, 1);
		end_if_last(r, rj);
	}
	pthread_mutex_unlock(&r->lock);
	return 0;
}

void runner_stats(struct runner *r, struct hmm_device_stats *stats)
{
	stats->engines += r->n;
	for (unsigned int i = 0; i < r->n; i++) {
		struct engine_stats *s = &r->engines[i].stats;

#define ADD(field) stats->field += atomic_load_explicit(&s->field, memory_order_relaxed)
		ADD(device_faults);
		ADD(bytes_read);
		ADD(bytes_written);
		ADD(replays);
		ADD(cancels);
		ADD(guard_hits);
		ADD(overruns);
		ADD(restarts);
		ADD(once_uses);
		ADD(items);
		ADD(stale_accesses);
#undef ADD
	}
	pthread_mutex_lock(&r->lock);
	stats->jobs += r->jobs_done;
	pthread_mutex_unlock(&r->lock);
}
