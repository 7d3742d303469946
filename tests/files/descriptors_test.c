// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * Descriptors are the program's: how many of them mirrored files take, and what happens when it
 * takes them back.
 */
#include "common/mirror.h"

#include "files/mapping.h"

#include <sys/resource.h>
#include <sys/socket.h>

#define FILES 60

struct some {
	char path[FILES][32];
	char *p[FILES];
};

static struct some *make_files(void)
{
	struct some *s = calloc(1, sizeof(*s));

	assert_non_null(s);
	for (int i = 0; i < FILES; i++) {
		int fd = make_file(s->path[i], PAGE);

		s->p[i] = map_fd(PAGE, PROT_READ, MAP_SHARED, fd, 0);
		close(fd);
	}
	return s;
}

static void remove_files(struct some *s)
{
	for (int i = 0; i < FILES; i++) {
		munmap(s->p[i], PAGE);
		unlink(s->path[i]);
	}
	free(s);
}

static int free_descriptors(void)
{
	int fds[FILES];
	int n = 0;

	while (n < FILES && (fds[n] = dup(2)) >= 0)
		n++;
	for (int i = 0; i < n; i++)
		close(fds[i]);
	return n;
}

static void half_of_them_are_left_to_the_program(void **state)
{
	struct some *s = make_files();
	struct rlimit old, few = { 64, 64 };
	struct mirror m;
	int cached = 0;

	(void)state;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
	few.rlim_max = old.rlim_max;
	mirror_open(&m, 0);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
	for (int i = 0; i < FILES; i++) {
		assert_int_equal(fault(&m, s->p[i], 1, REQ_READ), 0);
		assert_int_equal(hmm_range_check(&m.range, HMM_CHECK_ALL), 0);
		cached += !transient(&m, 0);
	}
	assert_true(free_descriptors() >= 16);
	assert_true(cached <= 32);
	setrlimit(RLIMIT_NOFILE, &old);
	assert_true(cached > 0 || !mm_wp_async(m.mm));
	mirror_close(&m);
	remove_files(s);
}

/* Not one is free when a file is mirrored: what happens to it would be unseen. */
static void without_one_nothing_is_cached(void **state)
{
	struct rlimit old, none;
	struct mirror m;
	int fd = make_memfd(PAGE, 0);
	char *p = map_fd(PAGE, RW, MAP_SHARED, fd, 0);

	(void)state;
	mirror_open(&m, 0);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
	none = old;
	none.rlim_cur = 0;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	assert_int_equal(fault(&m, p, 1, REQ_READ), 0);
	assert_true(transient(&m, 0));
	assert_int_equal(hmm_range_check(&m.range, HMM_CHECK_ALL), 0);
	setrlimit(RLIMIT_NOFILE, &old);
	mirror_close(&m);
	munmap(p, PAGE);
	close(fd);
}

static int instances(void)
{
	char path[64], to[64];
	int n = 0;

	for (int fd = 0; fd < 256; fd++) {
		ssize_t len;

		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		len = readlink(path, to, sizeof(to) - 1);
		n += len > 0 && (to[len] = 0, !strcmp(to, "anon_inode:inotify"));
	}
	return n;
}

static void spaces_share_one_inotify_instance_made_late(void **state)
{
	char path[32];
	int fd = make_file(path, 2 * PAGE);
	char *p = map_fd(2 * PAGE, PROT_READ, MAP_SHARED, fd, 0);
	char *q = map_fd(2 * PAGE, PROT_READ, MAP_SHARED, fd, 0);
	struct mirror one, two;

	(void)state;
	mirror_open(&one, 0);
	mirror_open(&two, 0);
	assert_int_equal(instances(), 0);
	assert_int_equal(fault(&one, p, 2, REQ_READ), 0);
	assert_int_equal(fault(&two, q, 2, REQ_READ), 0);
	assert_int_equal(instances(), 1);
	/*
	 * Both spaces see a change, and the one that is detached does not take the watch from the
	 * other.
	 */
	assert_int_equal(pwrite(fd, "x", 1, 0), 1);
	assert_int_equal(hmm_mm_check_files(one.mm) >= 0, 1);
	assert_int_equal(hmm_range_check(&two.range, HMM_CHECK_FILE) == 0, !mm_wp_async(two.mm));
	mirror_close(&one);
	assert_int_equal(fault(&two, q, 2, REQ_READ), 0);
	assert_int_equal(hmm_range_check(&two.range, HMM_CHECK_ALL), 0);
	assert_int_equal(instances(), 1);
	assert_int_equal(ftruncate(fd, PAGE), 0);
	assert_int_equal(hmm_range_check(&two.range, HMM_CHECK_FILE), -ESTALE);
	mirror_close(&two);
	assert_int_equal(instances(), 0);
	munmap(p, 2 * PAGE);
	munmap(q, 2 * PAGE);
	unlink(path);
	close(fd);
}

