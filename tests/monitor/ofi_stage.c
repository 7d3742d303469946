// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
#include "ofi_stage.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define WARM_NS 30000000000ULL
/* Far below where the kernel puts what asks for no address; what a sanitizer leaves to programs. */
#ifdef __SANITIZE_THREAD__
#define PLACE 0x4000000000UL
#else
#define PLACE 0x200000000000UL
#endif

_Atomic uint64_t stage_pins;
void (*_Atomic stage_after_pin)(void);

static struct monitor_stats *stats;
static struct ofi_cache *first;

void stage_fail(const char *file, int line, const char *what)
{
	fprintf(stderr, "%s:%d: not so: %s (errno %d)\n", file, line, what, errno);
	_exit(1);
}

void stage_skip(const char *why)
{
	printf("skipped: %s\n", why);
	fflush(stdout);
	_exit(77);
}

static void make_stats(void)
{
	int fd = memfd_create("stats", MFD_CLOEXEC);
	char path[64];

	CHECK(fd >= 0 && !ftruncate(fd, sizeof(*stats)));
	stats = mmap(NULL, sizeof(*stats), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	CHECK(stats != MAP_FAILED);
	stats->magic = MONITOR_STATS_MAGIC;
	stats->size = sizeof(*stats);
	snprintf(path, sizeof(path), "/proc/%d/fd/%d", getpid(), fd);
	setenv(MONITOR_STATS_ENV, path, 1);
}

void stage_load(void)
{
	if (stats)
		return;
	make_stats();
	CHECK(dlopen(getenv("LIBHMM_OFI"), RTLD_NOW | RTLD_GLOBAL));
	CHECK(atomic_load(&stats->ofi.loaded) == 1);
}

int stage_import(void)
{
	return ofi_cache_begin("libhmm", NULL);
}

static int reg(uint64_t addr, uint64_t len, uint64_t *id, void *arg)
{
	void (*after)(void) = atomic_load(&stage_after_pin);

	(void)len;
	(void)arg;
	/* It may begin anywhere. */
	memcpy(id, (const void *)(uintptr_t)addr, sizeof(*id));
	atomic_fetch_add(&stage_pins, 1);
	if (after)
		after();
	return 0;
}

static void dereg(uint64_t id, void *arg)
{
	(void)id;
	(void)arg;
}

struct ofi_cache *stage_open(void)
{
	static const struct ofi_cache_ops ops = { .reg = reg, .dereg = dereg };
	struct ofi_cache *cache;

	CHECK(!ofi_cache_open(&ops, NULL, &cache));
	return cache;
}

void stage_begin(void)
{
	stage_load();
	CHECK(!stage_import());
	CHECK(atomic_load(&stats->ofi.served) == 1);
	first = stage_open();
	if (MONITOR_WHY_REASON(atomic_load(&stats->ofi.why)) == MONITOR_WHY_ATTACH)
		stage_skip("this process cannot have a userfaultfd");
}

struct monitor_counters *stage_counters(void)
{
	return &stats->ofi;
}

struct hmm_mm *stage_space(void)
{
	struct hmm_mm *(*entry)(void) =
		(struct hmm_mm * (*)(void)) dlsym(RTLD_DEFAULT, "libhmm_monitor_space");

	CHECK(entry && entry());
	return entry();
}

struct ofi_cache *stage_cache(void)
{
	return first;
}

void stage_paint(uint64_t *at)
{
	static _Atomic uint64_t tags;

	*(volatile uint64_t *)at = atomic_fetch_add(&tags, 1) + 1;
}

char *stage_place(void)
{
	static _Atomic uint64_t places;

	return (char *)(PLACE + atomic_fetch_add(&places, 1) * 16 * BUFFER);
}

uint64_t *stage_map(void)
{
	uint64_t *at = (uint64_t *)stage_place();

	CHECK(stage_map_at(at));
	stage_paint(at);
	return at;
}

bool stage_map_at(uint64_t *at)
{
	void *got = mmap(at, BUFFER, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);

	CHECK(got != MAP_FAILED || errno == EEXIST);
	return got != MAP_FAILED;
}

enum use stage_use(struct ofi_cache *cache, uint64_t *at)
{
	const uint64_t before = atomic_load(&stage_pins);
	struct ofi_held *held;
	uint64_t id;
	bool fresh;

	CHECK(!ofi_cache_get(cache, (uintptr_t)at, BUFFER, &id, &held));
	fresh = id == *(volatile uint64_t *)at;
	ofi_cache_put(cache, held);
	if (!fresh)
		return USE_STALE;
	return atomic_load(&stage_pins) == before ? USE_HIT : USE_MISS;
}

void stage_warm(struct ofi_cache *cache, uint64_t *at)
{
	const struct timespec pause = { .tv_nsec = 100000 };
	const uint64_t end = stage_now_ns() + WARM_NS;

	while (stage_now_ns() < end) {
		enum use use = stage_use(cache, at);

		CHECK(use != USE_STALE);
		if (use == USE_HIT)
			return;
		nanosleep(&pause, NULL);
	}
	CHECK(!"it is cached in the end");
}

uint64_t stage_now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000ULL + (uint64_t)ts.tv_nsec;
}
