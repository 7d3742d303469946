// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * A miss makes a registration, without a lock:
 *
 *	watches the range	each change of it raises an event from now on
 *	@reg			pins what is mapped
 *	commit section		was there an event since? Then it is made again. If not, what is
 *				pinned is what is mapped, and each later event makes it dead
 *	puts it into the index	unless it is dead by now
 *
 * What cannot be watched, and what changes each time, is registered once: nobody else gets it.
 */
#include "regcache/cache.h"
#include "range/check.h"
#include "watch/region.h"
#include "notifier/notifier.h"
#include "kernel/vma.h"
#include "base/deadline.h"
#include "base/mutation.h"
#include "base/number.h"

#include <hmm/range.h>

#include <errno.h>

#define TRIES 3 /* how often a registration is made that collides with changes */

/* ---- what other threads register ------------------------------------------------------------- */

static bool overlaps(const struct hmm_regcache *c, const struct miss *want)
{
	for (const struct miss *m = c->missing; m; m = m->next)
		if (m->start < want->end && m->end > want->start)
			return true;
	return false;
}

static bool is_there(struct hmm_regcache *c, const struct miss *want)
{
	const struct entry *e = index_find(&c->index, want->start);
	const uint64_t state = e ? atomic_load(&e->state) : 0;

	return state & ENTRY_LIVE && ENTRY_REFS(state) < ENTRY_REFS_MAX &&
	       e->r.start <= want->start && entry_end(e) >= want->end &&
	       !(want->flags & ~e->r.flags);
}

/* 0: *all is ours to register; 1: the request is in the index by now; -ETIME. */
static int begin(struct hmm_regcache *c, const struct miss *want, struct miss *all,
		 uint64_t deadline, struct doomed *doomed)
{
	int err = 0;

	pthread_mutex_lock(&c->lock);
	while (!err && overlaps(c, want))
		err = deadline_cond_wait(&c->changed, &c->lock, deadline);
	entry_reap_locked(c, doomed);
	if (!err && is_there(c, want))
		err = 1;
	if (!err) {
		merge_choose(c, want, all);
		all->next = c->missing;
		c->missing = all;
	}
	pthread_mutex_unlock(&c->lock);
	return err;
}

static void over(struct hmm_regcache *c, const struct miss *all)
{
	struct miss **m = &c->missing;

	while (*m != all)
		m = &(*m)->next;
	*m = all->next;
	pthread_cond_broadcast(&c->changed);
}

/* ---- one registration ------------------------------------------------------------------------ */

/* Is all of it mapped? If not there is nothing to register. */
static int all_mapped(struct hmm_mm *mm, uint64_t start, uint64_t end)
{
	struct hmm_vma vma;

	for (; start < end; start = vma.end) {
		int err = vma_lookup_unnamed(mm_vmas(mm), start, &vma);

		if (err && err != -ENOENT)
			return mm_lost_by(mm, err);
		if (err || vma.start > start)
			return -EFAULT;
	}
	return 0;
}

/* May the library register more for this cache? */
static int affordable(const struct hmm_regcache *c, const struct entry *e, uint64_t deadline)
{
	int ret;

	if (!c->limits.max_map_entries ||
	    atomic_load(&c->mm->stats.map_entries) < c->limits.max_map_entries)
		return 0;
	ret = region_covers(c->mm, e->r.start, entry_end(e), deadline);
	return ret < 0 ? ret : ret ? 0 : -ENOSPC;
}

/* 0: watched; -EOPNOTSUPP: it cannot be, for whatever reason; other errors end the call. */
static int watch(struct hmm_regcache *c, struct entry *e, uint64_t deadline)
{
	struct hmm_range range = { .size = sizeof(range),
				   .start = e->r.start,
				   .end = entry_end(e) };
	int err = affordable(c, e, deadline);

	if (!err && !e->ni)
		err = entry_watch(e, deadline);
	range.notifier = e->ni;
	if (!err)
		err = range_watch(&range, deadline_left_ns(deadline));
	switch (err) {
	case 0:
		e->seq = range.notifier_seq;
		e->checks = ni_kinds(e->ni);
		if (c->limits.flags & HMM_REGCACHE_STRICT)
			e->checks |= HMM_CHECK_VMA;
		return 0;
	case -EBUSY:
		return -ETIME;
	case -EFAULT:
		err = all_mapped(c->mm, e->r.start, entry_end(e));
		return err ? err : -EOPNOTSUPP;
	case -EAGAIN:
	case -ENOSPC:
		return -EOPNOTSUPP;
	default:
		return err;
	}
}

/* 0; -EAGAIN: it has changed since it was watched; -ETIME; -ESRCH; -errno of a seccomp filter. */
static int commit(struct hmm_regcache *c, struct entry *e, uint64_t deadline)
{
	struct hmm_mm *mm = c->mm;
	uint64_t seq;
	int err;

	mm_refused_forget();
	for (unsigned int round = 0;; round++) {
		bool retry;

		hmm_mm_commit_begin(mm);
		retry = hmm_interval_read_retry(e->ni, e->seq) &&
			!hmm_mutation(HMM_MUTATION_CACHE_KEEP);
		if (!retry)
			entry_commit(e);
		hmm_mm_commit_end(mm);
		if (!retry)
			return 0;
		/* Something is in flight. Once it is handled the sequence tells if it was here. */
		err = mm_alive(mm);
		if (!err)
			err = mm_refused();
		if (!err)
			err = ni_read_begin(e->ni, deadline, &seq);
		if (err)
			return err;
		if (seq != e->seq)
			return -EAGAIN;
		if (deadline_passed(deadline))
			return -ETIME;
		deadline_spin(round);
	}
}

