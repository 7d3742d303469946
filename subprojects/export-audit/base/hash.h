/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef HASH_H
#define HASH_H

/* The hash that stands for a name: references are kept as hashes, not as text. */

#include <stddef.h>
#include <stdint.h>
#include <string.h>

static inline uint64_t hash_mix(uint64_t a, uint64_t b)
{
	__uint128_t m = (__uint128_t)a * b;

	return (uint64_t)m ^ (uint64_t)(m >> 64);
}

static inline uint64_t hash_bytes(const char *s, size_t len)
{
	uint64_t h = 0x9e3779b97f4a7c15u ^ len, w;

	while (len > 8) {
		memcpy(&w, s, 8);
		h = hash_mix(h ^ w, 0xa0761d6478bd642fu);
		s += 8;
		len -= 8;
	}
	w = 0;
	memcpy(&w, s, len);
	return hash_mix(h ^ w, 0xe7037ed1a0b428dbu);
}

#endif
