// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * What is mapped, without faulting: an entry of hmm_range_fault() becomes a byte. The library's
 * entries do not tell the shared zero page from others, as the kernel's page number does, so the
 * kernel is asked for it.
 */
#include "mirror.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#define PAGES 64

/* A snapshot is begun again after any change in it: the sequence is all that is kept. */
static int forget(struct hmm_interval_notifier *ni, const struct hmm_invalidation *inv, void *priv)
{
	return 0;
}

static const struct hmm_interval_notifier_ops ops = { .size = sizeof(ops), .invalidate = forget };

static uint8_t size_bits(const struct mirror *m, uint64_t entry)
{
	const uint64_t bytes = HMM_PAGE_SIZE << hmm_pfn_to_map_order(entry);
	const uint64_t pmd = m->page_size / sizeof(uint64_t) * m->page_size;

	if (bytes == pmd)
		return DMIRROR_PAGE_PMD;
	return bytes == pmd * (m->page_size / sizeof(uint64_t)) ? DMIRROR_PAGE_PUD : 0;
}

/* What more is known of a page. */
struct more {
	bool zero[PAGES];
	bool coherent[PAGES]; /* in some device's memory that the CPU reaches, too */
};

static uint8_t device_bits(uint64_t entry, bool coherent)
{
	if (entry & HMM_PFN_DEVICE_PRIVATE)
		return DMIRROR_PAGE_PRIVATE;
	if (entry & HMM_PFN_DEVICE_COHERENT)
		return DMIRROR_PAGE_COHERENT;
	return coherent ? DMIRROR_PAGE_COHERENT_ELSEWHERE : 0;
}

static uint8_t byte_of(const struct mirror *m, uint64_t entry, bool zero, bool coherent)
{
	uint8_t byte = zero ? DMIRROR_PAGE_ZERO : DMIRROR_PAGE_NONE;

	if (entry & HMM_PFN_ERROR)
		return DMIRROR_PAGE_ERROR;
	if (!(entry & HMM_PFN_VALID))
		return DMIRROR_PAGE_NONE;
	byte |= device_bits(entry, coherent);
	byte |= entry & HMM_PFN_WRITE ? DMIRROR_PAGE_WRITE : DMIRROR_PAGE_READ;
	return byte | size_bits(m, entry);
}

struct marks {
	const struct hmm_range *range;
	uint64_t page_size;
	bool *mark;
};

static int mark_coherent(const struct hmm_place_run *run, void *arg)
{
	const struct marks *marks = arg;

	for (uint64_t at = run->start; run->place == HMM_PLACE_COHERENT && at < run->end;
	     at += marks->page_size)
		marks->mark[(at - marks->range->start) / marks->page_size] = true;
	return 0;
}

/* The library tells of pages in coherent memory of others by their place alone. */
static int coherent_pages(struct mirror *m, const struct hmm_range *range, bool *mark)
{
	struct marks marks = { range, m->page_size, mark };

	memset(mark, 0, PAGES * sizeof(*mark));
	return hmm_place_walk(m->mm, range->start, range->end, mark_coherent, &marks);
}

/* All entries of a part at one instant. */
static int look(struct mirror *m, struct hmm_range *range, struct more *more)
{
	int err;

	do {
		err = hmm_range_fault(range, FAULT_NS);
		if (!err)
			err = zero_pages(m, range->start, range->end, more->zero);
		if (!err)
			err = coherent_pages(m, range, more->coherent);
		if (err)
			return err == -ETIME ? -EBUSY : err;
	} while (hmm_interval_read_retry(range->notifier, range->notifier_seq));
	return 0;
}

static int look_part(struct mirror *m, uint64_t start, uint64_t end, uint8_t *bytes)
{
	struct hmm_range range = {
		.size = sizeof(range), .start = start, .end = end, .dev_private_owner = m->device
	};
	const uint64_t each = m->page_size / HMM_PAGE_SIZE;
	struct more more;
	int err;

	range.hmm_pfns = hmm_memory_alloc((end - start) / HMM_PAGE_SIZE * sizeof(uint64_t));
	if (!range.hmm_pfns)
		return -ENOMEM;
	err = hmm_interval_notifier_insert(m->mm, start, end - start, &ops, NULL, &range.notifier);
	if (!err)
		err = look(m, &range, &more);
	for (uint64_t i = 0; !err && i < (end - start) / m->page_size; i++)
		bytes[i] = byte_of(m, range.hmm_pfns[i * each], more.zero[i], more.coherent[i]);
	hmm_interval_notifier_remove(range.notifier);
	hmm_memory_free(range.hmm_pfns, (end - start) / HMM_PAGE_SIZE * sizeof(uint64_t));
	return err;
}

int snapshot(struct mirror *m, struct dmirror_command *cmd)
{
	char *ptr = (char *)(uintptr_t)cmd->ptr;
	uint8_t bytes[PAGES];

	while (cmd->cpages < cmd->npages) {
		const uint64_t left = cmd->npages - cmd->cpages;
		const uint64_t n = left < PAGES ? left : PAGES;
		const uint64_t start = cmd->addr + cmd->cpages * m->page_size;
		int err = look_part(m, start, start + n * m->page_size, bytes);

		if (!err)
			err = hmm_copy_to_nofault(ptr + cmd->cpages, bytes, n, NULL);
		if (err)
			return err;
		cmd->cpages += n;
	}
	return 0;
}
