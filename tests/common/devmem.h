/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/* devmem: a mirror with a region of device memory, and questions where a page is. */
#ifndef TESTS_DEVMEM_H
#define TESTS_DEVMEM_H

#include "common/copying.h"
#include "common/mirror.h"

#include "devmem/devmem.h"

#define REGION (8UL * MIB)

/* A test with the setups `setup`, `setup_copying` and `setup_backed`. */
#define BOTH(test)                                                                                 \
	cmocka_unit_test_setup_teardown(test, setup, teardown),                                    \
		{ #test "_copying", test, setup_copying, teardown, NULL },                         \
	{                                                                                          \
#test "_backed", test, setup_backed, teardown, NULL                                \
	}

struct with_devmem {
	struct mirror m;
	struct hmm_devmem *d;
	struct hmm_migrate_result result;
	_Atomic uint64_t freed; /* bytes that page_free was told of */
	struct copying copying; /* if it has memory: the device copies */
};

static inline void on_page_free(struct hmm_devmem *d, uint64_t start, uint64_t bytes, void *priv)
{
	struct with_devmem *w = priv;

	(void)d;
	(void)start;
	w->freed += bytes;
}

static inline int on_copy_in(struct hmm_devmem *d, uint64_t offset, const void *from,
			     uint64_t bytes, void *priv)
{
	return copying_in(d, offset, from, bytes, &((struct with_devmem *)priv)->copying);
}

static inline int on_copy_out(struct hmm_devmem *d, uint64_t offset, void *to, uint64_t bytes,
			      void *priv)
{
	return copying_out(d, offset, to, bytes, &((struct with_devmem *)priv)->copying);
}

static inline int make_region(struct with_devmem *w, size_t bytes, uint32_t flags, void *owner,
			      struct hmm_devmem **d)
{
	const struct hmm_devmem_options o = { .size = sizeof(o),
					      .flags = flags,
					      .bytes = bytes,
					      .owner = owner,
					      .page_free = on_page_free,
					      .priv = w,
					      .fault_around = PAGE };

	return hmm_devmem_create(w->m.mm, &o, d);
}

/* The region's device copies, and may take so long for it; 0: as long as it likes. */
static inline void devmem_open_copying(struct with_devmem *w, size_t bytes, uint32_t flags,
				       uint64_t timeout_ns)
{
	const struct hmm_devmem_options o = { .size = sizeof(o),
					      .flags = flags,
					      .bytes = bytes,
					      .owner = w,
					      .page_free = on_page_free,
					      .priv = w,
					      .fault_around = PAGE,
					      .copy_in = on_copy_in,
					      .copy_out = on_copy_out,
					      .copy_timeout_ns =
						      timeout_ns ? timeout_ns : 60000000000ULL };

	memset(w, 0, sizeof(*w));
	assert_true(copying_open(&w->copying, bytes));
	mirror_open(&w->m, 0);
	assert_int_equal(hmm_devmem_create(w->m.mm, &o, &w->d), 0);
}

static inline void devmem_open(struct with_devmem *w, size_t bytes, uint32_t flags)
{
	memset(w, 0, sizeof(*w));
	mirror_open(&w->m, 0);
	assert_int_equal(make_region(w, bytes, flags, w, &w->d), 0);
}

/* Does the kernel move no pages? Then main() returns 77. */
static inline bool devmem_is_missing(void)
{
	static struct with_devmem w;
	int ret = hmm_mm_attach(NULL, &w.m.mm);

	if (ret)
		return false;
	ret = make_region(&w, 2 * MIB, 0, &w, &w.d);
	if (ret == -EOPNOTSUPP)
		print_message("the kernel has no UFFDIO_MOVE\n");
	if (!ret)
		hmm_devmem_destroy(w.d, HMM_FOREVER);
	hmm_mm_detach(w.m.mm);
	return ret == -EOPNOTSUPP;
}

static inline void devmem_close(struct with_devmem *w)
{
	struct hmm_devmem_stats stats = { .size = sizeof(stats) };

	assert_int_equal(hmm_devmem_get_stats(w->d, &stats), 0);
	assert_int_equal(hmm_devmem_destroy(w->d, HMM_FOREVER), 0);
	mirror_close(&w->m);
	copying_close(&w->copying);
}

static inline int to_device(struct with_devmem *w, const void *p, size_t pages)
{
	memset(&w->result, 0, sizeof(w->result));
	w->result.size = sizeof(w->result);
	return hmm_migrate_to_device(w->d, at(p), at(p) + pages * PAGE, HMM_FOREVER, &w->result);
}

static inline int to_system(struct with_devmem *w, const void *p, size_t pages)
{
	return hmm_migrate_to_system(w->m.mm, at(p), at(p) + pages * PAGE, HMM_FOREVER);
}

/* How many of the pages are in device memory of `owner`. */
static inline size_t pages_away(struct with_devmem *w, const void *p, size_t pages, void *owner)
{
	size_t n = 0;

	w->m.range = (struct hmm_range){ .size = sizeof(w->m.range),
					 .notifier = w->m.ni,
					 .start = at(p),
					 .end = at(p) + pages * PAGE,
					 .hmm_pfns = w->m.pfns,
					 .dev_private_owner = owner };
	assert_true(pages <= PFNS_MAX);
	memset(w->m.pfns, 0, pages * sizeof(*w->m.pfns));
	assert_int_equal(hmm_range_fault(&w->m.range, w->m.timeout_ns), 0);
	for (size_t i = 0; i < pages; i++)
		n += (w->m.pfns[i] & HMM_PFN_DEVICE_PRIVATE) != 0;
	return n;
}

static inline size_t away(struct with_devmem *w, const void *p, size_t pages)
{
	return pages_away(w, p, pages, w);
}

/* What the device sees of a page; pages_away() came before. */
static inline char *on_device(struct with_devmem *w, size_t page)
{
	struct hmm_devmem_stats stats = { .size = sizeof(stats) };

	assert_true(w->m.pfns[page] & HMM_PFN_DEVICE_PRIVATE);
	if (w->copying.memory) {
		assert_int_equal(hmm_devmem_get_stats(w->d, &stats), 0);
		return w->copying.memory + (hmm_pfn_to_addr(w->m.pfns[page]) - stats.start);
	}
	return (char *)(uintptr_t)hmm_pfn_to_addr(w->m.pfns[page]);
}

/* The device has written. ThreadSanitizer does not see that a fault comes before the copy. */
static inline void device_wrote(struct with_devmem *w)
{
	atomic_fetch_add(&w->copying.calls_out, 0);
}

/* Pages of which each begins with its number. */
static inline void number(char *p, size_t pages, unsigned int from)
{
	for (size_t i = 0; i < pages; i++)
		*(volatile unsigned int *)(p + i * PAGE) = from + (unsigned int)i;
}

static inline void assert_numbered(const char *p, size_t pages, unsigned int from)
{
	for (size_t i = 0; i < pages; i++)
		assert_int_equal(*(const volatile unsigned int *)(p + i * PAGE), from + i);
}

#endif
