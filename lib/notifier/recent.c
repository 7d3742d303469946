// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
#include "notifier/recent.h"

void recent_note(struct hmm_mm *mm, uint64_t seq, uint64_t start, uint64_t end)
{
	struct recent *r = &mm->recent[seq % RECENT_MAX];

	/* A thread that reads a new bound reads this 0 as well, or a later number. */
	atomic_store_explicit(&r->seq, 0, memory_order_relaxed);
	atomic_store_explicit(&r->start, start, memory_order_release);
	atomic_store_explicit(&r->end, end, memory_order_release);
	atomic_store_explicit(&r->seq, seq, memory_order_release);
}

bool recent_hit(const struct hmm_mm *mm, uint64_t start, uint64_t end, uint64_t after,
		uint64_t until)
{
	if (until - after > RECENT_MAX)
		return true;
	for (uint64_t n = after + 1; n <= until; n++) {
		const struct recent *r = &mm->recent[n % RECENT_MAX];
		const bool before = atomic_load(&r->seq) == n;
		const bool hit = atomic_load(&r->start) < end && atomic_load(&r->end) > start;

		/* The place has another invalidation by now, or is being written. */
		if (!before || atomic_load(&r->seq) != n || hit)
			return true;
	}
	return false;
}
