// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
#include "report/results.h"
#include "base/complain.h"
#include "base/grow.h"

#include <stdlib.h>
#include <string.h>

int results_add(struct results *r, const char *rule, bool error, const char *symbol,
		const char *file, uint32_t line, const char *text)
{
	struct result *one;

	if (grow_room(r->v, r->n, r->cap))
		return -ENOMEM;
	one = &r->v[r->n++];
	*one = (struct result){ .rule = strdup(rule),
				.symbol = strdup(symbol),
				.file = strdup(file),
				.text = strdup(text),
				.line = line,
				.error = error };
	return one->rule && one->symbol && one->file && one->text ? 0 : -ENOMEM;
}

void results_free(struct results *r)
{
	for (size_t i = 0; i < r->n; i++) {
		free(r->v[i].rule);
		free(r->v[i].symbol);
		free(r->v[i].file);
		free(r->v[i].text);
	}
	free(r->v);
	*r = (struct results){ 0 };
}

size_t results_news(const struct results *r)
{
	size_t n = 0;

	for (size_t i = 0; i < r->n; i++)
		n += r->v[i].error && !r->v[i].known;
	return n;
}

void results_lines(const struct results *r, const char *root, FILE *out)
{
	bool in_root = root && strcmp(root, ".");
	size_t slash = in_root ? strlen(root) : 0;

	for (size_t i = 0; i < r->n; i++) {
		const struct result *one = &r->v[i];

		if (one->known)
			continue;
		if (!*one->file)
			fputs("export-audit: ", out);
		else
			fprintf(out, "%s%s%s:%u: ", in_root ? root : "",
				slash && root[slash - 1] != '/' ? "/" : "", one->file,
				one->line ? one->line : 1);
		fprintf(out, "%s: %s%s%s [%s]\n", one->error ? "error" : "note", one->symbol,
			*one->symbol ? ": " : "", one->text, one->rule);
	}
}

/* A finding goes by its rule and symbol, the first two words of the line. */
static bool same(const struct result *r, const char *line, size_t len)
{
	size_t rule = strlen(r->rule), symbol = strlen(r->symbol);

	return len > rule && !memcmp(line, r->rule, rule) && line[rule] == '\t' &&
	       len - rule - 1 >= symbol && !memcmp(line + rule + 1, r->symbol, symbol) &&
	       (len - rule - 1 == symbol || line[rule + 1 + symbol] == '\t');
}

/* Return: 1 if it is found still; 0; -EINVAL. */
static int mark(struct results *r, const char *line, size_t len)
{
	const char *tab = memchr(line, '\t', len);
	int found = 0;

	if (!tab || tab == line)
		return -EINVAL;
	for (size_t i = 0; i < r->n; i++)
		if (same(&r->v[i], line, len))
			found = r->v[i].known = true;
	return found;
}

int baseline_read(const char *name, struct results *r)
{
	FILE *f = fopen(name, "re");
	size_t cap = 0, gone = 0, number = 0;
	char *line = NULL;
	ssize_t n;
	int err = 0;

	r->compared = true;
	if (!f) {
		err = -errno;
		complain("%s cannot be read: %s", name, strerror(-err));
		return err;
	}
	while (err >= 0 && (n = getline(&line, &cap, f)) >= 0) {
		number++;
		while (n && strchr("\r\n", line[n - 1]))
			line[--n] = 0;
		if (!n || *line == '#')
			continue;
		err = mark(r, line, (size_t)n);
		gone += err == 0;
	}
	if (err < 0)
		complain("%s:%zu: not \"rule<TAB>symbol<TAB>file\"", name, number);
	else if (ferror(f) && (err = -EIO))
		complain("%s cannot be read: %s", name, strerror(EIO));
	else if (gone)
		fprintf(stderr,
			"export-audit: %zu finding%s of %s %s no more; --write-baseline drops %s\n",
			gone, gone == 1 ? "" : "s", name, gone == 1 ? "is" : "are",
			gone == 1 ? "it" : "them");
	free(line);
	fclose(f);
	return err < 0 ? err : 0;
}

static int compare(const void *a, const void *b)
{
	const struct result *x = *(const struct result *const *)a,
			    *y = *(const struct result *const *)b;
	int c = strcmp(x->rule, y->rule);

	c = c ? c : strcmp(x->symbol, y->symbol);
	return c ? c : strcmp(x->file, y->file);
}

int baseline_write(const char *name, const struct results *r)
{
	const struct result **sorted = calloc(r->n + 1, sizeof(struct result *));
	FILE *f = sorted ? fopen(name, "we") : NULL;
	size_t n = 0;
	int err = f ? 0 : -errno;

	for (size_t i = 0; f && i < r->n; i++)
		if (r->v[i].error)
			sorted[n++] = &r->v[i];
	if (n)
		qsort(sorted, n, sizeof(struct result *), compare);
	if (f)
		fputs("# Findings that are known: rule, symbol, file. Made by export-audit "
		      "--write-baseline.\n",
		      f);
	for (size_t i = 0; i < n; i++)
		if (!i || compare(&sorted[i - 1], &sorted[i]))
			fprintf(f, "%s\t%s\t%s\n", sorted[i]->rule, sorted[i]->symbol,
				sorted[i]->file);
	if (f && (ferror(f) | fclose(f)))
		err = -EIO;
	if (err)
		complain("%s cannot be written: %s", name, strerror(-err));
	free(sorted);
	return err;
}

bool result_option(struct result_options *o, int c, const char *value)
{
	switch (c) {
	case OPT_BASELINE:
		o->baseline = value;
		return true;
	case OPT_WRITE_BASELINE:
		o->write = true;
		return true;
	case OPT_SARIF:
		o->sarif = value;
		return true;
	case OPT_GCC:
		o->lines = true;
		return true;
	}
	return false;
}

int result_options_check(const struct result_options *o)
{
	if (o->write && !o->baseline)
		return complain("--write-baseline wants the file's name: --baseline=FILE");
	return 0;
}

int results_compare(struct results *r, const struct result_options *o)
{
	int err = o->write ? baseline_write(o->baseline, r) : 0;

	return err || !o->baseline ? err : baseline_read(o->baseline, r);
}

int results_write(const struct results *r, const struct result_options *o, const char *root)
{
	int err = o->sarif ? results_sarif(r, o->sarif) : 0;

	if (!err && o->lines)
		results_lines(r, root, stdout);
	return err;
}

bool results_only(const struct result_options *o)
{
	return o->lines || (o->sarif && !strcmp(o->sarif, "-"));
}
