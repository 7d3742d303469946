// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * Rules of the protocol by the public interface alone; those that need a window held open are in
 * timeline_test.c.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "held.h"
#include "memory.h"

#define PAGE 4096UL
#define RW (PROT_READ | PROT_WRITE)

struct fixture {
	struct hmm_mm *mm;
	struct memory m;
};

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000ULL + (uint64_t)ts.tv_nsec;
}

static void sleep_ms(long ms)
{
	struct timespec ts = { ms / 1000, ms % 1000 * 1000000 };

	nanosleep(&ts, NULL);
}

static void open_space(struct fixture *f, enum memory_kind kind)
{
	f->mm = held_attach(0);
	assert_non_null(f->mm);
	assert_null(memory_map(&f->m, kind));
}

static void close_space(struct fixture *f)
{
	hmm_mm_detach(f->mm);
	memory_unmap(&f->m);
}

/* Where nothing tells whether a segment is registered, its pages are used once and not held. */
static void need_held(struct held *h)
{
	if (!h->transient)
		return;
	assert_false(held_installed(h));
	print_message("System V segments are never held here (PAGEMAP_SCAN)\n");
	skip();
}

/*
 * A (holds a page)		program			B (device fault of another page)
 *				shmdt, shmat another
 *							registers, remembers the new mapping
 * asks: mapping as remembered	-> must have been killed before
 */
static void registration_kills_what_was_held_of_the_range(void **state)
{
	struct fixture f;
	struct held a, b;
	int id;

	open_space(&f, MEMORY_SYSV);
	assert_int_equal(held_make(&a, f.mm, (uint64_t)f.m.p, HOLD_REF), 0);
	assert_int_equal(held_make(&b, f.mm, (uint64_t)f.m.p + PAGE, HOLD_REF), 0);
	need_held(&a);
	assert_true(held_valid_checked(&a));
	assert_int_equal(shmdt(f.m.p), 0);
	id = shmget(IPC_PRIVATE, f.m.len, IPC_CREAT | 0600);
	assert_ptr_equal(shmat(id, f.m.p, 0), f.m.p);
	shmctl(id, IPC_RMID, NULL);
	memset(f.m.p, 1, f.m.len);
	assert_false(held_valid_checked(&a));
	held_drop(&b);
	assert_int_equal(held_make(&b, f.mm, (uint64_t)f.m.p + PAGE, HOLD_REF), 0);
	assert_true(held_valid_checked(&b));
	assert_false(held_valid_checked(&a));
	assert_false(held_installed(&a));
	assert_int_equal(held_byte(&a), OLD_BYTE);
	held_drop(&a);
	held_drop(&b);
	shmdt(f.m.p);
	f.m.gone = true;
	close_space(&f);
}

/* The same segment at the same place: mapped as it was, but nobody watches it any more. */
static void a_segment_attached_again_is_not_the_mapping_that_was_registered(void **state)
{
	int id = shmget(IPC_PRIVATE, 4 * PAGE, IPC_CREAT | 0600);
	char *p = shmat(id, memory_place(), 0), *alias = shmat(id, NULL, 0);
	struct hmm_mm *mm = held_attach(0);
	struct held h;

	shmctl(id, IPC_RMID, NULL);
	assert_ptr_not_equal(p, (void *)-1);
	memset(p, OLD_BYTE, 4 * PAGE);
	assert_int_equal(held_make(&h, mm, (uint64_t)p, HOLD_REF), 0);
	need_held(&h);
	assert_true(held_valid_checked(&h));
	assert_int_equal(shmdt(p), 0);
	assert_ptr_equal(shmat(id, p, 0), p);
	p[0] = OLD_BYTE;
	assert_false(held_valid_checked(&h));
	assert_int_equal(madvise(p, 4 * PAGE, MADV_REMOVE), 0);
	p[0] = 1;
	assert_false(held_valid_checked(&h));
	assert_int_equal(held_byte(&h), OLD_BYTE);
	held_drop(&h);
	hmm_mm_detach(mm);
	shmdt(p);
	shmdt(alias);
}

