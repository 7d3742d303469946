// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* The cache: buffers by the page that they begin in, the least recently used one goes. */
#include <errno.h>
#include <stdint.h>
#include <sys/mman.h>
#include "internal.h"

#define GUARD 4096UL /* bytes on either side, so that the kernel merges it with nothing */
#define SLOTS_MAX 16384

static size_t size_of(unsigned int slots)
{
	size_t size = sizeof(struct uring_cache) + slots * sizeof(struct buffer);

	return (size + GUARD - 1) & ~(GUARD - 1);
}

int uring_cache_create(struct hmm_mm *mm, struct io_uring *ring, unsigned int slots,
		       unsigned int flags, struct uring_cache **cache)
{
	size_t size = size_of(slots);
	struct uring_cache *c;
	char *room;
	int ret;

	if (!mm || !ring || !slots || slots > SLOTS_MAX || flags & ~URING_CACHE_TRUSTED)
		return -EINVAL;
	room = mmap(NULL, size + 2 * GUARD, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (room == MAP_FAILED)
		return -ENOMEM;
	ret = mprotect(room + GUARD, size, PROT_READ | PROT_WRITE) ? -ENOMEM : 0;
	if (!ret)
		ret = io_uring_register_buffers_sparse(ring, slots);
	if (ret) {
		munmap(room, size + 2 * GUARD);
		return ret;
	}
	c = (struct uring_cache *)(room + GUARD);
	c->mm = mm;
	c->ring = ring;
	c->slots = slots;
	c->flags = flags;
	for (int i = 0; i < BUCKETS; i++)
		c->bucket[i] = NONE;
	*cache = c;
	return 0;
}

static int *bucket_of(struct uring_cache *c, uint64_t start)
{
	uint64_t hash = (start >> HMM_PAGE_SHIFT) * 0x9e3779b97f4a7c15ULL;

	return &c->bucket[hash >> 54];
}

/* Out of its bucket: nobody gets it any more. */
static void forget(struct uring_cache *c, int slot)
{
	int *at = bucket_of(c, c->buffer[slot].start);

	while (*at != NONE && *at != slot)
		at = &c->buffer[*at].next;
	if (*at == slot)
		*at = c->buffer[slot].next;
}

static void drop(struct uring_cache *c, int slot)
{
	forget(c, slot);
	buffer_drop(c, slot);
}

void uring_cache_destroy(struct uring_cache *c)
{
	if (!c)
		return;
	for (unsigned int i = 0; i < c->slots; i++)
		if (c->buffer[i].ni)
			drop(c, (int)i);
	io_uring_unregister_buffers(c->ring);
	munmap((char *)c - GUARD, size_of(c->slots) + 2 * GUARD);
}

/* What died is unpinned as soon as no operation uses it. */
static void sweep(struct uring_cache *c)
{
	uint64_t deaths = atomic_load_explicit(&c->deaths, memory_order_relaxed);
	bool left = false;

	if (deaths == c->deaths_seen)
		return;
	for (unsigned int i = 0; i < c->slots; i++) {
		struct buffer *b = &c->buffer[i];

		if (!b->ni || !atomic_load_explicit(&b->dead, memory_order_relaxed))
			continue;
		left |= b->refs != 0;
		if (b->refs)
			continue;
		drop(c, (int)i);
		c->stats.dead++;
	}
	if (!left)
		c->deaths_seen = deaths;
}

int uring_cache_begin(struct uring_cache *c)
{
	int ret = c->files ? hmm_mm_check_files(c->mm) : 0;

	sweep(c);
	return ret < 0 ? ret : 0;
}

/* The buffer that was not used for the longest time goes. Its slot, or NONE: all are in use. */
static int evict(struct uring_cache *c)
{
	int oldest = NONE;

	for (unsigned int i = 0; i < c->slots; i++) {
		const struct buffer *b = &c->buffer[i];

		if (b->ni && !b->refs && (oldest == NONE || b->used < c->buffer[oldest].used))
			oldest = (int)i;
	}
	if (oldest == NONE)
		return NONE;
	drop(c, oldest);
	c->stats.evicted++;
	return oldest;
}

static int find_room(struct uring_cache *c)
{
	for (unsigned int i = 0; i < c->slots; i++)
		if (!c->buffer[i].ni)
			return (int)i;
	return evict(c);
}

static int miss(struct uring_cache *c, uint64_t start, uint64_t end)
{
	int slot = find_room(c), ret;
	int *bucket = bucket_of(c, start);

	if (slot == NONE)
		return -EBUSY;
	/* No memory may be the limit of what may be pinned (RLIMIT_MEMLOCK). */
	do
		ret = buffer_make(c, slot, start, end);
	while (ret == -ENOMEM && evict(c) != NONE);
	if (ret == -ENOMEM)
		ret = -EOPNOTSUPP;
	if (ret) {
		c->stats.refused += ret == -EOPNOTSUPP;
		return ret;
	}
	c->stats.misses++;
	c->buffer[slot].next = *bucket;
	*bucket = slot;
	return slot;
}

/* A registration that covers it and stands; those that do not stand are let go of on the way. */
static int hit(struct uring_cache *c, uint64_t start, uint64_t end)
{
	int *at = bucket_of(c, start);

	while (*at != NONE) {
		int slot = *at, ret;
		struct buffer *b = &c->buffer[slot];

		if (b->start != start || b->end < end) {
			at = &b->next;
			continue;
		}
		ret = buffer_stands(c, b);
		if (ret < 0)
			return ret;
		if (ret) {
			c->stats.hits++;
			return slot;
		}
		*at = b->next;
		c->stats.dead += !b->refs;
		/* In use: sweep() finds it later. */
		if (!b->refs)
			buffer_drop(c, slot);
		else if (!atomic_exchange_explicit(&b->dead, true, memory_order_relaxed))
			atomic_fetch_add_explicit(&c->deaths, 1, memory_order_relaxed);
	}
	return NONE;
}

int uring_cache_get(struct uring_cache *c, const void *addr, size_t len)
{
	uint64_t start = (uintptr_t)addr & ~(HMM_PAGE_SIZE - 1);
	uint64_t end = ((uintptr_t)addr + len + HMM_PAGE_SIZE - 1) & ~(HMM_PAGE_SIZE - 1);
	int slot;

	if (!len || end <= start)
		return -EINVAL;
	slot = hit(c, start, end);
	if (slot == NONE)
		slot = miss(c, start, end);
	if (slot < 0)
		return slot;
	c->buffer[slot].refs++;
	c->buffer[slot].used = ++c->clock;
	return slot;
}

void uring_cache_put(struct uring_cache *c, int slot)
{
	c->buffer[slot].refs--;
}

void uring_cache_get_stats(const struct uring_cache *c, struct uring_cache_stats *stats)
{
	*stats = c->stats;
}
