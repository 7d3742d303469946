/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * peer: another thread of the program, that sees a change take effect while the thread that makes
 * it is still blocked in its event: it maps something new into the hole, or reads what is there
 * now.
 */
#ifndef TOOLS_HMM_TORTURE_PEER_H
#define TOOLS_HMM_TORTURE_PEER_H

#include "torture.h"

enum peer_mode {
	PEER_PEEK, /* read until the old stamp is gone */
	PEER_MAP,  /* map into the hole as soon as there is one, and stamp it */
};

/* One job at a time; false: the peer is busy, go on without. */
bool peer_start(struct torture *t, struct slot *slot, unsigned int lo, unsigned int hi,
		uint64_t stamp, enum peer_mode mode);
/* Ends the job. True: the peer has mapped and stamped the slot. */
bool peer_finish(void);

/* Lets the peer see that the run is over. */
void peer_wake(void);

void *peer_main(void *arg);

#endif
