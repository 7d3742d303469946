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
 * Of all this only the notifiers' callback runs on the pump.
 *
 * A device with memory of its own gives the mirror a region of it (devmem.h). Then what the device
 * faults on moves there first, where the policy of its range says so, and comes home when the CPU
 * touches it.
 */
#ifndef HMM_SVM_H
#define HMM_SVM_H

#include <hmm/types.h>
#include <hmm/device.h>
#include <hmm/migrate.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * struct hmm_svm_options - policy of a mirror
 * @size: sizeof(struct hmm_svm_options); the structure may grow, see hmm(7)
 * @flags: HMM_SVM_*
 * @chunk_shifts: allowed sizes of chunks, as a mask of 1 << shift out of 12, 16 and 21; 0: all
 *	three. What fits no allowed size gets chunks of 4K
 * @prefetch: how many chunks to fault in ahead of a sequential stream of faults, at most 64; 0 is
 *	the default of 3; HMM_SVM_NO_PREFETCH turns it off
 * @fault_threads: 0: faults are handled in the thread that raises them; else so many threads, at
 *	most 16, wait for them
 * @fault_batch: faults fetched at once, 1 to 256; 0 is the default of 64
 * @notifier_size: bytes of address space under one notifier, a power of two of at least 512 MiB; 0
 *	is 512 MiB
 * @fault_timeout_ns: how long one fault may come no further, in ns. Waits for the gate,
 *	 the pump and other drivers' callbacks count; what the driver's own callbacks take in
 *	the thread that faults is not cut
 * @devmem: the device's memory, of the same space, or NULL. It must outlive the mirror. What is to
 *	live there hmm_svm_set_policy() says
 *
 * Since: 0.1.
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
	struct hmm_devmem *devmem;
};

/**
 * flags HMM_SVM_* - policy of a mirror
 * @HMM_SVM_EXPLICIT: only what hmm_svm_add_range() named is mirrored; else the whole space may be
 * @HMM_SVM_NO_PREFETCH: nothing is faulted in ahead of need
 * @HMM_SVM_NO_COLLECT: what unmapped ranges left behind is kept until hmm_svm_collect() is called
 *
 * For @flags of struct hmm_svm_options.
 * Since: 0.1.
 */
#define HMM_SVM_EXPLICIT (1U << 0)
#define HMM_SVM_NO_PREFETCH (1U << 1)
#define HMM_SVM_NO_COLLECT (1U << 2)

/**
 * define HMM_SVM_OPTIONS_INIT - initialiser of struct hmm_svm_options: the defaults
 * Since: 0.1.
 */
#define HMM_SVM_OPTIONS_INIT                                                                       \
	{                                                                                          \
		sizeof(struct hmm_svm_options), 0, 0, 0, 0, 0, 0, 0, 0, NULL                       \
	}

/**
 * hmm_svm_create() - mirror an address space onto a device
 * @mm: the space
 * @dev: the outermost device of a stack
 * @options: NULL for the defaults
 * @svm: out
 *
 * The program pays nothing until the device faults.
 * Context: may block; not from a callback.
 * Return: 0; -EINVAL bad options, a device or @devmem of another space, or a device that another is
 * stacked upon;
 * -E2BIG an option that this library does not know; -EBUSY the device is mirrored onto already;
 * -ENOMEM no memory; -EAGAIN no fault thread can be made; -ESRCH a forked child, the process has
 * ended, or it closed the library's descriptors.
 * Ownership: *svm is the caller's until hmm_svm_destroy(). @dev stays the caller's and must outlive
 * it.
 * Since: 0.1.
 */
int hmm_svm_create(struct hmm_mm *mm, struct hmm_device *dev, const struct hmm_svm_options *options,
		   struct hmm_svm **svm);

/**
 * hmm_svm_destroy() - stop mirroring
 * @svm: NULL is legal
 *
 * Every job must have ended. The device loses every translation.
 * Context: may block; not from a callback. In a forked child it does nothing.
 * Since: 0.1.
 */
void hmm_svm_destroy(struct hmm_svm *svm);

/**
 * hmm_svm_add_range() - allow a range to be mirrored
 * @svm: a mirror with HMM_SVM_EXPLICIT
 * @start: first address, a multiple of HMM_PAGE_SIZE
 * @end: one past the last, likewise
 * @prot: the most that a device may do there: PROT_READ, or PROT_READ | PROT_WRITE
 *
 * Ranges may overlap. An access is allowed if one of them allows it.
 * Context: any thread outside sections and callbacks.
 * Return: 0; -EINVAL an empty or unaligned range, an unknown permission, or a mirror of the whole
 * space; -ENOMEM no memory; -ESRCH a forked child.
 * Since: 0.1.
 */
