// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * The stage. The kernel moves no page out of a mapping that may not be written. But mremap() with
 * MREMAP_DONTUNMAP takes the pages of any private mapping to another address, at once, and leaves
 * the mapping, in which a touch is a fault from then on. So such pages go to the stage, which is
 * made writable, and from there to frames. While they are there the index of places says so, and a
 * thread that needs one gets it from there, as from device memory.
 *
 * The call waits until its event is read, and the pump reads when it has R. So a thread of its own
 * makes the call, while the mover holds R, keeps thieves away (moving.h), and looks when it has
 * taken effect:
 *
 *	mover				this thread		pump, or a thief
 *	R, moving, the gate is closed
 *	looks whether the mapping is ours
 *	notes the places
 *					mremap: the pages go
 *	sees that, makes them writable
 *	R, moving, gate: lets go
 *							reads, ignores the event
 *					goes on
 *	R: moves them to frames
 *
 * So what the program does to the mapping meanwhile is told afterwards, and finds the places: an
 * unmapping or a discard drops them, a move takes them along. A discard that is told before has not
 * begun yet. The kernel looks at the range alone: if a munmap() of another thread's is under way,
 * and a third thread has mapped memory anew there, between the look and the call, then that is
 * taken. It is not registered, which tells, and is put back.
 *
 * The calls are raw: what stands in for libc's may tell the library of them (preload).
 */
#include "devmem/devmem.h"
#include "devmem/moving.h"
#include "space/space.h"
#include "space/turn.h"
#include "provider/provider.h"
#include "kernel/vma.h"
#include "base/deadline.h"
#include "base/futex.h"
#include "base/pool.h"
#include "base/raw.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#ifndef MREMAP_DONTUNMAP
#define MREMAP_DONTUNMAP 4
#endif

#define NOBODYS (MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE)

static int take_away(const struct stage *st)
{
	const long to = raw5(SYS_mremap, (long)st->from, (long)st->bytes, (long)st->bytes,
			     MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP, (long)st->to);

	return to == (long)st->to ? 0 : (int)to;
}

static void *stage_main(void *arg)
{
	struct stage *st = arg;
	uint32_t asked;

	while (ownthread_goes_on(&st->asked, &st->stop, &asked)) {
		if (asked == atomic_load(&st->answered)) {
			futex_wait(&st->asked, asked, HMM_FOREVER);
			continue;
		}
		st->err = take_away(st);
		atomic_store(&st->answered, asked);
		futex_wake(&st->answered);
	}
	return NULL;
}

/* ---- making and ending --------------------------------------------------------------------- */

int stage_start(struct devmem_space *s)
{
	struct hmm_devmem *d = &s->stage.area;
	int err;

	d->mm = s->mm;
	d->space = s;
	d->stage = true;
	d->id = REGIONS_MAX;
	d->frames = BLOCK_PAGES;
	d->options.bytes = s->block;
	d->options.fault_around = s->page;
	/* It never begins or ends with the stage, so a mapping that does is another. */
	d->map_bytes = 3 * s->block;
	d->map = pool_reserve(d->map_bytes);
	if (!d->map)
		return -ENOMEM;
	d->base = ((uint64_t)(uintptr_t)d->map + s->block) & ~(s->block - 1);
	err = ownthread_start(&s->stage.thread, stage_main, &s->stage, 0);
	if (err) {
		pool_unmap(d->map, d->map_bytes);
		return err;
	}
	s->region[d->id] = d;
	return 0;
}

void stage_stop(struct devmem_space *s)
{
	atomic_store(&s->stage.stop, 1);
	atomic_fetch_add(&s->stage.asked, 1);
	futex_wake(&s->stage.asked);
	ownthread_join(&s->stage.thread);
	s->region[s->stage.area.id] = NULL;
	pool_unmap(s->stage.area.map, s->stage.area.map_bytes);
}

bool stage_has(const struct devmem_space *s, uint64_t addr)
{
	return (!atomic_load(&s->stage.gone) && addr - s->stage.area.base < s->block) ||
	       alias_has(s, addr);
}

/* ---- there and back ------------------------------------------------------------------------ */

