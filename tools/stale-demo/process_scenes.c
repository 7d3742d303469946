// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* The heap's end, forked children, what happens while the peer registers or holds its lock. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include "stage.h"

static enum outcome run_brk(struct stage *s)
{
	uintptr_t end = (uintptr_t)sbrk(0);
	char *at;

	/* whole pages that no allocator has */
	if (sbrk((intptr_t)(-end & (PAGE_BYTES - 1))) == (void *)-1)
		return stage_failed(s, "sbrk");
	at = sbrk(BUFFER_BYTES);
	if (at == (void *)-1)
		return stage_failed(s, "sbrk");
	paint(at, BUFFER_PAGES);
	warm(s, at, BUFFER_PAGES);
	if (sbrk(0) != at + BUFFER_BYTES)
		return stage_skip(s, "the peer's own memory came behind it");
	if (sbrk(-(intptr_t)BUFFER_BYTES) == (void *)-1 || sbrk(BUFFER_BYTES) != at)
		return stage_failed(s, "sbrk");
	return look(s, at);
}

static void in_child(struct stage *s, char *at)
{
	if (munmap(at, BUFFER_BYTES) || !map_at(at, BUFFER_BYTES))
		_exit(OUTCOME_SKIP);
	s->stale = 0;
	_exit(look(s, at));
}

static enum outcome run_fork_child(struct stage *s)
{
	char *at = stage_map();
	int status;
	pid_t pid;

	if (!at)
		return stage_failed(s, "mmap");
	warm(s, at, BUFFER_PAGES);
	pid = fork();
	if (!pid)
		in_child(s, at);
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return stage_failed(s, "fork");
	if (!WIFEXITED(status))
		return stage_broken(s, "the child was killed by a signal");
	return WEXITSTATUS(status);
}

/* What the hook changes. */
static char *hooked;
static int hook_left;

static void remap_hooked(void)
{
	if (hook_left-- > 0 && !munmap(hooked, BUFFER_BYTES) && map_at(hooked, BUFFER_BYTES))
		paint(hooked, BUFFER_PAGES);
}

/*
 * The first use and the second, as some monitors let a range into the cache at its second use. What
 * the first get returns is of the old memory, and so is what it says.
 */
static enum outcome run_while_registering(struct stage *s)
{
	char *at = stage_map();

	if (!at)
		return stage_failed(s, "mmap");
	hooked = at;
	hook_left = 2;
	pin_hook = remap_hooked;
	for (int i = 0; i < 4; i++)
		use(s, at, BUFFER_PAGES);
	pin_hook = NULL;
	return verdict(s);
}

static void unmap_hooked(void)
{
	if (hook_left-- > 0)
		munmap(hooked, BUFFER_BYTES);
}

/* By a thread that frees memory while it holds what the peer's lookups need. */
static enum outcome run_under_lock(struct stage *s)
{
	char *at = stage_map(), *other = stage_map();

	if (!at || !other)
		return stage_failed(s, "mmap");
	warm(s, other, BUFFER_PAGES);
	if (s->peer->lock) {
		s->peer->lock();
		munmap(other, BUFFER_BYTES);
		s->peer->unlock();
	} else {
		hooked = other;
		hook_left = 1;
		pin_hook = unmap_hooked;
		warm(s, at, BUFFER_PAGES);
		pin_hook = NULL;
	}
	if (!map_at(other, BUFFER_BYTES))
		return stage_failed(s, "mmap");
	return look(s, other);
}

const struct scene process_scenes[] = {
	{ "brk", "sbrk(-n), sbrk(n)", run_brk, SCENE_ROW },
	{ "fork-child", "in a child after fork: munmap, mmap, use", run_fork_child, SCENE_ROW },
	{ "while-registering", "changed between registration and watching", run_while_registering,
	  SCENE_ROW },
	{ "under-lock", "munmap by a thread that holds the peer's lock", run_under_lock,
	  SCENE_ROW },
	{ NULL, NULL, NULL, 0 },
};
