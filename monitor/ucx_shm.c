// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * shmat() with SHM_REMAP puts a segment in the place of other memory, and raises no event. Where
 * the program calls libc for it UCX is told here.
 */
#include "ucx.h"

#include <errno.h>
#include <sys/shm.h>

static size_t segment_bytes(int id)
{
	struct shmid_ds ds;

	return shmctl(id, IPC_STAT, &ds) ? 0 : ds.shm_segsz;
}

UCX_EXPORT void *shmat(int id, const void *addr, int flags)
{
	void *(*next)(int, const void *, int);
	void *at;
	int saved;

	*(void **)&next = UCX_NEXT("libc", "shmat");
	at = next(id, addr, flags);
	if (at == (void *)-1 || !(flags & SHM_REMAP) || ucx_service() == UCX_SERVES_NONE)
		return at;
	saved = errno;
	ucx_tell((uintptr_t)at, segment_bytes(id));
	errno = saved;
	return at;
}
