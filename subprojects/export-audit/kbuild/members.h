/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef MEMBERS_H
#define MEMBERS_H

/* What the lists of a Makefile make of each file. */

#include "kbuild/built.h"
#include "kbuild/make.h"

/* Reads the lists of an evaluated Makefile.  Return: 0 or -ENOMEM. */
int members_read(struct built *b, const struct make *m);

#endif
