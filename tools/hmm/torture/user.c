// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* A user's thread: what it does while no scene is played. */
#include <stdio.h>
#include <stdlib.h>
#include "user.h"

static char *find_alias(const struct hmm_vma *vma, uint64_t offset, void *arg)
{
	struct torture *t = arg;
	unsigned int i, j;

	for (i = 0; i < t->nslots; i++) {
		struct slot *slot = &t->slots[i];

		for (j = 0; j < OBJECTS && kind_shared(slot->kind); j++)
			if (slot->objects[j].inode == vma->inode && slot->vma == vma->kind &&
			    offset < slot_object_len(slot))
				return slot->objects[j].alias + offset;
	}
	return NULL;
}

/*
 * A page was faulted again, which registered its mapping. That must have invalidated older
 * translations of the other pages, so these are tried.
 */
static void use_others(struct user *u, struct slot *slot, unsigned int page)
{
	unsigned int i;

	for (i = 0; i < PAGES; i++)
		if (i != page && hold_range_page(u->range[slot->id], i)->held)
			user_use_validated(u, slot, i);
}

static void work_on(struct user *u, struct slot *slot, unsigned int page)
{
	unsigned int how = rng_below(&u->rng, 100), i;

	if (slot->checked || how < 60) {
		for (i = 0; i < BURST; i++)
			if (!user_use_validated(u, slot, page))
				break;
		if (i < BURST && user_fault(u, slot, page))
			use_others(u, slot, page);
	} else if (how < 75) {
		if (!user_use_section(u, slot, page))
			user_fault(u, slot, page);
	} else {
		user_write_section(u, slot, page);
	}
}

static void user_free(struct user *u)
{
	struct slot *slot = &u->t->slots[tort_choose_slot(u->t, &u->rng)];
	unsigned int i, first = rng_below(&u->rng, PAGES);
	uint32_t seen = bell_look(&u->t->bell);

	for (i = 0; i < PAGES; i++) {
		unsigned int page = (first + i) % PAGES;

		if (hold_range_page(u->range[slot->id], page)->held || user_fault(u, slot, page))
			work_on(u, slot, page);
	}
	/*
	 * This sleep also proves to the library that the thread is not in the middle of a discard.
	 */
	bell_wait(&u->t->bell, seen, 20000 + rng_below(&u->rng, 200000));
}

static int user_open(struct user *u)
{
	unsigned int i;
	int ret = hold_device_create(u->t->mm, u->t->nslots * PAGES, find_alias, u->t, &u->dev);

	if (!ret)
		ret = hmm_engine_create(u->t->mm, &u->engine);
	for (i = 0; i < u->t->nslots && !ret; i++) {
		struct slot *slot = &u->t->slots[i];

		ret = hold_range_create(u->dev, slot->base, PAGES, slot->stride, &u->range[i]);
	}
	return ret;
}

static void user_close(struct user *u)
{
	unsigned int i;

	for (i = 0; i < u->t->nslots; i++)
		hold_range_destroy(u->range[i]);
	hmm_engine_destroy(u->engine);
	hold_device_destroy(u->dev);
	free(u);
}

static void work(struct user *u)
{
	struct torture *t = u->t;
	uint32_t did = 0;

	while (!atomic_load(&t->stop)) {
		uint32_t seen = bell_look(&t->bell), token;
		enum step step;

		token = scene_look(t, &step);
		beat(t, u->id, step == STEP_FREE ? "user" : "user in a scene");
		if (step == STEP_FREE) {
			user_free(u);
		} else if (token != did) {
			user_do_step(u, token, step);
			did = token;
		} else {
			bell_wait(&t->bell, seen, TICK_NS);
		}
	}
}

void *user_main(void *arg)
{
	struct user_arg *a = arg;
	struct user *u = calloc(1, sizeof(*u));
	struct torture *t = a->t;
	int ret;

	char name[16];

	snprintf(name, sizeof(name), "user %u", a->id);
	window_not_pump(name);
	if (!u)
		return NULL;
	u->t = t;
	u->id = a->id;
	u->rng.s = t->opt.seed * 104729 + a->id;
	u->n = &t->counts[a->id];
	ret = user_open(u);
	if (ret) {
		finding(FINDING_ERROR, "a device could not be set up: %d", ret);
		atomic_store(&t->stop, true);
	}
	work(u);
	beat(t, u->id, "closing");
	user_close(u);
	return NULL;
}
