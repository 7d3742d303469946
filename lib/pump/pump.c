// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * The pump (rule 1 in docs/protocol.md). It polls, makes pump_seq odd, stops the devices, reads the
 * events, invalidates, makes pump_seq even and lets the devices go on. Reading lets the caller of
 * munmap go on. So the devices have stopped before the pump reads, and from then until the
 * callbacks have run no translation is valid:
 *
 *	app			pump				user of a translation
 *	munmap: queued		odd, closes the gate, reads
 *	resumes, maps X again	(not yet invalidated)		odd: refused
 *				invalidates, even, opens
 */
#include "pump/pump.h"
#include "pump/keeper.h"
#include "pump/kick.h"
#include "pump/steal.h"
#include "files/files.h"
#include "devmem/devmem.h"
#include "watch/discard.h"
#include "watch/region.h"
#include "notifier/drain.h"
#include "notifier/notifier.h"
#include "engine/gate.h"
#include "space/space.h"
#include "space/turn.h"
#include "provider/log.h"
#include "provider/provider.h"
#include "base/deadline.h"
#include "base/futex.h"
#include "base/hooks.h"
#include "base/mutation.h"
#include "base/number.h"
#include "base/opening.h"
#include "base/ownfd.h"
#include "base/pool.h"
#include "base/raw.h"
#include "base/trace.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <sys/socket.h>

#define BATCH 32
/* how long until the pump tries again to close files, when a lock was busy */
#define FILES_WAIT_MS 1
#define LOG_WAIT_MS 1
#define FAULTS_WAIT_MS 1
/* how often the pump looks whether a device takes too long */
#define DEVICE_WAIT_MS 20
#define ALONE_MS 250
/* the log has ended, and another may come */
#define OVER_WAIT_MS 50
/* how long the pump waits for the keeper, which needs 100 to 150 ms */
#define STARVED_NS 500000000ULL

static void move(struct hmm_mm *mm, const struct provider_event *e)
{
	struct hmm_invalidation from = {
		.start = e->start, .end = e->end, .event = HMM_EVENT_MOVE, .arg = e->to
	};
	struct hmm_invalidation to = { .start = e->to,
				       .end = e->to + (e->end - e->start),
				       .event = HMM_EVENT_MOVE };

	/*
	 * The kernel has moved the registration along. The regions are forgotten all the same: to
	 * register again what is registered does no harm.
	 */
	region_forget(mm, from.start, from.end);
	region_forget(mm, to.start, to.end);
	if (hmm_mutation(HMM_MUTATION_NO_MOVE) || mm->told_by_log)
		return;
	notifiers_invalidate(mm, &from);
	notifiers_invalidate(mm, &to);
}

static void handle(struct hmm_mm *mm, const struct provider_event *e)
{
	struct hmm_invalidation inv = { .start = e->start, .end = e->end };

	switch (e->type) {
	case PROVIDER_FAULT:
		return;
	case PROVIDER_HOME:
		inv.event = e->invalidates;
		inv.owner = (void *)(uintptr_t)e->to;
		break;
	case PROVIDER_UNMAP:
		region_forget(mm, e->start, e->end);
		files_unmapped(mm, e->start, e->end);
		inv.event = HMM_EVENT_UNMAP;
		break;
	case PROVIDER_MOVE:
		/* What migrates is told as that, and stays registered (devmem/stage.c). */
		if (!devmem_of(mm) || !stage_has(devmem_of(mm), e->to))
			move(mm, e);
		return;
	case PROVIDER_REMOVE:
		/* The worker frees frames (devmem/frames.c). */
		if (pool_owns(e->start))
			return;
		/* A log tells when it begins and when it ends; but pages must not move before. */
		if (mm->log && !devmem_of(mm))
			discard_unlisted(mm);
		else
			discard_add(mm, e->start, e->end);
		inv.event = HMM_EVENT_CLEAR;
		break;
	case PROVIDER_FORK:
		if (hmm_mutation(HMM_MUTATION_NO_FORK_KILL))
			return;
		inv.event = HMM_EVENT_FORK;
		break;
	}
	/*
	 * A discard's event comes before its beginning. A fork is in the log only for memory that
	 * it copies.
	 */
	if (!mm->told_by_log || e->type != PROVIDER_UNMAP)
		notifiers_invalidate(mm, &inv);
}

/* How often callbacks are run before the gate opens, so that engines come further. */
#define DELIVERIES 8

/*
 * Tells drivers what the log told. Changes of everybody's memory wake the pump; if nothing is to be
 * told it closes no gate.
 */
