// SPDX-License-Identifier: GPL-2.0
/*
 * cases: files come to share blocks (reflink, dedupe), and writes take them apart. Where there is
 * no reflink, nothing happens.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "suite.h"

#define MAY (EVENT_CLEAR | EVENT_PROTECT_PAGE)

static int open_twin(const char *dir, int flags)
{
	char path[400];

	snprintf(path, sizeof(path), "%s/twin", dir);
	return open(path, O_RDWR | O_CLOEXEC | flags, 0600);
}

static int reflink(struct actor *a)
{
	int fd = open_twin(a->dir, O_CREAT | O_TRUNC), ret = 0;

	if (fd < 0)
		return -errno;
	if (ioctl(fd, FICLONE, a->fd))
		ret = -errno;
	close(fd);
	return ret;
}

static int reflink_and_store(struct actor *a)
{
	int ret = reflink(a);

	if (!ret)
		pattern_fill(a->map, 0, 1, 5);
	return ret;
}

static int reflink_and_pwrite(struct actor *a)
{
	char buf[4096];
	int ret = reflink(a);

	pattern_fill(buf, 0, 1, 5);
	if (!ret && pwrite(a->fd, buf, sizeof(buf), 0) != sizeof(buf))
		ret = -errno;
	return ret;
}

/* The twin exists, holds generation 7, and replaces the mirrored file's blocks. */
static int reflink_into(struct actor *a)
{
	int fd = open_twin(a->dir, 0), ret = 0;

	if (fd < 0)
		return -errno;
	if (ioctl(a->fd, FICLONE, fd))
		ret = -errno;
	close(fd);
	return ret;
}

static int dedupe(struct actor *a)
{
	struct file_dedupe_range *arg = calloc(1, sizeof(*arg) + sizeof(arg->info[0]));
	int fd = open_twin(a->dir, 0), ret = 0;

	if (fd < 0 || !arg) {
		free(arg);
		return -errno;
	}
	arg->src_length = a->size;
	arg->dest_count = 1;
	arg->info[0].dest_fd = a->fd;
	if (ioctl(fd, FIDEDUPERANGE, arg))
		ret = -errno;
	else if (arg->info[0].status != FILE_DEDUPE_RANGE_SAME)
		ret = arg->info[0].status < 0 ? arg->info[0].status : -EUCLEAN;
	else if (arg->info[0].bytes_deduped != a->size)
		ret = -EMSGSIZE;
	free(arg);
	close(fd);
	return ret;
}

static int make_twin(struct run *r, uint8_t generation)
{
	int fd = open_twin(r->dir, O_CREAT | O_EXCL);
	char *buf = malloc(r->size);

	CHECK(r, fd >= 0 && buf, "twin: %s", strerror(errno));
	CHECK(r, !fallocate(fd, 0, 0, r->size), "fallocate: %s", strerror(errno));
	pattern_fill(buf, 0, r->size / r->page, generation);
	CHECK(r, pwrite(fd, buf, r->size, 0) == (ssize_t)r->size, "twin: %s", strerror(errno));
	CHECK(r, !fsync(fd), "fsync: %s", strerror(errno));
	free(buf);
	return fd;
}

/*
 * The operation, or the proof that this filesystem has none and the mirror took no harm. True: it
 * was done.
 */
static bool shared(struct run *r, act_fn fn)
{
	size_t n = r->size / r->page;
	int ret = act(r, fn);

	if (r->place->reflink) {
		CHECK(r, !ret, "the operation failed: %s", strerror(-ret));
		return true;
	}
	CHECK(r, ret == -EOPNOTSUPP || ret == -EINVAL || ret == -ENOTTY,
	      "without reflink the operation says %s", ret ? strerror(-ret) : "success");
	expect_keep(r, 0, n);
	expect_read(r, 0, n, 2);
	expect_write(r, 0, n, 3);
	expect_file(r, 0, n, 3);
	return false;
}

static void check_twin(struct run *r, uint8_t generation)
{
	int fd = open_twin(r->dir, 0);

	CHECK(r, fd >= 0, "twin: %s", strerror(errno));
	expect_file_at(r, fd, 0, r->size / r->page, generation);
	close(fd);
}

static void case_reflink(struct run *r)
{
	size_t n = 2 * r->unit / r->page;

	mirror_written(r, 2 * r->unit);
	if (!shared(r, reflink))
		return;
	expect_drop(r, EVENT_CLEAR | EVENT_PROTECT_PAGE, MAY, 0, n);
	/* Shared now: read-only until a write fault has taken the blocks apart. */
	expect_fault(r, 0, n, REQ_FAULT, 0, ENTRY_VALID | ENTRY_DAX, r->order);
	expect_read(r, 0, n, 2);
	expect_entries(r, 0, n, ENTRY_VALID | ENTRY_DAX, r->order);
}

/*
 * A load after it maps the page again, read-only: the page table looks as it did, and only the
 * file's extents tell.
 */
static void case_reflink_touch(struct run *r)
{
	size_t n = 2 * r->unit / r->page;

	mirror_written(r, 2 * r->unit);
	if (!shared(r, reflink))
		return;
	CHECK(r, pattern_find_wrong(r->map, 0, n, 2) < 0,
	      "the mapping does not hold what the device wrote");
	expect_drop(r, EVENT_CLEAR | EVENT_PROTECT_PAGE, MAY, 0, n);
	expect_read(r, 0, n, 2);
	expect_entries(r, 0, n, ENTRY_VALID | ENTRY_DAX, r->order);
	expect_write(r, 0, n, 3);
	check_twin(r, 2);
}

