// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * Rounds of attach, torture, detach. At the end of a round all pages come home, every count is
 * looked at, and regions are empty. What later rounds leave behind and the first did not is a leak.
 */
#include <errno.h>
#include <malloc.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include "../../attach.h"
#include "../../command.h"
#include "away.h"

#define ROUND_SECONDS 2.0
#define HOME_NS 60000000000ULL
#define UNUSED_NS 5000000000ULL /* without progress */
#define JOIN_TICKS (HANG_LIMIT_S * TICKS_A_SECOND)
#define MIB (1ULL << 20)

struct away away_state; /* in .bss, which is never mirrored */

static int ignore(struct hmm_interval_notifier *ni, const struct hmm_invalidation *inv, void *priv)
{
	(void)ni;
	(void)inv;
	(void)priv;
	return 0;
}

static const struct hmm_interval_notifier_ops notifier_ops = { sizeof(notifier_ops), ignore };

/* ---- the space and what is in it ------------------------------------------------------------ */

static int make_regions(struct away *away)
{
	static const struct {
		uint64_t bytes;
		uint32_t flags;
	} region[COPYING] = { { 6 * MIB, HMM_DEVMEM_EVICT },
			      { 2 * MIB, 0 },
			      { 2 * MIB, HMM_DEVMEM_EVICT | HMM_DEVMEM_COHERENT } };

	for (unsigned int i = 0; i < COPYING; i++) {
		const struct hmm_devmem_options options = { .size = sizeof(options),
							    .flags = region[i].flags,
							    .bytes = region[i].bytes,
							    .owner = &away->region[i] };
		const int ret = hmm_devmem_create(away->mm, &options, &away->region[i]);

		if (ret)
			return ret;
	}
	return copying_open(away);
}

static int make_notifiers(struct away *away)
{
	int ret = 0;

	for (unsigned int i = 0; !ret && i <= AREAS; i++) {
		const uint64_t start = AWAY_ARENA + i * AWAY_SPAN;
		const unsigned int pages = i < AREAS ? AREA_PAGES : WORD_PAGES;

		ret = hmm_interval_notifier_insert(away->mm, start, pages * HMM_PAGE_SIZE,
						   &notifier_ops, NULL, &away->ni[i]);
	}
	return ret;
}

static int make_memory(struct away *away)
{
	int ret = 0;

	for (unsigned int i = 0; !ret && i < AREAS; i++)
		ret = area_map(away, i, i & 1);
	return ret ? ret : words_map(away);
}

static void look_at_info(struct away *away)
{
	struct hmm_mm_info info = { .size = sizeof(info) };

	if (hmm_mm_get_info(away->mm, &info))
		return;
	away->event_fork = info.event_fork;
	away->user_mode_only = info.user_mode_only;
}

static int open_all(struct away *away)
{
	int ret = space_attach(&away->mm);

	if (ret)
		return ret;
	look_at_info(away);
	ret = make_memory(away);
	if (!ret && away->t->opt.migrate)
		ret = make_regions(away);
	if (!ret)
		ret = make_notifiers(away);
	if (!ret)
		ret = hmm_engine_create(away->mm, &away->device_engine);
	if (!ret)
		ret = hmm_engine_create(away->mm, &away->exclusive_engine);
	return ret;
}

/* Adds to the sums over rounds; used: what is in use, in bytes. */
static void add_stats(struct away *away, uint64_t *used)
{
	*used = 0;
	for (unsigned int i = 0; i < REGIONS; i++) {
		struct hmm_devmem_stats s = { .size = sizeof(s) };

		if (!away->region[i] || hmm_devmem_get_stats(away->region[i], &s))
			continue;
		*used += s.used;
		if (s.used)
			continue;
		away->stats.moved_out += s.moved_out / HMM_PAGE_SIZE;
		away->stats.moved_home += s.moved_home / HMM_PAGE_SIZE;
		away->stats.copied_home += s.copied_home / HMM_PAGE_SIZE;
		away->stats.faults += s.faults;
		away->stats.evicted += s.evicted / HMM_PAGE_SIZE;
		away->stats.dropped += s.dropped / HMM_PAGE_SIZE;
		away->stats.copied_in += s.copied_in / HMM_PAGE_SIZE;
		away->stats.copied_out += s.copied_out / HMM_PAGE_SIZE;
		if (s.lost)
			finding(FINDING_LOST, "region %u: %llu bytes are lost", i,
				(unsigned long long)s.lost);
		if (s.moved_out != s.moved_home + s.dropped)
			finding(FINDING_LEAK,
				"region %u: %llu bytes went out, %llu home, %llu were dropped", i,
				(unsigned long long)s.moved_out, (unsigned long long)s.moved_home,
				(unsigned long long)s.dropped);
	}
}

