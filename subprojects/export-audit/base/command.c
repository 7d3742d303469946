// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* The help of a command. */
#include "base/command.h"
#include "base/complain.h"

#include <stdio.h>

int command_usage(const struct command *self, const char *options)
{
	printf("Usage: export-audit %s %s\n%s.\n", self->name, self->synopsis, self->summary);
	if (options)
		printf("\n%s", options);
	return EXIT_CLEAN;
}
