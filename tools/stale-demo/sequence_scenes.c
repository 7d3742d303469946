// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* Sequences that every cache must survive, beside the ways to change a mapping. */
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <pthread.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <linux/userfaultfd.h>
#include "stage.h"

#ifndef UFFD_USER_MODE_ONLY
#define UFFD_USER_MODE_ONLY 1
#endif

#define LARGE_PAGES (4 * BUFFER_PAGES)
#define LOOPS 500

static bool remap(char *at, size_t bytes)
{
	return !munmap(at, bytes) && map_at(at, bytes);
}

static enum outcome run_larger(struct stage *s)
{
	char *at = stage_place();

	if (!map_at(at, LARGE_PAGES * PAGE_BYTES))
		return stage_failed(s, "mmap");
	paint(at, LARGE_PAGES);
	warm(s, at, LARGE_PAGES);
	use(s, at + BUFFER_BYTES, BUFFER_PAGES);
	if (!remap(at, LARGE_PAGES * PAGE_BYTES))
		return stage_failed(s, "munmap");
	paint(at, LARGE_PAGES);
	use(s, at + BUFFER_BYTES, BUFFER_PAGES);
	use(s, at, LARGE_PAGES);
	return verdict(s);
}

static enum outcome run_middle(struct stage *s)
{
	char *at = stage_place();

	if (!map_at(at, LARGE_PAGES * PAGE_BYTES))
		return stage_failed(s, "mmap");
	paint(at, LARGE_PAGES);
	warm(s, at + 8 * PAGE_BYTES, 1);
	warm(s, at, 3);
	if (!remap(at + PAGE_BYTES, PAGE_BYTES))
		return stage_failed(s, "munmap");
	paint(at + PAGE_BYTES, 1);
	use(s, at, 3);
	use(s, at + PAGE_BYTES, 1);
	use(s, at + 8 * PAGE_BYTES, 1);
	return verdict(s);
}

static int ended(pid_t pid)
{
	int status;

	if (pid < 0 || waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
		return -1;
	return WEXITSTATUS(status);
}

/* The parent writes and uses, the child registers, both after the fork. */
static enum outcome run_fork(struct stage *s)
{
	char *at = stage_map();
	pid_t pid;
	int status;

	if (!at)
		return stage_failed(s, "mmap");
	warm(s, at, BUFFER_PAGES);
	pid = fork();
	if (!pid) {
		paint(at, BUFFER_PAGES);
		warm(s, at, BUFFER_PAGES);
		_exit(verdict(s));
	}
	use(s, at, BUFFER_PAGES);
	if (munmap(at, BUFFER_BYTES) || !map_at(at, BUFFER_BYTES))
		return stage_failed(s, "munmap");
	paint(at, BUFFER_PAGES);
	use(s, at, BUFFER_PAGES);
	status = ended(pid);
	if (status < 0)
		return stage_broken(s, "the child was killed by a signal");
	return status ? (enum outcome)status : verdict(s);
}

static enum outcome run_in_use(struct stage *s)
{
	uint64_t start, was[BUFFER_PAGES], is[BUFFER_PAGES];
	struct peer_use first = { 0 };
	char *at = stage_map();
	bool alive;

	if (!at)
		return stage_failed(s, "mmap");
	start = (uint64_t)(uintptr_t)at;
	warm(s, at, BUFFER_PAGES);
	if (s->peer->get(s->cache, start, BUFFER_BYTES, 0, &first))
		return stage_skip(s, "not registered");
	pin_words(first.id, start, BUFFER_PAGES, was);
	if (!remap(at, BUFFER_BYTES))
		return stage_failed(s, "munmap");
	look(s, at);
	use(s, at, BUFFER_PAGES);
	alive = !pin_words(first.id, start, BUFFER_PAGES, is) && !memcmp(was, is, sizeof(was));
	s->peer->put(s->cache, &first);
	if (!alive)
		return stage_broken(s, "a registration that was in use ended");
	use(s, at, BUFFER_PAGES);
	return verdict(s);
}

static void *use_stack(void *arg)
{
	/* The upper half is what the C library may leave in place for the next thread. */
	char buffer[2 * BUFFER_BYTES] __attribute__((aligned(4096)));

	paint(buffer, BUFFER_PAGES);
	warm(arg, buffer, BUFFER_PAGES);
	return NULL;
}

/* Stacks are reused, with other pages, and unmapped. */
static enum outcome run_stack(struct stage *s)
{
	for (int i = 0; i < LOOPS; i++) {
		pthread_t thread;
		pthread_attr_t attr;

		pthread_attr_init(&attr);
		/* beyond what the C library keeps, every other time */
		pthread_attr_setstacksize(&attr, i & 1 ? 64UL << 20 : 256UL << 10);
		if (pthread_create(&thread, &attr, use_stack, s))
			return stage_failed(s, "pthread_create");
		pthread_join(thread, NULL);
		pthread_attr_destroy(&attr);
	}
	return verdict(s);
}

/* A child that shares the memory until it ends. */
static pid_t spawn_unmapper(char *at)
{
	pid_t pid = vfork();

	if (!pid) {
		syscall(SYS_munmap, at, BUFFER_BYTES);
		_exit(0);
	}
	return pid;
}

static enum outcome run_spawn(struct stage *s)
{
	char *argv[] = { "true", NULL }, *env[] = { NULL };
	char *at = stage_map();

	if (!at)
		return stage_failed(s, "mmap");
	for (int i = 0; i < 20; i++) {
		pid_t pid;

		warm(s, at, BUFFER_PAGES);
		if (posix_spawn(&pid, "/bin/true", NULL, NULL, argv, env) || ended(pid))
			return stage_skip(s, "posix_spawn");
		use(s, at, BUFFER_PAGES);
		if (ended(spawn_unmapper(at)) || !map_at(at, BUFFER_BYTES))
			return stage_skip(s, "vfork");
		if (look(s, at) != OUTCOME_OK)
			break;
	}
	return verdict(s);
}

/* The program watches the memory itself, so that nobody else can. */
static bool own_uffd(char *at, size_t bytes)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register reg = { .range = { (uintptr_t)at, bytes },
				       .mode = UFFDIO_REGISTER_MODE_MISSING };
	int fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | UFFD_USER_MODE_ONLY);

	return fd >= 0 && !ioctl(fd, UFFDIO_API, &api) && !ioctl(fd, UFFDIO_REGISTER, &reg);
}

