// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * Windows are reached by the pump itself: through the library's hooks in builds with
 * -Dmutations=true, elsewhere through what every driver has: a quiescer (before the read, and on
 * resume) and an invalidate callback. So an ordinary build holds all of them open but one:
 * `polled`.
 */
#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "../../../devices/hold/hold.h"
#include "../../../lib/base/hooks.h"
#include "torture.h"

/* All far below the watchdog's 50 ms, and long enough for a busy machine. */
#define EFFECT_NS 10000000ULL
#define LIMIT_NS 4000000ULL
#define READY_NS 20000000ULL
#define USES_WANTED 2

static __thread bool not_pump __attribute__((tls_model("initial-exec")));
static struct torture *hooked;
static struct hmm_quiescer *quiescer;
static pthread_mutex_t arm_lock = PTHREAD_MUTEX_INITIALIZER;

static const char *const names[WINDOW_NR] = { "changed", "polled",      "quiesced",
					      "read",    "invalidated", "resumed" };

const char *window_name(enum window w)
{
	return names[w];
}

void window_not_pump(const char *name)
{
	not_pump = true;
	if (name)
		pthread_setname_np(pthread_self(), name);
}

bool window_available(enum window w)
{
#ifdef HMM_MUTATIONS
	return true;
#else
	return w != WINDOW_POLLED && w != WINDOW_INVALIDATED;
#endif
}

/* On the pump: no malloc, no locks, nothing of the program's. */
static void window_hit(struct torture *t, enum window w)
{
	struct windows *win = &t->windows;
	uint64_t limit;

	if (not_pump || atomic_load(&win->phase) != PHASE_RUN || atomic_load(&win->armed) != (int)w)
		return;
	if (atomic_exchange(&win->fired, true))
		return;
	atomic_store(&win->open, (int)w);
	limit = tort_now_ns() + EFFECT_NS;
	while (atomic_load(&win->needs_effect) && !atomic_load(&win->effect) &&
	       tort_now_ns() < limit && !atomic_load(&t->stop))
		tort_pause(5000);
	limit = tort_now_ns() + LIMIT_NS;
	while (atomic_load(&win->uses) < USES_WANTED && tort_now_ns() < limit &&
	       !atomic_load(&t->stop))
		tort_pause(5000);
	atomic_store(&win->open, -1);
}

#ifdef HMM_MUTATIONS
static void on_hook(enum hmm_window w, void *arg)
{
	static const signed char map[HMM_WINDOW_NR] = {
		[HMM_WINDOW_POLLED] = WINDOW_POLLED,
		[HMM_WINDOW_QUIESCED] = WINDOW_QUIESCED,
		[HMM_WINDOW_READ] = WINDOW_READ,
		[HMM_WINDOW_INVALIDATED] = WINDOW_INVALIDATED,
		[HMM_WINDOW_RESUMED] = WINDOW_RESUMED,
	};

	if (map[w])
		window_hit(arg, (enum window)map[w]);
}
#else
static void on_quiesce(void *priv)
{
	window_hit(priv, WINDOW_QUIESCED);
}

static void on_resume(void *priv)
{
	window_hit(priv, WINDOW_RESUMED);
}

static void on_callback(const struct hmm_invalidation *inv, void *arg)
{
	window_hit(arg, WINDOW_READ);
}

static const struct hmm_quiescer_ops quiescer_ops = { sizeof(quiescer_ops), on_quiesce, on_resume };
#endif

static int find_uffd(void)
{
	char path[64], what[64];
	struct dirent *e;
	DIR *d = opendir("/proc/self/fd");
	int fd = -1;

	while (d && fd < 0 && (e = readdir(d))) {
		ssize_t n;

		snprintf(path, sizeof(path), "/proc/self/fd/%.20s", e->d_name);
		n = readlink(path, what, sizeof(what) - 1);
		if (n <= 0)
			continue;
		what[n] = 0;
		if (strstr(what, "[userfaultfd]"))
			fd = atoi(e->d_name);
	}
	if (d)
		closedir(d);
	return fd;
}

int windows_init(struct torture *t)
{
	struct windows *win = &t->windows;

	atomic_store(&win->open, -1);
	atomic_store(&win->armed, -1);
	atomic_store(&win->phase, PHASE_IDLE);
	win->uffd = find_uffd();
	hooked = t;
#ifdef HMM_MUTATIONS
	hmm_hook_arg = t;
	hmm_hook_fn = on_hook;
	return 0;
#else
	hold_set_callback_hook(on_callback, t);
	return hmm_quiescer_add(t->mm, &quiescer_ops, t, &quiescer);
#endif
}

