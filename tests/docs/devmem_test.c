// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* The device of hmm-devmem(7), as the page prints it, while the CPU touches its pages. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <sys/mman.h>

#include <hmm/hmm.h>

#include "../common/apart.h"

#include "devmem.inc"

#define PAGES 64
#define ADDS 20000

static _Atomic bool over;

static int on_invalidate(struct hmm_interval_notifier *ni, const struct hmm_invalidation *inv,
			 void *priv)
{
	return 0;
}

static uint64_t *word(char *p, size_t page)
{
	return (uint64_t *)(p + page * HMM_PAGE_SIZE);
}

/* The program's own words are the second ones of each page. */
static void *touch(void *arg)
{
	uint64_t touches = 0;

	while (!over)
		word(arg, touches++ % PAGES)[1]++;
	return (void *)(uintptr_t)touches;
}

static void nothing_is_lost(void **state)
{
	const struct hmm_interval_notifier_ops ops = { .size = sizeof(ops),
						       .invalidate = on_invalidate };
	const size_t bytes = PAGES * HMM_PAGE_SIZE;
	char *p = map_apart(bytes, PROT_READ | PROT_WRITE);
	struct adder a = { 0 };
	const struct hmm_devmem_options o = { .size = sizeof(o), .bytes = 2 << 20, .owner = &a };
	uint64_t sums[2] = { 0 };
	pthread_t thread;
	void *touches;
	int ret;

	assert_int_equal(hmm_mm_attach(NULL, &a.mm), 0);
	ret = hmm_devmem_create(a.mm, &o, &a.devmem);
	if (ret == -EOPNOTSUPP) {
		hmm_mm_detach(a.mm);
		print_message("the kernel moves no pages\n");
		skip();
	}
	assert_int_equal(ret, 0);
	assert_int_equal(hmm_engine_create(a.mm, &a.engine), 0);
	assert_int_equal(hmm_interval_notifier_insert(a.mm, (uintptr_t)p, bytes, &ops, NULL, &a.ni),
			 0);
	assert_int_equal(pthread_create(&thread, NULL, touch, p), 0);
	for (unsigned int i = 0; i < ADDS; i++) {
		if (!(i % 100))
			assert_int_equal(i % 200 ? adder_send(&a, p, bytes)
						 : adder_send_in_steps(&a, p, bytes),
					 0);
		assert_int_equal(adder_add(&a, word(p, i % PAGES), 1), 0);
	}
	over = true;
	pthread_join(thread, &touches);
	for (size_t i = 0; i < PAGES; i++) {
		sums[0] += word(p, i)[0];
		sums[1] += word(p, i)[1];
	}
	assert_int_equal(sums[0], ADDS);
	assert_int_equal(sums[1], (uintptr_t)touches);
	hmm_interval_notifier_remove(a.ni);
	hmm_engine_destroy(a.engine);
	assert_int_equal(hmm_devmem_destroy(a.devmem, HMM_FOREVER), 0);
	hmm_mm_detach(a.mm);
	munmap(p, bytes);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(nothing_is_lost) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
