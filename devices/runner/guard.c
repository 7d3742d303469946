/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * The handlers are installed with SA_ONSTACK, so that a program's own stack-overflow handler still finds its
 * stack when it is called through ours; they leave by longjmp after the mask is as it was before the signal.
 *
 * Chains can become circles: ours saves the program's handler, the program later installs another that
 * saves ours and calls it, we are put in front again. Each time we are put in front, what was there is
 * pushed on a list; a handler of ours that is entered again on the same thread goes one further down
 * the list, and at its end the default action is taken.
 */
#include "runner/guard.h"
#include "base/epoch.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>
#include <ucontext.h>

#define CHAIN_MAX 15

_Thread_local struct guard *volatile guard_current __attribute__((tls_model("initial-exec")));
/* Handlers of ours that are active on this thread, their frames and the signal that each handles. */
static _Thread_local int depth __attribute__((tls_model("initial-exec")));
static _Thread_local uintptr_t frames[CHAIN_MAX + 1] __attribute__((tls_model("initial-exec")));
static _Thread_local void *contexts[CHAIN_MAX + 1] __attribute__((tls_model("initial-exec")));

struct chain {
	_Atomic int n;
	struct sigaction saved[CHAIN_MAX]; /* below n: constant */
};

static struct chain chains[2];
static struct epoch_lock install_lock;

static struct chain *chain_of(int sig)
{
	return &chains[sig == SIGBUS];
}

/* The default action of both signals kills: let the faulting instruction meet it. */
static void take_default(int sig)
{
	struct sigaction dfl;

	memset(&dfl, 0, sizeof(dfl));
	dfl.sa_handler = SIG_DFL;
	sigaction(sig, &dfl, NULL);
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

static void on_fault(int sig, siginfo_t *info, void *context)
{
	struct guard *g = guard_current;
	uintptr_t addr = (uintptr_t)info->si_addr;
	struct chain *chain = chain_of(sig);
	uintptr_t frame = (uintptr_t)__builtin_frame_address(0);
	int saved_errno = errno;
	int at;

	/* si_code > 0: from the kernel, so si_addr means something. */
	if (g && info->si_code > 0 && addr >= g->start && addr < g->end) {
		g->hit = addr;
		guard_current = NULL;
		/* Whoever called us, the program's handler or a sanitizer's, may have blocked signals. */
		pthread_sigmask(SIG_SETMASK, &((ucontext_t *)context)->uc_sigmask, NULL);
		_longjmp(g->landing, 1);
	}
	/*
	 * Were we called by the handler that we called? Then the signal is the same and our frame is below.
	 * Else that handler has left by siglongjmp(), or this is a fault of its own.
	 */
	while (depth > 0 && (contexts[depth - 1] != context || frames[depth - 1] <= frame))
		depth--;
	at = atomic_load(&chain->n) - 1 - depth;
	if (at < 0 ||
	    (!(chain->saved[at].sa_flags & SA_SIGINFO) &&
	     (chain->saved[at].sa_handler == SIG_DFL || chain->saved[at].sa_handler == SIG_IGN))) {
		take_default(sig);
		return;
	}
	frames[depth] = frame;
	contexts[depth++] = context;
	call(&chain->saved[at], sig, info, context);
	depth--;
	errno = saved_errno;
}

static int install(int sig)
{
	struct chain *chain = chain_of(sig);
	struct sigaction ours;
	struct sigaction was;
	int n = atomic_load(&chain->n);

	if (sigaction(sig, NULL, &was))
		return -errno;
	if (was.sa_flags & SA_SIGINFO && was.sa_sigaction == on_fault)
		return 0;
	/* A program that puts itself in front again and again gets no new place: the last one is its own. */
	if (n < CHAIN_MAX) {
		chain->saved[n] = was;
		atomic_store(&chain->n, n + 1);
	} else {
		chain->saved[n - 1] = was;
	}
	memset(&ours, 0, sizeof(ours));
	ours.sa_sigaction = on_fault;
	ours.sa_flags = SA_SIGINFO | SA_NODEFER | SA_ONSTACK;
	sigemptyset(&ours.sa_mask);
	return sigaction(sig, &ours, NULL) ? -errno : 0;
}

int guard_install(void)
{
	int rc;

	epoch_lock(&install_lock);
	rc = install(SIGSEGV);
	if (!rc)
		rc = install(SIGBUS);
	epoch_unlock(&install_lock);
	return rc;
}
