// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * One registration. It pins pages, as a device's translation would hold them:
 *
 *	fault for writing	mirrored from now on, and copied on write now, not by the program's
 *				first write
 *	register		pins what is mapped
 *	read_retry		false: what was pinned is what is mapped, and any change of it calls
 *				on_invalidate()
 */
#include <errno.h>
#include "internal.h"

static int on_invalidate(struct hmm_interval_notifier *ni, const struct hmm_invalidation *inv,
			 void *priv)
{
	struct buffer *b = priv;

	if (!atomic_load_explicit(&b->live, memory_order_relaxed))
		return 0;
	if (!atomic_exchange_explicit(&b->dead, true, memory_order_relaxed))
		atomic_fetch_add_explicit(&b->cache->deaths, 1, memory_order_relaxed);
	return 0;
}

static bool holds(struct hmm_interval_notifier *ni, uint64_t start, uint64_t end, void *priv)
{
	struct buffer *b = priv;

	return atomic_load_explicit(&b->live, memory_order_relaxed);
}

static const struct hmm_interval_notifier_ops buffer_ops = {
	.size = sizeof(buffer_ops),
	.invalidate = on_invalidate,
	.holds = holds,
	/* A pinned page stays the parent's: the kernel copies it for the child at once. */
	.ignored_events = HMM_EVENT_BIT(HMM_EVENT_FORK),
};

static int update(struct uring_cache *c, int slot, uint64_t start, uint64_t bytes)
{
	struct iovec iov = { (void *)(uintptr_t)start, bytes };
	__u64 tag = 0;
	int ret = io_uring_register_buffers_update_tag(c->ring, (unsigned int)slot, &iov, &tag, 1);

	return ret < 0 ? ret : 0;
}

/*
 * Kinds that io_uring pins for good and whose changes are told or can be asked for; *file: can
 * change without event.
 */
static int check_kind(struct uring_cache *c, const struct buffer *b, bool *file)
{
	struct hmm_vma vma;

	*file = false;
	for (uint64_t at = b->start; at < b->end; at = vma.end) {
		int ret = hmm_vma_find(c->mm, at, &vma);

		if (ret || vma.start > at)
			return ret && ret != -ENOENT ? ret : -EFAULT;
		if (vma.kind != HMM_VMA_ANON && vma.kind != HMM_VMA_HUGETLB &&
		    vma.kind != HMM_VMA_SHMEM)
			return -EOPNOTSUPP;
		*file |= vma.kind != HMM_VMA_ANON;
	}
	return 0;
}

/* All of it present, writable and mirrored at one sequence. -EAGAIN: it changed meanwhile. */
static int fault(struct uring_cache *c, struct buffer *b)
{
	for (uint64_t at = b->start; at < b->end; at += PIECE_PAGES * HMM_PAGE_SIZE) {
		uint64_t left = b->end - at;
		struct hmm_range r = { .size = sizeof(r),
				       .notifier = b->ni,
				       .start = at,
				       .hmm_pfns = c->pfns,
				       .default_flags = HMM_PFN_REQ_FAULT | HMM_PFN_REQ_WRITE };
		int ret;

		r.end = at + (left < sizeof(c->pfns) / 8 * HMM_PAGE_SIZE
				      ? left
				      : PIECE_PAGES * HMM_PAGE_SIZE);
		ret = hmm_range_fault(&r, HMM_FOREVER);
		if (ret)
			return ret == -ENOSPC ? -EOPNOTSUPP : ret;
		for (uint64_t i = 0; i < (r.end - at) / HMM_PAGE_SIZE; i++)
			if (c->pfns[i] & HMM_PFN_TRANSIENT)
				return -EOPNOTSUPP;
		if (at == b->start)
			b->seq = r.notifier_seq;
		else if (r.notifier_seq != b->seq)
			return -EAGAIN;
	}
	return 0;
}

/* Is what was pinned what is mapped? From then on the callback answers for it. */
static bool commit(struct uring_cache *c, struct buffer *b)
{
	for (;;) {
		bool retry;

		hmm_mm_commit_begin(c->mm);
		retry = hmm_interval_read_retry(b->ni, b->seq);
		if (!retry)
			atomic_store_explicit(&b->live, true, memory_order_relaxed);
		hmm_mm_commit_end(c->mm);
		if (!retry)
			return true;
		/*
		 * Something is in flight, maybe elsewhere; once it is handled the sequence tells.
		 */
		if (hmm_interval_read_begin(b->ni) != b->seq)
			return false;
	}
}

/* What was faulted is pinned. -EAGAIN: it is gone again. */
static int pin(struct uring_cache *c, int slot)
{
	struct buffer *b = &c->buffer[slot];
	int ret = update(c, slot, b->start, b->end - b->start);

	if (ret != -EFAULT)
		return ret;
	return hmm_interval_read_retry(b->ni, b->seq) ? -EAGAIN : -EOPNOTSUPP;
}

static int take(struct uring_cache *c, int slot)
{
	struct buffer *b = &c->buffer[slot];
	int ret;

	for (;; c->stats.retries++) {
		ret = fault(c, b);
		if (!ret)
			ret = pin(c, slot);
		if (ret == -EAGAIN)
			continue;
		if (ret || commit(c, b))
			return ret;
		update(c, slot, 0, 0);
	}
}

int buffer_make(struct uring_cache *c, int slot, uint64_t start, uint64_t end)
{
	struct buffer *b = &c->buffer[slot];
	bool file;
	int ret;

	b->start = start;
	b->end = end;
	b->cache = c;
	b->live = b->dead = false;
	ret = check_kind(c, b, &file);
	if (!ret)
		ret = hmm_interval_notifier_insert(c->mm, start, end - start, &buffer_ops, b,
						   &b->ni);
	if (ret)
		return ret;
	ret = take(c, slot);
	if (ret) {
		hmm_interval_notifier_remove(b->ni);
		b->ni = NULL;
		return ret;
	}
	b->file = file;
	c->files += file;
	c->stats.registered++;
	c->stats.registered_bytes += end - start;
	return 0;
}

void buffer_drop(struct uring_cache *c, int slot)
{
	struct buffer *b = &c->buffer[slot];

	hmm_interval_notifier_remove(b->ni);
	b->ni = NULL;
	update(c, slot, 0, 0);
	c->files -= b->file;
	c->stats.registered--;
	c->stats.registered_bytes -= b->end - b->start;
}

/*
 * Validated use, by as many system calls as the program's habits need: 0; -ESTALE; -ESRCH in a
 * forked child.
 */
static int valid(struct uring_cache *c, struct buffer *b)
{
	struct hmm_range r = { .size = sizeof(r),
			       .notifier = b->ni,
			       .notifier_seq = b->seq,
			       .start = b->start,
			       .end = b->end };

	return hmm_range_check(&r, c->flags & URING_CACHE_TRUSTED ? 0 : HMM_CHECK_VMA);
}

/*
 * It is refused while anything at all is in flight: begin() waits until that is handled, by when
 * the callback has said whether it was ours.
 */
int buffer_stands(struct uring_cache *c, struct buffer *b)
{
	while (!atomic_load_explicit(&b->dead, memory_order_relaxed)) {
		int ret = valid(c, b);

		if (ret != -ESTALE)
			return ret ? ret : 1;
		hmm_interval_read_begin(b->ni);
		/* Nothing happened, and yet it is refused: another mapping, or less permission. */
		if (!hmm_interval_stale(b->ni, b->seq) && valid(c, b))
			return 0;
	}
	return 0;
}
