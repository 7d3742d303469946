/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * oracle: what a device may see. Every content of a page carries a stamp, larger than all before it
 * on that page. Two rules are checked, and nothing else is taken on trust:
 *
 * 1. Inside an engine section, a read that begins after a removing call has *returned* never shows
 * what that call removed (page.done). 2. A validated use that begins after a change was *seen to
 * have taken effect* by any thread is refused, even while the call that made it is still blocked
 * (page.effect).
 *
 * In both cases, if no operation is under way from before the use until after it (epoch), the use
 * must see exactly the current stamp: no younger one, no zero page, no other page's.
 */
#ifndef TOOLS_HMM_TORTURE_ORACLE_H
#define TOOLS_HMM_TORTURE_ORACLE_H

#include "slot.h"

/* A page: word 0 the stamp, words 1..7 written by devices, words 8..511 follow from the stamp. */
#define DEVICE_WORD 1
#define DEVICE_WORDS 7
#define PATTERN_WORD 8
#define PAGE_WORDS 512

uint64_t oracle_word(const struct slot *slot, unsigned int page, uint64_t stamp);
uint64_t oracle_pattern(uint64_t word, unsigned int i);
void oracle_fill(uint64_t *mem, uint64_t word);

/*
 * An operation: oracle_begin() returns its stamp; then pages [lo, hi) have lost their content, a
 * page was seen to have lost it, and the pages have a new one.
 */
uint64_t oracle_begin(struct slot *slot);
void oracle_removed(struct slot *slot, unsigned int lo, unsigned int hi, uint64_t stamp);
void oracle_seen(struct slot *slot, unsigned int page, uint64_t stamp);
/* Stores the new content through the slot's address, or only notes that it is there. */
void oracle_stamp(struct slot *slot, unsigned int lo, unsigned int hi, uint64_t stamp);
void oracle_stamped(struct slot *slot, unsigned int lo, unsigned int hi, uint64_t stamp);
/* For the peer, which does not know whether the removing call has returned. */
void oracle_stamp_seen(struct slot *slot, unsigned int lo, unsigned int hi, uint64_t stamp);
void oracle_end(struct slot *slot);

enum verdict {
	VERDICT_OK,
	VERDICT_STALE,
	VERDICT_WRONG,
};

/* What was known before a use: taken before its validation, or in a section before the access. */
struct oracle_view {
	uint64_t epoch;
	uint64_t floor;
};
void oracle_look(const struct slot *slot, unsigned int page, bool validated,
		 struct oracle_view *view);
/* Has no operation been under way since the look? */
bool oracle_stable(const struct slot *slot, const struct oracle_view *view);
/*
 * Judges the first n words that were read of a page: the stamp's word alone, or the pattern behind
 * it, too.
 */
enum verdict oracle_judge(const struct slot *slot, unsigned int page,
			  const struct oracle_view *view, const uint64_t *words, unsigned int n,
			  char *why, unsigned int why_len);

#endif
