// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* Changes without an event, of files, permissions and attachments, which a check finds. */
#include "common/mirror.h"

#include "files/mapping.h"
#include "notifier/notifier.h"
#include "files/files.h"

#include <dirent.h>
#include <limits.h>
#include <time.h>

struct filed {
	struct mirror m;
	char path[32];
	int fd;
	char *p; /* 8 pages, shared */
};

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

static void open_filed(struct filed *f, int prot)
{
	mirror_open(&f->m, 0);
	f->fd = make_file(f->path, 8 * PAGE);
	f->p = map_fd(8 * PAGE, prot, MAP_SHARED, f->fd, 0);
	wait_a_tick();
	assert_int_equal(fault(&f->m, f->p, 8, prot & PROT_WRITE ? REQ_WRITE : REQ_READ), 0);
	assert_false(transient(&f->m, 0));
	assert_int_equal(hmm_range_check(&f->m.range, HMM_CHECK_ALL), 0);
}

static void close_filed(struct filed *f)
{
	munmap(f->p, 8 * PAGE);
	mirror_close(&f->m);
	unlink(f->path);
	close(f->fd);
}

static int setup_read(void **state)
{
	static struct filed f;

	open_filed(&f, PROT_READ);
	*state = &f;
	return 0;
}

static int setup_write(void **state)
{
	static struct filed f;

	open_filed(&f, RW);
	*state = &f;
	return 0;
}

static int teardown(void **state)
{
	close_filed(*state);
	return 0;
}

/* The change is refused by a check, found by hmm_mm_check_files() once, and another fault mends it.
 */
static void expect_changed(struct filed *f, size_t pages)
{
	struct mirror *m = &f->m;
	const int calls = m->calls;

	assert_int_equal(hmm_range_check(&m->range, HMM_CHECK_FILE), -ESTALE);
	/* and is not forgotten by having been asked */
	assert_int_equal(hmm_range_check(&m->range, HMM_CHECK_FILE), -ESTALE);
	assert_true(hmm_mm_check_files(m->mm) >= 0);
	assert_true(m->calls > calls);
	assert_int_equal(hmm_range_check(&m->range, 0), -ESTALE);
	wait_a_tick();
	assert_int_equal(fault(m, f->p, pages, REQ_READ), 0);
	assert_int_equal(hmm_range_check(&m->range, HMM_CHECK_ALL), 0);
	assert_int_equal(hmm_mm_check_files(m->mm), 0);
}

static void truncation_is_found(void **state)
{
	struct filed *f = *state;

	assert_int_equal(ftruncate(f->fd, 4 * PAGE), 0);
	expect_changed(f, 4);
}

static void extension_is_found(void **state)
{
	struct filed *f = *state;

	assert_int_equal(ftruncate(f->fd, 20 * PAGE), 0);
	expect_changed(f, 8);
}

static void punching_is_found(void **state)
{
	struct filed *f = *state;

	if (fallocate(f->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, PAGE, PAGE))
		skip();
	expect_changed(f, 8);
}

static void zeroing_is_found(void **state)
{
	struct filed *f = *state;

	if (fallocate(f->fd, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, PAGE, PAGE))
		skip();
	expect_changed(f, 8);
}

static void change_by_another_process_is_found(void **state)
{
	struct filed *f = *state;
	int status;
	pid_t pid = fork();

	if (!pid) {
		int fd = open(f->path, O_RDWR);

		_exit(ftruncate(fd, 5 * PAGE) != 0);
	}
	waitpid(pid, &status, 0);
	assert_int_equal(status, 0);
	/* the fork itself has invalidated: look again without a tick in between */
	assert_int_equal(hmm_range_check(&f->m.range, HMM_CHECK_FILE), -ESTALE);
	assert_int_equal(fault(&f->m, f->p, 5, REQ_READ), 0);
	assert_int_equal(fault(&f->m, f->p, 8, REQ_READ), -EFAULT);
	assert_int_equal(f->m.range.last, at(f->p) + 5 * PAGE);
}

