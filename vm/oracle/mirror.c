// SPDX-License-Identifier: GPL-2.0
/*
 * A device's page table for a range of the caller, and the log of everything that took entries out
 * of it.
 */
#include <linux/highmem.h>
#include <linux/ktime.h>
#include <linux/sched.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "oracle.h"

static enum uhmm_event event_of(enum mmu_notifier_event event)
{
	switch (event) {
	case MMU_NOTIFY_UNMAP:
		return UHMM_EVENT_UNMAP;
	case MMU_NOTIFY_CLEAR:
		return UHMM_EVENT_CLEAR;
	case MMU_NOTIFY_PROTECTION_VMA:
		return UHMM_EVENT_PROTECTION_VMA;
	case MMU_NOTIFY_PROTECTION_PAGE:
		return UHMM_EVENT_PROTECTION_PAGE;
	case MMU_NOTIFY_SOFT_DIRTY:
		return UHMM_EVENT_SOFT_DIRTY;
	case MMU_NOTIFY_RELEASE:
		return UHMM_EVENT_RELEASE;
	case MMU_NOTIFY_MIGRATE:
		return UHMM_EVENT_MIGRATE;
	case MMU_NOTIFY_EXCLUSIVE:
		return UHMM_EVENT_EXCLUSIVE;
	default:
		return UHMM_EVENT_OTHER;
	}
}

static u32 drop_entries(struct uhmm_mirror *mirror, unsigned long start, unsigned long end)
{
	u32 dropped = 0;
	unsigned long i;

	for (i = (start - mirror->start) >> PAGE_SHIFT; i < (end - mirror->start) >> PAGE_SHIFT;
	     i++) {
		dropped += mirror->pfns[i] != 0;
		mirror->pfns[i] = 0;
	}
	return dropped;
}

static u64 read_stamp(const struct uhmm_mirror *mirror)
{
	const char *page;
	u64 stamp;

	if (!mirror->stamp_page)
		return 0;
	page = kmap_local_page(mirror->stamp_page);
	stamp = READ_ONCE(*(const u64 *)(page + mirror->stamp_offset));
	kunmap_local(page);
	return stamp;
}

/* A spinlock alone, so this never has to say that it could not. */
static bool mirror_invalidate(struct mmu_interval_notifier *notifier,
			      const struct mmu_notifier_range *range, unsigned long seq)
{
	struct uhmm_mirror *mirror = container_of(notifier, struct uhmm_mirror, notifier);
	struct uhmm_oracle_event event = {
		.start = max(range->start & PAGE_MASK, mirror->start),
		.end = PAGE_ALIGN(min(range->end, mirror->end)), /* release ends at ULONG_MAX */
		.ns = ktime_get_ns(),
		.event = event_of(range->event),
		.tgid = current->tgid,
	};

	spin_lock(&mirror->device_lock);
	mmu_interval_set_seq(notifier, seq);
	event.stamp = read_stamp(mirror);
	event.dropped = drop_entries(mirror, event.start, event.end);
	mirror->counts[event.event]++;
	if (mirror->log_count < UHMM_LOG_SIZE)
		mirror->log[mirror->log_count++] = event;
	else
		mirror->log_lost++;
	spin_unlock(&mirror->device_lock);
	return true;
}

static const struct mmu_interval_notifier_ops mirror_ops = { .invalidate = mirror_invalidate };

static void mirror_free(struct uhmm_mirror *mirror)
{
	kvfree(mirror->pfns);
	kvfree(mirror->log);
	kfree(mirror);
}

