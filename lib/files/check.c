// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * Has any mirrored file changed? A driver asks that before it submits a job (hmm_mm_check_files()),
 * and the program may say that it changed one (hmm_mm_note_file()).
 */
#include "files/mapping.h"
#include "space/debug.h"
#include "space/space.h"
#include "kernel/inotify.h"
#include "kernel/stamp.h"
#include "base/nocancel.h"

#include <errno.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#define SPANS_AT_ONCE 256

/*
 * Takes the lock for one bucket at a time, so that a fault need not wait for the system calls of
 * thousands of files.
 */
static int look_at_bucket(struct file_table *t, size_t i)
{
	int changed = 0;

	pthread_mutex_lock(&t->lock);
	if (!t->bucket[i])
		atomic_fetch_and(&t->filled[i / 64], ~(1ULL << i % 64));
	for (struct file *f = t->bucket[i]; f; f = f->next)
		changed += file_look_locked(t, f);
	pthread_mutex_unlock(&t->lock);
	return changed;
}

int hmm_mm_check_files(struct hmm_mm *mm)
{
	DEBUG_CALL(mm, DEBUG_BLOCKS);
	HMM_CANCEL_POINT;
	struct file_table *t = mm->files;
	int err = mm_alive(mm);
	int changed = 0;

	if (err)
		return err;
	pthread_mutex_lock(&t->lock);
	files_close_unused_locked(mm, SPANS_AT_ONCE);
	pthread_mutex_unlock(&t->lock);
	if (atomic_load(&t->n_files)) {
		watches_drain();
		for (size_t i = 0; i < FILE_BUCKETS; i++) {
			if (atomic_load(&t->filled[i / 64]) >> i % 64 & 1)
				changed += look_at_bucket(t, i);
			else if (!atomic_load(&t->filled[i / 64]))
				i |= 63;
		}
	}
	/* This invalidates also what file_unchanged() found, which may not invalidate. */
	files_sweep_all(mm);
	return changed;
}

static bool is_meant(const struct file *f, const struct stat *st)
{
	if (f->h.fd >= 0)
		return f->h.st_dev == st->st_dev && f->h.st_ino == st->st_ino;
	return f->inode == st->st_ino && f->dev_major == major(st->st_dev) &&
	       f->dev_minor == minor(st->st_dev);
}

static void note_file(struct hmm_mm *mm, void *arg)
{
	const struct stat *st = arg;
	struct file_table *t = mm->files;

	if (mm_alive(mm))
		return;
	pthread_mutex_lock(&t->lock);
	for (size_t i = 0; i < FILE_BUCKETS; i++) {
		for (struct file *f = t->bucket[i]; f; f = f->next) {
			if (!is_meant(f, st))
				continue;
			file_outdate_locked(t, f);
			if (f->h.fd >= 0)
				file_stamp(&f->h, &f->h.stamp);
		}
	}
	pthread_mutex_unlock(&t->lock);
	/*
	 * Also if the file is not known. It may have been until now: a thread that found the change
	 * first has taken its mappings out of the table, and is about to tell.
	 */
	files_sweep_all(mm);
}

int hmm_mm_note_file(struct hmm_mm *mm, int fd)
{
	DEBUG_CALL(mm, DEBUG_BLOCKS);
	HMM_NO_CANCEL;
	struct stat st;

	if (fstat(fd, &st))
		return -errno;
	if (mm && mm_alive(mm))
		return -ESRCH;
	if (mm)
		note_file(mm, &st);
	else
		spaces_for_each(note_file, &st);
	return 0;
}
