/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * svm: shared virtual memory. Give a device a few callbacks (device.h) and get a mirror of the
 * program's address space on it: chunks are found or inserted, faulted, committed under retry,
 * invalidated, upgraded, prefetched and collected.
 *
 *	device fault		svm						pump
 *	fetch_faults		sort, coalesce to chunks
 *				hmm_range_fault(chunk)
 *				commit_begin
 *				hmm_interval_read_retry: true: again	<----	event in flight
 *				ops->map
 *				commit_end			------>	may read the next event
 *	fault_done: replay						ops->invalidate
 *
 * Nothing here is called from or waits for the pump; its only part there is the notifiers' callback.
 */
#ifndef HMM_SVM_H
#define HMM_SVM_H

#include <hmm/types.h>
#include <hmm/device.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * struct hmm_svm_options - policy
 * @size: sizeof(struct hmm_svm_options); the structure may grow, see hmm(7)
 * @flags: HMM_SVM_*
 * @chunk_shifts: allowed chunk sizes as a mask of 1 << shift out of 12, 16 and 21; 0: all three. What
 *	fits no allowed size gets 4K chunks
 * @prefetch: how many chunks to fault in ahead of a sequential stream of faults, at most 64;
 *	0 is the default of 3; HMM_SVM_NO_PREFETCH turns it off
 * @fault_threads: 0: faults are handled in the thread that raises them; else so many threads wait for them
 * @fault_batch: faults fetched at once, 1 to 256; 0 is the default of 64
 * @notifier_size: bytes of address space under one notifier, a power of two of at least 512 MiB;
 *	0 is 512 MiB
 * @fault_timeout_ns: for one fault without progress, waits for the gate, the pump and other drivers' callbacks
 *	included; 0 is the default of HMM_FOREVER. What the driver's own callbacks take in the
 *	thread that faults is not cut
 */
struct hmm_svm_options {
	uint32_t size;
	uint32_t flags;
	uint64_t chunk_shifts;
	uint32_t prefetch;
	uint32_t fault_threads;
	uint32_t fault_batch;
	uint32_t pad;
	uint64_t notifier_size;
	uint64_t fault_timeout_ns;
};

/* Only what hmm_svm_add_range() named is mirrored; else the whole address space is. */
#define HMM_SVM_EXPLICIT (1U << 0)
#define HMM_SVM_NO_PREFETCH (1U << 1)
/* Empty table pages are kept until hmm_svm_collect() is called. */
#define HMM_SVM_NO_COLLECT (1U << 2)

#define HMM_SVM_OPTIONS_INIT                                                                       \
	{                                                                                          \
		sizeof(struct hmm_svm_options), 0, 0, 0, 0, 0, 0, 0, 0                             \
	}

/**
 * hmm_svm_create() - mirror an address space onto a device
 * @mm: the space
 * @dev: the outermost device of a stack
 * @options: NULL for the defaults
 * @svm: out
 *
 * Costs the program nothing until the device faults. Context: may block; not from a callback.
 * Return: 0; -EINVAL bad options or device of another space; -E2BIG an option that this library
 * does not know; -EBUSY the device is mirrored onto
 * already; -ENOMEM; -EAGAIN no thread could be made; -ESRCH in a forked child.
 * Ownership: the caller's; @dev stays the caller's and must outlive it.
 * Since: 0.1.
 */
int hmm_svm_create(struct hmm_mm *mm, struct hmm_device *dev, const struct hmm_svm_options *options,
		   struct hmm_svm **svm);

/**
 * hmm_svm_destroy() - stop mirroring
 * @svm: may be NULL
 * Every job must have ended. The device loses every translation. Context: may block; not from a
 * callback. Since: 0.1.
 */
void hmm_svm_destroy(struct hmm_svm *svm);

/**
 * hmm_svm_add_range() - allow a range to be mirrored (HMM_SVM_EXPLICIT)
 * @svm: the mirror
 * @start: first address, aligned to HMM_PAGE_SIZE
 * @end: one past the last, likewise
 * @prot: the most that a device may do there: PROT_READ, or PROT_READ | PROT_WRITE
 * Ranges may overlap: then the union of permissions counts.
 * Return: 0; -EINVAL also for a mirror of the whole space; -ENOMEM. Since: 0.1.
 */
int hmm_svm_add_range(struct hmm_svm *svm, uint64_t start, uint64_t end, int prot);

