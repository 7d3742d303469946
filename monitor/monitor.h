/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * What the common part of the memory monitors knows of the one that it is built into: libhmm-ofi.so
 * or libhmm-ucx.so. Each defines `monitor` once.
 *
 * A *peer* is the library that keeps registrations: libfabric or UCX.
 */
#ifndef MONITOR_MONITOR_H
#define MONITOR_MONITOR_H

#include "stats.h"

#include <stdint.h>

struct monitor {
	const char *name; /* "libhmm-ofi" */
	/*
	 * Tells the peer that a range changed. Called by the deliverer, which holds no lock then;
	 * it may take the peer's locks, free memory, and block.
	 */
	void (*deliver)(uint64_t addr, uint64_t len);
};

extern const struct monitor monitor;

/* The counters of this monitor. */
struct monitor_counters *monitor_counters(void);

/* Does LIBHMM_MONITOR let the monitor of this name ("ofi", "ucx") serve? */
_Bool monitor_wanted(const char *name);

/*
 * Stores why this process is not served, and says it on standard error: one line in the life of the
 * process.
 */
void monitor_say(enum monitor_why why, int err, const char *text);

#endif
