// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* Which pages are the kernel's shared zero page: PAGEMAP_SCAN says so, since Linux 6.7. */
#include "mirror.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define RUNS 64

/* The kernel's structures; Debian 12's headers do not have them. */
struct scan_run {
	uint64_t start;
	uint64_t end;
	uint64_t categories;
};

struct scan {
	uint64_t size;
	uint64_t flags;
	uint64_t start;
	uint64_t end;
	uint64_t walk_end; /* out */
	uint64_t runs;
	uint64_t nruns;
	uint64_t max_pages;
	uint64_t category_inverted;
	uint64_t category_mask;
	uint64_t category_anyof_mask;
	uint64_t return_mask;
};

#define SCAN _IOWR('f', 16, struct scan)
#define PFN_ZERO (1ULL << 5)

static void mark(const struct mirror *m, uint64_t start, const struct scan_run *run, bool *zero)
{
	for (uint64_t a = run->start; a < run->end; a += m->page_size)
		zero[(a - start) / m->page_size] = true;
}

static int scan(const struct mirror *m, int fd, uint64_t start, uint64_t end, bool *zero)
{
	struct scan_run runs[RUNS];
	struct scan arg = { .size = sizeof(arg),
			    .start = start,
			    .end = end,
			    .runs = (uintptr_t)runs,
			    .nruns = RUNS,
			    .category_mask = PFN_ZERO,
			    .return_mask = PFN_ZERO };
	const int n = ioctl(fd, SCAN, &arg);

	if (n < 0)
		return -errno;
	for (int i = 0; i < n; i++)
		mark(m, start, &runs[i], zero);
	return 0;
}

int zero_pages(const struct mirror *m, uint64_t start, uint64_t end, bool *zero)
{
	const int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	int err;

	memset(zero, 0, (end - start) / m->page_size * sizeof(*zero));
	if (fd < 0)
		return -errno;
	err = scan(m, fd, start, end, zero);
	close(fd);
	/* An older kernel does not tell: none is known to be one. */
	return err == -ENOTTY ? 0 : err;
}
