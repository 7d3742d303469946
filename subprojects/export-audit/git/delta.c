// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* Deltas, applied. */
#include "git/delta.h"

#include <errno.h>
#include <string.h>

int delta_number(const uint8_t **p, const uint8_t *end, uint64_t *out)
{
	uint64_t v = 0;

	for (unsigned int shift = 0; *p < end && shift < 63; shift += 7) {
		uint8_t c = *(*p)++;

		v |= (uint64_t)(c & 0x7f) << shift;
		if (!(c & 0x80)) {
			*out = v;
			return 0;
		}
	}
	return -EBADMSG;
}

/* A copy operation: the bits of OP say which bytes of the place and the size follow. */
static int copy_args(const uint8_t **p, const uint8_t *end, uint8_t op, size_t *from, size_t *n)
{
	*from = *n = 0;
	for (int i = 0; i < 7; i++) {
		if (!(op >> i & 1))
			continue;
		if (*p == end)
			return -EBADMSG;
		if (i < 4)
			*from |= (size_t) * (*p)++ << 8 * i;
		else
			*n |= (size_t) * (*p)++ << 8 * (i - 4);
	}
	if (!*n)
		*n = 0x10000;
	return 0;
}

int delta_apply(const uint8_t *p, const uint8_t *end, const char *base, size_t base_size, char *out,
		size_t size)
{
	char *to = out, *to_end = out + size;

	while (p < end) {
		uint8_t op = *p++;
		size_t from, n = op;

		if (op & 0x80) {
			if (copy_args(&p, end, op, &from, &n) || from > base_size ||
			    n > base_size - from || n > (size_t)(to_end - to))
				return -EBADMSG;
			memcpy(to, base + from, n);
		} else {
			if (!op || n > (size_t)(end - p) || n > (size_t)(to_end - to))
				return -EBADMSG;
			memcpy(to, p, n);
			p += n;
		}
		to += n;
	}
	return to == to_end ? 0 : -EBADMSG;
}
