// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
#include "opening.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

struct opening {
	struct mirror mirror;
	struct opening *next;
	dev_t dev;
	ino_t ino;
	int end; /* our end of the pipe */
	unsigned int users;
};

/*
 * The kernel wipes this in a forked child, one by a raw clone(2) too: the child begins with an open
 * lock, no space and an empty list.
 */
struct state {
	pthread_mutex_t lock;
	struct hmm_mm *mm;
	struct opening *first;
	struct device devices[DEVICES];
	_Atomic unsigned int count;
};

static struct state *state;

void openings_init(void)
{
	struct state *s = hmm_memory_alloc(HMM_PAGE_SIZE);

	if (!s)
		return;
	if (madvise(s, HMM_PAGE_SIZE, MADV_WIPEONFORK)) {
		hmm_memory_free(s, HMM_PAGE_SIZE);
		return;
	}
	state = s;
}

/* close(2) is legal in a handler of a signal, which must not find the lock held by its thread. */
static void lock(sigset_t *old)
{
	sigset_t all;

	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, old);
	pthread_mutex_lock(&state->lock);
}

static void unlock(const sigset_t *old)
{
	pthread_mutex_unlock(&state->lock);
	pthread_sigmask(SIG_SETMASK, old, NULL);
}

static struct opening *opening_of(struct mirror *m)
{
	return (struct opening *)((char *)m - offsetof(struct opening, mirror));
}

static bool is_pipe_of(const struct opening *o, int fd)
{
	struct stat st;

	return !fstat(fd, &st) && S_ISFIFO(st.st_mode) && st.st_dev == o->dev &&
	       st.st_ino == o->ino;
}

/* High, where programs do not look; -errno. */
static int move_up(int fd)
{
	struct rlimit limit;
	int high = 256;
	int ret;

	if (!getrlimit(RLIMIT_NOFILE, &limit) && limit.rlim_cur < 512)
		high = (int)limit.rlim_cur / 2;
	ret = fcntl(fd, F_DUPFD_CLOEXEC, high);
	ret = ret < 0 ? -errno : ret;
	next_close(fd);
	return ret;
}

/* The program's end has the lower number, as that of an open() would be. */
static int make_pipe(struct opening *o, int flags)
{
	struct stat st;
	int fds[2];

	if (pipe2(fds, O_NONBLOCK | (flags & O_CLOEXEC)))
		return -errno;
	o->end = move_up(fds[1]);
	if (o->end < 0 || fstat(fds[0], &st)) {
		const int err = o->end < 0 ? o->end : -errno;

		if (o->end >= 0)
			next_close(o->end);
		next_close(fds[0]);
		return err;
	}
	o->dev = st.st_dev;
	o->ino = st.st_ino;
	return fds[0];
}

/* The program may have closed our end itself, and its number may be another file's by now. */
static void close_end(const struct opening *o)
{
	if (is_pipe_of(o, o->end))
		next_close(o->end);
}

static void opening_free(struct opening *o)
{
	/* As the kernel's device does whenever one of its openings ends. */
	device_release(o->mirror.device);
	mirror_fini(&o->mirror);
	hmm_memory_free(o, sizeof(*o));
}

/* The process's space is attached by its first opening, and stays attached. */
static int attached(struct hmm_mm **mm)
{
	int err = 0;
	sigset_t old;

	lock(&old);
	if (!state->mm)
		err = hmm_mm_attach(NULL, &state->mm);
	*mm = state->mm;
	unlock(&old);
	return err;
}

static void add(struct opening *o)
{
	sigset_t old;

	lock(&old);
	o->next = state->first;
	state->first = o;
	state->count++;
	unlock(&old);
}

int opening_open(unsigned int device, int flags)
{
	struct opening *o;
	struct hmm_mm *mm;
	int ret;

	if (!state)
		return -ENOMEM;
	ret = attached(&mm);
	if (ret)
		return ret;
	state->devices[device].coherent = device >= COHERENT_FROM;
	o = hmm_memory_alloc(sizeof(*o));
	if (!o)
		return -ENOMEM;
	ret = mirror_init(&o->mirror, mm, &state->devices[device]);
	if (ret) {
		hmm_memory_free(o, sizeof(*o));
		return ret;
	}
	device_open(o->mirror.device, mm);
	ret = make_pipe(o, flags);
	if (ret >= 0) {
		add(o);
		return ret;
	}
	mirror_fini(&o->mirror);
	hmm_memory_free(o, sizeof(*o));
	return ret;
}

struct mirror *opening_get(int fd)
{
	struct opening *o;
	struct stat st;
	sigset_t old;

	if (fd < 0 || !state || !state->count || fstat(fd, &st) || !S_ISFIFO(st.st_mode))
		return NULL;
	lock(&old);
	for (o = state->first; o; o = o->next)
		if (o->dev == st.st_dev && o->ino == st.st_ino)
			break;
	if (o)
		o->users++;
	unlock(&old);
	return o ? &o->mirror : NULL;
}

void opening_put(struct mirror *m)
{
	sigset_t old;

	lock(&old);
	opening_of(m)->users--;
	unlock(&old);
}

/* Has no descriptor any more: the pipe that we could write to has no reader. */
static bool is_closed(const struct opening *o)
{
	struct pollfd end = { .fd = o->end, .events = 0 };

	return !is_pipe_of(o, o->end) || (poll(&end, 1, 0) > 0 && end.revents & POLLERR);
}

/* One opening that has ended, taken from the list; or NULL. */
static struct opening *take_closed(void)
{
	struct opening *found = NULL;
	sigset_t old;

	lock(&old);
	for (struct opening **o = &state->first; *o && !found; o = &(*o)->next) {
		if ((*o)->users || !is_closed(*o))
			continue;
		found = *o;
		*o = found->next;
		state->count--;
		break;
	}
	unlock(&old);
	return found;
}

void openings_collect(void)
{
	struct opening *o;

	if (!state || !state->count)
		return;
	while ((o = take_closed())) {
		close_end(o);
		opening_free(o);
	}
}
