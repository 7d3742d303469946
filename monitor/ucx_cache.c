// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * The caches. Each that asks for unmap events is made with our callback for registrations in front
 * of its own, and with room for a pointer behind each region.
 */
#include "deliver.h"
#include "monitor.h"
#include "mutation.h"
#include "space.h"
#include "ucx.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

enum layout {
	LAYOUT_UNKNOWN,
	LAYOUT_NO_EVENTS, /* a cache of other processes' memory, or of a device's */
	LAYOUT_13,
	LAYOUT_17,
};

/* A cache that is served. */
struct served {
	struct ucx_ops ops;         /* first: what the cache points to */
	const struct ucx_ops *real; /* what it was made with */
	enum layout layout;
	size_t tail; /* offset of our pointer in a region */
	void *cache;
	/* Lookups of libucp's hold no lock of the cache's, which cannot be told to queue events. */
	bool lock_table;
	struct served *next;
};

static struct served *caches; /* ucx_tell_lock() */
static _Atomic int service;   /* enum ucx_service */

/* Did this thread register in the call of ucs_rcache_get() that is running? */
static _Thread_local bool registered __attribute__((tls_model("initial-exec")));

enum ucx_service ucx_service(void)
{
	return atomic_load_explicit(&service, memory_order_acquire);
}

void ucx_caches_lock(void)
{
	for (struct served *s = caches; s; s = s->next)
		if (s->lock_table)
			pthread_rwlock_rdlock(&((struct ucx_cache_13 *)s->cache)->table_lock);
}

void ucx_caches_unlock(void)
{
	for (struct served *s = caches; s; s = s->next)
		if (s->lock_table)
			pthread_rwlock_unlock(&((struct ucx_cache_13 *)s->cache)->table_lock);
}

/* ---- regions --------------------------------------------------------------------------------- */

static struct served *served_of(enum layout layout, void *cache)
{
	const struct ucx_ops *ops = layout == LAYOUT_13 ? ((struct ucx_params_13 *)cache)->ops
							: ((struct ucx_params_17 *)cache)->ops;

	return (struct served *)ops;
}

static struct ucx_watch **tail_of(const struct served *s, void *region)
{
	return (struct ucx_watch **)((char *)region + s->tail);
}

/* No lookup finds the region any more: all ask for permissions, and now it has none. */
static void use_once(const struct served *s, void *region)
{
	stats_add(&monitor_counters()->refused);
	if (s->layout == LAYOUT_13)
		((struct ucx_region_13 *)region)->prot = 0;
	else
		((struct ucx_region_17 *)region)->prot = 0;
}

static ucx_status register_watched(struct served *s, void *context, void *arg, void *region,
				   uint16_t flags)
{
	const struct ucx_region_13 *range = region; /* begins alike in all versions */
	struct ucx_watch *w = NULL;
	int err = ucx_watch_begin(range->start, range->end, &w);
	ucx_status status;

	/* What was merged may be gone since; UCX tries again with what is asked for. */
	if (err && flags & UCX_REG_MERGED)
		return UCX_ERR_IO;
	status = s->real->reg(context, s->cache, arg, region, flags);
	if (status == UCX_OK && w && ucx_watch_keep(w)) {
		*tail_of(s, region) = w;
		return status;
	}
	ucx_watch_end(w);
	if (status == UCX_OK && !broken(KEEP_ALL))
		use_once(s, region);
	return status;
}

static ucx_status reg(enum layout layout, void *context, void *cache, void *arg, void *region,
		      uint16_t flags)
{
	const struct ucx_region_13 *range = region;
	ucx_status status;

	registered = true;
	status = register_watched(served_of(layout, cache), context, arg, region, flags);
	if (status == UCX_OK) {
		stats_add(&monitor_counters()->misses);
		ucx_count_stale(range->start, range->end);
	}
	return status;
}

static ucx_status reg_13(void *context, void *cache, void *arg, void *region, uint16_t flags)
{
	return reg(LAYOUT_13, context, cache, arg, region, flags);
}

static ucx_status reg_17(void *context, void *cache, void *arg, void *region, uint16_t flags)
{
	return reg(LAYOUT_17, context, cache, arg, region, flags);
}

static void dereg(enum layout layout, void *context, void *cache, void *region)
{
	struct served *s = served_of(layout, cache);

	s->real->dereg(context, cache, region);
	ucx_watch_end(*tail_of(s, region));
}

static void dereg_13(void *context, void *cache, void *region)
{
	dereg(LAYOUT_13, context, cache, region);
}

