// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* The peer's thread and the hand-over of its one job. */
#include <errno.h>
#include <sched.h>
#include <semaphore.h>
#include "peer.h"

enum state {
	STATE_IDLE,    /* the starter's */
	STATE_PENDING, /* up to the peer, or to be taken back */
	STATE_BUSY,    /* the peer is at it */
	STATE_MAPPED,  /* done: the starter's again */
};

static pthread_mutex_t job_lock = PTHREAD_MUTEX_INITIALIZER; /* held from start to finish */
static _Atomic int state;
static sem_t wake; /* one post a job: the peer does not spin between jobs */
static struct {
	struct slot *slot;
	unsigned int lo, hi;
	uint64_t stamp;
	enum peer_mode mode;
} job;

bool peer_start(struct torture *t, struct slot *slot, unsigned int lo, unsigned int hi,
		uint64_t stamp, enum peer_mode mode)
{
	/* A window that is held open for this slot needs to know when the change took effect. */
	if (atomic_load(&t->windows.phase) == PHASE_RUN &&
	    atomic_load(&t->windows.slot) == slot->id)
		pthread_mutex_lock(&job_lock);
	else if (pthread_mutex_trylock(&job_lock))
		return false;
	job.slot = slot;
	job.lo = lo;
	job.hi = hi;
	job.stamp = stamp;
	job.mode = mode;
	atomic_store(&state, STATE_PENDING);
	sem_post(&wake);
	return true;
}

bool peer_finish(void)
{
	int s;

	for (;;) {
		s = STATE_PENDING;
		if (atomic_compare_exchange_strong(&state, &s, STATE_IDLE) || s == STATE_MAPPED)
			break;
		sched_yield();
	}
	atomic_store(&state, STATE_IDLE);
	pthread_mutex_unlock(&job_lock);
	return s == STATE_MAPPED;
}

void peer_wake(void)
{
	sem_post(&wake);
}

/* True once a page's old content was seen to be gone. */
static bool peek(struct torture *t)
{
	bool seen = false;
	uint64_t word;
	unsigned int i;

	for (i = job.lo; i < job.hi; i++) {
		int rc = slot_peek(slot_page(job.slot, i), &word);

		if (rc && rc != -EFAULT)
			continue;
		if (!rc && word && word >> 24 < job.stamp)
			continue; /* the old content */
		oracle_seen(job.slot, i, job.stamp);
		seen = true;
	}
	return seen;
}

static bool map(struct torture *t)
{
	if (slot_map(job.slot, false, true, job.stamp))
		return false;
	oracle_stamp_seen(job.slot, 0, PAGES, job.stamp);
	return true;
}

void *peer_main(void *arg)
{
	struct torture *t = arg;
	struct beat *b = &t->beats[USERS + HOSTILES];

	window_not_pump("peer");
	while (!atomic_load(&t->stop)) {
		bool seen, mapped = false;
		int s = STATE_PENDING;

		beat(b, "peer");
		if (!atomic_compare_exchange_strong(&state, &s, STATE_BUSY)) {
			if (s == STATE_IDLE)
				sem_wait(&wake);
			sched_yield();
			continue;
		}
		/* Seen first: reading does not need the lock that the kernel keeps while it frees
		 * pages. */
		seen = peek(t);
		if (seen)
			window_hold_changed(t);
		if (job.mode == PEER_MAP)
			mapped = map(t);
		if (seen || mapped)
			window_effect(t);
		atomic_store(&state, mapped ? STATE_MAPPED : STATE_PENDING);
	}
	return NULL;
}
