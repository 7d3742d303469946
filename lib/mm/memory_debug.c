// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * Judges what libhmm-debug.so sees the program do with memory: that depends on where the thread is.
 */
#include "mm/note.h"
#include "mm/preload.h"
#include "watch/region.h"
#include "space/debug.h"
#include "space/space.h"

struct memory {
	uint64_t start;
	uint64_t end;
	bool mirrored;
};

/*
 * If another thread holds the lock of the regions nothing is known of the memory, and nothing
 * reported.
 */
static void look(struct hmm_mm *mm, void *arg)
{
	struct memory *m = arg;

	if (!mm_alive(mm) && region_any(mm, m->start, m->end) == 1)
		m->mirrored = true;
}

static void call(const char *function, enum debug_memory what, uint64_t start, uint64_t end,
		 const void *site)
{
	struct memory m = { start, end, false };

	if (debug_may_not_allocate()) {
		debug_allocates(function, site);
		return;
	}
	if (what == DEBUG_MEMORY_TAKEN || start >= end || !debug_in_any_section())
		return;
	spaces_for_each(look, &m);
	if (m.mirrored)
		debug_unmaps(function, site);
}

static const struct debug_library library = { .call = call };

void memory_debug_begin(void)
{
	if (debug_is_on() && hmm_debug_join)
		hmm_debug_join(&library);
}

static void __attribute__((destructor)) memory_debug_end(void)
{
	if (hmm_debug_leave)
		hmm_debug_leave();
}
