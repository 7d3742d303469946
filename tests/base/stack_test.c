// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* The pages below a thread's stack pointer are there before it takes a lock. */
#include "common/mappings.h"

#include "base/stack.h"

#include <errno.h>
#include <pthread.h>

static bool is_there(const char *p)
{
	const int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	uint64_t word = 0;

	assert_int_equal(pread(fd, &word, sizeof(word), (off_t)(at(p) / PAGE * sizeof(word))),
			 sizeof(word));
	close(fd);
	return word & PM_WORD_PRESENT;
}

static unsigned int populated;

int __real_madvise(void *addr, size_t length, int advice);
int __wrap_madvise(void *addr, size_t length, int advice);

int __wrap_madvise(void *addr, size_t length, int advice)
{
	populated += advice == MADV_POPULATE_READ;
	return __real_madvise(addr, length, advice);
}

struct call {
	char *low; /* of the stack */
	bool before, after;
};

static void *call(void *arg)
{
	struct call *c = arg;
	const char *here = __builtin_frame_address(0);
	const char *below = here - 40 * 1024 > c->low ? here - 40 * 1024 : c->low;

	errno = EXDEV;
	c->before = is_there(below);
	errno = EXDEV;
	stack_touch();
	assert_int_equal(errno, EXDEV);
	c->after = is_there(below);
	stack_touch();
	return NULL;
}

static void run(size_t bytes, struct call *c)
{
	/* Nobody can access what is below the stack. */
	char *room = map_anon(bytes + PAGE, PROT_NONE);
	pthread_attr_t attr;
	pthread_t thread;

	c->low = room + PAGE;
	assert_int_equal(mprotect(c->low, bytes, RW), 0);
	madvise(c->low, bytes, MADV_NOHUGEPAGE);
	pthread_attr_init(&attr);
	assert_int_equal(pthread_attr_setstack(&attr, c->low, bytes), 0);
	assert_int_equal(pthread_create(&thread, &attr, call, c), 0);
	pthread_join(thread, NULL);
	pthread_attr_destroy(&attr);
	munmap(room, bytes + PAGE);
}

static void pages_below_are_there(void **state)
{
	struct call c;

	run(1 * MIB, &c);
	assert_false(c.before);
	assert_true(c.after);
}

static void a_small_stack_is_not_left(void **state)
{
	struct call c;
	const size_t least = (size_t)sysconf(_SC_THREAD_STACK_MIN);

#ifdef __SANITIZE_THREAD__
	skip(); /* it makes no thread with a stack as small as that */
#endif
	run((least + 2 * PAGE) & ~(PAGE - 1), &c);
	assert_true(c.after);
}

/* A frame of a page lies below this one's page. */
static __attribute__((noinline)) void touch_deeper(void)
{
	volatile char room[PAGE];

	room[0] = 0;
	stack_touch();
	(void)room[0];
}

static void calls_from_two_pages_ask_once_each(void **state)
{
	stack_touch();
	touch_deeper();
	populated = 0;
	for (int i = 0; i < 10; i++) {
		stack_touch();
		touch_deeper();
	}
	assert_int_equal(populated, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pages_below_are_there),
		cmocka_unit_test(a_small_stack_is_not_left),
		cmocka_unit_test(calls_from_two_pages_ask_once_each),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
