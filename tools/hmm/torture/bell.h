/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * bell: one word on which threads wait until something has happened. A thread that makes something
 * happen rings it. A short sleep instead would cost 20 us of a virtual machine's processor, and
 * would end too early or too late. The pump may use it, too, as it needs no memory and no lock.
 */
#ifndef TOOLS_HMM_TORTURE_BELL_H
#define TOOLS_HMM_TORTURE_BELL_H

#include <stdatomic.h>
#include <stdint.h>

struct bell {
	_Atomic uint32_t rings;
	_Atomic uint32_t waiting;
};

/*
 * Call bell_look(), check whether it has happened, then call bell_wait() with the value: a ring in
 * between is not missed.
 */
uint32_t bell_look(struct bell *bell);
void bell_wait(struct bell *bell, uint32_t seen, uint64_t ns);
void bell_ring(struct bell *bell);

#endif
