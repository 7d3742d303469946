// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* Sealed memory: jobs, the policies, a full holder, several holders. */
#include "common/sealed.h"
#include "sealed/internal.h"

#include <pthread.h>

#define PAGES 600 /* more than a block */

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

static int setup_never(void **state)
{
	sealed_open(&with, HMM_SEALED_NEVER);
	*state = &with;
	return 0;
}

static int teardown(void **state)
{
	sealed_close(*state);
	return 0;
}

/* ---- jobs ------------------------------------------------------------------------------------ */

static uint64_t *words(size_t n)
{
	uint64_t *p = (uint64_t *)map_anon(n * 8, RW);

	for (size_t i = 0; i < n; i++)
		p[i] = i * i;
	return p;
}

static void jobs_compute_right(void **state)
{
	struct with_sealed *w = *state;
	const size_t n = PAGES * PAGE / 8;
	uint64_t *p = words(n);
	uint64_t sum = 0;
	uint64_t want = 77;

	/* Neither the beginning nor the end is a page's. */
	assert_int_equal(run_job(w, HMM_SEALED_ADD, p + 3, (n - 8) * 8, 1000, NULL), 0);
	assert_int_equal(run_job(w, HMM_SEALED_XOR, p + 600, 700 * 8, 0x5555, NULL), 0);
	assert_int_equal(run_job(w, HMM_SEALED_FILL, p + 5000, 8, 99, NULL), 0);
	assert_int_equal(run_job(w, HMM_SEALED_SUM, p, n * 8, 77, &sum), 0);
	assert_int_equal(sealed_stats(w).copied_out, 0);
	assert_int_equal(unseal(w, p, PAGES), 0);
	for (size_t i = 0; i < n; i++) {
		uint64_t v = i * i + (i >= 3 && i < n - 5 ? 1000 : 0);

		v ^= i >= 600 && i < 1300 ? 0x5555 : 0;
		v = i == 5000 ? 99 : v;
		assert_int_equal(p[i], v);
		want += v;
	}
	assert_int_equal(sum, want);
	munmap(p, PAGES * PAGE);
}

static void bad_arguments_are_refused(void **state)
{
	struct with_sealed *w = *state;
	struct hmm_mm *mm = w->m.mm;
	struct hmm_sealed *s;
	char *p = numbered_pages(4);

	assert_int_equal(hmm_sealed_create(mm, 0, 0, sealed_flags, &s), -EINVAL);
	assert_int_equal(hmm_sealed_create(mm, MIB, 0, sealed_flags, &s), -EINVAL);
	assert_int_equal(hmm_sealed_create(mm, 2 * MIB, 3, sealed_flags, &s), -EINVAL);
	assert_int_equal(hmm_sealed_create(mm, 2 * MIB, 0, 4, &s), -EINVAL);
	assert_int_equal(hmm_sealed_create(mm, 2 * MIB, HMM_SEALED_NEVER, HMM_SEALED_EVICT, &s),
			 -EINVAL);
	assert_int_equal(run_job(w, 4, p, 8, 0, NULL), -EINVAL);
	assert_int_equal(run_job(w, 0, p + 4, 8, 0, NULL), -EINVAL);
	assert_int_equal(run_job(w, 0, p, 7, 0, NULL), -EINVAL);
	assert_int_equal(run_job(w, 0, p, 0, 0, NULL), -EINVAL);
	assert_int_equal(hmm_sealed_get(w->s, 8, 8, HMM_FOREVER), -EINVAL);
	munmap(p + PAGE, PAGE);
	assert_int_equal(run_job(w, HMM_SEALED_FILL, p + PAGE, 8, 0, NULL), -EINVAL);
	munmap(p, 4 * PAGE);
}

