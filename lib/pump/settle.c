// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* What the pump does about thieves, see steal.h. */
#include "pump/steal.h"
#include "devmem/devmem.h"
#include "space/space.h"
#include "space/turn.h"
#include "provider/provider.h"
#include "base/deadline.h"
#include "base/raw.h"

static const struct timespec moment = { 0, 20000 };

/* The thief with the event that was read first, of those that devmem_event() was not told of. */
static struct thief *oldest(struct hmm_mm *mm)
{
	struct thief *first = NULL;
	uint64_t number = 0;

	for (int i = 0; i < THIEVES; i++) {
		struct thief *t = &mm->thieves[i];
		const uint32_t ordered = atomic_load(&t->ordered);
		const uint32_t at = ordered % THIEF_EVENTS;

		if (ordered == atomic_load(&t->head) || (first && t->number[at] > number))
			continue;
		first = t;
		number = t->number[at];
	}
	return first;
}

/* A descriptor of the keeper's; -1: it cannot be had. */
static int fetch(pid_t pid, int fd)
{
	const int process = (int)raw3(SYS_pidfd_open, pid, 0, 0);
	int got;

	if (process < 0)
		return -1;
	got = (int)raw3(SYS_pidfd_getfd, process, fd, 0);
	raw3(SYS_close, process, 0, 0);
	return got < 0 ? -1 : got;
}

void steal_order(struct hmm_mm *mm)
{
	struct thief *t;

	while ((t = oldest(mm))) {
		const uint32_t at = atomic_fetch_add(&t->ordered, 1) % THIEF_EVENTS;
		struct provider_event e = t->event[at];

		if (t->from[at] && t->kept[at])
			e.to = (uint64_t)(fetch(t->from[at], t->kept[at] - 1) + 1);
		devmem_event(mm, &e);
	}
}

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

	for (unsigned int i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		devmem_event(mm, &all[i]);
		handle(mm, &all[i]);
	}
}

static void handle_one(struct hmm_mm *mm, struct thief *t,
		       void (*handle)(struct hmm_mm *, const struct provider_event *))
{
	uint32_t tail = atomic_load(&t->tail);

	while (tail != atomic_load(&t->ordered)) {
		handle(mm, &t->event[tail % THIEF_EVENTS]);
		atomic_store(&t->tail, ++tail);
	}
	if (atomic_exchange(&t->overflow, 0))
		handle_overflow(mm, handle);
}

void steal_settle(struct hmm_mm *mm, void (*handle)(struct hmm_mm *, const struct provider_event *))
{
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
		turn_take(mm);
		steal_order(mm);
		turn_end(mm);
		for (int i = 0; i < THIEVES; i++)
			handle_one(mm, &mm->thieves[i], handle);
		atomic_compare_exchange_strong(&mm->gate.closed, &closed, closed & ~GATE_THIEVES);
	}
}
