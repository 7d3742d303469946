/* SPDX-License-Identifier: GPL-2.0 */
/* place: filesystems to run on: what they are, proven by trying. */
#ifndef DAX_PLACE_H
#define DAX_PLACE_H

#include "suite.h"

/* Fills in what PATH is. 0 or -errno. */
int place_probe(const char *path, struct place *place);
/*
 * Mounted filesystems worth running on where none were named: those with DAX, and /dev/shm. Returns
 * how many, at most max.
 */
size_t place_find(struct place *places, size_t max);

/* A mounted filesystem, as it has to be mounted again. */
struct mounted {
	char device[128], path[256], type[32];
	char name[64];   /* of the namespace that the device is, where it can be unbound */
	const char *dax; /* the mount option */
};

/*
 * Does the filesystem that path lies on know which files a block belongs to, so that it can be told
 * of its loss?
 */
bool place_knows_owners(const char *path);
/* revive.c: 0 or -errno. Takes the device from under the filesystem that path lies on. */
int place_unbind(const char *path);
/* Before a case that shuts a filesystem down, and after it: mounted anew, on its device. */
int place_save(const struct place *place, struct mounted *saved);
int place_revive(const struct mounted *saved);

/* Removes a folder and all in it. */
void place_remove(const char *dir);

#endif
