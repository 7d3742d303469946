// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * The handlers of SIGSEGV and SIGBUS, and what the program had before them.
 *
 * They are installed with SA_ONSTACK, so that a program's own handler of stack overflows still
 * finds its stack when it is called through ours.
 *
 * When our handler is installed the program's handler is pushed on the signal's chain. Each place
 * of the chain has an entry function of its own: entry k calls the handler at place k - 1. So the
 * program may put back a handler that it saved, and the handlers that came in front of that one are
 * forgotten:
 *
 *	program				engine			in front	chain
 *					hmm_guard_look()	entry 1		A
 *	saves entry 1, installs B				B		A
 *					hmm_guard_look()	entry 2		A B
 *	puts entry 1 back					entry 1		A
 *
 * Chains can become circles: the program installs B again, saves entry 2 this time, and B calls it.
 * If a handler of ours is entered again on the same thread it calls the next handler down the
 * chain, and at the end takes the default action.
 */
#include "guard/guard.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#define CHAIN_MAX 15

_Thread_local int guard_patience INITIAL_EXEC;
_Thread_local uint64_t guard_epoch INITIAL_EXEC;
/*
 * Handlers of ours that are active on this thread: their frames, and the signal and place of the
 * chain that each handles.
 */
static _Thread_local int depth INITIAL_EXEC;
static _Thread_local uintptr_t frames[CHAIN_MAX + 1] INITIAL_EXEC;
static _Thread_local void *contexts[CHAIN_MAX + 1] INITIAL_EXEC;
static _Thread_local int places[CHAIN_MAX + 1] INITIAL_EXEC;
/*
 * This thread calls sigaction() for us, so a wrapper must not call us back. volatile, as libc
 * declares that sigaction() never calls back into this file.
 */
static _Thread_local volatile bool own_call INITIAL_EXEC;

/*
 * Handlers on any thread may read a place while it is written. They read again if the version has
 * changed.
 */
struct place {
	_Atomic unsigned int version;
	struct sigaction copy[2]; /* the copy at version % 2 is current */
};

struct chain {
	_Atomic int n;
	struct place place[CHAIN_MAX];
};

static struct chain chains[2];

/*
 * The process that changes a chain, 0 for none. A forked child may find its parent there, which is
 * not coming back. Held with all signals blocked: sigaction() is legal in a handler.
 */
static _Atomic pid_t changing;
/*
 * The process whose chains these are: neither a child of vfork(), which shares them, nor a forked
 * child before its first access.
 */
static _Atomic pid_t owner;
static _Atomic uint64_t owner_epoch;

static struct chain *chain_of(int sig)
{
	return &chains[sig == SIGBUS];
}

static void change_begin(sigset_t *old)
{
	const pid_t self = getpid();
	sigset_t all;
	pid_t was = 0;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, old);
	while (!atomic_compare_exchange_weak(&changing, &was, self)) {
		if (was == self) {
			sched_yield();
			was = 0;
		}
	}
}

static void change_end(const sigset_t *old)
{
	atomic_store(&changing, 0);
	pthread_sigmask(SIG_SETMASK, old, NULL);
}

static struct sigaction place_get(struct place *p)
{
	struct sigaction sa;
	unsigned int version;

	do {
		version = atomic_load(&p->version);
		sa = p->copy[version % 2];
		atomic_thread_fence(memory_order_acquire);
	} while (atomic_load(&p->version) != version);
	return sa;
}

/* Called by the thread that changes the chain. */
static void place_set(struct place *p, const struct sigaction *sa)
{
	unsigned int version = atomic_load(&p->version) + 1;

	p->copy[version % 2] = *sa;
	atomic_store(&p->version, version);
}

static int sigaction_own(int sig, const struct sigaction *sa, struct sigaction *was)
{
	const bool nested = own_call;
	int err;

	own_call = true;
	err = sigaction(sig, sa, was) ? -errno : 0;
	own_call = nested;
	return err;
}

/*
 * In libhmm-preload.so, which cannot find our symbols if dlopen() has loaded the library for one
 * object.
 */
void hmm_preload_handlers(__typeof__(hmm_guard_sigaction) *fn) __attribute__((weak));

static const struct sigaction default_action = { .sa_handler = SIG_DFL };

static bool is_default(const struct sigaction *sa)
{
	return !(sa->sa_flags & SA_SIGINFO) && sa->sa_handler == SIG_DFL;
}

static bool is_ignore(const struct sigaction *sa)
{
	return !(sa->sa_flags & SA_SIGINFO) && sa->sa_handler == SIG_IGN;
}

/*
 * The default action kills: returns to the faulting instruction, which faults again. A signal from
 * another process or raise() has no such instruction.
 */
static void take_default(int sig, const siginfo_t *info)
{
	sigaction_own(sig, &default_action, NULL);
	if (info->si_code <= 0)
		raise(sig);
}

static void reset(struct place *p)
{
	sigset_t old;

	change_begin(&old);
	place_set(p, &default_action);
	change_end(&old);
}

static void call(const struct sigaction *sa, int sig, siginfo_t *info, void *context)
{
	sigset_t mask = sa->sa_mask;
	sigset_t old;

	if (!(sa->sa_flags & SA_NODEFER))
		sigaddset(&mask, sig);
	pthread_sigmask(SIG_BLOCK, &mask, &old);
	if (sa->sa_flags & SA_SIGINFO)
		sa->sa_sigaction(sig, info, context);
	else
		sa->sa_handler(sig);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
}

