// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * What the kernel says of page frames, /proc/kpageflags, to privileged processes. Bit 34 means two
 * things: of a page of a file that its blocks are known, and of an anonymous page that one process
 * has it alone, so that a write does not copy it (PageAnonExclusive, since Linux 5.19; before, no
 * anonymous page has the bit).
 */
#include "kernel/pagemap.h"
#include "kernel/abi/pagemap.h"
#include "base/opening.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#define FLAGS_AT_ONCE 64
#define ANON (1ULL << 12)
#define ALONE (1ULL << 34)

static bool is_alone(int fd, uint64_t word)
{
	const uint64_t frame = word & PM_WORD_PFN;
	uint64_t flags = 0;
	ssize_t n;

	if (!(word & PM_WORD_PRESENT) || !frame)
		return false;
	do {
		n = pread(fd, &flags, sizeof(flags), (off_t)(frame * sizeof(flags)));
	} while (n < 0 && errno == EINTR);
	return n == sizeof(flags) && (flags & (ANON | ALONE)) == (ANON | ALONE);
}

/* A page that is another one by now is not told of: its frame was not the one that was asked of. */
static int look(struct pagemap *p, int fd, uint64_t start, size_t n, uint64_t *words)
{
	uint64_t again[FLAGS_AT_ONCE];
	int err;

	for (size_t i = 0; i < n; i++)
		if (words[i] & PM_WORD_EXCLUSIVE && !is_alone(fd, words[i]))
			words[i] &= ~PM_WORD_EXCLUSIVE;
	err = pagemap_words(p, start, n, again);
	for (size_t i = 0; !err && i < n; i++)
		if ((words[i] ^ again[i]) & PM_WORD_PFN)
			words[i] &= ~PM_WORD_EXCLUSIVE;
	return err;
}

static int look_all(struct pagemap *p, int fd, uint64_t start, size_t n, uint64_t *words)
{
	const uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
	int err = 0;

	for (size_t i = 0, some; !err && i < n; i += some) {
		some = n - i < FLAGS_AT_ONCE ? n - i : FLAGS_AT_ONCE;
		err = look(p, fd, start + i * page, some, words + i);
	}
	return err;
}

int pagemap_words_alone(struct pagemap *p, uint64_t start, size_t n, uint64_t *words)
{
	int err = pagemap_words(p, start, n, words);
	int fd;

	if (err)
		return err;
	opening_begin();
	fd = open("/proc/kpageflags", O_RDONLY | O_CLOEXEC);
	if (fd >= 0) {
		err = look_all(p, fd, start, n, words);
		close(fd);
	} else {
		for (size_t i = 0; i < n; i++)
			words[i] &= ~PM_WORD_EXCLUSIVE;
	}
	opening_end();
	return err;
}
