// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "brake.h"
#include "torture.h"

#define REST_NS 40000    /* what the call gets at a time; with the timer's delay about 80 us */
#define WATCH_NS 1000000 /* how long it waits where it is near */

struct braked {
	const struct brake_job *job;
	int cpu;
	int rc;
	_Atomic pid_t tid; /* of the braked thread, once it is there */
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

/* All other threads of the process: what they may use. */
static void let_others_use(const cpu_set_t *set)
{
	DIR *d = opendir("/proc/self/task");
	pid_t self = (pid_t)syscall(SYS_gettid);
	struct dirent *e;

	while (d && (e = readdir(d)))
		if (atoi(e->d_name) > 0 && atoi(e->d_name) != self)
			sched_setaffinity(atoi(e->d_name), sizeof(*set), set);
	if (d)
		closedir(d);
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
	b->rc = b->job->call(b->job->arg);
	atomic_store(&b->returned, true);
	return NULL;
}

/* An ordinary thread alone gets ahead of its share, and the idle one would have a slice. */
static void *helper_main(void *arg)
{
	struct braked *b = arg;

	window_not_pump("brake");
	stay_on(b->cpu);
	while (!atomic_load(&b->returned))
		if (atomic_load(&b->rest))
			tort_pause(REST_NS);
	return NULL;
}

/* True: the call is where it is wanted. */
static bool is_here(struct braked *b)
{
	uint64_t until = tort_now_ns() + WATCH_NS;
	enum brake_look look;

	do {
		look = b->job->look(b->job->arg);
	} while (look == BRAKE_NEAR && tort_now_ns() < until);
	return look == BRAKE_HERE;
}

/* For a moment the call has the processor: whatever others want, if we may say so. */
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
	sem_post(&b->go);
	while (!is_here(b)) {
		if (atomic_load(&b->returned))
			return false;
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
	/* The kernel's own threads must get to run: users wait for them. */
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
	pthread_t thread, helper;
	bool caught, helped;

	if (pthread_create(&thread, NULL, braked_main, b))
		return false;
	helped = !pthread_create(&helper, NULL, helper_main, b);
	caught = hold(b);
	atomic_store(&b->rest, true);
	while (pthread_tryjoin_np(thread, NULL)) {
		b->job->wait(b->job->arg);
		tort_pause(TICK_NS / 10);
	}
	if (helped)
		pthread_join(helper, NULL);
	return caught;
}

int brake_run(const struct brake_job *job, bool *caught)
{
	struct braked b = { .job = job, .cpu = sched_getcpu(), .rc = -EAGAIN };
	cpu_set_t before, others;

	*caught = false;
	sem_init(&b.go, 0, 0);
	if (sched_getaffinity(0, sizeof(before), &before) || !stay_on(b.cpu))
		return job->call(job->arg);
	others = before;
	CPU_CLR((unsigned int)b.cpu, &others);
	if (CPU_COUNT(&others))
		let_others_use(&others);
	*caught = run_braked(&b);
	let_others_use(&before);
	sched_setaffinity(0, sizeof(before), &before);
	return b.rc;
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
