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
 * @HMM_PERSIST_FLUSH: by writing cache lines back: the mapping is MAP_SYNC, on a DAX filesystem
 * @HMM_PERSIST_MSYNC: by msync(MS_SYNC)
 *
 * Since: 0.1.
 */
enum hmm_persist_means {
	HMM_PERSIST_FLUSH,
	HMM_PERSIST_MSYNC,
};

/**
 * hmm_persist() - make what was written to a range durable
 * @mm: the space
 * @start: first address, of any alignment
 * @end: one past the last
 * @means: out: the slower one of what was used; may be NULL
 *
 * When it returned 0, a crash of the machine loses nothing that was written to the range before the
 * call. What a device writes counts once its job has ended.
 *
 * Where the mapping is MAP_SYNC (its filesystem commits metadata at the write fault) and the CPU
 * can write cache lines back, it does only that: no system call but one to ask whether the mapping
 * is still the same. Elsewhere it calls msync.
 * Context: any thread outside sections and callbacks; may block.
 * Return: 0; -EINVAL an empty or wrapping range; -EFAULT a hole in it; -EOPNOTSUPP memory that no
 * storage backs, or a private mapping; -EIO the storage failed; -ENOMEM no memory; -EMFILE, -ENFILE
 * no descriptor to read /proc/self/smaps with; -EACCES /proc/self/smaps may not be read; -ESRCH a
 * forked child, the process has ended, or it closed the library's descriptors.
 * Since: 0.1. Follows: arch_wb_cache_pmem() and dax_flush().
 */
int hmm_persist(struct hmm_mm *mm, uint64_t start, uint64_t end, enum hmm_persist_means *means);

#ifdef __cplusplus
}
#endif
#endif
