/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * latch: keeps a change from being announced. One call that unmaps memory of two userfaultfds tells
 * them one after the other, the lower address first, and goes on to the second only when the first has
 * read. So a page of a userfaultfd of our own, below what the library watches and unmapped by the same
 * call, holds the window between the change and its event open until we read. A fork tells every
 * userfaultfd in the same manner; the page only has to be the lowest.
 */
#ifndef TOOLS_HMM_TORTURE_LATCH_H
#define TOOLS_HMM_TORTURE_LATCH_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#define LATCH_LEN 4096ULL

struct latch {
	int fd;     /* -1: there is none on this host */
	bool forks; /* told of forks, which needs privilege */
	uint64_t at;
	_Atomic bool set; /* the page is there */
	/* Held from latch_set() to latch_drop(): a fork of anybody else would wait for a read that is not for it. */
	pthread_mutex_t lock;
	bool locked; /* by who sets the page */
	/*
	 * Taken before that one; held while a fork is forced into a window. The peer takes an open window for the sign that
	 * the fork has copied, and what the bystander does opens it, too.
	 */
	pthread_mutex_t forking;
};

void latch_open(struct latch *latch);
void latch_close(struct latch *latch);

/* Put the page there, over what is mapped. False: not possible. */
bool latch_set(struct latch *latch, uint64_t at);
/* Is the call held, its change done? Waits for some ms. */
bool latch_caught(struct latch *latch, int ms);
/* Let the call go on. */
void latch_release(struct latch *latch);
/* Take the page away if the operation did not. */
void latch_drop(struct latch *latch);

#endif
