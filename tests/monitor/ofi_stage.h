/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * ofi_stage: libfabric's cache with the monitor of libhmm-ofi.so, and buffers whose first word is a
 * tag. A registration notes the tag that it saw. A use of a registration is stale if the memory has
 * another tag by then.
 */
#ifndef TESTS_MONITOR_OFI_STAGE_H
#define TESTS_MONITOR_OFI_STAGE_H

#include "ofi_cache.h"
#include "../../monitor/stats.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#define BUFFER 16384UL

struct scenario {
	const char *name;
	void (*run)(void);
};

/* Each file of scenarios has a table; a NULL name ends it. */
extern const struct scenario memory_scenarios[];
extern const struct scenario churn_scenarios[];
extern const struct scenario lock_scenarios[];
extern const struct scenario process_scenarios[];
extern const struct scenario refuse_scenarios[];

#define CHECK(condition)                                                                           \
	do {                                                                                       \
		if (!(condition))                                                                  \
			stage_fail(__FILE__, __LINE__, #condition);                                \
	} while (0)

void stage_fail(const char *file, int line, const char *what) __attribute__((noreturn));
/* A feature is missing. */
void stage_skip(const char *why) __attribute__((noreturn));

/* Makes the counters and loads the monitor, which is not imported yet. */
void stage_load(void);
/* stage_load(), imports the monitor and opens a cache. It skips if this host has no userfaultfd. */
void stage_begin(void);
/* The parts of stage_begin(). */
int stage_import(void);
struct ofi_cache *stage_open(void);

struct hmm_mm;

struct monitor_counters *stage_counters(void);
/* The space that the monitor has attached. */
struct hmm_mm *stage_space(void);
struct ofi_cache *stage_cache(void);

/* Registrations that were made in this process; each called the function, if one is set. */
extern _Atomic uint64_t stage_pins;
extern void (*_Atomic stage_after_pin)(void);

/*
 * Address space of 16 buffers in which nobody else maps anything: what is unmapped there is free
 * until the test maps it again.
 */
char *stage_place(void);
/* Anonymous memory with a fresh tag, in such a place. */
uint64_t *stage_map(void);
/* Puts new anonymous memory there. False: something is mapped. */
bool stage_map_at(uint64_t *at);
void stage_paint(uint64_t *at);

enum use { USE_MISS, USE_HIT, USE_STALE };
/* Registers, compares, releases. */
enum use stage_use(struct ofi_cache *cache, uint64_t *at);
/*
 * Uses it until it is cached, and requires that it will be. A busy machine may be too slow for a
 * look-up, which then misses.
 */
void stage_warm(struct ofi_cache *cache, uint64_t *at);

uint64_t stage_now_ns(void);

#endif
