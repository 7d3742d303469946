// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * Shared memory that a device takes exclusively (devmem/alias.c). Its pages stay where they are.
 *
 *	R, moving, the gate is closed: traps the mapping, as out.c does
 *	notes the places, has the stage's thread take the entries away, lets go
 *	when that is told: the other mapping is registered no more, its pages are there
 *
 * A touch is a fault from the second step on, and is answered as for any page that is away. What it
 * took home is not given to the device. Frames on their way are not used again before the end.
 */
#include "migrate/migrate.h"
#include "mm/fork.h"
#include "devmem/moving.h"
#include "engine/gate.h"
#include "space/space.h"
#include "space/turn.h"
#include "provider/provider.h"
#include "kernel/abi/madvise.h"
#include "base/deadline.h"

#include <errno.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define NOBODYS (MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE)

/* The call would end the lock of locked memory. */
bool shared_may(const struct migration *m, const struct hmm_vma *vma)
{
	const int writable = PROT_READ | PROT_WRITE;

	return m->need_alias && vma->shared && vma->kind == HMM_VMA_SHMEM &&
	       m->mm->provider.shows && vma->page_size == m->s->page &&
	       (vma->prot & writable) == writable && !process_has_locked();
}

/* A row on its way. */
struct row {
	uint64_t start, end;
	uint64_t to;
	uint32_t first, n;
	bool taken; /* the stage's thread is at work for us */
};

/* The next pages that nobody has: how many have frames. 0; -EAGAIN: none for now. */
static int choose(struct migration *m, uint64_t *at, uint64_t end, struct row *r)
{
	struct run run = { .start = end };

	if (places_next(m->s, *at, end, NULL, &run) && run.start > *at) {
		end = run.start;
	} else if (run.start == *at) {
		migrate_left(m, HMM_MIGRATE_ELSEWHERE, run.end - *at);
		*at = run.end;
		return 0;
	}
	r->n = frames_take(m->d, (uint32_t)((end - *at) / m->s->page), false, false, &r->first);
	if (!r->n && m->d->dying)
		return -EAGAIN;
	if (!r->n) {
		migrate_left(m, HMM_MIGRATE_EXHAUSTED, end - *at);
		*at = end;
	}
	r->start = *at;
	r->end = *at + r->n * m->s->page;
	r->to = m->d->base + r->first * m->s->page;
	return 0;
}

/* R, it moves. Afterwards, if the row is taken, pages are on their way unless there is an error. */
static int send(struct migration *m, struct row *r)
{
	int err = migrate_reserve(m->s);

	if (!err && !migrate_tell(m, r->start, r->end))
		err = -EAGAIN;
	if (!err)
		err = places_put(m->s, r->start, r->end, m->d->id << FRAME_BITS | r->first, false);
	if (err) {
		frames_untake(m->d, r->first, r->n);
		return err;
	}
	r->taken = m->s->stage.taken = true;
	err = stage_send(m->mm, r->start, r->end, r->to);
	if (err)
		places_take(m->s, r->start, r->end); /* does not fail, as there is a reserve */
	return err;
}

static int enter(struct migration *m, const struct hmm_vma *vma, uint64_t *at, uint64_t end,
		 struct row *r)
{
	int err;

	if (m->s->stage.taken)
		return -EAGAIN;
	err = moving_ready(m, vma, *at, end);
	if (err)
		return err;
	err = choose(m, at, end, r);
	if (!err && r->n)
		err = send(m, r);
	moving_end(m->mm);
	gate_open(m->mm);
	return err;
}

static int enter_locked(struct migration *m, const struct hmm_vma *vma, uint64_t *at, uint64_t end,
			struct row *r)
{
	int err;

	moving_let_pump(m->mm);
	err = deadline_lock(&m->mm->region_lock, m->deadline);
	if (err)
		return err;
	err = enter(m, vma, at, end, r);
	pthread_mutex_unlock(&m->mm->region_lock);
	return err;
}

/* ---- what was not ours ---------------------------------------------------------------------- */

static void forget_places(struct migration *m, const struct row *r)
{
	struct run run;

	pthread_mutex_lock(&m->mm->region_lock);
	turn_take(m->mm);
	for (uint64_t at = 0; places_next(m->s, at, UINT64_MAX, m->d, &run); at = run.end) {
		const uint32_t first = place_frame(run.first);

		if (first >= r->first && first < r->first + r->n)
			places_take(m->s, run.start, run.end);
	}
	turn_end(m->mm);
	pthread_mutex_unlock(&m->mm->region_lock);
}

