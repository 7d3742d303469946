/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/* What the tests of the manual share: a space, and memory that no other mapping joins. */
#ifndef TESTS_DOCS_H
#define TESTS_DOCS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <hmm/hmm.h>

#define PAGE HMM_PAGE_SIZE
#define RW (PROT_READ | PROT_WRITE)

/* Memory between two pages without access. */
static inline char *room(size_t size)
{
	char *p = mmap(NULL, size + 2 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	assert_ptr_not_equal(p, MAP_FAILED);
	assert_int_equal(mprotect(p + PAGE, size, RW), 0);
	return p + PAGE;
}

static inline void room_free(char *p, size_t size)
{
	assert_int_equal(munmap(p - PAGE, size + 2 * PAGE), 0);
}

/*
 * Other memory at the same address. In one call: into a hole that munmap() leaves the library may
 * put memory of its own.
 */
static inline bool replace(char *p, size_t size)
{
	return mmap(p, size, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == p;
}

#endif
