/* SPDX-License-Identifier: GPL-2.0 */
/* run: one case in a process of its own. */
#ifndef DAX_RUN_H
#define DAX_RUN_H

#include "suite.h"

enum verdict { VERDICT_PASS, VERDICT_SKIP, VERDICT_FAIL };

/* A case with everything chosen. */
struct variant {
	const struct dax_case *def;
	const struct place *place;
	bool pmd;
	bool by_other;
	bool longer;
	char name[96]; /* "ext4/punch/pmd/other" */
};

/* out lies in memory that a child can write to. A case that takes longer than the seconds fails. */
enum verdict run_case(const struct variant *v, const struct target_ops *ops, unsigned int seconds,
		      struct outcome *out);

/* Where each thread of a process is, as lines of comment. */
void print_threads(pid_t pid);

#endif
