/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef INFLATE_H
#define INFLATE_H

/* A whole file or standard input in memory, unpacked if it is gzip. */

#include <stddef.h>

/*
 * NAME: "-" is standard input.  *text is malloc()ed, with a NUL behind it.
 * Return: 0; -errno; -EFBIG: over 256 MiB; -EBADMSG: gzip, and damaged.
 */
int read_whole(const char *name, char **text, size_t *len);

#endif
