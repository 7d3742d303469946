/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * range: find out what is mapped, faulting pages in where asked, with the kernel's walk rules.
 */
#ifndef HMM_RANGE_H
#define HMM_RANGE_H

#include <hmm/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * struct hmm_range - what to walk and where the answer goes (follows struct hmm_range)
 * @size: sizeof(struct hmm_range); the structure may grow, see hmm(7)
 * @flags: 0, or HMM_RANGE_*
 * @notifier: covers [start, end) and is inserted; its space is walked
 * @notifier_seq: out: refreshed inside the call, for hmm_interval_read_retry()
 * @start: first address, a multiple of HMM_PAGE_SIZE
 * @end: one past the last, likewise
 * @hmm_pfns: one entry a page, (end - start) >> HMM_PAGE_SHIFT of them; must not lie in mirrored memory
 * @default_flags: requested for every page: 0, HMM_PFN_REQ_FAULT, | HMM_PFN_REQ_WRITE
 * @pfn_flags_mask: which request bits of each entry's input count
 * @dev_private_owner: device pages of this owner are reported, others' are faulted back
 * @last: out: entries below this address are output, the rest still hold their input
 */
struct hmm_range {
	uint32_t size;
	uint32_t flags;
	struct hmm_interval_notifier *notifier;
	uint64_t notifier_seq;
	uint64_t start;
	uint64_t end;
	uint64_t *hmm_pfns;
	uint64_t default_flags;
	uint64_t pfn_flags_mask;
	void *dev_private_owner;
	uint64_t last;
};

/*
 * Do not register what is walked: a look, not a mirror. The entries are never to be cached.
 */
#define HMM_RANGE_LOOK (1U << 0)

/*
 * The entries hold nothing yet, no requests and no sticky bits: they are written without being read, so the array need
 * not be initialised. @pfn_flags_mask must be 0; entries from @last on hold anything afterwards. Halves the cost of the
 * entries, which is what a snapshot of large pages mostly consists of.
 */
#define HMM_RANGE_FRESH (1U << 1)

/**
 * hmm_range_fault() - fault in what is requested and report what is mapped
 * @range: what to walk
 * @timeout_ns: how long without progress, waits for the pump included; 0 makes one attempt that
 *	waits for nobody, HMM_FOREVER has no limit
 *
 * Walk rules, as the kernel's: a hole, a VMA without read permission or a special VMA is an ERROR
 * entry if nothing is requested of it, else -EFAULT; write requested of a read-only VMA -EPERM; not
 * present and not requested 0; the zero page VALID without WRITE; larger mappings carry their order.
 * Read requests never break copy-on-write nor trigger a write fault. A snapshot may say readable
 * where the kernel would say writable, never more than is true.
 *
 * Collisions with invalidations are retried inside, with a fresh sequence; -EBUSY never escapes
 * unless @timeout_ns passed without progress. The answer stands at the instant
 * hmm_interval_read_retry() says so.
 *
 * What is faulted with a request is also mirrored from then on: its VMA (with HMM_MM_FILE_CHUNKS a chunk of a file's) is
 * registered, after every overlapping translation was killed (HMM_EVENT_CLEAR). What cannot be
 * registered gets TRANSIENT entries.
 *
 * Context: any thread outside sections and callbacks; may block, on page faults too.
 * Return: 0; -EINVAL bad range or alignment, or notifier does not cover it; -E2BIG @range says what
 * this library does not know; -EFAULT; -EPERM;
 * -EHWPOISON a page lost to a media or memory error; -EBUSY (timeout under collisions); -ETIME (timeout
 * of a wait: a change elsewhere, a driver's callback that hangs);
 * -ENOMEM; -ENOSPC region budget used up; -ESRCH in a forked child or dead process; -EDEADLK in a handler of
 * pthread_atfork() that runs after the library's (a fault waits until a fork is over).
 * On an error entries below range->last are output.
 * Since: 0.1. Follows: hmm_range_fault(), hmm_range_fault_unlocked_timeout().
 */
int hmm_range_fault(struct hmm_range *range, uint64_t timeout_ns);

/* What hmm_range_check() checks beside the sequence and the in-flight probe. */
#define HMM_CHECK_VMA (1U << 0)  /* PROCMAP_QUERY: same mapping, permissions not reduced */
#define HMM_CHECK_FILE (1U << 1) /* size and change time of the file */
#define HMM_CHECK_PRESENT                                                                          \
	(1U                                                                                        \
	 << 2) /* every page of the range still present, and where a discard is pending unwritten since armed (no file behind it) */
#define HMM_CHECK_ALL (HMM_CHECK_VMA | HMM_CHECK_FILE | HMM_CHECK_PRESENT)

/**
 * hmm_range_check() - validated use with the checks that some kinds need
 * @range: as filled by hmm_range_fault(); only start, end, notifier, notifier_seq are read
 * @checks: HMM_CHECK_*; 0 asks what hmm_interval_stale() asks
 *
 * Each check costs about 0.3 to 1.7 us, whatever the size. Checks that the kind of mapping requires
 * for soundness (System V: HMM_CHECK_VMA) are added by the call itself. TRANSIENT entries of memory that cannot be
 * watched are judged, with any check, by all that can be read of the range: about 1 us a mapping and 30 ns a page.
 * Context: as hmm_interval_stale(), but HMM_CHECK_* may block: outside callbacks.
 * Return: 0 it stands; -ESTALE it does not; -EINVAL, -E2BIG as hmm_range_fault(); -ESRCH.
 * Since: 0.1.
 */
int hmm_range_check(const struct hmm_range *range, unsigned int checks);

#ifdef __cplusplus
}
#endif
#endif