/* The program may have closed the library's descriptors. */
static int peek_anew(uint64_t addr, struct hmm_vma *vma)
{
	const long fd =
		raw5(SYS_openat, AT_FDCWD, (long)"/proc/self/maps", O_RDONLY | O_CLOEXEC, 0, 0);
	struct vma_raw raw;
	int err;

	if (fd < 0)
		return (int)fd;
	err = vma_maps_lookup((int)fd, addr, &raw);
	raw3(SYS_close, fd, 0, 0);
	*vma = raw.vma;
	return err;
}

/* Without /proc: is a page there? Where none is nothing can be lost. */
static bool has_pages(const struct stage *st, uint64_t page)
{
	unsigned char there;

	for (uint64_t at = st->to; at < st->to + st->bytes; at += page) {
		if (!raw3(SYS_mincore, (long)at, (long)page, (long)&there) && there & 1)
			return true;
	}
	return false;
}

static bool has_arrived(struct hmm_mm *mm, const struct stage *st)
{
	struct hmm_vma now;
	int err = vma_peek(mm_vmas(mm), st->to, &now);

	if (err)
		err = peek_anew(st->to, &now);
	if (err)
		return has_pages(st, devmem_of(mm)->page);
	/* What is free between other frames is no shared memory. */
	return now.start == st->to && now.end == st->to + st->bytes && now.shared == st->shared;
}

/* Looks until the pages are in the stage, or the call has failed. */
static int see(struct hmm_mm *mm, struct stage *st, uint32_t asked)
{
	for (unsigned int round = 0; atomic_load(&st->answered) != asked; round++) {
		if (has_arrived(mm, st))
			return 0;
		deadline_spin(round);
	}
	return st->err;
}

/*
 * Another key of protection than 0 could keep the pump's thread from reading; not all processors
 * have keys. Memory that was never writable counts as the program's from here on: if there is not
 * enough the pages go home.
 */
static void make_writable(const struct stage *st)
{
	const long to = (long)st->to;
	const long bytes = (long)st->bytes;

	if (!raw5(SYS_pkey_mprotect, to, bytes, PROT_READ | PROT_WRITE, 0, 0) ||
	    !raw3(SYS_mprotect, to, bytes, PROT_READ | PROT_WRITE))
		return;
	if (raw5(SYS_pkey_mprotect, to, bytes, PROT_READ, 0, 0))
		raw3(SYS_mprotect, to, bytes, PROT_READ);
}

static int send(struct hmm_mm *mm, uint64_t start, uint64_t end, uint64_t to, bool shared)
{
	struct stage *st = &devmem_of(mm)->stage;
	uint32_t asked;

	st->from = start;
	st->to = to;
	st->bytes = end - start;
	st->shared = shared;
	asked = atomic_fetch_add(&st->asked, 1) + 1;
	futex_wake(&st->asked);
	return see(mm, st, asked);
}

int stage_move(struct hmm_mm *mm, uint64_t start, uint64_t end)
{
	const struct devmem_space *s = devmem_of(mm);
	const int err = send(mm, start, end, s->stage.area.base + (start & (s->block - 1)), false);

	if (!err)
		make_writable(&s->stage);
	return err;
}

int stage_send(struct hmm_mm *mm, uint64_t start, uint64_t end, uint64_t to)
{
	return send(mm, start, end, to, true);
}

static bool is_ours(struct hmm_mm *mm)
{
	const struct stage *st = &devmem_of(mm)->stage;
	const struct provider *p = &mm->provider;
	unsigned int round = 0;
	int ret;

	while ((ret = p->ops->is_watched(p, st->to, st->to + st->bytes)) == -EAGAIN)
		deadline_pause(round++);
	return ret != 0;
}

static void forget_places(struct hmm_mm *mm, struct devmem_space *s)
{
	struct run run;
	uint64_t at = 0;

	pthread_mutex_lock(&mm->region_lock);
	turn_take(mm);
	for (; places_next(s, at, UINT64_MAX, &s->stage.area, &run); at = run.end)
		places_take(s, run.start, run.end);
	turn_end(mm);
	pthread_mutex_unlock(&mm->region_lock);
}

/* Was a page taken that has not been replaced since? */
static bool is_missed(struct hmm_mm *mm, uint64_t offset)
{
	const struct stage *st = &devmem_of(mm)->stage;

	return page_is(mm, st->to + offset, PAGE_IS_HERE) &&
	       !page_is(mm, st->from + offset, PAGE_IS_HERE);
}