/**
 * hmm_svm_remove_range() - take a range away again; the device loses it before this returns
 * @svm: the mirror
 * @start: as it was added
 * @end: as it was added
 * Context: outside sections and callbacks; may block. Return: 0; -ENOENT. Since: 0.1.
 */
int hmm_svm_remove_range(struct hmm_svm *svm, uint64_t start, uint64_t end);

/**
 * hmm_svm_fault() - make the device able to use [addr, addr + len), now
 * @svm: the mirror
 * @addr: first address
 * @len: bytes, not 0
 * @prot: PROT_READ, or PROT_READ | PROT_WRITE
 *
 * For drivers without a fault buffer; what fetched faults go through as well. Chunks are the largest
 * allowed that lie in the VMA; a write upgrades chunks that are readable already: the device is given
 * the entries that change (HMM_MAP_UPGRADE), of a file those of the 64 KiB around the write. What the mirror gave the
 * device and did not take away counts as installed; a driver that lost entries by itself calls hmm_svm_drop() first.
 *
 * Context: any thread outside sections and callbacks; may block. A cancellation point when it begins.
 * Return: 0 every page is installed, at the time of the commit; 1 some of it cannot be cached
 * (HMM_PFN_TRANSIENT); -EFAULT, -EPERM, -EHWPOISON as hmm_range_fault(); -EACCES not allowed by
 * hmm_svm_add_range(); -ETIME nothing came further for fault_timeout_ns: the chunk is not installed, not in part
 * either; -ENOSPC; -ENOMEM; -ESRCH; an error of the device's map.
 * Since: 0.1. Follows: drm_gpusvm_range_find_or_insert(), drm_gpusvm_range_get_pages().
 */
int hmm_svm_fault(struct hmm_svm *svm, uint64_t addr, uint64_t len, int prot);

/**
 * hmm_svm_prefetch() - as hmm_svm_fault(), but holes and errors are skipped
 * Return: bytes installed or already there, or -errno (-EINVAL, -ENOMEM, -ESRCH, -ETIME).
 * Since: 0.1.
 */
int64_t hmm_svm_prefetch(struct hmm_svm *svm, uint64_t start, uint64_t end, int prot);

/**
 * hmm_svm_drop() - the device forgets a range (evict); it will fault when it comes back
 * @svm: the mirror
 * @start: first address
 * @end: one past the last
 * Context: outside sections and callbacks; blocks until engines have left their sections. A cancellation point when it
 * begins.
 * Return: 0; -EINVAL; -ESRCH. Since: 0.1. Follows: drm_gpusvm_range_evict().
 */
int hmm_svm_drop(struct hmm_svm *svm, uint64_t start, uint64_t end);

/**
 * hmm_svm_submit() - start a job on the device
 * @svm: the mirror
 * @job: the device's until hmm_svm_wait() returned 0
 *
 * First a barrier: every change that the program made before the call is known to the device. That is
 * hmm_mm_barrier(), hmm_mm_check_files(), and for what raises no event a look at each mapping: its
 * permission, whether it is registered still (shmat with SHM_REMAP, remap_file_pages), which segment it is
 * (System V); what does not stand is dropped. Devices without faults get job->ranges populated; if the end of a
 * discard of them is pending (see hmm-coherence(7)) it is waited for, up to 100 ms.
 *
 * Context: outside sections and callbacks; may block. A cancellation point when it begins.
 * Return: 0; -EINVAL; -E2BIG @job says what this library does not know; -EFAULT, -EPERM a named
 * range cannot be populated; -EAGAIN a discard of a named range
 * is pending still: submit again, or say hmm_mm_note(HMM_NOTE_DISCARD) first if it is known to be over;
 * -EOPNOTSUPP a named range that cannot be cached; -ESRCH; errors of the device's submit. Since: 0.1.
 */
int hmm_svm_submit(struct hmm_svm *svm, struct hmm_job *job);

/**
 * hmm_svm_wait() - wait until a job has ended
 * @svm: the mirror
 * @job: it
 * @timeout_ns: how long to wait; 0 asks whether it has ended, HMM_FOREVER waits as long as it takes
 * Context: outside sections and callbacks; may block. A cancellation point when it begins: a thread that waits already is
 * cancelled once the job has ended.
 * Return: 0 it has, see job->status; -ETIME it has not, or a fault reads its ranges: wait again. Since: 0.1.
 */
