// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * Watches of files. All spaces of the process share one inotify instance, as a user may have 128 of
 * them in all processes together. It is made for the first file that is mirrored, and closed when
 * the last space goes.
 *
 * Two spaces that watch one file share a watch, as inotify has one for each inode. A watch counts
 * its events, and a space compares the count with the one that it saw before.
 */
#include "kernel/inotify.h"
#include "kernel/extents.h"
#include "base/child.h"
#include "base/epoch.h"
#include "base/opening.h"
#include "base/pool.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define WATCHED (IN_MODIFY | IN_UNMOUNT)
#define BUCKETS 256

struct file_watch {
	struct file_watch *next; /* lock */
	_Atomic int wd;          /* written under lock; -1: the kernel has removed the watch */
	uint32_t refs;           /* lock */
	_Atomic uint32_t events;
};

/*
 * `lock` guards all of it but `missed`. It is held for a few system calls. A thread that takes it
 * may hold the lock of a file table.
 */
static struct {
	pthread_mutex_t lock;
	int fd; /* -1: none yet */
	pid_t pid;
	uint32_t spaces;
	uint64_t looked; /* when the descriptor was last known to be ours, in units of 10 ms */
	/*
	 * How often the queue overflowed or the instance was lost: counts as an event of every
	 * file.
	 */
	_Atomic uint32_t missed;
	struct objpool pool;
	struct file_watch *bucket[BUCKETS];
} in = { .lock = PTHREAD_MUTEX_INITIALIZER, .fd = -1 };

/*
 * Is the descriptor our inotify instance? The program may have closed it among descriptors that it
 * does not know, and may use the number itself by now.
 */
static bool is_ours(int fd)
{
	return fd >= 0 && inotify_add_watch(fd, "", IN_MODIFY) < 0 && errno == ENOENT;
}

static struct file_watch **bucket_of(int wd)
{
	return &in.bucket[(unsigned int)wd % BUCKETS];
}

/*
 * In a child of fork() all of this is the parent's, and a thread that the child does not have may
 * hold the lock.
 */
static void forget(void)
{
	in.fd = -1; /* the child has closed it (base/epoch.h) */
	in.pid = getpid();
	in.spaces = 0;
	for (size_t i = 0; i < BUCKETS; i++)
		in.bucket[i] = NULL;
	pthread_mutex_init(&in.lock, NULL);
	objpool_init(&in.pool, sizeof(struct file_watch));
}

void watches_in_child(void)
{
	if (in.pid != getpid())
		forget();
}

void watches_get(void)
{
	watches_in_child();
	pthread_mutex_lock(&in.lock);
	in.spaces++;
	pthread_mutex_unlock(&in.lock);
}

void watches_put(void)
{
	pthread_mutex_lock(&in.lock);
	if (!--in.spaces && in.fd >= 0) {
		child_keeps(in.fd);
		if (is_ours(in.fd))
			close(in.fd);
		in.fd = -1;
	}
	pthread_mutex_unlock(&in.lock);
}

/* The instance is lost: nothing is watched any more, for an unknown time. */
static void lose(void)
{
	for (size_t i = 0; i < BUCKETS; i++) {
		for (struct file_watch *w = in.bucket[i]; w; w = w->next)
			w->wd = -1;
		in.bucket[i] = NULL;
	}
	child_keeps(in.fd);
	in.fd = -1;
	atomic_fetch_add(&in.missed, 1);
}

static struct file_watch *find(int wd)
{
	struct file_watch *w = *bucket_of(wd);

	while (w && w->wd != wd)
		w = w->next;
	return w;
}

static struct file_watch *add(int wd)
{
	struct file_watch *w = objpool_get(&in.pool);

	if (!w) {
		inotify_rm_watch(in.fd, wd);
		return NULL;
	}
	w->wd = wd;
	w->next = *bucket_of(wd);
	*bucket_of(wd) = w;
	return w;
}

struct file_watch *watch_add(int path_fd)
{
	char path[FD_PATH_SIZE];
	struct file_watch *w = NULL;
	int wd;

