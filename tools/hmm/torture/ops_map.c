// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* Operations that take mappings away or put others in their place. */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "ops.h"
#include "peer.h"

#define RW (PROT_READ | PROT_WRITE)

void op_returned(struct op_run *run)
{
	oracle_removed(run->slot, run->lo, run->hi, run->stamp);
	window_returned(run->t);
}

/* After a removal: the peer has mapped anew, or we do. */
int op_finish_map(struct op_run *run, bool peer)
{
	int rc;

	if (peer && peer_finish())
		return 0;
	rc = slot_map(run->slot, false, run->raw, run->stamp);
	if (!rc)
		oracle_stamp(run->slot, 0, PAGES, run->stamp);
	return rc;
}

/* Shared pages mapped behind the slot: the kernel frees them after the mapping is gone. */
static uint64_t ballast_map(struct op_run *run)
{
	uint64_t len = 16ULL << 20;
	struct slot *slot = run->slot;
	int fd;

	if (atomic_load(&run->t->windows.armed) != WINDOW_CHANGED || !run->forced)
		return 0;
	fd = memfd_create("ballast", MFD_CLOEXEC);
	if (fd < 0 || ftruncate(fd, (off_t)len)) {
		close(fd);
		return 0;
	}
	if (tort_mmap(true, slot->base + slot->len, len, PROT_READ,
		      MAP_SHARED | MAP_POPULATE | MAP_FIXED_NOREPLACE, fd, 0) < 0)
		len = 0;
	close(fd);
	return len;
}

int op_munmap(struct op_run *run)
{
	struct slot *slot = run->slot;
	uint64_t ballast = ballast_map(run);
	bool peer = peer_start(run->t, slot, 0, PAGES, run->stamp, ballast ? PEER_PEEK : PEER_MAP);
	int rc = tort_munmap(run->raw, slot->base, slot->len + ballast);

	if (!rc)
		op_returned(run);
	return rc ? rc : op_finish_map(run, peer);
}

int op_map_fixed(struct op_run *run)
{
	struct slot *slot = run->slot;
	bool peer = peer_start(run->t, slot, 0, PAGES, run->stamp, PEER_PEEK);
	int rc = slot_map(slot, true, run->raw, run->stamp);

	if (!rc) {
		op_returned(run);
		oracle_stamp(slot, 0, PAGES, run->stamp);
	}
	if (peer)
		peer_finish();
	return rc;
}

int op_mremap_away(struct op_run *run)
{
	struct slot *slot = run->slot;
	bool peer = peer_start(run->t, slot, 0, PAGES, run->stamp, PEER_MAP);
	int64_t p = tort_mremap(run->raw, slot->base, slot->len, slot->len,
				MREMAP_MAYMOVE | MREMAP_FIXED, slot->away);
	int rc;

	if (p < 0) {
		if (peer)
			peer_finish();
		return (int)p;
	}
	op_returned(run);
	rc = op_finish_map(run, peer);
	tort_munmap(run->raw, slot->away, slot->len);
	return rc;
}

/* A new mapping, content and all, moves onto the slot. */
int op_mremap_onto(struct op_run *run)
{
	struct slot *slot = run->slot;
	unsigned int i;
	int64_t p;
	bool peer;
	int rc = slot_map_at(slot, slot->away, false, run->raw, run->stamp);

	if (rc)
		return rc;
	for (i = 0; i < PAGES; i++)
		oracle_fill((uint64_t *)(slot->away + i * slot->stride),
			    oracle_word(slot, i, run->stamp));
	peer = peer_start(run->t, slot, 0, PAGES, run->stamp, PEER_PEEK);
	p = tort_mremap(run->raw, slot->away, slot->len, slot->len, MREMAP_MAYMOVE | MREMAP_FIXED,
			slot->base);
	if (p >= 0) {
		op_returned(run);
		oracle_stamped(slot, 0, PAGES, run->stamp);
	}
	if (peer)
		peer_finish();
	return p < 0 ? (int)p : 0;
}

