// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "attach.h"
#include "command.h"
#include "options.h"
#include "suggest.h"

#define MAX_ROWS 32
#define LONG_ONLY 256 /* values of options without a letter, above every letter */

static void help(const struct option_table *table)
{
	printf("Usage: hmm %s %s\n%s.\n\n", command_name, table->synopsis, table->summary);
	for (const struct option_row *row = table->rows; row->name; row++) {
		char left[64];

		snprintf(left, sizeof(left), "%c%c%s --%s%s%s", row->letter ? '-' : ' ',
			 row->letter ? row->letter : ' ', row->letter ? "," : " ", row->name,
			 row->argument ? " " : "", row->argument ? row->argument : "");
		printf("  %-26s %s\n", left, row->help);
	}
	printf("  %-26s %s\n", "-h, --help", "this text");
	if (table->more)
		printf("\n%s", table->more);
}

static int take_real(const struct option_row *row, const char *text)
{
	char *end;
	double number = strtod(text, &end);

	if (end == text || *end || !(number > 0) || number > (double)row->max) {
		complain(EXIT_INPUT, "--%s wants a number above 0, at most %llu, not '%s'",
			 row->name, (unsigned long long)row->max, text);
		return -EINVAL;
	}
	*(double *)row->value = number;
	return 0;
}

static int take(const struct option_row *row, const char *text)
{
	unsigned long long number;
	char *end;

	switch (row->kind) {
	case OPTION_FLAG:
		*(bool *)row->value = true;
		return 0;
	case OPTION_STRING:
		*(const char **)row->value = text;
		return 0;
	case OPTION_NUMBER:
		errno = 0;
		number = strtoull(text, &end, 0);
		if (errno || end == text || *end || strchr(text, '-') || number < row->min ||
		    number > row->max) {
			complain(EXIT_INPUT, "--%s wants a number from %llu to %llu, not '%s'",
				 row->name, (unsigned long long)row->min,
				 (unsigned long long)row->max, text);
			return -EINVAL;
		}
		*(uint64_t *)row->value = number;
		return 0;
	case OPTION_REAL:
		return take_real(row, text);
	case OPTION_PROVIDER:
		return provider_parse(text, row->value) ? 0 : -EINVAL;
	}
	return -EINVAL;
}

/* getopt's tables from ours; returns how many rows. */
static int translate(const struct option_table *table, struct option *longs, char *shorts)
{
	int n = 0;

	if (table->operands_last)
		*shorts++ = '+';
	*shorts++ = ':';
	for (const struct option_row *row = table->rows; row->name; row++, n++) {
		longs[n] =
			(struct option){ row->name, row->kind != OPTION_FLAG, NULL, LONG_ONLY + n };
		if (!row->letter)
			continue;
		*shorts++ = row->letter;
		if (row->kind != OPTION_FLAG)
			*shorts++ = ':';
	}
	longs[n] = (struct option){ "help", 0, NULL, 'h' };
	*shorts++ = 'h';
	*shorts = 0;
	return n;
}

static const struct option_row *find(const struct option_table *table, int value)
{
	if (value >= LONG_ONLY)
		return &table->rows[value - LONG_ONLY];
	for (const struct option_row *row = table->rows; row->name; row++)
		if (row->letter == value)
			return row;
	return NULL;
}

/*
 * A long option that getopt refuses: abbreviated too far, given a value that it does not take, or
 * unknown.
 */
static void refuse_long(const struct option_table *table, const char *typed)
{
	size_t length = strcspn(typed, "=");
	char name[64], text[64];
	struct suggestion near;
	unsigned int begin = 0;

	snprintf(name, sizeof(name), "%.*s", (int)length, typed);
	near = suggest(name);
	suggest_one(&near, "help");
	for (const struct option_row *row = table->rows; row->name; row++) {
		begin += !strncmp(row->name, name, length);
		suggest_one(&near, row->name);
	}
	begin += !strncmp("help", name, length);
	if (begin > 1)
		complain(EXIT_INPUT, "option '--%s' may be one of several; see 'hmm %s --help'",
			 name, command_name);
	else if (begin && typed[length])
		complain(EXIT_INPUT, "option '--%s' takes no value", name);
	else
		complain(EXIT_INPUT, "no such option '--%s'%s; see 'hmm %s --help'", name,
			 did_you_mean(text, &near, "--"), command_name);
}

static void refuse(const struct option_table *table, int value, const char *typed)
{
	bool is_long = !strncmp(typed, "--", 2);

	if (value == ':' && is_long)
		complain(EXIT_INPUT, "option '%s' needs a value", typed);
	else if (value == ':')
		complain(EXIT_INPUT, "option '-%c' needs a value", optopt);
	else if (is_long)
		refuse_long(table, typed + 2);
	else
		complain(EXIT_INPUT, "no option '-%c'; see 'hmm %s --help'", optopt, command_name);
}

int options_parse(const struct option_table *table, int argc, char **argv, int *status)
{
	struct option longs[MAX_ROWS + 2] = { 0 };
	char shorts[2 * MAX_ROWS + 5];
	int value;

	translate(table, longs, shorts);
	opterr = 0;
	optind = 1;
	*status = EXIT_INPUT;
	while ((value = getopt_long(argc, argv, shorts, longs, NULL)) != -1) {
		const struct option_row *row;

		if (value == 'h') {
			help(table);
			*status = EXIT_DONE;
			return OPTIONS_EXIT;
		}
		if (value == ':' || value == '?') {
			bool letter = optopt && optopt < LONG_ONLY && optopt != 'h';

			/* In the midst of letters getopt has not moved on yet. */
			refuse(table, value, letter ? "-" : argv[optind - 1]);
			return OPTIONS_EXIT;
		}
		row = find(table, value);
		if (!row || take(row, optarg))
			return OPTIONS_EXIT;
	}
	*status = EXIT_DONE;
	return optind;
}