	pthread_mutex_lock(&in.lock);
	if (in.fd >= 0 && !is_ours(in.fd))
		lose();
	if (in.fd < 0) {
		opening_begin();
		in.fd = child_closes(inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
		opening_end();
	}
	wd = in.fd < 0 ? -1 : inotify_add_watch(in.fd, fd_path(path, path_fd), WATCHED);
	if (wd >= 0) {
		w = find(wd);
		if (!w)
			w = add(wd);
		if (w)
			w->refs++;
	}
	pthread_mutex_unlock(&in.lock);
	return w;
}

void watch_put(struct file_watch *w)
{
	if (!w)
		return;
	pthread_mutex_lock(&in.lock);
	if (!--w->refs) {
		if (w->wd >= 0) {
			struct file_watch **link = bucket_of(w->wd);

			while (*link != w)
				link = &(*link)->next;
			*link = w->next;
			if (is_ours(in.fd))
				inotify_rm_watch(in.fd, w->wd);
		}
		objpool_put(&in.pool, w);
	}
	pthread_mutex_unlock(&in.lock);
}

bool watch_works(const struct file_watch *w)
{
	return w && w->wd >= 0;
}

uint32_t watch_events(const struct file_watch *w)
{
	return atomic_load(&in.missed) + (w ? atomic_load(&w->events) : 0);
}

static void note(const struct inotify_event *e)
{
	struct file_watch *w = e->mask & IN_Q_OVERFLOW ? NULL : find(e->wd);

	if (e->mask & IN_Q_OVERFLOW)
		atomic_fetch_add(&in.missed, 1);
	if (!w)
		return;
	atomic_fetch_add(&w->events, 1);
	if (e->mask & IN_IGNORED) {
		struct file_watch **link = bucket_of(w->wd);

		while (*link != w)
			link = &(*link)->next;
		*link = w->next;
		w->wd = -1;
	}
}

/*
 * Do events wait in our instance? This does not read, as the descriptor may be another one by now,
 * whose owner would lose what we read. If nothing waits, whether the descriptor is ours is asked
 * once in 10 ms. In between a lost instance is not noticed, but stamps still differ, and the files'
 * descriptors have gone with it.
 */
static bool has_events(void)
{
	struct timespec now;
	uint64_t ticks;
	int n = 0;

	if (in.fd < 0)
		return false;
	clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
	ticks = (uint64_t)now.tv_sec * 100 + (uint64_t)now.tv_nsec / 10000000;
	if (ioctl(in.fd, FIONREAD, &n))
		n = -1;
	if (!n && ticks == in.looked)
		return false;
	in.looked = ticks;
	if (n < 0 || !is_ours(in.fd))
		lose();
	return in.fd >= 0 && n > 0;
}

void watches_drain(void)
{
	char buf[1024] __attribute__((aligned(__alignof__(struct inotify_event))));
	ssize_t n;

	/*
	 * The lock is held from the read until the events are counted, so that a thread that finds
	 * nothing to read finds all events counted.
	 */
	pthread_mutex_lock(&in.lock);
	if (has_events()) {
		while ((n = read(in.fd, buf, sizeof(buf))) > 0) {
			for (ssize_t at = 0; at < n;) {
				const struct inotify_event *e =
					(const struct inotify_event *)(buf + at);

				at += (ssize_t)(sizeof(*e) + e->len);
				note(e);
			}
		}
	}
	pthread_mutex_unlock(&in.lock);
}

/*
 * Some kernels report no event when certain calls change a file without a name. Tries whether
 * punching a hole is reported.
 */
static bool probe_memfd_events(int inotify, int fd)
{
	char path[FD_PATH_SIZE];
	char buf[sizeof(struct inotify_event)];

	if (ftruncate(fd, 4096) || inotify_add_watch(inotify, fd_path(path, fd), IN_MODIFY) < 0)
		return false;
	fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096);
	return read(inotify, buf, sizeof(buf)) > 0;
}

bool watches_see_memfds(void)
{
	static _Atomic int known; /* 1 no, 2 yes */
	int inotify, fd;

	if (atomic_load(&known))
		return atomic_load(&known) == 2;
	inotify = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	fd = memfd_create("libhmm-probe", MFD_CLOEXEC);
	if (inotify >= 0 && fd >= 0)
		atomic_store(&known, probe_memfd_events(inotify, fd) ? 2 : 1);
	if (fd >= 0)
		close(fd);
	if (inotify >= 0)
		close(inotify);
	return atomic_load(&known) == 2;
}
