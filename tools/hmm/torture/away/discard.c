// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * A discard is announced before it happens. A page that migrated in between would come home with
 * what was to be discarded. So a large mapping is discarded from its beginning on, which takes some
 * time, and meanwhile another thread tries to migrate its last page.
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include "away.h"

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

#define LEAD (24ULL << 20)
#define REST_NS 5000000U
#define READY_NS 3000000ULL
#define IDLE_NS 100000U

static bool prepare(struct away *away, char *p, volatile uint64_t *last)
{
	const uint64_t page = (uint64_t)(uintptr_t)last;
	const uint64_t limit = tort_now_ns() + READY_NS;

	madvise(p, LEAD, MADV_NOHUGEPAGE);
	if (madvise(p, LEAD, MADV_POPULATE_WRITE))
		return false;
	*last = 1;
	/* From now on the mapping is registered. The touch brings it home. */
	move_out(away, away->region[0], page, page + HMM_PAGE_SIZE);
	if (*last != 1)
		finding(FINDING_WRONG, "a page that went out and home says %llu instead of 1",
			(unsigned long long)*last);
	atomic_store(&away->bites, 0);
	atomic_store(&away->bait, page);
	while (!atomic_load(&away->bites) && tort_now_ns() < limit)
		tort_pause(IDLE_NS);
	/* It may be out by now, so that the discard would find nothing at home. */
	*last = 2;
	return true;
}

void discard_work(struct worker *w)
{
	char *p = mmap((void *)(AWAY_ARENA + (AREAS + 1) * AWAY_SPAN), LEAD, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
	volatile uint64_t *last = (volatile uint64_t *)(p + LEAD - HMM_PAGE_SIZE);

	atomic_store(&w->beat.doing, owner_op_names[OWNER_DISCARD]);
	if (p == MAP_FAILED) {
		finding(FINDING_ERROR, "mmap: %s", strerror(errno));
		return;
	}
	if (prepare(w->away, p, last)) {
		if (madvise(p, LEAD, MADV_DONTNEED))
			finding(FINDING_ERROR, "MADV_DONTNEED: %s", strerror(errno));
		if (*last)
			finding(FINDING_WRONG,
				"a page says %llu after MADV_DONTNEED during which it was to "
				"migrate",
				(unsigned long long)*last);
		tally(&w->away->ops[OWNER_DISCARD], 1);
	}
	atomic_store(&w->away->bait, 0);
	munmap(p, LEAD);
	tort_pause(REST_NS);
}

/* Tries to migrate the page again and again while it is discarded. */
void bait_work(struct worker *w)
{
	struct away *away = w->away;
	const uint64_t page = atomic_load(&away->bait);

	atomic_store(&w->beat.doing, "migration of a page that is discarded");
	if (!page) {
		tort_pause(IDLE_NS);
		return;
	}
	hmm_migrate_to_device(away->region[0], page, page + HMM_PAGE_SIZE, HMM_NO_WAIT, NULL);
	atomic_fetch_add(&away->bites, 1);
}
