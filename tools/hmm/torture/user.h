/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * user: one engine with translations of its own for every slot. It uses them inside sections, in
 * which only the device's table decides, and by validated use, in which only the sequence and the
 * probe do. In the second way it also tries translations that a callback has removed from the
 * table.
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
/* Faults the page and uses the translation once. True: the translation may be used again. */
bool user_fault(struct user *u, struct slot *slot, unsigned int page);
/* The same while a change is under way: a fault that waits for its end gives up soon. */
bool user_fault_soon(struct user *u, struct slot *slot, unsigned int page);
/* Makes one validated use. True: it was accepted. */
bool user_use_validated(struct user *u, struct slot *slot, unsigned int page);
/* Makes a burst of uses in a section. True: the translation was there. */
bool user_use_section(struct user *u, struct slot *slot, unsigned int page);
/*
 * A section that lasts until the step is over or the gate wants to close. Then it goes on a little
 * longer, so that a gate that does not wait for it is noticed; with @patient long enough for the
 * program to run on, if nothing stops it. Acknowledges the step when it is inside.
 */
void user_stay_in_section(struct user *u, struct slot *slot, unsigned int page, uint32_t token,
			  bool patient);
/* A device's write in a section. The program must see it unless the page was changed meanwhile. */
void user_write_section(struct user *u, struct slot *slot, unsigned int page);

/* user_scene.c: does this step; token and step are scene_look()'s */
void user_do_step(struct user *u, uint32_t token, enum step step);

#endif
