/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef MENTION_H
#define MENTION_H

/*
 * Files that a Makefile names, whatever it does with them: they may be built. Used by built.c and
 * folder.c.
 */

#include <stdbool.h>

struct mentions;

int mentions_new(struct mentions **out);
void mentions_free(struct mentions *m);

int mentions_read(struct mentions *m, const char *makefile, const char *text);
bool mentions_has(const struct mentions *m, const char *path);

#endif
