// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * A hit: no lock, and at most one system call for memory whose changes raise events. What is asked
 * is what hmm_interval_stale() asks, with the mark of the dead in the place of the sequence: the
 * callback sets it before the pump is idle again.
 *
 * With HMM_REGCACHE_ORDERED the probe is left out. Each call that changed the memory has returned,
 * so its event was read, by the pump while pump_seq was odd, or by a thief. If pump_seq is even and
 * no thief's events wait, the callbacks of all those events have run, and the mark is looked at
 * after that.
 */
#include "regcache/cache.h"
#include "range/check.h"
#include "notifier/notifier.h"
#include "engine/gate.h"
#include "space/debug.h"
#include "space/probe.h"
#include "base/deadline.h"
#include "base/epoch.h"
#include "base/hooks.h"
#include "base/mutation.h"
#include "base/nocancel.h"
#include "base/number.h"

#include <errno.h>

#define GET_FLAGS (HMM_REGCACHE_WRITE | HMM_REGCACHE_ORDERED | HMM_REGCACHE_ONCE | HMM_REGCACHE_HIT)

static bool dead(const struct entry *e)
{
	return atomic_load(&e->state) & ENTRY_DEAD && !hmm_mutation(HMM_MUTATION_CACHE_UNDEAD);
}

/* 0; -ESTALE; -EAGAIN: it is not known yet. */
static inline __attribute__((always_inline)) int ask(struct hmm_mm *mm, const struct entry *e,
						     bool ordered)
{
	const uint64_t pump = atomic_load(&mm->pump_seq);

	if (__builtin_expect(dead(e), 0))
		return -ESTALE;
	if (__builtin_expect(pump & 1, 0) || ((!ordered || mm->log) && mm_in_flight_quick(mm)))
		return -EAGAIN;
	hmm_hook(HMM_POINT_PROBED);
	/* Where a log tells of changes the mark is set later than the sequence. */
	if (mm->log && ni_told(e->ni, e->seq) && !hmm_mutation(HMM_MUTATION_CACHE_UNDEAD))
		return -ESTALE;
	if (__builtin_expect(gate_has_thieves(mm) || atomic_load(&mm->pump_seq) != pump, 0))
		return -EAGAIN;
	return __builtin_expect(dead(e), 0) ? -ESTALE : 0;
}

/* Asks until it is known. A change that is in flight is handled in microseconds. */
static __attribute__((noinline)) int settle(struct hmm_mm *mm, const struct entry *e, bool ordered,
					    uint64_t deadline)
{
	HMM_NO_CANCEL;
	int ret;

	mm_refused_forget();
	for (unsigned int round = 0; (ret = ask(mm, e, ordered)) == -EAGAIN; round++) {
		ret = mm_alive(mm);
		if (!ret)
			ret = mm_refused();
		if (ret)
			return ret;
		if (deadline_passed(deadline))
			return -ETIME;
		deadline_spin(round);
	}
	return ret;
}

/* Memory whose changes do not all raise events. */
static __attribute__((noinline)) int look(const struct entry *e, unsigned int flags,
					  uint64_t deadline)
{
	HMM_NO_CANCEL;
	const struct hmm_range range = { .size = sizeof(range),
					 .notifier = e->ni,
					 .notifier_seq = e->seq,
					 .start = e->r.start,
					 .end = entry_end(e) };
	unsigned int checks = e->checks;

	if (flags & HMM_REGCACHE_ORDERED)
		checks |= HMM_CHECK_ORDERED;
	if (dead(e))
		return -ESTALE;
	return range_check_until(&range, checks, deadline);
}

static inline __attribute__((always_inline)) int stands(struct hmm_mm *mm, const struct entry *e,
							unsigned int flags, struct wait *wait)
{
	const bool ordered = flags & HMM_REGCACHE_ORDERED;
	int ret;

	if (__builtin_expect(e->checks, 0))
		return look(e, flags, wait_until(wait));
	ret = ask(mm, e, ordered);
	return __builtin_expect(ret == -EAGAIN, 0) ? settle(mm, e, ordered, wait_until(wait)) : ret;
}

int hit_stands(struct entry *e, unsigned int flags, struct wait *wait)
{
	return stands(e->cache->mm, e, flags, wait);
}

/* The entry may have become another one before the reference was taken. */
static bool fits(const struct entry *e, const struct miss *want)
{
	return e->r.start <= want->start && entry_end(e) >= want->end &&
	       !(want->flags & ~e->r.flags);
}

static inline __attribute__((always_inline)) bool
take_fitting(struct hmm_regcache *c, struct entry *e, const struct miss *want)
{
	if (!e || !entry_take(c, e))
		return false;
	if (__builtin_expect(fits(e, want), 1))
		return true;
	entry_untake(c, e);
	return false;
}

static struct hint *hint_of(const struct hmm_regcache *c, uint64_t start)
{
	uint64_t hash = (start >> HMM_PAGE_SHIFT) * 0x9e3779b97f4a7c15ULL;

	/* Twice, as buffers may be at multiples of a power of two. */
	hash = (hash ^ hash >> 32) * 0x9e3779b97f4a7c15ULL;
	return &c->hints[hash >> (64 - HINT_BITS)];
}

static inline uint64_t start_at(const struct hint *hint, unsigned int way)
{
	return atomic_load_explicit(&hint->start[way], memory_order_relaxed);
}

