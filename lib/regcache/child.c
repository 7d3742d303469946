// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * A forked child with HMM_REGCACHE_CHILD. The space is not the child's, so nothing can be watched,
 * and the cache's lock may be held by a thread that the child does not have. What the child
 * registers is its own: memory of its heap, no list.
 */
#include "regcache/cache.h"
#include "base/epoch.h"

#include <errno.h>
#include <stdlib.h>

int child_get(struct hmm_regcache *c, const struct miss *want, struct entry **out)
{
	struct entry *e;
	int ret;

	if (!(c->limits.flags & HMM_REGCACHE_CHILD))
		return -ESRCH;
	e = aligned_alloc(_Alignof(struct entry), sizeof(*e));
	if (!e)
		return -ENOMEM;
	*e = (struct entry){ .r = { .start = want->start,
				    .length = want->end - want->start,
				    .flags = (want->flags & HMM_REGCACHE_WRITE) |
					     HMM_REGCACHE_ONCE },
			     .cache = c,
			     .epoch = epoch_now() };
	ret = entry_reg(c, e);
	if (ret) {
		free(e);
		return ret == -ENOBUFS ? -ENOMEM : ret;
	}
	*out = e;
	return 0;
}

/* What an ancestor has registered is the ancestor's. */
void child_put(struct hmm_regcache *c, struct entry *e)
{
	if (!epoch_is(e->epoch))
		return;
	entry_dereg(c, e);
	free(e);
}
