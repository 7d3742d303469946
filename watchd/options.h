/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef WATCHD_OPTIONS_H
#define WATCHD_OPTIONS_H

#include "watchd/limits.h"

#include <stdbool.h>

struct options {
	bool foreground;
	bool anchored;
	const char *socket;
	const char *user;
	uint64_t idle_ms; /* 0: stays for ever */
	uint64_t patience_ms;
	struct limits limits;
};

/* -1: go on; else the status to exit with, and all is said. */
int options_parse(int argc, char **argv, struct options *options);

#endif
