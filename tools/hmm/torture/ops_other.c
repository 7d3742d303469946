// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* Plain stores, changes of the object, and changes of permission. */
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "ops.h"
#include "peer.h"

int op_store(struct op_run *run)
{
	oracle_stamp(run->slot, run->lo, run->hi, run->stamp);
	return 0;
}

static int object_gone(struct op_run *run, int fd)
{
	int ret = run->note ? hmm_mm_note_file(run->t->mm, fd) : 0;

	if (ret)
		return ret;
	op_returned(run);
	op_hold_changed(run);
	oracle_stamp(run->slot, run->lo, run->hi, run->stamp);
	return 0;
}

int op_truncate(struct op_run *run)
{
	struct slot *slot = run->slot;
	int fd = slot->objects[slot->object].fd;

	if (ftruncate(fd, (off_t)(run->lo * slot->stride)) ||
	    ftruncate(fd, (off_t)slot_object_len(slot)))
		return -errno;
	run->hi = PAGES;
	return object_gone(run, fd);
}

int op_punch(struct op_run *run)
{
	struct slot *slot = run->slot;
	int fd = slot->objects[slot->object].fd;

	if (fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
		      (off_t)(run->lo * slot->stride), (off_t)((run->hi - run->lo) * slot->stride)))
		return errno == EOPNOTSUPP ? -EOPNOTSUPP : -errno;
	return object_gone(run, fd);
}

/*
 * The library is not told: a use with all checks must refuse a translation that was made for
 * writing.
 */
static int mprotect_untold(struct op_run *run)
{
	struct slot *slot = run->slot;

	if (mprotect((void *)slot->base, slot->len, PROT_READ))
		return -errno;
	atomic_fetch_add(&slot->denied, 1);
	op_hold_changed(run);
	tort_pause(rng_below(run->rng, 100000));
	atomic_fetch_add(&slot->denied, 1);
	if (mprotect((void *)slot->base, slot->len, PROT_READ | PROT_WRITE))
		return -errno;
	oracle_stamp(slot, run->lo, run->hi, run->stamp);
	return 0;
}

/* After the library was told, no device may write until the permission is back. */
int op_mprotect(struct op_run *run)
{
	struct slot *slot = run->slot;
	uint64_t before[PAGES][DEVICE_WORDS], until;
	unsigned int i, j;
	int ret;

	if (!run->note)
		return mprotect_untold(run);
	if (mprotect((void *)slot->base, slot->len, PROT_READ))
		return -errno;
	ret = hmm_mm_note(run->t->mm, HMM_NOTE_PROTECT, slot->base, slot->base + slot->len);
	if (ret)
		return ret;
	for (i = 0; i < PAGES; i++)
		for (j = 0; j < DEVICE_WORDS; j++)
			before[i][j] = ((volatile uint64_t *)slot_page(slot, i))[DEVICE_WORD + j];
	until = tort_now_ns() + 20000;
	while (tort_now_ns() < until)
		;
	for (i = 0; i < PAGES; i++)
		for (j = 0; j < DEVICE_WORDS; j++)
			if (((volatile uint64_t *)slot_page(slot, i))[DEVICE_WORD + j] !=
			    before[i][j])
				finding(FINDING_STALE,
					"slot %u (%s) page %u: a device wrote after the permission "
					"was taken",
					slot->id, kind_name(slot->kind), i);
	if (mprotect((void *)slot->base, slot->len, PROT_READ | PROT_WRITE))
		return -errno;
	oracle_stamp(slot, run->lo, run->hi, run->stamp);
	return 0;
}

/* Makes the first page show another page of the object. */
static int remap_first(struct op_run *run, uint64_t page)
{
	int tries = 100;

	/* The kernel refuses if a registration changes the VMA meanwhile. */
	while (syscall(SYS_remap_file_pages, slot_page(run->slot, 0), HMM_PAGE_SIZE, 0, page, 0))
		if (errno != EINVAL || --tries < 0)
			return -errno;
	return !run->note ? 0
			  : hmm_mm_note(run->t->mm, HMM_NOTE_DETACH, slot_page(run->slot, 0),
					slot_page(run->slot, 0) + HMM_PAGE_SIZE);
}

/*
 * The offset of page 0 changes without an event: it shows the object's spare page, then its own
 * again. Both times the library is told, or each use checks what is mapped.
 */
int op_remap_file_pages(struct op_run *run)
{
	struct slot *slot = run->slot;
	struct object *o = &slot->objects[slot->object];
	int ret;

	oracle_fill((uint64_t *)(o->alias + slot->len), oracle_word(slot, 0, run->stamp));
	ret = remap_first(run, PAGES);
	if (ret)
		return ret == -EINVAL || ret == -ENOSYS ? -EOPNOTSUPP : ret;
	op_returned(run);
	op_hold_changed(run);
	oracle_fill((uint64_t *)o->alias, oracle_word(slot, 0, run->stamp));
	ret = remap_first(run, 0);
	if (!ret)
		oracle_stamp(slot, 0, PAGES, run->stamp);
	return ret;
}
