// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* JSON for programs: one object a symbol, written one by one to stay small in memory. */
#include "base/clean.h"
#include "scan/report.h"
#include "text/export.h"

#include <errno.h>
#include <json-c/json.h>

static struct json_object *text(const char *s)
{
	char clean[2048];

	clean_text(s, clean, sizeof(clean));
	return json_object_new_string(clean);
}

static struct json_object *symbol(const struct report *r, const struct row *row)
{
	const struct graph_symbol *s = row->symbol;
	struct json_object *o = json_object_new_object(), *sites = json_object_new_array(),
			   *consumers = json_object_new_array();

	json_object_object_add(o, "name", text(s->name));
	json_object_object_add(o, "file", text(site_path(r, s)));
	json_object_object_add(o, "line", json_object_new_int64(s->sites[0].line));
	json_object_object_add(o, "licence", text(licence_name(s->licence)));
	json_object_object_add(o, "variant", text(variant_name(s->variant)));
	json_object_object_add(o, "namespace", text(s->ns));
	json_object_object_add(o, "subsystem", text(row->subsystem));
	json_object_object_add(o, "verdict", text(verdict_name(s->verdict)));
	json_object_object_add(o, "reason", text(s->reason));
	for (uint32_t i = 1; i < s->n_sites; i++)
		json_object_array_add(sites, text(r->files[s->sites[i].file].path));
	for (uint32_t i = 0; i < s->n_consumers; i++)
		json_object_array_add(consumers, text(r->files[s->consumers[i]].path));
	json_object_object_add(o, "also_exported_by", sites);
	json_object_object_add(o, "consumers", consumers);
	return o;
}

int report_json(const struct report *r, FILE *out)
{
	fputs("{\"symbols\": [", out);
	for (uint32_t i = 0; i < r->n_rows; i++) {
		struct json_object *o = symbol(r, &r->rows[i]);
		const char *s = json_object_to_json_string_ext(o, JSON_C_TO_STRING_NOSLASHESCAPE);

		fprintf(out, "%s\n%s", i ? "," : "", s ? s : "{}");
		json_object_put(o);
	}
	fputs("\n]}\n", out);
	return ferror(out) ? -EIO : 0;
}
