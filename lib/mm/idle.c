/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * Files that nothing maps any more: our descriptor keeps the filesystem from being unmounted, our watch keeps the inode.
 * The pump notes what was unmapped and closes once the devices run again; who has to know calls hmm_mm_barrier():
 *
 *	program				pump
 *	munmap				reads the event
 *	returns				notes the range, invalidates, even
 *	barrier: at rest		closes, or finds the table busy and comes again
 *	barrier: closes, or waits
 *	umount
 *
 * Not before the event is read: closing the last descriptor of a deleted file frees its blocks, which takes as long as
 * the file is large, with the devices stopped.
 */
#include "mm/span.h"
#include "base/child.h"

#include <sys/inotify.h>
#include <unistd.h>

static void close_file(struct file_table *t, struct file *f)
{
	if (f->watch >= 0)
		inotify_rm_watch(t->inotify, f->watch);
	close_ours(f->extents_fd);
	close_ours(f->fd);
	hmm_objpool_put(&t->files_pool, f);
	t->n_files--;
}

static void close_unused(struct file_table *t)
{
	struct file **link = &t->files;

	while (*link) {
		struct file *f = *link;

		if (f->spans || f->writers) {
			link = &f->next;
			continue;
		}
		*link = f->next;
		close_file(t, f);
	}
}

void idle_files_close_locked(struct hmm_mm *mm)
{
	struct file_table *t = mm->files;

	span_gc_locked(mm);
	close_unused(t);
	t->gc_ns = mm_now_ns() + FILES_RETRY_NS;
}

static void add_gone(struct file_table *t, uint64_t start, uint64_t end, uint64_t n)
{
	pthread_mutex_lock(&t->gone_lock);
	if (start < t->gone_start || t->gone_start == t->gone_end)
		t->gone_start = start;
	if (end > t->gone_end)
		t->gone_end = end;
	atomic_fetch_add(&t->gone, n);
	pthread_mutex_unlock(&t->gone_lock);
}

void files_unmapped(struct hmm_mm *mm, uint64_t start, uint64_t end)
{
	if (atomic_load(&mm->files->n_files))
		add_gone(mm->files, start, end, 1);
}

bool files_closed(struct hmm_mm *mm)
{
	struct file_table *t = mm->files;
	uint64_t start, end, n;
	bool all;

	if (atomic_load(&t->gone) == atomic_load(&t->closed))
		return true;
	if (pthread_mutex_trylock(&t->lock))
		return false;
	pthread_mutex_lock(&t->gone_lock);
	n = atomic_load(&t->gone);
	start = t->gone_start;
	end = t->gone_end;
	t->gone_start = t->gone_end = 0;
	pthread_mutex_unlock(&t->gone_lock);
	all = span_gc_files_locked(mm, start, end);
	close_unused(t);
	/* Only now: who finds the numbers equal relies on it. */
	if (all)
		atomic_store(&t->closed, n);
	else
		add_gone(t, start, end, 0);
	pthread_mutex_unlock(&t->lock);
	return all && atomic_load(&t->gone) == n;
}
