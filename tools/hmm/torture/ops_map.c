// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* Operations that unmap, or map something else in place. */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "ops.h"
#include "peer.h"
#include "story.h"

void op_returned(struct op_run *run)
{
	story(run->slot->id, "the call returned", run->stamp, run->lo, run->hi);
	oracle_removed(run->slot, run->lo, run->hi, run->stamp);
	window_returned(run->t);
}

void op_hold_changed(struct op_run *run)
{
	if (!run->forced)
		return;
	window_effect(run->t);
	window_hold(run->t, WINDOW_CHANGED);
}

/* After a removal: maps the slot anew if the peer has not. */
int op_finish_map(struct op_run *run, bool peer)
{
	int ret;

	if (peer && peer_finish(run->t))
		return 0;
	ret = slot_map(run->slot, false, run->raw, run->stamp);
	if (!ret)
		oracle_stamp(run->slot, 0, PAGES, run->stamp);
	return ret;
}

int op_munmap(struct op_run *run)
{
	uint64_t below = run->latch ? LATCH_LEN : 0;
	struct slot *slot = run->slot;
	bool peer = peer_start(run, 0, PAGES, PEER_MAP);
	int ret = tort_munmap(run->raw, slot->base - below, slot->len + below);

	if (!ret)
		op_returned(run);
	else if (peer)
		peer_finish(run->t);
	return ret ? ret : op_finish_map(run, peer);
}

/*
 * Maps one mapping over the latch and the slot. The slot's own mapping then goes over that, without
 * an event.
 */
static int map_over_latch(struct slot *slot)
{
	int64_t p = tort_mmap(true, slot->base - LATCH_LEN, slot->len + LATCH_LEN, PROT_NONE,
			      MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);

	return p < 0 ? (int)p : tort_munmap(true, slot->base - LATCH_LEN, LATCH_LEN);
}

int op_map_fixed(struct op_run *run)
{
	struct slot *slot = run->slot;
	bool peer = peer_start(run, 0, PAGES, PEER_PEEK);
	int ret = run->latch ? map_over_latch(slot) : 0;

	if (!ret)
		ret = slot_map(slot, true, run->raw, run->stamp);
	if (!ret) {
		op_returned(run);
		oracle_stamp(slot, 0, PAGES, run->stamp);
	}
	if (peer)
		peer_finish(run->t);
	return ret;
}

/* Shrinks the heap and grows it again, unless other code has moved its end. */
int op_brk(struct op_run *run)
{
	struct slot *slot = run->slot;
	uint64_t end = slot->base + slot->len;
	uint64_t cut = run->latch ? slot->base - LATCH_LEN : slot_page(slot, run->lo);
	bool peer;
	int ret;

	if ((uint64_t)sbrk(0) != end)
		return -EOPNOTSUPP;
	peer = peer_start(run, run->lo, run->hi, PEER_PEEK);
	if (run->raw)
		ret = (uint64_t)syscall(SYS_brk, cut) == cut ? 0 : -ENOMEM;
	else
		ret = brk((void *)cut) ? -errno : 0;
	if (!ret)
		op_returned(run);
	if (peer)
		peer_finish(run->t);
	if (ret)
		return ret;
	if (run->raw)
		ret = (uint64_t)syscall(SYS_brk, end) == end ? 0 : -ENOMEM;
	else
		ret = brk((void *)end) ? -errno : 0;
	if (!ret)
		oracle_stamp(slot, run->lo, run->hi, run->stamp);
	return ret;
}

/* The lower part of a stack is unmapped, and the stack grows into the hole. */
int op_stack(struct op_run *run)
{
	struct slot *slot = run->slot;
	uint64_t below = run->latch ? LATCH_LEN : 0;
	bool peer = peer_start(run, 0, run->hi, PEER_PEEK);
	int ret = tort_munmap(run->raw, slot->base - below, run->hi * slot->stride + below);
	unsigned int i;

	if (!ret)
		op_returned(run);
	if (peer)
		peer_finish(run->t);
	if (ret)
		return ret;
	for (i = run->hi; i-- > 0;)
		oracle_stamp(slot, i, i + 1, run->stamp);
	return 0;
}

/*
 * No event tells of shmdt, and the peer maps as soon as there is a hole. So it maps before the
 * window is open, or not at all.
 */
int op_shmdt(struct op_run *run)
{
	struct slot *slot = run->slot;
	bool peer = !run->note && !run->forced && peer_start(run, 0, PAGES, PEER_MAP);
	int ret = shmdt((void *)slot->base) ? -errno : 0;

	if (!ret && run->note)
		ret = hmm_mm_note(run->t->mm, HMM_NOTE_DETACH, slot->base, slot->base + slot->len);
	if (!ret) {
		op_returned(run);
		op_hold_changed(run);
	}
	return ret ? ret : op_finish_map(run, peer);
}
