/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/* mirror: a space with one notifier over everything, and ranges to fault in it. */
#ifndef TESTS_MIRROR_H
#define TESTS_MIRROR_H

#include "common/mappings.h"

#include <hmm/hmm.h>

#define PFNS_MAX 4096
#define VALID HMM_PFN_VALID
#define WRITE HMM_PFN_WRITE
#define ERROR HMM_PFN_ERROR
#define REQ_READ HMM_PFN_REQ_FAULT
#define REQ_WRITE (HMM_PFN_REQ_FAULT | HMM_PFN_REQ_WRITE)
#define NOTHING 0x5a5a0000000000ULL /* bits of no meaning in input */

struct mirror {
	struct hmm_mm *mm;
	struct hmm_interval_notifier *ni;
	struct hmm_range range;
	uint64_t *pfns; /* never registered */
	uint64_t timeout_ns;
	_Atomic int calls;
	_Atomic int events[HMM_EVENT_NR];
};

static inline int on_invalidate(struct hmm_interval_notifier *ni,
				const struct hmm_invalidation *inv, void *priv)
{
	struct mirror *m = priv;

	(void)ni;
	m->calls++;
	m->events[inv->event]++;
	return 0;
}

static const struct hmm_interval_notifier_ops mirror_ops = { .size = sizeof(mirror_ops),
							     .invalidate = on_invalidate };

static inline void mirror_open(struct mirror *m, uint32_t flags)
{
	struct hmm_mm_options o = HMM_MM_OPTIONS_INIT;

	memset(m, 0, sizeof(*m));
	m->timeout_ns = 30000000000ULL; /* as long as a busy machine may need */
	o.flags = flags;
	assert_int_equal(hmm_mm_attach(&o, &m->mm), 0);
	assert_int_equal(hmm_interval_notifier_insert(m->mm, PAGE, (1ULL << 56) - 2 * PAGE,
						      &mirror_ops, m, &m->ni),
			 0);
	m->pfns = pool_map(PFNS_MAX * sizeof(*m->pfns));
	assert_non_null(m->pfns);
}

static inline void mirror_close(struct mirror *m)
{
	hmm_interval_notifier_remove(m->ni);
	hmm_mm_detach(m->mm);
	pool_unmap(m->pfns, PFNS_MAX * sizeof(*m->pfns));
}

/* Entries hold what the caller put there; the default request is for all of them. */
static inline int fault_masked(struct mirror *m, const void *p, size_t pages, uint64_t request,
			       uint64_t mask)
{
	m->range = (struct hmm_range){ .size = sizeof(m->range),
				       .notifier = m->ni,
				       .start = at(p),
				       .end = at(p) + pages * PAGE,
				       .hmm_pfns = m->pfns,
				       .default_flags = request,
				       .pfn_flags_mask = mask };
	return hmm_range_fault(&m->range, m->timeout_ns);
}

static inline int fault(struct mirror *m, const void *p, size_t pages, uint64_t request)
{
	for (size_t i = 0; i < pages; i++)
		m->pfns[i] = NOTHING;
	return fault_masked(m, p, pages, request, 0);
}

static inline int snapshot(struct mirror *m, const void *p, size_t pages)
{
	return fault(m, p, pages, 0);
}

/* Flags without the address; the address is checked. */
static inline uint64_t flags_of(const struct mirror *m, size_t page)
{
	const uint64_t e = m->pfns[page];

	if (e & VALID)
		assert_int_equal(hmm_pfn_to_addr(e), m->range.start + page * PAGE);
	else
		assert_int_equal(e & HMM_PFN_PAGE_MASK, 0);
	return e & ~(HMM_PFN_PAGE_MASK | HMM_PFN_ORDER_MASK | HMM_PFN_TRANSIENT);
}

/*
 * Of anonymous memory that may be written to, and of which so much, a page or a huge one, was only
 * read.
 */
static inline uint64_t only_read(size_t bytes)
{
	return reads_make_private(bytes) ? VALID | WRITE : VALID;
}

static inline bool transient(const struct mirror *m, size_t page)
{
	return m->pfns[page] & HMM_PFN_TRANSIENT;
}

static inline unsigned int order(const struct mirror *m, size_t page)
{
	return hmm_pfn_to_map_order(m->pfns[page]);
}

static inline bool all_flags(const struct mirror *m, size_t pages, uint64_t want)
{
	for (size_t i = 0; i < pages; i++) {
		if (flags_of(m, i) != want)
			return false;
	}
	return true;
}

#endif
