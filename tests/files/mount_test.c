// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * Filesystems that show other numbers in maps than in stat: overlayfs, on which containers live,
 * and btrfs. Made in a mount namespace of the test's own; without privilege in a user namespace,
 * where the host allows that.
 */
#include "common/mirror.h"

#include "files/mapping.h"

#include <sched.h>
#include <sys/mount.h>
#include <time.h>

#define SIZE (4 * PAGE)

static char top[32];

static bool write_file(const char *path, char c)
{
	char data[SIZE];
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0666);
	bool done;

	memset(data, c, SIZE);
	done = fd >= 0 && write(fd, data, SIZE) == SIZE;
	if (fd >= 0)
		close(fd);
	return done;
}

static uint64_t coarse_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME_COARSE, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* The clock of files may stand still for longer, where the machine's ticks come late. */
static void wait_a_tick(void)
{
	const struct timespec ts = { 0, 12000000 };
	const uint64_t before = coarse_ns();

	do
		nanosleep(&ts, NULL);
	while (coarse_ns() == before);
}

static bool put(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY);
	bool done = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);

	if (fd >= 0)
		close(fd);
	return done;
}

static bool enter_namespace(void)
{
	char map[64];
	const unsigned int uid = getuid();
	const unsigned int gid = getgid();

	if (!uid)
		return !unshare(CLONE_NEWNS) && !mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL);
	if (unshare(CLONE_NEWUSER | CLONE_NEWNS))
		return false;
	snprintf(map, sizeof(map), "0 %u 1", uid);
	if (!put("/proc/self/uid_map", map) || !put("/proc/self/setgroups", "deny"))
		return false;
	snprintf(map, sizeof(map), "0 %u 1", gid);
	return put("/proc/self/gid_map", map);
}

static int make_overlay(void **state)
{
	(void)state;
	strcpy(top, "/tmp/hmm-mount-XXXXXX");
	if (!mkdtemp(top) || mount("tmpfs", top, "tmpfs", 0, NULL) || chdir(top))
		return -1;
	mkdir("lower", 0777);
	mkdir("upper", 0777);
	mkdir("work", 0777);
	mkdir("overlay", 0777);
	/* of another device than the upper layer: then stat shows what maps does not */
	if (mount("tmpfs", "lower", "tmpfs", 0, NULL) || !write_file("lower/old", 'o') ||
	    mount("overlay", "overlay", "overlay", 0,
		  "lowerdir=lower,upperdir=upper,workdir=work") ||
	    !write_file("overlay/new", 'n'))
		return -1;
	wait_a_tick();
	return 0;
}

static int remove_overlay(void **state)
{
	(void)state;
	if (chdir("/"))
		return -1;
	umount2(top, MNT_DETACH);
	rmdir(top);
	return 0;
}

static char *map_path(const char *path, int open_flags, int prot, int flags)
{
	int fd = open(path, open_flags);
	char *p;

	assert_true(fd >= 0);
	p = map_fd(SIZE, prot, flags, fd, 0);
	assert_non_null(p);
	close(fd);
	return p;
}

static void expect_cached(struct mirror *m, const char *p)
{
	assert_int_equal(fault(m, p, 4, REQ_READ), 0);
	assert_false(transient(m, 0));
	assert_int_equal(hmm_range_check_timeout(&m->range, HMM_CHECK_ALL, m->timeout_ns), 0);
}

static void a_file_of_either_layer_is_cached(void **state)
{
	static const char *const names[] = { "overlay/old", "overlay/new" };
	struct mirror m;

	(void)state;
	mirror_open(&m, 0);
	for (int i = 0; i < 2; i++) {
		char *p = map_path(names[i], O_RDONLY, PROT_READ, MAP_PRIVATE);

		expect_cached(&m, p);
		munmap(p, SIZE);
	}
	mirror_close(&m);
}

