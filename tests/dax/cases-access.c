// SPDX-License-Identifier: GPL-2.0
/* cases: what may be asked for and what it costs; and that it is DAX at all. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "suite.h"

static void case_read_only(struct run *r)
{
	size_t n = 2 * r->unit / r->page;

	mirror_read(r, 2 * r->unit, FILE_READ_ONLY);
	expect_entries(r, 0, n, ENTRY_VALID | (r->place->dax ? ENTRY_DAX : 0),
		       r->place->dax ? r->order : ANY_ORDER);
	expect_fault(r, 0, n, REQ_FAULT | REQ_WRITE, -EPERM, 0, 0);
	expect_write_error(r, 0, n, -EPERM);
	expect_read(r, 0, n, 1);
	expect_file(r, 0, n, 1);
}

static void case_descriptor_read_only(struct run *r)
{
	size_t n = 2 * r->unit / r->page;
	int fd;

	file_create(r, 2 * r->unit, 0);
	fd = open(r->path, O_RDONLY | O_CLOEXEC);
	CHECK(r, fd >= 0, "open: %s", strerror(errno));
	r->map = file_map(r, fd, r->size, 0, PROT_READ, MAP_SHARED);
	mirror_start(r);
	expect_read(r, 0, n, 1);
	expect_write_error(r, 0, n, -EPERM);
	expect_file(r, 0, n, 1);
}

static void case_past_end(struct run *r)
{
	size_t half = r->unit / r->page;

	file_create(r, r->unit, 0);
	r->size = 2 * r->unit;
	r->map = file_map(r, r->fd, r->size, 0, PROT_READ | PROT_WRITE, MAP_SHARED);
	mirror_start(r);
	expect_read(r, 0, half, 1);
	expect_read_error(r, half, half, -EFAULT);
	expect_read_error(r, half - 1, 2, -EFAULT);
	expect_write_error(r, half, 1, -EFAULT);
	expect_fault(r, 0, 2 * half, REQ_FAULT, -EFAULT, 0, 0);
	expect_entries(r, half, half, 0, ANY_ORDER);
}

static void case_gap(struct run *r)
{
	size_t n = 2 * r->unit / r->page;

	file_create(r, 2 * r->unit, 0);
	CHECK(r, !munmap(r->map + 4 * r->page, r->page), "munmap: %s", strerror(errno));
	mirror_start(r);
	expect_entries(r, 4, 1, ENTRY_ERROR, ANY_ORDER);
	expect_fault(r, 0, n, REQ_FAULT, -EFAULT, 0, 0);
	expect_read_error(r, 0, 5, -EFAULT);
	expect_read(r, 0, 4, 1);
	expect_read(r, 5, n - 5, 1);
}

/*
 * The kernel faults from the first page that lacks what was asked for to the end of the page table
 * (hmm_vma_handle_pte() hands its whole range to hmm_vma_fault()), or all that a missing page table
 * would map. Never what lies before, nor another table.
 */
static void case_per_page(struct run *r)
{
	size_t n = 2 * r->pmd / r->page, table = n / 2 - (r->order ? 0 : 1), i;
	struct entry *entries = calloc(n, sizeof(*entries));
	uint8_t *requests = calloc(n, 1);
	int ret;

	file_create(r, 2 * r->pmd, 0);
	mirror_start(r);
	expect_read(r, 0, 1, 1);
	requests[7] = REQ_FAULT;
	requests[9] = REQ_FAULT | REQ_WRITE;
	ret = r->ops->range(r->t, (uintptr_t)r->map, r->size, 0, requests, entries, NULL, NULL);
	CHECK(r, !ret, "fault of two pages: %s", strerror(-ret));
	CHECK(r, entries[7].flags & ENTRY_VALID, "a page that was asked for is not there");
	CHECK(r, (entries[9].flags & (ENTRY_VALID | ENTRY_WRITE)) == (ENTRY_VALID | ENTRY_WRITE),
	      "a page that was asked for writing is not writable");
	for (i = 1; i < n; i = i == 6 && !r->order ? table : i + 1)
		if (!(r->order && i < table))
			CHECK(r, !(entries[i].flags & ENTRY_VALID),
			      "page %zu was faulted though nobody asked for it", i);
	free(entries);
	free(requests);
}

/*
 * One page in two mappings, at two orders: entries differ, the page is one, and no write is lost
 * between them.
 */
static void case_alias(struct run *r)
{
	size_t n = 2 * r->unit / r->page;
	struct entry *mine, *theirs = calloc(n, sizeof(*theirs));
	char *other;
	int ret;

	file_create(r, 2 * r->unit, 0);
	mirror_start(r);
	expect_write(r, 0, n, 2);
	other = mmap(NULL, r->size, PROT_READ | PROT_WRITE, MAP_SHARED, r->fd, 0);
	CHECK(r, other != MAP_FAILED && theirs, "mmap: %s", strerror(errno));
	CHECK(r, pattern_find_wrong(other, 0, n, 2) < 0,
	      "the other mapping does not show what the device wrote");
	mine = get_entries(r, 0, n, 0, &ret);
	ret = r->ops->range(r->t, (uintptr_t)other, r->size, REQ_FAULT, NULL, theirs, NULL, NULL);
	CHECK(r, !ret, "fault of the other mapping: %s", strerror(-ret));
	CHECK(r,
	      !r->ops->sees_pages || (mine[5].cookie == theirs[5].cookie &&
				      mine[n - 1].cookie == theirs[n - 1].cookie),
	      "two mappings of one page are not one page");
	pattern_fill(other, 0, n, 3);
	expect_read(r, 0, n, 3);
	expect_file(r, 0, n, 3);
	free(mine);
	free(theirs);
}

