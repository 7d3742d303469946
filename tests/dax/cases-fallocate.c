// SPDX-License-Identifier: GPL-2.0
/* cases: fallocate() moves or frees blocks under the mirror. */
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <string.h>

#include "suite.h"

#define AT 4 /* page that the small ones work on */

static int fallocate_at(struct actor *a, int mode, size_t offset, size_t len)
{
	return fallocate(a->fd, mode, offset, len) ? -errno : 0;
}

static int punch(struct actor *a)
{
	return fallocate_at(a, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, AT * 4096, 4096);
}

static int punch_half(struct actor *a)
{
	return fallocate_at(a, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, a->size / 2);
}

/* From the middle of page 4 to the middle of page 6. */
static int punch_bytes(struct actor *a)
{
	return fallocate_at(a, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, AT * 4096 + 2048,
			    2 * 4096);
}

static int zero(struct actor *a)
{
	return fallocate_at(a, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, AT * 4096, 4096);
}

static int zero_half(struct actor *a)
{
	return fallocate_at(a, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, 0, a->size / 2);
}

static int collapse(struct actor *a)
{
	return fallocate_at(a, FALLOC_FL_COLLAPSE_RANGE, AT * 4096, 4096);
}

static int collapse_half(struct actor *a)
{
	return fallocate_at(a, FALLOC_FL_COLLAPSE_RANGE, 0, a->size / 2);
}

static int insert(struct actor *a)
{
	return fallocate_at(a, FALLOC_FL_INSERT_RANGE, AT * 4096, 4096);
}

static int insert_half(struct actor *a)
{
	return fallocate_at(a, FALLOC_FL_INSERT_RANGE, 0, a->size / 2);
}

#define MAY (EVENT_CLEAR | EVENT_PROTECT_PAGE)

/* One page became a hole; everything else is as it was. */
static void one_hole(struct run *r, act_fn fn)
{
	size_t n = 2 * r->unit / r->page;

	mirror_written(r, 2 * r->unit);
	act_ok(r, fn);
	expect_drop(r, EVENT_CLEAR, MAY, AT, 1);
	expect_read(r, AT, 1, 0);
	/* Blocks that zero range left are unwritten; both read as the zero page. */
	expect_entries(r, AT, 1, hole_entry(r), 0);
	expect_read(r, 0, AT, 2);
	expect_read(r, AT + 1, n - AT - 1, 2);
	expect_write(r, AT, 1, 3);
	expect_file(r, AT, 1, 3);
	expect_file(r, AT + 1, n - AT - 1, 2);
	expect_drop(r, EVENT_CLEAR, MAY, 0, 0);
}

static void half_hole(struct run *r, act_fn fn)
{
	size_t half = r->unit / r->page;

	mirror_written(r, 2 * r->unit);
	act_ok(r, fn);
	expect_drop(r, EVENT_CLEAR, MAY, 0, half);
	expect_read(r, 0, half, 0);
	expect_entries(r, 0, half, hole_entry(r), r->place->dax ? r->order : ANY_ORDER);
	expect_read(r, half, half, 2);
	expect_write(r, 0, half, 3);
	expect_file(r, 0, half, 3);
	expect_file(r, half, half, 2);
}

static void case_punch(struct run *r)
{
	one_hole(r, punch);
}

static void case_punch_half(struct run *r)
{
	half_hole(r, punch_half);
}

static void case_zero(struct run *r)
{
	one_hole(r, zero);
}

static void case_zero_half(struct run *r)
{
	half_hole(r, zero_half);
}

/* Parts of pages are zeroed in place: the page between them goes. */
static void case_punch_bytes(struct run *r)
{
	char buf[3 * 4096], want[3 * 4096];
	int ret;

	mirror_written(r, 2 * r->unit);
	act_ok(r, punch_bytes);
	expect_drop(r, EVENT_CLEAR, MAY, AT + 1, 1);
	ret = r->ops->access(r->t, (uintptr_t)r->map + AT * r->page, buf, sizeof(buf), false, NULL);
	CHECK(r, !ret, "the device cannot read: %s", strerror(-ret));
	pattern_fill(want, AT, 3, 2);
	memset(want + 2048, 0, 2 * 4096);
	CHECK(r, !memcmp(buf, want, sizeof(want)),
	      "the device read something else than the file holds");
	expect_read(r, 0, AT, 2);
	expect_read(r, AT + 3, 10, 2);
}

