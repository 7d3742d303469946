/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef CLEAN_H
#define CLEAN_H

/* Text from outside the program, made fit to be printed. */

#include <stddef.h>

/* Copies the text; a byte that is not printable UTF-8 becomes '?'. Truncates at size. */
void clean_text(const char *s, char *out, size_t size);

#endif
