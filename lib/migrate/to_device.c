// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* hmm_migrate_to_device(), for the program and for the library's own. */
#include "migrate/migrate.h"
#include "space/debug.h"
#include "space/space.h"
#include "base/grow.h"
#include "base/nocancel.h"
#include "base/trace.h"

#include <errno.h>

int migrate_to_device(struct hmm_devmem *d, uint64_t start, uint64_t end, uint64_t timeout_ns,
		      struct hmm_migrate_result *result)
{
	struct migration m = { .d = d,
			       .readonly = d->options.flags & HMM_DEVMEM_READONLY,
			       .mm = d->mm,
			       .s = d->space,
			       .owner = d->options.owner };
	int err = migrate_check(&m, start, end, timeout_ns);

	*result = m.result;
	if (err)
		return err;
	err = d->transit ? coherent_take(&m) : migrate_range(&m, start, end);
	if (d->copier) {
		const int copied = migrate_copied(&m);

		err = err ? err : copied;
	}
	*result = m.result;
	if (!err && !m.result.moved && !m.result.already)
		err = -ENOENT;
	hmm_trace(migrate, m.mm, start, end, m.result.moved, err, m.owner);
	return mm_lost_by(m.mm, err);
}

int hmm_migrate_to_device(struct hmm_devmem *devmem, uint64_t start, uint64_t end,
			  uint64_t timeout_ns, struct hmm_migrate_result *result)
{
	DEBUG_CALL(devmem ? devmem->mm : NULL, DEBUG_BLOCKS);
	HMM_CANCEL_POINT;
	int err = result ? grow_room(result, GROW_LEAST(struct hmm_migrate_result, moved)) : 0;
	struct hmm_migrate_result now;

	if (!devmem)
		return -EINVAL;
	if (err)
		return err;
	err = migrate_to_device(devmem, start, end, timeout_ns, &now);
	if (result)
		grow_give(result, &now, sizeof(now));
	return err;
}

const char *hmm_migrate_reason_name(enum hmm_migrate_reason reason)
{
	static const char *const name[] = {
		[HMM_MIGRATE_SHARED] = "shared",         [HMM_MIGRATE_SPECIAL] = "special",
		[HMM_MIGRATE_PERMISSION] = "permission", [HMM_MIGRATE_BUSY] = "busy",
		[HMM_MIGRATE_DISCARD] = "discard",       [HMM_MIGRATE_ELSEWHERE] = "elsewhere",
		[HMM_MIGRATE_EXHAUSTED] = "exhausted",   [HMM_MIGRATE_COPY] = "copy",
	};

	return (unsigned int)reason < HMM_MIGRATE_REASON_NR ? name[reason] : "?";
}