static void what_cannot_migrate_is_no_memory_for_jobs(void **state)
{
	struct with_sealed *w = *state;
	char *p = map_fd(PAGE, RW, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	assert_int_equal(run_job(w, HMM_SEALED_FILL, p, PAGE, 1, NULL), -ENOENT);
	munmap(p, PAGE);
}

static void it_says_what_it_is(void **state)
{
	struct with_sealed *w = *state;

	assert_string_equal(hmm_sealed_name(w->s), sealed_flags ? "unsealed" : "sealed");
}

/* ---- policies -------------------------------------------------------------------------------- */

static void a_touch_brings_home(void **state)
{
	struct with_sealed *w = *state;
	char *p = sealed_pages(w, PAGES);

	assert_int_equal(run_job(w, HMM_SEALED_ADD, p, 8, 5, NULL), 0);
	assert_int_equal(*(unsigned int *)p, 6);
	assert_numbered(p + PAGE, PAGES - 1, 2);
	assert_int_equal(sealed_stats(w).copied_out, PAGES * PAGE);
	munmap(p, PAGES * PAGE);
}

static void a_touch_before_a_request_is_sigbus_and_loses_nothing(void **state)
{
	struct with_sealed *w = *state;
	char *p = sealed_pages(w, PAGES);

	assert_true(is_sigbus(p));
	assert_true(is_sigbus(p + 5 * PAGE));
	assert_int_equal(run_job(w, HMM_SEALED_ADD, p, 8, 5, NULL), 0);
	assert_int_equal(sealed_stats(w).copied_out, 0);
	assert_int_equal(unseal(w, p, PAGES), 0);
	assert_int_equal(*(unsigned int *)p, 6);
	assert_numbered(p + PAGE, PAGES - 1, 2);
	munmap(p, PAGES * PAGE);
}

static void a_request_is_for_its_range_alone(void **state)
{
	struct with_sealed *w = *state;
	char *p = sealed_pages(w, 64);

	assert_true(is_sigbus(p + 10 * PAGE));
	assert_int_equal(unseal(w, p + 10 * PAGE, 2), 0);
	assert_false(is_sigbus(p + 10 * PAGE));
	assert_numbered(p + 10 * PAGE, 2, 11);
	for (size_t i = 0; i < 64; i++)
		assert_int_equal(is_sigbus(p + i * PAGE), i != 10 && i != 11);
	/* What comes back later is sealed as before. */
	assert_int_equal(seal(w, p + 10 * PAGE, 2), 0);
	assert_true(is_sigbus(p + 10 * PAGE));
	assert_int_equal(unseal(w, p, 64), 0);
	assert_numbered(p, 64, 1);
	munmap(p, 64 * PAGE);
}

static void a_move_of_pages_is_no_request(void **state)
{
	struct with_sealed *w = *state;
	char *p = sealed_pages(w, 64);
	char *q;

	assert_int_equal(hmm_migrate_to_system(w->m.mm, at(p), at(p) + 64 * PAGE, HMM_FOREVER),
			 -EIO);
	assert_int_equal(hmm_evict_all(w->m.mm, HMM_FOREVER), -EIO);
	assert_int_equal(sealed_stats(w).copied_out, 0);
	q = mremap(p, 64 * PAGE, 64 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, map_anon(64 * PAGE, RW));
	assert_true(q != MAP_FAILED);
	assert_true(is_sigbus(q));
	assert_int_equal(unseal(w, q, 64), 0);
	assert_numbered(q, 64, 1);
	munmap(q, 64 * PAGE);
}

static void the_end_is_a_request(void **state)
{
	struct with_sealed w;
	char *p;

	sealed_open(&w, HMM_SEALED_REQUEST);
	p = sealed_pages(&w, PAGES);
	assert_true(is_sigbus(p));
	sealed_close(&w);
	assert_numbered(p, PAGES, 1);
	munmap(p, PAGES * PAGE);
}

static void never_is_never(void **state)
{
	struct with_sealed *w = *state;
	char *p = sealed_pages(w, 64);
	uint64_t sum = 1;

	assert_int_equal(run_job(w, HMM_SEALED_XOR, p, 64 * PAGE, 5, NULL), 0);
	assert_true(is_sigbus(p));
	assert_int_equal(unseal(w, p, 64), -EACCES);
	assert_int_equal(run_job(w, HMM_SEALED_SUM, p, 8, 0, &sum), -EACCES);
	assert_int_equal(sum, 1);
	assert_int_equal(hmm_migrate_to_system(w->m.mm, at(p), at(p) + 64 * PAGE, HMM_FOREVER),
			 -EIO);
	assert_int_equal(madvise(p, PAGE, MADV_DONTNEED), 0);
	assert_int_equal(*p, 0);
	munmap(p, 32 * PAGE);
	assert_int_equal(sealed_stats(w).copied_out, 0);
	assert_int_equal(hmm_sealed_destroy(w->s, HMM_FOREVER), 0);
	for (size_t i = 32; i < 64; i++)
		assert_true(is_sigbus(p + i * PAGE));
	munmap(p, 64 * PAGE);
	w->s = NULL;
}

/* ---- room ------------------------------------------------------------------------------------ */

static void a_full_holder_takes_no_more(void **state)
{
	struct with_sealed *w = *state;
	char *p = numbered_pages(1100);

	assert_int_equal(seal(w, p, 1100), 0);
	assert_int_equal(w->result.moved, 1024);
	assert_int_equal(w->result.left[HMM_MIGRATE_EXHAUSTED], 76);
	assert_int_equal(run_job(w, HMM_SEALED_FILL, p + 1050 * PAGE, 8, 1, NULL), -ENOENT);
	/* What is dropped makes room. */
	munmap(p, 100 * PAGE);
	until_used(w, 924);
	assert_int_equal(seal(w, p + 1024 * PAGE, 76), 0);
	assert_int_equal(w->result.moved, 76);
	assert_int_equal(unseal(w, p + 100 * PAGE, 1000), 0);
	assert_numbered(p + 100 * PAGE, 1000, 101);
	until_used(w, 0);
	munmap(p, 1100 * PAGE);
}

static void a_full_holder_makes_room(void **state)
{
	struct with_sealed w;
	char *p = numbered_pages(1100);
	uint64_t sum;

	sealed_open_as(&w, 2 * MIB, HMM_SEALED_TOUCH, HMM_SEALED_EVICT);
	assert_int_equal(run_job(&w, HMM_SEALED_SUM, p, 1100 * PAGE, 0, &sum), 0);
	assert_int_equal(sum, 1100UL * 1101 / 2);
	assert_true(sealed_stats(&w).evicted > 0);
	sealed_close(&w);
	assert_numbered(p, 1100, 1);
	munmap(p, 1100 * PAGE);
}

/* ---- both sides ------------------------------------------------------------------------------ */

#define ROUNDS 300

static void *count_on_cpu(void *word)
{
	for (int i = 0; i < ROUNDS; i++) {
		__atomic_fetch_add((uint64_t *)word, 1, __ATOMIC_SEQ_CST);
		usleep(100);
	}
	return NULL;
}

struct busy {
	struct with_sealed *w;
	_Atomic bool stop;
};

/* Long jobs, so that there is time between a look and the job that follows it. */
static void *keep_busy(void *arg)
{
	struct busy *b = arg;
	char *p = sealed_pages(b->w, 500);

	while (!b->stop)
		run_job(b->w, HMM_SEALED_ADD, p, 500 * PAGE, 1, NULL);
	munmap(p, 500 * PAGE);
	return NULL;
}

static void both_sides_want_one_page(void **state)
{
	struct with_sealed *w = *state;
	uint64_t *word = (uint64_t *)map_anon(PAGE, RW);
	struct busy busy = { .w = w };
	pthread_t thread, other;

	*word = 0;
	assert_int_equal(pthread_create(&other, NULL, keep_busy, &busy), 0);
	assert_int_equal(pthread_create(&thread, NULL, count_on_cpu, word), 0);
	for (int i = 0; i < ROUNDS; i++)
		assert_int_equal(run_job(w, HMM_SEALED_ADD, word, PAGE, 1, NULL), 0);
	pthread_join(thread, NULL);
	busy.stop = true;
	pthread_join(other, NULL);
	assert_int_equal(word[0], 2 * ROUNDS);
	assert_int_equal(word[511], ROUNDS);
	munmap(word, PAGE);
}

static void several_holders(void **state)
{
	struct with_sealed *w = *state;
	struct hmm_sealed *touch = NULL;
	struct hmm_sealed *request = w->s;
	char *p = sealed_pages(w, 64);
	char *q = numbered_pages(64);

	assert_int_equal(
		hmm_sealed_create(w->m.mm, 2 * MIB, HMM_SEALED_TOUCH, sealed_flags, &touch), 0);
	assert_int_not_equal(hmm_sealed_holder(touch), hmm_sealed_holder(request));
	w->s = touch;
	assert_int_equal(seal(w, q, 64), 0);
	assert_int_equal(seal(w, p, 64), -ENOENT);
	assert_int_equal(w->result.left[HMM_MIGRATE_ELSEWHERE], 64);
	assert_int_equal(run_job(w, HMM_SEALED_ADD, q, 64 * PAGE, 1, NULL), 0);
	assert_true(is_sigbus(p));
	assert_numbered(q, 64, 2);
	assert_int_equal(hmm_sealed_destroy(touch, HMM_FOREVER), 0);
	w->s = request;
	assert_int_equal(unseal(w, p, 64), 0);
	assert_numbered(p, 64, 1);
	munmap(p, 64 * PAGE);
	munmap(q, 64 * PAGE);
}

/* ---- a request that is late ------------------------------------------------------------------ */

/* After the next look `gone` is unmapped, and `next` comes to its place. */
static struct {
	char *gone;
	char *next;
} late;

int __real_walker_look(struct walker *w, uint64_t start, uint64_t end);
int __wrap_walker_look(struct walker *w, uint64_t start, uint64_t end);

int __wrap_walker_look(struct walker *w, uint64_t start, uint64_t end)
{
	const int ret = __real_walker_look(w, start, end);

	if (late.gone) {
		munmap(late.gone, PAGE);
		late.gone = NULL;
		until_used(&with, 0);
		assert_int_equal(seal(&with, late.next, 1), 0);
	}
	return ret;
}

static void a_request_is_for_what_was_there_alone(void **state)
{
	struct with_sealed *w = *state;
	char *p = map_anon(8 * MIB, RW);
	char *next = p + 4 * MIB; /* the frames are chosen by the address */
	uint64_t offset;

	number(p, 1, 1);
	number(next, 1, 77);
	assert_int_equal(seal(w, p, 1), 0);
	offset = sealed_offset(w, p);
	late.next = next;
	late.gone = p;
	unseal(w, p, 1); /* of what is gone by then */
	assert_null(late.gone);
	assert_int_equal(sealed_offset(w, next), offset);
	assert_true(is_sigbus(next));
	assert_int_equal(unseal(w, next, 1), 0);
	assert_int_equal(*(unsigned int *)next, 77);
	munmap(p, 8 * MIB);
}

#define T(f, s) cmocka_unit_test_setup_teardown(f, s, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(jobs_compute_right, setup_touch),
		T(jobs_compute_right, setup_request),
		T(bad_arguments_are_refused, setup_touch),
		T(what_cannot_migrate_is_no_memory_for_jobs, setup_touch),
		T(it_says_what_it_is, setup_touch),
		T(a_touch_brings_home, setup_touch),
		T(a_touch_before_a_request_is_sigbus_and_loses_nothing, setup_request),
		T(a_request_is_for_its_range_alone, setup_request),
		T(a_move_of_pages_is_no_request, setup_request),
		cmocka_unit_test(the_end_is_a_request),
		T(a_request_is_for_what_was_there_alone, setup_request),
		T(never_is_never, setup_never),
		T(a_full_holder_takes_no_more, setup_request),
		cmocka_unit_test(a_full_holder_makes_room),
		T(both_sides_want_one_page, setup_touch),
		T(several_holders, setup_request),
	};

	if (devmem_is_missing())
		return 77;
	return sealed_run_both(tests);
}
