// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * Which threads may still be in the middle of a discard. The thread that discards is in madvise()
 * when the event is read, and the zap is over once that thread is seen elsewhere. Nothing tells
 * which thread it is, so every living thread is looked at. One of these proves that a thread is
 * elsewhere:
 *
 *	it sleeps	in another system call, or so that a signal would wake it
 *	it runs		its time in user mode has grown: the kernel adds to that only at ticks that
 *			find the thread in user mode, and as it leaves user mode where ticks are off
 *	it has ended
 *
 * A thread that spins gives the second proof at its next tick, after 1 to 10 ms. A thread that
 * makes system calls all the time gives it when a tick comes in between, which takes a few ticks
 * more. Neither proof needs privilege or the program's help.
 *
 * Discards are numbered. For each thread that was not yet seen elsewhere the list has the number up
 * to which it is cleared of discards. So a program that goes on discarding does not undo what is
 * proven already.
 */
#include "watch/discard.h"
#include "space/space.h"
#include "kernel/thread.h"
#include "base/dirent.h"
#include "base/epoch.h"
#include "base/mutation.h"
#include "base/pool.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define ATTEMPTS 16 /* tries to list the threads; a thread that ends meanwhile spoils a list */

enum where { ELSEWHERE, UNKNOWN, NOWHERE };

/* madvise; process_madvise; madvise of a 32-bit caller on x86 and on arm. x32 sets one more bit. */
static bool is_discard(long nr)
{
	nr &= ~0x40000000L;
	return nr == SYS_madvise || nr == 440 || nr == 219 || nr == 220;
}

/*
 * A stopped thread is not in the middle of a discard: threads are stopped only on their way into a
 * system call or out of it.
 */
static enum where where_is(pid_t tid)
{
	long nr;

	switch (thread_state(tid, &nr)) {
	case THREAD_GONE:
		return NOWHERE;
	case THREAD_ENDED:
	case THREAD_POLLS:
		return ELSEWHERE;
	case THREAD_SLEEPS:
		return is_discard(nr) && !thread_stopped(tid) ? UNKNOWN : ELSEWHERE;
	default:
		return hmm_mutation(HMM_MUTATION_TRUST_RUNNING) ? ELSEWHERE : UNKNOWN;
	}
}

static bool is_ours(const struct hmm_mm *mm, pid_t tid)
{
	return tid == mm->pump_tid || tid == mm->watchdog_tid || tid == thread_self();
}

/* Makes room for `needed` bytes by doubling, and keeps the content. */
static bool make_room(void **p, size_t *bytes, size_t needed)
{
	size_t now = *bytes ? *bytes : 16384;
	void *q;

	if (needed <= *bytes)
		return true;
	while (now < needed)
		now *= 2;
	q = pool_map(now);
	if (!q)
		return false;
	if (*p)
		memcpy(q, *p, *bytes);
	pool_unmap(*p, *bytes);
	*p = q;
	*bytes = now;
	return true;
}

static struct suspect *find(struct suspect_list *l, pid_t tid)
{
	for (size_t i = 0; i < l->n; i++)
		if (l->s[i].tid == tid)
			return &l->s[i];
	return NULL;
}

/*
 * Puts a thread on the list that may be in a discard. One that was not on the list was elsewhere,
 * or did not live, when all threads were last looked at, so it is cleared up to that look.
 */
static bool suspect(struct suspect_list *l, pid_t tid)
{
	struct suspect *s = find(l, tid);
	uint64_t user_ns = 0;

	thread_user_ns(tid, &user_ns);
	if (!s) {
		if (!make_room((void **)&l->s, &l->bytes, (l->n + 1) * sizeof(*s)))
			return false;
		s = &l->s[l->n++];
		*s = (struct suspect){ .tid = tid, .cleared = l->asked, .user_ns = user_ns };
	} else if (s->user_ns != user_ns) {
		s->user_ns = user_ns;
		s->cleared = l->asked;
	}
	s->round = l->round;
	return true;
}

/*
 * Lists all threads in one read, and counts those that live. Returns the bytes of the list, or 0.
 */
