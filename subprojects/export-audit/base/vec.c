// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* A growing array. */
#include "base/vec.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int vec_push(struct vec *v, const void *item, size_t size)
{
	if (v->n + size > v->cap) {
		size_t cap = (v->n + size) * 2;
		char *grown = realloc(v->data, cap);

		if (!grown)
			return -ENOMEM;
		v->data = grown;
		v->cap = cap;
	}
	if (size)
		memcpy(v->data + v->n, item, size);
	v->n += size;
	return 0;
}
