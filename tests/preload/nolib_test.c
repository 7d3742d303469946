// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * The preload object in a program that has no libhmm, and whose allocator discards and protects
 * memory while it holds its lock, which it cannot take twice: what stands in for the calls may not
 * allocate.
 */
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define ARENA (8UL << 20)
#define PAGE 4096UL

static char arena[ARENA] __attribute__((aligned(4096)));
static size_t used;
static _Atomic int inside;
static _Atomic int discards;

static void entered_again(void)
{
	static const char why[] = "not ok the allocator was entered again under its lock\n";

	(void)!write(1, why, sizeof(why) - 1);
	_exit(1);
}

static void give_pages_back(char *page)
{
	if (madvise(page, PAGE, MADV_DONTNEED) || mprotect(page, PAGE, PROT_READ | PROT_WRITE))
		_exit(2);
	discards++;
}

void *malloc(size_t size)
{
	char *p;

	if (atomic_exchange(&inside, 1))
		entered_again();
	size = (size + 2 * PAGE - 1) & ~(PAGE - 1);
	if (used + size + PAGE > ARENA)
		used = 0;
	p = arena + used;
	used += size;
	give_pages_back(arena + used);
	*(size_t *)p = size - 16;
	atomic_store(&inside, 0);
	return p + 16;
}

void free(void *p)
{
	(void)p;
}

void *calloc(size_t n, size_t size)
{
	void *p = malloc(n * size);

	return memset(p, 0, n * size);
}

void *realloc(void *old, size_t size)
{
	char *p = malloc(size);

	if (old) {
		const size_t had = *(size_t *)((char *)old - 16);

		memcpy(p, old, had < size ? had : size);
	}
	return p;
}

int main(void)
{
	for (int i = 0; i < 100; i++) {
		char *volatile p = malloc(100);

		p[0] = 1;
		free(p);
	}
	printf("ok an allocator that discards %d times under its lock\n", discards);
	return discards < 100;
}
