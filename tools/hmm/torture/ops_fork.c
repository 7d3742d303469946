// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * Fork. The child checks that it sees the memory as it was, writes, discards and unmaps its copy,
 * checks that the library refuses it, frees what it inherited and attaches anew. The parent writes
 * meanwhile and must see nothing of what the child does.
 */
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include "../attach.h"
#include "ops.h"
#include "peer.h"

enum child_status {
	CHILD_OK,
	CHILD_WRONG_STAMP = 10,
	CHILD_WRONG_WORD,
	CHILD_NOT_REFUSED,
	CHILD_UNMAP,
	CHILD_NOT_ANEW,
};

/*
 * Does what a destructor would do in the child, which must wait for none of the parent's threads
 * and close nothing twice.
 */
static int let_go(const struct op_run *run)
{
	struct hmm_mm *anew;

	if (hmm_mm_barrier(run->t->mm, 1000000) != -ESRCH)
		return CHILD_NOT_REFUSED;
	hmm_mm_note(NULL, HMM_NOTE_PROTECT, HMM_PAGE_SIZE, 2 * HMM_PAGE_SIZE);
	hmm_mm_detach(run->t->mm);
	/* In the child of a raw clone locks of the C library may be held for ever. */
	if (run->raw)
		return CHILD_OK;
	if (space_attach(&anew))
		return CHILD_NOT_ANEW;
	hmm_mm_detach(anew);
	return CHILD_OK;
}

/*
 * Except for the library this uses only system calls and plain memory: locks that the parent's
 * other threads held are held for ever here.
 */
static int child_work(struct op_run *run, const uint64_t *current)
{
	struct slot *slot = run->slot;
	unsigned int i, j;
	int status;

	for (i = 0; i < PAGES; i++) {
		volatile uint64_t *mem = (volatile uint64_t *)slot_page(slot, i);
		uint64_t word = oracle_word(slot, i, current[i]);

		/*
		 * The parent goes on changing shared memory. With a log it is woken before the
		 * fork has copied, and the peer may write by then.
		 */
		if (kind_shared(slot->kind) || (run->forced && run->t->log))
			continue;
		if (mem[0] != word)
			return CHILD_WRONG_STAMP;
		for (j = PATTERN_WORD; j < PAGE_WORDS; j++)
			if (mem[j] != oracle_pattern(word, j))
				return CHILD_WRONG_WORD;
		mem[0] = ~0ULL;
		mem[DEVICE_WORD] = ~0ULL;
	}
	status = let_go(run);
	if (status || slot->kind == KIND_BRK)
		return status;
	if (!kind_shared(slot->kind) &&
	    syscall(SYS_madvise, slot->base, slot->len, (long)MADV_DONTNEED))
		return CHILD_UNMAP;
	return syscall(SYS_munmap, slot->base, slot->len) ? CHILD_UNMAP : CHILD_OK;
}

static int wait_child(struct op_run *run, pid_t pid)
{
	uint64_t limit = tort_ticks(run->t) + CHILD_LIMIT_S * TICKS_A_SECOND;
	unsigned int tries = 0;
	int status;

	for (;;) {
		pid_t got = waitpid(pid, &status, WNOHANG);

		if (got == pid)
			break;
		if (got < 0)
			return -errno;
		if (tort_ticks(run->t) > limit) {
			finding(FINDING_HANG, "a forked child (%s) did not end in %u s",
				run->raw ? "raw clone" : "fork", CHILD_LIMIT_S);
			kill(pid, SIGKILL);
			waitpid(pid, &status, 0);
			return 0;
		}
		tort_pause(tries++ < 10 ? 100000 : 2000000);
	}
	if (WIFEXITED(status) && WEXITSTATUS(status) == CHILD_OK)
		return 0;
	finding(WIFEXITED(status) && WEXITSTATUS(status) <= CHILD_WRONG_WORD ? FINDING_WRONG
									     : FINDING_ERROR,
		"slot %u (%s): the forked child ended with %s %d (10 stamp, 11 word, 12 not "
		"refused, 13 unmap, 14 not attached anew)",
		run->slot->id, kind_name(run->slot->kind), WIFEXITED(status) ? "status" : "signal",
		WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status));
	return 0;
}

static int fork_with(struct op_run *run, bool raw)
{
	struct slot *slot = run->slot;
	uint64_t current[PAGES];
	unsigned int i;
	bool peer;
	pid_t pid;

	for (i = 0; i < PAGES; i++)
		current[i] = atomic_load(&slot->page[i].current);
	run->raw = raw;
	peer = peer_start(run, 0, PAGES, PEER_STORE);
	pid = raw ? (pid_t)syscall(SYS_clone, (long)SIGCHLD, 0L, 0L, 0L, 0L) : fork();
	if (!pid)
		_exit(child_work(run, current));
	if (pid < 0)
		pid = -errno;
	/*
	 * Breaks copy-on-write while the child is alive. A window waits for this, and not for the
	 * fork.
	 */
	if (pid > 0)
		oracle_stamp(slot, 0, PAGES, run->stamp);
	window_returned(run->t);
	if (peer)
		peer_finish(run->t);
	return pid < 0 ? (int)pid : wait_child(run, pid);
}

int op_fork(struct op_run *run)
{
	return fork_with(run, false);
}

int op_fork_raw(struct op_run *run)
{
	return fork_with(run, true);
}
