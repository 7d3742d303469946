// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * A user: one engine with translations of its own for every slot. It uses them inside sections,
 * where the table alone decides, and by validated use, where only the sequence and the probe do: a
 * translation that a callback took out of the table is still tried that way.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include "../../../devices/hold/hold.h"
#include "torture.h"

#define FAULT_TIMEOUT_NS 5000000000ULL
#define GRACE_NS                                                                                   \
	200000ULL /* how long a section may ignore the gate: to be seen if nobody waits            \
		   */
#define BURST 8

struct user {
	struct torture *t;
	unsigned int id;
	struct rng rng;
	struct hold_device *dev;
	struct hmm_engine *engine;
	struct hold_range *range[SLOTS_MAX];
	struct user_counts *n;
	uint64_t token;
	unsigned int tries; /* uses in this window */
};

struct verdicts {
	enum verdict worst;
	char why[120];
	const char *last[2];
};

static void count(_Atomic uint64_t *c, uint64_t n)
{
	atomic_fetch_add_explicit(c, n, memory_order_relaxed);
}

static char *find_alias(const struct hmm_vma *vma, uint64_t offset, void *arg)
{
	struct torture *t = arg;
	unsigned int i, j;

	for (i = 0; i < t->nslots; i++) {
		struct slot *slot = &t->slots[i];

		for (j = 0; j < OBJECTS && kind_shared(slot->kind); j++)
			if (slot->objects[j].inode == vma->inode &&
			    kind_vma(slot->kind) == vma->kind && offset < slot_object_len(slot))
				return slot->objects[j].alias + offset;
	}
	return NULL;
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
	return u->t->pins && pick & 1 ? HOLD_PIN : HOLD_REF;
}

static void report(struct user *u, const struct slot *slot, unsigned int page, const char *how,
		   const struct verdicts *v)
{
	static const char *const methods[] = { "pin", "reference", "alias" };

	if (v->worst == VERDICT_OK)
		return;
	finding(v->worst == VERDICT_STALE ? FINDING_STALE : FINDING_WRONG,
		"slot %u (%s) page %u: %s through a held %s %s; last were %s, %s", slot->id,
		kind_name(slot->kind), page, how,
		methods[hold_range_page(u->range[slot->id], page)->method], v->why, v->last[0],
		v->last[1]);
}

