// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* A hostile thread: owns every HOSTILES-th slot and does one operation after the other to them. */
#include <errno.h>
#include <stdio.h>
#include "ops.h"

#define FORCE_ONE_IN 8
#define FORCE_ONE_IN_LONG 128 /* what it loses in windows it gains in operations */
#define HEAVY_LONG 16

static void choose_pages(struct op_run *run, const struct op *op)
{
	run->lo = 0;
	run->hi = PAGES;
	switch (op->hits) {
	case PAGES_ANY:
		run->lo = rng_below(run->rng, PAGES);
		run->hi = run->lo + 1 + rng_below(run->rng, PAGES - run->lo);
		break;
	case PAGES_TAIL:
		run->lo = rng_below(run->rng, PAGES);
		break;
	case PAGES_TAIL_KEEP:
		run->lo = 1 + rng_below(run->rng, PAGES - 1);
		break;
	case PAGES_HEAD:
		run->hi = 1 + rng_below(run->rng, PAGES - 1);
		break;
	case PAGES_ALL:
		break;
	}
}

/* Operations that take milliseconds are rare in a long run. */
static unsigned int weight_of(const struct torture *t, const struct slot *slot, unsigned int i)
{
	const struct op *op = &ops_table[i];

	if (t->policy[slot->id][i] < OP_PLAIN)
		return 0;
	return op->heavy && t->opt.longer ? op->weight : op->weight * HEAVY_LONG;
}

static unsigned int choose_op(struct torture *t, const struct slot *slot, struct rng *rng)
{
	unsigned int i, sum = 0, pick;

	for (i = 0; i < ops_count; i++)
		sum += weight_of(t, slot, i);
	pick = rng_below(rng, sum);
	for (i = 0; pick >= weight_of(t, slot, i); i++)
		pick -= weight_of(t, slot, i);
	return i;
}

/* The window that this operation was held in least. */
static enum window choose_window(struct torture *t, unsigned int op, struct rng *rng)
{
	enum window best = WINDOW_READ;
	uint64_t least = UINT64_MAX;
	unsigned int i, first = rng_below(rng, WINDOW_NR);

	for (i = 0; i < WINDOW_NR; i++) {
		unsigned int w = (first + i) % WINDOW_NR;
		uint64_t n = atomic_load(&t->windows.forced[op][w]);

		/*
		 * `changed` lasts where the kernel lets go of its lock before it frees pages:
		 * munmap. Elsewhere it is a matter of luck, so it is not tried for ever.
		 */
		if (w == WINDOW_CHANGED && (ops_table[op].effect != EFFECT_BEFORE ||
					    (ops_table[op].run != op_munmap && rng_below(rng, 4))))
			continue;
		if (window_available((enum window)w) && n < least) {
			least = n;
			best = (enum window)w;
		}
	}
	return best;
}

/* The operation on this slot that was held in windows least; ops_count: none has an event. */
static unsigned int choose_forced(struct torture *t, const struct slot *slot, struct rng *rng)
{
	unsigned int j, w, best = ops_count, first = rng_below(rng, ops_count);
	uint64_t least = UINT64_MAX;

	for (j = 0; j < ops_count; j++) {
		unsigned int i = (first + j) % ops_count;
		uint64_t n = 0;

		if (t->policy[slot->id][i] < OP_PLAIN || ops_table[i].no_event)
			continue;
		for (w = 0; w < WINDOW_NR; w++)
			n += atomic_load(&t->windows.forced[i][w]);
		if (n < least) {
			least = n;
			best = i;
		}
	}
	return best;
}

/* Another change in flight would refuse every use in the window for the wrong reason. */
static void wait_alone(struct torture *t, unsigned int self)
{
	unsigned int i;

	for (i = 0; i < HOSTILES; i++)
		while (i != self && atomic_load(&t->busy[i]) && !atomic_load(&t->stop))
			tort_pause(20000);
}

static void wait_for_window(struct torture *t)
{
	while (atomic_load(&t->windows.phase) != PHASE_IDLE && !atomic_load(&t->stop))
		tort_pause(20000);
}