/*
 * A call that has failed may have left a hole, or not, and the program may have mapped something in
 * it. If this cannot be told the frames stay in use for good.
 */
static bool mend(const struct row *r)
{
	const uint64_t bytes = r->end - r->start;

	return syscall(SYS_mmap, r->to, bytes, PROT_NONE, NOBODYS, -1, 0L) == (long)r->to;
}

static void leave(struct migration *m)
{
	pthread_mutex_lock(&m->mm->region_lock);
	turn_take(m->mm);
	m->s->stage.taken = false;
	turn_end(m->mm);
	pthread_mutex_unlock(&m->mm->region_lock);
	worker_wake(m->s);
}

static void abandon(struct migration *m, const struct row *r)
{
	const bool mended = mend(r);

	pthread_mutex_lock(&m->mm->region_lock);
	turn_take(m->mm);
	frames_abandon(m->d, r->first, r->n, !mended);
	turn_end(m->mm);
	pthread_mutex_unlock(&m->mm->region_lock);
	leave(m);
}

/* ---- all ------------------------------------------------------------------------------------ */

/* What of it the CPU has taken home meanwhile the device does not get. */
static void note(struct migration *m, const struct row *r)
{
	const place_t first = m->d->id << FRAME_BITS | r->first;

	pthread_mutex_lock(&m->mm->region_lock);
	turn_take(m->mm);
	for (uint32_t i = 0; m->arrived && i < r->n; i++) {
		const uint64_t at = r->start + i * m->s->page;

		if (place_at(m->s, at) == first + i)
			m->arrived(m, at, r->first + i, 1);
	}
	turn_end(m->mm);
	pthread_mutex_unlock(&m->mm->region_lock);
}

static void finish(struct migration *m, const struct row *r)
{
	const uint64_t bytes = r->end - r->start;

	m->mm->provider.ops->unwatch(&m->mm->provider, r->to, r->to + bytes);
	if (madvise((void *)(uintptr_t)r->to, bytes, MADV_POPULATE_WRITE)) {
		devmem_home(m->mm, r->start, r->end, m->d, 0);
		migrate_left(m, HMM_MIGRATE_BUSY, bytes);
	} else {
		note(m, r);
	}
	leave(m);
	m->deadline = deadline_after(m->timeout);
}

static int pass(struct migration *m, const struct hmm_vma *vma, uint64_t *at, uint64_t end)
{
	struct row r = { .n = 0 };
	int err = enter_locked(m, vma, at, end, &r);

	if (!r.taken)
		return err;
	if (err) {
		abandon(m, &r);
		if (err == -EFAULT)
			return -ESTALE;
		migrate_left(m, HMM_MIGRATE_PERMISSION, r.end - r.start);
	} else if (!stage_told(m->mm)) {
		forget_places(m, &r);
		stage_return(m->mm);
		abandon(m, &r);
		return -ESTALE;
	} else {
		finish(m, &r);
	}
	*at = r.end;
	return 0;
}

static int one(struct migration *m, const struct hmm_vma *vma, uint64_t *at, uint64_t end)
{
	uint64_t old;
	int err;

	moving_mask(&old);
	err = pass(m, vma, at, block_end(m, *at, end));
	moving_unmask(&old);
	return err;
}

static int take(struct migration *m, const struct hmm_vma *vma, uint64_t at, uint64_t end)
{
	uint64_t word;

	for (unsigned int round = 0; at < end;) {
		int err = mm_alive(m->mm);

		if (!err)
			err = mm_fork_wait(m->deadline, &word);
		if (!err)
			err = one(m, vma, &at, end);
		round = err ? round + 1 : 0;
		if (err == -EOPNOTSUPP) {
			migrate_left(m, HMM_MIGRATE_SHARED, end - at);
			return 0;
		}
		if (err == -ESTALE) {
			m->stale_at = at;
			return -EAGAIN;
		}
		if (err < 0 && err != -EAGAIN)
			return err;
		if (err && deadline_passed(m->deadline))
			return -EBUSY;
		if (err)
			deadline_pause(round);
	}
	return 0;
}

int shared_take(struct migration *m, const struct hmm_vma *vma, uint64_t at, uint64_t end)
{
	struct hmm_devmem *const d = m->d;
	int err = m->need_alias(m->mm);

	if (err)
		return err;
	m->d = atomic_load(&m->s->alias);
	m->shares = true;
	err = take(m, vma, at, end);
	m->shares = false;
	m->d = d;
	return err;
}
