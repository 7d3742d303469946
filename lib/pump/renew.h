/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * hmm-watchd ends, and comes back. The programs that it loaded go on, as the log keeps them
 * attached, and the log stays right. A log may end as well, as when somebody switches ftrace off:
 * then nothing is valid. Either way the watchdog asks for another log, after longer and longer
 * pauses, and the pump puts it in the place of the old one. Everything is invalid then, once. Where
 * the log goes on this lets go of a second set of programs, which every process on the host would
 * pay for.
 *
 *	watchdog			pump			thread that checks
 *	hmm-watchd has ended				nothing is valid, if the log has ended
 *	asks, maps the log: next
 *	kicks
 *					invalidates everything
 *					moves the memory of
 *					`next` to the log's
 *					addresses
 *					next = NULL
 *	another keeper keeps it				drains: quiet again
 *
 * In a program that filters system calls the watchdog asks all the same: socket(2), connect(2),
 * sendmsg(2), recvmsg(2) and clone(2).
 */
#ifndef LIB_PUMP_RENEW_H
#define LIB_PUMP_RENEW_H

#include "space/space.h"

/* The watchdog's own. */
struct renew {
	uint64_t over;  /* ns: when the log had ended; 0: it goes on */
	uint64_t at;    /* ns: the next try */
	uint64_t pause; /* ns: until the one after that */
	uint64_t seen;  /* renewals of which the keeper knows */
};

/* How long a log that has ended is asked for again. Then the space is let go of. */
#define RENEW_PATIENCE_NS 30000000000ULL
/* A test makes it shorter. */
extern uint64_t renew_patience;

/* The watchdog calls this at each tick. */
void renew_look(struct hmm_mm *mm, struct renew *r);

#endif
