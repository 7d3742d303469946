// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* A registration cache: the public functions. */
#include "regcache/cache.h"
#include "space/debug.h"
#include "base/deadline.h"
#include "base/epoch.h"
#include "base/grow.h"
#include "base/nocancel.h"
#include "base/number.h"

#include <errno.h>
#include <linux/capability.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#define ENTRIES 4096
#define MERGE (64ULL << 20)

#define CREATE_FLAGS (HMM_REGCACHE_STRICT | HMM_REGCACHE_CHILD | HMM_REGCACHE_FORK)

/* ---- a cache --------------------------------------------------------------------------------- */

static bool may_lock_all(void)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = { { 0 } };

	return !syscall(SYS_capget, &head, data) && data[0].effective & 1U << CAP_IPC_LOCK;
}

static uint64_t most_pinned(void)
{
	struct rlimit limit;

	if (may_lock_all() || getrlimit(RLIMIT_MEMLOCK, &limit) || limit.rlim_cur == RLIM_INFINITY)
		return UINT64_MAX;
	return limit.rlim_cur;
}

static int take_limits(struct hmm_regcache_options *o, const struct hmm_regcache_options *from)
{
	const uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
	int err = 0;

	*o = (struct hmm_regcache_options){ .size = sizeof(*o) };
	if (from)
		err = grow_take(o, sizeof(*o), from,
				GROW_LEAST(struct hmm_regcache_options, flags));
	if (err)
		return err;
	if (o->flags & ~CREATE_FLAGS || o->align & (o->align - 1))
		return -EINVAL;
	if (!o->max_entries)
		o->max_entries = ENTRIES;
	if (!o->max_pinned)
		o->max_pinned = most_pinned();
	o->max_bytes = min64(o->max_bytes, INT64_MAX);
	if (!o->max_merge)
		o->max_merge = MERGE;
	o->align = max64(o->align, page);
	return 0;
}

static void cache_free(struct hmm_regcache *c)
{
	entries_fini(c);
	index_fini(&c->index);
	pool_unmap(c->hints, HINTS * sizeof(struct hint));
	pool_unmap(c, sizeof(*c));
}

static int cache_new(struct hmm_regcache **out)
{
	/* The pump writes to it, so it is memory that is never mirrored. */
	struct hmm_regcache *c = pool_map(sizeof(*c));

	if (!c)
		return -ENOMEM;
	c->hints = pool_map(HINTS * sizeof(struct hint));
	if (!c->hints || index_init(&c->index)) {
		cache_free(c);
		return -ENOMEM;
	}
	pthread_mutex_init(&c->lock, NULL);
	pthread_cond_init(&c->changed, NULL);
	*out = c;
	return 0;
}

int hmm_regcache_create(struct hmm_mm *mm, const struct hmm_regcache_ops *ops,
			const struct hmm_regcache_options *options, void *priv,
			struct hmm_regcache **cache)
{
	DEBUG_CALL(mm, DEBUG_BLOCKS);
	HMM_NO_CANCEL;
	struct hmm_regcache_options limits;
	struct hmm_regcache_ops own = { .size = 0 };
	struct hmm_regcache *c;
	int err = mm_alive(mm);

	if (!err)
		err = grow_take(&own, sizeof(own), ops, GROW_LEAST(struct hmm_regcache_ops, dereg));
	if (!err)
		err = take_limits(&limits, options);
	if (!err && (!own.reg || !own.dereg))
		err = -EINVAL;
	if (!err)
		err = cache_new(&c);
	if (err)
		return err;
	mm_get(mm);
	c->mm = mm;
	c->ops = own;
	c->limits = limits;
	c->priv = priv;
	c->epoch = epoch_now();
	*cache = c;
	return 0;
}

static uint64_t flush(struct hmm_regcache *c)
{
	struct doomed doomed = { NULL, 0 };

	pthread_mutex_lock(&c->lock);
	entry_reap_locked(c, &doomed);
	for (size_t i = 0; i < index_count(&c->index); i++)
		entry_unindexed_locked(c, index_at(&c->index, i), &doomed);
	index_sweep(&c->index);
	pthread_mutex_unlock(&c->lock);
	entry_end_all(c, &doomed);
	return doomed.ended;
}

void hmm_regcache_destroy(struct hmm_regcache *c)
{
	DEBUG_CALL(NULL, DEBUG_BLOCKS);
	HMM_NO_CANCEL;
	struct hmm_mm *mm;

	if (!c)
		return;
	mm = c->mm;
	if (mm_inherited(mm)) {
		cache_free(c);
		return;
	}
	flush(c);
	entries_end(c);
	pthread_cond_destroy(&c->changed);
	pthread_mutex_destroy(&c->lock);
	cache_free(c);
	mm_put(mm);
}

/* ---- put and check --------------------------------------------------------------------------- */

void hmm_regcache_put(struct hmm_regcache *c, struct hmm_registration *r)
{
	DEBUG_CALL(c->mm, DEBUG_BLOCKS);
	struct entry *e = (struct entry *)r; /* its first member */

	if (!e)
		return;
	if (__builtin_expect(mm_inherited(c->mm), 0))
		child_put(c, e);
	else if (__builtin_expect(entry_put(c, e), 0))
		room_trim(c);
}

int hmm_regcache_check(struct hmm_regcache *c, const struct hmm_registration *r, unsigned int flags)
{
	DEBUG_CALL(c->mm, DEBUG_BLOCKS);
	HMM_CANCEL_POINT;
	struct entry *e = (struct entry *)(uintptr_t)r;
	struct wait wait = { .timeout_ns = HMM_FOREVER };
	int ret = mm_alive(c->mm);

	if (!r || flags & ~HMM_REGCACHE_ORDERED)
		return -EINVAL;
	if (ret)
		return ret;
	if (!e->ni)
		return -ESTALE;
	ret = hit_stands(e, flags, &wait);
	if (ret == -ESTALE)
		entry_outdate(c, e);
	return !ret || ret == -ESRCH ? ret : -ESTALE;
}

/* ---- what a cache has ------------------------------------------------------------------------ */

uint64_t hmm_regcache_reap(struct hmm_regcache *c)
{
	DEBUG_CALL(c->mm, DEBUG_BLOCKS);

	return mm_inherited(c->mm) ? 0 : entry_reap(c);
}

uint64_t hmm_regcache_flush(struct hmm_regcache *c)
{
	DEBUG_CALL(c->mm, DEBUG_BLOCKS);
	HMM_NO_CANCEL;

	return mm_inherited(c->mm) ? 0 : flush(c);
}

static uint64_t get(const _Atomic uint64_t *counter)
{
	return atomic_load_explicit(counter, memory_order_relaxed);
}

int hmm_regcache_get_stats(const struct hmm_regcache *c, struct hmm_regcache_stats *stats)
{
	struct hmm_regcache_stats s = {
		.size = sizeof(s),
		.misses = get(&c->misses),
		.refused = get(&c->refused),
		.invalidated = get(&c->invalidated),
		.stale = get(&c->stale),
		.evicted = get(&c->evicted),
		.merged = get(&c->merged),
		.entries = get(&c->entries),
		.bytes = get(&c->bytes),
		.pinned = get(&c->pinned),
		.dead = get(&c->dead),
	};
	int err = grow_room(stats, GROW_LEAST(struct hmm_regcache_stats, hits));

	if (err)
		return err;
	/* One that was none may be subtracted already, and its entry gone. */
	s.hits = get(&c->hits);
	s.hits += entries_hits(c);
	if ((int64_t)s.hits < 0)
		s.hits = 0;
	grow_give(stats, &s, sizeof(s));
	return 0;
}
