// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* Interval tree, never-mirrored memory, deadlines. */
#include "common/space.h"
#include "base/deadline.h"
#include <hmm/types.h>

#include <stdlib.h>

#define N 300

struct interval {
	struct itree_node node;
	int in;
};

static int brute(struct interval *v, uint64_t s, uint64_t e)
{
	int n = 0;

	for (int i = 0; i < N; i++)
		n += v[i].in && v[i].node.start < e && v[i].node.end > s;
	return n;
}

static void itree_finds_what_a_linear_search_finds(void **state)
{
	static struct interval v[N];
	struct itree tree = { 0 };
	unsigned int seed = 7;

	for (int round = 0; round < 20000; round++) {
		struct interval *i = &v[rand_r(&seed) % N];
		uint64_t s = (uint64_t)rand_r(&seed) % 1000;
		uint64_t e = s + 1 + (uint64_t)rand_r(&seed) % 100;
		uint64_t last = 0;
		int n = 0;

		if (i->in) {
			itree_remove(&tree, &i->node);
		} else {
			i->node.start = s;
			i->node.end = e;
			itree_insert(&tree, &i->node);
		}
		i->in = !i->in;
		for (struct itree_node *f = itree_first(&tree, s, e); f;
		     f = itree_next(&tree, f, s, e), n++) {
			assert_true(f->start < e && f->end > s && f->start >= last);
			last = f->start;
		}
		assert_int_equal(n, brute(v, s, e));
	}
}

static void objects_are_zeroed_and_distinct(void **state)
{
	struct objpool pool;
	char *o[3000];

	objpool_init(&pool, 100);
	for (int round = 0; round < 2; round++) {
		for (size_t i = 0; i < 3000; i++) {
			o[i] = objpool_get(&pool);
			assert_non_null(o[i]);
			for (int b = 0; b < 100; b++)
				assert_int_equal(o[i][b], 0);
			memset(o[i], (int)i | 1, 100);
		}
		for (size_t i = 0; i < 3000; i++) {
			assert_int_equal((unsigned char)o[i][99], (unsigned char)((int)i | 1));
			objpool_put(&pool, o[i]);
		}
	}
	objpool_fini(&pool);
}

struct takers {
	struct objpool pool;
	_Atomic unsigned int shared; /* objects that two had at once, or that were not zeroed */
};

static void *take_and_put(void *arg)
{
	struct takers *t = arg;

	for (int i = 0; i < 20000; i++) {
		_Atomic unsigned int *obj = objpool_get(&t->pool);

		t->shared += atomic_fetch_add(&obj[3], 1) != 0;
		objpool_put(&t->pool, obj);
	}
	return NULL;
}

static void no_two_threads_get_one_object(void **state)
{
	struct takers t = { .shared = 0 };
	pthread_t thread[4];

	objpool_init(&t.pool, 64);
	for (int i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&thread[i], NULL, take_and_put, &t), 0);
	for (int i = 0; i < 4; i++)
		pthread_join(thread[i], NULL);
	assert_int_equal(t.shared, 0);
	objpool_fini(&t.pool);
}

static void pool_memory_does_not_merge_with_a_neighbour(void **state)
{
	char *p = pool_map(PAGE);
	char *q = mmap(p + PAGE, PAGE, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
	struct hmm_mm *mm;
	struct hmm_vma vma;

	assert_non_null(p);
	assert_int_equal(hmm_mm_attach(NULL, &mm), 0);
	p[0] = 1;
	if (q != MAP_FAILED)
		q[0] = 1;
	assert_int_equal(hmm_vma_find(mm, (uint64_t)(uintptr_t)p, &vma), 0);
	assert_int_equal(vma.kind, HMM_VMA_SPECIAL);
	/* Ours joins ours. */
	for (uint64_t at = vma.start; at < vma.end; at += PAGE)
		assert_true(pool_owns(at));
	hmm_mm_detach(mm);
	if (q != MAP_FAILED)
		munmap(q, PAGE);
	pool_unmap(p, PAGE);
}

static void timeouts_without_end_do_not_end_at_once(void **state)
{
	assert_int_equal(deadline_after(HMM_FOREVER), 0);
	assert_true(deadline_after(UINT64_MAX - 1) > clock_ns());
	assert_true(deadline_after(UINT64_MAX / 2) > clock_ns());
	assert_true(deadline_after(HMM_NO_WAIT) <= clock_ns() + 1);
	assert_int_equal(deadline_left_ns(0), HMM_FOREVER);
	assert_int_equal(deadline_left_ns(1), HMM_NO_WAIT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(itree_finds_what_a_linear_search_finds),
		cmocka_unit_test(objects_are_zeroed_and_distinct),
		cmocka_unit_test(no_two_threads_get_one_object),
		cmocka_unit_test(pool_memory_does_not_merge_with_a_neighbour),
		cmocka_unit_test(timeouts_without_end_do_not_end_at_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
