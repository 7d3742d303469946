/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef DELTA_H
#define DELTA_H

/* Differences as packs hold them: one object told by what it takes from another. */

#include <stddef.h>
#include <stdint.h>

/* Return, of both: 0; -EBADMSG: it is none. */
int delta_number(const uint8_t **p, const uint8_t *end, uint64_t *out);

/* Behind the two sizes, of BASE and of what comes out. */
int delta_apply(const uint8_t *p, const uint8_t *end, const char *base, size_t base_size, char *out,
		size_t size);

#endif
