/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * The pump (rule 1): poll; show that it is busy; stop the devices; read; invalidate; resume; show
 * that it is idle. Reading lets the caller of munmap go on, so everything that must not be seen
 * stale has stopped before, and nobody may trust a translation from the moment before the read until
 * the callbacks have run:
 *
 *	app			pump				user of a translation
 *	munmap queued		odd, quiesce, read
 *	resumes, maps X again	(not yet invalidated)		odd: refused
 *				invalidate, even, resume
 */
#include "mm/core.h"
#include "base/child.h"

#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>

#define BATCH 32
#define FILES_WAIT_MS 1 /* until files are looked at again that somebody else was busy with */

static void move(struct hmm_mm *mm, const struct provider_event *e)
{
	struct hmm_invalidation from = {
		.start = e->start, .end = e->end, .event = HMM_EVENT_MOVE, .arg = e->to
	};
	struct hmm_invalidation to = { .start = e->to,
				       .end = e->to + (e->end - e->start),
				       .event = HMM_EVENT_MOVE };

	/* The kernel moved the registration along; believing less only costs an idempotent call. */
	region_forget(mm, from.start, from.end);
	region_forget(mm, to.start, to.end);
	if (hmm_mutation(HMM_MUTATION_NO_MOVE))
		return;
	notifiers_invalidate(mm, &from);
	notifiers_invalidate(mm, &to);
}

static void handle(struct hmm_mm *mm, const struct provider_event *e)
{
	struct hmm_invalidation inv = { .start = e->start, .end = e->end };

	switch (e->type) {
	case PROVIDER_UNMAP:
		region_forget(mm, e->start, e->end);
		files_unmapped(mm, e->start, e->end);
		inv.event = HMM_EVENT_UNMAP;
		break;
	case PROVIDER_MOVE:
		move(mm, e);
		return;
	case PROVIDER_REMOVE:
		doubt_add(mm, e->start, e->end);
		inv.event = HMM_EVENT_CLEAR;
		break;
	case PROVIDER_FORK:
		if (hmm_mutation(HMM_MUTATION_NO_FORK_KILL))
			return;
		inv.event = HMM_EVENT_FORK;
		break;
	}
	notifiers_invalidate(mm, &inv);
}

static int read_events(struct hmm_mm *mm, struct provider_event *events)
{
	int n;

	pthread_mutex_lock(&mm->read_lock);
	mm->quiesced = !hmm_mutation(HMM_MUTATION_READ_FIRST);
	n = mm->provider.ops->read(&mm->provider, events, BATCH);
	pthread_mutex_unlock(&mm->read_lock);
	if (n == -ESRCH) {
		mm->gone = true;
		atomic_store(&mm->dead, 1);
	}
	return n;
}

/* What the watchdog read in our place, and then, under the same lock, idle. */
static void finish(struct hmm_mm *mm)
{
	pthread_mutex_lock(&mm->read_lock);
	for (int i = 0; i < mm->n_stolen; i++)
		handle(mm, &mm->stolen[i]);
	mm->n_stolen = 0;
	if (!hmm_mutation(HMM_MUTATION_NO_ODD))
		atomic_fetch_add(&mm->pump_seq, 1);
	mm->quiesced = false;
	pthread_mutex_unlock(&mm->read_lock);
}

