/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * What the memory monitors count. The counters of all processes of a run lie in one file, which the
 * command `hmm exec` makes (a memfd) and names in the environment. Each monitor opens and maps it
 * in its constructor, before the program can close descriptors. Without the variable the counters
 * are the process's own.
 */
#ifndef MONITOR_STATS_H
#define MONITOR_STATS_H

#include <stdatomic.h>
#include <stdint.h>

/* Path of the file: /proc/PID/fd/N, which the processes below `hmm exec` may open. */
#define MONITOR_STATS_ENV "LIBHMM_MONITOR_STATS"
/* Which monitors serve: ofi, ucx, auto (each its own library; the default), none. */
#define MONITOR_ENV "LIBHMM_MONITOR"
/* Not empty and not 0: each lookup looks at the mapping, too, which sees what raises no event. */
#define MONITOR_STRICT_ENV "LIBHMM_MONITOR_STRICT"

#define MONITOR_STATS_MAGIC 0x4d4d4d48U /* "HMMM" */

/* Why a process is not served. The low half of the word `why`; the high half is a -errno, or 0. */
enum monitor_why {
	MONITOR_WHY_NOTHING,  /* nothing is wrong */
	MONITOR_WHY_DISABLED, /* LIBHMM_MONITOR or FI_MR_CACHE_MONITOR says so */
	MONITOR_WHY_OLD,      /* the peer's version cannot be served */
	MONITOR_WHY_BUSY,     /* another monitor is there */
	MONITOR_WHY_PEER,     /* the peer refused the monitor, with the error */
	MONITOR_WHY_ATTACH,   /* libhmm cannot watch this process, with the error */
	MONITOR_WHY_CHILD,    /* a forked child: everything is registered once */
	MONITOR_WHY_NR,
};

#define MONITOR_WHY(reason, err) ((uint64_t)(reason) | (uint64_t)(uint32_t)(err) << 32)
#define MONITOR_WHY_REASON(why) ((enum monitor_why)((why)&0xffffffffU))
#define MONITOR_WHY_ERR(why) ((int32_t)((why) >> 32))

/*
 * Of one monitor, summed over the processes; each only grows. `why` is the last reason that a
 * process gave, 0 if none did.
 */
struct monitor_counters {
	_Atomic uint64_t loaded;  /* processes that loaded the monitor */
	_Atomic uint64_t served;  /* processes whose peer (libfabric, UCX) took the monitor */
	_Atomic uint64_t hits;    /* lookups that were told: the registration is still true */
	_Atomic uint64_t misses;  /* registrations that the peer made and asked to keep */
	_Atomic uint64_t refused; /* of the misses: registrations that were used once, not kept */
	_Atomic uint64_t invalidations;   /* registrations that were kept, whose memory changed */
	_Atomic uint64_t stale_prevented; /* lookups that found one of those, and were told no */
	_Atomic uint64_t why;             /* MONITOR_WHY() */
};

struct monitor_stats {
	uint32_t magic; /* MONITOR_STATS_MAGIC */
	uint32_t size;  /* sizeof(struct monitor_stats) */
	struct monitor_counters ofi;
	struct monitor_counters ucx;
};

/* Maps the file that the environment names. Called by a constructor, once. */
void stats_open(void);
/* The counters: shared, or the process's own. Never NULL, never moves after stats_open(). */
struct monitor_stats *stats_get(void);

static inline void stats_add(_Atomic uint64_t *counter)
{
	atomic_fetch_add_explicit(counter, 1, memory_order_relaxed);
}

#endif
