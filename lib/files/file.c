// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * The files behind mirrored ranges. No event tells that a file was truncated or a hole punched into
 * it. So the library keeps a descriptor and a stamp (kernel/stamp.c) of each file, and a driver may
 * ask whether the file is as it was when the range was faulted. A file that changed gets a new
 * generation. Mappings with an older generation are stale, and the next call that may invalidate
 * does so.
 *
 * A file's times change for harmless reasons, too: our own faults for writing change them. inotify
 * tells these apart, as it reports every system call that changes a file's data, and no store. So
 * between file_write_begin() and file_write_end() a changed time without an event of inotify's is
 * our own doing.
 */
#include "files/files.h"
#include "files/mapping.h"
#include "space/space.h"
#include "kernel/inotify.h"
#include "kernel/stamp.h"
#include "base/deadline.h"
#include "base/itree.h"
#include "base/mutation.h"
#include "base/nocancel.h"
#include "base/pool.h"

#include <errno.h>

#define SPANS_AT_ONCE 256
#define SPANS_A_FAULT 16

int files_init(struct hmm_mm *mm)
{
	struct file_table *t = pool_map(sizeof(*t));

	if (!t)
		return -ENOMEM;
	pthread_mutex_init(&t->lock, NULL);
	pthread_mutex_init(&t->gone_lock, NULL);
	objpool_init(&t->mappings_pool, sizeof(struct mapping));
	objpool_init(&t->files_pool, sizeof(struct file));
	stale_ranges_init(t);
	watches_get();
	mm->files = t;
	return 0;
}

static void for_each_handle(struct file_table *t, void (*fn)(struct open_file *h))
{
	for (size_t i = 0; i < FILE_BUCKETS; i++) {
		for (struct file *f = t->bucket[i]; f; f = f->next)
			fn(&f->h);
	}
}

void files_fini(struct hmm_mm *mm)
{
	struct file_table *t = mm->files;

	if (!t)
		return;
	for_each_handle(t, file_close);
	watches_put();
	objpool_fini(&t->mappings_pool);
	objpool_fini(&t->files_pool);
	stale_ranges_fini(t);
	pthread_mutex_destroy(&t->gone_lock);
	pthread_mutex_destroy(&t->lock);
	pool_unmap(t, sizeof(*t));
	mm->files = NULL;
}

static struct file *_Atomic *bucket_of(struct file_table *t, const struct hmm_vma *vma)
{
	const uint64_t key = vma->inode ^ (uint64_t)vma->dev_minor << 20 ^ vma->dev_major;

	return &t->bucket[key * 0x9e3779b97f4a7c15ULL >> 55];
}
_Static_assert(FILE_BUCKETS == 512, "nine bits");

static struct file *find_file(struct file_table *t, const struct hmm_vma *vma)
{
	struct file *f = *bucket_of(t, vma);

	while (f && !(f->inode == vma->inode && f->dev_major == vma->dev_major &&
		      f->dev_minor == vma->dev_minor))
		f = f->next;
	return f;
}

void file_outdate_locked(struct file_table *t, struct file *f)
{
	f->generation++;
	t->unswept = true;
}

static struct file *new_file(struct hmm_mm *mm, const struct hmm_vma *vma)
{
	struct file_table *t = mm->files;
	struct file *f = t->n_files < FILES_MAX ? objpool_get(&t->files_pool) : NULL;
	size_t i;

	if (!f)
		return NULL;
	f->inode = vma->inode;
	f->dev_major = vma->dev_major;
	f->dev_minor = vma->dev_minor;
	f->kind = vma->kind;
	f->h.fd = -1;
	f->next = *bucket_of(t, vma);
	*bucket_of(t, vma) = f;
	i = (size_t)(bucket_of(t, vma) - t->bucket);
	atomic_fetch_or(&t->filled[i / 64], 1ULL << i % 64);
	t->n_files++;
	t->unused = true;
	return f;
}

/*
 * The descriptor that was opened without the lock becomes the file's, unless another thread has
 * given it one meanwhile.
 */
static struct file *adopt(struct hmm_mm *mm, const struct hmm_vma *vma, struct open_file *h,
			  int err)
{
	struct file *f = find_file(mm->files, vma);
	const bool is_new = !f;

	if (!f)
		f = new_file(mm, vma);
	if (!f || f->h.fd >= 0) {
		file_close(h);
		return f;
	}
	f->h = *h;
	f->has_none = err == -ENOENT;
	/*
	 * If only the mapping changed meanwhile, the next fault may look for a descriptor at once.
	 */
	f->retry_ns = err == -EAGAIN ? 0 : clock_ns() + FILES_RETRY_NS;
	/* Changes before now were unseen, so its older mappings become stale. */
	if (h->fd >= 0 && !is_new)
		file_outdate_locked(mm->files, f);
	return f;
}

