/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef RESULTS_H
#define RESULTS_H

/*
 * Findings of any command, and their forms: lines as of a compiler, SARIF, lists of known findings.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct result {
	char *rule, *symbol, *file, *text; /* symbol and file may be "" */
	uint32_t line;                     /* 0: the file as a whole */
	bool error;                        /* else a note */
	bool known;
};

struct results {
	struct result *v;
	size_t n, cap;
	bool compared; /* with the known findings */
};

/* Return: 0 or -ENOMEM. */
int results_add(struct results *r, const char *rule, bool error, const char *symbol,
		const char *file, uint32_t line, const char *text);
void results_free(struct results *r);

/*
 * Prints "file:line: error: symbol: text [rule]" for each finding that is not known. ROOT, if not
 * NULL, is put before the file.
 */
void results_lines(const struct results *r, const char *root, FILE *out);
/* SARIF 2.1.0 to the file NAME ("-": standard output).  Return: 0, or -errno after a complaint. */
int results_sarif(const struct results *r, const char *name);

/*
 * Marks the findings that the file NAME lists, by rule and symbol, as known. Entries of the file
 * that no finding matches are said on standard error.  Return: 0, or -errno after a complaint.
 */
int baseline_read(const char *name, struct results *r);
int baseline_write(const char *name, const struct results *r);

/* Options that several commands have. */
struct result_options {
	const char *baseline, *sarif;
	bool write, lines;
};

/* Their values for getopt_long(), above those of any command. */
enum { OPT_BASELINE = 1000, OPT_WRITE_BASELINE, OPT_SARIF, OPT_GCC };

#define RESULT_OPTIONS                                                                             \
	{ "baseline", 1, NULL, OPT_BASELINE }, { "write-baseline", 0, NULL, OPT_WRITE_BASELINE },  \
		{ "sarif", 1, NULL, OPT_SARIF },                                                   \
	{                                                                                          \
		"gcc", 0, NULL, OPT_GCC                                                            \
	}

/* Takes one of them; false: C is another option. */
bool result_option(struct result_options *o, int c, const char *value);

/* After parsing.  Return: 0, or an exit status after a complaint. */
int result_options_check(const struct result_options *o);
/* Reads or writes the baseline.  Return: 0, or -errno after a complaint. */
int results_compare(struct results *r, const struct result_options *o);
/* SARIF and lines, as asked; ROOT as above.  Return: the same. */
int results_write(const struct results *r, const struct result_options *o, const char *root);
/* Did the user ask for these forms only? */
bool results_only(const struct result_options *o);
/* Errors that are not known. */
size_t results_news(const struct results *r);

#endif
