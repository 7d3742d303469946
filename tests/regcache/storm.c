// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* Stamps, floors, one use and one change. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include "spot_kinds.h"

/*
 * At the end of some registrations: time for a change of what was just registered, before the cache
 * has it.
 */
void storm_slow_pin(void)
{
	static _Thread_local unsigned int pins;
	const struct timespec pause = { 0, 50000 };

	if (++pins % 8 == 0)
		for (int i = 0; i < 4; i++)
			nanosleep(&pause, NULL);
}

uint64_t storm_random(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15ULL;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ z >> 27) * 0x94d049bb133111ebULL;
	return z ^ z >> 31;
}

/* stamp:40 | spot:12 | page:12, and spots count from 1: zero is no stamp */
static uint64_t word_of(const struct spot *spot, unsigned int page, uint64_t stamp)
{
	return stamp << 24 | (uint64_t)(spot->id + 1) << 12 | page;
}

int spots_make(struct storm *t)
{
	for (const struct spot_kind *const *kind = spot_kinds; *kind; kind++)
		for (unsigned int i = 0; i < (*kind)->number && (!(*kind)->strict || t->strict);
		     i++) {
			struct spot *spot = &t->spot[t->spots];
			int err;

			spot->id = t->spots++;
			spot->kind = *kind;
			pthread_mutex_init(&spot->lock, NULL);
			err = spot->kind->make(spot);
			if (err)
				return err;
			spot_paint(spot, 0, SPOT_PAGES, spot_begin(spot));
			spot_end(spot);
		}
	return 0;
}

uint64_t spot_begin(struct spot *spot)
{
	atomic_fetch_add(&spot->epoch, 1);
	return atomic_fetch_add(&spot->issued, 1) + 1;
}

void spot_paint(struct spot *spot, unsigned int lo, unsigned int hi, uint64_t stamp)
{
	for (unsigned int i = lo; i < hi; i++)
		atomic_store(&spot->page[i].floor, stamp);
	for (unsigned int i = lo; i < hi; i++) {
		__atomic_store_n(tag_of(spot_page(spot, i)), word_of(spot, i, stamp),
				 __ATOMIC_SEQ_CST);
		atomic_store(&spot->page[i].current, stamp);
	}
}

void spot_end(struct spot *spot)
{
	atomic_fetch_add(&spot->epoch, 1);
}

void spot_look(const struct spot *spot, struct view *view)
{
	view->epoch = atomic_load(&spot->epoch);
	view->at = atomic_load(&spot->at);
	for (unsigned int i = 0; i < SPOT_PAGES; i++)
		view->floor[i] = atomic_load(&spot->page[i].floor);
}

void storm_found(struct storm *t, _Atomic uint64_t *counter, const char *format, ...)
{
	va_list ap;

	atomic_fetch_add(counter, 1);
	pthread_mutex_lock(&t->finding_lock);
	if (!t->finding[0]) {
		va_start(ap, format);
		vsnprintf(t->finding, sizeof(t->finding), format, ap);
		va_end(ap);
	}
	pthread_mutex_unlock(&t->finding_lock);
	atomic_store(&t->stop, true);
}

/* What a use has seen, and between which states of the spot. */
struct sight {
	const struct view *view;
	uint64_t current[SPOT_PAGES], words[SPOT_PAGES];
	bool exact; /* nothing changed from before the get until after the look */
	bool hit, ordered;
};

static void judge(struct storm *t, struct spot *spot, unsigned int page, const struct sight *s,
		  unsigned int i)
{
	uint64_t word = s->words[i], stamp = word >> 24;
	bool ours = (word & 0xffffff) == (word_of(spot, page, 0) & 0xffffff);
	const char *how = !s->hit ? "a new registration" : s->ordered ? "an ordered hit" : "a hit";

	/*
	 * Not painted yet: a page that is just coming, or, without a device, one that was when it
	 * was registered.
	 */
	if (!word && (!s->exact || !t->device)) {
		atomic_fetch_add(&t->unknown, 1);
	} else if (s->exact && stamp != s->current[i]) {
		storm_found(t, &t->stale,
			    "spot %u (%s) page %u: %s shows stamp %llu, it is %llu since %s",
			    spot->id, spot->kind->name, page, how, (unsigned long long)stamp,
			    (unsigned long long)s->current[i], atomic_load(&spot->last));
	} else if (!ours) {
		/* What lay there meanwhile. */
		if (s->exact || spot->kind != &library_kind)
			storm_found(t, &t->wrong, "spot %u (%s) page %u: %s shows word %#llx",
				    spot->id, spot->kind->name, page, how,
				    (unsigned long long)word);
	} else if (stamp < s->view->floor[page]) {
		storm_found(t, &t->stale,
			    "spot %u (%s) page %u: %s shows stamp %llu, those below %llu were gone "
			    "before the get, by %s",
			    spot->id, spot->kind->name, page, how, (unsigned long long)stamp,
			    (unsigned long long)s->view->floor[page], atomic_load(&spot->last));
	} else if (stamp > atomic_load(&spot->issued)) {
		storm_found(t, &t->wrong, "spot %u (%s) page %u: %s shows stamp %llu of the future",
			    spot->id, spot->kind->name, page, how, (unsigned long long)stamp);
	}
}

