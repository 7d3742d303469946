// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* Operations that move or cut mappings. */
#include <sys/mman.h>
#include "ops.h"
#include "peer.h"

int op_mremap_away(struct op_run *run)
{
	struct slot *slot = run->slot;
	bool peer = peer_start(run, 0, PAGES, PEER_MAP);
	int64_t p = tort_mremap(run->raw, slot->base, slot->len, slot->len,
				MREMAP_MAYMOVE | MREMAP_FIXED, slot->away);
	int ret;

	if (p < 0) {
		if (peer)
			peer_finish(run->t);
		return (int)p;
	}
	op_returned(run);
	ret = op_finish_map(run, peer);
	tort_munmap(run->raw, slot->away, slot->len);
	return ret;
}

/* Moves a new mapping with its content onto the slot, and its first page onto the latch. */
int op_mremap_onto(struct op_run *run)
{
	uint64_t below = run->latch ? LATCH_LEN : 0;
	struct slot *slot = run->slot;
	unsigned int i;
	int64_t p;
	bool peer;
	int ret;

	slot->lead = below;
	ret = slot_map_at(slot, slot->away, false, run->raw, run->stamp);
	slot->lead = 0;
	if (ret)
		return ret;
	for (i = 0; i < PAGES; i++)
		oracle_fill((uint64_t *)(slot->away + i * slot->stride),
			    oracle_word(slot, i, run->stamp));
	peer = peer_start(run, 0, PAGES, PEER_PEEK);
	p = tort_mremap(run->raw, slot->away - below, slot->len + below, slot->len + below,
			MREMAP_MAYMOVE | MREMAP_FIXED, slot->base - below);
	if (p >= 0) {
		op_returned(run);
		oracle_stamped(slot, 0, PAGES, run->stamp);
	}
	if (peer)
		peer_finish(run->t);
	if (p >= 0 && below)
		return tort_munmap(run->raw, slot->base - below, below);
	return p < 0 ? (int)p : 0;
}

/* The object is the same, only its tail was not mapped; the tail comes back with new content. */
static void fill_object(struct op_run *run)
{
	struct slot *slot = run->slot;
	unsigned int i;

	for (i = run->lo; i < run->hi; i++)
		oracle_fill((uint64_t *)(slot->objects[slot->object].alias + i * slot->stride),
			    oracle_word(slot, i, run->stamp));
}

/* Cuts the tail off and maps something else there. */
static int shrink_tail(struct op_run *run)
{
	struct slot *slot = run->slot;
	uint64_t keep = run->lo * slot->stride;
	bool peer = peer_start(run, run->lo, run->hi, PEER_PEEK);
	int64_t p = tort_mremap(run->raw, slot->base, slot->len, keep, 0, 0);

	if (p >= 0)
		op_returned(run);
	if (peer)
		peer_finish(run->t);
	if (p < 0)
		return (int)p;
	if (kind_shared(slot->kind)) {
		fill_object(run);
		p = tort_mremap(run->raw, slot->base, keep, slot->len, 0, 0);
	} else {
		p = tort_mmap(run->raw, slot->base + keep, slot->len - keep, PROT_READ | PROT_WRITE,
			      MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
	}
	if (p >= 0)
		oracle_stamp(slot, run->lo, run->hi, run->stamp);
	return p < 0 ? (int)p : 0;
}

/*
 * The latch's event must come first. So a mapping shrinks that has one more page below the latch,
 * and all of the slot is cut off.
 */
static int shrink_over_latch(struct op_run *run)
{
	struct slot *slot = run->slot;
	uint64_t at = slot->base - 2 * LATCH_LEN;
	int64_t p = tort_mmap(true, at, LATCH_LEN, PROT_NONE,
			      MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
	bool peer;

	if (p < 0)
		return (int)p;
	peer = peer_start(run, run->lo, run->hi, PEER_PEEK);
	p = tort_mremap(run->raw, at, slot->len + 2 * LATCH_LEN, LATCH_LEN, 0, 0);
	if (p >= 0)
		op_returned(run);
	if (peer)
		peer_finish(run->t);
	tort_munmap(true, at, LATCH_LEN);
	return p < 0 ? (int)p : op_finish_map(run, false);
}

int op_mremap_shrink(struct op_run *run)
{
	return run->latch ? shrink_over_latch(run) : shrink_tail(run);
}

int op_mremap_dontunmap(struct op_run *run)
{
	struct slot *slot = run->slot;
	bool peer = peer_start(run, 0, PAGES, PEER_PEEK);
	int64_t p = tort_mremap(run->raw, slot->base, slot->len, slot->len,
				MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP, slot->away);

	if (p >= 0) {
		op_returned(run);
		oracle_stamp(slot, 0, PAGES, run->stamp);
	}
	if (peer)
		peer_finish(run->t);
	if (p < 0)
		return (int)p;
	tort_munmap(run->raw, slot->away, slot->len);
	return 0;
}
