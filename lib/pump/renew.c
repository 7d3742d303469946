// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
#include "pump/renew.h"
#include "pump/keeper.h"
#include "pump/kick.h"
#include "provider/log.h"
#include "provider/watchd.h"
#include "watchd/loader.h"
#include "base/deadline.h"
#include "base/log.h"
#include "base/number.h"
#include "base/opening.h"

#include <errno.h>
#include <string.h>

#define PAUSE_LEAST 100000000ULL
/* Nothing is valid meanwhile. */
#define PAUSE_OVER 2000000000ULL
#define PAUSE_ORPHAN 30000000000ULL

uint64_t renew_patience = RENEW_PATIENCE_NS;

static bool is_told_by(const struct log *log, const char *name)
{
	for (size_t i = 0; i < log->n_sites; i++) {
		if (log->sites[i].attached && !strcmp(log->sites[i].name, name))
			return true;
	}
	return false;
}

/*
 * What the log tells of was tried when the space was attached, and the coherence table says so. On
 * the same kernel the same functions tell of the same.
 */
static bool tells_as_much(const struct log *next, const struct log *log)
{
	for (size_t i = 0; i < log->n_sites; i++) {
		if (log->sites[i].attached && !is_told_by(next, log->sites[i].name))
			return false;
	}
	return true;
}

static bool goes_on(const struct log *log)
{
	return !log_load(&log->m.space->ended) && !log_load(&log->m.global->detached);
}

static struct log *ask(const struct log *log)
{
	struct log *next = NULL;
	int err;

	opening_begin();
	err = log_ask(log->m.bytes, &next);
	opening_end();
	if (err)
		return NULL;
	if (next->m.bytes <= log->m.bytes && goes_on(next) && tells_as_much(next, log))
		return next;
	log_free(next);
	return NULL;
}

static void begin(struct log *log, struct renew *r, bool over)
{
	if (atomic_load(&log->orphan) && (!over || r->over))
		return;
	r->at = clock_ns();
	r->pause = PAUSE_LEAST;
	r->over = over ? r->at : 0;
	atomic_store(&log->orphan, true);
	if (over)
		log_say(HMM_LOG_ERROR,
			"the kernel's log of the address space has ended: nothing is valid until "
			"hmm-watchd gives another.");
}

/* The pump has put the new log in place. */
static void end(struct hmm_mm *mm, struct renew *r)
{
	r->seen = atomic_load(&mm->log->renewals);
	r->over = 0;
	keeper_renew(mm);
}

static void try(struct hmm_mm *mm, struct renew *r, bool over)
{
	struct log *next = ask(mm->log);

	r->at = clock_ns() + r->pause;
	r->pause = min64(2 * r->pause, over ? PAUSE_OVER : PAUSE_ORPHAN);
	if (!next)
		return;
	atomic_store(&mm->log->next, next);
	pump_kick(mm);
}

void renew_look(struct hmm_mm *mm, struct renew *r)
{
	struct log *log = mm->log;
	bool over;

	if (!log || !log->from_watchd || atomic_load(&log->next))
		return;
	if (atomic_load(&log->renewals) != r->seen)
		end(mm, r);
	over = atomic_load(&log->over);
	if (!over && !atomic_load(&log->orphan) && !watchd_gone(log->conn.fd))
		return;
	begin(log, r, over);
	if (over && clock_ns() - r->over > renew_patience)
		mm_lost_log(mm, -ESRCH);
	else if (clock_ns() >= r->at)
		try(mm, r, over);
}
