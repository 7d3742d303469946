/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/* What the files of libhmm-preload.so share. */
#ifndef PRELOAD_PRELOAD_H
#define PRELOAD_PRELOAD_H

#include <stdbool.h>

/* Has a library attached in this process? */
bool preload_has_library(void) __attribute__((visibility("hidden")));

#endif
