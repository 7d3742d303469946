// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
#include "persist/flush.h"

#if defined(__x86_64__)
#include <cpuid.h>

enum means { NONE, CLFLUSHOPT, CLWB, UNKNOWN };

static enum means probe(void)
{
	unsigned int a, b, c, d;

	if (!__get_cpuid_count(7, 0, &a, &b, &c, &d))
		return NONE;
	return b & (1U << 24) ? CLWB : b & (1U << 23) ? CLFLUSHOPT : NONE;
}

static enum means means(void)
{
	static enum means known = UNKNOWN; /* all threads write the same value */

	if (__atomic_load_n(&known, __ATOMIC_RELAXED) == UNKNOWN)
		__atomic_store_n(&known, probe(), __ATOMIC_RELAXED);
	return __atomic_load_n(&known, __ATOMIC_RELAXED);
}

bool flush_available(void)
{
	return means() != NONE;
}

void flush_range(uint64_t start, uint64_t end)
{
	start &= ~63ULL;
	if (means() == CLWB) {
		for (; start < end; start += 64)
			__asm__ volatile(".byte 0x66; xsaveopt %0"
					 : "+m"(*(volatile char *)start)); /* clwb */
	} else {
		for (; start < end; start += 64)
			__asm__ volatile(".byte 0x66; clflush %0"
					 : "+m"(*(volatile char *)start)); /* clflushopt */
	}
	__asm__ volatile("sfence" ::: "memory");
}

#elif defined(__aarch64__)
#include <sys/auxv.h>

#ifndef HWCAP_DCPOP
#define HWCAP_DCPOP (1 << 16)
#endif

bool flush_available(void)
{
	return getauxval(AT_HWCAP) & HWCAP_DCPOP;
}

void flush_range(uint64_t start, uint64_t end)
{
	uint64_t ctr, line;

	__asm__("mrs %0, ctr_el0" : "=r"(ctr));
	line = 4ULL << ((ctr >> 16) & 15);
	for (start &= ~(line - 1); start < end; start += line)
		__asm__ volatile("sys #3, c7, c12, #1, %0" : : "r"(start) : "memory"); /* dc cvap */
	__asm__ volatile("dsb sy" ::: "memory");
}

#else
bool flush_available(void)
{
	return false;
}

void flush_range(uint64_t start, uint64_t end)
{
	(void)start;
	(void)end;
}
#endif
