// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* What a space has of device memory: nothing, until a region or exclusive access is asked for. */
#include "devmem/copy.h"
#include "devmem/devmem.h"
#include "space/space.h"
#include "space/turn.h"
#include "provider/provider.h"
#include "base/deadline.h"
#include "base/pool.h"
#include "base/stack.h"

#include <errno.h>
#include <unistd.h>

static void free_space(struct devmem_space *s)
{
	objpool_fini(&s->blocks);
	objpool_fini(&s->arrays);
	objpool_fini(&s->handles);
	coherent_fini(s);
	pool_unmap(s->zeros, s->page);
	pool_unmap(s, sizeof(*s));
}

/*
 * Small variables of the library may have been joined with memory of the program, too
 * (base/stack.h): their pages are touched before anything is trapped.
 */
extern char __bss_start[] __attribute__((visibility("hidden")));
extern char _end[] __attribute__((visibility("hidden")));

static __attribute__((no_sanitize("address", "thread"))) void touch_own(uint64_t page)
{
	const uintptr_t end = (uintptr_t)_end;

	for (uintptr_t at = (uintptr_t)__bss_start; at < end; at = (at | (page - 1)) + 1)
		(void)*(const volatile char *)at;
	atomic_store(&stack_may_be_trapped, true);
}

static struct devmem_space *make(struct hmm_mm *mm)
{
	struct devmem_space *s = pool_map(sizeof(*s));

	if (!s)
		return NULL;
	s->mm = mm;
	s->page = (uint64_t)sysconf(_SC_PAGESIZE);
	s->block = BLOCK_PAGES * s->page;
	touch_own(s->page);
	s->large = mm->thp_size == s->block;
	objpool_init(&s->blocks, sizeof(struct block));
	objpool_init(&s->handles, HANDLE_BYTES);
	objpool_init(&s->arrays, BLOCK_PAGES * sizeof(place_t));
	s->reserve = objpool_get(&s->arrays);
	s->zeros = pool_map(s->page);
	if (s->reserve && s->zeros && !coherent_init(s))
		return s;
	free_space(s);
	return NULL;
}

static int start(struct devmem_space *s)
{
	int err = worker_start(s);

	if (err)
		return err;
	err = stage_start(s);
	if (!err) {
		err = rescue_start(s);
		if (err)
			stage_stop(s);
	}
	if (err)
		worker_stop(s);
	return err;
}

/* -EEXIST: another thread has made one. */
static int publish(struct hmm_mm *mm, struct devmem_space *s)
{
	int err = -EEXIST;

	pthread_mutex_lock(&mm->region_lock);
	if (!devmem_of(mm)) {
		err = start(s);
		if (!err)
			atomic_store(&mm->devmem, s);
	}
	pthread_mutex_unlock(&mm->region_lock);
	return err;
}

int devmem_need(struct hmm_mm *mm, struct devmem_space **out)
{
	struct devmem_space *s;
	int err;

	if (!mm->provider.moves || !mm->provider.ops->move)
		return -EOPNOTSUPP;
	if (!devmem_of(mm)) {
		s = make(mm);
		if (!s)
			return -ENOMEM;
		err = publish(mm, s);
		if (err)
			free_space(s);
		if (err && err != -EEXIST)
			return err;
	}
	*out = devmem_of(mm);
	return 0;
}

static void close_space(struct devmem_space *s)
{
	pthread_mutex_lock(&s->mm->region_lock);
	s->closed = true;
	turn_take(s->mm);
	copy_last(s);
	turn_end(s->mm);
	pthread_mutex_unlock(&s->mm->region_lock);
}

void devmem_fini(struct hmm_mm *mm)
{
	struct devmem_space *s = devmem_of(mm);
	unsigned int round = 0;
	int err;

	if (!s)
		return;
	close_space(s);
	/*
	 * The program's data is worth any wait. If the program has closed our descriptors the
	 * rescuer does it, also where the pump has not noticed that yet.
	 */
	while ((err = devmem_home(mm, 0, UINT64_MAX, NULL, 0)) && err != -ESRCH)
		deadline_pause(round++);
	rescue_stop(s, !err);
	worker_stop(s);
	stage_stop(s);
	for (uint32_t i = 1; i <= REGIONS_MAX; i++) {
		struct hmm_devmem *d = s->region[i];

		if (!d)
			continue;
		s->region[i] = NULL;
		frames_unwatch(d);
		if (!copier_stop(d))
			continue;
		frames_unmap(d);
		pool_unmap(d, sizeof(*d));
	}
}

void devmem_release(struct hmm_mm *mm)
{
	struct devmem_space *s = devmem_of(mm);

	if (s)
		free_space(s);
}
