// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * Out of a mapping that may not be written, or may be executed. The pages of a block go to the
 * stage (devmem/stage.c), and from there to frames. What the kernel refuses to move there, too,
 * goes home. The kernel refuses that way as well, so home is a copy: of a page that somebody has
 * pinned it would be the wrong page that the program sees. Nobody tells which pages are pinned, but
 * the kernel counts them for the process, and so nothing moves while it counts any. (Linux 7 does
 * not count what io_uring pins for a process with CAP_IPC_LOCK. hmm-devmem(7) says so.) Locked
 * memory stays, as its lock would not come home.
 */
#include "migrate/migrate.h"
#include "mm/fork.h"
#include "devmem/moving.h"
#include "engine/gate.h"
#include "space/space.h"
#include "base/deadline.h"
#include "base/raw.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>

/* Is it "VmLck:\t       0 kB"? */
static bool is_zero(const char *status, const char *key)
{
	const char *at = strstr(status, key);

	if (!at)
		return false;
	at += strlen(key);
	while (*at == ' ' || *at == '\t')
		at++;
	return at[0] == '0' && at[1] == ' ';
}

/* Has the process locked memory, or pinned some? True: this cannot be told. */
static bool has_any(bool pinned)
{
	char buf[2048];
	const long fd =
		raw5(SYS_openat, AT_FDCWD, (long)"/proc/self/status", O_RDONLY | O_CLOEXEC, 0, 0);
	long n;

	if (fd < 0)
		return true;
	n = raw3(SYS_read, fd, (long)buf, sizeof(buf) - 1);
	raw3(SYS_close, fd, 0, 0);
	if (n <= 0)
		return true;
	buf[n] = '\0';
	return !is_zero(buf, "\nVmLck:") || (pinned && !is_zero(buf, "\nVmPin:"));
}

bool process_has_locked(void)
{
	return has_any(false);
}

int readonly_begin(struct migration *m)
{
	return atomic_load(&m->s->stage.gone) || has_any(true) ? -EBUSY : 0;
}

/* ---- to the stage: R is held, the gate is closed -------------------------------------------- */

/* [*at, *to): the next row that is at home. */
static int find_row(struct migration *m, uint64_t *at, uint64_t end, uint64_t *to)
{
	struct run run;
	place_t place;
	int err;

	for (; *at < end && (place = place_at(m->s, *at)); *at += m->s->page) {
		err = migrate_already(m, place);
		if (err)
			return err;
	}
	*to = places_next(m->s, *at, end, NULL, &run) ? run.start : end;
	return 0;
}

static int to_stage(struct migration *m, uint64_t start, uint64_t end)
{
	const struct stage *st = &m->s->stage;
	const uint32_t first = (uint32_t)((start & (m->s->block - 1)) / m->s->page);
	int err = migrate_reserve(m->s);

	if (!err && !migrate_tell(m, start, end))
		err = -EAGAIN;
	if (!err)
		err = places_put(m->s, start, end, st->area.id << FRAME_BITS | first, false);
	if (err)
		return err;
	m->s->stage.taken = true;
	err = stage_move(m->mm, start, end);
	if (err)
		places_take(m->s, start, end); /* does not fail, as there is a reserve */
	else
		coherent_forget(m->s, start, end); /* coming home it is a copy */
	return err;
}

/* Takes the stage if a page is at home. *to: up to where pages are on it, if there is no error. */
static int enter(struct migration *m, const struct hmm_vma *vma, uint64_t *at, uint64_t end,
		 uint64_t *to)
{
	int err;

	err = moving_ready(m, vma, *at, end);
	if (err)
		return err;
	err = find_row(m, at, end, to);
	if (!err && *at < *to)
		err = to_stage(m, *at, *to);
	moving_end(m->mm);
	gate_open(m->mm);
	return err;
}

/* ---- from the stage to frames --------------------------------------------------------------- */

/* The CPU may have taken pages home, the program may have moved or dropped them. */
static int move_rest(struct migration *m, uint64_t *at, uint64_t end)
{
	const struct hmm_devmem *stage = &m->s->stage.area;
	struct run run;
	int err = 0;

	while (!err && places_next(m->s, *at, end, stage, &run)) {
		const uint64_t from = place_addr(m->s, run.first);

		migrate_left(m, HMM_MIGRATE_BUSY, run.start - *at);
		*at = run.start;
		m->shift = from - *at;
		err = migrate_reserve(m->s);
		if (!err)
			err = migrate_row(m, at, run.end,
					  migrate_is_huge(m, from, from + (run.end - run.start),
							  from + m->s->block));
		m->shift = 0;
	}
	if (!err) {
		migrate_left(m, HMM_MIGRATE_BUSY, end - *at);
		*at = end;
	}
	return err;
}

