// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * Reading under a sequence, and validated use (rule 2 in docs/protocol.md):
 *
 *	valid = pump idle, sequence unchanged, nothing in flight, pump still idle in the same cycle
 *
 * The probe's answer "nothing in flight" is about an instant between the two looks at pump_seq. If
 * a change took effect before that instant its event was read before it, so a cycle of the pump has
 * begun. Either that cycle is over, and the sequence has changed, or pump_seq is odd or has
 * changed.
 *
 * With a log the question "is it quiet?" takes the probe's place (provider/log.h). If it is not the
 * thread that asks handles what is new (drain.h), and then looks at the sequence.
 */
#include "notifier/drain.h"
#include "notifier/notifier.h"
#include "engine/gate.h"
#include "space/debug.h"
#include "space/probe.h"
#include "space/space.h"
#include "base/deadline.h"
#include "base/hooks.h"
#include "base/mutation.h"

#include <errno.h>

bool hmm_interval_check_retry(const struct hmm_interval_notifier *ni, uint64_t seq)
{
	return atomic_load(&ni->seq) != seq;
}

/* What is being made at this sequence: was there any event since? */
static bool making_changed(const struct hmm_interval_notifier *ni, uint64_t seq)
{
	return atomic_load(&ni->seq) != seq;
}

/* What was made at this sequence: was there an event since that its driver is told of? */
static bool made_changed(const struct hmm_interval_notifier *ni, uint64_t seq)
{
	return atomic_load(&ni->told) > seq || atomic_load(&ni->seq) < seq;
}

bool ni_told(const struct hmm_interval_notifier *ni, uint64_t seq)
{
	return made_changed(ni, seq);
}

static inline __attribute__((always_inline)) bool
disturbed(struct hmm_interval_notifier *ni, uint64_t seq,
	  bool (*changed)(const struct hmm_interval_notifier *ni, uint64_t seq), bool probe)
{
	struct hmm_mm *mm = ni->mm;
	uint64_t pump = atomic_load(&mm->pump_seq);

	if (pump & 1 || changed(ni, seq) || mm_alive(mm) ||
	    ((probe || mm->log) && mm_in_flight_quick(mm)))
		return true;
	hmm_hook(HMM_POINT_PROBED);
	return gate_has_thieves(mm) || atomic_load(&mm->pump_seq) != pump || changed(ni, seq);
}

bool hmm_interval_stale(struct hmm_interval_notifier *ni, uint64_t seq)
{
	DEBUG_CALL(NULL, DEBUG_QUICK);
	return disturbed(ni, seq, made_changed, true);
}

bool hmm_interval_read_retry(struct hmm_interval_notifier *ni, uint64_t seq)
{
	DEBUG_CALL(NULL, DEBUG_QUICK);
	return disturbed(ni, seq, making_changed, true);
}

/*
 * A change whose call has returned is not in flight: its caller was blocked until the event was
 * read. The pump makes pump_seq odd before it reads; another thread that reads counts as a thief.
 * So the reader has either invalidated the range already, or is seen at work:
 *
 *	unmapping thread	pump				user
 *	munmap
 *				pump_seq odd
 *				reads the event
 *	returns
 *								pump_seq is odd: refused
 *				invalidates, pump_seq even
 *								the sequence has changed
 *
 * No caller waits for a log, so there the question is always asked. It costs loads only.
 */
bool ni_stale_ordered(struct hmm_interval_notifier *ni, uint64_t seq)
{
	return disturbed(ni, seq, made_changed, false);
}

void ni_note_kind(struct hmm_interval_notifier *ni, enum hmm_vma_kind kind)
{
	uint32_t checks = HMM_CHECK_FILE;

	if (kind == HMM_VMA_ANON)
		return;
	if (kind == HMM_VMA_SYSV)
		checks = HMM_CHECK_VMA;
	if (checks & ~atomic_load(&ni->kinds))
		atomic_fetch_or(&ni->kinds, checks);
}

uint32_t ni_kinds(const struct hmm_interval_notifier *ni)
{
	return atomic_load(&ni->kinds);
}

int ni_read_begin(struct hmm_interval_notifier *ni, uint64_t deadline, uint64_t *seq)
{
	struct hmm_mm *mm = ni->mm;

	for (unsigned int round = 0;; round++) {
		if (mm_alive(mm) || (!(atomic_load(&mm->pump_seq) & 1) &&
				     !atomic_load(&mm->moving) && !(mm->log && mm_in_flight(mm))))
			break;
		if (deadline_passed(deadline) && !hmm_mutation(HMM_MUTATION_NO_DEADLINE))
			return -ETIME;
		deadline_spin(round);
	}
	*seq = atomic_load(&ni->seq);
	return 0;
}

uint64_t hmm_interval_read_begin(struct hmm_interval_notifier *ni)
{
	DEBUG_CALL(ni->mm, DEBUG_BLOCKS);
	uint64_t seq = 0;

	ni_read_begin(ni, 0, &seq);
	log_wait(ni->mm, ni->node.start, ni->node.end, 0);
	return seq;
}
