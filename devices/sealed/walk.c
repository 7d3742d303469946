// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * Where in the holder's memory the program's pages are. An answer is true until the range is
 * invalidated, which comes before a page is copied out. A copy needs link.lock: with it, a
 * thread that has asked for the sequence since may have the holder work there.
 */
#include <errno.h>
#include <hmm/memory.h>
#include <time.h>
#include "internal.h"

static int on_invalidate(struct hmm_interval_notifier *ni, const struct hmm_invalidation *inv,
			 void *priv)
{
	/* The sequence says it. */
	return 0;
}

static uint64_t page_start(uint64_t addr)
{
	return addr & ~(HMM_PAGE_SIZE - 1);
}

static uint64_t page_end(uint64_t addr)
{
	return page_start(addr + HMM_PAGE_SIZE - 1);
}

static uint64_t now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

static uint64_t deadline(uint64_t timeout_ns)
{
	const uint64_t at = now();

	if (timeout_ns == HMM_FOREVER)
		return UINT64_MAX;
	if (timeout_ns == HMM_NO_WAIT)
		return at;
	return timeout_ns > UINT64_MAX - at ? UINT64_MAX : at + timeout_ns;
}

void walker_progress(struct walker *w)
{
	w->deadline = deadline(w->timeout_ns);
}

int walker_open(struct hmm_sealed *s, uint64_t start, uint64_t end, uint64_t timeout_ns,
		struct walker **out)
{
	const struct hmm_interval_notifier_ops ops = { .size = sizeof(ops),
						       .invalidate = on_invalidate };
	struct walker *w = hmm_memory_alloc(sizeof(*w));
	int err;

	if (!w)
		return -ENOMEM;
	w->sealed = s;
	w->timeout_ns = timeout_ns;
	walker_progress(w);
	w->range = (struct hmm_range){ .size = sizeof(w->range),
				       .flags = HMM_RANGE_FRESH,
				       .hmm_pfns = w->pfns,
				       .dev_private_owner = s };
	err = hmm_interval_notifier_insert(s->mm, page_start(start),
					   page_end(end) - page_start(start), &ops, NULL,
					   &w->range.notifier);
	if (err) {
		hmm_memory_free(w, sizeof(*w));
		return err;
	}
	*out = w;
	return 0;
}

void walker_close(struct walker *w)
{
	hmm_interval_notifier_remove(w->range.notifier);
	hmm_memory_free(w, sizeof(*w));
}

uint64_t walker_block(uint64_t at, uint64_t end)
{
	const uint64_t block = (at & ~(LOOK_BYTES - 1)) + LOOK_BYTES;

	return block < end ? block : end;
}

static uint64_t left_ns(const struct walker *w)
{
	const uint64_t at = now();

	if (w->deadline == UINT64_MAX)
		return HMM_FOREVER;
	return w->deadline > at ? w->deadline - at : HMM_NO_WAIT;
}

int walker_look(struct walker *w, uint64_t start, uint64_t end)
{
	w->range.start = page_start(start);
	w->range.end = page_end(end);
	return hmm_range_fault(&w->range, left_ns(w));
}

bool walker_is_late(const struct walker *w)
{
	return now() >= w->deadline;
}

bool walker_holds(const struct walker *w)
{
	return !hmm_interval_read_retry(w->range.notifier, w->range.notifier_seq);
}

bool walker_offset(const struct walker *w, uint64_t at, uint64_t *offset)
{
	const uint64_t pfn = w->pfns[(at - w->range.start) >> HMM_PAGE_SHIFT];
	/* An entry of a larger page has the address of any page of it. */
	const uint64_t in_page = (HMM_PAGE_SIZE << hmm_pfn_to_map_order(pfn)) - 1;

	*offset = ((hmm_pfn_to_addr(pfn) & ~in_page) | (at & in_page)) - w->sealed->base;
	return (pfn & HMM_PFN_VALID) && (pfn & HMM_PFN_DEVICE_PRIVATE);
}
