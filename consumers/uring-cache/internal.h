/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * A cache from inside: table.c finds, takes and gives back; buffer.c makes and judges one
 * registration.
 */
#ifndef URING_CACHE_INTERNAL_H
#define URING_CACHE_INTERNAL_H

#include <stdatomic.h>
#include <stdbool.h>
#include "cache.h"

#define BUCKETS 1024
#define PIECE_PAGES 512 /* faulted at a time */
#define NONE (-1)

/*
 * A slot of the ring's table. The callback writes `dead`, nothing else; the rest is the cache's
 * thread's.
 */
struct buffer {
	uint64_t start; /* whole pages */
	uint64_t end;
	struct uring_cache *cache;
	struct hmm_interval_notifier *ni; /* NULL: the slot is free */
	uint64_t seq;                     /* of the notifier when it was registered */
	_Atomic bool live;                /* registered */
	_Atomic bool dead;                /* memory of it went away */
	bool file;                        /* a memory file: it can change without an event */
	unsigned int refs;
	uint64_t used; /* when, for eviction */
	int next;      /* in its bucket */
};

/*
 * All of it lies in memory that is mapped for it alone, between inaccessible pages: the callback
 * touches it, and must touch nothing that is mirrored.
 */
struct uring_cache {
	struct hmm_mm *mm;
	struct io_uring *ring;
	unsigned int slots;
	unsigned int flags;
	unsigned int files; /* buffers of memory files */
	uint64_t clock;
	_Atomic uint64_t deaths; /* by callbacks */
	uint64_t deaths_seen;
	struct uring_cache_stats stats;
	int bucket[BUCKETS];
	uint64_t pfns[PIECE_PAGES];
	struct buffer buffer[];
};

/* Registers [start, end) in the slot: 0; -EOPNOTSUPP; -EFAULT; -EPERM; -ENOMEM. */
int buffer_make(struct uring_cache *c, int slot, uint64_t start, uint64_t end);
void buffer_drop(struct uring_cache *c, int slot);
/* Is it now what was registered? 1; 0; -ESRCH in a forked child. */
int buffer_stands(struct uring_cache *c, struct buffer *b);

#endif
