/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef DELTA_H
#define DELTA_H

/* Deltas, as packs hold them: how to make an object from parts of another and new bytes. */

#include <stddef.h>
#include <stdint.h>

/* Reads a number of a delta; *P moves behind it.  Return: 0, or -EBADMSG if there is none. */
int delta_number(const uint8_t **p, const uint8_t *end, uint64_t *out);

/*
 * Applies the operations in P..END, which follow the two sizes, to BASE. OUT has SIZE bytes.
 * Return: 0, or -EBADMSG if the delta is damaged.
 */
int delta_apply(const uint8_t *p, const uint8_t *end, const char *base, size_t base_size, char *out,
		size_t size);

#endif
