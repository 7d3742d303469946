/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef CLEAN_H
#define CLEAN_H

/* Text of others, fit to be printed. */

#include <stddef.h>

/* Copies text, what is not printable UTF-8 as '?'. Truncates at size. */
void clean_text(const char *s, char *out, size_t size);

#endif
