// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* Exclusive access to shared memory: its pages stay, and the CPU cannot reach them. */
#include "common/hammer.h"

#include <sys/syscall.h>
#include <sys/wait.h>

static struct with_devmem with;
static char me; /* the device */

static int setup(void **state)
{
	devmem_open(&with, 2 * MIB, 0);
	*state = &with;
	return 0;
}

static int teardown(void **state)
{
	devmem_close(*state);
	return 0;
}

static int open_memfd(size_t pages)
{
	const int fd = memfd_create("shared", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, (off_t)(pages * PAGE)), 0);
	return fd;
}

static char *map_file(int fd, size_t pages)
{
	return map_fd(pages * PAGE, RW, MAP_SHARED, fd, 0);
}

static char *map_shared(size_t pages)
{
	return map_fd(pages * PAGE, RW, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
}

static int try(struct with_devmem *w, const char *p, size_t pages, struct hmm_exclusive **ex)
{
	*ex = NULL;
	return hmm_exclusive_begin(w->m.mm, at(p), at(p) + pages * PAGE, &me, HMM_FOREVER, ex);
}

static struct hmm_exclusive *take(struct with_devmem *w, const char *p, size_t pages)
{
	struct hmm_exclusive *ex;

	assert_int_equal(try(w, p, pages, &ex), 0);
	return ex;
}

static int has(struct hmm_exclusive *ex, const char *p)
{
	return hmm_exclusive_check(ex, at(p), NULL);
}

static unsigned int *reach(struct hmm_exclusive *ex, const char *p)
{
	uint64_t where = 0;

	assert_int_equal(hmm_exclusive_check(ex, at(p), &where), 0);
	assert_int_not_equal(where, at(p));
	return (unsigned int *)(uintptr_t)where;
}

static void a_touch_revokes_one_page_of(struct with_devmem *w, char *p)
{
	struct hmm_exclusive *ex;

	number(p, 2, 1);
	ex = take(w, p, 4); /* two were never touched */
	for (size_t i = 0; i < 4; i++)
		*reach(ex, p + i * PAGE) += 10;
	assert_int_equal(*(volatile unsigned int *)(p + PAGE), 12);
	assert_int_equal(has(ex, p + PAGE), -ESTALE);
	assert_int_equal(has(ex, p), 0);
	assert_int_equal(has(ex, p + 2 * PAGE), 0);
	*(volatile unsigned int *)(p + 2 * PAGE) += 1;
	assert_int_equal(has(ex, p + 2 * PAGE), -ESTALE);
	*reach(ex, p) += 1;
	hmm_exclusive_end(ex);
	assert_int_equal(*(unsigned int *)p, 12);
	assert_int_equal(*(unsigned int *)(p + 2 * PAGE), 11);
	assert_int_equal(*(unsigned int *)(p + 3 * PAGE), 10);
	munmap(p, 4 * PAGE);
}

static void a_touch_revokes_one_page(void **state)
{
	const int fd = open_memfd(4);

	a_touch_revokes_one_page_of(*state, map_shared(4));
	a_touch_revokes_one_page_of(*state, map_file(fd, 4));
	close(fd);
}

static void others_are_told(void **state)
{
	struct with_devmem *w = *state;
	char *p = map_shared(2);
	struct hmm_exclusive *first;
	struct hmm_exclusive *second;

	number(p, 2, 1);
	assert_int_equal(fault(&w->m, p, 2, REQ_WRITE), 0);
	w->m.events[HMM_EVENT_EXCLUSIVE] = 0;
	first = take(w, p, 2);
	assert_int_equal(w->m.events[HMM_EVENT_EXCLUSIVE], 1);
	if (!w->m.mm->log) /* the program has moved nothing */
		assert_int_equal(w->m.events[HMM_EVENT_MOVE], 0);
	second = take(w, p + PAGE, 1);
	assert_int_equal(has(first, p), 0);
	assert_int_equal(has(first, p + PAGE), -ESTALE);
	hmm_exclusive_end(first);
	*reach(second, p + PAGE) = 3;
	/* a device that faults takes it from the other */
	assert_int_equal(fault(&w->m, p, 2, REQ_WRITE), 0);
	assert_int_equal(has(second, p + PAGE), -ESTALE);
	hmm_exclusive_end(second);
	assert_int_equal(*(unsigned int *)(p + PAGE), 3);
	munmap(p, 2 * PAGE);
}

static int note_run(const struct hmm_place_run *run, void *arg)
{
	*(struct hmm_place_run *)arg = *run;
	return 0;
}

static void its_place_is_told(void **state)
{
	struct with_devmem *w = *state;
	char *p = map_shared(1);
	struct hmm_exclusive *ex = take(w, p, 1);
	struct hmm_place_run run;

	assert_int_equal(hmm_place_walk(w->m.mm, at(p), at(p) + PAGE, note_run, &run), 0);
	assert_int_equal(run.place, HMM_PLACE_EXCLUSIVE);
	assert_int_equal(run.device_start, at(reach(ex, p)));
	assert_int_equal(run.stays, HMM_MIGRATE_SHARED);
	hmm_exclusive_end(ex);
	assert_int_equal(hmm_place_walk(w->m.mm, at(p), at(p) + PAGE, note_run, &run), 0);
	assert_int_equal(run.place, HMM_PLACE_SYSTEM);
	munmap(p, PAGE);
}

/* A range of both kinds, in one call. */
static void private_memory_beside_it(void **state)
{
	struct with_devmem *w = *state;
	char *p = map_anon(4 * PAGE, RW);
	struct hmm_exclusive *ex;

	assert_ptr_equal(
		mmap(p + PAGE, 2 * PAGE, RW, MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED, -1, 0),
		p + PAGE);
	number(p, 4, 1);
	ex = take(w, p, 4);
	for (size_t i = 0; i < 4; i++)
		*reach(ex, p + i * PAGE) += 10;
	hmm_exclusive_end(ex);
	assert_numbered(p, 4, 11);
	munmap(p, 4 * PAGE);
}

static void what_cannot_be_had_is_said(void **state)
{
	struct with_devmem *w = *state;
	const int fd = open_memfd(4);
	char *p = map_file(fd, 4);
	char *private = map_fd(PAGE, RW, MAP_PRIVATE, fd, 0);
	struct hmm_exclusive *ex;

	number(p, 4, 1);
	assert_int_equal(mprotect(p, PAGE, PROT_READ), 0);
	assert_int_equal(try(w, p, 1, &ex), -EBUSY);
	assert_int_equal(try(w, private, 1, &ex), -EBUSY);
	/* beyond the end of the file */
	assert_int_equal(ftruncate(fd, 3 * PAGE), 0);
	assert_int_equal(try(w, p + 3 * PAGE, 1, &ex), -EBUSY);
	assert_int_equal(fault(&w->m, p + 3 * PAGE, 1, REQ_WRITE), -EFAULT);
	/* not libc's, which does nothing under a sanitizer */
	if (!syscall(SYS_mlock, p + PAGE, PAGE)) {
		assert_int_equal(try(w, p + PAGE, 1, &ex), -EBUSY);
		syscall(SYS_munlock, p + PAGE, PAGE);
	}
	hmm_exclusive_end(take(w, p + PAGE, 1));
	assert_numbered(p, 3, 1);
	munmap(p, 4 * PAGE);
	munmap(private, PAGE);
	close(fd);
}

static void changes_of_the_memory_revoke(void **state)
{
	struct with_devmem *w = *state;
	char *p = map_shared(6);
	char *to = map_anon(PAGE, RW);
	struct hmm_exclusive *ex;

	number(p, 6, 1);
	ex = take(w, p, 6);
	*reach(ex, p) += 10;
	assert_int_equal(madvise(p, PAGE, MADV_DONTNEED), 0);
	assert_int_equal(madvise(p + PAGE, PAGE, MADV_REMOVE), 0);
	munmap(p + 5 * PAGE, PAGE);
	assert_ptr_equal(mremap(p + 4 * PAGE, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, to), to);
	assert_int_equal(hmm_mm_barrier(w->m.mm, HMM_FOREVER), 0);
	assert_int_equal(has(ex, p), -ESTALE);
	assert_int_equal(has(ex, p + PAGE), -ESTALE);
	assert_int_equal(has(ex, p + 2 * PAGE), 0);
	assert_int_equal(has(ex, p + 4 * PAGE), -ESTALE);
	assert_int_equal(has(ex, p + 5 * PAGE), -ESTALE);
	hmm_exclusive_end(ex);
	assert_int_equal(*(unsigned int *)p, 11);
	assert_int_equal(*(unsigned int *)(p + PAGE), 0);
	assert_int_equal(*(unsigned int *)to, 5);
	assert_numbered(p + 2 * PAGE, 2, 3);
	munmap(p, 4 * PAGE);
	munmap(to, PAGE);
}

/* Nobody tells of a hole in the file: what comes in its place is not the CPU's alone either. */
static void a_hole_is_no_way_around(void **state)
{
	struct with_devmem *w = *state;
	const int fd = open_memfd(1);
	char *p = map_file(fd, 1);
	struct hmm_exclusive *ex;

	number(p, 1, 1);
	ex = take(w, p, 1);
	assert_int_equal(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, PAGE), 0);
	assert_int_equal(has(ex, p), 0);
	assert_int_equal(*(volatile unsigned int *)p, 0);
	assert_int_equal(has(ex, p), -ESTALE);
	hmm_exclusive_end(ex);
	munmap(p, PAGE);
	close(fd);
}