/* The way with that address; 0 if there is none. Which one it is is not guessed by a branch. */
static inline unsigned int way_of(const struct hint *hint, uint64_t start)
{
	return (start_at(hint, 1) == start) | (start_at(hint, 2) == start) << 1 |
	       (start_at(hint, 3) == start) * 3;
}

static __attribute__((noinline)) struct entry *search(struct hmm_regcache *c, struct hint *hint,
						      const struct miss *want)
{
	struct entry *e = index_find(&c->index, want->start);
	unsigned int way = way_of(hint, want->start) % HINT_WAYS;

	if (!take_fitting(c, e, want))
		return NULL;
	if (start_at(hint, way) != want->start)
		way = atomic_fetch_add_explicit(&c->hint_turn, 1, memory_order_relaxed) % HINT_WAYS;
	atomic_store_explicit(&hint->entry[way], e, memory_order_release);
	atomic_store_explicit(&hint->start[way], want->start, memory_order_relaxed);
	return e;
}

static inline __attribute__((always_inline)) struct entry *find(struct hmm_regcache *c,
								const struct miss *want)
{
	struct hint *hint = hint_of(c, want->start);
	const unsigned int way = way_of(hint, want->start) % HINT_WAYS;
	struct entry *e;

	if (__builtin_expect(start_at(hint, way) == want->start, 1)) {
		e = atomic_load_explicit(&hint->entry[way], memory_order_acquire);
		if (__builtin_expect(take_fitting(c, e, want), 1))
			return e;
	}
	return search(c, hint, want);
}

/* It was found, and is not used. */
static __attribute__((noinline)) int refuse(struct hmm_regcache *c, struct entry *e, int ret)
{
	if (ret == -ESTALE) {
		count(&c->stale, 1);
		entry_outdate(c, e);
	}
	entry_untake(c, e);
	return ret == -ESTALE ? -ENOENT : ret;
}

static inline __attribute__((always_inline)) int hit(struct hmm_regcache *c,
						     const struct miss *want, unsigned int flags,
						     struct wait *wait, struct entry **out)
{
	struct entry *e = find(c, want);
	int ret;

	if (__builtin_expect(!e, 0))
		return -ENOENT;
	ret = stands(c->mm, e, flags, wait);
	if (__builtin_expect(ret, 0))
		return refuse(c, e, ret);
	atomic_store_explicit(&e->used, atomic_load_explicit(&c->time, memory_order_relaxed),
			      memory_order_relaxed);
	if (__builtin_expect(atomic_load_explicit(&e->state, memory_order_relaxed) >> 63, 0))
		entry_move_hits(c, e);
	*out = e;
	return 0;
}

int hit_again(struct hmm_regcache *c, const struct miss *want, unsigned int flags,
	      struct wait *wait, struct entry **e)
{
	return hit(c, want, flags, wait, e);
}

/* ---- get and put ----------------------------------------------------------------------------- */

static int take_request(const struct hmm_regcache *c, uint64_t addr, uint64_t length,
			unsigned int flags, struct miss *want)
{
	const uint64_t rest = c->limits.align - 1;

	if (!length || addr + length - 1 < addr || addr + length - 1 > UINT64_MAX - rest - 1 ||
	    flags & ~GET_FLAGS)
		return -EINVAL;
	want->start = addr & ~rest;
	want->end = (addr + length + rest) & ~rest;
	want->flags = flags & HMM_REGCACHE_WRITE;
	want->joined = false;
	want->next = NULL;
	return 0;
}

static __attribute__((noinline)) int get_inherited(struct hmm_regcache *c, const struct miss *want,
						   unsigned int flags, struct entry **e)
{
	HMM_NO_CANCEL;

	if (!mm_inherited(c->mm))
		return -ESRCH;
	if (flags & HMM_REGCACHE_HIT)
		return c->limits.flags & HMM_REGCACHE_CHILD ? -ENOENT : -ESRCH;
	return child_get(c, want, e);
}

static __attribute__((noinline)) int get_new(struct hmm_regcache *c, const struct miss *want,
					     unsigned int flags, struct wait *wait,
					     struct entry **e)
{
	HMM_CANCEL_POINT;
	int ret;

	if (flags & HMM_REGCACHE_ONCE)
		return miss_once(c, want, wait_until(wait), e);
	while ((ret = miss(c, want, wait_until(wait), e)) > 0) {
		ret = hit_again(c, want, flags, wait, e);
		if (ret != -ENOENT)
			break;
	}
	return ret;
}

int hmm_regcache_get(struct hmm_regcache *c, uint64_t addr, uint64_t length, unsigned int flags,
		     uint64_t timeout_ns, struct hmm_registration **r)
{
	DEBUG_CALL(c->mm, DEBUG_BLOCKS);
	struct entry *e = NULL;
	struct miss want;
	struct wait wait = { .timeout_ns = timeout_ns };
	int ret = take_request(c, addr, length, flags, &want);

	if (__builtin_expect(ret, 0))
		return ret;
	if (__builtin_expect(!epoch_is(c->epoch) || atomic_load(&c->mm->dead), 0)) {
		ret = get_inherited(c, &want, flags, &e);
	} else {
		ret = hit(c, &want, flags, &wait, &e);
		if (__builtin_expect(ret == -ENOENT, 0) && !(flags & HMM_REGCACHE_HIT))
			ret = get_new(c, &want, flags, &wait, &e);
	}
	if (!ret)
		*r = &e->r;
	return ret;
}
