// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>
#include "memory.h"

#define RW (PROT_READ | PROT_WRITE)
#define SMALL 4096UL
#define HUGE (2UL << 20)
/* Far below where the kernel puts what asks for no address. */
#ifdef __SANITIZE_THREAD__
#define PLACES 0x7ea000000000UL /* nothing else is the program's, says ThreadSanitizer */
#else
#define PLACES 0x180000000000UL
#endif

static const struct {
	const char *name;
	enum hmm_vma_kind vma;
} kinds[MEMORY_NR] = {
	[MEMORY_ANON] = { "anon", HMM_VMA_ANON },
	[MEMORY_THP] = { "thp", HMM_VMA_ANON },
	[MEMORY_BRK] = { "brk", HMM_VMA_ANON },
	[MEMORY_HUGETLB] = { "hugetlb", HMM_VMA_HUGETLB },
	[MEMORY_SHMEM] = { "shmem", HMM_VMA_SHMEM },
	[MEMORY_SYSV] = { "sysv", HMM_VMA_SYSV },
	[MEMORY_FILE] = { "file", HMM_VMA_FILE },
	[MEMORY_DAX] = { "dax", HMM_VMA_DAX },
};

const char *memory_name(enum memory_kind kind)
{
	return kinds[kind].name;
}

enum hmm_vma_kind memory_vma_kind(enum memory_kind kind)
{
	return kinds[kind].vma;
}

/* An aligned piece of address space with room around it, so that the mapping is a VMA of its own.
 */
static char *reserve(size_t len, size_t align)
{
	char *p = mmap(NULL, len + 3 * align, PROT_NONE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (p == MAP_FAILED)
		return NULL;
	p = (char *)(((uintptr_t)p + 2 * align - 1) & ~(align - 1));
	return p;
}

static const char *map_at(struct memory *m, int flags)
{
	/*
	 * Inside one chunk: mremap of a file mapping of which a part is registered fails (rule 8).
	 */
	char *at = reserve(m->len, HUGE);

	if (!at)
		return "no address space";
	m->p = mmap(at, m->len, RW, flags | MAP_FIXED, m->fd, 0);
	if (m->p == MAP_FAILED) {
		m->p = NULL;
		return strerror(errno);
	}
	return NULL;
}

char *memory_place(void)
{
	static _Atomic uintptr_t next = PLACES;

	return (char *)atomic_fetch_add(&next, 16 * HUGE);
}

static const char *map_sysv(struct memory *m)
{
	int id = shmget(IPC_PRIVATE, m->len, IPC_CREAT | 0600);
	void *p;

	if (id < 0)
		return strerror(errno);
	p = shmat(id, memory_place(), 0);
	shmctl(id, IPC_RMID, NULL);
	if (p == (void *)-1)
		return strerror(errno);
	m->p = p;
	return NULL;
}

static const char *map_file(struct memory *m, const char *dir)
{
	m->fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	if (m->fd < 0)
		return "no directory to put a file in";
	if (ftruncate(m->fd, (off_t)m->len))
		return strerror(errno);
	return map_at(m, MAP_SHARED);
}

static const char *map_brk(struct memory *m)
{
	uintptr_t end = (uintptr_t)sbrk(0);

	end = (end + SMALL - 1) & ~(SMALL - 1);
	if (brk((void *)(end + m->len)))
		return strerror(errno);
	m->p = (char *)end;
	return NULL;
}

static const char *map_hugetlb(struct memory *m)
{
	int fd = memfd_create("hugetlb", MFD_CLOEXEC | MFD_HUGETLB);
	const char *why;

	if (fd < 0)
		return "no hugetlbfs";
	m->fd = fd;
	if (ftruncate(fd, (off_t)m->len))
		return strerror(errno);
	why = map_at(m, MAP_SHARED);
	/* Pages that are not there would be a SIGBUS at the first touch. */
	if (why || madvise(m->p, m->len, 23 /* MADV_POPULATE_WRITE */))
		why = "no huge pages are set aside (vm.nr_hugepages)";
	return why;
}

static const char *map_kind(struct memory *m)
{
	const char *dir = getenv("HMM_DAX_DIR");
	const char *why;

	switch (m->kind) {
	case MEMORY_BRK:
		return map_brk(m);
	case MEMORY_THP:
		why = map_at(m, MAP_PRIVATE | MAP_ANONYMOUS);
		if (!why && madvise(m->p, m->len, MADV_HUGEPAGE))
			why = "no transparent huge pages";
		return why;
	case MEMORY_HUGETLB:
		return map_hugetlb(m);
	case MEMORY_SHMEM:
		m->fd = memfd_create("shmem", MFD_CLOEXEC);
		if (m->fd < 0 || ftruncate(m->fd, (off_t)m->len))
			return strerror(errno);
		return map_at(m, MAP_SHARED);
	case MEMORY_SYSV:
		return map_sysv(m);
	case MEMORY_FILE:
		return map_file(m, access("/var/tmp", W_OK) ? "/tmp" : "/var/tmp");
	case MEMORY_DAX:
		return dir ? map_file(m, dir) : "no file on a DAX filesystem (HMM_DAX_DIR)";
	default:
		return map_at(m, MAP_PRIVATE | MAP_ANONYMOUS);
	}
}

const char *memory_map(struct memory *m, enum memory_kind kind)
{
	const char *why;

	*m = (struct memory){ .kind = kind, .fd = -1, .page = SMALL };
	if (kind == MEMORY_HUGETLB)
		m->page = HUGE;
	m->len = kind == MEMORY_HUGETLB || kind == MEMORY_THP ? 2 * HUGE : 4 * SMALL;
	if (kind == MEMORY_THP)
		m->page = HUGE; /* for the alignment */
	why = map_kind(m);
	if (why) {
		memory_unmap(m);
		return why;
	}
	if (kind == MEMORY_THP)
		m->page = SMALL;
	memset(m->p, OLD_BYTE, m->len);
	return NULL;
}

void memory_unmap(struct memory *m)
{
	if (m->child > 0) {
		kill(m->child, SIGKILL);
		waitpid(m->child, NULL, 0);
	}
	m->child = 0;
	if (m->p && !m->gone) {
		if (m->kind == MEMORY_BRK)
			(void)!brk(m->p);
		else
			munmap(m->p, m->len);
	}
	if (m->moved)
		munmap(m->moved, m->len);
	if (m->fd >= 0)
		close(m->fd);
	m->p = m->moved = NULL;
	m->fd = -1;
}

int memory_peek(const struct memory *m, size_t offset)
{
	unsigned char byte;
	struct iovec to = { &byte, 1 }, from = { m->p + offset, 1 };

	return process_vm_readv(getpid(), &to, 1, &from, 1, 0) == 1 ? byte : -errno;
}

bool memory_present(const struct memory *m, size_t offset)
{
	int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	uint64_t word = 0;
	ssize_t n = pread(fd, &word, 8, (off_t)((uintptr_t)(m->p + offset) / SMALL * 8));

	close(fd);
	return n == 8 && word >> 63;
}
