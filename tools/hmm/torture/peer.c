// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* The peer's thread, and how it is given its one job. */
#include <errno.h>
#include <sched.h>
#include <semaphore.h>
#include "peer.h"
#include "story.h"

#define ONE_IN 4 /* one in so many operations that are not forced has the peer */
#define EAGER 20 /* so many looks without a pause, then with pauses */
#define PAUSE_NS 20000

enum state {
	STATE_IDLE,    /* there is no job: the starter may write one */
	STATE_PENDING, /* the peer may take the job, or the starter take it back */
	STATE_BUSY,    /* the peer works on it */
	STATE_MAPPED,  /* done, the slot is mapped: the starter may write the job again */
};

/* held from peer_start() to peer_finish() */
static pthread_mutex_t job_lock = PTHREAD_MUTEX_INITIALIZER;
static _Atomic int state;
static _Atomic bool over; /* the starter wants the job to end */
static _Atomic bool leave;
static sem_t wake; /* one post a job: the peer does not spin between jobs */
static struct {
	struct slot *slot;
	unsigned int lo, hi;
	uint64_t stamp;
	enum peer_mode mode;
	bool latch;
} job;

bool peer_start(struct op_run *run, unsigned int lo, unsigned int hi, enum peer_mode mode)
{
	/*
	 * A forced operation always has the peer, as its window has to know when the change takes
	 * effect.
	 */
	if (run->forced)
		pthread_mutex_lock(&job_lock);
	else if (mode == PEER_STORE || rng_below(run->rng, ONE_IN) ||
		 pthread_mutex_trylock(&job_lock))
		return false;
	job.slot = run->slot;
	job.lo = lo;
	job.hi = hi;
	job.stamp = run->stamp;
	job.mode = mode;
	job.latch = run->latch;
	atomic_store(&over, false);
	atomic_store(&state, STATE_PENDING);
	sem_post(&wake);
	return true;
}

bool peer_finish(struct torture *t)
{
	unsigned int i;
	int s;

	atomic_store(&over, true);
	bell_ring(&t->bell);
	for (i = 0;; i++) {
		s = STATE_PENDING;
		if (atomic_compare_exchange_strong(&state, &s, STATE_IDLE) || s == STATE_MAPPED)
			break;
		if (i < EAGER)
			sched_yield();
		else
			tort_pause(PAUSE_NS);
	}
	atomic_store(&state, STATE_IDLE);
	pthread_mutex_unlock(&job_lock);
	return s == STATE_MAPPED;
}

void peer_leave(void)
{
	atomic_store(&leave, true);
	sem_post(&wake);
}

/*
 * True once it has seen that a page's old content is gone. certain: that nothing is mapped means
 * that. A log tells when the kernel begins to clear page tables, as it tells its own drivers. An
 * munmap takes the mapping out of the list of mappings just before.
 */
static bool peek(bool certain)
{
	bool seen = false;
	uint64_t word;
	unsigned int i;

	for (i = job.lo; i < job.hi; i++) {
		int ret = slot_peek(slot_page(job.slot, i), &word);

		if (ret && (ret != -EFAULT || !certain))
			continue;
		if (!ret && word && word >> 24 < job.stamp)
			continue; /* the page shows the old content */
		story(job.slot->id, "saw it go: page, status", i, (uint64_t)-ret, word >> 24);
		oracle_seen(job.slot, i, job.stamp);
		seen = true;
	}
	return seen;
}

static bool map(void)
{
	if (slot_map(job.slot, false, true, job.stamp))
		return false;
	story(job.slot->id, "mapped: stamp, object", job.stamp, job.slot->object, 0);
	oracle_stamp_seen(job.slot, 0, PAGES, job.stamp);
	return true;
}

/*
 * Stamps the pages when the pump has opened its window: then the event is queued, and the fork has
 * copied.
 */
static bool store(struct torture *t)
{
	if (!job.latch && atomic_load(&t->windows.open) < 0)
		return false;
	oracle_stamp_seen(job.slot, job.lo, job.hi, job.stamp);
	job.mode = PEER_PEEK; /* once is enough */
	return true;
}

/* Reads first, as that does not need the lock that the kernel holds while it frees pages. */
static bool look(struct torture *t, bool certain, bool *mapped)
{
	bool seen = job.mode == PEER_STORE ? store(t) : peek(certain);

	*mapped = job.mode == PEER_MAP && map();
	if (seen || *mapped)
		window_effect(t);
	return seen || *mapped;
}

/*
 * The operation's call has made its change and waits until the latch is read, or will do so. So
 * this reads, unless it has seen the call return.
 */
static bool hold_latch(struct torture *t)
{
	bool mapped = false;

	while (!latch_caught(&t->latch, 5))
		if (atomic_load(&over))
			return false;
	if (look(t, true, &mapped))
		window_hold(t, WINDOW_CHANGED);
	latch_release(&t->latch);
	job.latch = false;
	return mapped;
}

void *peer_main(void *arg)
{
	struct torture *t = arg;
	unsigned int looks = 0;

	window_not_pump("peer");
	while (!atomic_load(&leave)) {
		bool mapped = false, seen = false;
		int s = STATE_PENDING;

		if (!atomic_compare_exchange_strong(&state, &s, STATE_BUSY)) {
			looks = 0;
			if (s == STATE_IDLE)
				sem_wait(&wake);
			sched_yield();
			continue;
		}
		if (job.latch)
			seen = mapped = hold_latch(t);
		else
			seen = look(t, !t->log, &mapped);
		atomic_store(&state, mapped ? STATE_MAPPED : STATE_PENDING);
		/* The job is done, or a further look only makes other threads wait. */
		if (!mapped && (seen || looks++ >= EAGER))
			tort_pause(PAUSE_NS);
	}
	atomic_store(&leave, false); /* for the next cycle */
	return NULL;
}
