/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef CLOSURE_H
#define CLOSURE_H

/* What a file includes through other files. */

#include "kbuild/include.h"

/* Computes closure and scc from the edges.  Return: 0 or -ENOMEM. */
int includes_close(struct includes *i);

#endif
