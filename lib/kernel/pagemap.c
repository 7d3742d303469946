// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * What the page table says. This is the only file that reads /proc/PID/pagemap, by PAGEMAP_SCAN or,
 * without it, by words. The words lack two things that a scan has, the zero page and the order. So
 * without the scan all entries have the smallest order.
 *
 * A scan says nothing about holes. So a question whether all pages are something is put so that a
 * hole means no.
 */
#include "kernel/pagemap.h"
#include "space/space.h"
#include "kernel/abi/pagemap.h"
#include "base/ownfd.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define WORDS_AT_ONCE 512
#define RUNS_AT_ONCE 64

/*
 * PAGE_IS_FILE is left out: it alone doubles the cost of a scan of 4 KiB pages (16 to 30 ns a
 * page). PAGE_IS_WPALLOWED is about the VMA: it says whether pages are registered, and costs
 * nothing.
 */
#define RUN_CATEGORIES                                                                             \
	(PAGE_IS_PRESENT | PAGE_IS_SWAPPED | PAGE_IS_PFNZERO | PAGE_IS_HUGE | PAGE_IS_WPALLOWED)

static uint64_t page_bytes(void)
{
	return (uint64_t)sysconf(_SC_PAGESIZE);
}

static int scan(const struct pagemap *p, struct pm_scan_arg *arg)
{
	int n;

	arg->size = sizeof(*arg);
	do {
		n = ioctl(p->fd, PAGEMAP_SCAN, arg);
	} while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n;
}

int pagemap_words(struct pagemap *p, uint64_t start, size_t n, uint64_t *words)
{
	const uint64_t page = page_bytes();
	size_t done = 0;

	while (done < n * sizeof(*words)) {
		ssize_t r = pread(p->fd, (char *)words + done, n * sizeof(*words) - done,
				  (off_t)(start / page * sizeof(*words) + done));

		if (r < 0 && errno == EINTR)
			continue;
		if (r < 0)
			return -errno;
		/* past the end of the address space */
		if (r == 0) {
			memset((char *)words + done, 0, n * sizeof(*words) - done);
			break;
		}
		done += (size_t)r;
	}
	return 0;
}

static void probe(struct pagemap *p, bool no_scan)
{
	volatile char here = 1;
	const uint64_t addr = (uint64_t)(uintptr_t)&here & ~(page_bytes() - 1);
	struct page_region region;
	struct pm_scan_arg arg = { .start = addr,
				   .end = addr + page_bytes(),
				   .vec = (uint64_t)(uintptr_t)&region,
				   .vec_len = 1,
				   .category_mask = PAGE_IS_PRESENT,
				   .return_mask = PAGE_IS_PRESENT };
	uint64_t word = 0;

	p->scan = !no_scan && scan(p, &arg) == 1;
	p->pfns_hidden = pagemap_words(p, addr, 1, &word) || !(word & PM_WORD_PFN);
}

int pagemap_open(struct pagemap *p, int fd, bool no_scan)
{
	int err;

	fd = fd < 0 ? open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC)
		    : fcntl(fd, F_DUPFD_CLOEXEC, 0);
	err = fd < 0 ? -errno : ownfd_take(&p->own, fd);
	if (err)
		return err == -EBADF ? -EINVAL : err;
	p->fd = p->own.fd;
	probe(p, no_scan);
	return 0;
}

void pagemap_close(struct pagemap *p)
{
	ownfd_close(&p->own);
	p->fd = -1;
}

static int runs_by_scan(struct pagemap *p, uint64_t start, uint64_t end, struct page_run *runs,
			size_t *n, uint64_t *walked)
{
	struct pm_scan_arg arg = { .start = start,
				   .end = end,
				   .vec = (uint64_t)(uintptr_t)runs,
				   .vec_len = *n,
				   .category_anyof_mask = PAGE_IS_PRESENT | PAGE_IS_SWAPPED,
				   .return_mask = RUN_CATEGORIES };
	int got = scan(p, &arg);

	_Static_assert(sizeof(struct page_run) == sizeof(struct page_region), "one layout");
	if (got < 0)
		return got;
	*n = (size_t)got;
	*walked = arg.walk_end;
	return 0;
}

static uint64_t word_categories(uint64_t word)
{
	if (word & PM_WORD_PRESENT)
		return PAGE_IS_PRESENT;
	return word & (PM_WORD_SWAP | PM_WORD_GUARD) ? PAGE_IS_SWAPPED : 0;
}