int hmm_svm_add_range(struct hmm_svm *svm, uint64_t start, uint64_t end, int prot);

/**
 * hmm_svm_remove_range() - take a range away again
 * @svm: the mirror
 * @start: as it was added
 * @end: as it was added
 *
 * When it returns the device has no translation of the range.
 * Context: outside sections and callbacks; may block.
 * Return: 0; -ENOENT no such range was added; -ESRCH a forked child, the process has ended, or it
 * closed the library's descriptors.
 * Since: 0.1.
 */
int hmm_svm_remove_range(struct hmm_svm *svm, uint64_t start, uint64_t end);

/**
 * enum hmm_svm_location - where pages of a range are to live while the device works with them
 * @HMM_SVM_SYSTEM: where the CPU has them. What is in the mirror's device memory comes home when
 *	the device faults on it
 * @HMM_SVM_DEVICE: in the mirror's device memory. What the device faults on moves there first
 *
 * Since: 0.1.
 */
enum hmm_svm_location {
	HMM_SVM_SYSTEM,
	HMM_SVM_DEVICE,
};

/**
 * define HMM_SVM_READ_MOSTLY - flag of struct hmm_svm_policy: both sides read the pages, and hardly
 *	write them: they stay in system memory, whatever @location says
 * Since: 0.1.
 */
#define HMM_SVM_READ_MOSTLY (1U << 0)

/**
 * struct hmm_svm_policy - how a range is mirrored
 * @size: sizeof(struct hmm_svm_policy); the structure may grow, see hmm(7)
 * @flags: 0, or HMM_SVM_READ_MOSTLY
 * @location: enum hmm_svm_location
 * @chunk_shift: the granularity: a fault moves and populates at most 1 << @chunk_shift bytes: 12,
 *	16 or 21; 0: the largest that the mirror allows
 *
 * Since: 0.1.
 */
struct hmm_svm_policy {
	uint32_t size;
	uint32_t flags;
	uint32_t location;
	uint32_t chunk_shift;
};

/**
 * hmm_svm_set_policy() - say where the pages of a range are to live
 * @svm: the mirror
 * @start: first address, a multiple of HMM_PAGE_SIZE
 * @end: one past the last, likewise; 0 and UINT64_MAX set the default, for all that has no policy
 *	of its own
 * @policy: the policy; NULL takes it away again, so that the default holds. At first, and after
 *	NULL for all, the default is HMM_SVM_SYSTEM and any granularity
 *
 * A later call wins where ranges overlap. It is about addresses, not about what is mapped there:
 * the range may be unmapped or change. Faults follow it from then on. What the device holds already
 * stays as it is: hmm_svm_prefetch() moves it now, hmm_svm_evict() brings it home.
 *
 * Name what the device works on, best mapped apart. A chunk reaches as far as the mapping does, and
 * stacks of threads may lie there, which must not move (hmm-devmem(7)). Where HMM_SVM_DEVICE is the
 * default let @chunk_shift be 12: then only what the device touches moves.
 *
 * What cannot move is mapped where it is, and counted (@in_place of struct hmm_svm_stats). So is,
 * for a fault, what the CPU has touched in the last 100 us (@kept): the CPU and the device may want
 * the same page for ever, and both come further.
 * Context: any thread outside sections and callbacks.
 * Return: 0; -EINVAL an empty or unaligned range, an unknown flag, location or granularity, or
 * HMM_SVM_DEVICE for a mirror without @devmem; -E2BIG @policy says what this library does not know;
 * -ENOMEM no memory; -ESRCH a forked child.
 * Since: 0.1. Follows: DRM_XE_MEM_RANGE_ATTR_PREFERRED_LOC of DRM_IOCTL_XE_MADVISE.
 */
int hmm_svm_set_policy(struct hmm_svm *svm, uint64_t start, uint64_t end,
		       const struct hmm_svm_policy *policy);

