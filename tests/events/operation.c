// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/shm.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <hmm/mm.h>
#include "operation.h"

#define ADV_PAGEOUT 21
#define ADV_COLLAPSE 25
#define ADV_GUARD_INSTALL 102
#define ADV_GUARD_REMOVE 103
#define RW (PROT_READ | PROT_WRITE)

static int err(long ret)
{
	return ret ? -errno : 0;
}

static int run_munmap(struct memory *m, size_t *offset)
{
	int ret = err(munmap(m->p, m->len));

	m->gone = !ret;
	return ret;
}

static int run_map_fixed(struct memory *m, size_t *offset)
{
	return mmap(m->p, m->len, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED
		       ? -errno
		       : 0;
}

static int run_brk(struct memory *m, size_t *offset)
{
	*offset = m->len - m->page;
	m->len -= m->page;
	return err(brk(m->p + m->len));
}

static int run_move(struct memory *m, size_t *offset)
{
	/* hugetlb wants the target aligned to its pages */
	char *at = mmap(NULL, m->len + m->page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (at == MAP_FAILED)
		return -errno;
	at = (char *)(((uintptr_t)at + m->page - 1) & ~(m->page - 1));
	if (mremap(m->p, m->len, m->len, MREMAP_MAYMOVE | MREMAP_FIXED, at) == MAP_FAILED)
		return -errno;
	m->moved = at;
	m->gone = true;
	return 0;
}

static int run_shrink(struct memory *m, size_t *offset)
{
	*offset = m->len - m->page;
	if (mremap(m->p, m->len, m->len - m->page, 0) == MAP_FAILED)
		return -errno;
	return 0;
}

static int run_dontunmap(struct memory *m, size_t *offset)
{
	char *at = mremap(m->p, m->len, m->len, MREMAP_MAYMOVE | MREMAP_DONTUNMAP, NULL);

	if (at == MAP_FAILED)
		return -errno;
	m->moved = at;
	return 0;
}

static int run_dontneed(struct memory *m, size_t *offset)
{
	return err(madvise(m->p, m->len, MADV_DONTNEED));
}

static int run_free(struct memory *m, size_t *offset)
{
	return err(madvise(m->p, m->len, MADV_FREE));
}

static int run_remove(struct memory *m, size_t *offset)
{
	return err(madvise(m->p, m->len, MADV_REMOVE));
}

static int end_child(pid_t pid)
{
	int status;

	if (pid < 0)
		return -errno;
	if (!pid)
		_exit(0);
	return waitpid(pid, &status, 0) == pid && status == 0 ? 0 : -ECHILD;
}

static int run_fork(struct memory *m, size_t *offset)
{
	return end_child(fork());
}

static int run_clone(struct memory *m, size_t *offset)
{
	return end_child((pid_t)syscall(SYS_clone, (long)SIGCHLD, 0L, 0L, 0L, 0L));
}

static int run_mprotect(struct memory *m, size_t *offset)
{
	return err(mprotect(m->p, m->len, PROT_READ));
}

static int run_truncate(struct memory *m, size_t *offset)
{
	if (m->fd < 0)
		return -EBADF;
	return err(ftruncate(m->fd, 0) || ftruncate(m->fd, (off_t)m->len));
}

static int run_punch(struct memory *m, size_t *offset)
{
	if (m->fd < 0)
		return -EBADF;
	return err(fallocate(m->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, (off_t)m->len));
}

static int run_writeback(struct memory *m, size_t *offset)
{
	if (memory_vma_kind(m->kind) != HMM_VMA_FILE && memory_vma_kind(m->kind) != HMM_VMA_DAX)
		return -EINVAL;
	return err(fsync(m->fd) || msync(m->p, m->len, MS_SYNC));
}

static int run_shmdt(struct memory *m, size_t *offset)
{
	int ret = err(shmdt(m->p));

	m->gone = !ret;
	return ret;
}

static int run_remap_file_pages(struct memory *m, size_t *offset)
{
	/* The first page shows the second; they must differ to be told apart. */
	m->p[m->page] = (char)~OLD_BYTE;
	return err(syscall(SYS_remap_file_pages, m->p, m->page, 0UL, m->page / 4096, 0UL));
}

/*
 * The guard goes again, and the page is a new one: while it is there HMM_CHECK_PRESENT would see
 * it.
 */
static int run_guard(struct memory *m, size_t *offset)
{
	int ret = err(madvise(m->p, m->len, ADV_GUARD_INSTALL));

	if (ret == -EINVAL && m->kind != MEMORY_HUGETLB)
		return -ENOSYS; /* before Linux 6.13; shared memory and files before 6.15 */
	if (!ret)
		ret = err(madvise(m->p, m->len, ADV_GUARD_REMOVE));
	if (!ret)
		(void)*(volatile char *)m->p;
	return ret;
}

static int run_reclaim(struct memory *m, size_t *offset)
{
	int ret;

	/* Written pages of files go when they are clean. */
	if (m->fd >= 0)
		fsync(m->fd);
	ret = err(madvise(m->p, m->len, ADV_PAGEOUT));
	if (!ret && memory_present(m, 0))
		return -ENOSYS; /* no swap */
	if (!ret)
		(void)*(volatile char *)m->p;
	return ret;
}

static int run_collapse(struct memory *m, size_t *offset)
{
	int ret = err(madvise(m->p, m->len, ADV_COLLAPSE));

	return ret == -EINVAL || ret == -EAGAIN ? -ENOSYS : ret;
}

static int run_shm_remap(struct memory *m, size_t *offset)
{
	int id = shmget(IPC_PRIVATE, m->len, IPC_CREAT | 0600), ret;

	if (id < 0)
		return -errno;
	ret = shmat(id, m->p, SHM_REMAP) == m->p ? 0 : -errno;
	shmctl(id, IPC_RMID, NULL);
	return ret;
}

/* What the cell before has freed comes back to the few huge pages that there are in a moment. */
static int map_private(struct memory *m)
{
	for (int n = 0;; n++, usleep(10000))
		if (mmap(m->p, m->page, RW, MAP_PRIVATE | MAP_FIXED, m->fd, 0) == m->p)
			return 0;
		else if (errno != ENOMEM || n == 200)
			return -errno;
}

/* A page that a child shares, the zero page, or a file's page in a private mapping. */
static int prepare_first_write(struct memory *m)
{
	if (m->kind == MEMORY_ANON) {
		m->child = fork();
		if (m->child)
			return m->child < 0 ? -errno : 0;
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (;;)
			pause();
	}
	if (m->fd < 0)
		return err(madvise(m->p, m->len, MADV_DONTNEED));
	/* One page: of huge ones there are few, and a private mapping sets as many aside again. */
	return map_private(m);
}

static int run_first_write(struct memory *m, size_t *offset)
{
	if (m->kind == MEMORY_SYSV)
		return -EINVAL;
	*(volatile char *)m->p = NEW_BYTE;
	return 0;
}

/* Small pages, as there is nothing to collapse where they are huge already. */
static int prepare_collapse(struct memory *m)
{
	if (madvise(m->p, m->len, MADV_NOHUGEPAGE) || madvise(m->p, m->len, MADV_DONTNEED))
		return -errno;
	memset(m->p, OLD_BYTE, m->len);
	return err(madvise(m->p, m->len, MADV_HUGEPAGE));
}

const struct operation operations[HMM_OP_NR] = {
	[HMM_OP_MUNMAP] = { NULL, run_munmap, true, -1, MEMORY_NR },
	[HMM_OP_MAP_FIXED] = { NULL, run_map_fixed, true, -1, MEMORY_NR },
	[HMM_OP_BRK_SHRINK] = { NULL, run_brk, true, -1, MEMORY_BRK },
	[HMM_OP_MREMAP_MOVE] = { NULL, run_move, true, -1, MEMORY_NR },
	[HMM_OP_MREMAP_SHRINK] = { NULL, run_shrink, true, -1, MEMORY_NR },
	[HMM_OP_MREMAP_DONTUNMAP] = { NULL, run_dontunmap, true, -1, MEMORY_NR },
	[HMM_OP_MADV_DONTNEED] = { NULL, run_dontneed, false, HMM_NOTE_DISCARD, MEMORY_NR },
	[HMM_OP_MADV_FREE] = { NULL, run_free, false, HMM_NOTE_DISCARD, MEMORY_NR },
	[HMM_OP_MADV_REMOVE] = { NULL, run_remove, true, HMM_NOTE_DISCARD, MEMORY_NR },
	[HMM_OP_FORK] = { NULL, run_fork, false, -1, MEMORY_NR },
	[HMM_OP_FORK_RAW] = { NULL, run_clone, false, HMM_NOTE_PROTECT, MEMORY_NR },
	[HMM_OP_MPROTECT] = { NULL, run_mprotect, false, HMM_NOTE_PROTECT, MEMORY_NR },
	[HMM_OP_TRUNCATE] = { NULL, run_truncate, true, -1, MEMORY_NR },
	[HMM_OP_PUNCH_HOLE] = { NULL, run_punch, true, -1, MEMORY_NR },
	[HMM_OP_SHMDT] = { NULL, run_shmdt, true, HMM_NOTE_DETACH, MEMORY_NR },
	[HMM_OP_SHM_REMAP] = { NULL, run_shm_remap, true, HMM_NOTE_DETACH, MEMORY_NR },
	[HMM_OP_REMAP_FILE_PAGES] = { NULL, run_remap_file_pages, true, HMM_NOTE_DETACH,
				      MEMORY_NR },
	[HMM_OP_GUARD_INSTALL] = { NULL, run_guard, false, HMM_NOTE_DISCARD, MEMORY_NR },
	[HMM_OP_RECLAIM] = { NULL, run_reclaim, false, HMM_NOTE_DISCARD, MEMORY_NR },
	[HMM_OP_FIRST_WRITE] = { prepare_first_write, run_first_write, true, HMM_NOTE_DISCARD,
				 MEMORY_NR },
	[HMM_OP_WRITEBACK] = { NULL, run_writeback, false, -2, MEMORY_NR },
	[HMM_OP_COLLAPSE] = { prepare_collapse, run_collapse, false, HMM_NOTE_DISCARD, MEMORY_THP },
};