void windows_exit(struct torture *t)
{
#ifdef HMM_MUTATIONS
	hmm_hook_fn = NULL;
#endif
	hold_set_callback_hook(NULL, NULL);
	hmm_quiescer_remove(quiescer);
	quiescer = NULL;
	hooked = NULL;
}

bool window_try_arm(struct torture *t, enum window w, unsigned int slot, unsigned int page,
		    unsigned int op, bool needs_effect)
{
	struct windows *win = &t->windows;

	if (pthread_mutex_trylock(&arm_lock))
		return false;
	atomic_store(&win->armed, (int)w);
	atomic_store(&win->slot, slot);
	atomic_store(&win->page, page);
	atomic_store(&win->op, op);
	atomic_store(&win->needs_effect, needs_effect);
	atomic_store(&win->effect, false);
	atomic_store(&win->returned, false);
	atomic_store(&win->fired, false);
	atomic_store(&win->ready, 0);
	atomic_store(&win->uses, 0);
	atomic_store(&win->phase, PHASE_PREPARE);
	return true;
}

static void disarm(struct windows *win)
{
	atomic_store(&win->phase, PHASE_IDLE);
	atomic_store(&win->armed, -1);
	pthread_mutex_unlock(&arm_lock);
}

bool window_faults_begin(struct torture *t, unsigned int slot)
{
	if (pthread_mutex_trylock(&arm_lock))
		return false;
	atomic_store(&t->windows.slot, slot);
	atomic_store(&t->windows.phase, PHASE_FAULT);
	return true;
}

void window_faults_end(struct torture *t)
{
	disarm(&t->windows);
}

bool window_wait_ready(struct torture *t)
{
	struct windows *win = &t->windows;
	uint64_t limit = tort_now_ns() + READY_NS;
	unsigned int ready;

	do {
		ready = atomic_load(&win->ready);
		if (ready == (1U << USERS) - 1)
			break;
		tort_pause(5000);
	} while (tort_now_ns() < limit && !atomic_load(&t->stop));
	if (!(ready & ~1U)) {
		/* Nobody holds the page: it is in doubt, or never cached. */
		disarm(win);
		return false;
	}
	atomic_store(&win->phase, PHASE_RUN);
	return true;
}

void window_returned(struct torture *t)
{
	atomic_store(&t->windows.returned, true);
	atomic_store(&t->windows.effect, true);
}

void window_effect(struct torture *t)
{
	atomic_store(&t->windows.effect, true);
}

void window_finish(struct torture *t)
{
	struct windows *win = &t->windows;
	uint64_t limit = tort_now_ns() + LIMIT_NS;

	/* The pump may have yet to come to the window: it runs on its own after the read. */
	while (!atomic_load(&win->fired) && tort_now_ns() < limit && !atomic_load(&t->stop))
		tort_pause(5000);
	while (atomic_load(&win->open) >= 0)
		tort_pause(5000);
	disarm(win);
}

void window_hold_changed(struct torture *t)
{
	struct windows *win = &t->windows;
	struct pollfd pfd = { .fd = win->uffd, .events = POLLIN };

	if (win->uffd < 0 || atomic_load(&win->armed) != WINDOW_CHANGED ||
	    atomic_load(&win->phase) != PHASE_RUN)
		return;
	if (poll(&pfd, 1, 0) || atomic_exchange(&win->fired, true))
		return;
	atomic_store(&win->open, WINDOW_CHANGED);
	while (!atomic_load(&win->returned) && !atomic_load(&t->stop) && !poll(&pfd, 1, 0))
		;
	atomic_store(&win->open, -1);
}

int window_use_begin(struct torture *t)
{
	struct windows *win = &t->windows;
	int open = atomic_load(&win->open);

	if (open < 0 || (atomic_load(&win->needs_effect) && !atomic_load(&win->effect)))
		return -1;
	return open;
}

void window_use_end(struct torture *t, int begun)
{
	struct windows *win = &t->windows;
	unsigned int op = atomic_load(&win->op);

	if (begun < 0 || atomic_load(&win->open) != begun)
		return;
	if (atomic_fetch_add(&win->uses, 1) == 0)
		atomic_fetch_add(&win->forced[op][begun], 1);
	atomic_fetch_add(&win->in_window[op][begun], 1);
}
