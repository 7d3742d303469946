// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* hmm_migrate_to_system(), hmm_evict_all(). */
#include "migrate/migrate.h"
#include "space/debug.h"
#include "space/space.h"
#include "base/nocancel.h"

#include <errno.h>

int migrate_home(struct hmm_mm *mm, uint64_t start, uint64_t end, struct hmm_devmem *only,
		 uint64_t timeout_ns)
{
	const int err = devmem_home(mm, start, end, only, timeout_ns);

	return err ? err : coherent_home(mm, start, end, only, timeout_ns);
}

int hmm_migrate_to_system(struct hmm_mm *mm, uint64_t start, uint64_t end, uint64_t timeout_ns)
{
	DEBUG_CALL(mm, DEBUG_BLOCKS);
	HMM_CANCEL_POINT;
	const int err = mm_alive(mm);

	if (err)
		return err;
	if (start >= end)
		return -EINVAL;
	return migrate_home(mm, start, end, NULL, timeout_ns);
}

struct eviction {
	uint64_t timeout_ns;
	int err;
};

static void evict(struct hmm_mm *mm, void *arg)
{
	struct eviction *e = arg;
	const int err = mm_alive(mm) ? 0 : migrate_home(mm, 0, UINT64_MAX, NULL, e->timeout_ns);

	if (err && !e->err)
		e->err = err;
}

int hmm_evict_all(struct hmm_mm *mm, uint64_t timeout_ns)
{
	DEBUG_CALL(mm, DEBUG_BLOCKS);
	HMM_CANCEL_POINT;
	struct eviction e = { .timeout_ns = timeout_ns };

	if (mm)
		return hmm_migrate_to_system(mm, 0, UINT64_MAX, timeout_ns);
	spaces_for_each(evict, &e);
	return e.err;
}
