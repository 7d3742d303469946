/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef ENTITIES_H
#define ENTITIES_H

/* Macros and inline functions of all files, numbered; code under conditions that never hold. */

#include "graph/resolve.h"

/* Finds the conditions that never hold, given the options that the tree has. */
int entities_find_dead(struct resolver *r);

/* Numbers them, and lists those that name something. */
int entities_number(struct resolver *r);

/*
 * Does the file see the entity? An entity that is the only one of its name always counts as seen.
 */
bool entity_visible(const struct resolver *r, uint32_t file, uint32_t e);

/* Does a reference of the file itself stand only under conditions that never hold? */
bool dead_ref(const struct resolver *r, uint32_t file, uint64_t ref);
bool dead_entity(const struct resolver *r, uint32_t file, const struct blob_entity *e);

#endif
