// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* hmm_migrate_to_device(): a range, mapping by mapping and block by block. */
#include "migrate/migrate.h"
#include "watch/region.h"
#include "space/debug.h"
#include "space/space.h"
#include "kernel/vma.h"
#include "base/deadline.h"
#include "base/grow.h"
#include "base/nocancel.h"
#include "base/number.h"

#include <errno.h>
#include <sys/mman.h>

/* All of it is mapped and may be read? */
static int check_mapped(struct hmm_mm *mm, uint64_t start, uint64_t end)
{
	struct hmm_vma vma;

	for (uint64_t at = start; at < end; at = vma.end) {
		const int err = vma_peek(mm_vmas(mm), at, &vma);

		if (err && err != -ENOENT)
			return err;
		if (err || vma.start > at || !(vma.prot & PROT_READ))
			return -EINVAL;
	}
	return 0;
}

/* Why the mapping as a whole stays in place; HMM_MIGRATE_REASON_NR: it need not. */
static enum hmm_migrate_reason refuses(const struct hmm_vma *vma)
{
	if (vma->kind == HMM_VMA_SPECIAL)
		return HMM_MIGRATE_SPECIAL;
	if (vma->kind != HMM_VMA_ANON || vma->shared)
		return HMM_MIGRATE_SHARED;
	if ((vma->prot & (PROT_READ | PROT_WRITE | PROT_EXEC)) != (PROT_READ | PROT_WRITE))
		return HMM_MIGRATE_PERMISSION;
	return HMM_MIGRATE_REASON_NR;
}

/* *at: how far it came. -EAGAIN: the mapping has changed there. */
static int migrate_mapping(struct migration *m, const struct hmm_vma *vma, uint64_t *at,
			   uint64_t end)
{
	const enum hmm_migrate_reason why = refuses(vma);
	int err;

	if (why != HMM_MIGRATE_REASON_NR) {
		migrate_left(m, why, end - *at);
		*at = end;
		return 0;
	}
	err = region_ensure(m->mm, vma, *at, end, m->deadline);
	if (err == -EOPNOTSUPP) {
		migrate_left(m, HMM_MIGRATE_SPECIAL, end - *at);
		*at = end;
		return 0;
	}
	if (!err)
		err = migrate_part(m, vma, *at, end);
	*at = err == -EAGAIN ? m->stale_at : err ? *at : end;
	return err;
}

int migrate_range(struct migration *m, uint64_t start, uint64_t end)
{
	uint64_t at = start;
	int err = 0;

	for (unsigned int round = 0; at < end; round++) {
		struct hmm_vma vma;

		err = vma_lookup_unnamed(mm_vmas(m->mm), at, &vma);
		/* It was mapped when the call began. */
		if (err == -ENOENT || (!err && vma.start > at))
			return -EINVAL;
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

int migrate_check(struct migration *m, uint64_t start, uint64_t end, uint64_t timeout_ns)
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
	return check_mapped(m->mm, start, end);
}

int migrate_to_device(struct hmm_devmem *d, uint64_t start, uint64_t end, uint64_t timeout_ns,
		      struct hmm_migrate_result *result)
{
	struct migration m = { .d = d, .mm = d->mm, .s = d->space, .owner = d->options.owner };
	int err = migrate_check(&m, start, end, timeout_ns);

	*result = m.result;
	if (err)
		return err;
	err = migrate_range(&m, start, end);
	if (d->copier) {
		const int copied = migrate_copied(&m);

		err = err ? err : copied;
	}
	*result = m.result;
	if (!err && !m.result.moved && !m.result.already)
		return -ENOENT;
	return mm_lost_by(m.mm, err);
}

int hmm_migrate_to_device(struct hmm_devmem *devmem, uint64_t start, uint64_t end,
			  uint64_t timeout_ns, struct hmm_migrate_result *result)
{
	DEBUG_CALL(devmem ? devmem->mm : NULL, DEBUG_BLOCKS);
	HMM_CANCEL_POINT;
	int err = result ? grow_room(result, GROW_LEAST(struct hmm_migrate_result, moved)) : 0;
	struct hmm_migrate_result now;

	if (!devmem)
		return -EINVAL;
	if (err)
		return err;
	err = migrate_to_device(devmem, start, end, timeout_ns, &now);
	if (result)
		grow_give(result, &now, sizeof(now));
	return err;
}

const char *hmm_migrate_reason_name(enum hmm_migrate_reason reason)
{
	static const char *const name[] = {
		[HMM_MIGRATE_SHARED] = "shared",         [HMM_MIGRATE_SPECIAL] = "special",
		[HMM_MIGRATE_PERMISSION] = "permission", [HMM_MIGRATE_BUSY] = "busy",
		[HMM_MIGRATE_DISCARD] = "discard",       [HMM_MIGRATE_ELSEWHERE] = "elsewhere",
		[HMM_MIGRATE_EXHAUSTED] = "exhausted",   [HMM_MIGRATE_COPY] = "copy",
	};

	return (unsigned int)reason < HMM_MIGRATE_REASON_NR ? name[reason] : "?";
}
