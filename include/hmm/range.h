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
 * struct hmm_range - what to walk and where the answer goes
 * @size: sizeof(struct hmm_range); the structure may grow, see hmm(7)
 * @flags: 0, or HMM_RANGE_*
 * @notifier: an inserted notifier that covers [start, end); its space is walked
 * @notifier_seq: out: the sequence of the answer, for hmm_interval_read_retry()
 * @start: first address, a multiple of HMM_PAGE_SIZE
 * @end: one past the last, likewise
 * @hmm_pfns: one entry for each 4 KiB: (end - start) >> HMM_PAGE_SHIFT of them, see HMM_PFN_*. The
 *	array must not lie in mirrored memory
 * @default_flags: what is requested of every page: 0, HMM_PFN_REQ_FAULT, or HMM_PFN_REQ_FAULT |
 *	HMM_PFN_REQ_WRITE
 * @pfn_flags_mask: which request bits of each entry's input count beside @default_flags
 * @dev_private_owner: whose device memory is the caller's own: pages in its regions
 *	(hmm_devmem_options.owner) are reported as HMM_PFN_DEVICE_PRIVATE and not faulted. Pages of
 *	other owners are brought home where requested, else their entry is 0. Pages of its coherent
 *	regions are HMM_PFN_DEVICE_COHERENT, at the program's address
 * @last: out: entries below this address are output; the rest hold their input
 *
 * Since: 0.1. Follows: struct hmm_range.
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

/**
 * flags HMM_RANGE_* - how hmm_range_fault() walks
 * @HMM_RANGE_LOOK: look only: what is walked is not registered, so nothing tells when it changes.
 *	The entries must not be cached
 * @HMM_RANGE_FRESH: the entries hold no requests and no sticky bits. They are written without being
 *	read, so the array need not be initialised. pfn_flags_mask must be 0; entries from @last on
 *	hold anything afterwards. A snapshot of large pages takes half the time, as most of that
 *	goes to the entries
 *
 * Since: 0.1.
 */
#define HMM_RANGE_LOOK (1U << 0)
#define HMM_RANGE_FRESH (1U << 1)

/**
 * hmm_range_fault() - fault in what is requested, and report what is mapped
 * @range: what to walk
 * @timeout_ns: how long it may come no further, in ns; HMM_NO_WAIT makes one attempt. Waits for
 *	the pump count
 *
 * The rules of the walk are those of the kernel's function of the same name:
 *
 * - A hole, a mapping that may not be read and one of kind HMM_VMA_SPECIAL give an HMM_PFN_ERROR
 *   entry where nothing is requested, and -EFAULT where something is.
 * - A write that is requested of a read-only mapping gives -EPERM.
 * - A page that is not present gives 0 where nothing is requested.
 * - The zero page is HMM_PFN_VALID without HMM_PFN_WRITE.
 * - Entries of larger mappings carry their order.
 *
 * A read request never breaks copy-on-write and never causes a write fault. A snapshot may say that
 * a page is readable where the kernel would say writable, never the other way round.
 *
 * Where an invalidation collides with the walk it begins again by itself, with a fresh sequence.
 * The answer is true at any instant at which hmm_interval_read_retry() returns false for
 * range->notifier_seq.
 *
 * The first fault of a mapping with a request also registers it, so that its changes raise events
 * from then on. Before that every translation that overlaps is invalidated (HMM_EVENT_CLEAR). The
 * whole mapping is registered, or with HMM_MM_FILE_CHUNKS chunks of a file's. Pages of what cannot
 * be registered are HMM_PFN_TRANSIENT.
 *
 * After an error, entries below range->last are output all the same.
 *
 * Context: any thread outside sections and callbacks; may block, on page faults too. A cancellation
 * point when it begins.
 * Return: 0; -EINVAL a bad structure, range or alignment, or the notifier does not cover it; -E2BIG
 * @range says what this library does not know; -EFAULT a page is requested of a hole or of what may
 * not be read; -EPERM a write is requested of read-only memory; -EHWPOISON a page is lost to a
 * media or memory error; -EBUSY @timeout_ns passed while invalidations collided; -ETIME @timeout_ns
 * passed in a wait: for a change elsewhere, or for a driver's callback that hangs; -ENOMEM no
 * memory; -ENOSPC the budget of map entries is used up, see @max_regions of struct hmm_mm_options;
 * -ESRCH a forked child, the process has ended, or it closed the library's descriptors; -EDEADLK
 * called by a handler of pthread_atfork() that runs after the library's: a fault waits until a fork
 * is over. Another -errno if a seccomp filter of the calling thread answers it to a system call of
 * the library's.
 * Since: 0.1. Follows: hmm_range_fault(), hmm_range_fault_unlocked_timeout().
 */
int hmm_range_fault(struct hmm_range *range, uint64_t timeout_ns);

