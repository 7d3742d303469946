// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * Mappings: what was mapped where when it was faulted. A translation stands only while the same is
 * mapped and permits no less. Some changes of a mapping (shmdt, remap_file_pages, mprotect) raise
 * no event, so the kernel is asked about it at use.
 *
 * When a mapping is remembered over an older one, the older one is invalidated where they overlap,
 * unless the new one is of the same memory and permits no less. Otherwise a translation that was
 * made under the old mapping would be compared with the new one.
 */
#include "files/mapping.h"
#include "files/files.h"
#include "watch/region.h"
#include "space/space.h"
#include "base/itree.h"
#include "base/pool.h"

#include <errno.h>
#include <sys/mman.h>

#define RW (PROT_READ | PROT_WRITE)
#define PARTS_MAX 64 /* how many VMAs are looked at to find a part of a mapping that is left */

static struct mapping *first(const struct file_table *t, uint64_t start, uint64_t end)
{
	return (struct mapping *)itree_first(&t->mappings, start, end);
}

static struct mapping *next(const struct file_table *t, const struct mapping *s, uint64_t start,
			    uint64_t end)
{
	return (struct mapping *)itree_next(&t->mappings, &s->node, start, end);
}

/* The offset counts only where there is a file. */
static bool same_mapping(const struct mapping *s, uint64_t start, uint64_t offset, uint64_t inode,
			 uint32_t dev_major, uint32_t dev_minor, bool shared)
{
	if (s->inode != inode || s->dev_major != dev_major || s->dev_minor != dev_minor ||
	    s->shared != shared)
		return false;
	return (!inode && !dev_major && !dev_minor) || s->offset - s->node.start == offset - start;
}

static int insert(struct file_table *t, const struct mapping *like, uint64_t start, uint64_t end)
{
	struct mapping *s = objpool_get(&t->mappings_pool);

	if (!s)
		return -ENOMEM;
	*s = *like;
	s->offset = like->offset + (start - like->node.start);
	s->node = (struct itree_node){ .start = start, .end = end };
	itree_insert(&t->mappings, &s->node);
	atomic_fetch_add(&t->n_mappings, 1);
	if (s->file)
		s->file->mappings++;
	if (s->kind == HMM_VMA_SYSV)
		atomic_fetch_add(&t->n_sysv, 1);
	return 0;
}

void mapping_delete_locked(struct file_table *t, struct mapping *s)
{
	itree_remove(&t->mappings, &s->node);
	atomic_fetch_sub(&t->n_mappings, 1);
	if (s->file && !--s->file->mappings)
		t->unused = true;
	if (s->kind == HMM_VMA_SYSV)
		atomic_fetch_sub(&t->n_sysv, 1);
	objpool_put(&t->mappings_pool, s);
}

static bool is_dead(const struct mapping *s)
{
	return s->file && s->generation != s->file->generation;
}

/* Do both say the same, so that the new mapping can grow over the old one? */
static bool absorbs(const struct mapping *old, const struct mapping *new)
{
	return same_mapping(old, new->node.start, new->offset, new->inode, new->dev_major,
			    new->dev_minor, new->shared) &&
	       old->prot == new->prot && old->kind == new->kind && old->file == new->file &&
	       old->generation == new->generation;
}

/* Takes [start, end) out of an old mapping and keeps what is left of it on both sides. */
static int cut(struct file_table *t, struct mapping *old, uint64_t start, uint64_t end)
{
	const struct mapping was = *old;
	int err = 0;

	mapping_delete_locked(t, old);
	if (was.node.start < start)
		err = insert(t, &was, was.node.start, start);
	if (!err && was.node.end > end)
		err = insert(t, &was, end, was.node.end);
	return err;
}

static bool still_good(const struct mapping *old, const struct mapping *new)
{
	return !is_dead(old) &&
	       same_mapping(old, new->node.start, new->offset, new->inode, new->dev_major,
			    new->dev_minor, new->shared) &&
	       !(old->prot & ~new->prot);
}

