/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef MAKE_H
#define MAKE_H

/*
 * Enough of make to know which objects a kernel Makefile lists: variables, the text
 * functions that lists are built with, includes. Every branch of a conditional is taken
 * and every CONFIG_ is "m" if it can be, else "y": the question is what can be linked
 * together, not what is.
 */

#include "kbuild/vars.h"

int make_init(struct make *m, const char *dir);
int make_eval(struct make *m, const char *text);

void make_fini(struct make *m);

#endif
