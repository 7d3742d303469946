/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef TOOLS_HMM_MAP_PAGES_H
#define TOOLS_HMM_MAP_PAGES_H

#include "space.h"

/* Adds [start, end) to the cells it overlaps, in the field at this offset of struct fill. */
void area_add(struct area *area, uint64_t start, uint64_t end, size_t field);

/* Which pages are there: PAGEMAP_SCAN, or pagemap's words where the kernel has no scan. 0 or
 * -errno. */
int pages_read(int pagemap_fd, struct area *area);

#endif
