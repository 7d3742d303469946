// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
#include "base/opening.h"
#include "base/deadline.h"
#include "base/epoch.h"
#include "base/number.h"

#include <stdatomic.h>
#include <time.h>

/*
 *	thread that opens		thread that forks
 *	opening++			forks++
 *	forks? wait a little		opening? wait a little
 *
 * At least one of the two sees the other. They wait only a little, as each may have to wait for the
 * other by way of a third thread.
 */
#define LITTLE_NS 100000000ULL

static _Atomic uint32_t forks;   /* how many forks are under way */
static _Atomic uint32_t opening; /* how many threads open a descriptor */
static _Thread_local unsigned int depth __attribute__((tls_model("initial-exec")));
static _Thread_local bool never_waits __attribute__((tls_model("initial-exec")));

static bool wait_for_none(const _Atomic uint32_t *count)
{
	const struct timespec ts = { 0, 20000 };
	uint64_t began = 0;

	while (atomic_load(count)) {
		if (!began)
			began = clock_ns();
		else if (clock_ns() - began > LITTLE_NS)
			return false;
		nanosleep(&ts, NULL);
	}
	return true;
}

void opening_count(void)
{
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

bool opening_waits(void)
{
	return !never_waits;
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