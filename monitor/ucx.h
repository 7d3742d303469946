/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * libhmm-ucx.so: serves UCX's registration caches (ucs_rcache) without hooks in libc.
 *
 * Two rules make it sound.
 *
 * 1. A region that a lookup can find was watched before its memory was pinned, and had not changed
 *    when the pin was done (ucx_cache.c). A region that cannot be watched is made such that no
 *    lookup finds it: it is used once.
 * 2. Before a lookup every change that took effect before has been delivered to the caches: the
 *    regions are gone from them, or wait in their queues, in which a lookup looks first. If that
 *    cannot be had in a short time, all regions are thrown out (ucx_settle.c).
 *
 * In UCX 1.13 a lookup is a call of ucs_rcache_get(). In later versions libucp looks up by itself,
 * so the second rule is kept at the calls that post an operation (ucx_post.c): a buffer is mapped
 * before it is posted, and what was unmapped at its address before that took effect before that.
 */
#ifndef MONITOR_UCX_H
#define MONITOR_UCX_H

#include "ucx_abi.h"

#include <stdatomic.h>

#define UCX_EXPORT __attribute__((visibility("default")))

/* Mutations, see mutation.h. */
#define UNSETTLED "unsettled" /* a lookup does not wait for what is to be delivered */
#define UNTOLD "untold"       /* UCX is not told of changes */
#define UNCHECKED "unchecked" /* what changed while it was pinned is kept */
#define KEEP_ALL "keep-all"   /* what cannot be watched is kept */
#define KEEP_LOST "keep-lost" /* regions stay where nothing is known of them */

/* ---- ucx_find.c ---- */

/* The function of this name in the loaded object LIB ("libucs"), or NULL. It is never unloaded. */
void *ucx_find(const char *lib, const char *name);

/* The real function of an exported one of ours, found once. */
#define UCX_NEXT(lib, name)                                                                        \
	({                                                                                         \
		static _Atomic(void *) next_;                                                      \
		void *next_fn = atomic_load_explicit(&next_, memory_order_relaxed);                \
                                                                                                   \
		if (!next_fn) {                                                                    \
			next_fn = ucx_find(lib, name);                                             \
			atomic_store_explicit(&next_, next_fn, memory_order_relaxed);              \
		}                                                                                  \
		next_fn;                                                                           \
	})

/* ---- ucx.c ---- */

/* Is this a version of UCX that can be served? If not it is said once. */
bool ucx_may_serve(void);
/* Something in UCX is not as it was read: says so once. */
void ucx_unknown(const char *what);

/* ---- ucx_cache.c ---- */

/* How libucp uses the caches that are served now. */
enum ucx_service {
	UCX_SERVES_NONE,
	UCX_SERVES_GETS,  /* every lookup is a call of ucs_rcache_get() */
	UCX_SERVES_POSTS, /* libucp looks up by itself */
};
enum ucx_service ucx_service(void);

/*
 * With ucx_tell_lock(). Makes the caches queue the events that are raised until
 * ucx_caches_unlock(), where one would otherwise be changed under a lookup that holds no lock.
 */
void ucx_caches_lock(void);
void ucx_caches_unlock(void);

/* Held while a cache is made. It comes before ucx_tell_lock(). */
void ucx_make_lock(void);
void ucx_make_unlock(void);

/* ---- ucx_watch.c ---- */

struct ucx_watch;

/*
 * Watches a range. -EFAULT: a part is not mapped. Another -errno: it cannot be watched, or not now.
 */
int ucx_watch_begin(uint64_t start, uint64_t end, struct ucx_watch **watch);
/* The range was pinned. True: nothing changed since the watch began, and changes are delivered. */
bool ucx_watch_keep(struct ucx_watch *w);
/* The region is gone. NULL is legal. */
void ucx_watch_end(struct ucx_watch *w);
/* Are there ranges whose changes raise no event? */
bool ucx_watch_has_files(void);

/* ---- ucx_settle.c ---- */

/* Rule 2. */
void ucx_settle(void);
/* Tells the caches that a range has changed. */
void ucx_tell(uint64_t addr, uint64_t len);
/* A range is registered: was it the lookup of one that had changed? */
void ucx_count_stale(uint64_t start, uint64_t end);
/* Held while UCX is told of changes. The list of caches changes under it. */
void ucx_tell_lock(void);
void ucx_tell_unlock(void);
/* Did the last wait end without an answer? */
bool ucx_stalled(void);
/* How long to wait, and what came of it. */
uint64_t ucx_patience(void);
void ucx_learn(int err);
/* To be called once the space is attached. */
int ucx_settle_init(void);

#endif
