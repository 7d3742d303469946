// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * A run has two cycles of attach, torture, detach. The first is the drill, which forces every
 * operation into every window. In the second all threads work freely. What the second cycle leaves
 * behind and the first did not is a leak. A thread that does not come back from a call is a hang.
 */
#include <errno.h>
#include <malloc.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>
#include "../../../devices/hold/hold.h"
#include "../attach.h"
#include "../command.h"
#include "bystander.h"
#include "ops.h"
#include "peer.h"

#define FOCUS_TICKS 16
#define LEAST_FREE 0.25
#define SPIN_NS 10000000U
#define REST_NS 20000000U
#define PROGRESS_TICKS 40
#define JOIN_TICKS (HANG_LIMIT_S * TICKS_A_SECOND)

static const struct {
	enum kind kind;
	bool checked;
} layout[] = {
	{ KIND_ANON, false }, { KIND_SHMEM, false }, { KIND_ANON, false },  { KIND_THP, false },
	{ KIND_SYSV, false }, { KIND_FILE, false },  { KIND_STACK, false }, { KIND_PRIVATE, false },
	{ KIND_WIDE, false }, { KIND_ANON, true },   { KIND_SHMEM, true },  { KIND_SYSV, true },
	{ KIND_FILE, true },  { KIND_BRK, false },
};
#define LAYOUT_SLOTS (sizeof(layout) / sizeof(layout[0]))

static void slots_destroy(struct torture *t)
{
	while (t->nslots)
		slot_destroy(&t->slots[--t->nslots]);
}

static int slots_create(struct torture *t)
{
	unsigned int i;
	int ret;

	for (i = 0; i < LAYOUT_SLOTS; i++) {
		ret = slot_create(&t->slots[i], i, layout[i].kind, layout[i].checked);
		t->nslots = t->nslots_ran = i + 1;
		if (ret) {
			complain(EXIT_FAILED, "no %s memory to work on: %s",
				 kind_name(layout[i].kind), strerror(-ret));
			slots_destroy(t);
			return ret;
		}
	}
	return 0;
}

/* Finds out what can be forced. Once is enough, as both cycles have the same slots. */
static void look_around(struct torture *t)
{
	struct hmm_mm_info info = { .size = sizeof(info) };
	struct hmm_coherence_cell cell;
	unsigned int i, j, w;

	if (!hmm_mm_get_info(t->mm, &info))
		t->log = info.provider >= HMM_PROVIDER_BPF;
	t->fork_events = !hmm_coherence(t->mm, HMM_OP_FORK_RAW, HMM_VMA_ANON, &cell) &&
			 (cell.guarantee == HMM_SYNCHRONOUS || cell.guarantee == HMM_EXACT);
	for (i = 0; i < t->nslots; i++) {
		struct hmm_vma vma = { .kind = kind_vma(t->slots[i].kind) };

		hmm_vma_find(t->mm, t->slots[i].base, &vma);
		t->slots[i].vma = vma.kind;
	}
	for (i = 0; i < t->nslots; i++)
		for (j = 0; j < ops_count; j++)
			t->policy[i][j] = (unsigned char)op_policy(t, &ops_table[j], &t->slots[i]);
	for (j = 0; j < ops_count; j++)
		for (w = 0; w < WINDOW_NR; w++)
			for (i = 0; i < t->nslots; i++) {
				const char *why = force_why_not(t, j, &t->slots[i], w);

				/*
				 * The first slot's reason is kept, as slots that are used with
				 * checks come last.
				 */
				if (!why || !t->why_not[j][w] || t->why_not[j][w] == force_excluded)
					t->why_not[j][w] = why;
				if (!why)
					break;
			}
}

uint64_t torture_accepted(const struct torture *t)
{
	uint64_t sum = 0;
	unsigned int i;

	for (i = 0; i < USERS; i++)
		sum += atomic_load(&t->counts[i].accepted);
	return sum;
}

uint64_t torture_refused(const struct torture *t)
{
	uint64_t sum = 0;
	unsigned int i;

	for (i = 0; i < USERS; i++)
		sum += atomic_load(&t->counts[i].refused);
	return sum;
}

