/* SPDX-License-Identifier: GPL-2.0 */
/* place: filesystems to run on: what they are, proven by trying. */
#ifndef DAX_PLACE_H
#define DAX_PLACE_H

#include "suite.h"

/* Fills in what PATH is. 0 or -errno. */
int place_probe(const char *path, struct place *place);
/* Mounted filesystems worth running on where none were named: those with DAX, and /dev/shm. Returns how many, at most max. */
size_t place_find(struct place *places, size_t max);
/* Removes a folder and all in it. */
void place_remove(const char *dir);

#endif
