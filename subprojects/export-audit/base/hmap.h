/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef HMAP_H
#define HMAP_H

/* Map from a name hash to a number, with a bitmap in front: most look-ups miss. */

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

#define HMAP_NONE UINT32_MAX
#define HMAP_BLOOM (1u << 20) /* bits: 128 KiB, stays in the second-level cache */

struct hmap {
	uint64_t *keys;
	uint32_t *values;
	uint64_t *bloom;
	uint32_t n, mask;
};

static inline int hmap_init(struct hmap *m, uint32_t expected)
{
	uint32_t size = 1024;

	while (size < expected * 2u && size < 1u << 30)
		size *= 2;
	m->keys = calloc(size, sizeof(*m->keys));
	m->values = malloc(size * sizeof(*m->values));
	m->bloom = calloc(HMAP_BLOOM / 64, sizeof(*m->bloom));
	m->n = 0;
	m->mask = size - 1;
	return m->keys && m->values && m->bloom ? 0 : -ENOMEM;
}

static inline void hmap_fini(struct hmap *m)
{
	free(m->keys);
	free(m->values);
	free(m->bloom);
}

static inline bool hmap_maybe(const struct hmap *m, uint64_t key)
{
	uint64_t bit = (key >> 40) & (HMAP_BLOOM - 1);

	return m->bloom[bit / 64] >> (bit % 64) & 1;
}

static inline uint32_t hmap_get(const struct hmap *m, uint64_t key)
{
	key += !key;
	if (!hmap_maybe(m, key))
		return HMAP_NONE;
	for (uint32_t i = (uint32_t)key & m->mask; m->keys[i]; i = (i + 1) & m->mask)
		if (m->keys[i] == key)
			return m->values[i];
	return HMAP_NONE;
}

static inline int hmap_grow(struct hmap *m)
{
	struct hmap bigger = { .bloom = m->bloom, .n = m->n, .mask = m->mask * 2 + 1 };

	bigger.keys = calloc(bigger.mask + 1ull, sizeof(*bigger.keys));
	bigger.values = malloc((bigger.mask + 1ull) * sizeof(*bigger.values));
	if (!bigger.keys || !bigger.values) {
		free(bigger.keys);
		free(bigger.values);
		return -ENOMEM;
	}
	for (uint32_t i = 0; i <= m->mask; i++) {
		uint32_t j = (uint32_t)m->keys[i] & bigger.mask;

		if (!m->keys[i])
			continue;
		while (bigger.keys[j])
			j = (j + 1) & bigger.mask;
		bigger.keys[j] = m->keys[i];
		bigger.values[j] = m->values[i];
	}
	free(m->keys);
	free(m->values);
	*m = bigger;
	return 0;
}

/* Where the value of the key is; HMAP_NONE in it if the key is new. NULL: no memory. */
static inline uint32_t *hmap_slot(struct hmap *m, uint64_t key)
{
	uint64_t bit;
	uint32_t i;

	key += !key;
	if (m->n >= m->mask / 2 && hmap_grow(m))
		return NULL;
	for (i = (uint32_t)key & m->mask; m->keys[i]; i = (i + 1) & m->mask)
		if (m->keys[i] == key)
			return &m->values[i];
	bit = (key >> 40) & (HMAP_BLOOM - 1);
	m->bloom[bit / 64] |= 1ull << (bit % 64);
	m->keys[i] = key;
	m->values[i] = HMAP_NONE;
	m->n++;
	return &m->values[i];
}

#endif