static int runs_by_words(struct pagemap *p, uint64_t start, uint64_t end, struct page_run *runs,
			 size_t *n, uint64_t *walked)
{
	const uint64_t page = page_bytes();
	uint64_t words[WORDS_AT_ONCE];
	size_t used = 0;
	uint64_t addr = start;

	while (addr < end) {
		size_t want = (size_t)((end - addr) / page);
		int r;

		if (want > WORDS_AT_ONCE)
			want = WORDS_AT_ONCE;
		r = pagemap_words(p, addr, want, words);
		if (r)
			return r;
		for (size_t i = 0; i < want; i++, addr += page) {
			uint64_t c = word_categories(words[i]);

			if (!c)
				continue;
			if (used && runs[used - 1].end == addr && runs[used - 1].categories == c) {
				runs[used - 1].end += page;
				continue;
			}
			if (used == *n)
				goto full;
			runs[used++] = (struct page_run){ addr, addr + page, c };
		}
	}
full:
	*n = used;
	*walked = addr;
	return 0;
}

int pagemap_runs(struct pagemap *p, uint64_t start, uint64_t end, struct page_run *runs, size_t *n,
		 uint64_t *walked)
{
	if (p->scan)
		return runs_by_scan(p, start, end, runs, n, walked);
	return runs_by_words(p, start, end, runs, n, walked);
}

int pagemap_arm(struct pagemap *p, uint64_t start, uint64_t end)
{
	/*
	 * Absent pages are left out: a marker in their place would say nothing, and keep a page
	 * away that is to come back there. The kernel looks at categories only if it has to say
	 * which pages it has found.
	 */
	struct page_region found[RUNS_AT_ONCE];
	struct pm_scan_arg arg = { .flags = PM_SCAN_WP_MATCHING | PM_SCAN_CHECK_WPASYNC,
				   .vec = (uint64_t)(uintptr_t)found,
				   .vec_len = RUNS_AT_ONCE,
				   .category_mask = PAGE_IS_PRESENT | PAGE_IS_WRITTEN,
				   .return_mask = PAGE_IS_PRESENT };
	int r;

	if (!p->scan)
		return -EOPNOTSUPP;
	while (start < end) {
		arg.start = start;
		arg.end = end;
		r = scan(p, &arg);
		if (r < 0)
			return r;
		if (arg.walk_end <= start)
			return -EIO;
		start = arg.walk_end;
	}
	return 0;
}

/* Does every page match, so that the pages make one run from start to end? */
static int all_match(struct pagemap *p, uint64_t start, uint64_t end, uint64_t mask,
		     uint64_t inverted)
{
	struct page_region region;
	struct pm_scan_arg arg = { .start = start,
				   .end = end,
				   .vec = (uint64_t)(uintptr_t)&region,
				   .vec_len = 1,
				   .category_mask = mask,
				   .category_inverted = inverted,
				   .return_mask = mask };
	int n = scan(p, &arg);

	if (n <= 0)
		return n;
	return region.start == start && region.end == end;
}

static int all_words(struct pagemap *p, uint64_t start, uint64_t end, uint64_t bits)
{
	const uint64_t page = page_bytes();
	uint64_t words[WORDS_AT_ONCE];

	while (start < end) {
		size_t n = (size_t)((end - start) / page);
		int r;

		if (n > WORDS_AT_ONCE)
			n = WORDS_AT_ONCE;
		r = pagemap_words(p, start, n, words);
		if (r)
			return r;
		for (size_t i = 0; i < n; i++)
			if ((words[i] & bits) != bits)
				return 0;
		start += n * page;
	}
	return 1;
}

int pagemap_all_armed(struct pagemap *p, uint64_t start, uint64_t end)
{
	if (!p->scan)
		return all_words(p, start, end, PM_WORD_PRESENT | PM_WORD_UFFD_WP);
	return all_match(p, start, end, PAGE_IS_PRESENT | PAGE_IS_WRITTEN, PAGE_IS_WRITTEN);
}

int pagemap_all_present(struct pagemap *p, uint64_t start, uint64_t end)
{
	if (!p->scan)
		return all_words(p, start, end, PM_WORD_PRESENT);
	return all_match(p, start, end, PAGE_IS_PRESENT, 0);
}

int pagemap_is_registered(struct pagemap *p, uint64_t addr)
{
	const uint64_t page = page_bytes();

	addr &= ~(page - 1);
	return p->scan ? all_match(p, addr, addr + page, PAGE_IS_WPALLOWED, 0) : -EOPNOTSUPP;
}
