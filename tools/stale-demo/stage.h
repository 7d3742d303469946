/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * The stage: one process, one peer, one cache (or two), and memory that is painted. Each scene is
 * run in a process of its own, as a peer's monitor may patch libc or hang for good.
 */
#ifndef TOOLS_STALE_DEMO_STAGE_H
#define TOOLS_STALE_DEMO_STAGE_H

#include "pin.h"

#define BUFFER_PAGES 4
#define BUFFER_BYTES (BUFFER_PAGES * PAGE_BYTES)
#define RACES 2000

enum outcome {
	OUTCOME_OK,
	OUTCOME_STALE,  /* a registration of a page that is gone was handed out */
	OUTCOME_BROKEN, /* the peer breaks what the program does */
	OUTCOME_SKIP,   /* this kernel or this peer has no such thing */
	OUTCOME_NO,     /* the monitor does not work here */
};

struct stage {
	const struct peer *peer;
	struct peer_cache *cache, *second;
	unsigned int races;
	/* what came out */
	unsigned int stale; /* uses */
	unsigned int of;    /* uses that could have been */
	bool cached;        /* was what was registered handed out again? */
	/* ns: of a munmap of cached memory, without a peer; or of a hit, and of the bare probe */
	double cost, beside;
	char why[160];
};

struct scene {
	const char *name;
	const char *text;
	enum outcome (*run)(struct stage *s);
	unsigned int flags;
};

enum {
	SCENE_EARLY = 1 << 0,    /* it is run before the peer is started */
	SCENE_ROW = 1 << 1,      /* a way to change a mapping */
	SCENE_SEQUENCE = 1 << 2, /* other sequences that a cache must survive */
	SCENE_RACE = 1 << 3,
	SCENE_COST = 1 << 4,
	SCENE_NO_EVENT = 1 << 5, /* what no monitor is told of */
	SCENE_HIT = 1 << 6,      /* the time of a hit */
};

/* In the order of docs/monitors.md. A NULL name ends each. */
extern const struct scene map_scenes[], file_scenes[], process_scenes[], sequence_scenes[],
	race_scenes[], cost_scenes[];
/* Scene i of all, or NULL. */
const struct scene *scene_at(unsigned int i);
const struct scene *scene_named(const char *name);

/* Starts the peer and opens a cache. */
enum outcome stage_begin(struct stage *s);
enum outcome stage_skip(struct stage *s, const char *why);
enum outcome stage_broken(struct stage *s, const char *why);
/* With the text of errno. */
enum outcome stage_failed(struct stage *s, const char *what);

/* Address space that nothing else uses. */
char *stage_place(void);
/* Anonymous memory there, painted. NULL: no memory. */
char *stage_map(void);
bool map_at(char *at, size_t bytes);

/*
 * A tag that was never used, in each page. Only in new pages: the tag that a registration saw
 * counts as the page.
 */
void paint(char *at, unsigned int pages);
/*
 * Registers, compares what the device sees with what is mapped, releases. True: it is a
 * registration that was made before.
 */
bool use(struct stage *s, char *at, unsigned int pages);
bool use_of(struct stage *s, struct peer_cache *cache, char *at, unsigned int pages);
/* Uses it until the cache keeps it, or it is clear that it does not. */
void warm(struct stage *s, char *at, unsigned int pages);
/* Paints what the change has brought, uses it. */
enum outcome look(struct stage *s, char *at);
enum outcome verdict(const struct stage *s);

/* What io_uring does with an madvise(); -errno. */
int uring_madvise(void *at, size_t bytes, int advice);

#endif
