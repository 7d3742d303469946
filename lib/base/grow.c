// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
#include "base/grow.h"
#include "base/number.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>

/* Longer is no structure, but memory that was not initialised. */
#define LONGEST 4096

static size_t size_of(const void *structure)
{
	uint32_t size;

	memcpy(&size, structure, sizeof(size));
	return size;
}

int grow_check(const void *from, size_t size, size_t least)
{
	const char *bytes = from;
	size_t n;

	if (!from)
		return -EINVAL;
	n = size_of(from);
	if (n < least)
		return -EINVAL;
	if (n > LONGEST)
		return -E2BIG;
	for (size_t i = size; i < n; i++)
		if (bytes[i])
			return -E2BIG;
	return 0;
}

int grow_take(void *to, size_t size, const void *from, size_t least)
{
	const uint32_t whole = (uint32_t)size;
	int err = grow_check(from, size, least);
	size_t n;

	if (err)
		return err;
	n = min64(size_of(from), size);
	memcpy(to, from, n);
	memset((char *)to + n, 0, size - n);
	memcpy(to, &whole, sizeof(whole));
	return 0;
}

int grow_room(const void *to, size_t least)
{
	if (!to || size_of(to) < least)
		return -EINVAL;
	return size_of(to) > LONGEST ? -E2BIG : 0;
}

void grow_give(void *to, const void *from, size_t size)
{
	const uint32_t callers = (uint32_t)size_of(to);
	const size_t n = min64(callers, size);

	memcpy(to, from, n);
	memset((char *)to + n, 0, callers - n);
	memcpy(to, &callers, sizeof(callers));
}
