// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "brake.h"
#include "torture.h"

/* for how long the call may run at a time; with the timer's delay about 80 us */
#define REST_NS 40000
#define WATCH_NS 200000 /* how long the caller looks at a call that is near before its next step */

struct braked {
	const struct brake_job *job;
	int cpu;
	int ret;
	_Atomic pid_t tid; /* of the braked thread, once it runs */
	sem_t go;
	_Atomic bool rest; /* let the call have the processor for a moment */
	_Atomic bool returned;
};

/* Thread 0: the caller. */
static bool be(pid_t tid, int policy, int priority)
{
	struct sched_param param = { priority };

	return !sched_setscheduler(tid, policy, &param);
}

static bool stay_on(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET((unsigned int)cpu, &set);
	return !sched_setaffinity(0, sizeof(set), &set);
}

static void *braked_main(void *arg)
{
	struct braked *b = arg;

	window_not_pump("braked");
	be(0, SCHED_IDLE, 0);
	stay_on(b->cpu);
	atomic_store(&b->tid, (pid_t)syscall(SYS_gettid));
	while (sem_wait(&b->go))
		;
	b->ret = b->job->call(b->job->arg);
	atomic_store(&b->returned, true);
	return NULL;
}

/*
 * The scheduler gives the idle thread a slice as soon as all other threads are ahead of their
 * share. One thread alone always is. Two threads of the same weight are at every other tick, when
 * they are level. So there are two helpers of different weights.
 */
static void keep_busy(struct braked *b, int nice)
{
	window_not_pump("brake");
	setpriority(PRIO_PROCESS, (id_t)syscall(SYS_gettid), nice);
	stay_on(b->cpu);
	while (!atomic_load(&b->returned))
		if (atomic_load(&b->rest))
			tort_pause(REST_NS);
}

static void *helper_main(void *arg)
{
	keep_busy(arg, 0);
	return NULL;
}

static void *lighter_main(void *arg)
{
	keep_busy(arg, 3);
	return NULL;
}

static enum brake_look watch(struct braked *b)
{
	uint64_t until = tort_now_ns() + WATCH_NS;
	enum brake_look look;

	do {
		look = b->job->look(b->job->arg);
	} while (look == BRAKE_NEAR && tort_now_ns() < until);
	return look;
}

/*
 * Lets the call have the processor for a moment, before all other threads if we have the privilege.
 */
static void rest(struct braked *b)
{
	bool mighty = b->job->kind == BRAKE_FIFO;

	atomic_store(&b->rest, true);
	if (mighty)
		be(b->tid, SCHED_FIFO, 1);
	tort_pause(REST_NS);
	if (mighty)
		be(b->tid, SCHED_IDLE, 0);
	atomic_store(&b->rest, false);
}

static bool go_on_until_here(struct braked *b)
{
	enum brake_look look;

	sem_post(&b->go);
	while ((look = watch(b)) != BRAKE_HERE) {
		if (atomic_load(&b->returned))
			return false;
		/* A pause lets other threads have the processor; without them the helpers do. */
		if (look == BRAKE_WAIT)
			tort_pause(REST_NS);
		else
			rest(b);
	}
	return true;
}

static bool hold(struct braked *b)
{
	bool here;

	while (!atomic_load(&b->tid))
		tort_pause(REST_NS);
	if (b->job->kind == BRAKE_FIFO)
		be(0, SCHED_FIFO, 2);
	here = go_on_until_here(b);
	/* The kernel's own threads must be able to run, as users wait for them. */
	if (b->job->kind == BRAKE_FIFO)
		be(0, SCHED_OTHER, 0);
	while (here && !b->job->done(b->job->arg))
		here = !atomic_load(&b->returned);
	here = here && !atomic_load(&b->returned);
	if (b->job->kind == BRAKE_FIFO)
		be(b->tid, SCHED_OTHER, 0);
	return here;
}

static bool run_braked(struct braked *b)
{
	void *(*const mains[])(void *) = { braked_main, helper_main, lighter_main };
	pthread_t threads[3];
	bool caught;
	int n;

	for (n = 0; n < 3; n++)
		if (pthread_create(&threads[n], NULL, mains[n], b))
			break;
	if (!n)
		return false;
	caught = hold(b);
	atomic_store(&b->rest, true);
	while (pthread_tryjoin_np(threads[0], NULL)) {
		b->job->wait(b->job->arg);
		tort_pause(TICK_NS / 10);
	}
	while (--n)
		pthread_join(threads[n], NULL);
	return caught;
}

int brake_run(const struct brake_job *job, bool *caught)
{
	struct braked b = { .job = job, .cpu = sched_getcpu(), .ret = -EAGAIN };
	cpu_set_t before;

	*caught = false;
	sem_init(&b.go, 0, 0);
	if (sched_getaffinity(0, sizeof(before), &before) || !stay_on(b.cpu))
		return job->call(job->arg);
	*caught = run_braked(&b);
	sched_setaffinity(0, sizeof(before), &before);
	return b.ret;
}

static void *probe_main(void *arg)
{
	enum brake *kind = arg;

	if (!stay_on(sched_getcpu()))
		*kind = BRAKE_NONE;
	else if (be(0, SCHED_FIFO, 1))
		*kind = BRAKE_FIFO;
	else
		*kind = be(0, SCHED_IDLE, 0) ? BRAKE_IDLE : BRAKE_NONE;
	return NULL;
}

enum brake brake_probe(void)
{
	enum brake kind = BRAKE_NONE;
	pthread_t thread;

	if (!pthread_create(&thread, NULL, probe_main, &kind))
		pthread_join(thread, NULL);
	return kind;
}