static long meminfo(const char *field)
{
	char line[128];
	long value = -1;
	FILE *f = fopen("/proc/meminfo", "re");

	while (f && value < 0 && fgets(line, sizeof(line), f))
		if (!strncmp(line, field, strlen(field)))
			value = strtol(line + strlen(field), NULL, 10);
	if (f)
		fclose(f);
	return value;
}

/* 32 MiB through the device leave no trace in the page cache. */
static void case_no_cache(struct run *r)
{
	size_t size = 16 * r->pmd;
	long before, after;

	file_create(r, size, 0);
	before = meminfo("Cached:");
	mirror_start(r);
	expect_read(r, 0, size / r->page, 1);
	expect_write(r, 0, size / r->page, 2);
	after = meminfo("Cached:");
	CHECK(r, before > 0 && after - before < (long)(size / 1024 / 4),
	      "the page cache grew by %ld KiB of %zu", after - before, size / 1024);
	expect_entries(r, 0, size / r->page, write_entry(r), r->order);
}

/* The device asks once for all of it. */
static void case_cold_faults(struct run *r)
{
	size_t size = 8 * r->unit;
	unsigned int faults = 0;
	char *buf = malloc(size);
	int ret;

	file_create(r, size, 0);
	mirror_start(r);
	ret = r->ops->access(r->t, (uintptr_t)r->map, buf, size, false, &faults);
	CHECK(r, !ret, "read: %s", strerror(-ret));
	CHECK(r, faults && faults <= size / r->unit, "%u device faults for %zu PMDs", faults,
	      size / r->unit);
	faults = 99;
	ret = r->ops->access(r->t, (uintptr_t)r->map, buf, size, false, &faults);
	CHECK(r, !ret && (!faults || reduced(r)), "%u device faults for what the mirror holds",
	      faults);
	free(buf);
}

struct uring_params {
	uint32_t sq_entries, cq_entries, flags, rest[27];
};

/*
 * The kernel refuses to pin what a filesystem must be able to take away: only a mirror can use it
 * for long.
 */
static void case_pin_refused(struct run *r)
{
	struct uring_params params = { 0 };
	struct iovec iov;
	int ring, ret;

	mirror_written(r, 2 * r->unit);
	ring = syscall(SYS_io_uring_setup, 4, &params);
	if (ring < 0)
		run_skip(r, "no io_uring here: %s", strerror(errno));
	iov = (struct iovec){ r->map, r->page };
	ret = syscall(SYS_io_uring_register, ring, 0, &iov, 1) ? -errno : 0;
	CHECK(r, ret == -EOPNOTSUPP || ret == -EFAULT, "a fixed buffer on DAX: %s",
	      ret ? strerror(-ret) : "success");
	close(ring);
	expect_only(r, EVENT_CLEAR | EVENT_PROTECT_PAGE);
	expect_read(r, 0, r->size / r->page, 2);
}

static const struct dax_case cases[] = {
	{ "read_only", ON_DAX | ON_CACHE | BY_ORDER,
	  "a PROT_READ mapping: -EPERM for writes, reads go on", "read-only", "none",
	  case_read_only },
	{ "descriptor_read_only", ON_DAX | BY_ORDER,
	  "a mapping of an O_RDONLY descriptor: -EPERM for writes", "read-only", "none",
	  case_descriptor_read_only },
	{ "past_end", ON_DAX | ON_CACHE | BY_ORDER,
	  "past the end of the file every job gets -EFAULT", "none", "none", case_past_end },
	{ "gap", ON_DAX | ON_CACHE | BY_ORDER,
	  "a hole in the address space: error entry, -EFAULT if asked for", "error in the gap",
	  "none", case_gap },
	{ "per_page", ON_DAX | BY_ORDER,
	  "requests page by page fault those pages, and at most the rest of their page table",
	  "none where not asked", "none", case_per_page },
	{ "alias", ON_DAX | ON_CACHE | BY_ORDER,
	  "a page of a file is the same page through each of its mappings", "equal cookies", "none",
	  case_alias },
	{ "no_cache", ON_DAX | BY_ORDER,
	  "device reads and writes are in place: the page cache does not grow", "media", "none",
	  case_no_cache },
	{ "cold_faults", ON_DAX | BY_ORDER,
	  "a cold job takes at most one device fault for each PMD, a warm one none", "media",
	  "none", case_cold_faults },
	{ "pin_refused", ON_DAX | BY_ORDER, "a long-term pin is refused while the mirror works on",
	  "media", "none", case_pin_refused },
};

CASE_LIST(cases_access, cases);
