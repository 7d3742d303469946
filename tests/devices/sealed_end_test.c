// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* The end of a holder, of its program, and forks in between. */
#include "common/sealed.h"

#include <dirent.h>
#include <pthread.h>
#include <sched.h>

#define PAGES 600

static struct with_sealed with;

static int setup_touch(void **state)
{
	sealed_open(&with, HMM_SEALED_TOUCH);
	*state = &with;
	return 0;
}

static int setup_request(void **state)
{
	sealed_open(&with, HMM_SEALED_REQUEST);
	*state = &with;
	return 0;
}

static int teardown(void **state)
{
	sealed_close(*state);
	return 0;
}

static bool is_gone(pid_t pid)
{
	char path[40], state = 'X';
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	f = fopen(path, "re");
	if (!f)
		return true;
	if (fscanf(f, "%*d (%*[^)]) %c", &state) != 1)
		state = 'X';
	fclose(f);
	return state == 'Z' || state == 'X';
}

static void until_gone(pid_t pid)
{
	for (int i = 0; !is_gone(pid) && i < 60000; i++)
		usleep(1000);
	assert_true(is_gone(pid));
}

static void kill_holder(const struct with_sealed *w)
{
	assert_int_equal(kill(hmm_sealed_holder(w->s), SIGKILL), 0);
	until_gone(hmm_sealed_holder(w->s));
}

/* ---- the holder ends ------------------------------------------------------------------------- */

static void exactly_its_pages_are_lost(void **state)
{
	struct with_sealed *w = *state;
	char *p = numbered_pages(PAGES);

	assert_int_equal(seal(w, p + 100 * PAGE, 300), 0);
	kill_holder(w);
	for (size_t i = 0; i < PAGES; i++)
		assert_int_equal(is_sigbus(p + i * PAGE), i >= 100 && i < 400);
	assert_numbered(p, 100, 1);
	assert_numbered(p + 400 * PAGE, 200, 401);
	assert_int_equal(run_job(w, HMM_SEALED_FILL, p + 100 * PAGE, 8, 0, NULL), -EPIPE);
	assert_int_equal(seal(w, p, 1), -EIO);
	assert_numbered(p, 1, 1);
	/* The memory can be used again. */
	assert_int_equal(madvise(p + 100 * PAGE, PAGE, MADV_DONTNEED), 0);
	p[100 * PAGE] = 1;
	assert_true(is_sigbus(p + 101 * PAGE));
	munmap(p, PAGES * PAGE);
}

static void what_was_touched_before_is_lost_too(void **state)
{
	struct with_sealed *w = *state;
	char *p = sealed_pages(w, 64);

	assert_true(is_sigbus(p));
	kill_holder(w);
	unseal(w, p, 64);
	for (size_t i = 0; i < 64; i++)
		assert_true(is_sigbus(p + i * PAGE));
	assert_int_equal(sealed_stats(w).lost, 64 * PAGE);
	munmap(p, 64 * PAGE);
}

static void another_holder_is_not_concerned(void **state)
{
	struct with_sealed *w = *state;
	struct hmm_sealed *first = w->s;
	char *p = sealed_pages(w, 64);
	char *q;

	assert_int_equal(hmm_sealed_create(w->m.mm, 2 * MIB, HMM_SEALED_TOUCH, sealed_flags, &w->s),
			 0);
	q = sealed_pages(w, 64);
	kill(hmm_sealed_holder(first), SIGKILL);
	until_gone(hmm_sealed_holder(first));
	assert_true(is_sigbus(p));
	assert_int_equal(run_job(w, HMM_SEALED_ADD, q, 8, 1, NULL), 0);
	assert_int_equal(*(unsigned int *)q, 2);
	assert_int_equal(hmm_sealed_destroy(w->s, HMM_FOREVER), 0);
	w->s = first;
	munmap(p, 64 * PAGE);
	munmap(q, 64 * PAGE);
}

struct mover {
	struct with_sealed *w;
	char *p;
	_Atomic bool stop;
	_Atomic int rounds;
};

static void *move_to_and_fro(void *arg)
{
	struct mover *m = arg;

	while (!m->stop) {
		hmm_migrate_to_device(hmm_sealed_devmem(m->w->s), at(m->p), at(m->p) + PAGES * PAGE,
				      HMM_FOREVER, NULL);
		hmm_sealed_get(m->w->s, at(m->p), at(m->p) + PAGES * PAGE, HMM_FOREVER);
		m->rounds++;
	}
	return NULL;
}

