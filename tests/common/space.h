/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/* space: an attached space, memory that is registered in it, a notifier that counts. */
#ifndef TESTS_SPACE_H
#define TESTS_SPACE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>

#include "common/apart.h"
#include "space/space.h"
#include "watch/region.h"

#define PAGE 4096UL

struct seen {
	_Atomic int calls;
	_Atomic int events[HMM_EVENT_NR];
	struct hmm_invalidation last;
	_Atomic int sleep_ms; /* misbehave: the callback takes that long */
};

struct space {
	struct hmm_mm *mm;
	struct hmm_interval_notifier *ni;
	struct seen seen;
	char *p;
	size_t bytes;
};

static inline void sleep_ms(int ms)
{
	struct timespec ts = { ms / 1000, (long)(ms % 1000) * 1000000 };

	nanosleep(&ts, NULL);
}

static inline int on_invalidate(struct hmm_interval_notifier *ni,
				const struct hmm_invalidation *inv, void *priv)
{
	struct seen *s = priv;
	int ms = s->sleep_ms;

	(void)ni;
	s->last = *inv;
	s->events[inv->event]++;
	s->calls++;
	if (ms)
		sleep_ms(ms);
	return 0;
}

static const struct hmm_interval_notifier_ops on_ops = { sizeof(on_ops), on_invalidate, NULL };

static inline struct hmm_vma anon_vma(const void *p, size_t bytes)
{
	return (struct hmm_vma){ .start = (uint64_t)(uintptr_t)p,
				 .end = (uint64_t)(uintptr_t)p + bytes,
				 .kind = HMM_VMA_ANON,
				 .prot = PROT_READ | PROT_WRITE };
}

static inline uint64_t addr(const struct space *s, size_t page)
{
	return (uint64_t)(uintptr_t)s->p + page * PAGE;
}

static inline void map_pages(struct space *s, size_t pages)
{
	s->bytes = pages * PAGE;
	/* Shared with nobody, and between guards, so that it is a VMA of its own. */
	s->p = map_apart(s->bytes + 2 * PAGE, PROT_NONE) + PAGE;
	assert_int_equal(mprotect(s->p, s->bytes, PROT_READ | PROT_WRITE), 0);
	memset(s->p, 1, s->bytes);
}

static inline int watch(struct space *s)
{
	struct hmm_vma vma = anon_vma(s->p, s->bytes);

	return region_ensure(s->mm, &vma, vma.start, vma.end, 0);
}

/* The munmap of a caller returns when its event is read; the callback follows. */
static inline void settle(struct space *s)
{
	assert_int_equal(hmm_mm_barrier(s->mm, HMM_FOREVER), 0);
}

static inline void space_open(struct space *s, size_t pages, uint32_t flags)
{
	struct hmm_mm_options o = HMM_MM_OPTIONS_INIT;

	o.flags = flags;
	memset(s, 0, sizeof(*s));
	assert_int_equal(hmm_mm_attach(&o, &s->mm), 0);
	map_pages(s, pages);
	assert_int_equal(hmm_interval_notifier_insert(s->mm, addr(s, 0), s->bytes, &on_ops,
						      &s->seen, &s->ni),
			 0);
	assert_int_equal(watch(s), 0);
	s->seen.calls = 0;
	memset((void *)s->seen.events, 0, sizeof(s->seen.events));
}

/* A thread of the program that unmaps a page of the struct space which it is given. */
static inline void *unmap_first_page(void *arg)
{
	struct space *s = arg;

	munmap(s->p, PAGE);
	return NULL;
}

static inline void space_close(struct space *s)
{
	hmm_interval_notifier_remove(s->ni);
	hmm_mm_detach(s->mm);
	munmap(s->p, s->bytes);
}

#endif
