/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * latch: delays the event of a change. One call that unmaps memory of two userfaultfds raises an
 * event for each, the lower address first, and raises the second only when the first was read. So
 * the torture has a userfaultfd of its own, with a page below the memory that the library has
 * registered, and has both unmapped by one call. Until the torture reads, the window between the
 * change and the library's event is open. A fork raises an event for each userfaultfd in the same
 * way, if the page is the lowest.
 */
#ifndef TOOLS_HMM_TORTURE_LATCH_H
#define TOOLS_HMM_TORTURE_LATCH_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#define LATCH_LEN 4096ULL

struct latch {
	int fd;     /* -1: there is none on this host */
	bool forks; /* forks raise an event, which needs privilege */
	uint64_t at;
	_Atomic bool set; /* the page is there */
	/*
	 * Held from latch_set() to latch_drop(): the fork of another thread would wait until the
	 * latch is read.
	 */
	pthread_mutex_t lock;
	bool locked; /* the thread that set the page holds the lock */
	/*
	 * Taken before `lock`, and held while a fork is forced into a window. To the peer an open
	 * window means that the fork has copied, and what the bystander does could open it, too.
	 */
	pthread_mutex_t forking;
};

void latch_open(struct latch *latch);
void latch_close(struct latch *latch);

/* Puts the page there, over what is mapped. False: not possible. */
bool latch_set(struct latch *latch, uint64_t at);
/* Has the call made its change, and does it wait? Waits for `ms` at most. */
bool latch_caught(struct latch *latch, int ms);
/* Lets the call go on. */
void latch_release(struct latch *latch);
/* Takes the page away if the operation did not. */
void latch_drop(struct latch *latch);

#endif
