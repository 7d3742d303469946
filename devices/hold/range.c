// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * Ranges and their translations: faults, takes hold of pages, commits and invalidates.
 *
 * The page is taken hold of between hmm_range_fault(), which gives a sequence, and read_retry. If
 * nothing was invalidated in between and nothing is in flight the page is the one that is mapped.
 */
#include <errno.h>
#include <stdlib.h>
#include "internal.h"

static void (*callback_hook)(const struct hmm_invalidation *inv, void *arg);
static void *callback_hook_arg;

static const struct hold_method_ops *const methods[HOLD_METHOD_NR] = {
	[HOLD_PIN] = &hold_pin_ops,
	[HOLD_REF] = &hold_ref_ops,
	[HOLD_ALIAS] = &hold_alias_ops,
};

void hold_set_callback_hook(void (*fn)(const struct hmm_invalidation *inv, void *arg), void *arg)
{
	callback_hook_arg = arg;
	callback_hook = fn;
}

/*
 * Removes translations from the table. The owner releases the pages later. A fork removes only
 * writable ones: all translations of private memory are writable here.
 */
static int range_invalidate(struct hmm_interval_notifier *ni, const struct hmm_invalidation *inv,
			    void *priv)
{
	struct hold_range *range = priv;
	unsigned int i;

	if (callback_hook)
		callback_hook(inv, callback_hook_arg);
	for (i = 0; i < range->n; i++) {
		uint64_t addr = range->start + i * range->stride;

		if (addr < inv->end && addr + HMM_PAGE_SIZE > inv->start)
			atomic_store_explicit(&range->page[i].installed, false,
					      memory_order_relaxed);
	}
	atomic_fetch_add_explicit(&range->callbacks, 1, memory_order_relaxed);
	return 0;
}

static const struct hmm_interval_notifier_ops range_ops = {
	.size = sizeof(struct hmm_interval_notifier_ops),
	.invalidate = range_invalidate,
};

int hold_range_create(struct hold_device *dev, uint64_t start, unsigned int n, uint64_t stride,
		      struct hold_range **out)
{
	struct hold_range *range;
	unsigned int i;
	int ret;

	if (!n || stride < HMM_PAGE_SIZE)
		return -EINVAL;
	range = calloc(1, sizeof(*range) + n * sizeof(range->page[0]));
	if (!range)
		return -ENOMEM;
	range->dev = dev;
	range->start = start;
	range->stride = stride;
	range->n = n;
	for (i = 0; i < n; i++) {
		range->page[i].addr = start + i * stride;
		range->page[i].pipe[0] = range->page[i].pipe[1] = -1;
	}
	ret = hmm_interval_notifier_insert(dev->mm, start, (n - 1) * stride + HMM_PAGE_SIZE,
					   &range_ops, range, &range->ni);
	if (ret) {
		free(range);
		return ret;
	}
	*out = range;
	return 0;
}

void hold_range_destroy(struct hold_range *range)
{
	unsigned int i;

	if (!range)
		return;
	hmm_interval_notifier_remove(range->ni);
	for (i = 0; i < range->n; i++)
		hold_drop(range, i);
	free(range);
}

struct hold_page *hold_range_page(struct hold_range *range, unsigned int i)
{
	return &range->page[i];
}

struct hmm_interval_notifier *hold_range_notifier(struct hold_range *range)
{
	return range->ni;
}

uint64_t hold_range_callbacks(const struct hold_range *range)
{
	return atomic_load_explicit(&range->callbacks, memory_order_relaxed);
}

static int fault_and_take(struct hold_range *range, struct hold_page *page, uint64_t timeout_ns,
			  uint64_t *pfn)
{
	struct hmm_range r = {
		.size = sizeof(r),
		.notifier = range->ni,
		.start = page->addr,
		.end = page->addr + HMM_PAGE_SIZE,
		.hmm_pfns = pfn,
		.default_flags = HMM_PFN_REQ_FAULT | (page->written ? HMM_PFN_REQ_WRITE : 0),
	};
	struct hmm_vma vma;
	int ret;

	*pfn = 0;
	ret = hmm_range_fault(&r, timeout_ns);
	if (ret)
		return ret;
	page->seq = r.notifier_seq;
	if (page->method == HOLD_ALIAS) {
		ret = hmm_vma_find(range->dev->mm, page->addr, &vma);
		if (ret || vma.start > page->addr)
			return -EAGAIN;
	}
	return methods[page->method]->take(range->dev, page, &vma);
}

int hold_fault(struct hold_range *range, unsigned int i, enum hold_method method, bool write,
	       uint64_t timeout_ns)
{
	struct hold_page *page = &range->page[i];
	uint64_t pfn;
	bool retry;
	int ret;

	hold_drop(range, i);
	page->method = method;
	page->written = write || method == HOLD_PIN;
	ret = fault_and_take(range, page, timeout_ns, &pfn);
	if (ret)
		return ret;
	page->held = true;

	hmm_mm_commit_begin(range->dev->mm);
	retry = hmm_interval_read_retry(range->ni, page->seq);
	if (!retry && !(pfn & HMM_PFN_TRANSIENT))
		atomic_store_explicit(&page->installed, true, memory_order_relaxed);
	hmm_mm_commit_end(range->dev->mm);
	if (retry) {
		hold_drop(range, i);
		return -EAGAIN;
	}
	return pfn & HMM_PFN_TRANSIENT ? 1 : 0;
}

void hold_drop(struct hold_range *range, unsigned int i)
{
	struct hold_page *page = &range->page[i];

	atomic_store_explicit(&page->installed, false, memory_order_relaxed);
	if (!page->held)
		return;
	page->held = false;
	methods[page->method]->drop(range->dev, page);
}

void hold_release_page(struct hold_range *range, unsigned int i)
{
	struct hold_page *page = &range->page[i];

	if (page->held)
		methods[page->method]->drop(range->dev, page);
	page->held = false;
}

bool hold_valid(struct hold_range *range, unsigned int i, unsigned int checks)
{
	struct hold_page *page = &range->page[i];
	struct hmm_range r = {
		.size = sizeof(r),
		.notifier = range->ni,
		.notifier_seq = page->seq,
		.start = page->addr,
		.end = page->addr + HMM_PAGE_SIZE,
	};

	if (!checks)
		return !hmm_interval_stale(range->ni, page->seq);
	return hmm_range_check(&r, checks) == 0;
}

int hold_read(struct hold_range *range, unsigned int i, unsigned int offset, void *buf,
	      unsigned int len)
{
	struct hold_page *page = &range->page[i];

	return methods[page->method]->read(range->dev, page, offset, buf, len);
}

int hold_write(struct hold_range *range, unsigned int i, unsigned int offset, const void *buf,
	       unsigned int len)
{
	struct hold_page *page = &range->page[i];

	return methods[page->method]->write(range->dev, page, offset, buf, len);
}
