/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef REPORT_H
#define REPORT_H

/* What a scan found, ready to be written: the chosen symbols and the forms of output. */

#include <stdio.h>

#include "graph/graph.h"
#include "maintainers/maintainers.h"

struct filter {
	const char *path;      /* prefix of the exporting file's path, or a pattern with * */
	const char *subsystem; /* part of the title in MAINTAINERS, whatever the case */
	const char *symbol;    /* pattern with * and ? */
	int licence, verdict;  /* -1: any */
};

struct row {
	const struct graph_symbol *symbol;
	const char *subsystem; /* "" if MAINTAINERS is missing or silent */
};

struct report {
	const char *tree; /* as the user named it */
	const struct graph *graph;
	const struct source_file *files;
	struct row *rows;
	uint32_t n_rows;
	uint32_t counts[VERDICTS][LICENCES]; /* of the rows */
};

/* maint may be NULL. Everything given must outlive the report. */
int report_build(const struct graph *g, const struct source_file *files, const struct maint *maint,
		 const struct filter *filter, const char *tree, struct report *out);
void report_fini(struct report *r);

/* Each: 0, or -EIO if out does not take it. */
int report_table(const struct report *r, bool consumers, FILE *out);
int report_csv(const struct report *r, FILE *out);
int report_json(const struct report *r, FILE *out);
int report_html(const struct report *r, FILE *out);
int report_summary(const struct report *r, FILE *out);

static inline const char *site_path(const struct report *r, const struct graph_symbol *s)
{
	return r->files[s->sites[0].file].path;
}

#endif
