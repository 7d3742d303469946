/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * Static probes for bpftrace, perf and SystemTap, of the provider libhmm: hmm_trace(name,
 * arguments...). man/hmm-debug.7 lists them, tests/docs/probes.py holds the two against each other,
 * tests/docs/probes_fire.py makes each of them fire.
 * A probe is a nop and a note in the object. Arguments are values that the code has anyway: others
 * would be computed even if nobody listens.
 */
#ifndef LIB_BASE_TRACE_H
#define LIB_BASE_TRACE_H

#ifdef HMM_USDT
#define SDT_USE_VARIADIC
#include <sys/sdt.h>
#define hmm_trace(name, ...) STAP_PROBEV(libhmm, name, __VA_ARGS__)
#else
static inline void trace_nothing(int unused, ...)
{
	(void)unused;
}

/* Never evaluated: tells the compiler that variables which only probes use are used. */
#define hmm_trace(name, ...)                                                                       \
	do {                                                                                       \
		if (0)                                                                             \
			trace_nothing(0, __VA_ARGS__);                                             \
	} while (0)
#endif

#endif
