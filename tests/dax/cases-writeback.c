// SPDX-License-Identifier: GPL-2.0
/*
 * cases: the file is written back. The kernel write-protects what it flushes, to learn of the next
 * write.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "suite.h"

static int do_fsync(struct actor *a)
{
	return fsync(a->fd) ? -errno : 0;
}

static int do_fdatasync(struct actor *a)
{
	return fdatasync(a->fd) ? -errno : 0;
}

static int do_msync(struct actor *a)
{
	return msync(a->map, a->size, MS_SYNC) ? -errno : 0;
}

static int do_syncfs(struct actor *a)
{
	return syncfs(a->fd) ? -errno : 0;
}

static int do_sync_file_range(struct actor *a)
{
	return sync_file_range(a->fd, 0, a->size,
			       SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE |
				       SYNC_FILE_RANGE_WAIT_AFTER)
		       ? -errno
		       : 0;
}

/*
 * No interface tells user space of this: status, notification, extents and page tables' bits look
 * as before. What follows from it must hold all the same: the next device write goes through a
 * write fault, or the kernel would not know that it has something to flush, and the next writeback
 * would leave it alone.
 */
static void written_back(struct run *r, act_fn fn)
{
	size_t n = 2 * r->unit / r->page;

	mirror_written(r, 2 * r->unit);
	act_ok(r, fn);
	expect_drop_or_unseen(r, EVENT_PROTECT_PAGE, 0, 0, n);
	expect_truth(r, 0, n, ENTRY_VALID);
	expect_entries(r, 0, n, ENTRY_VALID | ENTRY_DAX, r->order);
	expect_read(r, 0, n, 2);
	expect_write(r, 0, n, 3);
	expect_truth(r, 0, n, ENTRY_VALID | ENTRY_WRITE);
	expect_entries(r, 0, n, write_entry(r), r->order);
	expect_file(r, 0, n, 3);
	/* Dirty again, so protected again. */
	act_ok(r, fn);
	expect_drop_or_unseen(r, EVENT_PROTECT_PAGE, 0, 0, n);
	expect_truth(r, 0, n, ENTRY_VALID);
	expect_entries(r, 0, n, ENTRY_VALID | ENTRY_DAX, r->order);
	if (!r->ops->note_writeback || reduced(r))
		return;
	/* What the program tells is known at once. */
	expect_write(r, 0, n, 4);
	act_ok(r, fn);
	CHECK(r, !r->ops->note_writeback(r->t, r->fd), "the target cannot be told");
	expect_gone(r, EVENT_PROTECT_PAGE, 0, 0, n);
	expect_write(r, 0, n, 5);
	expect_file(r, 0, n, 5);
}

static void case_fsync(struct run *r)
{
	written_back(r, do_fsync);
}

static void case_fdatasync(struct run *r)
{
	written_back(r, do_fdatasync);
}

static void case_msync(struct run *r)
{
	written_back(r, do_msync);
}

static void case_syncfs(struct run *r)
{
	written_back(r, do_syncfs);
}

static void case_sync_file_range(struct run *r)
{
	written_back(r, do_sync_file_range);
}

/* Nothing dirty: nothing to protect. */
static void case_fsync_clean(struct run *r)
{
	size_t n = 2 * r->unit / r->page;

	mirror_read(r, 2 * r->unit, 0);
	CHECK(r, !fsync(r->fd), "fsync: %s", strerror(errno));
	expect_only(r, EVENT_PROTECT_PAGE);
	expect_read(r, 0, n, 1);
	act_ok(r, do_fsync);
	expect_keep(r, 0, n);
	expect_read(r, 0, n, 1);
}

static void case_persist(struct run *r)
{
	size_t n = 2 * r->unit / r->page;
	int ret;

	file_create(r, 2 * r->unit, FILE_SYNC);
	mirror_start(r);
	expect_write(r, 0, n, 3);
	if (!r->ops->persist)
		run_skip(r, "the target has no call that makes a device's writes durable");
	ret = r->ops->persist(r->t, (uintptr_t)r->map, r->size);
	CHECK(r, !ret, "persist: %s", strerror(-ret));
	expect_file(r, 0, n, 3);
	expect_write(r, 0, n, 4);
	expect_file(r, 0, n, 4);
}

#define SYNC_RULE                                                                                  \
	"device writes are flushed and the next one faults, so that the kernel knows it is dirty " \
	"again"

static const struct dax_case cases[] = {
	{ "fsync", ON_DAX | BY_ORDER | BY_ACTOR, SYNC_RULE, "read-only media",
	  "PROTECTION_PAGE of all that was dirty", case_fsync },
	{ "fdatasync", ON_DAX | BY_ORDER, SYNC_RULE, "read-only media",
	  "PROTECTION_PAGE of all that was dirty", case_fdatasync },
	{ "msync", ON_DAX | BY_ORDER | BY_ACTOR, SYNC_RULE, "read-only media",
	  "PROTECTION_PAGE of all that was dirty", case_msync },
	{ "syncfs", ON_DAX | BY_ORDER, SYNC_RULE, "read-only media",
	  "PROTECTION_PAGE of all that was dirty", case_syncfs },
	{ "sync_file_range", ON_DAX | BY_ORDER, SYNC_RULE, "read-only media",
	  "PROTECTION_PAGE of all that was dirty", case_sync_file_range },
	{ "fsync_clean", ON_DAX | BY_ORDER | BY_ACTOR,
	  "what is not dirty is not touched by fsync()", "read-only media", "none",
	  case_fsync_clean },
	{ "persist", ON_DAX | BY_ORDER,
	  "device writes to a MAP_SYNC mapping are durable after one call", "writable media",
	  "PROTECTION_PAGE where msync() does it", case_persist },
};

CASE_LIST(cases_writeback, cases);
