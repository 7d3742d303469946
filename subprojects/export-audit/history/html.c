// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* Stories as one page that carries its data. */
#include "history/out.h"
#include "report/page.h"

#include <stdlib.h>
#include <string.h>

/* A JavaScript string; "<" could end the script element, and bytes beyond ASCII may be no UTF-8. */
static void string(FILE *f, const char *s)
{
	putc('"', f);
	for (; *s; s++) {
		unsigned char c = (unsigned char)*s;

		if (c == '"' || c == '\\')
			fprintf(f, "\\%c", c);
		else if (c < ' ' || c == '<' || c == 0x7f)
			fprintf(f, "\\x%02x", c);
		else
			putc(c < 0x80 ? c : '?', f);
	}
	putc('"', f);
}

static void array(FILE *f, const char *const *v, int n)
{
	putc('[', f);
	for (int i = 0; i < n; i++) {
		if (i)
			putc(',', f);
		string(f, v[i]);
	}
	putc(']', f);
}

/* Columns that can be chosen from. */
static bool chosen(const char *column)
{
	return !strcmp(column, "verdict") || !strcmp(column, "licence") ||
	       !strcmp(column, "candidate");
}

void history_html_start(FILE *f, const char *const *columns, int n)
{
	page_start(f, "Exported symbols over releases");
	page_script(f);
	fputs("const F=[],S=[", f);
	for (int i = 0; i < n; i++)
		if (chosen(columns[i]))
			fprintf(f, "%d,", i);
	fputs("],H=", f);
	array(f, columns, n);
	fputs(",D=[\n", f);
}

void history_html_row(FILE *f, const char *const *cells, int n)
{
	array(f, cells, n);
	fputs(",\n", f);
}

void history_html_end(FILE *f)
{
	fputs("];\n", f);
	page_end(f);
}