/* The child is another process, so it is not kept out, but parent and child see the same page. */
static void a_child_shares_the_page(void **state)
{
	struct with_devmem *w = *state;
	char *p = map_shared(1);
	struct hmm_exclusive *ex;
	pid_t pid;

	number(p, 1, 1);
	ex = take(w, p, 1);
	*reach(ex, p) = 5;
	pid = fork();
	if (!pid) {
		if (*(unsigned int *)p != 5 || has(ex, p) != -ESRCH)
			_exit(1);
		++*(unsigned int *)p;
		_exit(0);
	}
	assert_int_equal(status_of(pid), 0);
	assert_int_equal(has(ex, p), -ESTALE);
	hmm_exclusive_end(ex);
	assert_numbered(p, 1, 6);
	munmap(p, PAGE);
}

/* A late store of an engine that was run over must not reach the page. */
static void a_late_store_is_lost(void **state)
{
	struct with_devmem *w = *state;
	char *p = map_shared(1);
	struct hmm_exclusive *ex;
	struct hmm_engine *engine;
	unsigned int *late;

	number(p, 1, 1);
	assert_int_equal(hmm_engine_create(w->m.mm, &engine), 0);
	ex = take(w, p, 1);
	hmm_engine_enter(engine);
	late = reach(ex, p);
	/* This thread sleeps inside its section, so the touch runs it over. */
	*(volatile unsigned int *)p += 1;
	*late = 7;
	assert_false(hmm_engine_exit(engine));
	assert_int_equal(*(unsigned int *)p, 2);
	hmm_exclusive_end(ex);
	hmm_engine_destroy(engine);
	munmap(p, PAGE);
}