static void put_back_row(struct hmm_mm *mm, uint64_t offset, uint64_t bytes)
{
	const struct stage *st = &devmem_of(mm)->stage;
	struct hmm_vma now;

	if (vma_peek(mm_vmas(mm), st->from + offset, &now) || now.start > st->from + offset)
		return;
	raw3(SYS_mprotect, (long)(st->to + offset), (long)bytes, (long)now.prot);
	raw5(SYS_mremap, (long)(st->to + offset), (long)bytes, (long)bytes,
	     MREMAP_MAYMOVE | MREMAP_FIXED, (long)(st->from + offset));
}

/* A mapping that is new has no pages as a rule. */
void stage_return(struct hmm_mm *mm)
{
	const struct devmem_space *s = devmem_of(mm);
	const struct stage *st = &s->stage;
	uint64_t row = 0;

	for (uint64_t at = 0; at < st->bytes; at += s->page) {
		if (is_missed(mm, at))
			continue;
		if (row < at)
			put_back_row(mm, row, at - row);
		row = at + s->page;
	}
	if (row < st->bytes)
		put_back_row(mm, row, st->bytes - row);
	raw3(SYS_munmap, (long)st->to, (long)st->bytes, 0);
}

bool stage_told(struct hmm_mm *mm)
{
	struct stage *st = &devmem_of(mm)->stage;
	const uint32_t asked = atomic_load(&st->asked);
	uint32_t answered;

	while ((answered = atomic_load(&st->answered)) != asked)
		futex_wait(&st->answered, answered, HMM_FOREVER);
	return is_ours(mm);
}

bool stage_wait(struct hmm_mm *mm)
{
	if (stage_told(mm))
		return true;
	forget_places(mm, devmem_of(mm));
	stage_return(mm);
	return false;
}

/* As one mapping, which is what see() relies on. */
static void clear(const struct hmm_devmem *d)
{
	syscall(SYS_mmap, d->map, d->map_bytes, PROT_NONE, NOBODYS | MAP_FIXED, -1, 0);
}

/* R is not held. */
static bool is_empty(struct hmm_mm *mm, const struct devmem_space *s)
{
	struct run run;
	bool empty;

	pthread_mutex_lock(&mm->region_lock);
	turn_take(mm);
	empty = !places_next(s, 0, UINT64_MAX, &s->stage.area, &run);
	turn_end(mm);
	pthread_mutex_unlock(&mm->region_lock);
	return empty;
}

/*
 * A call that has failed may have left a hole, in which the program may have mapped something. Then
 * there is no stage any more.
 */
static void mend(struct hmm_mm *mm)
{
	struct stage *st = &devmem_of(mm)->stage;
	struct hmm_devmem *d = &st->area;
	const uint64_t map = (uint64_t)(uintptr_t)d->map;
	const uint64_t behind = st->to + st->bytes;
	struct hmm_vma now;

	if (!vma_peek(mm_vmas(mm), st->to, &now) && now.start <= map &&
	    now.end >= map + d->map_bytes)
		return;
	if (syscall(SYS_mmap, st->to, st->bytes, PROT_NONE, NOBODYS | MAP_FIXED_NOREPLACE, -1, 0) ==
	    (long)st->to) {
		clear(d);
		return;
	}
	atomic_store(&st->gone, true);
	pool_unmap(d->map, st->to - map);
	raw3(SYS_munmap, (long)behind, (long)(map + d->map_bytes - behind), 0);
	d->map = NULL;
}

void stage_leave(struct hmm_mm *mm, bool full)
{
	struct devmem_space *s = devmem_of(mm);
	const struct stage *st = &s->stage;

	/* If the space is lost the rescuer brings all home. */
	for (unsigned int round = 0; !is_empty(mm, s); round++) {
		if (devmem_home(mm, 0, UINT64_MAX, &st->area, 0))
			deadline_pause(round);
	}
	if (full) {
		/* Then the unmapping waits for nobody. */
		mm->provider.ops->unwatch(&mm->provider, st->to, st->to + st->bytes);
		clear(&st->area);
	} else {
		mend(mm);
	}
	pthread_mutex_lock(&mm->region_lock);
	s->stage.taken = false;
	pthread_mutex_unlock(&mm->region_lock);
}
