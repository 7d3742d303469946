// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * The program says that it had files written back. The kernel then removed the permission to write
 * from their pages, in every mapping, so that it learns of the next write. No event tells of that,
 * and nothing that can be asked.
 */
#include "files/mapping.h"
#include "notifier/notifier.h"
#include "space/debug.h"
#include "space/space.h"
#include "base/itree.h"
#include "base/nocancel.h"

#include <errno.h>
#include <sys/mman.h>
#include <sys/stat.h>

static bool is_written_back(const struct mapping *s, const struct stat *st)
{
	const struct file *f = s->file;

	if (!f || !s->shared || !(s->prot & PROT_WRITE) ||
	    (s->kind != HMM_VMA_FILE && s->kind != HMM_VMA_DAX))
		return false;
	return !st || (f->h.fd >= 0 && f->h.st_dev == st->st_dev && f->h.st_ino == st->st_ino);
}

/* The next range from *start on. */
static bool find(struct file_table *t, const struct stat *st, uint64_t *start, uint64_t *end)
{
	const struct mapping *s;

	pthread_mutex_lock(&t->lock);
	s = (struct mapping *)itree_first(&t->mappings, *start, UINT64_MAX);
	while (s && !is_written_back(s, st))
		s = (struct mapping *)itree_next(&t->mappings, &s->node, *start, UINT64_MAX);
	if (s) {
		*start = s->node.start;
		*end = s->node.end;
	}
	pthread_mutex_unlock(&t->lock);
	return s;
}

static void note(struct hmm_mm *mm, void *arg)
{
	struct hmm_invalidation inv = { .event = HMM_EVENT_PROTECT };

	if (mm_alive(mm))
		return;
	for (; find(mm->files, arg, &inv.start, &inv.end); inv.start = inv.end)
		mm_invalidate(mm, &inv, 0);
}

int hmm_mm_note_writeback(struct hmm_mm *mm, int fd)
{
	DEBUG_CALL(mm, DEBUG_BLOCKS);
	HMM_NO_CANCEL;
	struct stat st;

	if (fd != -1 && fstat(fd, &st))
		return -errno;
	if (mm && mm_alive(mm))
		return -ESRCH;
	if (mm)
		note(mm, fd == -1 ? NULL : &st);
	else
		spaces_for_each(note, fd == -1 ? NULL : &st);
	return 0;
}
