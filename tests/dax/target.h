/* SPDX-License-Identifier: GPL-2.0 */
/*
 * target: what the suite tests. A target mirrors ranges of the calling process for a device, the
 * kernel's hmm_range_fault() or libhmm's. All that the cases know of a target is here.
 */
#ifndef DAX_TARGET_H
#define DAX_TARGET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

/* What an entry says. DAX, ZERO: only where the target can tell, see target_ops. */
#define ENTRY_VALID (1u << 0)
#define ENTRY_WRITE (1u << 1)
#define ENTRY_ERROR (1u << 2)
#define ENTRY_ZERO (1u << 3)
#define ENTRY_DAX (1u << 4)

#define REQ_FAULT (1u << 0)
#define REQ_WRITE (1u << 1)

struct entry {
	uint32_t flags;
	uint32_t order;  /* of the CPU's mapping */
	uint64_t cookie; /* equal for equal pages, 0 where the target cannot tell */
};

/* Why entries were taken away: bits, so that a case can name several. */
enum {
	EVENT_UNMAP = 1 << 0,
	EVENT_CLEAR = 1 << 1,
	EVENT_PROTECT_VMA = 1 << 2,
	EVENT_PROTECT_PAGE = 1 << 3,
	EVENT_RELEASE = 1 << 4,
	EVENT_OTHER = 1 << 5,
};

struct event {
	uint64_t start, end; /* addresses, clipped to the mirror */
	unsigned int kind;
};

#define LOG_MAX 4096

struct mirror_log {
	unsigned int count; /* in events */
	unsigned int lost;  /* happened, but are not in events */
	struct event events[LOG_MAX];
};

struct target; /* one mirror of one range */

struct target_ops {
	const char *name;
	bool sees_pages;  /* cookies, ENTRY_ZERO and ENTRY_DAX of each page are told */
	bool sees_write;  /* a snapshot says WRITE wherever the CPU may write */
	bool synchronous; /* whatever is taken away is taken before the call that does it returns */
	bool event_kinds; /* events carry the kernel's kinds */

	/* Can it run here at all? NULL or the reason why not. */
	const char *(*probe)(void);
	/* Does this host offer less: no orders, and files are never cached? NULL: never. */
	bool (*reduced)(void);
	/* Are entries told of the order that the mapping has? NULL: they are. */
	bool (*sees_orders)(void);
	/*
	 * Does this host show it everything that the kernel tells its drivers? Then nothing may be
	 * unseen. NULL: as `synchronous` says.
	 */
	bool (*sees_all)(void);
	/* Mirrors [addr, addr + len). */
	int (*mirror)(uint64_t addr, size_t len, struct target **out);
	void (*unmirror)(struct target *t);
	/*
	 * hmm_range_fault() of [addr, addr + len), which need not be the mirror's. requests: NULL,
	 * or REQ_* of each page. passes: how often the target had to begin anew, and the first. ns:
	 * what it took. Returns what it returned.
	 */
	int (*range)(struct target *t, uint64_t addr, size_t len, unsigned int request,
		     const uint8_t *requests, struct entry *entries, unsigned int *passes,
		     uint64_t *ns);
	/*
	 * A device job. It uses what the mirror holds, as far as that still stands, and faults the
	 * rest. faults: how often.
	 */
	int (*access)(struct target *t, uint64_t addr, void *buf, size_t len, bool write,
		      unsigned int *faults);
	/* What the mirror holds; touches nothing. */
	int (*held)(struct target *t, uint64_t addr, size_t len, struct entry *entries);
	/* The invalidations since the last reset. */
	int (*log)(struct target *t, struct mirror_log *log, bool reset);
	/* The point before a use at which stale entries are found and dropped. */
	int (*validate)(struct target *t);
	/*
	 * The program tells the target that it had the file written back. NULL: it need not be
	 * told.
	 */
	int (*note_writeback)(struct target *t, int fd);
	/*
	 * 1: the target says that these pages are never moved into a device's memory; 0: they could
	 * be.
	 */
	int (*in_place)(struct target *t, uint64_t addr, size_t len);
	/* Makes what the device wrote durable. NULL: there is no such call. */
	int (*persist)(struct target *t, uint64_t addr, size_t len);
};

/* CLOCK_MONOTONIC, ns. */
static inline uint64_t target_clock(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000000ull + now.tv_nsec;
}

extern const struct target_ops target_kernel;
extern const struct target_ops target_libhmm;

#endif