/* The caller holds the lock. It is released for a while if the file has to be opened. */
static struct file *get_file(struct hmm_mm *mm, const struct hmm_vma *vma)
{
	struct file_table *t = mm->files;
	struct file *f = find_file(t, vma);
	struct open_file h;
	int err;

	if (f && (f->h.fd >= 0 || clock_ns() < f->retry_ns))
		return f;
	if (files_full())
		files_close_unused_locked(mm, SPANS_AT_ONCE);
	pthread_mutex_unlock(&t->lock);
	err = file_open(mm, &h, vma);
	pthread_mutex_lock(&t->lock);
	return adopt(mm, vma, &h, err);
}

/* Has the descriptor or the watch gone? */
static bool has_to_be_found_again(const struct file *f, int err)
{
	return err == -EBADF || (f->h.watch && !watch_works(f->h.watch));
}

bool file_look_locked(struct file_table *t, struct file *f)
{
	const bool ours = f->writers && f->h.watch;
	struct file_stamp *was = &f->h.stamp;
	struct file_stamp now;
	uint32_t events;
	bool changed;
	int err;

	if (f->h.fd < 0 || hmm_mutation(HMM_MUTATION_FILE_BLIND))
		return false;
	events = watch_events(f->h.watch);
	err = file_stamp(&f->h, &now);
	if (err)
		changed = true;
	else if (
		/*
		 * Our own fault changes times only, so these are changes: the number of blocks of a
		 * DAX file (a hole was filled, and its zero page replaced), and more shared extents
		 * (the file was cloned).
		 */
		ours)
		changed = events != f->h.events || now.size != was->size ||
			  now.shared > was->shared ||
			  (f->kind == HMM_VMA_DAX && now.blocks != was->blocks);
	else
		changed = events != f->h.events || (was->racy && !f->h.watch) ||
			  stamp_differs(&now, was, f->kind == HMM_VMA_DAX);
	if (!err && (changed || ours))
		*was = now;
	f->h.events = events;
	if (!changed)
		return false;
	file_outdate_locked(t, f);
	if (has_to_be_found_again(f, err)) {
		file_close(&f->h);
		f->retry_ns = 0;
	}
	return true;
}

/* Invalidates all stale mappings. 0; -ETIME: some are left to the next call. */
static int sweep(struct hmm_mm *mm, uint64_t deadline)
{
	struct file_table *t = mm->files;
	struct stale_ranges dead = { .table = t };
	int err = 0;
	bool more;

	do {
		pthread_mutex_lock(&t->lock);
		more = stale_ranges_deferred_locked(t, &dead) ||
		       (t->unswept && mapping_sweep_locked(t, &dead));
		t->unswept &= more;
		pthread_mutex_unlock(&t->lock);
		err = stale_ranges_tell(mm, &dead, deadline);
	} while (more && !err);
	return err;
}

void files_sweep_all(struct hmm_mm *mm)
{
	do
		sweep(mm, 0);
	while (stale_ranges_wait(mm->files));
}

int files_tell(struct hmm_mm *mm, uint64_t deadline)
{
	return stale_undelivered(mm) ? sweep(mm, deadline) : 0;
}

static bool has_file(const struct hmm_vma *vma)
{
	return vma->kind == HMM_VMA_FILE || vma->kind == HMM_VMA_DAX ||
	       vma->kind == HMM_VMA_SHMEM ||
	       (vma->kind == HMM_VMA_HUGETLB && (vma->inode || vma->dev_minor || vma->dev_major));
}

/*
 * Finds the file of a mapping and looks whether it has changed. NULL if the mapping is of a
 * namesake, of which the library keeps no record.
 */
static struct file *file_to_track(struct hmm_mm *mm, const struct hmm_vma *vma, bool namesake)
{
	struct file *f = get_file(mm, vma);

	watches_drain();
	if (f)
		file_look_locked(mm->files, f);
	return namesake ? NULL : f;
}

/*
 * Is the mapping of another file than the one that we keep under its inode number? Asks the
 * filesystem, so the lock is not held meanwhile.
 */
static bool is_namesake(struct hmm_mm *mm, const struct hmm_vma *vma)
{
	struct file_table *t = mm->files;
	struct open_file h = { .fd = -1 };
	struct file *f;

	pthread_mutex_lock(&t->lock);
	f = find_file(t, vma);
	if (f)
		h = f->h;
	pthread_mutex_unlock(&t->lock);
	return h.fd >= 0 && h.namesakes && !file_is_mapped(mm, &h, vma);
}

/*
 * Will changes of the file be seen? A file without a name and without a descriptor counts: nobody
 * in this process can change it.
 */
static bool is_known(const struct file *f, const struct hmm_vma *vma)
{
	return f && (f->h.fd >= 0 || (vma->kind == HMM_VMA_SHMEM && f->has_none));
}

