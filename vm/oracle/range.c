// SPDX-License-Identifier: GPL-2.0
/*
 * One call of the kernel's hmm_range_fault() for the caller's own address space, and what its
 * entries mean.
 */
#include <linux/ktime.h>
#include <linux/memremap.h>
#include <linux/once.h>
#include <linux/sched/mm.h>
#include <linux/siphash.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "oracle.h"

/*
 * Fault loops that invalidations keep beating end here, with -EBUSY, so that no test can hang in
 * the kernel.
 */
#define UHMM_MAX_PASSES 1000000

static siphash_aligned_key_t cookie_key;

void uhmm_entry_fill(struct uhmm_oracle_entry *entry, unsigned long hmm_pfn)
{
	struct page *page;

	memset(entry, 0, sizeof(*entry));
	if (hmm_pfn & HMM_PFN_ERROR)
		entry->flags |= UHMM_ENTRY_ERROR;
	if (!(hmm_pfn & HMM_PFN_VALID))
		return;
	if (unlikely(!cookie_key.key[0]))
		get_random_once(&cookie_key, sizeof(cookie_key));
	entry->flags |= UHMM_ENTRY_VALID;
	if (hmm_pfn & HMM_PFN_WRITE)
		entry->flags |= UHMM_ENTRY_WRITE;
	entry->order = hmm_pfn_to_map_order(hmm_pfn);
	page = hmm_pfn_to_page(hmm_pfn);
	entry->cookie = siphash_1u64(page_to_pfn(page), &cookie_key);
	if (is_device_private_page(page) || is_device_coherent_page(page))
		entry->flags |= UHMM_ENTRY_DEVICE;
	else if (is_zone_device_page(page))
		entry->flags |= UHMM_ENTRY_FSDAX;
	/*
	 * The huge zero folio is not exported, but it alone is mapped by a PMD and belongs to
	 * nothing.
	 */
	else if (is_zero_pfn(page_to_pfn(page)) ||
		 (entry->order >= PMD_SHIFT - PAGE_SHIFT && !compound_head(page)->mapping))
		entry->flags |= UHMM_ENTRY_ZERO;
}

/*
 * hmm_range_fault() until it no longer collides with an invalidation. Leaves range->notifier_seq
 * for a read_retry.
 */
int uhmm_fault(struct hmm_range *range, u32 *passes, u64 *ns)
{
	struct mm_struct *mm = range->notifier->mm;
	u64 begin = ktime_get_ns();
	int ret;

	do {
		range->notifier_seq = mmu_interval_read_begin(range->notifier);
		mmap_read_lock(mm);
		ret = hmm_range_fault(range);
		mmap_read_unlock(mm);
		++*passes;
		if (fatal_signal_pending(current))
			return -EINTR;
		cond_resched();
	} while (ret == -EBUSY && *passes < UHMM_MAX_PASSES);
	*ns += ktime_get_ns() - begin;
	return ret;
}

static bool once_invalidate(struct mmu_interval_notifier *notifier,
			    const struct mmu_notifier_range *range, unsigned long seq)
{
	mmu_interval_set_seq(notifier, seq);
	return true;
}

static const struct mmu_interval_notifier_ops once_ops = { .invalidate = once_invalidate };

static unsigned long request_in(u32 flags)
{
	return (flags & UHMM_REQ_FAULT ? HMM_PFN_REQ_FAULT : 0) |
	       (flags & UHMM_REQ_WRITE ? HMM_PFN_REQ_WRITE : 0);
}

static int entries_in(unsigned long *pfns, struct uhmm_oracle_entry __user *from, u64 npages)
{
	struct uhmm_oracle_entry entry;
	u64 i;

	for (i = 0; i < npages; i++) {
		if (copy_from_user(&entry, from + i, sizeof(entry)))
			return -EFAULT;
		pfns[i] = request_in(entry.flags);
	}
	return 0;
}

static int entries_out(struct uhmm_oracle_entry __user *to, const unsigned long *pfns, u64 npages)
{
	struct uhmm_oracle_entry entry;
	u64 i;

	for (i = 0; i < npages; i++) {
		uhmm_entry_fill(&entry, pfns[i]);
		if (copy_to_user(to + i, &entry, sizeof(entry)))
			return -EFAULT;
	}
	return 0;
}

int uhmm_range(struct uhmm_oracle_range *arg)
{
	struct uhmm_oracle_entry __user *entries = u64_to_user_ptr(arg->entries);
	struct mmu_interval_notifier notifier = {};
	struct hmm_range range = {
		.notifier = &notifier,
		.start = arg->addr,
		.end = arg->addr + arg->npages * PAGE_SIZE,
		.default_flags = request_in(arg->default_flags),
		.pfn_flags_mask = request_in(arg->pfn_flags_mask),
	};
	int ret;

	if (!arg->npages || arg->npages > UHMM_MAX_PAGES || !PAGE_ALIGNED(arg->addr) ||
	    range.end < range.start)
		return -EINVAL;
	range.hmm_pfns = kvcalloc(arg->npages, sizeof(*range.hmm_pfns), GFP_KERNEL);
	if (!range.hmm_pfns)
		return -ENOMEM;
	ret = entries_in(range.hmm_pfns, entries, arg->npages);
	if (!ret)
		ret = mmu_interval_notifier_insert(&notifier, current->mm, range.start,
						   range.end - range.start, &once_ops);
	if (!ret) {
		arg->passes = 0;
		arg->ns = 0;
		arg->result = uhmm_fault(&range, &arg->passes, &arg->ns);
		mmu_interval_notifier_remove(&notifier);
		ret = entries_out(entries, range.hmm_pfns, arg->npages);
	}
	kvfree(range.hmm_pfns);
	return ret;
}
