// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* Where libhmm cannot serve, it says so once, and nothing is cached or another monitor serves. */
#include "ofi_stage.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <hmm/hmm.h>
#include <rdma/fi_ext.h>

static char said[4096];
static int said_fd;
static int terminal;

/* Standard error goes to a file until said_end(). */
static void said_begin(void)
{
	said_fd = memfd_create("said", MFD_CLOEXEC);
	terminal = dup(STDERR_FILENO);
	CHECK(said_fd >= 0 && terminal >= 0);
	CHECK(dup2(said_fd, STDERR_FILENO) == STDERR_FILENO);
}

static unsigned int said_end(void)
{
	unsigned int lines = 0;
	ssize_t n;

	CHECK(dup2(terminal, STDERR_FILENO) == STDERR_FILENO);
	n = pread(said_fd, said, sizeof(said) - 1, 0);
	CHECK(n >= 0);
	said[n] = 0;
	for (const char *p = said; (p = strchr(p, '\n')); p++)
		lines++;
	fputs(said, stdout);
	return lines;
}

/* ---- another monitor ------------------------------------------------------------------------- */

static int nothing(struct fid_mem_monitor *m)
{
	(void)m;
	return 0;
}

static void stop(struct fid_mem_monitor *m)
{
	(void)m;
}

static int take(struct fid_mem_monitor *m, const void *addr, size_t len)
{
	(void)m;
	(void)addr;
	(void)len;
	return 0;
}

static void drop(struct fid_mem_monitor *m, const void *addr, size_t len)
{
	take(m, addr, len);
}

static bool trust(struct fid_mem_monitor *m, const void *addr, size_t len)
{
	return !take(m, addr, len);
}

static struct fi_ops_mem_monitor foreign_ops = {
	.size = sizeof(foreign_ops),
	.start = nothing,
	.stop = stop,
	.subscribe = take,
	.unsubscribe = drop,
	.valid = trust,
};
static struct fid_mem_monitor foreign = { .fid.fclass = FI_CLASS_MEM_MONITOR,
					  .export_ops = &foreign_ops };

static int import_foreign(void)
{
	struct fid *fid;
	int err = fi_open(FI_VERSION(1, 13), "mr_cache", NULL, 0, 0, &fid, NULL);

	CHECK(!err);
	err = fi_import_fid(fid, &foreign.fid, 0);
	fi_close(fid);
	return err;
}

static void run_second(void)
{
	stage_load();
	CHECK(!import_foreign());
	said_begin();
	CHECK(stage_import() == -FI_EBUSY);
	CHECK(stage_import() == -FI_EBUSY);
	CHECK(said_end() == 1 && strstr(said, "another memory monitor"));
	CHECK(!atomic_load(&stage_counters()->served));
	CHECK(MONITOR_WHY_REASON(atomic_load(&stage_counters()->why)) == MONITOR_WHY_BUSY);
}

/* As Open MPI, which imports its own later and goes on. */
static void run_first(void)
{
	uint64_t *at = stage_map();

	stage_begin();
	CHECK(import_foreign() == -FI_EBUSY);
	stage_warm(stage_cache(), at);
}

/* A cache is in use with a monitor of libfabric's. */
static void run_active(void)
{
	struct ofi_cache *cache;
	uint64_t *at = stage_map();

	stage_load();
	CHECK(!ofi_cache_begin("memhooks", NULL));
	cache = stage_open();
	said_begin();
	CHECK(stage_import() == -FI_EBUSY);
	CHECK(said_end() == 1);
	stage_warm(cache, at);
	CHECK(!atomic_load(&stage_counters()->misses));
}

/* ---- descriptors ----------------------------------------------------------------------------- */

static struct rlimit usual;

static void take_descriptors(void)
{
	struct rlimit few;

	CHECK(!getrlimit(RLIMIT_NOFILE, &usual));
	few = usual;
	few.rlim_cur = 64;
	CHECK(!setrlimit(RLIMIT_NOFILE, &few));
	while (open("/dev/null", O_RDONLY) >= 0)
		;
	CHECK(errno == EMFILE);
}

/* What looks for leaks at the end needs some. */
static void give_descriptors(void)
{
	CHECK(!setrlimit(RLIMIT_NOFILE, &usual));
}

static void uncached(struct ofi_cache *cache, uint64_t *at)
{
	for (unsigned int n = 0; n < 4; n++)
		CHECK(stage_use(cache, at) == USE_MISS);
}

static void run_no_descriptors(void)
{
	uint64_t *at = stage_map();
	struct ofi_cache *cache;

	stage_load();
	CHECK(!stage_import());
	said_begin();
	take_descriptors();
	cache = stage_open();
	uncached(cache, at);
	CHECK(said_end() == 1);
	CHECK(MONITOR_WHY_REASON(atomic_load(&stage_counters()->why)) == MONITOR_WHY_ATTACH);
	CHECK(MONITOR_WHY_ERR(atomic_load(&stage_counters()->why)) < 0);
	CHECK(atomic_load(&stage_counters()->refused) == atomic_load(&stage_counters()->misses));
	give_descriptors();
}

static void run_descriptors_later(void)
{
	uint64_t *at = stage_map();

	stage_begin();
	take_descriptors();
	for (unsigned int n = 0; n < 50; n++) {
		stage_warm(stage_cache(), at);
		CHECK(!munmap(at, BUFFER) && stage_map_at(at));
		stage_paint(at);
		CHECK(stage_use(stage_cache(), at) == USE_MISS);
	}
	give_descriptors();
}

/* The program closes what it does not know. */
static void run_closed(void)
{
	uint64_t *at = stage_map();

	stage_begin();
	stage_warm(stage_cache(), at);
	CHECK(!syscall(SYS_close_range, 3, ~0U, 0));
	for (unsigned int n = 0; n < 10; n++) {
		CHECK(!munmap(at, BUFFER) && stage_map_at(at));
		stage_paint(at);
		CHECK(stage_use(stage_cache(), at) != USE_STALE);
	}
	uncached(stage_cache(), at);
	/* The pump has ended. ThreadSanitizer wants it joined; nobody uses the space now. */
	hmm_mm_detach(stage_space());
}

/* ---- memory that cannot be watched ----------------------------------------------------------- */

static void run_foreign_uffd(void)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register own = { .mode = UFFDIO_REGISTER_MODE_MISSING };
	uint64_t *at = stage_map();
	int fd;

	stage_begin();
	fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | 1 /* UFFD_USER_MODE_ONLY */);
	if (fd < 0)
		stage_skip("no userfaultfd for the test");
	own.range.start = (uintptr_t)at;
	own.range.len = BUFFER;
	CHECK(!ioctl(fd, UFFDIO_API, &api));
	CHECK(!ioctl(fd, UFFDIO_REGISTER, &own));
	uncached(stage_cache(), at);
	close(fd);
	stage_warm(stage_cache(), at);
}

const struct scenario refuse_scenarios[] = {
	{ "second", run_second },
	{ "first", run_first },
	{ "active", run_active },
	{ "no-descriptors", run_no_descriptors },
	{ "descriptors-later", run_descriptors_later },
	{ "closed", run_closed },
	{ "foreign-uffd", run_foreign_uffd },
	{ NULL, NULL },
};