/* SHM_REMAP takes a mapping's place without an event: the permission and mapping check sees it. */
static void a_segment_attached_over_memory_is_seen_by_the_checks(void **state)
{
	struct fixture f;
	struct held h;
	int id;

	open_space(&f, MEMORY_ANON);
	assert_int_equal(held_make(&h, f.mm, (uint64_t)f.m.p, HOLD_REF), 0);
	id = shmget(IPC_PRIVATE, f.m.len, IPC_CREAT | 0600);
	assert_ptr_equal(shmat(id, f.m.p, SHM_REMAP), f.m.p);
	shmctl(id, IPC_RMID, NULL);
	f.m.p[0] = 1;
	assert_int_equal(held_byte(&h), OLD_BYTE);
	assert_false(held_valid_checked(&h));
	assert_int_equal(
		hmm_mm_note(f.mm, HMM_NOTE_DETACH, (uint64_t)f.m.p, (uint64_t)f.m.p + f.m.len), 0);
	assert_false(held_installed(&h));
	held_drop(&h);
	close_space(&f);
}

static void what_changed_before_the_commit_is_not_committed(void **state)
{
	struct fixture f;
	struct held h;
	uint64_t pfn = 0;
	struct hmm_range r = { .size = sizeof(r), .hmm_pfns = &pfn };

	open_space(&f, MEMORY_ANON);
	assert_int_equal(held_make(&h, f.mm, (uint64_t)f.m.p, HOLD_REF), 0);
	r.notifier = hold_range_notifier(h.range);
	r.start = (uint64_t)f.m.p;
	r.end = r.start + PAGE;
	r.default_flags = HMM_PFN_REQ_FAULT;
	assert_int_equal(hmm_range_fault(&r, HMM_FOREVER), 0);
	assert_ptr_equal(mmap(f.m.p, PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0),
			 f.m.p);
	hmm_mm_commit_begin(f.mm);
	assert_true(hmm_interval_read_retry(r.notifier, r.notifier_seq));
	hmm_mm_commit_end(f.mm);
	held_drop(&h);
	close_space(&f);
}

/* So long the library waits for an engine at work. */
#define OVERRUN_NS 1000000000ULL

struct engine_thread {
	struct hmm_mm *mm;
	long hold_ms;
	_Atomic bool inside, left;
	bool stood;
};

/* Busy all the while: an engine that sleeps is run over sooner. */
static void *long_section(void *arg)
{
	struct engine_thread *e = arg;
	struct hmm_engine *engine;
	uint64_t until;

	if (hmm_engine_create(e->mm, &engine))
		return NULL;
	hmm_engine_enter(engine);
	e->inside = true;
	until = now_ns() + (uint64_t)e->hold_ms * 1000000ULL;
	while (now_ns() < until)
		;
	e->left = true;
	e->stood = hmm_engine_exit(engine);
	hmm_engine_destroy(engine);
	return NULL;
}

/*
 * Also when that takes longer than the watchdog's patience: it must not read over engines at work.
 */
static void munmap_returns_after_the_section_that_uses_its_page(void **state)
{
	struct engine_thread e = { .hold_ms = 200 };
	uint64_t begun, took;
	struct fixture f;
	pthread_t thread;
	struct held h;
	bool left;

	open_space(&f, MEMORY_ANON);
	e.mm = f.mm;
	assert_int_equal(held_make(&h, f.mm, (uint64_t)f.m.p, HOLD_REF), 0);
	assert_int_equal(pthread_create(&thread, NULL, long_section, &e), 0);
	while (!e.inside)
		sched_yield();
	begun = now_ns();
	assert_int_equal(munmap(f.m.p, f.m.len), 0);
	left = e.left;
	took = now_ns() - begun;
	f.m.gone = true;
	pthread_join(thread, NULL);
	/* A busy machine may not run the engine for longer. Then it is told so. */
	if (took < OVERRUN_NS) {
		assert_true(left);
		assert_true(e.stood);
	}
	assert_true(left || !e.stood);
	assert_false(held_installed(&h));
	held_drop(&h);
	close_space(&f);
}

static bool has_userfaultfd(void)
{
	char path[64], what[64];
	bool found = false;
	int fd;

	for (fd = 0; fd < 1024 && !found; fd++) {
		ssize_t n;

		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		n = readlink(path, what, sizeof(what) - 1);
		what[n > 0 ? n : 0] = 0;
		found = strstr(what, "userfaultfd") != NULL;
	}
	return found;
}

