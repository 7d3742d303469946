/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * The files behind mirrored ranges. Truncating, punching and the like raise no event, by whomever:
 * so each file has a descriptor and a stamp (see stamp.c), and who uses a translation may ask
 * whether the file is as it was when the range was faulted. A file that changed gets a new
 * generation; spans of an older one are dead, and are invalidated by the next call that may.
 *
 * Times change for harmless reasons too, our own faults for writing among them. Those are told
 * apart by inotify, which reports every system call that changes a file's data, and no store:
 * between file_write_begin() and file_write_end() a changed time without such an event is our
 * doing.
 */
#include "mm/span.h"
#include "base/mutation.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define FILES_MAX 512
#define WATCHED (IN_MODIFY | IN_UNMOUNT)

/* Files that have no name get no event from some of the calls that change them, depending on the kernel. */
static bool probe_memfd_events(int inotify)
{
	char path[FD_PATH_SIZE];
	char buf[sizeof(struct inotify_event)];
	int fd = memfd_create("libhmm-probe", MFD_CLOEXEC);
	bool told = false;
	int watch;

	if (fd < 0)
		return false;
	if (!ftruncate(fd, 4096) &&
	    (watch = inotify_add_watch(inotify, fd_path(path, fd), IN_MODIFY)) >= 0) {
		fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096);
		told = read(inotify, buf, sizeof(buf)) > 0;
		inotify_rm_watch(inotify, watch);
	}
	close(fd);
	while (read(inotify, buf, sizeof(buf)) > 0)
		; /* that the watch has gone */
	return told;
}

bool files_memfd_events(const struct hmm_mm *mm)
{
	return mm->files->memfd_events;
}

int files_init(struct hmm_mm *mm)
{
	struct file_table *t = hmm_pool_map(sizeof(*t));

	if (!t)
		return -ENOMEM;
	pthread_mutex_init(&t->lock, NULL);
	pthread_mutex_init(&t->gone_lock, NULL);
	hmm_objpool_init(&t->spans_pool, sizeof(struct span));
	hmm_objpool_init(&t->files_pool, sizeof(struct file));
	dead_ranges_init(t);
	once_init(&t->once);
	t->inotify = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	t->memfd_events = t->inotify >= 0 && probe_memfd_events(t->inotify);
	mm->files = t;
	return 0;
}

/* Closes descriptors and frees nothing: also right in a forked child, where watches are the parent's. */
void files_close_all(struct hmm_mm *mm)
{
	struct file_table *t = mm->files;

	for (struct file *f = t->files; f; f = f->next) {
		if (f->extents_fd >= 0)
			close(f->extents_fd);
		if (f->fd >= 0)
			close(f->fd);
	}
	if (t->inotify >= 0)
		close(t->inotify);
}

void files_fini(struct hmm_mm *mm)
{
	struct file_table *t = mm->files;

	if (!t)
		return;
	files_close_all(mm);
	hmm_objpool_fini(&t->spans_pool);
	hmm_objpool_fini(&t->files_pool);
	dead_ranges_fini(t);
	once_fini(&t->once);
	pthread_mutex_destroy(&t->gone_lock);
	pthread_mutex_destroy(&t->lock);
	hmm_pool_unmap(t, sizeof(*t));
	mm->files = NULL;
}

static struct file *find_file(struct file_table *t, const struct hmm_vma *vma)
{
	for (struct file *f = t->files; f; f = f->next) {
		if (f->inode == vma->inode && f->dev_major == vma->dev_major &&
		    f->dev_minor == vma->dev_minor)
			return f;
	}
	return NULL;
}

static int add_watch(const struct file_table *t, int fd)
{
	char path[FD_PATH_SIZE];

	return t->inotify < 0 ? -1 : inotify_add_watch(t->inotify, fd_path(path, fd), WATCHED);
}

static int take_stamp(const struct file *f, struct file_stamp *stamp)
{
	int err = stamp_take(f->fd, stamp);

	stamp->shared = 0;
	if (!err && f->extents_fd >= 0)
		err = extents_shared(f->extents_fd, &stamp->shared);
	return err;
}

