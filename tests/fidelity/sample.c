// SPDX-License-Identifier: GPL-2.0
/*
 * sample: mappings of every kind that the kernel's hmm_range_fault() knows, and what can have
 * happened to them.
 */
#include "sample.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define PMD (2ul << 20)
#define SMALL (16 * 4096ul)

const char *dax_dir, *cached_dir;
const char *why_not;

/* Aligned room, so that what can be huge is. */
static char *room(struct sample *s, size_t len)
{
	s->reserved = len + 2 * PMD;
	s->room = mmap(NULL, s->reserved, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
		       -1, 0);
	s->len = len;
	return s->room == MAP_FAILED ? NULL
				     : (char *)(((unsigned long)s->room + PMD - 1) & ~(PMD - 1));
}

static int map_at(struct sample *s, size_t len, int flags, int fd)
{
	char *at = room(s, len);

	if (!at)
		return -ENOMEM;
	s->fd = fd;
	s->map = mmap(at, len, PROT_READ | PROT_WRITE, flags | MAP_FIXED, fd, 0);
	return s->map == MAP_FAILED ? -errno : 0;
}

static int make_anon(struct sample *s)
{
	int ret = map_at(s, SMALL, MAP_PRIVATE | MAP_ANONYMOUS, -1);

	return ret ? ret : madvise(s->map, s->len, MADV_NOHUGEPAGE) ? -errno : 0;
}

static int make_thp(struct sample *s)
{
	int ret = map_at(s, 2 * PMD, MAP_PRIVATE | MAP_ANONYMOUS, -1);

	return ret ? ret : madvise(s->map, s->len, MADV_HUGEPAGE) ? -errno : 0;
}

static int make_hugetlb(struct sample *s, int flags)
{
	int ret = map_at(s, 2 * PMD, flags | MAP_ANONYMOUS | MAP_HUGETLB, -1);

	if (ret) {
		why_not = "no huge pages reserved";
		ret = -ENOENT;
	}
	return ret;
}

static int make_hugetlb_private(struct sample *s)
{
	return make_hugetlb(s, MAP_PRIVATE);
}

static int make_hugetlb_shared(struct sample *s)
{
	return make_hugetlb(s, MAP_SHARED);
}

static int make_memfd(struct sample *s, int flags)
{
	int fd = memfd_create("fidelity", MFD_CLOEXEC);

	if (fd < 0 || ftruncate(fd, SMALL))
		return -errno;
	return map_at(s, SMALL, flags, fd);
}

static int make_shmem(struct sample *s)
{
	return make_memfd(s, MAP_SHARED);
}

static int make_shmem_private(struct sample *s)
{
	return make_memfd(s, MAP_PRIVATE);
}

/* A file with contents, in the page cache where there is one, and nothing dirty. */
static int make_file(struct sample *s, const char *dir, size_t len, int flags)
{
	char path[300], buf[4096];
	size_t at;
	int fd;

	if (!dir) {
		why_not = "no folder for it was named";
		return -ENOENT;
	}
	snprintf(path, sizeof(path), "%s/fidelity.%d", dir, getpid());
	fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	unlink(path);
	if (fallocate(fd, 0, 0, len))
		return -errno;
	memset(buf, 0x5a, sizeof(buf));
	for (at = 0; at < len; at += sizeof(buf))
		if (pwrite(fd, buf, sizeof(buf), at) != sizeof(buf))
			return -errno;
	if (fsync(fd))
		return -errno;
	return map_at(s, len, flags, fd);
}

static int make_file_shared(struct sample *s)
{
	return make_file(s, cached_dir, SMALL, MAP_SHARED);
}

static int make_file_private(struct sample *s)
{
	return make_file(s, cached_dir, SMALL, MAP_PRIVATE);
}

static int make_dax(struct sample *s)
{
	return make_file(s, dax_dir, 2 * PMD, MAP_SHARED);
}

static int make_dax_private(struct sample *s)
{
	return make_file(s, dax_dir, 2 * PMD, MAP_PRIVATE);
}

static int make_stack(struct sample *s)
{
	int ret = map_at(s, SMALL, MAP_PRIVATE | MAP_ANONYMOUS | MAP_GROWSDOWN | MAP_STACK, -1);

	return ret ? ret : madvise(s->map, s->len, MADV_NOHUGEPAGE) ? -errno : 0;
}

/* vvar is VM_IO and VM_PFNMAP; it belongs to the process, so nothing is unmapped. */
static int make_vvar(struct sample *s)
{
	unsigned long start, end;
	FILE *f = fopen("/proc/self/maps", "re");
	char line[300];
	int ret = -ENOENT;

	while (f && fgets(line, sizeof(line), f)) {
		if (!strstr(line, "[vvar]") || sscanf(line, "%lx-%lx", &start, &end) != 2)
			continue;
		s->map = (char *)start;
		s->len = 4096;
		ret = 0;
	}
	if (f)
		fclose(f);
	why_not = "there is no vvar";
	return ret;
}