/* Each page is what it was, or SIGBUS; none is zeros or another's. */
static void killed_while_pages_move(void **state)
{
	struct mover m = { .w = *state };
	pthread_t thread;

	for (unsigned int delay = 0; delay < 8; delay++) {
		size_t lost = 0;

		m.p = numbered_pages(PAGES);
		m.stop = false;
		m.rounds = 0;
		assert_int_equal(pthread_create(&thread, NULL, move_to_and_fro, &m), 0);
		while (m.rounds < 2)
			sched_yield();
		usleep(delay * 137);
		kill_holder(m.w);
		m.stop = true;
		pthread_join(thread, NULL);
		/* A touch before a request does not ask the holder. */
		hmm_sealed_get(m.w->s, at(m.p), at(m.p) + PAGES * PAGE, HMM_FOREVER);
		for (size_t i = 0; i < PAGES; i++) {
			if (is_sigbus(m.p + i * PAGE))
				lost++;
			else
				assert_numbered(m.p + i * PAGE, 1, (unsigned int)i + 1);
		}
		assert_int_equal(sealed_stats(m.w).lost, lost * PAGE);
		munmap(m.p, PAGES * PAGE);
		sealed_close(m.w);
		sealed_open(m.w, HMM_SEALED_REQUEST);
	}
}

/* It is stopped for ever: what is there is lost after some seconds, and nobody waits longer. */
static void a_holder_that_hangs(void **state)
{
	struct with_sealed *w = *state;
	char *p = sealed_pages(w, 64);
	const pid_t holder = hmm_sealed_holder(w->s);

	assert_int_equal(kill(holder, SIGSTOP), 0);
	assert_true(is_sigbus(p));
	assert_int_equal(run_job(w, HMM_SEALED_FILL, p, 8, 0, NULL), -EPIPE);
	assert_int_equal(kill(holder, SIGCONT), 0);
	until_gone(holder);
	munmap(p, 64 * PAGE);
}

/* ---- the program ends ------------------------------------------------------------------------ */

static void the_end_of_a_holder(void **state)
{
	struct with_sealed w;
	pid_t holder;

	sealed_open(&w, HMM_SEALED_TOUCH);
	holder = hmm_sealed_holder(w.s);
	sealed_close(&w);
	until_gone(holder);
}

/* Its child, which has all of its descriptors, lives on. */
static void program_with_child(int out)
{
	struct with_sealed w;
	pid_t pids[2];

	sealed_open(&w, HMM_SEALED_TOUCH);
	sealed_pages(&w, 64);
	pids[0] = hmm_sealed_holder(w.s);
	pids[1] = fork();
	if (!pids[1]) {
		pause();
		_exit(0);
	}
	if (write(out, pids, sizeof(pids)) != sizeof(pids))
		_exit(1);
	kill(getpid(), SIGKILL);
}

static void the_program_is_killed(void **state)
{
	pid_t pids[2];
	int fds[2];
	pid_t pid;

	assert_int_equal(pipe(fds), 0);
	pid = fork();
	if (!pid) {
		program_with_child(fds[1]);
		_exit(1);
	}
	assert_int_equal(read(fds[0], pids, sizeof(pids)), sizeof(pids));
	assert_true(WIFSIGNALED(status_of(pid)));
	until_gone(pids[0]);
	assert_false(is_gone(pids[1]));
	kill(pids[1], SIGKILL);
	close(fds[0]);
	close(fds[1]);
}

static int close_everything(void)
{
	struct with_sealed w;
	unsigned int zeros = 0;
	char *p;

	sealed_open(&w, HMM_SEALED_TOUCH);
	p = sealed_pages(&w, 64);
	syscall(SYS_close_range, 3, ~0U, 0);
	until_gone(hmm_sealed_holder(w.s));
	for (unsigned int i = 0; i < 64; i++)
		zeros += !is_sigbus(p + i * PAGE);
	return zeros ? 1 : 0;
}

