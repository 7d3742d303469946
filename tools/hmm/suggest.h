/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/* "did you mean": the known name that is nearest to a mistyped one. */
#ifndef TOOLS_HMM_SUGGEST_H
#define TOOLS_HMM_SUGGEST_H

#include <stddef.h>

struct suggestion {
	const char *typed;
	size_t length; /* of typed */
	const char *best;
	size_t distance;
};

struct suggestion suggest(const char *typed);
void suggest_one(struct suggestion *s, const char *name);

/*
 * " (did you mean 'NAME'?)", with these dashes before the name; "" if nothing is near. out has
 * room for 64.
 */
const char *did_you_mean(char *out, const struct suggestion *s, const char *dashes);

#endif
