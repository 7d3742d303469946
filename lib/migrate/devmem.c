// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* Regions of device memory: making and ending them. */
#include "migrate/migrate.h"
#include "devmem/copy.h"
#include "space/debug.h"
#include "space/space.h"
#include "space/turn.h"
#include "base/deadline.h"
#include "base/grow.h"
#include "base/nocancel.h"
#include "base/pool.h"

#include <errno.h>
#include <limits.h>
#include <sys/syscall.h>
#include <unistd.h>

#define UNIT (2ULL << 20)
#define BYTES_MAX (32ULL << 30)
#define AROUND (64ULL << 10)
#define TRANSIT_BYTES (8ULL << 20)
#define ONE_BYTES (256ULL << 20)
#define ALIAS_BYTES (64ULL << 20)
#define MPOL_BIND 2

/* Where a space notes the region of which it has one. NULL: it may have many. */
static struct hmm_devmem **only_one(const struct hmm_devmem *d)
{
	if (d->exclusive && !d->alias)
		return &d->space->shadow;
	return d->isolates ? &d->space->isolation : NULL;
}

/* Gives the region a number, so that places can name it. */
static int enlist(struct hmm_devmem *d)
{
	struct devmem_space *s = d->space;
	struct hmm_devmem **one = only_one(d);
	int err = -ENOSPC;

	pthread_mutex_lock(&d->mm->region_lock);
	if (s->closed)
		err = -ESRCH;
	else if ((one && *one) || (d->alias && s->alias))
		err = -EEXIST;
	for (uint32_t i = 1; err == -ENOSPC && i <= REGIONS_MAX; i++) {
		if (s->region[i])
			continue;
		d->id = i;
		s->region[i] = d;
		s->copiers += d->copier != NULL;
		s->coherent_regions += d->transit != NULL;
		if (one)
			*one = d;
		if (d->alias)
			s->alias = d;
		err = 0;
	}
	pthread_mutex_unlock(&d->mm->region_lock);
	return err;
}

static void destroy(struct hmm_devmem *d)
{
	if (d->transit)
		hmm_devmem_destroy(d->transit, HMM_FOREVER);
	frames_unwatch(d);
	if (!copier_stop(d))
		return;
	frames_unmap(d);
	pool_unmap(d, sizeof(*d));
}

/* ---- coherent memory ------------------------------------------------------------------------ */

static int bind_nodes(const struct hmm_devmem *d)
{
	const unsigned long nodes[] = { (unsigned long)d->options.nodes, 0 };

	if (!d->options.nodes)
		return 0;
	/* The kernel takes one bit less than it is told of. */
	if (syscall(SYS_mbind, d->base, d->options.bytes, MPOL_BIND, nodes,
		    sizeof(d->options.nodes) * CHAR_BIT + 1, 0))
		return errno == ENOSYS || errno == EPERM ? -EOPNOTSUPP : -EINVAL;
	return 0;
}

/* Pages pass through private memory on their way to the region and home (coherent.c). */
static int make_transit(struct hmm_devmem *d)
{
	const struct hmm_devmem_options options = {
		.bytes = TRANSIT_BYTES,
		/* No device is that, so a device that faults on a page in it brings that home. */
		.owner = &d->transit_lock,
	};
	int err = bind_nodes(d);

	if (!err)
		err = devmem_make(d->mm, &options, DEVMEM_DRIVER, &d->transit);
	if (!err)
		d->transit->copies = true;
	return err;
}

/* ---- any region ----------------------------------------------------------------------------- */

int devmem_make(struct hmm_mm *mm, const struct hmm_devmem_options *options, enum devmem_use use,
		struct hmm_devmem **out)
{
	struct devmem_space *s;
	struct hmm_devmem *d;
	int err = devmem_need(mm, &s);

	if (err)
		return err;
	d = pool_map(sizeof(*d));
	if (!d)
		return -ENOMEM;
	d->mm = mm;
	d->space = s;
	d->options = *options;
	d->exclusive = use == DEVMEM_EXCLUSIVE || use == DEVMEM_ALIAS;
	d->alias = use == DEVMEM_ALIAS;
	d->isolates = use == DEVMEM_ISOLATION;
	pthread_mutex_init(&d->transit_lock, NULL);
	if (!d->options.fault_around)
		d->options.fault_around = AROUND;
	err = frames_init(d);
	if (!err && options->flags & HMM_DEVMEM_COHERENT)
		err = make_transit(d);
	if (!err)
		err = copier_start(d);
	if (!err)
		err = enlist(d);
	if (err) {
		destroy(d);
		return err;
	}
	*out = d;
	return 0;
}

static struct hmm_devmem *the_one(const struct devmem_space *s, enum devmem_use use)
{
	if (use == DEVMEM_ALIAS)
		return atomic_load(&s->alias);
	return use == DEVMEM_EXCLUSIVE ? s->shadow : s->isolation;
}

int devmem_need_one(struct hmm_mm *mm, enum devmem_use use, struct hmm_devmem **out)
{
	const struct hmm_devmem_options options = {
		.bytes = use == DEVMEM_ALIAS ? ALIAS_BYTES : ONE_BYTES,
		.fault_around = 1,
	};
	const struct devmem_space *s = devmem_of(mm);
	int err = 0;

	if (!s || !the_one(s, use))
		err = devmem_make(mm, &options, use, out);
	if (err && err != -EEXIST)
		return err;
	*out = the_one(devmem_of(mm), use);
	return 0;
}