static enum outcome run_own_uffd(struct stage *s)
{
	char *at = stage_map();

	if (!at)
		return stage_failed(s, "mmap");
	if (!own_uffd(at, BUFFER_BYTES))
		return stage_failed(s, "userfaultfd");
	warm(s, at, BUFFER_PAGES);
	if (!remap(at, BUFFER_BYTES))
		return stage_failed(s, "munmap");
	return look(s, at);
}

/* The program wants to watch what is cached. */
static enum outcome run_uffd_after(struct stage *s)
{
	char *at = stage_map();

	if (!at)
		return stage_failed(s, "mmap");
	warm(s, at, BUFFER_PAGES);
	if (!own_uffd(at, BUFFER_BYTES))
		return stage_failed(s, "the program's userfaultfd");
	if (!remap(at, BUFFER_BYTES))
		return stage_failed(s, "munmap");
	return look(s, at);
}

static enum outcome remapped(struct stage *s)
{
	char *at = stage_map();

	if (!at)
		return stage_failed(s, "mmap");
	warm(s, at, BUFFER_PAGES);
	if (!remap(at, BUFFER_BYTES))
		return stage_failed(s, "munmap");
	return look(s, at);
}

/* The process becomes a daemon: it goes on in a child. */
static enum outcome go_on_in_child(struct stage *s, enum outcome (*run)(struct stage *s))
{
	bool *cached =
		mmap(NULL, PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int status;
	pid_t pid;

	if (cached == MAP_FAILED)
		return stage_failed(s, "mmap");
	pid = fork();
	if (!pid) {
		enum outcome outcome = run(s);

		*cached = s->cached;
		_exit(outcome);
	}
	status = ended(pid);
	s->cached |= *cached;
	return status < 0 ? stage_broken(s, "the child was killed by a signal")
			  : (enum outcome)status;
}

static enum outcome start_and_remap(struct stage *s)
{
	enum outcome outcome = stage_begin(s);