/* Reads what is registered. 0 or -errno. */
static int see(const struct spot *spot, unsigned int lo, unsigned int hi,
	       const struct peer_use *held, struct sight *s)
{
	for (unsigned int i = lo; i < hi; i++) {
		int err = pin_words(held->id, s->view->at + i * spot->stride, 1, &s->words[i - lo]);

		if (err)
			return err;
		s->current[i - lo] = atomic_load(&spot->page[i].current);
	}
	return 0;
}

static bool expected(int err, bool alone)
{
	/* A hole, or no room while others hold what they have. */
	return (err == -EFAULT && !alone) || err == -ENOMEM || err == -ENOBUFS || err == -ENOSPC;
}

void storm_use(struct storm *t, struct spot *spot, unsigned int lo, unsigned int hi,
	       unsigned int flags, const struct view *view, bool alone)
{
	uint64_t made = pin_made(), length = (hi - lo - 1) * spot->stride + PAGE_BYTES;
	struct sight sight = { .view = view, .ordered = flags & PEER_ORDERED };
	struct peer_use held = { 0 };
	int err = t->peer->get(t->cache, view->at + lo * spot->stride, length, flags, &held);

	atomic_fetch_add(&t->gets, 1);
	if (err) {
		atomic_fetch_add(err == -EFAULT ? &t->unmapped : &t->failed, 1);
		if (!expected(err, alone))
			storm_found(t, &t->wrong, "get of spot %u (%s): %s", spot->id,
				    spot->kind->name, strerror(-err));
		return;
	}
	sight.hit = pin_made() == made;
	if (sight.hit)
		atomic_fetch_add(&t->hits, 1);
	err = see(spot, lo, hi, &held, &sight);
	t->peer->put(t->cache, &held);
	if (err) {
		storm_found(t, &t->wrong, "spot %u (%s): what get returned is no registration: %s",
			    spot->id, spot->kind->name, strerror(-err));
		return;
	}
	sight.exact = alone || (!(view->epoch & 1) && atomic_load(&spot->epoch) == view->epoch);
	if (atomic_load(&spot->at) != view->at)
		return;
	for (unsigned int i = lo; i < hi; i++)
		judge(t, spot, i, &sight, i - lo);
}

int storm_change(struct storm *t, struct spot *spot, uint64_t *random)
{
	const struct change *change =
		&spot->kind->changes[storm_random(random) % spot->kind->changes_nr];
	unsigned int lo = storm_random(random) % SPOT_PAGES;
	unsigned int hi = lo + 1 + storm_random(random) % (SPOT_PAGES - lo);
	uint64_t stamp;
	int err;

	pthread_mutex_lock(&spot->lock);
	stamp = spot_begin(spot);
	atomic_store(&spot->last, change->name);
	err = change->run(spot, &lo, &hi);
	if (!err)
		spot_paint(spot, lo, hi, stamp);
	spot_end(spot);
	atomic_fetch_add(&t->changes, 1);
	if (!err && storm_random(random) % 2) {
		struct view view;

		spot_look(spot, &view);
		hi = spot->stride > PAGE_BYTES ? lo + 1 : hi;
		storm_use(t, spot, lo, hi, storm_random(random) % 2 ? PEER_ORDERED : 0, &view,
			  true);
	}
	pthread_mutex_unlock(&spot->lock);
	if (err)
		storm_found(t, &t->wrong, "%s in spot %u: %s", change->name, spot->id,
			    strerror(-err));
	return err;
}
