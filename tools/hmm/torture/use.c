// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* The ways to use a translation, and the oracle's verdict on each use. */
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include "story.h"
#include "user.h"

#define FAULT_TIMEOUT_NS 5000000000ULL
#define SOON_NS 50000000ULL
#define GRACE_NS 200000ULL /* how long a section goes on when the gate wants to close */
#define PATIENT_TICKS 10   /* the same if the program must have a chance to run meanwhile */

struct verdicts {
	enum verdict worst;
	char why[120];
	const char *last[2];
};

static void count(_Atomic uint64_t *c, uint64_t n)
{
	atomic_fetch_add_explicit(c, n, memory_order_relaxed);
}

static enum hold_method method_of(struct user *u, const struct slot *slot, unsigned int page)
{
	unsigned int pick = page + u->id;

	switch (slot->kind) {
	case KIND_FILE:
		return pick & 1 ? HOLD_ALIAS : HOLD_REF;
	case KIND_SHMEM:
	case KIND_SYSV:
		if (pick % 3 == 0)
			return HOLD_ALIAS;
		pick %= 3;
		break;
	default:
		break;
	}
	if (!u->t->pins || atomic_load(&u->t->scene.unpinned))
		return HOLD_REF;
	return pick & 1 ? HOLD_PIN : HOLD_REF;
}

static void report(struct user *u, const struct slot *slot, unsigned int page, const char *how,
		   const struct verdicts *v)
{
	static const char *const methods[] = { "pin", "reference", "alias" };

	if (v->worst == VERDICT_OK)
		return;
	story(slot->id, "found", page, 0, 0);
	story_keep(slot->id);
	finding(v->worst == VERDICT_STALE ? FINDING_STALE : FINDING_WRONG,
		"slot %u (%s) page %u: %s through a held %s %s; last were %s, %s", slot->id,
		kind_name(slot->kind), page, how,
		methods[hold_range_page(u->range[slot->id], page)->method], v->why, v->last[0],
		v->last[1]);
}

/* Reads through the translation and judges. 0: it was read. */
static int read_and_judge(struct user *u, struct slot *slot, unsigned int page,
			  const struct oracle_view *view, struct verdicts *v)
{
	unsigned int words = rng_below(&u->rng, 16) ? 1 : PAGE_WORDS;
	struct hold_range *range = u->range[slot->id];
	uint64_t mem[PAGE_WORDS];
	enum verdict one;
	char why[sizeof(v->why)];
	int ret = hold_read(range, page, 0, mem, words * 8);

	if (ret == -EFAULT) {
		one = VERDICT_OK; /* the object was truncated, so the device's read faults */
		if (oracle_stable(slot, view)) {
			one = VERDICT_WRONG;
			snprintf(why, sizeof(why), "finds no page, and nothing is under way");
		}
	} else if (ret) {
		finding(FINDING_ERROR, "hold_read: %d", ret);
		return ret;
	} else {
		one = oracle_judge(slot, page, view, mem, words, why, sizeof(why));
		count(&u->t->method_uses[hold_range_page(range, page)->method], 1);
	}
	if (one > VERDICT_OK && v->worst == VERDICT_OK) {
		uint64_t issued = atomic_load(&slot->issued);

		v->worst = one;
		v->last[0] = atomic_load(&slot->history[issued % 4]);
		v->last[1] = atomic_load(&slot->history[(issued - 1) % 4]);
		snprintf(v->why, sizeof(v->why), "%s", why);
	}
	return ret;
}

static bool fault(struct user *u, struct slot *slot, unsigned int page, uint64_t timeout_ns)
{
	struct verdicts v = { VERDICT_OK };
	struct oracle_view view;
	int ret;

	oracle_look(slot, page, true, &view);
	count(&u->n->faults, 1);
	story(slot->id, "faults: page, method", page, method_of(u, slot, page), 0);
	ret = hold_fault(u->range[slot->id], page, method_of(u, slot, page), true, timeout_ns);
	/* A pin counts against RLIMIT_MEMLOCK, and a huge page counts as a whole. */
	if (ret == -ENOMEM)
		ret = hold_fault(u->range[slot->id], page, HOLD_REF, true, timeout_ns);
	story(slot->id, "answer: page, status, seq", page, (uint64_t)llabs(ret),
	      hold_range_page(u->range[slot->id], page)->seq);
	if (ret < 0) {
		count(&u->n->fault_errors, 1);
		if (ret != -EFAULT && ret != -EAGAIN && ret != -EBUSY && ret != -EPERM &&
		    ret != -ETIME && ret != -EOPNOTSUPP)
			finding(FINDING_ERROR, "slot %u (%s): a device fault failed with %d",
				slot->id, kind_name(slot->kind), ret);
		return false;
	}
	count(&u->n->accepted, 1);
	read_and_judge(u, slot, page, &view, &v);
	report(u, slot, page, "a first use", &v);
	if (ret == 1) {
		count(&u->n->transient, 1);
		hold_drop(u->range[slot->id], page);
		return false;
	}
	atomic_fetch_or(&slot->held, slot_held_bit(u->id, page));
	return true;
}

bool user_fault(struct user *u, struct slot *slot, unsigned int page)
{
	return fault(u, slot, page, FAULT_TIMEOUT_NS);
}

bool user_fault_soon(struct user *u, struct slot *slot, unsigned int page)
{
	return fault(u, slot, page, SOON_NS);
}

