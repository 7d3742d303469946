/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef EMITTED_H
#define EMITTED_H

/* Functions that compilers call on their own. */

/* Why a compiler would call this without being told to by source; NULL if it would not. */
const char *emitted_reason(const char *name);

#endif
