/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/* What the library says of its own accord, beside the command's complaints. */
#ifndef TOOLS_HMM_LOG_H
#define TOOLS_HMM_LOG_H

#include <stdbool.h>

void log_begin(void);
/* Misuse that the library reported is a finding: EXIT_FINDING in the place of EXIT_DONE. */
int log_end(int status);
/* Nothing is printed meanwhile. */
void log_quiet(bool on);
/* The last that it said on this thread; NULL: nothing. */
const char *log_said(void);

#endif