static void dereg_17(void *context, void *cache, void *region)
{
	dereg(LAYOUT_17, context, cache, region);
}

/* ---- making caches --------------------------------------------------------------------------- */

/*
 * The second word is an alignment up to 1.16, and has the events since 1.17. An alignment is a
 * power of two up to the size of a page, and is smaller than the bits of the events.
 */
static enum layout layout_of(const void *params)
{
	const struct ucx_params_13 *p13 = params;
	const struct ucx_params_17 *p17 = params;
	const size_t align = p13->alignment;

	if (align >= 16 && align <= 65536 && !(align & (align - 1))) {
		if (p13->max_alignment < align || p13->events & ~UCX_CACHE_EVENTS)
			return LAYOUT_UNKNOWN;
		return p13->events & UCX_EVENT_VM_UNMAPPED ? LAYOUT_13 : LAYOUT_NO_EVENTS;
	}
	if (p17->events & ~UCX_CACHE_EVENTS)
		return LAYOUT_UNKNOWN;
	return p17->events & UCX_EVENT_VM_UNMAPPED ? LAYOUT_17 : LAYOUT_NO_EVENTS;
}

/* The callbacks are three or four: the last may lie behind the end of a mapping. */
static void copy_ops(struct ucx_ops *to, const struct ucx_ops *from)
{
	struct iovec local = { to, sizeof(*to) };
	struct iovec remote = { (void *)(uintptr_t)from, sizeof(*from) };

	memset(to, 0, sizeof(*to));
	if (process_vm_readv(getpid(), &local, 1, &remote, 1, 0) != (ssize_t)sizeof(*to))
		memcpy(to, from, offsetof(struct ucx_ops, others[1]));
}

/* Since 1.14 libucp uses more of libucs. */
static bool looks_up_by_itself(void)
{
	return UCX_NEXT("libucs", "ucs_rcache_create_region");
}

static size_t add_tail(size_t *region_size)
{
	const size_t tail = (*region_size + 7) & ~(size_t)7;

	*region_size = tail + sizeof(struct ucx_watch *);
	return tail;
}

union params {
	struct ucx_params_13 p13;
	struct ucx_params_17 p17;
};

static void change_13(struct served *s, struct ucx_params_13 *p)
{
	s->tail = add_tail(&p->region_size);
	s->real = p->ops;
	s->lock_table = looks_up_by_itself();
	copy_ops(&s->ops, p->ops);
	s->ops.reg = reg_13;
	s->ops.dereg = dereg_13;
	p->ops = &s->ops;
	if (s->lock_table)
		p->max_unreleased = SIZE_MAX;
}

/*
 * libucp asks for the queue itself. Without it the deliverer would change the table under a lookup
 * that holds no lock of the cache's; so would UCX's own cleaner of queues, which is not started as
 * long as max_unreleased is not reached.
 */
static void change_17(struct served *s, struct ucx_params_17 *p)
{
	s->tail = add_tail(&p->region_size);
	s->real = p->ops;
	copy_ops(&s->ops, p->ops);
	s->ops.reg = reg_17;
	s->ops.dereg = dereg_17;
	p->ops = &s->ops;
	p->flags |= UCX_CACHE_QUEUE_EVENTS;
	p->max_unreleased = SIZE_MAX;
}

static struct served *make(enum layout layout, const void *params, union params *own)
{
	struct served *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	s->layout = layout;
	if (layout == LAYOUT_13) {
		own->p13 = *(const struct ucx_params_13 *)params;
		change_13(s, &own->p13);
	} else {
		own->p17 = *(const struct ucx_params_17 *)params;
		change_17(s, &own->p17);
	}
	return s;
}

/* If the space cannot be watched the caches are made all the same, and keep nothing. */
static void prepare(void)
{
	static atomic_flag counted = ATOMIC_FLAG_INIT;
	int err = libhmm_monitor_attach();

	if (!err)
		err = ucx_settle_init();
	if (!err)
		err = deliver_start();
	if (err == -ESRCH)
		monitor_say(MONITOR_WHY_CHILD, 0, "a forked child registers memory each time");
	else if (err)
		monitor_say(MONITOR_WHY_ATTACH, err, "memory is registered each time");
	else if (!atomic_flag_test_and_set(&counted))
		stats_add(&monitor_counters()->served);
}

/*
 * UCX must not hook libc for the events, so it is told that somebody else raises them. That holds
 * while our caches are made, not for others who ask for events: they would be told of our memory
 * alone. The program may have said so for itself (Open MPI does): then it stays.
 */
