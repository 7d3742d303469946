/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * Words shared by every header of libhmm: page entries, events, VMA kinds, owners.
 * Addresses are u64 in every structure; ranges are [start, end).
 */
#ifndef HMM_TYPES_H
#define HMM_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * flags HMM_PFN_* - bits of a page entry, as in the kernel's enum hmm_pfn_flags
 * @HMM_PFN_VALID: out: a page is mapped there and may be read
 * @HMM_PFN_WRITE: out: it may be written, too, without another fault
 * @HMM_PFN_ERROR: out: nothing that may be read is mapped there
 * @HMM_PFN_DMA_MAPPED: sticky: the driver has mapped the page for its device
 * @HMM_PFN_P2PDMA: sticky: the driver reaches the page from device to device
 * @HMM_PFN_P2PDMA_BUS: sticky: likewise, by an address of the bus
 * @HMM_PFN_STICKY: the sticky bits
 * @HMM_PFN_ORDER_SHIFT: where the order begins: the page is part of a naturally aligned block of 4
 *	KiB << order that the CPU maps as one
 * @HMM_PFN_ORDER_MASK: the five bits of the order, see hmm_pfn_to_map_order()
 * @HMM_PFN_TRANSIENT: out: may be used once, after a check, and must not be cached: a discard of
 *	the page (MADV_DONTNEED and its kin) was announced and its end is not proven yet, or nothing
 *	reports changes of this mapping. No flag of the kernel's
 * @HMM_PFN_DEVICE_PRIVATE: out: the page is in memory of the device that asks (@dev_private_owner
 *	of struct hmm_range). The entry has the page's number in the region (devmem.h), not the
 *	program's
 * @HMM_PFN_DEVICE_COHERENT: out: the page is in coherent memory of the device that asks
 *	(@dev_private_owner of struct hmm_range, HMM_DEVMEM_COHERENT); the CPU reaches it, too, and
 *	for others it is a page as any
 * @HMM_PFN_PAGE_MASK: the page number
 * @HMM_PFN_REQ_FAULT: in: fault the page in for reading if it is not there
 * @HMM_PFN_REQ_WRITE: in, with HMM_PFN_REQ_FAULT: fault it in for writing
 *
 * An entry is one 64-bit word for each page of 4 KiB. The low bits hold a page number. The kernel
 * hides page frame numbers from processes without privilege, so it is the number of the *virtual*
 * page: the address shifted right by HMM_PAGE_SHIFT, see hmm_pfn_to_addr(). A driver turns it into
 * an address that its device understands.
 *
 * Bits marked "in" are requests to hmm_range_fault(), bits marked "out" are its answer. Sticky bits
 * are the driver's own: they survive from the input to the output. Bits 48 and 49 are unused.
 * Since: 0.1. Follows: enum hmm_pfn_flags.
 */
#define HMM_PFN_VALID (1ULL << 63)
#define HMM_PFN_WRITE (1ULL << 62)
#define HMM_PFN_ERROR (1ULL << 61)
#define HMM_PFN_DMA_MAPPED (1ULL << 60)
#define HMM_PFN_P2PDMA (1ULL << 59)
#define HMM_PFN_P2PDMA_BUS (1ULL << 58)
#define HMM_PFN_STICKY (HMM_PFN_DMA_MAPPED | HMM_PFN_P2PDMA | HMM_PFN_P2PDMA_BUS)
#define HMM_PFN_ORDER_SHIFT 53
#define HMM_PFN_ORDER_MASK (0x1fULL << HMM_PFN_ORDER_SHIFT)
#define HMM_PFN_TRANSIENT (1ULL << 52)
#define HMM_PFN_DEVICE_PRIVATE (1ULL << 51)
#define HMM_PFN_DEVICE_COHERENT (1ULL << 50)
#define HMM_PFN_PAGE_MASK ((1ULL << 48) - 1)
#define HMM_PFN_REQ_FAULT HMM_PFN_VALID
#define HMM_PFN_REQ_WRITE HMM_PFN_WRITE

/**
 * define HMM_PAGE_SHIFT - log2 bytes of what one page entry stands for
 *
 * It is 12 on every machine. The page size of the machine itself is in struct hmm_mm_info.
 * Since: 0.1.
 */
#define HMM_PAGE_SHIFT 12

/**
 * define HMM_PAGE_SIZE - bytes of what one page entry stands for: 4096
 * Since: 0.1.
 */
#define HMM_PAGE_SIZE (1ULL << HMM_PAGE_SHIFT)

/**
 * hmm_pfn_to_map_order() - the order of a page entry
 * @pfn: an entry as hmm_range_fault() made it
 * Context: any.
 * Return: the page is part of a naturally aligned block of 4 KiB << order that the CPU maps as one;
 * 0 for a single page.
 * Since: 0.1. Follows: hmm_pfn_to_map_order().
 */
