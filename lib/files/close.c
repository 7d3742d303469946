// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * Closing files that nothing maps any more. Until then our descriptor keeps the filesystem from
 * being unmounted, and our watch keeps the inode in memory. The pump notes what was unmapped and
 * closes once the devices run again. A program that wants to unmount calls hmm_mm_barrier() first:
 *
 *	program				pump
 *	munmap				reads the event
 *	returns				notes the range, invalidates, even
 *	barrier: at rest		closes, or finds the table busy and comes again
 *	barrier: closes, or waits
 *	umount
 *
 * The pump does not close in its cycle: closing the last descriptor of a deleted file frees its
 * blocks, which may take long for a large file, and the devices are stopped meanwhile.
 */
#include "files/files.h"
#include "files/mapping.h"
#include "space/space.h"
#include "base/deadline.h"
#include "base/pool.h"

static void close_unused(struct file_table *t)
{
	if (!t->unused)
		return;
	t->unused = false;
	for (size_t i = 0; i < FILE_BUCKETS; i++) {
		struct file *_Atomic *link = &t->bucket[i];
		struct file *f;

		while ((f = *link)) {
			if (f->mappings || f->writers) {
				link = &f->next;
				continue;
			}
			*link = f->next;
			file_close(&f->h);
			objpool_put(&t->files_pool, f);
			t->n_files--;
		}
	}
}

void files_close_unused_locked(struct hmm_mm *mm, unsigned int mappings)
{
	struct file_table *t = mm->files;

	if (!t->gc_at && clock_ns() < t->gc_ns)
		return;
	mapping_gc_some_locked(mm, &t->gc_at, mappings);
	close_unused(t);
	if (!t->gc_at)
		t->gc_ns = clock_ns() + FILES_RETRY_NS;
}

/* The caller holds gone_lock. When the array is full the last range grows. */
static void add_gone(struct file_table *t, uint64_t start, uint64_t end)
{
	struct gone_range *last;

	if (t->n_gone_ranges < GONE_MAX) {
		t->gone_ranges[t->n_gone_ranges++] = (struct gone_range){ start, end };
		return;
	}
	last = &t->gone_ranges[GONE_MAX - 1];
	if (start < last->start)
		last->start = start;
	if (end > last->end)
		last->end = end;
}

void files_unmapped(struct hmm_mm *mm, uint64_t start, uint64_t end)
{
	struct file_table *t = mm->files;

	if (!atomic_load(&t->n_mappings))
		return;
	pthread_mutex_lock(&t->gone_lock);
	add_gone(t, start, end);
	atomic_fetch_add(&t->gone, 1);
	pthread_mutex_unlock(&t->gone_lock);
}

/*
 * Forgets mappings in the noted ranges, until one cannot be looked at now; notes the rest again.
 * True: all ranges were dealt with.
 */
static bool forget_gone(struct hmm_mm *mm, const struct gone_range *gone, int n)
{
	struct file_table *t = mm->files;
	int i = 0;

	while (i < n && mapping_gc_range_locked(mm, gone[i].start, gone[i].end))
		i++;
	if (i == n)
		return true;
	pthread_mutex_lock(&t->gone_lock);
	for (; i < n; i++)
		add_gone(t, gone[i].start, gone[i].end);
	pthread_mutex_unlock(&t->gone_lock);
	return false;
}

bool files_closed(struct hmm_mm *mm)
{
	struct file_table *t = mm->files;
	struct gone_range gone[GONE_MAX];
	uint64_t n;
	int ranges;
	bool all;

	if (atomic_load(&t->gone) == atomic_load(&t->closed))
		return true;
	if (pthread_mutex_trylock(&t->lock))
		return false;
	pthread_mutex_lock(&t->gone_lock);
	n = atomic_load(&t->gone);
	ranges = t->n_gone_ranges;
	for (int i = 0; i < ranges; i++)
		gone[i] = t->gone_ranges[i];
	t->n_gone_ranges = 0;
	pthread_mutex_unlock(&t->gone_lock);
	all = forget_gone(mm, gone, ranges);
	close_unused(t);
	/*
	 * After close_unused(): a caller that finds the two numbers equal relies on the files being
	 * closed.
	 */
	if (all)
		atomic_store(&t->closed, n);
	pthread_mutex_unlock(&t->lock);
	return all && atomic_load(&t->gone) == n;
}
