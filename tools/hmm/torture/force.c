// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * One operation forced into one window: which combinations are possible, and how a scene is played.
 * Users fault a page. The operation runs, and the window is held open. Then each user tries its
 * translation, if it is still in the device's table or still found valid. It tries it again after
 * another page of the memory was faulted: that fault registers and remembers the mapping, and must
 * invalidate translations of an older one.
 */
#include "ops.h"

const char force_excluded[] = "not here";

static const char *window_why_not(enum window w)
{
	if (w == WINDOW_ANNOUNCED)
		return "changed when it is announced";
	return window_available(w) ? NULL : "needs a build with -Dmutations=true";
}

static const char *why_no_event(const struct torture *t, unsigned int op, const struct slot *slot,
				enum window w)
{
	if (t->policy[slot->id][op] == OP_EXACT)
		return window_why_not(w);
	if (w != WINDOW_CHANGED)
		return "no event";
	if (!slot->checked)
		return "no event: nothing to be seen before the program tells";
	/* The checks see a guard, as no page is there until it is removed and the page touched. */
	return t->policy[slot->id][op] == OP_PLAIN || ops_table[op].run == op_guard
		       ? NULL
		       : "no event, and no check sees it: the program tells";
}

static const char *why_not_changed(const struct torture *t, const struct op *op,
				   const struct slot *slot)
{
	switch (op->effect) {
	case EFFECT_ANNOUNCED:
		return "announced before it changes anything";
	case EFFECT_NONE:
		return "contents stay as they are";
	case EFFECT_COPIED:
		return t->latch.forks ? NULL : "no second userfaultfd is told of forks";
	default:
		if (t->latch.fd < 0)
			return "no second userfaultfd";
		return op->latch_kinds & 1U << slot->kind ? NULL : "no room for the latch";
	}
}

static const char *why_not_announced(const struct torture *t, const struct op *op,
				     const struct slot *slot)
{
	if (op->effect == EFFECT_NONE)
		return "contents stay as they are";
	if (op->effect != EFFECT_ANNOUNCED)
		return "changed when it is announced";
	if (!slot->lead)
		return "over before anybody can come in between";
	return t->brake ? NULL : "this host lets no thread be idle (SCHED_IDLE)";
}

const char *force_why_not(const struct torture *t, unsigned int i, const struct slot *slot,
			  enum window w)
{
	const struct op *op = &ops_table[i];

	if (t->policy[slot->id][i] < OP_PLAIN)
		return force_excluded;
	if (op->effect == EFFECT_QUIET)
		return "no event, and contents stay as they are";
	if (op->effect == EFFECT_SILENT)
		return why_no_event(t, i, slot, w);
	if (slot->checked)
		return "forced where it is not used with checks";
	if (op->effect == EFFECT_COPIED && !t->fork_events)
		return "no event without CAP_SYS_PTRACE";
	if (w == WINDOW_CHANGED)
		return why_not_changed(t, op, slot);
	if (w == WINDOW_ANNOUNCED)
		return why_not_announced(t, op, slot);
	return window_why_not(w);
}

/* Do uses count only once the change has taken effect? */
static bool needs_effect(const struct op *op, enum window w)
{
	switch (op->effect) {
	case EFFECT_ANNOUNCED:
		return w >= WINDOW_READ && w <= WINDOW_RESUMED;
	case EFFECT_NONE:
		return false;
	default:
		return true;
	}
}

static bool set_latch(struct op_run *run)
{
	struct slot *slot = run->slot;

	switch (ops_table[run->op].latch) {
	case LATCH_BELOW:
		return latch_set(&run->t->latch, slot->base - LATCH_LEN);
	case LATCH_AWAY:
		return latch_set(&run->t->latch, slot->away);
	case LATCH_LOWEST:
		return latch_set(&run->t->latch, slot_lowest());
	case LATCH_NOWHERE:
		break;
	}
	return false;
}

/* Maps the memory anew, settles its discards, and sets the latch if it is needed. */
static bool prepare(struct op_run *run, enum window w)
{
	struct slot *slot = run->slot;
	struct torture *t = run->t;
	bool silent = ops_table[run->op].effect == EFFECT_SILENT;

	if (!scene_step(t, STEP_REST) || operate_freshen(run))
		return false;
	/*
	 * Earlier discards have ended. While they are pending no user can keep a translation of the
	 * page.
	 */
	hmm_mm_note(t->mm, HMM_NOTE_DISCARD, slot->base - slot->lead, slot->base + slot->len);
	run->lead = w == WINDOW_ANNOUNCED ? slot->lead : 0;
	run->latch = w == WINDOW_CHANGED && !silent;
	if (run->latch || run->lead)
		run->lo = 0; /* the operation hits what lies below the slot, too */
	return !run->latch || set_latch(run);
}

/* Twice, as one user's fault may invalidate the others' translations. */
static unsigned int take_hold(const struct op_run *run)
{
	struct torture *t = run->t;
	unsigned int held;

	if (!scene_step(t, STEP_HOLD))
		return 0;
	atomic_store(&t->scene.held, 0);
	if (!scene_step(t, STEP_HOLD))
		return 0;
	held = atomic_load(&t->scene.held);
	/*
	 * The window does not wait for the first user, which works in sections: it cannot enter one
	 * while the gate is closed.
	 */
	return run->slot->checked ? held : held & ~1U;
}

static bool play(struct op_run *run, enum window w)
{
	const struct op *op = &ops_table[run->op];
	struct torture *t = run->t;
	uint64_t before = atomic_load(&t->windows.forced[run->op][w]);
	unsigned int users = take_hold(run);

	if (!users)
		return false;
	window_arm(t, w, run->op, needs_effect(op, w), users);
	run->forced = scene_step(t, STEP_RUN);
	if (run->forced) {
		operate(run);
		window_finish(t);
	}
	window_disarm(t);
	if (!scene_step(t, STEP_AFTER) || !scene_step(t, STEP_REFAULT))
		return false;
	scene_step(t, STEP_LAST);
	return atomic_load(&t->windows.forced[run->op][w]) != before;
}

bool force(struct torture *t, struct rng *rng, unsigned int self, struct slot *slot,
	   unsigned int op, enum window w, bool patient)
{
	struct op_run run = {
		.t = t, .slot = slot, .rng = rng, .op = op, .self = self, .raw = rng_below(rng, 2)
	};
	bool forks = ops_table[op].effect == EFFECT_COPIED;
	bool forced;

	operate_choose_pages(&run);
	scene_begin(t, slot->id, run.hi - 1);
	atomic_store(&t->scene.patient, patient);
	atomic_store(&t->scene.unpinned, forks);
	if (forks)
		pthread_mutex_lock(&t->latch.forking);
	forced = prepare(&run, w) && play(&run, w);
	latch_drop(&t->latch);
	if (forks)
		pthread_mutex_unlock(&t->latch.forking);
	atomic_store(&t->scene.unpinned, false);
	scene_end(t);
	return forced;
}
