/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * What monitors count, in memory that they share with the tool: monitor/stats.h says its layout and
 * how they find it.
 */
#ifndef TOOLS_HMM_EXEC_COUNTERS_H
#define TOOLS_HMM_EXEC_COUNTERS_H

#include <stddef.h>
#include <stdint.h>

enum { MONITOR_OFI, MONITOR_UCX, N_MONITORS };

struct monitor_stats;

struct counters {
	int fd;
	struct monitor_stats *stats; /* NULL: not open */
};

/* Of one monitor, summed over all processes. */
struct counts {
	uint64_t loaded; /* processes that have it */
	uint64_t served; /* of these, processes in which a library has taken it */
	uint64_t hits;
	uint64_t misses;
	uint64_t invalidations;
	uint64_t refused;
	uint64_t stale_prevented;
	const char *why; /* why some process was not served, in words; NULL */
};

/* 0 or -errno. */
int counters_open(struct counters *c);
void counters_close(struct counters *c);

/* The path by which the program's processes find them. */
void counters_name(const struct counters *c, char *name, size_t size);

struct counts counters_get(const struct counters *c, int monitor);

#endif
