// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
#include "base/mutation.h"
#include "base/hooks.h"

#include <errno.h>
#include <string.h>

static const struct {
	const char *name;
	const char *text;
} mutations[] = {
#define X(id, name, text) { name, text },
	HMM_MUTATIONS_LIST(X) HMM_MUTATIONS_LOG_LIST(X) HMM_MUTATIONS_AWAY_LIST(X)
		HMM_MUTATIONS_TESTED_LIST(X)
#undef X
};

/* How many mutations the lists have. */
#define X(id, name, text) +1
enum {
	FOUND_BY_TORTURE = HMM_MUTATIONS_LIST(X),
	OF_THE_LOG = HMM_MUTATIONS_LOG_LIST(X),
	OF_DEVICE_MEMORY = HMM_MUTATIONS_AWAY_LIST(X),
};
#undef X

#ifdef HMM_MUTATIONS
unsigned long long hmm_mutations_on; /* written before threads start */
void (*hmm_hook_fn)(enum hmm_point, void *);
void *hmm_hook_arg;
#endif

int hmm_mutation_set(const char *name)
{
#ifdef HMM_MUTATIONS
	if (!name) {
		hmm_mutations_on = 0;
		return 0;
	}
	for (size_t i = 0; i < HMM_MUTATION_NR; i++) {
		if (!strcmp(name, mutations[i].name)) {
			hmm_mutations_on |= 1ULL << i;
			return 0;
		}
	}
	return -EINVAL;
#else
	return name ? -EOPNOTSUPP : 0;
#endif
}

static const char *name_of(size_t i, const char **text)
{
	if (text)
		*text = mutations[i].text;
	return mutations[i].name;
}

const char *hmm_mutation_name(size_t i, const char **text)
{
	return i < FOUND_BY_TORTURE ? name_of(i, text) : NULL;
}

const char *hmm_mutation_log_name(size_t i, const char **text)
{
	return i < OF_THE_LOG ? name_of(FOUND_BY_TORTURE + i, text) : NULL;
}

const char *hmm_mutation_away_name(size_t i, const char **text)
{
	return i < OF_DEVICE_MEMORY ? name_of(FOUND_BY_TORTURE + OF_THE_LOG + i, text) : NULL;
}
