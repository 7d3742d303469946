/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef FOLDER_H
#define FOLDER_H

/*
 * Which folders the Makefiles descend into: a list in a folder that none of them reaches
 * builds nothing. Used by built.c only. Folders go by numbers, from 1.
 */

#include <stdbool.h>
#include <stdint.h>

#include "kbuild/mention.h"

struct folders;

int folders_new(const struct mentions *mentions, struct folders **out);
void folders_free(struct folders *f);

/* The number of the folder; 0: no memory. */
uint32_t folders_add(struct folders *f, const char *path);
/* Its Makefile has lists. */
void folders_lists(struct folders *f, uint32_t folder);
/* A list of its Makefile descends into another; live: something can switch it on. */
int folders_descend(struct folders *f, uint32_t folder, const char *into, bool live);
/* After all Makefiles. */
bool folders_reached(struct folders *f, uint32_t folder);

#endif
