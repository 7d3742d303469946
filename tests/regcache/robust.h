/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/* What programs do without thinking of a cache: scenarios of robust.c. */
#ifndef TESTS_REGCACHE_ROBUST_H
#define TESTS_REGCACHE_ROBUST_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <hmm/hmm.h>
#include <hmm/regcache.h>

#define BUFFER (4 * 4096UL)
#define TIMEOUT_NS 50000000ULL    /* of a get that may be held up */
#define PATIENT_NS 30000000000ULL /* of others */

enum { SKIP = 77 };

extern struct hmm_mm *mm;
extern struct hmm_regcache *cache;
extern atomic_bool stop;

/* Anything but success ends the test. */
#define MUST(what)                                                                                 \
	do {                                                                                       \
		if (!(what))                                                                       \
			must_failed(#what, __FILE__, __LINE__);                                    \
	} while (0)
void must_failed(const char *what, const char *file, int line) __attribute__((noreturn));

/* Attaches, makes a cache whose callbacks allocate and free. */
void open_cache(uint32_t flags);
char *map_buffer(void);
/* Gets and puts; 0 or -errno. */
int use(const char *at);
double now(void);
/* Uses buffers that come and go, until stop. */
void *use_and_unmap(void *arg);

int run_stalled(void);
int run_descriptors(void);
int run_child(void);
int run_signals(void);
int run_realtime(void);
int run_allocator(void);
int run_exit(void);

#endif
