// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* Frames that a driver takes for pages whose place it chooses. */
#include "migrate/migrate.h"
#include "space/debug.h"
#include "space/space.h"
#include "space/turn.h"
#include "base/deadline.h"
#include "base/nocancel.h"

#include <errno.h>

struct hmm_devmem *lend_find(const struct devmem_space *s, uint64_t addr, uint32_t n,
			     uint32_t *first)
{
	for (uint32_t i = 1; i <= REGIONS_MAX; i++) {
		struct hmm_devmem *d = s->region[i];

		if (!d || addr < d->base || addr - d->base >= d->options.bytes ||
		    addr & (s->page - 1))
			continue;
		*first = (uint32_t)((addr - d->base) / s->page);
		return n <= d->frames - *first ? d : NULL;
	}
	return NULL;
}

static uint32_t frames_of(const struct hmm_devmem *d, uint64_t bytes)
{
	if (bytes == d->space->page)
		return 1;
	return bytes == d->space->block ? BLOCK_PAGES : 0;
}

/* 0; -EAGAIN: the worker is about to free some; -ENOSPC. */
static int lend(struct hmm_devmem *d, bool block, uint32_t *first)
{
	int err = 0;

	pthread_mutex_lock(&d->mm->region_lock);
	turn_take(d->mm);
	if (d->space->closed)
		err = -ESRCH;
	else if (!frames_lend(d, block, first))
		err = d->dying ? -EAGAIN : -ENOSPC;
	turn_end(d->mm);
	pthread_mutex_unlock(&d->mm->region_lock);
	return err;
}

int hmm_devmem_alloc(struct hmm_devmem *d, uint64_t bytes, uint64_t timeout_ns, uint64_t *addr)
{
	DEBUG_CALL(d ? d->mm : NULL, DEBUG_BLOCKS);
	HMM_NO_CANCEL;
	const uint64_t deadline = deadline_after(timeout_ns);
	uint32_t first;
	int err;

	if (!d || !addr || !frames_of(d, bytes))
		return -EINVAL;
	for (unsigned int round = 0;; round++) {
		err = mm_alive(d->mm);
		if (!err)
			err = lend(d, bytes != d->space->page, &first);
		if (err != -EAGAIN)
			break;
		if (deadline_passed(deadline))
			return -ETIME;
		deadline_pause(round);
	}
	if (!err)
		*addr = d->base + first * d->space->page;
	return err;
}

int hmm_devmem_free(struct hmm_devmem *d, uint64_t addr, uint64_t bytes)
{
	DEBUG_CALL(d ? d->mm : NULL, DEBUG_BLOCKS);
	HMM_NO_CANCEL;
	const uint32_t n = d ? frames_of(d, bytes) : 0;
	uint32_t first;
	int err = n ? mm_alive(d->mm) : -EINVAL;

	if (err)
		return err;
	pthread_mutex_lock(&d->mm->region_lock);
	turn_take(d->mm);
	if (lend_find(d->space, addr, n, &first) != d || !frames_are_lent(d, first, n))
		err = -EINVAL;
	else
		frames_unlend(d, first, n);
	turn_end(d->mm);
	pthread_mutex_unlock(&d->mm->region_lock);
	return err;
}