/**
 * hmm_svm_evict() - bring the pages of a range home
 * @svm: a mirror with @devmem
 * @start: first address
 * @end: one past the last; 0 and UINT64_MAX for all
 *
 * From the mirror's device memory; what is in other regions stays there. The device faults when it
 * comes back to the range, and if the policy is still HMM_SVM_DEVICE the pages move again.
 * Context: outside sections and callbacks; may block. A cancellation point when it begins.
 * Return: 0; -EINVAL an empty range, or a mirror without @devmem; -ETIME @fault_timeout_ns of
 * struct hmm_svm_options passed; -ENOMEM a page cannot be moved home, and there is no memory to
 * copy it; -ESRCH a forked child, the process has ended, or it closed the library's descriptors.
 * Since: 0.1. Follows: drm_gpusvm_range_evict().
 */
int hmm_svm_evict(struct hmm_svm *svm, uint64_t start, uint64_t end);

/**
 * hmm_svm_fault() - make the device able to use [addr, addr + len), now
 * @svm: the mirror
 * @addr: first address
 * @len: bytes, not 0
 * @prot: PROT_READ, or PROT_READ | PROT_WRITE
 *
 * For drivers without a fault buffer; faults that are fetched go through the same code. Chunks are
 * the largest allowed that lie in the mapping. A write makes chunks that are readable already
 * writable: the device is given the entries that change (HMM_MAP_UPGRADE), of a file those of the
 * 64 KiB around the write.
 *
 * What the mirror gave the device and did not take away counts as installed: map is not called
 * again for it. A driver that lost entries by itself calls hmm_svm_drop() first.
 * Context: any thread outside sections and callbacks; may block. A cancellation point when it
 * begins.
 * Return: 0 every page was installed at the time of the commit; 1 some page cannot be cached
 * (HMM_PFN_TRANSIENT); -EINVAL an empty or wrapping range, or an unknown permission; -EFAULT
 * nothing is mapped there, or it may not be read; -EPERM a write to read-only memory; -EHWPOISON a
 * page is lost to a media or memory error; -EACCES not allowed by hmm_svm_add_range(); -ETIME
 * @fault_timeout_ns of struct hmm_svm_options passed: the chunk is not installed, not in part
 * either; -ENOSPC the budget of map entries is used up, see @max_regions of struct hmm_mm_options;
 * -ENOMEM no memory; -EDEADLK as hmm_range_fault(); -ESRCH a forked child, the process has ended,
 * or it closed the library's descriptors. Another -errno that the device's map returned.
 * Since: 0.1. Follows: drm_gpusvm_range_find_or_insert(), drm_gpusvm_range_get_pages().
 */
int hmm_svm_fault(struct hmm_svm *svm, uint64_t addr, uint64_t len, int prot);

/**
 * hmm_svm_prefetch() - as hmm_svm_fault(), but holes and errors are skipped
 * @svm: the mirror
 * @start: first address
 * @end: one past the last
 * @prot: PROT_READ, or PROT_READ | PROT_WRITE
 *
 * Where the policy is HMM_SVM_DEVICE the range moves to device memory first, also what the device
 * holds in place and what the CPU has touched just now.
 * Context: as hmm_svm_fault().
 * Return: bytes that are installed now, also those that were before; -EINVAL an empty range, or an
 * unknown permission; -ENOMEM no memory; -ETIME as hmm_svm_fault(); -ESRCH a forked child, the
 * process has ended, or it closed the library's descriptors.
 * Since: 0.1.
 */
int64_t hmm_svm_prefetch(struct hmm_svm *svm, uint64_t start, uint64_t end, int prot);

/**
 * hmm_svm_drop() - the device forgets a range
 * @svm: the mirror
 * @start: first address
 * @end: one past the last
 *
 * The device's invalidate is called with HMM_EVENT_MIGRATE. It faults when it comes back to the
 * range. For drivers that have lost entries by themselves, and to make room in a device's tables.
 * Pages stay where they live: hmm_svm_evict() brings them home.
 * Context: outside sections and callbacks; blocks until engines have left their sections. A
 * cancellation point when it begins.
 * Return: 0; -EINVAL an empty range; -ESRCH a forked child, the process has ended, or it closed the
 * library's descriptors.
 * Since: 0.1. Follows: drm_gpusvm_range_unmap_pages().
 */
int hmm_svm_drop(struct hmm_svm *svm, uint64_t start, uint64_t end);

