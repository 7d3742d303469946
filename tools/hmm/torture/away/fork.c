// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * Children. They see what their parent had written when it forked, wherever it was, and the parent
 * does not see what they write. What a device alone has is SIGBUS after a raw clone, and never
 * zeros.
 */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include "away.h"

#define CHILD_WRONG 10

static sigjmp_buf missing;

static void on_sigbus(int sig)
{
	(void)sig;
	siglongjmp(missing, 1);
}

static bool page_fits(const struct area *a, unsigned int i, struct told *told)
{
	const struct part part = { i, i + 1 };

	/* Of what a device alone has a child that was made by a raw clone has nothing. */
	if (sigsetjmp(missing, 0)) {
		told->sigbus++;
		return true;
	}
	return area_fits(a, &part, a->base + i * HMM_PAGE_SIZE, &told->wrong);
}

static void spoil(const struct area *a, unsigned int i)
{
	if (!sigsetjmp(missing, 0))
		*word_at(a->base + i * HMM_PAGE_SIZE, WORD_COUNT) = UINT64_MAX;
}

/* It uses system calls and plain memory only: locks may be held here for ever. */
static int child_work(struct area *a, const struct part *one)
{
	const struct sigaction action = { .sa_handler = on_sigbus, .sa_flags = SA_NODEFER };
	struct told *told = &a->away->told[a->id];

	told->sigbus = 0;
	if (sigaction(SIGBUS, &action, NULL))
		return CHILD_WRONG;
	for (unsigned int i = 0; i < AREA_PAGES; i++) {
		if (!page_fits(a, i, told))
			return CHILD_WRONG;
	}
	for (unsigned int i = one->lo; i < one->hi; i++)
		spoil(a, i);
	return 0;
}

static void wait_for(const struct area *a, pid_t pid, bool raw)
{
	const char *how = raw ? "raw clone" : "fork";
	const uint64_t limit = tort_ticks(a->away->t) + CHILD_LIMIT_S * TICKS_A_SECOND;
	const struct told *told = &a->away->told[a->id];
	const struct wrong *w = &told->wrong;
	int status = 0;
	pid_t ended;

	while (!(ended = waitpid(pid, &status, WNOHANG))) {
		if (tort_ticks(a->away->t) < limit) {
			tort_pause(200000);
			continue;
		}
		finding(FINDING_HANG, "a child (%s) did not end in %u s", how, CHILD_LIMIT_S);
		kill(pid, SIGKILL);
		ended = waitpid(pid, &status, 0);
	}
	if (ended != pid)
		finding(FINDING_ERROR, "waitpid: %s", strerror(errno));
	else if (WIFEXITED(status) && WEXITSTATUS(status) == CHILD_WRONG)
		finding(FINDING_WRONG,
			"area %u page %u in a child (%s): word %d is %#llx, its parent wrote count "
			"%llu (since %llu) or later",
			a->id, w->page, how, w->word, (unsigned long long)w->value,
			(unsigned long long)a->count[w->page],
			(unsigned long long)a->since[w->page]);
	else if (status)
		finding(FINDING_ERROR, "a child (%s) ended with status %#x", how, status);
	else if (told->sigbus && !raw)
		finding(FINDING_LOST, "area %u: %llu pages are SIGBUS in a child (%s)", a->id,
			(unsigned long long)told->sigbus, how);
	tally(&a->away->child_sigbus, told->sigbus);
}

void owner_fork(struct area *a, bool raw)
{
	const struct part all = { 0, AREA_PAGES };
	struct part part;
	pid_t pid;

	area_choose(a, &a->rng, &part);
	pid = raw ? (pid_t)syscall(SYS_clone, (long)SIGCHLD, 0L, 0L, 0L, 0L) : fork();
	if (!pid)
		_exit(child_work(a, &part));
	if (pid < 0) {
		finding(FINDING_ERROR, "%s: %s", raw ? "raw clone" : "fork", strerror(errno));
		return;
	}
	/* The child must not see this. */
	area_write(a, &part);
	wait_for(a, pid, raw);
	area_check(a, &all, a->base, raw ? "raw clone" : "fork");
}
