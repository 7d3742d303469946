// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * What thieves do, see steal.h. The keeper runs this, too, which has no thread-local storage of its
 * own. So this code uses no errno, no lock and no sanitizer.
 */
#include "pump/steal.h"
#include "devmem/devmem.h"
#include "space/space.h"
#include "space/turn.h"
#include "provider/provider.h"
#include "base/raw.h"

#include <poll.h>

/*
 * At this many closings thieves stop reading, before the count overflows: if the pump hangs for
 * hours the program's calls wait.
 */
#define CLOSED_MAX 0xffff0000U
#define AT_ONCE 16

static bool event_waits(const struct hmm_mm *mm)
{
	struct pollfd p = { .fd = mm->provider.fd.fd, .events = POLLIN };
	struct timespec now = { 0, 0 };

	return raw5(SYS_ppoll, (long)&p, 1, (long)&now, 0, 0) > 0 && p.revents & POLLIN;
}

bool steal_due(struct hmm_mm *mm, struct thief *t)
{
	const uint64_t seq = atomic_load(&mm->pump_seq);
	const bool waits = event_waits(mm) || devmem_waits(mm);
	const bool due = waits && t->waited && seq == t->last_seq;

	t->last_seq = seq;
	t->waited = waits;
	return due;
}

void steal_close(struct hmm_mm *mm)
{
	atomic_fetch_add(&mm->gate.closed, GATE_THIEF);
}

bool steal_may_read(struct hmm_mm *mm)
{
	const uint32_t top = atomic_load(&mm->gate.engines_top);

	for (uint32_t i = 0; i < top; i++) {
		if (atomic_load(&mm->gate.engines[i].state) == ENGINE_IN)
			return false;
	}
	return true;
}

/*
 * Nothing is read while pages move (devmem/moving.h): the caller tries again in a moment.
 *
 * What the thief saw, all engines out and the devices stopped, is true for as long as the pump has
 * not come further: then the gate has been closed since. Else another thief may have closed it,
 * which still waits for an engine:
 *
 *	watchdog		pump			keeper
 *	closes, engines are out
 *				a cycle: opens
 *							an engine enters; closes, waits for it
 *	begins: pump_seq moved
 */
static bool begin(struct hmm_mm *mm, struct thief *t)
{
	uint32_t closed = atomic_load(&mm->gate.closed);

	atomic_store(&t->busy, 1);
	while (closed & GATE_THIEVES && closed < CLOSED_MAX) {
		if (!atomic_compare_exchange_strong(&mm->gate.closed, &closed, closed + GATE_THIEF))
			continue;
		t->in_turn = atomic_load(&mm->devmem);
		if (atomic_load(&mm->pump_seq) == t->last_seq && !atomic_load(&mm->moving) &&
		    (!t->in_turn ||
		     turn_try(mm, t == &mm->thieves[THIEF_KEEPER] ? TURN_KEEPER : TURN_OTHER)))
			return true;
		break;
	}
	atomic_store(&t->busy, 0);
	return false;
}

static void hand_over(struct thief *t, const struct provider_event *e, uint64_t number)
{
	const uint32_t head = atomic_load(&t->head);

	if (head - atomic_load(&t->tail) == THIEF_EVENTS) {
		atomic_store(&t->overflow, 1);
		return;
	}
	t->event[head % THIEF_EVENTS] = *e;
	t->from[head % THIEF_EVENTS] = t->pid;
	t->kept[head % THIEF_EVENTS] = e->type == PROVIDER_FORK ? (int)e->to : 0;
	t->number[head % THIEF_EVENTS] = number;
	atomic_store(&t->head, head + 1);
}

/*
 * How many events may be read now. Where pages are in device memory none may be lost, as it may say
 * where they belong: then callers wait until the pump has made room.
 */
static int room(struct hmm_mm *mm, const struct thief *t)
{
	const uint32_t left = THIEF_EVENTS - (atomic_load(&t->head) - atomic_load(&t->tail));

	return left < AT_ONCE && atomic_load(&mm->devmem) ? (int)left : AT_ONCE;
}

/* The child of a fork gets copies of what is in device memory: the pump needs its descriptor. */
static int read_some(const struct hmm_mm *mm, struct provider_event *events, int n)
{
	if (atomic_load(&mm->devmem))
		return provider_uffd_read_fork(mm->provider.fd.fd, events, n);
	return mm->provider.ops->read_raw(mm->provider.fd.fd, events, n);
}

void steal_begin(struct thief *t, pid_t pid)
{
	t->pid = pid;
	t->closed = atomic_load(&t->head);
}

void steal_close_fetched(struct thief *t)
{
	for (; t->closed != atomic_load(&t->tail); t->closed++) {
		const int kept = t->kept[t->closed % THIEF_EVENTS];

		if (kept)
			raw3(SYS_close, kept - 1L, 0, 0);
	}
}

bool steal_has_room(const struct thief *t)
{
	return atomic_load(&t->head) - atomic_load(&t->tail) < THIEF_EVENTS;
}

void steal_add(struct hmm_mm *mm, struct thief *t, const struct provider_event *e)
{
	hand_over(t, e, atomic_fetch_add(&mm->stolen, 1));
}

bool steal_read(struct hmm_mm *mm, struct thief *t,
		void (*then)(struct hmm_mm *mm, struct thief *t))
{
	struct provider_event events[AT_ONCE];
	int n;

	if (!begin(mm, t))
		return false;
	while ((n = room(mm, t)) && (n = read_some(mm, events, n)) > 0) {
		for (int i = 0; i < n; i++)
			steal_add(mm, t, &events[i]);
	}
	if (t->in_turn && then)
		then(mm, t);
	else if (t->in_turn)
		turn_end(mm);
	atomic_store(&t->busy, 0);
	return true;
}