static bool is_power(uint64_t n)
{
	return !(n & (n - 1));
}

#define FLAGS (HMM_DEVMEM_EVICT | HMM_DEVMEM_COHERENT | HMM_DEVMEM_READONLY | HMM_DEVMEM_BACKED)

static int check(const struct hmm_devmem_options *o)
{
	if (o->flags & ~FLAGS || (o->nodes && !(o->flags & HMM_DEVMEM_COHERENT)) || !o->owner ||
	    !o->bytes || o->bytes % UNIT || o->bytes > BYTES_MAX || !is_power(o->fault_around) ||
	    o->fault_around > UNIT)
		return -EINVAL;
	if (!o->copy_in != !o->copy_out || (!o->copy_out && o->copy_timeout_ns) ||
	    (!o->copy_out && o->flags & HMM_DEVMEM_BACKED) ||
	    (o->copy_out && o->flags & HMM_DEVMEM_COHERENT))
		return -EINVAL;
	return 0;
}

/* A page that such a device does not give back must never read as zeros. */
static int check_copies(const struct hmm_mm *mm, const struct hmm_devmem_options *o)
{
	return o->copy_out && !mm->provider.poisons ? -EOPNOTSUPP : 0;
}

int hmm_devmem_create(struct hmm_mm *mm, const struct hmm_devmem_options *options,
		      struct hmm_devmem **devmem)
{
	DEBUG_CALL(mm, DEBUG_BLOCKS);
	HMM_NO_CANCEL;
	struct hmm_devmem_options o;
	int err = grow_take(&o, sizeof(o), options, GROW_LEAST(struct hmm_devmem_options, owner));

	if (!err)
		err = check(&o);
	if (!err)
		err = mm_alive(mm);
	if (!err)
		err = check_copies(mm, &o);
	return err ? err : devmem_make(mm, &o, DEVMEM_DRIVER, devmem);
}

/* Takes the region off the list if nothing is in it. */
static bool delist(struct hmm_devmem *d)
{
	struct devmem_space *s = d->space;
	bool empty;

	pthread_mutex_lock(&d->mm->region_lock);
	turn_take(d->mm);
	empty = d->used == d->unusable || copy_only_stuck(d);
	if (empty)
		s->region[d->id] = NULL;
	if (empty)
		s->coherent_regions -= d->transit != NULL;
	turn_end(d->mm);
	pthread_mutex_unlock(&d->mm->region_lock);
	return empty;
}

int hmm_devmem_destroy(struct hmm_devmem *d, uint64_t timeout_ns)
{
	DEBUG_CALL(d ? d->mm : NULL, DEBUG_BLOCKS);
	HMM_NO_CANCEL;
	const uint64_t deadline = deadline_after(timeout_ns);

	if (!d || mm_inherited(d->mm))
		return 0;
	for (unsigned int round = 0;; round++) {
		const int err = migrate_home(d->mm, 0, UINT64_MAX, d, timeout_ns);

		/* If the space is lost the rescuer brings all home. */
		if (err && err != -ESRCH)
			return err;
		if (delist(d))
			break;
		if (deadline_passed(deadline))
			return -ETIME;
		deadline_pause(round);
	}
	destroy(d);
	return 0;
}

int hmm_devmem_lose(struct hmm_devmem *d)
{
	DEBUG_CALL(d ? d->mm : NULL, DEBUG_QUICK);
	HMM_NO_CANCEL;

	if (!d || !d->copier)
		return -EINVAL;
	if (mm_inherited(d->mm))
		return -ESRCH;
	pthread_mutex_lock(&d->mm->region_lock);
	turn_take(d->mm);
	copy_lose(d->copier);
	turn_end(d->mm);
	pthread_mutex_unlock(&d->mm->region_lock);
	atomic_fetch_add(&d->space->copied, 1);
	futex_wake(&d->space->copied);
	/* The pump answers those who wait for its pages. */
	atomic_store(&d->space->staged, true);
	d->mm->wake(d->mm);
	return 0;
}

int hmm_devmem_get_stats(struct hmm_devmem *d, struct hmm_devmem_stats *stats)
{
	DEBUG_CALL(d ? d->mm : NULL, DEBUG_QUICK);
	struct hmm_devmem_stats now;
	uint32_t unusable;
	int err = d ? grow_room(stats, GROW_LEAST(struct hmm_devmem_stats, used)) : -EINVAL;

	if (err)
		return err;
	if (mm_inherited(d->mm))
		return -ESRCH;
	/* First: both grow, this one last. */
	unusable = atomic_load(&d->unusable);
	now = (struct hmm_devmem_stats){
		.start = d->base,
		.bytes = d->options.bytes,
		.moved_out = d->stats.moved_out,
		.moved_home = d->stats.moved_home,
		.copied_home = d->stats.copied_home,
		.faults = d->stats.faults,
		.evicted = d->stats.evicted,
		.dropped = d->stats.dropped,
		.used = (atomic_load(&d->used) - unusable) * d->space->page,
		.copied_in = d->stats.copied_in,
		.copied_out = d->stats.copied_out,
		.lost = d->stats.lost,
	};
	grow_give(stats, &now, sizeof(now));
	return 0;
}