static void a_forked_child_holds_no_userfaultfd_and_is_refused(void **state)
{
	uint64_t seq;
	struct fixture f;
	struct held h;
	int status;
	pid_t pid;

	open_space(&f, MEMORY_ANON);
	assert_int_equal(held_make(&h, f.mm, (uint64_t)f.m.p, HOLD_REF), 0);
	seq = hold_range_page(h.range, 0)->seq;
	assert_true(has_userfaultfd());
	pid = fork();
	if (!pid) {
		int wrong = has_userfaultfd() ? 1 : 0;

		wrong |= hmm_mm_barrier(f.mm, 1000000) != -ESRCH ? 2 : 0;
		wrong |= !hmm_interval_stale(hold_range_notifier(h.range), seq) ? 4 : 0;
		wrong |= hmm_mm_note(f.mm, HMM_NOTE_PROTECT, 0, 4096) != -ESRCH ? 8 : 0;
		wrong |= hmm_mm_check_files(f.mm) != -ESRCH ? 16 : 0;
		wrong |= munmap(f.m.p, f.m.len) ? 32 : 0;
		_exit(wrong);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	held_drop(&h);
	close_space(&f);
}

/* A child that does one thing when told, and ends when told again. */
struct child {
	pid_t pid;
	int go[2], did[2];
};

static void child_start(struct child *c, void (*act)(struct fixture *f), struct fixture *f)
{
	char byte;

	assert_int_equal(pipe(c->go) | pipe(c->did), 0);
	c->pid = fork();
	assert_true(c->pid >= 0);
	if (c->pid)
		return;
	if (read(c->go[0], &byte, 1) == 1)
		act(f);
	if (write(c->did[1], "", 1) == 1 && read(c->go[0], &byte, 1) == 1)
		_exit(0);
	_exit(1);
}

static void child_act(struct child *c)
{
	char byte;

	assert_int_equal(write(c->go[1], "", 1), 1);
	assert_int_equal(read(c->did[0], &byte, 1), 1);
}

static void child_end(struct child *c)
{
	int status;

	assert_int_equal(write(c->go[1], "", 1), 1);
	assert_int_equal(waitpid(c->pid, &status, 0), c->pid);
	assert_int_equal(status, 0);
	close(c->go[0]);
	close(c->go[1]);
	close(c->did[0]);
	close(c->did[1]);
}

static void truncate_file(struct fixture *f)
{
	if (ftruncate(f->m.fd, 0) || ftruncate(f->m.fd, (off_t)f->m.len))
		_exit(2);
}

static void write_memory(struct fixture *f)
{
	memset(f->m.p, 1, f->m.len);
}

static void another_process_truncates(enum memory_kind kind)
{
	struct fixture f;
	struct child c;
	struct held h;

	open_space(&f, kind);
	child_start(&c, truncate_file, &f);
	assert_int_equal(held_make(&h, f.mm, (uint64_t)f.m.p, HOLD_REF), 0);
	assert_true(held_valid_checked(&h));
	child_act(&c);
	assert_int_equal(held_byte(&h), OLD_BYTE);
	assert_false(held_valid_checked(&h));
	assert_true(hmm_mm_check_files(f.mm) >= 0);
	assert_false(held_installed(&h));
	child_end(&c);
	held_drop(&h);
	close_space(&f);
}

static void a_file_truncated_by_another_process_is_seen(void **state)
{
	another_process_truncates(MEMORY_FILE);
}

static void shared_memory_truncated_by_another_process_is_seen(void **state)
{
	another_process_truncates(MEMORY_SHMEM);
}

struct writer {
	struct hmm_mm *mm;
	struct memory m;
	_Atomic bool stop;
};

static void *fault_for_writing(void *arg)
{
	struct writer *w = arg;
	struct held h;

	if (held_make(&h, w->mm, (uint64_t)w->m.p + 2 * PAGE, HOLD_REF))
		return NULL;
	while (!w->stop)
		hold_fault(h.range, 0, HOLD_REF, true, 5000000000ULL);
	held_drop(&h);
	return NULL;
}

/*
 * While another device faults the memfd for writing its change time proves nothing. Where inotify
 * tells of the hole the checks refuse all the same; where it does not, the table says "unseen" and
 * this shows it.
 */
static void a_hole_in_a_memfd_is_seen_as_the_table_says(void **state)
{
	struct hmm_coherence_cell said;
	struct writer w = { .stop = false };
	unsigned int stale = 0, round;
	struct fixture f;
	pthread_t thread;
	struct held h;
	uint64_t end;

	open_space(&f, MEMORY_SHMEM);
	assert_int_equal(hmm_coherence(f.mm, HMM_OP_PUNCH_HOLE, HMM_VMA_SHMEM, &said), 0);
	w.mm = f.mm;
	w.m = f.m;
	assert_int_equal(pthread_create(&thread, NULL, fault_for_writing, &w), 0);
	end = now_ns() + 8000000000ULL; /* an emulated machine has fewer rounds */
	for (round = 0; round < 3000 && !stale && (round < 100 || now_ns() < end); round++) {
		f.m.p[0] = OLD_BYTE;
		if (held_make(&h, f.mm, (uint64_t)f.m.p, HOLD_REF))
			continue;
		fallocate(f.m.fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, (off_t)PAGE);
		f.m.p[0] = 1;
		if (!h.transient && held_valid_checked(&h) && held_byte(&h) == OLD_BYTE)
			stale++;
		held_drop(&h);
	}
	w.stop = true;
	pthread_join(thread, NULL);
	if (said.guarantee == HMM_VALIDATED)
		assert_int_equal(stale, 0);
	else
		print_message("unseen, as the table says: %s in %u rounds\n",
			      stale ? "found" : "not found", round);
	close_space(&f);
}

/* The child gets the copy: what the parent faulted for writing after the fork stands. */
static void a_childs_copy_on_write_leaves_the_parent_alone(void **state)
{
	struct fixture f;
	struct child c;
	struct held h;

	open_space(&f, MEMORY_ANON);
	child_start(&c, write_memory, &f);
	assert_int_equal(held_make(&h, f.mm, (uint64_t)f.m.p, HOLD_REF), 0);
	assert_true(held_valid_checked(&h));
	child_act(&c);
	assert_true(held_installed(&h));
	assert_true(held_valid_checked(&h));
	f.m.p[0] = 2;
	assert_int_equal(held_byte(&h), 2);
	child_end(&c);
	held_drop(&h);
	close_space(&f);
}

struct unmapper {
	_Atomic bool stop;
	_Atomic unsigned long times;
};

static void *unmap_and_map(void *arg)
{
	struct unmapper *u = arg;
	char *p = (char *)0x150000000000UL;

	while (!u->stop) {
		if (mmap(p, 4 * PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1,
			 0) == p) {
			p[0] = 1;
			munmap(p, 4 * PAGE);
		}
		u->times++;
	}
	return NULL;
}

/* Whatever is queued while the space goes away is read: nobody stays blocked. */
static void teardown_reads_until_quiet(void **state)
{
	struct unmapper u = { .stop = false };
	pthread_t thread;
	unsigned long times;
	int i;

	assert_int_equal(pthread_create(&thread, NULL, unmap_and_map, &u), 0);
	for (i = 0; i < 20; i++) {
		struct hmm_mm *mm = held_attach(0);
		struct held h;

		assert_non_null(mm);
		/* Mirrored or, if it is just unmapped, not. */
		held_make(&h, mm, 0x150000000000UL, HOLD_REF);
		sleep_ms(2);
		held_drop(&h);
		hmm_mm_detach(mm);
	}
	times = u.times;
	for (i = 0; i < 6000 && u.times == times; i++)
		sleep_ms(10);
	assert_true(u.times > times);
	u.stop = true;
	pthread_join(thread, NULL);
}

#define LEAD (32UL << 20)

struct discarder {
	char *p;
	_Atomic bool go, over;
};

static void *discard_all(void *arg)
{
	struct discarder *d = arg;

	while (!d->go)
		;
	madvise(d->p, LEAD + PAGE, MADV_DONTNEED);
	d->over = true;
	return NULL;
}

/*
 * program				pump			device fault of the last page
 * MADV_DONTNEED announced		read, invalidated
 * frees page after page					the page is still there: TRANSIENT
 * frees the last page
 */
static void what_is_faulted_while_a_discard_goes_on_is_not_cached(void **state)
{
	struct discarder d = { .go = false };
	unsigned int stale = 0, during = 0, round;
	struct hmm_mm *mm = held_attach(0);
	struct held h;

	d.p = mmap(NULL, LEAD + PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(d.p, MAP_FAILED);
	madvise(d.p, LEAD + PAGE, MADV_NOHUGEPAGE);
	assert_int_equal(held_make(&h, mm, (uint64_t)d.p + LEAD, HOLD_REF), 0);
	for (round = 0; round < 10; round++) {
		uint64_t before;
		pthread_t thread;

		memset(d.p, OLD_BYTE, LEAD + PAGE);
		hold_fault(h.range, 0, HOLD_REF, true, 5000000000ULL);
		before = hold_range_callbacks(h.range);
		d.over = false;
		d.go = false;
		assert_int_equal(pthread_create(&thread, NULL, discard_all, &d), 0);
		d.go = true;
		while (!d.over) {
			if (hold_range_callbacks(h.range) == before || held_installed(&h))
				continue;
			during++;
			hold_fault(h.range, 0, HOLD_REF, true, 5000000000ULL);
		}
		pthread_join(thread, NULL);
		if (held_installed(&h) && held_byte(&h) == OLD_BYTE && held_valid(&h))
			stale++;
	}
	assert_int_equal(stale, 0);
	print_message("%u faults while discards went on\n", during);
	held_drop(&h);
	hmm_mm_detach(mm);
	munmap(d.p, LEAD + PAGE);
}

#define GUARD_INSTALL 102
#define GUARD_REMOVE 103

static sigjmp_buf too_long;

static void on_alarm(int sig)
{
	siglongjmp(too_long, 1);
}

/* 0; -errno; -ETIME: did not come back. */
static int guard_in_time(char *p, size_t len)
{
	struct sigaction sa = { .sa_handler = on_alarm };
	int ret;

	sigaction(SIGALRM, &sa, NULL);
	if (sigsetjmp(too_long, 1))
		return -ETIME;
	alarm(60);
	ret = madvise(p, len, GUARD_INSTALL) ? -errno : 0;
	alarm(0);
	return ret;
}

static void *run_on(void *arg)
{
	while (!*(_Atomic bool *)arg)
		;
	return NULL;
}

/*
 * A thread that runs keeps a discard pending. What is faulted meanwhile must not be write-protected
 * where a file is behind it: the kernel would keep markers, and never come back from putting guards
 * in their place.
 */
static void guards_are_installed_after_a_discard(enum memory_kind kind, int flags)
{
	_Atomic bool stop = false;
	struct fixture f;
	pthread_t thread;
	struct held h;
	char *p;
	int ret;

	open_space(&f, kind);
	p = mmap(NULL, f.m.len, RW, flags, f.m.fd, 0);
	assert_ptr_not_equal(p, MAP_FAILED);
	assert_int_equal(pthread_create(&thread, NULL, run_on, (void *)&stop), 0);
	assert_int_equal(held_make(&h, f.mm, (uint64_t)p, HOLD_REF), 0);
	assert_int_equal(madvise(p, f.m.len, MADV_DONTNEED), 0);
	hold_fault(h.range, 0, HOLD_REF, false, 5000000000ULL);
	ret = guard_in_time(p, f.m.len);
	assert_int_not_equal(ret, -ETIME);
	if (!ret)
		madvise(p, f.m.len, GUARD_REMOVE);
	stop = true;
	pthread_join(thread, NULL);
	held_drop(&h);
	munmap(p, f.m.len);
	close_space(&f);
	if (ret) {
		print_message("this kernel has no guards there: %s\n", strerror(-ret));
		skip();
	}
}

static void guards_can_be_installed_in_a_private_mapping_after_a_discard(void **state)
{
	guards_are_installed_after_a_discard(MEMORY_SHMEM, MAP_PRIVATE);
}

static void guards_can_be_installed_in_shared_memory_after_a_discard(void **state)
{
	guards_are_installed_after_a_discard(MEMORY_SHMEM, MAP_SHARED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(registration_kills_what_was_held_of_the_range),
		cmocka_unit_test(a_segment_attached_again_is_not_the_mapping_that_was_registered),
		cmocka_unit_test(a_segment_attached_over_memory_is_seen_by_the_checks),
		cmocka_unit_test(what_changed_before_the_commit_is_not_committed),
		cmocka_unit_test(munmap_returns_after_the_section_that_uses_its_page),
		cmocka_unit_test(a_forked_child_holds_no_userfaultfd_and_is_refused),
		cmocka_unit_test(a_file_truncated_by_another_process_is_seen),
		cmocka_unit_test(shared_memory_truncated_by_another_process_is_seen),
		cmocka_unit_test(a_hole_in_a_memfd_is_seen_as_the_table_says),
		cmocka_unit_test(a_childs_copy_on_write_leaves_the_parent_alone),
		cmocka_unit_test(teardown_reads_until_quiet),
		cmocka_unit_test(what_is_faulted_while_a_discard_goes_on_is_not_cached),
		cmocka_unit_test(guards_can_be_installed_in_a_private_mapping_after_a_discard),
		cmocka_unit_test(guards_can_be_installed_in_shared_memory_after_a_discard),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
