// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* Choice of symbols, the table, CSV and totals. */
#include "scan/report.h"
#include "base/clean.h"
#include "base/path.h"
#include "text/export.h"
#include "text/source.h"

#include <errno.h>
#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

static bool chosen(const struct filter *f, const struct source_file *files,
		   const struct graph_symbol *s, const char *subsystem)
{
	bool path = !f->path;

	for (uint32_t i = 0; !path && i < s->n_sites; i++)
		path = path_matches(f->path, files[s->sites[i].file].path);
	return path && (!f->subsystem || strcasestr(subsystem, f->subsystem)) &&
	       (!f->symbol || !fnmatch(f->symbol, s->name, 0)) &&
	       (f->licence < 0 || (int)s->licence == f->licence) &&
	       (f->verdict < 0 || (int)s->verdict == f->verdict);
}

int report_build(const struct graph *g, const struct source_file *files, const struct maint *maint,
		 const struct filter *filter, const char *tree, struct report *out)
{
	const char **by_file = NULL;
	uint32_t last = 0;

	*out = (struct report){ .tree = tree, .graph = g, .files = files };
	for (uint32_t i = 0; i < g->n_symbols; i++)
		last = g->symbols[i].sites[0].file > last ? g->symbols[i].sites[0].file : last;
	out->rows = calloc(g->n_symbols + 1, sizeof(*out->rows));
	by_file = calloc(last + 1ull, sizeof(*by_file)); /* a match takes long, files repeat */
	if (!out->rows || !by_file) {
		free(by_file);
		free(out->rows);
		return -ENOMEM;
	}
	for (uint32_t i = 0; i < g->n_symbols; i++) {
		const struct graph_symbol *s = &g->symbols[i];
		const char **subsystem = &by_file[s->sites[0].file];

		if (!*subsystem)
			*subsystem =
				maint ? maint_subsystem(maint, files[s->sites[0].file].path) : "";
		if (!chosen(filter, files, s, *subsystem))
			continue;
		out->rows[out->n_rows++] = (struct row){ s, *subsystem };
		out->counts[s->verdict][s->licence]++;
	}
	free(by_file);
	return 0;
}

void report_fini(struct report *r)
{
	free(r->rows);
}

int report_table(const struct report *r, bool consumers, FILE *out)
{
	char name[512], reason[1024];

	for (uint32_t i = 0; i < r->n_rows; i++) {
		const struct graph_symbol *s = r->rows[i].symbol;

		clean_text(s->name, name, sizeof(name));
		clean_text(s->reason, reason, sizeof(reason));
		fprintf(out, "%-10s %-5s %-40s %s:%u: %s\n", verdict_name(s->verdict),
			licence_name(s->licence), name, site_path(r, s), s->sites[0].line, reason);
		for (uint32_t k = 0; consumers && k < s->n_consumers; k++)
			fprintf(out, "%17s%s\n", "", r->files[s->consumers[k]].path);
	}
	return ferror(out) ? -EIO : report_summary(r, out);
}

int report_summary(const struct report *r, FILE *out)
{
	uint32_t all[LICENCES] = { 0 };

	fprintf(out, "%-12s %8s %8s %8s\n", "", "GPL", "plain", "all");
	for (int v = 0; v < VERDICTS; v++) {
		const uint32_t *c = r->counts[v];

		fprintf(out, "%-12s %8u %8u %8u\n", verdict_name(v), c[LICENCE_GPL],
			c[LICENCE_PLAIN], c[LICENCE_GPL] + c[LICENCE_PLAIN]);
		all[LICENCE_GPL] += c[LICENCE_GPL];
		all[LICENCE_PLAIN] += c[LICENCE_PLAIN];
	}
	fprintf(out, "%-12s %8u %8u %8u\n", "symbols", all[LICENCE_GPL], all[LICENCE_PLAIN],
		r->n_rows);
	return ferror(out) ? -EIO : 0;
}

static void csv_field(const char *s, char end, FILE *out)
{
	char text[2048];

	clean_text(s, text, sizeof(text));
	fputc('"', out);
	for (const char *p = text; *p; p++) {
		if (*p == '"')
			fputc('"', out);
		fputc(*p, out);
	}
	fputc('"', out);
	fputc(end, out);
}

int report_csv(const struct report *r, FILE *out)
{
	fputs("name,file,line,licence,variant,namespace,subsystem,verdict,reason,consumers,first "
	      "consumer\n",
	      out);
	for (uint32_t i = 0; i < r->n_rows; i++) {
		const struct graph_symbol *s = r->rows[i].symbol;

		csv_field(s->name, ',', out);
		csv_field(site_path(r, s), ',', out);
		fprintf(out, "%u,%s,%s,", s->sites[0].line, licence_name(s->licence),
			variant_name(s->variant));
		csv_field(s->ns, ',', out);
		csv_field(r->rows[i].subsystem, ',', out);
		fprintf(out, "%s,", verdict_name(s->verdict));
		csv_field(s->reason, ',', out);
		fprintf(out, "%u,", s->n_consumers);
		csv_field(s->n_consumers ? r->files[s->consumers[0]].path : "", '\n', out);
	}
	return ferror(out) ? -EIO : 0;
}
