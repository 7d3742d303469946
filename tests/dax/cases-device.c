// SPDX-License-Identifier: GPL-2.0
/*
 * cases: what is below the file goes away: the filesystem is shut down, a block of the device goes
 * bad, the device is unbound from its driver. With --destroy only; the filesystem is mounted anew
 * after each.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/fiemap.h>
#include <linux/fs.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "place.h"

/*
 * The same number and meaning on xfs (GOINGDOWN) and ext4 (SHUTDOWN). Nothing is flushed, nor is
 * the log.
 */
#define FS_SHUTDOWN _IOR('X', 125, uint32_t)
#define SHUTDOWN_NOLOGFLUSH 2u

static int shut_down(struct actor *a)
{
	uint32_t how = SHUTDOWN_NOLOGFLUSH;

	return ioctl(a->fd, FS_SHUTDOWN, &how) ? -errno : 0;
}

/* A page that was not mapped: xfs refuses it, ext4 still maps for reading what it knows. */
static void read_or_refused(struct run *r, size_t page, uint8_t generation)
{
	char buf[4096];
	int ret = r->ops->access(r->t, (uintptr_t)r->map + page * r->page, buf, sizeof(buf), false,
				 NULL);

	CHECK(r, !ret || ret == -EFAULT, "reading page %zu after a shutdown says %s", page,
	      strerror(-ret));
	CHECK(r, ret || pattern_find_wrong(buf, page, 1, generation) < 0,
	      "page %zu holds something else than it did", page);
}

static void case_shutdown(struct run *r)
{
	size_t half = r->unit / r->page, n = 2 * half;

	mirror_written(r, 2 * r->unit);
	act_ok(r, shut_down);
	expect_keep(r, 0, n);
	expect_read(r, 0, n, 2);
	expect_only(r, EVENT_CLEAR);
	CHECK(r, !madvise(r->map + r->unit, r->unit, MADV_DONTNEED), "madvise: %s",
	      strerror(errno));
	expect_gone(r, EVENT_CLEAR, EVENT_CLEAR, half, half);
	expect_write_error(r, half, half, -EFAULT);
	read_or_refused(r, half + 1, 2);
	expect_read(r, 0, half, 2);
	expect_write(r, 0, half, 3);
	expect_only(r, EVENT_CLEAR);
	CHECK(r, !munmap(r->map, r->size), "munmap: %s", strerror(errno));
	expect_gone(r, EVENT_UNMAP, EVENT_CLEAR, 0, n);
	expect_read_error(r, 0, n, -EFAULT);
}

/* Where on the device a page of the file lies, in bytes. */
static uint64_t find_block(struct run *r, size_t page)
{
	struct fiemap *map = calloc(1, sizeof(*map) + sizeof(map->fm_extents[0]));
	uint64_t at;

	CHECK(r, map, "out of memory");
	map->fm_start = page * r->page;
	map->fm_length = r->page;
	map->fm_extent_count = 1;
	CHECK(r, !ioctl(r->fd, FS_IOC_FIEMAP, map) && map->fm_mapped_extents == 1, "FIEMAP: %s",
	      strerror(errno));
	at = map->fm_extents[0].fe_physical + map->fm_start - map->fm_extents[0].fe_logical;
	free(map);
	return at;
}

/* The driver keeps a list of blocks that are known to be bad, and refuses to map them. */
static void spoil(struct run *r, uint64_t at)
{
	char path[80], text[40];
	struct stat st;
	int fd;

	CHECK(r, !fstat(r->fd, &st), "fstat: %s", strerror(errno));
	snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/badblocks", major(st.st_dev),
		 minor(st.st_dev));
	snprintf(text, sizeof(text), "%llu %u\n", (unsigned long long)at / 512, 4096 / 512);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		run_skip(r, "the device has no list of bad blocks: %s", strerror(errno));
	CHECK(r, write(fd, text, strlen(text)) == (ssize_t)strlen(text), "%s: %s", path,
	      strerror(errno));
	close(fd);
}

static void case_bad_block(struct run *r)
{
	size_t half = r->unit / r->page, bad = half + 3;
	char buf[4096];
	int ret;

	if (geteuid())
		run_skip(r, "marking a block as bad needs root");
	mirror_written(r, 2 * r->unit);
	spoil(r, find_block(r, bad));
	expect_keep(r, 0, 2 * half);
	CHECK(r, !madvise(r->map + r->unit, r->unit, MADV_DONTNEED), "madvise: %s",
	      strerror(errno));
	expect_gone(r, EVENT_CLEAR, EVENT_CLEAR, half, half);
	ret = r->ops->access(r->t, (uintptr_t)r->map + bad * r->page, buf, sizeof(buf), false,
			     NULL);
	CHECK(r, ret == -EFAULT || ret == -EHWPOISON, "a job on a bad block: %s",
	      ret ? strerror(-ret) : "success");
	/* Of its PMD the rest is there, by PTEs. */
	expect_read(r, half, 3, 2);
	expect_read(r, bad + 1, half - 4, 2);
	expect_entries(r, half, 3, read_entry(r), 0);
	expect_entries(r, bad, 1, 0, ANY_ORDER);
	expect_read(r, 0, half, 2);
	expect_write(r, 0, half, 3);
}

static volatile sig_atomic_t told;

static void on_sigbus(int sig, siginfo_t *info, void *context)
{
	if (info->si_code == BUS_MCEERR_AO || info->si_code == BUS_MCEERR_AR)
		told = 1;
}

static int unbind(struct actor *a)
{
	return place_unbind(a->dir);
}

/*
 * A program that maps the device gets SIGBUS, and the filesystem shuts itself down. Without a
 * reverse mapping the filesystem is not told, and the kernel crashes when it comes upon the first
 * page that has gone.
 */
static void case_unbind(struct run *r)
{
	struct sigaction action = { .sa_sigaction = on_sigbus, .sa_flags = SA_SIGINFO }, old;
	size_t n = 2 * r->unit / r->page;

	if (!place_knows_owners(r->dir))
		run_skip(r, "this filesystem cannot tell whose blocks they are: the kernel would "
			    "crash");
	mirror_written(r, 2 * r->unit);
	sigaction(SIGBUS, &action, &old);
	act_ok(r, unbind);
	sigaction(SIGBUS, &old, NULL);
	CHECK(r, told, "no SIGBUS told of the device that went");
	expect_drop(r, EVENT_CLEAR, EVENT_CLEAR | EVENT_PROTECT_PAGE, 0, n);
	expect_read_error(r, 0, n, -EFAULT);
	expect_write_error(r, 0, n, -EFAULT);
	expect_entries(r, 0, n, 0, ANY_ORDER);
	CHECK(r, !munmap(r->map, r->size), "munmap: %s", strerror(errno));
	expect_read_error(r, 0, n, -EFAULT);
}

static const struct dax_case cases[] = {
	{ "shutdown", ON_DAX | BY_ORDER | BY_ACTOR | AS_ROOT | DESTROYS,
	  "what is mapped when its filesystem is shut down stays usable; what is not is refused",
	  "unchanged", "none", case_shutdown },
	{ "bad_block", ON_DAX | BY_ORDER | AS_ROOT | DESTROYS,
	  "a fault that meets a bad block is an error of that page alone", "order 0 around it",
	  "none", case_bad_block },
	{ "unbind", ON_DAX | BY_ORDER | AS_ROOT | DESTROYS | BY_NAME,
	  "nothing of a device that was unbound is left in a mirror, and no job reaches it", "none",
	  "CLEAR of the whole mapping", case_unbind },
};

CASE_LIST(cases_device, cases);
