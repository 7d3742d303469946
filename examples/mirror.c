// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * A mirror without the svm layer: one interval notifier, one page table, one engine. The device
 * learns which pages it writes by giving up write permission and counting its faults; then it is
 * evicted.
 */
#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <hmm/hmm.h>

#define PAGES 64
#define SIZE (PAGES * HMM_PAGE_SIZE)

static struct hmm_mm *mm;
static struct hmm_interval_notifier *ni;
static struct hmm_ptable *table;
static struct hmm_engine *engine;
static unsigned int faults;
static bool once; /* what was faulted last may be used once, and not be cached */
static _Atomic uint32_t last_event;

static void need(int error, const char *what)
{
	if (error >= 0)
		return;
	fprintf(stderr, "mirror: %s: %s\n", what, strerror(-error));
	exit(1);
}

/* On the pump, or in hmm_interval_invalidate(): drops what the device holds, nothing else. */
static int invalidate(struct hmm_interval_notifier *n, const struct hmm_invalidation *inv,
		      void *priv)
{
	hmm_ptable_clear(table, inv->start, inv->end);
	atomic_store(&last_event, inv->event);
	return 0;
}

static const struct hmm_interval_notifier_ops ops = { sizeof(ops), invalidate };

/* The device has no entry that lets it write: get one. */
static void fault(char *page)
{
	uint64_t pfn = 0;
	struct hmm_range range = { .size = sizeof(range),
				   .notifier = ni,
				   .start = (uintptr_t)page,
				   .end = (uintptr_t)page + HMM_PAGE_SIZE,
				   .hmm_pfns = &pfn,
				   .default_flags = HMM_PFN_REQ_FAULT | HMM_PFN_REQ_WRITE };
	bool done = false;

	faults++;
	while (!done) {
		need(hmm_range_fault(&range, HMM_FOREVER), "hmm_range_fault");
		/* The cheap question first: no need to keep the pump waiting for a lost race. */
		if (hmm_interval_check_retry(ni, range.notifier_seq))
			continue;
		hmm_mm_commit_begin(mm);
		if (!hmm_interval_read_retry(ni, range.notifier_seq)) {
			once = pfn & HMM_PFN_TRANSIENT;
			if (!once)
				need(hmm_ptable_set(table, range.start, HMM_PAGE_SHIFT, &pfn, 1),
				     "hmm_ptable_set");
			done = true;
		}
		hmm_mm_commit_end(mm);
		/* A change is in flight, maybe elsewhere: wait until it is handled. */
		if (!done)
			hmm_interval_read_begin(ni);
	}
}

/* What the hardware does: translate inside a section, or fault and try again. */
static void device_write(char *at, char value)
{
	for (;;) {
		uint64_t entry;
		int ret = -ENOENT;

		hmm_engine_enter(engine);
		entry = hmm_ptable_lookup(table, (uintptr_t)at, NULL);
		if (once || entry & HMM_PFN_WRITE)
			ret = hmm_store_nofault(at, 1, (uint8_t)value);
		once = false;
		if (hmm_engine_exit(engine) && !ret)
			return;
		fault((char *)((uintptr_t)at & ~(HMM_PAGE_SIZE - 1)));
	}
}

int main(void)
{
	char *memory = aligned_alloc(HMM_PAGE_SIZE, SIZE);
	uint64_t start = (uintptr_t)memory;
	struct hmm_invalidation evict = { .start = start,
					  .end = start + SIZE,
					  .event = HMM_EVENT_MIGRATE };
	unsigned int cold, tracked, evicted;
	int ret = hmm_mm_attach(NULL, &mm);

	if (ret) {
		fprintf(stderr, "cannot attach: %s\n", strerror(-ret));
		return 77;
	}
	need(hmm_interval_notifier_insert(mm, start, SIZE, &ops, NULL, &ni), "a notifier");
	need(hmm_ptable_create(NULL, &table), "a page table");
	need(hmm_engine_create(mm, &engine), "an engine");

	for (size_t i = 0; i < PAGES; i++)
		device_write(memory + i * HMM_PAGE_SIZE, 1);
	cold = faults;

	/* From here on a fault says that the device writes to a page for the first time. */
	hmm_ptable_clear_bits(table, start, start + SIZE, HMM_PFN_WRITE);
	for (size_t i = 0; i < 3 * 4; i++)
		device_write(memory + i % 3 * 7 * HMM_PAGE_SIZE, 2);
	tracked = faults - cold;

	need(hmm_interval_invalidate(mm, &evict), "hmm_interval_invalidate");
	device_write(memory, 3);
	evicted = faults - cold - tracked;

	printf("cold: %u faults for %d pages; then %u pages written; after %s %u fault\n", cold,
	       PAGES, tracked, hmm_event_name(HMM_EVENT_MIGRATE), evicted);
	hmm_engine_destroy(engine);
	hmm_interval_notifier_remove(ni);
	hmm_ptable_destroy(table);
	hmm_mm_detach(mm);
	ret = !(cold == PAGES && tracked == 3 && evicted == 1 && memory[0] == 3 &&
		memory[7 * HMM_PAGE_SIZE] == 2 && atomic_load(&last_event) == HMM_EVENT_MIGRATE);
	free(memory);
	return ret;
}
