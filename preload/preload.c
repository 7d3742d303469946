/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * libhmm-preload.so: tells the library of the process what libc's callers do that no event shows. Each
 * wrapper calls the next definition and, if it worked, hmm_mm_note() or hmm_mm_note_file() for every attached
 * space. Does nothing where libhmm is not loaded. errno is what the call made it.
 */
/* Both names of each call are defined here: neither may stand for the other. */
#undef _FILE_OFFSET_BITS
#include <hmm/mm.h>

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <unistd.h>

extern int hmm_mm_note(struct hmm_mm *, enum hmm_note, uint64_t, uint64_t) __attribute__((weak));
extern int hmm_mm_note_file(struct hmm_mm *, int) __attribute__((weak));
extern int hmm_mm_note_writeback(struct hmm_mm *, int) __attribute__((weak));

/* The weak references may be unresolved when libhmm is loaded later by dlopen(). */
static __typeof__(hmm_mm_note) *find_note(void)
{
	return hmm_mm_note ? hmm_mm_note
			   : (__typeof__(hmm_mm_note) *)dlsym(RTLD_DEFAULT, "hmm_mm_note");
}

static __typeof__(hmm_mm_note_file) *find_note_file(void)
{
	return hmm_mm_note_file
		       ? hmm_mm_note_file
		       : (__typeof__(hmm_mm_note_file) *)dlsym(RTLD_DEFAULT, "hmm_mm_note_file");
}

static void tell(enum hmm_note note, const void *addr, size_t len)
{
	__typeof__(hmm_mm_note) *fn = find_note();
	uint64_t start = (uint64_t)(uintptr_t)addr & ~4095ULL;
	uint64_t end = ((uint64_t)(uintptr_t)addr + len + 4095) & ~4095ULL;
	int saved = errno;

	if (fn && end > start)
		fn(NULL, note, start, end);
	errno = saved;
}

static void tell_file(int fd)
{
	__typeof__(hmm_mm_note_file) *fn = find_note_file();
	int saved = errno;

	if (fn)
		fn(NULL, fd);
	errno = saved;
}

static void tell_writeback(int fd)
{
	__typeof__(hmm_mm_note_writeback) *fn =
		hmm_mm_note_writeback ? hmm_mm_note_writeback
				      : (__typeof__(hmm_mm_note_writeback) *)dlsym(
						RTLD_DEFAULT, "hmm_mm_note_writeback");
	int saved = errno;

	if (fn)
		fn(NULL, fd);
	errno = saved;
}

static void tell_path(const char *path)
{
	int saved = errno;
	int fd = open(path, O_PATH | O_CLOEXEC);

	if (fd >= 0) {
		tell_file(fd);
		close(fd);
	}
	errno = saved;
}

#define NEXT(name)                                                                                 \
	static __typeof__(name) *next;                                                             \
	if (!next)                                                                                 \
	next = (__typeof__(name) *)dlsym(RTLD_NEXT, #name)

int mprotect(void *addr, size_t len, int prot)
{
	int rc;
	NEXT(mprotect);

	rc = next(addr, len, prot);
	if (!rc)
		tell(HMM_NOTE_PROTECT, addr, len);
	return rc;
}

int pkey_mprotect(void *addr, size_t len, int prot, int pkey)
{
	int rc;
	NEXT(pkey_mprotect);

	rc = next(addr, len, prot, pkey);
	if (!rc)
		tell(HMM_NOTE_PROTECT, addr, len);
	return rc;
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
	int rc;
	NEXT(madvise);

	rc = next(addr, len, advice);
	if (!rc)
		tell_advice(addr, len, advice);
	return rc;
}

int posix_madvise(void *addr, size_t len, int advice)
{
	int rc;
	NEXT(posix_madvise);

	rc = next(addr, len, advice);
	if (!rc)
		tell_advice(addr, len, advice);
	return rc;
}

int ftruncate(int fd, off_t length)
{
	int rc;
	NEXT(ftruncate);

	rc = next(fd, length);
	if (!rc)
		tell_file(fd);
	return rc;
}

int truncate(const char *path, off_t length)
{
	int rc;
	NEXT(truncate);

	rc = next(path, length);
	if (!rc)
		tell_path(path);
	return rc;
}

int fallocate(int fd, int mode, off_t offset, off_t len)
{
	int rc;
	NEXT(fallocate);

	rc = next(fd, mode, offset, len);
	if (!rc)
		tell_file(fd);
	return rc;
}

int posix_fallocate(int fd, off_t offset, off_t len)
{
	int rc;
	NEXT(posix_fallocate);

	rc = next(fd, offset, len);
	if (!rc)
		tell_file(fd);
	return rc;
}

int fsync(int fd)
{
	int rc;
	NEXT(fsync);

	rc = next(fd);
	if (!rc)
		tell_writeback(fd);
	return rc;
}

int fdatasync(int fd)
{
	int rc;
	NEXT(fdatasync);

	rc = next(fd);
	if (!rc)
		tell_writeback(fd);
	return rc;
}

int sync_file_range(int fd, off64_t offset, off64_t len, unsigned int flags)
{
	int rc;
	NEXT(sync_file_range);

	rc = next(fd, offset, len, flags);
	if (!rc && flags & SYNC_FILE_RANGE_WRITE)
		tell_writeback(fd);
	return rc;
}

int syncfs(int fd)
{
	int rc;
	NEXT(syncfs);

	rc = next(fd);
	if (!rc)
		tell_writeback(-1);
	return rc;
}

void sync(void)
{
	NEXT(sync);

	next();
	tell_writeback(-1);
}

int msync(void *addr, size_t len, int flags)
{
	int rc;
	NEXT(msync);

	rc = next(addr, len, flags);
	if (!rc && flags & MS_SYNC)
		tell(HMM_NOTE_PROTECT, addr, len);
	return rc;
}

/* Large-file names of the same calls. */
int ftruncate64(int fd, off64_t length) __attribute__((alias("ftruncate")));
int truncate64(const char *path, off64_t length) __attribute__((alias("truncate")));
int fallocate64(int fd, int mode, off64_t offset, off64_t len) __attribute__((alias("fallocate")));
int posix_fallocate64(int fd, off64_t offset, off64_t len)
	__attribute__((alias("posix_fallocate")));

/* Bytes of the mapping that begins at addr; 0 if none does. How much shmdt() takes is known only before. */
static size_t mapping_size(const void *addr)
{
	char line[4096];
	size_t bytes = 0;
	FILE *f = fopen("/proc/self/maps", "re");

	if (!f)
		return 0;
	while (!bytes && fgets(line, sizeof(line), f)) {
		char *rest;
		unsigned long start = strtoul(line, &rest, 16);

		if (start == (unsigned long)addr && *rest == '-')
			bytes = strtoul(rest + 1, NULL, 16) - start;
	}
	fclose(f);
	return bytes;
}

int shmdt(const void *addr)
{
	size_t bytes = find_note() ? mapping_size(addr) : 0;
	int rc;
	NEXT(shmdt);

	rc = next(addr);
	if (!rc && bytes)
		tell(HMM_NOTE_DETACH, addr, bytes);
	return rc;
}

int remap_file_pages(void *addr, size_t size, int prot, size_t pgoff, int flags)
{
	int rc;
	NEXT(remap_file_pages);

	rc = next(addr, size, prot, pgoff, flags);
	if (!rc)
		tell(HMM_NOTE_DETACH, addr, size);
	return rc;
}
