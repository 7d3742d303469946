// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * robust SCENARIO [MUTATION]: nothing hangs, nothing crashes. A scenario that does not end is
 * killed.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>
#include "robust.h"
#ifdef HMM_MUTATIONS
#include "base/mutation.h"
#endif

#define LIMIT_S 110

struct hmm_mm *mm;
struct hmm_regcache *cache;
atomic_bool stop;

/* A child, and a process that ends while it is busy, leave what they had. */
int __lsan_is_turned_off(void);
int __lsan_is_turned_off(void)
{
	return 1;
}

/*
 * ThreadSanitizer waits a second at the exit of a process that has other threads. A child counts
 * those of its parent among them.
 */
const char *__tsan_default_options(void);
const char *__tsan_default_options(void)
{
	return "atexit_sleep_ms=0";
}

void must_failed(const char *what, const char *file, int line)
{
	printf("%s:%d: not so: %s (errno %s)\n", file, line, what, strerror(errno));
	fflush(stdout);
	_exit(1);
}

/* As drivers do: their callbacks allocate, and free, which may unmap. */
static int reg(struct hmm_registration *r, void *priv)
{
	char *block = malloc(256 << 10);

	if (!block)
		return -ENOMEM;
	block[0] = 1;
	r->device = (uintptr_t)malloc(64);
	free(block);
	return r->device ? 0 : -ENOMEM;
}

static void dereg(struct hmm_registration *r, void *priv)
{
	char *block = malloc(512 << 10);

	if (block)
		block[0] = 1;
	free(block);
	free((void *)(uintptr_t)r->device);
}

void open_cache(uint32_t flags)
{
	static const struct hmm_regcache_ops ops = { .size = sizeof(ops),
						     .reg = reg,
						     .dereg = dereg };
	const struct hmm_regcache_options options = { .size = sizeof(options), .flags = flags };

	MUST(!hmm_mm_attach(NULL, &mm));
	MUST(!hmm_regcache_create(mm, &ops, &options, NULL, &cache));
}

char *map_buffer(void)
{
	char *at = mmap(NULL, BUFFER, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	MUST(at != MAP_FAILED);
	memset(at, 1, BUFFER);
	return at;
}

int use(const char *at)
{
	struct hmm_registration *r;
	int err =
		hmm_regcache_get(cache, (uintptr_t)at, BUFFER, HMM_REGCACHE_WRITE, PATIENT_NS, &r);

	if (!err)
		hmm_regcache_put(cache, r);
	return err;
}

double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

void *use_and_unmap(void *arg)
{
	while (!atomic_load(&stop)) {
		char *at = map_buffer();
		int first = use(at), second = use(at);

		MUST(!first || first == -ETIME);
		MUST(!second || second == -ETIME);
		MUST(!munmap(at, BUFFER));
	}
	return NULL;
}

static const struct {
	const char *name;
	int (*run)(void);
} scenarios[] = {
	{ "stalled", run_stalled },   { "descriptors", run_descriptors },
	{ "child", run_child },       { "signals", run_signals },
	{ "realtime", run_realtime }, { "allocator", run_allocator },
	{ "exit", run_exit },
};

static bool break_rule(const char *name)
{
#ifdef HMM_MUTATIONS
	return !hmm_mutation_set(name);
#else
	return false;
#endif
}

int main(int argc, char **argv)
{
	if (argc == 3 && break_rule(argv[2]))
		argc = 2;
	for (size_t i = 0; argc == 2 && i < sizeof(scenarios) / sizeof(*scenarios); i++)
		if (!strcmp(argv[1], scenarios[i].name)) {
			alarm(LIMIT_S);
			return scenarios[i].run();
		}
	fputs("Usage: robust SCENARIO [MUTATION]\n", stderr);
	return 2;
}
