// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * libhmm-preload.so: tells the library of calls that change memory and raise no event. Each wrapper
 * calls the next definition and, if it succeeded, hmm_mm_note(), hmm_mm_note_file() or
 * hmm_mm_note_writeback() for every attached space. The object notes nothing before a library has
 * attached (lib/mm/preload.h), nor in a forked child. errno stays as the call left it.
 *
 * The caller may be an allocator that holds its locks. So nothing here allocates or looks for a
 * symbol: a constructor finds the next definitions once. A call that comes before the constructor
 * is made as a system call.
 */
/* This file defines both names of each call, so the headers may not turn one into the other. */
#undef _FILE_OFFSET_BITS
#include "mm/preload.h"
#include "preload.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/syscall.h>
#include <unistd.h>

#define WIPEONFORK 18 /* MADV_WIPEONFORK */

static struct {
	__typeof__(mprotect) *mprotect;
	__typeof__(pkey_mprotect) *pkey_mprotect;
	__typeof__(madvise) *madvise;
	__typeof__(posix_madvise) *posix_madvise;
	__typeof__(ftruncate) *ftruncate;
	__typeof__(truncate) *truncate;
	__typeof__(fallocate) *fallocate;
	__typeof__(posix_fallocate) *posix_fallocate;
	__typeof__(fsync) *fsync;
	__typeof__(fdatasync) *fdatasync;
	__typeof__(sync_file_range) *sync_file_range;
	__typeof__(syncfs) *syncfs;
	__typeof__(sync) *sync;
	__typeof__(msync) *msync;
	__typeof__(shmdt) *shmdt;
	__typeof__(remap_file_pages) *remap_file_pages;
} next;

#define FIND(name) (next.name = (__typeof__(next.name))dlsym(RTLD_NEXT, #name))

static void __attribute__((constructor)) find_next(void)
{
	FIND(mprotect);
	FIND(pkey_mprotect);
	FIND(madvise);
	FIND(posix_madvise);
	FIND(ftruncate);
	FIND(truncate);
	FIND(fallocate);
	FIND(posix_fallocate);
	FIND(fsync);
	FIND(fdatasync);
	FIND(sync_file_range);
	FIND(syncfs);
	FIND(sync);
	FIND(msync);
	FIND(shmdt);
	FIND(remap_file_pages);
}

/* The next definition, or the system call of that name. */
#define NEXT(name, ...) (next.name ? next.name(__VA_ARGS__) : (int)syscall(SYS_##name, __VA_ARGS__))

/* For functions that return an error and leave errno alone: restores errno. */
static int error_of(long ret, int saved)
{
	const int err = ret ? errno : 0;

	errno = saved;
	return err;
}

static const struct preload_library *_Atomic library;
/*
 * Points to 1 in the process in which the library attached; the kernel wipes it in a forked child,
 * in which nothing that takes a lock may be called.
 */
static _Atomic uint32_t *_Atomic token;

void hmm_preload_join(const struct preload_library *joins)
{
	_Atomic uint32_t *t = atomic_load(&token);

	if (!t) {
		void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
			       0);

		if (p == MAP_FAILED)
			return;
		if (syscall(SYS_madvise, p, 4096, WIPEONFORK)) {
			munmap(p, 4096);
			return;
		}
		t = p;
		atomic_store(&token, t);
	}
	atomic_store(&library, joins);
	atomic_store(t, 1);
}

void hmm_preload_leave(const struct preload_library *leaves)
{
	const struct preload_library *expected = leaves;

	atomic_compare_exchange_strong(&library, &expected, NULL);
}

/* The library to tell, or NULL. */
static const struct preload_library *listener(void)
{
	const struct preload_library *l = atomic_load_explicit(&library, memory_order_acquire);

	return l && atomic_load_explicit(token, memory_order_relaxed) ? l : NULL;
}

bool preload_has_library(void)
{
	return listener();
}

static void tell(enum hmm_note note, const void *addr, size_t len)
{
	const struct preload_library *l = listener();
	uint64_t start = (uint64_t)(uintptr_t)addr & ~4095ULL;
	uint64_t end = ((uint64_t)(uintptr_t)addr + len + 4095) & ~4095ULL;
	int saved = errno;

	if (l && end > start)
		l->note(NULL, note, start, end);
	errno = saved;
}

static void tell_file(int fd)
{
	const struct preload_library *l = listener();
	int saved = errno;

	if (l)
		l->note_file(NULL, fd);
	errno = saved;
}

static void tell_writeback(int fd)
{
	const struct preload_library *l = listener();
	int saved = errno;

	if (l)
		l->note_writeback(NULL, fd);
	errno = saved;
}

/* Uses no point of cancellation, as truncate() is none. */
static void tell_path(const char *path)
{
	int saved = errno;
	int fd;

	if (!listener())
		return;
	fd = (int)syscall(SYS_openat, AT_FDCWD, path, O_PATH | O_CLOEXEC);
	if (fd >= 0) {
		tell_file(fd);
		syscall(SYS_close, fd);
	}
	errno = saved;
}

int mprotect(void *addr, size_t len, int prot)
{
	int ret = NEXT(mprotect, addr, len, prot);

	if (!ret)
		tell(HMM_NOTE_PROTECT, addr, len);
	return ret;
}

int pkey_mprotect(void *addr, size_t len, int prot, int pkey)
{
	int ret = NEXT(pkey_mprotect, addr, len, prot, pkey);

	if (!ret)
		tell(HMM_NOTE_PROTECT, addr, len);
	return ret;
}

