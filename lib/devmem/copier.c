// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * The copier of a region calls the driver's callbacks, one after the other: first for pages that
 * threads wait for, then for those that are to go home, then for those that have arrived. It holds
 * no lock meanwhile. What it works on stays in use until it is done, whatever becomes of the pages.
 */
#include "devmem/copy.h"
#include "space/debug.h"
#include "space/space.h"
#include "space/turn.h"
#include "base/deadline.h"
#include "base/futex.h"
#include "base/mutation.h"
#include "base/number.h"
#include "base/pool.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

/* so many blocks are copied in before their frames are emptied, which waits for the pump */
#define IN_BLOCKS 8
/* after so many errors in a row the rest is not tried */
#define ERRORS_MAX 16
#define TIMEOUT_NS 5000000000ULL
#define NAP_NS 1000000ULL
/* after so long without work the bounce buffers are given back */
#define BOUNCE_NS 10000000ULL

struct call {
	uint32_t first;
	uint32_t n;
	uint32_t touched; /* of these, the one that is waited for; else the first */
	bool in;
	bool urgent;
	enum copy_state out; /* what they become when they are copied out */
};

/* ---- what is to be done (R) ---------------------------------------------------------------- */

static uint32_t find(const struct copier *c, enum copy_state state)
{
	const uint32_t frames = c->d->frames;
	const uint32_t from = c->next % frames;
	const uint8_t *p = memchr(c->state + from, state, frames - from);

	if (!p)
		p = memchr(c->state, state, from);
	return p ? (uint32_t)(p - c->state) : 0;
}

static bool is_asked(const struct copier *c, uint32_t i)
{
	return c->state[i] == COPY_WANTED || c->state[i] == COPY_TOUCHED;
}

/* Where it is copied to. */
static enum copy_state choose_out(const struct copier *c, uint32_t first, uint32_t n)
{
	if (c->backed)
		return COPY_STAGED;
	if (c->huge && n == BLOCK_PAGES && !frames_split(c->d, first))
		return COPY_STAGED_HUGE;
	return bounce_take(c);
}

/* What is asked for around the frame, in one block. */
static void pick_out(struct copier *c, struct call *call, enum copy_state state)
{
	const uint32_t frame = find(c, state);
	uint32_t low = frame;
	uint32_t high = frame + 1;

	while (low % BLOCK_PAGES && is_asked(c, low - 1))
		low--;
	while (high % BLOCK_PAGES && is_asked(c, high))
		high++;
	*call = (struct call){ .first = low,
			       .n = high - low,
			       .touched = frame,
			       .urgent = state == COPY_TOUCHED,
			       .out = choose_out(c, low, high - low) };
	copy_set(c, low, high - low, COPY_OUT);
}

static void pick_in(struct copier *c, struct call *call)
{
	const uint32_t first = find(c, COPY_ARRIVED);
	const uint32_t end = min64(c->d->frames, first + IN_BLOCKS * BLOCK_PAGES);
	uint32_t i = first;

	while (i < end && c->state[i] == COPY_ARRIVED)
		i++;
	*call = (struct call){ .first = first, .n = i - first, .in = true };
	copy_set(c, first, i - first, COPY_IN);
}

static bool pick(struct copier *c, struct call *call)
{
	if (c->lost) {
		/* What has not been copied in yet is not lost. */
		copy_change(c, 0, c->d->frames, COPY_ARRIVED, COPY_HOST);
		return false;
	}
	if (c->count[COPY_TOUCHED])
		pick_out(c, call, COPY_TOUCHED);
	else if (c->count[COPY_WANTED])
		pick_out(c, call, COPY_WANTED);
	else if (c->count[COPY_ARRIVED])
		pick_in(c, call);
	else
		return false;
	if (!c->count[COPY_TOUCHED])
		atomic_store(&c->hurry, false);
	c->first = call->first;
	c->n = call->n;
	c->next = call->first + call->n;
	return true;
}

/* ---- the driver ---------------------------------------------------------------------------- */

static int call_in(const struct copier *c, uint64_t offset, uint64_t bytes)
{
	DEBUG_PROGRAM;
	const struct hmm_devmem_options *o = &c->d->options;

	return o->copy_in(c->d, offset, (const void *)(uintptr_t)(c->d->base + offset), bytes,
			  o->priv);
}

static int call_out(const struct copier *c, enum copy_state state, uint32_t first, uint32_t n)
{
	DEBUG_PROGRAM;
	const struct hmm_devmem_options *o = &c->d->options;
	const uint64_t page = c->d->space->page;

	return o->copy_out(c->d, first * page, (void *)(uintptr_t)copy_staged(c, state, first),
			   n * page, o->priv);
}

/* All at once is quicker than a fault for each page. */
static void make_room(struct copier *c, enum copy_state state, uint32_t first, uint32_t n)
{
	if (COPY_BIT(state) & COPY_BOUNCED)
		bounce_ready(c, state, first, n);
	else if (!c->backed)
		madvise((void *)(uintptr_t)copy_staged(c, state, first), n * c->d->space->page,
			MADV_POPULATE_WRITE);
}

