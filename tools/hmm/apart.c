// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
#include <errno.h>
#include <stdint.h>
#include <sys/mman.h>

#include "hmm/hmm.h"

#include "apart.h"

static size_t room_of(size_t bytes)
{
	return ((bytes + HMM_PAGE_SIZE - 1) & ~(size_t)(HMM_PAGE_SIZE - 1)) + 2 * HMM_PAGE_SIZE;
}

void *apart_map(size_t bytes)
{
	const size_t room = room_of(bytes);
	char *p = mmap(NULL, room, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int err;

	if (p == MAP_FAILED)
		return NULL;
	if (!mprotect(p + HMM_PAGE_SIZE, room - 2 * HMM_PAGE_SIZE, PROT_READ | PROT_WRITE))
		return p + HMM_PAGE_SIZE;
	err = errno;
	munmap(p, room);
	errno = err;
	return NULL;
}

void apart_unmap(void *p, size_t bytes)
{
	if (p)
		munmap((char *)p - HMM_PAGE_SIZE, room_of(bytes));
}
