// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * A fork through libc copies the page table, and what is in device memory is not in it. So all
 * comes home first, and nothing moves out until the fork is over. Coherent pages become the
 * system's: parent and child share them, and a write of one makes a copy that is not the region's.
 */
#include "devmem/devmem.h"
#include "devmem/moving.h"
#include "space/turn.h"
#include "base/deadline.h"
#include "base/log.h"
#include "base/mutation.h"
#include "base/nocancel.h"

#include <errno.h>

/* How long the fork waits without progress. */
#define WAIT_NS 2000000000ULL

static int home_all(struct hmm_mm *mm)
{
	struct devmem_space *s = devmem_of(mm);
	int err = devmem_home(mm, 0, UINT64_MAX, NULL, WAIT_NS);
	uint64_t old;

	moving_mask(&old);
	if (!deadline_lock(&mm->region_lock, deadline_after(WAIT_NS))) {
		turn_take(mm);
		coherent_forget(s, 0, UINT64_MAX);
		turn_end(mm);
		pthread_mutex_unlock(&mm->region_lock);
	}
	moving_unmask(&old);
	return err;
}

void devmem_fork_begin(struct hmm_mm *mm)
{
	struct devmem_space *s = devmem_of(mm);
	int err = -EDEADLK;

	if (!s || mm_inherited(mm) || hmm_mutation(HMM_MUTATION_FORK_AWAY))
		return;
	/* A callback or a signal handler that forks may have interrupted who has the lock. */
	if (!inside_library)
		err = home_all(mm);
	if (err && !mm->provider.event_fork)
		log_say(HMM_LOG_ERROR, "a fork was made while pages were in device memory that "
				       "could not be brought home: the child reads zeros there.");
}