static void case_reflink_write(struct run *r)
{
	size_t n = 2 * r->unit / r->page;

	mirror_written(r, 2 * r->unit);
	if (!shared(r, reflink))
		return;
	expect_drop(r, EVENT_CLEAR | EVENT_PROTECT_PAGE, MAY, 0, n);
	expect_write(r, 0, n, 3);
	expect_file(r, 0, n, 3);
	check_twin(r, 2);
}

/* What replaces a shared page is another page. */
static void replaced(struct run *r, act_fn fn)
{
	size_t n = 2 * r->unit / r->page;
	struct entry *before, *after;
	int ret;

	mirror_written(r, 2 * r->unit);
	before = get_entries(r, 0, 1, 0, &ret);
	if (!shared(r, fn))
		return;
	expect_drop(r, EVENT_CLEAR, MAY, 0, 1);
	expect_read(r, 0, 1, 5);
	expect_read(r, 1, n - 1, 2);
	after = get_entries(r, 0, 1, REQ_FAULT, &ret);
	CHECK(r, !r->ops->sees_pages || before->cookie != after->cookie,
	      "the page is still the one that the twin has");
	expect_write(r, 0, n, 6);
	expect_file(r, 0, n, 6);
	check_twin(r, 2);
	free(before);
	free(after);
}

static void case_reflink_store(struct run *r)
{
	replaced(r, reflink_and_store);
}

static void case_reflink_pwrite(struct run *r)
{
	replaced(r, reflink_and_pwrite);
}

static void case_reflink_into(struct run *r)
{
	size_t n = 2 * r->unit / r->page;

	r->size = 2 * r->unit;
	close(make_twin(r, 7));
	mirror_written(r, 2 * r->unit);
	if (!shared(r, reflink_into))
		return;
	expect_drop(r, EVENT_CLEAR, MAY, 0, n);
	expect_read(r, 0, n, 7);
	expect_entries(r, 0, n, ENTRY_VALID | ENTRY_DAX, r->order);
	expect_write(r, 0, n, 8);
	expect_file(r, 0, n, 8);
	check_twin(r, 7);
}

static void case_dedupe(struct run *r)
{
	size_t n = 2 * r->unit / r->page;
	struct entry *mine, *theirs;
	char *map;
	int fd, ret;

	r->size = 2 * r->unit;
	fd = make_twin(r, 2);
	mirror_written(r, 2 * r->unit);
	CHECK(r, !fsync(r->fd), "fsync: %s", strerror(errno));
	expect_write(r, 0, 1, 2);
	expect_only(r, MAY);
	if (!shared(r, dedupe))
		return;
	expect_drop(r, EVENT_CLEAR, MAY, 0, n);
	expect_read(r, 0, n, 2);
	expect_entries(r, 0, n, ENTRY_VALID | ENTRY_DAX, r->order);
	/* Two files, one page. */
	map = file_map(r, fd, r->size, 0, PROT_READ, MAP_SHARED);
	mine = get_entries(r, 0, n, REQ_FAULT, &ret);
	theirs = calloc(n, sizeof(*theirs));
	CHECK(r, theirs, "out of memory");
	ret = r->ops->range(r->t, (uintptr_t)map, r->size, REQ_FAULT, NULL, theirs, NULL, NULL);
	CHECK(r, !ret, "fault of the twin: %s", strerror(-ret));
	CHECK(r, !r->ops->sees_pages || mine[n - 1].cookie == theirs[n - 1].cookie,
	      "the files do not share a page");
	free(mine);
	free(theirs);
	expect_write(r, 0, n, 9);
	expect_file(r, 0, n, 9);
	expect_file_at(r, fd, 0, n, 2);
}

#define SHARE_FLAGS (ON_DAX | BY_ORDER | BY_ACTOR)

static const struct dax_case cases[] = {
	{ "reflink", SHARE_FLAGS,
	  "cloning the file takes write permission from its mirrors; without reflink nothing "
	  "happens",
	  "read-only media, the same page", "CLEAR or PROTECTION_PAGE of the whole file",
	  case_reflink },
	{ "reflink_touch", SHARE_FLAGS,
	  "the same when the CPU has mapped the pages again before the mirror is looked at",
	  "read-only media, the same page", "CLEAR or PROTECTION_PAGE of the whole file",
	  case_reflink_touch },
	{ "reflink_write", SHARE_FLAGS,
	  "a device's write to a shared block takes it apart first: the clone keeps what it had",
	  "writable media, another page", "CLEAR or PROTECTION_PAGE at the clone",
	  case_reflink_write },
	{ "reflink_store", SHARE_FLAGS,
	  "a store to a shared block replaces the page in every mirror", "another page",
	  "CLEAR of the page", case_reflink_store },
	{ "reflink_pwrite", SHARE_FLAGS,
	  "pwrite() to a shared block replaces the page in every mirror", "another page",
	  "CLEAR of the page", case_reflink_pwrite },
	{ "reflink_into", SHARE_FLAGS,
	  "a file that becomes the clone of another shows that one's contents at once",
	  "read-only media of the other file", "CLEAR of the whole file", case_reflink_into },
	{ "dedupe", SHARE_FLAGS,
	  "two files that are deduplicated share pages, read-only, until either is written",
	  "read-only; one page in two files", "CLEAR of the whole file", case_dedupe },
};

CASE_LIST(cases_share, cases);