	return outcome == OUTCOME_OK ? remapped(s) : outcome;
}

static enum outcome run_daemon_before(struct stage *s)
{
	return go_on_in_child(s, start_and_remap);
}

static enum outcome run_daemon_after(struct stage *s)
{
	enum outcome outcome = remapped(s);

	return outcome == OUTCOME_OK ? go_on_in_child(s, remapped) : outcome;
}

static enum outcome run_loop(struct stage *s)
{
	char *at = stage_place();

	for (int i = 0; i < LOOPS; i++) {
		if (!map_at(at, BUFFER_BYTES))
			return stage_failed(s, "mmap");
		paint(at, BUFFER_PAGES);
		use(s, at, BUFFER_PAGES);
		use(s, at, BUFFER_PAGES);
		munmap(at, BUFFER_BYTES);
	}
	return verdict(s);
}

/* A page that the allocator has just got from the kernel. What it had before is not judged. */
static bool fresh(char *at)
{
	for (unsigned int i = 0; i < BUFFER_PAGES; i++)
		if (*(const volatile uint64_t *)tag_of(at + i * PAGE_BYTES))
			return false;
	return true;
}

/* Reallocation of what the allocator maps and unmaps, in several threads. */
static void *churn(void *arg)
{
	struct stage mine = *(struct stage *)arg;

	for (int i = 0; i < LOOPS; i++) {
		size_t bytes = (size_t)(i % 37 + 1) * 4 * BUFFER_BYTES;
		char *got = malloc(bytes + PAGE_BYTES);
		char *at = (char *)(((uintptr_t)got + PAGE_BYTES - 1) & ~(PAGE_BYTES - 1));

		if (!got)
			break;
		if (fresh(at)) {
			paint(at, BUFFER_PAGES);
			use(&mine, at, BUFFER_PAGES);
			use(&mine, at, BUFFER_PAGES);
		} else {
			struct stage unjudged = mine;

			use(&unjudged, at, BUFFER_PAGES);
		}
		free(got);
	}
	__atomic_fetch_add(&((struct stage *)arg)->stale, mine.stale, __ATOMIC_RELAXED);
	if (mine.cached)
		__atomic_store_n(&((struct stage *)arg)->cached, true, __ATOMIC_RELAXED);
	return NULL;
}

static enum outcome run_allocator(struct stage *s)
{
	pthread_t threads[3];
	int n = 0;

	/* else the C library's maps less and less */
	mallopt(M_MMAP_THRESHOLD, 4 * BUFFER_BYTES);
	while (n < 3 && !pthread_create(&threads[n], NULL, churn, s))
		n++;
	while (n--)
		pthread_join(threads[n], NULL);
	return verdict(s);
}

const struct scene sequence_scenes[] = {
	{ "larger", "a part of a larger registration, then the larger is unmapped", run_larger,
	  SCENE_SEQUENCE },
	{ "middle", "the middle page of a registration is replaced", run_middle, SCENE_SEQUENCE },
	{ "fork", "parent and child use it after a fork", run_fork, SCENE_SEQUENCE },
	{ "in-use", "unmapped while a registration is in use", run_in_use, SCENE_SEQUENCE },
	{ "stack", "stacks of threads that ended", run_stack, SCENE_SEQUENCE },
	{ "spawn", "children of posix_spawn and vfork, which unmap", run_spawn, SCENE_SEQUENCE },
	{ "own-uffd", "the program has a userfaultfd on the memory", run_own_uffd, SCENE_SEQUENCE },
	{ "uffd-after", "the program registers a userfaultfd on cached memory", run_uffd_after,
	  SCENE_SEQUENCE },
	{ "daemon-before", "daemon() before the first cache", run_daemon_before,
	  SCENE_SEQUENCE | SCENE_EARLY },
	{ "daemon-after", "daemon() after the first cache", run_daemon_after, SCENE_SEQUENCE },
	{ "loop", "mmap, register, use, munmap at one address, 500 times", run_loop,
	  SCENE_SEQUENCE },
	{ "allocator", "malloc, register, use, free in three threads", run_allocator,
	  SCENE_SEQUENCE },
	{ NULL, NULL, NULL, 0 },
};