/* Cuts the tail off and maps something else there. */
int op_mremap_shrink(struct op_run *run)
{
	struct slot *slot = run->slot;
	uint64_t keep = run->lo * slot->stride;
	bool peer = peer_start(run->t, slot, run->lo, run->hi, run->stamp, PEER_PEEK);
	int64_t p = tort_mremap(run->raw, slot->base, slot->len, keep, 0, 0);
	unsigned int i;
	int rc = 0;

	if (p >= 0)
		op_returned(run);
	if (peer)
		peer_finish();
	if (p < 0)
		return (int)p;
	if (kind_shared(slot->kind)) {
		/* The object is the same, only its tail was out of the mapping; it comes back
		 * changed. */
		for (i = run->lo; i < run->hi; i++)
			oracle_fill(
				(uint64_t *)(slot->objects[slot->object].alias + i * slot->stride),
				oracle_word(slot, i, run->stamp));
		p = tort_mremap(run->raw, slot->base, keep, slot->len, 0, 0);
	} else {
		p = tort_mmap(run->raw, slot->base + keep, slot->len - keep, RW,
			      MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
	}
	if (p < 0)
		rc = (int)p;
	else
		oracle_stamp(slot, run->lo, run->hi, run->stamp);
	return rc;
}

int op_mremap_dontunmap(struct op_run *run)
{
	struct slot *slot = run->slot;
	bool peer = peer_start(run->t, slot, 0, PAGES, run->stamp, PEER_PEEK);
	int64_t p = tort_mremap(run->raw, slot->base, slot->len, slot->len,
				MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP, slot->away);

	if (p >= 0) {
		op_returned(run);
		oracle_stamp(slot, 0, PAGES, run->stamp);
	}
	if (peer)
		peer_finish();
	if (p < 0)
		return (int)p;
	tort_munmap(run->raw, slot->away, slot->len);
	return 0;
}

/* The heap shrinks and grows again. Only while nobody else has moved its end. */
int op_brk(struct op_run *run)
{
	struct slot *slot = run->slot;
	uint64_t end = slot->base + slot->len;
	uint64_t cut = slot_page(slot, run->lo);
	bool peer;
	int rc;

	if ((uint64_t)sbrk(0) != end)
		return -EOPNOTSUPP;
	peer = peer_start(run->t, slot, run->lo, run->hi, run->stamp, PEER_PEEK);
	if (run->raw)
		rc = (uint64_t)syscall(SYS_brk, cut) == cut ? 0 : -ENOMEM;
	else
		rc = brk((void *)cut) ? -errno : 0;
	if (!rc)
		op_returned(run);
	if (peer)
		peer_finish();
	if (rc)
		return rc;
	if (run->raw)
		rc = (uint64_t)syscall(SYS_brk, end) == end ? 0 : -ENOMEM;
	else
		rc = brk((void *)end) ? -errno : 0;
	if (!rc)
		oracle_stamp(slot, run->lo, run->hi, run->stamp);
	return rc;
}

/* The lower part of a stack is unmapped, and the stack grows into the hole. */
int op_stack(struct op_run *run)
{
	struct slot *slot = run->slot;
	bool peer = peer_start(run->t, slot, 0, run->hi, run->stamp, PEER_PEEK);
	int rc = tort_munmap(run->raw, slot->base, run->hi * slot->stride);
	unsigned int i;

	if (!rc)
		op_returned(run);
	if (peer)
		peer_finish();
	if (rc)
		return rc;
	for (i = run->hi; i-- > 0;)
		oracle_stamp(slot, i, i + 1, run->stamp);
	return 0;
}

int op_shmdt(struct op_run *run)
{
	struct slot *slot = run->slot;
	bool peer = !run->note && peer_start(run->t, slot, 0, PAGES, run->stamp, PEER_MAP);
	int rc = shmdt((void *)slot->base) ? -errno : 0;

	if (!rc && run->note)
		rc = hmm_mm_note(run->t->mm, HMM_NOTE_DETACH, slot->base, slot->base + slot->len);
	if (!rc)
		op_returned(run);
	return rc ? rc : op_finish_map(run, peer);
}