/**
 * hmm_range_watch() - be told of changes of a range, without populating it
 * @range: what to watch. Only @flags (0), @start, @end and @notifier are read; @hmm_pfns may be
 *	NULL
 * @timeout_ns: how long it may come no further, in ns; HMM_NO_WAIT makes one attempt
 *
 * Registers the mappings of the range as hmm_range_fault() does, but brings no page in and reports
 * none. It is for devices that pin pages by themselves: watch, pin, then ask
 * hmm_interval_read_retry() with range->notifier_seq. If that is false, what was pinned is what is
 * mapped, and every later change is told.
 *
 * The cost of anonymous memory does not depend on the size of the range: it is a few system calls
 * for each mapping. Of a file's mapping that is not registered yet the pages in the page cache are
 * mapped first, as hmm_range_fault() does, so that the program's own faults stay few.
 *
 * Context: as hmm_range_fault().
 * Return: 0; -EOPNOTSUPP a part cannot be watched (special mappings, memory of another userfaultfd,
 * files of which the kernel gives no descriptor): what is pinned there may be used once; -EAGAIN a
 * discard of the range is pending, so it cannot be told yet what its pages will be; -EFAULT the
 * range has a hole or memory that may not be read; and -EINVAL, -E2BIG, -EBUSY, -ETIME, -ENOMEM,
 * -ENOSPC, -ESRCH, -EDEADLK as hmm_range_fault().
 * Since: 0.1.
 */
int hmm_range_watch(struct hmm_range *range, uint64_t timeout_ns);

/**
 * flags HMM_CHECK_* - what hmm_range_check() looks at beside the sequence
 * @HMM_CHECK_VMA: the same mapping is there, its permissions were not reduced and it is still
 *	registered. Finds mprotect, shmdt, shmat with SHM_REMAP, remap_file_pages
 * @HMM_CHECK_FILE: size and change time of the mapped file are what they were. Finds truncation and
 *	punched holes
 * @HMM_CHECK_PRESENT: every page of the range is present. While a discard of the range is pending,
 *	pages without a file must also be unwritten since the fault. Finds guard pages, MADV_FREE
 *	and reclaim, until the page is touched again
 * @HMM_CHECK_ALL: all of them
 * @HMM_CHECK_KIND: what each mapping of the range needs by its kind, as it was watched or faulted:
 *	nothing for anonymous memory, HMM_CHECK_FILE for files and shared memory, HMM_CHECK_VMA for
 *	System V segments
 * @HMM_CHECK_ORDERED: no system call asks whether a change is in flight. The caller knows that
 *	every call that changed the range has returned before this one began: it made the call
 *	itself, or has synchronised with the thread that did. Changes that race with the check may
 *	be missed
 *
 * hmm-coherence(7) says which operation needs which check.
 * Since: 0.1.
 */
#define HMM_CHECK_VMA (1U << 0)
#define HMM_CHECK_FILE (1U << 1)
#define HMM_CHECK_PRESENT (1U << 2)
#define HMM_CHECK_ALL (HMM_CHECK_VMA | HMM_CHECK_FILE | HMM_CHECK_PRESENT)
#define HMM_CHECK_KIND (1U << 3)
#define HMM_CHECK_ORDERED (1U << 4)

/**
 * hmm_range_check() - is what a fault reported still true?
 * @range: as hmm_range_fault() filled it in. Only @start, @end, @notifier and @notifier_seq are
 *	read
 * @checks: HMM_CHECK_*; with 0 it asks what hmm_interval_stale() asks
 *
 * A check costs about 0.3 to 1.7 us each, whatever the size. The call adds the checks that a kind
 * of mapping cannot do without (HMM_CHECK_VMA for System V segments).
 *
 * Memory that cannot be watched (HMM_PFN_TRANSIENT) is judged with any check by all that can be
 * read of it: about 1 us for each mapping and 30 ns for each page.
 * Context: with 0: any thread, sections included, never blocks. With checks: any thread outside
 * callbacks, may block.
 * Return: 0 it is true; -ESTALE it is not, or cannot be known now: fault again; -EINVAL, -E2BIG as
 * hmm_range_fault(); -ESRCH a forked child, the process has ended, or it closed the library's
 * descriptors.
 * Since: 0.1.
 */
int hmm_range_check(const struct hmm_range *range, unsigned int checks);

/**
 * hmm_range_check_timeout() - the same, and waits until the answer is known
 * @range: as for hmm_range_check()
 * @checks: HMM_CHECK_*
 * @timeout_ns: how long to wait while changes of other memory are in flight, in ns
 *
 * hmm_range_check() refuses while any change is in flight. This waits until it has been handled, by
 * when the sequence tells whether it was about the range.
 * Context: any thread outside sections and callbacks; may block.
 * Return: 0 it is true; -ESTALE it is not; -ETIME @timeout_ns passed and it is not known; -EINVAL,
 * -E2BIG, -ESRCH as hmm_range_check().
 * Since: 0.1.
 */
int hmm_range_check_timeout(const struct hmm_range *range, unsigned int checks,
			    uint64_t timeout_ns);

#ifdef __cplusplus
}
#endif
#endif
