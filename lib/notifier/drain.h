/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * Handling what a log tells (provider/log.h). The first thread that finds something new does it:
 * one that checks a translation, a fault, the pump. Each record is handled once:
 *
 *	beginning	the sequences of the notifiers that overlap change; the change is under way;
 *			the pump is to run the callbacks
 *	end		the change is not under way any more
 *	lost records	as the beginning of a change of everything
 *
 * The sequences have a lock of their own, the log's: callbacks run under the notifiers' lock, and
 * no check waits for a callback. So in a space with a log a sequence changes at any time, also in
 * the middle of a commit section:
 *
 *	commit section			another thread		pump
 *	the sequence is unchanged,
 *	the log is quiet
 *					reads a beginning
 *	installs
 *								closes the gate, waits
 *	ends
 *								runs the callback: what was
 *								installed goes
 *
 * Nobody is told to be valid what was installed in between: its sequence has changed. And no engine
 * is inside a section that counts: it is not let in before the callbacks have run, and its section
 * stands only if nothing was read from its beginning to its end (engine/gate.c).
 *
 * A fault must not read the page table while a change is under way. It takes a sequence, waits for
 * the end of each change that overlaps, and then reads: what begins later changes the sequence.
 */
#ifndef LIB_NOTIFIER_DRAIN_H
#define LIB_NOTIFIER_DRAIN_H

#include "space/space.h"

/* The drain of struct hmm_mm. */
bool log_drain(struct hmm_mm *mm);
/* Waits until no change that overlaps is under way. 0; -ETIME; -ESRCH. Without a log 0. */
int log_wait(struct hmm_mm *mm, uint64_t start, uint64_t end, uint64_t deadline);
/*
 * The pump calls these. What is new in the log is handled; true: callbacks are to be run. Runs
 * callbacks while the gate is closed; true: there are more.
 */
bool log_look(struct hmm_mm *mm);
/* Goes on with the log that is in `next`: everything is invalid. */
void log_switch(struct hmm_mm *mm);
bool log_deliver(struct hmm_mm *mm);
/*
 * The settler calls this: log_settle(), and makes known what came of it. Once the space is attached
 * nobody else may wait for the lock of the address space.
 */
uint32_t log_resolve(struct hmm_mm *mm);
/*
 * For the test at attaching: begins to watch for changes of [start, end); what was seen of them
 * since, as bits of enum watch_kind: only kinds whose end was seen, too. *lost: there may have been
 * others, as something was lost meanwhile.
 */
void log_probe_begin(struct hmm_mm *mm, uint64_t start, uint64_t end);
uint32_t log_probe_seen(struct hmm_mm *mm, bool *lost);

#endif
