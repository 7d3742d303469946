/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * migrate: pages of the program go to device memory (devmem.h) and come home; a device has pages
 * for itself for a while (exclusive access).
 *
 *	hmm_migrate_to_device(devmem, start, end, timeout, &result);
 *	... hmm_range_fault() with dev_private_owner says where in the region each page is ...
 *	... the device works there, inside sections of an engine ...
 *	the CPU touches a page, and it is at home again
 *
 * Before a page moves, either way, devices have stopped: the gate is closed, and every notifier
 * that overlaps is told HMM_EVENT_MIGRATE or HMM_EVENT_EXCLUSIVE with the owner of the region.
 */
#ifndef HMM_MIGRATE_H
#define HMM_MIGRATE_H

#include <hmm/types.h>

#ifdef __cplusplus
extern "C" {
#endif

struct hmm_devmem;
struct hmm_exclusive;

/**
 * enum hmm_migrate_reason - why a page stayed where it was
 * @HMM_MIGRATE_SHARED: shared memory, hugetlbfs, or a page of a file: it cannot be moved, and is
 *	used in place
 * @HMM_MIGRATE_SPECIAL: memory that is never mirrored, or registered with another userfaultfd
 * @HMM_MIGRATE_PERMISSION: the mapping is locked (mlock); or it may not be written, or may be
 *	executed, and the region is without HMM_DEVMEM_READONLY, the process has locked or pinned
 *	memory or no map entries left, or a device asks for exclusive access
 * @HMM_MIGRATE_BUSY: the page is pinned, or a child shares it and it could not be made the
 *	program's own, or the CPU touched it on its way to coherent memory
 * @HMM_MIGRATE_DISCARD: a discard of the page is announced and its end is not proven
 * @HMM_MIGRATE_ELSEWHERE: the page is in another region, or a device has it exclusively
 * @HMM_MIGRATE_EXHAUSTED: no page of the region is free
 * @HMM_MIGRATE_COPY: the region's @copy_in failed or took too long, and the page is at home again
 *
 * Since: 0.1.
 */
enum hmm_migrate_reason {
	HMM_MIGRATE_SHARED,
	HMM_MIGRATE_SPECIAL,
	HMM_MIGRATE_PERMISSION,
	HMM_MIGRATE_BUSY,
	HMM_MIGRATE_DISCARD,
	HMM_MIGRATE_ELSEWHERE,
	HMM_MIGRATE_EXHAUSTED,
	HMM_MIGRATE_COPY,
	HMM_MIGRATE_REASON_NR,
};

/**
 * define HMM_MIGRATE_REASON_ROOM - members of an array that has one for each reason, with room for
 *	later ones
 * Since: 0.1.
 */
#define HMM_MIGRATE_REASON_ROOM 16

/**
 * struct hmm_migrate_result - what became of the pages of a range
 * @size: sizeof(struct hmm_migrate_result); the structure may grow, see hmm(7)
 * @pad: 0
 * @moved: pages that have moved into the region
 * @already: pages that were there before
 * @huge: of @moved, pages that moved as part of a huge page, which stayed one
 * @left: pages that stayed where they were, for each enum hmm_migrate_reason
 *
 * Pages are of HMM_PAGE_SIZE.
 * Since: 0.1.
 */
struct hmm_migrate_result {
	uint32_t size;
	uint32_t pad;
	uint64_t moved;
	uint64_t already;
	uint64_t huge;
	uint64_t left[HMM_MIGRATE_REASON_ROOM];
};

/**
 * hmm_migrate_reason_name() - a reason as text: "shared", "permission" and so on
 * @reason: the reason
 *
 * Context: any.
 * Return: static text; "?" for an unknown one.
 * Since: 0.1.
 */
const char *hmm_migrate_reason_name(enum hmm_migrate_reason reason);

/**
 * hmm_migrate_to_device() - move pages of the program into device memory
 * @devmem: the region
 * @start: first address, a multiple of the machine's page size
 * @end: one past the last, likewise
 * @timeout_ns: how long it may come no further, in ns; HMM_NO_WAIT makes one attempt
 * @result: out: pages by what became of them; may be NULL
 *
 * Private anonymous memory moves. Pages that the program has not touched yet, and those of the zero
 * page, move as zeros; pages that a fork has left shared are made the program's own first. A huge
 * page moves as one if its address is aligned and the region has such a block free; to coherent
 * memory it moves as small ones, which stay at their address. What cannot be moved stays mapped in
 * place and is counted. No page is ever in both places or in neither.
 *
 * Context: any thread outside sections and callbacks; may block, on page faults too. A cancellation
 * point when it begins.
 * Return: 0, also when some pages stayed; -EINVAL no @devmem, a wrong range or @result, or the
 * range has a hole or memory that may not be read: nothing has moved; -E2BIG @result says what this
 * library does not know; -ENOENT not one page of the range is in the region, as all are of shared
 * memory, of another device, or for other reasons that @result counts; -ETIME @timeout_ns passed in
 * a wait; -EBUSY
 * @timeout_ns passed while changes of the memory collided; -ENOSPC the budget of map entries is
 * used up; -ENOMEM no memory; -ESRCH a forked child, the process has ended, or it closed the
 * library's descriptors; -EDEADLK called by a handler of pthread_atfork() that runs after the
 * library's; -EIO the region's device hangs, or has lost its memory. After -ETIME pages may still
 * be on their way to a device that copies.
 * Since: 0.1. Follows: migrate_vma_setup(), migrate_vma_pages(), migrate_vma_finalize().
 */
int hmm_migrate_to_device(struct hmm_devmem *devmem, uint64_t start, uint64_t end,
			  uint64_t timeout_ns, struct hmm_migrate_result *result);

/**
 * hmm_migrate_to_system() - bring the pages of a range home
 * @mm: the space
 * @start: first address
 * @end: one past the last; 0 and UINT64_MAX for all
 * @timeout_ns: how long it may come no further, in ns
 *
 * From whatever region, and also what a device has exclusively. Pages that are at home stay there.
 * A page of which the range has a part comes home, too.
 * Context: any thread outside sections and callbacks; may block.
 * Return: 0; -EINVAL an empty or wrapping range; -ETIME @timeout_ns passed; -ENOMEM a page cannot
 * be moved home, and there is no memory to copy it; -ESRCH a forked child, the process has ended,
 * or it closed the library's descriptors; -EIO a device does not copy a page out: it is still
 * there.
 * Since: 0.1. Follows: migrate_vma_setup(), migrate_vma_pages(), migrate_vma_finalize().
 */
int hmm_migrate_to_system(struct hmm_mm *mm, uint64_t start, uint64_t end, uint64_t timeout_ns);

/**
 * hmm_evict_all() - bring every page home
 * @mm: the space; NULL: every attached space of the process
 * @timeout_ns: how long it may come no further, in ns
 *
 * For a program that is about to be debugged, dumped or checkpointed: others do not see pages in
 * device memory.
 * Context: any thread outside sections and callbacks; may block.
 * Return: 0; -ETIME @timeout_ns passed; -ENOMEM a page cannot be moved home, and there is no memory
 * to copy it; -ESRCH a forked child, the process has ended, or it closed the library's descriptors;
 * -EIO a device does not copy a page out: it is still there, and all others are at home.
 * Since: 0.1. Follows: migrate_device_range().
 */
int hmm_evict_all(struct hmm_mm *mm, uint64_t timeout_ns);

/**
 * enum hmm_place - where a page of the program is
 * @HMM_PLACE_NONE: nowhere: it was not touched yet; of a file or of shared memory: not by this
 *	process
 * @HMM_PLACE_ZERO: it is the kernel's zero page
 * @HMM_PLACE_SYSTEM: in system memory
 * @HMM_PLACE_SWAP: swapped out, or a guard page
 * @HMM_PLACE_DEVICE: in a region of device memory
 * @HMM_PLACE_EXCLUSIVE: a device has it exclusively
 * @HMM_PLACE_COHERENT: it is a page of a coherent region, at the program's address
 *
 * Since: 0.1.
 */
enum hmm_place {
	HMM_PLACE_NONE,
	HMM_PLACE_ZERO,
	HMM_PLACE_SYSTEM,
	HMM_PLACE_SWAP,
	HMM_PLACE_DEVICE,
	HMM_PLACE_EXCLUSIVE,
	HMM_PLACE_COHERENT,
	HMM_PLACE_NR,
};

/**
 * struct hmm_place_run - pages in a row of one mapping that are in the same place
 * @start: first address
 * @end: one past the last
 * @page_size: of each page: that of hugetlbfs or of a huge page, else the machine's
 * @device_start: HMM_PLACE_DEVICE and HMM_PLACE_EXCLUSIVE: where the first page is; the others
 *	follow it. Else 0
 * @owner: HMM_PLACE_DEVICE and HMM_PLACE_COHERENT: whose region it is (hmm_devmem_options.owner).
 *	Else NULL
 * @place: enum hmm_place
 * @stays: enum hmm_migrate_reason for which hmm_migrate_to_device() leaves the mapping in place;
 *	-1: it moves, but for single pages that are busy, and what mlock() has locked.
 *	HMM_MIGRATE_PERMISSION: it may move to a region with HMM_DEVMEM_READONLY
 *
 * Since: 0.1.
 */
struct hmm_place_run {
	uint64_t start;
	uint64_t end;
	uint64_t page_size;
	uint64_t device_start;
	void *owner;
	uint32_t place;
	int32_t stays;
};

/**
 * hmm_place_walk() - call a function for each run of pages, in order of address
 * @mm: the space
 * @start: first address
 * @end: one past the last; 0 and UINT64_MAX walk everything
 * @fn: 0 to go on, else its value ends the walk and is returned
 * @arg: handed to @fn
 *
 * Nothing is faulted, moved or registered. Left out are mappings of kind HMM_VMA_SPECIAL, and the
 * memory of the library's own: a page in a region is told of once, at the program's address. Each
 * run was so at one instant, or several that follow each other; the walk is no snapshot. @fn is
 * called with no lock held.
 * Context: any thread outside sections and callbacks; may block.
 * Return: 0, or what @fn returned; -ESRCH a forked child, the process has ended, or it closed the
 * library's descriptors. Another -errno if /proc/PID/maps or /proc/PID/pagemap cannot be read.
 * Since: 0.1. Follows: walk_page_range().
 */
int hmm_place_walk(struct hmm_mm *mm, uint64_t start, uint64_t end,
		   int (*fn)(const struct hmm_place_run *run, void *arg), void *arg);

/**
 * hmm_place_name() - "none", "zero", "system", "swap", "device", "exclusive", "coherent"
 * @place: the place
 *
 * Context: any.
 * Return: static text; "?" for an unknown one.
 * Since: 0.1.
 */
const char *hmm_place_name(enum hmm_place place);

/**
 * hmm_exclusive_begin() - take pages for a device alone
 * @mm: the space
 * @start: first address, a multiple of the machine's page size
 * @end: one past the last, likewise; at most 64 MiB further
 * @owner: the device, @owner of HMM_EVENT_EXCLUSIVE; not NULL
 * @timeout_ns: how long it may come no further, in ns; HMM_NO_WAIT makes one attempt
 * @exclusive: out
 *
 * For atomic operations of a device that the CPU's must not cross. Private anonymous memory, and
 * shared memory that is mapped from a memfd, a tmpfs or nothing. Of shared memory the library keeps
 * out what touches the page by this mapping of this process: not another mapping of the same
 * memory, another process, write(2), nor a device that has pinned it.
 * While a device has a page exclusively the CPU cannot reach it: its touch waits until the engines
 * are out of their sections, and takes the page back. So an operation that a device makes inside a
 * section, after hmm_exclusive_check() has returned 0 there, is atomic for the CPU, too:
 *
 *	hmm_engine_enter(engine);
 *	if (!hmm_exclusive_check(exclusive, addr, &at))
 *		*(uint64_t *)at += 1;
 *	hmm_engine_exit(engine);
 *
 * An engine that is run over in its section (hmm_engine_exit() returns false) has lost the page
 * meanwhile, so a section must be short and must not sleep. With HMM_PROVIDER_BOTH it is false for
 * other changes, too, see hmm-devmem(7). Pages that could not be had are said by
 * hmm_exclusive_check().
 * Context: any thread outside sections and callbacks; may block, on page faults too. A cancellation
 * point when it begins.
 * Return: 0 if at least one page was had; -EINVAL a wrong range, no @owner, or the range has a hole
 * or memory that may not be read; -EBUSY not one page could be had, as it is of a file, of
 * hugetlbfs or of a System V segment, may not be written, is pinned (private memory), or lies in
 * shared memory behind the end of its file or in a process that has locked memory; -EOPNOTSUPP as
 * hmm_devmem_create(); -ETIME @timeout_ns passed in a wait; -ENOSPC the budget of map entries is
 * used up; -ENOMEM no memory; -EAGAIN no thread could be made; -ESRCH a forked child, the process
 * has ended, or it closed the library's descriptors; -EDEADLK called by a handler of
 * pthread_atfork() that runs after the library's.
 * Ownership: *exclusive is the caller's until hmm_exclusive_end(), which comes before
 * hmm_mm_detach().
 * Since: 0.1. Follows: make_device_exclusive().
 */
int hmm_exclusive_begin(struct hmm_mm *mm, uint64_t start, uint64_t end, void *owner,
			uint64_t timeout_ns, struct hmm_exclusive **exclusive);

/**
 * hmm_exclusive_check() - does the device still have a page, and where?
 * @exclusive: of hmm_exclusive_begin()
 * @addr: an address of its range
 * @at: out: where the device reaches the byte at @addr; may be NULL
 *
 * Inside a section the answer holds until the section ends.
 * Context: any thread outside callbacks. Never blocks.
 * Return: 0; -ESTALE the page was had and is at home again: the CPU has touched it, or it was
 * unmapped, moved, discarded or brought home; -EBUSY it could not be had, as it is pinned or cannot
 * be taken; -EINVAL @addr is not in the range, or @exclusive is NULL; -ESRCH a forked child.
 * Since: 0.1.
 */
int hmm_exclusive_check(const struct hmm_exclusive *exclusive, uint64_t addr, uint64_t *at);

/**
 * hmm_exclusive_end() - give the pages back
 * @exclusive: NULL is legal
 *
 * Those that the device still has go home.
 * Context: any thread outside sections and callbacks; may block.
 * Since: 0.1. Follows: folio_put().
 */
void hmm_exclusive_end(struct hmm_exclusive *exclusive);

#ifdef __cplusplus
}
#endif
#endif
