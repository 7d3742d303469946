// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * Finding the file behind a mapping, and keeping a descriptor of it. The descriptor is opened with
 * O_PATH, so that closing it has no side effect. No lock is held meanwhile, as a filesystem may
 * take long to answer. Filesystems that another machine can change are not asked at all.
 *
 * The descriptors count against the program's limit. So the library keeps at most half of what the
 * limit allows, and none with a number in the upper quarter. Translations of further files are
 * TRANSIENT.
 */
#include "files/files.h"
#include "files/mapping.h"
#include "space/space.h"
#include "kernel/extents.h"
#include "kernel/inotify.h"
#include "kernel/mounts.h"
#include "kernel/stamp.h"
#include "base/child.h"
#include "base/opening.h"
#include "base/ownfd.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define DESCRIPTORS_MAX 65536

static _Atomic uint32_t descriptors; /* how many all spaces of the process keep ... */
static _Atomic pid_t keeper_pid;     /* ... of this number */

static uint64_t limit(void)
{
	struct rlimit rl;

	if (getrlimit(RLIMIT_NOFILE, &rl) || rl.rlim_cur > 2 * DESCRIPTORS_MAX)
		return 2 * DESCRIPTORS_MAX;
	return rl.rlim_cur;
}

static bool may_keep(int fd)
{
	const uint64_t most = limit();
	const pid_t pid = getpid();

	/* A forked child keeps none of its parent's descriptors. */
	if (atomic_exchange(&keeper_pid, pid) != pid)
		atomic_store(&descriptors, 0);

	if ((uint64_t)fd >= most - most / 4)
		return false;
	if (atomic_fetch_add(&descriptors, 1) < most / 2)
		return true;
	atomic_fetch_sub(&descriptors, 1);
	return false;
}

uint32_t files_descriptors(void)
{
	return atomic_load(&descriptors);
}

bool files_full(void)
{
	return atomic_load(&descriptors) >= limit() / 2;
}

/*
 * Is the descriptor still the one that we opened? The program may have closed it, and use the
 * number for another file by now.
 */
static bool is_ours(int fd, uint64_t dev, uint64_t ino)
{
	int flags = fcntl(fd, F_GETFL);

	return flags >= 0 && flags & O_PATH && fd_look(fd, dev, ino) == 1;
}

void file_close(struct open_file *h)
{
	watch_put(h->watch);
	h->watch = NULL;
	if (h->fd < 0)
		return;
	opening_begin();
	child_keeps(h->fd);
	if (is_ours(h->fd, h->st_dev, h->st_ino))
		close(h->fd);
	opening_end();
	h->fd = -1;
	atomic_fetch_sub(&descriptors, 1);
}

int file_stamp(const struct open_file *h, struct file_stamp *stamp)
{
	int err = stamp_take(h->fd, stamp);

	stamp->shared = 0;
	if (!err && (stamp->dev != h->st_dev || stamp->ino != h->st_ino))
		err = -EBADF;
	if (!err && h->extents)
		err = outside_shared_bytes(h->fd, &stamp->shared);
	return err;
}

/*
 * The watch is added before the stamp is taken, so that a change in between is reported by the
 * watch.
 *
 * On btrfs, and on overlayfs with layers on several devices, stat shows another device than
 * /proc/PID/maps. There several files can have the same number in maps, one in each snapshot or
 * layer. The link in map_files, or the name in maps, tells which file a mapping is of, so each
 * mapping is asked.
 */
static int learn(struct open_file *h, const struct hmm_vma *vma)
{
	struct stat st;

	if (!stamp_is_local(h->fd) || fstat(h->fd, &st) || !S_ISREG(st.st_mode))
		return -EOPNOTSUPP;
	h->st_dev = st.st_dev;
	h->st_ino = st.st_ino;
	h->watch = watch_add(h->fd);
	h->events = watch_events(h->watch);
	h->extents = vma->kind == HMM_VMA_DAX && extents_matter(h->fd);
	if (file_stamp(h, &h->stamp))
		return -EOPNOTSUPP;
	if (st.st_dev == makedev(vma->dev_major, vma->dev_minor))
		return 0;
	h->namesakes = true;
	return vma_file_is(h->fd, vma) ? 0 : -EOPNOTSUPP;
}

static int open_and_learn(struct hmm_mm *mm, struct open_file *h, const struct hmm_vma *vma)
{
	int err;

	h->fd = vma_open_file(mm_vmas(mm), vma);
	if (h->fd < 0)
		return h->fd;
	if (!may_keep(h->fd)) {
		close(h->fd);
		h->fd = -1;
		return -EMFILE;
	}
	child_closes(h->fd);
	err = learn(h, vma);
	if (err) {
		watch_put(h->watch);
		close_ours(h->fd);
		atomic_fetch_sub(&descriptors, 1);
		*h = (struct open_file){ .fd = -1 };
	}
	return err;
}

int file_open(struct hmm_mm *mm, struct open_file *h, const struct hmm_vma *vma)
{
	int err;

	*h = (struct open_file){ .fd = -1 };
	if (mounts_is_remote(vma->dev_major, vma->dev_minor))
		return -EOPNOTSUPP;
	if (files_full())
		return -EMFILE;
	opening_begin();
	err = open_and_learn(mm, h, vma);
	opening_end();
	return err;
}

/* Is the mapping of this file, and not of another one with the same number? */
bool file_is_mapped(struct hmm_mm *mm, const struct open_file *h, const struct hmm_vma *vma)
{
	struct stat st;
	bool same = false;
	int fd;

	opening_begin();
	fd = vma_open_file(mm_vmas(mm), vma);
	if (fd >= 0) {
		same = !fstat(fd, &st) && st.st_dev == h->st_dev && st.st_ino == h->st_ino;
		close(fd);
	}
	opening_end();
	return same;
}
