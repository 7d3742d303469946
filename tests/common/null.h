/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/* null: svm.h with the null device, whose entries can be looked at. */
#ifndef TESTS_NULL_H
#define TESTS_NULL_H

#include "common/svm.h"

static inline int open_null(void **state)
{
	struct mirror *m = calloc(1, sizeof(*m));

	mirror_open(m, "null", 1, NULL);
	*state = m;
	return 0;
}

static inline int close_mirror(void **state)
{
	mirror_close(*state);
	free(*state);
	return 0;
}

/* What the device holds for an address. */
static inline uint64_t entry(struct mirror *m, const void *p)
{
	return hmm_ptable_lookup(hmm_device_priv(m->dev), at(p), NULL);
}

static inline unsigned int entries(struct mirror *m, const char *p, size_t bytes)
{
	unsigned int n = 0;

	for (size_t i = 0; i < bytes; i += PAGE)
		n += entry(m, p + i) != 0;
	return n;
}

#define T(name) cmocka_unit_test_setup_teardown(name, open_null, close_mirror)

#endif
