/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/* One option table a command: parsing and --help come from the same lines. */
#ifndef TOOLS_HMM_OPTIONS_H
#define TOOLS_HMM_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

enum option_kind {
	OPTION_FLAG,     /* bool */
	OPTION_STRING,   /* const char * */
	OPTION_NUMBER,   /* uint64_t, min to max */
	OPTION_REAL,     /* double, above 0, to max */
	OPTION_PROVIDER, /* enum hmm_provider */
};

struct option_row {
	const char *name; /* without the dashes */
	char letter;      /* 0 for none */
	enum option_kind kind;
	const char *argument; /* what --help calls it; NULL for flags */
	const char *help;
	void *value;
	uint64_t min;
	uint64_t max;
};

struct option_table {
	const char *synopsis; /* behind "hmm COMMAND" */
	const char *summary;
	const struct option_row *rows; /* ends with a row without name */
	const char *more;              /* printed below the options; may be NULL */
	bool operands_last;            /* options end where the first operand stands */
};

#define OPTIONS_EXIT (-1)

/*
 * Parses argv[1...]; "--" ends the options, and so does the first operand with operands_last. Else
 * they may mix, and operands are moved behind. Returns the index of the first operand, or
 * OPTIONS_EXIT with *status: --help was answered, or the options are bad, which has been said.
 */
int options_parse(const struct option_table *table, int argc, char **argv, int *status);

#endif
