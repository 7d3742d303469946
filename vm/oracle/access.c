// SPDX-License-Identifier: GPL-2.0
/*
 * Device jobs. The device uses the entries that its mirror holds and nothing else; what it lacks it
 * faults for the whole rest of the job at once. A page is touched under device_lock only, so after
 * an invalidation has returned nothing is in flight:
 *
 *	device job                          CPU
 *	lock, entry is there, copy, unlock
 *	                                    invalidate: lock, drop the entry, unlock
 *	lock, no entry: unlock, fault       unmap, free
 */
#include <linux/highmem.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "oracle.h"

static int fault_rest(struct uhmm_mirror *mirror, unsigned long start, unsigned long end,
		      bool write, u64 *faults)
{
	unsigned long first = (start - mirror->start) >> PAGE_SHIFT,
		      npages = (end - start) >> PAGE_SHIFT;
	struct hmm_range range = {
		.notifier = &mirror->notifier,
		.start = start,
		.end = end,
		.default_flags = HMM_PFN_REQ_FAULT | (write ? HMM_PFN_REQ_WRITE : 0),
	};
	u32 passes = 0;
	u64 ns = 0;
	int ret;

	range.hmm_pfns = kvcalloc(npages, sizeof(*range.hmm_pfns), GFP_KERNEL);
	if (!range.hmm_pfns)
		return -ENOMEM;
	for (;;) {
		ret = uhmm_fault(&range, &passes, &ns);
		if (ret)
			break;
		spin_lock(&mirror->device_lock);
		if (!mmu_interval_read_retry(&mirror->notifier, range.notifier_seq)) {
			memcpy(mirror->pfns + first, range.hmm_pfns,
			       npages * sizeof(*range.hmm_pfns));
			spin_unlock(&mirror->device_lock);
			break;
		}
		spin_unlock(&mirror->device_lock);
	}
	*faults += passes;
	kvfree(range.hmm_pfns);
	return ret;
}

/*
 * One page's share of the job from or to the bounce page. -ENOENT: the mirror holds no such entry.
 */
static int access_page(struct uhmm_mirror *mirror, unsigned long addr, unsigned long len,
		       void *bounce, bool write)
{
	unsigned long need = HMM_PFN_VALID | (write ? HMM_PFN_WRITE : 0), pfn;
	int ret = -ENOENT;
	char *kaddr;

	spin_lock(&mirror->device_lock);
	pfn = mirror->pfns[(addr - mirror->start) >> PAGE_SHIFT];
	if ((pfn & need) == need) {
		kaddr = kmap_local_page(hmm_pfn_to_page(pfn));
		if (write)
			memcpy(kaddr + offset_in_page(addr), bounce, len);
		else
			memcpy(bounce, kaddr + offset_in_page(addr), len);
		kunmap_local(kaddr);
		ret = 0;
	}
	spin_unlock(&mirror->device_lock);
	return ret;
}

static int access_all(struct uhmm_mirror *mirror, struct uhmm_oracle_access *arg, void *bounce)
{
	unsigned long addr = arg->addr, end = arg->addr + arg->len, len;
	char __user *buf = u64_to_user_ptr(arg->buf);
	int ret;

	for (; addr < end; addr += len, buf += len, arg->done += len) {
		len = min(end - addr, PAGE_SIZE - offset_in_page(addr));
		if (arg->write && copy_from_user(bounce, buf, len))
			return -EFAULT;
		while ((ret = access_page(mirror, addr, len, bounce, arg->write)) == -ENOENT) {
			arg->result = fault_rest(mirror, addr & PAGE_MASK, PAGE_ALIGN(end),
						 arg->write, &arg->faults);
			if (arg->result)
				return 0;
		}
		if (!arg->write && copy_to_user(buf, bounce, len))
			return -EFAULT;
	}
	return 0;
}

int uhmm_access(struct uhmm_mirror *mirror, struct uhmm_oracle_access *arg)
{
	void *bounce;
	int ret;

	arg->result = 0;
	arg->done = 0;
	arg->faults = 0;
	if (!arg->len || arg->addr + arg->len < arg->addr || arg->addr < mirror->start ||
	    arg->addr + arg->len > mirror->end)
		return -EINVAL;
	bounce = (void *)__get_free_page(GFP_KERNEL);
	if (!bounce)
		return -ENOMEM;
	ret = access_all(mirror, arg, bounce);
	free_page((unsigned long)bounce);
	return ret;
}
