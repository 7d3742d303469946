/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * migrate_vma: migration in three steps, with arrays, for a driver that chooses which page goes
 * where. hmm_migrate_to_device() (migrate.h) is the same in one call, and faster.
 *
 *	hmm_migrate_vma_setup(&args);		src[] says what can go; it is out of the CPU's way
 *	... dst[i] = hmm_migrate_pfn(addr), with addr of hmm_devmem_alloc(); 0: page i stays ...
 *	hmm_migrate_vma_pages(&args);		src[] says what has gone
 *	hmm_migrate_vma_finalize(&args);	the rest is at home again
 *
 * A process cannot lock a page of its own. What setup has taken out of the program's memory waits
 * in a region of the library's, and the CPU that touches it there does not wait for the end, as it
 * would in the kernel: it gets the page back, and the entry loses HMM_MIGRATE_PFN_MIGRATE in
 * hmm_migrate_vma_pages(). So does one that the program unmaps, moves or discards, or that is
 * brought home for another device. So what a driver has copied between the steps is the page, or
 * does not count.
 */
#ifndef HMM_MIGRATE_VMA_H
#define HMM_MIGRATE_VMA_H

#include <hmm/types.h>

#ifdef __cplusplus
extern "C" {
#endif

struct hmm_devmem;

/**
 * flags HMM_MIGRATE_VMA_* - what hmm_migrate_vma_setup() selects
 * @HMM_MIGRATE_VMA_SELECT_SYSTEM: pages in system memory, and those that were not touched yet
 * @HMM_MIGRATE_VMA_SELECT_DEVICE_PRIVATE: pages in private regions of @pgmap_owner
 * @HMM_MIGRATE_VMA_SELECT_DEVICE_COHERENT: pages of coherent regions of @pgmap_owner
 * @HMM_MIGRATE_VMA_SELECT_COMPOUND: a huge page is one entry, with HMM_MIGRATE_PFN_COMPOUND, and
 *	the entries of its other pages are 0. Without it each of its pages is an entry
 * @HMM_MIGRATE_VMA_SELECT_READONLY: with HMM_MIGRATE_VMA_SELECT_SYSTEM: also pages of mappings that
 *	may not be written, or may be executed, under the conditions of HMM_DEVMEM_READONLY. No flag
 *	of the kernel's
 *
 * Since: 0.1. Follows: enum migrate_vma_direction.
 */
#define HMM_MIGRATE_VMA_SELECT_SYSTEM (1U << 0)
#define HMM_MIGRATE_VMA_SELECT_DEVICE_PRIVATE (1U << 1)
#define HMM_MIGRATE_VMA_SELECT_DEVICE_COHERENT (1U << 2)
#define HMM_MIGRATE_VMA_SELECT_COMPOUND (1U << 3)
#define HMM_MIGRATE_VMA_SELECT_READONLY (1U << 4)

/**
 * flags HMM_MIGRATE_PFN_* - bits of an entry of src[] and dst[]
 * @HMM_MIGRATE_PFN_VALID: the entry has an address. In src[] it is absent where there is no source:
 *	a page that was not touched yet, or the zero page
 * @HMM_MIGRATE_PFN_MIGRATE: in src[]: after hmm_migrate_vma_setup() the page can go, after
 *	hmm_migrate_vma_pages() it has gone
 * @HMM_MIGRATE_PFN_WRITE: in src[]: the program may write the page
 * @HMM_MIGRATE_PFN_COMPOUND: the entry stands for a huge page; in dst[] for a block of frames that
 *	hmm_devmem_alloc() gave as one
 * @HMM_MIGRATE_PFN_SYSTEM: in dst[]: the page goes home, in place of a frame. The kernel's drivers
 *	allocate a page for that; here it is the library's part. No flag of the kernel's
 * @HMM_MIGRATE_PFN_COPIED: in dst[]: the driver has written the frame itself, from src[i], or with
 *	what an entry without a source is to become. The frame counts as the page, and the source is
 *	given up. Without it the library moves the page, or has @copy_in called. No flag of the
 *	kernel's
 *
 * An entry is one 64-bit word: the address of a page, a multiple of the machine's page size, and
 * these bits.
 * Since: 0.1. Follows: MIGRATE_PFN_VALID, MIGRATE_PFN_MIGRATE, MIGRATE_PFN_WRITE,
 * MIGRATE_PFN_COMPOUND.
 */
#define HMM_MIGRATE_PFN_VALID (1ULL << 0)
#define HMM_MIGRATE_PFN_MIGRATE (1ULL << 1)
#define HMM_MIGRATE_PFN_WRITE (1ULL << 3)
#define HMM_MIGRATE_PFN_COMPOUND (1ULL << 4)
#define HMM_MIGRATE_PFN_SYSTEM (1ULL << 5)
#define HMM_MIGRATE_PFN_COPIED (1ULL << 6)

/**
 * hmm_migrate_pfn() - an entry of dst[] for a frame
 * @addr: the frame, of hmm_devmem_alloc()
 * Context: any.
 * Return: the entry, to which the driver may add HMM_MIGRATE_PFN_COMPOUND and
 * HMM_MIGRATE_PFN_COPIED.
 * Since: 0.1. Follows: migrate_pfn().
 */
static inline uint64_t hmm_migrate_pfn(uint64_t addr)
{
	return addr | HMM_MIGRATE_PFN_VALID;
}

/**
 * hmm_migrate_pfn_to_addr() - the address in an entry
 * @mpfn: the entry
 * Context: any.
 * Return: the address of a page; 0 without HMM_MIGRATE_PFN_VALID.
 * Since: 0.1. Follows: migrate_pfn_to_page().
 */
static inline uint64_t hmm_migrate_pfn_to_addr(uint64_t mpfn)
{
	return mpfn & HMM_MIGRATE_PFN_VALID ? mpfn & ~(HMM_PAGE_SIZE - 1) : 0;
}

/**
 * struct hmm_migrate_vma - a migration in steps
 * @size: sizeof(struct hmm_migrate_vma); the structure may grow, see hmm(7)
 * @flags: HMM_MIGRATE_VMA_*: at least one of the first three
 * @mm: the space
 * @start: first address, a multiple of the machine's page size
 * @end: one past the last, likewise; at most 64 MiB further. It may span several mappings
 * @src: out: an entry for each page of the machine's page size. Where the page waits, which is not
 *	its address in the program: for system memory and private regions an address that reads as
 *	the page until hmm_migrate_vma_finalize(), or until the CPU has it back; of a region with
 *	@copy_in the region's address; of coherent memory the program's address
 * @dst: for hmm_migrate_vma_setup() out: all 0. For hmm_migrate_vma_pages() in: hmm_migrate_pfn()
 *	of a frame, HMM_MIGRATE_PFN_SYSTEM, or 0: the page stays where it was
 * @cpages: out: entries of @src with HMM_MIGRATE_PFN_MIGRATE after hmm_migrate_vma_setup()
 * @npages: out: entries of each array
 * @pgmap_owner: the device: its private and coherent regions are meant, and it is the @owner of
 *	HMM_EVENT_MIGRATE
 * @timeout_ns: how long a step may come no further, in ns; HMM_NO_WAIT makes one attempt
 * @migrated: out: pages of HMM_PAGE_SIZE that have gone, after hmm_migrate_vma_pages()
 * @state: the library's own between the steps
 *
 * Neither array may lie in memory that migrates. The kernel's @fault_page has no counterpart: the
 * library serves the CPU's touches itself, and no driver holds the touched page locked.
 * Since: 0.1. Follows: struct migrate_vma.
 */
struct hmm_migrate_vma {
	uint32_t size;
	uint32_t flags;
	struct hmm_mm *mm;
	uint64_t start;
	uint64_t end;
	uint64_t *src;
	uint64_t *dst;
	uint64_t cpages;
	uint64_t npages;
	void *pgmap_owner;
	uint64_t timeout_ns;
	uint64_t migrated;
	void *state;
};

/**
 * hmm_migrate_vma_setup() - take the pages of a range that can go, and say which they are
 * @args: the migration
 *
 * Devices have stopped: every notifier that overlaps is told HMM_EVENT_MIGRATE with @pgmap_owner.
 * What of system memory is selected is then in nobody's hands: the CPU's touch takes it back, and
 * no device has it. What is in a region stays where it is, as its device's, and is told of in
 * hmm_migrate_vma_pages(). Pages that stay in place whatever is asked (shared memory, pages of
 * files, locked and pinned pages, pages of other devices) have an entry of 0.
 *
 * Context: any thread outside sections and callbacks; may block, on page faults too. A cancellation
 * point when it begins.
 * Return: 0: hmm_migrate_vma_finalize() is to be called; -ENOENT nothing of the range can go, as of
 * shared memory or of another device's; in the kernel that is 0 with no @cpages; -EINVAL no @args,
 * @mm or array, a wrong size, range or flag, no flag that selects, no @pgmap_owner where a device's
 * pages are selected, or the range has a hole or memory that may not be read; -E2BIG @args says
 * what this library does not know; -EOPNOTSUPP as hmm_devmem_create(); -ETIME @timeout_ns passed in
 * a wait; -EBUSY @timeout_ns passed while changes of the memory collided; -ENOSPC the budget of map
 * entries is used up; -ENOMEM no memory; -EAGAIN no thread could be made; -ESRCH a forked child,
 * the process has ended, or it closed the library's descriptors; -EDEADLK called by a handler of
 * pthread_atfork() that runs after the library's. After an error all is as it was.
 * Ownership: the pages are the caller's until hmm_migrate_vma_finalize(), which comes before
 * hmm_mm_detach().
 * Since: 0.1. Follows: migrate_vma_setup().
 */
int hmm_migrate_vma_setup(struct hmm_migrate_vma *args);

/**
 * hmm_migrate_vma_pages() - send each page where dst[] says
 * @args: of hmm_migrate_vma_setup(), with @dst filled in
 *
 * To a frame of a private region the page moves with what is in it, and if the region has @copy_in
 * its device copies it; of a coherent region's frame it becomes a page. A page of a private region
 * without @copy_in can also go to another region. A huge page goes as one to a frame with
 * HMM_MIGRATE_PFN_COMPOUND; where @dst lacks that it is split, and each of its pages goes where its
 * own entry of @dst says.
 *
 * An entry of @src loses HMM_MIGRATE_PFN_MIGRATE if its page does not go: its entry of @dst is 0 or
 * makes no sense; the frame was not allocated, or has something in it that is not to be the page;
 * the CPU has taken the page back, or the program has unmapped, moved or discarded it, since
 * hmm_migrate_vma_setup(); a device does not copy it; it is pinned.
 * Context: any thread outside sections and callbacks; may block. A cancellation point when it
 * begins.
 * Return: 0, also when some pages did not go; -EINVAL no @args, or no setup came before; -E2BIG as
 * hmm_migrate_vma_setup(); -ETIME or -EBUSY @timeout_ns passed; -ENOMEM no memory; -ESRCH as
 * hmm_migrate_vma_setup(). After an error, too, @src says what has gone.
 * Ownership: a frame that is used is the library's from then on, and free when its page goes home.
 * Since: 0.1. Follows: migrate_vma_pages().
 */
int hmm_migrate_vma_pages(struct hmm_migrate_vma *args);

/**
 * hmm_migrate_vma_finalize() - what has not gone is at home again, and unused frames are free
 * @args: of hmm_migrate_vma_setup(); NULL, and one whose setup failed, are legal
 *
 * Frees each frame of @dst that was allocated and not used, also if hmm_migrate_vma_pages() was
 * never called. A page that cannot go home now does so when it is touched.
 * Context: any thread outside sections and callbacks; may block.
 * Since: 0.1. Follows: migrate_vma_finalize().
 */
void hmm_migrate_vma_finalize(struct hmm_migrate_vma *args);

/**
 * hmm_migrate_device_range() - which frames of a region hold pages of the program?
 * @devmem: the region
 * @src: out: an entry for each frame: HMM_MIGRATE_PFN_VALID | HMM_MIGRATE_PFN_MIGRATE and its
 *	address, or 0. The first of a huge page that lies in the range as a whole has
 *	HMM_MIGRATE_PFN_COMPOUND, and its others are 0
 * @start: the first frame, an address in the region (hmm_devmem_stats.start and above)
 * @npages: how many, of the machine's page size
 *
 * An eviction of a part of the region begins with it. The frames are not locked: pages may come and
 * go until hmm_migrate_device_pages().
 * Context: any thread outside sections and callbacks; may block.
 * Return: 0; -EINVAL no @devmem or @src, or the frames are not in the region; -ENOMEM no memory;
 * -ESRCH a forked child, the process has ended, or it closed the library's descriptors.
 * Since: 0.1. Follows: migrate_device_range().
 */
int hmm_migrate_device_range(struct hmm_devmem *devmem, uint64_t *src, uint64_t start,
			     uint64_t npages);

/**
 * hmm_migrate_device_pfns() - the same of frames anywhere in a region
 * @devmem: the region
 * @src: in: hmm_migrate_pfn() of each frame, or 0. Out: as of hmm_migrate_device_range(), without
 *	HMM_MIGRATE_PFN_COMPOUND
 * @npages: how many
 *
 * Context: any thread outside sections and callbacks; may block.
 * Return: 0; -EINVAL no @devmem or @src, or a frame is not in the region; -ENOMEM no memory; -ESRCH
 * as hmm_migrate_device_range().
 * Since: 0.1. Follows: migrate_device_pfns().
 */
int hmm_migrate_device_pfns(struct hmm_devmem *devmem, uint64_t *src, uint64_t npages);

/**
 * hmm_migrate_device_pages() - bring the pages of a region's frames home
 * @devmem: the region
 * @src: of one of the above; an entry whose page did not go loses HMM_MIGRATE_PFN_MIGRATE
 * @dst: HMM_MIGRATE_PFN_SYSTEM: what is in the frame goes home; 0: it stays
 * @npages: how many
 * @timeout_ns: how long it may come no further, in ns
 *
 * That completes the eviction: the kernel's migrate_device_finalize() has no counterpart, as there
 * is nothing left to unlock or to free.
 * Context: any thread outside sections and callbacks; may block.
 * Return: 0, also when pages were gone already; -EINVAL no @devmem, @src or @dst, or a frame is not
 * in the region; -ETIME @timeout_ns passed; -ENOMEM no memory; -EIO a device does not copy a page
 * out: it is still there, and all others are at home; -ESRCH as hmm_migrate_device_range().
 * Since: 0.1. Follows: migrate_device_pages().
 */
int hmm_migrate_device_pages(struct hmm_devmem *devmem, uint64_t *src, const uint64_t *dst,
			     uint64_t npages, uint64_t timeout_ns);

#ifdef __cplusplus
}
#endif
#endif