/* Two changes in one tick of the clock: the stamp between them looks like the one after. */
static void a_second_change_in_the_same_tick_is_found(void **state)
{
	struct filed *f = *state;
	int missed = 0;
	int cached = 0;

	for (int i = 0; i < 300; i++) {
		assert_int_equal(fallocate(f->fd, FALLOC_FL_ZERO_RANGE, PAGE, PAGE), 0);
		if (fault(&f->m, f->p, 8, REQ_READ) || transient(&f->m, 0))
			continue;
		cached++;
		assert_int_equal(fallocate(f->fd, FALLOC_FL_ZERO_RANGE, PAGE, PAGE), 0);
		missed += hmm_range_check(&f->m.range, HMM_CHECK_FILE) == 0;
	}
	assert_int_equal(missed, 0);
	print_message("%d of 300 cached\n", cached);
}

/* The same without a watch of the file: a fresh stamp proves nothing until the tick is over. */
static void a_racy_stamp_proves_nothing(void **state)
{
	struct filed *f = *state;
	struct file_stamp a;
	struct file_stamp b;
	int equal = 0;

	for (int i = 0; i < 200; i++) {
		assert_int_equal(fallocate(f->fd, FALLOC_FL_ZERO_RANGE, PAGE, PAGE), 0);
		assert_int_equal(stamp_take(f->fd, &a), 0);
		assert_int_equal(fallocate(f->fd, FALLOC_FL_ZERO_RANGE, PAGE, PAGE), 0);
		assert_int_equal(stamp_take(f->fd, &b), 0);
		if (stamp_differs(&a, &b, true))
			continue;
		equal++;
		assert_true(a.racy);
	}
	print_message("%d of 200 changes left the stamp as it was\n", equal);
	wait_a_tick();
	assert_int_equal(stamp_take(f->fd, &a), 0);
	assert_false(a.racy);
}

static void telling_is_synchronous(void **state)
{
	struct filed *f = *state;
	const int calls = f->m.calls;

	assert_int_equal(ftruncate(f->fd, 4 * PAGE), 0);
	assert_int_equal(hmm_mm_note_file(f->m.mm, f->fd), 0);
	assert_true(f->m.calls > calls);
	assert_int_equal(hmm_range_check(&f->m.range, 0), -ESTALE);
	assert_int_equal(fault(&f->m, f->p, 4, REQ_READ), 0);
	assert_int_equal(hmm_mm_note_file(NULL, f->fd), 0);
	assert_int_equal(hmm_range_check(&f->m.range, 0), -ESTALE);
	assert_int_equal(hmm_mm_note_file(f->m.mm, -1), -EBADF);
	/* a file that nobody mirrors */
	assert_int_equal(hmm_mm_note_file(f->m.mm, 0), 0);
}

/*
 * Of one file or of all, where permission to write can be taken; the translation for reading stays
 * the file's.
 */
static void writeback_is_told(void **state)
{
	struct filed *f = *state;
	char path[32];
	int other = make_file(path, PAGE);
	int calls;

	assert_int_equal(fsync(f->fd), 0);
	assert_int_equal(hmm_range_check(&f->m.range, HMM_CHECK_ALL), 0);
	calls = f->m.calls;
	assert_int_equal(hmm_mm_note_writeback(f->m.mm, other), 0);
	assert_int_equal(f->m.calls, calls);
	assert_int_equal(hmm_mm_note_writeback(f->m.mm, f->fd), 0);
	assert_int_equal(f->m.calls, calls + 1);
	assert_int_equal(f->m.events[HMM_EVENT_PROTECT], 1);
	assert_int_equal(hmm_range_check(&f->m.range, 0), -ESTALE);
	assert_int_equal(fault(&f->m, f->p, 8, REQ_WRITE), 0);
	assert_int_equal(hmm_mm_note_writeback(NULL, -1), 0);
	assert_int_equal(hmm_range_check(&f->m.range, 0), -ESTALE);
	assert_int_equal(hmm_mm_note_writeback(f->m.mm, 1000), -EBADF);
	close(other);
	unlink(path);
}

