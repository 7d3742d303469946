// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* Stamps, floors and the verdict. */
#include <stdio.h>
#include "oracle.h"

/* stamp:40 | slot:12 | page:12; zero is no stamp */
uint64_t oracle_word(const struct slot *slot, unsigned int page, uint64_t stamp)
{
	return stamp << 24 | (uint64_t)(slot->id & 0xfff) << 12 | (page & 0xfff);
}

uint64_t oracle_pattern(uint64_t word, unsigned int i)
{
	return (word ^ i) * 0x9e3779b97f4a7c15ULL;
}

void oracle_fill(uint64_t *mem, uint64_t word)
{
	unsigned int i;

	for (i = 1; i < PATTERN_WORD; i++)
		__atomic_store_n(&mem[i], 0, __ATOMIC_RELAXED);
	for (; i < PAGE_WORDS; i++)
		__atomic_store_n(&mem[i], oracle_pattern(word, i), __ATOMIC_RELAXED);
	__atomic_store_n(&mem[0], word, __ATOMIC_RELEASE);
}

static void raise(_Atomic uint64_t *floor, uint64_t stamp)
{
	uint64_t old = atomic_load(floor);

	while (old < stamp && !atomic_compare_exchange_weak(floor, &old, stamp))
		;
}

uint64_t oracle_begin(struct slot *slot)
{
	atomic_fetch_add(&slot->epoch, 1);
	return atomic_fetch_add(&slot->issued, 1) + 1;
}

void oracle_removed(struct slot *slot, unsigned int lo, unsigned int hi, uint64_t stamp)
{
	for (; lo < hi; lo++) {
		raise(&slot->page[lo].effect, stamp);
		raise(&slot->page[lo].done, stamp);
	}
}

void oracle_seen(struct slot *slot, unsigned int page, uint64_t stamp)
{
	raise(&slot->page[page].effect, stamp);
}

void oracle_stamped(struct slot *slot, unsigned int lo, unsigned int hi, uint64_t stamp)
{
	oracle_removed(slot, lo, hi, stamp);
	for (; lo < hi; lo++)
		atomic_store(&slot->page[lo].current, stamp);
}

void oracle_stamp(struct slot *slot, unsigned int lo, unsigned int hi, uint64_t stamp)
{
	unsigned int i;

	for (i = lo; i < hi; i++)
		oracle_fill((uint64_t *)slot_page(slot, i), oracle_word(slot, i, stamp));
	oracle_stamped(slot, lo, hi, stamp);
}

void oracle_stamp_seen(struct slot *slot, unsigned int lo, unsigned int hi, uint64_t stamp)
{
	unsigned int i;

	for (i = lo; i < hi; i++) {
		oracle_seen(slot, i, stamp);
		oracle_fill((uint64_t *)slot_page(slot, i), oracle_word(slot, i, stamp));
		atomic_store(&slot->page[i].current, stamp);
	}
}

void oracle_end(struct slot *slot)
{
	atomic_fetch_add(&slot->epoch, 1);
}

void oracle_look(const struct slot *slot, unsigned int page, bool validated,
		 struct oracle_view *view)
{
	view->epoch = atomic_load(&slot->epoch);
	view->floor = atomic_load(validated ? &slot->page[page].effect : &slot->page[page].done);
}

bool oracle_stable(const struct slot *slot, const struct oracle_view *view)
{
	atomic_thread_fence(memory_order_seq_cst);
	return !(view->epoch & 1) && atomic_load(&slot->epoch) == view->epoch;
}

static enum verdict judge_stamp(const struct slot *slot, unsigned int page,
				const struct oracle_view *view, uint64_t word, bool stable,
				uint64_t current, char *why, unsigned int why_len)
{
	uint64_t stamp = word >> 24;

	if (word && (word & 0xffffff) != (oracle_word(slot, page, 0) & 0xffffff)) {
		snprintf(why, why_len, "shows word %#llx of another page",
			 (unsigned long long)word);
		return VERDICT_WRONG;
	}
	if (stable && stamp != current) {
		snprintf(why, why_len, "shows stamp %llu, current is %llu and nothing is under way",
			 (unsigned long long)stamp, (unsigned long long)current);
		return stamp < current ? VERDICT_STALE : VERDICT_WRONG;
	}
	/* A new mapping is zero at first, which is no older stamp. */
	if (word && stamp < view->floor) {
		snprintf(why, why_len,
			 "shows stamp %llu, all below %llu were gone before the use began",
			 (unsigned long long)stamp, (unsigned long long)view->floor);
		return VERDICT_STALE;
	}
	if (stamp > atomic_load(&slot->issued)) {
		snprintf(why, why_len, "shows stamp %llu that was never issued",
			 (unsigned long long)stamp);
		return VERDICT_WRONG;
	}
	return VERDICT_OK;
}

enum verdict oracle_judge(const struct slot *slot, unsigned int page,
			  const struct oracle_view *view, const uint64_t *words, unsigned int n,
			  char *why, unsigned int why_len)
{
	uint64_t current = atomic_load(&slot->page[page].current);
	bool stable = oracle_stable(slot, view);
	enum verdict v;
	unsigned int i;

	v = judge_stamp(slot, page, view, words[0], stable, current, why, why_len);
	if (v != VERDICT_OK || !stable)
		return v;
	for (i = PATTERN_WORD; i < n; i++) {
		if (words[i] == oracle_pattern(words[0], i))
			continue;
		snprintf(why, why_len, "shows a wrong word %u under stamp %llu", i,
			 (unsigned long long)current);
		return VERDICT_WRONG;
	}
	return VERDICT_OK;
}
