// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* Pages go to the device's memory and come home. */
#include "mirror.h"

#include <errno.h>
#include <sys/mman.h>

#define DEVICE_PAGE (HMM_PFN_DEVICE_PRIVATE | HMM_PFN_DEVICE_COHERENT)

/* How much moves at a time: small pages only, if a large allocation is to fail. */
static uint64_t step_of(struct mirror *m, uint64_t bytes)
{
	const uint64_t was = atomic_fetch_and(&m->flags, ~(uint64_t)DMIRROR_FAIL_ALLOC);

	return was & DMIRROR_FAIL_ALLOC ? m->page_size : bytes;
}

static int take(struct mirror *m, uint64_t start, uint64_t end)
{
	const uint64_t step = step_of(m, end - start);

	for (; start < end; start += step) {
		int err = device_take(m->device, m->mm, start, start + step);

		/* What did not move is found missing when the device reads it. */
		if (err && err != -ENOENT)
			return err == -ETIME ? -EBUSY : err;
	}
	return 0;
}

int command_to_device(struct mirror *m, struct dmirror_command *cmd)
{
	struct access a;
	int err = access_init(&a, m, cmd->addr, cmd->addr + cmd->npages * m->page_size, PROT_READ);

	if (err)
		return err;
	err = take(m, a.start, a.end);
	if (!err)
		err = fault_device_pages(&a);
	/* As the kernel's device does: the program gets what the device has now. */
	if (!err)
		err = access_copy(&a, a.end);
	if (!err)
		err = access_give(&a, cmd->ptr);
	cmd->cpages = access_pages(&a);
	access_fini(&a);
	return err;
}

/* Brings home the pages of this device in a block that a walk has looked at. */
static int bring_home(struct mirror *m, const struct hmm_range *range, uint64_t step,
		      uint64_t *pages)
{
	const uint64_t *pfns = range->hmm_pfns;

	for (uint64_t at = range->start, to; at < range->end; at = to) {
		uint64_t i = (at - range->start) >> HMM_PAGE_SHIFT;
		int err;

		to = at + m->page_size;
		if (pfns[i] & HMM_PFN_ERROR)
			return -EINVAL;
		if (!(pfns[i] & DEVICE_PAGE))
			continue;
		while (to < range->end && to - at < step &&
		       pfns[(to - range->start) >> HMM_PAGE_SHIFT] & DEVICE_PAGE)
			to += m->page_size;
		err = hmm_migrate_to_system(m->mm, at, to, FAULT_NS);
		if (err)
			return err == -ETIME ? -EBUSY : err;
		*pages += (to - at) / m->page_size;
	}
	return 0;
}

int command_to_system(struct mirror *m, struct dmirror_command *cmd)
{
	const uint64_t end = cmd->addr + cmd->npages * m->page_size;
	const uint64_t most = BLOCK_PAGES * HMM_PAGE_SIZE;
	const uint64_t step = step_of(m, most);
	uint64_t *pfns = hmm_memory_alloc(BLOCK_PAGES * sizeof(*pfns));
	int err = pfns ? 0 : -ENOMEM;

	for (uint64_t at = cmd->addr, next; !err && at < end; at = next) {
		struct hmm_range range = { .size = sizeof(range),
					   .flags = HMM_RANGE_FRESH,
					   .notifier = m->notifier,
					   .start = at,
					   .hmm_pfns = pfns,
					   .dev_private_owner = m->device };

		next = end - at > most ? at + most : end;
		range.end = next;
		err = hmm_range_fault(&range, FAULT_NS);
		if (!err)
			err = bring_home(m, &range, step, &cmd->cpages);
	}
	hmm_memory_free(pfns, BLOCK_PAGES * sizeof(*pfns));
	return err;
}