/* @reg's time does not count. Where there is no room for it, what is idle ends. */
static int reg(struct hmm_regcache *c, struct entry *e, bool evicts, uint64_t *deadline)
{
	const uint64_t began = *deadline ? clock_ns() : 0;
	uint64_t ends;
	int ret;

	do {
		ends = atomic_load(&c->ends);
		ret = entry_reg(c, e);
	} while ((ret == -ENOMEM || ret == -ENOBUFS) && evicts && room_evict(c, ends, *deadline));
	if (*deadline) {
		const uint64_t spent = clock_ns() - began;

		*deadline = *deadline > UINT64_MAX - spent ? UINT64_MAX : *deadline + spent;
	}
	return ret == -ENOBUFS ? -ENOMEM : ret;
}

static int reg_once(struct hmm_regcache *c, struct entry *e, uint64_t *deadline)
{
	entry_unwatch(e);
	e->r.flags |= HMM_REGCACHE_ONCE;
	return reg(c, e, true, deadline);
}

/*
 * 0: it is registered, and watched or for once. part: the entry is larger than the request: it is
 * made only if it can be kept and nothing must end for it, else -EOPNOTSUPP or what @reg says.
 */
static int make(struct hmm_regcache *c, struct entry *e, bool part, uint64_t *deadline)
{
	for (int tries = 0; tries < TRIES; tries++) {
		int err = watch(c, e, *deadline);

		if (err == -EOPNOTSUPP)
			break;
		if (!err)
			err = reg(c, e, !part, deadline);
		if (err)
			return err;
		err = commit(c, e, *deadline);
		if (!err)
			return 0;
		entry_dereg(c, e);
		if (err != -EAGAIN)
			return err;
	}
	return part ? -EOPNOTSUPP : reg_once(c, e, deadline);
}

struct making {
	struct hmm_regcache *c;
	struct entry *e; /* NULL: not yet */
	uint64_t bytes;
};

static void not_made(void *arg)
{
	const struct making *m = arg;

	if (m->e)
		entry_drop(m->c, m->e);
	room_give(m->c, m->bytes);
}

/* Counts it, makes it. *e is not in the index. */
static int make_counted(struct hmm_regcache *c, const struct miss *m, bool once, bool part,
			uint64_t *deadline, struct entry **out)
{
	struct making making = { c, NULL, m->end - m->start };
	int err = room_take(c, making.bytes, *deadline);

	if (err)
		return err;
	/* @reg ends its thread, which it must not do: nobody waits for what it was to make. */
	pthread_cleanup_push(not_made, &making);
	making.e = entry_new(c, m);
	if (!making.e)
		err = -ENOMEM;
	else
		err = once ? reg_once(c, making.e, deadline) : make(c, making.e, part, deadline);
	pthread_cleanup_pop(err != 0);
	if (!err)
		*out = making.e;
	return err;
}

static bool is_larger(const struct miss *all, const struct miss *want)
{
	return all->start != want->start || all->end != want->end || all->flags != want->flags;
}

struct missing {
	struct hmm_regcache *c;
	struct miss all; /* on the list of the missing ones */
	struct entry *e; /* what was made for it, or NULL */
	bool over;
};

/*
 * Puts what was made where others find it, unless it is for once. A @dereg that ends its thread,
 * which it must not do, may bring it here a second time.
 */
static void publish(void *arg)
{
	struct missing *m = arg;
	struct hmm_regcache *c = m->c;
	struct entry *e = m->e;
	struct doomed doomed = { NULL, 0 };

	if (m->over)
		return;
	m->over = true;
	pthread_mutex_lock(&c->lock);
	if (e)
		atomic_store(&e->used, atomic_fetch_add(&c->time, 1));
	if (e && (e->r.flags & HMM_REGCACHE_ONCE || !merge_insert(c, e, &doomed))) {
		e->r.flags |= HMM_REGCACHE_ONCE;
		count(&c->refused, 1);
	}
	over(c, &m->all);
	pthread_mutex_unlock(&c->lock);
	entry_end_all(c, &doomed);
}

static int make_missing(struct missing *m, const struct miss *want, uint64_t deadline)
{
	int err = 0;

	if (is_larger(&m->all, want))
		err = make_counted(m->c, &m->all, false, true, &deadline, &m->e);
	if (!m->e && err != -ETIME && err != -ESRCH)
		err = make_counted(m->c, want, false, false, &deadline, &m->e);
	return err;
}

int miss(struct hmm_regcache *c, const struct miss *want, uint64_t deadline, struct entry **out)
{
	struct doomed doomed = { NULL, 0 };
	struct missing m = { .c = c };
	int err = begin(c, want, &m.all, deadline, &doomed);

	if (err) {
		entry_end_all(c, &doomed);
		return err;
	}
	/* Also where a callback ends its thread, which it must not do. */
	pthread_cleanup_push(publish, &m);
	entry_end_all(c, &doomed);
	err = make_missing(&m, want, deadline);
	pthread_cleanup_pop(1);
	if (err)
		return err;
	count(&c->misses, 1);
	*out = m.e;
	return 0;
}

int miss_once(struct hmm_regcache *c, const struct miss *want, uint64_t deadline,
	      struct entry **out)
{
	int err = all_mapped(c->mm, want->start, want->end);

	entry_reap(c);
	if (!err)
		err = make_counted(c, want, true, false, &deadline, out);
	if (!err)
		count(&c->misses, 1);
	return err;
}
