/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef VEC_H
#define VEC_H

/* A growing array. It counts bytes; VEC_N() and VEC_AT() are told the type of its elements. */

#include <stddef.h>
#include <stdint.h>

struct vec {
	char *data;
	size_t n, cap; /* bytes */
};

#define VEC_N(v, type) ((uint32_t)((v)->n / sizeof(type)))
#define VEC_AT(v, type, i) (((type *)(void *)(v)->data)[i])

/* Appends ITEM, which has SIZE bytes.  Return: 0 or -ENOMEM. */
int vec_push(struct vec *v, const void *item, size_t size);

#endif
