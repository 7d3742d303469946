/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * registrar: a driver that registers nothing and remembers what it was asked to. Of each page it
 * notes the first word. A test paints new words whenever it has mapped new pages, so a registration
 * whose words are not those in memory is stale.
 */
#ifndef TESTS_REGISTRAR_H
#define TESTS_REGISTRAR_H

#include "common/mappings.h"

#include <hmm/hmm.h>

#include <pthread.h>
#include <sys/uio.h>

#define RECORDS 4096

struct record {
	uint64_t start;
	uint64_t length;
	uint64_t sum; /* of the words */
	bool ended;
};

struct registrar {
	struct hmm_mm *mm;
	struct hmm_regcache *cache;
	pthread_mutex_t lock; /* of the records */
	struct record record[RECORDS];
	unsigned int made;    /* how many records */
	unsigned int ended;   /* how many of them have ended */
	unsigned int twice;   /* ended a second time, or never made: a bug */
	int fails;            /* what @reg answers; 0: it works */
	unsigned int fails_n; /* how often; 0: always */
	uint64_t limit;       /* bytes that fit; 0: all */
	uint64_t bytes;
	void (*within)(void *arg); /* called in @reg, after it has noted the words */
	void *arg;
};

/* All words of whole pages, or -EFAULT. */
static inline int sum_of(uint64_t start, uint64_t length, uint64_t *sum)
{
	*sum = 0;
	for (uint64_t at = start; at < start + length; at += PAGE) {
		uint64_t word;
		struct iovec to = { &word, sizeof(word) };
		struct iovec from = { (void *)(uintptr_t)at, sizeof(word) };

		if (process_vm_readv(getpid(), &to, 1, &from, 1, 0) != sizeof(word))
			return -EFAULT;
		*sum = (*sum << 7 | *sum >> 57) ^ word;
	}
	return 0;
}

static inline int registrar_refuses(struct registrar *g, const struct hmm_registration *r)
{
	int err = g->fails;

	if (err && g->fails_n && !--g->fails_n)
		g->fails = 0;
	if (!err && g->limit && g->bytes + r->length > g->limit)
		err = -ENOMEM;
	return err;
}

static inline int registrar_reg(struct hmm_registration *r, void *priv)
{
	struct registrar *g = priv;
	uint64_t sum;
	int err;

	pthread_mutex_lock(&g->lock);
	err = registrar_refuses(g, r);
	if (!err)
		err = sum_of(r->start, r->length, &sum);
	if (!err) {
		r->device = g->made % RECORDS;
		g->record[r->device] = (struct record){ r->start, r->length, sum, false };
		g->made++;
		g->bytes += r->length;
	}
	pthread_mutex_unlock(&g->lock);
	if (!err && g->within)
		g->within(g->arg);
	return err;
}

static inline void registrar_dereg(struct hmm_registration *r, void *priv)
{
	struct registrar *g = priv;

	pthread_mutex_lock(&g->lock);
	if (r->device >= RECORDS || g->record[r->device].ended ||
	    g->record[r->device].start != r->start) {
		g->twice++;
	} else {
		g->record[r->device].ended = true;
		g->bytes -= r->length;
		g->ended++;
	}
	pthread_mutex_unlock(&g->lock);
}

static const struct hmm_regcache_ops registrar_ops = {
	.size = sizeof(registrar_ops),
	.reg = registrar_reg,
	.dereg = registrar_dereg,
};

/* flags: HMM_MM_* */
static inline void registrar_open_with(struct registrar *g, const struct hmm_regcache_options *o,
				       uint32_t flags)
{
	struct hmm_mm_options space = HMM_MM_OPTIONS_INIT;

	space.flags = flags;
	memset(g, 0, sizeof(*g));
	pthread_mutex_init(&g->lock, NULL);
	assert_int_equal(hmm_mm_attach(&space, &g->mm), 0);
	assert_int_equal(hmm_regcache_create(g->mm, &registrar_ops, o, g, &g->cache), 0);
}

static inline void registrar_open(struct registrar *g, const struct hmm_regcache_options *o)
{
	registrar_open_with(g, o, 0);
}

static inline void registrar_close(struct registrar *g)
{
	hmm_regcache_destroy(g->cache);
	hmm_mm_detach(g->mm);
	assert_int_equal(g->twice, 0);
	assert_int_equal(g->ended, g->made);
	pthread_mutex_destroy(&g->lock);
}

static inline struct hmm_regcache_stats stats_of(const struct registrar *g)
{
	struct hmm_regcache_stats s = { .size = sizeof(s) };

	assert_int_equal(hmm_regcache_get_stats(g->cache, &s), 0);
	return s;
}

/* New words for whole pages. */
static inline void paint(char *p, size_t bytes)
{
	static _Atomic uint64_t last = 1;

	for (size_t at_byte = 0; at_byte < bytes; at_byte += PAGE)
		*(volatile uint64_t *)(p + at_byte) = ++last * 0x9e3779b97f4a7c15ULL;
}

/* Is what it registers what is mapped? */
static inline bool is_true(const struct registrar *g, const struct hmm_registration *r)
{
	const struct record *record = &g->record[r->device];
	uint64_t sum;

	return !record->ended && record->start == r->start && record->length == r->length &&
	       !sum_of(r->start, r->length, &sum) && sum == record->sum;
}

#define LONG_NS 30000000000ULL

static inline struct hmm_registration *get_with(struct registrar *g, const void *p, size_t bytes,
						unsigned int flags)
{
	struct hmm_registration *r = NULL;

	assert_int_equal(hmm_regcache_get(g->cache, at(p), bytes, flags, LONG_NS, &r), 0);
	assert_non_null(r);
	assert_true(r->start <= at(p) && r->start + r->length >= at(p) + bytes);
	assert_true(is_true(g, r));
	return r;
}

static inline struct hmm_registration *get(struct registrar *g, const void *p, size_t bytes)
{
	return get_with(g, p, bytes, HMM_REGCACHE_WRITE);
}

/* Gets and puts. True: it was a hit. */
static inline bool hits(struct registrar *g, const void *p, size_t bytes)
{
	const uint64_t before = stats_of(g).hits;

	hmm_regcache_put(g->cache, get(g, p, bytes));
	return stats_of(g).hits != before;
}

static inline bool is_cached(struct registrar *g, const void *p, size_t bytes)
{
	struct hmm_registration *r;
	int ret = hmm_regcache_get(g->cache, at(p), bytes, HMM_REGCACHE_HIT, LONG_NS, &r);

	if (!ret)
		hmm_regcache_put(g->cache, r);
	else
		assert_int_equal(ret, -ENOENT);
	return !ret;
}

/* Anonymous memory of its own with words. */
static inline char *buffer(size_t bytes)
{
	char *p = map_anon(bytes, RW);

	assert_non_null(p);
	paint(p, bytes);
	return p;
}

/* New pages in the place of old ones. */
static inline void replace(char *p, size_t bytes)
{
	assert_int_equal(munmap(p, bytes), 0);
	assert_ptr_equal(mmap(p, bytes, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0), p);
	paint(p, bytes);
}

static inline void settle_mm(struct registrar *g)
{
	assert_int_equal(hmm_mm_barrier(g->mm, LONG_NS), 0);
}

#endif
