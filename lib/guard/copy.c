// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * Copies, single loads and stores. After a fault in a step of 64 bytes the copy goes on in smaller
 * steps, down to one byte, so that it ends at the first byte that is not there.
 */
#include "guard/guard.h"
#include "guard/fixup.h"

#include <errno.h>
#include <string.h>

/* One size of step; the caller's own memory may lie at any address. */
#define LOAD_STEPS(size, type)                                                                     \
	do {                                                                                       \
		type v;                                                                            \
                                                                                                   \
		for (; len - at >= (size) && load_##size(&v, src + at); at += (size))              \
			memcpy(dst + at, &v, size);                                                \
	} while (0)

#define STORE_STEPS(size, type)                                                                    \
	do {                                                                                       \
		type v = { 0 };                                                                    \
                                                                                                   \
		for (; len - at >= (size); at += (size)) {                                         \
			memcpy(&v, src + at, size);                                                \
			if (!store_##size(dst + at, v))                                            \
				break;                                                             \
		}                                                                                  \
	} while (0)

/* By vectors: as one object it would be copied through the stack. */
static inline void put_block(char *dst, const struct block *b)
{
	memcpy(dst, &b->v[0], 16);
	memcpy(dst + 16, &b->v[1], 16);
	memcpy(dst + 32, &b->v[2], 16);
	memcpy(dst + 48, &b->v[3], 16);
}

static inline void get_block(struct block *b, const char *src)
{
	memcpy(&b->v[0], src, 16);
	memcpy(&b->v[1], src + 16, 16);
	memcpy(&b->v[2], src + 32, 16);
	memcpy(&b->v[3], src + 48, 16);
}

static size_t copy_from(char *dst, const char *src, size_t len)
{
	struct block b;
	size_t at = 0;

	for (; len - at >= sizeof(b) && load_block(&b, src + at); at += sizeof(b))
		put_block(dst + at, &b);
	if (at == len)
		return at;
	LOAD_STEPS(16, vector);
	LOAD_STEPS(8, uint64_t);
	LOAD_STEPS(4, uint64_t);
	LOAD_STEPS(2, uint64_t);
	LOAD_STEPS(1, uint64_t);
	return at;
}

static size_t copy_to(char *dst, const char *src, size_t len)
{
	struct block b;
	size_t at = 0;

	for (; len - at >= sizeof(b); at += sizeof(b)) {
		get_block(&b, src + at);
		if (!store_block(dst + at, &b))
			break;
	}
	if (at == len)
		return at;
	STORE_STEPS(16, vector);
	STORE_STEPS(8, uint64_t);
	STORE_STEPS(4, uint64_t);
	STORE_STEPS(2, uint64_t);
	STORE_STEPS(1, uint64_t);
	return at;
}

static int copy_end(size_t done, size_t len, size_t *copied)
{
	if (copied)
		*copied = done;
	return done == len ? 0 : -EFAULT;
}

/* After a look, out of the way of the many accesses before which there is none. */
static __attribute__((noinline)) int look_and_copy_from(void *dst, const void *src, size_t len,
							size_t *copied)
{
	int err = hmm_guard_look();

	return err ? err : copy_end(copy_from(dst, src, len), len, copied);
}

int hmm_copy_from_nofault(void *dst, const void *src, size_t len, size_t *copied)
{
	if (guard_due(len))
		return look_and_copy_from(dst, src, len, copied);
	return copy_end(copy_from(dst, src, len), len, copied);
}

static __attribute__((noinline)) int look_and_copy_to(void *dst, const void *src, size_t len,
						      size_t *copied)
{
	int err = hmm_guard_look();

	return err ? err : copy_end(copy_to(dst, src, len), len, copied);
}

int hmm_copy_to_nofault(void *dst, const void *src, size_t len, size_t *copied)
{
	if (guard_due(len))
		return look_and_copy_to(dst, src, len, copied);
	return copy_end(copy_to(dst, src, len), len, copied);
}

static bool is_size(const void *ptr, unsigned int bytes)
{
	return bytes && bytes <= 8 && !(bytes & (bytes - 1)) && !((uintptr_t)ptr & (bytes - 1));
}

int hmm_load_nofault(const void *src, unsigned int bytes, uint64_t *value)
{
	bool there = false;
	int err;

	if (!is_size(src, bytes))
		return -EINVAL;
	err = guard_due(bytes) ? hmm_guard_look() : 0;
	if (err)
		return err;
	switch (bytes) {
	case 1:
		there = load_ordered_1(value, src);
		break;
	case 2:
		there = load_ordered_2(value, src);
		break;
	case 4:
		there = load_ordered_4(value, src);
		break;
	case 8:
		there = load_ordered_8(value, src);
		break;
	}
	return there ? 0 : -EFAULT;
}

int hmm_store_nofault(void *dst, unsigned int bytes, uint64_t value)
{
	bool there = false;
	int err;

	if (!is_size(dst, bytes))
		return -EINVAL;
	err = guard_due(bytes) ? hmm_guard_look() : 0;
	if (err)
		return err;
	switch (bytes) {
	case 1:
		there = store_ordered_1(dst, value);
		break;
	case 2:
		there = store_ordered_2(dst, value);
		break;
	case 4:
		there = store_ordered_4(dst, value);
		break;
	case 8:
		there = store_ordered_8(dst, value);
		break;
	}
	return there ? 0 : -EFAULT;
}
