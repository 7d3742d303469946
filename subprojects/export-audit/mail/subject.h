/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef SUBJECT_H
#define SUBJECT_H

/*
 * "Re: [RFC PATCH v2 1/3] mm: something": what the subject of a mail says of its place in a series.
 */

#include <stdbool.h>

struct subject {
	bool reply;           /* "Re:" and its kin */
	bool patch;           /* PATCH or RFC in brackets */
	unsigned int version; /* 1 when none is named; higher is newer, a resent one too */
	unsigned int n, of;   /* "1/3"; OF 0: no number */
	const char *plain;    /* the rest, in the string that was given */
};

void subject_parse(const char *s, struct subject *out);

#endif
