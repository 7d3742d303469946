/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * peer: another thread of the program, that sees a change take effect while the thread that makes
 * it is still blocked in its event: it maps something new into the hole, or reads what is there
 * now, or writes. When the latch holds the event back, it also holds the window open meanwhile.
 */
#ifndef TOOLS_HMM_TORTURE_PEER_H
#define TOOLS_HMM_TORTURE_PEER_H

#include "ops.h"

enum peer_mode {
	PEER_PEEK,  /* read until the old stamp is gone */
	PEER_MAP,   /* map into the hole as soon as there is one, and stamp it */
	PEER_STORE, /* stamp the pages as soon as the change is announced, or held back */
};

/*
 * One job at a time, for a forced operation always, for another one now and then; false: go on
 * without.
 */
bool peer_start(struct op_run *run, unsigned int lo, unsigned int hi, enum peer_mode mode);
/* Ends the job. True: the peer has mapped and stamped the slot. */
bool peer_finish(struct torture *t);

/* The peer shall end: when nobody can start a job any more, who may be waiting for it. */
void peer_leave(void);

void *peer_main(void *arg);

#endif