/* Read through the translation and judge; 0 read. */
static int read_and_judge(struct user *u, struct slot *slot, unsigned int page,
			  const struct oracle_view *view, struct verdicts *v)
{
	unsigned int words = rng_below(&u->rng, 16) ? 1 : PAGE_WORDS;
	struct hold_range *range = u->range[slot->id];
	uint64_t mem[PAGE_WORDS];
	enum verdict one;
	char why[sizeof(v->why)];
	int rc = hold_read(range, page, 0, mem, words * 8);

	if (rc == -EFAULT) {
		one = VERDICT_OK; /* the object was cut off: the device sees a fault */
		if (oracle_stable(slot, view)) {
			one = VERDICT_WRONG;
			snprintf(why, sizeof(why), "finds no page, and nothing is under way");
		}
	} else if (rc) {
		finding(FINDING_ERROR, "hold_read: %d", rc);
		return rc;
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
	return rc;
}

/* A fault, and one use of what it gave. True: the translation is there for more. */
static bool fault(struct user *u, struct slot *slot, unsigned int page)
{
	struct verdicts v = { VERDICT_OK };
	struct oracle_view view;
	int rc;

	oracle_look(slot, page, true, &view);
	count(&u->n->faults, 1);
	rc = hold_fault(u->range[slot->id], page, method_of(u, slot, page), true, FAULT_TIMEOUT_NS);
	/* A pin counts against RLIMIT_MEMLOCK, a huge page with all of it. */
	if (rc == -ENOMEM)
		rc = hold_fault(u->range[slot->id], page, HOLD_REF, true, FAULT_TIMEOUT_NS);
	if (rc < 0) {
		count(&u->n->fault_errors, 1);
		if (rc != -EFAULT && rc != -EAGAIN && rc != -EBUSY && rc != -EPERM &&
		    rc != -ETIME && rc != -EOPNOTSUPP)
			finding(FINDING_ERROR, "slot %u (%s): a device fault failed with %d",
				slot->id, kind_name(slot->kind), rc);
		return false;
	}
	count(&u->n->accepted, 1);
	read_and_judge(u, slot, page, &view, &v);
	report(u, slot, page, "a first use", &v);
	if (rc == 1) {
		count(&u->n->transient, 1);
		hold_drop(u->range[slot->id], page);
		return false;
	}
	return true;
}

/* One validated use. True: it was accepted. */
static bool use_validated(struct user *u, struct slot *slot, unsigned int page)
{
	int window = window_use_begin(u->t);
	struct verdicts v = { VERDICT_OK };
	uint64_t denied = atomic_load(&slot->denied);
	struct oracle_view view;
	bool ok;

	oracle_look(slot, page, true, &view);
	ok = hold_valid(u->range[slot->id], page, slot->checked ? HMM_CHECK_ALL : 0);
	if (ok)
		read_and_judge(u, slot, page, &view, &v);
	if (ok && denied & 1 && atomic_load(&slot->denied) == denied)
		finding(FINDING_STALE,
			"slot %u (%s) page %u: a translation for writing was found valid, the "
			"mapping is read-only",
			slot->id, kind_name(slot->kind), page);
	window_use_end(u->t, window);
	count(ok ? &u->n->accepted : &u->n->refused, 1);
	report(u, slot, page, "a validated use", &v);
	return ok;
}

/*
 * A section: the table is asked once, then the translation is used until the gate wants to close,
 * and in a window even a little longer. @hold: how long at most; 0 a burst. True: the translation
 * was there.
 */
static bool use_section(struct user *u, struct slot *slot, unsigned int page, uint64_t hold)
{
	struct hold_page *p = hold_range_page(u->range[slot->id], page);
	uint64_t limit = hold ? tort_now_ns() + hold : 0, grace = 0;
	struct verdicts v = { VERDICT_OK };
	struct oracle_view view;
	unsigned int n = 0;
	bool there;

	hmm_engine_enter(u->engine);
	there = p->held && atomic_load_explicit(&p->installed, memory_order_relaxed);
	while (there) {
		int window = window_use_begin(u->t);

		oracle_look(slot, page, false, &view);
		read_and_judge(u, slot, page, &view, &v);
		window_use_end(u->t, window);
		n++;
		if (!hold) {
			if (n == BURST || hmm_engine_poll(u->engine))
				break;
			continue;
		}
		if (!grace && hmm_engine_poll(u->engine))
			grace = tort_now_ns() + GRACE_NS;
		if ((grace && tort_now_ns() > grace) || tort_now_ns() > limit ||
		    atomic_load(&u->t->windows.phase) == PHASE_IDLE)
			break;
		tort_pause(2000);
	}
	if (hmm_engine_exit(u->engine)) {
		count(&u->n->accepted, n);
		report(u, slot, page, "an access in a section", &v);
	} else {
		count(&u->n->overrun, 1);
	}
	count(&u->n->sections, 1);
	return there;
}

/* A device's write in a section; the program must see it unless something happened to the page. */
static void write_section(struct user *u, struct slot *slot, unsigned int page)
{
	struct hold_page *p = hold_range_page(u->range[slot->id], page);
	unsigned int offset = (DEVICE_WORD + u->id) * 8;
	struct oracle_view view;
	uint64_t seen;
	int rc = -EOPNOTSUPP;

	oracle_look(slot, page, false, &view);
	u->token++;
	hmm_engine_enter(u->engine);
	if (p->held && p->written && p->method != HOLD_REF &&
	    atomic_load_explicit(&p->installed, memory_order_relaxed))
		rc = hold_write(u->range[slot->id], page, offset, &u->token, sizeof(u->token));
	if (!hmm_engine_exit(u->engine) || rc)
		return;
	count(&u->n->writes, 1);
	count(&u->n->accepted, 1);
	rc = slot_peek(slot_page(slot, page) + offset, &seen);
	if (oracle_stable(slot, &view) && (rc || seen != u->token))
		finding(FINDING_LOST,
			"slot %u (%s) page %u: the device wrote %llu, the program sees %llu (%d)",
			slot->id, kind_name(slot->kind), page, (unsigned long long)u->token,
			(unsigned long long)seen, rc);
}

/* A window is armed: take hold of its page, say so, use it until the window is over. */
static void user_window(struct user *u)
{
	struct windows *win = &u->t->windows;
	struct slot *slot = &u->t->slots[atomic_load(&win->slot)];
	unsigned int page = atomic_load(&win->page);
	struct hold_page *p = hold_range_page(u->range[slot->id], page);

	if (atomic_load(&win->phase) == PHASE_FAULT) {
		page = rng_below(&u->rng, PAGES);
		p = hold_range_page(u->range[slot->id], page);
		if (!p->held || !atomic_load(&p->installed))
			fault(u, slot, page);
		if (++u->tries > 100) /* who discards may need this processor */
			tort_pause(100000);
		return;
	}
	if (atomic_load(&win->phase) == PHASE_PREPARE &&
	    !(atomic_load(&win->ready) & 1U << u->id)) {
		if (!p->held || !atomic_load(&p->installed))
			if (!fault(u, slot, page))
				return;
		if (u->id)
			atomic_fetch_or(&win->ready, 1U << u->id);
	}
	if (!u->id) {
		/* Ready once it is inside: the next read of the pump has to wait for this one. */
		if (atomic_load(&win->phase) == PHASE_PREPARE && atomic_load(&p->installed))
			atomic_fetch_or(&win->ready, 1);
		use_section(u, slot, page, 2000000);
	} else if (atomic_load(&win->phase) == PHASE_RUN && p->held) {
		use_validated(u, slot, page);
		/* A few at once, then fewer: what is refused says little more the tenth time. */
		tort_pause(5000ULL << (u->tries < 5 ? u->tries : 5));
		u->tries++;
		return;
	}
	tort_pause(5000);
}

/* The window is over: a translation that nobody told about it is still good in the table. */
static void user_after_window(struct user *u)
{
	struct windows *win = &u->t->windows;
	struct slot *slot = &u->t->slots[atomic_load(&win->slot)];
	unsigned int page = atomic_load(&win->page);

	u->tries = 0;
	if (!hold_range_page(u->range[slot->id], page)->held || slot->checked)
		return;
	use_validated(u, slot, page);
	use_section(u, slot, page, 0);
}

/* One page was faulted in again, which registered its mapping: what is held of the others must
 * know. */
static void use_others(struct user *u, struct slot *slot, unsigned int page)
{
	unsigned int i;

	for (i = 0; i < PAGES; i++)
		if (i != page && hold_range_page(u->range[slot->id], i)->held)
			use_validated(u, slot, i);
}

static void user_free(struct user *u)
{
	struct slot *slot = &u->t->slots[tort_choose_slot(u->t, &u->rng)];
	unsigned int page = rng_below(&u->rng, PAGES), i;
	struct hold_page *p = hold_range_page(u->range[slot->id], page);
	unsigned int how = rng_below(&u->rng, 100);

	/* Sleeping is also what proves to the library that this thread is not in the middle of a
	 * discard. */
	tort_pause(10000 + rng_below(&u->rng, 40000));
	if (!p->held && !fault(u, slot, page))
		return;
	if (slot->checked || how < 50) {
		for (i = 0; i < BURST; i++)
			if (!use_validated(u, slot, page))
				break;
		if (i < BURST && atomic_load(&u->t->windows.phase) == PHASE_IDLE &&
		    fault(u, slot, page))
			use_others(u, slot, page);
	} else if (how < 70) {
		if (!use_section(u, slot, page, 0))
			fault(u, slot, page);
	} else if (how < 97) {
		write_section(u, slot, page);
	} else {
		fault(u, slot, page);
	}
}

static int user_open(struct user *u)
{
	unsigned int i;
	int rc = hold_device_create(u->t->mm, u->t->nslots * PAGES, find_alias, u->t, &u->dev);

	if (!rc)
		rc = hmm_engine_create(u->t->mm, &u->engine);
	for (i = 0; i < u->t->nslots && !rc; i++) {
		struct slot *slot = &u->t->slots[i];

		rc = hold_range_create(u->dev, slot->base, PAGES, slot->stride, &u->range[i]);
	}
	return rc;
}

void *user_main(void *arg)
{
	struct user_arg *a = arg;
	struct user *u = calloc(1, sizeof(*u));
	struct torture *t = a->t;
	unsigned int i;
	int rc;

	window_not_pump("user");
	if (!u)
		return NULL;
	u->t = t;
	u->id = a->id;
	u->rng.s = t->opt.seed * 104729 + a->id;
	u->n = &t->counts[a->id];
	rc = user_open(u);
	if (rc) {
		finding(FINDING_ERROR, "a device could not be set up: %d", rc);
		atomic_store(&t->stop, true);
	}
	while (!atomic_load(&t->stop)) {
		beat(&t->beats[u->id], "user");
		if (atomic_load(&t->windows.phase) != PHASE_IDLE)
			user_window(u);
		else if (u->tries)
			user_after_window(u);
		else
			user_free(u);
	}
	beat(&t->beats[u->id], "closing");
	for (i = 0; i < t->nslots; i++)
		hold_range_destroy(u->range[i]);
	hmm_engine_destroy(u->engine);
	hold_device_destroy(u->dev);
	free(u);
	return NULL;
}
