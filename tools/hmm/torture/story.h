/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * story: what happened to each slot of late, by whom, when. A stale use is seen long after what made it
 * stale; with a finding the story of its slot is printed.
 */
#ifndef TOOLS_HMM_TORTURE_STORY_H
#define TOOLS_HMM_TORTURE_STORY_H

#include <stdint.h>

#define STORY_LINES 128

/*
 * One more event of a slot: @what stays a constant string, the rest are numbers to go with it. Callable
 * anywhere, the pump included.
 */
void story(unsigned int slot, const char *what, uint64_t a, uint64_t b, uint64_t c);
/* The first time only: keeps what the slot's story is now. */
void story_keep(unsigned int slot);
/* Lines of what was kept, oldest first; 0 when there are no more. */
int story_line(unsigned int i, char *line, unsigned int len);

#endif
