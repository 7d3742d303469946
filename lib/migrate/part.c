// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* What lies in one mapping: attempts, until all is moved or counted. */
#include "migrate/migrate.h"
#include "mm/fork.h"
#include "watch/discard.h"
#include "space/space.h"
#include "base/deadline.h"
#include "base/mutation.h"

#include <errno.h>

#define PATIENCE_NS 20000000ULL

/* 1: a discard is pending, and that is waited for; 0: none is; -ETIME: it stays so. */
static int wait_discard(struct migration *m, uint64_t start, uint64_t end)
{
	if (hmm_mutation(HMM_MUTATION_MIGRATE_DISCARD) || !discard_announced(m->mm, start, end))
		return 0;
	if (!m->patience)
		m->patience = clock_ns() + PATIENCE_NS;
	return clock_ns() > m->patience || deadline_passed(m->deadline) ? -ETIME : 1;
}

int migrate_part(struct migration *m, const struct hmm_vma *vma, uint64_t start, uint64_t end)
{
	uint64_t at = start;
	uint64_t word;
	int err = 0;

	m->populated = start;
	m->patience = 0;
	for (unsigned int round = 0; at < end; round++) {
		const uint64_t to = block_end(m, at, end);
		const uint64_t was = at;

		err = mm_alive(m->mm);
		if (!err)
			err = mm_fork_wait(m->deadline, &word);
		if (err)
			return err;
		err = wait_discard(m, at, to);
		if (err == -ETIME) {
			migrate_left(m, HMM_MIGRATE_DISCARD, to - at);
			at = to;
			m->patience = 0;
			continue;
		}
		if (!err)
			err = m->staged ? readonly_block(m, vma, &at, end)
					: migrate_attempt(m, vma, &at, end);
		if (err == MIGRATE_POPULATE && m->want > at) {
			migrate_populate(m, at);
			continue;
		}
		if (err == MIGRATE_EVICT) {
			migrate_evict(m);
			continue;
		}
		if (err == -EOPNOTSUPP) {
			migrate_left(m, HMM_MIGRATE_SPECIAL, end - at);
			return 0;
		}
		if (err == -ESTALE) {
			m->stale_at = at;
			return -EAGAIN;
		}
		if (err < 0 && err != -EAGAIN)
			return err;
		if (at > was) {
			round = 0;
			m->patience = 0;
		}
		if (err && deadline_passed(m->deadline))
			return -EBUSY;
		if (err)
			deadline_pause(round);
	}
	return 0;
}