static inline unsigned int hmm_pfn_to_map_order(uint64_t pfn)
{
	return (unsigned int)((pfn & HMM_PFN_ORDER_MASK) >> HMM_PFN_ORDER_SHIFT);
}

/**
 * hmm_pfn_to_addr() - the virtual address that a page entry stands for
 * @pfn: an entry as hmm_range_fault() made it
 * Context: any.
 * Return: an address in the mirrored space, a multiple of HMM_PAGE_SIZE.
 * Since: 0.1.
 */
static inline uint64_t hmm_pfn_to_addr(uint64_t pfn)
{
	return (pfn & HMM_PFN_PAGE_MASK) << HMM_PAGE_SHIFT;
}

/**
 * define HMM_FOREVER - a timeout that has no end
 *
 * Timeouts are in ns. 0 means this everywhere: as an argument, and as a member of an options
 * structure that is left out.
 * Since: 0.1.
 */
#define HMM_FOREVER 0

/**
 * define HMM_NO_WAIT - a timeout that has passed: do what can be done without waiting
 * Since: 0.1.
 */
#define HMM_NO_WAIT 1

/**
 * enum hmm_event - why a range is invalidated
 * @HMM_EVENT_UNMAP: the mapping is gone (munmap, mmap with MAP_FIXED over it, brk or mremap that
 *	shrinks)
 * @HMM_EVENT_CLEAR: pages are gone or replaced, the mapping stays (a discard, a file that was cut
 *	or punched, or the library itself, which drops translations before it registers a range)
 * @HMM_EVENT_MOVE: the mapping moved away from this range, or onto it (mremap)
 * @HMM_EVENT_FORK: the process forked: private memory is shared with the child, and the next write
 *	by the CPU may put another page in its place
 * @HMM_EVENT_PROTECT: permissions were reduced
 * @HMM_EVENT_MIGRATE: a device is about to move pages, or hmm_svm_drop() was called
 * @HMM_EVENT_EXCLUSIVE: a device is about to take exclusive access
 * @HMM_EVENT_RELEASE: the address space is being detached, or is lost
 *
 * MIGRATE and EXCLUSIVE come from pages that move to device memory and home (migrate.h), and from
 * hmm_interval_invalidate(); struct hmm_invalidation has the owner of the device then.
 * Since: 0.1. Follows: enum mmu_notifier_event.
 */
enum hmm_event {
	HMM_EVENT_UNMAP,
	HMM_EVENT_CLEAR,
	HMM_EVENT_MOVE,
	HMM_EVENT_FORK,
	HMM_EVENT_PROTECT,
	HMM_EVENT_MIGRATE,
	HMM_EVENT_EXCLUSIVE,
	HMM_EVENT_RELEASE,
	HMM_EVENT_NR,
};

/**
 * define HMM_EVENT_ROOM - members of an array that has one for each event, with room for later ones
 * Since: 0.1.
 */
#define HMM_EVENT_ROOM 16

/**
 * define HMM_EVENT_BIT - an event in a mask of events
 * @event: enum hmm_event
 * Since: 0.1.
 */
#define HMM_EVENT_BIT(event) (1U << (event))

/**
 * define HMM_EVENTS_IGNORABLE - the events that a driver may ignore
 *
 * Every other takes pages or permission away.
 * Since: 0.1.
 */
#define HMM_EVENTS_IGNORABLE HMM_EVENT_BIT(HMM_EVENT_FORK)

/**
 * enum hmm_vma_kind - what a mapping (VMA) is of, as far as mirroring is concerned
 * @HMM_VMA_HOLE: nothing is mapped
 * @HMM_VMA_ANON: private anonymous memory, heap and stacks included; may have transparent huge
 *	pages
 * @HMM_VMA_HUGETLB: hugetlbfs, private or shared
 * @HMM_VMA_SHMEM: a memfd, tmpfs, shared anonymous memory
 * @HMM_VMA_SYSV: a System V segment: shmdt raises no event
 * @HMM_VMA_FILE: a file in the page cache
 * @HMM_VMA_DAX: a file on a DAX filesystem: its pages are the storage itself
 * @HMM_VMA_SPECIAL: never mirrored: vdso, vvar, memory of drivers, and the library's own memory
 *
 * Since: 0.1.
 */
enum hmm_vma_kind {
	HMM_VMA_HOLE,
	HMM_VMA_ANON,
	HMM_VMA_HUGETLB,
	HMM_VMA_SHMEM,
	HMM_VMA_SYSV,
	HMM_VMA_FILE,
	HMM_VMA_DAX,
	HMM_VMA_SPECIAL,
	HMM_VMA_KIND_NR,
};

struct hmm_mm;
struct hmm_interval_notifier;
struct hmm_engine;
struct hmm_ptable;
struct hmm_svm;
struct hmm_device;

#ifdef __cplusplus
}
#endif
#endif
