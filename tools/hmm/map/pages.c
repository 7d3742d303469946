// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
#include <errno.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "../../../lib/kernel/abi/pagemap.h"
#include "pages.h"

static uint64_t *field_of(struct fill *fill, size_t field)
{
	return (uint64_t *)(void *)((char *)fill + field);
}

void area_add(struct area *area, uint64_t start, uint64_t end, size_t field)
{
	uint64_t length = area->end - area->start, first, last;

	if (start < area->start)
		start = area->start;
	if (end > area->end)
		end = area->end;
	if (start >= end)
		return;
	*field_of(&area->sum, field) += end - start;
	first = (uint64_t)((unsigned __int128)(start - area->start) * CELLS / length);
	last = (uint64_t)((unsigned __int128)(end - 1 - area->start) * CELLS / length);
	for (uint64_t i = first; i <= last; i++) {
		uint64_t from = area->start + (uint64_t)((unsigned __int128)length * i / CELLS);
		uint64_t to = area->start + (uint64_t)((unsigned __int128)length * (i + 1) / CELLS);

		if (from < start)
			from = start;
		if (to > end)
			to = end;
		if (from < to)
			*field_of(&area->cells[i], field) += to - from;
	}
}

static int read_words(int fd, struct area *area)
{
	uint64_t words[512], page = (uint64_t)sysconf(_SC_PAGESIZE);

	for (uint64_t at = area->start; at < area->end;) {
		ssize_t n = pread(fd, words, sizeof(words), (off_t)(at / page * sizeof(words[0])));

		if (n <= 0)
			return n ? -errno : 0;
		for (size_t i = 0; i < (size_t)n / sizeof(words[0]); i++, at += page) {
			if (words[i] & PM_WORD_PRESENT)
				area_add(area, at, at + page, offsetof(struct fill, present));
			else if (words[i] & PM_WORD_SWAP)
				area_add(area, at, at + page, offsetof(struct fill, swapped));
		}
	}
	return 0;
}

int pages_read(int fd, struct area *area)
{
	struct page_region regions[256];
	struct pm_scan_arg scan = { .size = sizeof(scan),
				    .start = area->start,
				    .end = area->end,
				    .vec = (uintptr_t)regions,
				    .vec_len = sizeof(regions) / sizeof(regions[0]),
				    .category_anyof_mask = PAGE_IS_PRESENT | PAGE_IS_SWAPPED,
				    .return_mask =
					    PAGE_IS_PRESENT | PAGE_IS_SWAPPED | PAGE_IS_HUGE };

	while (scan.start < area->end) {
		int n = ioctl(fd, PAGEMAP_SCAN, &scan);

		if (n < 0)
			return errno == ENOTTY || errno == EINVAL ? read_words(fd, area) : -errno;
		for (int i = 0; i < n; i++) {
			const struct page_region *r = &regions[i];

			if (r->categories & PAGE_IS_PRESENT)
				area_add(area, r->start, r->end, offsetof(struct fill, present));
			if ((r->categories & PAGE_IS_PRESENT) && (r->categories & PAGE_IS_HUGE))
				area_add(area, r->start, r->end, offsetof(struct fill, huge));
			if (r->categories & PAGE_IS_SWAPPED)
				area_add(area, r->start, r->end, offsetof(struct fill, swapped));
		}
		if (scan.walk_end <= scan.start)
			break;
		scan.start = scan.walk_end;
	}
	return 0;
}
