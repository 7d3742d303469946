// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * Device memory under a mirror. What a device faults on and is to live there moves first; then the
 * walk finds it in the region. What cannot move is mapped where it is, so a fault never fails
 * because of a migration.
 *
 * Progress: what the CPU has touched just now, and what is needed in one piece, is mapped in place.
 * The CPU's touches do not disturb that, so a device that takes turns with the CPU comes further.
 */
#include "svm/svm.h"
#include "devmem/devmem.h"
#include "migrate/migrate.h"
#include "space/debug.h"
#include "space/space.h"
#include "space/turn.h"
#include "base/deadline.h"
#include "base/nocancel.h"
#include "base/number.h"

#include <errno.h>

/* How long a fault waits for a migration that comes no further, before it maps in place. */
#define MIGRATE_NS 20000000ULL

static bool is_wanted(const struct hmm_svm_policy *policy)
{
	return policy->location == HMM_SVM_DEVICE && !(policy->flags & HMM_SVM_READ_MOSTLY);
}

void *svm_owner(const struct hmm_svm *svm, const struct hmm_svm_policy *policy)
{
	return is_wanted(policy) ? svm->options.devmem->options.owner : NULL;
}

/* Narrows the range to what lies between its first and its last page outside of the region. */
static void find_outside(const struct hmm_devmem *d, uint64_t *start, uint64_t *end)
{
	const struct devmem_space *index = d->transit ? d->space->coherent : d->space;
	uint64_t last = *start;
	struct run run;

	while (*start < *end && places_next(index, *start, *end, d, &run) && run.start == *start)
		*start = run.end;
	for (uint64_t at = *start; at < *end; at = run.end) {
		if (!places_next(index, at, *end, d, &run)) {
			last = *end;
			break;
		}
		if (run.start > at)
			last = run.start;
	}
	*end = max64(*start, last);
}

enum outside { NOTHING, SOME, RECENT };

/* Is there something to move, and may it move now? */
static enum outside outside(struct hmm_svm *svm, uint64_t *start, uint64_t *end)
{
	const struct hmm_devmem *d = svm->options.devmem;
	enum outside found = SOME;

	pthread_mutex_lock(&svm->mm->region_lock);
	turn_take(svm->mm);
	find_outside(d, start, end);
	turn_end(svm->mm);
	if (*start >= *end)
		found = NOTHING;
	else if (devmem_recent(d->space, *start, *end))
		found = RECENT;
	pthread_mutex_unlock(&svm->mm->region_lock);
	return found;
}

static void account(struct hmm_svm *svm, const struct hmm_migrate_result *r, uint64_t pages)
{
	uint64_t known = r->moved + r->already;

	count(&svm->stats.migrations, 1);
	count(&svm->stats.migrated, r->moved);
	count(&svm->stats.migrated_huge, r->huge);
	for (int i = 0; i < HMM_MIGRATE_REASON_NR; i++) {
		count(&svm->stats.in_place[i], r->left[i]);
		known += r->left[i];
	}
	/* The migration came no further. */
	if (known < pages)
		count(&svm->stats.in_place[HMM_MIGRATE_BUSY], pages - known);
}

/* Moves what of [start, end) is not in the region. wait: also what the CPU has touched just now. */
static void move(struct hmm_svm *svm, uint64_t start, uint64_t end, bool wait)
{
	HMM_NO_CANCEL; /* a fault thread comes here as well */
	struct hmm_migrate_result result;
	enum outside found;

	/* It moves pages of the machine's size. */
	start &= ~(svm->options.devmem->space->page - 1);
	end = (end + svm->options.devmem->space->page - 1) &
	      ~(svm->options.devmem->space->page - 1);
	found = outside(svm, &start, &end);
	if (found == NOTHING)
		return;
	if (found == RECENT && !wait) {
		count(&svm->stats.kept, (end - start) / HMM_PAGE_SIZE);
		return;
	}
	migrate_to_device(svm->options.devmem, start, end,
			  min64(svm->options.fault_timeout_ns, MIGRATE_NS), &result);
	account(svm, &result, (end - start) / HMM_PAGE_SIZE);
}

void svm_migrate_chunk(struct hmm_svm *svm, struct chunk_request *rq)
{
	if (!is_wanted(&rq->policy) || rq->in_place)
		return;
	if (rq->look.vma.kind != HMM_VMA_ANON || rq->look.vma.shared) {
		count(&svm->stats.in_place[HMM_MIGRATE_SHARED],
		      (rq->end - rq->start) / HMM_PAGE_SIZE);
		return;
	}
	move(svm, rq->start, rq->end, false);
	rq->deadline = deadline_after(svm->options.fault_timeout_ns);
}

void svm_migrate_span(struct hmm_svm *svm, uint64_t start, uint64_t end)
{
	while (start < end) {
		struct hmm_svm_policy policy;
		uint64_t from = start;
		uint64_t to = end;

		svm_policy_at(svm, start, &from, &to, &policy);
		if (is_wanted(&policy))
			move(svm, start, to, true);
		start = to;
	}
}

int svm_come_home(struct hmm_svm *svm, uint64_t start, uint64_t end)
{
	return migrate_home(svm->mm, start, end, svm->options.devmem,
			    svm->options.fault_timeout_ns);
}

int hmm_svm_evict(struct hmm_svm *svm, uint64_t start, uint64_t end)
{
	DEBUG_CALL(svm->mm, DEBUG_BLOCKS);
	HMM_CANCEL_POINT;
	const int err = mm_alive(svm->mm);

	if (err)
		return err;
	if (start >= end || !svm->options.devmem)
		return -EINVAL;
	count(&svm->stats.evictions, 1);
	return svm_come_home(svm, start, end);
}
