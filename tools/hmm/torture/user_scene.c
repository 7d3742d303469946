// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* What a user does in each step of a scene. */
#include "user.h"

#define HOLD_TRIES 3
#define RUN_NS 500000 /* first pause between uses; it grows while nothing happens */
#define RUN_MAX_NS 8000000

static void hold(struct user *u, struct slot *slot, unsigned int page)
{
	unsigned int i;

	for (i = 0; i < HOLD_TRIES && !user_has(u, slot, page); i++)
		user_fault(u, slot, page);
	if (user_has(u, slot, page))
		atomic_fetch_or(&u->t->scene.held, 1U << u->id);
}

/* The first user works in sections if the slot permits that. The others validate each use. */
static void run(struct user *u, struct slot *slot, unsigned int page, uint32_t token)
{
	bool section = !u->id && !slot->checked;
	uint64_t pause = RUN_NS;
	bool mine =
		section ? user_has(u, slot, page) : hold_range_page(u->range[slot->id], page)->held;

	if (!section || !mine)
		scene_ack(u->t, token, u->id);
	for (; mine && scene_goes_on(u->t, token); pause += pause < RUN_MAX_NS ? pause : 0) {
		uint32_t seen = bell_look(&u->t->bell);

		if (section)
			user_stay_in_section(u, slot, page, token,
					     atomic_load(&u->t->scene.patient));
		else
			user_use_validated(u, slot, page);
		bell_wait(&u->t->bell, seen, pause);
	}
}

/* The translation was invalidated, the page is still there, and the discard is about to take it. */
static void fault_again(struct user *u, struct slot *slot, unsigned int page)
{
	int window = window_use_begin(u->t);

	if (!(atomic_load(&u->t->scene.held) & 1U << u->id))
		return;
	if (u->t->log)
		user_fault_soon(u, slot, page);
	else
		user_fault(u, slot, page);
	window_use_end(u->t, window, u->id);
}

static void try_held(struct user *u, struct slot *slot, unsigned int page)
{
	unsigned int i;

	for (i = 0; i < PAGES; i++)
		if (hold_range_page(u->range[slot->id], i)->held)
			user_use_validated(u, slot, i);
	if (!slot->checked && user_has(u, slot, page))
		user_use_section(u, slot, page);
}

/*
 * No operation is under way any more, so a translation that is faulted now is right and stays
 * usable.
 */
static void use_anew(struct user *u, struct slot *slot, unsigned int page)
{
	unsigned int i;

	if (!user_has(u, slot, page) && !user_fault(u, slot, page))
		return;
	for (i = 0; i < BURST; i++)
		user_use_validated(u, slot, page);
}

void user_do_step(struct user *u, uint32_t token, enum step step)
{
	struct slot *slot = &u->t->slots[atomic_load(&u->t->scene.slot)];
	unsigned int page = atomic_load(&u->t->scene.page);

	switch (step) {
	case STEP_HOLD:
		hold(u, slot, page);
		break;
	case STEP_RUN:
		run(u, slot, page, token);
		break;
	case STEP_FAULT:
		fault_again(u, slot, page);
		break;
	case STEP_AFTER:
		try_held(u, slot, page);
		break;
	case STEP_LAST:
		try_held(u, slot, page);
		use_anew(u, slot, page);
		break;
	case STEP_REFAULT:
		if (u->id == 1 + (token >> 8) % (USERS - 1))
			user_fault(u, slot, (page + 1) % PAGES);
		break;
	case STEP_REST:
	case STEP_FREE:
		break;
	}
	scene_ack(u->t, token, u->id);
}
