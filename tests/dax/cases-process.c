// SPDX-License-Identifier: GPL-2.0
/* cases: several mirrors of one file, in one process and in several. */
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "suite.h"

static int punch_first(struct actor *a)
{
	return fallocate(a->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096) ? -errno : 0;
}

static int truncate_half(struct actor *a)
{
	return ftruncate(a->fd, a->size / 2) ? -errno : 0;
}

static int nothing(struct actor *a)
{
	return pread(a->fd, &(char){ 0 }, 1, 0) == 1 ? 0 : -errno;
}

/* Swaps in another mapping of the same file with a mirror of its own. */
static void second_mirror(struct run *r, struct run *other)
{
	*other = *r;
	other->map = file_map(r, r->fd, r->size, 0, PROT_READ | PROT_WRITE, MAP_SHARED);
	mirror_start(other);
	expect_write(other, 0, r->size / r->page, 2);
	expect_only(other, EVENT_CLEAR);
	expect_only(r, EVENT_CLEAR);
}

static void case_two_mirrors(struct run *r)
{
	size_t n = 2 * r->unit / r->page;
	struct run other;

	mirror_written(r, 2 * r->unit);
	second_mirror(r, &other);
	act_ok(r, punch_first);
	expect_drop(r, EVENT_CLEAR, EVENT_CLEAR | EVENT_PROTECT_PAGE, 0, 1);
	expect_drop(&other, EVENT_CLEAR, EVENT_CLEAR | EVENT_PROTECT_PAGE, 0, 1);
	expect_read(r, 0, 1, 0);
	expect_read(&other, 0, 1, 0);
	/* What one device writes the other reads, the zero entry that both had gone. */
	expect_write(r, 0, 1, 4);
	expect_read(&other, 0, 1, 4);
	expect_write(&other, 1, n - 1, 5);
	expect_read(r, 1, n - 1, 5);
	other.ops->unmirror(other.t);
	act_ok(r, truncate_half);
	expect_drop(r, EVENT_CLEAR, EVENT_CLEAR | EVENT_PROTECT_PAGE, n / 2, n / 2);
	expect_read_error(r, n / 2, n / 2, -EFAULT);
}

/* A device that was stopped leaves the other working. */
static void case_second_closes(struct run *r)
{
	size_t n = 2 * r->unit / r->page;
	struct run other;

	mirror_written(r, 2 * r->unit);
	second_mirror(r, &other);
	other.ops->unmirror(other.t);
	munmap(other.map, other.size);
	expect_keep(r, 0, n);
	expect_read(r, 0, n, 2);
	expect_write(r, 0, n, 3);
}

static void child_mirror(struct run *r, int ready, int go)
{
	size_t n = r->size / r->page;
	char c = 0;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	mirror_start(r);
	expect_write(r, 0, n, 3);
	expect_only(r, EVENT_CLEAR);
	if (write(ready, &c, 1) != 1 || read(go, &c, 1) != 1)
		_exit(1);
	expect_drop(r, EVENT_CLEAR, EVENT_CLEAR | EVENT_PROTECT_PAGE, n / 2, n / 2);
	expect_read_error(r, n / 2, n / 2, -EFAULT);
	expect_read(r, 0, n / 2, 3);
	r->ops->unmirror(r->t);
	_exit(0);
}

/* The child has a mirror of its own: one truncation, two processes told. */
static void case_two_processes(struct run *r)
{
	size_t n = 2 * r->unit / r->page;
	int up[2], down[2], status;
	pid_t pid;
	char c = 0;

	file_create(r, 2 * r->unit, 0);
	CHECK(r, !pipe(up) && !pipe(down), "pipe: %s", strerror(errno));
	pid = fork();
	if (!pid)
		child_mirror(r, up[1], down[0]);
	close(up[1]);
	mirror_start(r);
	CHECK(r, read(up[0], &c, 1) == 1, "the child failed: %s", r->out->reason);
	expect_read(r, 0, n, 3);
	expect_only(r, EVENT_CLEAR);
	act_ok(r, truncate_half);
	expect_drop(r, EVENT_CLEAR, EVENT_CLEAR | EVENT_PROTECT_PAGE, n / 2, n / 2);
	CHECK(r, write(down[1], &c, 1) == 1, "the child is gone");
	waitpid(pid, &status, 0);
	if (status)
		_exit(1); /* the child has said why */
	expect_read_error(r, n / 2, n / 2, -EFAULT);
}