static void absorb(struct file_table *t, struct mapping *new, struct mapping *old)
{
	if (old->node.start < new->node.start) {
		new->offset -= new->node.start - old->node.start;
		new->node.start = old->node.start;
	}
	if (old->node.end > new->node.end)
		new->node.end = old->node.end;
	mapping_delete_locked(t, old);
}

/*
 * Joins the mappings on both sides, too, so that a VMA stays one mapping when registration splits
 * it.
 */
static void absorb_neighbours(struct file_table *t, struct mapping *new)
{
	struct mapping *old =
		new->node.start ? first(t, new->node.start - 1, new->node.start) : NULL;

	if (old && absorbs(old, new))
		absorb(t, new, old);
	old = first(t, new->node.end, new->node.end + 1);
	if (old && absorbs(old, new))
		absorb(t, new, old);
}

static enum hmm_event death_of(const struct mapping *old, const struct mapping *new)
{
	const bool same = same_mapping(old, new->node.start, new->offset, new->inode,
				       new->dev_major, new->dev_minor, new->shared);

	return same && !is_dead(old) ? HMM_EVENT_PROTECT : HMM_EVENT_CLEAR;
}

/* 0; -ENOMEM; -EAGAIN: `dead` is full, so the caller invalidates what it holds and calls again. */
int mapping_put_locked(struct file_table *t, const struct hmm_vma *vma, struct file *file,
		       struct stale_ranges *dead)
{
	struct mapping new = { .node = { .start = vma->start, .end = vma->end },
			       .offset = vma->offset,
			       .inode = vma->inode,
			       .dev_major = vma->dev_major,
			       .dev_minor = vma->dev_minor,
			       .kind = vma->kind,
			       .prot = vma->prot & RW,
			       .shared = vma->shared,
			       .file = file,
			       .generation = file ? file->generation : 0 };
	struct mapping *old = first(t, vma->start, vma->end);
	int err = 0;

	if (old && old->node.start <= vma->start && old->node.end >= vma->end && absorbs(old, &new))
		return 0;
	for (; !err && old; old = first(t, vma->start, vma->end)) {
		const uint64_t from = old->node.start > vma->start ? old->node.start : vma->start;
		const uint64_t to = old->node.end < vma->end ? old->node.end : vma->end;

		if (absorbs(old, &new)) {
			absorb(t, &new, old);
			continue;
		}
		if (!still_good(old, &new) &&
		    !stale_ranges_add(dead, from, to, death_of(old, &new)))
			return -EAGAIN;
		err = cut(t, old, from, to);
	}
	if (err)
		return err;
	absorb_neighbours(t, &new);
	return insert(t, &new, new.node.start, new.node.end);
}

bool mapping_sweep_locked(struct file_table *t, struct stale_ranges *dead)
{
	struct mapping *s = first(t, 0, UINT64_MAX);

	while (s) {
		struct mapping *after = next(t, s, 0, UINT64_MAX);

		if (is_dead(s)) {
			if (!stale_ranges_add(dead, s->node.start, s->node.end, HMM_EVENT_CLEAR))
				return true;
			mapping_delete_locked(t, s);
		}
		s = after;
	}
	return false;
}

/*
 * Is [start, end) of the mapping mapped now as it was, with no less permission? Asks VMA by VMA.
 *
 * Memory that was detached without an event and attached again is mapped as before, but no longer
 * registered: its next discard would raise no event. So the range must also be registered, and with
 * us, as events go to the userfaultfd that it is registered with. (A range that was registered
 * again has been invalidated by that.) A VMA is registered as a whole, so one page of it tells.
 * Memory that is not registered when the use begins is a VMA of its own or a hole, so this loop
 * comes to it.
 */
static bool still_mapped(struct hmm_mm *mm, const struct mapping *s, uint64_t start, uint64_t end)
{
	struct hmm_vma vma;

	while (start < end) {
		if (!region_stands(mm, start, end, &s->node, &vma) || vma.start > start ||
		    (s->prot & ~vma.prot) ||
		    !same_mapping(s, vma.start, vma.offset, vma.inode, vma.dev_major, vma.dev_minor,
				  vma.shared))
			return false;
		start = vma.end;
	}
	return true;
}

