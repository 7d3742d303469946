/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * Public structures that begin with their size, a uint32_t, and grow at their ends. The caller may
 * have been built with an older header than the library, or with a newer one. hmm(7) has the rule
 * for callers:
 *
 *	in	what a shorter one lacks is 0; a longer one is taken if what the library does not
 *	know is 0 out	no more is written than the caller has room for; what the library does not
 *	know is 0
 *
 * So 0 in a member that is added later must mean what was done before there was one.
 */
#ifndef LIB_BASE_GROW_H
#define LIB_BASE_GROW_H

#include <stddef.h>

/* The size of a structure that ends with this member: the least that a call needs. */
#define GROW_LEAST(type, member) (offsetof(type, member) + sizeof(((type *)0)->member))

/*
 * May it be used where it lies, up to its own size? `size` is the library's. 0; -EINVAL it is NULL
 * or shorter than `least`; -E2BIG it is longer and says something that the library does not know.
 */
int grow_check(const void *from, size_t size, size_t least);
/*
 * Makes the library's structure of the caller's. Returns as grow_check(), and then leaves *to
 * alone.
 */
int grow_take(void *to, size_t size, const void *from, size_t least);
/* Is there room for an answer? 0; -EINVAL; -E2BIG no structure is that long. */
int grow_room(const void *to, size_t least);
/* Writes the library's structure into the caller's, whose size stays. */
void grow_give(void *to, const void *from, size_t size);

#endif
