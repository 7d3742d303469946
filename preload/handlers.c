/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * Handlers that the program installs while a device runs: they get all faults but the device's, which stays in
 * front. All else is libc's. No lock is taken here, nor by hmm_device_sigaction() in a child.
 */
#include "preload.h"

#include <hmm/device.h>

#include <dlfcn.h>
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>

extern int hmm_device_sigaction(int, const struct sigaction *, struct sigaction *)
	__attribute__((weak));

typedef sighandler_t signal_fn(int, sighandler_t);

/* Found once: who sets a handler may be a handler itself, where symbols must not be looked for. */
static struct {
	__typeof__(sigaction) *sigaction;
	signal_fn *signal;
	signal_fn *ssignal;
	signal_fn *bsd_signal;
	signal_fn *sysv_signal;
	signal_fn *strict;
} next;

static void __attribute__((constructor)) find_next(void)
{
	next.sigaction = (__typeof__(next.sigaction))dlsym(RTLD_NEXT, "sigaction");
	next.signal = (signal_fn *)dlsym(RTLD_NEXT, "signal");
	next.ssignal = (signal_fn *)dlsym(RTLD_NEXT, "ssignal");
	next.bsd_signal = (signal_fn *)dlsym(RTLD_NEXT, "bsd_signal");
	next.sysv_signal = (signal_fn *)dlsym(RTLD_NEXT, "sysv_signal");
	next.strict = (signal_fn *)dlsym(RTLD_NEXT, "__sysv_signal");
}

/* libhmm may be loaded later by dlopen(); looked up once a call, for two signals only, and if it has attached. */
static bool by_device(int sig, const struct sigaction *act, struct sigaction *old)
{
	__typeof__(hmm_device_sigaction) *fn = hmm_device_sigaction;
	int saved = errno;
	bool done;

	if (sig != SIGSEGV && sig != SIGBUS)
		return false;
	if (!fn && preload_has_library())
		fn = (__typeof__(fn))dlsym(RTLD_DEFAULT, "hmm_device_sigaction");
	done = fn && !fn(sig, act, old);
	errno = saved;
	return done;
}

/* Another object's constructor may come before ours. */
int sigaction(int sig, const struct sigaction *act, struct sigaction *old)
{
	if (by_device(sig, act, old))
		return 0;
	if (!next.sigaction)
		find_next();
	return next.sigaction(sig, act, old);
}

/* libc's own signal() and its kin call its own sigaction(). */
static sighandler_t set(signal_fn *const *fn, int sig, sighandler_t handler, int flags)
{
	struct sigaction act;
	struct sigaction old;

	memset(&act, 0, sizeof(act));
	act.sa_handler = handler;
	act.sa_flags = flags;
	sigemptyset(&act.sa_mask);
	if (!(flags & SA_NODEFER))
		sigaddset(&act.sa_mask, sig);
	if (handler != SIG_ERR && by_device(sig, &act, &old))
		return old.sa_handler;
	if (!next.sigaction)
		find_next();
	/* bsd_signal() is not in every libc. */
	return (*fn ? *fn : next.signal)(sig, handler);
}

sighandler_t signal(int sig, sighandler_t handler)
{
	return set(&next.signal, sig, handler, SA_RESTART);
}

sighandler_t ssignal(int sig, sighandler_t handler)
{
	return set(&next.ssignal, sig, handler, SA_RESTART);
}

sighandler_t bsd_signal(int sig, sighandler_t handler)
{
	return set(&next.bsd_signal, sig, handler, SA_RESTART);
}

sighandler_t sysv_signal(int sig, sighandler_t handler)
{
	return set(&next.sysv_signal, sig, handler, (int)SA_RESETHAND | SA_NODEFER);
}

/* What <signal.h> makes of signal() for strict standards. */
sighandler_t __sysv_signal(int sig, sighandler_t handler)
{
	return set(&next.strict, sig, handler, (int)SA_RESETHAND | SA_NODEFER);
}
