/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef NEWS_H
#define NEWS_H

/*
 * What a scan has to say to those who run it again and again. Functions that fail have complained.
 */

#include "scan/report.h"
#include "report/results.h"

/*
 * Did somebody mistype a filter? A path that no file of the tree has, a name or subsystem that no
 * export has. Return: 0, or an exit status.
 */
int news_check_filter(const struct report *r, const struct source_file *files, uint32_t n_files,
		      const struct maint *maint, const struct filter *f);
/* Unconsumed symbols as findings.  Return: 0 or -ENOMEM. */
int news_results(const struct report *r, struct results *out);
/*
 * Those that were unconsumed in the commit TAG of the repository ROOT too are known; MODULAR: by
 * modules.  Return: 0 or -errno.
 */
int news_since(const char *root, const char *tag, bool modular, struct results *r);

#endif
