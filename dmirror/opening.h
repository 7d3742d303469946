/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * Openings of the device. The program's descriptor is the end of a pipe, whose other end is ours.
 * So the kernel counts the descriptors of an opening, whichever way they are duplicated, inherited
 * or sent, and says when the last one is closed. The pipe's inode tells whose a descriptor is.
 *
 * A forked child has none: what it inherits mirrors its parent.
 */
#ifndef DMIRROR_OPENING_H
#define DMIRROR_OPENING_H

#include "mirror.h"

/* The next definitions, or the system calls: what is interposed is not called here. */
int next_close(int fd);

/* Makes the list. Called once, by the constructor. */
void openings_init(void);
/* A descriptor, or -errno. */
int opening_open(unsigned int device, int flags);
/* The mirror of a descriptor until opening_put(), or NULL if it is none of the device's. */
struct mirror *opening_get(int fd);
void opening_put(struct mirror *m);
/* Ends the mirrors whose last descriptor was closed. */
void openings_collect(void);

#endif
