// SPDX-License-Identifier: GPL-2.0
/* cases: the mapping changes, not the file. Own process only. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "suite.h"

#ifndef MREMAP_DONTUNMAP
#define MREMAP_DONTUNMAP 4
#endif

static void case_munmap(struct run *r)
{
	size_t n = 2 * r->unit / r->page;

	mirror_written(r, 2 * r->unit);
	CHECK(r, !munmap(r->map, r->size), "munmap: %s", strerror(errno));
	expect_gone(r, EVENT_UNMAP, 0, 0, n);
	/* The room around it is PROT_NONE; what was unmapped is nothing at all. */
	expect_fault(r, 0, n, REQ_FAULT, -EFAULT, 0, 0);
	expect_read_error(r, 0, n, -EFAULT);
	expect_entries(r, 0, 1, ENTRY_ERROR, ANY_ORDER);
	expect_file(r, 0, n, 2);
}

static void case_munmap_part(struct run *r)
{
	size_t n = 2 * r->unit / r->page;

	mirror_written(r, 2 * r->unit);
	CHECK(r, !munmap(r->map + 8 * r->page, 8 * r->page), "munmap: %s", strerror(errno));
	expect_gone(r, EVENT_UNMAP, EVENT_CLEAR, 8, 8);
	expect_read(r, 0, 8, 2);
	expect_read_error(r, 0, 16, -EFAULT);
	expect_read(r, 16, n - 16, 2);
	expect_entries(r, 0, 8, ENTRY_VALID | ENTRY_ANY_WRITE | (r->place->dax ? ENTRY_DAX : 0), 0);
}

/* Another file at the same place: the mirror may not show the old one. */
static void case_map_over(struct run *r)
{
	size_t n = 2 * r->unit / r->page;
	char path[400], *buf;
	int fd;

	mirror_written(r, 2 * r->unit);
	snprintf(path, sizeof(path), "%s/other", r->dir);
	fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	CHECK(r, fd >= 0 && !ftruncate(fd, r->size), "other: %s", strerror(errno));
	buf = mmap(r->map, r->size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0);
	CHECK(r, buf == r->map, "mmap: %s", strerror(errno));
	expect_gone(r, EVENT_UNMAP, 0, 0, n);
	expect_read(r, 0, n, 0);
	expect_write(r, 0, n, 4);
	expect_file(r, 0, n, 2);
	expect_file_at(r, fd, 0, n, 4);
}

static void case_mremap(struct run *r)
{
	size_t n = 2 * r->unit / r->page;
	char *to, *moved;

	mirror_written(r, 2 * r->unit);
	to = file_map(r, r->fd, r->size, 0, PROT_READ, MAP_SHARED);
	moved = mremap(r->map, r->size, r->size, MREMAP_MAYMOVE | MREMAP_FIXED, to);
	CHECK(r, moved == to, "mremap: %s", strerror(errno));
	expect_gone(r, EVENT_UNMAP, 0, 0, n);
	expect_read_error(r, 0, n, -EFAULT);
	r->ops->unmirror(r->t);
	r->map = moved;
	mirror_start(r);
	expect_read(r, 0, n, 2);
	expect_write(r, 0, n, 3);
	expect_file(r, 0, n, 3);
}

/* Another mapping moved over a mirrored one: here as well everything is gone. */
static void case_mremap_onto(struct run *r)
{
	size_t n = 2 * r->unit / r->page;
	char path[400], *from;
	int fd;

	mirror_written(r, 2 * r->unit);
	snprintf(path, sizeof(path), "%s/other", r->dir);
	fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	CHECK(r, fd >= 0 && !ftruncate(fd, r->size), "other: %s", strerror(errno));
	from = file_map(r, fd, r->size, 0, PROT_READ | PROT_WRITE, MAP_SHARED);
	pattern_fill(from, 0, n, 5);
	CHECK(r, mremap(from, r->size, r->size, MREMAP_MAYMOVE | MREMAP_FIXED, r->map) == r->map,
	      "mremap: %s", strerror(errno));
	expect_gone(r, EVENT_UNMAP, 0, 0, n);
	expect_read(r, 0, n, 5);
	expect_write(r, 0, n, 6);
	expect_file_at(r, fd, 0, n, 6);
	expect_file(r, 0, n, 2);
}

/*
 * The pages move, the mapping stays behind, empty: it is the only move of which no unmapping tells.
 */
