/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef SECTIONS_H
#define SECTIONS_H

/*
 * The sections of MAINTAINERS, and their patterns. A tree has some ten thousand patterns and as
 * many files with exports. So F: and X: patterns are filed under their directory part before the
 * first wildcard, and a path is tried only against the patterns of its own parent directories.
 * Shared by maintainers.c and match.c.
 */

#include <regex.h>
#include <stdint.h>

#include "maintainers/maintainers.h"
#include "maintainers/pattern.h"

#define NSLOTS 8192u /* a power of two, about the number of patterns */

struct pattern {
	const char *text;
	size_t dirlen; /* length of the wildcard-free directory part */
	uint32_t section;
	int32_t next; /* in the same hash slot, or -1 */
	bool exclude;
};

struct name_pattern {
	regex_t re;
	char literal[PATTERN_LITERAL]; /* occurs in every match; "" when none is known */
	uint32_t section;
};

struct maint {
	char *text;
	struct maint_section *sections;
	struct maint_person *people;
	struct pattern *patterns;
	struct name_pattern *names;
	size_t nsections, npeople, npatterns, nnames;
	size_t csections, cpeople, cpatterns, cnames;
	int32_t slots[NSLOTS];
};

/* The slot of the directory part S. */
uint32_t maint_slot(const char *s, size_t len);

#endif
