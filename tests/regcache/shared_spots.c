// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* Shared memory, System V segments, the heap's end, a library's static data. */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <unistd.h>
#include "spot_kinds.h"

#define SIZE (SPOT_PAGES * PAGE_BYTES)

static int map_shared(const struct spot *spot, unsigned int lo, unsigned int hi, int flags)
{
	char *at = spot_page(spot, lo);

	return mmap(at, (hi - lo) * PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | flags,
		    spot->fd, (off_t)(lo * PAGE_BYTES)) == at
		       ? 0
		       : -errno;
}

static int make_shared(struct spot *spot)
{
	spot->stride = PAGE_BYTES;
	spot->fd = memfd_create("stale_hits", MFD_CLOEXEC);
	atomic_store(&spot->at, (uintptr_t)spot_place(spot->id));
	if (spot->fd < 0 || ftruncate(spot->fd, SIZE))
		return -errno;
	return map_shared(spot, 0, SPOT_PAGES, MAP_FIXED_NOREPLACE);
}

static int do_punch(struct spot *spot, unsigned int *lo, unsigned int *hi)
{
	return fallocate(spot->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
			 (off_t)(*lo * PAGE_BYTES), (off_t)((*hi - *lo) * PAGE_BYTES))
		       ? -errno
		       : 0;
}

static int do_truncate(struct spot *spot, unsigned int *lo, unsigned int *hi)
{
	*hi = SPOT_PAGES;
	return ftruncate(spot->fd, (off_t)(*lo * PAGE_BYTES)) || ftruncate(spot->fd, SIZE) ? -errno
											   : 0;
}

/* Another file at the address. */
static int do_other_file(struct spot *spot, unsigned int *lo, unsigned int *hi)
{
	int old = spot->fd, err;

	*lo = 0;
	*hi = SPOT_PAGES;
	spot->fd = memfd_create("stale_hits", MFD_CLOEXEC);
	if (spot->fd < 0 || ftruncate(spot->fd, SIZE))
		return -errno;
	err = map_shared(spot, 0, SPOT_PAGES, MAP_FIXED);
	spot_close(old);
	return err;
}

/* The same page of the file comes back where another's was, with a hole in between. */
static int do_unmap_shared(struct spot *spot, unsigned int *lo, unsigned int *hi)
{
	if (munmap(spot_page(spot, *lo), (*hi - *lo) * PAGE_BYTES) || do_punch(spot, lo, hi))
		return -errno;
	return map_shared(spot, *lo, *hi, MAP_FIXED_NOREPLACE);
}

static const struct change shared_changes[] = {
	{ "punch", do_punch },
	{ "truncate", do_truncate },
	{ "another file", do_other_file },
	{ "munmap of shared memory", do_unmap_shared },
};

const struct spot_kind shared_kind = {
	.name = "shared",
	.number = 3,
	.make = make_shared,
	.changes = shared_changes,
	.changes_nr = sizeof(shared_changes) / sizeof(*shared_changes),
};

static int attach(const struct spot *spot, int flags)
{
	int id = shmget(IPC_PRIVATE, SIZE, IPC_CREAT | 0600), err = 0;

	if (id < 0)
		return -errno;
	if (shmat(id, spot_page(spot, 0), flags) == (void *)-1)
		err = -errno;
	shmctl(id, IPC_RMID, NULL);
	return err;
}

static int make_segment(struct spot *spot)
{
	spot->stride = PAGE_BYTES;
	atomic_store(&spot->at, (uintptr_t)spot_place(spot->id));
	return attach(spot, 0);
}

static int do_shmdt(struct spot *spot, unsigned int *lo, unsigned int *hi)
{
	*lo = 0;
	*hi = SPOT_PAGES;
	return shmdt(spot_page(spot, 0)) ? -errno : attach(spot, 0);
}

static const struct change segment_changes[] = { { "shmdt", do_shmdt } };

const struct spot_kind segment_kind = {
	.name = "System V segment",
	.number = 1,
	.make = make_segment,
	.changes = segment_changes,
	.changes_nr = 1,
};

static int make_overlaid(struct spot *spot)
{
	spot->stride = PAGE_BYTES;
	atomic_store(&spot->at, (uintptr_t)spot_place(spot->id));
	return spot_map(spot_page(spot, 0), SIZE);
}

/* A new segment comes over what is there. */
static int do_overlay(struct spot *spot, unsigned int *lo, unsigned int *hi)
{
	*lo = 0;
	*hi = SPOT_PAGES;
	return attach(spot, SHM_REMAP);
}

static const struct change overlaid_changes[] = { { "SHM_REMAP", do_overlay } };

const struct spot_kind overlaid_kind = {
	.name = "overlaid",
	.number = 2,
	.strict = true,
	.make = make_overlaid,
	.changes = overlaid_changes,
	.changes_nr = 1,
};

static int make_heap(struct spot *spot)
{
	uintptr_t end = (uintptr_t)sbrk(0);
	char *at;

	spot->stride = PAGE_BYTES;
	if (sbrk((intptr_t)(-end & (PAGE_BYTES - 1))) == (void *)-1)
		return -errno;
	at = sbrk(SIZE);
	if (at == (void *)-1)
		return -errno;
	atomic_store(&spot->at, (uintptr_t)at);
	return 0;
}

/* Unless an allocator put something behind it. */
static int do_brk(struct spot *spot, unsigned int *lo, unsigned int *hi)
{
	*hi = SPOT_PAGES;
	if (sbrk(0) != spot_page(spot, 0) + SIZE)
		return madvise(spot_page(spot, *lo), (*hi - *lo) * PAGE_BYTES, MADV_DONTNEED)
			       ? -errno
			       : 0;
	if (brk(spot_page(spot, *lo)) || brk(spot_page(spot, SPOT_PAGES)))
		return -errno;
	return 0;
}

static const struct change heap_changes[] = { { "brk", do_brk } };

const struct spot_kind heap_kind = {
	.name = "heap",
	.number = 1,
	.make = make_heap,
	.changes = heap_changes,
	.changes_nr = 1,
};

/* Beside the executable of the peers, see tools/stale-demo. */
static int load(struct spot *spot)
{
	char *data;

	spot->library = dlopen(STALE_DEMO_BSS, RTLD_NOW | RTLD_LOCAL);
	data = spot->library ? dlsym(spot->library, "stale_demo_bss") : NULL;
	if (!data)
		return -ENOENT;
	atomic_store(&spot->at, (uintptr_t)data);
	return 0;
}

static int make_library(struct spot *spot)
{
	spot->stride = PAGE_BYTES;
	return load(spot);
}

static int do_dlclose(struct spot *spot, unsigned int *lo, unsigned int *hi)
{
	*lo = 0;
	*hi = SPOT_PAGES;
	dlclose(spot->library);
	return load(spot);
}

static const struct change library_changes[] = { { "dlclose", do_dlclose } };

const struct spot_kind library_kind = {
	.name = "library",
	.number = 1,
	.make = make_library,
	.changes = library_changes,
	.changes_nr = 1,
};

const struct spot_kind *const spot_kinds[] = { &anon_kind,     &large_kind, &shared_kind,
					       &segment_kind,  &heap_kind,  &library_kind,
					       &overlaid_kind, NULL };