static void look_at_log(struct hmm_mm *mm)
{
	uint64_t began;

	hmm_hook(HMM_POINT_POLLED);
	if (!log_look(mm))
		return;
	began = clock_ns();
	gate_close(mm, 0);
	for (int i = 0; i < DELIVERIES && log_deliver(mm); i++)
		;
	hmm_hook(HMM_POINT_INVALIDATED);
	gate_open(mm);
	count(&mm->stats.pump_busy_ns, clock_ns() - began);
	count(&mm->stats.pump_cycles, 1);
}

/*
 * Has the log told of all changes whose events were read? Their records came before their events.
 * Then drivers are told of them once, before the cycle is over.
 */
static bool log_has_all(struct hmm_mm *mm)
{
	if (!mm->log)
		return false;
	log_look(mm);
	return log_is_quiet(mm->log);
}

static int read_events(struct hmm_mm *mm, struct provider_event *events)
{
	int n;

	/* Thieves may have read older ones. */
	turn_take(mm);
	steal_order(mm);
	n = mm->provider.ops->read(&mm->provider, events, BATCH);
	for (int i = 0; i < n; i++)
		devmem_event(mm, &events[i]);
	turn_end(mm);
	if (n == -ESRCH) {
		mm->gone = true;
		atomic_store(&mm->dead, 1);
	}
	if (n == -EBADF)
		mm_lost(mm);
	else if (n < 0 && n != -ESRCH && n != -EMFILE && n != -ENFILE && n != -ENOMEM)
		mm_shut_out(mm); /* the kernel has no other errors */
	return n;
}

/* Returns a read's -errno, or 0. */
static int cycle(struct hmm_mm *mm)
{
	struct provider_event events[BATCH];
	uint64_t began;
	int handled = 0;
	int n = 0;

	hmm_trace(cycle_begin, mm, atomic_load(&mm->pump_seq));
	hmm_hook(HMM_POINT_POLLED);
	if (!hmm_mutation(HMM_MUTATION_NO_ODD))
		atomic_fetch_add(&mm->pump_seq, 1);
	hmm_hook(HMM_POINT_ODD);
	/* Nobody registers between a read and its invalidation. */
	pthread_mutex_lock(&mm->region_lock);
	if (hmm_mutation(HMM_MUTATION_READ_FIRST))
		n = read_events(mm, events);
	began = clock_ns();
	gate_close(mm, 0);
	hmm_hook(HMM_POINT_QUIESCED);
	if (!hmm_mutation(HMM_MUTATION_READ_FIRST))
		n = read_events(mm, events);
	hmm_hook(HMM_POINT_READ);
	for (; n > 0; n = n == BATCH ? read_events(mm, events) : 0) {
		mm->told_by_log = log_has_all(mm);
		for (int i = 0; i < n; i++)
			handle(mm, &events[i]);
		mm->told_by_log = false;
		handled += n;
	}
	while (mm->log && log_deliver(mm))
		;
	/* This comes before anything can be found valid again. */
	if (atomic_load(&mm->fork_late))
		mm->tell_fork(mm, true);
	steal_settle(mm, handle);
	devmem_resolve(mm);
	hmm_hook(HMM_POINT_INVALIDATED);
	if (!hmm_mutation(HMM_MUTATION_NO_ODD))
		atomic_fetch_add(&mm->pump_seq, 1);
	gate_open(mm);
	pthread_mutex_unlock(&mm->region_lock);
	count(&mm->stats.pump_busy_ns, clock_ns() - began);
	count(&mm->stats.pump_cycles, 1);
	hmm_trace(cycle_end, mm, atomic_load(&mm->pump_seq), handled);
	hmm_hook(HMM_POINT_RESUMED);
	return n < 0 ? n : 0;
}

/*
 * The event of a fork comes with a descriptor. If the program's limit does not allow one any more
 * the keeper can read it, as it has a limit of its own. It does so while the pump stands still.
 */
static void leave_to_keeper(struct hmm_mm *mm)
{
	struct pollfd p = { .fd = mm->provider.fd.fd, .events = POLLIN };
	const struct timespec moment = { 0, 5000000 };
	const uint64_t deadline = clock_ns() + STARVED_NS;

	while (atomic_load(&mm->keeper) && !atomic_load(&mm->stopping) &&
	       !deadline_passed(deadline) && poll(&p, 1, 0) > 0 && p.revents & POLLIN)
		nanosleep(&moment, NULL);
}

