// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* A range that moves, mapping by mapping and block by block. */
#include "migrate/migrate.h"
#include "watch/region.h"
#include "space/space.h"
#include "kernel/vma.h"
#include "base/deadline.h"
#include "base/number.h"

#include <errno.h>
#include <sys/mman.h>

/* A hole is believed if it is seen so often: another thread may change a mapping beside it. */
#define STUBBORN 4

/* 0: at least the page at `at` is mapped, and may be read. -EINVAL: not; -errno. */
static int peek_readable(const struct migration *m, uint64_t at, struct hmm_vma *vma)
{
	for (int i = 0; i < STUBBORN; i++) {
		const int err = vma_peek(mm_vmas(m->mm), at, vma);

		if (err && err != -ENOENT)
			return err;
		if (!err && vma->start <= at && vma->prot & PROT_READ)
			return 0;
	}
	return -EINVAL;
}

int migrate_check_mapped(const struct migration *m)
{
	struct hmm_vma vma = { .end = 0 };
	int err = 0;

	for (uint64_t at = m->start; !err && at < m->end; at = vma.end)
		err = peek_readable(m, at, &vma);
	return err;
}

/* Frames may be read and written, and the kernel moves pages between equals alone. */
bool migrate_is_staged(const struct hmm_vma *vma)
{
	return (vma->prot & (PROT_READ | PROT_WRITE | PROT_EXEC)) != (PROT_READ | PROT_WRITE);
}

enum hmm_migrate_reason migrate_refuses(const struct hmm_vma *vma)
{
	if (vma->kind == HMM_VMA_SPECIAL)
		return HMM_MIGRATE_SPECIAL;
	if (vma->kind != HMM_VMA_ANON || vma->shared)
		return HMM_MIGRATE_SHARED;
	return HMM_MIGRATE_REASON_NR;
}

/* Exclusive access is for atomic writes, and coherent pages come to an address by a move. */
static bool refuses_staged(struct migration *m, const struct hmm_vma *vma)
{
	return migrate_is_staged(vma) &&
	       (!m->readonly || m->d->exclusive || m->into || readonly_begin(m));
}

/* *at: how far it came. -EAGAIN: the mapping has changed there. */
static int migrate_mapping(struct migration *m, const struct hmm_vma *vma, uint64_t *at,
			   uint64_t end)
{
	enum hmm_migrate_reason why = migrate_refuses(vma);
	bool shares = false;
	int err;

	if (why == HMM_MIGRATE_SHARED && shared_may(m, vma))
		shares = true;
	else if (why == HMM_MIGRATE_REASON_NR && refuses_staged(m, vma))
		why = HMM_MIGRATE_PERMISSION;
	if (why != HMM_MIGRATE_REASON_NR && !shares) {
		migrate_left(m, why, end - *at);
		*at = end;
		return 0;
	}
	m->stale_at = *at;
	err = region_ensure(m->mm, vma, *at, end, m->deadline);
	if (err == -EOPNOTSUPP) {
		migrate_left(m, HMM_MIGRATE_SPECIAL, end - *at);
		*at = end;
		return 0;
	}
	m->staged = !shares && migrate_is_staged(vma);
	if (!err)
		err = shares ? shared_take(m, vma, *at, end) : migrate_part(m, vma, *at, end);
	*at = err == -EAGAIN ? m->stale_at : err ? *at : end;
	return err;
}

int migrate_range(struct migration *m, uint64_t start, uint64_t end)
{
	uint64_t at = start;
	unsigned int holes = 0;
	int err = 0;

	for (unsigned int round = 0; at < end; round++) {
		struct hmm_vma vma;

		err = vma_lookup_unnamed(mm_vmas(m->mm), at, &vma);
		/* It was mapped when the call began. */
		if (err == -ENOENT || (!err && vma.start > at))
			err = ++holes < STUBBORN ? -EAGAIN : -EINVAL;
		if (!err)
			err = migrate_mapping(m, &vma, &at, min64(vma.end, end));
		if (err == -EAGAIN && deadline_passed(m->deadline))
			err = -EBUSY;
		if (err && err != -EAGAIN)
			return err;
		if (err)
			deadline_pause(round);
	}
	return 0;
}

static bool is_range(const struct devmem_space *s, uint64_t start, uint64_t end)
{
	return start < end && !((start | end) & (s->page - 1));
}

int migrate_begin(struct migration *m, uint64_t start, uint64_t end, uint64_t timeout_ns)
{
	int err = mm_alive(m->mm);

	if (err)
		return err;
	if (!is_range(m->s, start, end))
		return -EINVAL;
	m->start = start;
	m->end = end;
	m->timeout = timeout_ns;
	m->deadline = deadline_after(timeout_ns);
	return 0;
}

int migrate_check(struct migration *m, uint64_t start, uint64_t end, uint64_t timeout_ns)
{
	const int err = migrate_begin(m, start, end, timeout_ns);

	return err ? err : migrate_check_mapped(m);
}
