/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef HISTORY_OUT_H
#define HISTORY_OUT_H

/* Stories as a table, CSV, JSON or a page; one row at a time. */

#include "history/history.h"

#include <stdio.h>

enum history_format { HISTORY_TABLE, HISTORY_CSV, HISTORY_JSON, HISTORY_HTML };

struct history_row {
	const struct story *story;
	const char *subsystem;
	char *commit; /* that brought the export, or NULL */
};

struct history_printer {
	enum history_format format;
	const struct history *history;
	const char *profile;
	unsigned int deadline;
	FILE *out;
	size_t rows, candidates;
};

void history_print_start(struct history_printer *p);
/* Return: 0 or -ENOMEM. */
int history_print(struct history_printer *p, const struct history_row *row);
void history_print_end(struct history_printer *p);

/* The page; in html.c. */
void history_html_start(FILE *f, const char *const *columns, int n);
void history_html_row(FILE *f, const char *const *cells, int n);
void history_html_end(FILE *f);

#endif
