/* SPDX-License-Identifier: GPL-2.0 */
/* compare: what two targets say of the same sample. */
#ifndef FIDELITY_COMPARE_H
#define FIDELITY_COMPARE_H

#include "target.h"

enum verdict { SAME, LESS, EXPLAINED, DIFFERENT };

struct answer {
	int result;
	size_t n;
	struct entry *entries;
	uint64_t ns;
};

/*
 * What differs, and why that is right; NULL for SAME and for what nobody has explained. page: the
 * first that differs.
 */
enum verdict compare(const char *kind, const char *state, unsigned int request,
		     const struct answer *kernel, const struct answer *libhmm, size_t *page,
		     const char **why);

#endif
