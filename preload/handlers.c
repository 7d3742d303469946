// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * Handlers that the program installs after the library's: they get all faults but those of guarded
 * accesses, for which the library stays in front. All else is libc's. sigaction() is legal in a
 * signal handler and in a forked child: nothing here allocates or looks for a symbol, and
 * hmm_guard_sigaction() takes no lock that a child could find held.
 */
#include <hmm/guard.h>

#include <dlfcn.h>
#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>

typedef __typeof__(hmm_guard_sigaction) guard_sigaction;

extern guard_sigaction hmm_guard_sigaction __attribute__((weak));

/*
 * The function of a library that was loaded by dlopen() and whose symbols cannot be found. Such a
 * library calls hmm_preload_handlers(), and is not unloaded.
 */
static guard_sigaction *_Atomic joined;

void hmm_preload_handlers(guard_sigaction *fn);
void hmm_preload_handlers(guard_sigaction *fn)
{
	atomic_store(&joined, fn);
}

static struct {
	__typeof__(sigaction) *sigaction;
	__typeof__(signal) *signal;
	__typeof__(ssignal) *ssignal;
	__typeof__(signal) *bsd_signal;
	__typeof__(sysv_signal) *sysv_signal;
	__typeof__(sysv_signal) *__sysv_signal;
} next;

#define FIND(name) (next.name = (__typeof__(next.name))dlsym(RTLD_NEXT, #name))

static void __attribute__((constructor)) find_next(void)
{
	FIND(sigaction);
	FIND(signal);
	FIND(ssignal);
	FIND(bsd_signal);
	if (!next.bsd_signal) /* not every libc has it */
		next.bsd_signal = next.signal;
	FIND(sysv_signal);
	FIND(__sysv_signal);
}

static bool by_guard(int sig, const struct sigaction *act, struct sigaction *old)
{
	guard_sigaction *fn = atomic_load(&joined);
	int saved = errno;
	bool done;

	if (!fn)
		fn = hmm_guard_sigaction;
	if ((sig != SIGSEGV && sig != SIGBUS) || !fn)
		return false;
	done = !fn(sig, act, old);
	errno = saved;
	return done;
}

int sigaction(int sig, const struct sigaction *act, struct sigaction *old)
{
	if (by_guard(sig, act, old))
		return 0;
	/* Another object's constructor may call this before ours has run. */
	if (!next.sigaction)
		find_next();
	return next.sigaction(sig, act, old);
}

/*
 * libc's signal() and similar functions call libc's sigaction() and not ours, so they are wrapped,
 * too. False: the caller calls the next definition.
 */
static bool set(int sig, sighandler_t handler, int flags, sighandler_t *was)
{
	struct sigaction act;
	struct sigaction old;

	memset(&act, 0, sizeof(act));
	act.sa_handler = handler;
	act.sa_flags = flags;
	sigemptyset(&act.sa_mask);
	if (!(flags & SA_NODEFER))
		sigaddset(&act.sa_mask, sig);
	if (handler == SIG_ERR || !by_guard(sig, &act, &old)) {
		if (!next.signal)
			find_next();
		return false;
	}
	*was = old.sa_handler;
	return true;
}

#define BSD SA_RESTART
#define SYSV ((int)SA_RESETHAND | SA_NODEFER)

#define WRAP(name, flags)                                                                          \
	sighandler_t name(int sig, sighandler_t handler)                                           \
	{                                                                                          \
		sighandler_t was;                                                                  \
                                                                                                   \
		return set(sig, handler, flags, &was) ? was : next.name(sig, handler);             \
	}
sighandler_t bsd_signal(int sig, sighandler_t handler);
WRAP(signal, BSD)
WRAP(ssignal, BSD)
WRAP(bsd_signal, BSD)
WRAP(sysv_signal, SYSV)
/* <signal.h> turns signal() into this one for strict standards. */
WRAP(__sysv_signal, SYSV)
