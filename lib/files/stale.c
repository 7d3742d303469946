// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * Stale ranges: mappings that no longer hold and whose translations are not invalidated yet. A
 * thread collects them under the table's lock, releases it, and invalidates them. If its deadline
 * passes first it puts them into the `late` list, and the next call of any thread invalidates them:
 *
 *	fault with a deadline		closer of the gate		any other call
 *	the mapping is replaced		hangs
 *	waits at the gate
 *	-ETIME: puts the range into `late`
 *					opens
 *									invalidates it
 *
 * hmm_mm_check_files() and hmm_mm_note_file() return only after all other threads have invalidated
 * the stale ranges that they had collected:
 *
 *	fault			program				device
 *				truncates
 *	takes the mappings
 *				note: finds nothing
 *				waits
 *							an older translation may still be used
 *	invalidates
 *				returns
 *							no older translation is valid
 *
 * `undelivered` counts the stale ranges from before the table changes until they are invalidated.
 * While it is not 0 every use with checks is refused.
 */
#include "files/files.h"
#include "files/mapping.h"
#include "notifier/notifier.h"
#include "space/space.h"
#include "base/hooks.h"
#include "base/mutation.h"
#include "base/pool.h"

#include <errno.h>

struct deferred_range {
	struct deferred_range *next;
	struct stale_range range;
};

void stale_ranges_init(struct file_table *t)
{
	pthread_cond_init(&t->told, NULL);
	objpool_init(&t->late_pool, sizeof(struct deferred_range));
}

void stale_ranges_fini(struct file_table *t)
{
	objpool_fini(&t->late_pool);
	pthread_cond_destroy(&t->told);
}

bool stale_ranges_add(struct stale_ranges *dead, uint64_t start, uint64_t end, enum hmm_event event)
{
	if (dead->n == STALE_RANGES_MAX)
		return false;
	atomic_fetch_add(&dead->table->undelivered, 1);
	dead->range[dead->n++] = (struct stale_range){ start, end, event };
	return true;
}

bool stale_ranges_deferred_locked(struct file_table *t, struct stale_ranges *dead)
{
	while (t->late && dead->n < STALE_RANGES_MAX) {
		struct deferred_range *l = t->late;

		dead->range[dead->n++] = l->range;
		t->late = l->next;
		objpool_put(&t->late_pool, l);
	}
	return t->late;
}

static bool keep_late_locked(struct file_table *t, const struct stale_range *range)
{
	struct deferred_range *l = objpool_get(&t->late_pool);

	if (!l)
		return false;
	l->range = *range;
	l->next = t->late;
	t->late = l;
	return true;
}

static bool keep_late(struct file_table *t, const struct stale_range *range)
{
	bool kept;

	pthread_mutex_lock(&t->lock);
	kept = keep_late_locked(t, range);
	pthread_mutex_unlock(&t->lock);
	return kept;
}

bool stale_range_defer_locked(struct file_table *t, uint64_t start, uint64_t end)
{
	const struct stale_range range = { start, end, HMM_EVENT_CLEAR };

	if (!keep_late_locked(t, &range))
		return false;
	atomic_fetch_add(&t->undelivered, 1);
	t->unswept = true;
	pthread_cond_broadcast(&t->told);
	return true;
}

/*
 * Invalidates one range; false: it is late. Without memory for the `late` list it waits beyond the
 * deadline, as the range must not be forgotten.
 */
static bool tell(struct hmm_mm *mm, const struct stale_range *range, uint64_t deadline)
{
	struct hmm_invalidation inv = { .start = range->start,
					.end = range->end,
					.event = range->event };

	if (hmm_mutation(HMM_MUTATION_BLIND_REGISTER) || mm_invalidate(mm, &inv, deadline) >= 0)
		return true;
	if (keep_late(mm->files, range))
		return false;
	mm_invalidate(mm, &inv, 0);
	return true;
}

int stale_ranges_tell(struct hmm_mm *mm, struct stale_ranges *dead, uint64_t deadline)
{
	struct file_table *t = dead->table;
	int told = 0;

	if (!dead->n)
		return 0;
	hmm_hook(HMM_POINT_UNDELIVERED);
	for (int i = 0; i < dead->n; i++)
		told += tell(mm, &dead->range[i], deadline);
	pthread_mutex_lock(&t->lock);
	atomic_fetch_sub(&t->undelivered, (uint32_t)told);
	pthread_cond_broadcast(&t->told);
	pthread_mutex_unlock(&t->lock);
	told -= dead->n;
	dead->n = 0;
	return told ? -ETIME : 0;
}

bool stale_ranges_wait(struct file_table *t)
{
	bool waited;

	if (hmm_mutation(HMM_MUTATION_TOLD_EARLY))
		return false;
	pthread_mutex_lock(&t->lock);
	while ((waited = atomic_load(&t->undelivered)) && !t->late)
		pthread_cond_wait(&t->told, &t->lock);
	pthread_mutex_unlock(&t->lock);
	return waited;
}

bool stale_undelivered(struct hmm_mm *mm)
{
	return atomic_load(&mm->files->undelivered);
}