/* With them the link to the holder is gone: what is there is lost, and does not read as zeros. */
static void the_program_closes_all_descriptors(void **state)
{
	const pid_t pid = fork_tied();

	/* A sanitizer would miss those who join the library's threads. */
	if (!pid)
		syscall(SYS_exit_group, close_everything());
	assert_int_equal(status_of(pid), 0);
}

static void *make_one(void *arg)
{
	sealed_open(arg, HMM_SEALED_TOUCH);
	return NULL;
}

/* A holder belongs to the process. */
static void the_thread_that_made_it_ends(void **state)
{
	struct with_sealed w;
	pthread_t thread;
	char *p;

	assert_int_equal(pthread_create(&thread, NULL, make_one, &w), 0);
	pthread_join(thread, NULL);
	usleep(20000);
	p = sealed_pages(&w, 64);
	assert_numbered(p, 64, 1);
	sealed_close(&w);
	munmap(p, 64 * PAGE);
}

/* ---- forks ----------------------------------------------------------------------------------- */

/* The socket to the holder is not the child's. */
static size_t sockets_before;

static size_t sockets(void)
{
	char path[300], to[64];
	struct dirent *e;
	size_t n = 0;
	DIR *dir = opendir("/proc/self/fd");

	while ((e = readdir(dir))) {
		snprintf(path, sizeof(path), "/proc/self/fd/%s", e->d_name);
		memset(to, 0, sizeof(to));
		if (readlink(path, to, sizeof(to) - 1) > 0)
			n += !strncmp(to, "socket:", 7);
	}
	closedir(dir);
	return n;
}

static int child_of_touch(struct with_sealed *w, const char *p)
{
	uint64_t sum;

	for (unsigned int i = 0; i < 64; i++) {
		if (*(const volatile unsigned int *)(p + i * PAGE) != i + 1)
			return 1;
	}
	if (run_job(w, HMM_SEALED_SUM, p, 8, 0, &sum) != -ESRCH || unseal(w, p, 1) != -ESRCH)
		return 2;
	if (hmm_sealed_destroy(w->s, HMM_FOREVER))
		return 3;
	return sockets() == sockets_before ? 0 : 4;
}

static void a_child_has_its_copies(void **state)
{
	struct with_sealed *w = *state;
	char *p = sealed_pages(w, 64);
	pid_t pid = fork();

	if (!pid)
		_exit(child_of_touch(w, p));
	assert_int_equal(status_of(pid), 0);
	assert_int_equal(seal(w, p, 64), 0);
	assert_numbered(p, 64, 1);
	munmap(p, 64 * PAGE);
}

/* Where nobody tells of the child (without privilege) it reads zeros. */
static int child_of_request(const char *p)
{
	for (size_t i = 0; i < 64; i++) {
		if (!is_sigbus(p + i * PAGE))
			return *(const volatile unsigned int *)(p + i * PAGE) ? 2 : 1;
	}
	return 0;
}

static void a_child_reads_nothing_sealed(void **state)
{
	struct with_sealed *w = *state;
	const bool told = w->m.mm->provider.event_fork;
	char *p = sealed_pages(w, 64);
	pid_t pid;
	int status;

	assert_true(is_sigbus(p + 3 * PAGE));
	pid = fork();
	if (!pid)
		_exit(child_of_request(p));
	status = status_of(pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), told ? 0 : 1);
	assert_true(is_sigbus(p));
	assert_int_equal(unseal(w, p, 64), 0);
	assert_numbered(p, 64, 1);
	munmap(p, 64 * PAGE);
}

#define T(f, s) cmocka_unit_test_setup_teardown(f, s, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(exactly_its_pages_are_lost, setup_touch),
		T(exactly_its_pages_are_lost, setup_request),
		T(what_was_touched_before_is_lost_too, setup_request),
		T(another_holder_is_not_concerned, setup_touch),
		T(killed_while_pages_move, setup_request),
		T(a_holder_that_hangs, setup_touch),
		cmocka_unit_test(the_end_of_a_holder),
		cmocka_unit_test(the_program_is_killed),
		cmocka_unit_test(the_program_closes_all_descriptors),
		cmocka_unit_test(the_thread_that_made_it_ends),
		T(a_child_has_its_copies, setup_touch),
		T(a_child_reads_nothing_sealed, setup_request),
	};

	sockets_before = sockets();
	if (devmem_is_missing())
		return 77;
	return sealed_run_both(tests);
}