static int turn(struct migration *m, migrate_move move, uint64_t *at, uint64_t end)
{
	int err;

	if (m->s->closed)
		return -ESRCH;
	/* A thread that forks brings home what is on the stage. */
	if (mm_forking())
		return -EAGAIN;
	err = gate_close(m->mm, m->deadline);
	if (err)
		return err;
	err = -EAGAIN;
	if (moving_begin(m->mm)) {
		m->huge_from = m->huge_to = 0;
		err = move(m, at, end);
		moving_end(m->mm);
	}
	gate_open(m->mm);
	return err;
}

int migrate_turn(struct migration *m, migrate_move move, uint64_t *at, uint64_t end)
{
	int err;

	moving_let_pump(m->mm);
	err = deadline_lock(&m->mm->region_lock, m->deadline);
	if (err)
		return err;
	err = turn(m, move, at, end);
	pthread_mutex_unlock(&m->mm->region_lock);
	return err;
}

/* The mapping in the stage may be written, whatever the program's may. */
static void populate(struct migration *m, uint64_t at)
{
	const uint64_t start = m->s->stage.to + (at - m->s->stage.from);
	const uint64_t bytes = m->want - at;

	m->populated = m->want;
	if (!madvise((void *)(uintptr_t)start, bytes, MADV_POPULATE_WRITE))
		return;
	m->populated = at + m->s->page;
	madvise((void *)(uintptr_t)start, m->s->page, MADV_POPULATE_WRITE);
}

static int to_frames(struct migration *m, uint64_t *at, uint64_t end)
{
	unsigned int round = 0;
	int err = 0;

	m->populated = *at;
	while (*at < end) {
		const uint64_t was = *at;

		err = migrate_turn(m, move_rest, at, end);
		if (err == MIGRATE_POPULATE)
			populate(m, *at);
		else if (err == MIGRATE_EVICT)
			migrate_evict(m);
		else if (err && (err != -EAGAIN || deadline_passed(m->deadline)))
			break;
		round = *at > was ? 0 : round + 1;
		if (err == -EAGAIN)
			deadline_pause(round);
	}
	return err;
}

/* ---- all ------------------------------------------------------------------------------------ */

/* *taken: the stage is this thread's. */
static int enter_locked(struct migration *m, const struct hmm_vma *vma, uint64_t *at, uint64_t end,
			uint64_t *to, bool *taken)
{
	int err;

	moving_let_pump(m->mm);
	err = deadline_lock(&m->mm->region_lock, m->deadline);
	if (err)
		return err;
	err = -EAGAIN;
	if (!m->s->stage.taken) {
		err = enter(m, vma, at, end, to);
		*taken = m->s->stage.taken;
	}
	pthread_mutex_unlock(&m->mm->region_lock);
	return err;
}

/* mremap() has failed. The mapping has changed, or there is no room for another one. */
static int not_taken(struct migration *m, uint64_t *at, uint64_t to, int err)
{
	stage_leave(m->mm, false);
	if (err == -EFAULT)
		return -ESTALE;
	migrate_left(m, HMM_MIGRATE_PERMISSION, to - *at);
	*at = to;
	return 0;
}

static int pass_through(struct migration *m, const struct hmm_vma *vma, uint64_t *at, uint64_t end)
{
	uint64_t to = *at;
	bool taken = false;
	bool ours;
	int err = enter_locked(m, vma, at, end, &to, &taken);

	if (!taken)
		return err;
	if (err)
		return not_taken(m, at, to, err);
	ours = stage_wait(m->mm);
	err = ours ? to_frames(m, at, to) : -ESTALE;
	stage_leave(m->mm, ours);
	return err;
}

int readonly_block(struct migration *m, const struct hmm_vma *vma, uint64_t *at, uint64_t end)
{
	uint64_t old;
	int err;

	moving_mask(&old);
	err = pass_through(m, vma, at, block_end(m, *at, end));
	moving_unmask(&old);
	return err;
}
