// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * libhmm-dmirror.so: /dev/hmm_dmirror0 to 3, the kernel's test device for HMM, on libhmm. Loaded
 * by LD_PRELOAD it translates what a program does with these files; all other calls go to the next
 * definition. Duplicates of a descriptor and inherited ones need no translation (opening.h).
 */
/* This file defines both names of each call, so the headers may not turn one into the other. */
#undef _FILE_OFFSET_BITS
#undef _FORTIFY_SOURCE
#include "opening.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

static struct {
	__typeof__(openat) *openat;
	__typeof__(close) *close;
	__typeof__(ioctl) *ioctl;
	__typeof__(mmap) *mmap;
} next;

#define FIND(name) (next.name = (__typeof__(next.name))dlsym(RTLD_NEXT, #name))

static void __attribute__((constructor)) begin(void)
{
	FIND(openat);
	FIND(close);
	FIND(ioctl);
	FIND(mmap);
	openings_init();
}

int next_close(int fd)
{
	return next.close ? next.close(fd) : (int)syscall(SYS_close, fd);
}

/* 0 with errno as it was, or -1 with errno. */
static int result(int ret, int saved)
{
	errno = ret < 0 ? -ret : saved;
	return ret < 0 ? -1 : ret;
}

/* The number of the device that a path names, or -1. */
static int device_of(const char *path)
{
	static const char name[] = "/dev/hmm_dmirror";
	const size_t len = sizeof(name) - 1;

	if (!path || strncmp(path, name, len))
		return -1;
	return path[len] >= '0' && path[len] < '0' + DEVICES && !path[len + 1] ? path[len] - '0'
									       : -1;
}

static int open_any(int dirfd, const char *path, int flags, mode_t mode)
{
	const int device = device_of(path);
	const int saved = errno;
	int cancel;
	int ret;

	if (device < 0)
		return next.openat ? next.openat(dirfd, path, flags, mode)
				   : (int)syscall(SYS_openat, dirfd, path, flags, mode);
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel);
	openings_collect();
	ret = opening_open((unsigned int)device, flags);
	pthread_setcancelstate(cancel, NULL);
	return result(ret, saved);
}

static mode_t mode_of(int flags, va_list ap)
{
	return flags & O_CREAT || (flags & O_TMPFILE) == O_TMPFILE ? va_arg(ap, mode_t) : 0;
}

int open(const char *path, int flags, ...)
{
	va_list ap;
	mode_t mode;

	va_start(ap, flags);
	mode = mode_of(flags, ap);
	va_end(ap);
	return open_any(AT_FDCWD, path, flags, mode);
}

int openat(int dirfd, const char *path, int flags, ...)
{
	va_list ap;
	mode_t mode;

	va_start(ap, flags);
	mode = mode_of(flags, ap);
	va_end(ap);
	return open_any(dirfd, path, flags, mode);
}

/* The names that <fcntl.h> turns them into: for large files, and with _FORTIFY_SOURCE. */
int open64(const char *path, int flags, ...) __attribute__((alias("open")));
int openat64(int dirfd, const char *path, int flags, ...) __attribute__((alias("openat")));

int __open_2(const char *path, int flags)
{
	return open_any(AT_FDCWD, path, flags, 0);
}

int __openat_2(int dirfd, const char *path, int flags)
{
	return open_any(dirfd, path, flags, 0);
}

int __open64_2(const char *path, int flags) __attribute__((alias("__open_2")));
int __openat64_2(int dirfd, const char *path, int flags) __attribute__((alias("__openat_2")));

int close(int fd)
{
	const int saved = errno;
	struct mirror *m = opening_get(fd);
	int cancel;
	int ret;

	if (!m) {
		errno = saved;
		return next_close(fd);
	}
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel);
	ret = next_close(fd) ? -errno : 0;
	opening_put(m);
	openings_collect();
	pthread_setcancelstate(cancel, NULL);
	return result(ret, saved);
}

/* The range is checked in front of everything, also for commands that do not use it. */
static int check(const struct mirror *m, const struct dmirror_command *cmd)
{
	const uint64_t len = cmd->npages * m->page_size;

	return cmd->addr % m->page_size || cmd->addr + len <= cmd->addr ? -EINVAL : 0;
}

/* What the command says is written back on success only. */
static int command(struct mirror *m, unsigned long request, void *arg)
{
	struct dmirror_command cmd;
	int err = hmm_copy_from_nofault(&cmd, arg, sizeof(cmd), NULL);

	if (!err)
		err = check(m, &cmd);
	cmd.cpages = cmd.faults = 0;
	if (!err)
		err = mirror_command(m, request, &cmd);
	return err ? err : hmm_copy_to_nofault(arg, &cmd, sizeof(cmd), NULL);
}

int ioctl(int fd, unsigned long request, ...)
{
	const int saved = errno;
	struct mirror *m = NULL;
	int cancel;
	va_list ap;
	void *arg;
	int ret;

	va_start(ap, request);
	arg = va_arg(ap, void *);
	va_end(ap);
	if (_IOC_TYPE(request) == 'H')
		m = opening_get(fd);
	if (!m) {
		errno = saved;
		return next.ioctl ? next.ioctl(fd, request, arg)
				  : (int)syscall(SYS_ioctl, fd, request, arg);
	}
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel);
	ret = command(m, request, arg);
	opening_put(m);
	pthread_setcancelstate(cancel, NULL);
	return result(ret, saved);
}

static void *next_mmap(void *addr, size_t len, int prot, int flags, int fd, off64_t offset)
{
	if (next.mmap)
		return next.mmap(addr, len, prot, flags, fd, offset);
	return (void *)syscall(SYS_mmap, addr, len, prot, flags, fd, offset);
}

/* Zeroed pages that are there at once, as the kernel's device maps its own. */
static void *map_device(void *addr, size_t len, int prot, int flags)
{
	const int fd = memfd_create("hmm_dmirror", MFD_CLOEXEC);
	void *p = MAP_FAILED;
	int err;

	if (fd < 0)
		return p;
	if (!ftruncate(fd, (off_t)len))
		p = next_mmap(addr, len, prot, flags, fd, 0);
	err = errno;
	/* Where the kernel cannot do that they come when they are touched. */
	if (p != MAP_FAILED && prot & PROT_READ)
		madvise(p, len, MADV_POPULATE_READ);
	next_close(fd);
	errno = err;
	return p;
}

void *mmap(void *addr, size_t len, int prot, int flags, int fd, off_t offset)
{
	const int saved = errno;
	struct mirror *m = flags & MAP_ANONYMOUS ? NULL : opening_get(fd);
	void *p;

	if (!m) {
		errno = saved;
		return next_mmap(addr, len, prot, flags, fd, offset);
	}
	opening_put(m);
	p = map_device(addr, len, prot, flags);
	if (p != MAP_FAILED)
		errno = saved;
	return p;
}

void *mmap64(void *addr, size_t len, int prot, int flags, int fd, off64_t offset)
	__attribute__((alias("mmap")));