static void a_change_through_the_overlay_is_found(void **state)
{
	char *p = map_path("overlay/new", O_RDWR, RW, MAP_SHARED);
	struct mirror m;
	int fd = open("overlay/new", O_RDWR);

	(void)state;
	mirror_open(&m, 0);
	expect_cached(&m, p);
	assert_int_equal(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, PAGE), 0);
	assert_int_equal(hmm_range_check(&m.range, HMM_CHECK_FILE), -ESTALE);
	wait_a_tick();
	expect_cached(&m, p);
	assert_int_equal(ftruncate(fd, PAGE), 0);
	assert_int_equal(hmm_range_check(&m.range, HMM_CHECK_FILE), -ESTALE);
	assert_true(hmm_mm_check_files(m.mm) >= 0);
	assert_int_equal(hmm_range_check(&m.range, 0), -ESTALE);
	mirror_close(&m);
	munmap(p, SIZE);
	close(fd);
}

/*
 * Opened for writing, a file of the lower layer becomes another one; what was mapped before stays
 * as it is. Kernels differ in what they show of it then.
 */
static void a_copy_up_leaves_the_mapping_as_it_is(void **state)
{
	char *p = map_path("overlay/old", O_RDONLY, PROT_READ, MAP_PRIVATE);
	struct mirror m;
	int stood = 0;
	int fd;

	(void)state;
	mirror_open(&m, 0);
	expect_cached(&m, p);
	fd = open("overlay/old", O_RDWR);
	assert_int_equal(pwrite(fd, "x", 1, 0), 1);
	assert_int_equal(hmm_range_check(&m.range, HMM_CHECK_FILE), -ESTALE);
	for (int i = 0; i < 20; i++) {
		assert_int_equal(fault(&m, p, 4, REQ_READ), 0);
		stood += hmm_range_check(&m.range, HMM_CHECK_ALL) == 0;
	}
	assert_true(stood > 10);
	assert_int_equal(p[0], 'o');
	mirror_close(&m);
	munmap(p, SIZE);
	close(fd);
}

static void a_deleted_file_is_used_all_the_same(void **state)
{
	char *p = map_path("overlay/new", O_RDONLY, PROT_READ, MAP_PRIVATE);
	struct mirror m;

	(void)state;
	mirror_open(&m, 0);
	expect_cached(&m, p);
	assert_int_equal(unlink("overlay/new"), 0);
	for (int i = 0; i < 20; i++) {
		assert_int_equal(fault(&m, p, 4, REQ_READ), 0);
		assert_int_equal(hmm_range_check(&m.range, HMM_CHECK_ALL), 0);
	}
	mirror_close(&m);
	munmap(p, SIZE);
}

static int locked_for_others(const char *path)
{
	struct flock l = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = 100 };
	pid_t pid = fork_tied();
	int status;

	if (!pid) {
		int fd = open(path, O_RDONLY);

		_exit(fd < 0 || fcntl(fd, F_GETLK, &l) ? 2 : l.l_type != F_UNLCK);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WEXITSTATUS(status);
}

/*
 * To tell which file it is one has to be opened for reading; closing it must not drop the program's
 * locks.
 */
static void the_programs_locks_stay(void **state)
{
	static const char *const names[] = { "overlay/old", "overlay/new" };
	struct flock l = { .l_type = F_RDLCK, .l_whence = SEEK_SET, .l_len = 100 };
	struct mirror m;

	(void)state;
	for (int i = 0; i < 2; i++) {
		int fd = open(names[i], O_RDONLY);
		char *p = map_fd(SIZE, PROT_READ, MAP_PRIVATE, fd, 0);

		assert_int_equal(fcntl(fd, F_SETLK, &l), 0);
		mirror_open(&m, 0);
		expect_cached(&m, p);
		assert_int_equal(locked_for_others(names[i]), 1);
		munmap(p, SIZE);
		assert_int_equal(hmm_mm_barrier(m.mm, HMM_FOREVER), 0);
		mirror_close(&m);
		assert_int_equal(locked_for_others(names[i]), 1);
		close(fd);
	}
}