static void case_collapse(struct run *r)
{
	size_t n = 2 * r->unit / r->page;

	mirror_written(r, 2 * r->unit);
	act_ok(r, collapse);
	expect_drop(r, EVENT_CLEAR, MAY, AT, n - AT);
	expect_read(r, 0, AT, 2);
	expect_read_as(r, AT, n - AT - 1, AT + 1, 2);
	/* Every block behind it has moved by a page, so nothing fits a PMD any more. */
	expect_entries(r, AT, n - AT - 1, read_entry(r), 0);
	expect_read_error(r, n - 1, 1, -EFAULT);
	expect_write(r, AT, n - AT - 1, 3);
	expect_file(r, AT, n - AT - 1, 3);
}

static void case_collapse_half(struct run *r)
{
	size_t half = r->unit / r->page;

	mirror_written(r, 2 * r->unit);
	act_ok(r, collapse_half);
	expect_drop(r, EVENT_CLEAR, MAY, 0, 2 * half);
	expect_read_as(r, 0, half, half, 2);
	expect_entries(r, 0, half, read_entry(r), r->order);
	expect_read_error(r, half, half, -EFAULT);
	expect_write_error(r, half, half, -EFAULT);
}

static void case_insert(struct run *r)
{
	size_t n = 2 * r->unit / r->page;

	mirror_written(r, 2 * r->unit);
	act_ok(r, insert);
	expect_drop(r, EVENT_CLEAR, MAY, AT, n - AT);
	expect_read(r, 0, AT, 2);
	expect_read(r, AT, 1, 0);
	expect_entries(r, AT, 1, hole_entry(r), 0);
	expect_read_as(r, AT + 1, n - AT - 1, AT, 2);
	expect_write(r, AT, n - AT, 3);
	expect_file(r, AT, n - AT, 3);
}

static void case_insert_half(struct run *r)
{
	size_t half = r->unit / r->page;

	mirror_written(r, 2 * r->unit);
	act_ok(r, insert_half);
	expect_drop(r, EVENT_CLEAR, MAY, 0, 2 * half);
	expect_read(r, 0, half, 0);
	expect_entries(r, 0, half, hole_entry(r), r->order);
	expect_read_as(r, half, half, 0, 2);
	expect_entries(r, half, half, read_entry(r), r->order);
}

static const struct dax_case cases[] = {
	{ "punch", ON_DAX | ON_CACHE | BY_ORDER | BY_ACTOR,
	  "a punched page is a hole at once, its neighbours keep what the device wrote",
	  "zero page of order 0, never writable", "CLEAR of the page", case_punch },
	{ "punch_half", ON_DAX | ON_CACHE | BY_ORDER | BY_ACTOR, "a punched PMD is a hole at once",
	  "zero page of the mapping's order", "CLEAR of the PMD", case_punch_half },
	{ "punch_bytes", ON_DAX | ON_CACHE | BY_ORDER | BY_ACTOR,
	  "a hole that begins and ends within pages zeroes parts of them",
	  "media, zero page, media", "CLEAR of the page in between", case_punch_bytes },
	{ "zero", ON_DAX | BY_ORDER | BY_ACTOR,
	  "a zeroed page reads as zeroes at once, though its block stays",
	  "zero page of order 0, never writable", "CLEAR of the page", case_zero },
	{ "zero_half", ON_DAX | BY_ORDER | BY_ACTOR, "a zeroed PMD reads as zeroes at once",
	  "zero page of the mapping's order", "CLEAR of the PMD", case_zero_half },
	{ "collapse", ON_DAX | BY_ORDER | BY_ACTOR,
	  "pages behind the cut move down by one; the last is past the end",
	  "order 0, for the blocks no longer fit PMDs", "CLEAR from the cut on", case_collapse },
	{ "collapse_half", ON_DAX | BY_ORDER | BY_ACTOR,
	  "pages behind the cut move down by a PMD and stay PMDs", "the mapping's order",
	  "CLEAR of the whole file", case_collapse_half },
	{ "insert", ON_DAX | BY_ORDER | BY_ACTOR,
	  "pages behind the gap move up by one; the gap is a hole", "zero page, then order 0",
	  "CLEAR from the gap on", case_insert },
	{ "insert_half", ON_DAX | BY_ORDER | BY_ACTOR,
	  "pages behind the gap move up by a PMD and stay PMDs",
	  "zero page and media of the mapping's order", "CLEAR of the whole file",
	  case_insert_half },
};

CASE_LIST(cases_fallocate, cases);