static uint64_t still_used(const struct away *away)
{
	uint64_t used = 0;

	for (unsigned int i = 0; i < REGIONS; i++) {
		struct hmm_devmem_stats s = { .size = sizeof(s) };

		if (away->region[i] && !hmm_devmem_get_stats(away->region[i], &s))
			used += s.used;
	}
	return used;
}

static void wait_unused(const struct away *away)
{
	uint64_t limit = tort_now_ns() + UNUSED_NS;
	uint64_t least = UINT64_MAX;
	uint64_t used;

	while ((used = still_used(away)) && tort_now_ns() < limit) {
		if (used < least)
			limit = tort_now_ns() + UNUSED_NS;
		least = used < least ? used : least;
		tort_pause(1000000);
	}
}

/* All threads have ended. What the last fork left is checked where it is: some pages are out. */
static void check_all(struct away *away)
{
	const struct part all = { 0, AREA_PAGES };
	uint64_t used;
	int ret;

	for (unsigned int i = 0; i < AREAS; i++)
		area_check(&away->area[i], &all, away->area[i].base, "the end of the round");
	words_check(away);
	ret = hmm_evict_all(away->mm, HOME_NS);
	if (ret)
		finding(FINDING_ERROR, "hmm_evict_all at the end: %s", strerror(-ret));
	/* A thread of the library's frees what came home. */
	wait_unused(away);
	add_stats(away, &used);
	if (used)
		finding(FINDING_LEAK, "%llu bytes of device memory are in use at the end",
			(unsigned long long)used);
	for (unsigned int i = 0; i < AREAS; i++)
		area_check(&away->area[i], &all, away->area[i].base, "all came home");
}

static void close_all(struct away *away)
{
	hmm_engine_destroy(away->device_engine);
	hmm_engine_destroy(away->exclusive_engine);
	for (unsigned int i = 0; i <= AREAS; i++) {
		hmm_interval_notifier_remove(away->ni[i]);
		away->ni[i] = NULL;
	}
	for (unsigned int i = 0; i < REGIONS; i++) {
		const int ret = hmm_devmem_destroy(away->region[i], HOME_NS);

		if (ret)
			finding(FINDING_ERROR, "hmm_devmem_destroy: %s", strerror(-ret));
		away->region[i] = NULL;
	}
	hmm_mm_detach(away->mm);
	away->mm = NULL;
	away->device_engine = away->exclusive_engine = NULL;
	for (unsigned int i = 0; i < AREAS; i++)
		area_unmap(&away->area[i]);
	words_unmap(away);
}

/* ---- threads -------------------------------------------------------------------------------- */

static void *worker_main(void *arg)
{
	struct worker *w = arg;

	while (!atomic_load(&w->away->stop) && !findings_all()) {
		atomic_store(&w->beat.doing, w->name);
		atomic_store(&w->beat.since, tort_ticks(w->away->t));
		w->work(w);
	}
	return NULL;
}

static int start(struct away *away, const char *name, void (*work)(struct worker *w),
		 struct area *area)
{
	struct worker *w = &away->worker[away->workers];
	const uint64_t seed = (away->t->opt.seed + away->round * 131) * 7919 + away->workers;
	int ret;

	*w = (struct worker){ .away = away, .name = name, .work = work, .area = area };
	w->rng.s = seed;
	if (area)
		area->rng.s = seed;
	ret = -pthread_create(&w->thread, NULL, worker_main, w);
	away->workers += !ret;
	return ret;
}

static int start_all(struct away *away)
{
	int ret = 0;

	away->workers = 0;
	for (unsigned int i = 0; !ret && i < AREAS; i++)
		ret = start(away, "owner", owner_work, &away->area[i]);
	if (!ret)
		ret = start(away, "counter", words_work, NULL);
	if (!ret)
		ret = start(away, "counter alone", words_alone_work, NULL);
	if (away->t->opt.exclusive && !ret)
		ret = start(away, "exclusive device", exclusive_work, NULL);
	if (away->t->opt.exclusive && !ret)
		ret = start(away, "revoker", revoke_work, NULL);
	if (!away->t->opt.migrate || ret)
		return ret;
	ret = start(away, "migrator", move_work, NULL);
	if (!ret)
		ret = start(away, "migrator", move_work, NULL);
	if (!ret)
		ret = start(away, "device", device_work, NULL);
	if (!ret)
		ret = start(away, "discards", discard_work, NULL);
	return ret ? ret : start(away, "migrator of discards", bait_work, NULL);
}

