/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef OPTIONS_H
#define OPTIONS_H

/* The options of export-audit history. */

#include "base/command.h"
#include "history/out.h"
#include "report/results.h"

struct history_options {
	const char *from, *to, *cache, *symbol, *path, *subsystem, *licence, *tags;
	unsigned int deadline;
	const char *profile;
	struct result_options results;
	bool pre, candidates, unconsumed, commits, stats;
	enum history_format format;
};

/* Return: 0, or an exit status and one. */
int history_parse(const struct command *self, int argc, char **argv, struct history_options *o);

#endif
