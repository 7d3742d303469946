// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * MADV_REMOVE that began before a device touched the mapping. The kernel asks whether to tell of
 * it, lets go of the address space, and punches the object afterwards:
 *
 *	program			device
 *	MADV_REMOVE: nobody watches
 *	waits for the inode	faults: registers, takes the page
 *	punches, returns	still has it
 *
 * The inode is kept busy by a writer, for segments by another removal. The row of the coherence
 * table says what sees it; telling the library always helps.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#include <hmm/coherence.h>
#include "held.h"
#include "memory.h"
#include "kernel/thread.h"

#define PAGE 4096UL
#define BUSY_LEN (64UL << 20) /* what keeps an inode busy for milliseconds */
/* as many at least, and for so long: on a busy machine another thread has the processor then */
#define TRIES 200
#define TRIES_S 60

struct scene {
	struct memory m;
	/* A second mapping of a segment: its pages from the fourth on are the other removal's. */
	char *other;
	_Atomic bool busy;
	_Atomic bool stop;
	_Atomic pid_t remover;
	_Atomic int status;
};

static void *keep_file_busy(struct scene *s)
{
	char *bytes = calloc(1, BUSY_LEN);

	while (bytes && !atomic_load(&s->stop)) {
		atomic_store(&s->busy, true);
		if (pwrite(s->m.fd, bytes, BUSY_LEN, (off_t)s->m.len) < 0)
			break;
	}
	free(bytes);
	return NULL;
}

static void *keep_busy(void *arg)
{
	struct scene *s = arg;

	if (s->m.fd >= 0)
		return keep_file_busy(s);
	memset(s->other + s->m.len, 1, BUSY_LEN);
	atomic_store(&s->busy, true);
	madvise(s->other + s->m.len, BUSY_LEN, MADV_REMOVE);
	return NULL;
}

static void *remove_first_page(void *arg)
{
	struct scene *s = arg;

	atomic_store(&s->remover, (pid_t)syscall(SYS_gettid));
	while (!atomic_load(&s->busy))
		sched_yield();
	atomic_store(&s->status, madvise(s->m.p, PAGE, MADV_REMOVE) ? errno : 0);
	return NULL;
}

static bool is_waiting(const struct scene *s)
{
	pid_t tid = atomic_load(&s->remover);
	long nr;

	return tid && thread_state(tid, &nr) == THREAD_SLEEPS && nr == SYS_madvise;
}

static const char *set_scene(struct scene *s, enum memory_kind kind)
{
	int id;

	memset(s, 0, sizeof(*s));
	atomic_store(&s->status, -1);
	if (kind != MEMORY_SYSV)
		return memory_map(&s->m, kind);
	s->m = (struct memory){ .kind = kind, .fd = -1, .len = 4 * PAGE, .page = PAGE };
	id = shmget(IPC_PRIVATE, 4 * PAGE + BUSY_LEN, IPC_CREAT | 0600);
	if (id < 0)
		return "no System V segments";
	s->m.p = shmat(id, NULL, 0);
	s->other = shmat(id, NULL, 0);
	shmctl(id, IPC_RMID, NULL);
	/* Of a huge page that is held the kernel zeroes a part in place. */
	madvise(s->m.p, 4 * PAGE + BUSY_LEN, MADV_NOHUGEPAGE);
	madvise(s->other, 4 * PAGE + BUSY_LEN, MADV_NOHUGEPAGE);
	memset(s->m.p, OLD_BYTE, s->m.len);
	return NULL;
}

static void clear_scene(struct scene *s)
{
	if (s->other) {
		shmdt(s->other);
		shmdt(s->m.p);
		s->m.gone = true;
	}
	memory_unmap(&s->m);
}

/* True: the device took hold while the removal had begun and not happened. */
static bool play(struct scene *s, struct hmm_mm *mm, struct held *h)
{
	const struct timespec ts = { 0, 20000 };
	pthread_t busy, remover;
	bool caught = false;

	assert_int_equal(pthread_create(&busy, NULL, keep_busy, s), 0);
	assert_int_equal(pthread_create(&remover, NULL, remove_first_page, s), 0);
	while (atomic_load(&s->status) < 0 && !is_waiting(s))
		nanosleep(&ts, NULL);
	if (is_waiting(s)) {
		assert_int_equal(held_make(h, mm, (uint64_t)s->m.p, HOLD_REF), 0);
		caught = is_waiting(s);
		/* A filesystem with DAX waits for ever for pages that are held and are to go. */
		if (s->m.kind == MEMORY_DAX)
			hold_release_page(h->range, 0);
		else
			caught = caught && held_byte(h) == OLD_BYTE;
	}
	atomic_store(&s->stop, true);
	pthread_join(remover, NULL);
	pthread_join(busy, NULL);
	assert_int_equal(atomic_load(&s->status), 0);
	return caught;
}

static void check(struct hmm_mm *mm, const struct scene *s, struct held *h)
{
	const uint64_t at = (uint64_t)s->m.p;
	struct hmm_coherence_cell said;

	assert_int_equal(
		hmm_coherence(mm, HMM_OP_MADV_REMOVE_BEGUN, memory_vma_kind(s->m.kind), &said), 0);
	/* What the device has is the past. */
	if (s->m.kind != MEMORY_DAX)
		assert_int_equal(held_byte(h), OLD_BYTE);
	assert_int_equal(memory_peek(&s->m, 0), 0);
	if (h->transient)
		assert_false(held_installed(h));
	else if (said.guarantee == HMM_VALIDATED)
		assert_false(held_valid_checked(h));
	else if (said.guarantee == HMM_UNSEEN)
		assert_true(held_valid(h));
	else
		fail_msg("guarantee %u", said.guarantee);
	assert_int_equal(hmm_mm_note(mm, HMM_NOTE_DISCARD, at, at + PAGE), 0);
	assert_false(held_installed(h));
	assert_false(held_valid(h));
}

static time_t now_s(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec;
}

static void removal_begun_before(void **state)
{
	enum memory_kind kind = *(const enum memory_kind *)*state;
	struct hmm_mm *mm = held_attach(0);
	const time_t end = now_s() + TRIES_S;
	bool caught = false;

	assert_non_null(mm);
	for (int i = 0; !caught && (i < TRIES || now_s() < end); i++) {
		struct held h = { 0 };
		struct scene s;
		const char *why = set_scene(&s, kind);

		if (why) {
			print_message("%s\n", why);
			hmm_mm_detach(mm);
			skip();
		}
		caught = play(&s, mm, &h);
		if (caught)
			check(mm, &s, &h);
		if (h.range)
			held_drop(&h);
		clear_scene(&s);
	}
	assert_true(caught);
	hmm_mm_detach(mm);
}

int main(void)
{
	static const enum memory_kind kinds[] = { MEMORY_SHMEM, MEMORY_SYSV, MEMORY_FILE,
						  MEMORY_DAX };
	static struct CMUnitTest tests[] = {
		{ "begun before, memfd", removal_begun_before, NULL, NULL, (void *)&kinds[0] },
		{ "begun before, segment", removal_begun_before, NULL, NULL, (void *)&kinds[1] },
		{ "begun before, file", removal_begun_before, NULL, NULL, (void *)&kinds[2] },
		{ "begun before, DAX file", removal_begun_before, NULL, NULL, (void *)&kinds[3] },
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
