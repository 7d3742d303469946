/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef ENTITIES_H
#define ENTITIES_H

/* Macros and inline functions of all files, numbered through, and what conditions keep away. */

#include "graph/resolve.h"

/* Guards of all files, against the options that the tree has. */
int entities_find_dead(struct resolver *r);

/* Numbers them, and lists those that name something. */
int entities_number(struct resolver *r);

/* Is the entity the only one of its name, or does the file see it? */
bool entity_visible(const struct resolver *r, uint32_t file, uint32_t e);

/* Does the reference, of the file itself, stand under conditions that never hold? */
bool dead_ref(const struct resolver *r, uint32_t file, uint64_t ref);
bool dead_entity(const struct resolver *r, uint32_t file, const struct blob_entity *e);

#endif
