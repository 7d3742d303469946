// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * A hostile thread owns every HOSTILES-th slot and does one operation after the other to them. In
 * the drill, which comes first, one of these threads forces every operation into every window. Then
 * all work freely, and now and then force what was forced least.
 */
#include <stdio.h>
#include "ops.h"

#define FORCE_ONE_IN 64
#define HEAVY_ONE_IN 8 /* operations that take milliseconds are so much rarer */
#define DRILL_TRIES 8
#define BRAKE_TRIES 40 /* the brake does not catch a call every time */
#define LOOKS 4
#define NOTHING_HELD_NS 30000

static unsigned int weight_of(const struct torture *t, const struct slot *slot, unsigned int i)
{
	if (t->policy[slot->id][i] < OP_PLAIN)
		return 0;
	return ops_table[i].weight * (ops_table[i].heavy ? 1 : HEAVY_ONE_IN);
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

/*
 * Chooses one of the thread's slots, if possible one of which a device has a translation: in others
 * nothing can become stale.
 */
static struct slot *choose_slot(struct torture *t, struct rng *rng, unsigned int self)
{
	struct slot *slot = NULL;
	unsigned int i;

	for (i = 0; i < LOOKS;) {
		unsigned int id = tort_choose_slot(t, rng);

		if (id % HOSTILES != self)
			continue;
		slot = &t->slots[id];
		if (atomic_load(&slot->held))
			return slot;
		i++;
	}
	tort_pause(NOTHING_HELD_NS);
	return slot;
}

static void force_the_rarest(struct torture *t, struct rng *rng, struct slot *slot,
			     unsigned int self)
{
	unsigned int i, w, best = ops_count, in = 0, first = rng_below(rng, ops_count);
	uint64_t least = UINT64_MAX;

	for (i = 0; i < ops_count; i++) {
		unsigned int op = (first + i) % ops_count;

		for (w = 0; w < WINDOW_NR; w++) {
			uint64_t n = atomic_load(&t->windows.forced[op][w]);

			if (n >= least || force_why_not(t, op, slot, w))
				continue;
			least = n;
			best = op;
			in = w;
		}
	}
	if (best < ops_count) {
		beat(t, USERS + self, ops_table[best].name);
		force(t, rng, self, slot, best, in, false);
	}
}

static void one_operation(struct torture *t, struct rng *rng, unsigned int self)
{
	struct slot *slot = choose_slot(t, rng, self);
	struct op_run run = {
		.t = t, .slot = slot, .rng = rng, .self = self, .raw = rng_below(rng, 2)
	};

	if (!rng_below(rng, FORCE_ONE_IN)) {
		force_the_rarest(t, rng, slot, self);
		return;
	}
	run.op = choose_op(t, slot, rng);
	operate_choose_pages(&run);
	beat(t, USERS + self, "its turn");
	scene_wait_turn(t);
	beat(t, USERS + self, ops_table[run.op].name);
	operate(&run);
	scene_end_turn(t);
}

/* The n-th slot on which the operation can be forced into the window; NULL: there are fewer. */
static struct slot *nth_slot(struct torture *t, unsigned int op, enum window w, unsigned int n)
{
	unsigned int i;

	for (i = 0; i < t->nslots; i++)
		if (!force_why_not(t, op, &t->slots[i], w) && !n--)
			return &t->slots[i];
	return NULL;
}

/*
 * In so many rounds each operation comes to all its windows. Already in the first round all windows
 * have some operation, except for the announced discard: that takes longest on a busy machine.
 */
static enum window window_in_round(const struct torture *t, unsigned int op, unsigned int round)
{
	switch (ops_table[op].effect) {
	case EFFECT_SILENT:
		return t->log ? (op + round) % WINDOW_NR : WINDOW_CHANGED;
	case EFFECT_ANNOUNCED:
		/* from WINDOW_CHANGED, which these do not have, to WINDOW_ANNOUNCED */
		return round;
	default:
		return (op + round) % WINDOW_NR;
	}
}

static void drill_one(struct torture *t, struct rng *rng, unsigned int op, unsigned int round)
{
	enum window w = window_in_round(t, op, round);
	unsigned int n = round, try;

	if (!nth_slot(t, op, w, 0) || atomic_load(&t->op_unsupported[op]))
		return;
	if (!nth_slot(t, op, w, n)) {
		if (ops_table[op].effect == EFFECT_SILENT && !t->log)
			return; /* it was done on all slots already */
		n = 0;
	}
	for (try = 0; try < (w == WINDOW_ANNOUNCED ? BRAKE_TRIES : DRILL_TRIES); try++, n++) {
		struct slot *slot = nth_slot(t, op, w, n);

		if (!slot)
			slot = nth_slot(t, op, w, n = 0);
		beat(t, USERS, ops_table[op].name);
		if (force(t, rng, 0, slot, op, w, !round && w == WINDOW_READ) ||
		    atomic_load(&t->op_unsupported[op]) || atomic_load(&t->stop) || findings_all())
			return;
	}
}

/* Forces every operation into every window. */
static void drill(struct torture *t, struct rng *rng)
{
	unsigned int round, op;

	for (round = 0; round < WINDOW_NR; round++)
		for (op = 0; op < ops_count && !atomic_load(&t->stop) && !findings_all(); op++)
			drill_one(t, rng, op, round);
}

void *hostile_main(void *arg)
{
	struct user_arg *a = arg;
	struct torture *t = a->t;
	struct rng rng = { t->opt.seed * 7919 + 1000 + a->id };

	window_not_pump("hostile");
	if (t->drilling) {
		if (!a->id)
			drill(t, &rng);
		atomic_fetch_add(&t->drilled, 1);
		beat(t, USERS + a->id, NULL);
		return NULL;
	}
	while (!atomic_load(&t->stop))
		one_operation(t, &rng, a->id);
	return NULL;
}
