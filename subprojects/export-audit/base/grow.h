/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef GROW_H
#define GROW_H

/* Arrays that double: grow_room() makes place for one more element at v[n]. */

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>

static inline int grow_bytes(void **v, size_t n, size_t *cap, size_t size)
{
	size_t want = *cap ? *cap * 2 : 16;
	void *p;

	if (n < *cap)
		return 0;
	p = reallocarray(*v, want, size);
	if (!p)
		return -ENOMEM;
	*v = p;
	*cap = want;
	return 0;
}

#define grow_room(v, n, cap) grow_bytes((void **)&(v), (n), &(cap), sizeof(*(v)))

#endif