/**
 * hmm_svm_submit() - start a job on the device
 * @svm: the mirror
 * @job: the device's until hmm_svm_wait() returned 0
 *
 * First every change that the program made before the call is made known to the device: by
 * hmm_mm_barrier(), by hmm_mm_check_files(), and for what raises no event by a look at each
 * mapping: its permission, whether it is still registered (shmat with SHM_REMAP, remap_file_pages),
 * and which segment it is (System V). What is no longer true is dropped.
 *
 * For devices without faults the memory that job->ranges names is populated. Where a discard of it
 * is pending (see hmm-coherence(7)) its end is waited for, up to 100 ms.
 * Context: outside sections and callbacks; may block. A cancellation point when it begins.
 * Return: 0; -EINVAL a bad job; -E2BIG @job says what this library does not know; -EFAULT nothing
 * is mapped in a named range, or it may not be read; -EPERM a named range is to be written and is
 * read-only; -EACCES a named range is not allowed by hmm_svm_add_range(); -EHWPOISON a page of a
 * named range is lost to a media or memory error; -EAGAIN a discard of a named range is still
 * pending: submit again, or if it is known to be over say so first by hmm_mm_note() with
 * HMM_NOTE_DISCARD; -EOPNOTSUPP a named range cannot be cached, or the device runs no jobs;
 * -ENOSPC, -ETIME as hmm_svm_fault(); -ENOMEM no memory; -ESRCH a forked child, the process has
 * ended, or it closed the library's descriptors. Another -errno that the device's submit or map
 * returned.
 * Since: 0.1.
 */
int hmm_svm_submit(struct hmm_svm *svm, struct hmm_job *job);

/**
 * hmm_svm_wait() - wait until a job has ended
 * @svm: the mirror
 * @job: the job; job->status says how it ended
 * @timeout_ns: how long to wait, in ns; HMM_NO_WAIT asks whether it has ended
 *
 * Context: outside sections and callbacks; may block. A cancellation point when it begins.
 * Return: 0 it has ended, and is the caller's again; -ETIME @timeout_ns passed; -ESRCH a forked
 * child. Another -errno that the device's wait returned.
 * Since: 0.1.
 */
int hmm_svm_wait(struct hmm_svm *svm, struct hmm_job *job, uint64_t timeout_ns);

/**
 * hmm_svm_cancel() - make a job end soon with -ECANCELED
 * @svm: the mirror
 * @job: it was submitted; hmm_svm_wait() is still needed
 *
 * Context: outside sections and callbacks.
 * Return: 0; -ESRCH a forked child. Another -errno that the device's cancel returned.
 * Since: 0.1.
 */
int hmm_svm_cancel(struct hmm_svm *svm, struct hmm_job *job);

/**
 * hmm_svm_run() - submit a job, and wait until it has ended
 * @svm: the mirror
 * @job: the job
 *
 * Context: as hmm_svm_submit().
 * Return: the job's status; or an error of hmm_svm_submit() or hmm_svm_wait().
 * Since: 0.1.
 */
int hmm_svm_run(struct hmm_svm *svm, struct hmm_job *job);

/**
 * struct hmm_svm_chunk - a piece of the mirror
 * @start: first address
 * @end: one past the last
 * @prot: what the device may do
 * @flags: HMM_SVM_CHUNK_*
 *
 * Since: 0.1.
 */
struct hmm_svm_chunk {
	uint64_t start;
	uint64_t end;
	uint32_t prot;
	uint32_t flags;
};

/**
 * flags HMM_SVM_CHUNK_* - what is special about a chunk
 * @HMM_SVM_CHUNK_CHECKED: of a kind without events (System V): checked at each submission
 * @HMM_SVM_CHUNK_PARTIAL: not every page of it is installed
 *
 * For @flags of struct hmm_svm_chunk.
 * Since: 0.1.
 */
#define HMM_SVM_CHUNK_CHECKED (1U << 0)
#define HMM_SVM_CHUNK_PARTIAL (1U << 1)

/**
 * hmm_svm_walk() - call a function for each chunk that the device holds, in order of address
 * @svm: the mirror
 * @start: first address
 * @end: one past the last; 0 and UINT64_MAX walk everything
 * @fn: 0 to go on, else its value ends the walk and is returned. It must not call this library
 * @arg: handed to @fn
 *
 * The walk is no snapshot: chunks may come and go meanwhile.
 * Context: any thread outside callbacks; may block.
 * Return: 0, or what @fn returned; -ESRCH a forked child.
 * Since: 0.1.
 */
int hmm_svm_walk(struct hmm_svm *svm, uint64_t start, uint64_t end,
		 int (*fn)(const struct hmm_svm_chunk *chunk, void *arg), void *arg);

