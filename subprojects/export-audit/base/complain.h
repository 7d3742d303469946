/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef COMPLAIN_H
#define COMPLAIN_H

/* Error messages, and the exit statuses of all commands. */

/* Nothing to report; findings; the command could not do its work. */
enum { EXIT_CLEAN, EXIT_FINDINGS, EXIT_BROKEN };

/* Prints "export-audit: " and one sentence on standard error; returns EXIT_BROKEN. */
__attribute__((format(printf, 1, 2))) int complain(const char *format, ...);

#endif
