/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * The in-flight question for callers to whom each nanosecond counts: the system call, and no
 * function around it. Returning from functions after a system call costs some 5 ns each, as the
 * kernel leaves nothing of the processor's guesses where they return to.
 */
#ifndef LIB_PROVIDER_QUICK_H
#define LIB_PROVIDER_QUICK_H

#include "provider/provider.h"
#include "kernel/abi/uffd.h"
#include "base/raw.h"

#include <errno.h>

/*
 * One in this many probes of a thread also asks whether the descriptor is still ours, which costs
 * more than the probe.
 */
#define PROBES_A_LOOK 64

/* How many this thread has made. */
extern _Thread_local unsigned int provider_probes
	__attribute__((tls_model("initial-exec"), visibility("hidden")));

/* Is it the turn of a probe that looks? */
static inline bool provider_looks(void)
{
	return !(provider_probes % PROBES_A_LOOK);
}

/* True: nothing is in flight. False: ask in_flight(). */
static inline bool provider_idle(const struct provider *p)
{
	static const struct uffdio_writeprotect nothing;

	provider_probes++;
	if (__builtin_expect(!p->zero_wp || provider_looks(), 0))
		return false;
	return raw3(SYS_ioctl, p->fd.fd, UFFDIO_WRITEPROTECT, (long)&nothing) == -EINVAL;
}

#endif
