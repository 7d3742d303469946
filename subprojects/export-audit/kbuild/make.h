/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef MAKE_H
#define MAKE_H

/*
 * Enough of make to know which objects a kernel Makefile lists: variables, text functions,
 * includes. All branches of conditionals are taken, and a CONFIG_ option is "m" if it can be, else
 * "y": the question is which objects may be linked together, in any configuration.
 */

#include "kbuild/vars.h"

int make_init(struct make *m, const char *dir);
int make_eval(struct make *m, const char *text);

void make_fini(struct make *m);

#endif
