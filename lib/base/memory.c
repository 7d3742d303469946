// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
#include "base/nocancel.h"
#include "base/pool.h"

#include <hmm/memory.h>

void *hmm_memory_alloc(size_t size)
{
	HMM_NO_CANCEL;

	return size ? pool_map(size) : NULL;
}

void hmm_memory_free(void *memory, size_t size)
{
	HMM_NO_CANCEL;

	pool_unmap(memory, size);
}