int uhmm_mirror_create(const struct uhmm_oracle_mirror *arg, struct uhmm_mirror **out)
{
	struct uhmm_mirror *mirror;
	int ret = -ENOMEM;

	if (!arg->npages || arg->npages > UHMM_MAX_PAGES || !PAGE_ALIGNED(arg->addr) ||
	    arg->addr + arg->npages * PAGE_SIZE < arg->addr)
		return -EINVAL;
	mirror = kzalloc(sizeof(*mirror), GFP_KERNEL);
	if (!mirror)
		return -ENOMEM;
	spin_lock_init(&mirror->device_lock);
	mirror->start = arg->addr;
	mirror->end = arg->addr + arg->npages * PAGE_SIZE;
	mirror->pfns = kvcalloc(arg->npages, sizeof(*mirror->pfns), GFP_KERNEL);
	mirror->log = kvcalloc(UHMM_LOG_SIZE, sizeof(*mirror->log), GFP_KERNEL);
	if (mirror->pfns && mirror->log)
		ret = mmu_interval_notifier_insert(&mirror->notifier, current->mm, mirror->start,
						   mirror->end - mirror->start, &mirror_ops);
	if (ret)
		mirror_free(mirror);
	else
		*out = mirror;
	return ret;
}

void uhmm_mirror_destroy(struct uhmm_mirror *mirror)
{
	if (!mirror)
		return;
	mmu_interval_notifier_remove(&mirror->notifier);
	if (mirror->stamp_page)
		put_page(mirror->stamp_page);
	mirror_free(mirror);
}

int uhmm_mirror_log(struct uhmm_mirror *mirror, struct uhmm_oracle_log *arg)
{
	struct uhmm_oracle_event __user *events = u64_to_user_ptr(arg->events);
	struct uhmm_oracle_event *copy;
	int i;

	arg->max = min_t(u32, arg->max, UHMM_LOG_SIZE);
	copy = kvcalloc(arg->max + 1, sizeof(*copy), GFP_KERNEL);
	if (!copy)
		return -ENOMEM;
	memset(arg->counts, 0, sizeof(arg->counts));
	spin_lock(&mirror->device_lock);
	arg->count = min(arg->max, mirror->log_count);
	arg->lost = mirror->log_lost + mirror->log_count - arg->count;
	memcpy(copy, mirror->log, arg->count * sizeof(*copy));
	for (i = 0; i < UHMM_EVENT_NR; i++)
		arg->counts[i] = mirror->counts[i];
	if (arg->reset) {
		mirror->log_count = 0;
		mirror->log_lost = 0;
		memset(mirror->counts, 0, sizeof(mirror->counts));
	}
	spin_unlock(&mirror->device_lock);
	i = copy_to_user(events, copy, arg->count * sizeof(*copy)) ? -EFAULT : 0;
	kvfree(copy);
	return i;
}

int uhmm_mirror_stamp(struct uhmm_mirror *mirror, u64 addr)
{
	struct page *page, *before;
	int ret;

	if (addr % sizeof(u64))
		return -EINVAL;
	ret = get_user_pages_fast(addr, 1, 0, &page);
	if (ret != 1)
		return ret < 0 ? ret : -EFAULT;
	spin_lock(&mirror->device_lock);
	before = mirror->stamp_page;
	mirror->stamp_page = page;
	mirror->stamp_offset = offset_in_page(addr);
	spin_unlock(&mirror->device_lock);
	if (before)
		put_page(before);
	return 0;
}

int uhmm_mirror_held(struct uhmm_mirror *mirror, const struct uhmm_oracle_held *arg)
{
	struct uhmm_oracle_entry __user *to = u64_to_user_ptr(arg->entries);
	struct uhmm_oracle_entry entry;
	unsigned long pfn, first;
	u64 i;

	first = (arg->addr - mirror->start) >> PAGE_SHIFT;
	if (!PAGE_ALIGNED(arg->addr) || arg->addr < mirror->start ||
	    arg->npages > ((mirror->end - mirror->start) >> PAGE_SHIFT) ||
	    first + arg->npages > ((mirror->end - mirror->start) >> PAGE_SHIFT))
		return -EINVAL;
	for (i = 0; i < arg->npages; i++) {
		spin_lock(&mirror->device_lock);
		pfn = mirror->pfns[first + i];
		uhmm_entry_fill(&entry, pfn);
		spin_unlock(&mirror->device_lock);
		if (copy_to_user(to + i, &entry, sizeof(entry)))
			return -EFAULT;
	}
	return 0;
}