static int run(const char *command)
{
	char line[512];

	snprintf(line, sizeof(line), "{ %s; } >/dev/null 2>&1", command);
	return system(line);
}

static int make_btrfs(void **state)
{
	(void)state;
	strcpy(top, "/tmp/hmm-mount-XXXXXX");
	if (getuid() || !mkdtemp(top) || mount("tmpfs", top, "tmpfs", 0, NULL) || chdir(top))
		return -1;
	return run("truncate -s 150M image && mkfs.btrfs -q image && mkdir b && mount -o loop "
		   "image b &&"
		   "btrfs subvolume create b/one && head -c 16384 /dev/zero | tr '\\0' o >b/one/f "
		   "&&"
		   "btrfs subvolume snapshot b/one b/two && sync")
		       ? -1
		       : 0;
}

static int remove_btrfs(void **state)
{
	run("umount b");
	return remove_overlay(state);
}

/* One number in maps for the file and the one in the snapshot. */
static void namesakes_of_a_snapshot_are_told_apart(void **state)
{
	char *p = map_path("b/one/f", O_RDWR, RW, MAP_SHARED);
	char *q = map_path("b/two/f", O_RDWR, RW, MAP_SHARED);
	struct mirror m;
	int fd;

	(void)state;
	wait_a_tick();
	mirror_open(&m, 0);
	expect_cached(&m, p);
	assert_int_equal(fault(&m, q, 4, REQ_READ), 0);
	assert_true(transient(&m, 0));
	assert_int_equal(hmm_range_check(&m.range, HMM_CHECK_ALL), 0);
	/* A change of the one that is used once is seen in its pages, of the other in its stamp. */
	fd = open("b/two/f", O_RDWR);
	assert_int_equal(ftruncate(fd, PAGE), 0);
	assert_int_equal(hmm_range_check(&m.range, HMM_CHECK_ALL), -ESTALE);
	close(fd);
	expect_cached(&m, p);
	fd = open("b/one/f", O_RDWR);
	assert_int_equal(ftruncate(fd, PAGE), 0);
	assert_int_equal(hmm_range_check(&m.range, HMM_CHECK_FILE), -ESTALE);
	mirror_close(&m);
	munmap(p, SIZE);
	munmap(q, SIZE);
	close(fd);
}

static bool caches_files(void)
{
	struct mirror m;
	bool yes;

	mirror_open(&m, 0);
	yes = mm_wp_async(m.mm);
	mirror_close(&m);
	return yes;
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, make_overlay, remove_overlay)
	const struct CMUnitTest overlay[] = {
		T(a_file_of_either_layer_is_cached),
		T(a_change_through_the_overlay_is_found),
		T(a_copy_up_leaves_the_mapping_as_it_is),
		T(a_deleted_file_is_used_all_the_same),
		T(the_programs_locks_stay),
	};
	const struct CMUnitTest btrfs[] = {
		cmocka_unit_test_setup_teardown(namesakes_of_a_snapshot_are_told_apart, make_btrfs,
						remove_btrfs),
	};
	int failed;
	void *none = NULL;

	if (!caches_files()) {
		puts("no asynchronous write-protection: files are never cached");
		return 77;
	}
	if (!enter_namespace() || make_overlay(&none)) {
		puts("no mount namespace, or no overlayfs");
		return 77;
	}
	remove_overlay(&none);
	failed = cmocka_run_group_tests(overlay, NULL, NULL);
	if (make_btrfs(&none)) {
		puts("no btrfs here, or no mkfs.btrfs: snapshots are left out");
		if (!getuid())
			remove_btrfs(&none);
		return failed;
	}
	remove_btrfs(&none);
	return failed + cmocka_run_group_tests(btrfs, NULL, NULL);
}
