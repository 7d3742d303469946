/* SPDX-License-Identifier: GPL-2.0 */
/* Inside uhmm_oracle: a file, its mirror and the order of their locks. */
#ifndef UHMM_ORACLE_INTERNAL_H
#define UHMM_ORACLE_INTERNAL_H

#include <linux/hmm.h>
#include <linux/mm.h>
#include <linux/mmu_notifier.h>
#include <linux/mutex.h>
#include <linux/spinlock.h>

#include "uhmm_oracle.h"

#define UHMM_LOG_SIZE 4096         /* events */
#define UHMM_MAX_PAGES (1ul << 19) /* 2 GiB */
#define UHMM_MAX_MIGRATE 1024ul    /* pages */

/*
 * Lock order: ioctl_lock, mmap_lock, device_lock. The notifier's callback takes device_lock alone,
 * and everything done under that is short, so that a callback that may not block need not be
 * refused.
 */
struct uhmm_mirror {
	struct mmu_interval_notifier notifier;
	unsigned long start, end;
	spinlock_t device_lock;
	unsigned long *
		/*
		 * (D) the device's page table: hmm_pfns, 0 where there is none; no page is
		 * referenced.
		 */
		pfns;
	struct uhmm_oracle_event *log; /* (D) UHMM_LOG_SIZE of them */
	u32 log_count, log_lost;       /* (D) */
	u64 counts[UHMM_EVENT_NR];     /* (D) */
	struct page *stamp_page;       /* (D) NULL: events carry no word */
	unsigned int stamp_offset;     /* (D) of the word in its page */
};

struct uhmm_file {
	struct mutex ioctl_lock;
	struct uhmm_mirror *mirror; /* ioctl_lock */
};

/* range.c */
int uhmm_range(struct uhmm_oracle_range *arg);
int uhmm_fault(struct hmm_range *range, u32 *passes, u64 *ns);
void uhmm_entry_fill(struct uhmm_oracle_entry *entry, unsigned long hmm_pfn);

/* mirror.c */
int uhmm_mirror_create(const struct uhmm_oracle_mirror *arg, struct uhmm_mirror **out);
void uhmm_mirror_destroy(struct uhmm_mirror *mirror);
int uhmm_mirror_log(struct uhmm_mirror *mirror, struct uhmm_oracle_log *arg);
int uhmm_mirror_stamp(struct uhmm_mirror *mirror, u64 addr);
int uhmm_mirror_held(struct uhmm_mirror *mirror, const struct uhmm_oracle_held *arg);

/* migrate.c */
int uhmm_migrate(struct uhmm_oracle_migrate *arg);

/* access.c */
int uhmm_access(struct uhmm_mirror *mirror, struct uhmm_oracle_access *arg);

#endif