static bool try_force(struct op_run *run, unsigned int op_index)
{
	const struct op *op = &ops_table[op_index];
	enum window w = choose_window(run->t, op_index, run->rng);
	bool effect;

	effect = op->effect == EFFECT_BEFORE ||
		 (op->effect == EFFECT_AFTER_READ && w >= WINDOW_READ);
	/* Earlier discards have ended; while they are in doubt nobody takes hold of the page. */
	hmm_mm_note(run->t->mm, HMM_NOTE_DISCARD, run->slot->base,
		    run->slot->base + run->slot->len);
	if (!window_try_arm(run->t, w, run->slot->id, run->hi - 1, op_index, effect))
		return false;
	wait_alone(run->t, run->self);
	return window_wait_ready(run->t);
}

static int restore(struct op_run *run)
{
	int rc;

	tort_munmap(true, run->slot->away, run->slot->len);
	rc = slot_map(run->slot, true, true, run->stamp);
	oracle_removed(run->slot, 0, PAGES, run->stamp);
	if (!rc)
		oracle_stamp(run->slot, 0, PAGES, run->stamp);
	return rc;
}

static void one_operation(struct torture *t, struct rng *rng, struct slot *slot, unsigned int self)
{
	struct beat *b = &t->beats[USERS + self];
	bool force =
		!slot->checked && !rng_below(rng, t->opt.longer ? FORCE_ONE_IN_LONG : FORCE_ONE_IN);
	unsigned int i = force ? choose_forced(t, slot, rng) : ops_count;
	struct op_run run = {
		.t = t, .slot = slot, .rng = rng, .self = self, .raw = rng_below(rng, 2)
	};
	const struct op *op;
	int rc;

	force = i < ops_count;
	if (!force)
		i = choose_op(t, slot, rng);
	op = &ops_table[i];
	choose_pages(&run, op);
	run.note = t->policy[slot->id][i] == OP_NOTED;
	beat(b, op->name);
	run.forced = force && try_force(&run, i);
	if (!run.forced)
		wait_for_window(t);
	atomic_store(&t->busy[self], true);
	run.stamp = oracle_begin(slot);
	atomic_store(&slot->history[run.stamp % 4], op->name);
	rc = op->run(&run);
	/* mremap refuses ranges of which only a part is registered: an earlier operation split the
	 * slot. */
	if (rc == -EFAULT && op->operation >= HMM_OP_MREMAP_MOVE &&
	    op->operation <= HMM_OP_MREMAP_DONTUNMAP)
		rc = restore(&run);
	if (rc == -EOPNOTSUPP) {
		atomic_fetch_add(&t->op_unsupported[i], 1);
		oracle_stamp(slot, 0, PAGES, run.stamp);
		rc = 0;
	}
	oracle_end(slot);
	atomic_store(&t->busy[self], false);
	if (run.forced)
		window_finish(t);
	atomic_fetch_add(&t->op_runs[i], 1);
	if (run.note)
		atomic_fetch_add(&t->op_noted[i], 1);
	if (op->run != op_store)
		atomic_fetch_add(&t->operations, 1);
	if (rc) {
		finding(FINDING_ERROR, "slot %u (%s): %s failed with %d", slot->id,
			kind_name(slot->kind), op->name, rc);
		atomic_store(&t->stop, true);
	}
}

void *hostile_main(void *arg)
{
	struct user_arg *a = arg;
	struct torture *t = a->t;
	struct rng rng = { t->opt.seed * 7919 + 1000 + a->id };

	window_not_pump("hostile");
	while (!atomic_load(&t->stop)) {
		unsigned int i = tort_choose_slot(t, &rng);

		if (i % HOSTILES != a->id)
			continue;
		one_operation(t, &rng, &t->slots[i], a->id);
		/* Room for accepted uses: while anything is in flight all are refused. */
		tort_pause(rng_below(&rng, 60000));
	}
	return NULL;
}
