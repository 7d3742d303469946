// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* One operation, from its stamp to its counts. */
#include <errno.h>
#include "ops.h"
#include "story.h"

void operate_choose_pages(struct op_run *run)
{
	run->lo = 0;
	run->hi = PAGES;
	switch (ops_table[run->op].hits) {
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
	case PAGES_FIRST:
		run->hi = 1;
		break;
	case PAGES_ALL:
		break;
	}
}

static int restore(struct op_run *run)
{
	int ret;

	/*
	 * Window and latch are for another operation. They would be opened by this one, or wait for
	 * nobody.
	 */
	window_disarm(run->t);
	latch_drop(&run->t->latch);
	tort_munmap(true, run->slot->away, run->slot->len);
	/* Attaching a segment over another raises no event, so the old one is unmapped first. */
	if (run->slot->kind == KIND_SYSV)
		tort_munmap(true, run->slot->base, run->slot->len);
	ret = slot_map(run->slot, run->slot->kind != KIND_SYSV, true, run->stamp);
	story(run->slot->id, "mapped afresh: status, object", (uint64_t)-ret, run->slot->object, 0);
	oracle_removed(run->slot, 0, PAGES, run->stamp);
	if (!ret)
		oracle_stamp(run->slot, 0, PAGES, run->stamp);
	return ret;
}

int operate_freshen(struct op_run *run)
{
	int ret = 0;

	run->stamp = oracle_begin(run->slot);
	if (run->slot->kind != KIND_BRK)
		ret = restore(run);
	oracle_end(run->slot);
	return ret;
}

static uint32_t hit_bits(const struct op_run *run)
{
	uint32_t bits = 0;
	unsigned int user, page;

	for (user = 0; user < USERS; user++)
		for (page = run->lo; page < run->hi; page++)
			bits |= slot_held_bit(user, page);
	return bits;
}

static void account(struct op_run *run, bool held)
{
	struct torture *t = run->t;

	atomic_fetch_add(&t->op_runs[run->op], 1);
	if (run->note)
		atomic_fetch_add(&t->op_noted[run->op], 1);
	if (ops_table[run->op].run == op_store)
		return;
	atomic_fetch_add(&t->operations, 1);
	if (held)
		atomic_fetch_add(&t->operations_on_held, 1);
}

void operate(struct op_run *run)
{
	const struct op *op = &ops_table[run->op];
	struct torture *t = run->t;
	struct slot *slot = run->slot;
	bool held = atomic_load(&slot->held) & hit_bits(run);
	int ret;

	run->note = t->policy[slot->id][run->op] == OP_NOTED;
	run->stamp = oracle_begin(slot);
	atomic_store(&slot->history[run->stamp % 4], op->name);
	story(slot->id, op->name, run->stamp, run->lo, run->hi);
	ret = op->run(run);
	/*
	 * mremap refuses a range of which only a part is registered: an earlier operation has split
	 * the slot.
	 */
	if (ret == -EFAULT && op->operation >= HMM_OP_MREMAP_MOVE &&
	    op->operation <= HMM_OP_MREMAP_DONTUNMAP)
		ret = restore(run);
	if (ret == -EOPNOTSUPP) {
		atomic_fetch_add(&t->op_unsupported[run->op], 1);
		oracle_stamp(slot, 0, PAGES, run->stamp);
		ret = 0;
	}
	oracle_end(slot);
	story(slot->id, "done: stamp, status", run->stamp, (uint64_t)-ret, 0);
	if (op->effect != EFFECT_QUIET)
		atomic_fetch_and(&slot->held, ~hit_bits(run));
	account(run, held);
	if (ret) {
		finding(FINDING_ERROR, "slot %u (%s): %s failed with %d", slot->id,
			kind_name(slot->kind), op->name, ret);
		atomic_store(&t->stop, true);
	}
}
