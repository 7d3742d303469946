/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * story: what happened to each slot lately, on which thread and when. A stale use is seen long
 * after the change that made it stale, so the story of its slot is printed with a finding.
 */
#ifndef TOOLS_HMM_TORTURE_STORY_H
#define TOOLS_HMM_TORTURE_STORY_H

#include <stdint.h>

#define STORY_LINES 128

/*
 * Adds an event to a slot's story: @what is a constant string, the others are numbers that are
 * printed with it. May be called on any thread, the pump included.
 */
void story(unsigned int slot, const char *what, uint64_t a, uint64_t b, uint64_t c);
/* Keeps a copy of the slot's story. Only the first call does. */
void story_keep(unsigned int slot);
/* Writes line i of the copy, oldest first. 0: there are no more. */
int story_line(unsigned int i, char *line, unsigned int len);

#endif
