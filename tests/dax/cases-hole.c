// SPDX-License-Identifier: GPL-2.0
/* cases: holes are read, and filled. */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <fcntl.h>
#include <unistd.h>

#include "suite.h"

static int store_first(struct actor *a)
{
	pattern_fill(a->map, 0, 1, 5);
	return 0;
}

static int pwrite_first(struct actor *a)
{
	char buf[4096];

	pattern_fill(buf, 0, 1, 5);
	return pwrite(a->fd, buf, sizeof(buf), 0) == sizeof(buf) ? 0 : -errno;
}

/* Entries of a hole that was only read. */
static void hole_mirrored(struct run *r)
{
	mirror_read(r, 2 * r->unit, FILE_HOLE);
	expect_entries(r, 0, r->size / r->page, hole_entry(r),
		       r->place->dax ? r->order : ANY_ORDER);
}

static void case_hole_read(struct run *r)
{
	struct stat st;

	hole_mirrored(r);
	CHECK(r, !fstat(r->fd, &st), "fstat: %s", strerror(errno));
	if (r->place->dax)
		CHECK(r, !st.st_blocks, "reading a hole allocated %ld blocks", (long)st.st_blocks);
}

/* Somebody fills the first page. On DAX the zero entry there, of whatever size, goes. */
static void filled(struct run *r, act_fn fn)
{
	size_t n = 2 * r->unit / r->page;

	hole_mirrored(r);
	act_ok(r, fn);
	if (r->place->dax)
		expect_drop(r, EVENT_CLEAR, EVENT_CLEAR, 0, 1u << r->order);
	expect_read(r, 0, 1, 5);
	expect_read(r, 1, n - 1, 0);
	expect_entries(r, 0, 1, ENTRY_VALID | ENTRY_ANY_WRITE | (r->place->dax ? ENTRY_DAX : 0),
		       ANY_ORDER);
	expect_write(r, 0, 2, 6);
	expect_file(r, 0, 2, 6);
	expect_file(r, 2, n - 2, 0);
}

static void case_hole_store(struct run *r)
{
	filled(r, store_first);
}

static void case_hole_pwrite(struct run *r)
{
	filled(r, pwrite_first);
}

static void case_hole_device_write(struct run *r)
{
	size_t half = r->unit / r->page;
	struct stat st;

	hole_mirrored(r);
	expect_write(r, 0, half, 3);
	if (r->place->dax)
		expect_only(r, EVENT_CLEAR);
	CHECK(r, !fstat(r->fd, &st), "fstat: %s", strerror(errno));
	CHECK(r, (size_t)st.st_blocks * 512 >= r->unit, "the device's write allocated %ld blocks",
	      (long)st.st_blocks);
	expect_entries(r, 0, half, write_entry(r), r->place->dax ? r->order : ANY_ORDER);
	expect_file(r, 0, half, 3);
	expect_read(r, half, half, 0);
}

/* Never touched: a snapshot allocates and faults nothing. */
static void case_hole_snapshot(struct run *r)
{
	struct stat st;

	file_create(r, 2 * r->unit, FILE_HOLE);
	mirror_start(r);
	expect_entries(r, 0, r->size / r->page, 0, ANY_ORDER);
	expect_entries(r, 0, r->size / r->page, 0, ANY_ORDER);
	CHECK(r, !fstat(r->fd, &st) && !st.st_blocks, "a snapshot allocated blocks");
}

/* Takes all the space there is, block by block at the end. */
static int exhaust(struct run *r)
{
	char path[400];
	off_t at = 0, chunk = 1 << 30;
	int fd;

	snprintf(path, sizeof(path), "%s/filler", r->dir);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	CHECK(r, fd >= 0, "filler: %s", strerror(errno));
	while (chunk >= 4096) {
		if (fallocate(fd, 0, at, chunk))
			chunk /= 2;
		else
			at += chunk;
	}
	return fd;
}

static void case_no_space(struct run *r)
{
	int filler;

	hole_mirrored(r);
	filler = exhaust(r);
	/*
	 * The filesystem may still find a block or two of its reserve for root; a PMD's worth it
	 * cannot.
	 */
	expect_write_error(r, 0, r->unit / r->page, -EFAULT);
	expect_read(r, r->unit / r->page, r->unit / r->page, 0);
	CHECK(r, !ftruncate(filler, 0) && !syncfs(filler), "ftruncate: %s", strerror(errno));
	expect_write(r, 0, r->unit / r->page, 4);
	expect_file(r, 0, r->unit / r->page, 4);
}

static const struct dax_case cases[] = {
	{ "hole_snapshot", ON_DAX | ON_CACHE | BY_ORDER,
	  "a snapshot of what nobody touched says none and touches nothing", "none", "none",
	  case_hole_snapshot },
	{ "hole_read", ON_DAX | ON_CACHE | BY_ORDER,
	  "a hole is read without a block being allocated",
	  "zero page, PTE or huge, never writable", "none", case_hole_read },
	{ "hole_store", ON_DAX | ON_CACHE | BY_ORDER | BY_ACTOR,
	  "a store into a hole replaces the zero page in every mirror", "zero page -> media",
	  "CLEAR of the zero entry, whole", case_hole_store },
	{ "hole_pwrite", ON_DAX | ON_CACHE | BY_ORDER | BY_ACTOR,
	  "pwrite() into a hole replaces the zero page in every mirror", "zero page -> media",
	  "CLEAR of the zero entry, whole", case_hole_pwrite },
	{ "hole_device_write", ON_DAX | ON_CACHE | BY_ORDER,
	  "a device's write into a hole allocates blocks and is in the file",
	  "zero page -> writable media", "CLEAR of the zero entry", case_hole_device_write },
	{ "no_space", ON_DAX | BY_ORDER,
	  "on a full filesystem a device's write into a hole gets -EFAULT; reading goes on",
	  "zero page", "none but CLEAR", case_no_space },
};

CASE_LIST(cases_hole, cases);