static void open_file(struct hmm_mm *mm, struct file *f, const struct hmm_vma *vma)
{
	struct stat st;

	f->fd = vma_open_file(mm_vmas(mm), vma);
	f->extents_fd = -1;
	f->watch = -1;
	/* That the mapping changed meanwhile is no reason to go without the file: at once again. */
	f->retry_ns = f->fd == -EAGAIN ? 0 : mm_now_ns() + FILES_RETRY_NS;
	if (f->fd < 0)
		return;
	/*
	 * Watch, then stamp: what comes in between is reported, not missed. Where stat shows another device than maps a
	 * number can be that of several files (btrfs: of one in each snapshot), and maps does not tell which is meant.
	 */
	if (stamp_is_local(f->fd) && !fstat(f->fd, &st) && S_ISREG(st.st_mode) &&
	    st.st_dev == makedev(f->dev_major, f->dev_minor)) {
		f->watch = add_watch(mm->files, f->fd);
		f->st_dev = st.st_dev;
		f->st_ino = st.st_ino;
		if (f->kind == HMM_VMA_DAX)
			f->extents_fd = extents_open(f->fd);
		if (!take_stamp(f, &f->stamp))
			return;
		if (f->extents_fd >= 0)
			close(f->extents_fd);
		f->extents_fd = -1;
	}
	close(f->fd);
	f->fd = -1;
}

static void outdate(struct file_table *t, struct file *f)
{
	f->generation++;
	t->unswept = true;
}

static struct file *get_file(struct hmm_mm *mm, const struct hmm_vma *vma)
{
	struct file_table *t = mm->files;
	struct file *f = find_file(t, vma);

	if (f) {
		if (f->fd < 0 && mm_now_ns() >= f->retry_ns) {
			open_file(mm, f, vma);
			/* Nobody saw what happened to it before: older spans cannot be vouched for. */
			if (f->fd >= 0)
				outdate(t, f);
		}
		return f;
	}
	if (t->n_files >= FILES_MAX / 2 && mm_now_ns() >= t->gc_ns)
		idle_files_close_locked(mm);
	if (t->n_files >= FILES_MAX)
		return NULL;
	f = hmm_objpool_get(&t->files_pool);
	if (!f)
		return NULL;
	f->inode = vma->inode;
	f->dev_major = vma->dev_major;
	f->dev_minor = vma->dev_minor;
	f->kind = vma->kind;
	open_file(mm, f, vma);
	f->next = t->files;
	t->files = f;
	t->n_files++;
	return f;
}

/* What inotify has to say, noted in the files it is about. */
static void drain_events(struct file_table *t)
{
	char buf[1024] __attribute__((aligned(__alignof__(struct inotify_event))));
	ssize_t n;

	while (t->inotify >= 0 && (n = read(t->inotify, buf, sizeof(buf))) > 0) {
		for (ssize_t at = 0; at < n;) {
			const struct inotify_event *e = (const struct inotify_event *)(buf + at);

			at += (ssize_t)(sizeof(*e) + e->len);
			for (struct file *f = t->files; f; f = f->next) {
				if ((e->mask & IN_Q_OVERFLOW) || f->watch == e->wd)
					f->event = true;
			}
		}
	}
}

/* Bumps the generation if the file changed since its stamp. Call drain_events() first. */
static bool look(struct file_table *t, struct file *f)
{
	const bool ours = f->writers && f->watch >= 0;
	struct file_stamp now;
	bool changed;

	if (f->fd < 0 || hmm_mutation(HMM_MUTATION_FILE_BLIND))
		return false;
	if (take_stamp(f, &now))
		changed = true;
	else if (
		ours) /* blocks: a hole of a DAX file was filled, its zero page replaced; shared: it was cloned */
		changed = f->event || now.size != f->stamp.size || now.shared > f->stamp.shared ||
			  (f->kind == HMM_VMA_DAX && now.blocks != f->stamp.blocks);
	else
		changed = f->event || (f->stamp.racy && f->watch < 0) ||
			  stamp_differs(&now, &f->stamp, f->kind == HMM_VMA_DAX);
	if (changed || ours)
		f->stamp = now;
	f->event = false;
	if (changed)
		outdate(t, f);
	return changed;
}

/* 0; -ETIME: some are left to the next call. */
static int sweep(struct hmm_mm *mm, uint64_t deadline)
{
	struct file_table *t = mm->files;
	struct dead_ranges dead = { .table = t };
	int err = 0;
	bool more;

	do {
		pthread_mutex_lock(&t->lock);
		more = dead_ranges_late_locked(t, &dead) ||
		       (t->unswept && span_sweep_locked(t, &dead));
		t->unswept &= more;
		pthread_mutex_unlock(&t->lock);
		err = dead_ranges_tell(mm, &dead, deadline);
	} while (more && !err);
	return err;
}

/* Everything that was seen to change is told when it returns, by whomever. */
static void sweep_all(struct hmm_mm *mm)
{
	do
		sweep(mm, 0);
	while (dead_ranges_wait(mm->files));
}

