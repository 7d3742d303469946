/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef FOLDER_H
#define FOLDER_H

/*
 * Which folders the Makefiles descend into: a list in a folder that no Makefile reaches builds
 * nothing. Used by built.c and members.c. A folder is known by a number, from 1.
 */

#include <stdbool.h>
#include <stdint.h>

#include "kbuild/mention.h"

struct folders;

int folders_new(const struct mentions *mentions, struct folders **out);
void folders_free(struct folders *f);

/* The number of the folder; 0: no memory. */
uint32_t folders_add(struct folders *f, const char *path);
/* Notes that its Makefile has lists. */
void folders_lists(struct folders *f, uint32_t folder);
/*
 * Notes that a list of its Makefile descends into another folder; live: an option can enable the
 * list.
 */
int folders_descend(struct folders *f, uint32_t folder, const char *into, bool live);
/* To be called after all Makefiles. */
bool folders_reached(struct folders *f, uint32_t folder);

#endif
