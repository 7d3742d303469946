/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef EMITTED_H
#define EMITTED_H

/* Functions that compilers call on their own. */

/* The reason why a compiler calls this function on its own; NULL if it does not. */
const char *emitted_reason(const char *name);

#endif