/* It is no fault of a guarded access. */
static void pass_on(int entry, int sig, siginfo_t *info, void *context)
{
	struct chain *chain = chain_of(sig);
	uintptr_t frame = (uintptr_t)__builtin_frame_address(0);
	int saved_errno = errno;
	struct sigaction sa;
	int at = entry;

	/*
	 * Were we called by the handler that we called? Then the signal is the same and our frame
	 * lies below. Otherwise that handler has left by siglongjmp(), or this is a fault of the
	 * handler itself.
	 */
	while (depth > 0 && (contexts[depth - 1] != context || frames[depth - 1] <= frame))
		depth--;
	if (depth > 0 && places[depth - 1] < at)
		at = places[depth - 1];
	sa = at > 0 ? place_get(&chain->place[at - 1]) : default_action;
	if (is_ignore(&sa) && info->si_code <= 0)
		return;
	if (is_default(&sa) || is_ignore(&sa)) {
		take_default(sig, info);
		return;
	}
	if (sa.sa_flags & (int)SA_RESETHAND)
		reset(&chain->place[at - 1]);
	frames[depth] = frame;
	contexts[depth] = context;
	places[depth++] = at - 1;
	call(&sa, sig, info, context);
	depth--;
	errno = saved_errno;
}

/*
 * From the kernel, about what this thread just did: else neither the address nor the place of the
 * context means anything.
 */
static bool is_access(int sig, const siginfo_t *info)
{
	return info->si_code > 0 && !(sig == SIGBUS && info->si_code == BUS_MCEERR_AO);
}

static void on_fault(int entry, int sig, siginfo_t *info, void *context)
{
	if (is_access(sig, info) &&
	    (guard_fix(context) || guard_land((uintptr_t)info->si_addr, context)))
		return;
	pass_on(entry, sig, info, context);
}

#define ENTRY(k)                                                                                   \
	static void entry_##k(int sig, siginfo_t *info, void *context)                             \
	{                                                                                          \
		on_fault(k, sig, info, context);                                                   \
	}
ENTRY(1)
ENTRY(2)
ENTRY(3)
ENTRY(4)
ENTRY(5)
ENTRY(6)
ENTRY(7)
ENTRY(8)
ENTRY(9)
ENTRY(10)
ENTRY(11)
ENTRY(12)
ENTRY(13)
ENTRY(14)
ENTRY(15)

static void (*const entries[CHAIN_MAX])(int sig, siginfo_t *info, void *context) = {
	entry_1, entry_2,  entry_3,  entry_4,  entry_5,  entry_6,  entry_7,  entry_8,
	entry_9, entry_10, entry_11, entry_12, entry_13, entry_14, entry_15,
};

/* Which of our entries a handler is, from 1; 0: none. */
static int entry_of(const struct sigaction *sa)
{
	for (int i = 0; sa->sa_flags & SA_SIGINFO && i < CHAIN_MAX; i++)
		if (sa->sa_sigaction == entries[i])
			return i + 1;
	return 0;
}

static bool same_handler(const struct sigaction *a, const struct sigaction *b)
{
	return a->sa_flags == b->sa_flags && a->sa_handler == b->sa_handler;
}

/* Called while this thread changes the chain. */
static int install(int sig)
{
	struct chain *chain = chain_of(sig);
	int n = atomic_load(&chain->n);
	struct sigaction ours = { .sa_flags = SA_SIGINFO | SA_NODEFER | SA_ONSTACK };
	struct sigaction was;
	struct sigaction top;
	int err = sigaction_own(sig, NULL, &was);

	if (err || entry_of(&was))
		return err;
	/*
	 * A handler that is put in front again and again gets no new place, and when none is left,
	 * the last one.
	 */
	if (n > 0) {
		top = place_get(&chain->place[n - 1]);
		n -= n == CHAIN_MAX || same_handler(&top, &was);
	}
	place_set(&chain->place[n], &was);
	atomic_store(&chain->n, n + 1);
	ours.sa_sigaction = entries[n];
	sigemptyset(&ours.sa_mask);
	return sigaction_own(sig, &ours, NULL);
}

static int install_both(void)
{
	sigset_t old;
	int err;

	if (hmm_preload_handlers)
		hmm_preload_handlers(hmm_guard_sigaction);
	change_begin(&old);
	err = install(SIGSEGV);
	if (!err)
		err = install(SIGBUS);
	if (!err) {
		atomic_store(&owner, getpid());
		atomic_store(&owner_epoch, epoch_now());
	}
	change_end(&old);
	return err;
}

int hmm_guard_look(void)
{
	const uint64_t epoch = epoch_now();
	struct sigaction segv;
	struct sigaction bus;
	int err = sigaction_own(SIGSEGV, NULL, &segv);

	if (!err)
		err = sigaction_own(SIGBUS, NULL, &bus);
	if (!err && (!entry_of(&segv) || !entry_of(&bus) || atomic_load(&owner_epoch) != epoch))
		err = install_both();
	/* While they are not there each access says so. */
	guard_patience = err ? 0 : GUARD_PATIENCE;
	guard_epoch = epoch;
	return err;
}

int hmm_guard_sigaction(int sig, const struct sigaction *act, struct sigaction *old)
{
	struct sigaction front;
	struct sigaction program;
	struct sigaction want;
	struct place *place;
	sigset_t mask;
	int entry = 0;

	if ((sig != SIGSEGV && sig != SIGBUS) || own_call || atomic_load(&owner) != getpid() ||
	    (act && entry_of(act)))
		return -ENOENT;
	/* a bad pointer faults here, before signals are blocked */
	want = act ? *act : default_action;
	change_begin(&mask);
	if (!sigaction_own(sig, NULL, &front))
		entry = entry_of(&front);
	if (entry) {
		place = &chain_of(sig)->place[entry - 1];
		program = place_get(place);
		if (act)
			place_set(place, &want);
	}
	change_end(&mask);
	if (!entry)
		return -ENOENT;
	if (old)
		*old = program;
	return 0;
}
