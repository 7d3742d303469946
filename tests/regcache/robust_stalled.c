// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * A driver's callback keeps the pump until many calls were made. Not one waits for it, and most
 * take no longer than their timeout allows, and 100 ms: on a busy machine a thread may have to wait
 * for a processor.
 */
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include "robust.h"

#define ROUNDS 40
#define GIVE_UP_MS 60000
#define ALLOWED_S 0.1

static atomic_bool armed, stalling, enough, gave_up;

static int stall(struct hmm_interval_notifier *ni, const struct hmm_invalidation *inv, void *priv)
{
	if (!atomic_load(&armed) || atomic_exchange(&stalling, true))
		return 0;
	for (int ms = 0; !atomic_load(&enough) && ms < GIVE_UP_MS; ms++)
		usleep(1000);
	atomic_store(&gave_up, !atomic_load(&enough));
	return 0;
}

static const struct hmm_interval_notifier_ops stalling_ops = {
	.size = sizeof(stalling_ops),
	.invalidate = stall,
};

static char *watch_buffer(struct hmm_interval_notifier **ni)
{
	char *at = map_buffer();
	struct hmm_range range = { .size = sizeof(range),
				   .start = (uintptr_t)at,
				   .end = (uintptr_t)at + BUFFER };

	MUST(!hmm_interval_notifier_insert(mm, range.start, BUFFER, &stalling_ops, NULL, ni));
	range.notifier = *ni;
	MUST(!hmm_range_watch(&range, HMM_FOREVER));
	return at;
}

static void *unmap(void *at)
{
	MUST(!munmap(at, BUFFER));
	return NULL;
}

enum call { HIT, MISS, PUT, CHECK, REAP, UNMAP, CALLS };
static const char *const names[] = { "hit", "miss", "put", "check", "reap", "munmap" };
static double longest[CALLS];
static unsigned int late[CALLS], calls[CALLS];

/* How long the call took that began then, beyond its timeout. */
static void took(enum call call, double began, double allowed)
{
	double t = now() - began - allowed;

	calls[call]++;
	if (t > longest[call])
		longest[call] = t;
	late[call] += t > ALLOWED_S;
}

static int timed_get(enum call call, const char *at, struct hmm_registration **r)
{
	double began = now();
	int err = hmm_regcache_get(cache, (uintptr_t)at, BUFFER, 0, TIMEOUT_NS, r);

	took(call, began, (double)TIMEOUT_NS * 1e-9);
	MUST(!err || err == -ETIME);
	return err;
}

static void timed_round(const char *kept)
{
	struct hmm_registration *r;
	char *at = map_buffer();
	double began;

	if (!timed_get(HIT, kept, &r)) {
		began = now();
		hmm_regcache_check(cache, r, 0);
		took(CHECK, began, 0);
		began = now();
		hmm_regcache_put(cache, r);
		took(PUT, began, 0);
	}
	if (!timed_get(MISS, at, &r))
		hmm_regcache_put(cache, r);
	began = now();
	munmap(at, BUFFER);
	took(UNMAP, began, 0);
	began = now();
	hmm_regcache_reap(cache);
	took(REAP, began, 0);
}

int run_stalled(void)
{
	struct hmm_interval_notifier *ni;
	pthread_t thread;
	char *kept, *at;

	open_cache(0);
	kept = map_buffer();
	MUST(!use(kept) && !use(kept));
	at = watch_buffer(&ni);
	atomic_store(&armed, true);
	MUST(!pthread_create(&thread, NULL, unmap, at));
	while (!atomic_load(&stalling))
		usleep(1000);
	for (int i = 0; i < ROUNDS && !atomic_load(&gave_up); i++)
		timed_round(kept);
	MUST(!atomic_load(&gave_up));
	atomic_store(&enough, true);
	pthread_join(thread, NULL);
	MUST(!use(kept));
	for (int i = 0; i < CALLS; i++)
		printf("%s: %.0f ms beyond its timeout, %u of %u more than 100 ms\n", names[i],
		       longest[i] * 1e3, late[i], calls[i]);
	for (int i = 0; i < CALLS; i++)
		MUST(late[i] * 3 <= calls[i]);
	MUST(calls[HIT] && calls[MISS] && calls[UNMAP] && calls[REAP]);
	hmm_interval_notifier_remove(ni);
	hmm_regcache_destroy(cache);
	hmm_mm_detach(mm);
	return 0;
}
