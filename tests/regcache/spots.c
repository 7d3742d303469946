// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* Anonymous memory, large pages, and what changes it. */
#include <errno.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>
#include "spot_kinds.h"

#ifndef MADV_DONTNEED_LOCKED
#define MADV_DONTNEED_LOCKED 24
#endif
#ifndef MREMAP_DONTUNMAP
#define MREMAP_DONTUNMAP 4
#endif

/* Below where the kernel puts mappings by itself: nobody takes an address that was unmapped. */
#ifdef __SANITIZE_THREAD__
#define PLACE 0x7e9000000000ULL /* what it lets a program map */
#else
#define PLACE 0x210000000000ULL
#endif
#define STEP (16UL << 20)

char *spot_place(unsigned int number)
{
	return (char *)(uintptr_t)(PLACE + number * STEP);
}

void spot_close(int fd)
{
	if (fd >= 0)
		syscall(SYS_close, fd);
}

static char *from(const struct spot *spot, unsigned int lo)
{
	return spot_page(spot, lo);
}

static size_t bytes(const struct spot *spot, unsigned int lo, unsigned int hi)
{
	return (hi - lo) * spot->stride;
}

int spot_map(char *at, size_t size)
{
	void *got = mmap(at, size, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);

	return got == at ? 0 : -errno;
}

static int make_anon(struct spot *spot)
{
	char *at = spot_place(spot->id);

	spot->stride = PAGE_BYTES;
	atomic_store(&spot->at, (uintptr_t)at);
	return spot_map(at, SPOT_PAGES * PAGE_BYTES);
}

/* Each page of the spot lies in a large page of its own. */
static int make_large(struct spot *spot)
{
	char *at = spot_place(spot->id);
	int err;

	spot->stride = 2UL << 20;
	atomic_store(&spot->at, (uintptr_t)at);
	err = spot_map(at, SPOT_PAGES * spot->stride);
	if (!err)
		madvise(at, SPOT_PAGES * spot->stride, MADV_HUGEPAGE);
	return err;
}

static int do_munmap(struct spot *spot, unsigned int *lo, unsigned int *hi)
{
	if (munmap(from(spot, *lo), bytes(spot, *lo, *hi)))
		return -errno;
	return spot_map(from(spot, *lo), bytes(spot, *lo, *hi));
}

static int do_raw_munmap(struct spot *spot, unsigned int *lo, unsigned int *hi)
{
	if (syscall(SYS_munmap, from(spot, *lo), bytes(spot, *lo, *hi)))
		return -errno;
	return spot_map(from(spot, *lo), bytes(spot, *lo, *hi));
}

static int do_map_fixed(struct spot *spot, unsigned int *lo, unsigned int *hi)
{
	char *at = from(spot, *lo);

	return mmap(at, bytes(spot, *lo, *hi), PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == at
		       ? 0
		       : -errno;
}

static int do_mremap_onto(struct spot *spot, unsigned int *lo, unsigned int *hi)
{
	char *other = spot_place(SPOTS_MAX + spot->id), *at = from(spot, *lo);
	size_t size = bytes(spot, *lo, *hi);
	int err = spot_map(other, size);

	if (err)
		return err;
	*(volatile char *)other = 0;
	return mremap(other, size, size, MREMAP_MAYMOVE | MREMAP_FIXED, at) == at ? 0 : -errno;
}

/*
 * What was changed in parts may be several mappings, of which the kernel moves none or some at
 * once.
 */
static int in_pieces(struct spot *spot, unsigned int *lo, unsigned int *hi)
{
	if (errno != EFAULT || munmap(spot_place(SPOTS_MAX + spot->id), bytes(spot, *lo, *hi)))
		return -errno;
	return do_munmap(spot, lo, hi);
}

/* Away, and to where it was not before. */
static int do_mremap_away(struct spot *spot, unsigned int *lo, unsigned int *hi)
{
	char *other = spot_place(SPOTS_MAX + spot->id), *at = from(spot, *lo);
	size_t size = bytes(spot, *lo, *hi);

	if (mremap(at, size, size, MREMAP_MAYMOVE | MREMAP_FIXED, other) != other)
		return in_pieces(spot, lo, hi);
	return munmap(other, size) ? -errno : spot_map(at, size);
}

static int do_mremap_dontunmap(struct spot *spot, unsigned int *lo, unsigned int *hi)
{
	char *other = spot_place(SPOTS_MAX + spot->id), *at = from(spot, *lo);
	size_t size = bytes(spot, *lo, *hi);

	if (mremap(at, size, size, MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP, other) !=
	    other)
		return in_pieces(spot, lo, hi);
	return munmap(other, size) ? -errno : 0;
}

static int do_dontneed(struct spot *spot, unsigned int *lo, unsigned int *hi)
{
	return madvise(from(spot, *lo), bytes(spot, *lo, *hi), MADV_DONTNEED) ? -errno : 0;
}

static int do_dontneed_locked(struct spot *spot, unsigned int *lo, unsigned int *hi)
{
	if (!madvise(from(spot, *lo), bytes(spot, *lo, *hi), MADV_DONTNEED_LOCKED))
		return 0;
	return errno == EINVAL ? do_dontneed(spot, lo, hi) : -errno;
}

static int do_raw_dontneed(struct spot *spot, unsigned int *lo, unsigned int *hi)
{
	return syscall(SYS_madvise, from(spot, *lo), bytes(spot, *lo, *hi), MADV_DONTNEED) ? -errno
											   : 0;
}

/* Where the kernel allows it (6.13). */
static int do_process_madvise(struct spot *spot, unsigned int *lo, unsigned int *hi)
{
	struct iovec iov = { from(spot, *lo), bytes(spot, *lo, *hi) };
	int pidfd = (int)syscall(SYS_pidfd_open, getpid(), 0);
	long done = syscall(SYS_process_madvise, pidfd, &iov, 1UL, MADV_DONTNEED, 0U);

	spot_close(pidfd);
	return done == (long)iov.iov_len ? 0 : do_dontneed(spot, lo, hi);
}

static const struct change anon_changes[] = {
	{ "munmap", do_munmap },
	{ "raw munmap", do_raw_munmap },
	{ "MAP_FIXED", do_map_fixed },
	{ "mremap onto", do_mremap_onto },
	{ "mremap away", do_mremap_away },
	{ "MREMAP_DONTUNMAP", do_mremap_dontunmap },
	{ "MADV_DONTNEED", do_dontneed },
	{ "MADV_DONTNEED_LOCKED", do_dontneed_locked },
	{ "raw MADV_DONTNEED", do_raw_dontneed },
	{ "process_madvise", do_process_madvise },
};

const struct spot_kind anon_kind = {
	.name = "anonymous",
	.number = 10,
	.make = make_anon,
	.changes = anon_changes,
	.changes_nr = sizeof(anon_changes) / sizeof(*anon_changes),
};

const struct spot_kind large_kind = {
	.name = "large pages",
	.number = 2,
	.make = make_large,
	.changes = anon_changes,
	.changes_nr = sizeof(anon_changes) / sizeof(*anon_changes),
};
