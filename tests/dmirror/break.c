// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* The object with the library inside of it, which breaks the rule that HMM_TEST_BREAK names. */
#include "base/mutation.h"

#include <stdlib.h>

static void __attribute__((constructor)) break_rule(void)
{
	const char *name = getenv("HMM_TEST_BREAK");

	if (name && hmm_mutation_set(name))
		abort();
}