bool torture_passed(const struct torture *t)
{
	double accepted = (double)torture_accepted(t);

	return !findings_all() && !t->unfinished && !t->interrupted && accepted > 0 &&
	       accepted >= ACCEPTED_SHARE * (accepted + (double)torture_refused(t));
}

static double seconds_since(uint64_t ns)
{
	return (double)(tort_now_ns() - ns) / 1e9;
}

static bool over(struct torture *t, uint64_t start, double seconds)
{
	bool late = seconds_since(start) >= seconds;

	if (atomic_load(&t->stop) || findings_all() || torture_stopped(t))
		return true;
	if (t->drilling)
		return atomic_load(&t->drilled) == HOSTILES;
	if (!t->opt.longer)
		return late;
	t->unfinished =
		atomic_load(&t->operations) < LONG_TARGET || torture_accepted(t) < LONG_TARGET;
	return late || !t->unfinished;
}

/* A thread that computes and makes no system calls. Discards must be settled all the same. */
static void *spinner_main(void *arg)
{
	struct torture *t = arg;
	struct rng rng = { t->opt.seed * 7919 + 2000 };

	while (!atomic_load(&t->stop) && !(t->drilling && atomic_load(&t->drilled) == HOSTILES)) {
		tort_spin(rng_below(&rng, SPIN_NS));
		tort_pause(rng_below(&rng, REST_NS));
	}
	return NULL;
}

struct crew {
	pthread_t threads[USERS + HOSTILES + 3];
	struct user_arg args[USERS + HOSTILES];
	unsigned int n;
};

static int crew_start(struct torture *t, struct crew *crew)
{
	int ret = 0;

	for (crew->n = 0; crew->n < USERS + HOSTILES && !ret; crew->n += !ret) {
		bool user = crew->n < USERS;

		crew->args[crew->n] = (struct user_arg){ t, user ? crew->n : crew->n - USERS };
		beat(t, crew->n, "starting");
		ret = -pthread_create(&crew->threads[crew->n], NULL,
				      user ? user_main : hostile_main, &crew->args[crew->n]);
	}
	if (!ret)
		ret = -pthread_create(&crew->threads[crew->n], NULL, peer_main, t);
	crew->n += !ret;
	if (!ret)
		ret = -pthread_create(&crew->threads[crew->n], NULL, spinner_main, t);
	crew->n += !ret;
	/* The bystander does not run in the drill, as it could open the windows. */
	if (!ret && !t->drilling) {
		beat(t, USERS + HOSTILES, "starting");
		ret = -pthread_create(&crew->threads[crew->n], NULL, bystander_main, t);
		crew->n += !ret;
	}
	return ret;
}

/* False: a thread has not ended. */
static bool crew_join(struct torture *t, struct crew *crew)
{
	uint64_t limit = tort_ticks(t) + JOIN_TICKS;
	unsigned int i;

	bell_ring(&t->bell);
	for (i = 0; i < crew->n; i++) {
		if (i == USERS + HOSTILES)
			peer_leave();
		while (pthread_tryjoin_np(crew->threads[i], NULL)) {
			atomic_fetch_add(&t->ticks, 1);
			tort_pause(TICK_NS);
			if (tort_ticks(t) < limit)
				continue;
			finding(FINDING_HANG, "thread %u (\"%s\") did not end", i,
				i < USERS + HOSTILES    ? atomic_load(&t->beats[i].doing)
				: i == USERS + HOSTILES ? "peer"
							: atomic_load(&t->beats[i - 1].doing));
			watch_print_threads(t);
			return false;
		}
	}
	return true;
}

