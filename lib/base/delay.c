// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* Random delays at the points of hooks.h, for the build that widens races. */
#include "base/epoch.h"
#include "base/hooks.h"

#if defined(HMM_RANDOM_DELAY) && !defined(HMM_MUTATIONS)
#include <stdint.h>
#include <time.h>

void hmm_hook(enum hmm_point window)
{
	static _Thread_local uint64_t x __attribute__((tls_model("initial-exec")));
	struct timespec ts = { 0, 0 };

	if (!x)
		x = (uint64_t)(uintptr_t)&x * 0x9e3779b97f4a7c15ULL | 1;
	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	if (x % 8 == window % 8)
		ts.tv_nsec = (long)(x >> 40) % 200000;
	if (ts.tv_nsec)
		nanosleep(&ts, NULL);
}
#else
typedef int delay_is_empty;
#endif
