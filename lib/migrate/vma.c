// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* Migration in three steps, for programs. */
#include "migrate/migrate.h"
#include "space/debug.h"
#include "space/space.h"
#include "base/grow.h"
#include "base/nocancel.h"
#include "base/pool.h"
#include "base/trace.h"

#include <errno.h>
#include <string.h>

#define RANGE_MAX (64ULL << 20)
#define DEVICE_FLAGS                                                                               \
	(HMM_MIGRATE_VMA_SELECT_DEVICE_PRIVATE | HMM_MIGRATE_VMA_SELECT_DEVICE_COHERENT)
#define SELECT_FLAGS (HMM_MIGRATE_VMA_SELECT_SYSTEM | DEVICE_FLAGS)
#define ALL_FLAGS (SELECT_FLAGS | HMM_MIGRATE_VMA_SELECT_COMPOUND | HMM_MIGRATE_VMA_SELECT_READONLY)

static int check_size(const struct hmm_migrate_vma *args)
{
	return grow_check(args, sizeof(*args), GROW_LEAST(struct hmm_migrate_vma, state));
}

static int check(const struct hmm_migrate_vma *args)
{
	if (args->flags & ~ALL_FLAGS || !(args->flags & SELECT_FLAGS) || !args->mm || !args->src ||
	    !args->dst || args->start >= args->end || args->end - args->start > RANGE_MAX)
		return -EINVAL;
	return args->flags & DEVICE_FLAGS && !args->pgmap_owner ? -EINVAL : 0;
}

static size_t state_bytes(uint32_t n)
{
	return sizeof(struct migrate_state) + n * sizeof(struct migrate_page);
}

static int make_state(const struct hmm_migrate_vma *args, struct migrate_state **out)
{
	struct hmm_devmem *isolation = NULL;
	struct devmem_space *s;
	struct migrate_state *st;
	uint32_t n;
	int err = devmem_need(args->mm, &s);

	if (!err && (args->start | args->end) & (s->page - 1))
		err = -EINVAL;
	if (!err && args->flags & HMM_MIGRATE_VMA_SELECT_SYSTEM)
		err = devmem_need_one(args->mm, DEVMEM_ISOLATION, &isolation);
	if (err)
		return err;
	n = (uint32_t)((args->end - args->start) / s->page);
	st = pool_map(state_bytes(n));
	if (!st)
		return -ENOMEM;
	st->mm = args->mm;
	st->s = s;
	st->isolation = isolation;
	st->start = args->start;
	st->end = args->end;
	st->n = n;
	st->flags = args->flags;
	st->owner = args->pgmap_owner;
	*out = st;
	return 0;
}

/* What has not gone goes home. */
static void end(struct hmm_migrate_vma *args)
{
	struct migrate_state *st = args->state;

	args->state = NULL;
	state_end(st, args->dst);
	pool_unmap(st, state_bytes(st->n));
}

static void tell(struct hmm_migrate_vma *args, const struct migrate_state *st, uint64_t *n)
{
	*n = 0;
	for (uint32_t i = 0; i < st->n; i++) {
		args->src[i] = st->page[i].src;
		*n += (args->src[i] & HMM_MIGRATE_PFN_MIGRATE) != 0;
	}
}

int hmm_migrate_vma_setup(struct hmm_migrate_vma *args)
{
	DEBUG_CALL(args ? args->mm : NULL, DEBUG_BLOCKS);
	HMM_CANCEL_POINT;
	struct migrate_state *st;
	int err = check_size(args);

	if (err)
		return err;
	args->state = NULL;
	args->cpages = args->npages = args->migrated = 0;
	err = check(args);
	if (!err)
		err = mm_alive(args->mm);
	if (!err)
		err = make_state(args, &st);
	if (err)
		return err;
	args->state = st;
	args->npages = st->n;
	memset(args->dst, 0, st->n * sizeof(*args->dst));
	err = state_isolate(st, args->timeout_ns);
	if (!err) {
		tell(args, st, &args->cpages);
		err = args->cpages ? 0 : -ENOENT;
	}
	if (err)
		end(args);
	return err;
}

int hmm_migrate_vma_pages(struct hmm_migrate_vma *args)
{
	DEBUG_CALL(args ? args->mm : NULL, DEBUG_BLOCKS);
	HMM_CANCEL_POINT;
	struct migrate_state *st;
	int err = check_size(args);
	uint64_t n;

	if (err)
		return err;
	st = args->state;
	if (!st || st->told)
		return -EINVAL;
	err = mm_alive(st->mm);
	if (err)
		return err;
	err = state_send(st, args->dst, args->timeout_ns);
	tell(args, st, &n);
	args->migrated = 0;
	for (uint32_t i = 0; i < st->n; i++)
		args->migrated += st->page[i].gone ? st->s->page / HMM_PAGE_SIZE : 0;
	hmm_trace(migrate, st->mm, st->start, st->end, args->migrated, err, st->owner);
	return err;
}

void hmm_migrate_vma_finalize(struct hmm_migrate_vma *args)
{
	DEBUG_CALL(args ? args->mm : NULL, DEBUG_BLOCKS);
	HMM_NO_CANCEL;

	if (check_size(args) || !args->state || mm_inherited(args->mm))
		return;
	end(args);
}
