// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* One page that carries its data, all consumers as well. */
#include "base/clean.h"
#include "report/page.h"
#include "scan/report.h"
#include "text/export.h"

#include <errno.h>
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

/* JSON inside a script element: "</" would end it. */
static void script_text(const char *s, FILE *out)
{
	for (; *s; s++) {
		if (*s == '<')
			fputs("\\u003c", out);
		else
			fputc(*s, out);
	}
}

static void markup(const char *s, FILE *out)
{
	char text[1024];

	clean_text(s, text, sizeof(text));
	for (const char *p = text; *p; p++) {
		if (*p == '<')
			fputs("&lt;", out);
		else if (*p == '&')
			fputs("&amp;", out);
		else
			fputc(*p, out);
	}
}

static struct json_object *text(const char *s)
{
	char clean[2048];

	clean_text(s, clean, sizeof(clean));
	return json_object_new_string(clean);
}

static void print(struct json_object *o, FILE *out)
{
	script_text(json_object_to_json_string_ext(o, JSON_C_TO_STRING_NOSLASHESCAPE), out);
	json_object_put(o);
}

/* Consumers are numbers: of files, in the order in which they are first met. */
static void data(const struct report *r, const struct row *row, const uint32_t *numbers, FILE *out)
{
	const struct graph_symbol *s = row->symbol;
	struct json_object *a = json_object_new_array(), *c = json_object_new_array();
	char place[1200];

	snprintf(place, sizeof(place), "%s:%u", site_path(r, s), s->sites[0].line);
	json_object_array_add(a, text(s->name));
	json_object_array_add(a, text(licence_name(s->licence)));
	json_object_array_add(a, text(verdict_name(s->verdict)));
	json_object_array_add(a, text(place));
	json_object_array_add(a, text(row->subsystem));
	json_object_array_add(a, text(s->reason));
	for (uint32_t i = 0; i < s->n_consumers; i++)
		json_object_array_add(c, json_object_new_int64(numbers[s->consumers[i]] - 1));
	json_object_array_add(a, c);
	print(a, out);
}

/* The files that consume, each once, as F; their numbers, from 1. */
static uint32_t *files(const struct report *r, FILE *out)
{
	uint32_t last = 0, n = 0, *numbers;

	for (uint32_t i = 0; i < r->n_rows; i++)
		for (uint32_t k = 0; k < r->rows[i].symbol->n_consumers; k++)
			if (r->rows[i].symbol->consumers[k] > last)
				last = r->rows[i].symbol->consumers[k];
	numbers = calloc(last + 1ull, sizeof(*numbers));
	fputs("const F=[", out);
	for (uint32_t i = 0; numbers && i < r->n_rows; i++)
		for (uint32_t k = 0; k < r->rows[i].symbol->n_consumers; k++) {
			uint32_t f = r->rows[i].symbol->consumers[k];

			if (numbers[f])
				continue;
			fputs(n ? ",\n" : "\n", out);
			numbers[f] = ++n;
			print(text(r->files[f].path), out);
		}
	fputs("];\n", out);
	return numbers;
}

int report_html(const struct report *r, FILE *out)
{
	uint32_t *numbers;

	page_start(out, "Exported symbols and their consumers");
	fputs("<p>Tree: ", out);
	markup(r->tree, out);
	fputs("</p>\n<pre>\n", out);
	report_summary(r, out);
	fputs("</pre>\n", out);
	page_script(out);
	fputs("const "
	      "H=['symbol','licence','verdict','file','subsystem','reason','consumers'],S=[2,1];\n",
	      out);
	numbers = files(r, out);
	fputs("const D=[", out);
	for (uint32_t i = 0; numbers && i < r->n_rows; i++) {
		fputs(i ? ",\n" : "\n", out);
		data(r, &r->rows[i], numbers, out);
	}
	fputs("];\n", out);
	page_end(out);
	if (!numbers || ferror(out)) {
		free(numbers);
		return -EIO;
	}
	free(numbers);
	return 0;
}
