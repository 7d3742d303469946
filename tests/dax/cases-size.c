// SPDX-License-Identifier: GPL-2.0
/* cases: the size of the file changes under the mirror. */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "suite.h"

/* Breaking layouts clears the whole file first; some releases write back before they cut. */
#define MAY (EVENT_CLEAR | EVENT_PROTECT_PAGE)

static int truncate_half(struct actor *a)
{
	return ftruncate(a->fd, a->size / 2) ? -errno : 0;
}

static int truncate_zero(struct actor *a)
{
	return ftruncate(a->fd, 0) ? -errno : 0;
}

static int truncate_tail(struct actor *a)
{
	return ftruncate(a->fd, a->size / 2 + 3 * 4096 + 100) ? -errno : 0;
}

static int extend_whole(struct actor *a)
{
	return ftruncate(a->fd, a->size) ? -errno : 0;
}

static int truncate_and_extend(struct actor *a)
{
	return ftruncate(a->fd, a->size / 2) || ftruncate(a->fd, a->size) ? -errno : 0;
}

static int truncate_by_path(struct actor *a)
{
	return truncate(a->path, a->size / 2) ? -errno : 0;
}

static void past_end(struct run *r, size_t page, size_t n)
{
	expect_entries(r, page, n, 0, ANY_ORDER);
	expect_fault(r, page, n, REQ_FAULT, -EFAULT, 0, 0);
	expect_read_error(r, page, n, -EFAULT);
	expect_write_error(r, page, n, -EFAULT);
}

static void halved(struct run *r, act_fn fn)
{
	size_t half = r->unit / r->page;

	mirror_written(r, 2 * r->unit);
	act_ok(r, fn);
	expect_drop(r, EVENT_CLEAR, MAY, half, half);
	past_end(r, half, half);
	expect_read(r, 0, half, 2);
	expect_entries(r, 0, half,
		       r->place->dax ? ENTRY_VALID | ENTRY_DAX : ENTRY_VALID | ENTRY_ANY_WRITE,
		       r->place->dax ? r->order : ANY_ORDER);
	expect_write(r, 0, half, 3);
	expect_file(r, 0, half, 3);
}

static void case_truncate(struct run *r)
{
	halved(r, truncate_half);
}

static void case_truncate_path(struct run *r)
{
	halved(r, truncate_by_path);
}

static void case_truncate_zero(struct run *r)
{
	mirror_written(r, 2 * r->unit);
	act_ok(r, truncate_zero);
	expect_drop(r, EVENT_CLEAR, MAY, 0, r->size / r->page);
	past_end(r, 0, r->size / r->page);
}

/*
 * The rest of the last page reads as zeroes, and a PMD that would reach past the end is not mapped
 * as one.
 */
static void case_truncate_tail(struct run *r)
{
	size_t half = r->unit / r->page, last = half + 3, i;
	char buf[4096], want[4096] = { 0 };
	int ret;

	mirror_written(r, 2 * r->unit);
	act_ok(r, truncate_tail);
	expect_drop(r, EVENT_CLEAR, MAY, last + 1, half - 4);
	past_end(r, last + 1, half - 4);
	expect_read(r, half, 3, 2);
	expect_entries(r, half, 3, r->place->dax ? read_entry(r) : ENTRY_VALID | ENTRY_ANY_WRITE,
		       0);
	ret = r->ops->access(r->t, (uintptr_t)r->map + last * r->page, buf, sizeof(buf), false,
			     NULL);
	CHECK(r, !ret, "the device cannot read the last page: %s", strerror(-ret));
	pattern_fill(want, last, 1, 2);
	memset(want + 100, 0, sizeof(want) - 100);
	for (i = 0; i < sizeof(buf); i++)
		CHECK(r, buf[i] == want[i], "byte %zu of the last page is %02x, not %02x", i,
		      buf[i] & 0xff, want[i] & 0xff);
	expect_read(r, 0, half, 2);
}

/* A file of half the mapping's size. */
static void half_file(struct run *r)
{
	file_create(r, r->unit, 0);
	munmap(r->map, r->size);
	r->size = 2 * r->unit;
	r->map = file_map(r, r->fd, r->size, 0, PROT_READ | PROT_WRITE, MAP_SHARED);
	mirror_start(r);
	expect_write(r, 0, r->unit / r->page, 2);
	expect_only(r, MAY);
}

static void case_extend(struct run *r)
{
	size_t half = r->unit / r->page;

	half_file(r);
	past_end(r, half, half);
	expect_only(r, MAY);
	act_ok(r, extend_whole);
	expect_only(r, MAY);
	expect_read(r, 0, half, 2);
	expect_read(r, half, half, 0);
	expect_entries(r, half, half, hole_entry(r), r->place->dax ? r->order : ANY_ORDER);
	expect_write(r, half, half, 3);
	expect_file(r, 0, half, 2);
	expect_file(r, half, half, 3);
}

/* What was cut off may never come back. */
static void case_truncate_extend(struct run *r)
{
	size_t half = r->unit / r->page;

	mirror_written(r, 2 * r->unit);
	act_ok(r, truncate_and_extend);
	expect_drop(r, EVENT_CLEAR, MAY, half, half);
	expect_read(r, half, half, 0);
	expect_read(r, 0, half, 2);
	expect_write(r, half, half, 3);
	expect_file(r, half, half, 3);
}

static const struct dax_case cases[] = {
	{ "truncate", ON_DAX | ON_CACHE | BY_ORDER | BY_ACTOR,
	  "entries past the new end are gone before ftruncate() returns; a device job there gets "
	  "-EFAULT; what is left is whole",
	  "past the end none, below read-only again", "CLEAR of all that was cut off",
	  case_truncate },
	{ "truncate_path", ON_DAX | BY_ORDER | BY_ACTOR,
	  "truncate() by name is the same as by descriptor", "as truncate",
	  "CLEAR of all that was cut off", case_truncate_path },
	{ "truncate_zero", ON_DAX | ON_CACHE | BY_ORDER | BY_ACTOR,
	  "a file of size 0 leaves no entry, and every job gets -EFAULT", "none",
	  "CLEAR of the whole file", case_truncate_zero },
	{ "truncate_tail", ON_DAX | ON_CACHE | BY_ORDER | BY_ACTOR,
	  "the last page of a file stays, zeroed behind the end; a PMD that would reach past it is "
	  "mapped by PTEs",
	  "order 0 in the last, partial PMD", "CLEAR of all pages past the end",
	  case_truncate_tail },
	{ "extend", ON_DAX | ON_CACHE | BY_ORDER | BY_ACTOR,
	  "after the file has grown, what was past its end is a hole",
	  "zero entries, then the media's", "none needed; CLEAR allowed", case_extend },
	{ "truncate_extend", ON_DAX | ON_CACHE | BY_ORDER | BY_ACTOR,
	  "what was cut off reads as zeroes when the file grows again", "zero entries",
	  "CLEAR of all that was cut off", case_truncate_extend },
};

CASE_LIST(cases_size, cases);
