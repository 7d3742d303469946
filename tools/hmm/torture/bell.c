// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
#include "../../../lib/base/futex.h"
#include "bell.h"

uint32_t bell_look(struct bell *bell)
{
	return atomic_load(&bell->rings);
}

void bell_wait(struct bell *bell, uint32_t seen, uint64_t ns)
{
	atomic_fetch_add(&bell->waiting, 1);
	futex_wait(&bell->rings, seen, ns);
	atomic_fetch_sub(&bell->waiting, 1);
}

void bell_ring(struct bell *bell)
{
	atomic_fetch_add(&bell->rings, 1);
	if (atomic_load(&bell->waiting))
		futex_wake(&bell->rings);
}
