// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * Threads register parts of buffers in two caches, while others change pages of the buffers in
 * every way. A buffer is not changed while it is registered or used, as in a correct program. A
 * registration notes the tag of each of its pages.
 */
#include "ofi_stage.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define PAGE 4096UL
#define PAGES 4
#define BUFFERS 12
#define THREADS 4
#define TURNS 20000
/* At most: a busy machine may be too slow for look-ups, but not always. */
#define ROUNDS 5

struct pin {
	uint64_t start;
	uint64_t tags[PAGES];
};

static struct {
	pthread_rwlock_t lock;
	char *at;
} buffers[BUFFERS];
static struct ofi_cache *caches[2];
static _Atomic uint64_t made;
static _Atomic uint64_t uses;
static _Atomic uint64_t stale;

static int reg(uint64_t addr, uint64_t len, uint64_t *id, void *arg)
{
	struct pin *pin = malloc(sizeof(*pin));

	(void)arg;
	CHECK(pin && len <= PAGES * PAGE);
	pin->start = addr;
	for (uint64_t i = 0; i < len / PAGE; i++)
		pin->tags[i] = *(volatile uint64_t *)(uintptr_t)(addr + i * PAGE);
	atomic_fetch_add(&made, 1);
	*id = (uintptr_t)pin;
	return 0;
}

static void dereg(uint64_t id, void *arg)
{
	(void)arg;
	free((void *)(uintptr_t)id);
}

static bool is_stale(const struct pin *pin, char *at, unsigned int pages)
{
	const uint64_t first = ((uintptr_t)at - pin->start) / PAGE;

	for (unsigned int i = 0; i < pages; i++)
		if (pin->tags[first + i] != *(volatile uint64_t *)(at + i * PAGE))
			return true;
	return false;
}

static void use(struct ofi_cache *cache, char *at, unsigned int pages)
{
	struct ofi_held *held;
	uint64_t id;

	CHECK(!ofi_cache_get(cache, (uintptr_t)at, pages * PAGE, &id, &held));
	atomic_fetch_add(&uses, 1);
	if (is_stale((struct pin *)(uintptr_t)id, at, pages))
		atomic_fetch_add(&stale, 1);
	ofi_cache_put(cache, held);
}

static void change(char *at, size_t length, unsigned int how)
{
	const int prot = PROT_READ | PROT_WRITE;
	const int flags = MAP_PRIVATE | MAP_ANONYMOUS;

	switch (how % 4) {
	case 0:
		CHECK(!syscall(SYS_munmap, at, length));
		CHECK(mmap(at, length, prot, flags | MAP_FIXED_NOREPLACE, -1, 0) == at);
		break;
	case 1:
		CHECK(mmap(at, length, prot, flags | MAP_FIXED, -1, 0) == at);
		break;
	case 2:
		CHECK(!syscall(SYS_madvise, at, length, MADV_DONTNEED));
		break;
	default: {
		char *other = mmap(NULL, length, prot, flags, -1, 0);

		CHECK(other != MAP_FAILED);
		CHECK(mremap(other, length, length, MREMAP_MAYMOVE | MREMAP_FIXED, at) == at);
	}
	}
	for (size_t i = 0; i < length; i += PAGE)
		stage_paint((uint64_t *)(at + i));
}

static void turn(unsigned int *seed)
{
	const unsigned int b = (unsigned int)rand_r(seed) % BUFFERS;
	const unsigned int first = (unsigned int)rand_r(seed) % 8 < 6 ? 0 : 1;
	const unsigned int pages = first ? 1 + (unsigned int)rand_r(seed) % (PAGES - 1) : PAGES;
	char *at = buffers[b].at + first * PAGE;

	if ((unsigned int)rand_r(seed) % 16 == 0) {
		pthread_rwlock_wrlock(&buffers[b].lock);
		change(at, pages * PAGE, (unsigned int)rand_r(seed));
	} else {
		pthread_rwlock_rdlock(&buffers[b].lock);
		use(caches[rand_r(seed) % 2], at, pages);
	}
	pthread_rwlock_unlock(&buffers[b].lock);
}

static void *run(void *arg)
{
	unsigned int seed = (unsigned int)(uintptr_t)arg;

	for (unsigned int n = 0; n < TURNS; n++)
		turn(&seed);
	return NULL;
}

static void run_churn(void)
{
	static const struct ofi_cache_ops ops = { .reg = reg, .dereg = dereg };
	pthread_t threads[THREADS];

	stage_begin();
	for (int i = 0; i < 2; i++)
		CHECK(!ofi_cache_open(&ops, NULL, &caches[i]));
	for (int i = 0; i < BUFFERS; i++) {
		pthread_rwlock_init(&buffers[i].lock, NULL);
		buffers[i].at = (char *)stage_map();
		for (size_t p = 0; p < PAGES; p++)
			stage_paint((uint64_t *)(buffers[i].at + p * PAGE));
	}
	for (size_t n = 0; n < ROUNDS && (!n || uses - made < uses / 5); n++) {
		for (size_t i = 0; i < THREADS; i++)
			CHECK(!pthread_create(&threads[i], NULL, run,
					      (void *)(n * THREADS + i + 1)));
		for (int i = 0; i < THREADS; i++)
			pthread_join(threads[i], NULL);
	}
	printf("%llu stale of %llu, %llu registrations\n", (unsigned long long)stale,
	       (unsigned long long)uses, (unsigned long long)made);
	CHECK(!stale);
	CHECK(uses - made >= uses / 5);
}

const struct scenario churn_scenarios[] = {
	{ "churn", run_churn },
	{ NULL, NULL },
};
