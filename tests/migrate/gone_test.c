// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * The program moves a mapping away while a page of it comes home. The kernel says that there is no
 * such mapping, before it says that an event is unread (provider/uffd_move.c).
 */
#include "common/devmem.h"
#include "kernel/abi/uffd.h"

#include "common/broken.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>

static struct with_devmem with;

/* One page, and where it is moved to. */
static struct {
	char *from;
	char *to;
	pthread_t thread;
	_Atomic bool armed;  /* the next move is refused, as of memory that may not be written */
	_Atomic bool copies; /* then it is copied, and is moved away meanwhile */
	_Atomic int gone;    /* so often the kernel said that the mapping has gone */
} page;

int __real_ioctl(int fd, unsigned long request, void *arg);
int __wrap_ioctl(int fd, unsigned long request, ...);

/* Ends when the pump has read the event. */
static void *move_away(void *arg)
{
	return mremap(page.from, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, page.to);
}

static bool is_mapped(char *p)
{
	unsigned char vec;

	return !mincore(p, PAGE, &vec);
}

/* This runs inside the library, with its locks: nothing is asserted here. */
static bool refuse(unsigned long request, const void *arg, int *err)
{
	const struct uffdio_move *m = arg;
	const struct uffdio_copy *c = arg;

	if (request == UFFDIO_MOVE && m->dst == at(page.from) && page.armed) {
		page.armed = false;
		page.copies = true;
		*err = EINVAL;
		return true;
	}
	if (request == UFFDIO_COPY && c->dst == at(page.from) && page.copies) {
		page.copies = false;
		pthread_create(&page.thread, NULL, move_away, NULL);
		for (int i = 0; i < 20000 && is_mapped(page.from); i++)
			usleep(1000);
		page.gone++;
		*err = ENOENT;
		return true;
	}
	return false;
}

int __wrap_ioctl(int fd, unsigned long request, ...)
{
	va_list args;
	void *arg;
	int err;

	va_start(args, request);
	arg = va_arg(args, void *);
	va_end(args);
	if (!refuse(request, arg, &err))
		return __real_ioctl(fd, request, arg);
	errno = err;
	return -1;
}

static int setup(void **state)
{
	devmem_open(&with, REGION, 0);
	*state = &with;
	return 0;
}

static int teardown(void **state)
{
	devmem_close(*state);
	return 0;
}

/* The page's content at its new address, after it was brought home. */
static unsigned int bring_home(struct with_devmem *w)
{
	void *moved;

	page.from = map_anon(PAGE, RW);
	page.to = place_apart(PAGE);
	number(page.from, 1, 7);
	assert_int_equal(to_device(w, page.from, 1), 0);
	assert_int_equal(w->result.moved, 1);
	page.gone = 0;
	page.armed = true;
	assert_int_equal(to_system(w, page.from, 1), 0);
	assert_int_equal(page.gone, 1);
	pthread_join(page.thread, &moved);
	assert_ptr_equal(moved, page.to);
	return *(volatile unsigned int *)page.to;
}

static void the_page_is_where_the_mapping_went(void **state)
{
	assert_int_equal(bring_home(*state), 7);
	munmap(page.to, PAGE);
}

static void asking_once(void **state)
{
	unsigned int content;

	if (!break_rule("ask-once"))
		skip();
	content = bring_home(*state);
	mend();
	assert_int_equal(content, 0);
	munmap(page.to, PAGE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(the_page_is_where_the_mapping_went, setup,
						teardown),
		cmocka_unit_test_setup_teardown(asking_once, setup, teardown),
	};

	if (devmem_is_missing())
		return 77;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