static void case_mremap_dontunmap(struct run *r)
{
	size_t n = 2 * r->unit / r->page;
	char *to;

	mirror_written(r, 2 * r->unit);
	to = file_map(r, r->fd, r->size, 0, PROT_READ, MAP_SHARED);
	if (mremap(r->map, r->size, r->size, MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP,
		   to) != to) {
		CHECK(r, errno == EINVAL, "mremap: %s", strerror(errno));
		run_skip(r, "this kernel moves no shared mapping without unmapping it");
	}
	expect_gone(r, EVENT_UNMAP, 0, 0, n);
	expect_entries(r, 0, n, 0, ANY_ORDER);
	expect_read(r, 0, n, 2);
	expect_write(r, 0, n, 3);
	expect_file(r, 0, n, 3);
}

static void case_dontneed(struct run *r)
{
	size_t n = 2 * r->unit / r->page;

	mirror_written(r, 2 * r->unit);
	CHECK(r, !madvise(r->map, r->size, MADV_DONTNEED), "madvise: %s", strerror(errno));
	expect_gone(r, EVENT_CLEAR, 0, 0, n);
	expect_entries(r, 0, n, 0, ANY_ORDER);
	expect_read(r, 0, n, 2);
	expect_write(r, 0, n, 3);
	expect_file(r, 0, n, 3);
}

static void case_madv_remove(struct run *r)
{
	size_t half = r->unit / r->page;

	mirror_written(r, 2 * r->unit);
	CHECK(r, !madvise(r->map, r->unit, MADV_REMOVE), "madvise: %s", strerror(errno));
	expect_gone(r, EVENT_CLEAR, EVENT_PROTECT_PAGE, 0, half);
	expect_read(r, 0, half, 0);
	expect_read(r, half, half, 2);
	expect_write(r, 0, half, 3);
	expect_file(r, 0, half, 3);
}

static void case_mprotect_read(struct run *r)
{
	size_t n = 2 * r->unit / r->page;

	mirror_written(r, 2 * r->unit);
	CHECK(r, !mprotect(r->map, r->size, PROT_READ), "mprotect: %s", strerror(errno));
	expect_drop(r, EVENT_PROTECT_VMA, 0, 0, n);
	expect_entries(r, 0, n, ENTRY_VALID | (r->place->dax ? ENTRY_DAX : 0), ANY_ORDER);
	expect_fault(r, 0, n, REQ_FAULT | REQ_WRITE, -EPERM, 0, 0);
	expect_write_error(r, 0, n, -EPERM);
	expect_read(r, 0, n, 2);
	CHECK(r, !mprotect(r->map, r->size, PROT_READ | PROT_WRITE), "mprotect: %s",
	      strerror(errno));
	expect_write(r, 0, n, 3);
	expect_file(r, 0, n, 3);
}

static void case_mprotect_none(struct run *r)
{
	size_t n = 2 * r->unit / r->page;

	mirror_written(r, 2 * r->unit);
	CHECK(r, !mprotect(r->map, r->size, PROT_NONE), "mprotect: %s", strerror(errno));
	expect_drop(r, EVENT_PROTECT_VMA, 0, 0, n);
	expect_entries(r, 0, n, ENTRY_ERROR, ANY_ORDER);
	expect_fault(r, 0, n, REQ_FAULT, -EFAULT, 0, 0);
	expect_read_error(r, 0, n, -EFAULT);
	expect_write_error(r, 0, n, -EFAULT);
	CHECK(r, !mprotect(r->map, r->size, PROT_READ | PROT_WRITE), "mprotect: %s",
	      strerror(errno));
	expect_read(r, 0, n, 2);
}

static void case_map_sync(struct run *r)
{
	size_t n = 2 * r->unit / r->page;

	file_create(r, 2 * r->unit, FILE_SYNC | FILE_HOLE);
	mirror_start(r);
	expect_read(r, 0, n, 0);
	expect_entries(r, 0, n, hole_entry(r), r->order);
	/* The synchronous fault commits the new blocks before the entry may be written through. */
	expect_fault(r, 0, n, REQ_FAULT | REQ_WRITE, 0, write_entry(r), r->order);
	expect_write(r, 0, n, 3);
	expect_file(r, 0, n, 3);
}

/* Reads share the file's page; the first write gets a copy that is no longer the file's. */
static void case_private(struct run *r)
{
	size_t n = 2 * r->unit / r->page;

	file_create(r, 2 * r->unit, FILE_PRIVATE);
	mirror_start(r);
	expect_read(r, 0, n, 1);
	expect_entries(r, 0, n, ENTRY_VALID | (r->place->dax ? ENTRY_DAX : 0),
		       r->place->dax ? r->order : ANY_ORDER);
	expect_only(r, EVENT_CLEAR);
	expect_write(r, 3, 1, 5);
	expect_drop(r, EVENT_CLEAR, EVENT_CLEAR, 0, 0);
	expect_entries(r, 3, 1, ENTRY_VALID | ENTRY_WRITE, 0);
	expect_read(r, 3, 1, 5);
	expect_read(r, 4, n - 4, 1);
	expect_file(r, 0, n, 1);
}