/* The child of a fork sees the same shared pages; the parent's mirror of them stays. */
static void case_fork_shared(struct run *r)
{
	size_t n = 2 * r->unit / r->page;
	int status;
	pid_t pid;

	mirror_written(r, 2 * r->unit);
	pid = fork();
	if (!pid) {
		struct target *inherited = r->t;
		char c;

		/* A mirror belongs to the address space that made it. */
		CHECK(r, r->ops->access(inherited, (uintptr_t)r->map, &c, 1, false, NULL) < 0,
		      "a child could use its parent's mirror");
		mirror_start(r);
		expect_read(r, 0, n, 2);
		expect_write(r, 0, n / 2, 3);
		r->ops->unmirror(r->t);
		_exit(0);
	}
	waitpid(pid, &status, 0);
	if (status)
		_exit(1);
	expect_keep(r, 0, n);
	expect_read(r, 0, n / 2, 3);
	expect_read(r, n / 2, n / 2, 2);
	expect_write(r, 0, n, 4);
	expect_file(r, 0, n, 4);
}

/* Copies of private pages become shared with the child: no longer the device's to write. */
static void case_fork_private(struct run *r)
{
	size_t n = 2 * r->unit / r->page;
	int status;
	pid_t pid;

	file_create(r, 2 * r->unit, FILE_PRIVATE);
	mirror_start(r);
	expect_write(r, 0, 8, 2);
	expect_only(r, EVENT_CLEAR);
	pid = fork();
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		sleep(60);
		_exit(pattern_find_wrong(r->map, 0, 8, 2) < 0 ? 0 : 1);
	}
	expect_gone(r, EVENT_PROTECT_PAGE, EVENT_CLEAR, 0, 8);
	expect_write(r, 0, 8, 3);
	expect_read(r, 8, n - 8, 1);
	kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
	expect_file(r, 0, n, 1);
}

static void case_bystander(struct run *r)
{
	size_t n = 2 * r->unit / r->page;

	mirror_written(r, 2 * r->unit);
	r->by_other = true;
	act_ok(r, nothing);
	expect_keep(r, 0, n);
	expect_read(r, 0, n, 2);
}

static const struct dax_case cases[] = {
	{ "two_mirrors", ON_DAX | ON_CACHE | BY_ORDER | BY_ACTOR,
	  "every mirror of a file is told, and each shows what the other wrote", "the same in both",
	  "CLEAR in both", case_two_mirrors },
	{ "second_closes", ON_DAX | BY_ORDER, "a mirror that is closed leaves the other alone",
	  "unchanged", "none", case_second_closes },
	{ "two_processes", ON_DAX | ON_CACHE | BY_ORDER | BY_ACTOR,
	  "mirrors in two processes are both told", "none past the end", "CLEAR in both",
	  case_two_processes },
	{ "fork_shared", ON_DAX | ON_CACHE | BY_ORDER,
	  "fork() leaves a mirror of shared pages alone; the child may not use it", "unchanged",
	  "none", case_fork_shared },
	{ "fork_private", ON_DAX | ON_CACHE | BY_ORDER,
	  "fork() takes write permission from copies of private pages", "read-only",
	  "PROTECTION_PAGE", case_fork_private },
	{ "bystander", ON_DAX | BY_ORDER | WITH_PEER,
	  "another process that maps, reads and leaves changes nothing", "unchanged", "none",
	  case_bystander },
};

CASE_LIST(cases_process, cases);