static void cycle(struct hmm_mm *mm)
{
	struct provider_event events[BATCH];
	uint64_t began;
	int n = 0;

	hmm_hook(HMM_WINDOW_POLLED);
	if (!hmm_mutation(HMM_MUTATION_NO_ODD))
		atomic_fetch_add(&mm->pump_seq, 1);
	hmm_hook(HMM_WINDOW_ODD);
	pthread_mutex_lock(
		&mm->region_lock); /* nobody registers between a read and its invalidation */
	if (hmm_mutation(HMM_MUTATION_READ_FIRST))
		n = read_events(mm, events);
	began = mm_now_ns();
	gate_close(mm);
	hmm_hook(HMM_WINDOW_QUIESCED);
	if (!hmm_mutation(HMM_MUTATION_READ_FIRST))
		n = read_events(mm, events);
	hmm_hook(HMM_WINDOW_READ);
	for (; n > 0; n = n == BATCH ? read_events(mm, events) : 0) {
		for (int i = 0; i < n; i++)
			handle(mm, &events[i]);
	}
	hmm_hook(HMM_WINDOW_INVALIDATED);
	finish(mm);
	gate_open(mm);
	pthread_mutex_unlock(&mm->region_lock);
	stat_add(&mm->stats.pump_busy_ns, mm_now_ns() - began);
	stat_add(&mm->stats.pump_cycles, 1);
	hmm_hook(HMM_WINDOW_RESUMED);
}

static void *pump_main(void *arg)
{
	struct hmm_mm *mm = arg;
	struct pollfd p[2] = {
		{ .fd = mm->provider.fd, .events = POLLIN },
		{ .fd = mm->stop_fd, .events = POLLIN },
	};

	mm->pump_tid = (pid_t)syscall(SYS_gettid);
	opening_never_waits();
	/*
	 * While anything is registered somebody reads, or an munmap waits for ever: that of this thread's own end
	 * among them, whose stack may lie next to mirrored memory.
	 */
	while (!atomic_load(&mm->stopping) && !mm->gone && !mm_inherited(mm)) {
		bool closed = files_closed(mm);

		if (poll(p, 2, closed ? -1 : FILES_WAIT_MS) > 0 &&
		    p[0].revents & (POLLIN | POLLERR))
			cycle(mm);
	}
	return NULL;
}

/* Teardown: events that were queued while the regions went away. */
void pump_drain(struct hmm_mm *mm)
{
	struct pollfd p = { .fd = mm->provider.fd, .events = POLLIN };

	for (int quiet = 0; quiet < 2; quiet++) {
		if (poll(&p, 1, 0) > 0 && p.revents & POLLIN) {
			cycle(mm);
			quiet = -1;
		} else if (mm_in_flight(mm)) {
			sched_yield();
			quiet = -1;
		}
	}
}

static int start_thread(struct hmm_mm *mm, pthread_t *thread, void *(*fn)(void *), int priority)
{
	struct sched_param param = { .sched_priority = priority };
	pthread_attr_t attr;
	sigset_t all;
	sigset_t old;
	int err;

	pthread_attr_init(&attr);
	if (priority) {
		pthread_attr_setinheritsched(&attr, PTHREAD_EXPLICIT_SCHED);
		pthread_attr_setschedpolicy(&attr, SCHED_FIFO);
		pthread_attr_setschedparam(&attr, &param);
	}
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	err = -pthread_create(thread, &attr, fn, mm);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	pthread_attr_destroy(&attr);
	return err;
}

int pump_start(struct hmm_mm *mm)
{
	int err;

	mm->stop_fd = eventfd(0, EFD_CLOEXEC);
	if (mm->stop_fd < 0)
		return -errno;
	child_closes(mm->stop_fd);
	err = start_thread(mm, &mm->pump, pump_main, mm->options.pump_priority);
	if (err) {
		close_ours(mm->stop_fd);
		return err;
	}
	err = start_thread(mm, &mm->watchdog, watchdog_main, mm->options.pump_priority);
	if (!err)
		return 0;
	atomic_store(&mm->stopping, 1);
	eventfd_write(mm->stop_fd, 1);
	pthread_join(mm->pump, NULL);
	close_ours(mm->stop_fd);
	return err;
}

void pump_stop(struct hmm_mm *mm)
{
	atomic_store(&mm->stopping, 1);
	eventfd_write(mm->stop_fd, 1);
	pthread_join(mm->pump, NULL);
	pthread_join(mm->watchdog, NULL);
	close_ours(mm->stop_fd);
}
