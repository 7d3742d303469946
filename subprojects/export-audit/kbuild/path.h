/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef MAKE_PATH_H
#define MAKE_PATH_H

/* Paths as Makefiles and #include lines write them. */

#include <stddef.h>

/*
 * Joins dir and path into out, and resolves "." and "..". A path that begins with "/" is from the
 * root of the tree. out is "" if it does not fit.
 */
void make_path(const char *dir, const char *path, char *out, size_t size);

#endif
