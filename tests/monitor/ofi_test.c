// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * ofi_test SCENARIO: one in a process, as a process imports a monitor once. `ofi_test --list` names
 * them. LIBHMM_OFI is the monitor's file.
 */
#include "ofi_stage.h"

#include <string.h>

static const struct scenario *const tables[] = { memory_scenarios, churn_scenarios, lock_scenarios,
						 process_scenarios, refuse_scenarios };

int main(int argc, char **argv)
{
	for (size_t t = 0; t < sizeof(tables) / sizeof(tables[0]); t++)
		for (const struct scenario *s = tables[t]; s->name; s++) {
			if (argc == 2 && !strcmp(argv[1], s->name)) {
				s->run();
				return 0;
			}
			if (argc == 2 && !strcmp(argv[1], "--list"))
				puts(s->name);
		}
	return argc == 2 && !strcmp(argv[1], "--list") ? 0 : 2;
}