const struct kind kinds[] = {
	{ "anonymous", make_anon },
	{ "THP", make_thp },
	{ "stack", make_stack },
	{ "hugetlb, private", make_hugetlb_private },
	{ "hugetlb, shared", make_hugetlb_shared },
	{ "shared memory", make_shmem },
	{ "shared memory, private", make_shmem_private },
	{ "file", make_file_shared },
	{ "file, private", make_file_private },
	{ "DAX file", make_dax },
	{ "DAX file, private", make_dax_private },
	{ "vvar", make_vvar },
	{ NULL, NULL },
};

static bool ours(const struct sample *s)
{
	return s->room;
}

static int enter_untouched(struct sample *s)
{
	return 0;
}

static int enter_read(struct sample *s)
{
	size_t at;

	for (at = 0; ours(s) && at < s->len; at += 4096)
		(void)*(volatile char *)(s->map + at);
	return ours(s) ? 0 : -ENOENT;
}

static int enter_written(struct sample *s)
{
	size_t at;

	for (at = 0; ours(s) && at < s->len; at += 4096)
		*(volatile char *)(s->map + at) = 1;
	return ours(s) ? 0 : -ENOENT;
}

static int enter_half(struct sample *s)
{
	size_t at;

	for (at = 0; ours(s) && at < s->len / 2; at += 4096)
		*(volatile char *)(s->map + at) = 1;
	return ours(s) ? 0 : -ENOENT;
}

static int enter_read_then_written(struct sample *s)
{
	return enter_read(s) ? -ENOENT : enter_half(s);
}

static int enter_read_only(struct sample *s)
{
	return enter_written(s) ? -ENOENT : mprotect(s->map, s->len, PROT_READ) ? -errno : 0;
}

static int enter_read_only_untouched(struct sample *s)
{
	return !ours(s) ? -ENOENT : mprotect(s->map, s->len, PROT_READ) ? -errno : 0;
}

static int enter_no_access(struct sample *s)
{
	return enter_written(s) ? -ENOENT : mprotect(s->map, s->len, PROT_NONE) ? -errno : 0;
}

static int enter_discarded(struct sample *s)
{
	return enter_written(s) ? -ENOENT : madvise(s->map, s->len, MADV_DONTNEED) ? -errno : 0;
}

static int enter_paged_out(struct sample *s)
{
	if (enter_written(s))
		return -ENOENT;
	if (s->fd >= 0 && fsync(s->fd) && errno != EINVAL)
		return -errno;
	return madvise(s->map, s->len, MADV_PAGEOUT) && errno != EINVAL ? -errno : 0;
}

static int enter_unmapped(struct sample *s)
{
	return enter_written(s) ? -ENOENT : munmap(s->map, s->len) ? -errno : 0;
}

static int enter_truncated(struct sample *s)
{
	return s->fd < 0 || enter_written(s) ? -ENOENT : ftruncate(s->fd, s->len / 2) ? -errno : 0;
}

static int enter_forked(struct sample *s)
{
	if (enter_written(s))
		return -ENOENT;
	s->child = fork();
	if (!s->child) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (;;)
			pause();
	}
	return s->child < 0 ? -errno : 0;
}

static int enter_child_gone(struct sample *s)
{
	int ret = enter_forked(s);

	if (ret)
		return ret;
	kill(s->child, SIGKILL);
	waitpid(s->child, NULL, 0);
	s->child = 0;
	return 0;
}

static int enter_locked(struct sample *s)
{
	return !ours(s) ? -ENOENT : mlock(s->map, s->len) ? -errno : 0;
}

const struct state states[] = {
	{ "untouched", enter_untouched },
	{ "read", enter_read },
	{ "written", enter_written },
	{ "first half written", enter_half },
	{ "read, then first half written", enter_read_then_written },
	{ "read-only, untouched", enter_read_only_untouched },
	{ "written, then read-only", enter_read_only },
	{ "written, then PROT_NONE", enter_no_access },
	{ "written, then MADV_DONTNEED", enter_discarded },
	{ "written, then MADV_PAGEOUT", enter_paged_out },
	{ "written, then unmapped", enter_unmapped },
	{ "written, then file halved", enter_truncated },
	{ "written, then forked", enter_forked },
	{ "written, forked, child gone", enter_child_gone },
	{ "mlocked", enter_locked },
	{ NULL, NULL },
};

void sample_destroy(struct sample *s)
{
	if (s->child > 0) {
		kill(s->child, SIGKILL);
		waitpid(s->child, NULL, 0);
	}
	if (s->room)
		munmap(s->room, s->reserved);
	if (s->fd >= 0)
		close(s->fd);
}
