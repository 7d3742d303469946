/* SPDX-License-Identifier: GPL-2.0 */
/*
 * sample: a mapping of some kind in some state, the same each time it is made, to be looked at by
 * one target or the other.
 */
#ifndef FIDELITY_SAMPLE_H
#define FIDELITY_SAMPLE_H

#include <stddef.h>
#include <sys/types.h>

struct sample {
	char *map;
	size_t len;      /* of the mapping */
	size_t reserved; /* what destroying it unmaps */
	char *room;
	int fd;
	pid_t child; /* that shares its pages, 0 for none */
};

struct kind {
	const char *name;
	int (*make)(struct sample
			    *s); /* 0, -errno; -ENOENT: not to be had here, and why_not says why */
};

struct state {
	const char *name;
	int (*enter)(struct sample *s); /* 0 or -errno; -ENOENT: does not apply to this kind */
};

extern const struct kind kinds[];
extern const struct state states[];
extern const char *dax_dir, *cached_dir; /* where files are made; NULL: not to be had */
extern const char *why_not;

void sample_destroy(struct sample *s);

#endif
