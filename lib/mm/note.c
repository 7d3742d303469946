// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* Notes: the program, or the preload object in its place, tells of changes that raise no event. */
#include "mm/note.h"
#include "mm/preload.h"
#include "watch/discard.h"
#include "watch/region.h"
#include "notifier/notifier.h"
#include "space/debug.h"
#include "space/space.h"
#include "base/epoch.h"
#include "base/nocancel.h"

#include <errno.h>

struct told {
	enum hmm_note note;
	uint64_t start;
	uint64_t end;
};

static void note(struct hmm_mm *mm, void *arg)
{
	static const enum hmm_event event[] = {
		[HMM_NOTE_PROTECT] = HMM_EVENT_PROTECT,   [HMM_NOTE_DISCARD] = HMM_EVENT_CLEAR,
		[HMM_NOTE_OWN_DISCARD] = HMM_EVENT_CLEAR, [HMM_NOTE_TRUNCATE] = HMM_EVENT_CLEAR,
		[HMM_NOTE_DETACH] = HMM_EVENT_UNMAP,
	};
	const struct told *t = arg;
	struct hmm_invalidation inv = { .start = t->start, .end = t->end, .event = event[t->note] };

	if (mm_alive(mm))
		return;
	if (t->note == HMM_NOTE_DETACH) {
		pthread_mutex_lock(&mm->region_lock);
		region_forget(mm, t->start, t->end);
		pthread_mutex_unlock(&mm->region_lock);
	}
	mm_invalidate(mm, &inv, 0);
	/*
	 * This comes after the invalidation, which has hit also what was faulted while the discard
	 * was pending.
	 */
	if (t->note == HMM_NOTE_DISCARD)
		discard_settle(mm, t->start, t->end);
	else if (t->note == HMM_NOTE_OWN_DISCARD)
		/* looks at the threads: this one is in no discard */
		discard_pending(mm, t->start, t->end);
}

int hmm_mm_note(struct hmm_mm *mm, enum hmm_note what, uint64_t start, uint64_t end)
{
	DEBUG_CALL(mm, DEBUG_BLOCKS);
	HMM_NO_CANCEL;
	struct told t = { what, start, end };

	if ((unsigned int)what > HMM_NOTE_DETACH || start >= end)
		return -EINVAL;
	if (mm && mm_alive(mm))
		return -ESRCH;
	if (mm)
		note(mm, &t);
	else
		spaces_for_each(note, &t);
	return 0;
}

static const struct preload_library library = {
	.note = hmm_mm_note,
	.note_file = hmm_mm_note_file,
	.note_writeback = hmm_mm_note_writeback,
};

void notes_begin(void)
{
	if (hmm_preload_join)
		hmm_preload_join(&library);
}

static void __attribute__((destructor)) notes_end(void)
{
	if (hmm_preload_leave)
		hmm_preload_leave(&library);
}
