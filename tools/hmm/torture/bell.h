/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * bell: one word on which everybody waits who waits for something to happen, rung by whoever made
 * something happen. A short sleep instead costs 20 us of a virtual machine's processor, and wakes too
 * early or too late. Also for the pump: no memory, no lock.
 */
#ifndef TOOLS_HMM_TORTURE_BELL_H
#define TOOLS_HMM_TORTURE_BELL_H

#include <stdatomic.h>
#include <stdint.h>

struct bell {
	_Atomic uint32_t rings;
	_Atomic uint32_t waiting;
};

/* Look, then check what is waited for, then wait: a ring in between is not missed. */
uint32_t bell_look(struct bell *bell);
void bell_wait(struct bell *bell, uint32_t seen, uint64_t ns);
void bell_ring(struct bell *bell);

#endif
