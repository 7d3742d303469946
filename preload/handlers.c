/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * Handlers that the program installs while a device runs: they get all faults but the device's, which stays in
 * front. All else is libc's. No lock is taken here, nor by hmm_device_sigaction() in a child.
 */
#include <hmm/device.h>

#include <dlfcn.h>
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>

extern int hmm_device_sigaction(int, const struct sigaction *, struct sigaction *)
	__attribute__((weak));

/* libhmm may be loaded later by dlopen(); looked up once a call, for two signals only. */
static bool by_device(int sig, const struct sigaction *act, struct sigaction *old)
{
	__typeof__(hmm_device_sigaction) *fn = hmm_device_sigaction;
	int saved = errno;
	bool done;

	if (sig != SIGSEGV && sig != SIGBUS)
		return false;
	if (!fn)
		fn = (__typeof__(fn))dlsym(RTLD_DEFAULT, "hmm_device_sigaction");
	done = fn && !fn(sig, act, old);
	errno = saved;
	return done;
}

int sigaction(int sig, const struct sigaction *act, struct sigaction *old)
{
	static __typeof__(sigaction) *next;

	if (by_device(sig, act, old))
		return 0;
	if (!next)
		next = (__typeof__(next))dlsym(RTLD_NEXT, "sigaction");
	return next(sig, act, old);
}

/* libc's own signal() and its kin call its own sigaction(). */
static sighandler_t set(const char *name, int sig, sighandler_t handler, int flags)
{
	struct sigaction act;
	struct sigaction old;
	sighandler_t (*next)(int, sighandler_t);

	memset(&act, 0, sizeof(act));
	act.sa_handler = handler;
	act.sa_flags = flags;
	sigemptyset(&act.sa_mask);
	if (!(flags & SA_NODEFER))
		sigaddset(&act.sa_mask, sig);
	if (handler != SIG_ERR && by_device(sig, &act, &old))
		return old.sa_handler;
	next = (__typeof__(next))dlsym(RTLD_NEXT, name);
	return next(sig, handler);
}

sighandler_t signal(int sig, sighandler_t handler)
{
	return set("signal", sig, handler, SA_RESTART);
}

sighandler_t ssignal(int sig, sighandler_t handler)
{
	return set("ssignal", sig, handler, SA_RESTART);
}

sighandler_t bsd_signal(int sig, sighandler_t handler)
{
	return set("bsd_signal", sig, handler, SA_RESTART);
}

sighandler_t sysv_signal(int sig, sighandler_t handler)
{
	return set("sysv_signal", sig, handler, (int)SA_RESETHAND | SA_NODEFER);
}

/* What <signal.h> makes of signal() for strict standards. */
sighandler_t __sysv_signal(int sig, sighandler_t handler)
{
	return set("__sysv_signal", sig, handler, (int)SA_RESETHAND | SA_NODEFER);
}