/*
 * state: COPY_IN, or what is to become of pages that are copied out. -ECANCELED: the region has
 * ended meanwhile, and nothing but the copier is there any more.
 */
static int ask(struct copier *c, enum copy_state state, uint32_t first, uint32_t n)
{
	const uint64_t page = c->d->space->page;
	const bool in = state == COPY_IN;
	uint32_t phase = COPY_CALLS;
	int ret;

	if (!in)
		make_room(c, state, first, n);
	atomic_store(&c->since, clock_ns());
	atomic_store(&c->phase, COPY_CALLS);
	ret = in ? call_in(c, first * page, n * page) : call_out(c, state, first, n);
	if (!atomic_compare_exchange_strong(&c->phase, &phase, COPY_IDLE))
		return -ECANCELED;
	atomic_store(&c->since, 0);
	if (!ret)
		count(in ? &c->d->stats.copied_in : &c->d->stats.copied_out, n * page);
	return ret == -EACCES ? ret : ret ? -EIO : 0;
}

static void lock(const struct copier *c)
{
	pthread_mutex_lock(&c->d->mm->region_lock);
	turn_take(c->d->mm);
}

static void unlock(const struct copier *c)
{
	turn_end(c->d->mm);
	pthread_mutex_unlock(&c->d->mm->region_lock);
}

/* Those who wait look again. */
static void tell(struct copier *c, bool parked)
{
	struct devmem_space *s = c->d->space;

	atomic_fetch_add(&s->copied, 1);
	futex_wake(&s->copied);
	if (!parked)
		return;
	atomic_store(&s->staged, true);
	c->d->mm->wake(c->d->mm);
}

static enum copy_state outcome(const struct copier *c, enum copy_state out, int err)
{
	if (c->lost)
		return COPY_LOST;
	if (err == -EACCES)
		return COPY_KEPT;
	return err ? COPY_FAILED : out;
}

static void settle_out(struct copier *c, uint32_t first, uint32_t n, enum copy_state out, int err)
{
	bool parked;

	lock(c);
	copy_change(c, first, n, COPY_OUT, outcome(c, out, err));
	/* Then a mover that is quick finds the frames free. */
	if (n == c->n)
		c->n = 0;
	parked = c->d->space->parked;
	unlock(c);
	tell(c, parked);
}

/* All together were not copied: one page after the other, first the one that is waited for. */
static int one_by_one(struct copier *c, const struct call *call, bool quick)
{
	const enum copy_state out = call->out == COPY_STAGED_HUGE ? COPY_STAGED : call->out;
	uint32_t errors = 0;
	bool skips;
	int err = ask(c, out, call->touched, 1);

	if (err == -ECANCELED)
		return err;
	settle_out(c, call->touched, 1, out, err);
	for (uint32_t i = call->first; i < call->first + call->n; i++) {
		if (i == call->touched)
			continue;
		/* Others are not to wait for what nobody needs now, and may fail slowly. */
		skips = (call->urgent && !quick) || errors >= ERRORS_MAX;
		err = skips ? -EIO : ask(c, out, i, 1);
		if (err == -ECANCELED)
			return err;
		errors = err && err != -EACCES ? errors + 1 : 0;
		settle_out(c, i, 1, out, err);
	}
	return 0;
}

static int copy_out(struct copier *c, const struct call *call)
{
	const int err = ask(c, call->out, call->first, call->n);

	if (err == -ECANCELED)
		return err;
	if (err && call->n > 1)
		return one_by_one(c, call, err == -EACCES);
	settle_out(c, call->first, call->n, call->out, err);
	return 0;
}

/* The frames that were copied are emptied. */
static void empty_frames(struct copier *c, uint32_t first, uint32_t n)
{
	const uint64_t page = c->d->space->page;

	if (n)
		pool_discard((void *)(uintptr_t)(c->d->base + first * page), n * page);
	if (!hmm_mutation(HMM_MUTATION_KEEP_BOUNCE))
		bounce_empty(c);
	lock(c);
	copy_change(c, first, n, COPY_DROP, COPY_DEVICE);
	unlock(c);
}

/* A block at a time, until a thread waits for a page. */
static int copy_in(struct copier *c, const struct call *call)
{
	const enum copy_state copied = c->backed ? COPY_DEVICE : COPY_DROP;
	const uint32_t end = call->first + call->n;
	uint32_t at = call->first;
	uint32_t n = 0;
	bool empties;
	int err = 0;

	while (at < end && !err && !(at > call->first && atomic_load(&c->hurry))) {
		n = min64(end - at, BLOCK_PAGES - at % BLOCK_PAGES);
		err = ask(c, COPY_IN, at, n);
		at += err ? 0 : n;
	}
	if (err == -ECANCELED)
		return err;
	lock(c);
	copy_change(c, call->first, at - call->first, COPY_IN, c->lost ? COPY_HOST : copied);
	if (err)
		copy_change(c, at, n, COPY_IN, COPY_HOST);
	copy_change(c, at, end - at, COPY_IN, COPY_ARRIVED);
	empties = c->count[COPY_DROP];
	unlock(c);
	if (!c->backed)
		empty_frames(c, call->first, empties ? at - call->first : 0);
	return 0;
}

