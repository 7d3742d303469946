/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * Memory that may migrate. What migrates is trapped as a whole mapping, and the kernel joins
 * mappings that lie side by side: the memory of a sanitizer would be trapped with it, which the
 * library's own threads touch. So a page that nobody can touch lies before it and behind it.
 */
#ifndef TOOLS_HMM_APART_H
#define TOOLS_HMM_APART_H

#include <stddef.h>

/* Private, anonymous, readable and writable. NULL: errno says why. */
void *apart_map(size_t bytes);
/* p may be NULL. */
void apart_unmap(void *p, size_t bytes);

#endif
