// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * A row of pages goes home. A page is moved where the kernel does that. If the program has changed
 * the permissions of the mapping, or locked it, while the page was away the kernel refuses, and the
 * page is copied. Devices have stopped meanwhile, so nobody writes it.
 */
#include "devmem/devmem.h"
#include "notifier/notifier.h"
#include "space/space.h"
#include "provider/provider.h"
#include "base/log.h"
#include "base/mutation.h"
#include "base/number.h"

#include <errno.h>

static void tell(struct hmm_mm *mm, const struct hmm_devmem *d, uint64_t start, uint64_t end)
{
	struct hmm_invalidation inv = {
		.start = start,
		.end = end,
		.event = d->exclusive ? HMM_EVENT_EXCLUSIVE : HMM_EVENT_MIGRATE,
		.owner = d->options.owner,
	};

	if (!hmm_mutation(HMM_MUTATION_HOME_SILENT))
		notifiers_invalidate(mm, &inv);
}

void home_begin(struct hmm_mm *mm, struct hmm_devmem *d, const struct run *run)
{
	tell(mm, d, run->start, run->end);
	/* Before a thread that waits for the page goes on. */
	frames_revoke(d, place_frame(run->first),
		      (uint32_t)((run->end - run->start) / d->space->page));
}

/*
 * One page that cannot be moved, for the reason `err`. Returns the bytes that are done, or -errno.
 * Afterwards nobody needs what is in the frame.
 */
static int64_t settle(struct hmm_mm *mm, uint64_t to, uint64_t from, uint64_t page, int err)
{
	const struct provider_move *ops = mm->provider.ops->move;
	int64_t ret = err;

	/*
	 * -EEXIST may be a marker in the page table, over which the kernel copies and does not
	 * move. If there is a page it is what the program works with.
	 */
	if (!home_ends(err)) {
		/* A copy of a page that is not there would wait for this very thread. */
		ret = ops->zero(&mm->provider, from, page);
		if (!home_ends(ret))
			ret = ops->copy(&mm->provider, to, from, page);
	}
	if (home_ends(ret))
		return ret;
	if (ret == -EEXIST)
		ops->wake(&mm->provider, to, page);
	else if (ret < 0)
		log_say(HMM_LOG_ERROR, "a page in device memory could not be brought home: its "
				       "mapping is no longer registered with the library. Its "
				       "content is lost.");
	return (int64_t)page;
}

static void account(struct hmm_devmem *d, const struct run *run, uint64_t at, uint64_t bytes,
		    bool copied)
{
	const uint64_t page = d->space->page;
	const uint32_t first = place_frame(run->first) + (uint32_t)((at - run->start) / page);

	if (places_take(d->space, at, at + bytes))
		return; /* it is at home all the same, and the next move finds it there */
	frames_free(d, first, (uint32_t)(bytes / page), copied);
	count(&d->stats.moved_home, bytes);
	if (copied)
		count(&d->stats.copied_home, bytes);
}

int home_row(struct hmm_mm *mm, const struct run *run, uint64_t from, uint64_t *done)
{
	const struct provider_move *ops = mm->provider.ops->move;
	struct devmem_space *s = devmem_of(mm);
	struct hmm_devmem *d = place_devmem(s, run->first);
	uint64_t step = run->end - run->start;
	uint64_t at = run->start;

	if (hmm_mutation(HMM_MUTATION_EARLY_TAKE))
		places_take(s, run->start, run->end);
	while (at < run->end) {
		const uint64_t frame = from + (at - run->start);
		bool copied = false;
		int64_t n = ops->move(&mm->provider, at, frame, min64(step, run->end - at));

		/* It may lie in several mappings by now. */
		if (n < 0 && n != -EAGAIN && step > s->page) {
			step = s->page;
			continue;
		}
		if (n < 0) {
			n = settle(mm, at, frame, s->page, (int)n);
			copied = true;
		}
		if (n < 0) {
			*done = at;
			return n == -EBADF || n == -ENOTTY ? -ESRCH : (int)n;
		}
		account(d, run, at, (uint64_t)n, copied);
		at += (uint64_t)n;
	}
	*done = at;
	return 0;
}
