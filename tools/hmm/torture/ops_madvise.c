// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * Operations by madvise: discards, whose event comes before the change, and hints, which keep the
 * contents.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>
#include "../../../lib/kernel/abi/madvise.h"
#include "../../../lib/kernel/abi/pagemap.h"
#include "brake.h"
#include "ops.h"
#include "peer.h"
#include "story.h"

#define SPIN_AFTER_NS 2000000U

/* The bytes that are discarded with the pages, so that it takes long, lie below them. */
static uint64_t at(const struct op_run *run)
{
	return slot_page(run->slot, run->lo) - run->lead;
}

static uint64_t length(const struct op_run *run)
{
	return (run->hi - run->lo) * run->slot->stride + run->lead;
}

/*
 * Tells the library of seven discards of eight, as the preload object does, which settles them. The
 * eighth stays pending until the library itself proves its end. Half of these times the thread goes
 * on computing. Of a discard whose end is in the log it tells nothing.
 */
static int tell(struct op_run *run)
{
	if (op_exact(run) || (!run->slot->checked && !rng_below(run->rng, 8))) {
		if (rng_below(run->rng, 2))
			tort_spin(rng_below(run->rng, SPIN_AFTER_NS));
		return 0;
	}
	story(run->slot->id, "tells", run->stamp, run->lo, run->hi);
	return hmm_mm_note(run->t->mm,
			   rng_below(run->rng, 2) ? HMM_NOTE_DISCARD : HMM_NOTE_OWN_DISCARD,
			   at(run), at(run) + length(run));
}

/*
 * After a discard: the contents are gone when the call returns, unless the memory is shared and was
 * only unmapped from this mapping.
 */
static int discarded(struct op_run *run, int ret, bool peer, bool gone)
{
	if (!ret) {
		if (gone)
			op_returned(run);
		window_returned(run->t);
		if (gone)
			oracle_stamp(run->slot, run->lo, run->hi, run->stamp);
	}
	if (peer)
		peer_finish(run->t);
	if (!ret && !gone)
		oracle_stamp(run->slot, run->lo, run->hi, run->stamp);
	return ret;
}

struct braked_call {
	struct op_run *run;
	int (*make)(struct op_run *run);
	uint64_t before;  /* what the page shows until it is discarded */
	uint64_t limit;   /* the tick until which the call is waited for */
	uint64_t cycles;  /* how many cycles the pump had made before */
	uint64_t step_ns; /* when the call was last let go on without being looked at */
	_Atomic bool entered;
	bool held;
};

#define HELD_TICKS 400
#define STEP_NS 1000000
#define STARVED_TICKS (60 * TICKS_A_SECOND)

static int make_braked(void *arg)
{
	struct braked_call *c = arg;

	atomic_store(&c->entered, true);
	return c->make(c->run);
}

static bool page_is_there(const struct braked_call *c)
{
	uint64_t word;

	return !slot_peek(slot_page(c->run->slot, c->run->hi - 1), &word) && word == c->before;
}

/*
 * Says that the call does not hang: after it was let go it needs a processor, which may take long.
 */
static void still_there(void *arg)
{
	struct braked_call *c = arg;

	if (tort_ticks(c->run->t) < c->limit + STARVED_TICKS)
		beat(c->run->t, USERS + c->run->self, ops_table[c->run->op].name);
}

static uint64_t pump_cycles(struct torture *t)
{
	struct hmm_mm_stats stats = { .size = sizeof(stats) };

	return hmm_mm_get_stats(t->mm, &stats) ? 0 : stats.pump_cycles;
}

/*
 * Has the discard begun: is its event handled, is nothing in flight any more, and is the page still
 * there?
 */
static enum brake_look has_begun(void *arg)
{
	struct braked_call *c = arg;
	struct torture *t = c->run->t;