int file_track(struct hmm_mm *mm, const struct hmm_vma *vma, uint64_t deadline)
{
	struct file_table *t = mm->files;
	struct stale_ranges dead = { .table = t };
	const bool filed = has_file(vma);
	const bool namesake = filed && is_namesake(mm, vma);
	struct file *f = NULL;
	bool known = false;
	int late;
	int err;

	do {
		err = deadline_lock(&t->lock, deadline);
		if (err)
			return err;
		/*
		 * No event tells when memory that cannot be registered is unmapped, so each fault
		 * looks at a few mappings.
		 */
		files_close_unused_locked(mm, SPANS_A_FAULT);
		if (filed)
			f = file_to_track(mm, vma, namesake);
		known = is_known(f, vma);
		err = f && f->h.fd < 0 && !f->retry_ns ? -EBUSY
						       : mapping_put_locked(t, vma, f, &dead);
		pthread_mutex_unlock(&t->lock);
		late = stale_ranges_tell(mm, &dead, deadline);
	} while (err == -EAGAIN && !late);
	if (!late && (t->unswept || stale_undelivered(mm)))
		late = sweep(mm, deadline);
	if (late || err)
		return late ? late : err;
	return filed && !known ? -EOPNOTSUPP : 0;
}

void file_write_begin(struct hmm_mm *mm, const struct hmm_vma *vma, uint64_t deadline)
{
	struct file_table *t = mm->files;
	struct file *f;

	if (!has_file(vma) || !vma->shared)
		return;
	pthread_mutex_lock(&t->lock);
	f = get_file(mm, vma);
	if (f) {
		watches_drain();
		file_look_locked(t, f);
		f->writers++;
	}
	pthread_mutex_unlock(&t->lock);
	if (t->unswept)
		sweep(mm, deadline);
}

void file_write_end(struct hmm_mm *mm, const struct hmm_vma *vma, uint64_t deadline)
{
	struct file_table *t = mm->files;
	struct file *f;

	if (!has_file(vma) || !vma->shared)
		return;
	pthread_mutex_lock(&t->lock);
	f = find_file(t, vma);
	if (f && f->writers) {
		watches_drain();
		file_look_locked(t, f);
		f->writers--;
		t->unused = true;
	}
	pthread_mutex_unlock(&t->lock);
	if (t->unswept)
		sweep(mm, deadline);
}

int file_unchanged(struct hmm_mm *mm, uint64_t start, uint64_t end)
{
	struct file_table *t = mm->files;
	int ret = -ENOENT;

	pthread_mutex_lock(&t->lock);
	watches_drain();
	for (struct itree_node *n = itree_first(&t->mappings, start, end); n && ret;
	     n = itree_next(&t->mappings, n, start, end)) {
		struct mapping *s = (struct mapping *)n;

		if (!s->file || s->file->h.fd < 0)
			continue;
		file_look_locked(t, s->file);
		ret = s->generation == s->file->generation;
	}
	pthread_mutex_unlock(&t->lock);
	return ret;
}

static bool every_mapping(struct hmm_mm *mm, uint64_t start, uint64_t end,
			  bool (*holds)(const struct mapping *s))
{
	struct file_table *t = mm->files;
	bool all = true;

	pthread_mutex_lock(&t->lock);
	while (all && start < end) {
		const struct mapping *s =
			(struct mapping *)itree_first(&t->mappings, start, start + 1);

		all = s && holds(s);
		start = s ? s->node.end : end;
	}
	pthread_mutex_unlock(&t->lock);
	return all;
}

static bool is_watched(const struct mapping *s)
{
	const struct file *f = s->file;

	/*
	 * A stamp alone says too little: filesystems change a file's times before they take its
	 * pages away.
	 */
	return f && f->h.fd >= 0 && s->generation == f->generation && watch_works(f->h.watch);
}

bool file_watched(struct hmm_mm *mm, uint64_t start, uint64_t end)
{
	return every_mapping(mm, start, end, is_watched);
}

static bool is_tracked(const struct mapping *s)
{
	const struct file *f = s->file;

	if (s->kind != HMM_VMA_SHMEM)
		return !f || s->generation == f->generation;
	return f && s->generation == f->generation && (f->h.fd >= 0 || f->has_none);
}

bool file_tracked(struct hmm_mm *mm, uint64_t start, uint64_t end)
{
	return every_mapping(mm, start, end, is_tracked);
}

bool file_told_of(struct hmm_mm *mm, const struct hmm_vma *vma, uint64_t start, uint64_t end)
{
	switch (vma->kind) {
	case HMM_VMA_ANON:
		return true;
	case HMM_VMA_FILE:
	case HMM_VMA_DAX:
		return file_watched(mm, start, end);
	default:
		return file_tracked(mm, start, end);
	}
}
