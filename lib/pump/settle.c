// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* What the pump does about thieves, see steal.h. */
#include "pump/steal.h"
#include "space/space.h"
#include "provider/provider.h"

static bool anyone_busy(const struct hmm_mm *mm)
{
	for (int i = 0; i < THIEVES; i++) {
		if (atomic_load(&mm->thieves[i].busy))
			return true;
	}
	return false;
}

/* Events did not fit: anything may have been unmapped, discarded or copied by a fork. */
static void handle_overflow(struct hmm_mm *mm,
			    void (*handle)(struct hmm_mm *, const struct provider_event *))
{
	static const struct provider_event all[] = {
		{ .type = PROVIDER_UNMAP, .start = 0, .end = UINT64_MAX },
		{ .type = PROVIDER_REMOVE, .start = 0, .end = UINT64_MAX },
		{ .type = PROVIDER_FORK, .start = 0, .end = UINT64_MAX },
	};

	for (unsigned int i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		handle(mm, &all[i]);
}

static void handle_one(struct hmm_mm *mm, struct thief *t,
		       void (*handle)(struct hmm_mm *, const struct provider_event *))
{
	uint32_t tail = atomic_load(&t->tail);

	while (tail != atomic_load(&t->head)) {
		handle(mm, &t->event[tail % THIEF_EVENTS]);
		atomic_store(&t->tail, ++tail);
	}
	if (atomic_exchange(&t->overflow, 0))
		handle_overflow(mm, handle);
}

void steal_settle(struct hmm_mm *mm, void (*handle)(struct hmm_mm *, const struct provider_event *))
{
	const struct timespec moment = { 0, 20000 };
	uint32_t closed;

	/*
	 * If no thief is busy, and none adds to `closed` before the exchange below, all events that
	 * thieves have read are handled.
	 */
	while ((closed = atomic_load(&mm->gate.closed)) & GATE_THIEVES) {
		if (anyone_busy(mm)) {
			nanosleep(&moment, NULL);
			continue;
		}
		for (int i = 0; i < THIEVES; i++)
			handle_one(mm, &mm->thieves[i], handle);
		atomic_compare_exchange_strong(&mm->gate.closed, &closed, closed & ~GATE_THIEVES);
	}
}
