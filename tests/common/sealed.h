/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/* sealed: a mirror with a holder, and pages that are there. */
#ifndef TESTS_SEALED_H
#define TESTS_SEALED_H

#include "common/devmem.h"
#include "common/sigbus.h"

/* Without memfd_secret() each test runs with memfd_create() alone. */
static uint32_t sealed_flags;

struct with_sealed {
	struct mirror m;
	struct hmm_sealed *s;
	struct hmm_migrate_result result;
};

static inline void sealed_open_as(struct with_sealed *w, size_t bytes, int policy, uint32_t flags)
{
	memset(w, 0, sizeof(*w));
	mirror_open(&w->m, 0);
	assert_int_equal(hmm_sealed_create(w->m.mm, bytes, (enum hmm_sealed_policy)policy,
					   flags | sealed_flags, &w->s),
			 0);
}

static inline void sealed_open(struct with_sealed *w, int policy)
{
	sealed_open_as(w, 4 * MIB, policy, 0);
}

static inline void sealed_close(struct with_sealed *w)
{
	assert_int_equal(hmm_sealed_destroy(w->s, HMM_FOREVER), 0);
	mirror_close(&w->m);
}

static inline struct hmm_devmem_stats sealed_stats(const struct with_sealed *w)
{
	struct hmm_devmem_stats stats = { .size = sizeof(stats) };

	assert_int_equal(hmm_devmem_get_stats(hmm_sealed_devmem(w->s), &stats), 0);
	return stats;
}

/* Pages are given back a little later. */
static inline void until_used(const struct with_sealed *w, size_t pages)
{
	for (int i = 0; sealed_stats(w).used > pages * PAGE && i < 10000; i++)
		usleep(1000);
	assert_int_equal(sealed_stats(w).used, pages * PAGE);
}

static inline int seal(struct with_sealed *w, const void *p, size_t pages)
{
	memset(&w->result, 0, sizeof(w->result));
	w->result.size = sizeof(w->result);
	return hmm_migrate_to_device(hmm_sealed_devmem(w->s), at(p), at(p) + pages * PAGE,
				     HMM_FOREVER, &w->result);
}

static inline int unseal(struct with_sealed *w, const void *p, size_t pages)
{
	return hmm_sealed_get(w->s, at(p), at(p) + pages * PAGE, HMM_FOREVER);
}

static inline int run_job(struct with_sealed *w, int job, const void *p, size_t bytes,
			  uint64_t operand, uint64_t *result)
{
	return hmm_sealed_run(w->s, (enum hmm_sealed_job)job, at(p), at(p) + bytes, operand,
			      HMM_FOREVER, result);
}

/* Where in the holder's memory a page is. */
static inline uint64_t sealed_offset(struct with_sealed *w, const void *p)
{
	w->m.range = (struct hmm_range){ .size = sizeof(w->m.range),
					 .notifier = w->m.ni,
					 .start = at(p),
					 .end = at(p) + PAGE,
					 .hmm_pfns = w->m.pfns,
					 .dev_private_owner = w->s };
	w->m.pfns[0] = 0;
	assert_int_equal(hmm_range_fault(&w->m.range, w->m.timeout_ns), 0);
	assert_true(w->m.pfns[0] & HMM_PFN_DEVICE_PRIVATE);
	return hmm_pfn_to_addr(w->m.pfns[0]) - sealed_stats(w).start;
}

/* Pages of which each begins with its number, from 1 on. */
static inline char *numbered_pages(size_t pages)
{
	char *p = map_anon(pages * PAGE, RW);

	number(p, pages, 1);
	return p;
}

static inline char *sealed_pages(struct with_sealed *w, size_t pages)
{
	char *p = numbered_pages(pages);

	assert_int_equal(seal(w, p, pages), 0);
	assert_int_equal(w->result.moved, pages);
	return p;
}

/* The tests with memfd_secret(), and with memfd_create(). */
#define sealed_run_both(tests)                                                                     \
	({                                                                                         \
		int failed_ = 0;                                                                   \
                                                                                                   \
		if (hmm_sealed_supported())                                                        \
			print_message("no memfd_secret: %s\n", strerror(-hmm_sealed_supported())); \
		else                                                                               \
			failed_ = cmocka_run_group_tests_name("sealed", tests, NULL, NULL);        \
		sealed_flags = HMM_SEALED_PLAIN;                                                   \
		failed_ + cmocka_run_group_tests_name("unsealed", tests, NULL, NULL);              \
	})

#endif