static bool has_file(const struct hmm_vma *vma)
{
	return vma->kind == HMM_VMA_FILE || vma->kind == HMM_VMA_DAX ||
	       vma->kind == HMM_VMA_SHMEM ||
	       (vma->kind == HMM_VMA_HUGETLB && (vma->inode || vma->dev_minor || vma->dev_major));
}

int file_track(struct hmm_mm *mm, const struct hmm_vma *vma, uint64_t deadline)
{
	struct file_table *t = mm->files;
	struct dead_ranges dead = { .table = t };
	struct file *f = NULL;
	bool again;
	int late;
	int err;

	do {
		pthread_mutex_lock(&t->lock);
		if (has_file(vma)) {
			f = get_file(mm, vma);
			drain_events(t);
			if (f)
				look(t, f);
		}
		again = f && f->fd < 0 && !f->retry_ns;
		err = again ? -EBUSY : span_put_locked(t, vma, f, &dead);
		pthread_mutex_unlock(&t->lock);
		late = dead_ranges_tell(mm, &dead, deadline);
	} while (err == -EAGAIN && !late);
	if (!late && (t->unswept || spans_untold(mm)))
		late = sweep(mm, deadline);
	if (late || err)
		return late ? late : err;
	return has_file(vma) && (!f || f->fd < 0) ? -EOPNOTSUPP : 0;
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
		drain_events(t);
		look(t, f);
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
		drain_events(t);
		look(t, f);
		f->writers--;
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
	drain_events(t);
	for (struct itree_node *n = itree_first(&t->spans, start, end); n && ret;
	     n = itree_next(&t->spans, n, start, end)) {
		struct span *s = (struct span *)n;

		if (!s->file || s->file->fd < 0)
			continue;
		look(t, s->file);
		ret = s->generation == s->file->generation;
	}
	pthread_mutex_unlock(&t->lock);
	return ret;
}

static bool every_span(struct hmm_mm *mm, uint64_t start, uint64_t end,
		       bool (*holds)(const struct span *s))
{
	struct file_table *t = mm->files;
	bool all = true;

	pthread_mutex_lock(&t->lock);
	while (all && start < end) {
		const struct span *s = (struct span *)itree_first(&t->spans, start, start + 1);

		all = s && holds(s);
		start = s ? s->node.end : end;
	}
	pthread_mutex_unlock(&t->lock);
	return all;
}

static bool is_watched(const struct span *s)
{
	const struct file *f = s->file;

	/* Without the watch a stamp says too little: filesystems take it before they take the pages. */
	return f && f->fd >= 0 && s->generation == f->generation && f->watch >= 0;
}

bool file_watched(struct hmm_mm *mm, uint64_t start, uint64_t end)
{
	return every_span(mm, start, end, is_watched);
}

static bool is_tracked(const struct span *s)
{
	return s->file ? s->generation == s->file->generation : s->kind != HMM_VMA_SHMEM;
}

bool file_tracked(struct hmm_mm *mm, uint64_t start, uint64_t end)
{
	return every_span(mm, start, end, is_tracked);
}

int hmm_mm_check_files(struct hmm_mm *mm)
{
	struct file_table *t = mm->files;
	int err = mm_alive(mm);
	int changed = 0;

	if (err)
		return err;
	pthread_mutex_lock(&t->lock);
	if (mm_now_ns() >= t->gc_ns)
		idle_files_close_locked(mm);
	drain_events(t);
	for (struct file *f = t->files; f; f = f->next)
		changed += look(t, f);
	pthread_mutex_unlock(&t->lock);
	/* also what file_unchanged() found and could not tell */
	sweep_all(mm);
	return changed;
}

static void note_file(struct hmm_mm *mm, void *arg)
{
	const struct stat *st = arg;
	struct file_table *t = mm->files;
	bool known = false;

	if (mm_alive(mm))
		return;
	pthread_mutex_lock(&t->lock);
	for (struct file *f = t->files; f; f = f->next) {
		const bool same = f->fd >= 0 ? f->st_dev == st->st_dev && f->st_ino == st->st_ino
					     : f->inode == st->st_ino &&
						       f->dev_major == major(st->st_dev) &&
						       f->dev_minor == minor(st->st_dev);

		if (!same)
			continue;
		known = true;
		outdate(t, f);
		if (f->fd >= 0)
			take_stamp(f, &f->stamp);
	}
	pthread_mutex_unlock(&t->lock);
	if (known)
		sweep_all(mm);
}

int hmm_mm_note_file(struct hmm_mm *mm, int fd)
{
	struct stat st;

	if (fstat(fd, &st))
		return -errno;
	if (mm && mm_alive(mm))
		return -ESRCH;
	if (mm)
		note_file(mm, &st);
	else
		fork_for_each(note_file, &st);
	return 0;
}