int hmm_svm_wait(struct hmm_svm *svm, struct hmm_job *job, uint64_t timeout_ns);

/**
 * hmm_svm_cancel() - make a job end soon; hmm_svm_wait() it all the same
 * Context: any thread, signal handlers excepted. Return: 0. Since: 0.1.
 */
int hmm_svm_cancel(struct hmm_svm *svm, struct hmm_job *job);

/**
 * hmm_svm_run() - submit, wait, and return the job's status or the error of the submission
 * A cancellation point when it begins. Since: 0.1.
 */
int hmm_svm_run(struct hmm_svm *svm, struct hmm_job *job);

/**
 * struct hmm_svm_chunk - a piece of the mirror
 * @start: first address
 * @end: one past the last
 * @prot: what the device may do
 * @flags: HMM_SVM_CHUNK_*
 */
struct hmm_svm_chunk {
	uint64_t start;
	uint64_t end;
	uint32_t prot;
	uint32_t flags;
};

/* Kind without events: checked at each submit. */
#define HMM_SVM_CHUNK_CHECKED (1U << 0)
/* Not every page of it is installed. */
#define HMM_SVM_CHUNK_PARTIAL (1U << 1)

/**
 * hmm_svm_walk() - call a function for each chunk that the device holds, in order of address
 * @svm: the mirror
 * @start: first address
 * @end: one past the last; 0 and UINT64_MAX for all
 * @fn: 0 to go on, else its value ends the walk and is returned. Must not call this library
 * @arg: for @fn
 * Since: 0.1.
 */
int hmm_svm_walk(struct hmm_svm *svm, uint64_t start, uint64_t end,
		 int (*fn)(const struct hmm_svm_chunk *chunk, void *arg), void *arg);

/**
 * hmm_svm_collect() - free what unmapped ranges left behind: notifiers and table pages without chunks
 * Done by itself after enough was unmapped, off the pump, unless HMM_SVM_NO_COLLECT.
 * Context: outside sections and callbacks; may block; a cancellation point when it begins. Return: bytes and notifiers
 * freed, summed into the counters; the bytes here. Since: 0.1. Follows: the garbage collector of xe_svm.
 */
uint64_t hmm_svm_collect(struct hmm_svm *svm);

/**
 * struct hmm_svm_stats - counters since create, monotonic unless said otherwise
 */
struct hmm_svm_stats {
	uint32_t size; /* in: sizeof(struct hmm_svm_stats), see hmm(7) */
	uint32_t pad;
	uint64_t batches;      /* of faults fetched */
	uint64_t faults;       /* fetched */
	uint64_t coalesced;    /* ... that needed no walk of their own */
	uint64_t range_faults; /* hmm_range_fault() calls */
	uint64_t chunks_2m;    /* committed, by size */
	uint64_t chunks_64k;
	uint64_t chunks_4k;
	uint64_t chunks_found;   /* were there already */
	uint64_t upgrades;       /* readable chunks made writable */
	uint64_t reinstalled;    /* chunks of which the device had dropped something by itself */
	uint64_t commit_retries; /* commits begun again because of a collision */
	uint64_t prefetched;     /* chunks committed ahead of need */
	uint64_t replays;
	uint64_t cancels;
	uint64_t once;              /* faults on memory that cannot be cached */
	uint64_t invalidations;     /* callbacks that found chunks */
	uint64_t callbacks;         /* all */
	uint64_t unmaps;            /* callbacks for HMM_EVENT_UNMAP that found chunks */
	uint64_t barriers;          /* at submit */
	uint64_t dropped_at_submit; /* chunks that the barrier found not to stand */
	uint64_t restores;          /* populations of named memory, devices without faults */
	uint64_t collections;
	uint64_t collected_bytes;
	uint64_t collected_notifiers;
	uint64_t notifiers;    /* now */
	uint64_t mapped_bytes; /* chunks the device holds now, bytes */
};

/**
 * hmm_svm_get_stats() - counters of a mirror
 * Return: 0; -EINVAL, -E2BIG no size of this structure; -ESRCH in a forked child. Since: 0.1.
 */
int hmm_svm_get_stats(struct hmm_svm *svm, struct hmm_svm_stats *stats);

/**
 * hmm_svm_device() - the device that it mirrors onto
 * Since: 0.1.
 */
struct hmm_device *hmm_svm_device(const struct hmm_svm *svm);

#ifdef __cplusplus
}
#endif
#endif
