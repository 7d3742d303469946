// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * The device's page faults: a pass over all that an access has not copied yet.
 */
#include "mirror.h"

#include <errno.h>
#include <sys/mman.h>

/* How often memory that may be used only once may change before each use. */
#define VAIN_MAX 10000

/*
 * The entries are true now: the lasting ones go to the page table. *once: there are others. Where
 * nothing was requested only those of the device's memory are meant.
 */
static int install(struct access *a, const struct hmm_range *range, bool *once)
{
	const uint64_t n = (range->end - range->start) >> HMM_PAGE_SHIFT;
	uint64_t lasting[BLOCK_PAGES];

	*once = false;
	for (uint64_t i = 0; i < n; i++) {
		const uint64_t e = a->pfns[i];
		const bool meant = range->default_flags ||
				   e & (HMM_PFN_DEVICE_PRIVATE | HMM_PFN_DEVICE_COHERENT);

		lasting[i] = meant && !(e & HMM_PFN_TRANSIENT) ? e : 0;
		*once |= meant && e & HMM_PFN_TRANSIENT;
	}
	return hmm_ptable_set(a->m->table, range->start, HMM_PAGE_SHIFT, lasting, n);
}

/* Faults, and installs in a commit section that finds the range unchanged. */
static int fault_and_install(struct access *a, struct hmm_range *range, bool *once)
{
	for (;;) {
		int err = hmm_range_fault(range, a->timeout);

		if (err)
			return err == -ETIME ? -EBUSY : err;
		hmm_mm_commit_begin(a->m->mm);
		if (!hmm_interval_read_retry(range->notifier, range->notifier_seq)) {
			err = install(a, range, once);
			hmm_mm_commit_end(a->m->mm);
			return err;
		}
		hmm_mm_commit_end(a->m->mm);
	}
}

/* In a section: copies a page of a block by the block's own entries. */
static int copy_block(struct access *a, const struct hmm_range *range, uint64_t *at)
{
	for (; *at < range->end; *at += HMM_PAGE_SIZE) {
		const uint64_t entry = a->pfns[(*at - range->start) >> HMM_PAGE_SHIFT];
		int err = access_page(a, *at, entry);

		if (err)
			return err;
	}
	return 0;
}

/* Memory that nothing reports changes of is used in one section, if it has not changed by then. */
static int use_once(struct access *a, const struct hmm_range *range)
{
	uint64_t at = a->at;
	int err;

	hmm_engine_enter(a->engine);
	err = hmm_range_check(range, 0) ? -EAGAIN : copy_block(a, range, &at);
	if (!hmm_engine_exit(a->engine))
		return -EAGAIN;
	if (!err && hmm_range_check(range, HMM_CHECK_ALL))
		err = -EAGAIN;
	if (!err)
		a->at = at;
	return err == -EFAULT ? -EAGAIN : err;
}

static int fault_block(struct access *a, uint64_t start, uint64_t end)
{
	struct hmm_range range = { .size = sizeof(range),
				   .flags = HMM_RANGE_FRESH,
				   .notifier = a->m->notifier,
				   .start = start,
				   .end = end,
				   .hmm_pfns = a->pfns,
				   .default_flags = HMM_PFN_REQ_FAULT,
				   .dev_private_owner = a->m->device };
	unsigned int vain = 0;
	bool once;
	int err;

	if (a->prot & PROT_WRITE)
		range.default_flags |= HMM_PFN_REQ_WRITE;
	do {
		err = fault_and_install(a, &range, &once);
		if (err || !once)
			return err;
		/* In order: what comes before is in the table, if it was not lost again. */
		err = access_copy(a, start);
		if (err)
			return err == -ENOENT ? 0 : err;
		err = use_once(a, &range);
	} while (err == -EAGAIN && ++vain < VAIN_MAX);
	return err == -EAGAIN ? -EBUSY : err;
}

int fault_range(struct access *a, uint64_t start, uint64_t end)
{
	const uint64_t most = BLOCK_PAGES * HMM_PAGE_SIZE;

	for (uint64_t next; start < end; start = next) {
		int err;

		next = end - start > most ? start + most : end;
		err = fault_block(a, start, next);
		if (err)
			return err;
	}
	return 0;
}

int fault_device_pages(struct access *a)
{
	const uint64_t most = BLOCK_PAGES * HMM_PAGE_SIZE;
	int err = 0;

	for (uint64_t start = a->start, next; !err && start < a->end; start = next) {
		struct hmm_range range = { .size = sizeof(range),
					   .flags = HMM_RANGE_FRESH,
					   .notifier = a->m->notifier,
					   .start = start,
					   .hmm_pfns = a->pfns,
					   .dev_private_owner = a->m->device };
		bool once;

		next = a->end - start > most ? start + most : a->end;
		range.end = next;
		err = fault_and_install(a, &range, &once);
	}
	return err;
}