static void tell_advice(const void *addr, size_t len, int advice)
{
	switch (advice) {
	case MADV_DONTNEED:
	case MADV_FREE:
	case MADV_REMOVE:
	case 24:  /* MADV_DONTNEED_LOCKED */
	case 25:  /* MADV_COLLAPSE */
	case 102: /* MADV_GUARD_INSTALL */
		tell(HMM_NOTE_OWN_DISCARD, addr, len);
		break;
	}
}

int madvise(void *addr, size_t len, int advice)
{
	int ret = NEXT(madvise, addr, len, advice);

	if (!ret)
		tell_advice(addr, len, advice);
	return ret;
}

int posix_madvise(void *addr, size_t len, int advice)
{
	int saved = errno;
	int ret;

	if (next.posix_madvise)
		ret = next.posix_madvise(addr, len, advice);
	/* libc does nothing either, as the program may still need the content */
	else if (advice == POSIX_MADV_DONTNEED)
		ret = 0;
	else
		ret = error_of(syscall(SYS_madvise, addr, len, advice), saved);
	if (!ret)
		tell_advice(addr, len, advice);
	return ret;
}

int ftruncate(int fd, off_t length)
{
	int ret = NEXT(ftruncate, fd, length);

	if (!ret)
		tell_file(fd);
	return ret;
}

int truncate(const char *path, off_t length)
{
	int ret = NEXT(truncate, path, length);

	if (!ret)
		tell_path(path);
	return ret;
}

int fallocate(int fd, int mode, off_t offset, off_t len)
{
	int ret = NEXT(fallocate, fd, mode, offset, len);

	if (!ret)
		tell_file(fd);
	return ret;
}

int posix_fallocate(int fd, off_t offset, off_t len)
{
	int saved = errno;
	int ret = next.posix_fallocate
			  ? next.posix_fallocate(fd, offset, len)
			  : error_of(syscall(SYS_fallocate, fd, 0, offset, len), saved);

	if (!ret)
		tell_file(fd);
	return ret;
}

int fsync(int fd)
{
	int ret = NEXT(fsync, fd);

	if (!ret)
		tell_writeback(fd);
	return ret;
}

int fdatasync(int fd)
{
	int ret = NEXT(fdatasync, fd);

	if (!ret)
		tell_writeback(fd);
	return ret;
}

int sync_file_range(int fd, off64_t offset, off64_t len, unsigned int flags)
{
	int ret = NEXT(sync_file_range, fd, offset, len, flags);

	if (!ret && flags & SYNC_FILE_RANGE_WRITE)
		tell_writeback(fd);
	return ret;
}

int syncfs(int fd)
{
	int ret = NEXT(syncfs, fd);

	if (!ret)
		tell_writeback(-1);
	return ret;
}

void sync(void)
{
	if (next.sync)
		next.sync();
	else
		syscall(SYS_sync);
	tell_writeback(-1);
}

int msync(void *addr, size_t len, int flags)
{
	int ret = NEXT(msync, addr, len, flags);

	if (!ret && flags & MS_SYNC)
		tell(HMM_NOTE_PROTECT, addr, len);
	return ret;
}

/* The names of the same calls for large files. */
int ftruncate64(int fd, off64_t length) __attribute__((alias("ftruncate")));
int truncate64(const char *path, off64_t length) __attribute__((alias("truncate")));
int fallocate64(int fd, int mode, off64_t offset, off64_t len) __attribute__((alias("fallocate")));
int posix_fallocate64(int fd, off64_t offset, off64_t len)
	__attribute__((alias("posix_fallocate")));

/* Reads the range that a line of /proc/self/maps begins with, character by character. */
struct line {
	uint64_t at[2]; /* start, end */
	/* which of the two is being read; 2: the rest of the line, which is skipped */
	int field;
};

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* True: both are complete with this character. */
static bool read_char(struct line *l, char c)
{
	if (c == '\n') {
		*l = (struct line){ .field = 0 };
		return false;
	}
	if (l->field > 1)
		return false;
	if (hex_digit(c) >= 0)
		l->at[l->field] = l->at[l->field] << 4 | (uint64_t)hex_digit(c);
	else
		l->field++;
	return l->field == 2;
}

/*
 * How many bytes the mapping at addr has; 0 if none begins there. Called before shmdt(), as nothing
 * tells afterwards how much it detached.
 */
static size_t mapping_size(const void *addr)
{
	int fd = (int)syscall(SYS_openat, AT_FDCWD, "/proc/self/maps", O_RDONLY | O_CLOEXEC);
	struct line l = { .field = 0 };
	size_t bytes = 0;
	char buf[1024];
	long n;

	if (fd < 0)
		return 0;
	while (!bytes && (n = syscall(SYS_read, fd, buf, sizeof(buf))) > 0)
		for (long i = 0; i < n && !bytes; i++)
			if (read_char(&l, buf[i]) && l.at[0] == (uint64_t)(uintptr_t)addr)
				bytes = l.at[1] - l.at[0];
	syscall(SYS_close, fd);
	return bytes;
}

int shmdt(const void *addr)
{
	int saved = errno;
	size_t bytes = listener() ? mapping_size(addr) : 0;
	int ret;

	errno = saved;
	ret = NEXT(shmdt, addr);
	if (!ret && bytes)
		tell(HMM_NOTE_DETACH, addr, bytes);
	return ret;
}

int remap_file_pages(void *addr, size_t size, int prot, size_t pgoff, int flags)
{
	int ret = NEXT(remap_file_pages, addr, size, prot, pgoff, flags);

	if (!ret)
		tell(HMM_NOTE_DETACH, addr, size);
	return ret;
}
