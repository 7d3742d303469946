/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef EVALUATE_H
#define EVALUATE_H

/* References in the text of a Makefile: $(name), $(name:a=b), $(function arguments). */

#include "kbuild/vars.h"

#define MAKE_DEPTH 24 /* of includes and expansions */

/* The text with all of them replaced; malloc()ed, or NULL. */
char *make_expanded(struct make *m, const char *s, size_t n);

#endif
