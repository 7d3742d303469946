/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * fake_log: a log in plain memory. The test writes what the kernel's programs would: the beginning
 * of a change before it, the end after it. Spaces that are attached between fake_log_open() and
 * fake_log_close() have it.
 */
#ifndef TESTS_FAKE_LOG_H
#define TESTS_FAKE_LOG_H

#include "provider/log.h"
#include "pump/kick.h"
#include "space/space.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define FAKE_LOG_BYTES (64UL << 10)
#define FAKE_BUSY (1U << 31)

struct fake_log {
	_Atomic uint64_t consumer;
	_Atomic uint64_t producer;
	struct watch_space space;
	struct watch_global global;
	struct log_memory memory;
	/* Nothing fits, as if what was read were not given back yet. */
	_Atomic bool refuses;
	pthread_mutex_t lock; /* of the ring buffer */
	char data[FAKE_LOG_BYTES] __attribute__((aligned(8)));
};

static inline struct fake_log *fake_log_open(void)
{
	struct fake_log *f = pool_map(sizeof(*f));

	pthread_mutex_init(&f->lock, NULL);
	f->memory = (struct log_memory){ .consumer = &f->consumer,
					 .producer = &f->producer,
					 .data = f->data,
					 .bytes = FAKE_LOG_BYTES,
					 .space = &f->space,
					 .global = &f->global };
	log_of_test = &f->memory;
	return f;
}

static inline void fake_log_close(struct fake_log *f)
{
	log_of_test = NULL;
	pool_unmap(f, sizeof(*f));
}

static inline void fake_add(__u64 *p, int64_t n)
{
	__atomic_fetch_add(p, (uint64_t)n, __ATOMIC_SEQ_CST);
}

static inline void fake_word(struct fake_log *f, uint64_t at, uint64_t value)
{
	__atomic_store_n((uint64_t *)(f->data + (at & (FAKE_LOG_BYTES - 1))), value,
			 __ATOMIC_RELEASE);
}

static inline void fake_head(struct fake_log *f, uint64_t at, uint32_t head)
{
	__atomic_store_n((uint32_t *)(f->data + (at & (FAKE_LOG_BYTES - 1))), head,
			 __ATOMIC_RELEASE);
}

/* Reserves a record, which is busy until fake_commit(). UINT64_MAX: the log is full. */
static inline uint64_t fake_reserve(struct fake_log *f, const struct watch_record *r)
{
	const uint64_t bytes = sizeof(*r) + 8;
	uint64_t word[sizeof(*r) / 8];
	uint64_t at;

	memcpy(word, r, sizeof(word));
	pthread_mutex_lock(&f->lock);
	at = f->producer;
	if (f->refuses || at + bytes - f->consumer > FAKE_LOG_BYTES) {
		fake_add(&f->space.dropped, 1);
		fake_add(&f->space.trouble, 1);
		at = UINT64_MAX;
	} else {
		fake_head(f, at, sizeof(*r) | FAKE_BUSY);
		atomic_store(&f->producer, at + bytes);
	}
	pthread_mutex_unlock(&f->lock);
	if (at == UINT64_MAX)
		return at;
	for (size_t i = 0; i < sizeof(word) / 8; i++)
		fake_word(f, at + 8 + 8 * i, word[i]);
	return at;
}

static inline void fake_commit(struct fake_log *f, uint64_t at)
{
	if (at != UINT64_MAX) {
		fake_head(f, at, sizeof(struct watch_record));
		fake_add(&f->space.records, 1);
	}
}

static inline struct watch_record fake_record(uint64_t start, uint64_t end, enum watch_kind kind)
{
	return (struct watch_record){ .start = start,
				      .end = end,
				      .task = (uint32_t)syscall(SYS_gettid),
				      .tgid = (uint32_t)getpid(),
				      .kind = (uint16_t)kind,
				      .site = (uint16_t)kind };
}

static inline void fake_begin(struct fake_log *f, uint64_t start, uint64_t end,
			      enum watch_kind kind)
{
	const struct watch_record r = fake_record(start, end, kind);

	fake_commit(f, fake_reserve(f, &r));
}

static inline void fake_end(struct fake_log *f, uint64_t start, uint64_t end, enum watch_kind kind)
{
	struct watch_record r = fake_record(start, end, kind);

	r.flags = WATCH_END;
	fake_commit(f, fake_reserve(f, &r));
}

/* A change with nothing in between. */
static inline void fake_change(struct fake_log *f, uint64_t start, uint64_t end,
			       enum watch_kind kind)
{
	fake_begin(f, start, end, kind);
	fake_end(f, start, end, kind);
}

static inline void fake_options(struct hmm_mm_options *o, enum hmm_provider provider)
{
	*o = (struct hmm_mm_options)HMM_MM_OPTIONS_INIT;
	o->provider = provider;
}

#endif
