/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/* What mm keeps for hmm_persist(): mappings known to be MAP_SYNC. */
#ifndef LIB_PERSIST_PERSIST_H
#define LIB_PERSIST_PERSIST_H

#include <hmm/types.h>

struct persist_cache;

int persist_init(struct persist_cache **cache);
void persist_fini(struct persist_cache *cache);
struct persist_cache *mm_persist_cache(struct hmm_mm *mm); /* attach.c */

#endif
