/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * user: one engine with translations of its own for every slot. It uses them inside sections,
 * where the table alone decides, and by validated use, where only the sequence and the probe do: a
 * translation that a callback took out of the table is still tried that way.
 */
#ifndef TOOLS_HMM_TORTURE_USER_H
#define TOOLS_HMM_TORTURE_USER_H

#include "../../../devices/hold/hold.h"
#include "torture.h"

#define BURST 8

struct user {
	struct torture *t;
	unsigned int id;
	struct rng rng;
	struct hold_device *dev;
	struct hmm_engine *engine;
	struct hold_range *range[SLOTS_MAX];
	struct user_counts *n;
	uint64_t token;
};

/* use.c */

/* Is a translation of the page in the device's table? */
bool user_has(struct user *u, const struct slot *slot, unsigned int page);
/* A fault, and one use of what it gave. True: the translation is there for more. */
bool user_fault(struct user *u, struct slot *slot, unsigned int page);
/* One validated use. True: it was accepted. */
bool user_use_validated(struct user *u, struct slot *slot, unsigned int page);
/* A burst of uses in a section. True: the translation was there. */
bool user_use_section(struct user *u, struct slot *slot, unsigned int page);
/*
 * A section that lasts: until the step is over, or the gate wants to close. Then it stays a little
 * longer, to be seen if nobody waits for it, and long enough if @patient for the program to get to run
 * on meanwhile if it may. Says that it is at it once it is inside.
 */
void user_stay_in_section(struct user *u, struct slot *slot, unsigned int page, uint32_t token,
			  bool patient);
/* A device's write in a section; the program must see it unless something happened to the page. */
void user_write_section(struct user *u, struct slot *slot, unsigned int page);

/* user_scene.c: do this step; token and step of scene_look() */
void user_do_step(struct user *u, uint32_t token, enum step step);

#endif
