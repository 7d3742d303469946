// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * Children. They see what their parent had written when it forked, wherever it was, and the parent
 * does not see what they write.
 */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include "away.h"

#define CHILD_WRONG 10

/* It uses system calls and plain memory only: locks may be held here for ever. */
static int child_work(struct area *a, const struct part *all, const struct part *one)
{
	if (!area_fits(a, all, a->base, &a->away->told[a->id]))
		return CHILD_WRONG;
	for (unsigned int i = one->lo; i < one->hi; i++)
		*word_at(a->base + i * HMM_PAGE_SIZE, WORD_COUNT) = UINT64_MAX;
	return 0;
}

static void wait_for(const struct area *a, pid_t pid, bool raw)
{
	const char *how = raw ? "raw clone" : "fork";
	const uint64_t limit = tort_ticks(a->away->t) + CHILD_LIMIT_S * TICKS_A_SECOND;
	const struct wrong *w = &a->away->told[a->id];
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
}

void owner_fork(struct area *a, bool raw)
{
	const struct part all = { 0, AREA_PAGES };
	struct part part;
	pid_t pid;

	area_choose(a, &a->rng, &part);
	pid = raw ? (pid_t)syscall(SYS_clone, (long)SIGCHLD, 0L, 0L, 0L, 0L) : fork();
	if (!pid)
		_exit(child_work(a, &all, &part));
	if (pid < 0) {
		finding(FINDING_ERROR, "%s: %s", raw ? "raw clone" : "fork", strerror(errno));
		return;
	}
	/* The child must not see this. */
	area_write(a, &part);
	wait_for(a, pid, raw);
	area_check(a, &all, a->base, raw ? "raw clone" : "fork");
}
