// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * hmm_persist(). Only the VmFlags of smaps show whether a mapping is MAP_SYNC, and smaps is slow to
 * read. So the answer is kept together with an interval notifier on the mapping, and holds while
 * the notifier's sequence is valid. If the mapping went and came back without MAP_SYNC flushing
 * would not make it durable.
 */
#include "persist/flush.h"
#include "watch/region.h"
#include "space/debug.h"
#include "space/space.h"
#include "kernel/smaps.h"
#include "base/nocancel.h"
#include "base/pool.h"

#include <hmm/persist.h>

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define KNOWN_MAX 16

struct known {
	struct hmm_interval_notifier *ni; /* NULL: this place is free */
	uint64_t seq;
	uint64_t start;
	uint64_t end;
};

struct persist_cache {
	pthread_mutex_t lock;
	struct known known[KNOWN_MAX];
	unsigned int next; /* which place is replaced next */
};

static void cache_fini(struct persist_cache *c)
{
	for (int i = 0; i < KNOWN_MAX; i++)
		hmm_interval_notifier_remove(c->known[i].ni);
	pool_unmap(c, sizeof(*c));
}

/* The space's cache, made by the first call. NULL: no memory. */
static struct persist_cache *cache_of(struct hmm_mm *mm)
{
	struct persist_cache *c = atomic_load(&mm->persist);
	struct persist_cache *fresh;

	if (c)
		return c;
	fresh = pool_map(sizeof(*fresh));
	if (!fresh)
		return NULL;
	pthread_mutex_init(&fresh->lock, NULL);
	atomic_store(&mm->persist_fini, cache_fini);
	if (atomic_compare_exchange_strong(&mm->persist, &c, fresh))
		return fresh;
	pool_unmap(fresh, sizeof(*fresh));
	return c;
}

/* 1: the VMA that begins at start is MAP_SYNC; 0: it is not; -errno */
static int read_sync_flag(uint64_t start)
{
	char flags[256];
	const int err = smaps_flags(start, flags, sizeof(flags));

	return err ? err : smaps_has(flags, "sf");
}

static int no_driver(struct hmm_interval_notifier *ni, const struct hmm_invalidation *inv,
		     void *priv)
{
	return 0; /* only the sequence is of interest */
}

static bool holds_nothing(struct hmm_interval_notifier *ni, uint64_t start, uint64_t end,
			  void *priv)
{
	return false;
}

static const struct hmm_interval_notifier_ops ops = { sizeof(ops), no_driver, holds_nothing };

static bool is_known(struct persist_cache *c, uint64_t start, uint64_t end)
{
	bool found = false;

	pthread_mutex_lock(&c->lock);
	for (int i = 0; i < KNOWN_MAX && !found; i++) {
		struct known *k = &c->known[i];

		found = k->ni && start >= k->start && end <= k->end &&
			!hmm_interval_stale(k->ni, k->seq);
	}
	pthread_mutex_unlock(&c->lock);
	return found;
}

static void remember(struct persist_cache *c, const struct known *k)
{
	struct hmm_interval_notifier *old;

	pthread_mutex_lock(&c->lock);
	old = c->known[c->next].ni;
	c->known[c->next] = *k;
	c->next = (c->next + 1) % KNOWN_MAX;
	pthread_mutex_unlock(&c->lock);
	hmm_interval_notifier_remove(old);
}

/*
 * 1: flushing makes [start, end) of this VMA durable; 0: it does not; -errno. Remembers a yes if
 * nothing changed meanwhile.
 */
static int may_flush(struct hmm_mm *mm, struct persist_cache *c, const struct hmm_vma *vma,
		     uint64_t start, uint64_t end)
{
	struct known k = { .start = start, .end = end };
	int sync;
	int err;

	if (vma->kind != HMM_VMA_DAX || !flush_available())
		return 0;
	err = hmm_interval_notifier_insert(mm, start, end - start, &ops, NULL, &k.ni);
	if (err)
		return err;
	k.seq = hmm_interval_read_begin(k.ni);
	err = region_ensure(mm, vma, start, end, 0);
	sync = err ? 0 : read_sync_flag(vma->start);
	if (sync == 1 && !hmm_interval_stale(k.ni, k.seq)) {
		remember(c, &k);
		return 1;
	}
	hmm_interval_notifier_remove(k.ni);
	return sync < 0 ? sync : 0;
}

static int sync_pages(uint64_t start, uint64_t end)
{
	uint64_t mask = (uint64_t)sysconf(_SC_PAGESIZE) - 1;

	start &= ~mask;
	end = (end + mask) & ~mask;
	return msync((void *)(uintptr_t)start, end - start, MS_SYNC)
		       ? (errno == ENOMEM ? -EFAULT : -errno)
		       : 0;
}

/* Makes one VMA's part of the range durable. */
static int persist_vma(struct hmm_mm *mm, struct persist_cache *c, const struct hmm_vma *vma,
		       uint64_t start, uint64_t end, enum hmm_persist_means *means)
{
	int flush;

	if ((vma->kind != HMM_VMA_FILE && vma->kind != HMM_VMA_DAX) || !vma->shared)
		return -EOPNOTSUPP;
	flush = may_flush(mm, c, vma, start, end);
	if (flush < 0)
		return flush;
	if (flush) {
		flush_range(start, end);
		return 0;
	}
	*means = HMM_PERSIST_MSYNC;
	return sync_pages(start, end);
}

int hmm_persist(struct hmm_mm *mm, uint64_t start, uint64_t end, enum hmm_persist_means *out)
{
	DEBUG_CALL(mm, DEBUG_BLOCKS);
	HMM_NO_CANCEL;
	enum hmm_persist_means means = HMM_PERSIST_FLUSH;
	struct persist_cache *c;
	int err = mm_alive(mm);

	if (err)
		return err;
	if (start >= end)
		return -EINVAL;
	c = cache_of(mm);
	if (!c)
		return -ENOMEM;
	if (is_known(c, start, end)) {
		flush_range(start, end);
		goto done;
	}
	for (uint64_t at = start; at < end;) {
		struct hmm_vma vma;

		err = hmm_vma_find(mm, at, &vma);
		if (err || vma.start > at)
			return -EFAULT;
		err = persist_vma(mm, c, &vma, at, vma.end < end ? vma.end : end, &means);
		if (err)
			return err;
		at = vma.end;
	}
done:
	if (out)
		*out = means;
	return 0;
}
