// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * A loader without BPF, for hosts that allow no tracing programs: logs and pages are memfds, in
 * which nothing is written. A file, WATCHD_FAKE in the environment, tells what it should do and
 * what was done (struct fake in fake_loader.h).
 */
#include "watchd/loader.h"
#include "watchd/fake_loader.h"
#include "kernel/abi/watch.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#define SPACES 4096

struct watch_loader {
	struct fake *fake;
	int global;
	pid_t pid[SPACES]; /* 0: free */
	struct watch_space *page[SPACES];
};

static struct watch_loader only;
static struct fake nothing;

static struct watch_site sites[] = {
	{ "unmap_vmas", WATCH_UNMAP, true, 0 },
	{ "change_protection", WATCH_PROTECT, true, 0 },
	{ "no_such_function", WATCH_CLEAR, false, -ENOENT },
};

static struct fake *control(void)
{
	const char *path = getenv("WATCHD_FAKE");
	const int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
	void *page =
		fd < 0 ? MAP_FAILED
		       : mmap(NULL, sizeof(struct fake), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (fd >= 0)
		close(fd);
	return page == MAP_FAILED ? &nothing : page;
}

/* A memfd of that size. *page, if not NULL: its beginning, for writing. */
static int make(const char *name, size_t bytes, int seals, void **page)
{
	const int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd < 0)
		return -errno;
	if (ftruncate(fd, (off_t)bytes))
		goto fail;
	if (page) {
		*page = mmap(NULL, WATCH_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		if (*page == MAP_FAILED)
			goto fail;
	}
	if (!fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | seals))
		return fd;
fail:
	close(fd);
	return -EMFILE;
}

int watch_load(unsigned int flags, struct watch_loader **loader)
{
	const char *path = getenv("WATCHD_FAKE_GLOBAL");

	only.fake = control();
	if (only.fake->load_error)
		return only.fake->load_error;
	if (path)
		only.global = open(path, O_RDONLY | O_CLOEXEC);
	else
		only.global = make("global", WATCH_PAGE,
				   only.fake->global_writable ? 0 : F_SEAL_FUTURE_WRITE, NULL);
	*loader = &only;
	return only.global < 0 ? -EMFILE : 0;
}

void watch_unload(struct watch_loader *loader)
{
	for (uint32_t i = 0; i < SPACES; i++) {
		if (loader->pid[i])
			watch_close(loader, i);
	}
	close(loader->global);
	loader->fake->unloads++;
}

size_t watch_sites(const struct watch_loader *loader, const struct watch_site **table)
{
	sites[0].attached = !loader->fake->fewer;
	*table = sites;
	return sizeof(sites) / sizeof(sites[0]);
}

static int make_links(void)
{
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair))
		return -errno;
	close(pair[1]);
	return pair[0];
}

static int lives(pid_t pid)
{
	const int fd = (int)syscall(SYS_pidfd_open, pid, 0);

	if (fd < 0)
		return -errno;
	close(fd);
	return 0;
}

static int fill(struct watch_loader *loader, size_t log_bytes, struct watch_fds *fds, void **page)
{
	fds->log = make("log", 2 * (size_t)getpagesize() + 2 * log_bytes, 0, NULL);
	fds->space = make("space", WATCH_PAGE, 0, page);
	fds->global = fcntl(loader->global, F_DUPFD_CLOEXEC, 3);
	fds->links = make_links();
	if (fds->log >= 0 && fds->space >= 0 && fds->global >= 0 && fds->links >= 0)
		return 0;
	close(fds->log);
	close(fds->space);
	close(fds->global);
	close(fds->links);
	*fds = (struct watch_fds){ -1, -1, -1, -1 };
	return -EMFILE;
}

int watch_spare(struct watch_loader *loader, size_t log_bytes)
{
	loader->fake->spares++;
	return 0;
}

int watch_open(struct watch_loader *loader, pid_t pid, size_t log_bytes, unsigned int flags,
	       struct watch_fds *fds, uint32_t *space)
{
	void *page = NULL;
	int err = loader->fake->open_error ? loader->fake->open_error : lives(pid);
	int32_t logs = 0;

	if (err)
		return err;
	for (uint32_t i = 0; i < SPACES; i++)
		logs += loader->pid[i] == pid;
	if (loader->fake->space_logs && logs >= loader->fake->space_logs)
		return -EBUSY;
	for (*space = 0; loader->pid[*space]; ++*space) {
		if (*space == SPACES - 1)
			return -ENOSPC;
	}
	err = fill(loader, log_bytes, fds, &page);
	if (err)
		return err;
	loader->pid[*space] = pid;
	loader->page[*space] = page;
	loader->fake->opens++;
	loader->fake->last_pid = pid;
	loader->fake->last_flags = (int32_t)flags;
	return 0;
}

int watch_is(struct watch_loader *loader, pid_t pid, uint32_t space)
{
	return loader->pid[space] == pid && loader->fake->execd != pid;
}

void watch_close(struct watch_loader *loader, uint32_t space)
{
	loader->page[space]->ended = 1;
	loader->page[space]->trouble++;
	munmap(loader->page[space], WATCH_PAGE);
	loader->pid[space] = 0;
	loader->fake->closes++;
}
