/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef NEWS_H
#define NEWS_H

/*
 * What is new in a scan, for those who run it again and again. Functions that fail have complained.
 */

#include "scan/report.h"
#include "report/results.h"

/*
 * Was a filter mistyped? Then no file of the tree has the path, or no export the name or the
 * subsystem. Return: 0, or an exit status.
 */
int news_check_filter(const struct report *r, const struct source_file *files, uint32_t n_files,
		      const struct maint *maint, const struct filter *f);
/* Unconsumed symbols as findings.  Return: 0 or -ENOMEM. */
int news_results(const struct report *r, struct results *out);
/*
 * Marks the symbols that were unconsumed in the commit TAG of the repository ROOT as known.
 * MODULAR: only modules count as consumers.  Return: 0 or -errno.
 */
int news_since(const char *root, const char *tag, bool modular, struct results *r);

#endif
