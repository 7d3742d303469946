// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
#include "base/stack.h"
#include "kernel/abi/madvise.h"

#include <errno.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

/* The deepest call of the library's needs less than half of it. */
#define DEPTH (48UL << 10)

_Atomic bool stack_may_be_trapped;

/*
 * The pages are there for calls whose frame lies in [from, to): down to the first of the pages that
 * the lowest call needs.
 */
static _Thread_local struct {
	uintptr_t from, to;
} there __attribute__((tls_model("initial-exec")));

/*
 * Populating fails where nothing may be read, so it is not touched by accident: the stack may be
 * small. It fails with EFAULT for a page that is trapped where the userfaultfd is for user mode
 * only; that page may be touched.
 */
static void touch(uintptr_t low, uintptr_t high, uintptr_t page)
{
	for (uintptr_t at = high - page; at >= low; at -= page) {
		if (!madvise((void *)at, page, MADV_POPULATE_READ))
			continue;
		if (errno != EFAULT)
			break;
		(void)*(volatile char *)at;
	}
}

/*
 * Calls from both sides of a page's boundary come in turn, so what was there before counts, too.
 * The pages of calls that are no further apart than DEPTH overlap.
 */
static void keep(uintptr_t from, uintptr_t to)
{
	const uintptr_t bottom = from < there.from ? from : there.from;
	const uintptr_t top = to > there.to ? to : there.to;
	const bool joins = top - bottom <= DEPTH;

	there.from = joins ? bottom : from;
	there.to = joins ? top : to;
}

static __attribute__((noinline)) void populate(uintptr_t here)
{
	const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
	const uintptr_t high = (here | (page - 1)) + 1;
	const uintptr_t low = high - DEPTH;
	const int saved = errno;

	if (madvise((void *)low, DEPTH, MADV_POPULATE_READ))
		touch(low, high, page);
	keep(high - page, high);
	errno = saved;
}

void stack_touch(void)
{
	const uintptr_t here = (uintptr_t)__builtin_frame_address(0);

	if (here < there.from || here >= there.to)
		populate(here);
}