static void frames_are_used_again(void **state)
{
	struct with_devmem *w = *state;
	const struct hmm_devmem *alias;
	char *p = map_shared(3);
	uint32_t left;

	number(p, 3, 1);
	/* more than the library has room for, taken together */
	for (unsigned int i = 0; i < 200; i++) {
		struct hmm_exclusive *ex = take(w, p, 3);

		*reach(ex, p + PAGE) += 1;
		hmm_exclusive_end(ex);
	}
	assert_int_equal(*(unsigned int *)(p + PAGE), 202);
	alias = devmem_of(w->m.mm)->alias;
	pthread_mutex_lock(&w->m.mm->region_lock);
	left = alias->used - alias->dying;
	pthread_mutex_unlock(&w->m.mm->region_lock);
	assert_int_equal(left, 0);
	munmap(p, 3 * PAGE);
}

/* ---- no update is lost --------------------------------------------------------------------- */

static void no_update_is_lost(void **state)
{
	const int fd = open_memfd(1);
	char *page = map_file(fd, 1);

	hammer_page(*state, page, 3000);
	munmap(page, PAGE);
	close(fd);
}

struct disturber {
	char *page; /* the words lie in the middle of three pages */
	_Atomic bool stop;
};

/* Whatever a program does to its memory, but for what loses the words. */
static void *disturb(void *arg)
{
	struct disturber *d = arg;

	for (unsigned int i = 0; !d->stop; i++) {
		pid_t pid;

		switch (i % 5) {
		case 0:
			madvise(d->page, PAGE, MADV_DONTNEED);
			break;
		case 1:
			mprotect(d->page - PAGE, PAGE, i & 1 ? PROT_READ : RW);
			break;
		case 2:
			mmap(d->page + PAGE, PAGE, RW, MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED, -1,
			     0);
			break;
		case 3:
			madvise(d->page - PAGE, 2 * PAGE, MADV_DONTNEED);
			break;
		default:
			if (i % 25 != 24)
				break;
			pid = fork();
			if (!pid)
				_exit(0);
			waitpid(pid, NULL, 0);
		}
		sched_yield();
	}
	return NULL;
}

static void no_update_is_lost_whatever_happens(void **state)
{
	char *three = map_shared(3);
	struct disturber d = { .page = three + PAGE };
	pthread_t thread;

	assert_int_equal(pthread_create(&thread, NULL, disturb, &d), 0);
	hammer_page(*state, d.page, 1000);
	d.stop = true;
	pthread_join(thread, NULL);
	munmap(three, 3 * PAGE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_touch_revokes_one_page, setup, teardown),
		cmocka_unit_test_setup_teardown(others_are_told, setup, teardown),
		cmocka_unit_test_setup_teardown(its_place_is_told, setup, teardown),
		cmocka_unit_test_setup_teardown(private_memory_beside_it, setup, teardown),
		cmocka_unit_test_setup_teardown(what_cannot_be_had_is_said, setup, teardown),
		cmocka_unit_test_setup_teardown(changes_of_the_memory_revoke, setup, teardown),
		cmocka_unit_test_setup_teardown(a_hole_is_no_way_around, setup, teardown),
		cmocka_unit_test_setup_teardown(a_child_shares_the_page, setup, teardown),
		cmocka_unit_test_setup_teardown(a_late_store_is_lost, setup, teardown),
		cmocka_unit_test_setup_teardown(frames_are_used_again, setup, teardown),
		cmocka_unit_test_setup_teardown(no_update_is_lost, setup, teardown),
		cmocka_unit_test_setup_teardown(no_update_is_lost_whatever_happens, setup,
						teardown),
	};

	if (devmem_is_missing())
		return 77;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