	still_there(c);
	if (!atomic_load(&c->entered))
		return BRAKE_NOT_YET;
	if (!atomic_load(&t->windows.told)) {
		/*
		 * Either the call sleeps, and the pump is to run; or it has not come to its event
		 * yet. So it may go on now and then.
		 */
		if (tort_now_ns() < c->step_ns + STEP_NS)
			return BRAKE_WAIT;
		c->step_ns = tort_now_ns();
		return BRAKE_NOT_YET;
	}
	if (pump_cycles(t) == c->cycles)
		return BRAKE_WAIT;
	/* With a log the change counts as in flight until its end is there. */
	return (!t->log && hmm_mm_barrier(t->mm, 1)) || !page_is_there(c) ? BRAKE_NEAR : BRAKE_HERE;
}

static bool have_faulted(void *arg)
{
	struct braked_call *c = arg;
	struct torture *t = c->run->t;

	/*
	 * Users begin only now: waiting for a change in flight they would keep the processors busy.
	 */
	if (!c->held) {
		c->held = true;
		c->limit = tort_ticks(t) + HELD_TICKS;
		scene_start(t, STEP_FAULT);
	}
	if (!scene_done(t) && tort_ticks(t) < c->limit && !atomic_load(&t->stop))
		return false;
	if (page_is_there(c))
		window_close(t);
	return true;
}

/* Holds a discard whose event is handled while users fault the pages that it will discard. */
static int discard_announced(struct op_run *run, int (*make)(struct op_run *run))
{
	struct torture *t = run->t;
	struct braked_call call = { .run = run,
				    .make = make,
				    .limit = tort_ticks(t) + HELD_TICKS,
				    .cycles = pump_cycles(t) };
	struct brake_job job = {
		make_braked, has_begun, have_faulted, still_there, &call, t->brake
	};
	bool caught;
	int ret;

	if (slot_peek(slot_page(run->slot, run->hi - 1), &call.before) ||
	    madvise((void *)at(run), run->lead, MADV_POPULATE_WRITE))
		return -EAGAIN;
	window_open(t, WINDOW_ANNOUNCED);
	ret = brake_run(&job, &caught);
	if (atomic_load(&t->windows.open) >= 0) {
		atomic_store(&t->windows.used, 0);
		window_close(t);
	}
	/* The library is not told, and has to prove the end itself. */
	return discarded(run, ret, false, true);
}

static int discard(struct op_run *run, int (*make)(struct op_run *run), bool gone)
{
	bool peer;
	int ret;

	if (run->lead)
		return discard_announced(run, make);
	peer = gone && peer_start(run, run->lo, run->hi, PEER_PEEK);
	ret = discarded(run, make(run), peer, gone);
	return ret ? ret : tell(run);
}

static int make_dontneed(struct op_run *run)
{
	return tort_madvise(run->raw, at(run), length(run), MADV_DONTNEED);
}

static int make_dontneed_locked(struct op_run *run)
{
	int ret = tort_madvise(run->raw, at(run), length(run), MADV_DONTNEED_LOCKED);

	return ret == -EINVAL ? -EOPNOTSUPP : ret;
}

/* process_madvise of the calling process allows DONTNEED since Linux 6.13. */
static int make_process_madvise(struct op_run *run)
{
	struct iovec iov = { (void *)at(run), length(run) };
	int fd = (int)syscall(SYS_pidfd_open, getpid(), 0);
	long n;

	if (fd < 0)
		return -EOPNOTSUPP;
	n = syscall(SYS_process_madvise, fd, &iov, 1UL, MADV_DONTNEED, 0U);
	n = n < 0 ? -errno : 0;
	close(fd);
	return n == -EINVAL || n == -EPERM ? -EOPNOTSUPP : (int)n;
}

/*
 * A removal raises an event only for memory that is registered when it begins: the row "REMOVE
 * begun before" of the coherence table.
 */