/* True: a thread has not come back for a long time, or not begun since `since`. */
static bool hangs(const struct away *away, uint64_t since)
{
	bool hang = false;

	for (unsigned int i = 0; i < away->workers; i++) {
		const struct worker *w = &away->worker[i];
		uint64_t began = atomic_load(&w->beat.since);

		if (began < since)
			began = since;
		if (tort_ticks(away->t) < began + JOIN_TICKS)
			continue;
		finding(FINDING_HANG, "%s has not come back from \"%s\" for %u s", w->name,
			atomic_load(&w->beat.doing), HANG_LIMIT_S);
		hang = true;
	}
	if (hang)
		watch_print_tasks();
	return hang;
}

static void tick(struct away *away)
{
	atomic_fetch_add(&away->t->ticks, 1);
	tort_pause(TICK_NS);
}

/* False: a thread hangs. */
static bool join_all(struct away *away)
{
	const uint64_t since = tort_ticks(away->t);

	for (unsigned int i = 0; i < away->workers; i++) {
		while (pthread_tryjoin_np(away->worker[i].thread, NULL)) {
			tick(away);
			if (hangs(away, since))
				return false;
		}
	}
	return true;
}

/* ---- rounds --------------------------------------------------------------------------------- */

static double seconds_since(uint64_t ns)
{
	return (double)(tort_now_ns() - ns) / 1e9;
}

static bool over(struct away *away, uint64_t began, double seconds)
{
	struct torture *t = away->t;

	return findings_all() || torture_stopped(t) || seconds_since(began) >= seconds;
}

/* 0; 1: a thread hangs, so nothing may be touched any more; -errno. */
static int play(struct away *away, double seconds)
{
	const uint64_t since = tort_ticks(away->t);
	const uint64_t began = tort_now_ns();
	bool hang = false;
	int ret;

	atomic_store(&away->stop, false);
	ret = start_all(away);
	while (!ret && !hang && !over(away, began, seconds)) {
		tick(away);
		hang = hangs(away, since);
	}
	atomic_store(&away->stop, true);
	if (hang || !join_all(away))
		return 1;
	return ret;
}

static void reset(struct away *away)
{
	memset(away->cpu, 0, sizeof(away->cpu));
	memset(away->cpu_alone, 0, sizeof(away->cpu_alone));
	memset(&away->device, 0, sizeof(away->device));
	memset(&away->exclusive, 0, sizeof(away->exclusive));
}

static int complain_start(int ret)
{
	if (ret == -EOPNOTSUPP)
		complain(EXIT_HOST, "device memory cannot be had here: it needs UFFDIO_MOVE "
				    "(Linux 6.8) and the provider uffd");
	else
		complain(EXIT_FAILED, "cannot start: %s", strerror(-ret));
	return ret;
}

static int one_round(struct away *away, double seconds)
{
	int ret;

	reset(away);
	ret = open_all(away);
	if (ret)
		complain_start(ret);
	else
		ret = play(away, seconds);
	if (ret == 1)
		return ret;
	if (!ret && !findings_all())
		check_all(away);
	/* What is wrong may hang what ends it. */
	if (findings_all())
		return 1;
	close_all(away);
	return ret;
}

static bool goes_on(const struct away *away, uint64_t began)
{
	const struct torture *t = away->t;
	const bool late = seconds_since(began) >= t->opt.seconds;

	if (findings_all() || t->interrupted)
		return false;
	if (t->opt.longer && t->opt.exclusive)
		return !late && atomic_load(&away->transfers) < AWAY_TRANSFERS;
	return !late;
}

int away_run(struct torture *t)
{
	struct away *away = &away_state;
	const uint64_t began = tort_now_ns();
	struct usage first, last;
	double seconds = t->opt.seconds / 2;
	int ret = 0;

	/* One arena only, as mappings that glibc keeps for threads would look like a leak. */
	mallopt(M_ARENA_MAX, 1);
	away->told = mmap(NULL, AREAS * sizeof(*away->told), PROT_READ | PROT_WRITE,
			  MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (away->told == MAP_FAILED)
		return -errno;
	prctl(PR_SET_TIMERSLACK, 1000);
	away->t = t;
	if (seconds > ROUND_SECONDS)
		seconds = ROUND_SECONDS;
	for (;
	     !ret && (away->round < 2 ? !findings_all() && !t->interrupted : goes_on(away, began));
	     away->round++) {
		ret = one_round(away, seconds);
		if (!ret)
			usage_measure(away->round ? &last : &first);
	}
	if (!ret && !findings_all() && !t->interrupted)
		usage_compare(&first, &last);
	t->unfinished =
		t->opt.longer && t->opt.exclusive && atomic_load(&away->transfers) < AWAY_TRANSFERS;
	t->elapsed = seconds_since(began);
	return ret == 1 ? 0 : ret;
}
