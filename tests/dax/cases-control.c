// SPDX-License-Identifier: GPL-2.0
/* cases: the control. Elsewhere than on DAX the suite must find no DAX, and on DAX it must. */
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

static const struct dax_case cases[] = {
	{ "is_dax", ON_DAX | BY_ORDER,
	  "entries of a DAX file are the media's, of the order that the mapping allows",
	  "writable media", "none", case_is_dax },
	{ "is_not_dax", ON_CACHE,
	  "without DAX, MAP_SYNC is refused and entries are the page cache's", "writable memory",
	  "none", case_is_not_dax },
};

CASE_LIST(cases_control, cases);
