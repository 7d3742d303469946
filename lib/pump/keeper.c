// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * The keeper: a thief (steal.h) that no debugger of the program stops, as it is not one of the
 * program's threads. It is a process that shares the address space, was made so that a tracer does
 * not follow it, raises no signal at its end and is not found by wait(2). It is a child of the
 * watchdog's thread and ends with that: at the program's end and at its exec.
 *
 * From its first moment it has a table of descriptors of its own, with the userfaultfd, what keeps
 * the kernel's programs attached, an end of the pipe that wakes the pump and an end of the lifeline
 * in it: it keeps none of the program's descriptors open. It keeps the credentials that the program
 * had when the keeper started, so a seccomp filter allows it only to read, write and sleep.
 *
 * It runs on the watchdog's thread-local storage, which the watchdog goes on using. So its code
 * uses no errno, no lock and no sanitizer.
 */
#include "pump/keeper.h"
#include "pump/kick.h"
#include "pump/steal.h"
#include "space/space.h"
#include "space/turn.h"
#include "provider/log.h"
#include "provider/provider.h"
#include "base/futex.h"
#include "base/number.h"
#include "base/opening.h"
#include "base/ownfd.h"
#include "base/pool.h"
#include "base/raw.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

#ifndef CLOSE_RANGE_UNSHARE
#define CLOSE_RANGE_UNSHARE (1U << 1)
#endif
#ifndef SYS_close_range
#define SYS_close_range 436
#endif

#define STACK_SIZE (64UL << 10)
#define TICK_MS 50
/* The watchdog reads first if it can, as it sees which engines sleep and can stop devices. */
#define TICKS_FIRST 2
/*
 * As for the watchdog: after this time an engine that is still in its section is run over, and the
 * keeper reads although a device is not stopped.
 */
#define PATIENCE_NS 1000000000ULL

struct keeper {
	struct hmm_mm *mm;
	int pid;
	/* the keeper's end of the lifeline, by its number in the keeper's table */
	int fd;
	struct ownfd lifeline; /* the program's end: when it is closed the keeper ends */
	/* the keeper's end in the program's table, until the keeper has a table */
	struct ownfd end;
	_Atomic uint32_t state; /* futex: 0 it starts, 1 it runs, 2 it could not */
	char *stack;
};

static uint64_t now_ns(void)
{
	struct timespec ts = { 0, 0 };

	raw3(SYS_clock_gettime, CLOCK_MONOTONIC, (long)&ts, 0);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

/* True: the program has closed its end of the lifeline. */
static bool sleep_ms(const struct keeper *k, int ms)
{
	struct pollfd p = { .fd = k->fd, .events = POLLIN };
	struct timespec ts = { 0, ms * 1000000L };

	return raw5(SYS_ppoll, (long)&p, 1, (long)&ts, 0, 0) > 0;
}

#define KEPT_MAX 4

/* Sorts the descriptors, and makes a table of descriptors with only these in it. */
static bool keep_only(int fds[], int n)
{
	for (int i = 0; i < n - 1; i++) {
		for (int j = 0; j < n - 1; j++) {
			const int fd = fds[j];

			if (fd > fds[j + 1]) {
				fds[j] = fds[j + 1];
				fds[j + 1] = fd;
			}
		}
	}
	if (raw3(SYS_close_range, 0, fds[0] - 1, CLOSE_RANGE_UNSHARE))
		return false;
	for (int i = 0; i < n; i++) {
		const long from = fds[i] + 1L;
		const long to = i < n - 1 ? fds[i + 1] - 1L : 0xffffffffL;

		if (from <= to)
			raw3(SYS_close_range, from, to, 0);
	}
	return true;
}

/*
 * What the keeper keeps. With `links` the kernel's programs stay attached although the program
 * closes what it does not know, until the pump has seen that.
 */
static int choose(const struct keeper *k, int fds[KEPT_MAX])
{
	const struct hmm_mm *mm = k->mm;
	int n = 0;

	if (mm->provider.fd.fd >= 0)
		fds[n++] = mm->provider.fd.fd;
	if (mm->log && mm->log->links.fd >= 0)
		fds[n++] = mm->log->links.fd;
	fds[n++] = mm->kick[1].fd;
	fds[n++] = k->fd;
	return n;
}

#define ALLOW(name)                                                                                \
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_##name, 0, 1),                                     \
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)

