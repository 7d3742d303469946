/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * Fixed buffers of io_uring from any memory of the program: registered at their first use and then
 * kept, for as long as the memory behind them is what was registered. The cache is libhmm's
 * (hmm_regcache_create()); here is how io_uring registers.
 *
 *	slot = uring_cache_get(cache, buf, len);
 *	if (slot >= 0)
 *		io_uring_prep_read_fixed(sqe, fd, buf, len, offset, slot);
 *	else if (slot == -EOPNOTSUPP || slot == -EBUSY)
 *		io_uring_prep_read(sqe, fd, buf, len, offset);
 *	...
 *	uring_cache_put(cache, slot);			when the operation has completed
 *
 * Without a cache like this a registration outlives its memory: after munmap and mmap at the same
 * address a fixed read lands in the old page, and reports success.
 *
 * Any thread may call it. Other threads may map, unmap and fork as they like, but not unmap a
 * buffer with an operation in flight (that one goes where the buffer was, as any I/O would).
 */
#ifndef URING_CACHE_H
#define URING_CACHE_H

#include <liburing.h>
#include <hmm/hmm.h>

struct uring_cache;

/*
 * The program never lowers the permission of a buffer (mprotect), nor puts another mapping in its
 * place without an event (shmat with SHM_REMAP, remap_file_pages): a hit then costs one system call
 * instead of several.
 */
#define URING_CACHE_TRUSTED (1U << 0)

/**
 * uring_cache_create() - a cache for a ring
 * @mm: the calling process, attached
 * @ring: without registered buffers; the cache registers a table of its own
 * @slots: buffers registered at most at a time, 1 to 16384
 * @flags: URING_CACHE_*
 * @cache: out
 * Return: 0; -EINVAL; -ENOMEM; -errno of io_uring_register_buffers_sparse() (Linux 5.19).
 */
int uring_cache_create(struct hmm_mm *mm, struct io_uring *ring, unsigned int slots,
		       unsigned int flags, struct uring_cache **cache);

/* Unregisters everything; no operation is in flight. NULL is legal. */
void uring_cache_destroy(struct uring_cache *cache);

/**
 * uring_cache_get() - the fixed buffer that [addr, addr + len) lies in
 *
 * True when it returns: the buffer is the memory that is mapped there now. It stays registered
 * until uring_cache_put(); get and put may nest. Memory that cannot be watched is registered for
 * this use alone.
 *
 * But for one thing that neither an event nor a check shows once the page has been touched again:
 * guard pages put in the place of the buffer and taken away (MADV_GUARD_INSTALL, Linux 6.13). A
 * program that does so tells of it with hmm_mm_note(HMM_NOTE_OWN_DISCARD), or runs with the preload
 * object, which does so for it; then it holds for this, too.
 *
 * Return: the slot; -EOPNOTSUPP io_uring cannot pin it for writing (files, read-only memory), or
 * RLIMIT_MEMLOCK is used up: use the plain operation; -EBUSY every slot is in use: likewise;
 * -EFAULT nothing is mapped there; -EINVAL; -ESRCH in a forked child, to which neither the cache
 * nor the ring belong.
 */
int uring_cache_get(struct uring_cache *cache, const void *addr, size_t len);
void uring_cache_put(struct uring_cache *cache, int slot);
/* Is a buffer that is held still the memory that is mapped? 0; -ESTALE; -ESRCH. */
int uring_cache_check(struct uring_cache *cache, int slot);
/*
 * Before a batch, if a program likes: unregisters buffers whose memory has gone, which the next
 * registration does as well. 0.
 */
int uring_cache_begin(struct uring_cache *cache);
/* Unregisters all that are not in use. */
void uring_cache_flush(struct uring_cache *cache);

struct uring_cache_stats {
	uint64_t hits;
	uint64_t misses;
	uint64_t dead;             /* registrations whose memory went */
	uint64_t evicted;          /* ... that made room for others */
	uint64_t retries;          /* registrations made again, as memory changed meanwhile */
	uint64_t refused;          /* gets answered by -EOPNOTSUPP */
	uint64_t registered;       /* now */
	uint64_t registered_bytes; /* now */
};

void uring_cache_get_stats(struct uring_cache *cache, struct uring_cache_stats *stats);

#endif
