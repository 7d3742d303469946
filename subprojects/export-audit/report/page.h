/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef PAGE_H
#define PAGE_H

/*
 * A table as one page that needs nothing else: sorted by a click on a heading, searched as one
 * types, in pages, and all of that in the address, so that a view can be passed on.
 */

#include <stdio.h>

/* Up to where the table's own text may follow. */
void page_start(FILE *out, const char *title);
/*
 * Starts the script, in which the caller defines
 *	H	headings
 *	S	columns that can be chosen from, by number
 *	D	rows; a cell is a string, a number, or (if F is not empty) a list of numbers in F
 *	F	texts that lists mean
 * and page_end() ends it.
 */
void page_script(FILE *out);
void page_end(FILE *out);

#endif
