/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * persist: make what a device wrote into a mapped file durable.
 */
#ifndef HMM_PERSIST_H
#define HMM_PERSIST_H

#include <hmm/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * enum hmm_persist_means - how a range was made durable
 * @HMM_PERSIST_FLUSH: cache lines were written back; the mapping is MAP_SYNC on a DAX filesystem
 * @HMM_PERSIST_MSYNC: msync(MS_SYNC)
 */
enum hmm_persist_means {
	HMM_PERSIST_FLUSH,
	HMM_PERSIST_MSYNC,
};

/**
 * hmm_persist() - make the bytes of a range durable that were written before the call
 * @mm: the space
 * @start: first address, any alignment
 * @end: one past the last
 * @means: out: the slower of what was used; may be NULL
 *
 * Where the mapping is MAP_SYNC (the filesystem committed its metadata at the write fault) and the
 * CPU can write cache lines back, that is all it does: no system call once the mapping is known,
 * about the speed of the flushes. Everywhere else msync. When it returned 0, a crash of the machine loses none
 * of it. Writes of a device count once its job has ended.
 *
 * Context: any thread outside sections and callbacks; may block.
 * Return: 0; -EINVAL an empty or wrapping range; -EFAULT a hole in it; -EOPNOTSUPP memory that no storage
 * backs, or a private mapping; -EIO; -ENOMEM; -ESRCH in a forked child.
 * Since: 0.1. Follows: arch_wb_cache_pmem() and dax_flush().
 */
int hmm_persist(struct hmm_mm *mm, uint64_t start, uint64_t end, enum hmm_persist_means *means);

#ifdef __cplusplus
}
#endif
#endif