/*
 * A PTE entry that another mapping made keeps a PMD from being used: the walk shows order 0 there,
 * and the PMD beside it stays.
 */
static void case_mixed_order(struct run *r)
{
	size_t half = r->unit / r->page;
	char *odd;

	file_create(r, 2 * r->unit, 0);
	odd = file_map(r, r->fd, r->page, 3 * r->page, PROT_READ | PROT_WRITE, MAP_SHARED);
	pattern_fill(odd, 3, 1, 1);
	mirror_start(r);
	expect_fault(r, 0, half, REQ_FAULT | REQ_WRITE, 0, write_entry(r), 0);
	expect_fault(r, half, half, REQ_FAULT | REQ_WRITE, 0, write_entry(r), r->order);
	expect_read(r, 0, 2 * half, 1);
	expect_write(r, 0, 2 * half, 3);
	pattern_fill(odd, 3, 1, 4);
	expect_read(r, 3, 1, 4);
	expect_file(r, 4, 2 * half - 4, 3);
}

/* Half a PMD's worth of blocks elsewhere. */
static void case_fragmented(struct run *r)
{
	size_t half = r->unit / r->page;

	mirror_read(r, 2 * r->unit, FILE_HOLE);
	/* Each page allocated by itself. */
	expect_write(r, 5, 1, 3);
	expect_only(r, EVENT_CLEAR);
	expect_write(r, half, half, 3);
	expect_read(r, 5, 1, 3);
	expect_read(r, 0, 5, 0);
	expect_read(r, 6, half - 6, 0);
	expect_read(r, half, half, 3);
}

static const struct dax_case cases[] = {
	{ "munmap", ON_DAX | ON_CACHE | BY_ORDER,
	  "after munmap() there is nothing to use and nothing to fault", "error", "UNMAP",
	  case_munmap },
	{ "munmap_part", ON_DAX | BY_ORDER,
	  "munmap() of a part splits a PMD and leaves the rest usable", "order 0 around the gap",
	  "UNMAP of the part", case_munmap_part },
	{ "map_over", ON_DAX | ON_CACHE | BY_ORDER,
	  "another file mapped over it is what the mirror shows", "the other file's", "UNMAP",
	  case_map_over },
	{ "mremap", ON_DAX | BY_ORDER, "what moved away is gone here and whole there",
	  "error; media at the new place", "UNMAP", case_mremap },
	{ "mremap_onto", ON_DAX | ON_CACHE | BY_ORDER,
	  "what is moved over a mirrored mapping is what the mirror shows", "the other file's",
	  "UNMAP", case_mremap_onto },
	{ "mremap_dontunmap", ON_DAX | BY_ORDER,
	  "what moved away is gone here, though the mapping stays", "none, then media", "UNMAP",
	  case_mremap_dontunmap },
	{ "dontneed", ON_DAX | ON_CACHE | BY_ORDER, "MADV_DONTNEED takes the entries, not the data",
	  "none, then media", "CLEAR", case_dontneed },
	{ "madv_remove", ON_DAX | ON_CACHE | BY_ORDER, "MADV_REMOVE punches the file", "zero page",
	  "CLEAR", case_madv_remove },
	{ "mprotect_read", ON_DAX | ON_CACHE | BY_ORDER,
	  "read-only means -EPERM for the device's writes at once", "read-only", "PROTECTION_VMA",
	  case_mprotect_read },
	{ "mprotect_none", ON_DAX | ON_CACHE | BY_ORDER,
	  "PROT_NONE means -EFAULT for every job at once", "error", "PROTECTION_VMA",
	  case_mprotect_none },
	{ "map_sync", ON_DAX | BY_ORDER,
	  "with MAP_SYNC an entry is writable only after the synchronous write fault",
	  "zero page -> writable media", "CLEAR of the zero entry", case_map_sync },
	{ "private", ON_DAX | ON_CACHE | BY_ORDER,
	  "MAP_PRIVATE: the first write copies; the file keeps what it had",
	  "read-only media -> writable memory, order 0", "CLEAR of what was copied", case_private },
	{ "mixed_order", ON_DAX | BY_ORDER,
	  "where PTEs are in use the same file's PMD mapping falls back to them",
	  "order 0 in the first PMD, the mapping's in the second", "none needed",
	  case_mixed_order },
	{ "fragmented", ON_DAX | BY_ORDER,
	  "writes into the midst of a huge zero page leave zeroes around them",
	  "zero page and media", "CLEAR of the zero entry", case_fragmented },
};

CASE_LIST(cases_mapping, cases);
