// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * Shared memory that devices have exclusively. The kernel moves no pages of it. But the stage's
 * thread (stage.c) takes the entries of the page table away, at once: then the CPU's touch of the
 * page is a fault, as the mapping is trapped. What it has made is another mapping of the same
 * memory, at the frame. The device works there; it is not registered. Home means that the entry is
 * made anew.
 *
 * So a frame is a mapping, and an engine that was run over could store into the page late, when the
 * CPU has it again. Its frame becomes memory that nobody looks at before.
 */
#include "devmem/devmem.h"
#include "space/space.h"
#include "provider/provider.h"

#include <errno.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define NOBODYS (MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED)

bool alias_has(const struct devmem_space *s, uint64_t addr)
{
	const struct hmm_devmem *d = atomic_load(&s->alias);

	return d && addr - d->base < d->options.bytes;
}

bool alias_in_transit(const struct hmm_devmem *d, uint32_t first, uint32_t n)
{
	const struct stage *st = &d->space->stage;
	const uint64_t start = d->base + first * d->space->page;

	return st->taken && st->shared && start < st->to + st->bytes &&
	       start + n * d->space->page > st->to;
}

static void replace(const struct hmm_devmem *d, uint32_t first, uint32_t n, int prot)
{
	const uint64_t page = d->space->page;

	/* Not libc's, as what stands in for it may tell the library (preload). */
	syscall(SYS_mmap, d->base + first * page, n * page, prot, NOBODYS, -1, 0L);
}

/* What is on its way was not given to a device yet, and its mapping is still registered. */
void alias_cut(struct hmm_devmem *d, uint32_t first, uint32_t n)
{
	for (uint32_t i = first; i < first + n; i++) {
		if (!alias_in_transit(d, i, 1))
			replace(d, i, 1, PROT_READ | PROT_WRITE);
	}
}

void alias_clear(const struct hmm_devmem *d, uint32_t first, uint32_t n)
{
	replace(d, first, n, PROT_NONE);
}

int64_t alias_show(struct hmm_mm *mm, uint64_t start, uint64_t bytes)
{
	const struct provider_move *ops = mm->provider.ops->move;
	const uint64_t page = devmem_of(mm)->page;
	int64_t n = ops->show(&mm->provider, start, bytes);

	/* A hole was made in the file, or it was cut off there, for which the errors differ. */
	if (n == -EFAULT) {
		n = ops->zero(&mm->provider, start, page);
		n = n == -ENOMEM ? -EFAULT : n;
	}
	if (n >= 0)
		return n;
	if (home_ends(n))
		return n == -EBADF || n == -ENOTTY ? -ESRCH : n;
	/* It is there, or a touch is a fault of its own, or the mapping has gone. */
	ops->wake(&mm->provider, start, page);
	return (int64_t)page;
}