static int work(struct copier *c, const struct call *call)
{
	const int err = call->in ? copy_in(c, call) : copy_out(c, call);
	bool parked;

	if (err)
		return err;
	lock(c);
	c->n = 0;
	parked = c->d->space->parked;
	unlock(c);
	worker_wake(c->d->space);
	tell(c, parked);
	return 0;
}

/* ---- the thread ---------------------------------------------------------------------------- */

static void free_copier(struct hmm_devmem *d)
{
	struct copier *c = d->copier;

	pool_unmap(c->map, d->map_bytes);
	pool_unmap(c->huge_map, d->map_bytes);
	pool_unmap(c->bounce_map, c->bounce_bytes);
	pool_unmap(c->state, d->frames);
	pool_unmap(c, sizeof(*c));
	d->copier = NULL;
}

/* There is no work. */
static void rest(struct copier *c, uint32_t seen)
{
	if (bounce_holds(c)) {
		futex_wait(&c->work, seen, BOUNCE_NS);
		if (atomic_load(&c->work) != seen)
			return;
		atomic_store(&c->rests, true);
		bounce_empty(c);
	}
	futex_wait(&c->work, seen, HMM_FOREVER);
	atomic_store(&c->rests, false);
}

static void *copier_main(void *arg)
{
	struct hmm_devmem *d = arg;
	struct copier *c = d->copier;
	uint32_t seen;
	int err = 0;

	while (!err && ownthread_goes_on(&c->work, &c->stop, &seen)) {
		struct call call;
		bool found;

		lock(c);
		found = pick(c, &call);
		unlock(c);
		if (found)
			err = work(c, &call);
		else
			rest(c, seen);
	}
	if (err) {
		frames_unmap(d);
		free_copier(d);
		pool_unmap(d, sizeof(*d));
		return NULL;
	}
	atomic_store(&c->ended, 1);
	futex_wake(&c->ended);
	return NULL;
}

/* Where its first block begins; 0: there is no memory. */
static uint64_t make_stage(const struct hmm_devmem *d, uint64_t bytes, int advice, char **map)
{
	const uint64_t block = d->space->block;

	*map = pool_map_lazily(bytes);
	/* As the frames (frames.c). */
	if (!*map || madvise(*map, bytes, MADV_WIPEONFORK))
		return 0;
	madvise(*map, bytes, advice);
	return ((uint64_t)(uintptr_t)*map + block - 1) & ~(block - 1);
}

static bool make_memory(struct hmm_devmem *d, struct copier *c)
{
	c->state = pool_map_lazily(d->frames);
	if (c->backed) {
		c->stage = d->base;
		return c->state;
	}
	c->stage = make_stage(d, d->map_bytes, MADV_NOHUGEPAGE, &c->map);
	c->bounce_bytes = (BOUNCES + 1) * d->space->block;
	c->bounce = make_stage(d, c->bounce_bytes, MADV_NOHUGEPAGE, &c->bounce_map);
	if (!c->state || !c->stage || !c->bounce)
		return false;
	if (!d->space->large)
		return true;
	c->huge = make_stage(d, d->map_bytes, MADV_HUGEPAGE, &c->huge_map);
	return c->huge;
}

static bool make(struct hmm_devmem *d)
{
	struct copier *c = pool_map(sizeof(*c));

	if (!c)
		return false;
	c->d = d;
	c->backed = d->options.flags & HMM_DEVMEM_BACKED;
	c->timeout = d->options.copy_timeout_ns ? d->options.copy_timeout_ns : TIMEOUT_NS;
	d->copier = c;
	if (make_memory(d, c))
		return true;
	free_copier(d);
	return false;
}

int copier_start(struct hmm_devmem *d)
{
	int err;

	if (!d->options.copy_out)
		return 0;
	if (!make(d))
		return -ENOMEM;
	err = ownthread_start(&d->copier->thread, copier_main, d, 0);
	if (err)
		free_copier(d);
	return err;
}

void copier_empty(const struct copier *c, uint64_t offset, uint64_t bytes)
{
	if (c->map)
		pool_discard((void *)(uintptr_t)(c->stage + offset), bytes);
	if (c->huge)
		pool_discard((void *)(uintptr_t)(c->huge + offset), bytes);
}

static bool abandon(struct copier *c)
{
	const pthread_t id = c->thread.id;
	uint32_t phase = COPY_CALLS;

	if (!copy_overdue(c) || !atomic_compare_exchange_strong(&c->phase, &phase, COPY_ABANDONED))
		return false;
	pthread_detach(id);
	return true;
}

bool copier_stop(struct hmm_devmem *d)
{
	struct copier *c = d->copier;

	if (!c)
		return true;
	atomic_store(&c->stop, 1);
	atomic_fetch_add(&c->work, 1);
	futex_wake(&c->work);
	while (!atomic_load(&c->ended)) {
		if (abandon(c))
			return false;
		futex_wait(&c->ended, 0, NAP_NS);
	}
	ownthread_join(&c->thread);
	free_copier(d);
	return true;
}
