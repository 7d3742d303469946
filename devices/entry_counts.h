/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/* Counts the entries of a page table, for the statistics of devices that use an hmm_ptable. */
#ifndef DEVICES_HELD_H
#define DEVICES_HELD_H

#include <hmm/device.h>
#include <hmm/ptable.h>

static inline int held_count(uint64_t addr, uint32_t shift, uint64_t entry, void *arg)
{
	struct hmm_device_stats *stats = arg;

	*(shift == 12   ? &stats->held_4k
	  : shift == 21 ? &stats->held_2m
	  : shift == 30 ? &stats->held_1g
			: &stats->held_other) += 1;
	return 0;
}

static inline void held_stats(struct hmm_ptable *table, struct hmm_device_stats *stats)
{
	hmm_ptable_walk(table, 0, UINT64_MAX, held_count, stats);
}

#endif
