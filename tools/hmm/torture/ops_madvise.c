// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* Operations by madvise: discards, whose event comes before the change, and hints that keep
 * contents. */
#include <errno.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>
#include "brake.h"
#include "ops.h"
#include "peer.h"

#ifndef MADV_COLD
#define MADV_COLD 20
#endif
#ifndef MADV_PAGEOUT
#define MADV_PAGEOUT 21
#endif
#ifndef MADV_DONTNEED_LOCKED
#define MADV_DONTNEED_LOCKED 24
#endif
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif
#define ADV_POPULATE_WRITE 23
#define ADV_GUARD_INSTALL 102
#define ADV_GUARD_REMOVE 103

static uint64_t at(const struct op_run *run)
{
	return slot_page(run->slot, run->lo);
}

static uint64_t length(const struct op_run *run)
{
	return (run->hi - run->lo) * run->slot->stride;
}

/*
 * Three discards of four are told to the library, as the preload object does: they end the doubt.
 * The fourth stays in doubt until the library finds a proof itself.
 */
static int tell(struct op_run *run)
{
	if (!run->slot->checked && !rng_below(run->rng, 4))
		return 0;
	return hmm_mm_note(run->t->mm, HMM_NOTE_DISCARD, at(run), at(run) + length(run));
}

/* A discard: contents are gone when the call returns, unless memory is shared and only unmapped
 * here. */
static int discard(struct op_run *run, int rc, bool peer, bool gone)
{
	if (!rc) {
		if (gone)
			op_returned(run);
		window_returned(run->t);
		if (gone)
			oracle_stamp(run->slot, run->lo, run->hi, run->stamp);
	}
	if (peer)
		peer_finish();
	if (!rc && !gone)
		oracle_stamp(run->slot, run->lo, run->hi, run->stamp);
	return rc ? rc : tell(run);
}

static int advise(struct op_run *run, int advice, bool gone)
{
	bool peer = gone && peer_start(run->t, run->slot, run->lo, run->hi, run->stamp, PEER_PEEK);

	return discard(run, tort_madvise(run->raw, at(run), length(run), advice), peer, gone);
}

int op_dontneed(struct op_run *run)
{
	return advise(run, MADV_DONTNEED, !kind_shared(run->slot->kind));
}

/*
 * The slot is the end of what is discarded: the event has long been read when the kernel comes to
 * it, and users go on faulting it in meanwhile.
 */
int op_dontneed_wide(struct op_run *run)
{
	struct slot *slot = run->slot;
	uint64_t start = slot->base - slot->lead;
	struct brake brake;
	bool faults;
	int rc;

	/* On all of it: else it would be two mappings, and two events. */
	madvise((void *)start, slot->lead + slot->len, MADV_NOHUGEPAGE);
	if (madvise((void *)start, slot->lead, ADV_POPULATE_WRITE))
		return -errno;
	faults = window_faults_begin(run->t, slot->id);
	if (faults)
		brake_pull(&brake);
	rc = tort_madvise(run->raw, start, slot->lead + slot->len, MADV_DONTNEED);
	if (faults)
		brake_release(&brake);
	if (!rc) {
		op_returned(run);
		oracle_stamp(slot, 0, PAGES, run->stamp);
	}
	if (faults)
		window_faults_end(run->t);
	if (!rc && rng_below(run->rng, 4))
		rc = hmm_mm_note(run->t->mm, HMM_NOTE_DISCARD, start, slot->base + slot->len);
	return rc;
}

int op_dontneed_locked(struct op_run *run)
{
	int rc = advise(run, MADV_DONTNEED_LOCKED, !kind_shared(run->slot->kind));

	return rc == -EINVAL ? -EOPNOTSUPP : rc;
}

/* Of oneself: DONTNEED by process_madvise since Linux 6.13. */
int op_process_madvise(struct op_run *run)
{
	struct iovec iov = { (void *)at(run), length(run) };
	int fd = (int)syscall(SYS_pidfd_open, getpid(), 0);
	bool peer, gone = !kind_shared(run->slot->kind);
	long n;

	if (fd < 0)
		return -EOPNOTSUPP;
	peer = gone && peer_start(run->t, run->slot, run->lo, run->hi, run->stamp, PEER_PEEK);
	n = syscall(SYS_process_madvise, fd, &iov, 1UL, MADV_DONTNEED, 0U);
	n = n < 0 ? -errno : 0;
	close(fd);
	n = discard(run, (int)n, peer, gone);
	return n == -EINVAL || n == -EPERM ? -EOPNOTSUPP : (int)n;
}

/* Contents may stay until memory is short: not gone before they are written anew. */
int op_free(struct op_run *run)
{
	return advise(run, MADV_FREE, false);
}

int op_remove(struct op_run *run)
{
	int rc = advise(run, MADV_REMOVE, true);

	return rc == -EOPNOTSUPP || rc == -EINVAL ? -EOPNOTSUPP : rc;
}

int op_reclaim(struct op_run *run)
{
	int rc = tort_madvise(run->raw, at(run), length(run),
			      rng_below(run->rng, 2) ? MADV_COLD : MADV_PAGEOUT);

	if (!rc)
		oracle_stamp(run->slot, run->lo, run->hi, run->stamp);
	return rc;
}

int op_collapse(struct op_run *run)
{
	int rc = tort_madvise(run->raw, run->slot->base, run->slot->len, MADV_COLLAPSE);

	/* Held pages cannot be moved: that it refuses is what we rely on. */
	if (rc && rc != -EAGAIN && rc != -EINVAL && rc != -ENOMEM && rc != -EBUSY)
		return rc;
	oracle_stamp(run->slot, run->lo, run->hi, run->stamp);
	return 0;
}

int op_guard(struct op_run *run)
{
	int rc = tort_madvise(true, at(run), length(run), ADV_GUARD_INSTALL);

	if (rc)
		return -EOPNOTSUPP;
	if (run->slot->checked) {
		/* While the guard is there a checked use is refused untold. */
		atomic_fetch_add(&run->slot->denied, 1);
		tort_pause(rng_below(run->rng, 1000000));
		atomic_fetch_add(&run->slot->denied, 1);
	}
	rc = hmm_mm_note(run->t->mm, HMM_NOTE_DISCARD, at(run), at(run) + length(run));
	if (rc)
		return rc;
	op_returned(run);
	rc = tort_madvise(true, at(run), length(run), ADV_GUARD_REMOVE);
	if (!rc)
		oracle_stamp(run->slot, run->lo, run->hi, run->stamp);
	return rc;
}