bool user_use_validated(struct user *u, struct slot *slot, unsigned int page)
{
	int window = window_use_begin(u->t);
	struct verdicts v = { VERDICT_OK };
	uint64_t denied = atomic_load(&slot->denied);
	struct oracle_view view;
	uint64_t began;
	bool ok;

	oracle_look(slot, page, true, &view);
	began = tort_now_ns();
	ok = hold_valid(u->range[slot->id], page, slot->checked ? HMM_CHECK_ALL : 0);
	if (ok)
		read_and_judge(u, slot, page, &view, &v);
	if (v.worst != VERDICT_OK)
		story(slot->id, "valid: page, seq, ns ago", page,
		      hold_range_page(u->range[slot->id], page)->seq, tort_now_ns() - began);
	if (ok && denied & 1 && atomic_load(&slot->denied) == denied)
		finding(FINDING_STALE,
			"slot %u (%s) page %u: a translation for writing was found valid, the "
			"mapping is read-only",
			slot->id, kind_name(slot->kind), page);
	window_use_end(u->t, window, u->id);
	count(ok ? &u->n->accepted : &u->n->refused, 1);
	report(u, slot, page, "a validated use", &v);
	return ok;
}

static void judge_section(struct user *u, const struct slot *slot, unsigned int page,
			  unsigned int n, const struct verdicts *v)
{
	if (hmm_engine_exit(u->engine)) {
		/* A section that lasts counts as a few uses, however often it has read. */
		count(&u->n->accepted, n < BURST ? n : BURST);
		report(u, slot, page, "an access in a section", v);
	} else {
		count(&u->n->overrun, 1);
	}
	count(&u->n->sections, 1);
}

static void read_in_section(struct user *u, struct slot *slot, unsigned int page, unsigned int n,
			    struct verdicts *v)
{
	int window = n < BURST ? window_use_begin(u->t) : -1;
	struct oracle_view view;

	oracle_look(slot, page, false, &view);
	read_and_judge(u, slot, page, &view, v);
	window_use_end(u->t, window, u->id);
}

bool user_has(struct user *u, const struct slot *slot, unsigned int page)
{
	struct hold_page *p = hold_range_page(u->range[slot->id], page);

	return p->held && atomic_load_explicit(&p->installed, memory_order_relaxed);
}

bool user_use_section(struct user *u, struct slot *slot, unsigned int page)
{
	struct verdicts v = { VERDICT_OK };
	unsigned int n = 0;
	bool there;

	hmm_engine_enter(u->engine);
	there = user_has(u, slot, page);
	while (there && n < BURST) {
		read_in_section(u, slot, page, n++, &v);
		if (hmm_engine_poll(u->engine))
			break;
	}
	judge_section(u, slot, page, n, &v);
	return there;
}

static bool has_stayed(struct user *u, bool patient, uint64_t since_ns, uint64_t since_tick)
{
	return patient ? tort_ticks(u->t) > since_tick + PATIENT_TICKS
		       : tort_now_ns() > since_ns + GRACE_NS;
}

/* Never sleeps: the gate goes on without a section whose thread sleeps. */
void user_stay_in_section(struct user *u, struct slot *slot, unsigned int page, uint32_t token,
			  bool patient)
{
	struct verdicts v = { VERDICT_OK };
	uint64_t shut_ns = 0, shut_tick = 0;
	unsigned int n = 0;
	bool last = false;

	hmm_engine_enter(u->engine);
	while (!last && (n || user_has(u, slot, page))) {
		/* After this look a read must not show what the program had removed before it. */
		last = !scene_goes_on(u->t, token) || atomic_load(&u->t->windows.returned);
		read_in_section(u, slot, page, n, &v);
		if (!n++)
			scene_ack(u->t, token, u->id);
		if (!shut_ns && hmm_engine_poll(u->engine)) {
			shut_ns = tort_now_ns();
			shut_tick = tort_ticks(u->t);
		}
		if (shut_ns && has_stayed(u, patient, shut_ns, shut_tick))
			break;
		sched_yield();
	}
	judge_section(u, slot, page, n, &v);
}

void user_write_section(struct user *u, struct slot *slot, unsigned int page)
{
	struct hold_page *p = hold_range_page(u->range[slot->id], page);
	unsigned int offset = (DEVICE_WORD + u->id) * 8;
	struct oracle_view view;
	uint64_t seen;
	int ret = -EOPNOTSUPP;

	oracle_look(slot, page, false, &view);
	u->token++;
	hmm_engine_enter(u->engine);
	if (p->held && p->written && p->method != HOLD_REF &&
	    atomic_load_explicit(&p->installed, memory_order_relaxed))
		ret = hold_write(u->range[slot->id], page, offset, &u->token, sizeof(u->token));
	if (!hmm_engine_exit(u->engine) || ret)
		return;
	count(&u->n->writes, 1);
	count(&u->n->accepted, 1);
	ret = slot_peek(slot_page(slot, page) + offset, &seen);
	if (oracle_stable(slot, &view) && (ret || seen != u->token))
		finding(FINDING_LOST,
			"slot %u (%s) page %u: the device wrote %llu, the program sees %llu (%d)",
			slot->id, kind_name(slot->kind), page, (unsigned long long)u->token,
			(unsigned long long)seen, ret);
}
