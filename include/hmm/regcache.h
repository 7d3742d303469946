/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * regcache: a cache of registrations that is never stale, for devices that pin the program's memory
 * (RDMA, io_uring, VFIO). The driver says how to register a range and how to end that; the cache
 * keeps registrations while the memory stays what it was, and hands them out again.
 *
 *	hmm_regcache_get(cache, addr, length, HMM_REGCACHE_WRITE, timeout, &r);
 *	... post the operation with r->device, wait until the device has done it ...
 *	hmm_regcache_put(cache, r);
 */
#ifndef HMM_REGCACHE_H
#define HMM_REGCACHE_H

#include <hmm/types.h>

#ifdef __cplusplus
extern "C" {
#endif

struct hmm_regcache;

/**
 * struct hmm_registration - memory that is registered with the device
 * @start: first address that is registered; at or before what was asked for
 * @length: bytes
 * @flags: HMM_REGCACHE_WRITE: for writing by the device, too; HMM_REGCACHE_ONCE: it is not in the
 *	cache, and ends when it is put
 * @pad: 0
 * @device: the driver's word, from @reg of struct hmm_regcache_ops
 *
 * The library makes and frees it; users only read it. It may grow at its end.
 * Since: 0.1.
 */
struct hmm_registration {
	uint64_t start;
	uint64_t length;
	uint32_t flags;
	uint32_t pad;
	uint64_t device;
};

/**
 * struct hmm_regcache_ops - how the driver registers memory
 * @size: sizeof(struct hmm_regcache_ops); the structure may grow, see hmm(7)
 * @pad: 0
 * @reg: register @start and @length of @r for reading by the device, with HMM_REGCACHE_WRITE in
 *	@flags for writing, too, and set @device. It pins or maps what is mapped at that moment, so
 *	that the program's own writes, reclaim and migration put no other page in its place: as
 *	FOLL_LONGTERM does, on kernels before 6.2 with FOLL_WRITE. Returns 0, or -errno if nothing
 *	is registered; what is above 0 counts as -EINVAL. -ENOMEM and -ENOBUFS say that the device
 *	or RLIMIT_MEMLOCK has no room: the cache ends registrations that are idle and asks again
 * @dereg: end it. It is called once for each that @reg made
 *
 * Both are called by threads that call the cache, never by a thread that unmaps memory, and with no
 * lock of the library held that an unmapping thread could wait for. They may block, allocate and
 * free memory. They must not call the same cache, and must return: no longjmp(), no pthread_exit().
 * @reg sets @device and changes nothing else of @r.
 * Since: 0.1.
 */
struct hmm_regcache_ops {
	uint32_t size;
	uint32_t pad;
	int (*reg)(struct hmm_registration *r, void *priv);
	void (*dereg)(struct hmm_registration *r, void *priv);
};

/**
 * flags HMM_REGCACHE_* - of hmm_regcache_get(), of a registration and of a cache
 * @HMM_REGCACHE_WRITE: get: the device writes the memory
 * @HMM_REGCACHE_ORDERED: get: the caller knows that every call that changed the memory has returned
 *	before, see HMM_CHECK_ORDERED. A hit makes no system call
 * @HMM_REGCACHE_ONCE: get: what is made for it is not kept, nor watched. What is cached is handed
 *	out all the same
 * @HMM_REGCACHE_HIT: get: only what is cached, -ENOENT if nothing is; @reg is not called
 * @HMM_REGCACHE_STRICT: create: every hit asks for HMM_CHECK_VMA as well, which sees what raises no
 *	event: mprotect, shmat() with SHM_REMAP over the memory, remap_file_pages(). It does not see
 *	guard pages that were put there and taken away (MADV_GUARD_INSTALL)
 * @HMM_REGCACHE_CHILD: create: a forked child may use the cache too: everything is registered
 *	once and nothing is kept. Without it the child gets -ESRCH
 * @HMM_REGCACHE_FORK: create: a fork through libc invalidates every registration. A raw one does
 *	only where @event_fork of struct hmm_mm_info is true, see hmm-coherence(7). It is for
 *	devices whose @reg does not pin: after a fork the program's next write may put another page
 *	in the place of the one that they know. Pinned pages stay the parent's
 *
 * Since: 0.1.
 */
#define HMM_REGCACHE_WRITE (1U << 0)
#define HMM_REGCACHE_ORDERED (1U << 1)
#define HMM_REGCACHE_ONCE (1U << 2)
#define HMM_REGCACHE_HIT (1U << 3)
#define HMM_REGCACHE_STRICT (1U << 4)
#define HMM_REGCACHE_CHILD (1U << 5)
#define HMM_REGCACHE_FORK (1U << 6)

/**
 * struct hmm_regcache_options - limits
 * @size: sizeof(struct hmm_regcache_options); the structure may grow, see hmm(7)
 * @flags: 0, HMM_REGCACHE_STRICT, HMM_REGCACHE_CHILD, HMM_REGCACHE_FORK
 * @max_entries: most registrations that have not ended, idle ones and those in use; 0: 4096
 * @max_bytes: most bytes of registrations that are idle; 0: no limit
 * @max_pinned: most bytes of all registrations that have not ended; 0: RLIMIT_MEMLOCK, or no limit
 *	with CAP_IPC_LOCK
 * @max_map_entries: as long as the space has so many map entries (vm.max_map_count) registered, for
 *	whomever, the cache makes it register no more; 0: no limit but @max_regions of struct
 *	hmm_mm_options. Beyond it memory is registered once
 * @max_merge: most bytes of a registration that is made larger than what was asked for, as it
 *	overlaps others, or touches others that are not larger than itself; 0: 64 MiB; 1: never.
 *	Where registrations that touched others die early, no more are made larger for that
 * @align: a power of two: registrations begin and end at multiples of it; 0, or less than the page
 *	size: the page size. All up to there has to be mapped
 *
 * Since: 0.1.
 */
struct hmm_regcache_options {
	uint32_t size;
	uint32_t flags;
	uint64_t max_entries;
	uint64_t max_bytes;
	uint64_t max_pinned;
	uint64_t max_map_entries;
	uint64_t max_merge;
	uint64_t align;
};

/**
 * struct hmm_regcache_stats - what a cache has done
 * @size: sizeof(struct hmm_regcache_stats), set by the caller; the structure may grow, see hmm(7)
 * @pad: 0
 * @hits: gets that were answered from the cache
 * @misses: gets that called @reg
 * @refused: gets whose registration was not kept: memory that cannot be watched, or that changed
 *	while it was registered, or a limit
 * @invalidated: registrations whose memory changed
 * @stale: gets that found a registration and did not use it, as a check said no
 * @evicted: registrations that left the cache for want of room, or for one that overlaps them
 * @merged: registrations that became part of a larger one
 * @entries: registrations in the cache now
 * @bytes: their bytes
 * @pinned: bytes of all registrations that have not ended
 * @dead: registrations that are invalidated and have not ended: in use, or not reaped
 *
 * The members are read one after the other, so they may be of different moments.
 *
 * Since: 0.1.
 */
struct hmm_regcache_stats {
	uint32_t size;
	uint32_t pad;
	uint64_t hits;
	uint64_t misses;
	uint64_t refused;
	uint64_t invalidated;
	uint64_t stale;
	uint64_t evicted;
	uint64_t merged;
	uint64_t entries;
	uint64_t bytes;
	uint64_t pinned;
	uint64_t dead;
};

/**
 * hmm_regcache_create() - make a cache
 * @mm: the space, not NULL; it must outlive the cache
 * @ops: copied
 * @options: limits, or NULL for the defaults
 * @priv: handed to the callbacks
 * @cache: out, not NULL
 *
 * Context: may block; not from a callback.
 * Return: 0; -EINVAL a callback is missing, a wrong size, an unknown flag, or @align is no power of
 * two; -E2BIG a structure says what this library does not know; -ENOMEM no memory; -ESRCH a forked
 * child, the process has ended, or it closed the library's descriptors.
 * Ownership: *cache is the caller's until hmm_regcache_destroy().
 * Since: 0.1.
 */
int hmm_regcache_create(struct hmm_mm *mm, const struct hmm_regcache_ops *ops,
			const struct hmm_regcache_options *options, void *priv,
			struct hmm_regcache **cache);

/**
 * hmm_regcache_destroy() - end every registration, and the cache
 * @cache: NULL is legal. Every registration has been put: what was not put ends all the same
 *
 * Context: may block; not from a callback. In a forked child it frees memory only: the
 * registrations are the parent's.
 * Since: 0.1.
 */
void hmm_regcache_destroy(struct hmm_regcache *cache);

/**
 * hmm_regcache_get() - a registration that covers a range
 * @cache: the cache, not NULL
 * @addr: first address
 * @length: bytes, not 0
 * @flags: HMM_REGCACHE_WRITE, HMM_REGCACHE_ORDERED, HMM_REGCACHE_ONCE, HMM_REGCACHE_HIT
 * @timeout_ns: how long to wait, in ns: for changes in flight, and for another thread that
 *	registers the same memory. Time in @reg does not count
 * @r: out, not NULL
 *
 * What it returns registers the pages that were mapped at an instant within the call; if it is used
 * once, each page at an instant of its own. A cached registration that was invalidated is never
 * returned again.
 *
 * A miss registers what was asked for together with what it overlaps and touches in the cache, see
 * @max_merge. What cannot be watched, and what changes each time that it is registered, is used
 * once: HMM_REGCACHE_ONCE is in its @flags.
 *
 * A hit takes no lock. With memory whose changes raise events it costs one system call, with
 * HMM_REGCACHE_ORDERED none.
 *
 * Context: any thread outside sections and callbacks; may block.
 * Return: 0; -EINVAL an empty or wrapping range or an unknown flag; -ENOENT with HMM_REGCACHE_HIT:
 * nothing is cached; -ETIME @timeout_ns passed; -ENOMEM no memory, or @max_pinned, or the device
 * has no room, with nothing idle left to end; -ENOSPC @max_entries are in use; -EFAULT the range is
 * not mapped; -ESRCH a forked child, the process has ended, or it closed the library's descriptors;
 * -EDEADLK called by a handler of pthread_atfork() that runs after the library's. Another -errno if
 * @reg answers it, or a seccomp filter of the calling thread.
 * Ownership: *r is to be put, once.
 * Since: 0.1.
 */
int hmm_regcache_get(struct hmm_regcache *cache, uint64_t addr, uint64_t length, unsigned int flags,
		     uint64_t timeout_ns, struct hmm_registration **r);

/**
 * hmm_regcache_put() - the device no longer uses it
 * @cache: the cache, not NULL
 * @r: from hmm_regcache_get(); NULL is legal
 *
 * If the memory has changed meanwhile, or the registration was not kept, the last put calls @dereg.
 * Context: any thread outside sections and callbacks; may block in @dereg.
 * Since: 0.1.
 */
void hmm_regcache_put(struct hmm_regcache *cache, struct hmm_registration *r);

/**
 * hmm_regcache_check() - does a registration that is held still register what is mapped?
 * @cache: the cache, not NULL
 * @r: held
 * @flags: 0 or HMM_REGCACHE_ORDERED
 *
 * Context: any thread outside sections and callbacks; may block.
 * Return: 0 it does; -ESTALE it does not, or cannot be known, as of what is used once: get it anew;
 * -EINVAL no @r, or an unknown flag; -ESRCH in a forked child always, with HMM_REGCACHE_CHILD too,
 * and else as hmm_regcache_get().
 * Since: 0.1.
 */
int hmm_regcache_check(struct hmm_regcache *cache, const struct hmm_registration *r,
		       unsigned int flags);

/**
 * hmm_regcache_reap() - end registrations whose memory has changed
 * @cache: the cache, not NULL
 *
 * A miss does that as well. A program that gets nothing for long calls this, so that memory which
 * it has unmapped does not stay pinned. hmm_regcache_stats.dead says how many wait.
 * Context: any thread outside sections and callbacks; may block in @dereg.
 * Return: how many ended; 0 in a forked child.
 * Since: 0.1.
 */
uint64_t hmm_regcache_reap(struct hmm_regcache *cache);

/**
 * hmm_regcache_flush() - end every registration that is not in use, and keep none that is
 * @cache: the cache, not NULL
 *
 * Context: as hmm_regcache_reap().
 * Return: how many ended.
 * Since: 0.1.
 */
uint64_t hmm_regcache_flush(struct hmm_regcache *cache);

/**
 * hmm_regcache_get_stats() - what a cache has done
 * @cache: the cache, not NULL
 * @stats: out; @size is set by the caller
 *
 * Context: any thread. Never blocks.
 * Return: 0; -EINVAL no @stats, or a wrong size.
 * Since: 0.1.
 */
int hmm_regcache_get_stats(const struct hmm_regcache *cache, struct hmm_regcache_stats *stats);

#ifdef __cplusplus
}
#endif
#endif
