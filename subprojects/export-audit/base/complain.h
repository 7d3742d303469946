/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef COMPLAIN_H
#define COMPLAIN_H

/* What the program says when it cannot do something, and its exit statuses. */

/* Exit statuses shared by all: clean, findings, could not do it. */
enum { EXIT_CLEAN, EXIT_FINDINGS, EXIT_BROKEN };

/* One sentence on stderr, "export-audit: " before it; returns EXIT_BROKEN. */
__attribute__((format(printf, 1, 2))) int complain(const char *format, ...);

#endif