static size_t list_threads(struct suspect_list *l, size_t *threads)
{
	const int fd = (int)syscall(SYS_openat, AT_FDCWD, "/proc/self/task",
				    O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	char more[512] __attribute__((aligned(8)));
	struct stat st;
	long len = 0;

	if (fd < 0)
		return 0;
	if (make_room((void **)&l->names, &l->names_bytes, 1))
		len = syscall(SYS_getdents64, fd, l->names, l->names_bytes);
	if (len > 0 && syscall(SYS_getdents64, fd, more, sizeof(more))) {
		/* There was no room for them all, or a thread began meanwhile. */
		if ((size_t)len + sizeof(more) > l->names_bytes)
			make_room((void **)&l->names, &l->names_bytes, 2 * l->names_bytes);
		len = 0;
	}
	if (fstat(fd, &st))
		len = 0;
	syscall(SYS_close, fd);
	*threads = st.st_nlink - 2;
	return len > 0 ? (size_t)len : 0;
}

/*
 * A thread that ends can cut the list short. The list is whole if it names as many threads as live,
 * and all of them still lived after the count.
 */
static bool ask_all(const struct hmm_mm *mm, struct suspect_list *l)
{
	size_t threads = 0;
	size_t named = 0;
	const size_t len = list_threads(l, &threads);

	l->round++;
	for (size_t at = 0; at < len;) {
		const struct linux_dirent64 *d = (const struct linux_dirent64 *)(l->names + at);
		const pid_t tid = (pid_t)atoi(d->d_name);
		enum where where;

		at += d->d_reclen;
		if (tid <= 0)
			continue;
		named++;
		where = is_ours(mm, tid) ? ELSEWHERE : where_is(tid);
		if (where == NOWHERE || (where == UNKNOWN && !suspect(l, tid)))
			return false;
	}
	return len && named == threads;
}

/* Removes the threads that the last list did not name as suspect. */
static void forget_others(struct suspect_list *l)
{
	for (size_t i = 0; i < l->n;) {
		if (l->s[i].round == l->round)
			i++;
		else
			l->s[i] = l->s[--l->n];
	}
}

/* Looks again at the threads on the list. Reads their time in user mode first, which costs less. */
static void ask_again(const struct hmm_mm *mm, struct suspect_list *l)
{
	for (size_t i = 0; i < l->n;) {
		const struct suspect *s = &l->s[i];
		uint64_t user_ns = s->user_ns;

		thread_user_ns(s->tid, &user_ns);
		if (user_ns != s->user_ns || is_ours(mm, s->tid) || where_is(s->tid) != UNKNOWN)
			l->s[i] = l->s[--l->n];
		else
			i++;
	}
}

uint64_t suspects_ask(struct hmm_mm *mm, uint64_t youngest, bool wait)
{
	struct suspect_list *l = &mm->discards.suspects;
	bool whole = false;
	uint64_t floor;

	if (l->other_numbers)
		return 0;
	if (!wait && pthread_mutex_trylock(&l->lock))
		return 0;
	if (wait)
		pthread_mutex_lock(&l->lock);
	for (int i = 0; i < ATTEMPTS && youngest > l->asked && !whole; i++)
		whole = ask_all(mm, l);
	if (whole) {
		forget_others(l);
		l->asked = youngest;
	} else {
		ask_again(mm, l);
	}
	floor = l->asked;
	for (size_t i = 0; i < l->n; i++)
		if (l->s[i].cleared < floor)
			floor = l->s[i].cleared;
	pthread_mutex_unlock(&l->lock);
	return floor;
}

/* A /proc that was mounted in another PID namespace numbers threads in its own way. */
static bool numbers_differ(void)
{
	char name[16] = "";

	return readlink("/proc/self", name, sizeof(name) - 1) > 0 && atoi(name) != getpid();
}

void suspects_init(struct hmm_mm *mm)
{
	pthread_mutex_init(&mm->discards.suspects.lock, NULL);
	mm->discards.suspects.other_numbers = numbers_differ();
}

void suspects_fini(struct hmm_mm *mm)
{
	struct suspect_list *l = &mm->discards.suspects;

	pool_unmap(l->s, l->bytes);
	pool_unmap(l->names, l->names_bytes);
	pthread_mutex_destroy(&l->lock);
}
