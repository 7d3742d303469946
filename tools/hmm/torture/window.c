// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * In builds with -Dmutations=true the library's hooks catch the pump at its points. In other builds
 * functions that every driver has do: a quiescer (before the read, and on resume) and an invalidate
 * callback. So an ordinary build holds all windows open except `polled` and `invalidated`.
 */
#include <errno.h>
#include "../../../devices/hold/hold.h"
#include "../../../lib/base/hooks.h"
#include "story.h"
#include "torture.h"

#define HOLD_TICKS 400
#define FINISH_TICKS 10
#define UNTOLD_NS 1000000

static __thread bool not_pump __attribute__((tls_model("initial-exec")));
static struct hmm_quiescer *quiescer;

static const char *const names[WINDOW_NR] = { "changed",     "polled",  "quiesced", "read",
					      "invalidated", "resumed", "announced" };

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

#ifdef HMM_MUTATIONS
static void on_hook(enum hmm_point w, void *arg)
{
	static const signed char map[HMM_POINT_NR] = {
		[HMM_POINT_POLLED] = WINDOW_POLLED,   [HMM_POINT_QUIESCED] = WINDOW_QUIESCED,
		[HMM_POINT_READ] = WINDOW_READ,       [HMM_POINT_INVALIDATED] = WINDOW_INVALIDATED,
		[HMM_POINT_RESUMED] = WINDOW_RESUMED,
	};

	if (map[w] && !not_pump)
		window_hold(arg, (enum window)map[w]);
	/* No scene is about these points, as any thread's fault may come to them. */
	if (w == HMM_POINT_UNDELIVERED || w == HMM_POINT_COUNTED)
		tort_pause(UNTOLD_NS);
}
#else
static void on_quiesce(void *priv)
{
	if (!not_pump)
		window_hold(priv, WINDOW_QUIESCED);
}

static void on_resume(void *priv)
{
	if (!not_pump)
		window_hold(priv, WINDOW_RESUMED);
}

static const struct hmm_quiescer_ops quiescer_ops = { sizeof(quiescer_ops), on_quiesce, on_resume };
#endif

/* One line a change, however many ranges of users are told of it: a fork is told to all. */
static void tell_story(struct torture *t, const struct hmm_invalidation *inv)
{
	static _Atomic uint64_t told;
	unsigned int i;

	if (atomic_exchange(&told, inv->seq) == inv->seq)
		return;
	for (i = 0; i < t->nslots; i++) {
		const struct slot *slot = &t->slots[i];

		if (inv->start < slot->base + slot->len && inv->end > slot->base)
			story(i, "invalidated: event, from, to", inv->event,
			      inv->start > slot->base ? (inv->start - slot->base) / slot->stride
						      : 0,
			      (inv->end - slot->base) / slot->stride);
	}
}

/* The brake, too, waits for this callback while a discard is announced. */
static void on_callback(const struct hmm_invalidation *inv, void *arg)
{
	struct torture *t = arg;

	tell_story(t, inv);
#ifndef HMM_MUTATIONS
	if (!not_pump)
		window_hold(t, WINDOW_READ);
#endif
	if (window_armed(t, WINDOW_ANNOUNCED))
		atomic_store(&t->windows.told, true);
}

int windows_init(struct torture *t)
{
	struct windows *win = &t->windows;

	atomic_store(&win->open, -1);
	atomic_store(&win->armed, -1);
	hold_set_callback_hook(on_callback, t);
#ifdef HMM_MUTATIONS
	hmm_hook_arg = t;
	hmm_hook_fn = on_hook;
	return 0;
#else
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
}

void window_arm(struct torture *t, enum window w, unsigned int op, bool effect, unsigned int wanted)
{
	struct windows *win = &t->windows;

	atomic_store(&win->op, op);
	atomic_store(&win->needs_effect, effect);
	atomic_store(&win->effect, false);
	atomic_store(&win->returned, false);
	atomic_store(&win->told, false);
	atomic_store(&win->visit, VISIT_NOT_YET);
	atomic_store(&win->wanted, wanted);
	atomic_store(&win->used, 0);
	atomic_store(&win->armed, (int)w);
}

bool window_armed(const struct torture *t, enum window w)
{
	return atomic_load(&t->windows.armed) == (int)w;
}

void window_disarm(struct torture *t)
{
	atomic_store(&t->windows.armed, -1);
}

bool window_all_used(const struct torture *t)
{
	const struct windows *win = &t->windows;

	if (atomic_load(&win->needs_effect) && !atomic_load(&win->effect))
		return false;
	return (atomic_load(&win->used) & atomic_load(&win->wanted)) == atomic_load(&win->wanted);
}

bool window_open(struct torture *t, enum window w)
{
	int visit = VISIT_NOT_YET;

	if (!window_armed(t, w) ||
	    !atomic_compare_exchange_strong(&t->windows.visit, &visit, VISIT_NOW))
		return false;
	atomic_store(&t->windows.open, (int)w);
	bell_ring(&t->bell);
	return true;
}

void window_close(struct torture *t)
{
	struct windows *win = &t->windows;
	int w = atomic_exchange(&win->open, -1);

	if (atomic_load(&win->used))
		atomic_fetch_add(&win->forced[atomic_load(&win->op)][w], 1);
	atomic_store(&win->visit, VISIT_OVER);
	bell_ring(&t->bell);
}

/*
 * The pump may run this, so it allocates nothing, takes no lock and touches no memory of the
 * program.
 */
void window_hold(struct torture *t, enum window w)
{
	uint64_t limit = tort_ticks(t) + HOLD_TICKS;

	if (!window_open(t, w))
		return;
	for (;;) {
		uint32_t seen = bell_look(&t->bell);

		if (window_all_used(t) || tort_ticks(t) >= limit || atomic_load(&t->stop))
			break;
		bell_wait(&t->bell, seen, TICK_NS);
	}
	window_close(t);
}

void window_returned(struct torture *t)
{
	if (atomic_load(&t->windows.armed) < 0)
		return;
	atomic_store(&t->windows.returned, true);
	window_effect(t);
}

void window_effect(struct torture *t)
{
	atomic_store(&t->windows.effect, true);
	bell_ring(&t->bell);
}

void window_finish(struct torture *t)
{
	uint64_t limit = tort_ticks(t) + FINISH_TICKS;

	for (;;) {
		uint32_t seen = bell_look(&t->bell);
		int visit = VISIT_NOT_YET;

		if (atomic_load(&t->windows.visit) == VISIT_OVER)
			break;
		/*
		 * The pump does not come to the point in time, and must not open the window later.
		 */
		if ((tort_ticks(t) >= limit || atomic_load(&t->stop)) &&
		    atomic_compare_exchange_strong(&t->windows.visit, &visit, VISIT_OVER))
			break;
		bell_wait(&t->bell, seen, TICK_NS);
	}
	window_disarm(t);
}

int window_use_begin(struct torture *t)
{
	struct windows *win = &t->windows;
	int open = atomic_load(&win->open);

	if (open < 0 || (atomic_load(&win->needs_effect) && !atomic_load(&win->effect)))
		return -1;
	return open;
}

void window_use_end(struct torture *t, int begun, unsigned int user)
{
	struct windows *win = &t->windows;
	unsigned int op = atomic_load(&win->op);

	if (begun < 0 || atomic_load(&win->open) != begun)
		return;
	atomic_fetch_add(&win->in_window[op][begun], 1);
	if (!(atomic_fetch_or(&win->used, 1U << user) & 1U << user))
		bell_ring(&t->bell);
}
