/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * devmem: memory of a device, in which pages of the program live until the CPU touches them
 * (migrate.h moves them).
 *
 * A region of device memory is address space of this process, which only the device is to touch.
 * The library hands its pages to pages of the program that migrate. A page is moved, not copied:
 * nothing that the program writes meanwhile can be lost, and coming home takes no fresh page.
 */
#ifndef HMM_DEVMEM_H
#define HMM_DEVMEM_H

#include <hmm/types.h>

#ifdef __cplusplus
extern "C" {
#endif

struct hmm_devmem;

/**
 * flags HMM_DEVMEM_* - what a region does
 * @HMM_DEVMEM_EVICT: when no page is free others of the region are brought home to make room.
 *	Without it pages stay where they are then, and are counted as HMM_MIGRATE_EXHAUSTED
 * @HMM_DEVMEM_COHERENT: memory that the CPU and the device both reach: a page of the program that
 *	migrates there stays at its address, where the CPU touches it without a fault, and becomes a
 *	page of the region
 * @HMM_DEVMEM_READONLY: pages of mappings that may not be written, or may be executed, migrate,
 *	too. For programs that do not move other memory to such a mapping (mremap() with
 *	MREMAP_FIXED), nor map memory anew where they have just unmapped it, while it migrates: what
 *	comes there at that instant could be lost. On Linux 7 with CAP_IPC_LOCK for programs, too,
 *	that register no such memory with io_uring. Not with HMM_DEVMEM_COHERENT: there it does
 *	nothing
 * @HMM_DEVMEM_BACKED: with @copy_in only: the host keeps the pages whose content is on the device,
 *	and the device copies out into them. Small pages come and go twice as fast, and coming home
 *	takes no fresh page; what is on the device takes memory of the host meanwhile, with what was
 *	there before in it
 *
 * Since: 0.1.
 */
#define HMM_DEVMEM_EVICT (1U << 0)
#define HMM_DEVMEM_COHERENT (1U << 1)
#define HMM_DEVMEM_READONLY (1U << 2)
#define HMM_DEVMEM_BACKED (1U << 3)

/**
 * struct hmm_devmem_options - what hmm_devmem_create() makes
 * @size: sizeof(struct hmm_devmem_options); the structure may grow, see hmm(7)
 * @flags: 0, or HMM_DEVMEM_*
 * @bytes: how large the region is, a multiple of 2 MiB, at most 32 GiB. Pages that are free take no
 *	memory
 * @owner: the device: pages of the region are reported to those ranges whose @dev_private_owner is
 *	this, and brought home for all others. It is the @owner of HMM_EVENT_MIGRATE, too. Not NULL
 * @page_free: optional: [start, start + bytes) of the region holds no page of the program any more.
 *	It is called on a thread of the library's, after the page is free, with no lock held, and
 *	may block. It must not call hmm_devmem_destroy() or hmm_mm_detach()
 * @priv: handed to @page_free
 * @fault_around: bytes, a power of two up to 2 MiB: a touch of the CPU brings home all pages of the
 *	aligned block of that size around it which lie in the same region; 0: 64 KiB. A huge page
 *	comes home as a whole
 * @copy_in: optional: copy @bytes at @from to the device, to @offset of the region. See below.
 *	Returns 0, or another number if it failed
 * @copy_out: with @copy_in only: copy @bytes at @offset of the region from the device to
 *	@to, all of them, as another page may have been there before. Returns 0; -EACCES the
 *	device keeps one of the pages for now: it stays on the device, and until it comes home a
 *	touch of the CPU is SIGBUS; another number if it failed
 * @copy_timeout_ns: with @copy_in only: after so many ns a callback that has not returned counts as
 *	hanging; 0: 5 seconds
 * @nodes: HMM_DEVMEM_COHERENT: the NUMA nodes that the region's pages come from, a bit each, as a
 *	device's coherent memory is a node of its own; 0: any
 *
 * Without @copy_in the region's memory is this process's. With it the device has memory of its own,
 * and what is there takes none of the process, but with HMM_DEVMEM_BACKED: @copy_in is called
 * before a page counts as moved, and @copy_out before it comes home. Both are called for up to 2
 * MiB in a row, on a thread of the region's, one at a time, with no lock held. They may block and
 * fail, and must not call into the library but for hmm_devmem_lose(), hmm_devmem_get_stats() and
 * what never blocks; nor may they touch memory that migrates. What they are given is theirs until
 * they return. From the HMM_EVENT_MIGRATE of a page until it is at home its device must not change
 * it.
 *
 * Since: 0.1. Follows: struct dev_pagemap, struct dev_pagemap_ops, struct drm_pagemap_devmem_ops.
 */
struct hmm_devmem_options {
	uint32_t size;
	uint32_t flags;
	uint64_t bytes;
	void *owner;
	void (*page_free)(struct hmm_devmem *devmem, uint64_t start, uint64_t bytes, void *priv);
	void *priv;
	uint64_t fault_around;
	int (*copy_in)(struct hmm_devmem *devmem, uint64_t offset, const void *from, uint64_t bytes,
		       void *priv);
	int (*copy_out)(struct hmm_devmem *devmem, uint64_t offset, void *to, uint64_t bytes,
			void *priv);
	uint64_t copy_timeout_ns;
	uint64_t nodes;
};

/**
 * hmm_devmem_create() - make a region of device memory
 * @mm: the space whose pages may live there
 * @options: what to make
 * @devmem: out
 *
 * A space may have several regions, of one device or of several, 255 in all, of which one of
 * coherent memory takes two. The program pays
 * nothing until pages migrate. The first page that migrates makes its whole mapping raise a fault
 * wherever it has no page, so from then on also the program's first touch of a page there is served
 * by the library, by the zero page. To keep this, and the waiting of a migration for unmappings,
 * away from other memory attach a second space for what is to migrate.
 *
 * What follows is about private memory; coherent memory is in hmm-devmem(7).
 *
 * A system call of the program that touches a page in device memory brings it home where @mm has a
 * full userfaultfd. Where that is for user mode only (@user_mode_only of struct hmm_mm_info) the
 * system call fails with EFAULT. A fork through libc brings all pages home first. After a raw clone
 * the child has copies where the kernel tells of forks (@event_fork), else zeros in their place.
 * Core dumps and debuggers do not see pages in device memory: hmm_evict_all() brings them home.
 * Context: any thread outside sections and callbacks; may block.
 * Return: 0; -EINVAL no @options, a wrong size, flag, number of bytes or @fault_around, no @owner,
 * one of @copy_in and @copy_out without the other or with HMM_DEVMEM_COHERENT, HMM_DEVMEM_BACKED
 * without them, or @nodes of private memory or that are not there; -E2BIG @options says what this
 * library does not know; -EOPNOTSUPP the kernel moves no pages (UFFDIO_MOVE, Linux 6.8), with
 * @copy_in cannot make them SIGBUS (UFFDIO_POISON, Linux 6.6), or knows no @nodes, or the space
 * has no userfaultfd (HMM_PROVIDER_BPF); -ENOSPC the space has 255 regions; -ENOMEM no memory or
 * address space; -EAGAIN no thread could be made; -ESRCH a forked child, the process has ended, or
 * it closed the library's descriptors.
 * Ownership: *devmem is the caller's until hmm_devmem_destroy(), which comes before
 * hmm_mm_detach().
 * Since: 0.1. Follows: memremap_pages().
 */
int hmm_devmem_create(struct hmm_mm *mm, const struct hmm_devmem_options *options,
		      struct hmm_devmem **devmem);

/**
 * hmm_devmem_destroy() - bring every page of a region home, and end it
 * @devmem: the region; NULL is legal
 * @timeout_ns: how long it may come no further, in ns
 *
 * When it returned 0 no callback will run, and none runs, but for a @copy_in or @copy_out that
 * hangs: it keeps its memory and its thread until it returns. After an error the region is what it
 * was, but for the pages that have come home.
 * Context: any thread outside sections and callbacks; may block.
 * Return: 0; -ETIME @timeout_ns passed; -ENOMEM a page cannot be moved home, and there is no memory
 * to copy it; -EIO the device does not copy a page out: hmm_devmem_lose() gives it up.
 * Since: 0.1. Follows: memunmap_pages().
 */
int hmm_devmem_destroy(struct hmm_devmem *devmem, uint64_t timeout_ns);

/**
 * hmm_devmem_lose() - the device has lost its memory
 * @devmem: a region with @copy_in
 *
 * The driver calls it when its device was reset or removed. What was on the device alone is lost:
 * the CPU's touch of such a page raises SIGBUS, and its memory is the program's again after an
 * munmap or MADV_DONTNEED. All other pages are as before. Nothing more migrates to the region; what
 * remains is to destroy it.
 * Context: any thread, also in @copy_in and @copy_out.
 * Return: 0; -EINVAL no @devmem, or one without @copy_in; -ESRCH a forked child.
 * Since: 0.1. Follows: drm_dev_unplug().
 */
int hmm_devmem_lose(struct hmm_devmem *devmem);

/**
 * hmm_devmem_alloc() - take a frame of a region, for an entry of dst[] (migrate_vma.h)
 * @devmem: the region
 * @bytes: the machine's page size, or 512 times that (2 MiB) for a huge page
 * @timeout_ns: how long frames are waited for that are being freed, in ns; HMM_NO_WAIT: not at all
 * @addr: out: where it is, aligned to @bytes
 *
 * Only a driver that chooses itself needs one: hmm_migrate_to_device() takes frames. What the
 * driver writes to it before hmm_migrate_vma_pages() is the page's only with
 * HMM_MIGRATE_PFN_COPIED.
 * Context: any thread outside sections and callbacks; may block.
 * Return: 0; -EINVAL no @devmem or @addr, or another @bytes; -ENOSPC no such frame is free: a
 * region with HMM_DEVMEM_EVICT evicts nothing for it; -ETIME @timeout_ns passed; -ESRCH a forked
 * child, the process has ended, or it closed the library's descriptors.
 * Ownership: the frame is the caller's until a page uses it, or hmm_devmem_free(), or
 * hmm_migrate_vma_finalize(). hmm_devmem_destroy() waits for it, hmm_mm_detach() does not.
 * Since: 0.1. Follows: alloc_page_vma(), zone_device_page_init().
 */
int hmm_devmem_alloc(struct hmm_devmem *devmem, uint64_t bytes, uint64_t timeout_ns,
		     uint64_t *addr);

/**
 * hmm_devmem_free() - give a frame back that no page uses
 * @devmem: the region
 * @addr: of hmm_devmem_alloc()
 * @bytes: as there
 *
 * What was written there is lost. @page_free is told.
 * Context: any thread outside sections and callbacks; may block.
 * Return: 0; -EINVAL no @devmem, or no frame that the caller has; -ESRCH a forked child, the
 * process has ended, or it closed the library's descriptors.
 * Since: 0.1. Follows: folio_put().
 */
int hmm_devmem_free(struct hmm_devmem *devmem, uint64_t addr, uint64_t bytes);

/**
 * struct hmm_devmem_stats - a region in numbers
 * @size: sizeof(struct hmm_devmem_stats); the structure may grow, see hmm(7)
 * @pad: 0
 * @start: where the region begins in this process
 * @bytes: how large it is
 * @used: bytes that hold pages of the program, or are being freed
 * @moved_out: bytes that have come from the program
 * @moved_home: bytes that have gone home, for whatever reason; of coherent memory also those that
 *	have become the system's where they are
 * @copied_home: of these, bytes that had to be copied: the mapping could not be written, could be
 *	executed, or was locked, or the memory is coherent. What comes from a buffer that
 *	copy_out has filled does not count
 * @faults: touches of the CPU that brought pages home
 * @evicted: bytes that went home to make room
 * @dropped: bytes whose mapping the program has unmapped or discarded
 * @copied_in: bytes that @copy_in has copied
 * @copied_out: bytes that @copy_out has copied
 * @lost: bytes that the device did not give back, so that touching them is SIGBUS
 *
 * Since: 0.1.
 */
struct hmm_devmem_stats {
	uint32_t size;
	uint32_t pad;
	uint64_t start;
	uint64_t bytes;
	uint64_t used;
	uint64_t moved_out;
	uint64_t moved_home;
	uint64_t copied_home;
	uint64_t faults;
	uint64_t evicted;
	uint64_t dropped;
	uint64_t copied_in;
	uint64_t copied_out;
	uint64_t lost;
};

/**
 * hmm_devmem_get_stats() - a region in numbers
 * @devmem: the region
 * @stats: out
 *
 * Context: any thread outside callbacks. Never blocks.
 * Return: 0; -EINVAL no @devmem, no @stats, or a wrong size; -E2BIG a size that no structure has;
 * -ESRCH a forked child.
 * Since: 0.1.
 */
int hmm_devmem_get_stats(struct hmm_devmem *devmem, struct hmm_devmem_stats *stats);

#ifdef __cplusplus
}
#endif
#endif
