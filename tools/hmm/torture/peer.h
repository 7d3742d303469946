/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * peer: another thread of the program, which sees a change take effect while the thread that makes
 * it still waits until its event is read. The peer maps something new into the hole, or reads what
 * is there now, or writes. When the latch delays the event the peer holds the window open, too.
 */
#ifndef TOOLS_HMM_TORTURE_PEER_H
#define TOOLS_HMM_TORTURE_PEER_H

#include "ops.h"

enum peer_mode {
	PEER_PEEK,  /* read until the old stamp is gone */
	PEER_MAP,   /* map into the hole as soon as there is one, and stamp it */
	PEER_STORE, /* stamp the pages as soon as the event is queued, or the latch has caught it */
};

/*
 * Starts a job. There is one at a time, for each forced operation and now and then for others.
 * False: the peer does not take part.
 */
bool peer_start(struct op_run *run, unsigned int lo, unsigned int hi, enum peer_mode mode);
/* Ends the job. True: the peer has mapped and stamped the slot. */
bool peer_finish(struct torture *t);

/* Ends the peer. Called when no thread can start a job any more or wait for one. */
void peer_leave(void);

void *peer_main(void *arg);

#endif