static void writeback_takes_nothing_from_readers(void **state)
{
	struct filed *f = *state;

	assert_int_equal(hmm_mm_note_writeback(f->m.mm, f->fd), 0);
	assert_int_equal(hmm_range_check(&f->m.range, HMM_CHECK_ALL), 0);
}

static void faults_for_writing_are_no_change(void **state)
{
	struct filed *f = *state;
	struct hmm_range first;

	assert_int_equal(fault(&f->m, f->p, 2, REQ_WRITE), 0);
	first = f->m.range;
	/* a clean page: its first write changes the times of the file */
	assert_int_equal(fsync(f->fd), 0);
	wait_a_tick();
	assert_int_equal(fault(&f->m, f->p + 4 * PAGE, 4, REQ_WRITE), 0);
	assert_int_equal(hmm_range_check(&first, HMM_CHECK_FILE), 0);
	assert_int_equal(hmm_mm_check_files(f->m.mm), 0);
	assert_int_equal(hmm_range_check(&first, HMM_CHECK_ALL), 0);
	assert_int_equal(ftruncate(f->fd, 2 * PAGE), 0);
	assert_int_equal(hmm_range_check(&first, HMM_CHECK_FILE), -ESTALE);
}

/* The change time is no news while we write, but what inotify tells is. */
static void change_during_a_fault_for_writing_is_found(void **state)
{
	struct filed *f = *state;
	struct hmm_vma vma;

	assert_int_equal(hmm_vma_find(f->m.mm, at(f->p), &vma), 0);
	file_write_begin(f->m.mm, &vma, 0);
	assert_int_equal(hmm_range_check(&f->m.range, HMM_CHECK_FILE), 0);
	if (fallocate(f->fd, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, PAGE, PAGE))
		skip();
	file_write_end(f->m.mm, &vma, 0);
	assert_int_equal(hmm_range_check(&f->m.range, HMM_CHECK_FILE), -ESTALE);
	assert_int_equal(hmm_range_check(&f->m.range, 0), -ESTALE);
}

static void memfd_change_is_found(void **state)
{
	struct mirror m;
	int fd = make_memfd(8 * PAGE, 0);
	char *p = map_fd(8 * PAGE, RW, MAP_SHARED, fd, 0);

	mirror_open(&m, 0);
	assert_int_equal(fault(&m, p, 8, REQ_WRITE), 0);
	assert_int_equal(hmm_range_check(&m.range, HMM_CHECK_ALL), 0);
	assert_int_equal(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, PAGE), 0);
	assert_int_equal(hmm_range_check(&m.range, HMM_CHECK_FILE), -ESTALE);
	assert_int_equal(hmm_range_check(&m.range, HMM_CHECK_PRESENT), -ESTALE);
	assert_true(hmm_mm_check_files(m.mm) >= 0);
	assert_true(m.events[HMM_EVENT_CLEAR] > 0);
	mirror_close(&m);
	close(fd);
	(void)state;
}

static int open_answers; /* how many more calls fail */
static int open_answer;

int __real_vma_open_file(struct vma_reader *r, const struct hmm_vma *vma);
int __wrap_vma_open_file(struct vma_reader *r, const struct hmm_vma *vma);

int __wrap_vma_open_file(struct vma_reader *r, const struct hmm_vma *vma)
{
	return open_answers-- > 0 ? open_answer : __real_vma_open_file(r, vma);
}

/*
 * As btrfs has it: what is found bears another device than maps shows, so that it may be a namesake
 * in a snapshot.
 */
static void a_file_that_may_be_another_vouches_for_nothing(void **state)
{
	char path[64];
	struct mirror m;
	int fd = make_file(path, 8 * PAGE);
	char *p = map_fd(8 * PAGE, PROT_READ, MAP_SHARED, fd, 0);

	mirror_open(&m, 0);
	open_answer = make_memfd(8 * PAGE, 0);
	open_answers = 1;
	assert_int_equal(fault(&m, p, 8, REQ_READ), 0);
	assert_true(transient(&m, 0));
	open_answers = 0;
	mirror_close(&m);
	munmap(p, 8 * PAGE);
	unlink(path);
	close(fd);
}

