/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * The storm: threads change spots of memory while others get registrations of them and look which
 * pages those are of.
 *
 * Each change of a page has a stamp, which is painted into the new page as soon as it is there. A
 * user reads the floor of each page before its get: stamps below it were gone by then. It reads
 * what the device sees, and an older stamp is a stale hit. While nothing changes (the spot's epoch
 * is even, and the same before and after) the stamp is the last one exactly.
 *
 *	changer				user
 *	epoch odd
 *	changes the mapping
 *	floor = stamp
 *					reads epoch and floor
 *					gets, reads through the device, puts
 *	paints stamp
 *	epoch even
 *					reads epoch
 */
#ifndef TESTS_REGCACHE_STORM_H
#define TESTS_REGCACHE_STORM_H

#include <pthread.h>
#include <stdatomic.h>
#include "pin.h"

#define SPOT_PAGES 4
#define SPOTS_MAX 32
#define FINDING_BYTES 256

struct spot_page {
	_Atomic uint64_t floor, current;
};

struct spot {
	unsigned int id;
	const struct spot_kind *kind;
	pthread_mutex_t lock; /* held by the thread that changes it */
	_Atomic uintptr_t at; /* 0: it cannot be used here */
	uint64_t stride;      /* bytes from page to page */
	_Atomic uint64_t epoch, issued;
	const char *_Atomic last; /* the last change's name, for reports */
	struct spot_page page[SPOT_PAGES];
	/* the kind's */
	int fd;
	void *library;
};

/* Pages [lo, hi) change. It may widen them. 0 or -errno; it may set at. */
struct change {
	const char *name;
	int (*run)(struct spot *spot, unsigned int *lo, unsigned int *hi);
};

struct spot_kind {
	const char *name;
	unsigned int number; /* of such spots */
	bool strict;         /* its changes raise no event */
	int (*make)(struct spot *spot);
	const struct change *changes;
	unsigned int changes_nr;
};

/* NULL ends it. */
extern const struct spot_kind *const spot_kinds[];

struct storm {
	const struct peer *peer;
	struct peer_cache *cache;
	uint64_t seed, rounds;
	unsigned int calm; /* gets for each change */
	bool device;       /* pins are real */
	bool strict;       /* the cache sees what raises no event */
	struct spot spot[SPOTS_MAX];
	unsigned int spots;
	atomic_bool stop;
	/* what came out */
	_Atomic uint64_t gets, hits, stale, wrong, unknown, changes, races, unmapped, failed;
	pthread_mutex_t finding_lock; /* guards finding */
	char finding[FINDING_BYTES];
};

struct view {
	uint64_t epoch, floor[SPOT_PAGES];
	uintptr_t at;
};

uint64_t storm_random(uint64_t *state);
void storm_slow_pin(void);
static inline char *spot_page(const struct spot *spot, unsigned int page)
{
	return (char *)(atomic_load(&spot->at) + page * spot->stride);
}

int spots_make(struct storm *t);

/* The spot's lock is held from begin to end. */
uint64_t spot_begin(struct spot *spot);
void spot_paint(struct spot *spot, unsigned int lo, unsigned int hi, uint64_t stamp);
void spot_end(struct spot *spot);
void spot_look(const struct spot *spot, struct view *view);

/*
 * A get of pages [lo, hi), judged. @alone: the caller holds the spot's lock, so what it sees must
 * be exactly what was painted last. @view: from before the get.
 */
void storm_use(struct storm *t, struct spot *spot, unsigned int lo, unsigned int hi,
	       unsigned int flags, const struct view *view, bool alone);
void storm_found(struct storm *t, _Atomic uint64_t *counter, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* One change of the spot, and sometimes a look at it. */
int storm_change(struct storm *t, struct spot *spot, uint64_t *random);

/* Runs all threads until the rounds are done or something is found. False: it came to a stop. */
bool storm_run(struct storm *t);

/* Registered buffers of io_uring. NULL with the reason: there are none here. */
const struct pin_device *uring_device(char *why, size_t size);

#endif