/*
 * The lock is not held while the kernel is asked about the VMAs, of which there may be many. A
 * thread that replaces a mapping meanwhile invalidates it.
 */
bool mapping_stands(struct hmm_mm *mm, uint64_t start, uint64_t end)
{
	struct file_table *t = mm->files;
	bool stands = true;

	for (uint64_t to; stands && start < end; start = to) {
		const struct mapping *s;
		struct mapping copy = { .prot = 0 };

		pthread_mutex_lock(&t->lock);
		s = first(t, start, start + 1);
		stands = s;
		if (s)
			copy = *s;
		pthread_mutex_unlock(&t->lock);
		to = stands && copy.node.end < end ? copy.node.end : end;
		stands = stands && still_mapped(mm, &copy, start, to);
	}
	return stands;
}

bool mapping_any_sysv(struct hmm_mm *mm)
{
	return atomic_load(&mm->files->n_sysv);
}

bool mapping_has_sysv(struct hmm_mm *mm, uint64_t start, uint64_t end)
{
	struct file_table *t = mm->files;
	bool found = false;

	if (!mapping_any_sysv(mm))
		return false;
	pthread_mutex_lock(&t->lock);
	for (struct mapping *s = first(t, start, end); s && !found; s = next(t, s, start, end))
		found = s->kind == HMM_VMA_SYSV;
	pthread_mutex_unlock(&t->lock);
	return found;
}

/*
 * Is any part of the mapping still mapped as it was? True, too, if that is not found out within
 * PARTS_MAX VMAs.
 */
static bool partly_mapped(struct hmm_mm *mm, const struct mapping *s)
{
	uint64_t at = s->node.start;
	struct hmm_vma vma;

	for (int i = 0; i < PARTS_MAX; i++, at = vma.end) {
		if (at >= s->node.end || vma_peek(mm_vmas(mm), at, &vma) ||
		    vma.start >= s->node.end)
			return false;
		if (same_mapping(s, vma.start, vma.offset, vma.inode, vma.dev_major, vma.dev_minor,
				 vma.shared))
			return true;
	}
	return true;
}

void mapping_gc_some_locked(struct hmm_mm *mm, uint64_t *at, unsigned int mappings)
{
	struct file_table *t = mm->files;
	struct mapping *s = first(t, *at, UINT64_MAX);

	for (; s && mappings; mappings--) {
		struct mapping *after = next(t, s, *at, UINT64_MAX);

		*at = s->node.end;
		if (!partly_mapped(mm, s) &&
		    stale_range_defer_locked(t, s->node.start, s->node.end))
			mapping_delete_locked(t, s);
		s = after;
	}
	if (!s)
		*at = 0;
}

/*
 * Is nothing left of the mapping, and is that told of? `any`: a part of it is registered. Of a
 * file's mapping only chunks may be registered; the unmapping of the rest raises no event. Other
 * memory is registered in whole VMAs: while any of it is registered it is mapped. Where a part
 * counts as registered and nothing is mapped, the mapping has gone without an event: it is a stale
 * range from now on, as what comes there next is not compared with it any more.
 */
static bool has_gone(struct hmm_mm *mm, const struct mapping *s, bool any)
{
	if (!any)
		return true;
	return s->file && !partly_mapped(mm, s) &&
	       stale_range_defer_locked(mm->files, s->node.start, s->node.end);
}

bool mapping_gc_range_locked(struct hmm_mm *mm, uint64_t start, uint64_t end)
{
	struct file_table *t = mm->files;
	struct mapping *s = first(t, start, end);

	while (s) {
		struct mapping *after = next(t, s, start, end);
		int any = region_any(mm, s->node.start, s->node.end);

		if (any < 0)
			return false;
		if (has_gone(mm, s, any))
			mapping_delete_locked(t, s);
		s = after;
	}
	return true;
}