static bool is_mirrored(const struct op_run *run)
{
	struct page_region region;
	struct pm_scan_arg scan = { .size = sizeof(scan),
				    .start = at(run),
				    .end = at(run) + length(run),
				    .vec = (uint64_t)(uintptr_t)&region,
				    .vec_len = 1,
				    .category_mask = PAGE_IS_WPALLOWED,
				    .return_mask = PAGE_IS_WPALLOWED };
	int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	int n = fd < 0 ? -1 : ioctl(fd, PAGEMAP_SCAN, &scan);

	if (fd >= 0)
		close(fd);
	return n == 1 && region.start == scan.start && region.end == scan.end;
}

static int make_remove(struct op_run *run)
{
	int ret = tort_madvise(run->raw, at(run), length(run), MADV_REMOVE);

	return ret == -EINVAL ? -EOPNOTSUPP : ret;
}

int op_dontneed(struct op_run *run)
{
	return discard(run, make_dontneed, !kind_shared(run->slot->kind));
}

int op_dontneed_locked(struct op_run *run)
{
	return discard(run, make_dontneed_locked, !kind_shared(run->slot->kind));
}

int op_process_madvise(struct op_run *run)
{
	return discard(run, make_process_madvise, !kind_shared(run->slot->kind));
}

/*
 * Tells the library before anything may rely on it if the coherence table says that it is unseen
 * otherwise.
 */
static int remove_unmirrored(struct op_run *run)
{
	struct slot *slot = run->slot;
	int ret = make_remove(run);

	if (!ret && op_policy_of(run->t, HMM_OP_MADV_REMOVE_BEGUN, slot) == OP_NOTED) {
		run->note = true;
		ret = hmm_mm_note(run->t->mm, HMM_NOTE_DISCARD, at(run), at(run) + length(run));
	}
	return discarded(run, ret, false, true);
}

int op_remove(struct op_run *run)
{
	return op_exact(run) || is_mirrored(run) ? discard(run, make_remove, true)
						 : remove_unmirrored(run);
}

/*
 * The contents may stay until memory is short, so they are not gone before they are written anew.
 */
int op_free(struct op_run *run)
{
	int ret = tort_madvise(run->raw, at(run), length(run), MADV_FREE);

	ret = discarded(run, ret, false, false);
	return ret ? ret : tell(run);
}

int op_reclaim(struct op_run *run)
{
	int ret = tort_madvise(run->raw, at(run), length(run),
			       rng_below(run->rng, 2) ? MADV_COLD : MADV_PAGEOUT);

	if (!ret)
		oracle_stamp(run->slot, run->lo, run->hi, run->stamp);
	return ret;
}

int op_collapse(struct op_run *run)
{
	int ret = tort_madvise(run->raw, run->slot->base, run->slot->len, MADV_COLLAPSE);

	/* The kernel cannot move pages that are held. A device relies on its refusing that. */
	if (ret && ret != -EAGAIN && ret != -EINVAL && ret != -ENOMEM && ret != -EBUSY)
		return ret;
	oracle_stamp(run->slot, run->lo, run->hi, run->stamp);
	return 0;
}

int op_guard(struct op_run *run)
{
	int ret = tort_madvise(true, at(run), length(run), MADV_GUARD_INSTALL);

	if (ret)
		return -EOPNOTSUPP;
	if (run->slot->checked || op_exact(run)) {
		/*
		 * While the guard is there a use with checks is refused, although the library is
		 * not told. So is every use if the log has it.
		 */
		atomic_fetch_add(&run->slot->denied, 1);
		op_hold_changed(run);
		tort_pause(rng_below(run->rng, 100000));
		atomic_fetch_add(&run->slot->denied, 1);
	}
	ret = op_exact(run)
		      ? 0
		      : hmm_mm_note(run->t->mm, HMM_NOTE_DISCARD, at(run), at(run) + length(run));
	if (ret)
		return ret;
	op_returned(run);
	ret = tort_madvise(true, at(run), length(run), MADV_GUARD_REMOVE);
	if (!ret)
		oracle_stamp(run->slot, run->lo, run->hi, run->stamp);
	return ret;
}
