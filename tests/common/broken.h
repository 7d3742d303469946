/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * broken: a rule broken for a while, in builds with -Dmutations=true. A test asserts that its rule
 * holds, and where the build can break it, that it would have noticed.
 */
#ifndef TESTS_BROKEN_H
#define TESTS_BROKEN_H

#include <errno.h>
#include "base/mutation.h"

/* Until mend(). False: this build cannot. */
static inline bool break_rule(const char *mutation)
{
	int ret = hmm_mutation_set(mutation);

	assert_true(!ret || ret == -EOPNOTSUPP);
	return !ret;
}

static inline void mend(void)
{
	assert_int_equal(hmm_mutation_set(NULL), 0);
}

#endif
