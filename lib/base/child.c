/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#include "base/child.h"
#include "base/epoch.h"
#include "base/pool.h"

#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* ---- the list -------------------------------------------------------------------------------- */

/*
 * A child may see any state of this list. A place is free with number 0; who takes it writes what tells the file from
 * another with the same number first.
 */
struct place {
	_Atomic uint32_t number; /* descriptor + 1, or TAKEN */
	_Atomic uint64_t dev;
	_Atomic uint64_t ino;
};

#define TAKEN UINT32_MAX
#define PLACES 340 /* two pages */

struct places {
	struct places *_Atomic next;
	struct place place[PLACES];
};

static struct places places;

static _Thread_local bool never_waits __attribute__((tls_model("initial-exec")));

static struct places *next_places(struct places *p)
{
	struct places *next = atomic_load(&p->next);
	struct places *fresh;

	if (next)
		return next;
	fresh = pool_map(sizeof(*fresh));
	if (!fresh || atomic_compare_exchange_strong(&p->next, &next, fresh))
		return fresh;
	pool_unmap(fresh, sizeof(*fresh));
	return next;
}

int child_closes(int fd)
{
	struct stat st;

	if (fd < 0 || fstat(fd, &st))
		return fd;
	for (struct places *p = &places; p; p = next_places(p)) {
		for (int i = 0; i < PLACES; i++) {
			uint32_t none = 0;

			if (atomic_load_explicit(&p->place[i].number, memory_order_relaxed) ||
			    !atomic_compare_exchange_strong(&p->place[i].number, &none, TAKEN))
				continue;
			atomic_store(&p->place[i].dev, st.st_dev);
			atomic_store(&p->place[i].ino, st.st_ino);
			atomic_store(&p->place[i].number, (uint32_t)fd + 1);
			return fd;
		}
	}
	return fd; /* no memory: it is closed by exec alone */
}

/* The program may have closed it, and have another file under the number by now. */
static bool is_still_ours(const struct place *place, int fd)
{
	struct stat st;

	return !fstat(fd, &st) && st.st_dev == atomic_load(&place->dev) &&
	       st.st_ino == atomic_load(&place->ino);
}

static struct place *find(int fd)
{
	const uint32_t number = (uint32_t)fd + 1;

	for (struct places *p = &places; p; p = atomic_load(&p->next)) {
		for (int i = 0; i < PLACES; i++) {
			if (atomic_load_explicit(&p->place[i].number, memory_order_relaxed) ==
			    number)
				return &p->place[i];
		}
	}
	return NULL;
}

static void take_off(struct place *place, int fd)
{
	uint32_t number = (uint32_t)fd + 1;

	if (place)
		atomic_compare_exchange_strong(&place->number, &number, 0);
}

void child_keeps(int fd)
{
	take_off(find(fd), fd);
}

void close_ours(int fd)
{
	struct place *place;
	bool ours;

	if (fd < 0)
		return;
	opening_begin();
	place = find(fd);
	ours = place && is_still_ours(place, fd);
	/* Who does not wait for forks closes first: a child must not get what is on the list no more. */
	if (ours && never_waits)
		close(fd);
	take_off(place, fd);
	if (ours && !never_waits)
		close(fd);
	opening_end();
}

void child_close_all(void)
{
	for (struct places *p = &places; p; p = atomic_load(&p->next)) {
		for (int i = 0; i < PLACES; i++) {
			uint32_t number = atomic_exchange(&p->place[i].number, 0);

			if (number && number != TAKEN &&
			    is_still_ours(&p->place[i], (int)number - 1))
				/* By number: sanitizers keep books on descriptors, which are the parent's here. */
				syscall(SYS_close, (int)number - 1);
		}
	}
}

/* ---- opening beside a fork ------------------------------------------------------------------- */

/*
 * thread that opens		thread that forks
 * opening++			forks++
 * forks? wait a little		opening? wait a little
 *
 * One of the two sees the other. A little: each may wait for the other by way of a third.
 */
#define LITTLE_NS 100000000ULL

static _Atomic uint32_t forks;   /* under way */
static _Atomic uint32_t opening; /* threads that open */
static _Thread_local unsigned int depth __attribute__((tls_model("initial-exec")));

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

static bool wait_for_none(const _Atomic uint32_t *count)
{
	const struct timespec ts = { 0, 20000 };
	uint64_t began = 0;

	while (atomic_load(count)) {
		if (!began)
			began = now_ns();
		else if (now_ns() - began > LITTLE_NS)
			return false;
		nanosleep(&ts, NULL);
	}
	return true;
}

void opening_begin(void)
{
	epoch_look(); /* or it would be counted in what a child forgets */
	if (depth++)
		return;
	for (bool none = true; none; none = wait_for_none(&forks)) {
		atomic_fetch_add(&opening, 1);
		if (never_waits || !atomic_load(&forks))
			return;
		atomic_fetch_sub(&opening, 1);
	}
	atomic_fetch_add(&opening, 1);
}

void opening_end(void)
{
	if (!--depth)
		atomic_fetch_sub(&opening, 1);
}

void opening_never_waits(bool never)
{
	never_waits = never;
}

void opening_hold(bool on)
{
	atomic_fetch_add(&forks, on ? 1 : UINT32_MAX);
	if (on)
		wait_for_none(&opening);
}

void opening_forget(void)
{
	atomic_store(&forks, 0);
	atomic_store(&opening, depth ? 1 : 0);
}
