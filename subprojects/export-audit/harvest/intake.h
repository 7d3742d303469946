/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef INTAKE_H
#define INTAKE_H

/*
 * Reads and scans the blobs that the cache lacks: each once, in the order of their places in the
 * packs, with several threads.
 */

#include "harvest/harvest.h"

struct intake {
	struct job *v;
	size_t n, cap;
};

/* Notes the files that the cache lacks.  Return: 0 or -ENOMEM, quietly. */
int intake_add(struct intake *in, struct harvest *h, const struct tree_files *files);
/*
 * Brings their facts to the cache; nobody may have borrowed any.  Return: 0, or -errno after a
 * complaint.
 */
int intake_run(struct intake *in, struct harvest *h);
void intake_free(struct intake *in);

#endif
