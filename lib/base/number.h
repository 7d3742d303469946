/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/* Small arithmetic, and numbers as text without stdio. */
#ifndef LIB_BASE_NUMBER_H
#define LIB_BASE_NUMBER_H

#include <stdatomic.h>
#include <stdint.h>

static inline uint64_t max64(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

static inline uint64_t min64(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static inline uint32_t max32(uint32_t a, uint32_t b)
{
	return a > b ? a : b;
}

/*
 * Writes the digits of a number, without a NUL behind them, and returns where they end. base: 10 or
 * 16.
 */
static inline char *put_number(char *p, uint64_t v, unsigned int base)
{
	char digits[20];
	int n = 0;

	do {
		digits[n++] = "0123456789abcdef"[v % base];
		v /= base;
	} while (v);
	while (n)
		*p++ = digits[--n];
	return p;
}

/* Adds to a statistics counter, which orders no other memory access. */
static inline void count(_Atomic uint64_t *counter, uint64_t n)
{
	atomic_fetch_add_explicit(counter, n, memory_order_relaxed);
}

#endif
