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

/* The pages of [low, high) are there. */
static _Thread_local struct {
	uintptr_t low, high;
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

/* Calls from both sides of a page's boundary come in turn, so what was there before counts, too. */
static void keep(uintptr_t low, uintptr_t high)
{
	const uintptr_t bottom = low < there.low ? low : there.low;
	const uintptr_t top = high > there.high ? high : there.high;
	const bool joins = low <= there.high && there.low <= high && top - bottom <= 2 * DEPTH;

	there.low = joins ? bottom : low;
	there.high = joins ? top : high;
}

void stack_touch(void)
{
	const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
	const uintptr_t here = (uintptr_t)__builtin_frame_address(0);
	const uintptr_t high = (here | (page - 1)) + 1;
	const uintptr_t low = high - DEPTH;
	const int saved = errno;

	if (there.low <= low && high <= there.high)
		return;
	if (madvise((void *)low, DEPTH, MADV_POPULATE_READ))
		touch(low, high, page);
	keep(low, high);
	errno = saved;
}
