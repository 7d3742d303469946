// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * The list is a stack whose top is exchanged as a whole, so no record is ever taken off while
 * another is put on top of it. A record is on it at most once: only a record that becomes DEAD is
 * handed over, and it stays DEAD until it has been delivered (record.h).
 */
#include "deliver.h"
#include "monitor.h"
#include "mutation.h"
#include "record.h"
#include "space.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define STACK_BYTES (256UL << 10)
#define EXIT_NS 100000000ULL

static _Atomic(struct record *) top;
static _Atomic uint32_t pushes;  /* the deliverer sleeps on it */
static _Atomic uint32_t asleep;  /* 1: it does, or is about to */
static _Atomic uint32_t rounds;  /* that have ended; deliver_wait() sleeps on it */
static _Atomic uint32_t waiters; /* threads in deliver_wait() */
static _Atomic bool busy;        /* a list was taken and is not delivered yet */
static _Atomic bool over;        /* the process ends: the peer is told no more */

static void futex_wait(_Atomic uint32_t *word, uint32_t value, const struct timespec *timeout)
{
	syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, value, timeout, NULL, 0);
}

static void futex_wake(_Atomic uint32_t *word)
{
	syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
}

void deliver_push(struct record *r)
{
	struct record *old = atomic_load(&top);

	do
		r->link = old;
	while (!atomic_compare_exchange_weak(&top, &old, r));
	atomic_fetch_add(&pushes, 1);
	/* One event may hit thousands of records: the first wakes the deliverer. */
	if (atomic_load(&asleep) && atomic_exchange(&asleep, 0))
		futex_wake(&pushes);
}

/* In the order in which they were handed over. */
static struct record *reversed(struct record *r)
{
	struct record *first = NULL;

	while (r) {
		struct record *next = r->link;

		r->link = first;
		first = r;
		r = next;
	}
	return first;
}

static void deliver_list(struct record *r)
{
	while (r && !atomic_load(&over)) {
		/* Once it is delivered the record may be handed over again. */
		struct record *next = r->link;

		if (!broken(KEEP_EVICTED) || !r->evict)
			monitor.deliver(r->addr, r->len);
		record_delivered(r);
		r = next;
	}
}

/* False: nothing was there. */
static bool round_of_delivery(void)
{
	struct record *list;

	atomic_store(&busy, true);
	list = atomic_exchange(&top, NULL);
	deliver_list(reversed(list));
	atomic_store(&busy, false);
	atomic_fetch_add(&rounds, 1);
	if (atomic_load(&waiters))
		futex_wake(&rounds);
	return list;
}

static void sleep_until_pushed(uint32_t seen)
{
	atomic_store(&asleep, 1);
	if (!atomic_load(&top))
		futex_wait(&pushes, seen, NULL);
	atomic_store(&asleep, 0);
}

static void *run(void *arg)
{
	(void)arg;
	while (!atomic_load(&over)) {
		const uint32_t seen = atomic_load(&pushes);

		if (!round_of_delivery())
			sleep_until_pushed(seen);
	}
	return NULL;
}

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000ULL + (uint64_t)ts.tv_nsec;
}

/* Waits until a round of delivery ends. False: the time is over. */
static bool wait_round(uint32_t round, uint64_t end)
{
	const uint64_t now = now_ns();
	struct timespec left;

	if (now >= end)
		return false;
	left.tv_sec = (time_t)((end - now) / 1000000000ULL);
	left.tv_nsec = (long)((end - now) % 1000000000ULL);
	futex_wait(&rounds, round, &left);
	return true;
}

/*
 * exit() calls this before the peer's destructors, after which the peer must not be called. What is
 * not delivered stays DEAD: it is not used any more. The peer may hold a lock that the deliverer
 * waits for, and not give it back.
 */
static void at_exit(void)
{
	const uint64_t end = now_ns() + EXIT_NS;

	if (!libhmm_monitor_space()) /* a child has no deliverer */
		return;
	atomic_store(&over, true);
	atomic_fetch_add(&waiters, 1);
	for (;;) {
		const uint32_t round = atomic_load(&rounds);

		if (!atomic_load(&busy) || !wait_round(round, end))
			break;
	}
	atomic_fetch_sub(&waiters, 1);
}

static int make_thread(void)
{
	pthread_attr_t attr;
	pthread_t thread;
	sigset_t all;
	sigset_t old;
	int err;

	sigfillset(&all);
	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attr, STACK_BYTES);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	err = pthread_create(&thread, &attr, run, NULL);
	if (!err)
		pthread_setname_np(thread, "hmm-deliver");
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	pthread_attr_destroy(&attr);
	return -err;
}

int deliver_start(void)
{
	static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	static bool made; /* lock */
	int err = 0;

	pthread_mutex_lock(&lock);
	if (!made)
		err = make_thread();
	if (!made && !err)
		atexit(at_exit);
	made |= !err;
	pthread_mutex_unlock(&lock);
	return err;
}

/*
 * The list on which a record of before lies is the one being delivered or the next: it has been
 * delivered when nothing is left, or after two rounds.
 */
static bool wait_rounds(uint64_t timeout_ns)
{
	const uint64_t end = now_ns() + timeout_ns;
	const uint32_t first = atomic_load(&rounds);

	for (;;) {
		const uint32_t round = atomic_load(&rounds);

		if (atomic_load(&over))
			return false;
		if (round - first >= 2 || (!atomic_load(&top) && !atomic_load(&busy)))
			return true;
		if (!wait_round(round, end))
			return false;
	}
}

bool deliver_wait(uint64_t timeout_ns)
{
	bool done;

	if (!atomic_load(&top) && !atomic_load(&busy))
		return true;
	atomic_fetch_add(&waiters, 1);
	done = wait_rounds(timeout_ns);
	atomic_fetch_sub(&waiters, 1);
	return done;
}