/* As a daemon does: every descriptor that it does not know, and then its own get the numbers. */
static void close_unknown(int known[2], int pipes[32][2], int *n)
{
	int dup_of[256];
	int dups = 0;

	for (int fd = 3; fd < 256; fd++) {
		char path[64], to[256];
		ssize_t len;

		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		len = readlink(path, to, sizeof(to) - 1);
		if (len <= 0 || fd == known[0] || fd == known[1])
			continue;
		to[len] = 0;
		if (strstr(to, "inotify") || strstr(to, "hmm-unit"))
			dup_of[dups++] = fd;
	}
	for (int i = 0; i < dups; i++)
		close(dup_of[i]);
	assert_true(dups >= 2);
	/* enough for every hole */
	for (*n = 0; *n < 32; ++*n) {
		assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pipes[*n]), 0);
		assert_int_equal(write(pipes[*n][0], "mine", 4), 4);
		assert_int_equal(write(pipes[*n][1], "mine", 4), 4);
	}
}

static void what_gets_their_numbers_is_not_touched(void **state)
{
	static int pipes[32][2];
	char path[32];
	int fd = make_file(path, 2 * PAGE);
	char *p = map_fd(2 * PAGE, PROT_READ, MAP_SHARED, fd, 0);
	struct mirror m;
	char buf[8];
	int n;

	(void)state;
	mirror_open(&m, 0);
	if (!mm_wp_async(m.mm)) {
		mirror_close(&m);
		puts("no asynchronous write-protection: files are not tracked");
		skip();
	}
	assert_int_equal(fault(&m, p, 2, REQ_READ), 0);
	close_unknown((int[2]){ fd, -1 }, pipes, &n);
	/* what was seen by them is pending; what comes is seen by new ones */
	assert_int_equal(hmm_range_check(&m.range, HMM_CHECK_FILE), -ESTALE);
	hmm_mm_check_files(m.mm);
	assert_int_equal(fault(&m, p, 2, REQ_READ), 0);
	assert_int_equal(hmm_range_check(&m.range, HMM_CHECK_ALL), 0);
	assert_int_equal(ftruncate(fd, PAGE), 0);
	assert_int_equal(hmm_range_check(&m.range, HMM_CHECK_FILE), -ESTALE);
	munmap(p, 2 * PAGE);
	mirror_close(&m);
	for (int i = 0; i < n; i++) {
		for (int k = 0; k < 2; k++) {
			assert_int_equal(recv(pipes[i][k], buf, sizeof(buf), MSG_DONTWAIT), 4);
			close(pipes[i][k]);
		}
	}
	unlink(path);
	close(fd);
}

static int locked_for_others(const char *path)
{
	struct flock l = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = 100 };
	pid_t pid = fork_tied();
	int status;

	if (!pid) {
		int fd = open(path, O_RDWR);

		_exit(fd < 0 || fcntl(fd, F_GETLK, &l) ? 2 : l.l_type != F_UNLCK);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WEXITSTATUS(status);
}

/*
 * On XFS with DAX the extents of a file are looked at, for which it has to be opened: see
 * outside.c.
 */
static void the_programs_locks_stay(void **state)
{
	struct flock l = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = 100 };
	char path[32];
	int fd = make_file(path, 2 * PAGE);
	char *p = map_fd(2 * PAGE, RW, MAP_SHARED, fd, 0);
	struct mirror m;

	(void)state;
	assert_int_equal(fcntl(fd, F_SETLK, &l), 0);
	mirror_open(&m, 0);
	assert_int_equal(fault(&m, p, 2, REQ_WRITE), 0);
	assert_int_equal(locked_for_others(path), 1);
	munmap(p, 2 * PAGE);
	assert_int_equal(hmm_mm_barrier(m.mm, HMM_FOREVER), 0);
	mirror_close(&m);
	assert_int_equal(locked_for_others(path), 1);
	unlink(path);
	close(fd);
}

static void what_was_unmapped_leaves_nothing_behind(void **state)
{
	struct mirror m;

	(void)state;
	mirror_open(&m, 0);
	for (int i = 0; i < 1000; i++) {
		char *p = map_anon(PAGE, RW);

		assert_int_equal(fault(&m, p, 1, REQ_WRITE), 0);
		munmap(p, PAGE);
	}
	assert_int_equal(hmm_mm_barrier(m.mm, HMM_FOREVER), 0);
	assert_int_equal(m.mm->files->n_mappings, 0);
	mirror_close(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(half_of_them_are_left_to_the_program),
		cmocka_unit_test(without_one_nothing_is_cached),
		cmocka_unit_test(spaces_share_one_inotify_instance_made_late),
		cmocka_unit_test(what_gets_their_numbers_is_not_touched),
		cmocka_unit_test(the_programs_locks_stay),
		cmocka_unit_test(what_was_unmapped_leaves_nothing_behind),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