/**
 * hmm_svm_collect() - free what unmapped ranges left behind
 * @svm: the mirror
 *
 * These are notifiers, and pages of tables that hold no entry. It happens by itself after enough
 * was unmapped, off the pump, unless HMM_SVM_NO_COLLECT is set.
 * Context: outside sections and callbacks; may block. A cancellation point when it begins.
 * Return: bytes freed; 0 also in a forked child. Notifiers are counted in struct hmm_svm_stats.
 * Since: 0.1. Follows: the garbage collector of xe_svm.
 */
uint64_t hmm_svm_collect(struct hmm_svm *svm);

/**
 * struct hmm_svm_stats - counters since a mirror was created; each only grows unless it says "now"
 * @size: in: sizeof(struct hmm_svm_stats); the structure may grow, see hmm(7)
 * @batches: times that faults were fetched
 * @faults: faults fetched
 * @coalesced: how many of those needed no walk of their own
 * @range_faults: hmm_range_fault() calls
 * @chunks_2m: chunks committed, by size
 * @chunks_64k: likewise
 * @chunks_4k: likewise
 * @chunks_found: chunks that were there already
 * @upgrades: readable chunks that were made writable
 * @reinstalled: chunks of which the device had dropped something by itself
 * @commit_retries: commits begun again because of a collision
 * @prefetched: chunks committed ahead of need
 * @replays: faults answered by "try again"
 * @cancels: faults answered by an error
 * @once: faults on memory that cannot be cached
 * @invalidations: callbacks that found chunks
 * @callbacks: all callbacks
 * @unmaps: callbacks for HMM_EVENT_UNMAP that found chunks
 * @barriers: barriers, one for each job submitted
 * @dropped_at_submit: chunks that the look at submission found no longer true
 * @restores: populations of named memory, for devices without faults
 * @collections: times that garbage was collected
 * @collected_bytes: bytes that it freed
 * @collected_notifiers: notifiers that it freed
 * @notifiers: notifiers, now
 * @mapped_bytes: bytes of the chunks that the device holds, now
 * @migrations: times that memory was to move to device memory
 * @migrated: pages of HMM_PAGE_SIZE that moved there
 * @migrated_huge: of these, pages that moved as part of a huge page, which stayed one
 * @kept: pages that were mapped in place, as the CPU had touched them just now
 * @gathered: accesses of engines in software that needed memory in one piece, which was brought
 *	home for that
 * @evictions: calls of hmm_svm_evict()
 * @in_place: pages that were to move and were mapped in place, for each enum hmm_migrate_reason; a
 *	page counts each time
 *
 * Since: 0.1.
 */
struct hmm_svm_stats {
	uint32_t size;
	uint32_t pad;
	uint64_t batches;
	uint64_t faults;
	uint64_t coalesced;
	uint64_t range_faults;
	uint64_t chunks_2m;
	uint64_t chunks_64k;
	uint64_t chunks_4k;
	uint64_t chunks_found;
	uint64_t upgrades;
	uint64_t reinstalled;
	uint64_t commit_retries;
	uint64_t prefetched;
	uint64_t replays;
	uint64_t cancels;
	uint64_t once;
	uint64_t invalidations;
	uint64_t callbacks;
	uint64_t unmaps;
	uint64_t barriers;
	uint64_t dropped_at_submit;
	uint64_t restores;
	uint64_t collections;
	uint64_t collected_bytes;
	uint64_t collected_notifiers;
	uint64_t notifiers;
	uint64_t mapped_bytes;
	uint64_t migrations;
	uint64_t migrated;
	uint64_t migrated_huge;
	uint64_t kept;
	uint64_t gathered;
	uint64_t evictions;
	uint64_t in_place[HMM_MIGRATE_REASON_ROOM];
};

/**
 * hmm_svm_get_stats() - counters of a mirror
 * @svm: the mirror
 * @stats: out; @size is in
 *
 * Context: any thread outside callbacks; may block.
 * Return: 0; -EINVAL, -E2BIG no @size of this structure; -ESRCH a forked child.
 * Since: 0.1.
 */
int hmm_svm_get_stats(struct hmm_svm *svm, struct hmm_svm_stats *stats);

/**
 * hmm_svm_device() - the device that a mirror is of
 * @svm: the mirror
 *
 * Context: any.
 * Return: what hmm_svm_create() was given.
 * Since: 0.1.
 */
struct hmm_device *hmm_svm_device(const struct hmm_svm *svm);

#ifdef __cplusplus
}
#endif
#endif