/*
 * Forbids all other system calls, so that code that overwrites the keeper's memory gains nothing by
 * its credentials. On a kernel without seccomp it runs without a filter.
 */
static void lock_in(void)
{
	static const struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		ALLOW(ppoll),
		ALLOW(read),
		ALLOW(write),
		ALLOW(close),
		ALLOW(clock_gettime),
		ALLOW(futex),
		ALLOW(exit),
		ALLOW(restart_syscall),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
	};
	const struct sock_fprog prog = { sizeof(filter) / sizeof(filter[0]),
					 (struct sock_filter *)filter };

	if (!raw5(SYS_prctl, PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		raw5(SYS_prctl, PR_SET_SECCOMP, SECCOMP_MODE_FILTER, (long)&prog, 0, 0);
}

static void report(struct keeper *k, uint32_t state)
{
	atomic_store(&k->state, state);
	raw5(SYS_futex, (long)&k->state, FUTEX_WAKE_PRIVATE, 1, 0, 0);
}

static void kick(const struct hmm_mm *mm)
{
	raw3(SYS_write, mm->kick[1].fd, (long)"", 1);
}

static void run_over(struct hmm_mm *mm)
{
	const uint32_t top = atomic_load(&mm->gate.engines_top);

	for (uint32_t i = 0; i < top; i++) {
		uint32_t in = ENGINE_IN;

		if (atomic_compare_exchange_strong(&mm->gate.engines[i].state, &in, ENGINE_OVERRUN))
			count(&mm->stats.overruns, 1);
	}
}

static bool devices_stopped(const struct hmm_mm *mm)
{
	return !mm->gate.quiescers || atomic_load(&mm->gate.quiesced);
}

static void take_over(struct keeper *k, struct thief *t)
{
	struct hmm_mm *mm = k->mm;
	const uint64_t began = now_ns();

	steal_close(mm);
	while (!steal_may_read(mm) || !devices_stopped(mm)) {
		if (atomic_load(&mm->pump_seq) != t->last_seq)
			break;
		if (now_ns() - began > PATIENCE_NS) {
			run_over(mm);
			break;
		}
		sleep_ms(k, 1);
	}
	if (atomic_load(&mm->pump_seq) == t->last_seq)
		steal_read(mm, t, NULL);
	kick(mm);
}

static int keeper_main(void *arg)
{
	struct keeper *k = arg;
	struct hmm_mm *mm = k->mm;
	struct thief *t = &mm->thieves[THIEF_KEEPER];
	int fds[KEPT_MAX];
	const int n = choose(k, fds);
	int due = 0;

	raw5(SYS_prctl, PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
	raw5(SYS_prctl, PR_SET_NAME, (long)"hmm-keeper", 0, 0, 0);
	if (raw3(SYS_getppid, 0, 0, 0) != mm->pid || !keep_only(fds, n)) {
		report(k, 2);
		return 0;
	}
	steal_begin(t, (pid_t)raw3(SYS_getpid, 0, 0, 0));
	/* Its working directory must not keep a filesystem from being unmounted. */
	raw3(SYS_chdir, (long)"/", 0, 0);
	lock_in();
	report(k, 1);
	for (;;) {
		const bool ended = sleep_ms(k, due ? 2 : TICK_MS);

		steal_close_fetched(t);
		if (atomic_load(&mm->lost))
			kick(mm); /* only the keeper may still have the pipe that wakes the pump */
		if (ended || atomic_load(&mm->stopping) || atomic_load(&mm->lost))
			return 0;
		if (!steal_due(mm, t))
			due = 0;
		else if (++due >= TICKS_FIRST)
			take_over(k, t);
	}
}

static void keeper_free(struct keeper *k)
{
	ownfd_close(&k->lifeline);
	ownfd_close(&k->end);
	if (k->stack)
		pool_unmap(k->stack, STACK_SIZE);
	pool_unmap(k, sizeof(*k));
}

static void reap(struct keeper *k)
{
	siginfo_t info;

	while (raw5(SYS_waitid, P_PID, k->pid, (long)&info, WEXITED | __WALL, 0) == -EINTR)
		;
}

/* Has the keeper's process ended? */
static bool has_ended(const struct keeper *k)
{
	siginfo_t info = { 0 };
	long ret = raw5(SYS_waitid, P_PID, k->pid, (long)&info, WEXITED | WNOHANG | __WALL, 0);

	return ret || info.si_pid;
}

static bool start(struct keeper *k)
{
	k->pid = (int)raw_clone(CLONE_VM | CLONE_FILES | CLONE_UNTRACED, k->stack + STACK_SIZE,
				keeper_main, k);
	if (k->pid < 0)
		return false;
	while (!atomic_load(&k->state)) {
		futex_wait(&k->state, 0, 10000000);
		if (!atomic_load(&k->state) && has_ended(k))
			return false;
	}
	if (atomic_load(&k->state) == 1)
		return true;
	reap(k);
	return false;
}

void keeper_prepare(struct hmm_mm *mm)
{
	struct keeper *k = pool_map(sizeof(*k));
	int pair[2];

	if (!k)
		return;
	k->mm = mm;
	k->lifeline = k->end = OWNFD_NONE;
	k->stack = pool_map(STACK_SIZE);
	opening_begin();
	if (k->stack && !socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) &&
	    !(ownfd_take(&k->lifeline, pair[0]) | ownfd_take(&k->end, pair[1]))) {
		k->fd = k->end.fd;
		mm->prepared = k;
	}
	opening_end();
	if (!mm->prepared)
		keeper_free(k);
}

static struct keeper *take_prepared(struct hmm_mm *mm)
{
	struct keeper *k = mm->prepared;

	mm->prepared = NULL;
	return k;
}

void keeper_forget(struct hmm_mm *mm)
{
	struct keeper *k = take_prepared(mm);

	if (!k)
		return;
	keeper_free(k);
}

void keeper_start(struct hmm_mm *mm)
{
	struct keeper *k = take_prepared(mm);
	bool runs;

	if (!k)
		return;
	runs = start(k);
	ownfd_close(&k->end);
	if (runs && mm->log)
		atomic_store(&mm->log->alone, false);
	if (runs)
		atomic_store(&mm->keeper, k);
	else
		keeper_free(k);
}

/* It may have been killed while it was reading. */
static void end_its_read(struct hmm_mm *mm)
{
	struct thief *t = &mm->thieves[THIEF_KEEPER];

	if (!atomic_load(&t->busy))
		return;
	turn_keeper_ended(mm);
	atomic_store(&t->overflow, 1);
	atomic_store(&t->busy, 0);
	pump_kick(mm);
}

void keeper_look(struct hmm_mm *mm)
{
	struct keeper *k = mm->keeper;

	if (!k || !has_ended(k))
		return;
	atomic_store(&mm->keeper, NULL);
	keeper_free(k);
	if (mm->log)
		atomic_store(&mm->log->alone, mm->log->mapped);
	end_its_read(mm);
}

void keeper_stop(struct hmm_mm *mm)
{
	struct keeper *k = mm->keeper;

	if (!k)
		return;
	mm->keeper = NULL;
	ownfd_close(&k->lifeline);
	reap(k);
	end_its_read(mm);
	keeper_free(k);
}

void keeper_renew(struct hmm_mm *mm)
{
	if (!atomic_load(&mm->keeper))
		return;
	keeper_stop(mm);
	keeper_prepare(mm);
	keeper_start(mm);
}