static void add_stats(struct torture *t)
{
	struct hmm_mm_stats s = { .size = sizeof(s) };
	unsigned int i;

	if (hmm_mm_get_stats(t->mm, &s))
		return;
	for (i = 0; i < HMM_EVENT_NR; i++)
		t->stats.events[i] += s.events[i];
	t->stats.pump_cycles += s.pump_cycles;
	t->stats.callbacks += s.callbacks;
	t->stats.registrations += s.registrations;
	t->stats.probes += s.probes;
	t->stats.probes_busy += s.probes_busy;
	t->stats.discards_pending += s.discards_pending;
	t->stats.discards_settled += s.discards_settled;
	t->stats.watchdog_reads += s.watchdog_reads;
	t->stats.overruns += s.overruns;
}

static int open_space(struct torture *t)
{
	int ret = slots_create(t);

	if (ret)
		return ret;
	ret = space_attach(&t->mm);
	if (ret) {
		complain_attach(ret);
		slots_destroy(t);
		return ret;
	}
	latch_open(&t->latch);
	scene_init(t);
	look_around(t);
	return windows_init(t);
}

static void close_space(struct torture *t)
{
	windows_exit(t);
	scene_exit(t);
	latch_close(&t->latch);
	hmm_mm_detach(t->mm);
	t->mm = NULL;
	slots_destroy(t);
}

/* False: the bystander hangs. */
static bool warm_up(struct torture *t)
{
	pthread_t thread;

	beat(t, USERS + HOSTILES, "starting");
	if (pthread_create(&thread, NULL, bystander_once, t))
		return true;
	while (pthread_tryjoin_np(thread, NULL)) {
		if (watch_tick(t))
			return false;
	}
	return true;
}

/* 0; 1: a thread hangs, so nothing may be touched any more; -errno. */
static int cycle(struct torture *t, uint64_t start, double seconds)
{
	struct crew crew = { .n = 0 };
	bool hang = false;
	int ret = open_space(t);

	if (ret)
		return ret;
	atomic_store(&t->stop, false);
	ret = crew_start(t, &crew);
	if (ret)
		complain(EXIT_FAILED, "cannot start a thread: %s", strerror(-ret));
	while (!ret && !hang && !over(t, start, seconds)) {
		hang = watch_tick(t);
		if (!(tort_ticks(t) % FOCUS_TICKS))
			atomic_fetch_add(&t->focus, 1);
		if (!(tort_ticks(t) % PROGRESS_TICKS))
			watch_progress(t, seconds_since(start), false);
	}
	watch_progress(t, 0, true);
	atomic_store(&t->stop, true);
	if (hang || !crew_join(t, &crew))
		return 1;
	add_stats(t);
	if (t->drilling && !findings_all() && !warm_up(t))
		return 1;
	close_space(t);
	return ret;
}

static void have_pins(struct torture *t)
{
	struct hold_device *dev;

	if (hold_device_create(t->mm, 1, NULL, NULL, &dev))
		return;
	t->pins = hold_device_pins(dev);
	hold_device_destroy(dev);
}

int torture_run(struct torture *t)
{
	struct rlimit files = { 4096, 4096 };
	uint64_t start = tort_now_ns();
	struct usage first, second;
	double rest;
	int ret;

	/* One arena only, as mappings that glibc keeps for threads would look like a leak. */
	mallopt(M_ARENA_MAX, 1);
	window_not_pump(NULL);
	prctl(PR_SET_TIMERSLACK, 1000);
	setrlimit(RLIMIT_NOFILE, &files);
	have_pins(t);
	t->brake = brake_probe();
	t->drilling = true;
	ret = cycle(t, start, t->opt.seconds);
	t->drilling = false;
	t->drill_seconds = seconds_since(start);
	if (!ret && !findings_all() && !t->interrupted) {
		usage_measure(&first);
		/*
		 * However long the drill took on a busy machine, the second cycle gets a part of
		 * the time.
		 */
		rest = t->opt.seconds - seconds_since(start);
		if (rest < t->opt.seconds * LEAST_FREE)
			rest = t->opt.seconds * LEAST_FREE;
		ret = cycle(t, tort_now_ns(), rest);
		usage_measure(&second);
		if (!ret && !findings_all() && !t->interrupted)
			usage_compare(&first, &second);
	}
	t->elapsed = seconds_since(start);
	return ret == 1 ? 0 : ret;
}
