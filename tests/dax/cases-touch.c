// SPDX-License-Identifier: GPL-2.0
/*
 * cases: the file changes, and the CPU maps the pages again before anybody looks at the mirror. The
 * page table is then as full as it was, with other pages in it: a mirror that only looks whether
 * pages are there sees nothing.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "suite.h"

#define MAY (EVENT_CLEAR | EVENT_PROTECT_PAGE)

static int truncate_and_extend(struct actor *a)
{
	return ftruncate(a->fd, 0) || ftruncate(a->fd, a->size) ? -errno : 0;
}

static int punch(struct actor *a)
{
	return fallocate(a->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, a->size) ? -errno
											: 0;
}

static int zero(struct actor *a)
{
	return fallocate(a->fd, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, 0, a->size) ? -errno
											: 0;
}

/* The first half out and a new one in: the size is as before. */
static int collapse_and_extend(struct actor *a)
{
	if (fallocate(a->fd, FALLOC_FL_COLLAPSE_RANGE, 0, a->size / 2))
		return -errno;
	return ftruncate(a->fd, a->size) ? -errno : 0;
}

static int insert_and_cut(struct actor *a)
{
	if (fallocate(a->fd, FALLOC_FL_INSERT_RANGE, 0, a->size / 2))
		return -errno;
	return ftruncate(a->fd, a->size) ? -errno : 0;
}

static int punch_and_refill(struct actor *a)
{
	char buf[4096];
	size_t at;
	int ret = punch(a);

	for (at = 0; !ret && at < a->size; at += sizeof(buf)) {
		pattern_fill(buf, at / 4096, 1, 5);
		if (pwrite(a->fd, buf, sizeof(buf), at) != sizeof(buf))
			ret = -errno;
	}
	return ret;
}

static void touched(struct run *r, act_fn fn)
{
	size_t n = 2 * r->unit / r->page, i;

	mirror_written(r, 2 * r->unit);
	act_ok(r, fn);
	for (i = 0; i < n; i++)
		(void)*(volatile char *)(r->map + i * r->page);
	expect_drop(r, EVENT_CLEAR, MAY, 0, n);
}

static void case_truncate(struct run *r)
{
	touched(r, truncate_and_extend);
	expect_read(r, 0, r->size / r->page, 0);
	expect_write(r, 0, r->size / r->page, 3);
	expect_file(r, 0, r->size / r->page, 3);
}

static void case_punch(struct run *r)
{
	touched(r, punch);
	expect_read(r, 0, r->size / r->page, 0);
	expect_write(r, 0, r->size / r->page, 3);
	expect_file(r, 0, r->size / r->page, 3);
}

static void case_zero(struct run *r)
{
	touched(r, zero);
	expect_read(r, 0, r->size / r->page, 0);
}

static void case_refill(struct run *r)
{
	touched(r, punch_and_refill);
	expect_read(r, 0, r->size / r->page, 5);
}

static void case_collapse(struct run *r)
{
	size_t half = r->unit / r->page;

	touched(r, collapse_and_extend);
	expect_read_as(r, 0, half, half, 2);
	expect_read(r, half, half, 0);
}

static void case_insert(struct run *r)
{
	size_t half = r->unit / r->page;

	touched(r, insert_and_cut);
	expect_read(r, 0, half, 0);
	expect_read_as(r, half, half, 0, 2);
}

#define TOUCH_RULE                                                                                 \
	"an operation on the file is seen though the CPU has mapped its pages again since"

static const struct dax_case cases[] = {
	{ "touch_truncate", ON_DAX | ON_CACHE | BY_ORDER | BY_ACTOR, TOUCH_RULE, "zero page",
	  "CLEAR of the whole file", case_truncate },
	{ "touch_punch", ON_DAX | ON_CACHE | BY_ORDER | BY_ACTOR, TOUCH_RULE, "zero page",
	  "CLEAR of the whole file", case_punch },
	{ "touch_zero", ON_DAX | BY_ORDER | BY_ACTOR, TOUCH_RULE, "zero page",
	  "CLEAR of the whole file", case_zero },
	{ "touch_refill", ON_DAX | ON_CACHE | BY_ORDER | BY_ACTOR, TOUCH_RULE, "other media",
	  "CLEAR of the whole file", case_refill },
	{ "touch_collapse", ON_DAX | BY_ORDER | BY_ACTOR, TOUCH_RULE,
	  "media of the second half, zero page", "CLEAR of the whole file", case_collapse },
	{ "touch_insert", ON_DAX | BY_ORDER | BY_ACTOR, TOUCH_RULE,
	  "zero page, media of the first half", "CLEAR of the whole file", case_insert },
};

CASE_LIST(cases_touch, cases);