/* The descriptors are lost: tells drivers that the space has ended, as hmm_mm_detach() does. */
static void release(struct hmm_mm *mm)
{
	struct hmm_invalidation inv = { .start = 0, .end = UINT64_MAX, .event = HMM_EVENT_RELEASE };

	pthread_mutex_lock(&mm->region_lock);
	/* What thieves have read comes before what the rescuer reads. */
	if (devmem_of(mm))
		steal_settle(mm, handle);
	region_forget(mm, 0, UINT64_MAX);
	pthread_mutex_unlock(&mm->region_lock);
	mm_invalidate(mm, &inv, 0);
	devmem_lost(mm);
}

static void take_kicks(struct hmm_mm *mm)
{
	const int ours = ownfd_look(&mm->kick[0]);
	char buf[64];

	if (!ours)
		mm_lost(mm);
	else if (ours < 0 ||
		 (read(mm->kick[0].fd, buf, sizeof(buf)) < 0 && errno != EAGAIN && errno != EINTR))
		mm_shut_out(mm);
}

/* A program that filters the system calls of all its threads may know ppoll() only. */
static int wait_for(struct hmm_mm *mm, struct pollfd *p, int ms)
{
	struct timespec ts = { ms / 1000, ms % 1000 * 1000000L };
	const nfds_t fds = mm->log ? 3 : 2;
	long n = poll(p, fds, ms);

	if (n >= 0 || errno == EINTR || errno == EAGAIN || errno == ENOMEM)
		return (int)n;
	n = raw5(SYS_ppoll, (long)p, (long)fds, ms < 0 ? 0 : (long)&ts, 0, 0);
	if (n < 0 && n != -EINTR && n != -EAGAIN && n != -ENOMEM)
		mm_shut_out(mm);
	return (int)n;
}

/*
 * Without a keeper nobody may be able to wake the pump once the program has closed our descriptors.
 */
static int undisturbed_ms(struct hmm_mm *mm)
{
	const int ms = discards_wait_ms(mm);

	return ms < 0 && !atomic_load(&mm->keeper) ? ALONE_MS : ms;
}

/*
 * Notes what poll() has answered for the userfaultfd. If it is more than a userfaultfd answers the
 * number may be another file's by now, which may be writable all the time. Then the space is lost,
 * and the pump no longer polls that file.
 */
static void look_at_answer(struct hmm_mm *mm, short revents)
{
	mm->provider.polled_ns = revents == POLLIN ? clock_ns() : 0;
	if (revents & ~(POLLIN | POLLERR) && !ownfd_is_ours(&mm->provider.fd))
		mm_lost(mm);
}

/* In how many ms the pump has something to do although nothing wakes it, -1: never. */
static int wait_ms(struct hmm_mm *mm)
{
	if (!files_closed(mm))
		return FILES_WAIT_MS;
	if (mm->log && !log_is_delivered(mm->log))
		return 0;
	if (mm->log && atomic_load(&mm->log->over))
		return OVER_WAIT_MS;
	if (devmem_waits(mm))
		return FAULTS_WAIT_MS;
	if (devmem_parked(mm))
		return DEVICE_WAIT_MS;
	/*
	 * The pump naps: more news may come. Or it is being written, or a thread is out: that is
	 * over in a moment.
	 */
	if (mm->log && (atomic_load(&mm->log->naps) || !log_is_quiet(mm->log)))
		return LOG_WAIT_MS;
	return undisturbed_ms(mm);
}

/*
 * Nothing is registered any more, but a change may be in flight whose event is still to come. A
 * fork of the C library's holds the locks of malloc until its event is read. So this ends before
 * anybody joins this thread, as joining frees memory.
 */
static void finish(struct hmm_mm *mm)
{
	struct pollfd p = { .fd = mm->provider.fd.fd, .events = POLLIN };

	/* Nothing is registered where only a log tells of changes. */
	if (!mm_registers(mm))
		return;
	/* If a filter of this thread's refuses the probe, what waits goes on at the close. */
	mm_refused_forget();
	for (int quiet = 0; quiet < 2 && !atomic_load(&mm->lost) && !mm->gone && !mm_refused();
	     quiet++) {
		if (poll(&p, 1, 0) > 0 && p.revents & POLLIN) {
			cycle(mm);
			quiet = -1;
		} else if (mm_event_waits(mm)) {
			sched_yield();
			quiet = -1;
		}
	}
}

