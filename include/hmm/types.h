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
 * DOC: page entries (hmm_pfn)
 *
 * One 64-bit word a page, with the bits of the kernel's enum hmm_pfn_flags. The low bits hold a page
 * number; as page frame numbers are hidden from unprivileged processes, it is the page number of the
 * *virtual* address in the mirrored space (address >> 12), the token that the dma layer turns into a
 * device address.
 *
 * Output: VALID, WRITE, ERROR, TRANSIENT and the order. Input: REQ_FAULT, REQ_WRITE. Sticky bits
 * survive from input to output.
 */
#define HMM_PFN_VALID (1ULL << 63)
#define HMM_PFN_WRITE (1ULL << 62)
#define HMM_PFN_ERROR (1ULL << 61)
/* sticky */
#define HMM_PFN_DMA_MAPPED (1ULL << 60)
#define HMM_PFN_P2PDMA (1ULL << 59)
#define HMM_PFN_P2PDMA_BUS (1ULL << 58)
#define HMM_PFN_STICKY (HMM_PFN_DMA_MAPPED | HMM_PFN_P2PDMA | HMM_PFN_P2PDMA_BUS)
/* 5 bits of map order: the entry is part of a naturally aligned block of 4 KiB << order that the CPU maps as one */
#define HMM_PFN_ORDER_SHIFT 53
#define HMM_PFN_ORDER_MASK (0x1fULL << HMM_PFN_ORDER_SHIFT)
/*
 * Usable once, never to be cached: a discard (MADV_DONTNEED and its kin) of this page was announced
 * and its end has not been proven, or nothing reports changes of this mapping. Follows no kernel flag.
 */
#define HMM_PFN_TRANSIENT (1ULL << 52)
/* reserved for device private and device coherent pages */
#define HMM_PFN_DEVICE_PRIVATE (1ULL << 51)
#define HMM_PFN_DEVICE_COHERENT (1ULL << 50)
#define HMM_PFN_PAGE_MASK ((1ULL << 48) - 1)
/* input */
#define HMM_PFN_REQ_FAULT HMM_PFN_VALID
#define HMM_PFN_REQ_WRITE HMM_PFN_WRITE

#define HMM_PAGE_SHIFT                                                                             \
	12 /* the grain of entries; the machine's own page size is in struct hmm_mm_info */
#define HMM_PAGE_SIZE (1ULL << HMM_PAGE_SHIFT)

static inline unsigned int hmm_pfn_to_map_order(uint64_t pfn)
{
	return (unsigned int)((pfn & HMM_PFN_ORDER_MASK) >> HMM_PFN_ORDER_SHIFT);
}

static inline uint64_t hmm_pfn_to_addr(uint64_t pfn)
{
	return (pfn & HMM_PFN_PAGE_MASK) << HMM_PAGE_SHIFT;
}

/**
 * enum hmm_event - why a range is invalidated (follows enum mmu_notifier_event)
 * @HMM_EVENT_UNMAP: the mapping is gone (munmap, MAP_FIXED over it, brk or mremap shrink)
 * @HMM_EVENT_CLEAR: pages are gone or replaced, the mapping stays (discard, truncate, punch, or the
 *	library killing translations before it registers a range)
 * @HMM_EVENT_MOVE: the mapping moved away from, or onto, this range (mremap)
 * @HMM_EVENT_FORK: the process forked: writable translations of private memory are no longer exclusive
 * @HMM_EVENT_PROTECT: permissions were reduced
 * @HMM_EVENT_MIGRATE: a device of @owner migrates pages
 * @HMM_EVENT_EXCLUSIVE: a device of @owner takes exclusive access
 * @HMM_EVENT_RELEASE: the address space is being torn down
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

/* Room for the events to come, in arrays that have one member an event. */
#define HMM_EVENT_ROOM 16

/* Masks of events. Those that a driver may ignore: every other takes pages or permission away. */
#define HMM_EVENT_BIT(event) (1U << (event))
#define HMM_EVENTS_IGNORABLE HMM_EVENT_BIT(HMM_EVENT_FORK)

/**
 * enum hmm_vma_kind - what a VMA maps, as far as mirroring is concerned
 */
enum hmm_vma_kind {
	HMM_VMA_HOLE,    /* nothing mapped */
	HMM_VMA_ANON,    /* anonymous private memory, heap and stack included; may hold THPs */
	HMM_VMA_HUGETLB, /* hugetlbfs, private or shared */
	HMM_VMA_SHMEM,   /* memfd, tmpfs, shared anonymous */
	HMM_VMA_SYSV,    /* System V shared memory: detaches without an event */
	HMM_VMA_FILE,    /* a file in the page cache */
	HMM_VMA_DAX,     /* a file on a DAX filesystem: entries point at the media */
	HMM_VMA_SPECIAL, /* vdso, vvar, device mappings, this library's own memory */
	HMM_VMA_KIND_NR,
};

/*
 * Timeouts are in nanoseconds. Of an argument timeout_ns 0 means: do what can be done without
 * waiting, and HMM_FOREVER: wait for as long as it takes. Of a member of an options structure 0
 * means the default, as of every other option.
 */
#define HMM_FOREVER UINT64_MAX

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