static pthread_mutex_t making = PTHREAD_MUTEX_INITIALIZER;
static int said; /* making: events that the program said are raised */

static void say_external(const char *name, int events)
{
	void (*next)(int);

	*(void **)&next = ucx_find("libucm", name);
	next(events);
}

UCX_EXPORT void ucm_set_external_event(int events);
void ucm_set_external_event(int events)
{
	pthread_mutex_lock(&making);
	said |= events;
	say_external("ucm_set_external_event", events);
	pthread_mutex_unlock(&making);
}

UCX_EXPORT void ucm_unset_external_event(int events);
void ucm_unset_external_event(int events)
{
	pthread_mutex_lock(&making);
	said &= ~events;
	say_external("ucm_unset_external_event", events);
	pthread_mutex_unlock(&making);
}

void ucx_make_lock(void)
{
	pthread_mutex_lock(&making);
}

void ucx_make_unlock(void)
{
	pthread_mutex_unlock(&making);
}

static void add(struct served *s, void *cache)
{
	s->cache = cache;
	ucx_tell_lock();
	s->next = caches;
	caches = s;
	ucx_tell_unlock();
	atomic_store(&service, looks_up_by_itself() ? UCX_SERVES_POSTS : UCX_SERVES_GETS);
}

typedef ucx_status create_fn(const void *params, const char *name, void *stats, void **cache);

static ucx_status create_served(create_fn *next, enum layout layout, const void *params,
				const char *name, void *stats, void **cache)
{
	union params own;
	struct served *s = make(layout, params, &own);
	ucx_status status;

	if (!s)
		return UCX_ERR_NO_MEMORY;
	prepare();
	ucx_make_lock();
	say_external("ucm_set_external_event", UCX_EVENT_VM_UNMAPPED);
	status = next(&own, name, stats, cache);
	if (!(said & UCX_EVENT_VM_UNMAPPED))
		say_external("ucm_unset_external_event", UCX_EVENT_VM_UNMAPPED);
	ucx_make_unlock();
	if (status == UCX_OK)
		add(s, *cache);
	else
		free(s);
	return status;
}

UCX_EXPORT create_fn ucs_rcache_create;
ucx_status ucs_rcache_create(const void *params, const char *name, void *stats, void **cache)
{
	const enum layout layout = layout_of(params);
	create_fn *next;

	*(void **)&next = UCX_NEXT("libucs", "ucs_rcache_create");
	if (layout == LAYOUT_NO_EVENTS || !ucx_may_serve())
		return next(params, name, stats, cache);
	if (layout == LAYOUT_UNKNOWN) {
		ucx_unknown("the caches of this UCX have another form than those of 1.13 to 1.22");
		return next(params, name, stats, cache);
	}
	return create_served(next, layout, params, name, stats, cache);
}

static struct served *remove_served(void *cache)
{
	struct served *s = NULL;

	ucx_tell_lock();
	for (struct served **at = &caches; *at && !s; at = &(*at)->next)
		if ((*at)->cache == cache) {
			s = *at;
			*at = s->next;
			break;
		}
	ucx_tell_unlock();
	return s;
}

UCX_EXPORT void ucs_rcache_destroy(void *cache);
void ucs_rcache_destroy(void *cache)
{
	struct served *s = remove_served(cache);
	void (*next)(void *);

	*(void **)&next = UCX_NEXT("libucs", "ucs_rcache_destroy");
	next(cache);
	free(s);
}

/* ---- lookups --------------------------------------------------------------------------------- */

/* The last argument exists since 1.17; before that it is passed on and not looked at. */
typedef ucx_status get_fn(void *cache, void *addr, size_t len, uintptr_t a, uintptr_t b,
			  uintptr_t c, uintptr_t d);

UCX_EXPORT get_fn ucs_rcache_get;
ucx_status ucs_rcache_get(void *cache, void *addr, size_t len, uintptr_t a, uintptr_t b,
			  uintptr_t c, uintptr_t d)
{
	get_fn *next;
	ucx_status status;

	*(void **)&next = UCX_NEXT("libucs", "ucs_rcache_get");
	if (ucx_service() == UCX_SERVES_NONE)
		return next(cache, addr, len, a, b, c, d);
	ucx_settle();
	registered = false;
	status = next(cache, addr, len, a, b, c, d);
	if (status == UCX_OK && !registered)
		stats_add(&monitor_counters()->hits);
	return status;
}
