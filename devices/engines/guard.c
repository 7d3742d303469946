// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * The handlers are installed with SA_ONSTACK, so that a program's handler of stack overflows still
 * has its stack when ours calls it. They leave by longjmp after the signal mask is as it was before
 * the signal.
 *
 * When our handler is installed the program's handler is pushed on the signal's chain. Each place
 * of the chain has an entry function of its own: entry k calls the handler at place k - 1. So the
 * program may put back a handler that it saved, and the handlers that came in front of that one are
 * forgotten:
 *
 *	program				device			in front	chain
 *					guard_install()		entry 1		A
 *	saves entry 1, installs B				B		A
 *					guard_look()		entry 2		A B
 *	puts entry 1 back					entry 1		A
 *
 * Chains can become circles: the program installs B again, saves entry 2 this time, and B calls it.
 * If a handler of ours is entered again on the same thread it calls the next handler down the
 * chain, and at the end takes the default action.
 */
#include "engines/guard.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>
#include <ucontext.h>
#include <unistd.h>
#include <hmm/device.h>

#define CHAIN_MAX 15

/*
 * How many accesses, or KiB, an engine makes between two looks: two system calls in 100 us at
 * least.
 */
#define PATIENCE 4096

_Thread_local struct guard *volatile guard_current __attribute__((tls_model("initial-exec")));
_Thread_local int guard_patience __attribute__((tls_model("initial-exec")));
/*
 * Handlers of ours that are active on this thread: their frames, and the signal and place of the
 * chain that each handles.
 */
static _Thread_local int depth __attribute__((tls_model("initial-exec")));
static _Thread_local uintptr_t frames[CHAIN_MAX + 1] __attribute__((tls_model("initial-exec")));
static _Thread_local void *contexts[CHAIN_MAX + 1] __attribute__((tls_model("initial-exec")));
static _Thread_local int places[CHAIN_MAX + 1] __attribute__((tls_model("initial-exec")));
/*
 * This thread calls sigaction() for us, so a wrapper must not call us back. volatile, as libc
 * declares that sigaction() never calls back into this file.
 */
static _Thread_local volatile bool own_call __attribute__((tls_model("initial-exec")));

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
 * The process of the thread that changes a chain; 0: none does. A forked child may inherit its
 * parent's number, which nobody will clear. It is held with all signals blocked, as a program may
 * call sigaction() in a handler.
 */
static _Atomic pid_t changing;
/*
 * The process to which the chains belong. A forked child is another one, and so is a child of
 * vfork(), which shares them.
 */
static _Atomic pid_t owner;

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
	int rc;

	own_call = true;
	rc = sigaction(sig, sa, was) ? -errno : 0;
	own_call = nested;
	return rc;
}

/*
 * In libhmm-preload.so, which cannot find our symbols if dlopen() has loaded the library for one
 * object.
 */
void hmm_preload_handlers(__typeof__(hmm_device_sigaction) *fn) __attribute__((weak));

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

/* The fault is not a device's: calls the next handler of the chain. */
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

static void on_fault(int entry, int sig, siginfo_t *info, void *context)
{
	struct guard *g = guard_current;
	uintptr_t addr = (uintptr_t)info->si_addr;

	/* si_code > 0: the signal comes from the kernel, so si_addr is an address. */
	if (g && info->si_code > 0 && addr >= g->start && addr < g->end) {
		g->hit = addr;
		guard_current = NULL;
		/*
		 * The handler that called us, the program's or a sanitizer's, may have blocked
		 * signals.
		 */
		pthread_sigmask(SIG_SETMASK, &((ucontext_t *)context)->uc_sigmask, NULL);
		_longjmp(g->landing, 1);
	}
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
	int rc = sigaction_own(sig, NULL, &was);

	if (rc || entry_of(&was))
		return rc;
	/*
	 * A handler that is installed again and again gets no new place. If no place is left a
	 * handler gets the last one.
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

int guard_install(void)
{
	sigset_t old;
	int rc;

	if (hmm_preload_handlers)
		hmm_preload_handlers(hmm_device_sigaction);
	change_begin(&old);
	rc = install(SIGSEGV);
	if (!rc)
		rc = install(SIGBUS);
	atomic_store(&owner, getpid());
	change_end(&old);
	return rc;
}

void guard_look(void)
{
	struct sigaction segv;
	struct sigaction bus;

	guard_patience = PATIENCE;
	if (sigaction_own(SIGSEGV, NULL, &segv) || sigaction_own(SIGBUS, NULL, &bus))
		return;
	if (!entry_of(&segv) || !entry_of(&bus))
		guard_install();
}

int hmm_device_sigaction(int sig, const struct sigaction *act, struct sigaction *old)
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
