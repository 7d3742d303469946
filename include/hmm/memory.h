/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * memory: for what a driver touches in callbacks, in sections and in ops that must not wait. Memory
 * of malloc() may be mirrored, and then a touch of it may wait for an event that only the toucher
 * can handle.
 */
#ifndef HMM_MEMORY_H
#define HMM_MEMORY_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * hmm_memory_alloc() - memory that is never mirrored
 * @size: bytes, not 0
 *
 * Whole pages, zeroed; a device that faults on them gets -EFAULT, as for the library's own. For few
 * and large pieces: each is a mapping. Context: may block; not from a callback nor inside a
 * section.
 * Return: NULL without memory. Ownership: the caller's until hmm_memory_free(). Since: 0.1.
 */
void *hmm_memory_alloc(size_t size);

/**
 * hmm_memory_free() - give it back
 * @memory: of hmm_memory_alloc(), or NULL
 * @size: as it was allocated
 * Context: as hmm_memory_alloc(). Since: 0.1.
 */
void hmm_memory_free(void *memory, size_t size);

#ifdef __cplusplus
}
#endif
#endif