/* Another thread maps something else there while the file is looked for: once more, not without. */
static void a_file_is_known_though_its_mapping_changed_when_it_was_opened(void **state)
{
	struct mirror m;
	int fd = make_memfd(8 * PAGE, 0);
	char *p = map_fd(8 * PAGE, RW, MAP_SHARED, fd, 0);

	mirror_open(&m, 0);
	open_answer = -EAGAIN;
	open_answers = 2;
	assert_int_equal(fault(&m, p, 8, REQ_WRITE), 0);
	assert_int_equal(hmm_range_check(&m.range, HMM_CHECK_ALL), 0);
	assert_int_equal(ftruncate(fd, 0) | ftruncate(fd, 8 * PAGE), 0);
	assert_int_equal(hmm_range_check(&m.range, HMM_CHECK_FILE), -ESTALE);
	open_answers = 0;
	mirror_close(&m);
	munmap(p, 8 * PAGE);
	close(fd);
	(void)state;
}

/* What happened to it until then nobody saw. */
static void a_file_found_late_vouches_for_nothing_older(void **state)
{
	const struct timespec later = { 1, 100000000 };
	struct hmm_range old;
	struct mirror m;
	int fd = make_memfd(8 * PAGE, 0);
	char *p = map_fd(8 * PAGE, RW, MAP_SHARED, fd, 0);

	mirror_open(&m, 0);
	open_answer = -ENOENT;
	open_answers = 2;
	assert_int_equal(fault(&m, p, 2, REQ_READ), 0);
	old = m.range;
	assert_int_equal(ftruncate(fd, 0) | ftruncate(fd, 8 * PAGE), 0);
	open_answers = 0;
	nanosleep(&later, NULL);
	assert_int_equal(fault(&m, p + 4 * PAGE, 2, REQ_READ), 0);
	assert_int_equal(hmm_range_check(&m.range, HMM_CHECK_FILE), 0);
	assert_int_equal(hmm_range_check(&old, HMM_CHECK_FILE), -ESTALE);
	mirror_close(&m);
	munmap(p, 8 * PAGE);
	close(fd);
	(void)state;
}

/* Told once, where a fault has tracked the file and not begun to read. */
static int tell_fd = -1;

int __real_ni_read_begin(struct hmm_interval_notifier *ni, uint64_t deadline, uint64_t *seq);
int __wrap_ni_read_begin(struct hmm_interval_notifier *ni, uint64_t deadline, uint64_t *seq);

int __wrap_ni_read_begin(struct hmm_interval_notifier *ni, uint64_t deadline, uint64_t *seq)
{
	int fd = tell_fd;

	tell_fd = -1;
	if (fd >= 0)
		assert_int_equal(hmm_mm_note_file(ni_mm(ni), fd), 0);
	return __real_ni_read_begin(ni, deadline, seq);
}

/* What is told takes the span of the file away: a fault on its way must not rely on it. */
static void a_change_told_while_a_fault_is_on_its_way_does_not_hide_the_next(void **state)
{
	struct mirror m;
	int fd = make_memfd(2 * PAGE, 0);
	char *p = map_fd(2 * PAGE, RW, MAP_SHARED, fd, 0);

	mirror_open(&m, 0);
	for (int i = 0; i < 2; i++) {
		tell_fd = i ? -1 : fd;
		assert_int_equal(fault(&m, p, 2, REQ_WRITE), 0);
		assert_true(i || tell_fd == -1);
		assert_int_equal(
			fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 2 * PAGE), 0);
		assert_int_equal(hmm_mm_note_file(m.mm, fd), 0);
		assert_true(m.pfns[0] & HMM_PFN_TRANSIENT ||
			    hmm_interval_stale(m.ni, m.range.notifier_seq));
	}
	/* Not for ever. */
	assert_int_equal(fault(&m, p, 2, REQ_WRITE), 0);
	assert_true(all_flags(&m, 2, VALID | WRITE));
	mirror_close(&m);
	munmap(p, 2 * PAGE);
	close(fd);
	(void)state;
}