static void *pump_main(void *arg)
{
	struct hmm_mm *mm = arg;
	struct pollfd p[3] = {
		{ .fd = mm->provider.fd.fd, .events = PROVIDER_POLL },
		{ .fd = mm->kick[0].fd, .events = POLLIN },
		{ .fd = mm->log ? mm->log->fd.fd : -1, .events = POLLIN },
	};

	mm->pump_tid = (pid_t)syscall(SYS_gettid);
	opening_never_waits(true);
	/*
	 * The loop ends only when nothing is registered any more: an munmap of registered memory
	 * waits until a thread has read its event. The munmap at the end of this very thread could
	 * be one, as its stack may lie next to mirrored memory.
	 */
	while (!atomic_load(&mm->stopping) && !mm->gone && !atomic_load(&mm->lost) &&
	       !mm_inherited(mm)) {
		const int ms = wait_ms(mm);
		int n;

		if (mm->log)
			p[2].fd = atomic_load(&mm->log->naps) ? -1 : mm->log->fd.fd;
		n = wait_for(mm, p, ms);
		if (mm->log && atomic_load(&mm->log->next))
			log_switch(mm);
		if (mm->log && n >= 0)
			look_at_log(mm);
		if (n <= 0) {
			if (!n && (devmem_waits(mm) || devmem_parked(mm)))
				cycle(mm);
			else if (!n && files_closed(mm))
				discards_look(mm);
			continue;
		}
		if ((p[0].revents | p[1].revents | p[2].revents) & POLLNVAL)
			mm_lost(mm);
		look_at_answer(mm, p[0].revents);
		if (p[1].revents & POLLIN)
			take_kicks(mm);
		if (p[0].revents & (POLLIN | POLLERR) || gate_has_thieves(mm) || devmem_waits(mm))
			n = cycle(mm);
		if (n == -EMFILE || n == -ENFILE)
			leave_to_keeper(mm);
	}
	if (atomic_load(&mm->stopping) && !mm_inherited(mm))
		finish(mm);
	if (atomic_load(&mm->lost))
		release(mm);
	return NULL;
}

/* A pipe would raise SIGPIPE in a thread of the program that kicks when its end is closed. */
static int open_kick(struct hmm_mm *mm)
{
	int fds[2];
	int err;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) &&
	    pipe2(fds, O_CLOEXEC | O_NONBLOCK))
		return -errno;
	err = ownfd_take(&mm->kick[0], fds[0]);
	if (err)
		close(fds[1]);
	else
		err = ownfd_take(&mm->kick[1], fds[1]);
	return err;
}

static void close_kick(struct hmm_mm *mm)
{
	ownfd_close(&mm->kick[0]);
	ownfd_close(&mm->kick[1]);
}

static void stop(struct hmm_mm *mm)
{
	atomic_store(&mm->stopping, 1);
	futex_wake(&mm->stopping);
	if (mm->log)
		log_call_settler(mm->log);
	pump_kick(mm);
}

/*
 * The pump, and the settler if there is a log. What was under way before somebody watched is waited
 * for here, as attaching takes the lock of the address space anyway.
 */
static int start_workers(struct hmm_mm *mm)
{
	const int priority = mm->options.pump_priority;
	int err = ownthread_start(&mm->pump, pump_main, mm, priority);

	if (err || !mm->log)
		return err;
	log_settle(mm->log);
	err = ownthread_start(&mm->settler, settler_main, mm, priority);
	if (!err)
		return 0;
	stop(mm);
	ownthread_join(&mm->pump);
	return err;
}

static void join_workers(struct hmm_mm *mm)
{
	ownthread_join(&mm->pump);
	if (mm->log)
		ownthread_join(&mm->settler);
}

int pump_start(struct hmm_mm *mm)
{
	int err = open_kick(mm);

	if (!err)
		err = start_workers(mm);
	if (err) {
		close_kick(mm);
		return err;
	}
	keeper_prepare(mm);
	err = ownthread_start(&mm->watchdog, watchdog_main, mm, mm->options.pump_priority);
	/*
	 * Waits until the watchdog has started the keeper, so that no descriptor of ours comes or
	 * goes after hmm_mm_attach() has returned. All are on the list of child.h, so a fork need
	 * not wait meanwhile.
	 */
	opening_end();
	while (!err && !atomic_load(&mm->watched))
		futex_wait(&mm->watched, 0, HMM_FOREVER);
	opening_begin();
	if (!err)
		return 0;
	keeper_forget(mm);
	stop(mm);
	join_workers(mm);
	close_kick(mm);
	return err;
}

void pump_stop(struct hmm_mm *mm)
{
	if (mm_registers(mm) && !ownfd_look(&mm->provider.fd))
		mm_lost(mm);
	stop(mm);
	join_workers(mm);
	ownthread_join(&mm->watchdog);
	keeper_forget(mm);
	close_kick(mm);
}
