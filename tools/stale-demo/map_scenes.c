// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* Changes of anonymous memory. */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>
#include <liburing.h>
#include "stage.h"

#ifndef MADV_DONTNEED_LOCKED
#define MADV_DONTNEED_LOCKED 24
#endif
#ifndef MREMAP_DONTUNMAP
#define MREMAP_DONTUNMAP 4
#endif

/* Memory that the cache has, as far as it keeps it; NULL with the outcome. */
static char *begin(struct stage *s, enum outcome *outcome)
{
	char *at = stage_map();

	*outcome = at ? OUTCOME_OK : stage_failed(s, "mmap");
	if (at)
		warm(s, at, BUFFER_PAGES);
	return at;
}

static enum outcome unmapped(struct stage *s, int (*unmap)(void *, size_t))
{
	enum outcome outcome;
	char *at = begin(s, &outcome);

	if (!at)
		return outcome;
	if (unmap(at, BUFFER_BYTES) || !map_at(at, BUFFER_BYTES))
		return stage_failed(s, "munmap");
	return look(s, at);
}

static int raw_munmap(void *at, size_t bytes)
{
	return (int)syscall(SYS_munmap, at, bytes);
}

static enum outcome run_munmap(struct stage *s)
{
	return unmapped(s, munmap);
}

static enum outcome run_raw_munmap(struct stage *s)
{
	return unmapped(s, raw_munmap);
}

static enum outcome run_map_fixed(struct stage *s)
{
	enum outcome outcome;
	char *at = begin(s, &outcome);

	if (!at)
		return outcome;
	if (mmap(at, BUFFER_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED,
		 -1, 0) != at)
		return stage_failed(s, "mmap");
	return look(s, at);
}

static enum outcome run_mremap_onto(struct stage *s)
{
	enum outcome outcome;
	char *at = begin(s, &outcome), *other = stage_map(), *moved;

	if (!at || !other)
		return outcome;
	moved = mremap(other, BUFFER_BYTES, BUFFER_BYTES, MREMAP_MAYMOVE | MREMAP_FIXED, at);
	if (moved == MAP_FAILED)
		return stage_failed(s, "mremap");
	if (moved != at)
		return stage_broken(s, "mremap(MREMAP_FIXED) put it at another address");
	return look(s, at);
}

static enum outcome run_mremap_dontunmap(struct stage *s)
{
	enum outcome outcome;
	char *at = begin(s, &outcome), *to = stage_place();

	if (!at)
		return outcome;
	if (mremap(at, BUFFER_BYTES, BUFFER_BYTES, MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP,
		   to) == MAP_FAILED)
		return stage_failed(s, "mremap");
	return look(s, at);
}

static enum outcome advised(struct stage *s, int (*advise)(void *, size_t, int), int advice,
			    const char *what)
{
	enum outcome outcome;
	char *at = begin(s, &outcome);

	if (!at)
		return outcome;
	if (advise(at, BUFFER_BYTES, advice))
		return stage_failed(s, what);
	return look(s, at);
}

static int raw_madvise(void *at, size_t bytes, int advice)
{
	return (int)syscall(SYS_madvise, at, bytes, advice);
}

static int other_madvise(void *at, size_t bytes, int advice)
{
	struct iovec iov = { at, bytes };
	int pidfd = (int)syscall(SYS_pidfd_open, getpid(), 0);
	long done = pidfd < 0 ? -1 : syscall(SYS_process_madvise, pidfd, &iov, 1UL, advice, 0U);

	if (pidfd >= 0)
		close(pidfd);
	return done == (long)bytes ? 0 : -1;
}

int uring_madvise(void *at, size_t bytes, int advice)
{
	struct io_uring ring;
	struct io_uring_cqe *cqe = NULL;
	int ret = io_uring_queue_init(2, &ring, 0);

	if (ret)
		return ret;
	io_uring_prep_madvise(io_uring_get_sqe(&ring), at, (off_t)bytes, advice);
	ret = io_uring_submit(&ring);
	if (ret == 1)
		ret = io_uring_wait_cqe(&ring, &cqe);
	if (!ret)
		ret = cqe->res;
	io_uring_queue_exit(&ring);
	return ret;
}

static int ring_madvise(void *at, size_t bytes, int advice)
{
	int ret = uring_madvise(at, bytes, advice);

	errno = -ret;
	return ret ? -1 : 0;
}

static enum outcome run_dontneed(struct stage *s)
{
	return advised(s, madvise, MADV_DONTNEED, "madvise");
}

static enum outcome run_dontneed_locked(struct stage *s)
{
	return advised(s, madvise, MADV_DONTNEED_LOCKED, "MADV_DONTNEED_LOCKED");
}

static enum outcome run_raw_madvise(struct stage *s)
{
	return advised(s, raw_madvise, MADV_DONTNEED, "madvise");
}

static enum outcome run_process_madvise(struct stage *s)
{
	return advised(s, other_madvise, MADV_DONTNEED, "process_madvise");
}

static enum outcome run_uring_madvise(struct stage *s)
{
	return advised(s, ring_madvise, MADV_DONTNEED, "IORING_OP_MADVISE");
}

const struct scene map_scenes[] = {
	{ "munmap", "munmap, mmap at the same address", run_munmap, SCENE_ROW },
	{ "raw-munmap", "syscall(SYS_munmap), mmap", run_raw_munmap, SCENE_ROW },
	{ "map-fixed", "mmap(MAP_FIXED) over it", run_map_fixed, SCENE_ROW },
	{ "mremap-onto", "mremap(MREMAP_FIXED) of other memory onto it", run_mremap_onto,
	  SCENE_ROW },
	{ "mremap-dontunmap", "mremap(MREMAP_DONTUNMAP) away, touch", run_mremap_dontunmap,
	  SCENE_ROW },
	{ "dontneed", "madvise(MADV_DONTNEED), touch", run_dontneed, SCENE_ROW },
	{ "dontneed-locked", "madvise(MADV_DONTNEED_LOCKED), touch", run_dontneed_locked,
	  SCENE_ROW },
	{ "raw-madvise", "syscall(SYS_madvise, MADV_DONTNEED), touch", run_raw_madvise, SCENE_ROW },
	{ "process-madvise", "process_madvise(self, MADV_DONTNEED), touch", run_process_madvise,
	  SCENE_ROW },
	{ "uring-madvise", "IORING_OP_MADVISE with MADV_DONTNEED, touch", run_uring_madvise,
	  SCENE_ROW },
	{ NULL, NULL, NULL, 0 },
};