static void less_permission_is_found(void **state)
{
	struct mirror m;
	struct hmm_range old;
	char *p = map_anon(8 * PAGE, RW);

	(void)state;
	mirror_open(&m, 0);
	assert_int_equal(fault(&m, p, 8, REQ_WRITE), 0);
	old = m.range;
	assert_int_equal(mprotect(p + PAGE, PAGE, PROT_READ), 0);
	assert_int_equal(hmm_range_check(&old, HMM_CHECK_VMA), -ESTALE);
	/* a fault of the page under its new permission must not make the old translation good again
	 */
	assert_int_equal(fault(&m, p, 8, REQ_READ), 0);
	assert_int_equal(hmm_range_check(&m.range, HMM_CHECK_VMA), 0);
	assert_int_equal(hmm_range_check(&old, HMM_CHECK_VMA), -ESTALE);
	/* more permission harms nobody */
	assert_int_equal(mprotect(p + PAGE, PAGE, RW), 0);
	assert_int_equal(hmm_range_check(&m.range, HMM_CHECK_VMA), 0);
	mirror_close(&m);
	munmap(p, 8 * PAGE);
}

static void sysv_detach_is_found_unasked(void **state)
{
	struct mirror m;
	int id = shmget(IPC_PRIVATE, 4 * PAGE, IPC_CREAT | 0600);
	char *p = shmat(id, place_apart(4 * PAGE), 0);
	char *q;

	(void)state;
	assert_ptr_not_equal(p, (void *)-1);
	mirror_open(&m, 0);
	assert_int_equal(fault(&m, p, 4, REQ_WRITE), 0);
	assert_true(all_flags(&m, 4, VALID | WRITE));
	assert_int_equal(hmm_range_check(&m.range, 0), 0);
	shmdt(p);
	assert_int_equal(hmm_range_check(&m.range, 0), -ESTALE);
	/* another mapping at the address is not it */
	q = mmap(p, 4 * PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
	assert_ptr_equal(q, p);
	assert_int_equal(hmm_range_check(&m.range, 0), -ESTALE);
	mirror_close(&m);
	munmap(q, 4 * PAGE);
	shmctl(id, IPC_RMID, NULL);
}

static void remapped_file_pages_are_found(void **state)
{
	struct mirror m;
	int fd = make_memfd(8 * PAGE, 0);
	char *p = map_fd(8 * PAGE, RW, MAP_SHARED, fd, 0);

	(void)state;
	mirror_open(&m, 0);
	assert_int_equal(fault(&m, p, 8, REQ_WRITE), 0);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
	assert_int_equal(remap_file_pages(p, PAGE, 0, 5, 0), 0);
#pragma GCC diagnostic pop
	assert_int_equal(hmm_range_check(&m.range, HMM_CHECK_VMA), -ESTALE);
	assert_int_equal(fault(&m, p, 8, REQ_WRITE), 0);
	assert_int_equal(hmm_range_check(&m.range, HMM_CHECK_ALL), 0);
	mirror_close(&m);
	close(fd);
}

static void guard_pages_are_found(void **state)
{
	struct mirror m;
	char *p = map_anon(8 * PAGE, RW);

	(void)state;
	mirror_open(&m, 0);
	assert_int_equal(fault(&m, p, 8, REQ_WRITE), 0);
	if (madvise(p + PAGE, PAGE, MADV_GUARD_INSTALL)) {
		mirror_close(&m);
		skip();
	}
	assert_int_equal(hmm_range_check(&m.range, HMM_CHECK_PRESENT), -ESTALE);
	assert_int_equal(fault(&m, p, 8, REQ_READ), -EFAULT);
	assert_int_equal(m.range.last, at(p) + PAGE);
	mirror_close(&m);
}

static void descriptors_are_not_hoarded(void **state)
{
	struct mirror m;
	char path[32];
	int fd = make_file(path, PAGE);
	char *p = map_fd(PAGE, PROT_READ, MAP_SHARED, fd, 0);
	struct file_table *t;

	(void)state;
	mirror_open(&m, 0);
	t = m.mm->files;
	assert_int_equal(fault(&m, p, 1, REQ_READ), 0);
	assert_int_equal(t->n_files, 1);
	munmap(p, PAGE);
	t->gc_ns = 0;
	assert_int_equal(hmm_mm_check_files(m.mm), 0);
	assert_int_equal(t->n_files, 0);
	mirror_close(&m);
	unlink(path);
	close(fd);
}

static int count_descriptors(void)
{
	DIR *dir = opendir("/proc/self/fd");
	int n = 0;

	assert_non_null(dir);
	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

/* The inotify instance is made for the first file and stays. */
static void watch_any_file(struct mirror *m)
{
	int fd = make_memfd(PAGE, 0);
	char *p = map_fd(PAGE, RW, MAP_SHARED, fd, 0);

	assert_int_equal(fault(m, p, 1, REQ_READ), 0);
	munmap(p, PAGE);
	close(fd);
	assert_int_equal(hmm_mm_barrier(m->mm, HMM_FOREVER), 0);
}

/*
 * What keeps a filesystem from being unmounted is gone when the barrier returns: no sleep, no
 * second try.
 */
static void a_barrier_closes_what_was_unmapped(void **state)
{
	struct mirror m;
	char path[32];
	int fd = make_file(path, 4 * PAGE);
	int before;

	(void)state;
	mirror_open(&m, 0);
	watch_any_file(&m);
	before = count_descriptors();
	for (int over = 0; over < 2; over++) {
		char *p = map_fd(4 * PAGE, PROT_READ, MAP_SHARED, fd, 0);

		assert_int_equal(fault(&m, p, 4, REQ_READ), 0);
		assert_true(count_descriptors() > before);
		munmap(p, PAGE);
		assert_int_equal(hmm_mm_barrier(m.mm, HMM_FOREVER), 0);
		assert_int_equal(m.mm->files->n_files, 1);
		/* While somebody is busy with the files the pump comes in vain. */
		pthread_mutex_lock(&m.mm->files->lock);
		if (!over)
			munmap(p + PAGE, 3 * PAGE);
		else /* nothing of the file is left here either */
			assert_ptr_equal(mmap(p, 4 * PAGE, PROT_READ,
					      MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0),
					 p);
		assert_int_equal(hmm_mm_barrier(m.mm, 1000000), -ETIME);
		pthread_mutex_unlock(&m.mm->files->lock);
		assert_int_equal(hmm_mm_barrier(m.mm, HMM_FOREVER), 0);
		assert_int_equal(count_descriptors(), before);
		munmap(p, 4 * PAGE);
	}
	mirror_close(&m);
	unlink(path);
	close(fd);
}

static bool has_descriptor_of(const char *path)
{
	char real[PATH_MAX], at[64], to[PATH_MAX]; /* as realpath() wants */
	ssize_t n;

	assert_non_null(realpath(path, real));
	for (int fd = 0; fd < 1024; fd++) {
		snprintf(at, sizeof(at), "/proc/self/fd/%d", fd);
		n = readlink(at, to, sizeof(to) - 1);
		if (n > 0 && (to[n] = 0, !strcmp(to, real)))
			return true;
	}
	return false;
}

static void a_child_inherits_no_descriptor(void **state)
{
	struct filed *f = *state;
	int status;
	pid_t pid;

	close(f->fd);
	assert_true(has_descriptor_of(f->path));
	pid = fork();
	if (!pid)
		_exit(has_descriptor_of(f->path));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_true(has_descriptor_of(f->path));
	f->fd = open(f->path, O_RDWR);
	assert_true(f->fd >= 0);
}

/* Where only what was touched of a large file is registered, only the unmapping of that is told. */
static void a_file_goes_with_its_last_registered_part(void **state)
{
	const size_t size = 8UL << 20;
	struct mirror m;
	char path[32];
	int fd = make_file(path, PAGE);
	char *p;

	(void)state;
	assert_int_equal(ftruncate(fd, (off_t)size), 0);
	mirror_open(&m, HMM_MM_FILE_CHUNKS);
	p = map_fd(size, PROT_READ, MAP_SHARED, fd, 0);
	assert_int_equal(fault(&m, p, 1, REQ_READ), 0);
	munmap(p, size / 2);
	assert_int_equal(hmm_mm_barrier(m.mm, HMM_FOREVER), 0);
	assert_int_equal(m.mm->files->n_files, 0);
	/* the rest can be mirrored all the same */
	assert_int_equal(fault(&m, p + size / 2, 1, REQ_READ), 0);
	assert_false(transient(&m, 0));
	assert_int_equal(hmm_range_check_timeout(&m.range, HMM_CHECK_ALL, m.timeout_ns), 0);
	munmap(p + size / 2, size / 2);
	mirror_close(&m);
	unlink(path);
	close(fd);
}

static int unprivileged(void)
{
	struct filed f;

	if (chdir("/tmp"))
		return 1;
	open_filed(&f, PROT_READ);
	if (ftruncate(f.fd, 4 * PAGE))
		return 2;
	expect_changed(&f, 4);
	unlink(f.path);
	close(f.fd);
	/* nobody has a descriptor, but we */
	if (hmm_range_check(&f.m.range, HMM_CHECK_ALL) && fault(&f.m, f.p, 4, REQ_READ))
		return 3;
	mirror_close(&f.m);
	return 0;
}

static void works_unprivileged(void **state)
{
	(void)state;
	assert_int_equal(in_child(unprivileged, true), 0);
}

int main(void)
{
#define R(f) cmocka_unit_test_setup_teardown(f, setup_read, teardown)
#define W(f) cmocka_unit_test_setup_teardown(f, setup_write, teardown)
	const struct CMUnitTest files[] = {
		R(truncation_is_found),
		W(extension_is_found),
		R(punching_is_found),
		W(zeroing_is_found),
		R(change_by_another_process_is_found),
		R(a_second_change_in_the_same_tick_is_found),
		R(a_racy_stamp_proves_nothing),
		R(telling_is_synchronous),
		W(writeback_is_told),
		R(writeback_takes_nothing_from_readers),
		W(faults_for_writing_are_no_change),
		W(change_during_a_fault_for_writing_is_found),
		cmocka_unit_test(descriptors_are_not_hoarded),
		R(a_child_inherits_no_descriptor),
		cmocka_unit_test(a_barrier_closes_what_was_unmapped),
		cmocka_unit_test(a_file_goes_with_its_last_registered_part),
		cmocka_unit_test(works_unprivileged),
	};
	const struct CMUnitTest others[] = {
		cmocka_unit_test(memfd_change_is_found),
		cmocka_unit_test(a_file_that_may_be_another_vouches_for_nothing),
		cmocka_unit_test(a_file_is_known_though_its_mapping_changed_when_it_was_opened),
		cmocka_unit_test(a_file_found_late_vouches_for_nothing_older),
		cmocka_unit_test(a_change_told_while_a_fault_is_on_its_way_does_not_hide_the_next),
		cmocka_unit_test(less_permission_is_found),
		cmocka_unit_test(sysv_detach_is_found_unasked),
		cmocka_unit_test(remapped_file_pages_are_found),
		cmocka_unit_test(guard_pages_are_found),
	};
	struct mirror m;
	bool cached;
	int failed = cmocka_run_group_tests(others, NULL, NULL);

	mirror_open(&m, 0);
	cached = mm_wp_async(m.mm);
	mirror_close(&m);
	if (cached)
		return failed + cmocka_run_group_tests(files, NULL, NULL);
	puts("no asynchronous write-protection: files are never cached, their tests are left out");
	return failed ? failed : 77;
}
