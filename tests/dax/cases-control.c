// SPDX-License-Identifier: GPL-2.0
/*
 * cases: the control. Elsewhere than on DAX the suite must find no DAX, and on DAX it must, and use
 * it in place.
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "suite.h"

#ifndef MAP_SYNC
#define MAP_SYNC 0x80000
#endif

static void case_is_dax(struct run *r)
{
	size_t n = 2 * r->unit / r->page;

	file_create(r, 2 * r->unit, FILE_SYNC);
	mirror_start(r);
	expect_write(r, 0, n, 2);
	expect_entries(r, 0, n, ENTRY_VALID | ENTRY_WRITE | ENTRY_DAX, r->order);
}

static void case_is_not_dax(struct run *r)
{
	size_t n = 2 * r->unit / r->page;
	void *map;

	file_create(r, 2 * r->unit, 0);
	map = mmap(NULL, r->size, PROT_READ | PROT_WRITE, MAP_SHARED_VALIDATE | MAP_SYNC, r->fd, 0);
	CHECK(r, map == MAP_FAILED && errno == EOPNOTSUPP,
	      "MAP_SYNC where there is no DAX did not say EOPNOTSUPP");
	mirror_start(r);
	expect_write(r, 0, n, 2);
	expect_entries(r, 0, n, ENTRY_VALID | ENTRY_WRITE, ANY_ORDER);
	expect_file(r, 0, n, 2);
}

/* Anonymous memory is what can be moved: without it nothing would have been asked. */
static void case_migrate(struct run *r)
{
	size_t n = 2 * r->unit / r->page;
	char *anon =
		mmap(NULL, r->page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int ret;

	CHECK(r, anon != MAP_FAILED, "mmap: %s", strerror(errno));
	*anon = 1;
	mirror_written(r, 2 * r->unit);
	ret = r->ops->in_place(r->t, (uintptr_t)anon, r->page);
	CHECK(r, !ret, "anonymous memory is said to stay in place: %d", ret);
	ret = r->ops->in_place(r->t, (uintptr_t)r->map, r->size);
	CHECK(r, ret == 1, "a DAX mapping is not said to stay in place: %d", ret);
	expect_keep(r, 0, n);
	expect_read(r, 0, n, 2);
	expect_entries(r, 0, n, write_entry(r), r->order);
	expect_write(r, 0, n, 3);
	expect_file(r, 0, n, 3);
}

static const struct dax_case cases[] = {
	{ "is_dax", ON_DAX | BY_ORDER,
	  "entries of a DAX file are the media's, of the order that the mapping allows",
	  "writable media", "none", case_is_dax },
	{ "migrate", ON_DAX | BY_ORDER,
	  "pages of a DAX file are never moved into a device's memory, and that is said: they are "
	  "used in place",
	  "unchanged", "none", case_migrate },
	{ "is_not_dax", ON_CACHE,
	  "without DAX, MAP_SYNC is refused and entries are the page cache's", "writable memory",
	  "none", case_is_not_dax },
};

CASE_LIST(cases_control, cases);
